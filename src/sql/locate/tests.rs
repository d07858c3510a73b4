use super::*;
use crate::sql::{
    splice::{OldRow, place_guard, splice},
    write::ItemKind,
};

fn located(text: &str) -> Located {
    locate(text.as_bytes(), LexOptions::default())
}

fn one(text: &str) -> Statement {
    let mut found = located(text);
    assert_eq!(found.statements.len(), 1, "{text}: {found:?}");
    assert!(found.complete, "{text}");
    found.statements.remove(0)
}

/// `operation schema.table alias place` of each write.
fn writes(text: &str) -> Vec<String> {
    located(text).statements.iter().flat_map(|s| &s.writes).map(brief).collect()
}

fn brief(w: &Write) -> String {
    let mut out = format!("{} ", w.operation.as_str());
    if w.target.only {
        out += "only ";
    }
    for part in [&w.target.catalog, &w.target.schema].into_iter().flatten() {
        out += &format!("{part}.");
    }
    out += &w.target.name;
    if let Some(alias) = &w.alias {
        out += &format!(" as {alias}");
    }
    match w.place {
        Place::Top => {}
        Place::Explain => out += " (explain)",
        Place::Cte => out += " (cte)",
        Place::Consumed => out += " (consumed)",
    }
    if let Some(problem) = w.problem {
        out += &format!(" ! {problem}");
    }
    out
}

fn write(text: &str) -> Write {
    let mut s = one(text);
    assert_eq!(s.writes.len(), 1, "{text}");
    let w = s.writes.remove(0);
    assert_eq!(w.problem, None, "{text}");
    w
}

#[test]
fn targets() {
    for (text, want) in [
        ("INSERT INTO t VALUES (1)", "insert t"),
        ("insert into S.\"T\" as X (a) values (1)", "insert s.T as x"),
        ("INSERT INTO db.s.t DEFAULT VALUES", "insert db.s.t"),
        ("INSERT INTO U&\"d\\0061ta\" TABLE x", "insert data"),
        ("UPDATE t SET a = 1", "update t"),
        ("UPDATE ONLY t SET a = 1", "update only t"),
        ("UPDATE ONLY (s.t) AS x SET a = 1", "update only s.t as x"),
        ("UPDATE t * x SET a = 1", "update t as x"),
        ("UPDATE t set set = 1", "update t"),
        ("/* c */ UPDATE/**/t--x\nSET a=1", "update t"),
        ("MERGE INTO ONLY t USING s ON t.a = s.a WHEN MATCHED THEN UPDATE SET a = 1", "merge only t"),
        ("MERGE INTO t x USING s ON x.a = s.a WHEN NOT MATCHED THEN INSERT VALUES (1)", "merge t as x"),
        ("COPY t FROM STDIN", "copy t"),
        ("COPY BINARY s.t (a, b) FROM '/x'", "copy s.t"),
        ("PREPARE p (int, text[]) AS INSERT INTO t VALUES ($1)", "insert t"),
        ("EXPLAIN ANALYZE INSERT INTO t VALUES (1)", "insert t (explain)"),
        ("EXPLAIN ANALYSE VERBOSE UPDATE t SET a = 1", "update t (explain)"),
        ("EXPLAIN (COSTS off, ANALYZE) UPDATE t SET a = 1", "update t (explain)"),
        ("EXPLAIN (ANALYZE off, ANALYZE 'on', FORMAT json) UPDATE t SET a = 1", "update t (explain)"),
        ("COPY (INSERT INTO t VALUES (1) RETURNING a) TO STDOUT", "insert t (consumed)"),
        ("WITH x AS (INSERT INTO t VALUES (1) RETURNING *) SELECT * FROM x", "insert t (cte)"),
        ("WITH RECURSIVE x(a, b) AS NOT MATERIALIZED (UPDATE t SET a = 1 RETURNING *) SELECT 1", "update t (cte)"),
        (
            "CREATE TEMP TABLE n (a) WITH (fillfactor=70) AS WITH x AS (UPDATE t SET a=1 RETURNING a) SELECT * FROM x",
            "update t (cte)",
        ),
        (
            "EXPLAIN ANALYZE CREATE TABLE n AS WITH x AS (UPDATE t SET a=1 RETURNING a) SELECT * FROM x",
            "update t (cte)",
        ),
        ("DECLARE c CURSOR WITH HOLD FOR WITH x AS (UPDATE t SET a=1 RETURNING a) SELECT * FROM x", "update t (cte)"),
        ("SELECT (WITH x AS (INSERT INTO t VALUES (1) RETURNING a) SELECT a FROM x)", "insert t (cte)"),
        ("WITH x AS (SELECT 1) (WITH y AS (INSERT INTO t VALUES (1) RETURNING a) SELECT a FROM x)", "insert t (cte)"),
        ("INSERT INTO t (SELECT 1)", "insert t"),
        ("INSERT INTO t ((SELECT 1))", "insert t"),
        ("INSERT INTO t (values) VALUES (1)", "insert t"),
    ] {
        assert_eq!(writes(text), [want], "{text}");
    }
}

#[test]
fn several() {
    assert_eq!(
        writes("INSERT INTO a VALUES (';'); ;UPDATE b SET x = $$;$$; -- INSERT INTO c\n COPY d FROM STDIN;"),
        ["insert a", "update b", "copy d"]
    );
    assert_eq!(
        writes(
            "WITH a AS (INSERT INTO t1 WITH i AS (UPDATE t2 SET x=1 RETURNING x) SELECT x FROM i RETURNING x), \
             b AS (WITH c AS (DELETE FROM t9 RETURNING *) MERGE INTO t3 USING c ON true WHEN MATCHED THEN DELETE) \
             UPDATE t4 SET x = (SELECT max(x) FROM a) RETURNING *"
        ),
        ["insert t1 (cte)", "update t2 (cte)", "merge t3 (cte)", "update t4"]
    );
    assert_eq!(
        writes(
            "WITH RECURSIVE a(n) AS (SELECT 1) SEARCH DEPTH FIRST BY n, m SET o CYCLE n SET c TO true DEFAULT false USING p, \
             b AS (INSERT INTO t SELECT 1 RETURNING 1) SELECT 1"
        ),
        ["insert t (cte)"]
    );
    assert_eq!(
        writes("INSERT INTO t (a) OVERRIDING USER VALUE WITH x AS (INSERT INTO u VALUES (1) RETURNING 1) SELECT 1"),
        ["insert t", "insert u (cte)"]
    );
    assert_eq!(
        writes("INSERT INTO t (WITH x AS (INSERT INTO u VALUES (1) RETURNING 1) SELECT 1) RETURNING a"),
        ["insert t", "insert u (cte)"]
    );
}

#[test]
fn not_looked_into() {
    for text in [
        "CREATE FUNCTION f() RETURNS void LANGUAGE sql BEGIN ATOMIC INSERT INTO t VALUES (1); UPDATE t SET a = CASE WHEN b THEN 1 ELSE 2 END; SELECT 1 AS end; END",
        "CREATE OR REPLACE PROCEDURE f() BEGIN ATOMIC END",
        "CREATE RULE r AS ON INSERT TO v DO INSTEAD (INSERT INTO t VALUES (1); UPDATE t SET a = 1)",
        "CREATE RULE r AS ON INSERT TO v DO ALSO INSERT INTO t VALUES (1)",
        "CREATE TRIGGER x AFTER UPDATE ON t EXECUTE FUNCTION f()",
        "DO $$ BEGIN INSERT INTO t VALUES (1); END $$",
        "EXPLAIN INSERT INTO t VALUES (1)",
        "EXPLAIN (ANALYZE off) INSERT INTO t VALUES (1)",
        "EXPLAIN (ANALYZE, ANALYZE false) INSERT INTO t VALUES (1)",
        "EXPLAIN (ANALYZE 0, VERBOSE) INSERT INTO t VALUES (1)",
        "EXPLAIN VERBOSE INSERT INTO t VALUES (1)",
        "SELECT insert, update FROM t WHERE update(1)",
        "SELECT (update) FROM t",
        "SELECT 'INSERT INTO t'",
        "DELETE FROM t",
        "COPY t TO STDOUT",
        "COPY (SELECT 1) TO STDOUT",
        "GRANT INSERT ON t TO x",
    ] {
        let s = one(text);
        assert!(s.writes.is_empty(), "{text}");
        assert_eq!(s.span, 0..text.len());
    }
    assert_eq!(
        writes(
            "CREATE FUNCTION f() BEGIN ATOMIC SELECT CASE WHEN a THEN 1 END; INSERT INTO t VALUES (1); END; INSERT INTO u VALUES (1)"
        ),
        ["insert u"]
    );
    assert_eq!(
        writes("CREATE RULE r AS ON INSERT TO v DO (INSERT INTO t VALUES (1); SELECT 1); INSERT INTO u VALUES (1)"),
        ["insert u"]
    );
}

#[test]
fn verbs() {
    let name = || "p".to_owned();
    for (text, want) in [
        ("SELECT 1", Verb::Plain),
        ("(SELECT 1)", Verb::Plain),
        ("SELECT set_config('search_path', 'x', false)", Verb::ChangesNames),
        ("SELECT \"set_config\"('search_path', 'x', false)", Verb::ChangesNames),
        ("PREPARE P AS SELECT 1", Verb::Prepare(name())),
        ("EXECUTE p(1, 2)", Verb::Execute { name: name(), wrapped: false }),
        ("EXPLAIN ANALYZE EXECUTE p", Verb::Execute { name: name(), wrapped: true }),
        ("EXPLAIN EXECUTE p", Verb::Explain),
        ("EXPLAIN ANALYZE SELECT 1", Verb::Explain),
        ("EXPLAIN (SELECT 1)", Verb::Explain),
        ("CREATE TABLE x AS EXECUTE p(1)", Verb::Execute { name: name(), wrapped: true }),
        ("CREATE TABLE x AS SELECT 1", Verb::ChangesNames),
        ("DEALLOCATE PREPARE p", Verb::Deallocate(Some(name()))),
        ("DEALLOCATE ALL", Verb::Deallocate(None)),
        ("DISCARD ALL", Verb::Deallocate(None)),
        ("DISCARD TEMP", Verb::ChangesNames),
        ("BEGIN", Verb::Begin),
        ("START TRANSACTION ISOLATION LEVEL SERIALIZABLE", Verb::Begin),
        ("COMMIT AND CHAIN", Verb::Commit),
        ("END", Verb::Commit),
        ("COMMIT PREPARED 'x'", Verb::Plain),
        ("PREPARE TRANSACTION 'x'", Verb::Commit),
        ("ROLLBACK", Verb::Rollback),
        ("ABORT WORK", Verb::Rollback),
        ("ROLLBACK WORK TO SAVEPOINT p", Verb::RollbackTo(name())),
        ("ROLLBACK TO p", Verb::RollbackTo(name())),
        ("SAVEPOINT \"p\"", Verb::Savepoint(name())),
        ("RELEASE p", Verb::Release(name())),
        ("RELEASE SAVEPOINT p", Verb::Release(name())),
        ("SET search_path = x", Verb::ChangesNames),
        ("SET LOCAL ROLE x", Verb::ChangesNames),
        ("SET SESSION AUTHORIZATION x", Verb::ChangesNames),
        ("SET SESSION AUTHORIZATION DEFAULT", Verb::ChangesNames),
        ("SET LOCAL SESSION AUTHORIZATION x", Verb::ChangesNames),
        ("SET SCHEMA 'x'", Verb::ChangesNames),
        ("SET statement_timeout = 0", Verb::Plain),
        ("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", Verb::Plain),
        ("SET TRANSACTION READ ONLY", Verb::Plain),
        ("RESET ALL", Verb::ChangesNames),
        ("RESET \"search_path\"", Verb::ChangesNames),
        ("RESET SESSION AUTHORIZATION", Verb::ChangesNames),
        ("ALTER TABLE t ADD c int", Verb::ChangesNames),
        ("DO 'x'", Verb::ChangesNames),
        ("CALL f()", Verb::ChangesNames),
        ("COPY t TO STDOUT", Verb::Copy),
        ("VACUUM", Verb::Plain),
    ] {
        assert_eq!(one(text).verb, want, "{text}");
    }
    assert!(one("DISCARD ALL").changes_names);
    assert!(one("CREATE TABLE x AS EXECUTE p(1)").changes_names);
    assert!(one("SELECT 1 INTO TEMP t").changes_names);
    assert!(!one("INSERT INTO t SELECT a.into FROM a").changes_names);
    assert!(one("INSERT INTO t SELECT pg_catalog.set_config('a', 'b', true)").changes_names);
}

#[test]
fn columns() {
    let cols = |w: &Write| w.columns.clone().map(|c| c.join(","));
    assert_eq!(cols(&write("INSERT INTO t (a, \"B\", c.d, e[1], f[(1)].g) VALUES (1)")).unwrap(), "a,B,c,e,f");
    assert_eq!(cols(&write("INSERT INTO t VALUES (1)")), None);
    assert_eq!(cols(&write("COPY t (a, b) FROM STDIN")).unwrap(), "a,b");
    assert_eq!(
        cols(&write(
            "UPDATE t SET a = 1, (b, c[1]) = ROW(1, 2), meta['k'] = f(x, y), d.e = b IS DISTINCT FROM c, arr[1:2] = ARRAY[1,2] WHERE z"
        ))
        .unwrap(),
        "a,b,c,meta,d,arr"
    );
    let w = write(
        "INSERT INTO t (a) VALUES (1) ON CONFLICT (lower(x)) WHERE b DO UPDATE SET a = excluded.a, (b,c) = (1,2) WHERE t.z RETURNING a",
    );
    assert_eq!(w.conflict_columns.unwrap().join(","), "a,b,c");
    assert!(w.conflict_target && w.reads_target);
    assert_eq!(w.columns.unwrap(), ["a"]);
    let w = write("INSERT INTO t SELECT * FROM a JOIN b ON conflict = a.x CROSS JOIN c ON CONFLICT DO NOTHING");
    assert!(!w.conflict_target && w.conflict_columns.is_none());
    assert!(write("INSERT INTO t VALUES (1) ON CONFLICT ON CONSTRAINT k DO NOTHING").conflict_target);
}

#[test]
fn scope() {
    assert!(write("UPDATE t SET a = 1 FROM u WHERE t.x = u.x").joined);
    assert!(!write("UPDATE t SET a = extract(epoch FROM b), c = d IS NOT DISTINCT FROM e").joined);
    for (text, want) in [
        ("UPDATE t SET a = 1", false),
        ("UPDATE t SET a = now() WHERE true", false),
        ("UPDATE t SET a = date '2020-01-01', b = extract(epoch FROM now())", false),
        ("UPDATE t SET a = $1 WHERE (SELECT x FROM y) = 1", false),
        ("UPDATE t SET a = 1 WHERE id = 1", true),
        ("UPDATE t SET a = 1 WHERE (id) IN (1)", true),
        ("UPDATE t SET a = a + 1", true),
        ("UPDATE t SET a = f(1, b)", true),
        ("UPDATE t SET a = b", true),
        ("UPDATE t SET a = u.b FROM u WHERE u.c = 1", false),
        ("UPDATE t SET a = u.b FROM u WHERE u.c = t.c", true),
        ("UPDATE t x SET a = u.b FROM u WHERE x.c = 1", true),
        ("UPDATE t SET a = 1 RETURNING 1", false),
        ("UPDATE t SET a = 1 RETURNING id", true),
        ("INSERT INTO t SELECT a FROM b WHERE c = 1", false),
        ("INSERT INTO t SELECT a FROM b RETURNING *", true),
    ] {
        assert_eq!(write(text).reads_target, want, "{text}");
    }
}

#[test]
fn copy() {
    let text = "COPY t FROM STDIN WITH (FORMAT csv, NULL 'where') WHERE a > 1 OR (b) -- c";
    let w = write(text);
    assert_eq!(&text[w.copy_where.unwrap()], "a > 1 OR (b)");
    let text = "COPY t FROM PROGRAM 'cat' DELIMITERS ',' WITH NULL AS '' CSV HEADER WHERE (a) ;";
    assert_eq!(&text[write(text).copy_where.unwrap()], "(a)");
    assert_eq!(write("COPY t FROM STDIN CSV").copy_where, None);
}

#[test]
fn what_a_copy_says_of_its_rows() {
    let source = |text: &str| write(text).copy.unwrap();
    let said = |text: &str| {
        let s = source(text);
        (s.stdin, s.csv, s.header, s.skips, s.particular)
    };
    for (text, want) in [
        ("COPY t FROM STDIN", (true, false, false, false, false)),
        ("COPY t (a) FROM '/stdin' WITH (FORMAT csv, HEADER)", (false, true, true, false, false)),
        ("COPY t FROM PROGRAM 'cat' (FORMAT 'csv', HEADER false, DELIMITER ')')", (false, true, false, false, false)),
        ("COPY BINARY t FROM STDIN", (true, false, false, false, false)),
        ("COPY t FROM STDIN (header MATCH, format text, encoding 'UTF8')", (true, false, true, false, false)),
        ("COPY t FROM STDIN WITH CSV HEADER QUOTE 'x' FORCE NOT NULL a, b", (true, true, true, false, false)),
        ("COPY t FROM STDIN (ON_ERROR ignore, LOG_VERBOSITY verbose)", (true, false, false, true, false)),
        ("COPY t FROM STDIN (ON_ERROR stop)", (true, false, false, false, false)),
        ("COPY t FROM STDIN (FREEZE)", (true, false, false, false, true)),
        ("COPY t FROM STDIN (FREEZE off)", (true, false, false, false, false)),
        ("COPY t FROM STDIN FREEZE", (true, false, false, false, true)),
        ("COPY t FROM STDIN (DEFAULT 'd')", (true, false, false, false, true)),
        ("COPY t FROM STDIN (HEADER 3)", (true, false, false, false, true)),
        ("COPY t FROM STDIN (of_tomorrow)", (true, false, false, false, true)),
        ("COPY t FROM STDIN (NULL 'freeze') ;", (true, false, false, false, false)),
    ] {
        assert_eq!(said(text), want, "{text}");
    }
    let text = "COPY /* c */ public.\"T\" (a) FROM STDIN (FORCE_NULL (a, \"B\")) WHERE f(C) > 1 AND \"d e\" IS NULL";
    let s = source(text);
    assert_eq!(&text[s.relation], "public.\"T\"");
    assert_eq!(s.option_names, ["a", "B"]);
    assert_eq!(s.where_names, ["f", "c", "and", "d e", "is", "null"]);
    assert!(one("COPY t FROM").writes[0].problem.is_some());
}

#[test]
fn ends() {
    for (text, want) in [
        ("INSERT INTO t VALUES (1) -- c", "INSERT INTO t VALUES (1)"),
        ("INSERT INTO t VALUES (1)/* c */;", "INSERT INTO t VALUES (1)"),
        ("WITH x AS (SELECT 1) UPDATE t SET a = 1 ; ", "UPDATE t SET a = 1"),
        ("PREPARE p AS UPDATE t SET a = 1", "UPDATE t SET a = 1"),
        ("COPY ( UPDATE t SET a = 1 RETURNING b /* c */) TO STDOUT", "UPDATE t SET a = 1 RETURNING b"),
    ] {
        let w = write(text);
        assert_eq!((&text[w.span.clone()], w.end), (want, w.span.end), "{text}");
    }
    let found = located(" -- lead\n SELECT 1; /* mid */ SELECT 2 /* tail */;;");
    assert_eq!(found.body, 10..38);
}

fn items(list: &str) -> Vec<(ItemKind, String, Option<String>, bool)> {
    let text = format!("UPDATE t SET a = 1 RETURNING {list}");
    let w = write(&text);
    let returning = w.returning.unwrap();
    assert_eq!(returning.items.last().unwrap().span.end, text.len());
    returning.items.into_iter().map(|i| (i.kind, text[i.expr].to_owned(), i.output_name, i.named)).collect()
}

#[test]
fn returning_items() {
    use ItemKind::*;
    let implied = |list: &str, kind, name: Option<&str>| {
        assert_eq!(items(list), [(kind, list.to_owned(), name.map(str::to_owned), false)], "{list}");
    };
    implied("*", Star, None);
    implied("s.T.*", QualifiedStar("t".into()), None);
    implied("a", Column, Some("a"));
    implied("t.\"B\"", Column, Some("B"));
    implied("1", Literal, Some("?column?"));
    implied("$1", Literal, Some("?column?"));
    implied("true", Literal, Some("?column?"));
    implied("f(a, b)", Expr, Some("f"));
    implied("pg_catalog.f()", Expr, Some("f"));
    implied("coalesce(a, b)", Expr, Some("coalesce"));
    implied("current_timestamp", Expr, Some("current_timestamp"));
    implied("a::text", Expr, Some("a"));
    implied("a::timestamp(3) with time zone", Expr, Some("a"));
    implied("a[1].b", Expr, Some("b"));
    implied("(a).b", Expr, Some("b"));
    implied("(a)", Expr, None);
    implied("'x'::date", Expr, None);
    implied("date 'x'", Expr, None);
    implied("a + b * -1", Expr, Some("?column?"));
    implied("NOT a AND b", Expr, Some("?column?"));
    implied("ARRAY[a]", Expr, Some("array"));
    implied("cast(a AS text)", Expr, None);
    implied("CASE WHEN a THEN b END", Unclear, None);
    implied("a IS NULL", Unclear, None);
    implied("a COLLATE \"C\"", Unclear, None);
    implied("interval '1' day", Unclear, None);
    implied("a AT TIME ZONE b", Unclear, None);
    implied("a ISNULL", Unclear, None);
    let named = |list: &str, kind, expr: &str, name: &str| {
        assert_eq!(items(list), [(kind, expr.to_owned(), Some(name.to_owned()), true)], "{list}");
    };
    named("a AS B", Column, "a", "b");
    named("a b", Column, "a", "b");
    named("a::int \"X\"", Expr, "a::int", "X");
    named("f(a) name", Expr, "f(a)", "name");
    named("CASE WHEN a THEN b END AS returning", Expr, "CASE WHEN a THEN b END", "returning");
    let long = format!("a{} AS x", " + a".repeat(100));
    named(&long, Expr, &long[..long.len() - 5], "x");
    assert_eq!(items("*, a, f(b, c), d x").len(), 4);
    let w = write("UPDATE t SET a = 1 RETURNING WITH (OLD AS o, NEW AS n) o.a, n.a");
    let r = w.returning.unwrap();
    assert_eq!((r.old_alias.as_deref(), r.new_alias.as_deref(), r.items.len()), (Some("o"), Some("n"), 2));
}

#[test]
fn what_cannot_be_read_says_so() {
    for (text, want) in [
        ("INSERT t VALUES (1)", "insert t ! INTO expected after INSERT"),
        ("INSERT INTO 1 VALUES (1)", "insert  ! name of a relation expected"),
        ("INSERT INTO a.b.c.d VALUES (1)", "insert a.b.c ! name of a relation expected"),
        (
            "UPDATE t FOR PORTION OF v FROM 1 TO 2 SET a = 1",
            "update t as for ! SET expected after the target of UPDATE",
        ),
        ("UPDATE t SET a = 1 RETURNING", "update t ! expression expected in RETURNING"),
        ("UPDATE t SET a = 'x", "update t ! the text is not complete"),
        ("UPDATE t SET a = (1", "update t ! the text is not complete"),
        ("INSERT INTO t (a", "insert t ! column list is not closed"),
        ("COPY t FROM STDIN WHERE", "copy t ! condition expected after WHERE"),
        ("COPY t", "copy t ! FROM or TO expected in COPY"),
    ] {
        assert_eq!(writes(text), [want], "{text}");
    }
    assert!(!located("SELECT ')").complete);
    assert!(!located("SELECT 1)").complete);
}

#[test]
fn long_and_deep_texts() {
    let list = (0..1_500_000).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    let text = format!("UPDATE t SET a = 1 WHERE id IN ({list}) RETURNING id");
    assert!(text.len() > 10_000_000);
    assert_eq!(writes(&text), ["update t"]);
    for n in [10_000, 100_000] {
        let text = format!("INSERT INTO t SELECT {}1{} RETURNING a", "(".repeat(n), ")".repeat(n));
        assert_eq!(write(&text).returning.unwrap().items.len(), 1);
        let text = format!("{}SELECT 1{}", "WITH x AS (INSERT INTO t ".repeat(n), " RETURNING 1) SELECT 1".repeat(n));
        assert_eq!(writes(&text).len(), n);
        let text = format!("UPDATE t SET {}1{}", "a[(".repeat(n), ")]".repeat(n));
        assert_eq!(writes(&text).len(), 1);
        let text = "/*".repeat(n) + &"*/".repeat(n) + "UPDATE t SET a = 1";
        assert_eq!(writes(&text), ["update t"]);
        let text = "UPDATE t SET a = 1 RETURNING (".repeat(n);
        assert!(!located(&text).complete);
    }
}

fn check(text: &[u8], options: LexOptions) {
    let found = locate(text, options);
    let mut last = 0;
    for s in &found.statements {
        assert!(last <= s.span.start && s.span.start <= s.span.end && s.span.end <= text.len());
        last = s.span.end;
        let mut start = s.span.start;
        for w in &s.writes {
            assert!(start <= w.span.start && w.span.start <= w.span.end && w.span.end <= s.span.end);
            start = w.span.start;
            assert_eq!(w.end, w.span.end);
            if let Some(cond) = &w.copy_where {
                assert!(w.span.start < cond.start && cond.start < cond.end && cond.end == w.end);
            }
            assert!(w.set_ends.iter().all(|end| (w.span.start..=w.end).contains(end)));
            if let Some(condition) = &w.condition {
                assert!(w.span.start < condition.start && condition.start <= condition.end && condition.end <= w.end);
            }
            let old = [OldRow::Alias, OldRow::Condition, OldRow::Assignment].map(|make| Some(make("o".to_owned())));
            for old in old.iter().chain([&None]) {
                let _ = place_guard(text, w, "g", old.as_ref(), &["a", "b"]).map(|edits| splice(text, &edits));
            }
            let Some(r) = &w.returning else { continue };
            let mut last = r.start;
            assert!(w.span.start < r.start);
            for item in &r.items {
                assert!(last < item.span.start && item.span.start == item.expr.start);
                assert!(item.expr.start < item.expr.end && item.expr.end <= item.span.end && item.span.end <= w.end);
                last = item.span.end;
            }
        }
    }
}

fn words() -> impl proptest::strategy::Strategy<Value = String> {
    use proptest::prelude::*;
    let word = proptest::sample::select(vec![
        "WITH",
        "x",
        "AS",
        "(",
        ")",
        "(",
        ")",
        "INSERT",
        "INTO",
        "t",
        "UPDATE",
        "SET",
        "=",
        "1",
        ",",
        "RETURNING",
        "*",
        "WHERE",
        "FROM",
        ";",
        "ON",
        "CONFLICT",
        "DO",
        "MERGE",
        "USING",
        "COPY",
        "STDIN",
        "SELECT",
        "VALUES",
        "EXPLAIN",
        "ANALYZE",
        "PREPARE",
        "CREATE",
        "TABLE",
        "FUNCTION",
        "BEGIN",
        "ATOMIC",
        "END",
        "CASE",
        "[",
        "]",
        ".",
        "::",
        "'s'",
        "ONLY",
        "JOIN",
        "EXECUTE",
        "DECLARE",
        "FOR",
        "OLD",
        "--c\n",
        "/*",
        "*/",
        "'",
        "SEARCH",
        "CYCLE",
        "ROLLBACK",
        "TO",
    ]);
    proptest::collection::vec(word, 0..40).prop_map(|w| w.join(" "))
}

proptest::proptest! {
    #[test]
    fn any_bytes(text: Vec<u8>, standard_conforming_strings: bool) {
        check(&text, LexOptions { standard_conforming_strings });
    }

    #[test]
    fn any_words(text in words()) {
        check(text.as_bytes(), LexOptions::default());
    }
}
