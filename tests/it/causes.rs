//! Diagnosed causes, from real statements: each is claimed with its evidence, and the client's hint is written for it.

use serde_json::Value;

use crate::harness::{Guarded, metrics::http, talk::error};

const SCHEMA: &str = "
    CREATE TABLE runs (id int PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT now(), started_at timestamptz, completed_at timestamptz);
    CREATE TABLE steps (id int PRIMARY KEY, run_id int, created_at timestamptz DEFAULT now(), start_us bigint, end_us bigint, took_us bigint);
    INSERT INTO runs (id, created_at, started_at, completed_at) VALUES
        (1, '2026-03-01 10:00:00+00', NULL, NULL),
        (2, '2026-03-01 10:00:00+00', '2026-03-01 10:00:01+00', '2026-03-01 10:00:02+00'),
        (3, '2026-03-01 10:00:00+00', '2026-03-01 10:00:05.018+00', NULL)";

const RULES: &str = "
version: 1
tables:
  - table: runs
    on_violation: reject
    rules:
      - name: runs_order
        order: [created_at, started_at, completed_at]
  - table: steps
    on_violation: reject
    units: {start_us: us, end_us: us}
    rules:
      - name: steps_own_time
        parent: {table: runs, join: {run_id: id}, not_reused: {created_at: created_at}, not_before: {created_at: created_at}}
      - name: steps_duration
        duration: {column: took_us, start: start_us, end: end_us, unit: us}
      - name: steps_fresh
        when: run_id IS NULL AND start_us IS NULL
        near_now: {columns: [created_at], past: 5m, future: 5s}
";

/// Statement, cause, how its evidence begins and how its hint does.
const CASES: [(&str, &str, &str, &str); 11] = [
    (
        "INSERT INTO runs (id, started_at) VALUES (9, clock_timestamp() - interval '38 ms')",
        "default_after_explicit",
        "created_at is not in the column list, its default is now()",
        "created_at was not in the column list and took DEFAULT now(); set it to started_at.",
    ),
    (
        "UPDATE runs SET started_at = '2026-03-01 10:00:02.018+00' WHERE id = 2",
        "overwritten_start",
        "completed_at was set already when the statement set started_at",
        "started_at was set again although completed_at was already there; write it once",
    ),
    // Incident 001 in its other order: nothing tells why the start is later.
    (
        "UPDATE runs SET completed_at = '2026-03-01 10:00:05+00' WHERE id = 3",
        "other",
        "",
        "completed_at must not be before started_at;",
    ),
    (
        "INSERT INTO runs (id, created_at, started_at) VALUES (9, '2026-03-01 10:00:00.004+00', '2026-03-01 10:00:00+00')",
        "clock_skew",
        "started_at is 4 ms before created_at, within 1 s, both new in this statement: two clocks",
        "started_at and created_at come from different clocks;",
    ),
    (
        "INSERT INTO runs VALUES (9, '2026-03-01 10:00:00.003+00', '2026-03-01 08:00:00+00')",
        "timezone_offset",
        "differs by 2 h 3 ms, a whole number of quarter hours within 250 ms",
        "The difference, 2 h, looks like a time zone:",
    ),
    (
        "INSERT INTO steps (id, run_id, created_at) SELECT 9, id, created_at FROM runs WHERE id = 1",
        "parent_copied",
        "created_at equals public.runs.created_at",
        "created_at was copied from the parent row;",
    ),
    (
        "INSERT INTO steps (id, run_id, created_at) VALUES (9, 1, '2026-02-01')",
        "stale_copy",
        "the statement wrote created_at, which is 28 d 10 h before public.runs.created_at",
        "created_at looks like it was copied from an earlier row",
    ),
    (
        "INSERT INTO steps (id, start_us, end_us, took_us) VALUES (9, 1780200000000000, 1780200002500000, 0)",
        "zero_sentinel",
        "took_us is 0",
        "Zero is a time too; store NULL where took_us is not known.",
    ),
    (
        "INSERT INTO steps (id, start_us, end_us, took_us) VALUES (9, 1780200000000000, 1780200002500000, 2500)",
        "unit_mismatch",
        "end_us - start_us is 1,000 times took_us",
        "The value of took_us looks like another unit; microseconds is expected.",
    ),
    (
        "INSERT INTO steps (id, created_at) VALUES (9, clock_timestamp() + interval '20 seconds')",
        "clock_skew",
        "created_at is ",
        "created_at comes from a clock that is ahead of the server's;",
    ),
    (
        "INSERT INTO steps (id, created_at) VALUES (9, now() - interval '400 seconds')",
        "stale_copy",
        "the statement wrote created_at, which was 6 min 40 s old",
        "created_at looks like it was copied from an earlier row or read long ago.",
    ),
];

#[test]
fn every_cause_has_its_evidence_and_its_hint() {
    let guarded = Guarded::with_schema(RULES, SCHEMA);
    let mut talk = guarded.login();
    for (number, (sql, cause, evidence, hint)) in CASES.into_iter().enumerate() {
        let replies = talk.query(sql);
        let told = error(&replies).field('H');
        assert!(told.starts_with(hint), "{sql}: {told}");
        let (_, body) = http(guarded.proxy.admin, "GET", "/api/violations");
        let recent: Value = serde_json::from_str(&body).unwrap();
        let all = recent["violations"].as_array().unwrap();
        assert_eq!(all.len(), number + 1, "{sql}: {body}");
        let newest = &all[0];
        assert_eq!(newest["cause"], cause, "{sql}: {newest}");
        match evidence {
            "" => assert!(newest.get("evidence").is_none(), "{sql}: {newest}"),
            _ => assert!(newest["evidence"].as_str().unwrap().starts_with(evidence), "{sql}: {newest}"),
        }
    }
    let (_, page) = http(guarded.proxy.admin, "GET", "/");
    assert!(page.contains("<small>took_us is 0</small>"), "{page}");
    assert_eq!(guarded.landed("SELECT count(*) FROM runs"), "3");
    assert_eq!(guarded.landed("SELECT count(*) FROM steps"), "0");
}
