//! Shapes of values: what [`crate::rules::values`] reads, in the words of JSON Schema.

use serde_json::{Map, Value, json};

use super::manual;
use crate::rules::values::{self, INSTANT, SPAN_UNITS, UNITS};

/// A letter, `_`, or anything that is not ASCII; then also digits and `$`.
const PLAIN_NAME: &str = r"[^\u0000-\u0040\u005b-\u005e\u0060\u007b-\u007f][^\u0000-\u0023\u0025-\u002f\u003a-\u0040\u005b-\u005e\u0060\u007b-\u007f]{0,62}";

/// `"Mixed Case"`, a quote inside twice.
const QUOTED_NAME: &str = r#""([^"\u0000]|""){1,63}""#;

/// The shapes that others refer to.
pub fn definitions() -> Map<String, Value> {
    let name = format!("({PLAIN_NAME}|{QUOTED_NAME})");
    let column = json!({"type": "string", "pattern": format!("^{name}$")});
    let table = json!({"type": "string", "pattern": format!(r"^{name}(\.{name})?$")});
    let all = [
        // Something in it, and no zero byte.
        ("text", json!({"type": "string", "pattern": r"^[^\u0000]*[^\s\u0000][^\u0000]*$"})),
        ("condition", json!({"$ref": "#/$defs/text"})),
        ("rule_name", json!({"type": "string", "pattern": "^[a-z_][a-z0-9_]{0,62}$"})),
        ("column", column),
        ("table_name", table),
        ("span", span()),
        ("unit", words(&UNITS)),
        ("instant", json!({"type": "string", "pattern": INSTANT})),
        ("timezone", json!({"enum": values::zone_names().collect::<Vec<_>>()})),
        (
            "pairs",
            json!({"type": "object", "minProperties": 1, "propertyNames": of("column"), "additionalProperties": of("column")}),
        ),
        ("state", json!({"type": ["string", "number", "boolean"], "pattern": r"^[^\u0000-\u001f\u007f-\u009f]*$"})),
        // `*` alone is everybody, and nobody means that.
        ("pattern", json!({"allOf": [of("text"), {"pattern": "[^*]"}]})),
        ("value", json!({"type": ["string", "number", "boolean", "null"]})),
    ];
    all.into_iter().map(|(name, shape)| (name.to_owned(), shape)).collect()
}

/// `1h30m`: units from large to small, each once, and at least one.
fn span() -> Value {
    let parts: String = SPAN_UNITS.iter().map(|(unit, _)| format!(r"([0-9]+\s*{unit}\s*)?")).collect();
    json!({"type": "string", "allOf": [{"pattern": r"^\s*[0-9]"}, {"pattern": format!(r"^\s*{parts}$")}]})
}

/// A shape by its name.
pub fn of(name: &str) -> Value {
    json!({"$ref": format!("#/$defs/{name}")})
}

/// `true` or `false`.
pub fn flag() -> Value {
    json!({"type": "boolean"})
}

/// One of a few words.
pub fn words<T>(words: &[(&'static str, T)]) -> Value {
    json!({"enum": words.iter().map(|(word, _)| *word).collect::<Vec<_>>()})
}

/// Any number of items.
pub fn list(items: Value) -> Value {
    json!({"type": "array", "items": items})
}

/// Different columns.
pub fn columns(least: usize) -> Value {
    let mut columns = json!({"type": "array", "items": of("column"), "uniqueItems": true});
    if least > 0 {
        columns["minItems"] = json!(least);
    }
    columns
}

/// A mapping with known keys.
pub struct Object {
    properties: Map<String, Value>,
    required: Value,
    also: Vec<Value>,
}

impl Object {
    /// What the keys mean stands in a section of the manual. A key of which `shape` does not know is left out: the tests find it.
    pub fn new(section: &str, keys: &[&str], shape: impl Fn(&str) -> Option<Value>) -> Self {
        let mut object = Self { properties: Map::new(), required: json!([]), also: Vec::new() };
        for key in keys {
            if let Some(shape) = shape(key) {
                object.add(key, shape, manual::means(section, key));
            }
        }
        object
    }

    /// One more key.
    pub fn add(&mut self, key: &str, mut shape: Value, description: Option<String>) {
        if let Some(description) = description {
            shape["description"] = json!(description);
        }
        self.properties.insert(key.to_owned(), shape);
    }

    /// Keys that must be there.
    pub fn required(mut self, keys: &[&str]) -> Self {
        self.required = json!(keys);
        self
    }

    /// Something else that must hold.
    pub fn also(&mut self, constraint: Value) {
        self.also.push(constraint);
    }

    /// With this that must hold.
    pub fn with(mut self, constraint: Value) -> Self {
        self.also(constraint);
        self
    }

    pub fn into_value(self) -> Value {
        let mut value = json!({
            "type": "object",
            "properties": self.properties,
            "required": self.required,
            "additionalProperties": false,
        });
        if !self.also.is_empty() {
            value["allOf"] = json!(self.also);
        }
        value
    }
}

/// At least one of these keys.
pub fn any_of(keys: &[&str]) -> Value {
    json!({"anyOf": keys.iter().map(|key| json!({"required": [key]})).collect::<Vec<_>>()})
}
