//! Shapes of what violations lead to, and of the exceptions.

use serde_json::{Value, json};

use super::shapes::{Object, of, words};
use crate::rules::{
    actions::{ACTIONS, DEFAULT, OPERATIONS},
    exemptions::{KEYS, MATCH_KEYS},
};

/// One action, or one for each kind of write.
pub fn on_violation() -> Value {
    let operations: Vec<&str> = OPERATIONS.into_iter().map(|(operation, _)| operation).chain([DEFAULT]).collect();
    let by_operation = json!({
        "type": "object",
        "propertyNames": {"enum": operations},
        "additionalProperties": words(&ACTIONS),
        "minProperties": 1,
    });
    json!({"anyOf": [words(&ACTIONS), by_operation]})
}

/// `5%`: above 0, at most 100, two decimals.
pub fn ramp() -> Value {
    let share = r"^\s*0*(100(\.0{1,2})?|[0-9]{1,2}(\.[0-9]{1,2})?)\s*%\s*$";
    json!({"type": "string", "allOf": [{"pattern": share}, {"pattern": "[1-9]"}]})
}

/// An item of `exemptions`.
pub fn exemption() -> Value {
    let shape = |key: &str| match key {
        "rules" => Some(json!({"type": "array", "items": of("text"), "minItems": 1})),
        "match" => Some(matches()),
        "reason" | "owner" => Some(of("text")),
        "expires" => Some(of("instant")),
        _ => None,
    };
    Object::new("Exemptions", &KEYS, shape).required(&["rules", "match", "reason", "expires"]).into_value()
}

fn matches() -> Value {
    let shape = |key: &str| match key {
        "role" | "database" => Some(of("pattern")),
        "application_name" => Some(json!({"allOf": [of("pattern"), {"pattern": r"^[\u0001-\u007f]*$"}]})),
        "client" => Some(of("text")),
        _ => None,
    };
    let mut value = Object::new("Exemptions", &MATCH_KEYS, shape).into_value();
    value["minProperties"] = json!(1);
    value
}
