//! Random rule files: good ones, made of all that the language has, and changed ones.

use std::{collections::BTreeMap, sync::LazyLock};

use rand::{
    Rng, SeedableRng,
    rngs::StdRng,
    seq::{IndexedRandom, IteratorRandom},
};
use serde_json::{Map, Value, json};

use crate::rules::kinds::KINDS;

const OPERATIONS: [&str; 4] = ["insert", "update", "merge", "copy"];
const COLUMNS: [&str; 9] = ["a", "b", "created_at", "\"createdAt\"", "\"a \"\" b\"", "_x", "Started_At", "é", "a$1"];
const CONDITIONS: [&str; 4] = ["a > 1", "status IN ('a', 'b')", "a IS NULL OR b", "\"createdAt\" < now()"];
const SPANS: [&str; 8] = ["0s", "5ms", "1us", "250ns", "1h30m", "30d", " 1 h 5 m ", "1d2h3m4s5ms6us7ns"];
const EARLY: [&str; 4] = ["2000-01-01", "1999-12-31T23:59Z", "2000-01-01 00:00:00.5+02:00", "1970-01-01t00:00:00z"];
const LATE: [&str; 3] = ["2100-01-01", "2099-12-31T23:59:59.999999-11:30", "2100-06-30"];
const ZONES: [&str; 3] = ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires"];
const TEXTS: [&str; 5] = ["a", "two words", "ä {b} #c", "1", "true"];
const SQL: [&str; 3] = ["INSERT INTO t VALUES (1)", "SELECT '${now - 5m}'; SELECT 2", "UPDATE t SET a = ${now in us}"];

/// A good rule file.
pub fn document(rng: &mut StdRng) -> Value {
    let mut rules = Vec::new();
    let tables = (0..rng.random_range(0..3)).map(|n| table(rng, n, &mut rules)).collect::<Vec<_>>();
    let mut file = object(json!({"version": 1, "tables": tables}));
    let schema = if rng.random() { json!("schema.sql") } else { json!(["a.sql", "../b.sql"]) };
    maybe(rng, &mut file, "schema", schema);
    let tests = tests(rng, &rules);
    maybe(rng, &mut file, "tests", tests);
    if !rules.is_empty() {
        let exemptions = json!([exemption(rng, &rules)]);
        maybe(rng, &mut file, "exemptions", exemptions);
    }
    maybe(rng, &mut file, "trusted_roles", json!(["migrator"]));
    Value::Object(file)
}

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(map) = value else { unreachable!("made as one") };
    map
}

fn maybe(rng: &mut StdRng, map: &mut Map<String, Value>, key: &str, value: Value) {
    if rng.random_bool(0.4) {
        map.insert(key.to_owned(), value);
    }
}

fn pick(rng: &mut StdRng, from: &[&str]) -> Value {
    json!(from.choose(rng).unwrap())
}

/// Different columns.
fn columns(rng: &mut StdRng, least: usize) -> Value {
    let count = rng.random_range(least..least + 3);
    json!(COLUMNS.choose_multiple(rng, count).collect::<Vec<_>>())
}

fn pairs(rng: &mut StdRng) -> Value {
    let own = COLUMNS.choose_multiple(rng, 2).copied().collect::<Vec<_>>();
    json!({own[0]: pick(rng, &COLUMNS), own[1]: pick(rng, &COLUMNS)})
}

fn table(rng: &mut StdRng, number: usize, rules: &mut Vec<String>) -> Value {
    let name = ["t", "s.t", "\"S s\".\"T\"", "public.T_"].map(|name| {
        let quoted = name.ends_with('"');
        let plain = name.trim_end_matches('"');
        format!("{plain}{number}{}", if quoted { "\"" } else { "" })
    });
    let own: Vec<Value> = (0..rng.random_range(0..4))
        .map(|_| {
            rules.push(format!("rule_{}", rules.len()));
            rule(rng, &rules[rules.len() - 1])
        })
        .collect();
    let mut table = object(json!({"table": name.choose(rng).unwrap(), "rules": own}));
    for key in ["owner", "description", "runbook"] {
        let text = pick(rng, &TEXTS);
        maybe(rng, &mut table, key, text);
    }
    let unguardable = pick(rng, &["pass", "reject"]);
    maybe(rng, &mut table, "unguardable", unguardable);
    let units = json!({"a": "s", "\"createdAt\"": pick(rng, &["ms", "us", "ns"])});
    if rng.random_bool(0.8) {
        table.insert("units".to_owned(), units);
    }
    let common = [("on_violation", on_violation(rng)), ("timezone", pick(rng, &ZONES))];
    for (key, value) in common {
        maybe(rng, &mut table, key, value);
    }
    let tests = tests(rng, rules);
    maybe(rng, &mut table, "tests", tests);
    Value::Object(table)
}

fn on_violation(rng: &mut StdRng) -> Value {
    let action = |rng: &mut StdRng| pick(rng, &["observe", "warn", "reject"]);
    let (operation, one, other) = (OPERATIONS.choose(rng).unwrap(), action(rng), action(rng));
    [one.clone(), json!({*operation: one}), json!({*operation: one, "default": other})].choose(rng).unwrap().clone()
}

fn exemption(rng: &mut StdRng, rules: &[String]) -> Value {
    let rule = rules.choose(rng).unwrap();
    let mut matches = object(json!({"role": pick(rng, &["migrator", "m*", "é*"])}));
    let others = [
        ("database", json!("app")),
        ("application_name", pick(rng, &["backfill-*", "*x*"])),
        ("client", pick(rng, &["10.1.0.0/16", "192.0.2.7", "2001:db8::/32"])),
    ];
    for (key, value) in others {
        maybe(rng, &mut matches, key, value);
    }
    let mut exemption =
        object(json!({"rules": [rule], "match": matches, "reason": pick(rng, &TEXTS), "expires": pick(rng, &LATE)}));
    let owner = pick(rng, &TEXTS);
    maybe(rng, &mut exemption, "owner", owner);
    Value::Object(exemption)
}

fn rule(rng: &mut StdRng, name: &str) -> Value {
    let mut rule = object(json!({"name": name}));
    for key in ["severity", "hint", "description"] {
        let text = pick(rng, &TEXTS);
        maybe(rng, &mut rule, key, text);
    }
    let others = [
        ("on_violation", on_violation(rng)),
        ("ramp", pick(rng, &["5%", "0.25%", " 100.00 % ", "007.5%"])),
        ("since", pick(rng, &LATE)),
        ("always", json!(rng.random::<bool>())),
        ("when", pick(rng, &CONDITIONS)),
    ];
    for (key, value) in others {
        maybe(rng, &mut rule, key, value);
    }
    let spec = KINDS.iter().choose(rng).unwrap();
    if spec.judges_times {
        let times = [("unit", pick(rng, &["s", "ms", "us", "ns"])), ("timezone", pick(rng, &ZONES))];
        for (key, value) in times {
            maybe(rng, &mut rule, key, value);
        }
    }
    let value = kind(rng, spec.key, &mut rule);
    rule.insert(spec.key.to_owned(), value);
    Value::Object(rule)
}

/// The value of a kind's key; keys beside it go to the rule.
fn kind(rng: &mut StdRng, key: &str, rule: &mut Map<String, Value>) -> Value {
    match key {
        "order" => {
            if rng.random() {
                rule.insert("min_gap".to_owned(), json!("1ms"));
                maybe(rng, rule, "max_gap", json!("1d"));
                maybe(rng, rule, "strict", json!(false));
            } else {
                let others =
                    [("tolerance", pick(rng, &SPANS)), ("max_gap", pick(rng, &SPANS)), ("strict", json!(true))];
                for (key, value) in others {
                    maybe(rng, rule, key, value);
                }
            }
            columns(rng, 2)
        }
        "duration" => {
            let three = COLUMNS.choose_multiple(rng, 3).copied().collect::<Vec<_>>();
            let mut map = object(json!({"column": three[0], "start": three[1], "end": three[2], "unit": "us"}));
            let tolerance = pick(rng, &SPANS);
            maybe(rng, &mut map, "tolerance", tolerance);
            Value::Object(map)
        }
        "near_now" => match rng.random_range(0..3) {
            0 => json!({"columns": columns(rng, 1), "past": pick(rng, &SPANS)}),
            1 => json!({"columns": columns(rng, 1), "future": pick(rng, &SPANS)}),
            _ => json!({"columns": columns(rng, 1), "past": pick(rng, &SPANS), "future": pick(rng, &SPANS)}),
        },
        "plausible" => json!({"columns": columns(rng, 1), "after": pick(rng, &EARLY), "before": pick(rng, &LATE)}),
        "require" => match rng.random_range(0..3) {
            0 => json!({"not_null": columns(rng, 1)}),
            1 => json!({"null": ["c"], "not_null": columns(rng, 0)}),
            _ => json!({"null": columns(rng, 1), "not_null": []}),
        },
        "check" => pick(rng, &CONDITIONS),
        "parent" => {
            let mut map = object(json!({"table": pick(rng, &["p", "s.p", "\"P\""]), "join": pairs(rng)}));
            let key = ["not_reused", "not_before"].choose(rng).unwrap();
            map.insert((*key).to_owned(), pairs(rng));
            let others = [("tolerance", pick(rng, &SPANS)), ("lock_parent", json!(rng.random::<bool>()))];
            for (key, value) in others {
                maybe(rng, &mut map, key, value);
            }
            Value::Object(map)
        }
        "write_once" | "monotonic" => columns(rng, 1),
        "transitions" => {
            let mut map =
                object(json!({"column": pick(rng, &COLUMNS), "allow": {"a": ["b", 1, true], "b": [], "": ["ä"]}}));
            maybe(rng, &mut map, "initial", json!(["a", false]));
            Value::Object(map)
        }
        "affects_rows" => {
            // It is about statements, and rejects nothing.
            ["when", "always", "ramp"].iter().for_each(|key| drop(rule.remove(*key)));
            rule.insert("on_violation".to_owned(), pick(rng, &["observe", "warn"]));
            let mut map = object(json!({"operations": [pick(rng, &OPERATIONS), "update"]}));
            maybe(rng, &mut map, "min", json!(2));
            Value::Object(map)
        }
        other => panic!("the generator does not know the kind {other}"),
    }
}

fn tests(rng: &mut StdRng, rules: &[String]) -> Value {
    (0..rng.random_range(0..3)).map(|_| test(rng, rules)).collect()
}

fn test(rng: &mut StdRng, rules: &[String]) -> Value {
    let sql = if rng.random() { statement(rng) } else { (0..rng.random_range(1..4)).map(|_| statement(rng)).collect() };
    let mut expect = Map::new();
    if let (Some(rule), true) = (rules.choose(rng), rng.random::<bool>()) {
        let rows = rng.random_range(1..1_000_000);
        expect.insert("violations".to_owned(), if rng.random() { json!([rule]) } else { json!({rule: rows}) });
        let others = [("rejected", json!(rng.random::<bool>())), ("hint", pick(rng, &TEXTS))];
        for (key, value) in others {
            maybe(rng, &mut expect, key, value);
        }
    }
    let rows = json!([[1, null, "a", true, 1.5], []]);
    let landed = if rng.random() { json!("SELECT true") } else { json!({"sql": "SELECT 1", "rows": rows}) };
    maybe(rng, &mut expect, "landed", landed);
    let mut test = object(json!({"name": pick(rng, &TEXTS), "sql": sql, "expect": expect}));
    let others = [("setup", pick(rng, &SQL)), ("role", pick(rng, &["app", "\"App\"", "App"]))];
    for (key, value) in others {
        maybe(rng, &mut test, key, value);
    }
    Value::Object(test)
}

fn statement(rng: &mut StdRng) -> Value {
    match rng.random_range(0..3) {
        0 => pick(rng, &SQL),
        1 => json!({"sql": pick(rng, &SQL), "params": [1, null, "${now}", false]}),
        _ => json!({"copy": "COPY t FROM STDIN", "data": pick(rng, &["", "1\t2\n", "${now + 1s}\n"])}),
    }
}

/// A good rule file about one thing: changes of it mean something.
pub fn small(rng: &mut StdRng) -> Value {
    let mut rules = vec!["rule_0".to_owned()];
    let rule = rule(rng, &rules[0]);
    match rng.random_range(0..10) {
        8 | 9 => {
            let table = json!({"table": "t", "rules": [{"name": "rule_0", "check": "a"}]});
            let exemptions = json!([exemption(rng, &rules)]);
            json!({"version": 1, "tables": [table], "exemptions": exemptions, "trusted_roles": ["a"]})
        }
        0 => json!({"version": 1, "tables": [table(rng, 0, &mut rules)]}),
        1 | 2 => {
            let table = json!({"table": "t", "rules": [{"name": "rule_0", "check": "a"}]});
            json!({"version": 1, "schema": ["a.sql"], "tables": [table], "tests": [test(rng, &rules)]})
        }
        _ => json!({"version": 1, "tables": [{"table": "t", "rules": [rule]}]}),
    }
}

/// Changes a thing, or a few.
pub fn mutate(rng: &mut StdRng, document: &mut Value) {
    let changes = if rng.random_bool(0.8) { 1 } else { rng.random_range(2..4) };
    for _ in 0..changes {
        let node = some_node(rng, document);
        change(rng, node);
    }
}

/// Any node of the tree, the outer ones as likely as the inner ones.
fn some_node<'v>(rng: &mut StdRng, root: &'v mut Value) -> &'v mut Value {
    let mut paths = Vec::new();
    pointers(root, String::new(), &mut paths);
    let path = paths.choose(rng).unwrap();
    root.pointer_mut(path).unwrap()
}

fn pointers(at: &Value, path: String, found: &mut Vec<String>) {
    match at {
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(n, item)| pointers(item, format!("{path}/{n}"), found));
        }
        Value::Object(map) => {
            let escaped = |key: &str| key.replace('~', "~0").replace('/', "~1");
            map.iter().for_each(|(key, value)| pointers(value, format!("{path}/{}", escaped(key)), found));
        }
        _ => {}
    }
    found.push(path);
}

/// Every key of good files, with values that it has there.
static POOL: LazyLock<Vec<(String, Vec<Value>)>> = LazyLock::new(|| {
    fn collect(at: &Value, found: &mut BTreeMap<String, Vec<Value>>) {
        match at {
            Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
            Value::Object(map) => {
                for (key, value) in map {
                    found.entry(key.clone()).or_default().push(value.clone());
                    collect(value, found);
                }
            }
            _ => {}
        }
    }
    let mut found = BTreeMap::new();
    (0..300).for_each(|seed| collect(&small(&mut StdRng::seed_from_u64(seed)), &mut found));
    found.into_iter().collect()
});

fn change(rng: &mut StdRng, node: &mut Value) {
    match (rng.random_range(0..4), &mut *node) {
        (0, _) => *node = stranger(rng),
        (_, Value::Object(map)) => change_keys(rng, map),
        (_, Value::Array(items)) => change_items(rng, items),
        (_, Value::String(text)) => change_text(rng, text),
        _ => *node = stranger(rng),
    }
}

fn stranger(rng: &mut StdRng) -> Value {
    let all = [
        json!(null),
        json!(true),
        json!(false),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(2.0),
        json!(1_000_001),
        json!(""),
        json!(" "),
        json!("*"),
        json!("a"),
        json!("5ms"),
        json!("reject"),
        json!([]),
        json!(["a"]),
        json!([[1]]),
        json!({}),
        json!({"a": "b"}),
    ];
    all.choose(rng).unwrap().clone()
}

/// Takes a key away, gives it another name, or puts one in from another file.
fn change_keys(rng: &mut StdRng, map: &mut Map<String, Value>) {
    let key = map.keys().choose(rng).cloned();
    let (other, values) = POOL.choose(rng).unwrap();
    let value = values.choose(rng).unwrap().clone();
    match (rng.random_range(0..9), key) {
        (0, _) => map.clear(),
        (1 | 2, Some(key)) => drop(map.remove(&key)),
        (3, Some(key)) => {
            let value = map.remove(&key).unwrap_or_default();
            let mut name = if rng.random() { key } else { other.clone() };
            change_text(rng, &mut name);
            map.insert(name, value);
        }
        (4, _) => drop(map.insert("nonsense".to_owned(), value)),
        _ => drop(map.insert(other.clone(), value)),
    }
}

fn change_items(rng: &mut StdRng, items: &mut Vec<Value>) {
    match rng.random_range(0..4) {
        0 => items.clear(),
        1 => drop(items.pop()),
        2 => items.extend(items.clone().choose(rng).cloned()),
        _ => items.push(stranger(rng)),
    }
}

/// Characters that mean something somewhere in the language.
fn change_text(rng: &mut StdRng, text: &mut String) {
    const LETTERS: [char; 24] = [
        'a', 'Z', '_', '$', '"', '.', ' ', '-', '+', ':', '0', '9', 's', 'm', 'T', 'é', '😀', '\0', '\n', '\t', '\r',
        '{', '[', '@',
    ];
    let mut letters: Vec<char> = text.chars().collect();
    let at = rng.random_range(0..=letters.len());
    let letter = *LETTERS.choose(rng).unwrap();
    match rng.random_range(0..4) {
        0 if at < letters.len() => drop(letters.remove(at)),
        1 if at < letters.len() => letters[at] = letter,
        2 => letters = letters.repeat(8),
        _ => letters.insert(at, letter),
    }
    *text = letters.into_iter().collect();
}
