//! Shapes of the kinds of rules.

use serde_json::{Value, json};

use super::shapes::{Object, any_of, columns, flag, of, words};
use crate::rules::{actions::OPERATIONS, kinds::Spec};

/// How a kind looks.
pub struct KindShape {
    /// The value of its key.
    pub value: Value,
    /// The keys beside it that only some kinds have.
    pub beside: Vec<(&'static str, Value)>,
    /// What else must hold of the rule.
    pub also: Vec<Value>,
}

/// The shape of a kind. `None`: nobody has written it yet, and the tests say so.
pub fn kind(spec: &Spec) -> Option<KindShape> {
    let value = match spec.key {
        "order" => return Some(order()),
        "duration" => duration(spec),
        "near_now" => near_now(spec),
        "plausible" => plausible(spec),
        "require" => require(spec),
        "check" => of("condition"),
        "parent" => parent(spec),
        "write_once" | "monotonic" => columns(1),
        "transitions" => transitions(spec),
        "affects_rows" => return Some(affects_rows(spec)),
        _ => return None,
    };
    Some(KindShape { value, beside: Vec::new(), also: Vec::new() })
}

fn order() -> KindShape {
    KindShape {
        value: columns(2),
        beside: vec![("tolerance", of("span")), ("strict", flag()), ("min_gap", of("span")), ("max_gap", of("span"))],
        also: vec![json!({
            "if": {"required": ["min_gap"]},
            "then": {"properties": {"tolerance": false, "strict": {"const": false}}},
        })],
    }
}

/// The mapping of a kind; what its keys mean stands in its own section of the manual.
fn mapping(spec: &Spec, shape: impl Fn(&str) -> Option<Value>) -> Object {
    Object::new(&format!("`{}`", spec.key), spec.inner, shape)
}

fn duration(spec: &Spec) -> Value {
    let keys = mapping(spec, |key| match key {
        "column" | "start" | "end" => Some(of("column")),
        "unit" => Some(of("unit")),
        "tolerance" => Some(of("span")),
        _ => None,
    });
    keys.required(&["column", "start", "end", "unit"]).into_value()
}

fn near_now(spec: &Spec) -> Value {
    let keys = mapping(spec, |key| match key {
        "columns" => Some(columns(1)),
        "past" | "future" => Some(of("span")),
        _ => None,
    });
    keys.required(&["columns"]).with(any_of(&["past", "future"])).into_value()
}

fn plausible(spec: &Spec) -> Value {
    let keys = mapping(spec, |key| match key {
        "columns" => Some(columns(1)),
        "after" | "before" => Some(of("instant")),
        _ => None,
    });
    keys.required(&["columns", "after", "before"]).into_value()
}

fn require(spec: &Spec) -> Value {
    let keys = mapping(spec, |key| match key {
        "not_null" | "null" => Some(columns(0)),
        _ => None,
    });
    let one = |key: &str| json!({"required": [key], "properties": {key: {"minItems": 1}}});
    keys.with(json!({"anyOf": [one("not_null"), one("null")]})).into_value()
}

fn parent(spec: &Spec) -> Value {
    let keys = mapping(spec, |key| match key {
        "table" => Some(of("table_name")),
        "join" | "not_reused" | "not_before" => Some(of("pairs")),
        "tolerance" => Some(of("span")),
        "lock_parent" => Some(flag()),
        _ => None,
    });
    keys.required(&["table", "join"]).with(any_of(&["not_reused", "not_before"])).into_value()
}

fn transitions(spec: &Spec) -> Value {
    let states = || json!({"type": "array", "items": of("state"), "uniqueItems": true});
    let keys = mapping(spec, |key| match key {
        "column" => Some(of("column")),
        "allow" => Some(json!({
            "type": "object",
            "minProperties": 1,
            "propertyNames": of("state"),
            "additionalProperties": states(),
        })),
        "initial" => {
            let mut some = states();
            some["minItems"] = json!(1);
            Some(some)
        }
        _ => None,
    });
    keys.required(&["column", "allow"]).into_value()
}

fn affects_rows(spec: &Spec) -> KindShape {
    let keys = mapping(spec, |key| match key {
        "operations" => Some(json!({"type": "array", "items": words(&OPERATIONS), "minItems": 1})),
        "min" => Some(json!({"type": "integer", "minimum": 1})),
        _ => None,
    });
    KindShape {
        value: keys.required(&["operations"]).into_value(),
        beside: Vec::new(),
        also: vec![json!({
            "if": {"required": ["affects_rows"]},
            "then": {"properties": {"when": false, "always": false, "ramp": false}},
        })],
    }
}
