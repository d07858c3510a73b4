use std::sync::{Arc, LazyLock};

use proptest::prelude::*;

use super::*;
use crate::{
    catalog::facts::RelationFacts,
    guard::{Guard, Site, Violation, compile, testing, verdict},
    rules::{load::load_texts, set::TableRules},
};

const RULES: &str = "
version: 1
tables:
  - table: executions
    units: {begin_us: us, end_us: us}
    rules:
      - {name: ordered, order: [created_at, started_at, completed_at]}
      - {name: strictly, order: [created_at, started_at], strict: true}
      - {name: local, order: [created_at, local_at], timezone: Europe/Berlin}
      - {name: local_lasting, duration: {column: took, start: created_at, end: local_at, unit: s}, timezone: Europe/Berlin}
      - {name: numbers, order: [begin_us, end_us]}
      - {name: lasting, duration: {column: duration_us, start: begin_us, end: end_us, unit: us}}
      - {name: fresh, near_now: {columns: [created_at], past: 5m, future: 5s}}
      - {name: sane, plausible: {columns: [created_at, end_us], after: 2000-01-01, before: 2100-01-01}}
      - {name: complete, require: {not_null: [completed_at]}}
      - {name: above, parent: {table: jobs, join: {job_id: id}, not_reused: {created_at: created_at}, not_before: {started_at: created_at}}}
";

fn executions() -> RelationFacts {
    let mut facts = testing::relation(
        "executions",
        &[
            ("job_id", "int8"),
            ("created_at", "timestamptz"),
            ("started_at", "timestamptz"),
            ("completed_at", "timestamptz"),
            ("begin_us", "int8"),
            ("end_us", "int8"),
            ("duration_us", "int8"),
            ("local_at", "timestamp"),
            ("took", "interval"),
        ],
    );
    // Every rule judges every UPDATE.
    facts.before_update_trigger = true;
    facts.columns[1].default = Some("CURRENT_TIMESTAMP".to_owned());
    facts.parents = vec![testing::relation("jobs", &[("id", "int8"), ("created_at", "timestamptz")])];
    facts
}

struct Wrote {
    operation: Operation,
    columns: Option<&'static [&'static str]>,
    conflict: Option<&'static [&'static str]>,
}

const INSERTED: Wrote = Wrote { operation: Operation::Insert, columns: None, conflict: None };

static TABLE: LazyLock<Arc<TableRules>> = LazyLock::new(|| {
    let loaded = load_texts([("rules.yaml", RULES)]).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
    Arc::clone(&loaded.set.tables[0])
});

fn guard(wrote: &Wrote) -> Guard {
    let owned = |names: Option<&[&str]>| names.map(|names| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>());
    let (columns, conflict) = (owned(wrote.columns), owned(wrote.conflict));
    let site = Site {
        operation: wrote.operation,
        columns: columns.as_deref(),
        conflict_columns: conflict.as_deref(),
        server_version: 180_000,
        ..testing::site("executions")
    };
    compile(&TABLE, &executions(), &site).unwrap()
}

/// The violation of a rule with these values; `None` if they are of no shape that the guard gives them.
fn attempt(rule: &str, values: &str, guard: &Guard) -> Option<Violation> {
    let number = TABLE.rules.iter().position(|r| r.name == rule).unwrap();
    match verdict::from_column(format!("{number}|{values};").as_bytes(), guard)? {
        verdict::Verdict::Findings(findings) => Violation::new(&findings[0], guard, &TABLE),
        other => panic!("{rule} {values}: {other:?}"),
    }
}

fn found(rule: &str, values: &str, wrote: &Wrote) -> Violation {
    attempt(rule, values, &guard(wrote)).unwrap_or_else(|| panic!("{rule} {values}"))
}

/// The cause, and what speaks for it.
fn diagnosed(rule: &str, values: &str, wrote: &Wrote) -> (Cause, String) {
    let violation = found(rule, values, wrote);
    (violation.cause, violation.evidence.unwrap_or_default())
}

#[track_caller]
fn expect(rule: &str, values: &str, wrote: &Wrote, cause: Cause, evidence: &str) {
    assert_eq!(diagnosed(rule, values, wrote), (cause, evidence.to_owned()), "{rule} {values}");
}

#[track_caller]
fn no_cause(rule: &str, values: &str, wrote: &Wrote) {
    expect(rule, values, wrote, Cause::Other, "");
}

const fn inserted(columns: &'static [&'static str]) -> Wrote {
    Wrote { columns: Some(columns), ..INSERTED }
}

const fn updated(columns: &'static [&'static str]) -> Wrote {
    Wrote { operation: Operation::Update, columns: Some(columns), conflict: None }
}

const fn upserted(columns: &'static [&'static str], conflict: &'static [&'static str]) -> Wrote {
    Wrote { operation: Operation::Insert, columns: Some(columns), conflict: Some(conflict) }
}

/// 2026-01-02 10:00:00 UTC.
const T: i64 = 1_767_348_000;

/// Incident 000: the job took 30 to 35 ms into the second, the row was inserted at 38.
#[test]
fn a_default_that_fires_last() {
    let values = format!("t{T}.038|t{T}.030|t{T}.035");
    let evidence = "created_at is not in the column list, its default is CURRENT_TIMESTAMP";
    expect("ordered", &values, &inserted(&["started_at", "completed_at"]), Cause::DefaultAfterExplicit, evidence);
    let copied = Wrote { operation: Operation::Copy, ..inserted(&["started_at"]) };
    expect("ordered", &format!("t{T}.5|t{T}|"), &copied, Cause::DefaultAfterExplicit, evidence);
    // However long before.
    let old = format!("t{T}|t{}|", T - 7_200);
    expect("ordered", &old, &inserted(&["started_at"]), Cause::DefaultAfterExplicit, evidence);
    let violation = found("ordered", &values, &inserted(&["started_at", "completed_at"]));
    assert_eq!(
        violation.hint.as_deref(),
        Some("created_at was not in the column list and took DEFAULT CURRENT_TIMESTAMP; set it to started_at.")
    );
}

#[test]
fn a_default_that_is_not_to_blame() {
    let values = format!("t{T}.038|t{T}.030|t{T}.035");
    let skew = "started_at is 8 ms before created_at, within 1 s, both new in this statement: two clocks";
    // It was given.
    expect("ordered", &values, &inserted(&["created_at", "started_at"]), Cause::ClockSkew, skew);
    // An UPDATE takes no defaults.
    no_cause("ordered", &values, &updated(&["started_at", "completed_at"]));
    // The pair at fault does not have the defaulted column.
    let other = format!("t{T}|t{T}.9|t{T}.1");
    let skew = "completed_at is 800 ms before started_at, within 1 s, both new in this statement: two clocks";
    expect("ordered", &other, &inserted(&["started_at", "completed_at"]), Cause::ClockSkew, skew);
    // The row may be one that was there.
    no_cause("ordered", &values, &upserted(&["started_at", "job_id"], &["started_at"]));
    // The other time was not given either.
    no_cause("ordered", &format!("t{T}|t{}|", T - 7_000), &inserted(&["completed_at"]));
}

/// Incident 001.
#[test]
fn a_start_that_is_written_again() {
    let values = format!("t{}|t{T}|t{}", T - 100, T - 50);
    let evidence = "completed_at was set already when the statement set started_at";
    let again = found("ordered", &values, &updated(&["started_at"]));
    assert_eq!((again.cause, again.evidence.as_deref()), (Cause::OverwrittenStart, Some(evidence)));
    assert_eq!(
        again.hint.as_deref(),
        Some(
            "started_at was set again although completed_at was already there; write it once, for example SET started_at = COALESCE(started_at, ...)."
        )
    );
    expect("ordered", &values, &upserted(&["started_at"], &["started_at"]), Cause::OverwrittenStart, evidence);
    // A retry after exactly an hour is a retry, and no time zone; and one after 15 ms does not have another clock.
    let hour = format!("t{}|t{}.1|t{T}", T - 100, T + 3_600);
    expect("ordered", &hour, &updated(&["started_at", "job_id"]), Cause::OverwrittenStart, evidence);
    let soon = format!("t{}|t{T}.285|t{T}.270", T - 100);
    expect("ordered", &soon, &updated(&["started_at"]), Cause::OverwrittenStart, evidence);
    // The second of the two writes is the completion: who wrote the start, and by which clock, cannot be seen.
    let completed = found("ordered", &soon, &updated(&["completed_at"]));
    assert_eq!((completed.cause, completed.evidence), (Cause::Other, None));
    assert_eq!(
        completed.hint.as_deref(),
        Some("completed_at must not be before started_at; look where the two are set.")
    );
    // Both in one statement: nothing was there already.
    no_cause("ordered", &values, &updated(&["started_at", "completed_at"]));
    no_cause("ordered", &values, &upserted(&["started_at", "completed_at"], &["started_at"]));
    no_cause("ordered", &values, &Wrote { operation: Operation::Merge, columns: None, conflict: None });
}

/// Incident 003.
#[test]
fn a_time_that_is_the_parents() {
    let same = format!("t{T}.123456|t{T}.123456|t{T}.5");
    let evidence = "created_at equals public.jobs.created_at";
    expect("above", &same, &INSERTED, Cause::ParentCopied, evidence);
    expect("above", &same, &inserted(&["job_id", "created_at"]), Cause::ParentCopied, evidence);
    expect("above", &same, &updated(&["created_at"]), Cause::ParentCopied, evidence);
    // The default that both took in one transaction is no copy.
    no_cause("above", &same, &inserted(&["job_id"]));
}

/// Incident 004, and other units.
#[test]
fn zeros_and_factors() {
    use Cause::{UnitMismatch, ZeroSentinel};
    for (rule, values, cause, evidence) in [
        ("lasting", format!("n0|n{T}000000|n{T}038033"), ZeroSentinel, "duration_us is 0"),
        ("lasting", format!("n{T}000000|n0|n{T}000001"), ZeroSentinel, "begin_us is 0"),
        ("numbers", format!("n{T}000000|n0"), ZeroSentinel, "end_us is 0"),
        ("ordered", format!("t{T}|t0|"), ZeroSentinel, "started_at is the epoch"),
        ("sane", format!("t0|n{T}000000"), ZeroSentinel, "created_at is the epoch"),
        ("fresh", format!("t0|t{T}|t{T}"), ZeroSentinel, "created_at is the epoch"),
        ("above", format!("t{T}.5|t{T}|t0"), ZeroSentinel, "started_at is the epoch"),
        ("above", format!("t0|t0|t{T}"), ZeroSentinel, "created_at is the epoch"),
        ("lasting", format!("n38|n{T}000000|n{T}038033"), UnitMismatch, "end_us - begin_us is 1,000 times duration_us"),
        (
            "lasting",
            format!("n38033000|n{T}000000|n{T}038033"),
            UnitMismatch,
            "duration_us is 1,000 times end_us - begin_us",
        ),
        ("numbers", format!("n{T}000000|n{T}000"), UnitMismatch, "begin_us is 1,000 times end_us"),
        ("numbers", format!("n{T}000000|n{T}"), UnitMismatch, "begin_us is 1,000,000 times end_us"),
        ("ordered", format!("t{}|t{T}|", T * 1_000), UnitMismatch, "created_at is 1,000 times started_at"),
        (
            "above",
            format!("t{}|t{T}|t{}", T + 5, T / 1_000),
            UnitMismatch,
            "public.jobs.created_at is 1,000 times started_at",
        ),
        ("fresh", format!("t{}|t{T}|t{T}", T * 1_000), UnitMismatch, "created_at is 1,000 times the server's time"),
        ("fresh", format!("t{}|t{T}|t{T}", T / 1_000), UnitMismatch, "the server's time is 1,000 times created_at"),
        ("sane", format!("t{T}|n{T}000"), UnitMismatch, "1,000 times end_us is in the range"),
        ("sane", format!("t{T}|n{T}000000000"), UnitMismatch, "end_us divided by 1,000 is in the range"),
        ("sane", format!("t{}|n{T}000000", T * 1_000), UnitMismatch, "created_at divided by 1,000 is in the range"),
    ] {
        expect(rule, &values, &INSERTED, cause, evidence);
    }
}

/// Without a zone in the value 0 is the zone's midnight.
#[test]
fn the_epoch_of_a_zone() {
    expect("local", &format!("t{T}|t-3600"), &INSERTED, Cause::ZeroSentinel, "local_at is the epoch");
    no_cause("ordered", &format!("t{T}|t-3600|"), &INSERTED);
    // An hour is no zero.
    no_cause("local_lasting", &format!("i3600|t{T}|t{}", T + 7), &INSERTED);
    expect("local_lasting", &format!("i0|t{T}|t{}", T + 7), &INSERTED, Cause::ZeroSentinel, "took is 0");
}

#[test]
fn zones() {
    for (rule, values, differs, slack) in [
        ("ordered", format!("t{T}|t{}.5|", T - 3_600), "59 min 59 s 500 ms", "2 s"),
        ("ordered", format!("t{T}.003|t{}|", T - 7_200), "2 h 3 ms", "250 ms"),
        ("ordered", format!("t{T}|t{}|", T - 19_800), "5 h 30 min", "250 ms"),
        ("ordered", format!("t{T}|t{}|", T - 14 * 3_600), "14 h", "250 ms"),
        ("above", format!("t{}|t{T}|t{}", T + 5, T - 7_199), "1 h 59 min 59 s", "2 s"),
        ("fresh", format!("t{}|t{T}|t{T}", T + 3_599), "59 min 59 s", "2 s"),
        ("fresh", format!("t{}|t{T}|t{T}", T - 3_602), "1 h 2 s", "2 s"),
        ("lasting", format!("n3600038033|n{T}000000|n{T}038033"), "1 h", "1 s"),
    ] {
        let evidence = format!("differs by {differs}, a whole number of quarter hours within {slack}");
        expect(rule, &values, &updated(&["job_id"]), Cause::TimezoneOffset, &evidence);
    }
    let hint = found("ordered", &format!("t{T}.003|t{}|", T - 7_200), &updated(&["job_id"])).hint;
    assert_eq!(
        hint.as_deref(),
        Some("The difference, 2 h, looks like a time zone: a local time was stored as UTC or the other way round.")
    );
    for (rule, values) in [
        ("ordered", format!("t{T}|t{}.7|", T - 3_601)),
        ("ordered", format!("t{T}|t{}.1|", T - 3_598)),
        ("ordered", format!("t{T}|t{}|", T - 14 * 3_600 - 900)),
        ("ordered", format!("t{T}|t{}|", T - 3)),
        ("ordered", format!("tInfinity|t{T}|")),
        ("fresh", format!("t{}.9|t{T}|t{T}", T + 3_600)),
        ("fresh", format!("t{}.5|t{T}|t{T}", T - 3_600)),
        ("lasting", format!("n3602038033|n{T}000000|n{T}038033")),
    ] {
        no_cause(rule, &values, &updated(&["job_id"]));
    }
}

/// How often a distance that has nothing to do with zones is taken for one.
#[test]
fn chance_makes_few_zones() {
    let guard = guard(&updated(&["job_id"]));
    let mut claimed = 0;
    for step in 1..=10_000_i64 {
        // Steps of 5.039 s over 14 hours: they hit every part of a quarter hour alike.
        let millis = step * 5_039;
        let (seconds, rest) = ((T * 1_000 - millis).div_euclid(1_000), (T * 1_000 - millis).rem_euclid(1_000));
        let values = format!("t{T}|t{seconds}.{rest:03}|");
        let cause = attempt("ordered", &values, &guard).unwrap().cause;
        claimed += i32::from(cause == Cause::TimezoneOffset);
    }
    assert!((15..=35).contains(&claimed), "{claimed} of 10,000");
}

#[test]
fn two_clocks() {
    let both = inserted(&["created_at", "started_at", "job_id"]);
    let at = |millis: i64| format!("t{T}|t{}.{:03}|", T - 1 - (millis - 1) / 1_000, 999 - (millis - 1) % 1_000);
    expect(
        "ordered",
        &at(4),
        &both,
        Cause::ClockSkew,
        "started_at is 4 ms before created_at, within 1 s, both new in this statement: two clocks",
    );
    assert_eq!(diagnosed("ordered", &at(1_000), &both).0, Cause::ClockSkew);
    no_cause("ordered", &at(1_001), &both);
    // The older value may be of any time and from anywhere.
    no_cause("ordered", &at(4), &updated(&["created_at", "started_at"]));
    no_cause("ordered", &at(4), &upserted(&["created_at", "started_at"], &["created_at", "started_at"]));
    // Too near, but in order; or equal.
    no_cause("strictly", &format!("t{T}|t{T}"), &both);
    expect("above", &format!("t{}|t{T}|t{}.998", T + 5, T - 1), &updated(&["job_id"]), Cause::Other, "");
    expect(
        "above",
        &format!("t{}|t{T}|t{}.998", T + 5, T - 1),
        &inserted(&["started_at"]),
        Cause::ClockSkew,
        "started_at is 2 ms before public.jobs.created_at, within 1 s, the one new in this statement, the other stored before: two clocks",
    );
    // The server's clock has not shown this time yet: that is proof, however far.
    let ahead = |seconds: i64| format!("t{}|t{T}|t{T}", T + seconds);
    expect(
        "fresh",
        &ahead(30),
        &inserted(&["created_at"]),
        Cause::ClockSkew,
        "created_at is 30 s ahead of the server's clock, within 5 min",
    );
    no_cause("fresh", &ahead(301), &inserted(&["created_at"]));
    no_cause("fresh", &ahead(30), &updated(&["job_id"]));
}

#[test]
fn times_that_are_old() {
    let old = format!("t{}|t{T}|t{T}", T - 500);
    let evidence = "the statement wrote created_at, which was 8 min 20 s old";
    expect("fresh", &old, &inserted(&["created_at"]), Cause::StaleCopy, evidence);
    expect("fresh", &old, &updated(&["created_at"]), Cause::StaleCopy, evidence);
    // It was there before.
    no_cause("fresh", &old, &updated(&["job_id"]));
    no_cause("fresh", &format!("t-Infinity|t{T}|t{T}"), &inserted(&["created_at"]));
    let before = format!("t{}|t{T}|t{}", T + 5, T - 90);
    let evidence = "the statement wrote started_at, which is 1 min 30 s before public.jobs.created_at";
    expect("above", &before, &inserted(&["started_at"]), Cause::StaleCopy, evidence);
    no_cause("above", &before, &updated(&["job_id"]));
}

#[test]
fn what_no_clock_explains() {
    for (rule, values) in [
        ("sane", format!("t-99999999999|n{T}000000")),
        ("sane", format!("tInfinity|n{T}000000")),
        ("lasting", format!("n7|n{T}000000|n{T}038033")),
        ("complete", String::new()),
        // Numbers near zero are a thousandfold of each other by chance.
        ("numbers", "n5000000|n5000".to_owned()),
    ] {
        no_cause(rule, &values, &INSERTED);
    }
}

/// A value as the guard writes it.
fn value() -> impl Strategy<Value = String> {
    let near = (-20_000_i64..20_000).prop_map(|off| format!("{}", T + off));
    let micros = (0_i64..2_000_000).prop_map(|off| format!("{T}.{off:07}"));
    let number = prop_oneof![
        near,
        micros,
        any::<i64>().prop_map(|n| n.to_string()),
        Just("0".to_owned()),
        Just("Infinity".to_owned()),
        Just("-Infinity".to_owned()),
        Just("1e300".to_owned()),
    ];
    prop_oneof![
        Just(String::new()),
        (prop::sample::select(vec!["t", "w", "d", "n", "i"]), number)
            .prop_map(|(tag, number)| format!("{tag}{number}")),
        Just("x6162".to_owned()),
    ]
}

/// Every rule, and how many values its findings have.
fn rules_and_slots() -> Vec<(String, usize)> {
    let guard = guard(&INSERTED);
    let slots = guard.judged.iter().zip(&guard.slots);
    slots.map(|((number, _), slots)| (TABLE.rules[*number].name.clone(), slots.len())).collect()
}

proptest! {
    #[test]
    fn every_cause_has_evidence_and_nothing_panics(
        rule in prop::sample::select(rules_and_slots()),
        values in prop::collection::vec(value(), 7),
        operation in prop::sample::select(vec![Operation::Insert, Operation::Update, Operation::Merge, Operation::Copy]),
        listed in prop::sample::select(vec![None, Some(&["created_at"][..]), Some(&["started_at", "completed_at", "job_id"][..]), Some(&[][..])]),
        conflict in prop::sample::select(vec![None, Some(&["started_at", "created_at"][..])]),
    ) {
        let wrote = Wrote { operation, columns: listed, conflict };
        let (rule, slots) = rule;
        if let Some(violation) = attempt(&rule, &values[..slots].join("|"), &guard(&wrote)) {
            prop_assert_eq!(violation.cause == Cause::Other, violation.evidence.is_none());
            if let Some(evidence) = violation.evidence {
                prop_assert!(!evidence.is_empty() && evidence.len() < 200 && !evidence.contains('\n'), "{}", evidence);
                prop_assert!(violation.hint.is_some());
            }
        }
    }
}

#[test]
fn recognizes_the_clock_in_defaults() {
    for clock in [
        "now()",
        "CURRENT_TIMESTAMP",
        "timezone('utc'::text, now())",
        "(clock_timestamp() + '00:01:00'::interval)",
        "LOCALTIMESTAMP(3)",
    ] {
        assert!(reads_clock(clock), "{clock}");
    }
    for other in ["'2000-01-01'::date", "nextval('known_seq'::regclass)", "0"] {
        assert!(!reads_clock(other), "{other}");
    }
}

#[test]
fn labels_are_distinct() {
    let labels: std::collections::BTreeSet<_> = Cause::ALL.iter().map(|cause| cause.as_str()).collect();
    assert_eq!(labels.len(), Cause::ALL.len());
}
