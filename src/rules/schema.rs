//! Makes `rules/schema.json`, the JSON Schema of rule files for editors and for programs that write them. `chronoguard schema` prints that file.
//!
//! Which keys there are is taken from where the loader takes it ([`super::file`], [`super::kinds`]), what they mean from the manual in `docs/`, and the
//! shape of their values is told here. Part of the tests: they fail when the file is not what is made here (`UPDATE_EXPECTED=1` writes it anew), and they
//! hold the schema against the loader with random files. What one of them accepts the other does too, but for what [`BEYOND`] lists.
//!
//! **A new key or kind** needs its shape here and its line in a table of the manual; the tests say which is missing.

mod actions;
mod kinds;
mod manual;
mod rule_tests;
mod shapes;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use self::shapes::{Object, flag, list, of, words};
use super::{
    diagnostic::Code,
    file::{FILE_KEYS, RULE_KEYS, TABLE_KEYS, UNGUARDABLE},
    kinds::KINDS,
};

/// What the loader refuses and no schema can: the code, words of the message, and why.
///
/// The other way round there is nothing: what the schema refuses the loader refuses.
pub const BEYOND: &[(Code, &str, &str)] = &[
    (Code::DuplicateRule, "two rules are named", "names are unique over all files"),
    (Code::DuplicateTable, "has two entries", "tables are unique over all files, and names are folded"),
    (Code::BadValue, "stands twice in", "columns that are the same once they are folded"),
    (Code::BadValue, "there is no rule", "a test or an exemption names a rule, which may be in another file"),
    (Code::BadValue, "PostgreSQL cuts names at 63 bytes", "JSON Schema counts characters"),
    (Code::BadValue, "longer than 584 years", "the sum of a length of time"),
    (Code::BadValue, "is no instant", "the calendar: the 30th of February"),
    (Code::BadValue, "`${now", "a placeholder inside a text of a test"),
    (Code::BadValue, "`client` is", "addresses"),
    (Code::BadSql, "is no condition", "SQL"),
    (Code::Conflict, "is less than `min_gap`", "two lengths of time compared"),
    (Code::Conflict, "`before` is not after `after`", "two instants compared"),
    (Code::Conflict, "name a column twice", "two columns compared"),
    (Code::Conflict, "`affects_rows` cannot reject", "the action may be the table's"),
    (Code::Conflict, "is to be null and not null", "two lists compared"),
];

/// The schema.
pub fn schema() -> Value {
    let mut schema = file();
    let Value::Object(map) = &mut schema else { return schema };
    map.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    map.insert("title".to_owned(), json!("chronoguard rule file"));
    let mut definitions = shapes::definitions();
    definitions.insert("table".to_owned(), table());
    definitions.insert("rule".to_owned(), rule());
    definitions.insert("test".to_owned(), rule_tests::test());
    definitions.insert("statement".to_owned(), rule_tests::statement());
    map.insert("$defs".to_owned(), Value::Object(definitions));
    schema
}

fn file() -> Value {
    let shape = |key: &str| match key {
        "version" => Some(json!({"const": 1})),
        "tables" => Some(list(of("table"))),
        "exemptions" => Some(list(actions::exemption())),
        "trusted_roles" => Some(list(of("text"))),
        "schema" => Some(json!({"anyOf": [of("text"), list(of("text"))]})),
        "tests" => Some(list(of("test"))),
        _ => None,
    };
    Object::new("A file", FILE_KEYS.known, shape).required(&["version", "tables"]).into_value()
}

fn table() -> Value {
    let shape = |key: &str| match key {
        "table" => Some(of("table_name")),
        "owner" | "description" | "runbook" => Some(of("text")),
        "unguardable" => Some(words(&UNGUARDABLE)),
        "on_violation" => Some(actions::on_violation()),
        "units" => Some(json!({"type": "object", "propertyNames": of("column"), "additionalProperties": of("unit")})),
        "timezone" => Some(of("timezone")),
        "rules" => Some(list(of("rule"))),
        "tests" => Some(list(of("test"))),
        _ => None,
    };
    Object::new("A table", TABLE_KEYS.known, shape).required(&["table", "rules"]).into_value()
}

fn rule() -> Value {
    let shape = |key: &str| match key {
        "name" => Some(of("rule_name")),
        "on_violation" => Some(actions::on_violation()),
        "ramp" => Some(actions::ramp()),
        "since" => Some(of("instant")),
        "severity" | "hint" | "description" => Some(of("text")),
        "always" => Some(flag()),
        "when" => Some(of("condition")),
        "unit" => Some(of("unit")),
        "timezone" => Some(of("timezone")),
        _ => None,
    };
    let mut rule = Object::new("A rule", &RULE_KEYS, shape).required(&["name"]);
    let mut one_of = Vec::new();
    // Of each key that only some kinds have: the kinds.
    let mut owners: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for spec in &KINDS {
        let Some(kind) = kinds::kind(spec) else { continue };
        let section = format!("`{}`", spec.key);
        rule.add(spec.key, kind.value, manual::title(&section));
        for (key, shape) in kind.beside {
            rule.add(key, shape, manual::means(&section, key));
        }
        let this = json!({"required": [spec.key]});
        let times = spec.judges_times.then_some(["unit", "timezone"]).into_iter().flatten();
        for key in spec.siblings.iter().copied().chain(times) {
            owners.entry(key).or_default().push(this.clone());
        }
        for constraint in kind.also {
            rule.also(constraint);
        }
        one_of.push(this);
    }
    let mut rule = rule.into_value();
    let owners =
        owners.into_iter().map(|(key, kinds)| (key.to_owned(), json!({"anyOf": kinds}))).collect::<Map<_, _>>();
    rule["oneOf"] = json!(one_of);
    rule["dependentSchemas"] = Value::Object(owners);
    rule
}

#[cfg(test)]
mod tests;
