//! What takes the usual ways to an old row away: then another one is found, or the write is counted with its reason. No write is broken by that.

use super::{SCHEMA, returning_old, rules};
use crate::harness::{Guarded, Talk, cluster, guarded::assert_refused_by};

const ONCE: &str = "version: 1
tables:
  - table: public.q
    on_violation: reject
    rules:
      - {name: q_once, write_once: [started_at]}
";

const BAD: &str = "UPDATE q SET started_at = '2026-01-01 11:00+00' WHERE id = 1";
const JOINED: &str = "UPDATE q SET started_at = '2026-01-01 11:00+00' FROM b WHERE b.id = q.id AND b.v = 1";
const SEED: &str = "UPDATE q SET started_at = '2026-01-01 10:00+00' WHERE id = 1;";

fn start(guarded: &Guarded) -> String {
    guarded.landed("SELECT to_char(started_at AT TIME ZONE 'UTC', 'HH24') FROM q WHERE id = 1")
}

/// Refused where the server has `OLD`; before, passed and counted.
fn refused_or_counted(guarded: &Guarded, talk: &mut Talk, sql: &str, reason: &str) {
    let replies = talk.query(sql);
    if returning_old() {
        assert_refused_by(&replies, "public", "q", "q_once");
        assert_eq!(start(guarded), "10");
        return;
    }
    assert!(replies.iter().all(|m| m.tag != b'E'), "{sql}: {replies:?}");
    guarded.await_unguardable(reason, 1);
    assert_eq!(start(guarded), "11");
}

#[test]
fn no_column_is_left_to_assign() {
    // All columns but the one that is set are in an index, in a trigger's list, or not to be written.
    let schema = format!(
        "{SCHEMA}{SEED}CREATE INDEX ON q (key2, status); ALTER TABLE q DROP COLUMN n, ADD COLUMN long int GENERATED ALWAYS AS (length(note)) STORED;
         CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''fired''; END';
         CREATE TRIGGER noted AFTER UPDATE OF note ON q FOR EACH ROW EXECUTE FUNCTION nothing()"
    );
    let guarded = Guarded::with_schema(ONCE, &schema);
    let mut talk = guarded.login();
    // One relation needs no such column.
    assert_refused_by(&talk.query(BAD), "public", "q", "q_once");
    refused_or_counted(&guarded, &mut talk, JOINED, "old_row");
    if !returning_old() {
        // A WHERE of ours would disarm those that refuse an UPDATE without one.
        talk.run("UPDATE q SET started_at = '2026-01-01 12:00+00'");
        guarded.await_unguardable("old_row", 2);
    }
}

#[test]
fn a_column_that_a_trigger_watches_is_not_assigned() {
    let schema = format!(
        "{SCHEMA}{SEED}ALTER TABLE q DROP COLUMN n, DROP COLUMN key2, DROP COLUMN status; ALTER TABLE q ADD COLUMN spare text;
         CREATE FUNCTION fired() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''fired''; END';
         CREATE TRIGGER noted AFTER UPDATE OF note ON q FOR EACH ROW EXECUTE FUNCTION fired()"
    );
    let guarded = Guarded::with_schema(ONCE, &schema);
    let mut talk = guarded.login();
    assert_refused_by(&talk.query(JOINED), "public", "q", "q_once");
    talk.run("UPDATE q SET started_at = '2026-01-01 11:00+00' FROM b WHERE b.id = q.id AND b.v = 2");
    talk.run("UPDATE q SET started_at = '2026-01-01 11:00+00' WHERE id = 3");
}

#[test]
fn a_role_that_may_only_set_the_column() {
    let guarded = Guarded::with_schema(ONCE, &format!("{SCHEMA}{SEED}"));
    let role = format!("setter_{}", std::process::id());
    guarded.direct().run(&format!(
        "CREATE ROLE {role} LOGIN; GRANT SELECT ON q, b TO {role}; GRANT UPDATE (started_at) ON q TO {role}"
    ));
    let mut talk = guarded.login_as(&role);
    assert_refused_by(&talk.query(BAD), "public", "q", "q_once");
    talk.run("UPDATE q SET started_at = '2026-01-01 11:00+00' WHERE id = 2");
    refused_or_counted(&guarded, &mut talk, JOINED, "old_row");
}

#[test]
fn set_config_is_revoked() {
    let guarded = Guarded::with_schema(
        ONCE,
        &format!("{SCHEMA}{SEED}REVOKE EXECUTE ON FUNCTION pg_catalog.set_config(text, text, boolean) FROM public"),
    );
    let role = format!("plain_{}", std::process::id());
    guarded.direct().run(&format!("CREATE ROLE {role} LOGIN; GRANT ALL ON q, b TO {role}"));
    let mut talk = guarded.login_as(&role);
    talk.run("INSERT INTO q (id, started_at) VALUES (50, now())");
    talk.run("UPDATE q SET note = 'y'");
    refused_or_counted(&guarded, &mut talk, BAD, "set_config");
}

#[test]
fn a_table_that_refuses_what_cannot_be_judged() {
    let strict = ONCE.replace("    rules:", "    unguardable: reject\n    rules:");
    let guarded = Guarded::with_schema(
        &strict,
        &format!("{SCHEMA}{SEED}REVOKE EXECUTE ON FUNCTION pg_catalog.set_config(text, text, boolean) FROM public"),
    );
    let role = format!("strict_{}", std::process::id());
    guarded.direct().run(&format!("CREATE ROLE {role} LOGIN; GRANT ALL ON q, b TO {role}"));
    let mut talk = guarded.login_as(&role);
    let replies = talk.query(BAD);
    let code = crate::harness::talk::error(&replies).field('C');
    assert_eq!(code, if returning_old() { "23514" } else { "0A000" });
    assert_eq!(start(&guarded), "10");
    // Where there is no row before nothing is refused.
    talk.run("INSERT INTO q (id, started_at) VALUES (50, now())");
    talk.run("UPDATE q SET note = 'y'");
}

/// A trigger that moves the key: what was recorded is not this row's any more, so nothing is said about it.
#[test]
fn a_trigger_that_changes_the_key() {
    let schema = format!(
        "{SCHEMA}{SEED}CREATE FUNCTION moved() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.id = NEW.id + 100; RETURN NEW; END';
         CREATE TRIGGER moved BEFORE UPDATE ON q FOR EACH ROW EXECUTE FUNCTION moved()"
    );
    let guarded = Guarded::with_schema(ONCE, &schema);
    let mut talk = guarded.login();
    for sql in [
        "UPDATE q SET started_at = '2026-01-01 11:00+00' WHERE id = 2",
        "WITH w AS (UPDATE q SET started_at = '2026-01-01 11:00+00' WHERE id = 3) SELECT 1",
    ] {
        talk.run(sql);
    }
    guarded.await_unguardable("old_row", 2);
    guarded.await_outcome("unguardable", 2);
}

/// A trigger that drops the update of a conflicting row must not lend its old values to the next row, which is new.
#[test]
fn a_trigger_that_drops_an_update() {
    let schema = format!(
        "{SCHEMA}{SEED}CREATE FUNCTION dropped() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
         CREATE TRIGGER dropped BEFORE UPDATE ON q FOR EACH ROW WHEN (old.id = 1) EXECUTE FUNCTION dropped()"
    );
    let guarded = Guarded::with_schema(ONCE, &schema);
    let mut talk = guarded.login();
    let replies = talk.run(
        "INSERT INTO q (id, started_at) VALUES (1, '2026-01-01 11:00+00'), (60, '2026-01-01 12:00+00'), (2, '2026-01-01 12:00+00')
         ON CONFLICT (id) DO UPDATE SET started_at = excluded.started_at RETURNING id",
    );
    assert_eq!(crate::harness::talk::rows(&replies), [["60"], ["2"]]);
    let replies = talk.query("INSERT INTO q (id, started_at) VALUES (2, '2026-01-01 11:00+00') ON CONFLICT (id) DO UPDATE SET started_at = excluded.started_at");
    assert_refused_by(&replies, "public", "q", "q_once");
}

/// Clients that name old rows themselves keep what they mean by it.
#[test]
fn clients_that_use_old_themselves() {
    if !returning_old() {
        return; // it came with PostgreSQL 18
    }
    let guarded = Guarded::with_schema(&rules("reject"), &format!("{SCHEMA}{SEED}"));
    let (mut talk, mut direct) = (guarded.login(), guarded.direct());
    for sql in [
        "UPDATE q SET started_at = '2026-01-01 12:00+00' WHERE id = 5 RETURNING old.started_at, new.started_at, id",
        "UPDATE q SET started_at = '2026-01-01 12:00+00' WHERE id = 5 RETURNING WITH (OLD AS o) o.started_at, *",
        "UPDATE q SET started_at = '2026-01-01 12:00+00' WHERE id = 5 RETURNING WITH (NEW AS n) n.started_at, old.n",
        "UPDATE q SET started_at = '2026-01-01 12:00+00' WHERE id = 5 RETURNING WITH (OLD AS \"O\", NEW AS n) \"O\".started_at, n.id",
        "UPDATE q AS old SET started_at = '2026-01-01 12:00+00' WHERE id = 5 RETURNING id",
        "INSERT INTO q (id, status) VALUES (5, 'queued'), (70, 'queued') ON CONFLICT (id) DO UPDATE SET note = old RETURNING old.id, new.id",
        "INSERT INTO q (id, status) VALUES (5, 'queued'), (70, 'queued') ON CONFLICT (id) DO UPDATE SET note = 'y' RETURNING old.id, new.id",
        "UPDATE q SET started_at = '2026-01-01 12:00+00' FROM b AS cg_old WHERE cg_old.id = q.id AND v = 5 RETURNING v",
        "MERGE INTO q USING b ON b.id = q.id AND v = 5 WHEN MATCHED THEN UPDATE SET n = 50 RETURNING merge_action(), old.n, new.n",
    ] {
        let tried = |talk: &mut Talk| {
            talk.run("BEGIN");
            let replies = talk.query(sql);
            talk.run("ROLLBACK");
            replies
        };
        assert_eq!(tried(&mut talk), tried(&mut direct), "{sql}");
    }
    for sql in [
        "UPDATE q SET started_at = '2026-01-01 12:00+00' WHERE id = 1 RETURNING old.started_at",
        "UPDATE q SET started_at = '2026-01-01 12:00+00' WHERE id = 1 RETURNING WITH (OLD AS o) o.started_at",
        "UPDATE q AS old SET started_at = '2026-01-01 12:00+00' WHERE id = 1 RETURNING id",
    ] {
        assert_refused_by(&talk.query(sql), "public", "q", "q_once");
    }
    // Here the name is another relation's and the client's own: counted.
    talk.run("UPDATE q AS old SET started_at = '2026-01-01 12:00+00' WHERE id = 5 RETURNING old.started_at");
    guarded.await_unguardable("old_row", 1);
}

/// The guard does not depend on what the session did to names, and a write leaves nothing that the client could see.
#[test]
fn hostile_sessions() {
    let guarded = Guarded::with_schema(
        &rules("reject"),
        &format!(
            "{SCHEMA}{SEED}CREATE SCHEMA evil;
             CREATE FUNCTION evil.set_config(text, text, boolean) RETURNS text LANGUAGE sql AS 'SELECT ''x''::text';
             CREATE FUNCTION evil.current_setting(text, boolean) RETURNS text LANGUAGE sql AS 'SELECT ''''::text';
             CREATE FUNCTION evil.split_part(text, text, integer) RETURNS text LANGUAGE sql AS 'SELECT ''''::text';
             CREATE FUNCTION evil.lie(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
             CREATE FUNCTION evil.deny(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT false';
             CREATE OPERATOR evil.<> (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.deny);
             CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.lie);
             CREATE OPERATOR evil.> (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.deny);"
        ),
    );
    let mut talk = guarded.login();
    talk.run(
        "SET search_path = evil, pg_catalog, public; SET DateStyle = 'German'; SET TimeZone = 'Asia/Tokyo'; SET IntervalStyle = 'sql_standard';
         SET standard_conforming_strings = off; SET transform_null_equals = on; SET extra_float_digits = -15; SET client_encoding = 'LATIN1'",
    );
    for (sql, rule) in [
        (BAD, "q_once"),
        (JOINED, "q_once"),
        ("UPDATE q SET n = n - 1 WHERE id OPERATOR(pg_catalog.=) 4", "q_grows"),
        ("UPDATE q SET status = 'done' WHERE id OPERATOR(pg_catalog.=) 4", "q_states"),
    ] {
        assert_refused_by(&talk.query(sql), "public", "q", rule);
    }
    talk.run("UPDATE q SET status = 'running', n = n + 1, started_at = '2026-01-01 11:00+00' WHERE id = 4");
    assert_eq!(talk.value("SELECT count(*) FROM pg_settings WHERE name LIKE 'cg%'"), "0");
    assert!(cluster().version >= 140_000);
}
