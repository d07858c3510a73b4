//! Reads `tests:` and `schema:`.

use std::{collections::BTreeMap, path::Path};

use jiff::Timestamp;

use super::{Expect, Landed, RuleTest, SchemaFile, Step, clock};
use crate::rules::{
    diagnostic::{Code, Diagnostic},
    fields::{Context, Fields, Keys},
    values,
    yaml::{Node, Value, shortened},
};

/// Keys of a test.
pub const TEST_KEYS: [&str; 5] = ["name", "setup", "role", "sql", "expect"];

/// Keys of `expect`.
pub const EXPECT_KEYS: [&str; 4] = ["violations", "rejected", "hint", "landed"];

/// Keys of a statement with parameters.
pub const PARAMETERS_KEYS: [&str; 2] = ["sql", "params"];

/// Keys of a COPY.
pub const COPY_KEYS: [&str; 2] = ["copy", "data"];

/// Keys of a query with its rows.
pub const LANDED_KEYS: [&str; 2] = ["sql", "rows"];

/// Rows that `violations` may count.
pub const MOST_ROWS: u32 = 1_000_000;

const STEP: &str = "statements, or a list of: a text, `{sql: …, params: […]}`, `{copy: COPY … FROM STDIN, data: …}`";
const VIOLATIONS: &str = "the violated rules: `[jobs_order]`, or with their numbers of rows: `{jobs_order: 2}`";
const LANDED: &str =
    "a query that gives one true value, or a query and its rows: `{sql: SELECT id FROM jobs, rows: [[1]]}`";

/// Rules that tests name, each with the mistake it is if there is no such rule in any file.
pub type Mentioned = Vec<(String, Diagnostic)>;

/// The SQL files that make the tables.
pub fn schema(cx: &mut Context, node: &Node) -> Vec<SchemaFile> {
    let one = std::slice::from_ref(node);
    let paths = if let Value::List(items) = &node.value { items } else { one };
    let mut files = Vec::new();
    let file = cx.file();
    let dir = file.parent().unwrap_or_else(|| Path::new(""));
    for node in paths {
        let Some(text) = cx.text(node, "the path in `schema`") else { continue };
        files.push(SchemaFile { path: dir.join(text), place: cx.place(node.at) });
    }
    files
}

/// The tests of a table or of a file.
pub fn tests(cx: &mut Context, node: &Node, found: &mut Vec<RuleTest>, mentioned: &mut Mentioned) {
    for item in cx.list(node, "`tests`", "a list of tests: `- name: …`").unwrap_or_default() {
        found.extend(test(cx, item, mentioned));
    }
}

fn test(cx: &mut Context, node: &Node, mentioned: &mut Mentioned) -> Option<RuleTest> {
    let fields = Fields::open(cx, node, "a test", &Keys { known: &TEST_KEYS, later: &[] })?;
    let name = fields.required(cx, "name", "a name for reports").and_then(|node| cx.text(node, "`name`"));
    let setup = fields.optional(cx, "setup", sql);
    let role = fields.optional(cx, "role", role);
    let steps = fields.required(cx, "sql", "the statements that are judged").and_then(|node| steps(cx, node));
    let expected = "what must happen: `expect: {violations: [rule], rejected: true}`";
    let expect = fields.required(cx, "expect", expected).and_then(|node| expect(cx, node, mentioned));
    Some(RuleTest {
        name: name?.to_owned(),
        setup: setup?,
        role: role?,
        steps: steps?,
        expect: expect?,
        place: cx.place(fields.value("name").map_or(node.at, |n| n.at)),
    })
}

/// A text in which `${now}` may stand.
fn sql(cx: &mut Context, node: &Node, what: &str) -> Option<String> {
    let text = cx.text(node, what)?;
    placeholders(cx, node, text)?;
    Some(text.to_owned())
}

fn placeholders(cx: &mut Context, node: &Node, text: &str) -> Option<()> {
    let Err(why) = clock::fill(text, Timestamp::UNIX_EPOCH) else { return Some(()) };
    let d = cx.error(Code::BadValue, node.at, shortened(&why)).expected(clock::EXPECTED);
    cx.report(d)
}

fn role(cx: &mut Context, node: &Node, what: &str) -> Option<String> {
    let text = cx.text(node, what)?;
    match values::parse_name(text).as_deref() {
        Ok([part]) => Some(part.name.clone()),
        _ => {
            let d = cx.error(Code::BadValue, node.at, format!("{what} is `{}`", shortened(text)));
            cx.report(d.expected("a role's name; a mixed-case one in double quotes: '\"App\"'"))
        }
    }
}

fn steps(cx: &mut Context, node: &Node) -> Option<Vec<Step>> {
    let Value::List(items) = &node.value else {
        return step(cx, node).map(|step| vec![step]);
    };
    if items.is_empty() {
        let d = cx.error(Code::BadValue, node.at, "`sql` is empty").expected(STEP);
        return cx.report(d);
    }
    let steps: Vec<Option<Step>> = items.iter().map(|item| step(cx, item)).collect();
    steps.into_iter().collect()
}

fn step(cx: &mut Context, node: &Node) -> Option<Step> {
    match &node.value {
        Value::Text(_) => sql(cx, node, "`sql`").map(Step::Sql),
        Value::Map(_) => mapped(cx, node),
        _ => {
            let d = cx.error(Code::WrongType, node.at, format!("`sql` has {}", node.describe())).expected(STEP);
            cx.report(d)
        }
    }
}

/// `{sql, params}` or `{copy, data}`.
fn mapped(cx: &mut Context, node: &Node) -> Option<Step> {
    let known = [PARAMETERS_KEYS, COPY_KEYS].concat();
    let fields = Fields::open(cx, node, "a statement of `sql`", &Keys { known: &known, later: &[] })?;
    let copies = fields.key_at("copy").or(fields.key_at("data")).is_some();
    for (key, other) in [("sql", "copy"), ("params", "copy")] {
        if let (Some(at), true) = (fields.key_at(key), copies) {
            let d = cx.error(Code::Conflict, at, format!("`{key}` and `{other}` exclude each other"));
            return cx.report(d.help("make two items of it"));
        }
    }
    if copies {
        let copy = fields.required(cx, "copy", "`copy: COPY jobs FROM STDIN`").and_then(|node| sql(cx, node, "`copy`"));
        let data = fields.required(cx, "data", "the rows, as COPY reads them").and_then(|node| data(cx, node));
        return Some(Step::Copy { copy: copy?, data: data? });
    }
    let sql = fields.required(cx, "sql", "a statement").and_then(|node| sql(cx, node, "`sql`"));
    let params = fields.required(cx, "params", "the values of `$1`, `$2`, …: `[1, null]`");
    let params = params.and_then(|node| values_of(cx, node, "`params`", "a list of values: `[1, null]`"));
    Some(Step::Parameters { sql: sql?, params: params? })
}

/// The body of a COPY, which may be empty.
fn data(cx: &mut Context, node: &Node) -> Option<String> {
    let Value::Text(text) = &node.value else {
        let d = cx.error(Code::WrongType, node.at, format!("`data` is {}", node.describe()));
        return cx.report(d.expected("a text: `data: |` and a row on each line, columns separated by tabs"));
    };
    placeholders(cx, node, text)?;
    Some(text.clone())
}

fn values_of(cx: &mut Context, node: &Node, what: &str, expected: &str) -> Option<Vec<Option<String>>> {
    let items = cx.list(node, what, expected)?;
    let values: Vec<Option<Option<String>>> = items.iter().map(|item| value(cx, item)).collect();
    values.into_iter().collect()
}

/// A value as PostgreSQL prints it and reads it.
fn value(cx: &mut Context, node: &Node) -> Option<Option<String>> {
    match &node.value {
        Value::Null => Some(None),
        Value::Bool(value) => Some(Some(if *value { "t" } else { "f" }.to_owned())),
        Value::Number(number) => Some(Some(number.clone())),
        Value::Text(text) => {
            placeholders(cx, node, text)?;
            Some(Some(text.clone()))
        }
        Value::List(_) | Value::Map(_) => {
            let d = cx.error(Code::WrongType, node.at, format!("a value is {}", node.describe()));
            cx.report(d.expected("a text, a number, true, false or null; an array as PostgreSQL writes it: '{1,2}'"))
        }
    }
}

fn expect(cx: &mut Context, node: &Node, mentioned: &mut Mentioned) -> Option<Expect> {
    let fields = Fields::open(cx, node, "`expect`", &Keys { known: &EXPECT_KEYS, later: &[] })?;
    let violations = fields.optional(cx, "violations", |cx, node, _| violations(cx, node, mentioned));
    let rejected = fields.optional(cx, "rejected", |cx, node, what| cx.boolean(node, what));
    let hint = fields.optional_text(cx, "hint");
    let landed = fields.optional(cx, "landed", |cx, node, _| landed(cx, node));
    let (violations, rejected) = (violations?.unwrap_or_default(), rejected?);
    for (key, given) in [("rejected", rejected == Some(true)), ("hint", fields.key_at("hint").is_some())] {
        if let (Some(at), true, true) = (fields.key_at(key), given, violations.is_empty()) {
            let d = cx.error(Code::Conflict, at, format!("`{key}` without a violation"));
            return cx.report(d.expected("`violations` with the rule that it comes from"));
        }
    }
    Some(Expect { violations, rejected, hint: hint?, landed: landed? })
}

fn violations(cx: &mut Context, node: &Node, mentioned: &mut Mentioned) -> Option<BTreeMap<String, Option<u64>>> {
    let mut all = BTreeMap::new();
    let mut mention = |cx: &mut Context, at, name: &str| {
        let d = cx.error(Code::BadValue, at, format!("there is no rule `{}`", shortened(name)));
        mentioned.push((name.to_owned(), d.expected("the name of a rule")));
    };
    if let Value::Map(_) = &node.value {
        for (name, at, value) in cx.entries(node, "`violations`", VIOLATIONS)? {
            mention(cx, at, &name);
            let count = match &value.value {
                Value::Number(number) => number.parse::<u32>().ok().filter(|n| (1..=MOST_ROWS).contains(n)),
                _ => None,
            };
            if count.is_none() {
                let d = cx.error(Code::BadValue, value.at, format!("the number of rows is {}", value.describe()));
                return cx.report(d.expected(format!("a whole number, 1 to {MOST_ROWS}")));
            }
            all.insert(name, count.map(u64::from));
        }
        return Some(all);
    }
    for node in cx.list(node, "`violations`", VIOLATIONS)? {
        let name = cx.text(node, "the rule")?.to_owned();
        mention(cx, node.at, &name);
        if all.insert(name.clone(), None).is_some() {
            let d = cx.error(Code::BadValue, node.at, format!("`{}` stands twice in `violations`", shortened(&name)));
            return cx.report(d.help("write the number of rows: `{rule: 2}`"));
        }
    }
    Some(all)
}

fn landed(cx: &mut Context, node: &Node) -> Option<Landed> {
    match &node.value {
        Value::Text(_) => Some(Landed { sql: sql(cx, node, "`landed`")?, rows: vec![vec![Some("t".to_owned())]] }),
        Value::Map(_) => {
            let fields = Fields::open(cx, node, "`landed`", &Keys { known: &LANDED_KEYS, later: &[] })?;
            let text = fields.required(cx, "sql", "a query").and_then(|node| sql(cx, node, "`sql`"));
            let rows = fields.required(cx, "rows", "what the query gives: `[[1, null], [2, a]]`");
            let rows = rows.and_then(|node| rows_of(cx, node));
            Some(Landed { sql: text?, rows: rows? })
        }
        _ => {
            let d = cx.error(Code::WrongType, node.at, format!("`landed` is {}", node.describe())).expected(LANDED);
            cx.report(d)
        }
    }
}

fn rows_of(cx: &mut Context, node: &Node) -> Option<Vec<Vec<Option<String>>>> {
    const ROWS: &str = "a list of rows, each a list of values: `[[1, null], [2, a]]`";
    let rows = cx.list(node, "`rows`", ROWS)?;
    let rows: Vec<Option<Vec<Option<String>>>> = rows.iter().map(|row| values_of(cx, row, "a row", ROWS)).collect();
    rows.into_iter().collect()
}

#[cfg(test)]
mod tests;
