//! The schedules by which every way to an old row was tried, each played three times: past chronoguard; with rules that observe, which must look the same
//! to every session and find every violation; and with rules that reject, which must let none land and refuse nothing else.

use super::{SCHEMA, rules, steps::Steps};
use crate::harness::{Proxy, cluster};

struct Schedule {
    name: &'static str,
    /// More SQL before it.
    setup: &'static str,
    lines: &'static [&'static str],
    /// Steps that violate a rule, by their number, as they are refused.
    violations: &'static [(usize, &'static str)],
}

const ONCE: &str = "23514 q_once";

/// Rows that hold what no rule allows, as the setups leave them: none.
const SCHEDULES: &[Schedule] = &[
    Schedule {
        name: "the other session commits a start while this one waits",
        setup: "",
        lines: &[
            "a BEGIN",
            "a UPDATE q SET started_at = '2026-01-01 10:00+00' WHERE id = 1",
            "b! UPDATE q SET started_at = '2026-01-01 11:00+00' WHERE id = 1",
            "a COMMIT",
            "b.",
        ],
        violations: &[(4, ONCE)],
    },
    Schedule {
        name: "the other session rolls back",
        setup: "",
        lines: &[
            "a BEGIN",
            "a UPDATE q SET started_at = '2026-01-01 10:00+00' WHERE id = 1",
            "b! UPDATE q SET started_at = '2026-01-01 11:00+00' WHERE id = 1",
            "a ROLLBACK",
            "b.",
        ],
        violations: &[],
    },
    Schedule {
        name: "the row no longer matches",
        setup: "",
        lines: &[
            "a BEGIN",
            "a UPDATE q SET status = 'running' WHERE id = 1",
            "b! UPDATE q SET started_at = '2026-01-01 11:00+00' WHERE id = 1 AND status = 'queued'",
            "a COMMIT",
            "b.",
        ],
        violations: &[],
    },
    Schedule {
        name: "the row is deleted",
        setup: "",
        lines: &[
            "a BEGIN",
            "a DELETE FROM q WHERE id = 1",
            "b! UPDATE q SET started_at = '2026-01-01 11:00+00' WHERE id = 1",
            "a COMMIT",
            "b.",
        ],
        violations: &[],
    },
    Schedule {
        name: "the other session moves the key",
        setup: "UPDATE q SET started_at = '2026-01-01 10:00+00' WHERE id = 1",
        lines: &[
            "a BEGIN",
            "a UPDATE q SET id = 1001 WHERE id = 1",
            "b! UPDATE q SET started_at = '2026-01-01 11:00+00' WHERE key2 = 'k1'",
            "a COMMIT",
            "b.",
        ],
        violations: &[(4, ONCE)],
    },
    Schedule {
        name: "the update moves its own key",
        setup: "UPDATE q SET started_at = '2026-01-01 10:00+00' WHERE id = 1",
        lines: &[
            "a UPDATE q SET id = id + 1000, started_at = '2026-01-01 10:00+00' WHERE id = 1",
            "a UPDATE q SET id = id + 1000, started_at = '2026-01-01 11:00+00' WHERE id > 1000",
            "a UPDATE q SET id = id + 1000, started_at = '2026-01-01 12:00+00' WHERE id = 2 RETURNING id",
        ],
        violations: &[(1, ONCE)],
    },
    Schedule {
        name: "an unrelated row is locked",
        setup: "",
        lines: &[
            "a BEGIN",
            "a SELECT id FROM q WHERE id = 2 FOR UPDATE",
            "b! UPDATE q SET started_at = '2026-01-01 11:00+00' WHERE key2 = 'k1'",
            "b! UPDATE q SET started_at = '2026-01-01 11:00+00' FROM b WHERE b.id = q.id AND b.v = 3",
            "a COMMIT",
        ],
        violations: &[],
    },
    Schedule {
        name: "two sessions cross without a deadlock",
        setup: "",
        lines: &[
            "a BEGIN",
            "b BEGIN",
            "a UPDATE q SET n = n + 1 WHERE key2 = 'k1'",
            "b UPDATE q SET n = n + 1 WHERE key2 = 'k2'",
            "a UPDATE q SET n = n + 1 WHERE key2 = 'k3'",
            "b UPDATE q SET n = n + 1 WHERE key2 = 'k4'",
            "a COMMIT",
            "b COMMIT",
        ],
        violations: &[],
    },
    Schedule {
        name: "REPEATABLE READ, an unrelated row changes",
        setup: "",
        lines: &[
            "b BEGIN ISOLATION LEVEL REPEATABLE READ",
            "b SELECT count(*) FROM q",
            "a UPDATE q SET n = n + 1 WHERE id = 2",
            "b UPDATE q SET started_at = '2026-01-01 11:00+00' WHERE key2 = 'k1'",
            "b COMMIT",
        ],
        violations: &[],
    },
    Schedule {
        name: "REPEATABLE READ, the same row changes",
        setup: "",
        lines: &[
            "b BEGIN ISOLATION LEVEL REPEATABLE READ",
            "b SELECT count(*) FROM q",
            "a BEGIN",
            "a UPDATE q SET started_at = '2026-01-01 10:00+00' WHERE id = 1",
            "b! UPDATE q SET started_at = '2026-01-01 11:00+00' WHERE id = 1",
            "a COMMIT",
            "b.",
            "b ROLLBACK",
        ],
        violations: &[],
    },
    Schedule {
        name: "SERIALIZABLE, two rows that do not meet",
        setup: "",
        lines: &[
            "a BEGIN ISOLATION LEVEL SERIALIZABLE",
            "b BEGIN ISOLATION LEVEL SERIALIZABLE",
            "a UPDATE q SET started_at = '2026-01-01 10:00+00' WHERE id = 1",
            "b UPDATE q SET started_at = '2026-01-01 11:00+00' WHERE id = 2",
            "a COMMIT",
            "b COMMIT",
        ],
        violations: &[],
    },
    Schedule {
        name: "a BEFORE UPDATE trigger and a race",
        setup: "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.note = NEW.note || ''+''; RETURN NEW; END';
            CREATE TRIGGER touch BEFORE UPDATE ON q FOR EACH ROW EXECUTE FUNCTION touch()",
        lines: &[
            "a BEGIN",
            "a UPDATE q SET started_at = '2026-01-01 10:00+00' WHERE id = 1",
            "b! UPDATE q SET started_at = '2026-01-01 11:00+00' WHERE id = 1",
            "c! UPDATE q SET n = n + 1 WHERE id = 1",
            "a COMMIT",
            "b.",
            "c.",
        ],
        violations: &[(5, ONCE)],
    },
    Schedule {
        name: "UPDATE … FROM and a race",
        setup: "",
        lines: &[
            "a BEGIN",
            "a UPDATE q SET started_at = '2026-01-01 10:00+00' WHERE id = 1",
            "b! UPDATE q SET started_at = '2026-01-01 11:00+00' FROM b WHERE b.id = q.id AND b.v = 1",
            "a COMMIT",
            "b.",
        ],
        violations: &[(4, ONCE)],
    },
    Schedule {
        name: "UPDATE … FROM with the target hashed",
        setup: "UPDATE q SET started_at = '2026-01-01 10:00+00' WHERE id = 4; TRUNCATE b; INSERT INTO b SELECT g % 4 + 1, g FROM generate_series(1, 4) g",
        lines: &[
            "a SET enable_nestloop = off; SET enable_mergejoin = off",
            "a UPDATE q SET started_at = '2026-01-01 10:00+00' FROM b WHERE b.id = q.id AND q.id < 4",
            "a UPDATE q SET started_at = '2026-01-01 10:00+00' FROM b WHERE b.id = q.id",
            "a UPDATE q SET started_at = started_at + v * interval '1 h' FROM b WHERE b.id = q.id",
        ],
        violations: &[(3, ONCE)],
    },
    Schedule {
        name: "the job queue's SKIP LOCKED",
        setup: "",
        lines: &[
            "a BEGIN",
            "a UPDATE q SET status = 'running', started_at = now() WHERE id IN (SELECT id FROM q WHERE status = 'queued' ORDER BY id FOR UPDATE SKIP LOCKED LIMIT 2) RETURNING id",
            "b! UPDATE q SET status = 'running', started_at = now() WHERE id IN (SELECT id FROM q WHERE status = 'queued' ORDER BY id FOR UPDATE SKIP LOCKED LIMIT 2) RETURNING id",
            "c! UPDATE q SET status = 'running', started_at = now() WHERE id = (SELECT id FROM q WHERE status = 'queued' ORDER BY id FOR UPDATE SKIP LOCKED LIMIT 1) RETURNING id",
            "a COMMIT",
        ],
        violations: &[],
    },
    Schedule {
        name: "an upsert waits for the row it meets",
        setup: "",
        lines: &[
            "a BEGIN",
            "a INSERT INTO q (id, status, started_at) VALUES (11, 'queued', '2026-01-01 10:00+00')",
            "b! INSERT INTO q (id, status, started_at) VALUES (11, 'queued', '2026-01-01 11:00+00') ON CONFLICT (id) DO UPDATE SET started_at = excluded.started_at",
            "a COMMIT",
            "b.",
        ],
        violations: &[(4, ONCE)],
    },
    Schedule {
        name: "an upsert waits for a row that changes",
        setup: "",
        lines: &[
            "a BEGIN",
            "a UPDATE q SET started_at = '2026-01-01 10:00+00' WHERE id = 1",
            "b! INSERT INTO q (id, status, started_at) VALUES (12, 'queued', '2026-01-01 11:00+00'), (1, 'queued', '2026-01-01 11:00+00') ON CONFLICT (id) DO UPDATE SET started_at = excluded.started_at WHERE q.n > 0",
            "a COMMIT",
            "b.",
        ],
        violations: &[(4, ONCE)],
    },
    Schedule {
        name: "an upsert inserts after it updated",
        setup: "UPDATE q SET started_at = '2026-01-01 10:00+00' WHERE id = 1",
        lines: &[
            "a INSERT INTO q (id, status, started_at) VALUES (1, 'queued', '2026-01-01 10:00+00'), (13, 'queued', '2026-01-01 11:00+00'), (14, 'done', NULL) ON CONFLICT (id) DO UPDATE SET started_at = excluded.started_at, status = excluded.status RETURNING id",
            "a INSERT INTO q (id, status, started_at) VALUES (1, 'queued', '2026-01-01 10:00+00'), (13, 'queued', '2026-01-01 11:00+00') ON CONFLICT (id) DO UPDATE SET started_at = excluded.started_at, status = excluded.status RETURNING id",
        ],
        violations: &[(0, "23514 q_states")],
    },
    Schedule {
        name: "WHERE CURRENT OF",
        setup: "UPDATE q SET started_at = '2026-01-01 10:00+00' WHERE id = 2",
        lines: &[
            "a BEGIN",
            "a DECLARE c CURSOR FOR SELECT * FROM q ORDER BY id FOR UPDATE",
            "a MOVE 1 FROM c",
            "a UPDATE q SET started_at = '2026-01-01 11:00+00' WHERE CURRENT OF c",
            "a MOVE 1 FROM c",
            "a SAVEPOINT s",
            "a UPDATE q SET started_at = '2026-01-01 11:00+00' WHERE CURRENT OF c",
            "a ROLLBACK TO s",
            "a COMMIT",
        ],
        violations: &[(6, ONCE)],
    },
    Schedule {
        name: "two CTEs, one reads the other",
        setup: "UPDATE q SET started_at = '2026-01-01 10:00+00' WHERE id < 3",
        lines: &[
            "a WITH x AS (UPDATE q SET started_at = '2026-01-01 10:00+00' WHERE id < 3 RETURNING id), y AS (UPDATE q SET started_at = '2026-01-01 11:00+00' FROM x WHERE q.id = x.id + 2 RETURNING q.id) SELECT count(*) FROM x, y",
            "a WITH x AS (UPDATE q SET n = n + 1 WHERE id < 3 RETURNING id), y AS (UPDATE q SET started_at = '2026-01-01 12:00+00' FROM x WHERE q.id = x.id + 2 RETURNING q.id) SELECT count(*) FROM x, y",
            "a WITH x AS (UPDATE q SET started_at = NULL WHERE id = 1) UPDATE q SET n = n + 1 WHERE id = 5",
        ],
        violations: &[(1, ONCE), (2, ONCE)],
    },
    Schedule {
        name: "a number and a state, three sessions in a queue",
        setup: "",
        lines: &[
            "a BEGIN",
            "a UPDATE q SET n = 100, status = 'running' WHERE id = 1",
            "b! UPDATE q SET n = 50 WHERE id = 1",
            "c! UPDATE q SET status = 'done' WHERE id = 1",
            "a COMMIT",
            "b.",
            "c.",
            "a UPDATE q SET status = 'running' WHERE id = 1",
        ],
        violations: &[(5, "23514 q_grows"), (7, "23514 q_states")],
    },
    Schedule {
        name: "a row moves to another partition while another session waits",
        setup: "DROP TABLE q; CREATE TABLE q (id int, key2 text, status text, started_at timestamptz, n int, note text, PRIMARY KEY (id, n)) PARTITION BY RANGE (n);
            CREATE TABLE q1 PARTITION OF q FOR VALUES FROM (0) TO (100); CREATE TABLE q2 (note text, id int NOT NULL, started_at timestamptz, n int NOT NULL, status text, key2 text);
            ALTER TABLE q ATTACH PARTITION q2 FOR VALUES FROM (100) TO (200);
            INSERT INTO q SELECT g, 'k' || g, 'queued', NULL, g, 'x' FROM generate_series(1, 10) g; UPDATE q SET started_at = '2026-01-01 10:00+00' WHERE id = 2",
        lines: &[
            "a UPDATE q SET n = n + 100, started_at = '2026-01-01 10:00+00' WHERE id = 1",
            "a UPDATE q SET n = n + 100, started_at = '2026-01-01 11:00+00' WHERE id = 2",
            "a BEGIN",
            "a UPDATE q SET started_at = '2026-01-01 10:00+00' WHERE id = 3",
            "b! UPDATE q SET n = n + 100, started_at = '2026-01-01 11:00+00' WHERE id = 3",
            "a COMMIT",
            "b.",
            "b UPDATE q2 SET started_at = '2026-01-01 12:00+00' WHERE id = 1",
            "b INSERT INTO q (id, n, status, started_at) VALUES (4, 4, 'queued', '2026-01-01 10:00+00'), (99, 199, 'done', now()) ON CONFLICT (id, n) DO UPDATE SET started_at = excluded.started_at",
        ],
        violations: &[(1, ONCE), (6, ONCE), (7, ONCE), (8, "23514 q_states")],
    },
    Schedule {
        name: "a child table with the parent's keys",
        setup: "CREATE TABLE q_child () INHERITS (q); INSERT INTO q_child SELECT g, 'c' || g, 'running', '2026-01-01 10:00+00', g, 'x' FROM generate_series(1, 10) g",
        lines: &[
            "a UPDATE ONLY q SET started_at = '2026-01-01 11:00+00' WHERE id = 1",
            "a UPDATE q SET started_at = '2026-01-01 11:00+00' WHERE id = 2",
            "a UPDATE q SET n = n + 1, started_at = started_at",
        ],
        violations: &[(1, ONCE)],
    },
];

const LANDED: &str = "SELECT coalesce(string_agg(concat_ws(' ', tableoid::regclass, id, key2, status, to_char(started_at AT TIME ZONE 'UTC', 'HH24'), n), E'\\n' ORDER BY id, key2), '') \
    FROM q WHERE started_at IS NULL OR started_at < '2026-01-02'";

/// What the sessions saw, and what landed.
fn play(schedule: &Schedule, proxy: Option<&Proxy>, skip: &[usize]) -> (Vec<String>, String) {
    let database = cluster().database();
    let mut direct = cluster().direct(&database);
    direct.run(SCHEMA);
    if !schedule.setup.is_empty() {
        direct.run(schedule.setup);
    }
    let mut steps = Steps::new(proxy.map_or(cluster().addr, |proxy| proxy.addr), &database);
    let lines: Vec<&str> =
        schedule.lines.iter().enumerate().filter(|(n, _)| !skip.contains(n)).map(|(_, line)| *line).collect();
    steps.play(&lines);
    (steps.log, direct.value(LANDED))
}

#[test]
fn nobody_waits_longer_and_nothing_gets_lost() {
    let proxy = Proxy::start(&rules("observe"));
    let mut found = 0;
    for schedule in SCHEDULES {
        let (direct, observed) = (play(schedule, None, &[]), play(schedule, Some(&proxy), &[]));
        assert_eq!(observed, direct, "{}", schedule.name);
        // `unjudged` in a schedule would be a way around a rule.
        let metrics = proxy.metrics();
        assert!(metrics.sum("unguardable_total", &[]) < 0.5, "{}: {metrics:#?}", schedule.name);
        // A step may have several bad rows.
        let violations = metrics.sum("violations_total", &[]);
        if schedule.violations.is_empty() {
            assert!((violations - f64::from(found)).abs() < 0.5, "{}: {violations}", schedule.name);
        } else {
            assert!(violations > f64::from(found), "{}: {violations}", schedule.name);
        }
        #[expect(clippy::cast_possible_truncation, reason = "a small count")]
        let now = violations.round() as u32;
        found = now;
    }
}

#[test]
fn no_violation_lands_and_nothing_else_is_refused() {
    let proxy = Proxy::start(&rules("reject"));
    for schedule in SCHEDULES {
        let (log, landed) = play(schedule, Some(&proxy), &[]);
        let refused: Vec<&str> = log
            .iter()
            .filter_map(|line| line.split_once(": "))
            .map(|(_, end)| end)
            .filter(|e| e.starts_with("23514"))
            .collect();
        let expected: Vec<&str> = schedule.violations.iter().map(|(_, rule)| *rule).collect();
        assert_eq!(refused, expected, "{}: {log:?}", schedule.name);
        // Without these steps the same lands, but where a session waited for one of them.
        let skipped: Vec<usize> = schedule.violations.iter().map(|(step, _)| *step).collect();
        let waited = schedule.lines.iter().any(|line| line.contains("! "));
        if !waited {
            assert_eq!(landed, play(schedule, None, &skipped).1, "{}", schedule.name);
        }
    }
}
