//! `check`: any boolean SQL over the row.
//!
//! Its manual is `docs/rules/check.md`.

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
