//! Every action in every form of statement, by simple query and by the extended protocol: what violates is found, what does not passes, and the client sees
//! nothing else.

use super::{SCHEMA, merge_returns, rules};
use crate::harness::{Guarded, Message, Talk, fe, guarded::assert_refused_by, talk};

/// Rows 1 and 2 have a start, row 3 runs.
const SEED: &str =
    "UPDATE q SET started_at = '2026-01-01 10:00+00' WHERE id < 3; UPDATE q SET status = 'running' WHERE id = 3;
    CREATE VIEW seen AS SELECT id, started_at, note FROM q;";

/// Statement, and the rule that it violates. `WITH` and other places where the rows do not come back are among them.
const FORMS: &[(&str, Option<&str>)] = &[
    ("UPDATE q SET started_at = '2026-01-01 11:00+00' WHERE id = 1", Some("q_once")),
    ("UPDATE q SET started_at = '2026-01-01 11:00+00' WHERE id = 5", None),
    ("UPDATE q SET started_at = '2026-01-01 10:00+00' WHERE id < 5", None),
    ("UPDATE q SET started_at = NULL WHERE id = 5 RETURNING id", None),
    ("UPDATE q SET started_at = NULL WHERE id = 1 RETURNING *", Some("q_once")),
    ("UPDATE q SET started_at = '2026-01-01 11:00+00'", Some("q_once")),
    ("UPDATE q SET started_at = '2026-01-01 11:00+00' RETURNING note, id", Some("q_once")),
    (
        "UPDATE ONLY public.q AS \"Q\" SET (started_at, note) = ('2026-01-01 11:00+00', 'y') WHERE \"Q\".id = 2 OR false -- why",
        Some("q_once"),
    ),
    ("UPDATE q SET n = n - 1 WHERE id = 7", Some("q_grows")),
    ("UPDATE q SET n = n + 1 WHERE id = 7", None),
    ("UPDATE q SET n = NULL WHERE id = 7", None),
    ("UPDATE q SET note = 'z'", None),
    ("UPDATE q SET status = 'running' WHERE id = 7 RETURNING status", None),
    ("UPDATE q SET status = 'queued' WHERE id = 7", None),
    ("UPDATE q SET status = 'done' WHERE id = 7", Some("q_states")),
    ("UPDATE q SET status = 'queued' WHERE id = 3", Some("q_states")),
    ("UPDATE q SET status = NULL WHERE id = 3", None),
    (
        "UPDATE q SET started_at = '2026-01-01 11:00+00' FROM b WHERE b.id = q.id AND b.v = 2 RETURNING b.v",
        Some("q_once"),
    ),
    ("UPDATE q SET started_at = '2026-01-01 11:00+00' FROM b WHERE b.id = q.id AND b.v = 5 RETURNING b.v", None),
    ("UPDATE q SET started_at = '2026-01-01 11:00+00' WHERE id IN (SELECT id FROM b WHERE v < 2)", Some("q_once")),
    (
        "UPDATE q SET started_at = '2026-01-01 11:00+00' WHERE EXISTS (SELECT FROM b WHERE b.id = q.id AND b.v = 5)",
        None,
    ),
    (
        "WITH w AS (UPDATE q SET started_at = '2026-01-01 11:00+00' WHERE id = 1 RETURNING *) SELECT count(*) FROM w",
        Some("q_once"),
    ),
    ("WITH w AS (UPDATE q SET started_at = '2026-01-01 11:00+00' WHERE id = 1) SELECT 1", Some("q_once")),
    (
        "WITH w AS (UPDATE q SET started_at = '2026-01-01 11:00+00' FROM b WHERE b.id = q.id AND b.v = 5 RETURNING q.id) SELECT * FROM w",
        None,
    ),
    (
        "WITH w AS (SELECT 1 AS id) UPDATE q SET started_at = '2026-01-01 11:00+00' FROM w WHERE w.id = q.id",
        Some("q_once"),
    ),
    (
        "EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY off) UPDATE q SET started_at = '2026-01-01 11:00+00' WHERE id = 1",
        Some("q_once"),
    ),
    ("INSERT INTO q (id, status, started_at) VALUES (20, 'queued', now()), (21, NULL, NULL)", None),
    ("INSERT INTO q (id, status) VALUES (20, 'running'), (21, 'done')", Some("q_states")),
    ("INSERT INTO q (id, status) SELECT g, 'done' FROM generate_series(20, 21) g RETURNING id", Some("q_states")),
    ("WITH w AS (INSERT INTO q (id, status) VALUES (20, 'done') RETURNING id) SELECT * FROM w", Some("q_states")),
    ("INSERT INTO q (id, status) VALUES (1, 'done') ON CONFLICT DO NOTHING", None),
    (
        "INSERT INTO q (id, started_at) VALUES (20, '2026-01-01 11:00+00'), (1, '2026-01-01 11:00+00') ON CONFLICT (id) DO UPDATE SET started_at = excluded.started_at",
        Some("q_once"),
    ),
    (
        "INSERT INTO q (id, started_at) VALUES (1, '2026-01-01 10:00+00'), (20, '2026-01-01 11:00+00'), (6, '2026-01-01 11:00+00') \
         ON CONFLICT (id) DO UPDATE SET started_at = excluded.started_at RETURNING id",
        None,
    ),
    (
        "INSERT INTO q AS x (id, started_at) VALUES (1, '2026-01-01 11:00+00'), (20, now()) ON CONFLICT (id) DO UPDATE SET started_at = excluded.started_at WHERE x.n > 1 OR x.n IS NULL",
        None,
    ),
    (
        "INSERT INTO q AS x (id, started_at) VALUES (2, '2026-01-01 11:00+00') ON CONFLICT (id) DO UPDATE SET started_at = excluded.started_at WHERE x.n > 1 OR x.n IS NULL",
        Some("q_once"),
    ),
    (
        "INSERT INTO q (id, status) VALUES (7, 'done') ON CONFLICT (id) DO UPDATE SET status = excluded.status",
        Some("q_states"),
    ),
    ("INSERT INTO q (id, status) VALUES (3, 'done') ON CONFLICT (id) DO UPDATE SET status = excluded.status", None),
    ("INSERT INTO q (id, status) VALUES (3, 'done') ON CONFLICT (id) DO UPDATE SET note = 'y'", None),
    ("INSERT INTO q (id, status) VALUES (20, 'done') ON CONFLICT (id) DO UPDATE SET note = 'y'", Some("q_states")),
    ("UPDATE seen SET started_at = '2026-01-01 11:00+00' WHERE id = 1", Some("q_once")),
    ("UPDATE seen SET started_at = '2026-01-01 11:00+00' WHERE id = 5 RETURNING *", None),
];

const MERGES: &[(&str, Option<&str>)] = &[
    (
        "MERGE INTO q USING b ON q.id = b.id WHEN MATCHED AND b.v = 1 THEN UPDATE SET started_at = '2026-01-01 11:00+00'",
        Some("q_once"),
    ),
    (
        "MERGE INTO q USING b ON q.id = b.id WHEN MATCHED AND b.v > 4 THEN UPDATE SET started_at = CASE WHEN b.v > 5 THEN '2026-01-01 11:00+00'::timestamptz END",
        None,
    ),
    (
        "MERGE INTO q USING (VALUES (1), (30)) s(id) ON q.id = s.id WHEN MATCHED THEN UPDATE SET started_at = '2026-01-01 10:00+00' \
         WHEN NOT MATCHED THEN INSERT (id, started_at, status) VALUES (s.id, '2026-01-01 11:00+00', 'queued')",
        None,
    ),
    (
        "MERGE INTO q USING (VALUES (1), (30)) s(id) ON q.id = s.id WHEN MATCHED THEN UPDATE SET note = 'y' WHEN NOT MATCHED THEN INSERT (id, status) VALUES (s.id, 'done')",
        Some("q_states"),
    ),
    (
        "MERGE INTO q USING (VALUES (1), (5)) s(id) ON q.id = s.id WHEN MATCHED AND q.n = 1 THEN DELETE WHEN MATCHED THEN UPDATE SET n = 6 RETURNING q.id",
        None,
    ),
    (
        "MERGE INTO q USING (VALUES (1), (5)) s(id) ON q.id = s.id WHEN MATCHED THEN UPDATE SET n = 3 RETURNING q.id",
        Some("q_grows"),
    ),
];

fn forms() -> Vec<(&'static str, Option<&'static str>)> {
    let merges = if merge_returns() { MERGES } else { &[] };
    FORMS.iter().chain(merges).copied().collect()
}

/// Runs in a transaction that is rolled back.
fn tried(talk: &mut Talk, sql: &str, extended: bool) -> Vec<Message> {
    talk.run("BEGIN");
    let replies = if extended {
        talk.send(&fe::extended(sql, &[]));
        talk.ready()
    } else {
        talk.query(sql)
    };
    talk.run("ROLLBACK");
    replies
}

/// What a client sees, notices apart.
fn seen(replies: &[Message]) -> Vec<Message> {
    // The plan that EXPLAIN shows is the one of what is sent.
    let explained = replies.iter().any(|m| m.tag == b'C' && m.body.starts_with(b"EXPLAIN"));
    replies.iter().filter(|m| m.tag != b'N' && !(explained && m.tag == b'D')).cloned().collect()
}

fn each_form(action: &str, judge: impl Fn(&Guarded, &[Message], &[Message], Option<&str>, &str)) {
    let guarded = Guarded::with_schema(&rules(action), &format!("{SCHEMA}{SEED}"));
    let (mut talk, mut direct) = (guarded.login(), guarded.direct());
    for (sql, rule) in forms() {
        for extended in [false, true] {
            let plain = tried(&mut direct, sql, extended);
            assert!(plain.iter().all(|m| m.tag != b'E'), "{sql}: {plain:?}");
            let replies = tried(&mut talk, sql, extended);
            judge(&guarded, &plain, &replies, rule, sql);
        }
    }
    let metrics = guarded.proxy.metrics();
    // The view does not show the columns of the other rules.
    let unguardable = metrics.sum("unguardable_total", &[]) - metrics.sum("unguardable_total", &[("reason", "view")]);
    assert!(unguardable < 0.5, "{metrics:#?}");
    assert!(metrics.sum("retries_total", &[]) < 0.5, "{metrics:#?}");
}

/// But for the origin of a column that carries the guard in a `WITH`, see LIMITS.
fn assert_same(plain: &[Message], replies: &[Message], sql: &str) {
    let comparable = |messages: &[Message]| -> Vec<String> {
        let messages = seen(messages);
        let mut parts: Vec<String> = messages.iter().filter(|m| m.tag != b'T').map(ToString::to_string).collect();
        for description in messages.iter().filter(|m| m.tag == b'T') {
            parts.extend(description.columns().iter().map(|column| column.name.clone()));
        }
        parts
    };
    assert_eq!(comparable(plain), comparable(replies), "{sql}");
}

#[test]
fn observed() {
    let seen = std::cell::Cell::new(0.0);
    each_form("observe", |guarded, plain, replies, rule, sql| {
        assert_same(plain, replies, sql);
        assert!(replies.iter().all(|m| m.tag != b'N'), "{sql}: {replies:?}");
        let metrics = guarded.proxy.await_metric("sessions", &[("state", "open")], 1.0);
        let total = metrics.sum("violations_total", &[]);
        assert_eq!(total > seen.get(), rule.is_some(), "{sql}");
        if let Some(rule) = rule {
            assert!(metrics.sum("violations_total", &[("rule", rule), ("action", "observe")]) > 0.5, "{sql}");
        }
        seen.set(total);
    });
}

#[test]
fn warned() {
    each_form("warn", |_, plain, replies, rule, sql| {
        assert_same(plain, replies, sql);
        let warnings: Vec<String> = replies.iter().filter(|m| m.tag == b'N').map(|m| m.field('n')).collect();
        match rule {
            None => assert!(warnings.is_empty(), "{sql}: {replies:?}"),
            Some(rule) => assert!(!warnings.is_empty() && warnings.iter().all(|n| n == rule), "{sql}: {replies:?}"),
        }
    });
}

#[test]
fn rejected() {
    each_form("reject", |_, plain, replies, rule, sql| match rule {
        None => assert_same(plain, replies, sql),
        Some(rule) => assert_refused_by(replies, "public", if sql.contains(" seen ") { "seen" } else { "q" }, rule),
    });
}

/// What a client is told, with the old value and the new one.
#[test]
fn the_words_of_a_refusal() {
    let guarded = Guarded::with_schema(&rules("reject"), &format!("{SCHEMA}{SEED}"));
    let mut talk = guarded.login();
    for (sql, column, detail, hint) in [
        (
            "UPDATE q SET started_at = '2026-01-01 11:00:00.5+00' WHERE id = 1",
            "started_at",
            "started_at (2026-01-01 11:00:00.5+00) was 2026-01-01 10:00:00+00 before; it may be written only once.",
            "started_at was set again although it was already there; write it once, for example SET started_at = COALESCE(q.started_at, ...).",
        ),
        (
            "UPDATE q SET started_at = NULL WHERE id = 1",
            "started_at",
            "started_at (null) was 2026-01-01 10:00:00+00 before; it may be written only once.",
            "started_at was set again although it was already there; write it once, for example SET started_at = COALESCE(q.started_at, ...).",
        ),
        (
            "UPDATE q SET n = -7 WHERE id = 7",
            "n",
            "n (-7) is less than 7, which it was before.",
            "Compute n from the stored value, or SET n = GREATEST(q.n, ...).",
        ),
        (
            "UPDATE q SET status = 'done' WHERE id = 7",
            "status",
            "status was queued and is done; only running may follow queued.",
            "Name the expected state in WHERE, and look at how many rows were updated: another session may have changed status first.",
        ),
        (
            "INSERT INTO q (id, status) VALUES (77, 'done')",
            "status",
            "status (done) is no state for a new row; it begins as queued or running.",
            "Insert the row in the state it begins in, and update status later.",
        ),
    ] {
        let replies = talk.query(sql);
        let error = talk::error(&replies);
        assert_eq!((error.field('c').as_str(), error.field('D').as_str()), (column, detail), "{sql}");
        assert_eq!(error.field('H'), hint, "{sql}");
    }
}

/// The log has both values of a column side by side.
#[test]
fn the_log_names_old_and_new() {
    let guarded = Guarded::with_schema(&rules("observe"), &format!("{SCHEMA}{SEED}"));
    guarded.login().run("UPDATE q SET started_at = '2026-01-01 11:00+00' WHERE id = 1");
    guarded.await_violations("q_once", 1);
    let expected = r#"columns=[{"column":"started_at","old":"2026-01-01 10:00:00+00","new":"2026-01-01 11:00:00+00"}] by_seconds=3600.0"#;
    guarded.proxy.await_log(|log| log.contains(expected));
}

/// COPY begins rows as INSERT does; of rows that are there it knows nothing.
#[test]
fn copy_judges_how_rows_begin() {
    let guarded = Guarded::with_schema(&rules("reject"), &format!("{SCHEMA}{SEED}"));
    let mut talk = guarded.login();
    for (row, refused) in [("40\tqueued\t2026-01-01\n", false), ("41\tdone\t\\N\n", true), ("42\t\\N\t\\N\n", false)] {
        talk.send(&fe::query("COPY q (id, status, started_at) FROM STDIN"));
        talk.until(b"G");
        talk.send(&[fe::copy_data(row), fe::copy_done()].concat());
        let replies = talk.ready();
        if refused {
            assert_refused_by(&replies, "public", "q", "q_states");
        } else {
            assert!(replies.iter().all(|m| m.tag != b'E'), "{row}: {replies:?}");
        }
    }
    assert_eq!(guarded.landed("SELECT string_agg(id::text, ' ' ORDER BY id) FROM q WHERE id >= 40"), "40 42");
}

/// Errors of the client's own point into the client's own text, whatever stands in what is sent.
#[test]
fn positions_are_those_of_the_client() {
    let guarded = Guarded::with_schema(&rules("observe"), &format!("{SCHEMA}{SEED}"));
    let (mut talk, mut direct) = (guarded.login(), guarded.direct());
    for sql in [
        "UPDATE q SET started_at = now() WHERE id = 1 AND nothere = 2",
        "UPDATE q SET started_at = now(), nothere = 2",
        "UPDATE q SET started_at = now() WHERE id = 1 RETURNING nothere",
        "UPDATE q SET started_at = now() FROM b WHERE b.id = q.id AND nothere RETURNING 1",
        "UPDATE q SET started_at = now() WHERE id = 'é'::int OR nothere",
        "INSERT INTO q (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET started_at = now() WHERE nothere",
        "INSERT INTO q (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET started_at = now() WHERE q.n > 1 RETURNING nothere",
        "WITH w AS (UPDATE q SET started_at = now() WHERE id = 1 RETURNING id, nothere) SELECT 1",
        "UPDATE q SET started_at = now() WHERE id = 1 garbage",
    ] {
        for extended in [false, true] {
            assert_eq!(tried(&mut talk, sql, extended), tried(&mut direct, sql, extended), "{sql}");
        }
    }
}

/// Prepared statements keep their parameters' types, run again and again, and in a pipeline.
#[test]
fn prepared_statements() {
    let guarded = Guarded::with_schema(&rules("reject"), &format!("{SCHEMA}{SEED}"));
    let mut talk = guarded.login();
    for sql in [
        "UPDATE q SET started_at = $1 WHERE id = $2",
        "UPDATE q SET started_at = $1 FROM b WHERE b.id = q.id AND b.v = $2",
        "INSERT INTO q (started_at, id) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET started_at = excluded.started_at",
        "WITH w AS (UPDATE q SET started_at = $1 WHERE id = $2 RETURNING id) SELECT * FROM w",
    ] {
        talk.run("BEGIN");
        talk.send(&[fe::parse("s", sql), fe::describe_statement("s"), fe::sync()].concat());
        let described = talk.ready();
        let mut direct = guarded.direct();
        direct.send(&[fe::parse("s", sql), fe::describe_statement("s"), fe::sync()].concat());
        let parameters = |replies: &[Message]| replies.iter().find(|m| m.tag == b't').cloned();
        assert_eq!(parameters(&described), parameters(&direct.ready()), "{sql}");
        let run = |at: &str, id: &str| [fe::bind("", "s", &[at, id]), fe::execute("", 0)].concat();
        let good = [run("2026-01-01 11:00+00", "5"), run("2026-01-01 11:00+00", "5"), run("2026-01-01 12:00+00", "6")];
        let replies = talk.pipeline(&good);
        assert_eq!(replies.iter().filter(|m| m.tag == b'C').count(), 3, "{sql}: {replies:?}");
        let replies = talk.pipeline(&[
            run("2026-01-01 11:00+00", "7"),
            run("2026-01-01 12:00+00", "5"),
            run("2026-01-01 12:00+00", "8"),
        ]);
        assert_refused_by(&replies, "public", "q", "q_once");
        assert_eq!(replies.iter().filter(|m| m.tag == b'C').count(), 1, "{sql}: {replies:?}");
        talk.run("ROLLBACK");
        talk.send(&[fe::close_statement("s"), fe::sync()].concat());
        talk.ready();
    }
}
