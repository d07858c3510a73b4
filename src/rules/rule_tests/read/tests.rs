use super::*;
use crate::rules::{diagnostic::Severity, load::load_texts, rule_tests::FileTests};

/// A file with a rule `r` and these tests.
fn file(tests: &str) -> String {
    format!(
        "version: 1\nschema: [a.sql, sub/b.sql]\ntables:\n- table: t\n  rules: [{{name: r, order: [a, b]}}]\n  tests:\n{tests}"
    )
}

fn read(tests: &str) -> FileTests {
    let loaded = load_texts([("dir/rules.yaml", file(tests).as_str())]);
    let mut set =
        loaded.unwrap_or_else(|all| panic!("{}", all.iter().map(ToString::to_string).collect::<String>())).set;
    set.tests.remove(0)
}

/// `(line after "tests:", column, message)` of every error.
fn errors(tests: &str) -> Vec<(u32, u32, String)> {
    let all = load_texts([("rules.yaml", file(tests).as_str())]).expect_err("there are mistakes");
    let errors = all.into_iter().filter(|d| d.severity == Severity::Error);
    errors.map(|d| (d.place.line - 6, d.place.column, d.message)).collect()
}

#[test]
fn every_key_of_a_test_arrives() {
    let file = read(
        r#"  - name: all of it
    setup: "INSERT INTO p VALUES (1); INSERT INTO p VALUES (2)"
    role: App
    sql:
    - INSERT INTO t VALUES ('${now - 5m}')
    - {sql: "INSERT INTO t VALUES ($1, $2, $3, $4)", params: [1, null, true, "${now}"]}
    - {copy: COPY t FROM STDIN, data: "1\t2\n"}
    expect:
      violations: {r: 2}
      rejected: false
      hint: set it
      landed: {sql: SELECT a FROM t, rows: [[1, null], [x, false]]}
"#,
    );
    let schema: Vec<_> = file.schema.iter().map(|s| s.path.display().to_string()).collect();
    assert_eq!(schema, ["dir/a.sql", "dir/sub/b.sql"]);
    let test = &file.tests[0];
    assert_eq!((test.name.as_str(), test.role.as_deref()), ("all of it", Some("app")));
    assert_eq!((test.place.line, test.place.column), (7, 11));
    let some = |text: &str| Some(text.to_owned());
    let expected = [
        Step::Sql("INSERT INTO t VALUES ('${now - 5m}')".into()),
        Step::Parameters {
            sql: "INSERT INTO t VALUES ($1, $2, $3, $4)".into(),
            params: vec![some("1"), None, some("t"), some("${now}")],
        },
        Step::Copy { copy: "COPY t FROM STDIN".into(), data: "1\t2\n".into() },
    ];
    assert_eq!(test.steps, expected);
    assert_eq!(test.expect.violations, BTreeMap::from([("r".to_owned(), Some(2))]));
    assert_eq!((test.expect.rejected, test.expect.hint.as_deref()), (Some(false), Some("set it")));
    let landed = test.expect.landed.as_ref().unwrap();
    assert_eq!(landed.rows, [vec![some("1"), None], vec![some("x"), some("f")]]);
}

#[test]
fn the_short_form_is_enough() {
    let file = read(
        "  - {name: n, sql: SELECT 1, expect: {violations: [r], rejected: true}}\n  - {name: m, sql: SELECT 1, expect: {landed: SELECT true}}\n",
    );
    assert_eq!(file.tests.len(), 2);
    assert_eq!(file.tests[0].expect.violations, BTreeMap::from([("r".to_owned(), None)]));
    assert_eq!(file.tests[1].expect.violations, BTreeMap::new());
    assert_eq!(file.tests[1].expect.rejected, None);
    assert_eq!(file.tests[1].expect.landed.as_ref().unwrap().rows, [[Some("t".to_owned())]]);
}

#[test]
fn mistakes_have_their_places() {
    for (rest, at, message) in [
        ("sql: [], expect: {}", (1, 20), "`sql` is empty"),
        ("sql: [1], expect: {}", (1, 21), "`sql` has the number 1"),
        ("sql: {sql: a}, expect: {}", (1, 20), "a statement of `sql` has no `params`"),
        ("sql: {copy: a}, expect: {}", (1, 20), "a statement of `sql` has no `data`"),
        ("sql: {sql: a, copy: b, data: c}, expect: {}", (1, 21), "`sql` and `copy` exclude each other"),
        ("sql: {sql: a, params: [[1]]}, expect: {}", (1, 38), "a value is a list"),
        ("sql: \"${now - 5}\", expect: {}", (1, 20), "`${now - 5}`: `5` has no unit"),
        ("sql: a, role: a.b, expect: {}", (1, 29), "`role` is `a.b`"),
        ("sql: a, expect: {rejected: true}", (1, 32), "`rejected` without a violation"),
        ("sql: a, expect: {hint: x}", (1, 32), "`hint` without a violation"),
        ("sql: a, expect: {violations: [r, r]}", (1, 48), "`r` stands twice in `violations`"),
        ("sql: a, expect: {violations: {r: 0}}", (1, 48), "the number of rows is the number 0"),
        ("sql: a, expect: {violations: [nobody]}", (1, 45), "there is no rule `nobody`"),
        ("sql: a, expect: {landed: 5}", (1, 40), "`landed` is the number 5"),
        ("sql: a, expect: {landed: {sql: b, rows: [1]}}", (1, 56), "a row is the number 1"),
        ("sql: a, expect: {landing: b}", (1, 32), "unknown key `landing` in `expect`"),
    ] {
        let found = errors(&format!("  - {{name: n, {rest}}}\n"));
        assert_eq!(found, [(at.0, at.1, message.to_owned())], "{rest}");
    }
}
