use super::*;
use crate::cli::{explain::Judged, test::client::Notice};

fn rules() -> BTreeSet<String> {
    ["a", "b"].map(str::to_owned).into()
}

fn reply(result: Result<u64, Refusal>) -> Reply {
    Reply { sql: "INSERT INTO t\n  VALUES (1)".into(), result, notices: Vec::new() }
}

fn rejection_of(rule: &str) -> Reply {
    let refusal = Refusal {
        code: SQLSTATE_REJECTED.into(),
        message: format!("violates {rule}"),
        constraint: Some(rule.into()),
        hint: Some("set it to now".into()),
    };
    reply(Err(refusal))
}

fn error(code: &str) -> Reply {
    reply(Err(Refusal { code: code.into(), message: "no".into(), ..Refusal::default() }))
}

fn played(counted: &[(&str, &str, u64)], replies: Vec<Reply>) -> Played {
    Played {
        counted: counted.iter().map(|(rule, action, rows)| (((*rule).into(), (*action).into()), *rows)).collect(),
        replies: replies.into_iter().map(|reply| (reply, Judged::default())).collect(),
        landed: None,
    }
}

fn expect(violations: &[(&str, Option<u64>)]) -> Expect {
    let violations = violations.iter().map(|(rule, rows)| ((*rule).to_owned(), *rows)).collect();
    Expect { violations, ..Expect::default() }
}

/// `about: expected / found` of each failure.
fn failures(expect: &Expect, played: Played) -> Vec<String> {
    let (failures, _) = judge(expect, &Ok(played), &rules());
    failures.iter().map(|f| format!("{}: {} / {}", f.about, f.expected, f.found)).collect()
}

#[test]
fn violations_are_all_of_them_and_counted_where_that_is_asked() {
    let one = || played(&[("a", "observe", 2)], vec![reply(Ok(2))]);
    assert!(failures(&expect(&[("a", None)]), one()).is_empty());
    assert!(failures(&expect(&[("a", Some(2))]), one()).is_empty());
    assert_eq!(failures(&expect(&[("a", Some(1))]), one()), ["violations: a (1 row) / a (2 rows)"]);
    assert_eq!(failures(&expect(&[]), one()), ["violations: none / a (2 rows)"]);
    assert_eq!(failures(&expect(&[("a", None), ("b", None)]), one()), ["violations: a, b / a (2 rows)"]);
    assert!(failures(&expect(&[]), played(&[], vec![reply(Ok(1))])).is_empty());
}

#[test]
fn a_rejection_is_an_error_of_one_of_the_rules() {
    let of = |replies| played(&[("a", "reject", 1)], replies);
    let wanted = |rejected| Expect { rejected: Some(rejected), ..expect(&[("a", None)]) };
    assert!(failures(&wanted(true), of(vec![rejection_of("a")])).is_empty());
    assert_eq!(
        failures(&wanted(false), of(vec![rejection_of("a")])),
        ["rejected: no statement to be rejected / INSERT INTO t VALUES (1): violates a"]
    );
    let observed = played(&[("a", "observe", 1)], vec![reply(Ok(1))]);
    assert_eq!(failures(&wanted(true), observed), ["rejected: a statement to be rejected / none was"]);
    // A constraint of the table itself is none of our rules.
    let foreign = failures(&expect(&[]), played(&[], vec![rejection_of("t_check")]));
    assert_eq!(foreign.len(), 1);
    assert!(foreign[0].ends_with("ERROR 23514: violates t_check"), "{foreign:?}");
}

#[test]
fn errors_of_their_own_fail_unless_they_follow_from_a_rejection() {
    let of = |replies| failures(&expect(&[("a", None)]), played(&[("a", "reject", 1)], replies));
    assert!(of(vec![rejection_of("a"), error("25P02")]).is_empty());
    assert_eq!(of(vec![error("25P02"), rejection_of("a")]).len(), 1);
    assert_eq!(
        of(vec![rejection_of("a"), error("42P01")]),
        ["sql: every statement to be accepted, or refused by a rule / INSERT INTO t VALUES (1): ERROR 42P01: no"]
    );
}

#[test]
fn what_is_counted_is_told() {
    let a = expect(&[("a", None)]);
    assert_eq!(
        failures(&a, played(&[("a", "reject", 1)], vec![reply(Ok(1))])),
        ["client: an error from a / the violation was counted, the client got none"]
    );
    assert_eq!(
        failures(&a, played(&[("a", "warn", 1)], vec![reply(Ok(1))])),
        ["client: a warning from a / the violation was counted, the client got none"]
    );
    let mut warned = reply(Ok(1));
    warned.notices.push(Notice { code: SQLSTATE_WARNED.into(), constraint: Some("a".into()), hint: Some("h".into()) });
    assert!(failures(&a, played(&[("a", "warn", 1)], vec![warned])).is_empty());
}

#[test]
fn a_part_of_a_hint_is_enough() {
    let wanted = |hint: &str| Expect { hint: Some(hint.into()), ..expect(&[("a", None)]) };
    let of = || played(&[("a", "reject", 1)], vec![rejection_of("a")]);
    assert!(failures(&wanted("to now"), of()).is_empty());
    assert_eq!(failures(&wanted("to then"), of()), ["hint: a hint with “to then” / “set it to now”"]);
}

#[test]
fn rows_that_landed_are_compared() {
    let some = |text: &str| Some(text.to_owned());
    let wanted = || Expect {
        landed: Some(Landed { sql: "SELECT 1".into(), rows: vec![vec![some("1"), None]] }),
        ..Expect::default()
    };
    let of = |landed| Played { landed: Some(landed), ..Played::default() };
    assert!(failures(&wanted(), of(Ok(vec![vec![some("1"), None]]))).is_empty());
    assert_eq!(failures(&wanted(), of(Ok(Vec::new()))), ["landed: ('1', NULL) / none from SELECT 1"]);
    assert_eq!(failures(&wanted(), of(Err("gone".into()))), ["landed: ('1', NULL) / gone from SELECT 1"]);
}

#[test]
fn what_cannot_be_judged_is_noted() {
    let mut of = played(&[], vec![reply(Ok(1))]);
    of.replies[0].1.left_out = ["a", "b"].map(|rule| (rule.to_owned(), "copy_subquery")).into();
    let (failures, notes) = judge(&expect(&[]), &Ok(of), &rules());
    assert!(failures.is_empty());
    assert_eq!(notes, ["a, b cannot judge INSERT INTO t VALUES (1): copy_subquery"]);
}

#[test]
fn a_test_that_cannot_be_played_fails() {
    let (failures, _) = judge(&expect(&[]), &Err("no table".into()), &rules());
    assert_eq!(failures, [Failure::new("not played", "", "no table")]);
}
