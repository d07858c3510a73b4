//! What a text is explained against: the rules, and what names mean, asked from a database or assumed.

use std::{collections::HashMap, sync::Arc};

use tokio::{runtime::Runtime, time::Instant};
use tokio_postgres::Client;

use super::{
    assumed,
    explanation::{Explained, Explanation, Judged, Meaning, Source, WriteExplained},
};
use crate::{
    catalog::{
        facts::{QualifiedName, RelationFacts, Resolved, StageFacts},
        question::{RELATED, RESOLVE, decode_related, decode_resolved, encode_asked, encode_names},
    },
    cli::database::{AskError, connect},
    guard::{Guard, Reason, Site, compile},
    plan::{
        Surroundings,
        names::{DatabaseNames, NameKey},
        plan_statement,
        stage::Way,
    },
    rules::set::{Exemption, RuleSet, TableRules},
    sql::{
        locate::{Located, locate},
        write::{LexOptions, Statement, Target, Write},
    },
};

/// Stands for the mark of a process, which is random.
const MARK: &str = "0000000000000000";

/// Names asked about at once, see [`RESOLVE`]; each may have parents.
const NAMES_AT_ONCE: usize = 5;

const SETTING: &str = "SELECT pg_catalog.current_setting($1)";

/// Where the answers come from, in words.
const WHO: &str = "SELECT pg_catalog.format('database %I as role %I, PostgreSQL %s', pg_catalog.current_database(), CURRENT_USER, \
    pg_catalog.split_part(pg_catalog.current_setting($1), ' ', 1))";

/// What texts are explained against.
pub(in crate::cli) struct Ground {
    rules: Arc<RuleSet>,
    names: DatabaseNames,
    known: HashMap<NameKey, Arc<Resolved>>,
    lex: LexOptions,
    database: Option<Database>,
}

/// A session that answers.
struct Database {
    runtime: Arc<Runtime>,
    client: Client,
    /// Which it is, for people.
    words: String,
}

impl Ground {
    /// No database is asked: names mean what the rules call so.
    pub(super) fn assumed(rules: RuleSet) -> Self {
        let rules = Arc::new(rules);
        let names = DatabaseNames::new(&rules, Vec::new(), None);
        Self { rules, names, known: HashMap::new(), lex: LexOptions::default(), database: None }
    }

    /// A database says what names mean, in one session of its own.
    ///
    /// # Errors
    /// It cannot be asked.
    pub(super) fn asked(rules: RuleSet, url: &str) -> Result<Self, AskError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let client = runtime.block_on(connect(url, "explain"))?;
        Self::over(Arc::new(rules), Arc::new(runtime), client)
    }

    /// As [`Ground::asked`], by a session that is there already.
    ///
    /// # Errors
    /// It cannot be asked.
    pub(in crate::cli) fn over(rules: Arc<RuleSet>, runtime: Arc<Runtime>, client: Client) -> Result<Self, AskError> {
        let mut database = Database { runtime, client, words: String::new() };
        database.words = database.ask(WHO, "server_version")?;
        let strings = database.ask(SETTING, "standard_conforming_strings")?;
        let tables: Vec<QualifiedName> = rules.tables.iter().map(|table| table.qualified_name()).collect();
        let related = decode_related(&database.ask(RELATED, &encode_names(&tables))?)?;
        Ok(Self {
            names: DatabaseNames::new(&rules, related, Some(Instant::now())),
            rules,
            known: HashMap::new(),
            lex: LexOptions { standard_conforming_strings: strings != "off" },
            database: Some(database),
        })
    }

    /// Who says what names mean.
    pub(super) fn source(&self) -> Source {
        match &self.database {
            _ if self.rules.tables.is_empty() => Source::NoRules,
            Some(database) => Source::Database(database.words.clone()),
            None => Source::Assumed,
        }
    }

    /// Explains a text.
    ///
    /// # Errors
    /// The database does not answer.
    pub(super) fn explain(&mut self, text: &[u8]) -> Result<Explanation, AskError> {
        let located = locate(text, self.lex);
        self.learn(&located)?;
        let mut changed = false;
        let mut statements = Vec::with_capacity(located.statements.len());
        for statement in &located.statements {
            statements.push(self.statement(text, statement, changed));
            changed |= statement.changes_names;
        }
        Ok(Explanation { statements, assumed: matches!(self.source(), Source::Assumed), complete: located.complete })
    }

    /// The rules that judge the writes of a text, and those that should and cannot.
    ///
    /// # Errors
    /// The database does not answer.
    pub(in crate::cli) fn judged(&mut self, text: &[u8]) -> Result<Judged, AskError> {
        Ok(Judged::of(&self.explain(text)?))
    }

    fn statement(&self, text: &[u8], statement: &Statement, changed: bool) -> Explained {
        let mut edits = Vec::new();
        let plan = plan_statement(self, text, statement, changed, &mut edits);
        let mut plans = plan.writes.into_iter().peekable();
        let writes = statement.writes.iter().enumerate().map(|(number, write)| WriteExplained {
            write: write.clone(),
            plan: plans.next_if(|plan| plan.number == number),
            meaning: self.meaning(write, changed),
        });
        Explained {
            verb: statement.verb.clone(),
            writes: writes.collect(),
            text: text[statement.span.clone()].to_vec(),
            edits: edits
                .into_iter()
                .map(|mut edit| {
                    edit.at -= statement.span.start;
                    edit
                })
                .collect(),
        }
    }

    fn meaning(&self, write: &Write, changed: bool) -> Meaning {
        let mut candidates: Vec<String> = self.names.concerns(&write.target).map(|table| table.label()).collect();
        candidates.dedup();
        let relation = self.known.get(&NameKey::of(&write.target)).map(|resolved| resolved.relation.as_ref());
        Meaning {
            relation: relation.map(|relation| relation.map(|facts| facts.name.clone())),
            candidates,
            assumed: self.database.is_none(),
            may_change: changed && write.target.schema.is_none(),
        }
    }

    /// Finds out what the names mean that may be those of guarded tables.
    fn learn(&mut self, located: &Located) -> Result<(), AskError> {
        let mut unknown: Vec<(NameKey, &Target)> = Vec::new();
        for target in located.statements.iter().flat_map(|s| &s.writes).map(|w| &w.target) {
            let key = NameKey::of(target);
            if self.names.may_concern(target) && !unknown.iter().any(|(known, _)| *known == key) {
                unknown.push((key, target));
            }
        }
        let Some(database) = &self.database else {
            for (key, target) in unknown {
                if let Some(table) = self.names.concerns(target).next() {
                    self.known.entry(key).or_insert_with(|| Arc::new(assumed::facts(table)));
                }
            }
            return Ok(());
        };
        // Between two texts anything may change.
        self.known.clear();
        for keys in unknown.chunks(NAMES_AT_ONCE) {
            let inquiry = self.names.inquiry(keys.iter().map(|(key, _)| key));
            let asked = inquiry.asked();
            let answer = database.ask(RESOLVE, &encode_asked(&asked))?;
            for ((key, _), resolved) in keys.iter().zip(decode_resolved(&answer, &asked)?) {
                self.known.insert(key.clone(), Arc::new(resolved));
            }
        }
        Ok(())
    }
}

impl Database {
    /// The one value of the one row.
    fn ask(&self, question: &str, parameter: &str) -> Result<String, AskError> {
        let row = self.runtime.block_on(self.client.query_one(question, &[&parameter]))?;
        Ok(row.try_get(0)?)
    }
}

impl Surroundings for Ground {
    fn rules(&self) -> &RuleSet {
        &self.rules
    }

    fn observe_only(&self) -> bool {
        false
    }

    /// Whoever asks is nobody's exception.
    fn exemptions(&self) -> &[Arc<Exemption>] {
        &[]
    }

    fn mark(&self) -> &str {
        MARK
    }

    fn concerned(&self, target: &Target) -> Option<&Arc<TableRules>> {
        self.names.concerns(target).next()
    }

    fn below(&self, relation: &RelationFacts) -> Option<&Arc<TableRules>> {
        self.names.below(&relation.name)
    }

    fn resolved(&self, target: &Target) -> Option<&Arc<Resolved>> {
        self.known.get(&NameKey::of(target))
    }

    fn objection(&self, _: &TableRules, _: &Arc<Resolved>) -> Option<Reason> {
        None
    }

    fn guard(&self, table: &Arc<TableRules>, resolved: &Arc<Resolved>, site: &Site<'_>) -> Result<Arc<Guard>, Reason> {
        let relation = resolved.relation.as_ref().ok_or(Reason::CatalogUnknown)?;
        compile(table, relation, site).map(Arc::new)
    }

    fn utf8(&self) -> bool {
        true
    }

    fn lex(&self) -> LexOptions {
        self.lex
    }

    /// As if the text came alone, outside of a transaction.
    fn staging(&self, facts: &StageFacts) -> Option<Way> {
        facts.temporary.then_some(Way::Text)
    }
}
