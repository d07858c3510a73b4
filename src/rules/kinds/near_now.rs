//! `near_now`: a time that is about now when it is written.
//!
//! Its manual is `docs/rules/near_now.md`.

use super::Spec;
use crate::rules::{
    condition::Owner,
    diagnostic::Code,
    fields::{Context, Fields, Keys},
    set::{Kind, NearNow},
    values,
    yaml::Node,
};

const KEYS: [&str; 3] = ["columns", "past", "future"];

pub const SPEC: Spec = Spec { key: "near_now", siblings: &[], inner: &KEYS, judges_times: true, read };

fn read(cx: &mut Context, node: &Node, _: &Fields<'_>, _: Owner<'_>) -> Option<Kind> {
    let fields = Fields::open(cx, node, "`near_now`", &Keys { known: &KEYS, later: &[] })?;
    let columns = fields
        .required(cx, "columns", "a list of columns: `columns: [created_at]`")
        .and_then(|node| values::columns(cx, node, "`columns`", 1));
    let past = fields.optional(cx, "past", values::span);
    let future = fields.optional(cx, "future", values::span);
    if fields.value("past").or(fields.value("future")).is_none() {
        let d = cx.error(Code::MissingKey, node.at, "`near_now` has neither `past` nor `future`");
        return cx.report(d.expected("how old or how early a value may be: `past: 5m, future: 5s`"));
    }
    Some(Kind::NearNow(NearNow { columns: columns?, past: past?, future: future? }))
}
