//! A rejecting rule in every position a write can have: the client gets a proper check violation, nothing of the write lands, the connection goes on.

use crate::harness::{
    Bind, Guarded, Talk, fe,
    guarded::{REJECT, assert_refused, assert_usable, status},
    talk::{error, rows, tags},
};

const BAD: &str = "INSERT INTO ex (id, created_at, started_at) VALUES (101, '2026-03-02', '2026-03-01')";
const GOOD: &str = "INSERT INTO ex (id, created_at, started_at) VALUES (102, '2026-03-01', '2026-03-02')";
const INSERT: &str = "INSERT INTO ex (id, created_at, started_at) VALUES ($1, $2, $3)";

/// 2026-03-01 00:00 UTC in microseconds since the epoch.
const MARCH: i64 = 1_772_323_200_000_000;

fn bind(id: u32, started_at: &str) -> Vec<u8> {
    fe::bind("", "ins", &[&id.to_string(), "2026-03-02", started_at])
}

/// Statements that hold one bad row each, simple and extended; id 101 must not land.
#[test]
fn every_statement_that_writes() {
    let guarded = Guarded::new(REJECT);
    let statements = [
        BAD,
        "INSERT INTO ex (id, created_at, started_at) VALUES (101, '2026-03-02', '2026-03-01') RETURNING id",
        "INSERT INTO ex (id, created_at, started_at) VALUES (101, '2026-03-02', '2026-03-01') RETURNING *",
        "INSERT INTO ex (id, started_at) VALUES (101, '2020-01-01')",
        "INSERT INTO public.ex AS e (id, created_at, started_at) VALUES (101, '2026-03-02', '2026-03-01'); -- comment",
        "INSERT INTO ex (id, created_at, started_at) SELECT 101, '2026-03-02', '2026-03-01' RETURNING id",
        "INSERT INTO ex (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET completed_at = '2020-01-01'",
        "INSERT INTO ex (id, created_at, started_at) VALUES (101, '2026-03-02', '2026-03-01') ON CONFLICT DO NOTHING",
        "UPDATE ex SET completed_at = '2020-01-01' WHERE id = 1",
        "UPDATE ex SET completed_at = '2020-01-01' RETURNING id",
        "UPDATE ONLY public.ex AS x SET started_at = '2020-01-01' WHERE x.id = 1",
        "UPDATE ex SET started_at = j.created_at FROM jobs j WHERE j.id = ex.job_id AND ex.id = 2",
        "WITH w AS (INSERT INTO ex (id, created_at, started_at) VALUES (101, '2026-03-02', '2026-03-01') RETURNING *) SELECT * FROM w",
        "WITH w AS (INSERT INTO ex (id, created_at, started_at) VALUES (101, '2026-03-02', '2026-03-01') RETURNING id) SELECT 1",
        "WITH w AS (INSERT INTO ex (id, created_at, started_at) VALUES (101, '2026-03-02', '2026-03-01')) SELECT 1",
        "WITH w AS (UPDATE ex SET completed_at = '2020-01-01' WHERE id = 1 RETURNING *) SELECT json_agg(w) FROM w",
        "WITH a AS (SELECT 101 AS id) INSERT INTO ex (id, created_at, started_at) SELECT id, '2026-03-02', '2026-03-01' FROM a",
        "EXPLAIN (ANALYZE, COSTS off) INSERT INTO ex (id, created_at, started_at) VALUES (101, '2026-03-02', '2026-03-01')",
        "EXPLAIN ANALYZE UPDATE ex SET completed_at = '2020-01-01' WHERE id = 1",
        "COPY (INSERT INTO ex (id, created_at, started_at) VALUES (101, '2026-03-02', '2026-03-01') RETURNING id) TO STDOUT",
        "CREATE TABLE made AS WITH w AS (UPDATE ex SET completed_at = '2020-01-01' WHERE id = 1 RETURNING *) SELECT * FROM w",
    ];
    let mut talk = guarded.login();
    let before = guarded.landed("SELECT md5(string_agg(ex::text, '' ORDER BY id)) FROM ex");
    for sql in statements {
        assert_refused(&talk.query(sql));
        assert_usable(&mut talk);
        talk.send(&fe::extended(sql, &[]));
        assert_refused(&talk.ready());
        assert_usable(&mut talk);
        let after = guarded.landed("SELECT md5(string_agg(ex::text, '' ORDER BY id)) FROM ex");
        assert_eq!(before, after, "{sql}: something landed");
    }
}

#[test]
fn the_fields_of_a_refusal() {
    let guarded = Guarded::new(REJECT);
    let mut talk = guarded.login();
    let replies = talk.query(BAD);
    assert_eq!(tags(&replies), "EZ");
    assert_refused(&replies);
    let detail = error(&replies).field('D');
    assert!(detail.contains("created_at") && detail.contains("started_at"), "{detail}");
    assert!(detail.contains("2026-03-01") && detail.contains("2026-03-02"), "the values: {detail}");
    guarded.await_outcome("rejected", 1);
    guarded.proxy.await_metric(
        "violations_total",
        &[("rule", "ex_order"), ("table", "public.ex"), ("action", "reject")],
        1.0,
    );
}

#[test]
fn the_hint_of_a_diagnosed_cause() {
    let rules = REJECT.replace("        hint: ask the clock only once\n", "");
    let guarded = Guarded::with_schema(&rules, "ALTER TABLE ex ALTER created_at SET DEFAULT now()");
    let mut talk = guarded.login();
    // `created_at` is left to its default, which comes later than the explicit start.
    let replies = talk.query("INSERT INTO ex (id, started_at) VALUES (101, now() - interval '20 ms')");
    let error = error(&replies);
    assert_eq!((error.field('C'), error.field('n')), ("23514".into(), "ex_order".into()));
    let hint = error.field('H');
    assert!(hint.contains("created_at") && hint.contains("started_at"), "{hint}");
    guarded.proxy.await_metric("violations_total", &[("cause", "default_after_explicit")], 1.0);
}

#[test]
fn good_writes_pass_and_are_counted() {
    let guarded = Guarded::new(REJECT);
    let mut talk = guarded.login();
    assert_eq!(tags(&talk.query(GOOD)), "CZ");
    talk.send(&fe::extended("UPDATE ex SET completed_at = '2026-04-01' WHERE id = 102 RETURNING id", &[]));
    assert_eq!(tags(&talk.ready()), "12TDCZ");
    let metrics = guarded.await_outcome("passed", 2);
    assert_eq!(metrics.sum("violations_total", &[]), 0.0);
    assert_eq!(metrics.sum("unguardable_total", &[]), 0.0);
    assert_eq!(guarded.landed_ids(), "102");
}

#[test]
fn parameters_as_text_and_binary() {
    let guarded = Guarded::new(REJECT);
    let mut talk = guarded.login();
    talk.pipeline(&[fe::parse("ins", INSERT)]);
    let day = 86_400_000_000;
    let binary = |id: i64, created: i64, started: i64| {
        Bind::new("", "ins")
            .binary(id.to_be_bytes())
            .binary(fe::timestamptz_binary(created))
            .binary(fe::timestamptz_binary(started))
    };
    for (bad, bind) in [
        (true, Bind::new("", "ins").text("101").text("2026-03-02").text("2026-03-01")),
        (false, Bind::new("", "ins").text("102").text("2026-03-01").text("2026-03-02")),
        (true, binary(103, MARCH + 1, MARCH)),
        (false, binary(104, MARCH, MARCH)),
        (false, binary(105, MARCH, MARCH + 1)),
        (
            true,
            Bind::new("", "ins").binary(106_i64.to_be_bytes()).text("2026-03-02").binary(fe::timestamptz_binary(MARCH)),
        ),
        (false, Bind::new("", "ins").text("107").null().text("2026-03-01")),
        (true, Bind::new("", "ins").text("108").text("infinity").text("2026-03-01")),
        (true, binary(109, MARCH + day, MARCH).results(&[1])),
        (false, binary(110, MARCH, MARCH + day).results(&[1, 0, 1])),
    ] {
        let replies = talk.pipeline(&[bind.build(), fe::describe_portal(""), fe::execute("", 0)]);
        if bad {
            assert_refused(&replies);
        } else {
            assert_eq!(tags(&replies), "2nCZ");
        }
    }
    assert_usable(&mut talk);
    assert_eq!(guarded.landed_ids(), "102 104 105 107 110");
}

#[test]
fn a_statement_prepared_a_thousand_executions_ago() {
    let guarded = Guarded::new(REJECT);
    let mut talk = guarded.login();
    talk.pipeline(&[fe::parse("ins", INSERT)]);
    for id in 1000..2000 {
        assert_eq!(tags(&talk.pipeline(&[bind(id, "2026-03-03"), fe::execute("", 0)])), "2CZ");
    }
    assert_refused(&talk.pipeline(&[bind(101, "2026-03-01"), fe::execute("", 0)]));
    assert_eq!(tags(&talk.pipeline(&[bind(2000, "2026-03-03"), fe::execute("", 0)])), "2CZ");
    guarded.await_outcome("passed", 1001);
    guarded.await_outcome("rejected", 1);
    assert_eq!(guarded.landed("SELECT count(*) FROM ex WHERE id >= 1000"), "1001");
    assert_eq!(guarded.landed("SELECT count(*) FROM ex WHERE id = 101"), "0");
}

#[test]
fn in_a_transaction() {
    let guarded = Guarded::new(REJECT);
    for extended in [false, true] {
        let mut talk = guarded.login();
        talk.run("BEGIN");
        talk.run(GOOD);
        let replies = if extended {
            talk.send(&fe::extended(BAD, &[]));
            talk.ready()
        } else {
            talk.query(BAD)
        };
        assert_refused(&replies);
        assert_eq!(status(&replies), 'E');
        let replies = talk.query(GOOD);
        assert_eq!(error(&replies).field('C'), "25P02");
        assert_eq!(status(&replies), 'E');
        assert_eq!(talk.query("COMMIT")[0].command(), "ROLLBACK");
        assert_usable(&mut talk);
        assert_eq!(guarded.landed_ids(), "");
    }
}

#[test]
fn under_a_savepoint() {
    let guarded = Guarded::new(REJECT);
    let mut talk = guarded.login();
    talk.run("BEGIN");
    talk.run("INSERT INTO ex (id) VALUES (110)");
    talk.run("SAVEPOINT s");
    talk.run("INSERT INTO ex (id) VALUES (111)");
    assert_refused(&talk.query(BAD));
    assert_eq!(status(&talk.query("ROLLBACK TO s")), 'T');
    talk.run("INSERT INTO ex (id) VALUES (112)");
    talk.send(&fe::extended(BAD, &[]));
    assert_refused(&talk.ready());
    talk.run("ROLLBACK TO SAVEPOINT s");
    talk.run("INSERT INTO ex (id) VALUES (113)");
    talk.run("COMMIT");
    assert_usable(&mut talk);
    assert_eq!(guarded.landed_ids(), "110 113");
}

#[test]
fn in_the_middle_of_a_pipeline() {
    let guarded = Guarded::new(REJECT);
    let mut talk = guarded.login();
    talk.pipeline(&[fe::parse("ins", INSERT)]);
    let step = |id: u32, started: &str| [bind(id, started), fe::execute("", 0)].concat();
    for position in 0..7 {
        let steps: Vec<_> =
            (0..7).map(|n| step(200 + n, if n == position { "2026-03-01" } else { "2026-03-03" })).collect();
        let replies = talk.pipeline(&steps);
        assert_refused(&replies);
        // What came before had its reply; what came after was skipped.
        assert_eq!(replies.iter().filter(|m| m.tag == b'C').count(), position as usize);
        assert_eq!(replies.iter().filter(|m| m.tag == b'2').count(), position as usize + 1);
        assert_eq!(guarded.landed_ids(), "", "the whole pipeline is one transaction");
    }
    // Two parts, each with its own Sync, in one segment.
    talk.send(
        &[
            step(301, "2026-03-03"),
            fe::sync(),
            step(302, "2026-03-01"),
            step(303, "2026-03-03"),
            fe::sync(),
            step(304, "2026-03-03"),
            fe::sync(),
        ]
        .concat(),
    );
    assert_eq!(tags(&talk.ready()), "2CZ");
    assert_refused(&talk.ready());
    assert_eq!(tags(&talk.ready()), "2CZ");
    assert_usable(&mut talk);
    assert_eq!(guarded.landed_ids(), "301 304");
    guarded.await_outcome("rejected", 8);
}

#[test]
fn in_a_string_of_several_statements() {
    let guarded = Guarded::new(REJECT);
    let mut talk = guarded.login();
    let replies = talk.query(format!("{GOOD}; {BAD}; SELECT 1"));
    assert_eq!(tags(&replies), "CEZ");
    assert_refused(&replies);
    assert_eq!(guarded.landed_ids(), "");
    let replies = talk.query(format!("BEGIN; {GOOD}; COMMIT; {BAD}"));
    assert_eq!(tags(&replies), "C*EZ");
    assert_refused(&replies);
    assert_eq!(guarded.landed_ids(), "102");
    assert_usable(&mut talk);
}

#[test]
fn row_500_of_a_thousand_values() {
    let guarded = Guarded::new(REJECT);
    let mut talk = guarded.login();
    let row = |id: u32| format!("({id}, '2026-03-02', '{}')", if id == 1500 { "2026-03-01" } else { "2026-03-03" });
    let values: Vec<_> = (1001..=2000).map(row).collect();
    for tail in ["", " RETURNING id"] {
        let sql = format!("INSERT INTO ex (id, created_at, started_at) VALUES {}{tail}", values.join(", "));
        let replies = talk.query(&sql);
        assert_eq!(tags(&replies), "EZ", "no row comes before the guard has judged all");
        assert_refused(&replies);
        talk.send(&fe::extended(&sql, &[]));
        assert_refused(&talk.ready());
    }
    assert_usable(&mut talk);
    assert_eq!(guarded.landed_ids(), "");
}

#[test]
fn line_500_of_a_copy() {
    let guarded = Guarded::new(REJECT);
    let mut talk = guarded.login();
    let line = |id: u32| format!("{id}\t2026-03-02\t{}\n", if id == 1500 { "2026-03-01" } else { "2026-03-03" });
    let data: String = (1001..=2000).map(line).collect();
    let copy = "COPY ex (id, created_at, started_at) FROM STDIN";
    talk.send(&[fe::query(copy), fe::copy_data(&data), fe::copy_done()].concat());
    let replies = talk.ready();
    assert_eq!(tags(&replies), "GEZ");
    assert_refused(&replies);
    assert!(error(&replies).field('W').contains("line 500"), "{}", error(&replies));
    talk.send(
        &[
            fe::parse("", copy),
            fe::bind("", "", &[]),
            fe::execute("", 0),
            fe::copy_data(&data),
            fe::copy_done(),
            fe::sync(),
        ]
        .concat(),
    );
    let replies = talk.ready();
    assert_eq!(tags(&replies), "12GEZ");
    assert_refused(&replies);
    assert_usable(&mut talk);
    assert_eq!(guarded.landed_ids(), "");
    // The client's own WHERE comes first: a row that it filters out is not judged.
    talk.send(&[fe::query(format!("{copy} WHERE id <> 1500")), fe::copy_data(&data), fe::copy_done()].concat());
    let replies = talk.ready();
    assert_eq!(tags(&replies), "GCZ");
    assert_eq!(replies[1].command(), "COPY 999");
    // In a transaction.
    talk.run("BEGIN");
    talk.send(&[fe::query(copy), fe::copy_data("1500\t2026-03-02\t2026-03-01\n"), fe::copy_done()].concat());
    let replies = talk.ready();
    assert_refused(&replies);
    assert_eq!(status(&replies), 'E');
    talk.run("ROLLBACK");
    guarded.await_outcome("rejected", 3);
}

#[test]
fn sql_level_prepare_and_execute() {
    let guarded = Guarded::new(REJECT);
    let mut talk = guarded.login();
    talk.run("PREPARE p (bigint, timestamptz) AS INSERT INTO ex (id, created_at, started_at) VALUES ($1, '2026-03-02', $2) RETURNING id");
    assert_eq!(rows(&talk.run("EXECUTE p (201, '2026-03-03')")), [["201"]]);
    assert_refused(&talk.query("EXECUTE p (101, '2026-03-01')"));
    assert_usable(&mut talk);
    talk.run(
        "PREPARE n (bigint, timestamptz) AS INSERT INTO ex (id, created_at, started_at) VALUES ($1, '2026-03-02', $2)",
    );
    assert_eq!(tags(&talk.query("EXECUTE n (202, '2026-03-03')")), "CZ");
    assert_refused(&talk.query("EXECUTE n (101, '2026-03-01')"));
    talk.send(&fe::extended("EXECUTE n (101, '2026-03-01')", &[]));
    assert_refused(&talk.ready());
    assert_refused(&talk.pipeline(&[fe::bind("", "n", &["101", "2026-03-01"]), fe::execute("", 0)]));
    assert_refused(&talk.query("EXPLAIN ANALYZE EXECUTE n (101, '2026-03-01')"));
    assert_usable(&mut talk);
    assert_eq!(guarded.landed_ids(), "201 202");
}

#[test]
fn with_a_row_limit() {
    let guarded = Guarded::new(REJECT);
    let mut talk = guarded.login();
    for limit in [1, 2, 1000] {
        talk.send(
            &[fe::parse("", BAD), fe::bind("", "", &[]), fe::describe_portal(""), fe::execute("", limit), fe::sync()]
                .concat(),
        );
        assert_refused(&talk.ready());
        let replies = talk.pipeline(&[
            fe::parse("", "INSERT INTO ex (id) VALUES ($1)"),
            fe::bind("", "", &[&(300 + limit).to_string()]),
            fe::execute("", limit),
        ]);
        assert_eq!(tags(&replies), "12CZ");
    }
    assert_eq!(guarded.landed_ids(), "301 302 1300");
}

#[test]
fn the_servers_own_errors_come_first_and_stay_as_they_are() {
    let guarded = Guarded::with_schema(
        REJECT,
        "ALTER TABLE ex ADD CONSTRAINT ex_order_check CHECK (started_at >= created_at) NOT VALID",
    );
    let mut talk = guarded.login();
    let replies = talk.query(BAD);
    assert_eq!((error(&replies).field('C'), error(&replies).field('n')), ("23514".into(), "ex_order_check".into()));
    let replies = talk.query("INSERT INTO ex (id, created_at, completed_at) VALUES (1, '2026-03-02', '2026-03-01')");
    assert_eq!(error(&replies).field('C'), "23505");
    // The client's own 22P02 is not ours.
    let replies = talk.query("INSERT INTO ex (id, note) VALUES (101, ('x' || random())::int::text)");
    assert_eq!(error(&replies).field('C'), "22P02");
    let metrics = guarded.proxy.metrics();
    assert_eq!(metrics.sum("violations_total", &[]), 0.0);
    assert_usable(&mut talk);
}

#[test]
fn a_forged_verdict_is_not_believed() {
    let guarded = Guarded::new(REJECT);
    let mut talk = guarded.login();
    // Texts that look like a verdict: the error stays what the server said, and nothing is counted.
    for sql in [
        "SELECT 'chronoguard|0|1|2;'::int",
        "INSERT INTO ex (id, note) VALUES (101, ('CG0123456789abcdef|0|1|2;' || random())::int::text)",
        "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '22P02', MESSAGE = 'invalid input syntax for type integer: \"CG0123456789abcdef|0|1|2;\"'; END $$",
    ] {
        let replies = talk.query(sql);
        assert_eq!(error(&replies).field('C'), "22P02", "{sql}");
    }
    assert_eq!(guarded.proxy.metrics().sum("violations_total", &[]), 0.0);
    // The mark is not secret; a session that reads it can only fake violations of rules of its own statement.
    talk.run("INSERT INTO ex (id, note) VALUES (102, current_query())");
    assert_usable(&mut talk);
}

#[test]
fn warn_sends_a_notice_and_lets_the_row_in() {
    let guarded = Guarded::new(&REJECT.replace("reject", "warn"));
    let mut talk = guarded.login();
    let check = |replies: &[crate::harness::Message], expected: &str| {
        assert_eq!(tags(replies), expected);
        let notice = replies.iter().find(|m| m.tag == b'N').expect("a notice").fields();
        let field = |code: char| notice.get(&code).map_or("", String::as_str);
        assert_eq!((field('S'), field('V'), field('C')), ("WARNING", "WARNING", "01000"), "{notice:?}");
        assert_eq!((field('s'), field('t'), field('n')), ("public", "ex", "ex_order"), "{notice:?}");
        assert!(!field('D').is_empty() && !field('H').is_empty(), "{notice:?}");
    };
    check(&talk.query(BAD), "NCZ");
    check(&talk.query("UPDATE ex SET completed_at = '2020-01-01' WHERE id = 101 RETURNING id"), "TDNCZ");
    talk.send(&fe::extended("UPDATE ex SET completed_at = '2020-01-02' WHERE id = 101", &[]));
    check(&talk.ready(), "12nNCZ");
    check(
        &talk
            .query("WITH w AS (UPDATE ex SET completed_at = '2020-01-03' WHERE id = 101 RETURNING id) SELECT * FROM w"),
        "TDNCZ",
    );
    talk.send(
        &[
            fe::query("COPY ex (id, created_at, started_at) FROM STDIN"),
            fe::copy_data("103\t2026-03-02\t2026-03-01\n"),
            fe::copy_done(),
        ]
        .concat(),
    );
    check(&talk.ready(), "GNCZ");
    assert_eq!(tags(&talk.query(GOOD)), "CZ");
    guarded.await_outcome("warned", 5);
    guarded.proxy.await_metric("violations_total", &[("rule", "ex_order"), ("action", "warn")], 5.0);
    assert_eq!(guarded.landed_ids(), "101 102 103");
}

#[test]
fn observe_counts_and_says_nothing() {
    let guarded = Guarded::new(&REJECT.replace("reject", "observe"));
    let mut talk = guarded.login();
    assert_eq!(tags(&talk.query(BAD)), "CZ");
    assert_eq!(tags(&talk.query("UPDATE ex SET completed_at = '2020-01-01' WHERE id = 101 RETURNING id")), "TDCZ");
    assert_eq!(
        tags(&talk.query(
            "WITH w AS (UPDATE ex SET completed_at = '2020-01-03' WHERE id = 101 RETURNING id) SELECT * FROM w"
        )),
        "TDCZ"
    );
    talk.run("PREPARE p AS UPDATE ex SET completed_at = '2020-01-04' WHERE id = 101");
    assert_eq!(tags(&talk.query("EXECUTE p")), "CZ");
    talk.send(
        &[
            fe::query("COPY ex (id, created_at, started_at) FROM STDIN"),
            fe::copy_data("103\t2026-03-02\t2026-03-01\n104\t2026-03-02\t2026-03-01\n"),
            fe::copy_done(),
        ]
        .concat(),
    );
    assert_eq!(tags(&talk.ready()), "GCZ");
    guarded.await_outcome("observed", 5);
    guarded.await_violations("ex_order", 6);
    assert_eq!(guarded.landed_ids(), "101 103 104");
}

#[test]
fn racing_sessions_share_nothing() {
    let guarded = Guarded::new(REJECT);
    std::thread::scope(|scope| {
        for worker in 0..8_u32 {
            let guarded = &guarded;
            scope.spawn(move || {
                let mut talk: Talk = guarded.login();
                talk.pipeline(&[fe::parse("ins", INSERT)]);
                for n in 0..100 {
                    let id = 1000 + worker * 1000 + n;
                    let bad = n % 5 == 0;
                    let replies =
                        talk.pipeline(&[bind(id, if bad { "2026-03-01" } else { "2026-03-03" }), fe::execute("", 0)]);
                    if bad {
                        assert_refused(&replies);
                    } else {
                        assert_eq!(tags(&replies), "2CZ");
                    }
                }
            });
        }
    });
    assert_eq!(guarded.landed("SELECT count(*) FROM ex WHERE id >= 1000"), "640");
    guarded.await_outcome("rejected", 160);
    guarded.await_outcome("passed", 640);
}
