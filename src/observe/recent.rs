//! The violations of the last while, for `/api/violations` and the status page.

use std::{collections::VecDeque, sync::Arc};

use parking_lot::Mutex;

use super::violation::ViolationRecord;

/// A bounded list; the oldest entry makes room for the newest.
#[derive(Debug)]
pub struct Recent {
    capacity: usize,
    records: Mutex<VecDeque<Arc<ViolationRecord>>>,
}

impl Recent {
    /// How many violations are kept unless said otherwise.
    pub const CAPACITY: usize = 200;

    /// An empty list for at most `capacity` records.
    pub fn new(capacity: usize) -> Self {
        Self { capacity, records: Mutex::default() }
    }

    /// Adds the newest record.
    pub fn push(&self, record: Arc<ViolationRecord>) {
        let oldest;
        {
            let mut records = self.records.lock();
            records.push_back(record);
            oldest = if records.len() > self.capacity { records.pop_front() } else { None };
        }
        drop(oldest);
    }

    /// The newest `limit` records, newest first.
    pub fn newest(&self, limit: usize) -> Vec<Arc<ViolationRecord>> {
        self.records.lock().iter().rev().take(limit).cloned().collect()
    }
}

impl Default for Recent {
    fn default() -> Self {
        Self::new(Self::CAPACITY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::violation::tests::record;

    #[test]
    fn the_oldest_makes_room_and_the_newest_comes_first() {
        let recent = Recent::new(3);
        for rule in ["a", "b", "c", "d"] {
            recent.push(Arc::new(record(rule)));
        }
        let rules = |limit| recent.newest(limit).iter().map(|r| r.finding.rule.clone()).collect::<Vec<_>>();
        assert_eq!(rules(10), ["d", "c", "b"]);
        assert_eq!(rules(1), ["d"]);
    }

    #[test]
    fn a_list_without_room_stays_empty() {
        let recent = Recent::new(0);
        recent.push(Arc::new(record("a")));
        assert!(recent.newest(1).is_empty());
    }
}
