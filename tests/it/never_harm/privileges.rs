//! Roles that may write but not read, and row-level security.

use super::{BAD, GOOD, role};
use crate::harness::{
    Guarded, fe,
    guarded::{REJECT, assert_refused},
    talk::{error, tags},
};

/// `ex` writable for the role, readable only as `select` says.
fn guarded_with(rules: &str, select: &str) -> (Guarded, String) {
    let role = role("writer");
    let sql = format!("GRANT INSERT, UPDATE ON ex, plain TO {role}; {}", select.replace("$role", &role));
    (Guarded::with_schema(rules, &sql), role)
}

#[test]
fn a_role_without_select_writes_on() {
    let (guarded, role) = guarded_with(REJECT, "");
    let mut talk = guarded.login_as(&role);
    assert_eq!(tags(&talk.query(BAD)), "CZ");
    talk.send(&fe::extended(GOOD, &[]));
    assert_eq!(tags(&talk.ready()), "12nCZ");
    assert_eq!(tags(&talk.query("UPDATE ex SET completed_at = '2020-01-01'")), "CZ");
    talk.send(
        &[
            fe::query("COPY ex (id, created_at, started_at) FROM STDIN"),
            fe::copy_data("103\t2026-03-02\t2026-03-01\n"),
            fe::copy_done(),
        ]
        .concat(),
    );
    assert_eq!(tags(&talk.ready()), "GCZ");
    guarded.await_unguardable("no_select_privilege", 4);
    guarded.await_outcome("unguardable", 4);
    assert_eq!(guarded.landed_ids(), "101 102 103");
}

#[test]
fn unguardable_may_be_refused_instead() {
    let rules = REJECT.replace("    on_violation", "    unguardable: reject\n    on_violation");
    let (guarded, role) = guarded_with(&rules, "");
    let mut talk = guarded.login_as(&role);
    let replies = talk.query(GOOD);
    assert_eq!(error(&replies).field('C'), "0A000");
    assert_eq!(tags(&replies), "EZ");
    talk.send(&[fe::extended(GOOD, &[]), fe::extended("SELECT 1", &[])].concat());
    assert_eq!(error(&talk.ready()).field('C'), "0A000");
    assert_eq!(tags(&talk.ready()), "12TDCZ");
    // In a transaction it aborts, as any error does.
    talk.run("BEGIN");
    talk.query(GOOD);
    assert_eq!(error(&talk.query("SELECT 1")).field('C'), "25P02");
    talk.run("ROLLBACK");
    assert_eq!(guarded.landed_ids(), "");
    guarded.await_unguardable("no_select_privilege", 3);
}

#[test]
fn select_on_the_judged_columns_is_enough() {
    let (guarded, role) =
        guarded_with(REJECT, "GRANT SELECT (id, created_at, started_at, completed_at) ON ex TO $role");
    let mut talk = guarded.login_as(&role);
    assert_refused(&talk.query(BAD));
    assert_eq!(tags(&talk.query(GOOD)), "CZ");
    talk.send(
        &[
            fe::query("COPY ex (id, created_at, started_at) FROM STDIN"),
            fe::copy_data("103\t2026-03-02\t2026-03-01\n"),
            fe::copy_done(),
        ]
        .concat(),
    );
    assert_refused(&talk.ready());
    guarded.await_outcome("rejected", 2);
}

#[test]
fn the_role_of_the_moment_decides() {
    let (guarded, role) = guarded_with(REJECT, "");
    let mut talk = guarded.login();
    assert_refused(&talk.query(BAD));
    talk.run(&format!("SET ROLE {role}"));
    assert_eq!(tags(&talk.query(GOOD)), "CZ");
    talk.run("RESET ROLE");
    assert_refused(&talk.query(BAD));
    talk.run("BEGIN");
    talk.run(&format!("SET LOCAL SESSION AUTHORIZATION {role}"));
    assert_eq!(tags(&talk.query("INSERT INTO ex (id) VALUES (104)")), "CZ");
    talk.run("ROLLBACK");
    assert_refused(&talk.query(BAD));
    // A statement prepared as one role and run as the other.
    talk.pipeline(&[fe::parse(
        "s",
        "INSERT INTO ex (id, created_at, started_at) VALUES ($1, '2026-03-02', '2026-03-03')",
    )]);
    assert_eq!(tags(&talk.pipeline(&[fe::bind("", "s", &["105"]), fe::execute("", 0)])), "2CZ");
    talk.run(&format!("SET ROLE {role}"));
    assert_eq!(tags(&talk.pipeline(&[fe::bind("", "s", &["106"]), fe::execute("", 0)])), "2CZ");
    assert_eq!(guarded.landed_ids(), "102 105 106");
}

#[test]
fn a_privilege_revoked_between_two_executions() {
    let (guarded, role) = guarded_with(REJECT, "GRANT SELECT ON ex TO $role");
    let mut talk = guarded.login_as(&role);
    talk.pipeline(&[fe::parse(
        "s",
        "INSERT INTO ex (id, created_at, started_at) VALUES ($1, '2026-03-02', '2026-03-03')",
    )]);
    assert_eq!(tags(&talk.pipeline(&[fe::bind("", "s", &["105"]), fe::execute("", 0)])), "2CZ");
    guarded.direct().run(&format!("REVOKE SELECT ON ex FROM {role}"));
    assert_eq!(tags(&talk.pipeline(&[fe::bind("", "s", &["106"]), fe::execute("", 0)])), "2CZ");
    assert_eq!(tags(&talk.query(GOOD)), "CZ");
    assert_eq!(guarded.landed_ids(), "102 105 106");
}

const PARENT: &str = "\
version: 1
tables:
  - table: public.ex
    on_violation: reject
    rules:
      - name: ex_no_reuse
        parent: {table: public.jobs, join: {job_id: id}, not_reused: {created_at: created_at}}
";

#[test]
fn a_parent_that_the_role_may_not_read() {
    let (guarded, role) = guarded_with(PARENT, "GRANT SELECT ON ex TO $role");
    let reuse = "INSERT INTO ex (id, job_id, created_at) VALUES (101, 1, '2026-01-01 00:01:00+00')";
    let mut talk = guarded.login_as(&role);
    assert_eq!(tags(&talk.query(reuse)), "CZ");
    guarded.await_unguardable("parent", 1);
    guarded.direct().run(&format!("DELETE FROM ex WHERE id = 101; GRANT SELECT ON jobs TO {role}"));
    let mut talk = guarded.login_as(&role);
    crate::harness::guarded::assert_refused_by(&talk.query(reuse), "public", "ex", "ex_no_reuse");
}

/// The SELECT policy hides rows with `note = 'hidden'`; rows 1 to 10 are hidden.
const SECURED: &str = "UPDATE ex SET note = 'hidden' WHERE id <= 5;
    ALTER TABLE ex ENABLE ROW LEVEL SECURITY;
    GRANT SELECT ON ex TO $role;
    CREATE POLICY s ON ex FOR SELECT USING (note IS DISTINCT FROM 'hidden');
    CREATE POLICY i ON ex FOR INSERT WITH CHECK (true);
    CREATE POLICY u ON ex FOR UPDATE USING (true) WITH CHECK (true)";

#[test]
fn row_security_loses_no_row() {
    let (guarded, role) = guarded_with(REJECT, SECURED);
    let mut talk = guarded.login_as(&role);
    // Nothing of the statement reads a column: all ten rows are written, also the hidden ones.
    assert_eq!(talk.run("UPDATE ex SET completed_at = '2026-04-01'")[0].command(), "UPDATE 10");
    assert_eq!(talk.run("INSERT INTO ex (id, note) VALUES (103, 'hidden')")[0].command(), "INSERT 0 1");
    talk.send(&fe::extended("UPDATE ex SET completed_at = '2026-04-02'", &[]));
    assert!(talk.ready().iter().any(|m| m.tag == b'C' && m.command() == "UPDATE 11"));
    talk.run("INSERT INTO ex (id, note) VALUES (104, 'hidden') ON CONFLICT DO NOTHING");
    guarded.await_unguardable("row_security", 4);
    // These need the SELECT policy anyway: guarded.
    assert_refused(&talk.query("UPDATE ex SET completed_at = '2020-01-01' WHERE id > 5"));
    assert_refused(
        &talk
            .query("INSERT INTO ex (id, created_at, started_at) VALUES (105, '2026-03-02', '2026-03-01') RETURNING id"),
    );
    assert_eq!(talk.run("UPDATE ex SET completed_at = '2026-04-03' WHERE id > 0")[0].command(), "UPDATE 5");
    // The owner is not subject to it.
    let mut owner = guarded.login();
    assert_refused(&owner.query("UPDATE ex SET completed_at = '2020-01-01'"));
    assert_eq!(guarded.landed("SELECT count(*) FROM ex WHERE note = 'hidden'"), "7");
}

#[test]
fn a_parent_under_row_security() {
    let (guarded, role) = guarded_with(
        PARENT,
        "GRANT SELECT ON ex, jobs TO $role; ALTER TABLE jobs ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON jobs USING (false)",
    );
    let mut talk = guarded.login_as(&role);
    assert_eq!(
        tags(&talk.query("INSERT INTO ex (id, job_id, created_at) VALUES (101, 1, '2026-01-01 00:01:00+00')")),
        "CZ"
    );
    guarded.await_unguardable("parent", 1);
}

#[test]
fn set_config_may_be_revoked() {
    let (guarded, role) = guarded_with(
        REJECT,
        "GRANT SELECT ON ex TO $role; REVOKE EXECUTE ON FUNCTION set_config(text, text, bool) FROM PUBLIC",
    );
    let mut talk = guarded.login_as(&role);
    assert_refused(&talk.query(BAD));
    assert_eq!(tags(&talk.query(GOOD)), "CZ");
}
