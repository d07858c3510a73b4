//! Which table is it really? Decided as PostgreSQL decides it.

use super::{BAD, GOOD, role};
use crate::harness::{
    Guarded, Talk, fe,
    guarded::{REJECT, assert_refused, assert_usable},
    talk::{error, tags},
};

/// `other.ex` has columns of the same names and no rules.
const OTHER: &str =
    "CREATE SCHEMA other; CREATE TABLE other.ex (LIKE ex); CREATE SCHEMA strange; CREATE TABLE strange.ex (a int)";

fn passes(talk: &mut Talk, sql: &str) {
    assert_eq!(tags(&talk.query(sql)), "CZ", "{sql}");
    talk.send(&fe::extended(sql, &[]));
    assert_eq!(tags(&talk.ready()), "12nCZ", "{sql}");
}

fn refused(talk: &mut Talk) {
    assert_refused(&talk.query(BAD));
    talk.send(&fe::extended(BAD, &[]));
    assert_refused(&talk.ready());
}

#[test]
fn a_temporary_table_that_shadows() {
    let guarded = Guarded::new(REJECT);
    let mut talk = guarded.login();
    refused(&mut talk);
    talk.run("CREATE TEMP TABLE ex (id int, created_at text, started_at text)");
    passes(&mut talk, BAD);
    assert_refused(
        &talk.query("INSERT INTO public.ex (id, created_at, started_at) VALUES (101, '2026-03-02', '2026-03-01')"),
    );
    talk.run("DROP TABLE ex");
    refused(&mut talk);
    // Made in a transaction that is rolled back; dropped at commit.
    talk.run("BEGIN");
    talk.run("CREATE TEMP TABLE ex (id int, created_at text, started_at text)");
    assert_eq!(tags(&talk.query(BAD)), "CZ");
    talk.run("ROLLBACK");
    refused(&mut talk);
    talk.run("BEGIN");
    talk.run("CREATE TEMP TABLE ex (id int, created_at text, started_at text) ON COMMIT DROP");
    assert_eq!(tags(&talk.query(BAD)), "CZ");
    talk.run("COMMIT");
    refused(&mut talk);
    // Made by SELECT INTO, by CREATE TABLE AS, inside a function.
    talk.run("SELECT 1 AS id, ''::text AS created_at, ''::text AS started_at INTO TEMP ex");
    passes(&mut talk, BAD);
    talk.run("DISCARD TEMP");
    refused(&mut talk);
    talk.run("DO $$ BEGIN CREATE TEMP TABLE ex (id int, created_at text, started_at text); END $$");
    passes(&mut talk, BAD);
    talk.run("DISCARD ALL");
    refused(&mut talk);
    assert_eq!(guarded.landed_ids(), "");
}

#[test]
fn the_search_path_of_the_moment() {
    let guarded = Guarded::with_schema(REJECT, OTHER);
    let mut talk = guarded.login();
    refused(&mut talk);
    talk.run("SET search_path = other");
    passes(&mut talk, BAD);
    talk.run("SET search_path = public, other");
    refused(&mut talk);
    talk.run("BEGIN");
    talk.run("SET LOCAL search_path = other, public");
    assert_eq!(tags(&talk.query(BAD)), "CZ");
    talk.run("ROLLBACK");
    refused(&mut talk);
    talk.run("BEGIN; SET LOCAL search_path = other");
    assert_eq!(tags(&talk.query(BAD)), "CZ");
    talk.run("COMMIT");
    refused(&mut talk);
    // Taken back by a savepoint.
    talk.run("BEGIN; SAVEPOINT s; SET search_path = other");
    assert_eq!(tags(&talk.query(BAD)), "CZ");
    talk.run("ROLLBACK TO s");
    assert_refused(&talk.query(BAD));
    talk.run("ROLLBACK");
    // By function, and by reset.
    talk.run("SELECT set_config('search_path', 'other', false)");
    passes(&mut talk, BAD);
    talk.run("RESET search_path");
    refused(&mut talk);
    talk.run("SET SESSION \"search_path\" TO 'other'");
    passes(&mut talk, BAD);
    talk.run("RESET ALL");
    refused(&mut talk);
    talk.send(&fe::extended("SET search_path = other", &[]));
    talk.ready();
    passes(&mut talk, BAD);
    talk.run("DISCARD ALL");
    refused(&mut talk);
    // A name that means a table with other columns altogether.
    talk.run("SET search_path = strange");
    passes(&mut talk, "INSERT INTO ex VALUES (1)");
    assert_eq!(error(&talk.query(BAD)).field('C'), "42703");
    assert_eq!(guarded.landed_ids(), "");
    assert_eq!(guarded.landed("SELECT count(*) > 0 FROM other.ex"), "t");
}

#[test]
fn changed_inside_the_same_string() {
    let guarded = Guarded::with_schema(REJECT, OTHER);
    let mut talk = guarded.login();
    // Whatever the proxy decides, it must not write to another table, nor break the write, nor count a violation of public.ex.
    let replies = talk.query(format!("SET search_path = other; {BAD}; RESET search_path"));
    assert_eq!(tags(&replies), "C*Z", "{replies:?}");
    assert_eq!(guarded.landed("SELECT count(*) FROM other.ex"), "1");
    assert_eq!(guarded.landed_ids(), "");
    let replies = talk.query("SET search_path = strange; INSERT INTO ex VALUES (1); RESET search_path");
    assert_eq!(tags(&replies), "C*Z", "{replies:?}");
    assert_eq!(guarded.proxy.metrics().sum("violations_total", &[]), 0.0);
    assert_usable(&mut talk);
    assert_refused(&talk.query(BAD));
}

#[test]
fn changed_inside_a_pipeline() {
    let guarded = Guarded::with_schema(REJECT, OTHER);
    let mut talk = guarded.login();
    let one = |sql: &str| [fe::parse("", sql), fe::bind("", "", &[]), fe::execute("", 0)].concat();
    let replies = talk.pipeline(&[
        one("SET search_path = other"),
        one(BAD),
        one("SET search_path = public"),
        one(GOOD),
        one("RESET search_path"),
    ]);
    assert_eq!(replies.iter().filter(|m| m.tag == b'C').count(), 5, "{replies:?}");
    assert_eq!(guarded.landed("SELECT count(*) FROM other.ex"), "1");
    assert_eq!(guarded.landed_ids(), "102");
    assert_refused(&talk.query(BAD));
}

#[test]
fn a_prepared_statement_follows_the_search_path() {
    let guarded = Guarded::with_schema(REJECT, OTHER);
    let mut talk = guarded.login();
    let insert = "INSERT INTO ex (id, created_at, started_at) VALUES ($1, '2026-03-02', $2)";
    talk.pipeline(&[fe::parse("s", insert)]);
    talk.run(&format!("PREPARE p (bigint, timestamptz) AS {insert}"));
    talk.pipeline(&[fe::parse("executes", "EXECUTE p (104, '2026-03-01')")]);
    let executes = |talk: &mut Talk| talk.pipeline(&[fe::bind("", "executes", &[]), fe::execute("", 0)]);
    let run = |talk: &mut Talk, id: &str, started: &str| {
        talk.pipeline(&[fe::bind("", "s", &[id, started]), fe::execute("", 0)])
    };
    assert_eq!(tags(&run(&mut talk, "110", "2026-03-03")), "2CZ");
    assert_refused(&run(&mut talk, "101", "2026-03-01"));
    talk.run("SET search_path = other");
    assert_eq!(tags(&run(&mut talk, "1", "2026-03-01")), "2CZ");
    assert_eq!(tags(&run(&mut talk, "2", "2026-03-03")), "2CZ");
    assert_eq!(tags(&talk.query("EXECUTE p (3, '2026-03-01')")), "CZ");
    assert_eq!(tags(&executes(&mut talk)), "2CZ");
    talk.run("RESET search_path");
    assert_refused(&run(&mut talk, "101", "2026-03-01"));
    assert_refused(&talk.query("EXECUTE p (101, '2026-03-01')"));
    assert_refused(&executes(&mut talk));
    assert_eq!(guarded.landed("SELECT count(*) FROM other.ex"), "4");
    assert_eq!(guarded.landed_ids(), "110");
    assert_eq!(guarded.proxy.metrics().sum("violations_total", &[]), 4.0);
}

#[test]
fn role_and_database_settings() {
    let role = role("pathed");
    let guarded = Guarded::with_schema(
        REJECT,
        &format!(
            "{OTHER}; GRANT ALL ON SCHEMA other TO {role}; GRANT ALL ON ex, other.ex TO {role}; ALTER ROLE {role} SET search_path = other"
        ),
    );
    let mut talk = guarded.login_as(&role);
    passes(&mut talk, BAD);
    talk.run("SET search_path = public");
    refused(&mut talk);
    // A schema named like the user comes first.
    guarded.direct().run(&format!("CREATE SCHEMA {role} AUTHORIZATION {role}; CREATE TABLE {role}.ex (LIKE public.ex); GRANT ALL ON {role}.ex TO {role}"));
    talk.run("SET search_path = \"$user\", public");
    passes(&mut talk, BAD);
    assert_eq!(guarded.landed_ids(), "");
}

#[test]
fn a_hostile_search_path_does_not_disarm_the_guard() {
    let guarded = Guarded::with_schema(
        REJECT,
        "CREATE SCHEMA evil;
         CREATE FUNCTION evil.never(timestamptz, timestamptz) RETURNS bool LANGUAGE sql AS 'SELECT false';
         CREATE OPERATOR evil.> (FUNCTION = evil.never, LEFTARG = timestamptz, RIGHTARG = timestamptz);
         CREATE OPERATOR evil.< (FUNCTION = evil.never, LEFTARG = timestamptz, RIGHTARG = timestamptz);
         CREATE OPERATOR evil.>= (FUNCTION = evil.never, LEFTARG = timestamptz, RIGHTARG = timestamptz);
         CREATE FUNCTION evil.now() RETURNS timestamptz LANGUAGE sql AS 'SELECT timestamptz ''2000-01-01''';
         CREATE FUNCTION evil.isfinite(timestamptz) RETURNS bool LANGUAGE sql AS 'SELECT false';
         CREATE FUNCTION evil.int4in(cstring) RETURNS int LANGUAGE internal IMMUTABLE AS 'int4in';
         CREATE DOMAIN evil.text AS pg_catalog.text CHECK (false);
         CREATE DOMAIN evil.numeric AS pg_catalog.numeric CHECK (false)",
    );
    let mut talk = guarded.login();
    talk.run("SET search_path = evil, pg_catalog, public");
    refused(&mut talk);
    passes(
        &mut talk,
        "INSERT INTO ex (id, created_at, started_at) SELECT 200 + count(*), '2026-03-01', '2026-03-02' FROM ex",
    );
}

#[test]
fn names_that_are_created_and_renamed() {
    let guarded = Guarded::new(REJECT);
    let mut talk = guarded.login();
    refused(&mut talk);
    talk.run("ALTER TABLE ex RENAME TO ex_old");
    talk.run("CREATE TABLE ex (id int, created_at int, started_at text)");
    assert_eq!(tags(&talk.query("INSERT INTO ex VALUES (1, 2, '3')")), "CZ");
    talk.run("DROP TABLE ex; ALTER TABLE ex_old RENAME TO ex");
    refused(&mut talk);
    // By another session: the cached answer is stale.
    guarded.direct().run("ALTER TABLE ex RENAME TO ex_old; CREATE TABLE ex (id int, created_at int, started_at text)");
    assert_eq!(tags(&talk.query("INSERT INTO ex VALUES (1, 2, '3')")), "CZ");
    assert_usable(&mut talk);
}

#[test]
fn many_names_that_are_not_the_table() {
    let guarded = Guarded::with_schema(
        REJECT,
        "CREATE TABLE \"EX\" (id int); CREATE TABLE ex2 (id int); CREATE TABLE \"public.ex\" (id int)",
    );
    let mut talk = guarded.login();
    for sql in [
        "INSERT INTO \"EX\" VALUES (1)",
        "INSERT INTO ex2 VALUES (1)",
        "INSERT INTO \"public.ex\" VALUES (1)",
        "UPDATE plain SET t = 'UPDATE ex SET x' WHERE id = 1",
        "UPDATE plain ex SET t = 'alias' WHERE ex.id = 1",
        "WITH ex AS (SELECT 1) INSERT INTO ex2 SELECT * FROM ex",
        "DELETE FROM ex WHERE id = 1",
    ] {
        assert_eq!(tags(&talk.query(sql)), "CZ", "{sql}");
    }
    // A CTE does not hide the target of a write.
    assert_refused(&talk.query(
        "WITH ex AS (SELECT 1) INSERT INTO ex (id, created_at, started_at) VALUES (101, '2026-03-02', '2026-03-01')",
    ));
}
