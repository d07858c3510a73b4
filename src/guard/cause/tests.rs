use super::*;
use crate::{
    catalog::facts::RelationFacts,
    guard::{Site, Violation, compile, testing, verdict},
    rules::load::load_texts,
};

const RULES: &str = "
version: 1
tables:
  - table: executions
    units: {begin_us: us, end_us: us}
    rules:
      - {name: ordered, order: [created_at, started_at, completed_at]}
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
        ],
    );
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

fn found(rule: &str, values: &str, wrote: &Wrote) -> Violation {
    let loaded = load_texts([("rules.yaml", RULES)]).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
    let table = &loaded.set.tables[0];
    let owned = |names: Option<&[&str]>| names.map(|names| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>());
    let (columns, conflict) = (owned(wrote.columns), owned(wrote.conflict));
    let site = Site {
        operation: wrote.operation,
        columns: columns.as_deref(),
        conflict_columns: conflict.as_deref(),
        ..testing::site("executions")
    };
    let guard = compile(table, &executions(), &site).unwrap();
    let number = table.rules.iter().position(|r| r.name == rule).unwrap();
    match verdict::from_column(format!("{number}|{values};").as_bytes(), &guard) {
        Some(verdict::Verdict::Findings(findings)) => Violation::new(&findings[0], &guard, table).unwrap(),
        other => panic!("{rule} {values}: {other:?}"),
    }
}

fn cause(rule: &str, values: &str, wrote: &Wrote) -> Cause {
    found(rule, values, wrote).cause
}

/// 2026-01-02 10:00:00 UTC.
const T: i64 = 1_767_348_000;

#[test]
fn a_default_that_fires_last() {
    let left_out = Wrote { columns: Some(&["started_at", "completed_at"]), ..INSERTED };
    let given = Wrote { columns: Some(&["created_at", "started_at"]), ..INSERTED };
    let values = format!("t{T}.038|t{T}.030|t{T}.035");
    assert_eq!(cause("ordered", &values, &left_out), Cause::DefaultAfterExplicit);
    assert_eq!(cause("ordered", &values, &given), Cause::ClockSkew);
    // The pair at fault does not have the defaulted column.
    assert_eq!(cause("ordered", &format!("t{T}|t{T}.9|t{T}.1"), &left_out), Cause::ClockSkew);
    // An UPDATE takes no defaults.
    let updated = Wrote { operation: Operation::Update, columns: Some(&["started_at", "completed_at"]), ..INSERTED };
    assert_eq!(cause("ordered", &values, &updated), Cause::ClockSkew);
    let copied = Wrote { operation: Operation::Copy, columns: Some(&["started_at"]), ..INSERTED };
    assert_eq!(cause("ordered", &format!("t{T}.5|t{T}|"), &copied), Cause::DefaultAfterExplicit);
}

#[test]
fn a_start_that_is_written_again() {
    let values = format!("t{}|t{T}|t{}", T - 100, T - 50);
    let update = |columns| Wrote { operation: Operation::Update, columns: Some(columns), conflict: None };
    let again = found("ordered", &values, &update(&["started_at"]));
    assert_eq!(again.cause, Cause::OverwrittenStart);
    assert_eq!(
        again.hint.as_deref(),
        Some(
            "started_at was set again although completed_at was already there; write it once, for example SET started_at = COALESCE(started_at, ...)."
        )
    );
    assert_eq!(cause("ordered", &values, &update(&["completed_at"])), Cause::Other);
    assert_eq!(cause("ordered", &values, &update(&["started_at", "completed_at"])), Cause::Other);
    let upsert =
        Wrote { operation: Operation::Insert, columns: Some(&["started_at"]), conflict: Some(&["started_at"]) };
    assert_eq!(cause("ordered", &values, &upsert), Cause::OverwrittenStart);
}

#[test]
fn the_other_causes() {
    for (rule, values, expected) in [
        ("above", format!("t{T}|t{T}|t{T}"), Cause::ParentCopied),
        ("above", format!("t{}|t{T}|t{}", T + 5, T - 90), Cause::StaleCopy),
        ("above", format!("t{}|t{T}|t{}.999", T + 5, T - 1), Cause::ClockSkew),
        ("above", format!("t{}|t{T}|t{}", T + 5, T - 7_200), Cause::TimezoneOffset),
        ("ordered", format!("t{T}|t{}.5|", T - 3_600), Cause::TimezoneOffset),
        ("ordered", format!("t{T}|t{}|", T - 19_800), Cause::TimezoneOffset),
        ("ordered", format!("t{T}|t{}|", T - 3_605), Cause::Other),
        ("ordered", format!("t{T}|t{}|", T - 15 * 3_600), Cause::Other),
        ("ordered", format!("tInfinity|t{T}|"), Cause::Other),
        ("ordered", format!("t{T}|t0|"), Cause::ZeroSentinel),
        ("ordered", format!("t{T}|t{}.2|", T - 1), Cause::ClockSkew),
        ("fresh", format!("t{}|t{T}|t{T}", T + 3_600), Cause::TimezoneOffset),
        ("fresh", format!("t{}|t{T}|t{T}", T - 500), Cause::StaleCopy),
        ("fresh", format!("t{}|t{T}|t{T}", T * 1_000), Cause::UnitMismatch),
        ("numbers", format!("n{T}000000|n{T}000"), Cause::UnitMismatch),
        ("numbers", format!("n{T}000000|n0"), Cause::ZeroSentinel),
        ("sane", format!("t0|n{T}000000"), Cause::ZeroSentinel),
        ("sane", format!("t{T}|n{T}000"), Cause::UnitMismatch),
        ("sane", format!("t{T}|n{T}000000000"), Cause::UnitMismatch),
        ("sane", format!("t{}|n{T}000000", T * 1_000), Cause::UnitMismatch),
        ("sane", format!("t-99999999999|n{T}000000"), Cause::Other),
        ("lasting", format!("n0|n{T}000000|n{T}038033"), Cause::ZeroSentinel),
        ("lasting", format!("n38|n{T}000000|n{T}038033"), Cause::UnitMismatch),
        ("lasting", format!("n7|n{T}000000|n{T}038033"), Cause::Other),
        ("lasting", format!("n{T}000000|n0|n{T}000001"), Cause::ZeroSentinel),
        ("complete", String::new(), Cause::Other),
    ] {
        assert_eq!(cause(rule, &values, &INSERTED), expected, "{rule} {values}");
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
