//! `write_once`: columns that keep their first value.
//!
//! ```yaml
//! - name: executions_start_once
//!   write_once: [started_at, created_at]
//! ```
//!
//! **What it does**: an UPDATE may turn NULL into a value; a value may become nothing else, NULL included. The same value again passes.
//!
//! **Why**: a retry, or a worker that was thought dead, overwrites the start of a run that has already ended.
//!
//! **NULL**: may become a value. Rows that are new are not judged.
//!
//! **Columns** may have any type. Numbers are compared as numbers, everything else by what it says: `1 day` and `24 hours` are two intervals.

use super::Spec;
use crate::rules::{
    condition::Owner,
    fields::{Context, Fields},
    set::{Kind, WriteOnce},
    values,
    yaml::Node,
};

pub const SPEC: Spec = Spec { key: "write_once", siblings: &[], inner: &[], judges_times: false, read };

fn read(cx: &mut Context, node: &Node, _: &Fields<'_>, _: Owner<'_>) -> Option<Kind> {
    Some(Kind::WriteOnce(WriteOnce { columns: values::columns(cx, node, "`write_once`", 1)? }))
}
