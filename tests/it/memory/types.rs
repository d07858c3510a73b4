//! Values of every type, with their ends and oddities: what is the same stays, what is less is less, in whatever form the server carries it.

use crate::harness::{Guarded, guarded::assert_refused_by};

/// Type, and values in ascending order; those in one entry are equal.
const ORDERED: &[(&str, &[&[&str]])] = &[
    (
        "timestamptz",
        &[
            &["-infinity"],
            &["4713-01-01 00:00:00+00 BC"],
            &["1969-12-31 23:59:59.999999+00"],
            &["1999-12-31 23:59:59.999999+00", "2000-01-01 01:59:59.999999+02"],
            &["2000-01-01 00:00:00+00"],
            &["2026-07-01 10:00:00+00"],
            &["294276-12-31 23:59:59.999999+00"],
            &["infinity"],
        ],
    ),
    (
        "timestamp",
        &[
            &["-infinity"],
            &["1999-12-31 23:59:59.999999"],
            &["2000-01-01 00:00:00"],
            &["2026-07-01 10:00:00"],
            &["infinity"],
        ],
    ),
    (
        "date",
        &[&["-infinity"], &["4713-01-01 BC"], &["1999-12-31"], &["2000-01-01"], &["5874897-12-31"], &["infinity"]],
    ),
    ("smallint", &[&["-32768"], &["-1"], &["0"], &["1"], &["32767"]]),
    ("integer", &[&["-2147483648"], &["-1"], &["0"], &["2147483647"]]),
    (
        "bigint",
        &[
            &["-9223372036854775808"],
            &["-1"],
            &["0"],
            &["9007199254740992"],
            &["9007199254740993"],
            &["9223372036854775807"],
        ],
    ),
    (
        "numeric",
        &[
            &["-Infinity"],
            &["-1e100"],
            &["-1.5", "-1.50"],
            &["-1.25"],
            &["0", "0.000", "-0"],
            &["9007199254740993"],
            &["9007199254740993.0000000000000000000000000000000000000000000001"],
            &["Infinity"],
            &["NaN"],
        ],
    ),
    (
        "double precision",
        &[
            &["-Infinity"],
            &["-1e300"],
            &["-1.0000000000000002"],
            &["-1"],
            &["-1e-300"],
            &["0", "-0"],
            &["0.1"],
            &["0.10000000000000002"],
            &["1e300"],
            &["Infinity"],
            &["NaN"],
        ],
    ),
    ("real", &[&["-Infinity"], &["-1.5"], &["0", "-0"], &["0.1"], &["0.10000001"], &["Infinity"], &["NaN"]]),
];

/// Types without an order: values that are all different.
const DIFFERENT: &[(&str, &[&str])] = &[
    (
        "text",
        &[
            "",
            "a",
            "A",
            "a ",
            "|",
            "x",
            "é",
            "a long text that differs only after more than forty characters 1",
            "a long text that differs only after more than forty characters 2",
        ],
    ),
    ("varchar(5)", &["", "a", "a|b", "\"q\"", "\\x"]),
    ("char(3)", &["a", "ab", "abc"]),
    ("boolean", &["true", "false"]),
    ("uuid", &["00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-000000000001"]),
    ("interval", &["0", "1 day", "24:00:00", "1 mon", "-1 mon"]),
    ("jsonb", &["null", "{}", "[1]", "\"|\""]),
    ("json", &["null", "{}", "{ }"]),
    ("bytea", &["\\x", "\\x00", "\\x7c"]),
    ("int[]", &["{}", "{1}", "{1,2}", "{NULL}"]),
    ("tstzrange", &["empty", "[2026-01-01 00:00+00,2026-01-02 00:00+00)"]),
    ("mood", &["sad", "ok"]),
    ("inet", &["10.0.0.1", "10.0.0.1/24"]),
];

const SCHEMA: &str = "CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TABLE b (id int);
INSERT INTO b VALUES (1);";

/// A table with one column of each type, and a rule that rejects for each.
fn guarded(types: &[&str], kind: &str) -> Guarded {
    let columns: Vec<String> = types.iter().enumerate().map(|(n, name)| format!("c{n} {name}")).collect();
    let rules: String = (0..types.len()).map(|n| format!("      - {{name: r{n}, {kind}: [c{n}]}}\n")).collect();
    let rules = format!("version: 1\ntables:\n  - table: t\n    on_violation: reject\n    rules:\n{rules}");
    let schema = format!(
        "{SCHEMA} CREATE TABLE t (id int PRIMARY KEY, spare int, {}); INSERT INTO t VALUES (1)",
        columns.join(", ")
    );
    Guarded::with_schema(&rules, &schema)
}

/// The statements by which a value is set; which way old values are had depends on their form.
fn statements(column: usize, value: &str) -> [String; 3] {
    let value = value.replace('\'', "''");
    [
        format!("UPDATE t SET c{column} = '{value}' WHERE id = 1"),
        format!("UPDATE t SET c{column} = '{value}' FROM b WHERE b.id = t.id"),
        format!(
            "INSERT INTO t (id, c{column}) VALUES (1, '{value}') ON CONFLICT (id) DO UPDATE SET c{column} = excluded.c{column}"
        ),
    ]
}

#[test]
fn what_is_less_is_refused() {
    let types: Vec<&str> = ORDERED.iter().map(|(name, _)| *name).collect();
    let guarded = guarded(&types, "monotonic");
    let (mut talk, mut direct) = (guarded.login(), guarded.direct());
    talk.run("SET extra_float_digits = -15; SET DateStyle = 'SQL, DMY'; SET TimeZone = 'Asia/Tokyo'");
    for (column, (name, values)) in ORDERED.iter().enumerate() {
        for (before, olds) in values.iter().enumerate() {
            for (after, news) in values.iter().enumerate() {
                for (old, new) in olds.iter().flat_map(|old| news.iter().map(move |new| (old, new))) {
                    direct.run(&format!("UPDATE t SET c{column} = '{old}'"));
                    for sql in statements(column, new) {
                        // What passes must not be what the next statement starts from.
                        talk.run("BEGIN");
                        let replies = talk.query(&sql);
                        talk.run("ROLLBACK");
                        if after < before {
                            assert_refused_by(&replies, "public", "t", &format!("r{column}"));
                        } else {
                            assert!(
                                replies.iter().all(|m| m.tag != b'E'),
                                "{name}: {old} to {new}: {sql}: {replies:?}"
                            );
                        }
                    }
                }
            }
        }
    }
    assert!(guarded.proxy.metrics().sum("unguardable_total", &[]) < 0.5);
}

#[test]
fn what_differs_is_refused() {
    let ordered = ORDERED.iter().map(|(name, values)| (*name, values.iter().map(|v| v[0]).collect::<Vec<_>>()));
    let types: Vec<(&str, Vec<&str>)> =
        ordered.chain(DIFFERENT.iter().map(|(name, values)| (*name, values.to_vec()))).collect();
    let names: Vec<&str> = types.iter().map(|(name, _)| *name).collect();
    let guarded = guarded(&names, "write_once");
    let (mut talk, mut direct) = (guarded.login(), guarded.direct());
    talk.run("SET extra_float_digits = -15; SET DateStyle = 'SQL, DMY'; SET TimeZone = 'Asia/Tokyo'; SET standard_conforming_strings = on");
    for (column, (name, values)) in types.iter().enumerate() {
        for old in values {
            direct.run(&format!("UPDATE t SET c{column} = '{old}'"));
            for new in values {
                for sql in statements(column, new) {
                    talk.run("BEGIN");
                    let replies = talk.query(&sql);
                    talk.run("ROLLBACK");
                    if old == new {
                        assert!(replies.iter().all(|m| m.tag != b'E'), "{name}: {old:?} stays: {sql}: {replies:?}");
                    } else {
                        assert!(replies.iter().any(|m| m.tag == b'E'), "{name}: {old:?} to {new:?}: {sql}");
                        assert_refused_by(&replies, "public", "t", &format!("r{column}"));
                    }
                }
            }
        }
    }
    assert!(guarded.proxy.metrics().sum("unguardable_total", &[]) < 0.5);
}

/// States in every type that can hold them.
#[test]
fn states_of_every_type() {
    let rules = "version: 1
tables:
  - table: t
    on_violation: reject
    rules:
      - {name: r_text, transitions: {column: a, allow: {\"a>b\": [\"c|d\", \"it's\"], \"c|d\": [\"back\\\\slash\"], \"\": [\"a>b\"], ä: [ö]}, initial: [\"\", \"a>b\", ä]}}
      - {name: r_char, transitions: {column: b, allow: {a: [ab]}, initial: [a]}}
      - {name: r_int, transitions: {column: c, allow: {1: [2], 2: [3]}, initial: [1]}}
      - {name: r_bool, transitions: {column: d, allow: {false: [true]}, initial: [false]}}
      - {name: r_enum, transitions: {column: e, allow: {sad: [ok]}, initial: [sad]}}
      - {name: r_domain, transitions: {column: f, allow: {x: [y], y: []}, initial: [x]}}
";
    let schema = format!(
        "{SCHEMA} CREATE DOMAIN state AS varchar(9); CREATE DOMAIN moods AS mood;
         CREATE TABLE t (id int PRIMARY KEY, spare int, a text, b char(4), c bigint, d boolean, e moods, f state)"
    );
    let guarded = Guarded::with_schema(rules, &schema);
    let (mut talk, mut direct) = (guarded.login(), guarded.direct());
    for (rule, column, from, to, allowed) in [
        ("r_text", "a", "a>b", "c|d", true),
        ("r_text", "a", "a>b", "it''s", true),
        ("r_text", "a", "a>b", "a>b", true),
        ("r_text", "a", "c|d", "back\\slash", true),
        ("r_text", "a", "c|d", "a>b", false),
        ("r_text", "a", "", "a>b", true),
        ("r_text", "a", "", "c|d", false),
        ("r_text", "a", "ä", "ö", true),
        ("r_text", "a", "ö", "ä", false),
        ("r_text", "a", "never seen", "a>b", false),
        ("r_text", "a", "never seen", "never seen", true),
        ("r_char", "b", "a", "ab", true),
        ("r_char", "b", "ab", "a", false),
        ("r_int", "c", "1", "2", true),
        ("r_int", "c", "1", "3", false),
        ("r_int", "c", "3", "3", true),
        ("r_bool", "d", "false", "true", true),
        ("r_bool", "d", "true", "false", false),
        ("r_enum", "e", "sad", "ok", true),
        ("r_enum", "e", "ok", "sad", false),
        ("r_domain", "f", "x", "y", true),
        ("r_domain", "f", "y", "x", false),
    ] {
        direct.run(&format!("DELETE FROM t; INSERT INTO t (id, {column}) VALUES (1, '{from}')"));
        let statements = [
            format!("UPDATE t SET {column} = '{to}' WHERE id = 1"),
            format!("UPDATE t SET {column} = '{to}' FROM b WHERE b.id = t.id"),
            format!(
                "INSERT INTO t (id, {column}) VALUES (1, '{to}') ON CONFLICT (id) DO UPDATE SET {column} = excluded.{column}"
            ),
        ];
        let initial = ["a>b", "", "ä", "a", "1", "false", "sad", "x"].contains(&to);
        for sql in statements {
            talk.run("BEGIN");
            let replies = talk.query(&sql);
            talk.run("ROLLBACK");
            if allowed {
                assert!(replies.iter().all(|m| m.tag != b'E'), "{from} to {to}: {sql}: {replies:?}");
            } else {
                assert_refused_by(&replies, "public", "t", rule);
            }
        }
        talk.run("BEGIN");
        let replies = talk.query(format!("INSERT INTO t (id, {column}) VALUES (2, '{to}')"));
        talk.run("ROLLBACK");
        assert_eq!(replies.iter().all(|m| m.tag != b'E'), initial, "{sql}: {replies:?}", sql = to);
    }
    // From and to NULL everything is allowed.
    talk.run("DELETE FROM t; INSERT INTO t VALUES (1); UPDATE t SET a = 'c|d', c = 3 WHERE id = 1; UPDATE t SET a = NULL, c = NULL WHERE id = 1");
    assert!(guarded.proxy.metrics().sum("unguardable_total", &[]) < 0.5);
}

/// More columns than a function has arguments.
#[test]
fn many_columns() {
    let types = vec!["timestamptz"; 70];
    for kind in ["write_once", "monotonic"] {
        let columns: Vec<String> = (0..types.len()).map(|n| format!("c{n}")).collect();
        let rules = format!(
            "version: 1\ntables:\n  - table: t\n    on_violation: reject\n    rules:\n      - {{name: all, {kind}: [{}]}}\n",
            columns.join(", ")
        );
        let schema: Vec<String> =
            columns.iter().map(|column| format!("{column} timestamptz DEFAULT '2026-02-01'")).collect();
        let guarded = Guarded::with_schema(
            &rules,
            &format!(
                "{SCHEMA} CREATE TABLE t (id int PRIMARY KEY, spare int, {}); INSERT INTO t VALUES (1)",
                schema.join(", ")
            ),
        );
        let mut talk = guarded.login();
        talk.run("UPDATE t SET c0 = c1, c69 = c1 WHERE id = 1");
        for sql in statements(69, "2026-01-01") {
            assert_refused_by(&talk.query(&sql), "public", "t", "all");
        }
        assert!(guarded.proxy.metrics().sum("unguardable_total", &[]) < 0.5);
    }
}
