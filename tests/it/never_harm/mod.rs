//! Healthy writes stay healthy: everything in SPLICE.md that could break one, or hide a bad one, is played here.

mod breaker;
mod memory;
mod names;
mod privileges;
mod relations;
mod rows;
mod settings;

/// Breaks `ex_order`.
const BAD: &str = "INSERT INTO ex (id, created_at, started_at) VALUES (101, '2026-03-02', '2026-03-01')";
/// Keeps it.
const GOOD: &str = "INSERT INTO ex (id, created_at, started_at) VALUES (102, '2026-03-01', '2026-03-02')";

/// A role of one test; roles belong to the whole cluster.
pub fn role(prefix: &str) -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let name = format!("{prefix}_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    crate::harness::cluster().admin().run(&format!("CREATE ROLE {name} LOGIN"));
    name
}
