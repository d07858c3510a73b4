//! `require`: columns that must have a value, or must have none.
//!
//! Its manual is `docs/rules/require.md`.

use super::Spec;
use crate::rules::{
    condition::Owner,
    diagnostic::Code,
    fields::{Context, Fields, Keys},
    set::{Kind, Require},
    values,
    yaml::Node,
};

const KEYS: [&str; 2] = ["not_null", "null"];

pub const SPEC: Spec = Spec { key: "require", siblings: &[], inner: &KEYS, judges_times: false, read };

fn read(cx: &mut Context, node: &Node, _: &Fields<'_>, _: Owner<'_>) -> Option<Kind> {
    let fields = Fields::open(cx, node, "`require`", &Keys { known: &KEYS, later: &[] })?;
    let [not_null, null] = KEYS.map(|key| {
        let read = fields.optional(cx, key, |cx, node, what| values::columns(cx, node, what, 0));
        read.map(Option::unwrap_or_default)
    });
    let require = Require { not_null: not_null?, null: null? };
    if let Some(both) = require.not_null.iter().find(|c| require.null.contains(c)) {
        let d = cx.error(Code::Conflict, node.at, format!("`{both}` is to be null and not null"));
        return cx.report(d.help("take it out of one of the lists"));
    }
    if require.not_null.is_empty() && require.null.is_empty() && !fields.has_strangers {
        let d = cx.error(Code::MissingKey, node.at, "`require` names no column");
        return cx.report(d.expected("`not_null: [column]`, `null: [column]` or both"));
    }
    Some(Kind::Require(require))
}
