//! `parent`: a row against the row it belongs to.
//!
//! Its manual is `docs/rules/parent.md`.

use super::Spec;
use crate::rules::{
    condition::Owner,
    diagnostic::Code,
    fields::{Context, Fields, Keys},
    set::{Kind, Parent},
    values,
    yaml::Node,
};

const KEYS: [&str; 6] = ["table", "join", "not_reused", "not_before", "tolerance", "lock_parent"];

pub const SPEC: Spec = Spec { key: "parent", siblings: &[], inner: &KEYS, judges_times: true, read };

fn read(cx: &mut Context, node: &Node, _: &Fields<'_>, _: Owner<'_>) -> Option<Kind> {
    let fields = Fields::open(cx, node, "`parent`", &Keys { known: &KEYS, later: &[] })?;
    let table = fields
        .required(cx, "table", "the parent's table: `table: public.jobs`")
        .and_then(|node| values::table_name(cx, node, "`table`"));
    let join = fields
        .required(cx, "join", "this table's columns and the parent's: `join: {job_id: id}`")
        .and_then(|node| values::column_pairs(cx, node, "`join`"));
    let not_reused = fields.optional(cx, "not_reused", values::column_pairs);
    let not_before = fields.optional(cx, "not_before", values::column_pairs);
    let tolerance = fields.optional(cx, "tolerance", values::span);
    let lock_parent = fields.flag(cx, "lock_parent");
    let compared = compares(cx, &fields);
    let (schema, table) = table?;
    let parent = Parent {
        schema,
        table,
        join: join?,
        not_reused: not_reused?.unwrap_or_default(),
        not_before: not_before?.unwrap_or_default(),
        tolerance: tolerance?.unwrap_or_default(),
        lock_parent: lock_parent?,
    };
    compared.then_some(Kind::Parent(parent))
}

fn compares(cx: &mut Context, fields: &Fields<'_>) -> bool {
    let not_before = fields.value("not_before").is_some();
    if !not_before && fields.value("not_reused").is_none() {
        let d = cx.error(Code::MissingKey, fields.at, "`parent` has neither `not_reused` nor `not_before`");
        cx.report::<()>(d.expected("what to compare: `not_reused: {created_at: created_at}`"));
        return false;
    }
    if let (Some(at), false) = (fields.key_at("tolerance"), not_before) {
        let d = cx.warning(Code::NoEffect, at, "`tolerance` has no effect without `not_before`").help("remove it");
        cx.report::<()>(d);
    }
    true
}
