use std::sync::Arc;

use super::*;
use crate::rules::{
    diagnostic::Severity,
    load::inspect_texts,
    set::{Condition, Kind, Matches, Monotonic, Place, WriteOnce},
};

/// `code line` of everything found about two rules, which stand in lines 5 and 6.
fn found(first: &str, second: &str) -> Vec<String> {
    let text = format!(
        "version: 1\ntables:\n- table: t\n  rules:\n  - {{name: first, {first}}}\n  - {{name: second, {second}}}\n"
    );
    let inspected = inspect_texts([("a.yaml", text.as_str())]);
    assert!(inspected.diagnostics.is_empty(), "{text}: {:?}", inspected.diagnostics);
    rules(&inspected.set).iter().map(|d| format!("{} {}", d.code.as_str(), d.place.line)).collect()
}

#[test]
fn rules_that_find_nothing_of_their_own() {
    for (first, second, line) in [
        ("order: [a, b]", "order: [a, b]", 6),
        ("order: [a, b, c]", "order: [a, c]", 6),
        ("order: [a, c]", "order: [a, b, c]", 5),
        ("order: [a, b]", "order: [a, b], tolerance: 5ms", 6),
        ("order: [a, b, c], tolerance: 5ms", "order: [a, c], tolerance: 10ms", 6),
        ("order: [a, b], min_gap: 1ms", "order: [a, b]", 6),
        ("order: [a, b], max_gap: 1d", "order: [a, b], max_gap: 2d", 6),
        ("order: [a, b], strict: true", "order: [a, b], when: c > 1", 6),
        ("order: [a, b], when: c > 1", "order: [a, b], when: c  >  1", 6),
        ("order: [a, b], on_violation: reject", "order: [a, b], on_violation: warn", 6),
        (
            "duration: {column: d, start: a, end: b, unit: s}",
            "duration: {column: d, start: a, end: b, unit: s, tolerance: 1s}",
            6,
        ),
        ("near_now: {columns: [a, b], past: 5m, future: 5s}", "near_now: {columns: [a], past: 10m}", 6),
        (
            "plausible: {columns: [a], after: 2000-01-01, before: 2100-01-01}",
            "plausible: {columns: [a], after: 2010-01-01, before: 2090-01-01}",
            5,
        ),
        ("require: {not_null: [a, b]}", "require: {not_null: [b]}, when: c > 1", 6),
        ("check: a > 1", "check: a  > 1", 6),
        (
            "parent: {table: p, join: {a: b}, not_reused: {c: c}, not_before: {c: c}}",
            "parent: {table: p, join: {a: b}, not_before: {c: c}, tolerance: 1s}",
            6,
        ),
    ] {
        assert_eq!(found(first, second), [format!("redundant-rule {line}")], "{first} / {second}");
    }
}

#[test]
fn rules_that_contradict_each_other() {
    for (first, second) in [
        ("order: [a, b]", "order: [b, a]"),
        ("order: [a, b, c]", "order: [c, a]"),
        ("order: [a, b], strict: true", "order: [b, a], strict: true"),
        ("order: [a, b], min_gap: 1ms", "order: [b, a], tolerance: 500us"),
        ("order: [a, b], min_gap: 2d", "order: [a, b], max_gap: 1d"),
        ("order: [a, b]", "order: [b, a], when: c > 1"),
        ("require: {not_null: [a]}", "require: {null: [a]}, when: b > 1"),
        ("require: {null: [a]}, when: b > 1", "require: {not_null: [a]}, when: b > 1"),
        (
            "plausible: {columns: [a], after: 2000-01-01, before: 2010-01-01}",
            "plausible: {columns: [a], after: 2010-01-01, before: 2020-01-01}",
        ),
        ("duration: {column: d, start: a, end: b, unit: s}", "duration: {column: d, start: a, end: b, unit: ms}"),
    ] {
        assert_eq!(found(first, second), ["contradictory-rules 6"], "{first} / {second}");
    }
}

#[test]
fn rules_that_go_together() {
    for (first, second) in [
        ("order: [a, b]", "order: [b, c]"),
        ("order: [a, b, c]", "order: [a, d, c]"),
        // The milder one observes what the stricter one lets pass.
        ("order: [a, b], tolerance: 1s, on_violation: reject", "order: [a, b]"),
        ("order: [a, b]", "order: [a, b], on_violation: reject, when: c > 1"),
        ("order: [a, b, c], tolerance: 5ms", "order: [a, c], tolerance: 5ms"),
        ("order: [a, b, c], max_gap: 1d", "order: [a, c], max_gap: 1d"),
        ("order: [a, b], min_gap: 1ms", "order: [a, b], strict: true"),
        // Near each other, whichever comes first.
        ("order: [a, b], tolerance: 1s", "order: [b, a], tolerance: 1s"),
        ("order: [a, b], when: c > 1", "order: [b, a], when: c < 1"),
        ("order: [a, b], unit: s", "order: [a, b], unit: ms"),
        ("order: [a, b], timezone: UTC", "order: [a, b]"),
        ("order: [a, b]", "order: [a, b], always: true, tolerance: 1s"),
        ("require: {not_null: [a]}, when: b > 1", "require: {null: [a]}, when: b < 1"),
        ("require: {not_null: [a]}", "require: {null: [b]}"),
        ("check: a > 'x  y'", "check: a > 'x y'"),
        ("near_now: {columns: [a], past: 5m}", "near_now: {columns: [a], future: 5m}"),
        (
            "plausible: {columns: [a], after: 2000-01-01, before: 2010-01-01}",
            "plausible: {columns: [b], after: 2010-01-01, before: 2020-01-01}",
        ),
        (
            "parent: {table: p, join: {a: b}, not_before: {c: c}}",
            "parent: {table: p, join: {x: b}, not_before: {c: c}}",
        ),
    ] {
        assert_eq!(found(first, second), [""; 0], "{first} / {second}");
    }
}

/// A set with the rules of a text, changed.
fn set_of(rules: &str) -> RuleSet {
    let inspected = inspect_texts([("a.yaml", rules)]);
    assert!(inspected.diagnostics.iter().all(|d| d.severity != Severity::Error), "{:?}", inspected.diagnostics);
    inspected.set
}

const ONE: &str = "version: 1\ntables:\n- table: t\n  rules:\n  - {name: first, order: [a, b], on_violation: reject}\n  - {name: second, check: a > b}\n";

fn exemption(rules: &[&str], matches: Matches, expires: &str) -> Exemption {
    Exemption {
        rules: rules.iter().map(|name| (*name).to_owned()).collect(),
        matches,
        reason: "backfill".to_owned(),
        owner: None,
        expires: expires.parse().unwrap(),
        place: Place { line: 9, column: 3, ..Place::default() },
    }
}

fn of_role() -> Matches {
    Matches { role: Some("migrator".to_owned()), ..Matches::default() }
}

#[test]
fn exemptions_that_end() {
    let now: Timestamp = "2027-01-17T12:00:00Z".parse().unwrap();
    for (expires, expected) in [
        ("2027-03-01T00:00:00Z", vec![]),
        ("2027-01-31T12:00:01Z", vec![]),
        ("2027-01-31T12:00:00Z", vec!["expiring-exemption: the exemption ends on 2027-01-31, in 14 days"]),
        ("2027-01-17T12:00:01Z", vec!["expiring-exemption: the exemption ends on 2027-01-17, in 1 day"]),
        ("2027-01-17T12:00:00Z", vec!["expired-exemption: the exemption ended on 2027-01-17 and applies to nothing"]),
        ("2026-01-31T00:00:00Z", vec!["expired-exemption: the exemption ended on 2026-01-31 and applies to nothing"]),
    ] {
        let mut set = set_of(ONE);
        set.exemptions = vec![Arc::new(exemption(&["first"], of_role(), expires))];
        let found: Vec<String> =
            exemptions(&set, now).iter().map(|d| format!("{}: {}", d.code.as_str(), d.message)).collect();
        assert_eq!(found, expected, "{expires}");
    }
}

#[test]
fn exemptions_of_no_use() {
    let now: Timestamp = "2027-01-01T00:00:00Z".parse().unwrap();
    let by_application = || Matches { application_name: Some("backfill-*".to_owned()), ..Matches::default() };
    let codes = |rules: &[&str], matches: Matches, trusted: &[&str]| {
        let mut set = set_of(ONE);
        set.trusted_roles = trusted.iter().map(|name| (*name).to_owned()).collect();
        set.exemptions = vec![Arc::new(exemption(rules, matches, "2028-01-01T00:00:00Z"))];
        exemptions(&set, now).iter().map(|d| d.code.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(codes(&["nobody"], of_role(), &[]), ["unused-exemption"]);
    assert_eq!(codes(&["nobody", "first"], of_role(), &[]), [""; 0]);
    assert_eq!(codes(&["first"], by_application(), &[]), ["unused-exemption"]);
    assert_eq!(codes(&["first"], by_application(), &["migrator"]), [""; 0]);
    assert_eq!(codes(&["first"], Matches { role: Some("a".to_owned()), ..by_application() }, &[]), [""; 0]);
    assert_eq!(codes(&["first", "second"], by_application(), &[]), [""; 0]);
}

#[test]
fn rejections_without_a_test() {
    let found = |expect: &str| {
        let set = set_of(&format!("{ONE}tests:\n- {{name: t, sql: SELECT 1, expect: {{violations: [{expect}]}}}}\n"));
        let found = untested(&set);
        found.iter().map(|d| format!("{}:{} {}", d.place.line, d.place.column, d.code.as_str())).collect::<Vec<_>>()
    };
    assert_eq!(found("second"), ["5:12 untested-reject"]);
    assert_eq!(found("first"), [""; 0]);
}

/// Rules of kinds with memory.
#[test]
fn kinds_that_remember() {
    let mut set = set_of(ONE);
    let table = Arc::get_mut(&mut set.tables[0]).unwrap();
    let columns = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    table.rules[0].kind = Kind::WriteOnce(WriteOnce { columns: columns(&["a", "s"]) });
    table.rules[1].kind = Kind::Monotonic(Monotonic { columns: columns(&["a"]) });
    let of = |set: &RuleSet| {
        let found = rules(set);
        found.iter().map(|d| format!("{} {}", d.code.as_str(), d.place.line)).collect::<Vec<_>>()
    };
    assert_eq!(of(&set), ["redundant-rule 6"]);
    let table = Arc::get_mut(&mut set.tables[0]).unwrap();
    table.rules[0].kind = Kind::Check(Condition { text: "a".to_owned(), columns: columns(&["a"]) });
    assert_eq!(of(&set), [""; 0]);
}
