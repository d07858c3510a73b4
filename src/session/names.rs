//! What names mean in this session, asked from the server inside the session itself, and remembered until something may have changed it.
//!
//! Two questions, both hidden from the client: which other relations lead to the guarded tables (partitions, views; once in a while per database),
//! and what a name that a client writes to means right now, for its role.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::RwLock;
use tokio::time::Instant;

use crate::{
    catalog::{
        facts::{QualifiedName, Resolved},
        question::{Asked, Identified, Related},
    },
    rules::set::{Kind, RuleSet, TableRules},
    sql::{
        scan::{Interest, Scanner},
        write::Target,
    },
    wire::compose::Ending,
};

/// How long the catalog's answers are believed. A change that passes through the session is seen at once, one made elsewhere after this, or as soon
/// as a guard fails because of it.
const BELIEVED: Duration = Duration::from_secs(60);

/// The same for a relation that cannot be guarded as the catalog has it: what is missing may be there any moment.
const BELIEVED_UNGUARDABLE: Duration = Duration::from_secs(5);

/// Relations, times roles and states, that are remembered at most.
const MOST_FACTS: usize = 10_000;

/// A name as a statement wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct NameKey {
    pub(super) schema: Option<String>,
    pub(super) name: String,
}

impl NameKey {
    pub(super) fn of(target: &Target) -> Self {
        Self { schema: target.schema.clone(), name: target.name.clone() }
    }
}

/// A question under way in the session.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) about: About,
    pub(super) ending: Ending,
    /// The one value of the one row.
    pub(super) answer: Option<Vec<u8>>,
    /// `CloseComplete`s seen; the second one is the last reply of its own.
    pub(super) closed: u8,
}

impl Question {
    pub(super) fn new(about: About, ending: Ending) -> Box<Self> {
        Box::new(Self { about, ending, answer: None, closed: 0 })
    }

    /// An error does not make the server skip the client's messages.
    pub(super) fn ends_with_sync(&self) -> bool {
        self.ending == Ending::Sync
    }
}

/// What is asked.
#[derive(Debug)]
pub(super) enum About {
    /// The other names of the guarded tables.
    Related(Arc<RuleSet>),
    /// Which relations these names mean: cheap, and enough if everything about them is known already.
    Identity(Inquiry),
    /// Everything about the relations that these names mean, which are those.
    Facts(Inquiry, Vec<Identified>),
}

/// The names asked about, each with the parents that its rules look at.
#[derive(Debug)]
pub(super) struct Inquiry(pub(super) Vec<(NameKey, Vec<QualifiedName>)>);

impl Inquiry {
    /// In the form of the catalog's questions.
    pub(super) fn asked(&self) -> Vec<Asked<'_>> {
        self.0.iter().map(|(key, parents)| Asked { schema: key.schema.as_deref(), name: &key.name, parents }).collect()
    }
}

/// The names in a database under which guarded tables may be written, and the scanner that finds them in a text.
#[derive(Debug)]
pub(super) struct DatabaseNames {
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
    fn new(rules: &Arc<RuleSet>, related: Vec<Related>, asked: Option<Instant>) -> Self {
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

    /// What a text may be about.
    pub(super) fn scan(&self, text: &[u8]) -> Interest {
        self.scanner.as_ref().map_or(Interest { names: true, session: true }, |scanner| scanner.scan(text))
    }

    /// The guarded tables that a write to this may be one to. The catalog part of `db.schema.table` can only be the session's own database.
    pub(super) fn concerns(&self, target: &Target) -> impl Iterator<Item = &Arc<TableRules>> {
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

    /// Whether there is any.
    pub(super) fn may_concern(&self, target: &Target) -> bool {
        self.concerns(target).next().is_some()
    }

    /// The parents that the rules of these names look at.
    pub(super) fn inquiry<'n>(&self, names: impl IntoIterator<Item = &'n NameKey>) -> Inquiry {
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
    pub(super) fn is_stale(&self) -> bool {
        self.asked.is_none_or(|at| at.elapsed() > BELIEVED)
    }
}

/// The names of every database that was connected to, and what is known of relations, shared by all sessions.
#[derive(Debug, Default)]
pub struct Databases {
    names: RwLock<HashMap<String, Arc<DatabaseNames>>>,
    facts: RwLock<HashMap<(String, Identified), (Arc<Resolved>, Instant)>>,
}

impl Databases {
    /// What is known of a database, for the rules in force.
    pub(super) fn names(&self, database: &str, rules: &Arc<RuleSet>) -> Arc<DatabaseNames> {
        if let Some(known) = self.names.read().get(database)
            && Arc::ptr_eq(&known.rules, rules)
        {
            return Arc::clone(known);
        }
        let fresh = Arc::new(DatabaseNames::new(rules, Vec::new(), None));
        self.names.write().insert(database.to_owned(), Arc::clone(&fresh));
        fresh
    }

    /// Takes the answer to [`About::Related`].
    pub(super) fn learn(&self, database: &str, rules: &Arc<RuleSet>, related: Vec<Related>) {
        let fresh = DatabaseNames::new(rules, related, Some(Instant::now()));
        self.names.write().insert(database.to_owned(), Arc::new(fresh));
    }

    /// Relations were made or changed: ask again before the next statement.
    pub(super) fn forget(&self, database: &str) {
        let mut map = self.names.write();
        if let Some(known) = map.get(database) {
            let fresh = DatabaseNames::new(&known.rules, known.related.clone(), None);
            map.insert(database.to_owned(), Arc::new(fresh));
        }
    }

    /// What is known of a relation in this state.
    pub(super) fn facts(&self, database: &str, identified: &Identified) -> Option<Arc<Resolved>> {
        let facts = self.facts.read();
        let (resolved, learned) = facts.get(&(database.to_owned(), identified.clone()))?;
        (learned.elapsed() < BELIEVED).then(|| Arc::clone(resolved))
    }

    /// Keeps what was said of a relation in this state. Where that is what was known, the known value goes on, so that what was made of it does.
    pub(super) fn keep(&self, database: &str, identified: Identified, resolved: Resolved) -> Arc<Resolved> {
        let mut facts = self.facts.write();
        if facts.len() >= MOST_FACTS {
            facts.retain(|_, (_, learned)| learned.elapsed() < BELIEVED);
        }
        let key = (database.to_owned(), identified);
        let resolved = match facts.get(&key) {
            Some((known, _)) if **known == resolved => Arc::clone(known),
            _ => Arc::new(resolved),
        };
        if facts.len() < MOST_FACTS {
            facts.insert(key, (Arc::clone(&resolved), Instant::now()));
        }
        resolved
    }
}

/// What names mean, as the server answered.
#[derive(Debug, Default)]
pub(super) struct KnownNames(HashMap<NameKey, (Arc<Resolved>, Instant)>);

impl KnownNames {
    pub(super) fn get(&self, key: &NameKey) -> Option<&Arc<Resolved>> {
        self.0.get(key).filter(|(_, until)| *until > Instant::now()).map(|(resolved, _)| resolved)
    }

    pub(super) fn learn(&mut self, key: NameKey, resolved: Arc<Resolved>) {
        self.0.insert(key, (resolved, Instant::now() + BELIEVED));
    }

    /// What was answered does not allow a guard: it is asked again soon.
    pub(super) fn doubt(&mut self, key: &NameKey) {
        if let Some((_, until)) = self.0.get_mut(key) {
            *until = (*until).min(Instant::now() + BELIEVED_UNGUARDABLE);
        }
    }

    pub(super) fn forget(&mut self) {
        self.0.clear();
    }
}

/// The rules that hold for a relation: its own, or those of the nearest ancestor that has some.
pub(super) fn rules_for<'r>(rules: &'r RuleSet, lineage: &[QualifiedName]) -> Option<&'r Arc<TableRules>> {
    lineage.iter().find_map(|name| rules.table(name))
}
