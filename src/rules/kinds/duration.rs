//! `duration`: a stored duration that agrees with its start and end.
//!
//! Its manual is `docs/rules/duration.md`.

use super::Spec;
use crate::rules::{
    condition::Owner,
    diagnostic::Code,
    fields::{Context, Fields, Keys},
    set::{Duration, Kind},
    values,
    yaml::Node,
};

const KEYS: [&str; 5] = ["column", "start", "end", "unit", "tolerance"];

pub const SPEC: Spec = Spec { key: "duration", siblings: &[], inner: &KEYS, judges_times: true, read };

fn read(cx: &mut Context, node: &Node, _: &Fields<'_>, _: Owner<'_>) -> Option<Kind> {
    let fields = Fields::open(cx, node, "`duration`", &Keys { known: &KEYS, later: &[] })?;
    let [column, start, end] = ["column", "start", "end"].map(|key| {
        let node = fields.required(cx, key, "the name of a column")?;
        values::column(cx, node, &format!("`{key}`"))
    });
    let unit = fields
        .required(cx, "unit", "what the duration counts: one of `s`, `ms`, `us`, `ns`")
        .and_then(|node| values::unit(cx, node, "`unit`"));
    let tolerance = fields.optional(cx, "tolerance", values::span);
    let duration =
        Duration { column: column?, start: start?, end: end?, unit: unit?, tolerance: tolerance?.unwrap_or_default() };
    if duration.start == duration.end || duration.column == duration.start || duration.column == duration.end {
        let d = cx.error(Code::Conflict, node.at, "`column`, `start` and `end` name a column twice");
        return cx.report(d.expected("three different columns"));
    }
    Some(Kind::Duration(duration))
}
