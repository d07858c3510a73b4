//! `monotonic`: columns that never decrease.
//!
//! Its manual is `docs/rules/monotonic.md`.

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
