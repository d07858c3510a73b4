//! Rows at the edges: ends of the range, old bad rows, triggers.

use super::BAD;
use crate::harness::{
    Guarded, Talk, fe,
    guarded::{REJECT, assert_refused, assert_refused_by, assert_usable},
    talk::{error, rows, tags},
};

/// Every kind of rule that judges the row as written, with tolerances that need arithmetic.
const ARITHMETIC: &str = "\
version: 1
tables:
  - table: public.ex
    on_violation: reject
    rules:
      - name: tolerant
        order: [created_at, started_at]
        tolerance: 5ms
      - name: gapped
        order: [started_at, completed_at]
        min_gap: 1ms
      - name: sane
        plausible: {columns: [completed_at], after: 1990-01-01, before: 2100-01-01}
  - table: public.numbers
    on_violation: reject
    units: {started: us, ended: us}
    rules:
      - name: numbers_order
        order: [started, ended]
        tolerance: 1ms
      - name: numbers_duration
        duration: {column: duration, start: started, end: ended, unit: us, tolerance: 1us}
  - table: public.days
    on_violation: reject
    rules:
      - name: days_order
        order: [a, b]
        tolerance: 24h
";

const TABLES: &str = "CREATE TABLE numbers (id int, started bigint, ended bigint, duration bigint);
    CREATE TABLE days (id int, a date, b date)";

#[test]
fn guards_never_fail_on_their_own() {
    let guarded = Guarded::with_schema(ARITHMETIC, TABLES);
    let mut talk = guarded.login();
    let mut id = 200;
    let ends = [
        "'-infinity'",
        "'4713-01-01 00:00:00+00 BC'",
        "'2026-01-01 00:00:00+00'",
        "'294276-12-31 23:59:59.999999+00'",
        "'infinity'",
        "NULL",
    ];
    for a in ends {
        for b in ends {
            id += 1;
            let replies = talk.query(format!("INSERT INTO ex (id, created_at, started_at) VALUES ({id}, {a}, {b})"));
            let code = replies.iter().find(|m| m.tag == b'E').map(|m| m.field('C'));
            assert!(code.is_none() || code.as_deref() == Some("23514"), "{a} {b}: {replies:?}");
            talk.send(
                &[
                    fe::query("COPY days FROM STDIN WITH (NULL 'NULL', FORMAT csv, QUOTE '''')"),
                    fe::copy_data(format!(
                        "{id},{},{}\n",
                        a.replace(" 00:00:00+00", "").replace(" 23:59:59.999999+00", "").replace("294276", "294275"),
                        b.replace(" 00:00:00+00", "").replace(" 23:59:59.999999+00", "").replace("294276", "294275")
                    )),
                    fe::copy_done(),
                ]
                .concat(),
            );
            let replies = talk.ready();
            let code = replies.iter().find(|m| m.tag == b'E').map(|m| m.field('C'));
            assert!(code.is_none() || code.as_deref() == Some("23514"), "days {a} {b}: {replies:?}");
        }
    }
    let numbers = ["-9223372036854775808", "-1", "0", "1", "9223372036854775807", "NULL"];
    for a in numbers {
        for b in numbers {
            for duration in ["0", "9223372036854775807", "-9223372036854775808"] {
                let replies = talk.query(format!("INSERT INTO numbers VALUES (1, {a}, {b}, {duration})"));
                let code = replies.iter().find(|m| m.tag == b'E').map(|m| m.field('C'));
                assert!(code.is_none() || code.as_deref() == Some("23514"), "{a} {b} {duration}: {replies:?}");
            }
        }
    }
    assert_eq!(guarded.proxy.metrics().sum("breaker_open", &[]), 0.0);
    assert_usable(&mut talk);
}

#[test]
fn the_verdict_at_the_edges() {
    let guarded = Guarded::with_schema(ARITHMETIC, TABLES);
    let mut talk = guarded.login();
    let verdict = |talk: &mut Talk, created: &str, started: &str, completed: &str| {
        let replies = talk.query(format!(
            "INSERT INTO ex (id, created_at, started_at, completed_at) VALUES (101, {created}, {started}, {completed})"
        ));
        talk.run("DELETE FROM ex WHERE id = 101");
        replies.iter().find(|m| m.tag == b'E').map(|m| m.field('n')).unwrap_or_default()
    };
    let t = "'2026-03-01 00:00:00.000+00'";
    assert_eq!(verdict(&mut talk, "'2026-03-01 00:00:00.005+00'", t, "NULL"), "");
    assert_eq!(verdict(&mut talk, "'2026-03-01 00:00:00.005001+00'", t, "NULL"), "tolerant");
    assert_eq!(verdict(&mut talk, "NULL", t, "'2026-03-01 00:00:00.001+00'"), "");
    assert_eq!(verdict(&mut talk, "NULL", t, "'2026-03-01 00:00:00.000999+00'"), "gapped");
    assert_eq!(verdict(&mut talk, "NULL", "NULL", "'epoch'"), "sane");
    assert_eq!(verdict(&mut talk, "NULL", "NULL", "'infinity'"), "sane");
    assert_eq!(verdict(&mut talk, "'infinity'", t, "NULL"), "tolerant");
    assert_eq!(verdict(&mut talk, "NULL", "NULL", "NULL"), "");
}

#[test]
fn rows_that_were_bad_before_stay_editable() {
    let guarded = Guarded::with_schema(REJECT, "UPDATE ex SET completed_at = '2020-01-01' WHERE id = 1");
    let mut talk = guarded.login();
    assert_eq!(talk.run("UPDATE ex SET status = 'archived' WHERE id = 1")[0].command(), "UPDATE 1");
    talk.send(&fe::extended("UPDATE ex SET note = 'x', status = 'y' WHERE id = 1 RETURNING id", &[]));
    assert_eq!(tags(&talk.ready()), "12TDCZ");
    assert_refused(&talk.query("UPDATE ex SET completed_at = '2020-01-02' WHERE id = 1"));
    assert_eq!(tags(&talk.query("UPDATE ex SET completed_at = NULL WHERE id = 1")), "CZ");
    assert_eq!(guarded.proxy.metrics().sum("violations_total", &[]), 1.0);
}

#[test]
fn always_judges_them_too() {
    let rules = REJECT.replace("completed_at]", "completed_at]\n        always: true");
    let guarded = Guarded::with_schema(&rules, "UPDATE ex SET completed_at = '2020-01-01' WHERE id = 1");
    let mut talk = guarded.login();
    assert_refused(&talk.query("UPDATE ex SET status = 'archived' WHERE id = 1"));
    assert_eq!(tags(&talk.query("UPDATE ex SET status = 'archived' WHERE id = 2")), "CZ");
}

#[test]
fn before_triggers() {
    let guarded = Guarded::with_schema(
        REJECT,
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.note = 'drop' THEN RETURN NULL; END IF;
            IF NEW.note = 'repair' THEN NEW.started_at := NEW.created_at; END IF;
            IF NEW.note = 'spoil' THEN NEW.started_at := NEW.created_at - interval '1 hour'; END IF;
            RETURN NEW; END $$;
         CREATE TRIGGER t BEFORE INSERT OR UPDATE ON ex FOR EACH ROW EXECUTE FUNCTION f()",
    );
    let mut talk = guarded.login();
    let insert = |id: u32, started: &str, note: &str| {
        format!("INSERT INTO ex (id, created_at, started_at, note) VALUES ({id}, '2026-03-02', '{started}', '{note}')")
    };
    assert_eq!(talk.run(&insert(110, "2026-03-01", "drop"))[0].command(), "INSERT 0 0");
    assert_eq!(talk.run(&insert(111, "2026-03-01", "repair"))[0].command(), "INSERT 0 1");
    assert_refused(&talk.query(insert(112, "2026-03-03", "spoil")));
    // An UPDATE that sets no column of the rule, while a trigger may: judged.
    assert_refused(&talk.query("UPDATE ex SET note = 'spoil' WHERE id = 1"));
    // COPY: the WHERE runs before the trigger, so the rows go through a stage.
    let copy = |lines: &str| {
        [fe::query("COPY ex (id, created_at, started_at, note) FROM STDIN"), fe::copy_data(lines), fe::copy_done()]
            .concat()
    };
    talk.send(&copy("113\t2026-03-02\t2026-03-01\trepair\n"));
    assert_eq!(tags(&talk.ready()), "GCZ");
    talk.send(&copy("114\t2026-03-02\t2026-03-03\tspoil\n"));
    assert_refused(&talk.ready());
    assert_eq!(guarded.proxy.metrics().sum("unguardable_total", &[]), 0.0);
    assert_eq!(guarded.landed_ids(), "111 113");
}

#[test]
fn upserts() {
    let guarded = Guarded::new(REJECT);
    let mut talk = guarded.login();
    // Not inserted, not updated: not judged.
    assert_eq!(
        talk.run(
            "INSERT INTO ex (id, created_at, started_at) VALUES (1, '2026-03-02', '2026-03-01') ON CONFLICT DO NOTHING"
        )[0]
        .command(),
        "INSERT 0 0"
    );
    // What counts is the row as merged.
    assert_eq!(tags(&talk.query("INSERT INTO ex (id, created_at, started_at) VALUES (1, '2026-03-02', '2026-03-01') ON CONFLICT (id) DO UPDATE SET completed_at = '2026-05-01'")), "CZ");
    assert_refused(
        &talk.query("INSERT INTO ex (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET completed_at = '2020-01-01'"),
    );
    assert_eq!(
        talk.run(
            "INSERT INTO ex (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET completed_at = '2020-01-01' WHERE false"
        )[0]
        .command(),
        "INSERT 0 0"
    );
    assert_refused(&talk.query("INSERT INTO ex AS excluded2 (id, created_at, started_at) VALUES (103, '2026-03-02', '2026-03-01') ON CONFLICT (id) DO UPDATE SET note = 'x'"));
    assert_eq!(guarded.landed_ids(), "");
}

#[test]
fn the_parent_rule() {
    let rules = "version: 1\ntables:\n  - table: public.ex\n    on_violation: reject\n    rules:\n      - name: ex_parent\n        parent: {table: public.jobs, join: {job_id: id}, not_reused: {created_at: created_at}, not_before: {started_at: created_at}}\n";
    let guarded = Guarded::new(rules);
    let mut talk = guarded.login();
    let refused = |replies: &[crate::harness::Message]| assert_refused_by(replies, "public", "ex", "ex_parent");
    // Job 3 was created on 2026-01-01 00:03.
    refused(&talk.query("INSERT INTO ex (id, job_id, created_at) VALUES (101, 3, '2026-01-01 00:03:00+00')"));
    refused(
        &talk.query("INSERT INTO ex (id, job_id, created_at, started_at) VALUES (101, 3, '2026-01-02', '2025-12-31')"),
    );
    refused(&talk.query("INSERT INTO ex AS p (id, job_id, created_at) VALUES (101, 3, '2026-01-01 00:03:00+00')"));
    refused(&talk.query("INSERT INTO ex (id, job_id, created_at) SELECT 101, id, created_at FROM jobs LIMIT 1"));
    refused(&talk.query("WITH jobs AS (SELECT 1) INSERT INTO ex (id, job_id, created_at) SELECT 101, 3, '2026-01-01 00:03:00+00' FROM jobs"));
    assert_eq!(
        tags(
            &talk.query(
                "INSERT INTO ex (id, job_id, created_at, started_at) VALUES (102, 3, '2026-01-02', '2026-01-02')"
            )
        ),
        "CZ"
    );
    assert_eq!(tags(&talk.query("INSERT INTO ex (id, job_id, created_at) VALUES (103, NULL, '2026-01-01 00:03:00+00'), (104, 999, '2026-01-01 00:03:00+00')")), "CZ");
    // Written by the same statement: cannot be seen, and that is said.
    let replies = talk.query("WITH p AS (INSERT INTO jobs VALUES (50, '2026-02-01') RETURNING id, created_at) INSERT INTO ex (id, job_id, created_at) SELECT 105, id, created_at FROM p");
    assert_eq!(tags(&replies), "CZ");
    guarded.await_unguardable("parent_same_statement", 1);
    // COPY can hold no sub-query, the INSERT from its stage can.
    talk.send(
        &[
            fe::query("COPY ex (id, job_id, created_at) FROM STDIN"),
            fe::copy_data("106\t3\t2026-01-01 00:03:00+00\n"),
            fe::copy_done(),
        ]
        .concat(),
    );
    refused(&talk.ready());
    assert_eq!(guarded.landed_ids(), "102 103 104 105");
}

#[test]
fn comments_and_ends_of_texts() {
    let guarded = Guarded::new(REJECT);
    let mut talk = guarded.login();
    for end in [
        "",
        ";",
        " -- comment",
        " -- comment\n",
        "/* c */",
        "; -- c",
        " /* /* */ */ ;; ",
        "\n\t;\n",
        " --\n;",
        "--'",
        " /*'*/",
    ] {
        assert_refused(&talk.query(format!("{BAD}{end}")));
        assert_refused(&talk.query(format!("{BAD} RETURNING id{end}")));
        assert_refused(&talk.query(format!("/* trace=1 */ {BAD}{end}")));
    }
    let metrics = guarded.await_outcome("rejected", 33);
    assert_eq!(metrics.sum("breaker_open", &[]), 0.0);
}

#[test]
fn a_sequence_and_a_returning_of_the_client_are_evaluated_once() {
    let guarded = Guarded::with_schema(&REJECT.replace("reject", "observe"), "CREATE SEQUENCE s");
    let mut talk = guarded.login();
    assert_eq!(
        rows(&talk.run("UPDATE ex SET completed_at = '2020-01-01' WHERE id = 1 RETURNING nextval('s')")),
        [["1"]]
    );
    assert_eq!(rows(&talk.run("WITH w AS (UPDATE ex SET completed_at = '2020-01-01' WHERE id = 1 RETURNING nextval('s') AS n) SELECT n, n FROM w")), [["2", "2"]]);
    talk.run("INSERT INTO ex (id) SELECT 200 + nextval('s')");
    assert_eq!(guarded.landed("SELECT last_value FROM s"), "3");
}

#[test]
fn errors_while_judging_a_raw_check_do_not_break_the_write() {
    // `check:` cannot be made total: division by zero in it must not become the client's problem outside of a transaction.
    let rules = "version: 1\ntables:\n  - table: public.ex\n    on_violation: reject\n    rules:\n      - name: ex_raw\n        check: \"1 / (id - 103) <> 5\"\n";
    let guarded = Guarded::new(rules);
    let mut talk = guarded.login();
    assert_eq!(tags(&talk.query("INSERT INTO ex (id) VALUES (102)")), "CZ");
    let replies = talk.query("INSERT INTO ex (id) VALUES (103)");
    // A run-time error carries no position; where the proxy cannot tell, the client sees the server's error and can go on.
    if tags(&replies) != "CZ" {
        assert_eq!(error(&replies).field('C'), "22012");
    }
    assert_usable(&mut talk);
}
