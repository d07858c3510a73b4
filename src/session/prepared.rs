//! The session's prepared statements and portals, as far as a guard depends on them.
//!
//! Kept as of the last message sent to the server (a pipeline binds before it knows that its `Parse` went well); an [`Undo`] in the queue of
//! owed replies takes back what the server then did not do.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::plan::{Plan, Planned};

/// A prepared statement whose text names something of interest.
#[derive(Debug)]
pub(super) struct Prepared {
    /// What running it does.
    pub(super) planned: Planned,
    /// The text it was prepared with by a `Parse`. `None`: the client's own, or prepared by SQL.
    pub(super) plan: Option<Arc<Plan>>,
    /// The client's text.
    pub(super) text: Vec<u8>,
    /// The parameter type section of its `Parse`, empty for SQL's `PREPARE`.
    pub(super) types: Vec<u8>,
}

/// One map, or the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shelf {
    /// Prepared statements; SQL's `PREPARE` and the `Parse` message share their names.
    Statements,
    /// Portals.
    Portals,
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
}

impl Shelves {
    fn of(&mut self, shelf: Shelf) -> &mut HashMap<Vec<u8>, Arc<Prepared>> {
        match shelf {
            Shelf::Statements => &mut self.statements,
            Shelf::Portals => &mut self.portals,
        }
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
        Arc::new(Prepared { planned, plan: None, text: text.into(), types: Vec::new() })
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
