//! `monotonic`: columns that never decrease.
//!
//! ```yaml
//! - name: executions_updated_advances
//!   monotonic: [updated_at]
//! ```
//!
//! **What it does**: after an UPDATE the value is what it was, or greater.
//!
//! **Why**: a slow writer puts an older state over a newer one, and `updated_at` is what shows it.
//!
//! **NULL**: not judged, before or after. Rows that are new are not judged.
//!
//! **Columns** are points in time or numbers of any kind. A number needs no `unit`; with one, messages show it as a time.
//!
//! **Limits**: `now()` is the start of the transaction. One that waits for a row brings a time from before the wait, which may be less than what the
//! other one wrote meanwhile: ordinary code. So observe first; `check` warns where the rule rejects. `clock_timestamp()` does not go back.

use super::Spec;
use crate::rules::{
    condition::Owner,
    fields::{Context, Fields},
    set::{Kind, Monotonic},
    values,
    yaml::Node,
};

pub const SPEC: Spec = Spec { key: "monotonic", siblings: &[], inner: &[], judges_times: true, read };

fn read(cx: &mut Context, node: &Node, _: &Fields<'_>, _: Owner<'_>) -> Option<Kind> {
    Some(Kind::Monotonic(Monotonic { columns: values::columns(cx, node, "`monotonic`", 1)? }))
}
