//! `chronoguard check` as people and CI jobs run it. Expected outputs are files beside the rule files; `UPDATE_EXPECTED=1` writes them anew.

#![allow(clippy::unwrap_used, reason = "helpers of tests; clippy.toml allows it in the tests themselves")]

mod support;

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

fn check(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_chronoguard"))
        .arg("check")
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap()
}

/// Runs it and compares what it prints with a file.
#[track_caller]
fn expect(arguments: &[&str], exit: i32, expected: &str) {
    let output = check(arguments);
    let printed = String::from_utf8(output.stdout).unwrap();
    compare(&printed, expected);
    assert_eq!(output.status.code(), Some(exit), "{}", String::from_utf8_lossy(&output.stderr));
}

#[track_caller]
fn compare(printed: &str, expected: &str) {
    support::expected::compare(printed, &format!("rules/{expected}"));
}

#[test]
fn good_files_are_good() {
    expect(&["tests/fixtures/rules/good.yaml"], 0, "good.txt");
    expect(&["--strict", "tests/fixtures/rules/good.yaml"], 0, "good.txt");
}

#[test]
fn all_mistakes_of_all_files_are_reported_at_once() {
    expect(&["tests/fixtures/rules/mistakes"], 1, "mistakes.txt");
}

#[test]
fn rules_that_contradict_or_repeat_each_other() {
    expect(&["tests/fixtures/rules/pairs.yaml"], 1, "pairs.txt");
}

#[test]
fn the_same_as_json_and_sarif() {
    expect(&["--format", "json", "tests/fixtures/rules/mistakes"], 1, "mistakes.json");
    expect(&["--format", "sarif", "tests/fixtures/rules/warnings.yaml"], 0, "warnings.sarif");
    // As many results as there are findings, in both forms.
    let json: serde_json::Value =
        serde_json::from_slice(&check(&["--format", "json", "tests/fixtures/rules/mistakes"]).stdout).unwrap();
    let sarif: serde_json::Value =
        serde_json::from_slice(&check(&["--format", "sarif", "tests/fixtures/rules/mistakes"]).stdout).unwrap();
    assert_eq!(json["diagnostics"].as_array().unwrap().len(), sarif["runs"][0]["results"].as_array().unwrap().len());
}

#[test]
fn warnings_fail_only_when_strict() {
    expect(&["tests/fixtures/rules/warnings.yaml"], 0, "warnings.txt");
    expect(&["--strict", "tests/fixtures/rules/warnings.yaml"], 3, "warnings.txt");
    expect(
        &["--strict", "tests/fixtures/rules/mistakes", "tests/fixtures/rules/warnings.yaml"],
        1,
        "mistakes_and_warnings.txt",
    );
}

#[test]
fn usage_and_unreadable_files_exit_with_2() {
    assert_eq!(check(&[]).status.code(), Some(2));
    assert_eq!(check(&["--format", "xml", "x.yaml"]).status.code(), Some(2));
    assert_eq!(check(&["tests/fixtures/rules/nothing.yaml"]).status.code(), Some(2));
    assert_eq!(check(&["tests/fixtures/rules/nothing.yaml", "tests/fixtures/rules/good.yaml"]).status.code(), Some(2));
}

#[test]
fn a_database_that_does_not_answer_hides_nothing_of_the_files() {
    let url = "postgresql://nobody@127.0.0.1:1/none";
    let output = check(&["--database", url, "tests/fixtures/rules/warnings.yaml"]);
    assert_eq!(output.status.code(), Some(2));
    compare(&String::from_utf8(output.stdout).unwrap(), "warnings.txt");
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot connect to the database"));
    let password =
        check(&["--database", "postgresql://u:hunter2@127.0.0.1:1/x?nonsense=1", "tests/fixtures/rules/good.yaml"]);
    assert_eq!(password.status.code(), Some(2));
    assert!(!String::from_utf8_lossy(&password.stderr).contains("hunter2"));
}

#[test]
fn anything_below_a_directory_never_panics() {
    let dir = tempfile::tempdir().unwrap();
    let files: [(&str, &[u8]); 5] = [
        ("empty.yaml", b""),
        ("binary.yaml", b"\x00\xff\xfe\x01"),
        ("deep.yaml", &b"[".repeat(50_000)),
        ("bomb.yml", b"a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\nversion: *c\n"),
        ("long.yaml", &b"x".repeat(2_000_000)),
    ];
    for (name, bytes) in files {
        fs::write(dir.path().join(name), bytes).unwrap();
    }
    for format in ["text", "json", "sarif"] {
        let output = check(&["--format", format, dir.path().to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stderr.is_empty() && output.stdout.len() < 100_000);
    }
}

const SCHEMA: &str = "
    CREATE TABLE executions (id bigint PRIMARY KEY, created_at timestamptz, started_at timestamptz, local_at timestamp, start_ts bigint, status text);
    CREATE TABLE conditions (status text, done boolean, a_at timestamptz, b_at timestamptz);
    CREATE TABLE parents (id bigint PRIMARY KEY, key text, created_at timestamptz);
    CREATE TABLE children (parent_id bigint, key text, created_at timestamptz, local_at timestamp);
    CREATE VIEW a_view AS SELECT * FROM conditions;
    CREATE FUNCTION store() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TRIGGER instead INSTEAD OF INSERT ON a_view FOR EACH ROW EXECUTE FUNCTION store();
";

#[tokio::test]
async fn rules_are_checked_against_the_catalog() {
    let database = support::create_database_with(SCHEMA).await;
    let url = format!(
        "host=127.0.0.1 port={} user={} dbname={}",
        support::cluster().port(),
        chronoguard::scratch::SUPERUSER,
        database.name
    );
    expect(&["--database", &url, "tests/fixtures/rules/database.yaml"], 1, "database.txt");
    // Nothing was written, and a good file is good.
    let good: PathBuf = tempfile::tempdir().unwrap().keep().join("good.yaml");
    fs::write(
        &good,
        "version: 1\ntables:\n- table: executions\n  rules:\n  - {name: ok, order: [created_at, started_at]}\n\
         \x20 - {name: once, write_once: [started_at, id]}\n  - {name: grows, monotonic: [start_ts, started_at]}\n\
         \x20 - {name: states, transitions: {column: status, allow: {a: [b]}, initial: [a]}}\n",
    )
    .unwrap();
    let output = check(&["--strict", "--database", &url, good.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
    fs::remove_dir_all(good.parent().unwrap()).unwrap();
}

/// What a role of the application may see of it, and what else has those rows.
const SECRETS: &str = "
    CREATE TABLE secrets (id bigint PRIMARY KEY, created_at timestamptz, opened_at timestamptz, closed_at timestamptz, owner text);
    CREATE TABLE letters (secret_id bigint, created_at timestamptz);
    CREATE VIEW recent AS SELECT * FROM secrets WHERE id > 100;
    CREATE TABLE measures (at timestamptz) PARTITION BY RANGE (at);
    CREATE TABLE measures_2026 PARTITION OF measures FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
    GRANT SELECT ON letters, recent, measures, measures_2026 TO app_1;
    GRANT SELECT (id, created_at, closed_at) ON secrets TO app_1;
";

#[tokio::test]
async fn rules_are_checked_for_the_role_of_the_application() {
    assert_eq!(support::create_role("app").await, "app_1");
    let database = support::create_database_with(SECRETS).await;
    let arguments = ["--database", &database.url(), "--role", "app_1", "tests/fixtures/rules/role.yaml"];
    expect(&arguments, 1, "role.txt");
    let unknown = ["--database", &database.url(), "--role", "nobody", "tests/fixtures/rules/good.yaml"];
    let output = check(&unknown);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("cannot act as that role: role \"nobody\" does not exist"), "{said}");
}
