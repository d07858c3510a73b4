//! `chronoguard test` as people and CI jobs run it. Expected outputs are files beside the rule files; `UPDATE_EXPECTED=1` writes them anew.

#![allow(clippy::unwrap_used, reason = "helpers of tests; clippy.toml allows it in the tests themselves")]

mod support;

use std::process::{Command, Output};

use regex::Regex;

fn test(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_chronoguard"))
        .arg("test")
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap()
}

fn shown(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Runs it and compares what it prints with a file, but for how long things took.
#[track_caller]
fn expect(arguments: &[&str], exit: i32, expected: &str) {
    let output = test(arguments);
    assert_eq!(output.status.code(), Some(exit), "{}", shown(&output));
    let printed = String::from_utf8(output.stdout).unwrap();
    let times = Regex::new(r#"(time="|"seconds": )[0-9.e-]+"#).unwrap();
    support::expected::compare(&times.replace_all(&printed, "${1}0"), &format!("rule_tests/{expected}"));
}

fn json(arguments: &[&str]) -> serde_json::Value {
    let output = test(&[&["--format", "json"], arguments].concat());
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", shown(&output)))
}

#[test]
fn the_tests_of_the_shipped_rules_pass_and_see_every_rule_both_ways() {
    let output = test(&["--format", "json", "rules", "examples"]);
    assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let coverage = report["coverage"].as_array().unwrap();
    assert!(coverage.len() >= 19);
    let half = coverage.iter().filter(|c| c["passed"] == 0 || c["violated"] == 0).collect::<Vec<_>>();
    assert!(half.is_empty(), "not seen both passed and violated: {half:?}");
}

#[test]
fn what_fails_says_what_was_expected_and_what_was_found() {
    let files = ["tests/fixtures/rule_tests/failing.yaml", "tests/fixtures/rule_tests/broken_schema.yaml"];
    expect(&files, 1, "failing.txt");
    expect(&[&["--format", "json"], files.as_slice()].concat(), 1, "failing.json");
    expect(&[&["--format", "junit"], files.as_slice()].concat(), 1, "failing.xml");
}

#[test]
fn transactions_clocks_roles_and_copies() {
    expect(&["tests/fixtures/rule_tests/passing.yaml"], 0, "passing.txt");
}

#[test]
fn tests_are_chosen_by_file_and_name() {
    let file = "tests/fixtures/rule_tests/failing.yaml";
    expect(&["--run", "this one|two$", file], 1, "chosen.txt");
    assert_eq!(test(&["--run", "this one", file]).status.code(), Some(0));
    let by_file = json(&["--run", "failing.yaml: this", file, "tests/fixtures/rule_tests/broken_schema.yaml"]);
    assert_eq!(by_file["tests"].as_array().unwrap().len(), 1);
}

#[test]
fn usage_and_what_cannot_be_read_exit_with_2() {
    let file = "tests/fixtures/rule_tests/passing.yaml";
    for arguments in [
        &[][..],
        &["--run", "[", file],
        &["--format", "sarif", file],
        &["nothing.yaml"],
        &["--run", "no such test", file],
        // A file without tests.
        &["tests/fixtures/rules/warnings.yaml"],
        &["--database", "postgresql://nobody@127.0.0.1:1/none", file],
        &["--database", "host=/tmp user=nobody", file],
    ] {
        let output = test(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", shown(&output));
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn mistakes_in_rule_files_are_told_as_check_tells_them() {
    let output = test(&["--format", "junit", "tests/fixtures/rules/mistakes"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    support::expected::compare(&String::from_utf8(output.stderr).unwrap(), "rules/mistakes.txt");
}

#[test]
fn a_schema_file_that_is_missing_is_named_where_it_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("rules.yaml");
    let text = "version: 1\nschema: gone.sql\ntables: []\ntests: [{name: n, sql: SELECT 1, expect: {}}]\n";
    std::fs::write(&file, text).unwrap();
    let output = test(&[file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("rules.yaml:2:9") && said.contains("gone.sql cannot be read"), "{said}");
}

#[tokio::test]
async fn a_given_database_lends_its_tables_or_is_given_those_of_the_schema_files() {
    let empty = support::create_database().await;
    let arguments = ["--run", "seconds for|an hour behind", "tests/fixtures/rule_tests/passing.yaml"];
    let output = test(&[&["--database", &empty.url()], arguments.as_slice()].concat());
    assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
    let schema = include_str!("fixtures/rule_tests/jobs.sql");
    let database = support::create_database_with(&format!("{schema}; INSERT INTO jobs (id) VALUES (77)")).await;
    let role = support::create_role("app").await;
    let rules = format!(
        "version: 1
schema: jobs.sql
tables:
- table: jobs
  on_violation: reject
  rules: [{{name: jobs_order, order: [started_at, completed_at]}}]
  tests:
  - name: the row that is there, and one more
    role: {role}
    setup: GRANT SELECT, INSERT ON jobs TO {role}
    sql: INSERT INTO jobs (id) VALUES (78); INSERT INTO jobs (id, started_at, completed_at) VALUES (79, now(), '2020-01-01')
    expect: {{violations: [jobs_order], rejected: true, landed: {{sql: SELECT id FROM jobs ORDER BY id, rows: [[77], [78]]}}}}
  - name: the same again
    sql: INSERT INTO jobs (id) VALUES (78)
    expect: {{landed: SELECT count(*) = 2 FROM jobs}}
"
    );
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("rules.yaml");
    std::fs::write(&file, rules).unwrap();
    // Only read where the tables are missing.
    std::fs::write(dir.path().join("jobs.sql"), "CREATE TABLE jobs (wrong text)").unwrap();
    let output = test(&["--database", &database.url(), file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
    // Both are left as they were.
    let client = database.connect().await;
    let rows: i64 = client.query_one("SELECT count(*) FROM jobs", &[]).await.unwrap().get(0);
    let sql = "SELECT count(*) FROM pg_database WHERE datname LIKE 'chronoguard_test_%'";
    let left: i64 = client.query_one(sql, &[]).await.unwrap().get(0);
    assert_eq!((rows, left), (1, 0));
    assert!(empty.connect().await.query("SELECT FROM jobs", &[]).await.is_err());
}
