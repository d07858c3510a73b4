use super::*;
use crate::sql::{locate::locate, write::LexOptions};

/// Every write of `text` with the guard `g`.
fn guarded(text: &str) -> Result<String, NoPlace> {
    with_old_row(text, None)
}

fn with_old_row(text: &str, old: Option<&OldRow>) -> Result<String, NoPlace> {
    let mut edits = Vec::new();
    for statement in locate(text.as_bytes(), LexOptions::default()).statements {
        for write in statement.writes {
            edits.extend(place_guard(text.as_bytes(), &write, "g", old, &["id", "We\"ird"])?);
        }
    }
    Ok(String::from_utf8(splice(text.as_bytes(), &edits).text).unwrap())
}

#[test]
fn where_the_guard_goes() {
    for (text, want) in [
        ("INSERT INTO t VALUES (1) -- c", "INSERT INTO t VALUES (1) RETURNING g -- c"),
        (
            "INSERT INTO t VALUES (1);UPDATE u SET a=1;",
            "INSERT INTO t VALUES (1) RETURNING g;UPDATE u SET a=1 RETURNING g;",
        ),
        ("UPDATE t SET a=1 RETURNING *, b x/**/;", "UPDATE t SET a=1 RETURNING *, b x, g/**/;"),
        ("EXPLAIN ANALYZE UPDATE t SET a=1", "EXPLAIN ANALYZE UPDATE t SET a=1 RETURNING g"),
        ("WITH x AS (UPDATE t SET a=1) SELECT 1", "WITH x AS (UPDATE t SET a=1 RETURNING g) SELECT 1"),
        (
            "WITH x AS (UPDATE t SET a=1 RETURNING 1, f(b), id) SELECT 1",
            "WITH cg_x(c1,c2,c3,cg) AS (UPDATE t SET a=1 RETURNING 1, f(b), id, g), \
             x AS NOT MATERIALIZED (SELECT c1 AS \"?column?\", c2 AS f, c3 AS id FROM cg_x) SELECT 1",
        ),
        (
            "WITH x AS (UPDATE t SET a=1 RETURNING f(b), b IS NULL AS \"N\") SELECT 1",
            "WITH cg_x(c1,c2,cg) AS (UPDATE t SET a=1 RETURNING f(b), b IS NULL AS \"N\", g), \
             x AS NOT MATERIALIZED (SELECT c1 AS f, c2 AS \"N\" FROM cg_x) SELECT 1",
        ),
        (
            "WITH x AS (UPDATE t SET a=1 RETURNING 1) SELECT 1",
            "WITH cg_x(c1,cg) AS (UPDATE t SET a=1 RETURNING 1, g), x AS NOT MATERIALIZED (SELECT c1 AS \"?column?\" FROM cg_x) SELECT 1",
        ),
        (
            "WITH x AS (INSERT INTO t AS \"R\" VALUES (1) RETURNING *) SELECT 1",
            "WITH cg_x(c1,c2,cg) AS (INSERT INTO t AS \"R\" VALUES (1) RETURNING \"R\".id, \"R\".\"We\"\"ird\", g), \
             x AS NOT MATERIALIZED (SELECT c1 AS id, c2 AS \"We\"\"ird\" FROM cg_x) SELECT 1",
        ),
        (
            "WITH RECURSIVE x (\"A\", b /* , */) AS MATERIALIZED (UPDATE t SET a=1 RETURNING a IS NULL, id, c) , y AS (SELECT 1) TABLE x",
            "WITH RECURSIVE cg_x(c1,c2,c3,cg) AS MATERIALIZED (UPDATE t SET a=1 RETURNING a IS NULL, id, c, g), \
             x (\"A\", b /* , */) AS NOT MATERIALIZED (SELECT c1, c2 AS id, c3 AS c FROM cg_x) , y AS (SELECT 1) TABLE x",
        ),
        (
            "WITH x AS (UPDATE t SET a=1 RETURNING id), y AS (WITH \"Z\" AS (UPDATE t SET a=2 RETURNING id) UPDATE t SET a=3 RETURNING id) TABLE y",
            "WITH cg_x(c1,cg) AS (UPDATE t SET a=1 RETURNING id, g), x AS NOT MATERIALIZED (SELECT c1 AS id FROM cg_x), \
             cg_y(c1,cg) AS (WITH \"cg_Z\"(c1,cg) AS (UPDATE t SET a=2 RETURNING id, g), \"Z\" AS NOT MATERIALIZED (SELECT c1 AS id FROM \"cg_Z\") \
             UPDATE t SET a=3 RETURNING id, g), y AS NOT MATERIALIZED (SELECT c1 AS id FROM cg_y) TABLE y",
        ),
        // Where a column has no certain name, a `*` is of more than one relation, or our name is taken, one item carries the guard.
        (
            "WITH x AS (UPDATE t SET a=1 RETURNING a IS NULL, id) SELECT 1",
            "WITH x AS (UPDATE t SET a=1 RETURNING a IS NULL, CASE WHEN (g) IS NULL THEN (id) ELSE (id) END AS id) SELECT 1",
        ),
        (
            "WITH x AS (UPDATE t SET a=1 FROM u RETURNING *, t.id) SELECT 1",
            "WITH x AS (UPDATE t SET a=1 FROM u RETURNING *, CASE WHEN (g) IS NULL THEN (t.id) ELSE (t.id) END AS id) SELECT 1",
        ),
        (
            "WITH x AS (UPDATE t SET a=1 RETURNING id) SELECT 1 FROM CG_X",
            "WITH x AS (UPDATE t SET a=1 RETURNING CASE WHEN (g) IS NULL THEN (id) ELSE (id) END AS id) SELECT 1 FROM CG_X",
        ),
        (
            "COPY (UPDATE t SET a=1 FROM u RETURNING t.*, u.a b) TO STDOUT",
            "COPY (UPDATE t SET a=1 FROM u RETURNING t.*, CASE WHEN (g) IS NULL THEN (u.a) ELSE (u.a) END b) TO STDOUT",
        ),
        (
            "COPY (INSERT INTO t VALUES (1) RETURNING *) TO STDOUT",
            "COPY (INSERT INTO t VALUES (1) RETURNING t.id, CASE WHEN (g) IS NULL THEN (t.\"We\"\"ird\") ELSE (t.\"We\"\"ird\") END AS \"We\"\"ird\") \
             TO STDOUT",
        ),
        ("COPY t FROM STDIN;", "COPY t FROM STDIN WHERE (g);"),
        (
            "COPY t FROM STDIN (FORMAT csv) WHERE a OR b",
            "COPY t FROM STDIN (FORMAT csv) WHERE CASE WHEN (a OR b) THEN (g) ELSE false END",
        ),
        (
            "INSERT INTO t WITH x AS (INSERT INTO u VALUES (1) RETURNING b) SELECT * FROM x RETURNING a",
            "INSERT INTO t WITH cg_x(c1,cg) AS (INSERT INTO u VALUES (1) RETURNING b, g), x AS NOT MATERIALIZED (SELECT c1 AS b FROM cg_x) \
             SELECT * FROM x RETURNING a, g",
        ),
    ] {
        assert_eq!(guarded(text).as_deref(), Ok(want), "{text}");
    }
}

#[test]
fn where_the_old_row_is_recorded() {
    let (condition, assignment) = (OldRow::Condition("o".to_owned()), OldRow::Assignment("k = o".to_owned()));
    for (old, text, want) in [
        (&condition, "UPDATE t SET a=1 -- c", "UPDATE t SET a=1 WHERE o RETURNING g -- c"),
        (&condition, "UPDATE t SET a=1 RETURNING a;", "UPDATE t SET a=1 WHERE o RETURNING a, g;"),
        (&condition, "UPDATE t SET a=1 -- c\nRETURNING a", "UPDATE t SET a=1 -- c\nWHERE o RETURNING a, g"),
        (
            &condition,
            "UPDATE t SET a=1 WHERE b OR c --c\nRETURNING a",
            "UPDATE t SET a=1 WHERE (b OR c) AND o --c\nRETURNING a, g",
        ),
        (
            &condition,
            "UPDATE t SET a = CASE WHEN b THEN 1 END WHERE (b) OR c",
            "UPDATE t SET a = CASE WHEN b THEN 1 END WHERE ((b) OR c) AND o RETURNING g",
        ),
        (
            &condition,
            "INSERT INTO t VALUES (1) ON CONFLICT (id) WHERE x DO UPDATE SET a = 1",
            "INSERT INTO t VALUES (1) ON CONFLICT (id) WHERE x DO UPDATE SET a = 1 WHERE o RETURNING g",
        ),
        (
            &condition,
            "INSERT INTO t VALUES (1) ON CONFLICT (id) DO UPDATE SET a = 1 WHERE t.b OR t.c RETURNING *",
            "INSERT INTO t VALUES (1) ON CONFLICT (id) DO UPDATE SET a = 1 WHERE CASE WHEN (t.b OR t.c) THEN o ELSE false END RETURNING *, g",
        ),
        (&assignment, "UPDATE t SET a=1, b = ROW(2) /*c*/", "UPDATE t SET a=1, b = ROW(2), k = o RETURNING g /*c*/"),
        (
            &assignment,
            "UPDATE t SET (a, b) = (SELECT 1, 2 FROM u) FROM v WHERE t.id = v.id RETURNING v.a",
            "UPDATE t SET (a, b) = (SELECT 1, 2 FROM u), k = o FROM v WHERE t.id = v.id RETURNING v.a, g",
        ),
        (
            &assignment,
            "UPDATE t SET a = b IS DISTINCT FROM c WHERE CURRENT OF cur",
            "UPDATE t SET a = b IS DISTINCT FROM c, k = o WHERE CURRENT OF cur RETURNING g",
        ),
        (
            &assignment,
            "MERGE INTO t USING u ON t.id = u.id WHEN MATCHED AND t.a THEN UPDATE SET a = CASE WHEN u.b THEN 1 END, b = 2 \
             WHEN NOT MATCHED THEN INSERT VALUES (1) WHEN NOT MATCHED BY SOURCE THEN UPDATE SET (a) = ROW(1)",
            "MERGE INTO t USING u ON t.id = u.id WHEN MATCHED AND t.a THEN UPDATE SET a = CASE WHEN u.b THEN 1 END, b = 2, k = o \
             WHEN NOT MATCHED THEN INSERT VALUES (1) WHEN NOT MATCHED BY SOURCE THEN UPDATE SET (a) = ROW(1), k = o RETURNING g",
        ),
        (
            &assignment,
            "WITH x AS (UPDATE t SET a=1 RETURNING id) UPDATE u SET b=2",
            "WITH cg_x(c1,cg) AS (UPDATE t SET a=1, k = o RETURNING id, g), x AS NOT MATERIALIZED (SELECT c1 AS id FROM cg_x) \
             UPDATE u SET b=2, k = o RETURNING g",
        ),
    ] {
        assert_eq!(with_old_row(text, Some(old)).as_deref(), Ok(want), "{text}");
    }
}

#[test]
fn what_the_old_row_is_called() {
    for (text, alias, want) in [
        ("UPDATE t SET a=1", Some("cg_old"), "UPDATE t SET a=1 RETURNING WITH (OLD AS cg_old) g"),
        ("UPDATE t SET a=1 RETURNING a", Some("cg_old"), "UPDATE t SET a=1 RETURNING WITH (OLD AS cg_old) a, g"),
        (
            "UPDATE t SET a=1 RETURNING WITH (NEW AS n) n.a",
            Some("cg_old"),
            "UPDATE t SET a=1 RETURNING WITH (OLD AS cg_old, NEW AS n) n.a, g",
        ),
        (
            "UPDATE t SET a=1 RETURNING WITH (NEW AS n, OLD AS \"O\") \"O\".a",
            Some("\"O\""),
            "UPDATE t SET a=1 RETURNING WITH (NEW AS n, OLD AS \"O\") \"O\".a, g",
        ),
        // Under another name the client's own would be gone.
        ("UPDATE t SET a=1 RETURNING OLD.a", Some("old"), "UPDATE t SET a=1 RETURNING OLD.a, g"),
        ("UPDATE t AS old SET a=1 RETURNING old.a", None, ""),
        ("UPDATE t SET a=1 FROM u \"old\" RETURNING old.a", None, ""),
        ("UPDATE t AS old SET a=1", Some("cg_old"), "UPDATE t AS old SET a=1 RETURNING WITH (OLD AS cg_old) g"),
        (
            "UPDATE cg_old SET a=1 RETURNING a",
            Some("cg_old2"),
            "UPDATE cg_old SET a=1 RETURNING WITH (OLD AS cg_old2) a, g",
        ),
        (
            "WITH x AS (UPDATE t SET a=1 RETURNING id) SELECT 1",
            Some("cg_old"),
            "WITH cg_x(c1,cg) AS (UPDATE t SET a=1 RETURNING WITH (OLD AS cg_old) id, g), x AS NOT MATERIALIZED (SELECT c1 AS id FROM cg_x) SELECT 1",
        ),
    ] {
        let write = &locate(text.as_bytes(), LexOptions::default()).statements[0].writes[0];
        let found = old_alias(text.as_bytes(), write, LexOptions::default());
        assert_eq!(found.as_deref(), alias, "{text}");
        if let Some(alias) = found {
            assert_eq!(with_old_row(text, Some(&OldRow::Alias(alias))).as_deref(), Ok(want));
        }
    }
}

#[test]
fn where_it_cannot_go() {
    assert_eq!(guarded("WITH x AS (UPDATE t SET a=1 FROM u RETURNING *) SELECT 1"), Err(NoPlace::CteReturning));
    assert_eq!(guarded("WITH x AS (UPDATE t SET a=1 RETURNING a IS NULL) SELECT 1"), Err(NoPlace::CteReturning));
    assert_eq!(guarded("UPDATE t SET a = (1"), Err(NoPlace::Unreadable));
    let many = vec!["a"; MAX_ITEMS].join(",");
    assert_eq!(guarded(&format!("UPDATE t SET a = 1 RETURNING {many}")), Err(NoPlace::TooManyColumns));
}

#[test]
fn positions() {
    let text = "UPDATE é SET a=x RETURNING y, ü";
    let edits =
        [insert(text.find('y').unwrap(), "guard, "), Edit { at: text.len(), remove: 0, insert: b", g".to_vec() }];
    let spliced = splice(text.as_bytes(), &edits);
    let sent: Vec<char> = std::str::from_utf8(&spliced.text).unwrap().chars().collect();
    let client: Vec<char> = text.chars().collect();
    let mut seen = Vec::new();
    for p in 1..=sent.len() {
        match spliced.position(text.as_bytes(), p, CharWidth::Utf8) {
            Position::Client(n) => {
                assert_eq!(client[n - 1], sent[p - 1]);
                seen.push(n);
            }
            Position::Guard => assert!("guard, g".contains(sent[p - 1])),
        }
    }
    assert_eq!(seen, (1..=client.len()).collect::<Vec<_>>());
    let end = Position::Client(client.len() + 1);
    assert_eq!(spliced.position(text.as_bytes(), sent.len() + 1, CharWidth::Utf8), end);
    assert_eq!(spliced.position(text.as_bytes(), sent.len() + 9, CharWidth::Utf8), end);
    let single = splice(b"\xe9 x", &[insert(2, "g ")]);
    assert_eq!(single.position(b"\xe9 x", 5, CharWidth::Single), Position::Client(3));
    assert_eq!(single.position(b"\xe9 x", 3, CharWidth::Single), Position::Guard);
}

#[test]
fn edits_count_from_the_base() {
    let spliced = splice_at(b"/*c*/ab", 5, &[Edit { at: 1, remove: 1, insert: b"XY".to_vec() }]);
    assert_eq!(spliced.text, b"/*c*/aXY");
    assert_eq!(spliced.position(b"/*c*/ab", 6, CharWidth::Utf8), Position::Client(6));
}
