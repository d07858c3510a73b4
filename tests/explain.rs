//! `chronoguard explain` as people and scripts run it. Expected outputs are files; `UPDATE_EXPECTED=1` writes them anew.

#![allow(clippy::unwrap_used, reason = "helpers of tests; clippy.toml allows it in the tests themselves")]

mod support;

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, Command, Output, Stdio},
};

use serde_json::{Value, json};

const RULES: [&str; 2] = ["--rules", "tests/fixtures/explain/rules.yaml"];

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chronoguard"));
    command.arg("explain").args(arguments).current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

fn explain(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

/// Runs it with something on its standard input.
fn explain_input(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = command(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

#[track_caller]
fn printed(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The JSON for a text, by the rules of the fixtures.
#[track_caller]
fn json_of(sql: &str) -> Value {
    let output = explain(&[RULES[0], RULES[1], "--format", "json", sql]);
    serde_json::from_str(&printed(&output)).unwrap()
}

/// The text without what only the compiler of guards decides, so that not each change of it is one here.
fn without_guards(text: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for line in text.lines() {
        inside &= line.starts_with("    + ");
        if inside {
            continue;
        }
        let begins = ["CASE WHEN ", "pg_catalog.concat("].iter().filter_map(|begin| line.find(begin)).min();
        match begins.filter(|_| line.starts_with("    + ") && !line.ends_with("CASE WHEN (")) {
            Some(begin) => {
                out.push_str(&format!("{}…\n", &line[..begin]));
                inside = true;
            }
            _ => out.push_str(&format!("{line}\n")),
        }
    }
    out
}

#[test]
fn all_kinds_of_statements() {
    let sql = fs::read("tests/fixtures/explain/statements.sql").unwrap();
    let text = printed(&explain_input(&[RULES[0], RULES[1], "-"], &sql));
    support::expected::compare(&without_guards(&text), "explain/statements.txt");
    // The same writes in the same order as JSON.
    let output = explain_input(&[RULES[0], RULES[1], "--format", "json", "-"], &sql);
    let mut json: Value = serde_json::from_str(&printed(&output)).unwrap();
    for statement in json["statements"].as_array_mut().unwrap() {
        let sent = statement["sql"].take();
        let guarded = statement["writes"].as_array().unwrap().iter().any(|write| write["guarded"] == true);
        assert_eq!(sent.as_str().unwrap().contains("tableoid"), guarded, "{sent}");
    }
    support::expected::compare(&(serde_json::to_string_pretty(&json).unwrap() + "\n"), "explain/statements.json");
}

#[test]
fn the_guard_is_seen() {
    let text = printed(&explain(&[RULES[0], RULES[1], "INSERT INTO ops (id, end_ts) VALUES (1, 2) -- the end"]));
    support::expected::compare(&text, "explain/guard.txt");
    // What is sent is one text: the lines that are marked belong to it.
    let sent: String =
        text.lines().skip_while(|line| *line != "  sent:").skip(1).map(|line| line[6..].to_owned() + "\n").collect();
    let blanks = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let json = json_of("INSERT INTO ops (id, end_ts) VALUES (1, 2) -- the end");
    assert_eq!(blanks(&sent), blanks(json["statements"][0]["sql"].as_str().unwrap()));
}

#[test]
fn json_keeps_to_the_contract() {
    let json = json_of("insert into Log (a) values (1)");
    let write = json!({"operation": "insert", "schema": null, "table": "log", "alias": null, "guarded": false, "rules": [], "unguardable": null});
    let statements = json!([{"writes": [write], "sql": "insert into Log (a) values (1)"}]);
    assert_eq!(json, json!({"statements": statements, "assumed": true}));
    let write = &json_of("UPDATE public.\"executions\" AS E SET started_at = now()")["statements"][0]["writes"][0];
    let expected = json!({"operation": "update", "schema": "public", "table": "executions", "alias": "e", "guarded": true, "rules": ["executions_order"], "unguardable": null});
    assert_eq!(*write, expected);
    // A statement of which one write is refused is not sent at all.
    let json = json_of(
        "WITH f AS (INSERT INTO migration.flows (id) VALUES (1)), j AS (INSERT INTO jobs VALUES (1)) UPDATE executions SET started_at = now()",
    );
    let statement = &json["statements"][0];
    assert_eq!(statement["sql"], "SELECT 'CG0000000000000000.0|'::pg_catalog.int4");
    assert_eq!(statement["writes"][0]["unguardable"], "parent_same_statement");
    for write in statement["writes"].as_array().unwrap() {
        assert_eq!((&write["guarded"], &write["refused"]), (&json!(false), &json!(true)));
    }
}

#[test]
fn without_rules_writes_are_found_all_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| command(arguments).current_dir(directory.path()).output().unwrap();
    let sql = "MERGE INTO a.b AS c USING d ON true WHEN MATCHED THEN DO NOTHING";
    let json: Value = serde_json::from_str(&printed(&run(&["--format", "json", sql]))).unwrap();
    let write = json!({"operation": "merge", "schema": "a", "table": "b", "alias": "c", "guarded": false, "rules": [], "unguardable": null});
    assert_eq!(json, json!({"statements": [{"writes": [write], "sql": sql}]}));
    assert!(printed(&run(&[sql])).starts_with("no rules: "));
    // As `run` does, it reads those in `rules/`.
    fs::create_dir(directory.path().join("rules")).unwrap();
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/explain/rules.yaml");
    fs::copy(rules, directory.path().join("rules/a.yaml")).unwrap();
    let json: Value =
        serde_json::from_str(&printed(&run(&["--format", "json", "INSERT INTO ops DEFAULT VALUES"]))).unwrap();
    assert_eq!(json["statements"][0]["writes"][0]["guarded"], true);
}

#[test]
fn what_the_rules_assume_fits_every_kind_of_rule() {
    let files = ["rules/example.yaml", "tests/fixtures/rules/good.yaml"].map(str::to_owned);
    let incidents = ["000", "001", "003", "004"].map(|number| format!("examples/incident-{number}/rules.yaml"));
    for file in files.iter().chain(&incidents) {
        let loaded = chronoguard::rules::load::load(&[file.into()]).unwrap();
        for table in &loaded.set.tables {
            let columns = table.rules.iter().flat_map(|rule| rule.columns()).collect::<std::collections::BTreeSet<_>>();
            let set: Vec<String> = columns.iter().map(|column| format!("\"{column}\" = DEFAULT")).collect();
            let sql = format!("INSERT INTO {0} DEFAULT VALUES; UPDATE {0} SET {1}", table.label(), set.join(", "));
            let output = explain(&["--rules", file, "--format", "json", &sql]);
            let json: Value = serde_json::from_str(&printed(&output)).unwrap();
            let of_new = table.rules.iter().filter(|rule| rule.kind.judges_new()).count();
            for (statement, rules) in [of_new, table.rules.len()].into_iter().enumerate() {
                let write = &json["statements"][statement]["writes"][0];
                assert_eq!(write["rules"].as_array().unwrap().len(), rules, "{file} {write}");
                assert!(write.get("skipped").is_none(), "{file} {write}");
            }
        }
    }
}

#[test]
fn usage_and_bad_rules() {
    assert_eq!(explain(&[]).status.code(), Some(2));
    assert_eq!(explain(&["--batch", "SELECT 1"]).status.code(), Some(2));
    assert_eq!(explain(&["--rules", "tests/fixtures/explain/nothing.yaml", "SELECT 1"]).status.code(), Some(2));
    let bad = explain(&["--rules", "tests/fixtures/rules/mistakes", "SELECT 1"]);
    assert_eq!((bad.status.code(), bad.stdout.len()), (Some(1), 0));
    assert!(String::from_utf8_lossy(&bad.stderr).contains("a.yaml:"));
    let nobody = explain(&["--database", "postgresql://nobody:hunter2@127.0.0.1:1/none", "SELECT 1"]);
    assert_eq!(nobody.status.code(), Some(2));
    let said = String::from_utf8_lossy(&nobody.stderr).into_owned();
    assert!(said.contains("cannot connect to the database") && !said.contains("hunter2"), "{said}");
    // A comment first is no flag; an empty text has no statement.
    assert_eq!(json_of("-- a comment\nSELECT 1")["statements"][0]["sql"], "SELECT 1");
    assert_eq!(json_of(" ; /* nothing */ ;")["statements"], json!([]));
    assert_eq!(json_of("SELECT 'open")["incomplete"], true);
}

/// A batch that is under way.
struct Batch {
    child: Child,
    input: ChildStdin,
    output: BufReader<std::process::ChildStdout>,
}

impl Batch {
    fn start(arguments: &[&str]) -> Self {
        let mut child = command(arguments).arg("--batch").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, input, output }
    }

    /// Sends a line and waits for its answer: the next line is sent only then.
    fn ask(&mut self, line: &[u8]) -> Value {
        self.input.write_all(line).unwrap();
        self.input.write_all(b"\n").unwrap();
        let mut answer = String::new();
        self.output.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap()
    }

    fn end(self) -> Option<i32> {
        let Self { mut child, input, output: _output } = self;
        drop(input);
        child.wait().unwrap().code()
    }
}

#[test]
fn a_batch_answers_line_by_line_and_outlives_bad_ones() {
    let mut batch = Batch::start(&RULES);
    let sql = "UPDATE executions SET started_at = now(); SELECT 1";
    let line = json!({"sql": sql, "id": 7}).to_string();
    let answer = batch.ask(line.as_bytes());
    assert_eq!(answer, json_of(sql));
    for bad in [&b"not json"[..], b"", b"[]", b"{}", b"{\"sql\": 7}", b"\xff\xfe", &b"[".repeat(100_000)] {
        let answer = batch.ask(bad);
        assert!(answer["error"].as_str().is_some_and(|error| !error.is_empty()), "{answer}");
        assert_eq!(answer.as_object().unwrap().len(), 1);
    }
    assert_eq!(batch.ask(line.as_bytes()), answer);
    // A line break and a NUL are characters like others here.
    assert_eq!(batch.ask(br#"{"sql": "SELECT\n\u0000 1"}"#)["statements"][0]["writes"], json!([]));
    assert_eq!(batch.end(), Some(0));
    // The last line needs no end.
    let output = explain_input(&[RULES[0], RULES[1], "--batch"], b"{\"sql\": \"\"}\n{\"sql\": \"\"}");
    assert_eq!(printed(&output).lines().count(), 2);
}

const SCHEMA: &str = "
    CREATE TABLE jobs (id bigint PRIMARY KEY, created_at timestamptz);
    CREATE TABLE executions (id bigint PRIMARY KEY, job_id bigint, status text, created_at timestamptz DEFAULT now(), started_at timestamptz,
        completed_at timestamptz, note text);
    CREATE TABLE late_executions () INHERITS (executions);
    CREATE VIEW seen_executions AS SELECT * FROM executions;
    CREATE VIEW named_executions AS SELECT id, started_at AS begun_at FROM executions;
    CREATE TABLE above (id bigint, created_at timestamptz, started_at timestamptz, completed_at timestamptz, job_id bigint, status text, note text);
    ALTER TABLE executions INHERIT above;
    CREATE SCHEMA other;
    CREATE TABLE other.executions (id bigint);
    CREATE TABLE ops (id bigint, end_ts text);
    CREATE SCHEMA migration;
    CREATE TABLE migration.flows (id bigint, job_id bigint, created_at timestamptz);
    ALTER TABLE migration.flows ENABLE ROW LEVEL SECURITY;
    CREATE POLICY everyone ON migration.flows USING (true);
";

const STATEMENTS: &str = "\
INSERT INTO executions (id) VALUES (1);
UPDATE executions SET started_at = now() RETURNING *;
WITH x AS (UPDATE executions e SET started_at = now() RETURNING *) SELECT * FROM x;
INSERT INTO late_executions (id) VALUES (2);
INSERT INTO seen_executions (id) VALUES (2);
INSERT INTO named_executions (id) VALUES (2);
UPDATE above SET started_at = now();
INSERT INTO other.executions VALUES (1);
INSERT INTO migration.flows (id) VALUES (1);
UPDATE migration.flows SET created_at = now() WHERE id = 3;
COPY executions (id) FROM STDIN;
INSERT INTO ops VALUES (1, '2');
INSERT INTO jobs VALUES (1);
SELECT set_config('search_path', 'other', false);
INSERT INTO executions VALUES (2);
";

#[tokio::test]
async fn a_database_says_what_names_mean() {
    let database = support::create_database_with(SCHEMA).await;
    let role = support::create_role("explainer").await;
    let admin = database.connect().await;
    let grants = format!(
        "GRANT ALL ON ALL TABLES IN SCHEMA public, other TO {role}; GRANT USAGE ON SCHEMA other, migration TO {role};
         GRANT SELECT, INSERT, UPDATE ON migration.flows TO {role}; REVOKE SELECT ON jobs FROM {role}"
    );
    admin.batch_execute(&grants).await.unwrap();
    let port = support::cluster().port();
    let url = format!("postgresql://{role}@127.0.0.1:{port}/{}", database.name);
    let run = |arguments: &[&str]| {
        let all: Vec<&str> = RULES.iter().chain(&["--database", &url]).chain(arguments).copied().collect();
        printed(&explain(&all))
    };
    // What differs from cluster to cluster gets another name.
    let oids: Vec<(String, u32)> = admin
        .query("SELECT c.oid::regclass::text, c.oid FROM pg_class c WHERE c.relname ~ 'executions$|flows$|ops$' AND c.relkind = 'r'", &[])
        .await
        .unwrap()
        .iter()
        .map(|row| (row.get(0), row.get(1)))
        .collect();
    let server: String =
        admin.query_one("SELECT split_part(current_setting('server_version'), ' ', 1)", &[]).await.unwrap().get(0);
    let mut text = run(&[STATEMENTS]).replacen(
        &format!("database {} as role {role}, PostgreSQL {server}", database.name),
        "database D as role R, PostgreSQL V",
        1,
    );
    assert!(text.starts_with("asked: database D as role R, PostgreSQL V\n"), "{text}");
    for (name, oid) in &oids {
        text = text.replace(&oid.to_string(), &format!("<{name}>"));
    }
    support::expected::compare(&without_guards(&text), "explain/database.txt");
    // What is shown is what the server takes, the guard with the relation's own columns and OIDs in it.
    let json: Value = serde_json::from_str(&run(&["--format", "json", STATEMENTS])).unwrap();
    assert!(json.get("assumed").is_none());
    let client = database.connect_as(&role).await;
    let statements = json["statements"].as_array().unwrap();
    assert_eq!(statements.len(), STATEMENTS.lines().count());
    for statement in statements {
        let sql = statement["sql"].as_str().unwrap();
        let refused = statement["writes"].as_array().unwrap().iter().any(|write| write["refused"] == true);
        if sql.starts_with("COPY") {
            client.copy_in::<_, bytes::Bytes>(sql).await.unwrap();
        } else {
            assert_eq!(client.prepare(sql).await.is_err(), refused, "{sql}");
        }
    }
    let executions = admin.query_one("SELECT 'executions'::regclass::oid", &[]).await.unwrap().get::<_, u32>(0);
    assert!(statements[0]["sql"].as_str().unwrap().contains(&executions.to_string()));
    // A batch asks anew for every line.
    let mut batch = Batch::start(&[RULES[0], RULES[1], "--database", &url]);
    let line = br#"{"sql": "INSERT INTO executions (id) VALUES (1)"}"#;
    assert_eq!(batch.ask(line)["statements"][0]["writes"][0]["guarded"], true);
    admin.batch_execute("DROP TABLE executions CASCADE").await.unwrap();
    assert_eq!(batch.ask(line)["statements"][0]["writes"][0]["guarded"], false);
    assert_eq!(batch.end(), Some(0));
}

/// A page of the manual of kinds with what `explain` says of its example.
fn explained(page: &str, dir: &Path) -> String {
    let block = |language: &str| {
        let begin = page.find(&format!("```{language}\n")).unwrap() + language.len() + 4;
        begin..begin + page[begin..].find("```").unwrap()
    };
    let rules = dir.join("rules.yaml");
    fs::write(&rules, &page[block("yaml")]).unwrap();
    let text = printed(&explain(&["--rules", rules.to_str().unwrap(), &page[block("sql")]]));
    // What is assumed stands in the manual of explain.
    let (_, said) = text.split_once("\n\nstatement 1\n").unwrap();
    let shown = block("text");
    format!("{}{}\n{}", &page[..shown.start], said.trim_end(), &page[shown.end..])
}

#[test]
fn the_pages_of_the_kinds_show_what_is_sent() {
    let dir = tempfile::tempdir().unwrap();
    let pages = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rules")).unwrap();
    for path in pages.map(|entry| entry.unwrap().path()) {
        let page = fs::read_to_string(&path).unwrap();
        support::expected::compare_file(&explained(&page, dir.path()), &path);
    }
}
