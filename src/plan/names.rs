//! The names under which guarded tables may be written, and which rules a relation has.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{
    catalog::{
        facts::QualifiedName,
        question::{Asked, How, Related},
    },
    rules::set::{Kind, RuleSet, TableRules},
    sql::{
        scan::{Interest, Scanner},
        write::Target,
    },
};

/// How long the catalog's answers are believed. A change that passes through the session is seen at once, one made elsewhere after this, or as soon
/// as a guard fails because of it.
pub const BELIEVED: Duration = Duration::from_secs(60);

/// A name as a statement wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NameKey {
    /// The schema, if one was written.
    pub schema: Option<String>,
    /// The relation.
    pub name: String,
}

impl NameKey {
    /// The name that a write is to.
    pub fn of(target: &Target) -> Self {
        Self { schema: target.schema.clone(), name: target.name.clone() }
    }
}

/// The names asked about, each with the parents that its rules look at.
#[derive(Debug)]
pub struct Inquiry(pub Vec<(NameKey, Vec<QualifiedName>)>);

impl Inquiry {
    /// In the form of the catalog's questions.
    pub fn asked(&self) -> Vec<Asked<'_>> {
        self.0.iter().map(|(key, parents)| Asked { schema: key.schema.as_deref(), name: &key.name, parents }).collect()
    }
}

/// The names in a database under which guarded tables may be written, and the scanner that finds them in a text.
#[derive(Debug)]
pub struct DatabaseNames {
    rules: Arc<RuleSet>,
    /// `None`: it could not be built; then every text is of interest.
    scanner: Option<Scanner>,
    /// Relation names of interest: the schemas they are in, and the guarded tables each may lead to.
    names: HashMap<String, Vec<(String, Arc<TableRules>)>>,
    related: Vec<Related>,
    /// When the server was asked for related names; `None`: not yet.
    asked: Option<Instant>,
}

impl DatabaseNames {
    /// The names of the rules' tables, and those that lead to them; `asked`: when the server said so.
    pub fn new(rules: &Arc<RuleSet>, related: Vec<Related>, asked: Option<Instant>) -> Self {
        let mut names: HashMap<String, Vec<(String, Arc<TableRules>)>> = HashMap::new();
        for table in &rules.tables {
            names.entry(table.table.clone()).or_default().push((table.schema.clone(), Arc::clone(table)));
        }
        for relation in &related {
            if let Some(table) = rules.table(&relation.base) {
                let place = (relation.name.schema.clone(), Arc::clone(table));
                names.entry(relation.name.name.clone()).or_default().push(place);
            }
        }
        let scanner = Scanner::new(names.keys().map(String::as_str))
            .inspect_err(|error| tracing::error!(%error, "too many names: every text is analyzed"))
            .ok();
        Self { rules: Arc::clone(rules), scanner, names, related, asked }
    }

    /// The rules it was made for.
    pub fn rules(&self) -> &Arc<RuleSet> {
        &self.rules
    }

    /// The same for other rules, with the server to be asked again.
    pub fn with_rules(&self, rules: &Arc<RuleSet>) -> Self {
        Self::new(rules, self.related.clone(), None)
    }

    /// The same, with the server to be asked again for what leads to the tables.
    pub fn forgotten(&self) -> Self {
        self.with_rules(&self.rules)
    }

    /// What a text may be about.
    pub fn scan(&self, text: &[u8]) -> Interest {
        self.scanner.as_ref().map_or(Interest { names: true, session: true }, |scanner| scanner.scan(text))
    }

    /// The guarded tables that a write to this may be one to. The catalog part of `db.schema.table` can only be the session's own database.
    pub fn concerns(&self, target: &Target) -> impl Iterator<Item = &Arc<TableRules>> {
        self.concerned(target.schema.as_deref(), &target.name)
    }

    fn concerned(&self, schema: Option<&str>, name: &str) -> impl Iterator<Item = &Arc<TableRules>> {
        // A temporary schema holds no guarded table, but a temporary view over one may be in it.
        let any_schema = schema.is_none_or(|schema| schema == "pg_temp");
        self.names
            .get(name)
            .into_iter()
            .flatten()
            .filter(move |(of, _)| any_schema || schema == Some(of))
            .map(|(_, table)| table)
    }

    /// The guarded table below a relation (partition or child) that has no rules itself: rows written to it may land there.
    pub fn below(&self, name: &QualifiedName) -> Option<&Arc<TableRules>> {
        let leads_down = |r: &&Related| r.how == How::Ancestor && r.name == *name;
        self.rules.table(&self.related.iter().find(leads_down)?.base)
    }

    /// Whether there is any.
    pub fn may_concern(&self, target: &Target) -> bool {
        self.concerns(target).next().is_some()
    }

    /// The parents that the rules of these names look at.
    pub fn inquiry<'n>(&self, names: impl IntoIterator<Item = &'n NameKey>) -> Inquiry {
        let with_parents = |key: &NameKey| {
            let rules = self.concerned(key.schema.as_deref(), &key.name).flat_map(|table| &table.rules);
            let mut parents: Vec<QualifiedName> = rules
                .filter_map(|rule| match &rule.kind {
                    Kind::Parent(parent) => {
                        Some(QualifiedName { schema: parent.schema.clone(), name: parent.table.clone() })
                    }
                    _ => None,
                })
                .collect();
            parents.sort();
            parents.dedup();
            (key.clone(), parents)
        };
        Inquiry(names.into_iter().map(with_parents).collect())
    }

    /// The server should be asked (again) which other relations lead to the guarded tables.
    pub fn is_stale(&self) -> bool {
        self.asked.is_none_or(|at| at.elapsed() > BELIEVED)
    }
}

/// The rules that hold for a relation: its own, or those of the nearest ancestor that has some.
pub fn rules_for<'r>(rules: &'r RuleSet, lineage: &[QualifiedName]) -> Option<&'r Arc<TableRules>> {
    lineage.iter().find_map(|name| rules.table(name))
}
