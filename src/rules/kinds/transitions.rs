//! `transitions`: a column that changes from one state to another only as allowed.
//!
//! Its manual is `docs/rules/transitions.md`.

use super::Spec;
use crate::rules::{
    condition::Owner,
    diagnostic::Code,
    fields::{Context, Fields, Keys},
    set::{Kind, Transitions},
    values,
    yaml::{At, Node, Value, shortened},
};

const KEYS: [&str; 3] = ["column", "allow", "initial"];

/// What `allow` looks like, for messages.
const ALLOW: &str = "for each state the ones that may follow it: `allow: {queued: [running], running: [done]}`";

pub const SPEC: Spec = Spec { key: "transitions", siblings: &[], inner: &KEYS, judges_times: false, read };

fn read(cx: &mut Context, node: &Node, _: &Fields<'_>, _: Owner<'_>) -> Option<Kind> {
    let fields = Fields::open(cx, node, "`transitions`", &Keys { known: &KEYS, later: &[] })?;
    let column = fields
        .required(cx, "column", "the column that holds the state: `column: status`")
        .and_then(|node| values::column(cx, node, "`column`"));
    let allow = fields.required(cx, "allow", ALLOW).and_then(|node| allow(cx, node));
    let initial = fields.optional(cx, "initial", |cx, node, what| {
        let states = states(cx, node, what)?;
        if states.is_empty() {
            let d = cx.error(Code::BadValue, node.at, format!("{what} has no state: no new row would pass"));
            return cx.report(d.expected("a list of states, at least one: `initial: [queued]`"));
        }
        Some(states)
    });
    Some(Kind::Transitions(Transitions { column: column?, allow: allow?, initial: initial? }))
}

fn allow(cx: &mut Context, node: &Node) -> Option<Vec<(String, Vec<String>)>> {
    let entries = cx.entries(node, "`allow`", ALLOW)?;
    if entries.is_empty() {
        let d = cx.error(Code::BadValue, node.at, "`allow` has no state: no state could ever change").expected(ALLOW);
        return cx.report(d.help("to keep a column as it is use `write_once`"));
    }
    let mut all = Vec::new();
    let mut ok = true;
    for (name, at, node) in entries {
        let from = state_text(cx, at, &name);
        let to = states(cx, node, &format!("the list of `{}`", shortened(&name)));
        let (Some(from), Some(to)) = (from, to) else {
            ok = false;
            continue;
        };
        if let Value::List(items) = &node.value
            && let Some(itself) = items.iter().find(|item| item.as_key().as_deref() == Some(&from))
        {
            let message = format!("`{}` has no effect here: to stay in a state is always allowed", shortened(&from));
            let d = cx.warning(Code::NoEffect, itself.at, message).help("take it out of the list");
            cx.report::<()>(d);
        }
        all.push((from, to));
    }
    ok.then_some(all)
}

/// A list of states, each once.
fn states(cx: &mut Context, node: &Node, what: &str) -> Option<Vec<String>> {
    let items = cx.list(node, what, "a list of states: `[running, cancelled]`, or `[]` for none")?;
    let mut states: Vec<String> = Vec::new();
    let mut ok = true;
    for item in items {
        let Some(state) = state(cx, item) else {
            ok = false;
            continue;
        };
        if states.contains(&state) {
            let d = cx.error(Code::BadValue, item.at, format!("`{}` stands twice in {what}", shortened(&state)));
            cx.report::<()>(d.expected("different states"));
            ok = false;
            continue;
        }
        states.push(state);
    }
    ok.then_some(states)
}

/// A text, a number or a boolean, by its text.
fn state(cx: &mut Context, node: &Node) -> Option<String> {
    match (&node.value, node.as_key()) {
        (Value::Text(_) | Value::Number(_) | Value::Bool(_), Some(text)) => state_text(cx, node.at, &text),
        _ => {
            let d = cx.error(Code::WrongType, node.at, format!("a state is {}", node.describe()));
            cx.report(d.expected("a text, a number, `true` or `false`"))
        }
    }
}

fn state_text(cx: &mut Context, at: At, text: &str) -> Option<String> {
    if text.chars().any(char::is_control) {
        let d = cx.error(Code::BadValue, at, format!("the state `{}` has a control character", shortened(text)));
        return cx.report(d.expected("a text on one line"));
    }
    if !text.is_ascii() {
        let d = cx.warning(Code::NonAscii, at, format!("the state `{}` is not ASCII", shortened(text)));
        cx.report::<()>(d.help("sessions whose client_encoding is not UTF8 cannot be guarded by it"));
    }
    Some(text.to_owned())
}
