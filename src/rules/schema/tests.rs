mod generate;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use jsonschema::Validator;
use rand::{SeedableRng, rngs::StdRng};

use super::*;
use crate::rules::{
    diagnostic::{Diagnostic, Severity},
    load::inspect_texts,
    rule_tests::read::{EXPECT_KEYS, TEST_KEYS},
    yaml::{self, Node, Value as Yaml},
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn validator() -> Validator {
    jsonschema::draft202012::new(&schema()).unwrap()
}

/// The errors of the loader, without those that no schema can find.
fn errors(text: &str) -> (Vec<Diagnostic>, Vec<Diagnostic>) {
    let found = inspect_texts([("rules.yaml", text)]).diagnostics;
    found.into_iter().filter(|d| d.severity == Severity::Error).partition(|d| beyond(d).is_none())
}

/// The entry of [`BEYOND`] that an error is.
fn beyond(error: &Diagnostic) -> Option<usize> {
    BEYOND.iter().position(|(code, words, _)| *code == error.code && error.message.contains(words))
}

#[test]
fn the_published_schema_is_current() {
    let path = root().join("rules/schema.json");
    let made = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::write(&path, &made).unwrap();
    }
    assert!(fs::read_to_string(&path).unwrap_or_default() == made, "UPDATE_EXPECTED=1 writes rules/schema.json anew");
    jsonschema::meta::validate(&schema()).unwrap();
}

/// The keys of an object's schema.
fn keys(object: &Value) -> BTreeSet<&str> {
    object["properties"].as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn every_key_of_the_loader_is_in_the_schema() {
    let schema = schema();
    let of = |name: &str| &schema["$defs"][name];
    assert_eq!(keys(&schema), FILE_KEYS.known.iter().copied().collect());
    assert_eq!(keys(of("table")), TABLE_KEYS.known.iter().copied().collect());
    assert_eq!(keys(of("test")), TEST_KEYS.into());
    assert_eq!(keys(&of("test")["properties"]["expect"]), EXPECT_KEYS.into());
    let kinds = KINDS.iter().flat_map(|spec| spec.siblings.iter().copied().chain([spec.key]));
    assert_eq!(keys(of("rule")), kinds.chain(RULE_KEYS).collect());
    for spec in KINDS.iter().filter(|spec| !spec.inner.is_empty()) {
        assert_eq!(keys(&of("rule")["properties"][spec.key]), spec.inner.iter().copied().collect(), "{}", spec.key);
    }
}

#[test]
fn the_manual_says_what_every_key_means() {
    fn look(at: &Value, path: &str, missing: &mut Vec<String>) {
        let Value::Object(map) = at else {
            if let Value::Array(items) = at {
                items.iter().for_each(|item| look(item, path, missing));
            }
            return;
        };
        for (key, value) in map {
            let path = format!("{path}/{key}");
            // A list of conditions speaks of keys that are described elsewhere.
            if ["allOf", "if", "then", "oneOf", "dependentSchemas"].contains(&key.as_str()) {
                continue;
            }
            if let ("properties", Value::Object(properties)) = (key.as_str(), value) {
                let described =
                    |(_, value): &(&String, &Value)| value["description"].as_str().is_some_and(|d| d.len() > 3);
                missing.extend(properties.iter().filter(|p| !described(p)).map(|(key, _)| format!("{path}/{key}")));
            }
            look(value, &path, missing);
        }
    }
    let mut missing = Vec::new();
    look(&schema(), "", &mut missing);
    assert!(missing.is_empty(), "not in a table of the manual: {missing:#?}");
}

/// As JSON has it.
fn json_of(node: &Node) -> Value {
    match &node.value {
        Yaml::Null => Value::Null,
        Yaml::Bool(b) => json!(b),
        Yaml::Number(n) => serde_json::from_str(n).unwrap(),
        Yaml::Text(t) => json!(t),
        Yaml::List(items) => items.iter().map(json_of).collect(),
        Yaml::Map(entries) => {
            Value::Object(entries.iter().map(|(key, value)| (key.as_key().unwrap(), json_of(value))).collect())
        }
    }
}

fn yaml_files(dir: &Path, found: &mut Vec<PathBuf>) {
    for path in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            yaml_files(&path, found);
        } else if path.extension().is_some_and(|e| e == "yaml") {
            found.push(path);
        }
    }
}

#[test]
fn the_shipped_rule_files_name_the_schema_and_keep_to_it() {
    let validator = validator();
    let mut files = Vec::new();
    ["rules", "examples"].iter().for_each(|dir| yaml_files(&root().join(dir), &mut files));
    assert!(files.len() >= 5);
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        let first = text.lines().next().unwrap();
        let named =
            first.strip_prefix("# yaml-language-server: $schema=").unwrap_or_else(|| panic!("{}", path.display()));
        let named = path.parent().unwrap().join(named).canonicalize().unwrap();
        assert_eq!(named, root().join("rules/schema.json").canonicalize().unwrap());
        let tree = json_of(&yaml::parse(&text).unwrap().unwrap());
        let found: Vec<String> = validator.iter_errors(&tree).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert!(found.is_empty(), "{}: {found:#?}", path.display());
    }
}

/// What the loader says of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Loader {
    Accepts,
    /// For reasons that no schema can express.
    RefusesBeyond,
    Refuses,
}

fn loader(document: &Value) -> Loader {
    match errors(&document.to_string()) {
        (errors, _) if !errors.is_empty() => Loader::Refuses,
        (_, beyond) if !beyond.is_empty() => Loader::RefusesBeyond,
        _ => Loader::Accepts,
    }
}

/// Whether a schema's answer can be right.
fn agrees(valid: bool, loader: Loader) -> bool {
    match loader {
        Loader::Accepts => valid,
        // There may be other mistakes as well that the loader did not come to.
        Loader::RefusesBeyond => true,
        Loader::Refuses => !valid,
    }
}

#[test]
fn whatever_the_language_has_both_accept() {
    let validator = validator();
    for seed in 0..1_000 {
        let document = generate::document(&mut StdRng::seed_from_u64(seed));
        let refused = validator.iter_errors(&document).map(|e| format!("{}: {e}", e.instance_path()));
        assert_eq!(refused.collect::<Vec<_>>(), Vec::<String>::new(), "seed {seed}: {document}");
        assert_eq!(loader(&document), Loader::Accepts, "{:#?}\n{document}", errors(&document.to_string()));
    }
}

/// Documents that were changed at random, so many that each constraint of the schema is met, and what the loader says.
static CHANGED: LazyLock<Vec<(Value, Loader)>> = LazyLock::new(|| {
    let changed = (0..60_000).map(|seed| {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut document = generate::small(&mut rng);
        generate::mutate(&mut rng, &mut document);
        let said = loader(&document);
        (document, said)
    });
    changed.collect()
});

#[test]
fn what_is_changed_at_random_both_accept_or_both_refuse() {
    let validator = validator();
    let mut seen: BTreeMap<Loader, u32> = BTreeMap::new();
    for (document, said) in CHANGED.iter() {
        let refused: Vec<String> =
            validator.iter_errors(document).map(|e| format!("{}: {e}", e.instance_path())).collect();
        let why = || format!("schema: {refused:#?}\nloader: {:#?}\n{document}", errors(&document.to_string()));
        assert!(agrees(refused.is_empty(), *said), "{}", why());
        *seen.entry(*said).or_default() += 1;
    }
    // Each answer was given often enough to mean something.
    let enough = seen[&Loader::Accepts] > 500 && seen[&Loader::Refuses] > 3_000 && seen[&Loader::RefusesBeyond] > 100;
    assert!(enough, "{seen:?}");
}

/// The constraints of a schema, by their JSON pointers.
fn constraints(at: &Value, path: &str, found: &mut Vec<String>) {
    const WORDS: [&str; 17] = [
        "additionalProperties",
        "allOf",
        "anyOf",
        "const",
        "dependentSchemas",
        "enum",
        "if",
        "items",
        "maximum",
        "minItems",
        "minProperties",
        "minimum",
        "oneOf",
        "pattern",
        "propertyNames",
        "type",
        "uniqueItems",
    ];
    let inside: Vec<(String, &Value)> = match at {
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), value)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(n, item)| (n.to_string(), item)).collect(),
        _ => return,
    };
    // In `properties` and in lists the words are names and numbers.
    let names = path.ends_with("/properties") || path.ends_with("/$defs") || at.is_array();
    for (key, value) in inside {
        let path = format!("{path}/{key}");
        if !names && (WORDS.contains(&key.as_str()) || (key == "required" && value != &json!([]))) {
            found.push(path.clone());
        }
        constraints(value, &path, found);
    }
}

/// Constraints that others imply.
fn implied(pointer: &str) -> bool {
    // The loader has the same words for what stands twice before and after folding, which only a half of is beyond a schema.
    let twice = pointer.ends_with("/uniqueItems");
    // What is no mapping is of each kind at once.
    twice || pointer == "/$defs/rule/type"
}

#[test]
fn a_schema_that_lacks_a_constraint_is_found_out() {
    let mut all = Vec::new();
    constraints(&schema(), "", &mut all);
    all.retain(|pointer| !implied(pointer));
    assert!(all.len() > 80, "{}", all.len());
    let unseen: Vec<&String> = all
        .iter()
        .filter(|pointer| {
            let mut schema = schema();
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            schema.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(key);
            let validator = jsonschema::draft202012::new(&schema).unwrap();
            CHANGED.iter().all(|(document, said)| agrees(validator.is_valid(document), *said))
        })
        .collect();
    assert!(unseen.is_empty(), "nothing depends on: {unseen:#?}");
}

#[test]
fn what_no_schema_can_express_is_what_the_list_says() {
    let validator = validator();
    let rule = |rule: &str| format!("{{version: 1, tables: [{{table: t, rules: [{rule}]}}]}}");
    let test = |test: &str| format!("{{version: 1, tables: [], tests: [{{name: n, {test}}}]}}");
    let long = "ä".repeat(32);
    let files = [
        rule("{name: r, check: a}, {name: r, check: a}"),
        "{version: 1, tables: [{table: t, rules: []}, {table: public.T, rules: []}]}".to_owned(),
        rule("{name: r, order: [a, A]}"),
        test("sql: a, expect: {violations: [nobody]}"),
        rule(&format!("{{name: r, order: [a, {long}]}}")),
        rule("{name: r, order: [a, b], max_gap: 999999999d}"),
        rule("{name: r, plausible: {columns: [a], after: 2000-02-30, before: 2100-01-01}}"),
        test("sql: \"${now 5m}\", expect: {}"),
        rule("{name: r, check: a >}"),
        rule("{name: r, order: [a, b], min_gap: 2s, max_gap: 1s}"),
        rule("{name: r, plausible: {columns: [a], after: 2001-01-01, before: 2000-01-01}}"),
        rule("{name: r, duration: {column: a, start: b, end: b, unit: s}}"),
        rule("{name: r, require: {not_null: [a], null: [a]}}"),
        rule("{name: r, affects_rows: {operations: [update]}, on_violation: reject}"),
        "{version: 1, tables: [{table: t, rules: [{name: r, check: a}]}], exemptions: [{rules: [r], match: {client: 10.1.2.3/8}, reason: a, expires: 2100-01-01}]}".to_owned(),
    ];
    let mut shown = BTreeSet::new();
    for file in files {
        let (errors, others) = errors(&file);
        assert!(errors.is_empty() && others.len() == 1, "{file}: {errors:#?} {others:#?}");
        shown.extend(others.iter().filter_map(beyond));
        assert!(validator.is_valid(&json_of(&yaml::parse(&file).unwrap().unwrap())), "{file}");
    }
    assert_eq!(shown.len(), BEYOND.len(), "an entry of the list is not shown here");
    // What stands twice as it is written needs no folding.
    let twice = json!({"version": 1, "tables": [{"table": "t", "rules": [{"name": "r", "order": ["a", "a"]}]}]});
    assert!(!validator.is_valid(&twice));
}
