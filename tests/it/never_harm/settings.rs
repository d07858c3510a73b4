//! Settings of the session that could break a guard or be broken by one.

use super::{BAD, GOOD};
use crate::harness::{
    Guarded, Talk, fe,
    guarded::{REJECT, assert_refused, assert_usable},
    talk::{error, tags},
};

fn observe() -> String {
    REJECT.replace("reject", "observe")
}

fn copy(talk: &mut Talk, data: &str) -> Vec<crate::harness::Message> {
    talk.send(
        &[fe::query("COPY ex (id, created_at, started_at) FROM STDIN"), fe::copy_data(data), fe::copy_done()].concat(),
    );
    talk.ready()
}

#[test]
fn silenced_notices() {
    let guarded = Guarded::new(&observe());
    let mut talk = guarded.login();
    talk.run("SET client_min_messages = error");
    // The column does not need notices, and in COPY the rows go through a stage.
    assert_eq!(tags(&copy(&mut talk, "103\t2026-03-02\t2026-03-01\n")), "GCZ");
    assert_eq!(tags(&talk.query(BAD)), "CZ");
    guarded.await_outcome("observed", 2);
    assert_eq!(
        tags(&talk.query("WITH w AS (UPDATE ex SET completed_at = '2020-01-01' WHERE id = 1 RETURNING id) SELECT 1")),
        "TDCZ"
    );
    guarded.await_unguardable("notices_silenced", 1);
    talk.run("SET client_min_messages = notice");
    assert_eq!(tags(&copy(&mut talk, "104\t2026-03-02\t2026-03-01\n")), "GCZ");
    guarded.await_outcome("observed", 3);
    assert_eq!(guarded.landed_ids(), "101 103 104");
}

#[test]
fn silenced_notices_do_not_disarm_reject() {
    let guarded = Guarded::new(REJECT);
    let mut talk = guarded.login();
    talk.run("SET client_min_messages = error");
    assert_refused(&copy(&mut talk, "103\t2026-03-02\t2026-03-01\n"));
    assert_refused(&talk.query(BAD));
    assert_refused(&talk.query("WITH w AS (UPDATE ex SET completed_at = '2020-01-01' RETURNING id) SELECT 1"));
    assert_usable(&mut talk);
}

#[test]
fn every_notice_of_the_server_is_still_seen() {
    let guarded = Guarded::new(&observe());
    let mut talk = guarded.login();
    talk.run("SET client_min_messages = debug5");
    talk.query("SELECT 1");
    talk.query(BAD);
    talk.run("RESET client_min_messages");
    // A NOTICE of the same code that is not ours stays.
    let replies = talk.query(format!("SELECT to_regtype('{}')", "x".repeat(80)));
    assert_eq!(tags(&replies), "TNDCZ");
    let notice = &replies[1];
    assert_eq!(notice.field('C'), "42622");
}

#[test]
fn a_latin1_client() {
    for rules in [REJECT.to_owned(), observe()] {
        let rules = rules + "      - name: ex_note\n        check: \"note <> 'never' OR status = 'x'\"\n";
        let guarded = Guarded::with_schema(&rules, "ALTER TABLE ex ALTER note SET DEFAULT chr(20013)");
        let mut talk = Talk::connect(guarded.proxy.addr);
        talk.start(&[("user", "postgres"), ("database", &guarded.database), ("client_encoding", "LATIN1")]);
        // The row holds a character that LATIN1 has not; the client never asks for it.
        assert_eq!(tags(&talk.query(GOOD)), "CZ");
        talk.send(&fe::extended("INSERT INTO ex (id, status) VALUES (103, 'q')", &[]));
        assert_eq!(tags(&talk.ready()), "12nCZ");
        let replies = talk.query(BAD);
        if rules.contains("reject") {
            assert_refused(&replies);
        } else {
            assert_eq!(tags(&replies), "CZ");
        }
        // A violation that shows the text itself.
        let replies = talk.query(
            "INSERT INTO ex (id, note, status) VALUES (104, 'never', 'caf\u{e9}')"
                .chars()
                .map(|c| c as u8)
                .collect::<Vec<_>>(),
        );
        if rules.contains("reject") {
            assert_eq!((error(&replies).field('C'), error(&replies).field('n')), ("23514".into(), "ex_note".into()));
        } else {
            assert_eq!(tags(&replies), "CZ");
        }
        assert_usable(&mut talk);
    }
}

#[test]
fn a_client_encoding_that_is_not_safe_for_ascii() {
    let guarded = Guarded::new(&observe());
    let mut talk = Talk::connect(guarded.proxy.addr);
    talk.start(&[("user", "postgres"), ("database", &guarded.database), ("client_encoding", "SJIS")]);
    assert_eq!(tags(&talk.query(BAD)), "CZ");
    guarded.await_unguardable("client_encoding", 1);
    talk.run("SET client_encoding = 'UTF8'");
    assert_eq!(tags(&talk.query("UPDATE ex SET completed_at = '2020-01-01' WHERE id = 101")), "CZ");
    guarded.await_outcome("observed", 1);
    talk.run("SET client_encoding = 'BIG5'");
    assert_eq!(tags(&talk.query("UPDATE ex SET completed_at = '2020-01-01' WHERE id = 101")), "CZ");
    guarded.await_unguardable("client_encoding", 2);
}

#[test]
fn backslashes() {
    let guarded = Guarded::new(REJECT);
    let mut talk = guarded.login();
    talk.run("SET standard_conforming_strings = off; SET escape_string_warning = off");
    assert_refused(&talk.query(
        r"INSERT INTO ex (id, created_at, started_at, note) VALUES (101, '2026-03-02', '2026-03-01', 'it\'s; --')",
    ));
    assert_eq!(
        tags(&talk.query(r"INSERT INTO ex (id, note) VALUES (103, '\'); INSERT INTO ex (id) VALUES (104); --')")),
        "CZ"
    );
    talk.run("BEGIN; SET LOCAL standard_conforming_strings = on");
    assert_refused(
        &talk
            .query(r"INSERT INTO ex (id, created_at, note, started_at) VALUES (101, '2026-03-02', 'x\', '2026-03-01')"),
    );
    talk.run("ROLLBACK");
    assert_refused(
        &talk.query(
            r"INSERT INTO ex (id, created_at, note, started_at) VALUES (101, '2026-03-02', 'x\'', '2026-03-01')",
        ),
    );
    assert_eq!(guarded.landed_ids(), "103");
}

#[test]
fn styles_of_dates() {
    for set in [
        "SET datestyle = 'German, DMY'; SET timezone = 'Asia/Tokyo'",
        "SET datestyle = 'SQL, MDY'; SET timezone = 'America/St_Johns'",
        "SET intervalstyle = sql_standard; SET timezone = 'Pacific/Kiritimati'",
        "SET intervalstyle = iso_8601; SET timezone = 'posix/right'",
        "SET transform_null_equals = on; SET extra_float_digits = -15",
        "SET lc_messages = 'C'; SET bytea_output = escape; SET array_nulls = off",
        "SET default_transaction_isolation = serializable",
        "SET row_security = off",
        "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET jit_above_cost = 0",
        "SET session_replication_role = replica",
        "SET search_path = ''; SET search_path = public",
        "SET quote_all_identifiers = on; SET backslash_quote = off; SET xmloption = document",
    ] {
        let guarded = Guarded::new(REJECT);
        let mut talk = guarded.login();
        talk.query(set);
        assert_refused(&talk.query(
            "INSERT INTO ex (id, created_at, started_at) VALUES (101, '2026-12-02 00:00Z', '2026-12-01 00:00Z')",
        ));
        assert_eq!(
            tags(&talk.query(
                "INSERT INTO ex (id, created_at, started_at) VALUES (103, '2026-12-01 00:00Z', '2026-12-02 00:00Z')"
            )),
            "CZ",
            "{set}"
        );
        assert_eq!(
            tags(&talk.query(
                "INSERT INTO ex (id, created_at, started_at) VALUES (104, '2026-12-01 00:00Z', '2026-12-01 00:00Z')"
            )),
            "CZ",
            "{set}"
        );
        assert_eq!(tags(&talk.query("INSERT INTO ex (id, created_at, started_at) VALUES (105, '4713-01-01 BC', 'infinity'), (106, '-infinity', '294276-01-01')")), "CZ", "{set}");
        assert_refused(&copy(&mut talk, "101\t2026-12-02 00:00Z\t2026-12-01 00:00Z\n"));
        assert_eq!(guarded.landed_ids(), "103 104 105 106", "{set}");
    }
}

#[test]
fn a_read_only_session_gets_the_servers_answer() {
    let guarded = Guarded::new(REJECT);
    let mut talk = guarded.login();
    talk.run("SET default_transaction_read_only = on");
    assert_eq!(error(&talk.query(GOOD)).field('C'), "25006");
    talk.run("SET default_transaction_read_only = off");
    assert_eq!(tags(&talk.query(GOOD)), "CZ");
}
