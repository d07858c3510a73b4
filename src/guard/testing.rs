//! What the guard's tests build: facts and rules without a catalog or a rule file.

use std::collections::BTreeMap;

use super::{Channel, Context, Guard, OldPlaces, Site};
use crate::{
    catalog::facts::{ColumnFacts, QualifiedName, RelationFacts, StageFacts},
    rules::set::{Action, Condition, Kind, OnUnguardable, Place, Rule, TableRules},
    sql::write::Operation,
};

pub(super) fn column(name: &str, type_name: &str) -> ColumnFacts {
    ColumnFacts {
        name: name.to_owned(),
        type_name: type_name.to_owned(),
        is_enum: false,
        has_default: false,
        default: None,
        generated: false,
        virtual_generated: false,
        identity_always: false,
        can_select: true,
        can_update: true,
    }
}

pub(crate) fn relation(name: &str, columns: &[(&str, &str)]) -> RelationFacts {
    let name = QualifiedName { schema: "public".to_owned(), name: name.to_owned() };
    RelationFacts {
        oid: 16402,
        columns: columns.iter().map(|(name, type_name)| column(name, type_name)).collect(),
        primary_key: columns.iter().filter(|(name, _)| *name == "id").map(|(name, _)| (*name).to_owned()).collect(),
        entangled: columns.iter().filter(|(name, _)| *name == "id").map(|(name, _)| (*name).to_owned()).collect(),
        lineage: vec![name.clone()],
        name,
        kind: 'r',
        tableoids: vec![16402],
        partition_root: None,
        foreign_descendant: false,
        view_bases: Vec::new(),
        before_insert_trigger: false,
        before_update_trigger: false,
        view: None,
        instead_of_trigger: false,
        instead_rule_insert: false,
        instead_rule_update: false,
        row_security: false,
        reads_system_columns: true,
        stage: StageFacts::default(),
        parents: Vec::new(),
    }
}

pub(super) fn condition(text: &str, columns: &[&str]) -> Condition {
    Condition { text: text.to_owned(), columns: columns.iter().map(|column| (*column).to_owned()).collect() }
}

pub(super) fn rule(kind: Kind) -> Rule {
    Rule {
        name: format!("the_{}", kind.as_str()),
        on_violation: Action::Observe.into(),
        ramp: None,
        since: None,
        severity: None,
        hint: None,
        description: None,
        always: false,
        when: None,
        units: BTreeMap::new(),
        timezone: None,
        kind,
        place: Place::default(),
    }
}

pub(super) fn table(name: &str, rules: Vec<Rule>) -> TableRules {
    TableRules {
        schema: "public".to_owned(),
        table: name.to_owned(),
        owner: None,
        description: None,
        runbook: None,
        unguardable: OnUnguardable::Pass,
        rules,
        place: Place::default(),
    }
}

pub(super) fn site(row: &str) -> Site<'_> {
    Site {
        operation: Operation::Insert,
        row,
        channel: Channel::Column,
        columns: None,
        conflict_columns: None,
        old: OldPlaces { alias: Some("cg_old"), condition: true, assignment: true },
        may_set_config: true,
        conflict_target: false,
        reads_target: false,
        server_version: 150_000,
        notices: true,
        also_written: &[],
        observe_only: false,
        exemptions: &[],
        trusted: false,
        mark: "0123456789abcdef",
    }
}

pub(super) fn guard() -> Guard {
    Guard {
        expression: None,
        old_row: None,
        judged: Vec::new(),
        decisions: Vec::new(),
        counted: Vec::new(),
        skipped: Vec::new(),
        key: Vec::new(),
        slots: Vec::new(),
        context: Context {
            operation: Operation::Insert,
            relation: QualifiedName { schema: "public".to_owned(), name: "executions".to_owned() },
            columns: None,
            conflict_columns: None,
            clock_defaults: Vec::new(),
        },
    }
}
