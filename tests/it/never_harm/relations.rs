//! Rules, views, partitions, inheritance, generated columns.

use super::{BAD, GOOD};
use crate::harness::{
    Guarded, fe,
    guarded::{REJECT, assert_refused, assert_refused_by, assert_usable},
    talk::{error, rows, tags},
};

#[test]
fn instead_rules() {
    let guarded = Guarded::with_schema(
        REJECT,
        "CREATE TABLE archive (LIKE ex);
         CREATE RULE r AS ON INSERT TO ex WHERE NEW.note = 'archive' DO INSTEAD INSERT INTO archive VALUES (NEW.*);",
    );
    let mut talk = guarded.login();
    assert_eq!(tags(&talk.query(BAD)), "CZ");
    assert_eq!(talk.run("INSERT INTO ex (id, note) VALUES (103, 'archive')")[0].command(), "INSERT 0 0");
    talk.send(&fe::extended(GOOD, &[]));
    assert_eq!(tags(&talk.ready()), "12nCZ");
    guarded.await_unguardable("instead_rule", 3);
    // The rule is for INSERT only.
    assert_refused(&talk.query("UPDATE ex SET completed_at = '2020-01-01' WHERE id = 1"));
    assert_eq!(guarded.landed_ids(), "101 102");
    assert_eq!(guarded.landed("SELECT count(*) FROM archive"), "1");
}

#[test]
fn do_also_rules() {
    let guarded = Guarded::with_schema(
        REJECT,
        "CREATE TABLE journal (id bigint); CREATE RULE r AS ON INSERT TO ex DO ALSO INSERT INTO journal VALUES (NEW.id)",
    );
    let mut talk = guarded.login();
    assert_eq!(tags(&talk.query(GOOD)), "CZ");
    talk.send(&fe::extended("INSERT INTO ex (id) VALUES (103)", &[]));
    assert_eq!(tags(&talk.ready()), "12nCZ");
    assert_refused(&talk.query(BAD));
    assert_eq!(guarded.landed_ids(), "102 103");
    assert_eq!(guarded.landed("SELECT string_agg(id::text, ' ') FROM journal"), "102 103");
}

#[test]
fn a_view_with_instead_of_triggers() {
    let guarded = Guarded::with_schema(
        REJECT,
        "CREATE VIEW v AS SELECT id, created_at, started_at FROM ex;
         CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            INSERT INTO ex (id, created_at, started_at) VALUES (NEW.id, NEW.created_at, NEW.started_at); RETURN NULL; END $$;
         CREATE TRIGGER t INSTEAD OF INSERT ON v FOR EACH ROW EXECUTE FUNCTION f()",
    );
    let mut talk = guarded.login();
    assert_eq!(talk.run("INSERT INTO v VALUES (102, '2026-03-01', '2026-03-02')")[0].command(), "INSERT 0 0");
    assert_eq!(talk.run("INSERT INTO v VALUES (101, '2026-03-02', '2026-03-01')")[0].command(), "INSERT 0 0");
    guarded.await_unguardable("instead_of_trigger", 2);
    assert_eq!(guarded.landed_ids(), "101 102");
}

#[test]
fn a_simple_view_over_a_guarded_table() {
    // Guarded or not guardable, but never silently passed, and never broken.
    let guarded = Guarded::with_schema(
        REJECT,
        "CREATE VIEW same AS SELECT * FROM ex;
         CREATE VIEW renamed AS SELECT id AS key, started_at AS created_at, created_at AS started_at FROM ex WHERE id > 0",
    );
    let mut talk = guarded.login();
    assert_eq!(
        tags(&talk.query("INSERT INTO same (id, created_at, started_at) VALUES (110, '2026-03-01', '2026-03-02')")),
        "CZ"
    );
    // By the names of the view this looks bad; it is good.
    assert_eq!(tags(&talk.query("INSERT INTO renamed VALUES (111, '2026-03-02', '2026-03-01')")), "CZ");
    assert_eq!(tags(&talk.query("UPDATE renamed SET key = 112 WHERE key = 111 RETURNING *")), "TDCZ");
    talk.query("INSERT INTO same (id, created_at, started_at) VALUES (101, '2026-03-02', '2026-03-01')");
    let metrics = guarded.proxy.metrics();
    let seen = metrics.sum("statements_total", &[]);
    assert!((seen - 4.0).abs() < 0.1, "each write has an outcome: {metrics:#?}");
    assert_eq!(guarded.landed_ids().split(' ').filter(|id| *id != "101").collect::<Vec<_>>(), ["110", "112"]);
    assert_usable(&mut talk);
}

const PARTITIONED: &str = "DROP TABLE ex;
    CREATE TABLE ex (id bigint, created_at timestamptz DEFAULT now(), started_at timestamptz, completed_at timestamptz) PARTITION BY RANGE (id);
    CREATE TABLE ex_low PARTITION OF ex FOR VALUES FROM (0) TO (1000);
    CREATE TABLE ex_high (completed_at timestamptz, started_at timestamptz, created_at timestamptz, id bigint);
    ALTER TABLE ex ATTACH PARTITION ex_high FOR VALUES FROM (1000) TO (2000)";

#[test]
fn partitions_directly_and_by_their_parent() {
    let guarded = Guarded::with_schema(REJECT, PARTITIONED);
    let mut talk = guarded.login();
    assert_refused(&talk.query(BAD));
    assert_eq!(tags(&talk.query(GOOD)), "CZ");
    assert_refused_by_order(
        &talk.query("INSERT INTO ex (id, created_at, started_at) VALUES (1001, '2026-03-02', '2026-03-01')"),
    );
    assert_refused_by_order(
        &talk.query("INSERT INTO ex_low (id, created_at, started_at) VALUES (103, '2026-03-02', '2026-03-01')"),
    );
    assert_refused_by_order(
        &talk.query("INSERT INTO ex_high (id, created_at, started_at) VALUES (1002, '2026-03-02', '2026-03-01')"),
    );
    assert_eq!(
        tags(&talk.query("INSERT INTO ex_high (id, created_at, started_at) VALUES (1003, '2026-03-01', '2026-03-02')")),
        "CZ"
    );
    assert_refused_by_order(&talk.query("UPDATE ex_low SET completed_at = '2020-01-01'"));
    // A row that moves to another partition.
    assert_eq!(
        talk.run("UPDATE ex SET id = 1102, completed_at = '2026-04-01' WHERE id = 102")[0].command(),
        "UPDATE 1"
    );
    assert_refused_by_order(&talk.query("UPDATE ex SET id = 103, completed_at = '2020-01-01' WHERE id = 1102"));
    let data = "110\t2026-03-01\t2026-03-02\n1110\t2026-03-01\t2026-03-02\n";
    talk.send(
        &[fe::query("COPY ex (id, created_at, started_at) FROM STDIN"), fe::copy_data(data), fe::copy_done()].concat(),
    );
    assert_eq!(tags(&talk.ready()), "GCZ");
    talk.send(
        &[
            fe::query("COPY ex_low (id, created_at, started_at) FROM STDIN"),
            fe::copy_data("111\t2026-03-02\t2026-03-01\n"),
            fe::copy_done(),
        ]
        .concat(),
    );
    assert_refused_by_order(&talk.ready());
    assert_eq!(guarded.landed_ids(), "110 1003 1102 1110");
    let metrics = guarded.proxy.metrics();
    assert_eq!(metrics.sum("unguardable_total", &[]), 0.0);
}

/// The rule's refusal; which relation of the tree is named is left open.
fn assert_refused_by_order(replies: &[crate::harness::Message]) {
    let fields = error(replies).fields();
    assert_eq!((fields[&'C'].as_str(), fields[&'n'].as_str()), ("23514", "ex_order"), "{fields:?}");
}

#[test]
fn inheritance_children() {
    let guarded = Guarded::with_schema(
        REJECT,
        "CREATE TABLE child (extra int) INHERITS (ex); INSERT INTO child (id, created_at, started_at) VALUES (1, '2026-03-01', '2026-03-01')",
    );
    let mut talk = guarded.login();
    assert_refused_by_order(
        &talk.query("INSERT INTO child (id, created_at, started_at) VALUES (101, '2026-03-02', '2026-03-01')"),
    );
    assert_eq!(
        tags(&talk.query("INSERT INTO child (id, created_at, started_at) VALUES (103, '2026-03-01', '2026-03-02')")),
        "CZ"
    );
    assert_refused_by_order(&talk.query("UPDATE ex SET completed_at = '2020-01-01' WHERE id = 1"));
    assert_eq!(talk.run("UPDATE ex SET completed_at = '2026-05-01' WHERE id = 1")[0].command(), "UPDATE 2");
    assert_eq!(talk.run("UPDATE ONLY ex SET completed_at = '2026-05-02' WHERE id = 1")[0].command(), "UPDATE 1");
}

#[test]
fn generated_and_identity_columns() {
    let rules = REJECT.replace("started_at, completed_at", "started_at, ended_at");
    let guarded = Guarded::with_schema(
        &rules,
        "DROP TABLE ex; CREATE TABLE ex (id bigint GENERATED ALWAYS AS IDENTITY, created_at timestamp, started_at timestamp, seconds int,
            ended_at timestamp GENERATED ALWAYS AS (started_at + seconds * interval '1 second') STORED)",
    );
    let mut talk = guarded.login();
    assert_eq!(
        tags(&talk.query("INSERT INTO ex (created_at, started_at, seconds) VALUES ('2026-03-01', '2026-03-01', 5)")),
        "CZ"
    );
    assert_refused(
        &talk.query("INSERT INTO ex (created_at, started_at, seconds) VALUES ('2026-03-01', '2026-03-01', -5)"),
    );
    assert_eq!(
        rows(
            &talk.run("INSERT INTO ex (id, created_at) OVERRIDING SYSTEM VALUE VALUES (77, '2026-03-01') RETURNING id")
        ),
        [["77"]]
    );
    // The generated column changes with the one it is made of.
    assert_refused(&talk.query("UPDATE ex SET seconds = -1 WHERE id = 1"));
    assert_eq!(tags(&talk.query("UPDATE ex SET seconds = 7 WHERE id = 1")), "CZ");
    assert_eq!(error(&talk.query("INSERT INTO ex (id) VALUES (5)")).field('C'), "428C9");
    let copy = |rows: &str| {
        [fe::query("COPY ex (created_at, started_at, seconds) FROM STDIN"), fe::copy_data(rows), fe::copy_done()]
            .concat()
    };
    talk.send(&copy("2026-03-01\t2026-03-01\t5\n"));
    assert_eq!(tags(&talk.ready()), "GCZ");
    talk.send(&copy("2026-03-01\t2026-03-01\t-5\n"));
    assert_refused(&talk.ready());
    assert_eq!(guarded.landed("SELECT count(*) FROM ex"), "3");
}

#[test]
fn returning_of_every_kind() {
    let guarded = Guarded::new(&REJECT.replace("reject", "observe"));
    let mut talk = guarded.login();
    let columns = |talk: &mut crate::harness::Talk, sql: &str| {
        let replies = talk.run(sql);
        let names: Vec<_> = replies[0].columns().into_iter().map(|c| c.name).collect();
        for row in replies.iter().filter(|m| m.tag == b'D') {
            assert_eq!(row.values().len(), names.len(), "{sql}");
        }
        names.join(",")
    };
    let all = "id,job_id,status,created_at,started_at,completed_at,note";
    assert_eq!(columns(&mut talk, &format!("{BAD} RETURNING *")), all);
    assert_eq!(columns(&mut talk, "UPDATE ex AS e SET completed_at = '2020-01-01' RETURNING e.*"), all);
    assert_eq!(
        columns(&mut talk, "UPDATE ex SET note = 'x', completed_at = '2020-01-02' RETURNING *, *"),
        format!("{all},{all}")
    );
    assert_eq!(
        columns(&mut talk, "UPDATE ex SET completed_at = '2020-01-03' RETURNING ex, id AS cg, 1"),
        "ex,cg,?column?"
    );
    assert_eq!(
        columns(&mut talk, "UPDATE ex SET completed_at = '2020-01-04' RETURNING tableoid::regclass, xmin IS NULL AS x"),
        "tableoid,x"
    );
    assert_eq!(
        columns(&mut talk, "WITH w AS (UPDATE ex SET completed_at = '2020-01-05' RETURNING *) SELECT * FROM w"),
        all
    );
    assert_eq!(
        columns(
            &mut talk,
            "WITH w AS (UPDATE ex SET completed_at = '2020-01-06' RETURNING ex.*, 1 AS one) SELECT w.* FROM w JOIN w w2 USING (id)"
        ),
        format!("{all},one")
    );
    assert_eq!(
        columns(
            &mut talk,
            "WITH w (a, b) AS (UPDATE ex SET completed_at = '2020-01-07' RETURNING id, note) SELECT * FROM w"
        ),
        "a,b"
    );
    assert_eq!(
        columns(
            &mut talk,
            "WITH w AS (UPDATE ex SET completed_at = '2020-01-08' WHERE id = 1 RETURNING *) SELECT row_to_json(w) FROM w"
        ),
        "row_to_json"
    );
    let json = talk.value("WITH w AS (UPDATE ex SET completed_at = '2020-01-09' WHERE id = 1 RETURNING *) SELECT string_agg(k, ',' ORDER BY k) FROM w, json_object_keys(row_to_json(w)) k");
    assert_eq!(json, "completed_at,created_at,id,job_id,note,started_at,status");
    talk.run("CREATE TABLE made AS WITH w AS (UPDATE ex SET completed_at = '2020-01-10' WHERE id = 1 RETURNING *) SELECT * FROM w");
    assert_eq!(guarded.landed("SELECT string_agg(attname, ',' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'made'::regclass AND attnum > 0"), all);
}

#[test]
fn merge_before_17_is_passed_and_counted() {
    let guarded = Guarded::new(REJECT);
    let mut talk = guarded.login();
    if crate::harness::cluster().version < 150_000 {
        return;
    }
    let sql = "MERGE INTO ex USING (SELECT 101 AS id) s ON ex.id = s.id WHEN NOT MATCHED THEN INSERT (id, created_at, started_at) VALUES (s.id, '2026-03-02', '2026-03-01')";
    let replies = talk.query(sql);
    if crate::harness::cluster().version < 170_000 {
        assert_eq!(tags(&replies), "CZ");
        guarded.await_unguardable("merge_before_17", 1);
    } else {
        assert_refused(&replies);
    }
}

#[test]
fn texts_that_are_stored_are_never_spliced() {
    let guarded = Guarded::new(REJECT);
    let mut talk = guarded.login();
    talk.run("CREATE FUNCTION f() RETURNS void LANGUAGE sql BEGIN ATOMIC INSERT INTO ex (id, created_at, started_at) VALUES (103, '2026-03-02', '2026-03-01'); END");
    talk.run("CREATE FUNCTION g() RETURNS void LANGUAGE sql AS 'INSERT INTO ex (id, created_at, started_at) VALUES (104, ''2026-03-02'', ''2026-03-01'')'");
    talk.run("CREATE RULE r AS ON DELETE TO plain DO ALSO INSERT INTO ex (id) VALUES (105)");
    talk.run("CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN INSERT INTO ex (id) VALUES (106); END $$");
    let stored = guarded.landed(
        "SELECT string_agg(pg_get_functiondef(oid), '') FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
    ) + &guarded.landed("SELECT pg_get_ruledef(oid) FROM pg_rewrite WHERE rulename = 'r'");
    assert!(!stored.contains("int4in") && !stored.contains("RETURNING"), "{stored}");
    // Inside of functions the proxy sees nothing; documented.
    talk.run("SELECT f(), g()");
    talk.run("CALL p()");
    talk.run(
        "DO $$ BEGIN INSERT INTO ex (id, created_at, started_at) VALUES (107, '2026-03-02', '2026-03-01'); END $$",
    );
    assert_eq!(guarded.landed_ids(), "103 104 106 107");
    assert_eq!(guarded.proxy.metrics().sum("statements_total", &[]), 0.0);
}

#[test]
fn a_copy_out_of_a_write_holds_only_the_clients_columns() {
    let guarded = Guarded::new(&REJECT.replace("reject", "observe"));
    let mut talk = guarded.login();
    let replies = talk.run("COPY (INSERT INTO ex (id, created_at, started_at) VALUES (101, '2026-03-02', '2026-03-01') RETURNING id) TO STDOUT");
    let data: Vec<_> =
        replies.iter().filter(|m| m.tag == b'd').map(|m| String::from_utf8_lossy(&m.body).into_owned()).collect();
    assert_eq!(data, ["101\n"]);
    guarded.await_outcome("observed", 1);
}

#[test]
fn foreign_tables_keep_their_batches() {
    let guarded = Guarded::new(&REJECT.replace("public.ex", "public.remote"));
    let (port, database) = (crate::harness::cluster().addr.port(), &guarded.database);
    guarded.direct().run(&format!(
        "CREATE EXTENSION postgres_fdw;
         CREATE SERVER s FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '{port}', dbname '{database}', batch_size '100');
         CREATE USER MAPPING FOR postgres SERVER s OPTIONS (user 'postgres');
         CREATE FOREIGN TABLE remote (id bigint, created_at timestamptz, started_at timestamptz, completed_at timestamptz) SERVER s OPTIONS (table_name 'ex')"
    ));
    let mut talk = guarded.login();
    assert_eq!(
        tags(&talk.query("INSERT INTO remote (id, created_at, started_at) VALUES (101, '2026-03-02', '2026-03-01')")),
        "CZ"
    );
    guarded.await_unguardable("foreign_table", 1);
    assert_eq!(guarded.landed_ids(), "101");
}

#[test]
fn the_limit_of_1664_columns() {
    let columns: Vec<_> = (0..1500).map(|n| format!("c{n} bool")).collect();
    let guarded = Guarded::with_schema(
        REJECT,
        &format!(
            "DROP TABLE ex; CREATE TABLE ex (id bigint, created_at timestamptz, started_at timestamptz, completed_at timestamptz, {})",
            columns.join(", ")
        ),
    );
    let mut talk = guarded.login();
    let more: Vec<_> = (0..160).map(|n| format!("{n} AS d{n}")).collect();
    let sql = format!(
        "INSERT INTO ex (id, created_at, started_at) VALUES (102, '2026-03-01', '2026-03-02') RETURNING *, {}",
        more.join(", ")
    );
    let replies = talk.query(&sql);
    assert_eq!(tags(&replies), "TDCZ", "{}", replies[0]);
    assert_eq!(replies[0].columns().len(), 1664);
    assert_refused(&talk.query(BAD));
}

#[test]
fn schemas_and_quoted_names() {
    let rules = "version: 1\ntables:\n  - table: 'migration.\"Discovery Flows\"'\n    on_violation: reject\n    rules:\n      - name: flows_order\n        order: ['\"createdAt\"', '\"endedAt\"']\n";
    let guarded = Guarded::with_schema(
        rules,
        "CREATE SCHEMA migration; CREATE TABLE migration.\"Discovery Flows\" (id int, \"createdAt\" timestamp, \"endedAt\" timestamp)",
    );
    let mut talk = guarded.login();
    let sql = "INSERT INTO migration.\"Discovery Flows\" VALUES (1, '2026-03-02', '2026-03-01')";
    assert_refused_by(&talk.query(sql), "migration", "Discovery Flows", "flows_order");
    talk.run("SET search_path = migration");
    assert_refused_by(
        &talk.query("INSERT INTO \"Discovery Flows\" AS \"A b\" VALUES (1, '2026-03-02', '2026-03-01')"),
        "migration",
        "Discovery Flows",
        "flows_order",
    );
    assert_eq!(tags(&talk.query("INSERT INTO \"Discovery Flows\" VALUES (1, '2026-03-01', '2026-03-02')")), "CZ");
}
