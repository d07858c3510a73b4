//! `check`: any boolean SQL over the row.
//!
//! ```yaml
//! - name: executions_short
//!   check: "completed_at - started_at < interval '1 day'"
//! ```
//!
//! **What it does**: a row for which it is false violates; true and NULL pass, as in a `CHECK` constraint.
//!
//! **Limits**: one expression over the row's own columns (also as `table.column`): no sub-selects, aggregates, window functions or
//! parameters. Its operators and functions are found by the client's `search_path`, and an error that it raises by itself (an overflow, a
//! subtraction of infinity) fails a healthy write: the circuit breaker then takes the guard out. `chronoguard check` warns of both kinds of
//! text that may; prefer the other kinds, which are safe for every value.

use super::Spec;
use crate::rules::{
    condition::{self, Owner},
    fields::{Context, Fields},
    set::Kind,
    yaml::Node,
};

pub const SPEC: Spec = Spec { key: "check", siblings: &[], inner: &[], judges_times: false, read };

fn read(cx: &mut Context, node: &Node, _: &Fields<'_>, owner: Owner<'_>) -> Option<Kind> {
    condition::condition(cx, node, "`check`", owner).map(Kind::Check)
}
