//! Where a stage could be noticed, or do harm, COPY keeps its own way, and what is not judged there is counted.

use chronoguard::scratch::{self, Options};

use super::{
    COPY,
    How::{Extended, Simple},
    RULES, assert_copied, assert_nothing_left, copy, good, reused, reversed,
};
use crate::harness::{
    Guarded, Proxy, Talk, cluster, fe,
    guarded::{assert_refused, assert_refused_by, assert_usable, status},
    talk::{error, tags},
};

/// Goes through unjudged by the parent rule; the order is judged as always.
fn assert_fast(guarded: &Guarded, talk: &mut Talk, sql: &str, data: &str, rows: u32, counted: u32) {
    assert_copied(&copy(talk, sql, data), rows);
    guarded.await_unguardable("copy_subquery", counted);
}

#[test]
fn a_role_without_temporary_tables() {
    let role = crate::never_harm::role("copier");
    let guarded =
        Guarded::with_schema(RULES, &format!("GRANT SELECT, INSERT ON ex TO {role}; GRANT SELECT ON jobs TO {role}"));
    let revoke = format!("REVOKE TEMPORARY ON DATABASE {} FROM public", guarded.database);
    guarded.direct().run(&revoke);
    let mut talk = guarded.login_as(&role);
    assert_fast(&guarded, &mut talk, COPY, &reused(101), 1, 1);
    assert_refused(&copy(&mut talk, COPY, reversed(102)));
    assert_copied(&Extended.copy(&mut talk, COPY, reused(103)), 1);
    guarded.await_unguardable("copy_subquery", 2);
    // It is granted, and taken away again while the answer of the catalog is still believed: the client does not notice.
    guarded.direct().run(&format!("GRANT TEMPORARY ON DATABASE {} TO {role}", guarded.database));
    let mut talk = guarded.login_as(&role);
    talk.run("SET search_path = public");
    let mut other = fresh(&guarded, &role);
    assert_refused_by(&copy(&mut other, COPY, reused(104)), "public", "ex", "ex_no_reuse");
    guarded.direct().run(&format!("REVOKE TEMPORARY ON DATABASE {} FROM {role}", guarded.database));
    assert_copied(&copy(&mut other, COPY, reused(105)), 1);
    guarded.proxy.await_metric("retries_total", &[], 1.0);
    assert_eq!(guarded.landed_ids(), "101 103 105");
}

/// A session of a role about whose tables the catalog must be asked anew.
fn fresh(guarded: &Guarded, role: &str) -> Talk {
    guarded.direct().run("COMMENT ON COLUMN ex.note IS 'x'; ALTER TABLE ex ALTER note SET STATISTICS 7");
    guarded.login_as(role)
}

#[test]
fn an_event_trigger_would_notice() {
    let guarded = Guarded::with_schema(
        RULES,
        "CREATE FUNCTION no_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no DDL here'; END $$;
         CREATE EVENT TRIGGER no_ddl ON ddl_command_start EXECUTE FUNCTION no_ddl()",
    );
    let mut talk = guarded.login();
    assert_fast(&guarded, &mut talk, COPY, &(good(101..103) + &reused(103)), 3, 1);
    assert_refused(&copy(&mut talk, COPY, reversed(104)));
    assert_eq!(guarded.landed_ids(), "101 102 103");
}

#[test]
fn an_event_trigger_made_a_moment_ago() {
    let guarded = Guarded::new(RULES);
    let mut talk = guarded.login();
    assert_copied(&copy(&mut talk, COPY, good(101..102)), 1);
    guarded.direct().run(
        "CREATE FUNCTION no_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no DDL here'; END $$;
         CREATE EVENT TRIGGER no_ddl ON ddl_command_start EXECUTE FUNCTION no_ddl()",
    );
    for how in [Simple, Extended] {
        assert_copied(&how.copy(&mut talk, COPY, good(102..103)), 1);
        talk.run("DELETE FROM ex WHERE id = 102");
    }
    guarded.proxy.await_metric("breaker_open", &[], 1.0);
    assert_usable(&mut talk);
    // In a transaction nothing can be run again; the breaker stays open for the next.
    let guarded = Guarded::new(RULES);
    let mut talk = guarded.login();
    talk.run("BEGIN");
    assert_copied(&copy(&mut talk, COPY, good(101..102)), 1);
    guarded.direct().run(
        "CREATE FUNCTION no_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no DDL here'; END $$;
         CREATE EVENT TRIGGER no_ddl ON ddl_command_start EXECUTE FUNCTION no_ddl()",
    );
    let replies = copy(&mut talk, COPY, good(102..103));
    assert_eq!((error(&replies).field('C').as_str(), status(&replies)), ("P0001", 'E'));
    talk.run("ROLLBACK");
    assert_copied(&copy(&mut talk, COPY, good(102..103)), 1);
}

/// A transaction that has used a temporary table cannot be prepared. Where any can be, only a COPY that is one of its own is staged.
#[test]
fn prepared_transactions() {
    let settings = vec![("max_prepared_transactions".to_owned(), "2".to_owned())];
    let server = scratch::Cluster::start(Options { settings, ..Options::default() }).unwrap();
    let addr = std::net::SocketAddr::from(([127, 0, 0, 1], server.port()));
    Talk::login(addr, "postgres", "postgres").run(include_str!("../harness/base.sql"));
    let proxy = Proxy::before(addr, RULES);
    let mut talk = proxy.login("postgres");
    assert_refused_by(&copy(&mut talk, COPY, reused(101)), "public", "ex", "ex_no_reuse");
    for how in [Simple, Extended] {
        talk.run("BEGIN");
        assert_copied(&how.copy(&mut talk, COPY, good(101..103) + &reused(103)), 3);
        talk.run("PREPARE TRANSACTION 'p'");
        talk.run("ROLLBACK PREPARED 'p'");
    }
    let text = format!("BEGIN; {COPY}; PREPARE TRANSACTION 'p'");
    talk.send(&[fe::query(&text), fe::copy_data(reused(101)), fe::copy_done()].concat());
    assert_eq!(tags(&talk.ready()), "CGC*Z");
    talk.run("COMMIT PREPARED 'p'");
    proxy.await_metric("unguardable_total", &[("reason", "copy_subquery")], 3.0);
    // After a staged COPY of its own the session may still prepare what it likes.
    assert_copied(&copy(&mut talk, COPY, good(110..112)), 2);
    talk.run("BEGIN; INSERT INTO plain VALUES (100, 'x'); INSERT INTO ex (id) VALUES (112)");
    talk.run("PREPARE TRANSACTION 'p'");
    talk.run("COMMIT PREPARED 'p'");
}

#[test]
fn what_a_stage_would_change() {
    let guarded = Guarded::with_schema(
        RULES,
        "CREATE TABLE log (id bigint);
         CREATE DOMAIN filled AS text CHECK (VALUE IS NOT NULL);
         ALTER TABLE ex ADD tag filled DEFAULT 'x';
         ALTER TABLE ex ALTER tag DROP DEFAULT",
    );
    let mut talk = guarded.login();
    // COPY does not check a domain that it leaves out.
    assert_fast(&guarded, &mut talk, COPY, &reused(101), 1, 1);
    guarded.direct().run("ALTER TABLE ex DROP tag");
    talk.run("SET search_path = public");
    assert_refused_by(&copy(&mut talk, COPY, reused(102)), "public", "ex", "ex_no_reuse");
    // Its WHERE may look at columns that COPY does not fill, or at the row itself.
    let mut counted = 1;
    for condition in ["status IS NULL", "ex.note IS NULL", "ex IS NOT NULL OR true", "tableoid > 0", "public.ex.id > 0"]
    {
        counted += 1;
        let sql = format!("{COPY} WHERE {condition}");
        assert_fast(&guarded, &mut talk, &sql, &reused(110 + counted), 1, counted);
    }
    // COPY does not follow rules.
    guarded.direct().run("CREATE RULE note AS ON INSERT TO ex DO ALSO INSERT INTO log VALUES (NEW.id)");
    talk.run("SET search_path = public");
    assert_fast(&guarded, &mut talk, COPY, &reused(120), 1, counted + 1);
    assert_eq!(guarded.landed("SELECT count(*) FROM log"), "0");
    guarded.direct().run("DROP RULE note ON ex");
    talk.run("SET search_path = public");
    // Options that look at the relation itself.
    talk.run("BEGIN");
    talk.run("TRUNCATE ex");
    assert_fast(&guarded, &mut talk, &format!("{COPY} WITH (FREEZE)"), &reused(121), 1, counted + 2);
    talk.run("COMMIT");
    let replies = copy(&mut talk, &format!("{COPY} (FREEZE)"), reused(122));
    assert_eq!(error(&replies).field('C'), "55000", "{replies:?}");
    if cluster().version >= 160_000 {
        let sql = "COPY ex (id, job_id, created_at) FROM STDIN (DEFAULT 'def')";
        assert_fast(&guarded, &mut talk, sql, "123\t3\tdef\n", 1, counted + 3);
        assert_eq!(guarded.landed("SELECT created_at = '2026-02-15 00:00:00+00' FROM ex WHERE id = 123"), "t");
    }
    assert_nothing_left(&guarded, &mut talk);
}

/// A temporary table of the client's by the stage's name stays what it is.
#[test]
fn the_name_is_taken() {
    let guarded = Guarded::new(RULES);
    let mut talk = guarded.login();
    talk.run("CREATE TEMPORARY TABLE chronoguard_copy (id int)");
    talk.run("INSERT INTO chronoguard_copy VALUES (7)");
    for how in [Simple, Extended] {
        assert_copied(&how.copy(&mut talk, COPY, good(101..103)), 2);
        talk.run("DELETE FROM ex WHERE id > 100");
    }
    assert_eq!(talk.value("SELECT id FROM chronoguard_copy"), "7");
}

/// A guard that breaks is found out before the client is asked for its data.
#[test]
fn the_schema_changes_under_the_guard() {
    for change in
        ["ALTER TABLE ex DROP COLUMN completed_at", "ALTER TABLE jobs DROP COLUMN created_at", "DROP TABLE jobs"]
    {
        let guarded = Guarded::new(RULES);
        let mut talk = guarded.login();
        assert_copied(&copy(&mut talk, COPY, good(101..102)), 1);
        guarded.direct().run(change);
        for (id, how) in [(102, Simple), (103, Extended)] {
            assert_copied(&how.copy(&mut talk, COPY, good(id..id + 1)), 1);
        }
        assert_eq!(guarded.landed_ids(), "101 102 103", "{change}");
        assert_usable(&mut talk);
    }
}

#[test]
fn unguardable_may_be_refused_instead() {
    let rules = RULES.replace("    on_violation", "    unguardable: reject\n    on_violation");
    let guarded = Guarded::new(&rules);
    let mut talk = guarded.login();
    // What a stage can judge is none of that.
    assert_copied(&copy(&mut talk, COPY, good(101..103)), 2);
    assert_refused_by(&copy(&mut talk, COPY, reused(103)), "public", "ex", "ex_no_reuse");
    talk.send(&fe::query(format!("{COPY} WHERE status IS NULL")));
    assert_eq!(error(&talk.ready()).field('C'), "0A000");
    guarded.await_unguardable("copy_subquery", 1);
    assert_eq!(guarded.landed_ids(), "101 102");
}
