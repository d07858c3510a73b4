//! What happened against what was expected. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    client::{Refusal, Reply},
    play::{Played, Rows},
};
use crate::{
    guard::violation::{SQLSTATE_REJECTED, SQLSTATE_WARNED},
    rules::rule_tests::{Expect, Landed},
};

/// Something that is not as expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// What it is about: a key of `expect`, `sql`, or what kept the test from being played.
    pub about: &'static str,
    /// What was expected; empty where that goes without saying.
    pub expected: String,
    /// What happened.
    pub found: String,
}

impl Failure {
    fn new(about: &'static str, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self { about, expected: expected.into(), found: found.into() }
    }
}

/// Finds what is not as expected, and what deserves a note all the same. `rules`: the names of all rules.
pub(super) fn judge(
    expect: &Expect,
    played: &Result<Played, String>,
    rules: &BTreeSet<String>,
) -> (Vec<Failure>, Vec<String>) {
    let played = match played {
        Ok(played) => played,
        Err(why) => return (vec![Failure::new("not played", "", why)], Vec::new()),
    };
    let mut failures: Vec<Failure> = errors(&played.replies, rules);
    failures.extend(violations(expect, played));
    failures.extend(rejected(expect, played, rules));
    failures.extend(untold(played, rules));
    failures.extend(hint(expect, played));
    failures.extend(expect.landed.as_ref().and_then(|landed| self::landed(landed, played.landed.as_ref())));
    (failures, notes(played))
}

/// The refusal, if it comes from one of the rules.
fn rejection<'r>(reply: &'r Reply, rules: &BTreeSet<String>) -> Option<&'r Refusal> {
    let refusal = reply.result.as_ref().err()?;
    let ours = refusal.code == SQLSTATE_REJECTED && refusal.constraint.as_ref().is_some_and(|c| rules.contains(c));
    ours.then_some(refusal)
}

/// Statements that failed for a reason of their own.
fn errors(replies: &[(Reply, crate::cli::explain::Judged)], rules: &BTreeSet<String>) -> Vec<Failure> {
    let mut aborted = false;
    let mut failures = Vec::new();
    for (reply, _) in replies {
        let Err(refusal) = &reply.result else { continue };
        if rejection(reply, rules).is_some() {
            aborted = true;
        } else if !(aborted && refusal.is_consequence()) {
            let found = match refusal.code.as_str() {
                "" => format!("{}: {}", shortened(&reply.sql), refusal.message),
                code => format!("{}: ERROR {code}: {}", shortened(&reply.sql), refusal.message),
            };
            failures.push(Failure::new("sql", "every statement to be accepted, or refused by a rule", found));
        }
    }
    failures
}

fn violations(expect: &Expect, played: &Played) -> Option<Failure> {
    let found = played.violations();
    let same_rules = expect.violations.keys().eq(found.keys());
    let same_rows = expect.violations.iter().all(|(rule, rows)| rows.is_none_or(|rows| found.get(rule) == Some(&rows)));
    if same_rules && same_rows {
        return None;
    }
    let expected = expect.violations.iter().map(|(rule, rows)| match rows {
        Some(rows) => counted(rule, *rows),
        None => rule.clone(),
    });
    let expected = listed(expected);
    let found = listed(found.iter().map(|(rule, rows)| counted(rule, *rows)));
    Some(Failure::new("violations", expected, found))
}

fn rejected(expect: &Expect, played: &Played, rules: &BTreeSet<String>) -> Option<Failure> {
    let wanted = expect.rejected?;
    let refused = played.replies.iter().find_map(|(reply, _)| Some((reply, rejection(reply, rules)?)));
    match (wanted, refused) {
        (true, None) => Some(Failure::new("rejected", "a statement to be rejected", "none was")),
        (false, Some((reply, refusal))) => {
            let found = format!("{}: {}", shortened(&reply.sql), refusal.message);
            Some(Failure::new("rejected", "no statement to be rejected", found))
        }
        _ => None,
    }
}

/// What the proxy counts as rejected or warned, the client must have been told.
fn untold(played: &Played, rules: &BTreeSet<String>) -> Vec<Failure> {
    let any_rejection = played.replies.iter().any(|(reply, _)| rejection(reply, rules).is_some());
    let warned = |rule: &str| {
        let notices = played.replies.iter().flat_map(|(reply, _)| &reply.notices);
        notices.into_iter().any(|n| n.code == SQLSTATE_WARNED && n.constraint.as_deref() == Some(rule))
    };
    let missing = played.counted.keys().filter(|(rule, action)| match action.as_str() {
        "reject" => !any_rejection,
        // A statement that is rejected by one rule brings no warnings of others.
        "warn" => !any_rejection && !warned(rule),
        _ => false,
    });
    missing
        .map(|(rule, action)| {
            let message = if action == "warn" { "a warning" } else { "an error" };
            Failure::new("client", format!("{message} from {rule}"), "the violation was counted, the client got none")
        })
        .collect()
}

fn hint(expect: &Expect, played: &Played) -> Option<Failure> {
    let wanted = expect.hint.as_ref()?;
    let refusals = played.replies.iter().filter_map(|(reply, _)| reply.result.as_ref().err()?.hint.as_deref());
    let notices = played.replies.iter().flat_map(|(reply, _)| reply.notices.iter().filter_map(|n| n.hint.as_deref()));
    let hints: Vec<&str> = refusals.chain(notices).collect();
    if hints.iter().any(|hint| hint.contains(wanted)) {
        return None;
    }
    Some(Failure::new("hint", format!("a hint with “{wanted}”"), listed(hints.iter().map(|hint| format!("“{hint}”")))))
}

fn landed(wanted: &Landed, found: Option<&Result<Rows, String>>) -> Option<Failure> {
    let found = match found? {
        Ok(rows) if *rows == wanted.rows => return None,
        Ok(rows) => printed(rows),
        Err(error) => error.clone(),
    };
    Some(Failure::new("landed", printed(&wanted.rows), format!("{found} from {}", shortened(&wanted.sql))))
}

/// Rules that could not judge a statement: what is expected of it may be expected in vain.
fn notes(played: &Played) -> Vec<String> {
    let mut notes = BTreeMap::<String, Vec<&str>>::new();
    for (reply, judged) in &played.replies {
        for (rule, reason) in &judged.left_out {
            notes.entry(format!("cannot judge {}: {reason}", shortened(&reply.sql))).or_default().push(rule);
        }
    }
    notes.into_iter().map(|(what, rules)| format!("{} {what}", rules.join(", "))).collect()
}

fn counted(rule: &str, rows: u64) -> String {
    if rows == 1 { format!("{rule} (1 row)") } else { format!("{rule} ({rows} rows)") }
}

fn listed(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    if items.is_empty() { "none".to_owned() } else { items.join(", ") }
}

/// Rows in few words: `(1, NULL), (2, 'a')`.
fn printed(rows: &Rows) -> String {
    const MOST: usize = 10;
    let value = |value: &Option<String>| value.as_ref().map_or("NULL".to_owned(), |text| format!("'{text}'"));
    let row = |row: &Vec<Option<String>>| format!("({})", row.iter().map(value).collect::<Vec<_>>().join(", "));
    let mut shown = listed(rows.iter().take(MOST).map(row));
    if rows.len() > MOST {
        shown += &format!(" and {} more", rows.len() - MOST);
    }
    shown
}

/// A statement on one line.
pub(super) fn shortened(sql: &str) -> String {
    const MOST: usize = 72;
    let line = sql.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= MOST { line } else { line.chars().take(MOST).chain(['…']).collect() }
}

#[cfg(test)]
mod tests;
