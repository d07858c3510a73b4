//! What is sent to the server for a text of the client, and what its replies will then contain that the client must not see.

use std::sync::Arc;

pub(super) use crate::plan::{Column, Fate};

use super::{breaker::Suspect, names::NameKey, prepared::Prepared};
use crate::{
    catalog::facts::Resolved,
    control::InForce,
    guard::{Decision, Guard, Skip},
    observe::{Metrics, TableMetrics},
    plan::{WritePlan, stage::Stage},
    rules::set::{Kind, Rule, TableRules},
    sql::{
        splice::{CharWidth, Position, Spliced},
        write::{Operation, Verb},
    },
};

/// The plan of one text: a `Query`, or a statement to be prepared.
#[derive(Debug)]
pub(super) struct Plan {
    /// The client's text.
    pub(super) text: Vec<u8>,
    /// What it was made by.
    pub(super) in_force: Arc<InForce>,
    /// What is sent instead. `None`: the client's text.
    pub(super) spliced: Option<Spliced>,
    /// What its names meant.
    pub(super) names: Arc<[(NameKey, Arc<Resolved>)]>,
    /// The statements of the text, in order.
    pub(super) statements: Arc<[Planned]>,
}

impl Plan {
    /// Of a text that does nothing of note.
    pub(super) fn nothing(text: &[u8], in_force: &Arc<InForce>) -> Self {
        let (text, in_force) = (text.to_vec(), Arc::clone(in_force));
        Self { text, in_force, spliced: None, names: Arc::default(), statements: [Planned::nothing()].into() }
    }

    /// What is sent to the server.
    pub(super) fn sent(&self) -> &[u8] {
        self.spliced.as_ref().map_or(&self.text, |spliced| &spliced.text)
    }

    /// The server's error position in the client's text; `None`: it is the same.
    pub(super) fn position(&self, position: usize, width: CharWidth) -> Option<Position> {
        self.spliced.as_ref().map(|s| s.position(&self.text, position, width))
    }
}

/// One statement of a text.
#[derive(Debug, Clone)]
pub(super) struct Planned {
    /// What the session must know about it.
    pub(super) verb: Verb,
    /// What running it does. Of a `PREPARE` nothing; of an `EXECUTE` what was prepared.
    pub(super) body: Arc<Body>,
    /// `PREPARE`: what it prepares, if that concerns us.
    pub(super) prepares: Option<Arc<Prepared>>,
    /// It may change what names mean.
    pub(super) changes: bool,
    /// It may make relations that lead to guarded tables.
    pub(super) relations: bool,
    /// It writes to a name that could mean a guarded table, and now means none.
    pub(super) watched: bool,
}

impl Planned {
    /// A write in it, or a rule of one, cannot be guarded.
    pub(super) fn is_unguardable(&self) -> bool {
        self.body.writes.iter().any(|write| match &write.fate {
            Fate::Unguardable(_) | Fate::Refused(_) => true,
            Fate::Guarded(guard) | Fate::Untouched(guard) => {
                guard.skipped.iter().any(|(_, skip)| matches!(skip, Skip::Unguardable(_)))
            }
        })
    }

    /// A statement that does nothing of note.
    pub(super) fn nothing() -> Self {
        Self {
            verb: Verb::Plain,
            body: Arc::new(Body::EMPTY),
            prepares: None,
            changes: false,
            relations: false,
            watched: false,
        }
    }

    /// Running it must be noticed.
    pub(super) fn concerns(&self) -> bool {
        !self.body.writes.is_empty()
            || self.changes
            || self.watched
            || matches!(
                self.verb,
                Verb::Prepare(_) | Verb::Deallocate(_) | Verb::Savepoint(_) | Verb::RollbackTo(_) | Verb::Rollback
            )
    }
}

/// What running a statement does, as far as it concerns guarded tables.
#[derive(Debug)]
pub(super) struct Body {
    /// What the guard adds to the result.
    pub(super) column: Column,
    /// The writes to guarded tables.
    pub(super) writes: Vec<Arc<PlannedWrite>>,
    /// A COPY whose rows go through this stage.
    pub(super) stage: Option<Arc<Stage>>,
}

impl Body {
    /// Of a statement that does not concern us.
    pub(super) const EMPTY: Self = Self { column: Column::None, writes: Vec::new(), stage: None };

    /// A guard stands in it.
    pub(super) fn has_guard(&self) -> bool {
        self.writes.iter().any(|w| matches!(w.fate, Fate::Guarded(_)))
    }

    /// A guard in it has SQL from a rule file, which may raise on extreme values.
    pub(super) fn has_raw_sql(&self) -> bool {
        self.writes.iter().any(|write| match &write.fate {
            Fate::Guarded(guard) => guard.judged.iter().any(|(rule, _)| {
                write.table.rules.get(*rule).is_some_and(|r| r.when.is_some() || matches!(r.kind, Kind::Check(_)))
            }),
            _ => false,
        })
    }

    /// A rule in it wants to know how many rows were written.
    pub(super) fn counts_rows(&self) -> bool {
        self.writes.iter().any(|write| write.counted().next().is_some())
    }

    /// The guards in it.
    pub(super) fn guards(&self) -> Vec<Suspect> {
        self.writes.iter().filter(|w| matches!(w.fate, Fate::Guarded(_))).filter_map(|w| w.suspect()).collect()
    }
}

/// A write to a guarded table.
#[derive(Debug)]
pub(super) struct PlannedWrite {
    /// The rules.
    pub(super) table: Arc<TableRules>,
    /// The series of that table.
    pub(super) metrics: Arc<TableMetrics>,
    /// What the server said of the relation; `None`: it could not be asked.
    pub(super) resolved: Option<Arc<Resolved>>,
    /// Kind of the write.
    pub(super) operation: Operation,
    /// The mark of this write's errors and notices.
    pub(super) mark: String,
    /// The rows it writes are the statement's own result: the command tag counts them, and the guard column is this write's.
    pub(super) top: bool,
    /// What is done about it.
    pub(super) fate: Fate,
}

impl PlannedWrite {
    /// The rules that are judged by how many rows the statement wrote.
    pub(super) fn counted(&self) -> impl Iterator<Item = (&Guard, &Rule, &Decision)> {
        let guard = match &self.fate {
            Fate::Guarded(guard) | Fate::Untouched(guard) if self.top => Some(guard),
            _ => None,
        };
        let rules = guard.into_iter().flat_map(|guard| guard.counted.iter().map(move |counted| (guard, counted)));
        rules.filter_map(|(guard, (number, decision))| Some((&**guard, self.table.rules.get(*number)?, decision)))
    }

    /// Its guard, for the breaker.
    pub(super) fn suspect(&self) -> Option<Suspect> {
        let resolved = Arc::clone(self.resolved.as_ref()?);
        Some(Suspect { metrics: Arc::clone(&self.metrics), resolved })
    }

    /// With the series of its table.
    pub(super) fn new(plan: WritePlan, metrics: &Metrics) -> Self {
        let WritePlan { number: _, table, resolved, operation, mark, top, fate } = plan;
        Self { metrics: metrics.table(&table.label()), table, resolved, operation, mark, top, fate }
    }
}
