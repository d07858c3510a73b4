//! From a text of the client to its [`Plan`]: find the writes, ask what their names mean, compile the guards, splice.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use super::{
    breaker::Suspect,
    exchange::{Exchange, Transaction},
    names::{About, DatabaseNames, NameKey},
    plan::{Body, Column, Fate, Plan, Planned, PlannedWrite},
    prepared::{BySql, Prepared, Shelf, Undo},
};
use crate::{
    catalog::facts::{Resolved, StageFacts},
    control::InForce,
    guard::{Guard, Reason, Site, cache::same_exemptions},
    plan::{
        StatementPlan, Surroundings, plan_statement,
        stage::{self, Way},
    },
    rules::set::{Exemption, RuleSet, TableRules},
    sql::{
        cache::{Sightings, TextCache},
        locate::locate,
        splice::{Edit, splice, splice_at},
        write::{LexOptions, Operation, Statement, Target, Verb},
    },
};

/// Bytes that plans of texts may take, all sessions together.
const CACHE_BYTES: usize = 32 * 1024 * 1024;

/// The plans of texts seen lately, shared by all sessions.
#[derive(Debug)]
pub struct PlanCache {
    plans: TextCache<PlanParts>,
    /// A plan is kept when its text comes for the second time.
    seen: Sightings,
    /// Address of the rules that the newest plans were made by.
    rules: AtomicUsize,
}

impl PlanCache {
    /// A session takes up these rules. If it is the first one, plans made by others are let go: each holds on to all rules that it was made by.
    pub(super) fn take_up(&self, rules: &Arc<RuleSet>) -> bool {
        let address = Arc::as_ptr(rules).addr();
        let first = self.rules.swap(address, Ordering::Relaxed) != address;
        if first {
            self.plans.clear();
        }
        first
    }
}

impl Default for PlanCache {
    fn default() -> Self {
        Self { plans: TextCache::new(CACHE_BYTES), seen: Sightings::default(), rules: AtomicUsize::new(0) }
    }
}

/// A plan without its text, and all that it depends on.
#[derive(Debug)]
struct PlanParts {
    in_force: Arc<InForce>,
    exemptions: Arc<[Arc<Exemption>]>,
    database: Arc<DatabaseNames>,
    names: Arc<[(NameKey, Arc<Resolved>)]>,
    /// Something in it must be noticed.
    concerns: bool,
    statements: Arc<[Planned]>,
    /// Offsets count from the beginning of the text's body.
    edits: Vec<Edit>,
}

impl PlanParts {
    /// It depends on nothing but what is compared before it is used again.
    fn is_lasting(&self) -> bool {
        self.statements.iter().all(|statement| {
            !matches!(statement.verb, Verb::Prepare(_) | Verb::Execute { .. } | Verb::Fetch(_))
                && statement.body.stage.is_none()
                && statement.body.writes.iter().all(|w| {
                    let judged = match &w.fate {
                        Fate::Guarded(guard) | Fate::Untouched(guard) => Ok(&**guard),
                        Fate::Unguardable(reason) | Fate::Refused(reason) => Err(*reason),
                    };
                    let passing = judged.is_err_and(|r| matches!(r, Reason::BreakerOpen | Reason::CatalogUnknown));
                    // How a COPY may be staged depends on where it stands.
                    let elsewhere = w.operation == Operation::Copy && stage::wanted(judged);
                    !(passing || elsewhere)
                })
        })
    }

    /// Bytes it holds, roughly.
    fn weight(&self) -> usize {
        let edits: usize = self.edits.iter().map(|e| e.insert.len() + size_of::<Edit>()).sum();
        // A write with its guard, its slots and its context.
        let writes: usize = self.statements.iter().map(|s| 64 + s.body.writes.len() * 2_048).sum();
        size_of::<Self>() + edits + writes
    }
}

/// How a text comes to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    /// In a `Parse`.
    Parse,
    /// In a `Query`. `alone`: it is the only statement of its transaction.
    Query { alone: bool },
}

/// What to do with a text.
pub(super) enum Planning {
    /// Forward it as it is; nothing in it concerns us.
    Plain,
    /// The server must be asked this first.
    Ask(About),
    /// Send the plan's text.
    Ready(Arc<Plan>),
}

impl Exchange {
    /// Analyzes a text. With `undos` it is about to run: what each statement does to the session is
    /// done, and how to take it back noted there. Where the server cannot be asked what
    /// a name means, a write to it is unguardable.
    pub(super) fn plan(&mut self, text: &[u8], mut undos: Option<&mut Vec<Undo>>, may_ask: bool) -> Planning {
        let interest = self.database.scan(text);
        if !interest.names && !interest.session {
            return Planning::Plain;
        }
        if let Some((base, kept)) = self.kept_plan(text) {
            return match kept.concerns {
                true => self.ready(text, base, &kept, undos.as_deref_mut()),
                false => Planning::Plain,
            };
        }
        let located = locate(text, self.lex);
        self.delivery = match &undos {
            None => Delivery::Parse,
            Some(_) if self.transaction == Transaction::Idle && self.queue.is_empty() && !self.pipeline_open => {
                Delivery::Query { alone: located.statements.len() == 1 }
            }
            Some(_) => Delivery::Query { alone: false },
        };
        let unknown = self.unknown_names(&located.statements);
        if may_ask && !unknown.is_empty() {
            return Planning::Ask(About::Identity(self.database.inquiry(&unknown)));
        }
        if may_ask && let Some(about) = self.outdated_preparation(located.statements.iter().map(|s| &s.verb)) {
            return Planning::Ask(about);
        }
        let mut edits = Vec::new();
        let mut statements = Vec::with_capacity(located.statements.len());
        let mut changed = false;
        for statement in &located.statements {
            let first = edits.len();
            let body = Arc::new(self.plan_statement(text, statement, changed, &mut edits));
            changed |= statement.changes_names;
            let planned = self.planned(text, statement, body, &edits[first..]);
            if let Some(undos) = &mut undos {
                let mut undo = Undo::default();
                self.apply(&planned, &mut undo);
                undos.push(undo);
            }
            statements.push(planned);
        }
        if statements.iter().any(Planned::is_unguardable) {
            for (key, _) in self.names_in(&located.statements).iter() {
                self.names.doubt(key);
            }
        }
        let base = located.body.start;
        for edit in &mut edits {
            edit.at -= base;
        }
        let made = PlanParts {
            in_force: Arc::clone(&self.in_force),
            exemptions: Arc::clone(&self.exemptions),
            database: Arc::clone(&self.database),
            names: self.names_in(&located.statements),
            concerns: statements.iter().any(Planned::concerns),
            statements: statements.into(),
            edits,
        };
        let made = Arc::new(made);
        let kept = &self.context.plans;
        if made.is_lasting() && self.ascii_safe && self.utf8 && kept.seen.again(&text[located.body.clone()]) {
            let weight = made.weight();
            kept.plans.insert(text, self.lex, &located, Arc::clone(&made), weight);
        }
        match made.concerns {
            true => self.ready(text, base, &made, None),
            false => Planning::Plain,
        }
    }

    /// The plan of these parts for this text. With `undos`, see [`Exchange::plan`].
    fn ready(&mut self, text: &[u8], base: usize, parts: &PlanParts, undos: Option<&mut Vec<Undo>>) -> Planning {
        if let Some(undos) = undos {
            for planned in parts.statements.iter() {
                let mut undo = Undo::default();
                self.apply(planned, &mut undo);
                undos.push(undo);
            }
        }
        let spliced = (!parts.edits.is_empty()).then(|| splice_at(text, base, &parts.edits));
        let statements = Arc::clone(&parts.statements);
        Planning::Ready(Arc::new(Plan {
            text: text.to_vec(),
            in_force: Arc::clone(&parts.in_force),
            spliced,
            names: Arc::clone(&parts.names),
            statements,
        }))
    }

    /// A plan made before for this text, comments around it aside, if everything it depends on is as it was; and where the text's body begins.
    fn kept_plan(&self, text: &[u8]) -> Option<(usize, Arc<PlanParts>)> {
        if !self.ascii_safe || !self.utf8 || self.second_run.is_some() || self.context.breakers.any_open() {
            return None;
        }
        let (base, kept) = self.context.plans.plans.get(text, self.lex)?;
        let same_names = |(key, resolved): &(NameKey, Arc<Resolved>)| {
            self.names.get(key).is_some_and(|known| Arc::ptr_eq(known, resolved))
        };
        let same = Arc::ptr_eq(&kept.in_force, &self.in_force)
            && same_exemptions(&kept.exemptions, &self.exemptions)
            && Arc::ptr_eq(&kept.database, &self.database)
            && kept.names.iter().all(same_names);
        same.then_some((base, kept))
    }

    /// What the names of these writes mean, those that may be guarded.
    fn names_in(&self, statements: &[Statement]) -> Arc<[(NameKey, Arc<Resolved>)]> {
        let writes = statements.iter().flat_map(|s| &s.writes);
        writes
            .filter(|w| self.database.may_concern(&w.target))
            .filter_map(|w| {
                let key = NameKey::of(&w.target);
                let resolved = Arc::clone(self.names.get(&key)?);
                Some((key, resolved))
            })
            .collect()
    }

    /// Targets of writes that may be to guarded tables and whose meaning is not known.
    pub(super) fn unknown_names(&self, statements: &[Statement]) -> Vec<NameKey> {
        let mut unknown: Vec<NameKey> = Vec::new();
        for write in statements.iter().flat_map(|s| &s.writes) {
            let key = NameKey::of(&write.target);
            if self.database.may_concern(&write.target) && self.names.get(&key).is_none() && !unknown.contains(&key) {
                unknown.push(key);
            }
        }
        unknown
    }

    /// Plans the writes of one statement and adds the edits that splice their guards in.
    /// `changed`: an earlier statement of the text may have changed what names mean.
    fn plan_statement(&self, text: &[u8], statement: &Statement, changed: bool, edits: &mut Vec<Edit>) -> Body {
        let StatementPlan { column, writes, stage } = plan_statement(self, text, statement, changed, edits);
        let series = |write| Arc::new(PlannedWrite::new(write, &self.context.metrics));
        Body { column, writes: writes.into_iter().map(series).collect(), stage: stage.map(Arc::new) }
    }

    fn planned(&self, text: &[u8], statement: &Statement, body: Arc<Body>, edits: &[Edit]) -> Planned {
        let verb = statement.verb.clone();
        let rolls_back = matches!(verb, Verb::Rollback | Verb::RollbackTo(_) | Verb::Deallocate(None));
        let changes = statement.changes_names || verb == Verb::ChangesNames || rolls_back;
        let named = statement.writes.iter().any(|w| self.database.may_concern(&w.target));
        // What is executed may write a guarded table another time.
        let executed = matches!(&verb, Verb::Execute { name, .. } if self.shelves.statement(name.as_bytes()).is_some());
        let watched = executed || body.writes.is_empty() && named;
        let (body, prepares) = match &verb {
            Verb::Prepare(_) => {
                let inner =
                    Planned { verb: Verb::Plain, body, prepares: None, changes: false, relations: false, watched };
                let interest = inner.concerns() || !statement.writes.is_empty();
                let prepared =
                    || Arc::new(self.prepared_by_sql(&text[statement.span.clone()], statement, inner, edits));
                (Arc::new(Body::EMPTY), interest.then(prepared))
            }
            Verb::Execute { name, wrapped } => match self.shelves.statement(name.as_bytes()) {
                Some(prepared) if *wrapped => {
                    let writes = prepared.planned.body.writes.clone();
                    (Arc::new(Body { column: Column::None, writes, stage: None }), None)
                }
                Some(prepared) => (Arc::clone(&prepared.planned.body), None),
                None => (body, None),
            },
            Verb::Fetch(name) => match self.shelves.portal(name.as_bytes()) {
                // Rows are read past what its runs count.
                Some(portal) if portal.planned.body.counts_rows() => {
                    portal.ends();
                    (Arc::clone(&portal.planned.body), None)
                }
                Some(portal) if portal.planned.body.column != Column::None => (Arc::clone(&portal.planned.body), None),
                _ => (body, None),
            },
            _ => (body, None),
        };
        let relations = changes && makes_relations(&text[statement.span.clone()]);
        Planned { verb, body, prepares, changes, relations, watched }
    }

    /// What a `PREPARE` prepares; its text is `own`.
    fn prepared_by_sql(&self, own: &[u8], statement: &Statement, planned: Planned, edits: &[Edit]) -> Prepared {
        let at = |edit: &Edit| Edit { at: edit.at - statement.span.start, ..edit.clone() };
        let sent = splice(own, &edits.iter().map(at).collect::<Vec<_>>()).text;
        let names = self.names_in(std::slice::from_ref(statement));
        let by_sql = BySql { in_force: Arc::clone(&self.in_force), names, sent };
        Prepared { by_sql: Some(by_sql), ..Prepared::new(planned, None, own.to_vec(), Vec::new()) }
    }

    /// Does to the session what a statement that runs does to it.
    pub(super) fn apply(&mut self, planned: &Planned, undo: &mut Undo) {
        match &planned.verb {
            Verb::Prepare(name) => match &planned.prepares {
                Some(prepared) => self.shelves.shelve(name.as_bytes(), Arc::clone(prepared), undo),
                None => self.shelves.set(Shelf::Statements, name.as_bytes(), None, undo),
            },
            Verb::Deallocate(Some(name)) => self.shelves.set(Shelf::Statements, name.as_bytes(), None, undo),
            Verb::Deallocate(None) => self.shelves.clear_statements(undo),
            _ => {}
        }
        if planned.changes {
            self.names.forget();
            self.names_changed = true;
            self.relations_changed |= planned.relations;
        }
    }
}

/// Whether a statement that changes names may make relations that lead to guarded tables: partitions, children, views.
fn makes_relations(statement: &[u8]) -> bool {
    ["create", "alter", "drop", "import"]
        .iter()
        .any(|verb| statement.get(..verb.len()).is_some_and(|s| s.eq_ignore_ascii_case(verb.as_bytes())))
}

impl Surroundings for Exchange {
    fn rules(&self) -> &RuleSet {
        &self.in_force.rules
    }

    fn observe_only(&self) -> bool {
        self.in_force.observe_only
    }

    fn exemptions(&self) -> &[Arc<Exemption>] {
        &self.exemptions
    }

    fn mark(&self) -> &str {
        &self.context.mark
    }

    fn concerned(&self, target: &Target) -> Option<&Arc<TableRules>> {
        self.database.concerns(target).next()
    }

    fn below(&self, relation: &crate::catalog::facts::RelationFacts) -> Option<&Arc<TableRules>> {
        self.database.below(&relation.name)
    }

    fn resolved(&self, target: &Target) -> Option<&Arc<Resolved>> {
        self.names.get(&NameKey::of(target))
    }

    fn objection(&self, table: &TableRules, resolved: &Arc<Resolved>) -> Option<Reason> {
        if !self.ascii_safe {
            return Some(Reason::ClientEncoding);
        }
        // Only this session goes without the guard until it is known to be at fault.
        if self.second_run.is_some() {
            return Some(Reason::BreakerOpen);
        }
        let suspect = Suspect { metrics: self.context.metrics.table(&table.label()), resolved: Arc::clone(resolved) };
        self.context.breakers.is_open(&suspect).then_some(Reason::BreakerOpen)
    }

    fn guard(&self, table: &Arc<TableRules>, resolved: &Arc<Resolved>, site: &Site<'_>) -> Result<Arc<Guard>, Reason> {
        self.context.guards.compile(table, resolved, site)
    }

    fn utf8(&self) -> bool {
        self.utf8
    }

    fn lex(&self) -> LexOptions {
        self.lex
    }

    fn staging(&self, facts: &StageFacts) -> Option<Way> {
        // A transaction that has used a temporary table cannot be prepared, and nobody knows how this one ends.
        let harmless = !facts.prepared_transactions || self.delivery == Delivery::Query { alone: true };
        let way = if self.delivery == Delivery::Parse { Way::Messages } else { Way::Text };
        (facts.temporary && harmless).then_some(way)
    }
}
