//! From a text of the client to its [`Plan`]: find the writes, ask what their names mean, compile the guards, splice.

use std::sync::Arc;

use super::{
    exchange::Exchange,
    names::{Inquiry, NameKey, rules_for},
    plan::{Body, Column, Fate, Plan, Planned, PlannedWrite},
    prepared::{Prepared, Shelf, Undo},
};
use crate::{
    catalog::facts::{RelationFacts, Resolved},
    guard::{Channel, Guard, Reason, Site, compile},
    rules::set::{OnUnguardable, TableRules},
    sql::{
        locate::locate,
        splice::{Edit, NoPlace, place_guard, splice},
        write::{Operation, Place, Statement, Target, Verb, Write},
    },
};

/// What to do with a text.
pub(super) enum Planning {
    /// Forward it as it is; nothing in it concerns us.
    Plain,
    /// The server must be asked first what these names mean.
    Ask(Inquiry),
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
        let located = locate(text, self.lex);
        let unknown = self.unknown_names(&located.statements);
        if may_ask && !unknown.is_empty() {
            return Planning::Ask(self.database.inquiry(&unknown));
        }
        let mut edits = Vec::new();
        let mut statements = Vec::with_capacity(located.statements.len());
        for statement in &located.statements {
            let body = Arc::new(self.plan_statement(text, statement, &mut edits));
            let planned = self.planned(text, statement, body);
            if let Some(undos) = &mut undos {
                let mut undo = Undo::default();
                self.apply(&planned, &mut undo);
                undos.push(undo);
            }
            statements.push(planned);
        }
        if !statements.iter().any(Planned::concerns) {
            return Planning::Plain;
        }
        let spliced = (!edits.is_empty()).then(|| splice(text, &edits));
        Planning::Ready(Arc::new(Plan { text: text.to_vec(), rules: Arc::clone(&self.rules), spliced, statements }))
    }

    /// Targets of writes that may be to guarded tables and whose meaning is not known.
    fn unknown_names(&self, statements: &[Statement]) -> Vec<Target> {
        let mut unknown: Vec<Target> = Vec::new();
        for write in statements.iter().flat_map(|s| &s.writes) {
            let target = &write.target;
            if self.database.concerns(target).next().is_some()
                && self.names.get(&NameKey::of(target)).is_none()
                && !unknown.contains(target)
            {
                unknown.push(target.clone());
            }
        }
        unknown
    }

    /// Plans the writes of one statement and adds the edits that splice their guards in.
    fn plan_statement(&self, text: &[u8], statement: &Statement, edits: &mut Vec<Edit>) -> Body {
        let also_written: Vec<String> = statement.writes.iter().map(|w| w.target.name.clone()).collect();
        let mut body = Body { column: Column::None, writes: Vec::new() };
        let mut own = Vec::new();
        for (number, write) in statement.writes.iter().enumerate() {
            let mark = format!("{}.{number}", self.context.mark);
            let others: Vec<String> =
                also_written.iter().enumerate().filter(|(n, _)| *n != number).map(|(_, name)| name.clone()).collect();
            let Some(planned) = self.plan_write(text, write, mark, &others, &mut own) else { continue };
            if planned.top && matches!(planned.fate, Fate::Guarded(_)) && write.operation != Operation::Copy {
                body.column = if write.returning.is_some() { Column::Last } else { Column::Whole };
            }
            body.writes.push(Arc::new(planned));
        }
        if let Some(refused) = body.writes.iter().find(|w| matches!(w.fate, Fate::Refused(_))) {
            // The server itself raises, while it analyzes this statement, so that the transaction and the pipeline end up as it decides.
            let raise = format!("SELECT 'CG{}|'::pg_catalog.int4", refused.mark);
            own = vec![Edit { at: statement.span.start, remove: statement.span.len(), insert: raise.into_bytes() }];
            body.column = Column::None;
        }
        edits.append(&mut own);
        body
    }

    /// Plans one write. `None`: it is to no guarded table.
    fn plan_write(
        &self,
        text: &[u8],
        write: &Write,
        mark: String,
        also_written: &[String],
        edits: &mut Vec<Edit>,
    ) -> Option<PlannedWrite> {
        let perhaps = self.database.concerns(&write.target).next()?;
        let resolved = self.names.get(&NameKey::of(&write.target));
        let (table, guarded) = match resolved {
            Some(resolved) => {
                let relation = resolved.relation.as_ref()?;
                let table = rules_for(&self.rules, &relation.lineage)
                    .or_else(|| rules_for(&self.rules, &relation.view_bases))?;
                (table, self.guard_write(text, write, &mark, also_written, table, relation, resolved))
            }
            None => (perhaps, Err(Reason::CatalogUnknown)),
        };
        let metrics = self.context.metrics.table(&table.label());
        let fate = match guarded {
            Ok((guard, mut own)) => {
                edits.append(&mut own);
                if guard.expression.is_some() { Fate::Guarded(guard) } else { Fate::Untouched(guard) }
            }
            Err(reason) if table.unguardable == OnUnguardable::Reject => Fate::Refused(reason),
            Err(reason) => Fate::Unguardable(reason),
        };
        Some(PlannedWrite {
            table: Arc::clone(table),
            metrics,
            role: resolved.map(|r| r.role.clone()).unwrap_or_default(),
            operation: write.operation,
            mark,
            top: write.place == Place::Top,
            fate,
        })
    }

    /// Compiles the guard of one write and finds its place in the text.
    #[expect(clippy::too_many_arguments, reason = "what is known of one write, gathered by its only caller")]
    fn guard_write(
        &self,
        text: &[u8],
        write: &Write,
        mark: &str,
        also_written: &[String],
        table: &Arc<TableRules>,
        relation: &RelationFacts,
        resolved: &Arc<Resolved>,
    ) -> Result<(Guard, Vec<Edit>), Reason> {
        if write.problem.is_some() {
            return Err(Reason::Unreadable);
        }
        if !self.ascii_safe {
            return Err(Reason::ClientEncoding);
        }
        let name = table.label();
        let (open, closed) = self.context.breakers.is_open(&name, &resolved.role);
        if closed {
            self.context.metrics.table(&name).breaker_open(false);
        }
        if open {
            return Err(Reason::BreakerOpen);
        }
        let row = write.row_name();
        let channel = match (write.operation, write.place) {
            (Operation::Copy, _) => Channel::CopyWhere,
            (_, Place::Top) => Channel::Column,
            _ => Channel::Notice,
        };
        let site = Site {
            operation: write.operation,
            row: &row,
            channel,
            columns: write.columns.as_deref(),
            conflict_columns: write.conflict_columns.as_deref(),
            conflict_target: write.conflict_target,
            reads_target: write.reads_target,
            server_version: resolved.server_version,
            notices: resolved.notices,
            also_written,
            observe_only: false,
            mark,
        };
        let guard = compile(table, relation, &site)?;
        let columns: Vec<&str> = relation.columns.iter().map(|c| c.name.as_str()).collect();
        let edits = match &guard.expression {
            Some(expression) => place_guard(text, write, expression, &columns).map_err(reason)?,
            None => Vec::new(),
        };
        Ok((guard, edits))
    }

    fn planned(&self, text: &[u8], statement: &Statement, body: Arc<Body>) -> Planned {
        let verb = statement.verb.clone();
        let rolls_back = matches!(verb, Verb::Rollback | Verb::RollbackTo(_) | Verb::Deallocate(None));
        let changes = statement.changes_names || verb == Verb::ChangesNames || rolls_back;
        let (body, prepares) = match &verb {
            Verb::Prepare(_) => {
                let inner = Planned { verb: Verb::Plain, body, prepares: None, changes: false };
                let prepared = Prepared { planned: inner, plan: None, text: text.to_vec(), types: Vec::new() };
                (Arc::new(Body::EMPTY), prepared.planned.concerns().then(|| Arc::new(prepared)))
            }
            Verb::Execute { name, wrapped } => match self.shelves.statement(name.as_bytes()) {
                Some(prepared) if *wrapped => {
                    let writes = prepared.planned.body.writes.clone();
                    (Arc::new(Body { column: Column::None, writes }), None)
                }
                Some(prepared) => (Arc::clone(&prepared.planned.body), None),
                None => (body, None),
            },
            _ => (body, None),
        };
        Planned { verb, body, prepares, changes }
    }

    /// Does to the session what a statement that runs does to it.
    pub(super) fn apply(&mut self, planned: &Planned, undo: &mut Undo) {
        match &planned.verb {
            Verb::Prepare(name) => {
                self.shelves.set(Shelf::Statements, name.as_bytes(), planned.prepares.clone(), undo);
            }
            Verb::Deallocate(Some(name)) => self.shelves.set(Shelf::Statements, name.as_bytes(), None, undo),
            Verb::Deallocate(None) => self.shelves.clear_statements(undo),
            _ => {}
        }
        if planned.changes {
            self.names.forget();
            self.names_changed = true;
            self.relations_changed = true;
        }
    }
}

fn reason(why: NoPlace) -> Reason {
    match why {
        NoPlace::Unreadable => Reason::Unreadable,
        NoPlace::CteReturning => Reason::CteReturning,
        NoPlace::TooManyColumns => Reason::TooManyColumns,
    }
}
