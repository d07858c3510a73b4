//! The circuit breaker: a guard that broke a statement is not spliced again for a while, per table and role.

use std::{collections::HashMap, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

/// How long a breaker stays open before the guard is tried again, with fresh facts from the catalog.
const OPEN: Duration = Duration::from_secs(10);

/// Breakers of the process: `(schema.table, role)` → open until.
#[derive(Debug, Default)]
pub struct Breakers(Mutex<HashMap<(String, String), Instant>>);

impl Breakers {
    /// Opens the breaker of a table for a role.
    pub(super) fn open(&self, table: &str, role: &str) {
        self.0.lock().insert((table.to_owned(), role.to_owned()), Instant::now() + OPEN);
    }

    /// Closes it again: the guard was not to blame.
    pub(super) fn close(&self, table: &str, role: &str) {
        self.0.lock().remove(&(table.to_owned(), role.to_owned()));
    }

    /// Whether any is.
    pub(super) fn any_open(&self) -> bool {
        !self.0.lock().is_empty()
    }

    /// Whether it is open. One whose time is over closes now; the second value says that this call closed the table's last one.
    pub(super) fn is_open(&self, table: &str, role: &str) -> (bool, bool) {
        let mut open = self.0.lock();
        if open.is_empty() {
            return (false, false);
        }
        let key = (table.to_owned(), role.to_owned());
        match open.get(&key) {
            Some(until) if *until > Instant::now() => (true, false),
            Some(_) => {
                open.remove(&key);
                (false, !open.keys().any(|(t, _)| t == table))
            }
            None => (false, false),
        }
    }
}
