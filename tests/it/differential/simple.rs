//! The simple query protocol.

use super::{BAD, GOOD};
use crate::harness::{fe, same_as_direct, same_when_guarded};

#[test]
fn reads_and_empty_queries() {
    same_as_direct(|stage| {
        let mut a = stage.login("a");
        for sql in [
            "SELECT 1",
            "",
            ";",
            ";;;",
            "   ",
            "-- only a comment",
            "/* nested /* comment */ */",
            "/* INSERT INTO ex */",
            "SELECT 1;",
            "SELECT 1; SELECT 2; SELECT 3",
            "SELECT 1;; SELECT 2;;",
            "SELECT * FROM ex ORDER BY id",
            "SELECT 'INSERT INTO ex VALUES (1)'",
            "SELECT NULL::int, '', 'x'::bytea",
            "SELECT FROM ex",
            "SELECT count(*) FROM ex -- at the end",
            "VALUES (1), (2)",
            "TABLE jobs",
            "SHOW server_version",
            "SELECT 1 WHERE false",
        ] {
            a.query(sql);
        }
        a.terminate();
    });
}

#[test]
fn writes_good_and_bad() {
    same_when_guarded(|stage| {
        let mut a = stage.login("a");
        for sql in [
            BAD,
            GOOD,
            "INSERT INTO ex (id, created_at, started_at) VALUES (110, '2026-03-02', '2026-03-01') RETURNING id",
            "INSERT INTO ex (id, created_at, started_at) VALUES (111, '2026-03-02', '2026-03-01') RETURNING *",
            "INSERT INTO ex (id, created_at, started_at) VALUES (112, '2026-03-02', '2026-03-01') RETURNING ex.*, id AS again, 1+1",
            "INSERT INTO ex (id, created_at, started_at) VALUES (113, '2026-03-02', '2026-03-01'), (114, '2026-03-01', '2026-03-02') RETURNING id, status",
            "INSERT INTO ex (id) VALUES (115) RETURNING id, note;",
            "INSERT INTO ex (id) VALUES (116) -- comment at the end",
            "INSERT INTO ex (id) VALUES (117) /* open /* nested */ */ ;",
            "INSERT INTO ex (id) SELECT g FROM generate_series(120, 125) g",
            "INSERT INTO ex (id) SELECT g FROM generate_series(1, 0) g",
            "INSERT INTO ex (id) VALUES (1) ON CONFLICT DO NOTHING",
            "INSERT INTO ex (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET completed_at = '2020-01-01' RETURNING id, completed_at",
            "INSERT INTO ex (id) VALUES (1), (130) ON CONFLICT (id) DO NOTHING RETURNING id",
            "INSERT INTO ex AS e (id, created_at, started_at) VALUES (131, '2026-03-02', '2026-03-01') RETURNING e.id",
            "INSERT INTO public.ex DEFAULT VALUES",
            "UPDATE ex SET completed_at = '2020-01-01'",
            "UPDATE ex SET completed_at = '2020-01-01' WHERE id = 3 RETURNING *",
            "UPDATE ex SET completed_at = '2020-01-01' WHERE false RETURNING id",
            "UPDATE ex SET completed_at = '2020-01-01' WHERE false",
            "UPDATE ONLY ex e SET completed_at = NULL WHERE e.id < 3 RETURNING e.id",
            "UPDATE ex * SET note = 'x' WHERE id = 4",
            "UPDATE ex SET started_at = j.created_at FROM jobs j WHERE j.id = ex.job_id RETURNING ex.id, j.id",
            "UPDATE ex SET started_at = j.created_at FROM jobs j WHERE j.id = ex.job_id RETURNING *",
            "UPDATE \"ex\" SET \"completed_at\" = '2020-01-01' WHERE id = 5",
            "UPDATE EX SET Completed_At = '2020-01-01' WHERE id = 6",
            "UPDATE jobs SET created_at = '1970-01-01' WHERE id = 20 RETURNING created_at",
            "DELETE FROM ex WHERE id = 7 RETURNING id",
            "DELETE FROM ex WHERE id = 8",
            "WITH w AS (SELECT 141 AS id) INSERT INTO ex (id) SELECT id FROM w RETURNING id",
            "WITH d AS (DELETE FROM ex WHERE id = 10 RETURNING *) INSERT INTO ex (id, note) SELECT id + 200, note FROM d",
            "SELECT id, status, note FROM ex WHERE id < 100 ORDER BY id",
        ] {
            a.query(sql);
        }
        a.terminate();
    });
}

#[test]
fn writes_in_ctes() {
    same_when_guarded(|stage| {
        let mut a = stage.login("a");
        for sql in [
            "WITH w AS (INSERT INTO ex (id, created_at, started_at) VALUES (140, '2026-03-02', '2026-03-01') RETURNING *) SELECT id, started_at FROM w",
            "WITH w AS (UPDATE ex SET completed_at = '2020-01-01' WHERE id = 9 RETURNING id, note) SELECT * FROM w",
            "WITH w AS (UPDATE ex SET completed_at = '2020-01-01' WHERE id = 9) SELECT 1",
            "WITH w AS (UPDATE ex SET completed_at = '2020-01-01' WHERE id = 9 RETURNING *) SELECT * FROM w",
            "WITH w AS (UPDATE ex SET completed_at = '2020-01-01' WHERE id = 9 RETURNING id + 1 AS n) SELECT n, count(*) FROM w GROUP BY n",
            "WITH w (a) AS (UPDATE ex SET completed_at = '2020-01-01' WHERE id < 4 RETURNING id) SELECT sum(a) FROM w",
            "WITH w AS (INSERT INTO ex (id) VALUES (142) RETURNING *), v AS (UPDATE ex SET note = 'v' WHERE id = 5 RETURNING id) SELECT w.*, v.id FROM w, v",
            "WITH w AS (UPDATE ex SET note = 'x' WHERE id < 3 RETURNING *) SELECT row_to_json(w) FROM w ORDER BY id",
            "WITH w AS (UPDATE ex SET note = 'x' WHERE id < 3 RETURNING *) INSERT INTO plain SELECT id + 500, note FROM w RETURNING *",
            "WITH w AS (INSERT INTO ex (id) VALUES (1) RETURNING id) SELECT * FROM w",
            "WITH w AS (UPDATE ex SET note = 'x' RETURNING nonsense) SELECT * FROM w",
            "WITH w AS (UPDATE ex SET note = 'x' RETURNING id) SELECT nonsense FROM w",
        ] {
            a.query(sql);
            a.send(&fe::extended(sql, &[]));
            a.ready();
        }
    });
}

#[test]
fn several_statements_in_one_query() {
    same_when_guarded(|stage| {
        let mut a = stage.login("a");
        for sql in [
            format!("{BAD}; {GOOD}; SELECT count(*) FROM ex"),
            "SELECT 1; INSERT INTO ex (id) VALUES (201); SELECT 2".into(),
            "INSERT INTO ex (id) VALUES (202) RETURNING id; INSERT INTO plain VALUES (202, 'x') RETURNING *; UPDATE ex SET note = 'n' WHERE id = 202;".into(),
            // The second one fails: all are undone.
            "INSERT INTO ex (id) VALUES (203); INSERT INTO ex (id) VALUES (203); SELECT 3".into(),
            "INSERT INTO ex (id) VALUES (204); SELECT 1/0; INSERT INTO ex (id) VALUES (205)".into(),
            // An explicit transaction inside.
            "BEGIN; INSERT INTO ex (id) VALUES (206); COMMIT; SELECT 1/0".into(),
            "INSERT INTO ex (id) VALUES (207); COMMIT; INSERT INTO ex (id) VALUES (208); SELECT 1/0".into(),
            "BEGIN; INSERT INTO ex (id) VALUES (209); SELECT 1/0".into(),
            "SELECT 'still failed'".into(),
            "ROLLBACK".into(),
            // A syntax error anywhere: nothing runs.
            "INSERT INTO ex (id) VALUES (210); SELEC 1".into(),
            "CREATE TABLE made (a int); INSERT INTO made VALUES (1); INSERT INTO ex (id) VALUES (211) RETURNING id".into(),
        ] {
            a.query(sql);
        }
        a.query("SELECT id FROM ex WHERE id > 200 ORDER BY id");
    });
}

#[test]
fn errors_in_each_place() {
    same_as_direct(|stage| {
        let mut a = stage.login("a");
        for sql in [
            "SELEC 1",
            "INSERT INTO ex (id) VALUES (",
            "INSERT INTO ex (id) VALUES (1)",
            "INSERT INTO ex (id, nonsense) VALUES (1, 2)",
            "INSERT INTO ex (id) VALUES ('x')",
            "INSERT INTO ex (id) VALUES (301, 302)",
            "INSERT INTO ex (id) VALUES (301) RETURNING nonsense",
            "INSERT INTO ex (id) VALUES (301) RETURNING id, 1/(id - 301)",
            "INSERT INTO ex VALUES (NULL)",
            "  INSERT INTO ex (id) VALUES (1 / 0)",
            "INSERT INTO nonsense (id) VALUES (1)",
            "INSERT INTO nonsense.ex (id) VALUES (1)",
            "UPDATE ex SET nonsense = 1",
            "UPDATE ex SET note = nonsense",
            "UPDATE ex SET note = 1/0",
            "UPDATE ex SET id = 2 WHERE id = 1",
            "UPDATE ex SET note = 'x' WHERE nonsense = 1 RETURNING id",
            "UPDATE ex e SET note = 'x' WHERE ex.id = 1",
            "UPDATE ex SET note = 'x' RETURNING other.id",
            "INSERT INTO ex (id) VALUES (302) ON CONFLICT (note) DO NOTHING",
            "WITH w AS (INSERT INTO ex (id) VALUES (1) RETURNING id) SELECT * FROM w",
            // Not here: `WITH w AS (INSERT INTO ex …) SELECT * FROM w` without RETURNING, an error that the guard's RETURNING makes valid.
            "WITH w AS (INSERT INTO ex (id) VALUES (303) RETURNING nonsense) SELECT * FROM w",
            "INSERT INTO plain VALUES (-1, 'x')",
            "INSERT INTO ex (id) VALUES ($1)",
            "'unterminated",
            "INSERT INTO ex (id, note) VALUES (304, 'unterminated)",
            "/* unterminated INSERT INTO ex",
            "INSERT INTO ex (id, note) VALUES (305, $$unterminated)",
            "RAISE nonsense",
            "SELECT 1; SELEC 2; INSERT INTO ex (id) VALUES (306)",
            "SELECT é FROM ex; UPDATE ex SET é = 1",
            "INSERT INTO ex (id, note) VALUES (307, 'é', 1)",
        ] {
            a.query(sql);
        }
        a.query(b"INSERT INTO ex (id, note) VALUES (308, '\xff\xfe')");
        a.query("SELECT count(*) FROM ex");
    });
}

#[test]
fn notices_and_do_blocks() {
    same_as_direct(|stage| {
        let mut a = stage.login("a");
        for sql in [
            "DROP TABLE IF EXISTS nonsense",
            "DO $$ BEGIN RAISE NOTICE 'hello'; RAISE WARNING 'again' USING HINT = 'h', DETAIL = 'd'; END $$",
            "DO $$ BEGIN INSERT INTO ex (id) VALUES (401); RAISE NOTICE 'inserted'; END $$",
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'row %', NEW.id; RETURN NEW; END $$",
            "CREATE TRIGGER t BEFORE INSERT ON ex FOR EACH ROW EXECUTE FUNCTION f()",
            "INSERT INTO ex (id) VALUES (402), (403)",
            "INSERT INTO ex (id) VALUES (404), (405) RETURNING id",
            "CREATE TABLE a_very_long_identifier_that_is_longer_than_sixty_three_bytes_in_its_name (a int)",
            "BEGIN; BEGIN",
            "COMMIT; COMMIT",
            "SET client_min_messages = 'debug1'",
            "INSERT INTO ex (id) VALUES (406)",
            "SET client_min_messages = 'error'",
            "INSERT INTO ex (id) VALUES (407)",
        ] {
            a.query(sql);
        }
    });
}

#[test]
fn transactions() {
    same_when_guarded(|stage| {
        let mut a = stage.login("a");
        for sql in [
            "BEGIN",
            BAD,
            "SAVEPOINT s",
            BAD,
            "SELECT 1",
            "INSERT INTO ex (id) VALUES (501) RETURNING id",
            "ROLLBACK TO s",
            GOOD,
            "RELEASE s",
            "COMMIT",
            "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY",
            "INSERT INTO ex (id) VALUES (502)",
            "ROLLBACK",
            "START TRANSACTION",
            "INSERT INTO ex (id) VALUES (503)",
            "PREPARE TRANSACTION 'x'",
            "SELECT 1",
            "ROLLBACK PREPARED 'x'",
            "BEGIN",
            "SELECT 1/0",
            "INSERT INTO ex (id) VALUES (504)",
            "COMMIT",
            "ABORT",
            "BEGIN; INSERT INTO ex (id) VALUES (505); COMMIT AND CHAIN",
            "INSERT INTO ex (id) VALUES (506) RETURNING id",
            "ROLLBACK AND NO CHAIN",
            "SELECT id FROM ex WHERE id > 100 ORDER BY id",
        ] {
            a.query(sql);
        }
    });
}

#[test]
fn several_queries_sent_at_once() {
    same_when_guarded(|stage| {
        let mut a = stage.login("a");
        a.send(
            &[
                fe::query("SELECT 1"),
                fe::query(BAD),
                fe::query(GOOD),
                fe::query("SELEC"),
                fe::query(BAD),
                fe::query("SELECT 2"),
            ]
            .concat(),
        );
        for _ in 0..6 {
            a.ready();
        }
        a.terminate();
    });
}

#[test]
fn a_deferred_constraint_fails_at_the_end() {
    same_when_guarded(|stage| {
        let mut a = stage.login("a");
        a.run("DELETE FROM ex; ALTER TABLE ex ADD CONSTRAINT once UNIQUE (note) DEFERRABLE INITIALLY DEFERRED");
        for sql in [
            "INSERT INTO ex (id, note) VALUES (601, 'same'), (602, 'same')",
            "INSERT INTO ex (id, note) VALUES (603, 'same'), (604, 'same') RETURNING id",
            "BEGIN; INSERT INTO ex (id, note) VALUES (605, 'same'), (606, 'same'); COMMIT",
            "SELECT count(*) FROM ex",
        ] {
            a.query(sql);
        }
        a.send(&fe::extended("INSERT INTO ex (id, note) VALUES (607, 'same'), (608, 'same')", &[]));
        a.ready();
    });
}
