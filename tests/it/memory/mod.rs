//! Rules that need the row before the write: exact in every statement form, under every race, with no lock more and no update less.
//!
//! `CHRONOGUARD_PG_BIN` runs them on another version: before PostgreSQL 18 old values are recorded while the row is written, from 18 on `RETURNING` has them.

use crate::harness::cluster;

mod edges;
mod forms;
mod oracle;
mod races;
mod schedules;
mod steps;
mod types;

/// What the tests write: ten queued rows, and a second table to join.
const SCHEMA: &str = "
CREATE TABLE q (id int PRIMARY KEY, key2 text, status text, started_at timestamptz, n int, note text);
INSERT INTO q SELECT g, 'k' || g, 'queued', NULL, g, 'x' FROM generate_series(1, 10) g;
CREATE TABLE b (id int PRIMARY KEY, v int);
INSERT INTO b SELECT g, g FROM generate_series(1, 10) g;";

/// One rule of each kind, all with the same action.
fn rules(action: &str) -> String {
    format!(
        "version: 1
tables:
  - table: public.q
    on_violation: {action}
    rules:
      - {{name: q_once, write_once: [started_at]}}
      - {{name: q_grows, monotonic: [n]}}
      - name: q_states
        transitions: {{column: status, allow: {{queued: [running], running: [done]}}, initial: [queued, running]}}
"
    )
}

/// The server has `OLD` in `RETURNING`.
fn returning_old() -> bool {
    cluster().version >= 180_000
}

/// `MERGE` has `RETURNING`.
fn merge_returns() -> bool {
    cluster().version >= 170_000
}
