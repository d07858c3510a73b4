//! The rules in force and the recent violations as JSON.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::{Query, State},
};
use serde::{Deserialize, Serialize};

use super::Admin;
use crate::{
    control::InForce,
    observe::{Recent, Snapshot, ViolationRecord},
    rules::set::{Action, Exemption, OnUnguardable, Rule, TableRules},
    sql::write::Operation,
};

/// Answer of `/api/rules`.
#[derive(Debug, Serialize)]
pub(super) struct Rules {
    hash: String,
    /// The kill switch is on: whatever the rules say, they only observe.
    observe_only: bool,
    exemptions: Vec<ExemptionEntry>,
    tables: Vec<Table>,
}

#[derive(Debug, Serialize)]
struct Table {
    table: String,
    owner: Option<String>,
    description: Option<String>,
    runbook: Option<String>,
    unguardable: OnUnguardable,
    rules: Vec<RuleEntry>,
}

#[derive(Debug, Serialize)]
struct RuleEntry {
    name: String,
    kind: &'static str,
    /// The strictest action of any kind of write; `actions` has each, where they differ.
    on_violation: Action,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    actions: BTreeMap<&'static str, Action>,
    /// Share of the statements that are rejected, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    ramp_percent: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    severity: Option<String>,
    description: Option<String>,
    hint: Option<String>,
    columns: Vec<String>,
    when: Option<String>,
    file: String,
    line: u32,
    /// Violations since the start of the process.
    violations: u64,
}

#[derive(Debug, Serialize)]
struct ExemptionEntry {
    rules: Vec<String>,
    #[serde(rename = "match")]
    matches: BTreeMap<&'static str, String>,
    reason: String,
    owner: Option<String>,
    expires: String,
    file: String,
    line: u32,
}

impl ExemptionEntry {
    fn new(exemption: &Exemption) -> Self {
        let matches = &exemption.matches;
        let client = matches.client.map(|network| format!("{}/{}", network.address, network.prefix));
        let given = [
            ("role", matches.role.clone()),
            ("database", matches.database.clone()),
            ("application_name", matches.application_name.clone()),
            ("client", client),
        ];
        Self {
            rules: exemption.rules.clone(),
            matches: given.into_iter().filter_map(|(name, value)| Some((name, value?))).collect(),
            reason: exemption.reason.clone(),
            owner: exemption.owner.clone(),
            expires: exemption.expires.to_string(),
            file: exemption.place.file.display().to_string(),
            line: exemption.place.line,
        }
    }
}

/// The action of each kind of write.
fn actions(rule: &Rule) -> BTreeMap<&'static str, Action> {
    let all = [Operation::Insert, Operation::Update, Operation::Merge, Operation::Copy];
    all.into_iter().map(|operation| (operation.as_str(), rule.on_violation.action(operation))).collect()
}

/// The label of a table.
pub(super) fn table_label(table: &TableRules) -> String {
    format!("{}.{}", table.schema, table.table)
}

/// How often each rule was violated since the process started.
pub(super) struct ViolationCounts(BTreeMap<[String; 2], f64>);

impl ViolationCounts {
    pub fn new(snapshot: &Snapshot) -> Self {
        Self(snapshot.by("violations_total", ["table", "rule"]))
    }

    pub fn of(&self, table: &str, rule: &str) -> u64 {
        count(self.0.get(&[table.to_owned(), rule.to_owned()]).copied().unwrap_or_default())
    }
}

/// A counter's value: whole and not negative.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a counter is whole and not negative")]
pub(super) fn count(value: f64) -> u64 {
    value as u64
}

impl Rules {
    fn new(in_force: &InForce, snapshot: &Snapshot) -> Self {
        let set = &in_force.rules;
        let counts = ViolationCounts::new(snapshot);
        let tables = set.tables.iter().map(|table| Table {
            table: table_label(table),
            owner: table.owner.clone(),
            description: table.description.clone(),
            runbook: table.runbook.clone(),
            unguardable: table.unguardable,
            rules: table.rules.iter().map(|rule| RuleEntry::new(table, rule, &counts)).collect(),
        });
        Self {
            hash: set.hash.clone(),
            observe_only: in_force.observe_only,
            exemptions: set.exemptions.iter().map(|exemption| ExemptionEntry::new(exemption)).collect(),
            tables: tables.collect(),
        }
    }
}

impl RuleEntry {
    fn new(table: &TableRules, rule: &Rule, counts: &ViolationCounts) -> Self {
        Self {
            name: rule.name.clone(),
            kind: rule.kind.as_str(),
            on_violation: rule.on_violation.strictest(),
            actions: if rule.on_violation.is_uniform() { BTreeMap::new() } else { actions(rule) },
            ramp_percent: rule.ramp.map(|ramp| f64::from(ramp.basis_points) / 100.0),
            since: rule.since.map(|since| since.to_string()),
            severity: rule.severity.clone(),
            description: rule.description.clone(),
            hint: rule.hint.clone(),
            columns: rule.columns().into_iter().map(str::to_owned).collect(),
            when: rule.when.as_ref().map(|w| w.text.clone()),
            file: rule.place.file.display().to_string(),
            line: rule.place.line,
            violations: counts.of(&table_label(table), &rule.name),
        }
    }
}

/// `GET /api/rules`.
pub(super) async fn rules(State(admin): State<Admin>) -> Json<Rules> {
    let snapshot = admin.state.metrics.snapshot();
    Json(Rules::new(&admin.state.control.in_force(), &snapshot))
}

/// Query of `/api/violations`.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    limit: Option<usize>,
    table: Option<String>,
    rule: Option<String>,
}

/// Answer of `/api/violations`.
#[derive(Debug, Serialize)]
pub(super) struct Violations {
    violations: Vec<Arc<ViolationRecord>>,
}

/// `GET /api/violations`.
pub(super) async fn violations(State(admin): State<Admin>, Query(wanted): Query<Wanted>) -> Json<Violations> {
    let matches = |text: &str, filter: &Option<String>| filter.as_deref().is_none_or(|f| f == text);
    let violations = admin
        .state
        .violations
        .recent(Recent::CAPACITY)
        .into_iter()
        .filter(|r| matches(&r.statement.table, &wanted.table) && matches(&r.finding.rule, &wanted.rule))
        .take(wanted.limit.unwrap_or(Recent::CAPACITY))
        .collect();
    Json(Violations { violations })
}
