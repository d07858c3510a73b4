use super::*;
use crate::sql::{locate::locate, write::LexOptions};

/// Every write of `text` with the guard `g`.
fn guarded(text: &str) -> Result<String, NoPlace> {
    let mut edits = Vec::new();
    for statement in locate(text.as_bytes(), LexOptions::default()).statements {
        for write in statement.writes {
            edits.extend(place_guard(text.as_bytes(), &write, "g", &["id", "We\"ird"])?);
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
            "WITH x AS (UPDATE t SET a=1 RETURNING 1, f(b), CASE WHEN (g) IS NULL THEN (id) ELSE (id) END AS id) SELECT 1",
        ),
        (
            "WITH x AS (UPDATE t SET a=1 RETURNING f(b), b IS NULL AS \"N\") SELECT 1",
            "WITH x AS (UPDATE t SET a=1 RETURNING f(b), CASE WHEN (g) IS NULL THEN (b IS NULL) ELSE (b IS NULL) END AS \"N\") SELECT 1",
        ),
        (
            "WITH x AS (UPDATE t SET a=1 RETURNING 1) SELECT 1",
            "WITH x AS (UPDATE t SET a=1 RETURNING CASE WHEN (g) IS NULL THEN (1) ELSE (1) END AS \"?column?\") SELECT 1",
        ),
        (
            "WITH x AS (INSERT INTO t AS \"R\" VALUES (1) RETURNING *) SELECT 1",
            "WITH x AS (INSERT INTO t AS \"R\" VALUES (1) RETURNING \"R\".id, CASE WHEN (g) IS NULL THEN (\"R\".\"We\"\"ird\") \
             ELSE (\"R\".\"We\"\"ird\") END AS \"We\"\"ird\") SELECT 1",
        ),
        (
            "COPY (UPDATE t SET a=1 FROM u RETURNING t.*, u.a b) TO STDOUT",
            "COPY (UPDATE t SET a=1 FROM u RETURNING t.*, CASE WHEN (g) IS NULL THEN (u.a) ELSE (u.a) END b) TO STDOUT",
        ),
        ("COPY t FROM STDIN;", "COPY t FROM STDIN WHERE (g);"),
        (
            "COPY t FROM STDIN (FORMAT csv) WHERE a OR b",
            "COPY t FROM STDIN (FORMAT csv) WHERE CASE WHEN (a OR b) THEN (g) ELSE false END",
        ),
        (
            "INSERT INTO t WITH x AS (INSERT INTO u VALUES (1) RETURNING b) SELECT * FROM x RETURNING a",
            "INSERT INTO t WITH x AS (INSERT INTO u VALUES (1) RETURNING CASE WHEN (g) IS NULL THEN (b) ELSE (b) END AS b) SELECT * FROM x RETURNING a, g",
        ),
    ] {
        assert_eq!(guarded(text).as_deref(), Ok(want), "{text}");
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
