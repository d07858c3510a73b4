//! What a client sees through the proxy in observe mode is, byte for byte, what PostgreSQL sends: whole dialogues are played on both.

mod accepted;
mod copy;
mod extended;
mod pipelines;
mod portals;
mod segments;
mod session;
mod simple;
mod startup;
mod statements;

/// A write to `ex` that breaks `ex_order`; observing, nobody may notice.
const BAD: &str =
    "INSERT INTO ex (id, created_at, started_at, completed_at) VALUES (101, '2026-03-02', '2026-03-01', '2026-03-01')";
/// A write to `ex` that keeps all rules.
const GOOD: &str =
    "INSERT INTO ex (id, created_at, started_at, completed_at) VALUES (102, '2026-03-01', '2026-03-01', '2026-03-02')";
/// A parameterised insert: `id`, `created_at`, `started_at`.
const INSERT: &str = "INSERT INTO ex (id, created_at, started_at) VALUES ($1, $2, $3)";
