//! Shapes of the tests of rules.

use serde_json::{Value, json};

use super::shapes::{Object, flag, list, of};
use crate::rules::rule_tests::read::{COPY_KEYS, EXPECT_KEYS, LANDED_KEYS, MOST_ROWS, PARAMETERS_KEYS, TEST_KEYS};

/// The sections of the manual.
const TEST: &str = "Tests";
const STATEMENT: &str = "A statement of a test";
const EXPECTS: &str = "What a test expects";

/// A test.
pub fn test() -> Value {
    let shape = |key: &str| match key {
        "name" | "setup" => Some(of("text")),
        "role" => Some(of("column")),
        "sql" => Some(json!({"anyOf": [
            of("statement"),
            {"type": "array", "items": of("statement"), "minItems": 1},
        ]})),
        "expect" => Some(expect()),
        _ => None,
    };
    Object::new(TEST, &TEST_KEYS, shape).required(&["name", "sql", "expect"]).into_value()
}

/// An item of `sql`.
pub fn statement() -> Value {
    let shape = |key: &str| match key {
        "sql" | "copy" => Some(of("text")),
        "params" => Some(list(of("value"))),
        "data" => Some(json!({"type": "string"})),
        _ => None,
    };
    let of_keys = |keys: &[&str]| Object::new(STATEMENT, keys, shape).required(keys).into_value();
    json!({"anyOf": [of("text"), of_keys(&PARAMETERS_KEYS), of_keys(&COPY_KEYS)]})
}

fn expect() -> Value {
    let shape = |key: &str| match key {
        "violations" => Some(violations()),
        "rejected" => Some(flag()),
        "hint" => Some(of("text")),
        "landed" => Some(landed()),
        _ => None,
    };
    let violations =
        json!({"required": ["violations"], "properties": {"violations": {"minItems": 1, "minProperties": 1}}});
    let needed = json!([
        {"required": ["hint"]},
        {"required": ["rejected"], "properties": {"rejected": {"const": true}}},
    ]);
    let keys = Object::new(EXPECTS, &EXPECT_KEYS, shape);
    keys.with(json!({"if": {"anyOf": needed}, "then": violations})).into_value()
}

fn violations() -> Value {
    let rows = json!({"type": "integer", "minimum": 1, "maximum": MOST_ROWS});
    json!({"anyOf": [
        {"type": "array", "items": of("text"), "uniqueItems": true},
        {"type": "object", "additionalProperties": rows},
    ]})
}

fn landed() -> Value {
    let shape = |key: &str| match key {
        "sql" => Some(of("text")),
        "rows" => Some(list(list(of("value")))),
        _ => None,
    };
    let query = Object::new(EXPECTS, &LANDED_KEYS, shape).required(&LANDED_KEYS);
    json!({"anyOf": [of("text"), query.into_value()]})
}
