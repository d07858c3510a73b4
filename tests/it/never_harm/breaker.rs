//! The schema changes under a guard: the circuit breaker and the transparent second run.

use super::{BAD, GOOD};
use crate::harness::{
    Guarded, Talk, fe,
    guarded::{REJECT, assert_refused, assert_usable, status},
    talk::tags,
};

/// A session that has already used its guard, so that everything it knows is about to be stale.
fn warm(guarded: &Guarded) -> Talk {
    let mut talk = guarded.login();
    assert_refused(&talk.query(BAD));
    talk.pipeline(&[fe::parse(
        "s",
        "INSERT INTO ex (id, created_at, started_at) VALUES ($1, '2026-03-01', '2026-03-02')",
    )]);
    assert_eq!(tags(&talk.pipeline(&[fe::bind("", "s", &["110"]), fe::execute("", 0)])), "2CZ");
    assert_eq!(tags(&talk.query("INSERT INTO ex (id, created_at) VALUES (111, '2026-03-01') RETURNING id")), "TDCZ");
    talk
}

#[test]
fn a_column_dropped_between_two_statements() {
    let guarded = Guarded::new(REJECT);
    let mut talk = warm(&guarded);
    guarded.direct().run("ALTER TABLE ex DROP COLUMN completed_at");
    assert_eq!(tags(&talk.query(GOOD)), "CZ");
    guarded.proxy.await_metric("retries_total", &[], 1.0);
    assert_eq!(tags(&talk.pipeline(&[fe::bind("", "s", &["120"]), fe::execute("", 0)])), "2CZ");
    talk.send(&fe::extended("INSERT INTO ex (id, created_at) VALUES (121, '2026-03-01') RETURNING id", &[]));
    assert_eq!(tags(&talk.ready()), "12TDCZ");
    assert_eq!(guarded.landed_ids(), "102 110 111 120 121");
    guarded.proxy.await_log(|log| log.to_lowercase().contains("guard broke"));
}

#[test]
fn a_prepared_statement_meets_it_first() {
    let guarded = Guarded::new(REJECT);
    let mut talk = warm(&guarded);
    guarded.direct().run("ALTER TABLE ex DROP COLUMN completed_at");
    assert_eq!(
        tags(&talk.pipeline(&[fe::bind("", "s", &["120"]), fe::describe_portal(""), fe::execute("", 0)])),
        "2nCZ"
    );
    assert_eq!(tags(&talk.pipeline(&[fe::bind("", "s", &["121"]), fe::execute("", 0)])), "2CZ");
    assert_eq!(guarded.landed_ids(), "110 111 120 121");
    assert_usable(&mut talk);
}

#[test]
fn a_renamed_column_and_a_changed_type() {
    for change in [
        "ALTER TABLE ex RENAME COLUMN completed_at TO ended_at",
        "ALTER TABLE ex ALTER COLUMN completed_at TYPE text",
        "ALTER TABLE ex ALTER COLUMN completed_at TYPE bigint USING 0",
    ] {
        let guarded = Guarded::new(REJECT);
        let mut talk = warm(&guarded);
        guarded.direct().run(change);
        assert_eq!(tags(&talk.pipeline(&[fe::bind("", "s", &["120"]), fe::execute("", 0)])), "2CZ", "{change}");
        assert_eq!(tags(&talk.query(GOOD)), "CZ", "{change}");
        assert_eq!(guarded.landed_ids(), "102 110 111 120", "{change}");
    }
}

#[test]
fn a_second_run_is_never_made_where_it_could_do_harm() {
    // In a transaction the error is the client's, and the transaction is aborted as the server says; afterwards everything works.
    let guarded = Guarded::new(REJECT);
    let mut talk = warm(&guarded);
    talk.run("BEGIN");
    talk.run("INSERT INTO plain VALUES (200, 'x')");
    guarded.direct().run("SET lock_timeout = '5s'; ALTER TABLE ex DROP COLUMN completed_at");
    let replies = talk.query(GOOD);
    if status(&replies) == 'E' {
        talk.run("ROLLBACK");
    } else {
        assert_eq!(tags(&replies), "CZ");
        talk.run("COMMIT");
    }
    assert_eq!(tags(&talk.query("INSERT INTO ex (id) VALUES (130)")), "CZ");
    assert_usable(&mut talk);
    // In a string of several statements the first ones must not run twice.
    let guarded = Guarded::with_schema(REJECT, "CREATE SEQUENCE s");
    let mut talk = warm(&guarded);
    guarded.direct().run("ALTER TABLE ex DROP COLUMN completed_at");
    let replies = talk.query(format!("SELECT nextval('s'); COMMIT; {GOOD}"));
    let runs = guarded.landed("SELECT last_value FROM s");
    assert_eq!(runs, "1", "{replies:?}");
    assert_usable(&mut talk);
}

#[test]
fn other_tables_and_other_sessions_go_on() {
    let rules = REJECT.to_owned()
        + "  - table: public.jobs\n    on_violation: reject\n    rules:\n      - name: jobs_sane\n        plausible: {columns: [created_at], after: 2000-01-01, before: 2100-01-01}\n";
    let guarded = Guarded::new(&rules);
    let mut talk = warm(&guarded);
    let mut other = warm_other(&guarded);
    guarded.direct().run("ALTER TABLE ex DROP COLUMN completed_at");
    assert_eq!(tags(&talk.query(GOOD)), "CZ");
    let bad_job = "INSERT INTO jobs VALUES (100, '1970-01-01')";
    crate::harness::guarded::assert_refused_by(&talk.query(bad_job), "public", "jobs", "jobs_sane");
    crate::harness::guarded::assert_refused_by(&other.query(bad_job), "public", "jobs", "jobs_sane");
    assert_eq!(tags(&other.query("INSERT INTO ex (id) VALUES (131)")), "CZ");
}

fn warm_other(guarded: &Guarded) -> Talk {
    let mut talk = guarded.login();
    assert_refused(&talk.query(BAD));
    talk
}
