use std::{collections::BTreeSet, path::PathBuf};

use super::*;
use crate::{
    guard::{Cause, Reason},
    observe::{Outcome, WriteResult},
    rules::set::{Action, Condition, Kind, OnUnguardable, Place, Rule, TableRules},
    sql::write::Operation,
};

fn rules() -> RuleSet {
    let rule = Rule {
        name: "executions_short".into(),
        on_violation: Action::Reject.into(),
        ramp: None,
        since: None,
        severity: None,
        hint: None,
        description: None,
        always: false,
        when: None,
        units: Default::default(),
        timezone: None,
        kind: Kind::Check(Condition { text: "true".into(), columns: vec![] }),
        place: Place::default(),
    };
    let table = TableRules {
        schema: "public".into(),
        table: "executions".into(),
        owner: None,
        description: None,
        runbook: None,
        unguardable: OnUnguardable::Pass,
        rules: vec![rule],
        place: Place::default(),
    };
    RuleSet { tables: vec![Arc::new(table)], hash: "00112233445566aa".into(), ..RuleSet::default() }
}

fn has(text: &str, line: &str) {
    assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
}

#[test]
fn series_of_loaded_rules_exist_at_zero() {
    let metrics = Metrics::new();
    metrics.rules_replaced(None, &rules());
    let text = metrics.render();
    has(&text, "chronoguard_rules_loaded 1");
    has(&text, r#"chronoguard_config_info{hash="00112233445566aa"} 1"#);
    has(&text, r#"chronoguard_breaker_open{table="public.executions"} 0"#);
    has(&text, r#"chronoguard_writes_total{operation="update",result="lost",table="public.executions"} 0"#);
    for cause in Cause::ALL.map(Cause::as_str) {
        let series = format!(
            r#"chronoguard_violations_total{{action="reject",cause="{cause}",rule="executions_short",table="public.executions"}} 0"#
        );
        has(&text, &series);
    }
}

#[test]
fn a_new_rule_set_replaces_the_hash() {
    let metrics = Metrics::new();
    metrics.rules_replaced(None, &rules());
    metrics.rules_replaced(None, &RuleSet { tables: vec![], hash: "ff".into(), ..RuleSet::default() });
    let text = metrics.render();
    assert_eq!(text.lines().filter(|l| l.starts_with("chronoguard_config_info{")).count(), 1);
    has(&text, r#"chronoguard_config_info{hash="ff"} 1"#);
    has(&text, "chronoguard_rules_loaded 0");
}

#[test]
fn what_a_table_handle_counts_is_rendered() {
    let metrics = Metrics::new();
    let table = metrics.table("ops.jobs");
    table.statement(Operation::Copy, Outcome::Warned);
    table.violation("jobs_order", Action::Warn, Cause::ParentCopied, Some(0.25));
    table.violation("jobs_order", Action::Warn, Cause::ParentCopied, None);
    table.unguardable(Reason::CopyTrigger);
    table.rows_checked(7);
    table.rows_checked(3);
    table.write_result(Operation::Update, WriteResult::RolledBack);
    table.zero_row_write(Operation::Update);
    table.write_error("23505");
    table.write_error("23ZZZ");
    table.write_seconds(Operation::Insert, Duration::from_millis(30));
    table.breaker_open(true);
    let text = metrics.render();
    has(&text, r#"chronoguard_statements_total{operation="copy",outcome="warned",table="ops.jobs"} 1"#);
    has(
        &text,
        r#"chronoguard_violations_total{action="warn",cause="parent_copied",rule="jobs_order",table="ops.jobs"} 2"#,
    );
    has(&text, r#"chronoguard_violation_seconds_count{rule="jobs_order",table="ops.jobs"} 1"#);
    has(&text, r#"chronoguard_violation_seconds_bucket{rule="jobs_order",table="ops.jobs",le="0.5"} 1"#);
    has(&text, r#"chronoguard_unguardable_total{reason="copy_trigger",table="ops.jobs"} 1"#);
    has(&text, r#"chronoguard_rows_checked_total{table="ops.jobs"} 10"#);
    has(&text, r#"chronoguard_writes_total{operation="update",result="rolled_back",table="ops.jobs"} 1"#);
    has(&text, r#"chronoguard_zero_row_writes_total{operation="update",table="ops.jobs"} 1"#);
    has(&text, r#"chronoguard_write_errors_total{sqlstate="23505",table="ops.jobs"} 1"#);
    has(&text, r#"chronoguard_write_errors_total{sqlstate="23___",table="ops.jobs"} 1"#);
    has(&text, r#"chronoguard_write_seconds_bucket{operation="insert",table="ops.jobs",le="0.025"} 0"#);
    has(&text, r#"chronoguard_write_seconds_bucket{operation="insert",table="ops.jobs",le="0.05"} 1"#);
    has(&text, r#"chronoguard_breaker_open{table="ops.jobs"} 1"#);
}

#[test]
fn one_table_has_one_handle() {
    let metrics = Metrics::new();
    assert!(Arc::ptr_eq(&metrics.table("a.b"), &metrics.table("a.b")));
}

#[test]
fn a_session_moves_from_startup_to_open_and_leaves() {
    let metrics = Metrics::new();
    let mut session = metrics.session();
    has(&metrics.render(), r#"chronoguard_sessions{state="startup"} 1"#);
    session.opened();
    let text = metrics.render();
    has(&text, r#"chronoguard_sessions{state="startup"} 0"#);
    has(&text, r#"chronoguard_sessions{state="open"} 1"#);
    drop(session);
    has(&metrics.render(), r#"chronoguard_sessions{state="open"} 0"#);
}

#[test]
fn bytes_arrive_in_batches_and_none_is_lost() {
    let metrics = Metrics::new();
    let mut bytes = metrics.byte_counts();
    bytes.to_server(100);
    bytes.to_client(70_000);
    let text = metrics.render();
    has(&text, r#"chronoguard_bytes_total{direction="to_server"} 0"#);
    has(&text, r#"chronoguard_bytes_total{direction="to_client"} 70000"#);
    bytes.to_client(5);
    bytes.flush();
    bytes.to_server(1);
    drop(bytes);
    let text = metrics.render();
    has(&text, r#"chronoguard_bytes_total{direction="to_server"} 101"#);
    has(&text, r#"chronoguard_bytes_total{direction="to_client"} 70005"#);
}

#[test]
fn process_metrics_are_there() {
    let text = Metrics::new().render();
    for name in ["process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"] {
        let value = text.lines().find_map(|l| l.strip_prefix(name)?.trim().parse::<f64>().ok());
        assert!(value.is_some_and(|v| v >= 0.0), "{name} in\n{text}");
    }
}

/// Metric names in a text, each with what follows.
fn mentions(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices("chronoguard_").map(move |(at, _)| {
        let rest = &text[at..];
        rest.split_at(rest.find(|c| !part(c)).unwrap_or(rest.len()))
    })
}

/// Names of labels in a selector that starts the text: `{a="x",b=~"y"}`, quotes perhaps escaped.
fn selector(rest: &str) -> Vec<String> {
    let Some((inside, _)) = rest.strip_prefix('{').and_then(|r| r.split_once('}')) else { return vec![] };
    let name = |part: &str| part.split_once('=').map(|(name, _)| name.trim_end_matches('!').trim().to_owned());
    inside.split(',').filter_map(name).collect()
}

#[test]
fn dashboards_alerts_and_documents_name_metrics_and_labels_that_exist() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let metrics = Metrics::new();
    let mut used = BTreeSet::new();
    for file in [
        "deploy/prometheus/chronoguard.rules.yml",
        "deploy/prometheus/chronoguard.test.yml",
        "deploy/grafana/chronoguard.json",
        "docs/OPERATIONS.md",
        "README.md",
    ] {
        let text = std::fs::read_to_string(root.join(file)).unwrap();
        for (name, rest) in mentions(&text) {
            let declared = metrics.declared().iter().find(|d| {
                let suffix = name.strip_prefix(&d.name);
                suffix.is_some_and(|s| ["", "_bucket", "_sum", "_count"].contains(&s))
            });
            let declared = declared.unwrap_or_else(|| panic!("{file}: there is no metric {name}"));
            for label in selector(rest) {
                let known = ["instance", "job", "le"].contains(&label.as_str()) || declared.labels.contains(&label);
                assert!(known, "{file}: {name} has no label {label}");
            }
            if file.ends_with("OPERATIONS.md") {
                used.insert(declared.name.clone());
            }
        }
    }
    let undocumented: Vec<_> = metrics.declared().iter().filter(|d| !used.contains(&d.name)).map(|d| &d.name).collect();
    assert!(undocumented.is_empty(), "docs/OPERATIONS.md does not mention {undocumented:?}");
}
