//! Over all statements of PostgreSQL's regression and isolation suites: the lexer cuts the same tokens, the locator finds the same writes, and what is spliced parses as the same
//! statement with exactly the guard added. `tests/oracle/fetch.sh` gets the suites.

use std::collections::BTreeMap;

use chronoguard::sql::{
    lex::{Kind, Lexer},
    locate::{Located, locate},
    splice::{Edit, NoPlace, OldRow, old_alias, place_guard, splice},
    write::{ItemKind, LexOptions, Operation, Place, Verb, Write},
};
use oracle::{
    suite::{Text, texts},
    tree::{Found, figure_name, names, parse, without_positions, writes},
};
use serde_json::Value;

fn located(text: &Text) -> Located {
    locate(text.sql.as_bytes(), LexOptions { standard_conforming_strings: text.conforming })
}

/// The writes of a text by the locator, in the order of their targets, which is that of the writes.
fn found_writes(found: &Located) -> Vec<&Write> {
    found.statements.iter().flat_map(|s| &s.writes).collect()
}

struct Parsed {
    text: Text,
    tree: Value,
    found: Located,
}

/// Every text the parser accepts; the others must at least not break the locator.
fn parsed() -> Vec<Parsed> {
    let texts = texts();
    let total = texts.len();
    let mut parsed = Vec::new();
    for text in texts {
        let found = located(&text);
        if let Ok(tree) = parse(&text.sql, text.conforming) {
            parsed.push(Parsed { text, tree, found });
        }
    }
    println!("texts: {total}, of which the parser refuses {}", total - parsed.len());
    assert!(total > 40_000, "only {total} texts: the suite was not read as it should be");
    assert!((total - parsed.len()) * 100 < total, "too many texts are refused: they were cut wrongly");
    parsed
}

/// Collects differences and fails with all of them.
#[derive(Default)]
struct Report {
    differences: Vec<String>,
    counts: BTreeMap<String, usize>,
}

impl Report {
    fn count(&mut self, what: impl Into<String>) {
        *self.counts.entry(what.into()).or_default() += 1;
    }

    fn differs(&mut self, text: &Text, why: impl std::fmt::Display) {
        self.differences.push(format!("{}: {why}\n    {}", text.place, text.sql.trim().replace('\n', "\n    ")));
    }

    fn finish(self, what: &str) {
        println!("{what}: {:#?}", self.counts);
        let n = self.differences.len();
        let shown: Vec<_> = self.differences.into_iter().take(40).collect();
        assert!(n == 0, "{n} differences in {what}:\n{}", shown.join("\n"));
    }
}

fn text_of(value: &Value, key: &str) -> Option<String> {
    value[key].as_str().filter(|s| !s.is_empty()).map(str::to_owned)
}

fn operation(kind: &str) -> Operation {
    match kind {
        "InsertStmt" => Operation::Insert,
        "UpdateStmt" => Operation::Update,
        "MergeStmt" => Operation::Merge,
        _ => Operation::Copy,
    }
}

/// `SET` lists and conditions, from which the row before a write is had.
fn old_row_places(write: &Write, node: &Value) -> Result<(), String> {
    let set = |list: &Value| list.as_array().is_some_and(|list| !list.is_empty());
    let (lists, condition) = match write.operation {
        Operation::Update => (usize::from(set(&node["target_list"])), &node["where_clause"]),
        Operation::Insert => {
            let conflict = &node["on_conflict_clause"];
            (usize::from(conflict["action"] == 3), &conflict["where_clause"])
        }
        Operation::Merge => (updates(node).count(), &Value::Null),
        Operation::Copy => (0, &Value::Null),
    };
    if write.set_ends.len() != lists {
        return Err(format!("SET lists: located {:?}, parsed {lists}", write.set_ends));
    }
    if write.operation == Operation::Merge && write.conflict_columns.is_some() {
        let columns: Vec<String> = updates(node).flat_map(|action| names(&action["target_list"])).collect();
        if write.conflict_columns.as_ref() != Some(&columns) {
            return Err(format!("columns of the actions: located {:?}, parsed {columns:?}", write.conflict_columns));
        }
    }
    let text = condition.to_string();
    let current = text.contains("\"CurrentOfExpr\"");
    let sub_select = current || text.contains("\"SubLink\"");
    if write.condition.is_some() == (condition.is_null() || current) {
        return Err(format!("WHERE: located {:?}, parsed {}", write.condition, !condition.is_null()));
    }
    if write.sub_select != sub_select {
        return Err(format!("sub-select in WHERE: located {}, parsed {sub_select}", write.sub_select));
    }
    Ok(())
}

/// The `UPDATE` actions of a MERGE.
fn updates(node: &Value) -> impl Iterator<Item = &Value> {
    let clauses = node["merge_when_clauses"].as_array().map(Vec::as_slice).unwrap_or_default();
    // CMD_UPDATE
    clauses.iter().map(|clause| &clause["node"]["MergeWhenClause"]).filter(|clause| clause["command_type"] == 3)
}

/// The first difference between a write and the parser's node for it.
fn compare(write: &Write, want: &Found, node: &Value) -> Result<(), String> {
    fn same<T: PartialEq + std::fmt::Debug>(what: &str, got: T, want: T) -> Result<(), String> {
        if got == want { Ok(()) } else { Err(format!("{what}: located {got:?}, parsed {want:?}")) }
    }
    let relation = &node["relation"];
    same("problem", write.problem, None)?;
    same("operation", write.operation, operation(want.kind))?;
    same("catalog", write.target.catalog.clone(), text_of(relation, "catalogname"))?;
    same("schema", write.target.schema.clone(), text_of(relation, "schemaname"))?;
    same("name", Some(write.target.name.clone()), text_of(relation, "relname"))?;
    same("only", write.target.only, relation["inh"] == false)?;
    same("alias", write.alias.clone(), text_of(&relation["alias"], "aliasname"))?;
    same("in WITH", write.place == Place::Cte, want.in_with)?;
    same("entry", write.cte.as_ref().map(|c| (c.name.clone(), c.columns)), want.entry.clone())?;
    let list = |columns: &Option<Vec<String>>| columns.clone().unwrap_or_default();
    match write.operation {
        Operation::Insert => {
            same("columns", list(&write.columns), names(&node["cols"]))?;
            let conflict = &node["on_conflict_clause"];
            let update = conflict["action"] == 3;
            same("conflict update", write.conflict_columns.is_some(), update)?;
            same(
                "conflict columns",
                list(&write.conflict_columns),
                if update { names(&conflict["target_list"]) } else { vec![] },
            )?;
            same("conflict target", write.conflict_target, conflict.is_object() && !conflict["infer"].is_null())?;
            same("joined", write.joined, false)?;
        }
        Operation::Update => {
            same("columns", list(&write.columns), names(&node["target_list"]))?;
            let from = node["from_clause"].as_array().is_some_and(|f| !f.is_empty());
            same("joined", write.joined, from)?;
        }
        Operation::Merge => same("joined", write.joined, true)?,
        Operation::Copy => {
            let columns = node["attlist"].as_array().map(Vec::as_slice).unwrap_or_default();
            let columns = columns.iter().filter_map(|c| text_of(&c["node"]["String"], "sval")).collect();
            same("columns", list(&write.columns), columns)?;
            same("WHERE", write.copy_where.is_some(), !node["where_clause"].is_null())?;
        }
    }
    old_row_places(write, node)?;
    let clause = &node["returning_clause"];
    same("RETURNING", write.returning.is_some(), clause.is_object())?;
    let Some(returning) = &write.returning else { return Ok(()) };
    let items = clause["exprs"].as_array().ok_or("no items")?;
    same("items", returning.items.len(), items.len())?;
    for (item, parsed) in returning.items.iter().zip(items) {
        let target = &parsed["node"]["ResTarget"];
        let named = text_of(target, "name");
        if item.kind == ItemKind::Unclear {
            continue;
        }
        same("item is named", item.named, named.is_some())?;
        if item.named {
            same("name of item", item.output_name.clone(), named)?;
        }
        let fields = target["val"]["node"]["ColumnRef"]["fields"].as_array();
        let star = fields.and_then(|f| f.last()).is_some_and(|f| f["node"].get("AStar").is_some());
        same("item is star", matches!(item.kind, ItemKind::Star | ItemKind::QualifiedStar(_)), star)?;
        // In parentheses a column is one for the parser only.
        if item.kind == ItemKind::Column {
            same("item is column", true, fields.is_some() && !star)?;
        }
        if let (Some(name), false) = (&item.output_name, item.named) {
            same("implied name", name.clone(), figure_name(&target["val"]))?;
        }
    }
    Ok(())
}

#[test]
fn the_locator_finds_what_the_parser_finds() {
    let mut report = Report::default();
    for Parsed { text, tree, found } in &parsed() {
        let want = writes(tree);
        let got = found_writes(found);
        if !found.complete {
            report.differs(text, "said to be incomplete");
        }
        let statements = tree.as_array().map_or(0, Vec::len);
        if found.statements.len() != statements {
            report.differs(text, format!("{} statements located, {statements} parsed", found.statements.len()));
        }
        if got.len() != want.len() {
            report.differs(text, format!("{} writes located, {} parsed", got.len(), want.len()));
            continue;
        }
        for (got, want) in got.iter().zip(&want) {
            report.count(format!("{} {:?}", got.operation.as_str(), got.place));
            let node = tree.pointer(&want.pointer).expect("the pointer is the walk's own");
            if let Err(why) = compare(got, want, node) {
                report.differs(text, why);
            }
        }
    }
    let writes: usize = report.counts.values().sum();
    assert!(writes > 6_500, "only {writes} writes");
    report.finish("locator");
}

const COLUMNS: &[&str] = &["cg_first", "CG last"];

fn is_guard(node: &Value) -> bool {
    let name = &node["node"]["FuncCall"]["funcname"];
    name[0]["node"]["String"]["sval"] == "pg_catalog" && name[1]["node"]["String"]["sval"] == "cg_guard"
}

/// Takes the guard out of an output list again; `Err` if it is not exactly where it should be.
fn take_out(items: &mut Vec<Value>, write: &Write, original: &[Value]) -> Result<&'static str, String> {
    if matches!(write.place, Place::Top | Place::Explain) || write.returning.is_none() {
        let last = items.pop().ok_or("no item")?;
        let target = &last["node"]["ResTarget"];
        return if is_guard(&target["val"]) && target["name"] == "" {
            Ok("appended")
        } else {
            Err("the guard is not last".into())
        };
    }
    let at = items
        .iter()
        .position(|i| is_guard(&i["node"]["ResTarget"]["val"]["node"]["CaseExpr"]["args"][0]["node"]["CaseWhen"]["expr"]["node"]["NullTest"]["arg"]))
        .ok_or("no item carries the guard")?;
    let target = items[at]["node"]["ResTarget"].clone();
    let case = &target["val"]["node"]["CaseExpr"];
    let branches = (&case["args"][0]["node"]["CaseWhen"]["result"], &case["defresult"]);
    let args = case["args"].as_array().map_or(0, Vec::len);
    if branches.0 != branches.1 || args != 1 || !case["arg"].is_null() {
        return Err("the branches differ".into());
    }
    let result = branches.0.clone();
    let returning = write.returning.as_ref().ok_or("no RETURNING")?;
    let star = original.iter().zip(&returning.items).position(|(_, i)| {
        matches!(i.kind, ItemKind::Star | ItemKind::QualifiedStar(_)) && original.len() + 1 == items.len()
    });
    if let Some(star) = star {
        if at != star + 1 || target["name"] != COLUMNS[1] {
            return Err("the star is not expanded where it stood".into());
        }
        let row = write.alias.as_ref().unwrap_or(&write.target.name).as_str();
        for (value, column) in [(&items[star]["node"]["ResTarget"]["val"], COLUMNS[0]), (&result, COLUMNS[1])] {
            let fields = &value["node"]["ColumnRef"]["fields"];
            if fields[0]["node"]["String"]["sval"] != row || fields[1]["node"]["String"]["sval"] != column {
                return Err("the star is expanded wrongly".into());
            }
        }
        items.splice(star..=at, [original[star].clone()]);
        return Ok("star expanded");
    }
    let before = &original[at]["node"]["ResTarget"];
    if before["name"] == "" {
        // The implied name is written now; what it is is compared with a server elsewhere.
        if target["name"].as_str() != returning.items[at].output_name.as_deref() {
            return Err("the folded item has another name".into());
        }
        items[at]["node"]["ResTarget"]["name"] = "".into();
    }
    items[at]["node"]["ResTarget"]["val"] = result;
    Ok("folded")
}

/// Moves a wrapped write back into the client's entry of its `WITH` list. `false`: it is not wrapped.
fn unwrap_entry(tree: &mut Value, write: &Write, pointer: &str, original: &Value) -> Result<bool, String> {
    let Some(cte) = &write.cte else { return Ok(false) };
    let entry = &pointer[..pointer.rfind("/node/CommonTableExpr").ok_or("no entry")?];
    let (list, at) = entry.rsplit_once('/').ok_or("no list")?;
    let at: usize = at.parse().map_err(|_| "no index")?;
    let list = tree.pointer_mut(list).and_then(Value::as_array_mut).ok_or("no list")?;
    let ours = format!("cg_{}", cte.name);
    if list[at]["node"]["CommonTableExpr"]["ctename"] != ours.as_str() {
        return Ok(false);
    }
    let reader = list.remove(at + 1)["node"]["CommonTableExpr"].take();
    let select = &reader["ctequery"]["node"]["SelectStmt"];
    let selected = select["target_list"].as_array().map_or(0, Vec::len);
    let entry = &mut list[at]["node"]["CommonTableExpr"];
    let columns = entry["aliascolnames"].as_array().map_or(0, Vec::len);
    // CTEMaterializeNever
    let reads =
        reader["ctematerialized"] == 3 && select["from_clause"][0]["node"]["RangeVar"]["relname"] == ours.as_str();
    if reader["ctename"] != cte.name.as_str() || !reads || columns != selected + 1 {
        return Err("the client's name reads something else".into());
    }
    entry["ctename"] = reader["ctename"].clone();
    entry["aliascolnames"] = reader["aliascolnames"].clone();
    let exprs = format!("{pointer}/returning_clause/exprs");
    let before = original.pointer(&exprs).and_then(Value::as_array).ok_or("no RETURNING")?;
    let items = tree.pointer_mut(&exprs).and_then(Value::as_array_mut).ok_or("no RETURNING")?;
    if !items.pop().is_some_and(|last| is_guard(&last["node"]["ResTarget"]["val"])) {
        return Err("the guard is not last".into());
    }
    let kinds = write.returning.iter().flat_map(|r| &r.items).map(|item| &item.kind);
    for (at, kind) in kinds.enumerate() {
        if matches!(kind, ItemKind::Star | ItemKind::QualifiedStar(_)) {
            let row = write.alias.as_ref().unwrap_or(&write.target.name).as_str();
            for (item, column) in items.iter().skip(at).zip(COLUMNS) {
                let fields = &item["node"]["ResTarget"]["val"]["node"]["ColumnRef"]["fields"];
                if fields[0]["node"]["String"]["sval"] != row || fields[1]["node"]["String"]["sval"] != *column {
                    return Err("the star is expanded wrongly".into());
                }
            }
            items.splice(at..at + COLUMNS.len(), [before[at].clone()]);
        }
    }
    Ok(true)
}

/// The spliced tree with the guard taken out of one write.
fn without_guard(
    mut tree: Value,
    write: &Write,
    found: &Found,
    original: &Value,
) -> Result<(Value, &'static str), String> {
    if unwrap_entry(&mut tree, write, &found.pointer, original)? {
        return Ok((tree, "wrapped"));
    }
    let node = tree.pointer_mut(&found.pointer).ok_or("the write is no longer where it was")?;
    let before = original.pointer(&found.pointer).ok_or("no such write")?;
    let how;
    if write.operation == Operation::Copy {
        let condition = node["where_clause"].take();
        if is_guard(&condition) {
            how = "WHERE added";
        } else {
            let case = &condition["node"]["CaseExpr"];
            let when = &case["args"][0]["node"]["CaseWhen"];
            let otherwise = &case["defresult"]["node"]["AConst"]["val"]["Boolval"]["boolval"];
            if !is_guard(&when["result"]) || otherwise != false {
                return Err("the condition is not as it should be".into());
            }
            node["where_clause"] = when["expr"].clone();
            how = "WHERE wrapped";
        }
    } else {
        let originals = before["returning_clause"]["exprs"].as_array().cloned().unwrap_or_default();
        let items = node["returning_clause"]["exprs"].as_array_mut().ok_or("no RETURNING")?;
        how = take_out(items, write, &originals)?;
        if items.is_empty() {
            node["returning_clause"] = Value::Null;
        }
    }
    Ok((tree, how))
}

fn guard(write: &Write) -> String {
    format!("pg_catalog.cg_guard({}.tableoid)", write.row_name())
}

fn parse_spliced(text: &Text, edits: &[Edit]) -> Result<Value, String> {
    let spliced = splice(text.sql.as_bytes(), edits);
    let sql = String::from_utf8(spliced.text).map_err(|e| e.to_string())?;
    let mut tree = parse(&sql, text.conforming).map_err(|e| format!("{e} in what is sent: {sql}"))?;
    without_positions(&mut tree);
    Ok(tree)
}

#[test]
fn what_is_sent_is_the_same_statement_and_the_guard() {
    let mut report = Report::default();
    for Parsed { text, tree, found } in &parsed() {
        let pointers = writes(tree);
        let located = found_writes(found);
        if pointers.is_empty() || located.len() != pointers.len() {
            continue;
        }
        let mut original = tree.clone();
        without_positions(&mut original);
        let mut all = Vec::new();
        for (write, pointer) in located.iter().zip(&pointers) {
            let edits = match place_guard(text.sql.as_bytes(), write, &guard(write), None, COLUMNS) {
                Ok(edits) => edits,
                Err(NoPlace::CteReturning) => {
                    report.count("no place in the RETURNING of a CTE");
                    continue;
                }
                Err(no) => {
                    report.differs(text, format!("{no:?}"));
                    continue;
                }
            };
            let back = parse_spliced(text, &edits).and_then(|sent| without_guard(sent, write, pointer, &original));
            match back {
                Ok((back, how)) => {
                    report.count(how);
                    if back != original {
                        report.differs(text, "another statement is sent");
                    }
                }
                Err(why) => report.differs(text, why),
            }
            all.extend(edits);
        }
        match parse_spliced(text, &all) {
            Ok(sent) if writes(&sent).len() == pointers.len() => report.count("texts with all guards"),
            Ok(_) => report.differs(text, "writes are lost or won"),
            Err(why) => report.differs(text, why),
        }
    }
    let no_place = report.counts.get("no place in the RETURNING of a CTE").copied().unwrap_or_default();
    assert!(no_place < 20, "{no_place} writes have no place for a guard");
    for how in ["appended", "folded", "wrapped", "WHERE added", "WHERE wrapped"] {
        assert!(report.counts.contains_key(how), "no statement of the suite is {how}");
    }
    report.finish("splice");
}

/// What records the row before, and where it may be asked to stand.
fn records(text: &Text, write: &Write) -> Vec<OldRow> {
    let mut records = Vec::new();
    if write.operation != Operation::Copy {
        let options = LexOptions { standard_conforming_strings: text.conforming };
        records.extend(old_alias(text.sql.as_bytes(), write, options).map(OldRow::Alias));
    }
    let upsert = write.operation == Operation::Insert && !write.set_ends.is_empty();
    if upsert || write.operation == Operation::Update && write.condition.is_some() && !write.sub_select {
        records.push(OldRow::Condition("pg_catalog.cg_record(1) IS NOT NULL".to_owned()));
    }
    if !write.set_ends.is_empty() {
        records.push(OldRow::Assignment("cg_spare = pg_catalog.cg_record(1)".to_owned()));
    }
    records
}

fn is_record(node: &Value) -> bool {
    let name = &node["node"]["FuncCall"]["funcname"];
    name[0]["node"]["String"]["sval"] == "pg_catalog" && name[1]["node"]["String"]["sval"] == "cg_record"
}

/// Takes what records the row before out of one write again; `Err` if it is not exactly where it should be.
fn take_record(tree: &mut Value, write: &Write, pointer: &str, record: &OldRow) -> Result<&'static str, String> {
    let node = tree.pointer_mut(pointer).ok_or("the write is no longer where it was")?;
    match record {
        OldRow::Alias(name) => {
            let given = write.returning.as_ref().is_some_and(|returning| returning.old_alias.is_some());
            if name == "old" || given {
                return Ok("alias there");
            }
            let options = node["returning_clause"]["options"].as_array_mut().ok_or("no options of RETURNING")?;
            let first = options.first().map(|option| option["node"]["ReturningOption"].clone()).unwrap_or_default();
            // RETURNING_OPTION_OLD
            if first["value"] != name.as_str() || first["option"] != 1 {
                return Err(format!("the alias is not the first option: {first}"));
            }
            options.remove(0);
            Ok("aliased")
        }
        OldRow::Assignment(_) => {
            let mut lists: Vec<&mut Value> = match write.operation {
                Operation::Insert => vec![&mut node["on_conflict_clause"]["target_list"]],
                Operation::Merge => {
                    let clauses = node["merge_when_clauses"].as_array_mut().ok_or("no actions")?;
                    let clauses = clauses.iter_mut().map(|clause| &mut clause["node"]["MergeWhenClause"]);
                    clauses.filter(|c| c["command_type"] == 3).map(|c| &mut c["target_list"]).collect()
                }
                _ => vec![&mut node["target_list"]],
            };
            for list in &mut lists {
                let last = list.as_array_mut().and_then(Vec::pop).ok_or("no assignment")?;
                let target = &last["node"]["ResTarget"];
                if target["name"] != "cg_spare" || !is_record(&target["val"]) {
                    return Err("the record is not the last assignment".into());
                }
            }
            Ok("assigned")
        }
        OldRow::Condition(_) => {
            let upsert = write.operation == Operation::Insert;
            let condition =
                if upsert { &mut node["on_conflict_clause"]["where_clause"] } else { &mut node["where_clause"] };
            let whole = condition.take();
            let recorded = |node: &Value| is_record(&node["node"]["NullTest"]["arg"]);
            if recorded(&whole) {
                return Ok("condition added");
            }
            if upsert {
                let case = &whole["node"]["CaseExpr"];
                let when = &case["args"][0]["node"]["CaseWhen"];
                let otherwise = &case["defresult"]["node"]["AConst"]["val"]["Boolval"]["boolval"];
                if !recorded(&when["result"]) || otherwise != false {
                    return Err("the condition of DO UPDATE is not as it should be".into());
                }
                *condition = when["expr"].clone();
                return Ok("condition wrapped");
            }
            // AND_EXPR; the parser makes one list of a client's own AND.
            let mut and = whole["node"]["BoolExpr"].clone();
            let parts = and["args"].as_array_mut().ok_or("no AND")?;
            if and_of(&whole) != Some(1) || !parts.pop().is_some_and(|last| recorded(&last)) {
                return Err("the record is not the last condition".into());
            }
            *condition = match parts.len() {
                1 => parts.remove(0),
                _ => {
                    let mut rest = whole.clone();
                    rest["node"]["BoolExpr"]["args"] = Value::Array(std::mem::take(parts));
                    rest
                }
            };
            Ok("condition joined")
        }
    }
}

/// The operator of a list of conditions.
fn and_of(node: &Value) -> Option<i64> {
    node["node"]["BoolExpr"]["boolop"].as_i64()
}

#[test]
fn what_records_the_row_before_is_where_it_should_be() {
    let mut report = Report::default();
    for Parsed { text, tree, found } in &parsed() {
        let pointers = writes(tree);
        let located = found_writes(found);
        if located.len() != pointers.len() {
            continue;
        }
        let mut original = tree.clone();
        without_positions(&mut original);
        for (write, pointer) in located.iter().zip(&pointers) {
            for record in records(text, write) {
                let placed = place_guard(text.sql.as_bytes(), write, &guard(write), Some(&record), COLUMNS);
                let Ok(edits) = placed else { continue };
                let back = parse_spliced(text, &edits).and_then(|mut sent| {
                    let how = take_record(&mut sent, write, &pointer.pointer, &record)?;
                    Ok((without_guard(sent, write, pointer, &original)?.0, how))
                });
                match back {
                    Ok((back, how)) => {
                        report.count(format!("{} {how}", write.operation.as_str()));
                        if back != original {
                            report.differs(text, "another statement is sent");
                        }
                    }
                    Err(why) => report.differs(text, why),
                }
            }
        }
    }
    for how in [
        "insert aliased",
        "update aliased",
        "merge aliased",
        "update assigned",
        "update condition joined",
        "insert assigned",
        "insert condition added",
        "insert condition wrapped",
        "merge assigned",
    ] {
        assert!(report.counts.contains_key(how), "no statement of the suite is {how}");
    }
    report.finish("records");
}

/// Our tokens in the parser's terms: where a token of ours is several of its, the first one's start and the last one's end count.
#[test]
fn the_lexer_cuts_the_same_tokens() {
    let mut report = Report::default();
    for Parsed { text, .. } in parsed().iter().filter(|p| p.text.conforming) {
        let Ok(tokens) = pg_query::scan(&text.sql) else {
            report.differs(text, "the scanner refuses what the parser accepts");
            continue;
        };
        let want: Vec<(usize, usize)> = tokens
            .tokens
            .iter()
            .filter(|t| !matches!(t.token, x if x == pg_query::protobuf::Token::SqlComment as i32 || x == pg_query::protobuf::Token::CComment as i32))
            .filter_map(|t| Some((usize::try_from(t.start).ok()?, usize::try_from(t.end).ok()?)))
            .collect();
        let mut want = want.into_iter().peekable();
        for token in Lexer::new(text.sql.as_bytes(), LexOptions::default()) {
            report.count("tokens");
            let first = want.next();
            let mut end = first.map_or(0, |t| t.1);
            // `N'…'` and `U&"…" UESCAPE '…'` are one of ours.
            if matches!(token.kind, Kind::Str | Kind::UnicodeIdent) {
                while let Some(next) = want.next_if(|t| t.0 < token.end) {
                    end = next.1;
                }
            }
            if first.map(|t| t.0) != Some(token.start) || end != token.end {
                let raw = &text.sql[token.start..token.end];
                report.differs(
                    text,
                    format!("token {raw:?} at {}..{}, scanned {first:?} to {end}", token.start, token.end),
                );
                break;
            }
        }
    }
    assert!(report.counts["tokens"] > 400_000);
    report.finish("lexer");
}

/// The output lists of the suite's queries, as the `RETURNING` of a CTE.
fn lists(parsed: &[Parsed]) -> Vec<Text> {
    let mut lists = Vec::new();
    for Parsed { text, .. } in parsed {
        let options = LexOptions { standard_conforming_strings: text.conforming };
        let mut tokens = Lexer::new(text.sql.as_bytes(), options);
        let Some(first) = tokens.next() else { continue };
        let is = |start: usize, end: usize, word: &str| text.sql[start..end].eq_ignore_ascii_case(word);
        if !is(first.start, first.end, "select") {
            continue;
        }
        let mut depth = 0;
        let mut end = first.end;
        for token in tokens {
            match token.kind {
                Kind::Char(b'(' | b'[') => depth += 1,
                Kind::Char(b')' | b']') => depth -= 1,
                Kind::Char(b';') => break,
                Kind::Ident if depth == 0 && is(token.start, token.end, "from") => break,
                _ => {}
            }
            end = token.end;
        }
        let sql = format!("WITH x AS (UPDATE t SET a = 1 RETURNING{}) SELECT 1", &text.sql[first.end..end]);
        lists.push(Text { place: text.place.clone(), sql, conforming: text.conforming });
    }
    lists
}

#[test]
fn output_lists_are_read_and_folded_as_the_parser_reads_them() {
    let mut report = Report::default();
    for text in lists(&parsed()) {
        let Ok(tree) = parse(&text.sql, text.conforming) else { continue };
        let found = located(&text);
        let (want, got) = (writes(&tree), found_writes(&found));
        let ([want], [write]) = (want.as_slice(), got.as_slice()) else {
            // A sub-select's own WITH may write.
            continue;
        };
        let node = tree.pointer(&want.pointer).expect("the pointer is the walk's own");
        if let Err(why) = compare(write, want, node) {
            report.differs(&text, why);
            continue;
        }
        for item in write.returning.iter().flat_map(|r| &r.items) {
            report.count(match &item.kind {
                ItemKind::Unclear => "unclear items".to_owned(),
                ItemKind::QualifiedStar(_) => "qualified stars".to_owned(),
                kind => format!("{kind:?} {}", item.named).replace("true", "named").replace("false", "unnamed"),
            });
        }
        let Ok(edits) = place_guard(text.sql.as_bytes(), write, &guard(write), None, COLUMNS) else {
            report.count("no place");
            continue;
        };
        let mut original = tree.clone();
        without_positions(&mut original);
        match parse_spliced(&text, &edits).and_then(|sent| without_guard(sent, write, want, &original)) {
            Ok((back, how)) if back == original => report.count(how),
            Ok(_) => report.differs(&text, "another statement is sent"),
            Err(why) => report.differs(&text, why),
        }
    }
    assert!(report.counts["wrapped"] > 8_000 && report.counts["folded"] > 100);
    report.finish("output lists");
}

/// What the parser says the session must know of a statement; `None`: nothing in particular.
fn verb(kind: &str, node: &Value) -> Option<Verb> {
    let name = |key: &str| node[key].as_str().unwrap_or_default().to_owned();
    Some(match kind {
        "TransactionStmt" => match node["kind"].as_i64()? {
            1 | 2 => Verb::Begin,
            3 | 8 => Verb::Commit,
            4 => Verb::Rollback,
            5 => Verb::Savepoint(name("savepoint_name")),
            6 => Verb::Release(name("savepoint_name")),
            7 => Verb::RollbackTo(name("savepoint_name")),
            _ => Verb::Plain,
        },
        "PrepareStmt" => Verb::Prepare(name("name")),
        "ExecuteStmt" => Verb::Execute { name: name("name"), wrapped: false },
        "DeallocateStmt" => Verb::Deallocate(Some(name("name")).filter(|n| !n.is_empty())),
        "CopyStmt" => Verb::Copy,
        "SelectStmt" | "InsertStmt" | "UpdateStmt" | "DeleteStmt" | "MergeStmt" | "LockStmt" | "VacuumStmt" => {
            Verb::Plain
        }
        "CreateTableAsStmt" if node["query"]["node"].get("ExecuteStmt").is_some() => {
            let name = node["query"]["node"]["ExecuteStmt"]["name"].as_str()?.to_owned();
            Verb::Execute { name, wrapped: true }
        }
        _ => return None,
    })
}

/// The statement may change what a name means, for all the tree tells.
fn changes_names(kind: &str, node: &Value) -> bool {
    const SETTINGS: &[&str] = &[
        "search_path",
        "role",
        "session_authorization",
        "row_security",
        "client_min_messages",
        "standard_conforming_strings",
    ];
    let starts = [
        "Create", "Alter", "Drop", "Grant", "Rename", "Define", "View", "Do", "Call", "Discard", "Rule", "Import",
        "Index",
    ];
    match kind {
        "VariableSetStmt" => SETTINGS.contains(&node["name"].as_str().unwrap_or_default()) || node["kind"] == 6,
        "SelectStmt" => {
            let text = node.to_string();
            text.contains("\"sval\":\"set_config\"") || !node["into_clause"].is_null()
        }
        _ => starts.iter().any(|s| kind.starts_with(s)),
    }
}

#[test]
fn the_session_learns_what_it_must_know() {
    let mut report = Report::default();
    for Parsed { text, tree, found } in &parsed() {
        let statements = tree.as_array().map(Vec::as_slice).unwrap_or_default();
        for (got, want) in found.statements.iter().zip(statements) {
            let Some((kind, node)) = want["stmt"]["node"].as_object().and_then(|o| o.iter().next()) else { continue };
            report.count(kind.clone());
            let may = changes_names(kind, node);
            match verb(kind, node) {
                Some(Verb::Plain) if may || got.changes_names => {}
                Some(want) if want != got.verb => report.differs(text, format!("verb {:?}, parsed {want:?}", got.verb)),
                _ => {}
            }
            if may && !got.changes_names {
                report.differs(text, "it may change names");
            }
        }
    }
    for kind in
        ["TransactionStmt", "PrepareStmt", "ExecuteStmt", "DeallocateStmt", "VariableSetStmt", "CreateTableAsStmt"]
    {
        assert!(report.counts.contains_key(kind), "no {kind} in the suite");
    }
    report.finish("verbs");
}
