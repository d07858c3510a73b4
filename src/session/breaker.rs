//! The circuit breaker: a guard that broke a statement is not spliced again for a while.
//!
//! A breaker is open for a table, a role, and what the catalog said of them when the guard was made. When the catalog says something else, as it
//! does after the column was dropped that broke the guard, the next guard is another one and gets its chance at once.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{catalog::facts::Resolved, observe::TableMetrics};

/// How long a breaker stays open where nothing has changed.
const OPEN: Duration = Duration::from_secs(10);

/// A guard that may have broken a statement.
#[derive(Debug, Clone)]
pub(super) struct Suspect {
    /// The guarded table.
    pub(super) metrics: Arc<TableMetrics>,
    /// What the guard was made for.
    pub(super) resolved: Arc<Resolved>,
}

impl Suspect {
    fn key(&self) -> (String, String) {
        (self.metrics.name().to_owned(), self.resolved.role.clone())
    }
}

/// By table and role: what the broken guard was made for, and how long it stays out.
type Open = HashMap<(String, String), (Arc<Resolved>, Instant)>;

/// Breakers of the process.
#[derive(Debug, Default)]
pub struct Breakers(Mutex<Open>);

impl Breakers {
    /// Opens one.
    pub(super) fn open(&self, suspect: &Suspect) {
        let until = Instant::now() + OPEN;
        self.0.lock().insert(suspect.key(), (Arc::clone(&suspect.resolved), until));
        suspect.metrics.breaker_open(true);
    }

    /// Whether any is open, or was.
    pub(super) fn any_open(&self) -> bool {
        !self.0.lock().is_empty()
    }

    /// Whether it is open. One whose time is over, or whose reason is gone, closes now.
    pub(super) fn is_open(&self, suspect: &Suspect) -> bool {
        let mut open = self.0.lock();
        if open.is_empty() {
            return false;
        }
        match open.get(&suspect.key()) {
            None => false,
            Some((resolved, until)) if *until > Instant::now() && *resolved == suspect.resolved => true,
            Some(_) => {
                open.remove(&suspect.key());
                told(&open, suspect);
                false
            }
        }
    }
}

/// Tells the gauge of the table whether a breaker of it is open still.
fn told(open: &Open, suspect: &Suspect) {
    suspect.metrics.breaker_open(open.keys().any(|(table, _)| table == suspect.metrics.name()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::Metrics;

    fn suspect(metrics: &Arc<Metrics>, role: &str, notices: bool) -> Suspect {
        let resolved =
            Resolved { relation: None, role: role.to_owned(), server_version: 150_000, notices, may_set_config: true };
        Suspect { metrics: metrics.table("public.jobs"), resolved: Arc::new(resolved) }
    }

    #[tokio::test(start_paused = true)]
    async fn it_closes_when_its_time_is_over_or_its_reason_is_gone() {
        let metrics = Metrics::new();
        let gauge = || metrics.render().contains("chronoguard_breaker_open{table=\"public.jobs\"} 1");
        let breakers = Breakers::default();
        let (one, other) = (suspect(&metrics, "app", true), suspect(&metrics, "admin", true));
        breakers.open(&one);
        assert!(breakers.is_open(&one) && gauge());
        assert!(!breakers.is_open(&other), "another role");
        assert!(!breakers.is_open(&suspect(&metrics, "app", false)), "the catalog says something else");
        assert!(!breakers.is_open(&one) && !gauge());
        breakers.open(&one);
        tokio::time::advance(OPEN).await;
        assert!(!breakers.is_open(&one) && !gauge());
        assert!(!breakers.any_open());
    }
}
