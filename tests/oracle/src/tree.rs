//! Parse trees as JSON: which writes are in them, and whether two are the same.

use serde_json::Value;

/// Parses one text, positions removed from the tree.
///
/// # Errors
/// The parser's message.
pub fn parse(sql: &str, conforming: bool) -> Result<Value, String> {
    let options = if conforming {
        pg_query::ParserOptions::DEFAULT
    } else {
        pg_query::ParserOptions::DISABLE_STANDARD_CONFORMING_STRINGS
    };
    let parsed = pg_query::parse(sql, options).map_err(|e| e.to_string())?;
    serde_json::to_value(&parsed.protobuf.stmts).map_err(|e| e.to_string())
}

/// Takes out every position.
pub fn without_positions(tree: &mut Value) {
    match tree {
        Value::Object(map) => {
            map.retain(|key, _| {
                !key.ends_with("location")
                    && !matches!(
                        key.as_str(),
                        "stmt_len" | "list_start" | "list_end" | "rexpr_list_start" | "rexpr_list_end"
                    )
            });
            map.values_mut().for_each(without_positions);
        }
        Value::Array(list) => list.iter_mut().for_each(without_positions),
        _ => {}
    }
}

/// A write in a tree.
#[derive(Debug)]
pub struct Found {
    /// `InsertStmt`, `UpdateStmt`, `MergeStmt`, `CopyStmt`.
    pub kind: &'static str,
    /// JSON pointer to its fields.
    pub pointer: String,
    /// Offset of its relation's name.
    pub location: i64,
    /// Above it: in a `WITH`.
    pub in_with: bool,
    /// It is the body of an entry of a `WITH` list: the entry's name and how many columns it lists.
    pub entry: Option<(String, usize)>,
}

const WRITES: &[&str] = &["InsertStmt", "UpdateStmt", "MergeStmt", "CopyStmt"];
const CLOSED: &[&str] = &["CreateFunctionStmt", "RuleStmt", "CreateTrigStmt", "DoStmt", "ViewStmt", "CreateSchemaStmt"];

/// All writes of a tree that would run, in the order of their relations in the text.
pub fn writes(tree: &Value) -> Vec<Found> {
    let mut found = Vec::new();
    walk(tree, &mut String::new(), false, &mut found);
    for write in &mut found {
        let entry = write.pointer.rsplit_once("/ctequery/node/").filter(|(_, kind)| *kind == write.kind);
        write.entry = entry.and_then(|(entry, _)| tree.pointer(entry)).map(|entry| {
            let columns = entry["aliascolnames"].as_array().map_or(0, Vec::len);
            (entry["ctename"].as_str().unwrap_or_default().to_owned(), columns)
        });
    }
    found.sort_by_key(|f| f.location);
    found
}

fn walk(tree: &Value, pointer: &mut String, in_with: bool, found: &mut Vec<Found>) {
    let length = pointer.len();
    match tree {
        Value::Array(list) => {
            for (i, child) in list.iter().enumerate() {
                pointer.push_str(&format!("/{i}"));
                walk(child, pointer, in_with, found);
                pointer.truncate(length);
            }
        }
        Value::Object(map) => {
            for (key, child) in map {
                if CLOSED.contains(&key.as_str()) || key == "ExplainStmt" && !analyzes(child) {
                    continue;
                }
                pointer.push_str(&format!("/{key}"));
                if let Some(kind) = WRITES.iter().find(|w| *w == key)
                    && (*kind != "CopyStmt" || child["is_from"] == true)
                {
                    let location = child["relation"]["location"].as_i64().unwrap_or_default();
                    found.push(Found { kind, pointer: pointer.clone(), location, in_with, entry: None });
                }
                walk(child, pointer, in_with || key == "CommonTableExpr", found);
                pointer.truncate(length);
            }
        }
        _ => {}
    }
}

/// As `ExplainQuery` reads its options: the last `analyze` counts.
fn analyzes(explain: &Value) -> bool {
    let options = explain["options"].as_array().map(Vec::as_slice).unwrap_or_default();
    let analyze = options.iter().rev().map(|o| &o["node"]["DefElem"]).find(|o| o["defname"] == "analyze");
    analyze.is_some_and(|o| {
        let value = &o["arg"]["node"];
        let text = value["String"]["sval"].as_str().map(str::to_ascii_lowercase);
        match (text.as_deref(), value["Integer"]["ival"].as_i64(), value["Boolean"]["boolval"].as_bool()) {
            (Some("off" | "false"), _, _) | (_, Some(0), _) | (_, _, Some(false)) => false,
            (None, None, None) => value.get("Integer").is_none() && value.get("Boolean").is_none(),
            _ => true,
        }
    })
}

/// The names of a list of `ResTarget`.
pub fn names(list: &Value) -> Vec<String> {
    let items = list.as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().map(|i| i["node"]["ResTarget"]["name"].as_str().unwrap_or_default().to_owned()).collect()
}

/// The name the server gives an unnamed output column, by `FigureColname` (`src/backend/parser/parse_target.c`).
pub fn figure_name(expr: &Value) -> String {
    figure(expr).0.unwrap_or_else(|| "?column?".to_owned())
}

/// The name and how much it counts.
fn figure(expr: &Value) -> (Option<String>, u8) {
    let last_string = |list: &Value| {
        let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
        list.iter().rev().find_map(|n| n["node"]["String"]["sval"].as_str()).map(str::to_owned)
    };
    let strong = |name: &str| (Some(name.to_owned()), 2);
    let Some((kind, node)) = expr["node"].as_object().and_then(|o| o.iter().next()) else { return (None, 0) };
    match kind.as_str() {
        "ColumnRef" => (last_string(&node["fields"]), 2),
        "AIndirection" => match last_string(&node["indirection"]) {
            Some(name) => (Some(name), 2),
            None => figure(&node["arg"]),
        },
        "FuncCall" => (last_string(&node["funcname"]), 2),
        // AEXPR_NULLIF
        "AExpr" if node["kind"] == 6 => strong("nullif"),
        "TypeCast" => match figure(&node["arg"]) {
            (_, 0 | 1) => (last_string(&node["type_name"]["names"]), 1),
            named => named,
        },
        "CollateClause" => figure(&node["arg"]),
        "CaseExpr" => match figure(&node["defresult"]) {
            (_, 0 | 1) => (Some("case".to_owned()), 1),
            named => named,
        },
        "SubLink" => match node["sub_link_type"].as_i64() {
            Some(1) => strong("exists"),
            Some(7) => strong("array"),
            Some(5) => {
                let target = &node["subselect"]["node"]["SelectStmt"]["target_list"][0]["node"]["ResTarget"];
                match target["name"].as_str() {
                    Some(name) if !name.is_empty() => strong(name),
                    _ => figure(&target["val"]),
                }
            }
            _ => (None, 0),
        },
        "GroupingFunc" => strong("grouping"),
        "MergeSupportFunc" => strong("merge_action"),
        "AArrayExpr" => strong("array"),
        "RowExpr" => strong("row"),
        "CoalesceExpr" => strong("coalesce"),
        "MinMaxExpr" => strong(if node["op"] == 1 { "greatest" } else { "least" }),
        "SqlvalueFunction" => strong(match node["op"].as_i64() {
            Some(1) => "current_date",
            Some(2 | 3) => "current_time",
            Some(4 | 5) => "current_timestamp",
            Some(6 | 7) => "localtime",
            Some(8 | 9) => "localtimestamp",
            Some(10) => "current_role",
            Some(11) => "current_user",
            Some(12) => "user",
            Some(13) => "session_user",
            Some(14) => "current_catalog",
            _ => "current_schema",
        }),
        "XmlExpr" => match node["op"].as_i64() {
            Some(1) => strong("xmlconcat"),
            Some(2) => strong("xmlelement"),
            Some(3) => strong("xmlforest"),
            Some(4) => strong("xmlparse"),
            Some(5) => strong("xmlpi"),
            Some(6) => strong("xmlroot"),
            _ => (None, 0),
        },
        "XmlSerialize" => strong("xmlserialize"),
        _ => (None, 0),
    }
}
