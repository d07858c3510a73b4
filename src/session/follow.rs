//! How a session follows what is in force, and who it is: at its next message it goes by the new rules, and statements prepared long ago are prepared anew before they
//! run, unseen by the client.
//!
//! A `Bind` of a statement that a `Parse` prepared puts `Close` and `Parse` before itself (`failure::prepare_again`). What SQL's `EXECUTE` runs, and what SQL's
//! `PREPARE` prepared, is prepared anew by a question of ours, which the client's message waits for.

use std::sync::Arc;

use super::{
    exchange::{Exchange, Transaction},
    names::{About, Preparation},
    plan::{Fate, Plan, Planned, PlannedWrite},
    planner::Planning,
    prepared::{BySql, Prepared, Shelf, Undo},
};
use crate::{
    control::InForce,
    guard::Reason,
    sql::{locate::locate, write::Verb},
};

/// Whether a prepared statement still fits.
pub(super) enum Freshness {
    Current,
    /// It must be prepared anew.
    Outdated,
    /// This must be asked first.
    Unknown(About),
}

impl Exchange {
    /// Takes up what is in force now.
    pub(super) fn follow_control(&mut self) {
        if self.context.control.is_in_force(&self.in_force) {
            return;
        }
        let before = std::mem::replace(&mut self.in_force, self.context.control.in_force());
        if Arc::ptr_eq(&before.rules, &self.in_force.rules) {
            return;
        }
        if self.context.plans.take_up(&self.in_force.rules) {
            self.context.guards.clear();
        }
        self.exemptions = self.identity.exemptions(&self.in_force.rules);
        self.names.forget();
        self.database = self.context.databases.names(&self.identity.database, &self.in_force.rules);
        self.wake_dormant(&before);
    }

    /// Statements that concerned no rule may do now: which names lead to the new tables the server has yet to be asked.
    fn wake_dormant(&mut self, before: &Arc<InForce>) {
        for (name, prepared) in self.shelves.wake() {
            let Prepared { text, types, by_sql, .. } = &*prepared;
            let plan = by_sql.is_none().then(|| Arc::new(Plan::nothing(text, before)));
            let by_sql = by_sql.clone();
            let woken = Prepared { by_sql, ..Prepared::new(Planned::nothing(), plan, text.clone(), types.clone()) };
            self.shelves.set(Shelf::Statements, &name, Some(Arc::new(woken)), &mut Undo::default());
        }
    }

    /// Whether a prepared statement is still what it would be if it were prepared now: by the same rules, for the same relations and the same role.
    /// The server analyzes it anew by itself where names have changed their meaning; its guard must follow.
    pub(super) fn freshness(&mut self, statement: &[u8]) -> Freshness {
        let Some(prepared) = self.shelves.statement(statement).cloned() else { return Freshness::Current };
        let may_ask = !std::mem::take(&mut self.unanswerable);
        if self.transaction == Transaction::Failed && self.queue.is_empty() {
            return Freshness::Current;
        }
        let Some(plan) = &prepared.plan else {
            let outdated = if may_ask { self.outdated(statement) } else { None };
            return outdated.map_or(Freshness::Current, Freshness::Unknown);
        };
        let executes = plan.statements.iter().any(|statement| matches!(statement.verb, Verb::Execute { .. }));
        if executes
            && may_ask
            && let Some(about) = self.outdated_preparation(plan.statements.iter().map(|s| &s.verb))
        {
            return Freshness::Unknown(about);
        }
        if !Arc::ptr_eq(&plan.in_force, &self.in_force) {
            // Which names are of interest now is known only then.
            if may_ask && self.related_wanted() {
                return Freshness::Unknown(About::Related(Arc::clone(&self.in_force.rules)));
            }
            let unknown = self.unknown_names(&locate(&plan.text, self.lex).statements);
            if !unknown.is_empty() {
                let inquiry = self.database.inquiry(&unknown);
                return if may_ask { Freshness::Unknown(About::Identity(inquiry)) } else { Freshness::Current };
            }
            return Freshness::Outdated;
        }
        // What is executed may be another one by now.
        if executes {
            return Freshness::Outdated;
        }
        let closed = |write: &Arc<PlannedWrite>| {
            matches!(write.fate, Fate::Unguardable(Reason::BreakerOpen))
                && write.suspect().is_some_and(|suspect| !self.context.breakers.is_open(&suspect))
        };
        if plan.statements.iter().any(|s| s.body.writes.iter().any(closed)) {
            return Freshness::Outdated;
        }
        let unknown: Vec<_> = plan.names.iter().map(|(key, _)| key).filter(|k| self.names.get(k).is_none()).collect();
        if !unknown.is_empty() {
            // Without an answer it stays as it is; its guard checks which relation it meets.
            let inquiry = self.database.inquiry(unknown);
            return if may_ask { Freshness::Unknown(About::Identity(inquiry)) } else { Freshness::Current };
        }
        if self.names.all_mean(&plan.names) { Freshness::Current } else { Freshness::Outdated }
    }

    /// What must be asked or done before these statements may run, since they execute something that was prepared by what is no longer in force, or while
    /// names meant something else, or for another role.
    pub(super) fn outdated_preparation<'v>(&mut self, mut verbs: impl Iterator<Item = &'v Verb>) -> Option<About> {
        verbs.find_map(|verb| match verb {
            Verb::Execute { name, .. } => self.outdated(name.as_bytes()),
            _ => None,
        })
    }

    /// As [`Self::outdated_preparation`], for one prepared statement. The shelf has the new one then, and nothing is to be done if its text is the old one.
    pub(super) fn outdated(&mut self, name: &[u8]) -> Option<About> {
        let prepared = Arc::clone(self.shelves.statement(name)?);
        let in_force = prepared.in_force().is_none_or(|made_by| Arc::ptr_eq(made_by, &self.in_force));
        if in_force && self.names.all_mean(prepared.names()) {
            return None;
        }
        if self.related_wanted() {
            return Some(About::Related(Arc::clone(&self.in_force.rules)));
        }
        let (made, text) = match (&prepared.by_sql, self.plan(&prepared.text, None, true)) {
            (_, Planning::Ask(about)) => return Some(about),
            (None, planning) => self.remade(&prepared, planning),
            (Some(BySql { sent, .. }), Planning::Ready(plan)) => {
                let made = plan.statements.first()?.prepares.clone()?;
                let text = made.by_sql.as_ref().map(|new| &new.sent).filter(|new| *new != sent).cloned();
                (made, text)
            }
            (Some(_), Planning::Plain) => return None,
        };
        let mut undo = Undo::default();
        self.shelves.shelve(name, made, &mut undo);
        let types = prepared.by_sql.is_none().then(|| prepared.types.clone());
        let name = name.to_vec();
        text.map(|text| About::Preparation(Box::new(Preparation { name, text, types, undo })))
    }

    /// The server should be asked which names lead to guarded tables.
    pub(super) fn related_wanted(&mut self) -> bool {
        if let Some(known) = self.context.databases.known(&self.identity.database, &self.in_force.rules) {
            self.database = known;
        }
        if !self.guards() {
            return false;
        }
        let paused = self.related_pause.is_some_and(|until| until.elapsed().is_zero());
        !paused && self.database.is_stale()
    }

    /// What a `Parse` prepared, as it is by its new plan; and the text to be sent, if that is another one.
    pub(super) fn remade(&self, prepared: &Prepared, planning: Planning) -> (Arc<Prepared>, Option<Vec<u8>>) {
        let plan = match planning {
            Planning::Ready(plan) if plan.statements.len() == 1 => plan,
            _ => Arc::new(Plan::nothing(&prepared.text, &self.in_force)),
        };
        let before = prepared.plan.as_ref().map(|plan| plan.sent());
        let text = Some(plan.sent()).filter(|new| before != Some(new)).map(<[u8]>::to_vec);
        let planned = plan.statements[0].clone();
        (Arc::new(Prepared::new(planned, Some(plan), prepared.text.clone(), prepared.types.clone())), text)
    }
}
