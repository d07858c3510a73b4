//! What names mean in this session, asked from the server inside the session itself, and remembered until something may have changed it.
//!
//! Two questions, both hidden from the client: which other relations lead to the guarded tables (partitions, views; once in a while per database),
//! and what a name that a client writes to means right now, for its role.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::RwLock;
use tokio::time::Instant;

use super::prepared::Undo;
pub(super) use crate::plan::names::{DatabaseNames, Inquiry, NameKey};
use crate::{
    catalog::{
        facts::Resolved,
        question::{Identified, Related},
    },
    plan::names::BELIEVED,
    rules::set::RuleSet,
    wire::compose::Ending,
};

/// The same for a relation that cannot be guarded as the catalog has it: what is missing may be there any moment.
const BELIEVED_UNGUARDABLE: Duration = Duration::from_secs(5);

/// Relations, times roles and states, that are remembered at most.
const MOST_FACTS: usize = 10_000;

/// A question under way in the session.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) about: About,
    pub(super) ending: Ending,
    /// The one value of the one row.
    pub(super) answer: Option<Vec<u8>>,
    /// It was asked before, without success.
    pub(super) repeated: bool,
    /// `CloseComplete`s seen; see [`Self::closes`].
    pub(super) closed: u8,
}

impl Question {
    pub(super) fn new(about: About, ending: Ending, repeated: bool) -> Box<Self> {
        Box::new(Self { about, ending, answer: None, repeated, closed: 0 })
    }

    /// How many `CloseComplete`s end its replies.
    pub(super) fn closes(&self) -> u8 {
        if matches!(self.about, About::Preparation(_)) { 3 } else { 2 }
    }

    /// It ended without what was asked for.
    pub(super) fn in_vain(&self) -> bool {
        match self.about {
            About::Preparation(_) => self.closed < self.closes(),
            _ => self.answer.is_none(),
        }
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
    /// Nothing: a prepared statement is prepared anew.
    Preparation(Box<Preparation>),
}

/// A statement to be prepared anew, in the place of the one of that name.
#[derive(Debug)]
pub(super) struct Preparation {
    pub(super) name: Vec<u8>,
    /// What is sent: the statement, or the `PREPARE`.
    pub(super) text: Vec<u8>,
    /// The parameter type section of its `Parse`; `None`: it is prepared by SQL.
    pub(super) types: Option<Vec<u8>>,
    /// Puts the old one back on the shelf.
    pub(super) undo: Undo,
}

/// By database, and a relation's state in it: everything about it, and when that was said.
type Facts = HashMap<(String, Identified), (Arc<Resolved>, Instant)>;

/// The names of every database that was connected to, and what is known of relations, shared by all sessions.
#[derive(Debug, Default)]
pub struct Databases {
    names: RwLock<HashMap<String, Arc<DatabaseNames>>>,
    facts: RwLock<Facts>,
}

impl Databases {
    /// What is known of a database for these rules, if they are still the ones that sessions share.
    pub(super) fn known(&self, database: &str, rules: &Arc<RuleSet>) -> Option<Arc<DatabaseNames>> {
        let known = self.names.read().get(database).map(Arc::clone);
        known.filter(|known| Arc::ptr_eq(known.rules(), rules))
    }

    /// What is known of a database, for the rules in force.
    pub(super) fn names(&self, database: &str, rules: &Arc<RuleSet>) -> Arc<DatabaseNames> {
        if let Some(known) = self.known(database, rules) {
            return known;
        }
        let mut map = self.names.write();
        let known = map.get(database);
        if let Some(known) = known.filter(|known| Arc::ptr_eq(known.rules(), rules)) {
            return Arc::clone(known);
        }
        // After a reload what led to the guarded tables still does; the server is asked for what is new.
        let fresh =
            Arc::new(known.map_or_else(|| DatabaseNames::new(rules, Vec::new(), None), |k| k.with_rules(rules)));
        map.insert(database.to_owned(), Arc::clone(&fresh));
        fresh
    }

    /// Takes the answer to [`About::Related`]. Other sessions may be ahead by a reload: they learn nothing from it.
    pub(super) fn learn(&self, database: &str, rules: &Arc<RuleSet>, related: Vec<Related>) -> Arc<DatabaseNames> {
        let fresh = Arc::new(DatabaseNames::new(rules, related, Some(Instant::now())));
        let mut map = self.names.write();
        if map.get(database).is_none_or(|known| Arc::ptr_eq(known.rules(), rules)) {
            map.insert(database.to_owned(), Arc::clone(&fresh));
        }
        fresh
    }

    /// Relations were made or changed: ask again before the next statement.
    pub(super) fn forget(&self, database: &str) {
        let mut map = self.names.write();
        if let Some(known) = map.get(database) {
            let fresh = known.forgotten();
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

    /// They are known, and mean what they meant.
    pub(super) fn all_mean(&self, meant: &[(NameKey, Arc<Resolved>)]) -> bool {
        let same = |(key, resolved): &(NameKey, Arc<Resolved>)| {
            self.get(key).is_some_and(|known| Arc::ptr_eq(known, resolved) || known == resolved)
        };
        meant.iter().all(same)
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
