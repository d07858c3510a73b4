use super::*;
use crate::{
    catalog::facts::RelationFacts,
    guard::{Site, compile, testing, verdict},
    rules::load::load_texts,
};

const RULES: &str = "
version: 1
tables:
  - table: executions
    units: {begin_us: us, end_us: us}
    rules:
      - {name: the_order, order: [created_at, started_at, completed_at]}
      - {name: gaps, order: [started_at, completed_at], min_gap: 1ms, max_gap: 1d}
      - {name: strictly, order: [created_at, started_at], strict: true}
      - {name: numbers, order: [begin_us, end_us]}
      - {name: lasting, duration: {column: duration_us, start: begin_us, end: end_us, unit: us}}
      - {name: fresh, near_now: {columns: [created_at], past: 5m, future: 5s}}
      - {name: sane, plausible: {columns: [created_at, end_us], after: 2000-01-01, before: 2100-01-01}}
      - {name: complete, require: {not_null: [completed_at], null: [note]}}
      - {name: short, check: \"length(note) < 5\", hint: \"Keep it short.\"}
      - {name: above, parent: {table: jobs, join: {job_id: id}, not_reused: {created_at: created_at}, not_before: {started_at: created_at}}}
";

fn executions() -> RelationFacts {
    let mut facts = testing::relation(
        "executions",
        &[
            ("id", "int8"),
            ("job_id", "int8"),
            ("created_at", "timestamptz"),
            ("started_at", "timestamptz"),
            ("completed_at", "timestamptz"),
            ("begin_us", "int8"),
            ("end_us", "int8"),
            ("duration_us", "int8"),
            ("note", "text"),
        ],
    );
    facts.columns[2].default = Some("now()".to_owned());
    facts.columns[2].has_default = true;
    facts.parents = vec![testing::relation("jobs", &[("id", "int8"), ("created_at", "timestamptz")])];
    facts
}

fn columns(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// The violation of `rule` with these values (`id` is 7), in a write with these columns.
fn violation(rule: &str, values: &str, operation: Operation, given: &[&str]) -> Violation {
    let loaded = load_texts([("rules.yaml", RULES)]).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
    let table = &loaded.set.tables[0];
    let given = columns(given);
    let site = Site { operation, columns: (!given.is_empty()).then_some(&given[..]), ..testing::site("executions") };
    let guard = compile(table, &executions(), &site).unwrap();
    let number = table.rules.iter().position(|r| r.name == rule).unwrap();
    let text = format!("{number}|n7|{values};");
    match verdict::from_column(text.as_bytes(), &guard) {
        Some(verdict::Verdict::Findings(findings)) => Violation::new(&findings[0], &guard, table).unwrap(),
        other => panic!("{text}: {other:?}"),
    }
}

fn inserted(rule: &str, values: &str) -> Violation {
    violation(rule, values, Operation::Insert, &[])
}

/// 2026-01-02 10:00:00 UTC.
const T: i64 = 1_767_348_000;

#[test]
fn words_the_incident_as_the_contract_says() {
    let given = ["id", "started_at", "completed_at"];
    let found = violation("the_order", &format!("t{T}.161033|t{T}.100000|t{T}.123000"), Operation::Insert, &given);
    assert_eq!(found.message, "new row for relation \"executions\" violates timestamp rule \"the_order\"");
    assert_eq!(
        found.detail,
        "started_at (2026-01-02 10:00:00.1+00) is 61.033 ms before created_at (2026-01-02 10:00:00.161033+00)."
    );
    assert_eq!(
        found.hint.as_deref(),
        Some("created_at was not in the column list and took DEFAULT now(); set it to started_at.")
    );
    assert_eq!(found.cause, Cause::DefaultAfterExplicit);
    assert_eq!(found.column.as_deref(), Some("started_at"));
    assert_eq!(found.by_seconds, Some(0.061_033));
    assert_eq!(found.key, [("id".to_owned(), "7".to_owned())]);
    assert_eq!((found.relation.schema.as_str(), found.relation.name.as_str()), ("public", "executions"));
}

#[test]
fn says_what_is_wrong_and_by_how_much() {
    for (rule, values, detail) in [
        (
            "the_order",
            format!("t{T}||t{}.9", T - 3),
            "completed_at (2026-01-02 09:59:57.9+00) is 2.1 s before created_at (2026-01-02 10:00:00+00).",
        ),
        (
            "the_order",
            format!("tInfinity|t{T}|"),
            "started_at (2026-01-02 10:00:00+00) is before created_at (infinity).",
        ),
        (
            "gaps",
            format!("t{T}|t{T}.0002"),
            "completed_at (2026-01-02 10:00:00.0002+00) is 200 us after started_at (2026-01-02 10:00:00+00); at least 1 ms is required.",
        ),
        (
            "gaps",
            format!("t{T}|t{}", T - 1),
            "completed_at (2026-01-02 09:59:59+00) is 1 s before started_at (2026-01-02 10:00:00+00); it must be at least 1 ms after it.",
        ),
        (
            "gaps",
            format!("t{T}|t{}", T + 90_000),
            "completed_at (2026-01-03 11:00:00+00) is 1 d 1 h after started_at (2026-01-02 10:00:00+00); at most 1 d is allowed.",
        ),
        (
            "strictly",
            format!("t{T}|t{T}"),
            "started_at (2026-01-02 10:00:00+00) is equal to created_at; it must be after it.",
        ),
        (
            "numbers",
            format!("n{T}000007|n{T}000000"),
            "end_us (1767348000000000, 2026-01-02 10:00:00+00) is 7 us before begin_us (1767348000000007, 2026-01-02 10:00:00.000007+00).",
        ),
        (
            "lasting",
            format!("n0|n{T}000000|n{T}038033"),
            "duration_us (0, 0 ns) is off: end_us - begin_us is 38.033 ms.",
        ),
        (
            "fresh",
            format!("t{}|t{T}|t{T}.5", T - 600),
            "created_at (2026-01-02 09:50:00+00) is 10 min before the server's time; at most 5 min is allowed.",
        ),
        (
            "fresh",
            format!("t{}|t{T}|t{T}.5", T + 60),
            "created_at (2026-01-02 10:01:00+00) is 59.5 s after the server's time; at most 5 s is allowed.",
        ),
        (
            "fresh",
            format!("tInfinity|t{T}|t{T}"),
            "created_at (infinity) is infinitely long after the server's time; at most 5 s is allowed.",
        ),
        ("sane", format!("t0|n{T}000000"), "created_at (1970-01-01 00:00:00+00) is the epoch."),
        ("sane", format!("t-Infinity|n{T}000000"), "created_at (-infinity) is not finite."),
        (
            "sane",
            format!("t{T}|n{T}"),
            "end_us (1767348000, 1970-01-01 00:29:27.348+00) is not between 2000-01-01 00:00:00+00 and 2100-01-01 00:00:00+00.",
        ),
        ("complete", "|".to_owned(), "completed_at is null."),
        ("complete", format!("t{T}|x6162"), "note (ab) is not null."),
        ("short", "x616263646566".to_owned(), "The condition length(note) < 5 is false: note = abcdef."),
        (
            "above",
            format!("t{T}|t{T}|t{T}"),
            "created_at (2026-01-02 10:00:00+00) is the same as created_at of the row in \"jobs\" that it belongs to.",
        ),
        (
            "above",
            format!("t{}|t{T}|t{}", T + 5, T - 7),
            "started_at (2026-01-02 09:59:53+00) is 7 s before created_at (2026-01-02 10:00:00+00) of the row in \"jobs\" that it belongs to.",
        ),
    ] {
        assert_eq!(inserted(rule, &values).detail, detail, "{rule} {values}");
    }
}

#[test]
fn prefers_the_rules_own_hint() {
    assert_eq!(inserted("short", "x616263646566").hint.as_deref(), Some("Keep it short."));
}
