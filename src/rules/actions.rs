//! What a violation leads to, as a rule file says it: `on_violation`, and whether the rest of the rule goes with it.
//!
//! ```yaml
//! on_violation: reject                                        # every kind of write
//! on_violation: {insert: reject, copy: observe}               # these; the others as the table says, or observe
//! on_violation: {insert: reject, default: warn}               # and all the others
//! ```

use super::{
    diagnostic::Code,
    fields::{Context, Fields, Keys, quoted},
    set::{Action, Kind, OnViolation},
    yaml::{Node, Value},
};
use crate::sql::write::Operation;

/// The actions by name.
pub const ACTIONS: [(&str, Action); 3] =
    [("observe", Action::Observe), ("warn", Action::Warn), ("reject", Action::Reject)];

/// Kinds of write by their names.
pub const OPERATIONS: [(&str, Operation); 4] = [
    ("insert", Operation::Insert),
    ("update", Operation::Update),
    ("merge", Operation::Merge),
    ("copy", Operation::Copy),
];

/// The action of the kinds of write that are not named.
pub const DEFAULT: &str = "default";

/// `on_violation` of a table or a rule; what it leaves open is as `above` has it. `None`: it is there and wrong.
pub fn on_violation(cx: &mut Context, fields: &Fields<'_>, above: &OnViolation) -> Option<OnViolation> {
    let Some(node) = fields.value("on_violation") else { return Some(above.clone()) };
    match &node.value {
        Value::Map(_) => by_operation(cx, node, above),
        Value::Text(_) => cx.choice(node, "`on_violation`", &ACTIONS).map(OnViolation::from),
        _ => {
            let expected = format!(
                "one of {}, or one for each kind of write: `{{insert: reject, {DEFAULT}: observe}}`",
                quoted(ACTIONS.map(|(word, _)| word))
            );
            let message = format!("`on_violation` is {}", node.describe());
            let d = cx.error(Code::WrongType, node.at, message).expected(expected);
            cx.report(d)
        }
    }
}

fn by_operation(cx: &mut Context, node: &Node, above: &OnViolation) -> Option<OnViolation> {
    let [insert, update, merge, copy] = OPERATIONS.map(|(word, _)| word);
    let keys = [insert, update, merge, copy, DEFAULT];
    let fields = Fields::open(cx, node, "`on_violation`", &Keys { known: &keys, later: &[] })?;
    let mut ok = !fields.has_strangers;
    let mut read = |cx: &mut Context, key: &str| {
        let action = fields.optional(cx, key, |cx, node, what| cx.choice(node, what, &ACTIONS));
        ok &= action.is_some();
        action.flatten()
    };
    let mut all = match read(cx, DEFAULT) {
        Some(action) => action.into(),
        None => above.clone(),
    };
    for (word, operation) in OPERATIONS {
        if let Some(action) = read(cx, word) {
            all.operations.insert(operation, action);
        }
    }
    if keys.iter().all(|key| fields.value(key).is_none()) && ok {
        let d = cx.error(Code::BadValue, node.at, "`on_violation` names no kind of write");
        return cx.report(d.expected(format!("at least one of {}", quoted(keys))));
    }
    ok.then_some(all)
}

/// Reports what of a rule does not go with its actions. `None`: that is an error.
pub fn fit(cx: &mut Context, fields: &Fields<'_>, kind: &Kind, on_violation: &OnViolation) -> Option<()> {
    if let Kind::AffectsRows(rows) = kind {
        return rows_cannot_be_refused(cx, fields, &rows.operations, on_violation);
    }
    if let Some(at) = fields.key_at("ramp")
        && on_violation.strictest() < Action::Reject
    {
        let d = cx.warning(Code::NoEffect, at, "`ramp` is a share of what is rejected, and the rule rejects nothing");
        cx.report::<()>(d.help("write `on_violation: reject` beside it"));
    }
    if let Some(at) = fields.key_at("since")
        && on_violation.strictest() == Action::Observe
    {
        let d = cx.warning(Code::NoEffect, at, "until `since` a rule only observes, and this one always does");
        cx.report::<()>(d.help("write the action that it is to have then"));
    }
    Some(())
}

/// A statement that wrote nothing has done nothing that could be refused.
fn rows_cannot_be_refused(
    cx: &mut Context,
    fields: &Fields<'_>,
    operations: &[Operation],
    on_violation: &OnViolation,
) -> Option<()> {
    let mut ok = Some(());
    let mut wrong = |cx: &mut Context, key: &str, message: &str, help: &str| {
        let at = fields.key_at(key).unwrap_or(fields.at);
        let d = cx.error(Code::Conflict, at, message).help(help);
        ok = cx.report(d);
    };
    if operations.iter().any(|operation| on_violation.action(*operation) == Action::Reject) {
        let key = if fields.value("on_violation").is_some() { "on_violation" } else { "affects_rows" };
        wrong(
            cx,
            key,
            "`affects_rows` cannot reject: a statement that writes too few rows has changed nothing that could be refused",
            "write `on_violation: warn`: the client gets a notice, and sees the number of rows in the command tag anyway",
        );
    }
    for (key, why) in [
        ("when", "`when` is about a row, and `affects_rows` is about statements that write none"),
        ("always", "`always` is about rows that a statement does not change, and `affects_rows` is about statements"),
        ("ramp", "`ramp` is a share of what is rejected, and `affects_rows` rejects nothing"),
    ] {
        if fields.value(key).is_some() {
            wrong(cx, key, why, "remove it");
        }
    }
    ok
}
