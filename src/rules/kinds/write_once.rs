//! `write_once`: columns that keep their first value.
//!
//! Its manual is `docs/rules/write_once.md`.

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
