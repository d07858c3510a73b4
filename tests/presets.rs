//! The rules that are shipped under `rules/`: they fit the tables that they are for, and their tests hold on reject. (That they hold as shipped is in `rule_tests.rs`.)

#![allow(clippy::unwrap_used, reason = "helpers of tests; clippy.toml allows it in the tests themselves")]

mod support;

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use chronoguard::rules::load::load;

fn rules() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("rules")
}

fn presets() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(rules().join("presets")).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = entries.filter(|path| path.extension().is_some_and(|e| e == "yaml")).collect();
    found.sort();
    assert_eq!(found.len(), 11);
    found
}

fn schema(preset: &Path) -> String {
    let name = preset.file_stem().unwrap().to_str().unwrap();
    std::fs::read_to_string(preset.with_file_name(format!("schema/{name}.sql"))).unwrap()
}

async fn chronoguard(arguments: &[&str], path: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chronoguard"));
    command.args(arguments).arg(path);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

/// All tests below a path pass, and have shown of each rule that it can tell good from bad.
#[track_caller]
fn all_pass(output: &Output) {
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let (_, seen) = said.lines().last().unwrap().split_once("; ").unwrap();
    let (some, all) = seen.split_once(" of ").unwrap();
    assert!(all.starts_with(&format!("{some} rules")), "{said}");
}

#[test]
fn a_directory_of_rules_does_not_bring_its_presets_into_force() {
    let tables = |path: PathBuf| load(&[path]).unwrap().set.tables;
    assert_eq!(tables(rules()).iter().map(|t| t.label()).collect::<Vec<_>>(), ["example.executions"]);
    assert_eq!(tables(rules().join("presets/river.yaml")).len(), 3);
    assert!(tables(rules().join("presets")).len() >= 25);
}

#[tokio::test]
async fn presets_fit_their_tables() {
    for preset in presets() {
        let database = support::create_database_with(&schema(&preset)).await;
        let output = chronoguard(&["check", "--strict", "--database", &database.url()], &preset).await;
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

/// What a preset observes as shipped, it refuses on reject; and nothing else.
#[tokio::test]
async fn tests_of_presets_hold_on_reject() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("schema")).unwrap();
    for preset in presets() {
        let text = std::fs::read_to_string(&preset).unwrap();
        let text = text.replace("on_violation: observe", "on_violation: reject");
        let text = text.replace("expect: {violations: []", "expect: {rejected: false");
        let text = text.replace("expect: {violations: [", "expect: {rejected: true, violations: [");
        let name = preset.file_stem().unwrap().to_str().unwrap();
        std::fs::write(directory.path().join(format!("{name}.yaml")), text).unwrap();
        std::fs::write(directory.path().join(format!("schema/{name}.sql")), schema(&preset)).unwrap();
    }
    all_pass(&chronoguard(&["test"], directory.path()).await);
}
