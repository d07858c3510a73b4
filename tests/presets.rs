//! The presets under `rules/`: they fit the tables that they are for, and their tests hold, on observe as shipped and on reject.

#![allow(clippy::unwrap_used, reason = "helpers of tests; clippy.toml allows it in the tests themselves")]

mod support;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

use chronoguard::{
    config::{HostPort, Settings},
    rules::load::load,
    run::Proxy,
};
use serde::Deserialize;
use support::Database;

#[derive(Deserialize)]
struct Preset {
    tests: Vec<Test>,
}

#[derive(Deserialize)]
struct Test {
    name: String,
    setup: Option<String>,
    sql: String,
    expect: Expect,
}

#[derive(Deserialize)]
struct Expect {
    violations: BTreeSet<String>,
}

fn presets() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/presets");
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = entries.filter(|path| path.extension().is_some_and(|e| e == "yaml")).collect();
    found.sort();
    found
}

fn schema(preset: &Path) -> String {
    let name = preset.file_stem().unwrap().to_str().unwrap();
    std::fs::read_to_string(preset.with_file_name(format!("schema/{name}.sql"))).unwrap()
}

fn proxy(rules: &Path) -> Proxy {
    let local = |port| HostPort { host: "127.0.0.1".into(), port };
    let upstream = local(support::cluster().port());
    let rules = vec![rules.to_owned()];
    Proxy::start(&Settings { listen: local(0), upstream, admin: None, rules, threads: 1, ..Settings::default() })
        .unwrap()
}

#[test]
fn a_directory_of_rules_does_not_bring_its_presets_into_force() {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
    let tables = |path: PathBuf| load(&[path]).unwrap().set.tables;
    assert_eq!(tables(rules.clone()).iter().map(|t| t.label()).collect::<Vec<_>>(), ["example.executions"]);
    assert_eq!(tables(rules.join("presets/river.yaml")).len(), 3);
    assert!(tables(rules.join("presets")).len() >= 25);
}

#[tokio::test]
async fn presets_fit_their_tables() {
    assert_eq!(presets().len(), 11);
    for preset in presets() {
        let database = support::create_database_with(&schema(&preset)).await;
        let mut command = Command::new(env!("CARGO_BIN_EXE_chronoguard"));
        command.args(["check", "--strict", "--database", &database.url()]).arg(&preset);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

/// A proxy before a database with a preset's tables.
struct Stage {
    database: Database,
    proxy: Proxy,
}

impl Stage {
    /// Runs a test's statements over empty tables. The rule that refused them, and the rules whose violations were counted.
    async fn run(&self, test: &Test) -> (Option<String>, BTreeSet<String>) {
        let direct = self.database.connect().await;
        let tables = "SELECT string_agg(c.oid::regclass::text, ', ') FROM pg_class c WHERE relkind IN ('r', 'p') AND relnamespace::regnamespace::text NOT IN ('pg_catalog', 'information_schema')";
        let tables: String = direct.query_one(tables, &[]).await.unwrap().get(0);
        direct.batch_execute(&format!("TRUNCATE {tables} RESTART IDENTITY")).await.unwrap();
        if let Some(setup) = &test.setup {
            direct.batch_execute(setup).await.unwrap_or_else(|e| panic!("{}: {e:?}", test.name));
        }
        let client = self.database.connect_through(self.proxy.address().port()).await;
        let before = self.violations();
        let refused = client.batch_execute(&test.sql).await.err().map(|error| {
            let error = error.as_db_error().unwrap_or_else(|| panic!("{}: {error:?}", test.name)).clone();
            assert_eq!(error.code().code(), "23514", "{}: {error:?}", test.name);
            error.constraint().unwrap().to_owned()
        });
        let counted = self.violations().into_iter().filter(|entry| !before.contains(entry)).map(|(rule, _)| rule);
        (refused, counted.collect())
    }

    fn violations(&self) -> Vec<(String, f64)> {
        let by_rule = self.proxy.metrics().snapshot().by("violations_total", ["rule"]);
        by_rule.into_iter().map(|([rule], count)| (rule, count)).collect()
    }
}

#[tokio::test]
async fn tests_of_presets_hold_on_observe_and_on_reject() {
    let directory = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    for preset in presets() {
        let text = std::fs::read_to_string(&preset).unwrap();
        let tests = serde_saphyr::from_str::<Preset>(&text).unwrap().tests;
        let rejecting = directory.path().join(preset.file_name().unwrap());
        std::fs::write(&rejecting, text.replace("on_violation: observe", "on_violation: reject")).unwrap();
        let database = support::create_database_with(&schema(&preset)).await;
        let [observe, reject] =
            [&preset, &rejecting].map(|rules| Stage { database: database.clone(), proxy: proxy(rules) });
        let mut violated = BTreeSet::new();
        for test in tests {
            let (observed, (refused, _)) = (observe.run(&test).await, reject.run(&test).await);
            let expected = test.expect.violations;
            let right = refused.as_ref().map_or(expected.is_empty(), |rule| expected.contains(rule));
            if !right || observed != (None, expected.clone()) {
                wrong.push(format!("{}: {}: {observed:?}, refused {refused:?}", preset.display(), test.name));
            }
            violated.extend(expected);
        }
        let rules = load(std::slice::from_ref(&preset)).unwrap().set.tables;
        let all: BTreeSet<_> =
            rules.iter().flat_map(|table| table.rules.iter().map(|rule| rule.name.clone())).collect();
        assert_eq!(violated, all, "{}: a rule that no test breaks", preset.display());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
