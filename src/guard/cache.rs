//! Guards made lately. Texts with other literals each time need the same guard each time.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use parking_lot::Mutex;

use super::{Channel, Guard, Reason, Site, compile};
use crate::{
    catalog::facts::Resolved,
    rules::set::{Exemption, TableRules},
    sql::write::Operation,
};

/// Guards that are kept at most; then all are forgotten and made anew.
const MOST: usize = 4_096;

/// Guards by all that they are made of.
#[derive(Debug, Default)]
pub struct GuardCache(Mutex<HashMap<u64, Vec<Entry>>>);

/// One guard, and what it was made of. Holding on to the rules and the facts keeps their addresses from meaning something else.
#[derive(Debug)]
struct Entry {
    table: Arc<TableRules>,
    resolved: Arc<Resolved>,
    operation: Operation,
    channel: Channel,
    row: String,
    columns: Option<Vec<String>>,
    conflict_columns: Option<Vec<String>>,
    /// The alias for the old row; the other places are among the flags.
    old: Option<String>,
    flags: Flags,
    exemptions: Vec<Arc<Exemption>>,
    also_written: Vec<String>,
    mark: String,
    made: Result<Arc<Guard>, Reason>,
}

/// `conflict_target`, `reads_target`, `notices`, `observe_only`, `trusted`, and two places for the old row.
type Flags = [bool; 7];

fn flags(site: &Site<'_>) -> Flags {
    let old = &site.old;
    [
        site.conflict_target,
        site.reads_target,
        site.notices,
        site.observe_only,
        site.trusted,
        old.condition,
        old.assignment,
    ]
}

/// The same ones in the same order. Of another rule set they are others.
pub fn same_exemptions(some: &[Arc<Exemption>], others: &[Arc<Exemption>]) -> bool {
    some.len() == others.len() && some.iter().zip(others).all(|(one, other)| Arc::ptr_eq(one, other))
}

impl Entry {
    fn new(
        table: &Arc<TableRules>,
        resolved: &Arc<Resolved>,
        site: &Site<'_>,
        made: Result<Arc<Guard>, Reason>,
    ) -> Self {
        Self {
            table: Arc::clone(table),
            resolved: Arc::clone(resolved),
            operation: site.operation,
            channel: site.channel,
            row: site.row.to_owned(),
            columns: site.columns.map(<[String]>::to_vec),
            conflict_columns: site.conflict_columns.map(<[String]>::to_vec),
            old: site.old.alias.map(str::to_owned),
            flags: flags(site),
            exemptions: site.exemptions.to_vec(),
            also_written: site.also_written.to_vec(),
            mark: site.mark.to_owned(),
            made,
        }
    }

    /// The server's version is one of the facts, and so is what the role may do.
    fn fits(&self, table: &Arc<TableRules>, resolved: &Arc<Resolved>, site: &Site<'_>) -> bool {
        Arc::ptr_eq(&self.table, table)
            && Arc::ptr_eq(&self.resolved, resolved)
            && self.operation == site.operation
            && self.channel == site.channel
            && self.row == site.row
            && self.columns.as_deref() == site.columns
            && self.conflict_columns.as_deref() == site.conflict_columns
            && self.old.as_deref() == site.old.alias
            && self.flags == flags(site)
            && same_exemptions(&self.exemptions, site.exemptions)
            && self.also_written == site.also_written
            && self.mark == site.mark
    }
}

impl GuardCache {
    /// Forgets all: the rules are others now.
    pub fn clear(&self) {
        self.0.lock().clear();
    }

    /// The guard of one write, as [`compile()`] makes it.
    ///
    /// # Errors
    /// As [`compile()`]; also where the name means no relation.
    pub fn compile(
        &self,
        table: &Arc<TableRules>,
        resolved: &Arc<Resolved>,
        site: &Site<'_>,
    ) -> Result<Arc<Guard>, Reason> {
        let mut hasher = DefaultHasher::new();
        (Arc::as_ptr(table).addr(), Arc::as_ptr(resolved).addr(), site.operation, site.row).hash(&mut hasher);
        (site.columns, site.conflict_columns, flags(site), site.mark).hash(&mut hasher);
        let key = hasher.finish();
        let mut kept = self.0.lock();
        let found = kept.get(&key).and_then(|entries| entries.iter().find(|e| e.fits(table, resolved, site)));
        if let Some(entry) = found {
            return entry.made.clone();
        }
        let relation = resolved.relation.as_ref().ok_or(Reason::CatalogUnknown)?;
        let made = compile(table, relation, site).map(Arc::new);
        if kept.len() >= MOST {
            kept.clear();
        }
        kept.entry(key).or_default().push(Entry::new(table, resolved, site, made.clone()));
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::{OldPlaces, testing};

    #[test]
    fn a_guard_is_made_once_for_what_it_is_made_of() {
        let rules = "version: 1\ntables:\n  - table: ex\n    rules:\n      - {name: r, order: [a, b]}\n\
            exemptions: [{rules: [r], match: {role: one}, reason: a, expires: 2999-01-01}]\n";
        let set = crate::rules::load::load_texts([("rules.yaml", rules)]).unwrap().set;
        let relation = testing::relation("ex", &[("a", "timestamptz"), ("b", "timestamptz")]);
        let resolved = |role: &str| {
            let relation = Some(relation.clone());
            let role = role.to_owned();
            Arc::new(Resolved { relation, role, server_version: 150_000, notices: true, may_set_config: true })
        };
        let (one, other) = (resolved("one"), resolved("other"));
        let columns = ["b".to_owned()];
        let site = Site {
            operation: Operation::Update,
            row: "ex",
            channel: Channel::Column,
            columns: Some(&columns),
            conflict_columns: None,
            old: OldPlaces::default(),
            may_set_config: true,
            conflict_target: false,
            reads_target: true,
            server_version: 150_000,
            notices: true,
            also_written: &[],
            observe_only: false,
            exemptions: &[],
            trusted: false,
            mark: "0",
        };
        let cache = GuardCache::default();
        let first = cache.compile(&set.tables[0], &one, &site).unwrap();
        assert!(Arc::ptr_eq(&first, &cache.compile(&set.tables[0], &one, &site).unwrap()));
        assert!(!Arc::ptr_eq(&first, &cache.compile(&set.tables[0], &other, &site).unwrap()), "another role");
        for different in [
            Site { row: "x", ..site.clone() },
            Site { columns: None, ..site.clone() },
            Site { mark: "1", ..site.clone() },
            Site { channel: Channel::Notice, ..site.clone() },
            Site { reads_target: false, ..site.clone() },
            Site { old: OldPlaces { alias: Some("o"), ..OldPlaces::default() }, ..site.clone() },
            Site { old: OldPlaces { condition: true, ..OldPlaces::default() }, ..site.clone() },
            Site { old: OldPlaces { assignment: true, ..OldPlaces::default() }, ..site.clone() },
            Site { operation: Operation::Insert, ..site.clone() },
            Site { also_written: &columns, ..site.clone() },
            Site { observe_only: true, ..site.clone() },
            Site { exemptions: &set.exemptions, ..site.clone() },
            Site { trusted: true, ..site.clone() },
        ] {
            let made = cache.compile(&set.tables[0], &one, &different).unwrap();
            assert!(!Arc::ptr_eq(&first, &made), "{different:?}");
            assert_eq!(*made, compile(&set.tables[0], &relation, &different).unwrap());
        }
    }
}
