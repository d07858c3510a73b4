//! `affects_rows`: a statement that writes fewer rows than it must.
//!
//! Its manual is `docs/rules/affects_rows.md`.

use super::Spec;
use crate::rules::{
    actions::OPERATIONS,
    condition::Owner,
    diagnostic::Code,
    fields::{Context, Fields, Keys},
    set::{AffectsRows, Kind},
    yaml::{Node, Value},
};

const KEYS: [&str; 2] = ["operations", "min"];

pub const SPEC: Spec = Spec { key: "affects_rows", siblings: &[], inner: &KEYS, judges_times: false, read };

fn read(cx: &mut Context, node: &Node, _: &Fields<'_>, _: Owner<'_>) -> Option<Kind> {
    let fields = Fields::open(cx, node, "`affects_rows`", &Keys { known: &KEYS, later: &[] })?;
    let operations = fields
        .required(cx, "operations", "the kinds of write that are judged: `operations: [update]`")
        .and_then(|node| operations(cx, node));
    let min = fields.optional(cx, "min", |cx, node, what| match &node.value {
        Value::Number(text) if let Some(min) = text.parse::<u64>().ok().filter(|n| *n > 0) => Some(min),
        _ => {
            let d = cx.error(Code::BadValue, node.at, format!("{what} is {}", node.describe()));
            cx.report(d.expected("the least number of rows, from 1 on"))
        }
    });
    Some(Kind::AffectsRows(AffectsRows { operations: operations?, min: min?.unwrap_or(1) }))
}

fn operations(cx: &mut Context, node: &Node) -> Option<Vec<crate::sql::write::Operation>> {
    const LIST: &str = "a list of kinds of write, at least one: `[update]`";
    let mut operations = Vec::new();
    for item in cx.list(node, "`operations`", LIST)? {
        let operation = cx.choice(item, "the kind of write", &OPERATIONS)?;
        if !operations.contains(&operation) {
            operations.push(operation);
        }
    }
    if operations.is_empty() {
        let d = cx.error(Code::BadValue, node.at, "`operations` names no kind of write").expected(LIST);
        return cx.report(d);
    }
    Some(operations)
}
