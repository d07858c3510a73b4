//! Statements with a life of their own: `PREPARE`, cursors, `EXPLAIN`, names.

use super::{BAD, GOOD};
use crate::harness::{fe, same_as_direct, same_when_guarded};

#[test]
fn sql_prepare_execute_deallocate() {
    same_when_guarded(|stage| {
        let mut a = stage.login("a");
        for sql in [
            "PREPARE p (bigint, timestamptz) AS INSERT INTO ex (id, created_at, started_at) VALUES ($1, '2026-03-02', $2)",
            "EXECUTE p (701, '2026-03-01')",
            "EXECUTE p (702, '2026-03-03')",
            "EXECUTE p (701, '2026-03-01')",
            "EXECUTE p",
            "PREPARE p AS SELECT 1",
            "PREPARE r (bigint) AS INSERT INTO ex (id) VALUES ($1) RETURNING id, note",
            "EXECUTE r (703)",
            "EXECUTE r (704); EXECUTE p (705, '2026-03-01'); SELECT 1",
            "PREPARE u AS UPDATE ex SET completed_at = '2020-01-01' WHERE id = $1",
            "EXECUTE u (701)",
            "PREPARE w AS WITH x AS (INSERT INTO ex (id) VALUES ($1) RETURNING id) SELECT id + 1 FROM x",
            "EXECUTE w (706)",
            "BEGIN",
            "EXECUTE p (707, '2026-03-01')",
            "ROLLBACK",
            "DEALLOCATE p",
            "EXECUTE p (708, '2026-03-01')",
            "DEALLOCATE PREPARE r",
            "DEALLOCATE ALL",
            "EXECUTE u (701)",
            "DEALLOCATE u",
            "PREPARE \"Mixed Case\" AS UPDATE ex SET note = 'm' WHERE id = 1 RETURNING note",
            "EXECUTE \"Mixed Case\"",
            "EXECUTE mixed",
            "DISCARD ALL",
            "EXECUTE \"Mixed Case\"",
            "SELECT id FROM ex WHERE id > 700 ORDER BY id",
        ] {
            a.query(sql);
        }
        // The same names over both protocols.
        a.run("PREPARE shared (bigint) AS INSERT INTO ex (id) VALUES ($1)");
        a.pipeline(&[
            fe::describe_statement("shared"),
            fe::bind("", "shared", &["710"]),
            fe::describe_portal(""),
            fe::execute("", 0),
        ]);
        a.pipeline(&[fe::parse("wire", "INSERT INTO ex (id) VALUES ($1)")]);
        a.query("EXECUTE wire (711)");
        a.pipeline(&[
            fe::parse("", "EXECUTE wire (712)"),
            fe::bind("", "", &[]),
            fe::describe_portal(""),
            fe::execute("", 0),
        ]);
        a.pipeline(&[fe::close_statement("shared")]);
        a.query("EXECUTE shared (713)");
        a.query("DEALLOCATE wire");
        a.pipeline(&[fe::bind("", "wire", &["714"]), fe::execute("", 0)]);
    });
}

#[test]
fn cursors() {
    same_as_direct(|stage| {
        let mut a = stage.login("a");
        for sql in [
            "BEGIN",
            "DECLARE c CURSOR FOR SELECT id FROM ex ORDER BY id",
            "FETCH 2 FROM c",
            "MOVE 1 IN c",
            "FETCH NEXT FROM c",
            "UPDATE ex SET completed_at = '2020-01-01' WHERE CURRENT OF c",
            "FETCH BACKWARD 2 FROM c",
            "CLOSE c",
            "DECLARE c2 CURSOR WITH HOLD FOR SELECT id, note FROM ex WHERE id < 4 ORDER BY id",
            "COMMIT",
            "FETCH ALL FROM c2",
            "FETCH ALL FROM c2",
            "CLOSE ALL",
            "FETCH c2",
            "BEGIN",
            "DECLARE u CURSOR FOR SELECT * FROM ex FOR UPDATE",
            "FETCH u",
            "UPDATE ex SET note = 'current' WHERE CURRENT OF u RETURNING id",
            "DELETE FROM ex WHERE CURRENT OF u",
            "COMMIT",
            "DECLARE x CURSOR FOR INSERT INTO ex (id) VALUES (801) RETURNING id",
        ] {
            a.query(sql);
        }
    });
}

#[test]
fn names_decided_by_the_search_path() {
    same_when_guarded(|stage| {
        let mut a = stage.login("a");
        for sql in [
            "CREATE SCHEMA s2",
            "CREATE TABLE s2.ex (id int, other text)",
            BAD,
            "INSERT INTO s2.ex VALUES (1, 'x') RETURNING *",
            "SET search_path = s2, public",
            "INSERT INTO ex VALUES (2, 'y') RETURNING *",
            "UPDATE ex SET other = 'z'",
            "RESET search_path",
            GOOD,
            "BEGIN",
            "SET LOCAL search_path = s2",
            "INSERT INTO ex VALUES (3, 'y')",
            "ROLLBACK",
            "UPDATE ex SET completed_at = '2020-01-01' WHERE id = 1 RETURNING id",
            "CREATE TEMP TABLE ex (id int, t text)",
            "INSERT INTO ex VALUES (4, 'temp') RETURNING *",
            "INSERT INTO public.ex (id) VALUES (901) RETURNING *",
            "UPDATE ex SET t = 'q'",
            "DROP TABLE ex",
            "UPDATE ex SET completed_at = '2020-01-01' WHERE id = 2 RETURNING id",
            "SELECT set_config('search_path', 's2', false)",
            "INSERT INTO ex VALUES (5, 'y')",
            "UPDATE ex SET nonsense = 1",
            "DISCARD ALL",
            "ALTER TABLE ex RENAME TO ex_old",
            "INSERT INTO ex (id) VALUES (902)",
            "ALTER TABLE ex_old RENAME TO ex",
            "INSERT INTO ex (id, created_at) VALUES (903, '2026-01-01') RETURNING id",
        ] {
            a.query(if sql.ends_with("(901) RETURNING *") {
                "INSERT INTO public.ex (id, created_at) VALUES (901, NULL) RETURNING *"
            } else {
                sql
            });
        }
    });
}

#[test]
fn strings_of_every_kind() {
    same_when_guarded(|stage| {
        let mut a = stage.login("a");
        for sql in [
            r"INSERT INTO ex (id, note) VALUES (1001, E'it\'s; INSERT INTO ex') RETURNING note",
            r"INSERT INTO ex (id, note) VALUES (1002, U&'d\0061t\+000061') RETURNING note",
            "INSERT INTO ex (id, note) VALUES (1003, $$a 'quoted' ; thing$$), (1004, $tag$ $$ $tag$) RETURNING note",
            "INSERT INTO ex (id, note) VALUES (1005, 'a'\n'b') RETURNING note",
            "INSERT INTO ex (id, note) VALUES (1006, B'101'::text) RETURNING note",
            "INSERT INTO U&\"\\0065x\" (id) VALUES (1007) RETURNING id",
            "INSERT INTO \"public\" . \"ex\" (\"id\") VALUES (1008) RETURNING \"ex\".\"id\"",
            "insert/**/into--x\nex(id)values(1009)returning(id)",
            "SET standard_conforming_strings = off",
            r"INSERT INTO ex (id, note) VALUES (1010, 'it\'s; -- INSERT') RETURNING note",
            r"UPDATE ex SET note = 'x\\' WHERE id = 1010 RETURNING note",
            "RESET standard_conforming_strings",
            r"UPDATE ex SET note = 'x\' WHERE id = 1010 RETURNING note",
        ] {
            a.query(sql);
        }
    });
}

#[test]
fn schema_changes_between_statements() {
    same_when_guarded(|stage| {
        let mut a = stage.login("a");
        a.pipeline(&[fe::parse(
            "ins",
            "INSERT INTO ex (id, created_at, started_at) VALUES ($1, '2026-03-02', '2026-03-01')",
        )]);
        a.pipeline(&[fe::parse("ret", "INSERT INTO ex (id, created_at) VALUES ($1, '2026-03-02') RETURNING *")]);
        let go = |a: &mut crate::harness::Talk, statement: &str, id: &str| {
            a.pipeline(&[fe::bind("", statement, &[id]), fe::describe_portal(""), fe::execute("", 0)]);
        };
        go(&mut a, "ins", "1101");
        go(&mut a, "ret", "1102");
        a.query("ALTER TABLE ex ADD COLUMN extra int DEFAULT 7");
        go(&mut a, "ins", "1103");
        go(&mut a, "ret", "1104");
        a.query("INSERT INTO ex (id, created_at, started_at) VALUES (1105, '2026-03-02', '2026-03-01') RETURNING *");
        a.query("ALTER TABLE ex DROP COLUMN extra");
        go(&mut a, "ins", "1106");
        a.query(BAD);
        a.query("DROP TABLE ex");
        go(&mut a, "ins", "1107");
        a.query(BAD);
        a.query("CREATE TABLE ex (id bigint, job_id bigint, status text, created_at timestamptz, started_at timestamptz, completed_at timestamptz, note text)");
        go(&mut a, "ins", "1108");
        a.query(BAD);
    });
}
