//! `plausible`: a time in the range where real ones are.
//!
//! Its manual is `docs/rules/plausible.md`.

use super::Spec;
use crate::rules::{
    condition::Owner,
    diagnostic::Code,
    fields::{Context, Fields, Keys},
    set::{Kind, Plausible},
    values,
    yaml::Node,
};

const KEYS: [&str; 3] = ["columns", "after", "before"];

pub const SPEC: Spec = Spec { key: "plausible", siblings: &[], inner: &KEYS, judges_times: true, read };

fn read(cx: &mut Context, node: &Node, _: &Fields<'_>, _: Owner<'_>) -> Option<Kind> {
    let fields = Fields::open(cx, node, "`plausible`", &Keys { known: &KEYS, later: &[] })?;
    let columns = fields
        .required(cx, "columns", "a list of columns: `columns: [started_at]`")
        .and_then(|node| values::columns(cx, node, "`columns`", 1));
    let [after, before] = [("after", "2000-01-01"), ("before", "2100-01-01")].map(|(key, example)| {
        let node = fields.required(cx, key, &format!("the end of the range: `{key}: {example}`"))?;
        values::instant(cx, node, &format!("`{key}`"))
    });
    if let (Some(a), Some(b), Some(node)) = (after, before, fields.value("before"))
        && a >= b
    {
        let d = cx.error(Code::Conflict, node.at, "`before` is not after `after`: no value would be plausible");
        return cx.report(d.expected("`after` earlier than `before`"));
    }
    Some(Kind::Plausible(Plausible { columns: columns?, after: after?, before: before? }))
}
