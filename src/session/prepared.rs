//! The session's prepared statements and portals, as far as a guard depends on them.
//!
//! Kept as of the last message sent to the server (a pipeline binds before it knows that its `Parse` went well); an [`Undo`] in the queue of
//! owed replies takes back what the server then did not do.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    names::NameKey,
    plan::{Plan, Planned},
};
use crate::{catalog::facts::Resolved, control::InForce};

/// Statements of no interest that are kept for the rules of a later reload: so many of a session, and so long ones.
const MOST_DORMANT: usize = 500;
const LONGEST_DORMANT: usize = 16 * 1024;

/// A prepared statement whose text names something of interest.
#[derive(Debug)]
pub(super) struct Prepared {
    /// What running it does.
    pub(super) planned: Planned,
    /// The text it was prepared with by a `Parse`. `None`: the client's own, or prepared by SQL.
    pub(super) plan: Option<Arc<Plan>>,
    /// Prepared by SQL.
    pub(super) by_sql: Option<BySql>,
    /// The client's text; of several statements in one text the `PREPARE` alone.
    pub(super) text: Vec<u8>,
    /// The parameter type section of its `Parse`, empty for SQL's `PREPARE`.
    pub(super) types: Vec<u8>,
    /// Rows that earlier runs of this portal have fetched, which its last command tag does not count. At the end, more than any rule asks for.
    pub(super) fetched: AtomicU64,
}

/// How a statement was prepared by SQL.
#[derive(Debug, Clone)]
pub(super) struct BySql {
    /// What it was made by.
    pub(super) in_force: Arc<InForce>,
    /// What its names meant.
    pub(super) names: Arc<[(NameKey, Arc<Resolved>)]>,
    /// The `PREPARE` that was sent.
    pub(super) sent: Vec<u8>,
}

impl Prepared {
    /// A statement for the shelves.
    pub(super) fn new(planned: Planned, plan: Option<Arc<Plan>>, text: Vec<u8>, types: Vec<u8>) -> Self {
        Self { planned, plan, by_sql: None, text, types, fetched: AtomicU64::new(0) }
    }

    /// What it was made by.
    pub(super) fn in_force(&self) -> Option<&Arc<InForce>> {
        self.by_sql.as_ref().map(|sql| &sql.in_force).or(self.plan.as_ref().map(|plan| &plan.in_force))
    }

    /// What its names meant.
    pub(super) fn names(&self) -> &[(NameKey, Arc<Resolved>)] {
        let of_plan = || self.plan.as_ref().map_or(&[][..], |plan| &plan.names);
        self.by_sql.as_ref().map_or_else(of_plan, |sql| &sql.names)
    }

    /// The same for a portal, which counts the rows it fetches, if a rule wants to know.
    pub(super) fn bound(self: &Arc<Self>) -> Arc<Self> {
        if !self.planned.body.counts_rows() {
            return Arc::clone(self);
        }
        let Self { planned, plan, by_sql, text, types, fetched: _ } = &**self;
        let (planned, plan, text, types) = (planned.clone(), plan.clone(), text.clone(), types.clone());
        Arc::new(Self { by_sql: by_sql.clone(), ..Self::new(planned, plan, text, types) })
    }

    /// A run of this portal pauses with so many rows fetched.
    pub(super) fn pauses(&self, rows: u64) {
        self.fetched.fetch_add(rows, Ordering::Relaxed);
    }

    /// A run of this portal came to its end: the rows of the runs before.
    pub(super) fn ends(&self) -> u64 {
        self.fetched.swap(u64::MAX / 2, Ordering::Relaxed)
    }
}

/// One map, or the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shelf {
    /// Prepared statements; SQL's `PREPARE` and the `Parse` message share their names.
    Statements,
    /// Portals.
    Portals,
    /// Prepared statements that write, but nothing that has rules now.
    Dormant,
}

/// How to take a change back.
#[derive(Debug, Default)]
pub(super) struct Undo(Vec<(Shelf, Vec<u8>, Option<Arc<Prepared>>)>);

impl Undo {
    /// Nothing of note, or something to take back.
    pub(super) fn boxed(self) -> Option<Box<Self>> {
        (!self.0.is_empty()).then(|| Box::new(self))
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A `Parse` or `Bind` that concerns us.
#[derive(Debug)]
pub(super) struct Step {
    /// Takes it back.
    pub(super) undo: Undo,
    /// What is prepared or bound.
    pub(super) prepared: Option<Arc<Prepared>>,
    /// A `Bind` with one result format code more than the client sent.
    pub(super) widened: bool,
}

impl Step {
    pub(super) fn boxed(undo: Undo, prepared: Option<Arc<Prepared>>) -> Option<Box<Self>> {
        (prepared.is_some() || !undo.is_empty()).then(|| Box::new(Self { undo, prepared, widened: false }))
    }
}

/// Both maps. Only statements of interest are in them.
#[derive(Debug, Default)]
pub(super) struct Shelves {
    statements: HashMap<Vec<u8>, Arc<Prepared>>,
    portals: HashMap<Vec<u8>, Arc<Prepared>>,
    /// Portals of writes without a result of the client's that were run.
    spent: HashSet<Vec<u8>>,
    dormant: HashMap<Vec<u8>, Arc<Prepared>>,
}

impl Shelves {
    fn of(&mut self, shelf: Shelf) -> &mut HashMap<Vec<u8>, Arc<Prepared>> {
        match shelf {
            Shelf::Statements => &mut self.statements,
            Shelf::Portals => &mut self.portals,
            Shelf::Dormant => &mut self.dormant,
        }
    }

    /// Nothing is prepared that has to be told when it is closed.
    pub(super) fn nothing_to_close(&self) -> bool {
        self.is_empty() && self.dormant.is_empty()
    }

    /// Puts a statement where it belongs.
    pub(super) fn shelve(&mut self, name: &[u8], prepared: Arc<Prepared>, undo: &mut Undo) {
        if prepared.planned.concerns() {
            self.set(Shelf::Statements, name, Some(prepared), undo);
        } else {
            self.set(Shelf::Statements, name, None, undo);
            self.keep_dormant(name, prepared, undo);
        }
    }

    /// Keeps a statement for the rules of a later reload.
    pub(super) fn keep_dormant(&mut self, name: &[u8], prepared: Arc<Prepared>, undo: &mut Undo) {
        if !name.is_empty() && self.dormant.len() < MOST_DORMANT && prepared.text.len() <= LONGEST_DORMANT {
            self.set(Shelf::Dormant, name, Some(prepared), undo);
        }
    }

    /// Takes out the dormant statements.
    pub(super) fn wake(&mut self) -> HashMap<Vec<u8>, Arc<Prepared>> {
        std::mem::take(&mut self.dormant)
    }

    /// Nothing of interest is prepared or bound: no message needs a look for its names.
    pub(super) fn is_empty(&self) -> bool {
        self.statements.is_empty() && self.portals.is_empty()
    }

    /// The prepared statement of that name.
    pub(super) fn statement(&self, name: &[u8]) -> Option<&Arc<Prepared>> {
        self.statements.get(name)
    }

    /// The portal of that name.
    pub(super) fn portal(&self, name: &[u8]) -> Option<&Arc<Prepared>> {
        self.portals.get(name)
    }

    /// Notes that a portal is run whose statement has no result of the client's. Whether it was run before: the server then refuses to run it again.
    pub(super) fn spend(&mut self, portal: &[u8]) -> bool {
        !self.spent.insert(portal.to_vec())
    }

    /// A `Bind` of these names must be looked at.
    pub(super) fn concerns(&self, portal: &[u8], statement: &[u8]) -> bool {
        self.statements.contains_key(statement) || self.portals.contains_key(portal)
    }

    /// Puts or removes an entry and notes in `undo` what was there.
    pub(super) fn set(&mut self, shelf: Shelf, name: &[u8], value: Option<Arc<Prepared>>, undo: &mut Undo) {
        if shelf == Shelf::Portals {
            self.spent.remove(name);
        }
        if shelf == Shelf::Statements {
            self.set(Shelf::Dormant, name, None, undo);
        }
        let map = self.of(shelf);
        let before = match value {
            Some(value) => map.insert(name.to_vec(), value),
            None => match map.remove(name) {
                None => return,
                before => before,
            },
        };
        undo.0.push((shelf, name.to_vec(), before));
    }

    /// `DEALLOCATE ALL`, `DISCARD ALL`.
    pub(super) fn clear_statements(&mut self, undo: &mut Undo) {
        for (name, before) in self.statements.drain() {
            undo.0.push((Shelf::Statements, name, Some(before)));
        }
        for (name, before) in self.dormant.drain() {
            undo.0.push((Shelf::Dormant, name, Some(before)));
        }
    }

    /// Takes changes back, the last one first.
    pub(super) fn undo(&mut self, undo: Undo) {
        for (shelf, name, before) in undo.0.into_iter().rev() {
            match before {
                Some(value) => self.of(shelf).insert(name, value),
                None => self.of(shelf).remove(&name),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(text: &str) -> Arc<Prepared> {
        let body = Arc::new(crate::session::plan::Body::EMPTY);
        let planned = Planned {
            verb: crate::sql::write::Verb::Plain,
            body,
            prepares: None,
            changes: false,
            relations: false,
            watched: false,
        };
        Arc::new(Prepared::new(planned, None, text.into(), Vec::new()))
    }

    #[test]
    fn dormant_statements_wake_and_go_with_their_names() {
        let mut shelves = Shelves::default();
        let mut undo = Undo::default();
        for name in ["a", "b", ""] {
            shelves.shelve(name.as_bytes(), prepared("INSERT"), &mut undo);
        }
        shelves.keep_dormant(b"long", prepared(&"x".repeat(LONGEST_DORMANT + 1)), &mut undo);
        assert!(shelves.is_empty() && !shelves.nothing_to_close());
        shelves.set(Shelf::Statements, b"b", Some(prepared("another")), &mut undo);
        let woken: Vec<_> = shelves.wake().into_keys().collect();
        assert_eq!(woken, [b"a"]);
        shelves.undo(undo);
        assert!(shelves.nothing_to_close());
    }

    #[test]
    fn what_the_server_did_not_do_is_taken_back_in_reverse() {
        let mut shelves = Shelves::default();
        shelves.set(Shelf::Statements, b"s", Some(prepared("old")), &mut Undo::default());
        let mut undo = Undo::default();
        shelves.set(Shelf::Statements, b"s", Some(prepared("new")), &mut undo);
        shelves.set(Shelf::Statements, b"s", None, &mut undo);
        shelves.set(Shelf::Portals, b"p", Some(prepared("new")), &mut undo);
        assert!(shelves.statement(b"s").is_none());
        shelves.undo(undo);
        assert_eq!(shelves.statement(b"s").unwrap().text, b"old");
        assert!(shelves.portal(b"p").is_none());
    }
}
