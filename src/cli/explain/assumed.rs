//! Facts on a table that nobody was asked about: everything that its rules name is there, with a type that fits.

use crate::{
    catalog::facts::{ColumnFacts, QualifiedName, RelationFacts, Resolved, StageFacts},
    rules::set::{Kind, Rule, TableRules},
};

/// Stands for the table's own.
const OID: u32 = 0;

/// New enough for every kind of write.
const SERVER_VERSION: u32 = 180_000;

/// What a table must be like for its rules to make sense.
pub(super) fn facts(table: &TableRules) -> Resolved {
    let columns: Vec<&str> = distinct(table.rules.iter().flat_map(Rule::columns));
    let columns = columns.into_iter().map(|name| column(name, type_of(name, table))).collect();
    let mut facts = relation(table.qualified_name(), columns);
    for rule in &table.rules {
        if let Kind::Parent(parent) = &rule.kind {
            let name = QualifiedName { schema: parent.schema.clone(), name: parent.table.clone() };
            let at = facts.parents.iter().position(|known| known.name == name).unwrap_or_else(|| {
                facts.parents.push(relation(name, Vec::new()));
                facts.parents.len() - 1
            });
            for (own, theirs) in parent.join.iter().chain(&parent.not_reused).chain(&parent.not_before) {
                if facts.parents[at].column(theirs).is_none() {
                    facts.parents[at].columns.push(column(theirs, type_of(own, table)));
                }
            }
        }
    }
    Resolved {
        relation: Some(facts),
        role: String::new(),
        server_version: SERVER_VERSION,
        notices: true,
        may_set_config: true,
    }
}

fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut all: Vec<&str> = Vec::new();
    for name in names {
        if !all.contains(&name) {
            all.push(name);
        }
    }
    all
}

/// What the rules take a column for.
fn type_of(column: &str, table: &TableRules) -> &'static str {
    let counts = |rule: &Rule| {
        rule.columns().contains(&column) && rule.units.contains_key(column)
            || matches!(&rule.kind, Kind::Duration(duration) if duration.column == column)
    };
    if table.rules.iter().any(counts) {
        return "int8";
    }
    if table.rules.iter().any(|rule| times(&rule.kind).contains(&column)) {
        return "timestamptz";
    }
    let joins =
        |rule: &Rule| matches!(&rule.kind, Kind::Parent(parent) if parent.join.iter().any(|(own, _)| own == column));
    if table.rules.iter().any(joins) { "int8" } else { "text" }
}

/// The columns that a rule takes for times.
fn times(kind: &Kind) -> Vec<&str> {
    match kind {
        Kind::Order(order) => order.columns.iter().map(String::as_str).collect(),
        Kind::Duration(duration) => vec![&duration.start, &duration.end],
        Kind::NearNow(near_now) => near_now.columns.iter().map(String::as_str).collect(),
        Kind::Plausible(plausible) => plausible.columns.iter().map(String::as_str).collect(),
        Kind::Parent(parent) => {
            parent.not_reused.iter().chain(&parent.not_before).map(|(own, _)| own.as_str()).collect()
        }
        Kind::Monotonic(monotonic) => monotonic.columns.iter().map(String::as_str).collect(),
        Kind::Require(_) | Kind::Check(_) | Kind::WriteOnce(_) | Kind::Transitions(_) | Kind::AffectsRows(_) => {
            Vec::new()
        }
    }
}

fn column(name: &str, type_name: &str) -> ColumnFacts {
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

fn relation(name: QualifiedName, columns: Vec<ColumnFacts>) -> RelationFacts {
    RelationFacts {
        oid: OID,
        lineage: vec![name.clone()],
        name,
        kind: 'r',
        columns,
        primary_key: Vec::new(),
        entangled: Vec::new(),
        tableoids: vec![OID],
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
        stage: StageFacts { temporary: true, ..StageFacts::default() },
        parents: Vec::new(),
    }
}
