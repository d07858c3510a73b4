//! What a rule file may say: its keys, those of a table and those of a rule. What a kind of rule may say stands in [`super::kinds`].

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    actions,
    condition::{self, Owner},
    diagnostic::{Code, Diagnostic},
    exemptions,
    fields::{Context, Fields, Keys, quoted},
    kinds::{KINDS, LATER_KINDS, Spec, time_columns},
    rule_tests::{self, FileTests, RuleTest},
    set::{Action, Exemption, Kind, OnUnguardable, OnViolation, Place, Rule, TableRules, Unit},
    values,
    yaml::{Node, Value},
};

/// Keys of a file.
pub const FILE_KEYS: Keys<'_> =
    Keys { known: &["version", "tables", "exemptions", "trusted_roles", "schema", "tests"], later: &["audit_log"] };

/// Keys of a table.
pub const TABLE_KEYS: Keys<'_> = Keys {
    known: &[
        "table",
        "owner",
        "description",
        "runbook",
        "unguardable",
        "on_violation",
        "units",
        "timezone",
        "rules",
        "tests",
    ],
    later: &["audit_log"],
};

/// Keys of a rule of any kind.
pub const RULE_KEYS: [&str; 11] =
    ["name", "on_violation", "ramp", "since", "severity", "hint", "description", "always", "when", "unit", "timezone"];

/// What `unguardable` may say.
pub const UNGUARDABLE: [(&str, OnUnguardable); 2] = [("pass", OnUnguardable::Pass), ("reject", OnUnguardable::Reject)];

/// What one file said, as far as it could be read.
#[derive(Debug, Default)]
pub struct FileRules {
    /// Its tables.
    pub tables: Vec<TableRules>,
    /// The name of every rule, also of those that are wrong otherwise.
    pub names: Vec<(String, Place)>,
    /// Its exemptions.
    pub exemptions: Vec<Exemption>,
    /// Roles whose word is taken.
    pub trusted_roles: Vec<String>,
    /// Rules that its tests and exemptions name, each with the mistake it is if there is no such rule in any file.
    pub mentioned: Vec<(String, Diagnostic)>,
    /// Its tests, if it has any.
    pub tests: Option<FileTests>,
}

/// Reads a file's tree.
pub fn read(cx: &mut Context, root: &Node) -> FileRules {
    let mut file = FileRules::default();
    if is_another_file(root) {
        let d = cx.error(Code::MissingKey, root.at, "this is no rule file: it has neither `version` nor `tables`");
        cx.report::<()>(d.help("keep other YAML files out of the rule directories"));
        return file;
    }
    let Some(fields) = Fields::open(cx, root, "a rule file", &FILE_KEYS) else { return file };
    version(cx, &fields);
    let mut tests = Vec::new();
    if let Some(node) = fields.required(cx, "tables", "`tables:` with a list of tables and their rules") {
        let tables = cx.list(node, "`tables`", "a list: `- table: public.jobs`").unwrap_or_default();
        for node in tables {
            let table = table(cx, node, &mut file, &mut tests);
            file.tables.extend(table);
        }
    }
    if let Some(node) = fields.value("exemptions") {
        file.exemptions = exemptions::read(cx, node, &mut file.mentioned);
    }
    if let Some(node) = fields.value("trusted_roles") {
        file.trusted_roles = exemptions::trusted_roles(cx, node);
    }
    let schema = fields.value("schema").map(|node| rule_tests::read::schema(cx, node)).unwrap_or_default();
    if let Some(node) = fields.value("tests") {
        rule_tests::read::tests(cx, node, &mut tests, &mut file.mentioned);
    }
    if !tests.is_empty() {
        file.tests = Some(FileTests { file: cx.file(), schema, tests });
    }
    file
}

/// A mapping about something else, where a mistake for each of its keys would help nobody.
fn is_another_file(root: &Node) -> bool {
    let Value::Map(entries) = &root.value else { return false };
    !entries.iter().filter_map(|(key, _)| key.as_key()).any(|key| matches!(key.as_str(), "version" | "tables"))
}

fn version(cx: &mut Context, fields: &Fields<'_>) {
    let Some(node) = fields.required(cx, "version", "`version: 1` at the top of the file") else { return };
    if node.value != Value::Number("1".to_owned()) {
        let d = cx.error(Code::BadValue, node.at, format!("`version` is {}", node.describe())).expected("`version: 1`");
        cx.report::<()>(d);
    }
}

/// What a table's entry says about all its rules.
struct Defaults<'a> {
    owner: Owner<'a>,
    on_violation: OnViolation,
    units: BTreeMap<String, Unit>,
    timezone: Option<String>,
}

fn table(cx: &mut Context, node: &Node, file: &mut FileRules, tests: &mut Vec<RuleTest>) -> Option<TableRules> {
    let before = cx.errors();
    let fields = Fields::open(cx, node, "a table", &TABLE_KEYS)?;
    let name = fields
        .required(cx, "table", "the table's name: `table: public.jobs`")
        .and_then(|node| values::table_name(cx, node, "`table`"));
    let owner = fields.optional_text(cx, "owner");
    let description = fields.optional_text(cx, "description");
    let runbook = fields.optional_text(cx, "runbook");
    let unguardable = fields.optional(cx, "unguardable", |cx, node, what| cx.choice(node, what, &UNGUARDABLE));
    let on_violation = actions::on_violation(cx, &fields, &OnViolation::default());
    let units = fields.optional(cx, "units", units).flatten().unwrap_or_default();
    let timezone = fields.optional(cx, "timezone", values::timezone).flatten();
    if let Some(node) = fields.value("tests") {
        rule_tests::read::tests(cx, node, tests, &mut file.mentioned);
    }
    // Conditions are read even where the table's own name could not be.
    let (schema, table) = name.clone().unwrap_or_default();
    let defaults = Defaults {
        owner: Owner { schema: &schema, table: &table },
        on_violation: on_violation.unwrap_or_default(),
        units,
        timezone,
    };
    let rules = rules(cx, &fields, &defaults, &mut file.names);
    if cx.errors() == before {
        unused_units(cx, &fields, &rules);
    }
    let (schema, table) = name?;
    Some(TableRules {
        schema,
        table,
        owner: owner?,
        description: description?,
        runbook: runbook?,
        unguardable: unguardable?.unwrap_or_default(),
        rules,
        place: cx.place(fields.value("table").map_or(node.at, |n| n.at)),
    })
}

fn units(cx: &mut Context, node: &Node, what: &str) -> Option<BTreeMap<String, Unit>> {
    let entries = cx.entries(node, what, "a mapping from columns to units: `{start_ts: us}`")?;
    let mut units = BTreeMap::new();
    for (name, at, value) in entries {
        let column = values::column_text(cx, at, &name, "the column");
        let unit = values::unit(cx, value, "the unit");
        if let (Some(column), Some(unit)) = (column, unit) {
            units.insert(column, unit);
        }
    }
    Some(units)
}

fn unused_units(cx: &mut Context, fields: &Fields<'_>, rules: &[Rule]) {
    let Some(Node { value: Value::Map(entries), .. }) = fields.value("units") else { return };
    let used: BTreeSet<&str> = rules.iter().flat_map(|rule| time_columns(&rule.kind)).collect();
    for (key, _) in entries {
        let Some(text) = key.as_key() else { continue };
        let column = values::parse_name(&text).ok().and_then(|mut parts| parts.pop());
        if let Some(column) = column
            && !used.contains(column.name.as_str())
        {
            let d = cx
                .warning(Code::NoEffect, key.at, format!("no rule compares `{}` as a point in time", column.name))
                .help("`units` is about points in time; the unit of a stored duration stands in its `duration` rule");
            cx.report::<()>(d);
        }
    }
}

fn rules(
    cx: &mut Context,
    fields: &Fields<'_>,
    defaults: &Defaults<'_>,
    names: &mut Vec<(String, Place)>,
) -> Vec<Rule> {
    let Some(node) = fields.required(cx, "rules", "a list of rules: `rules:` with `- name: …`") else {
        return Vec::new();
    };
    let Some(items) = cx.list(node, "`rules`", "a list of rules: `- name: …`") else { return Vec::new() };
    if items.is_empty() {
        let d = cx.warning(Code::NoEffect, node.at, "the table has no rules").help("its writes are not looked at");
        cx.report::<()>(d);
    }
    items.iter().filter_map(|item| rule(cx, item, defaults, names)).collect()
}

fn rule(cx: &mut Context, node: &Node, defaults: &Defaults<'_>, names: &mut Vec<(String, Place)>) -> Option<Rule> {
    let known: Vec<&'static str> =
        RULE_KEYS.into_iter().chain(KINDS.iter().flat_map(|k| k.siblings.iter().copied().chain([k.key]))).collect();
    // `tolerance` belongs inside some kinds and beside others; known, so that the message can say which.
    let fields = Fields::open(cx, node, "a rule", &Keys { known: &known, later: &LATER_KINDS })?;
    let name = fields.required(cx, "name", "a unique name: `name: jobs_order`").and_then(|n| values::rule_name(cx, n));
    let place = cx.place(fields.value("name").map_or(node.at, |n| n.at));
    names.extend(name.iter().map(|name| (name.clone(), place.clone())));
    let on_violation = actions::on_violation(cx, &fields, &defaults.on_violation);
    let ramp = fields.optional(cx, "ramp", values::share);
    let since = fields.optional(cx, "since", values::instant);
    let severity = fields.optional_text(cx, "severity");
    let hint = fields.optional_text(cx, "hint");
    let description = fields.optional_text(cx, "description");
    let always = fields.flag(cx, "always");
    let when = fields.optional(cx, "when", |cx, node, what| condition::condition(cx, node, what, defaults.owner));
    let unit = fields.optional(cx, "unit", values::unit);
    let timezone = fields.optional(cx, "timezone", values::timezone);
    let kind = kind(cx, &fields, defaults.owner);
    let kind = kind?;
    let mut units = defaults.units.clone();
    if let Some(unit) = unit? {
        units.extend(time_columns(&kind).into_iter().map(|column| (column.to_owned(), unit)));
    }
    let (ramp, since) = (ramp?, since?);
    let on_violation = on_violation?;
    actions::fit(cx, &fields, &kind, &on_violation)?;
    let rule = Rule {
        name: name?,
        on_violation,
        ramp,
        since,
        severity: severity?,
        hint: hint?,
        description: description?,
        always: always?,
        when: when?,
        units,
        timezone: timezone?.or_else(|| defaults.timezone.clone()),
        kind,
        place,
    };
    waiting(cx, &fields, &rule);
    Some(rule)
}

/// A transaction that waits for a row brings an older `now()` along.
fn waiting(cx: &mut Context, fields: &Fields<'_>, rule: &Rule) {
    if let (Kind::Monotonic(monotonic), Action::Reject, Some(at)) =
        (&rule.kind, rule.on_violation.strictest(), fields.key_at("monotonic"))
        // Numbers are not taken from now().
        && !monotonic.columns.iter().all(|column| rule.units.contains_key(column))
    {
        let message = format!("`{}` rejects: a transaction that waited for a row brings an older now()", rule.name);
        let d = cx.warning(Code::MonotonicRejects, at, message);
        cx.report::<()>(d.help("observe first, or take clock_timestamp(); a number with a `unit` is not warned of"));
    }
}

/// The one kind of a rule, read; and a mistake for each key that belongs to another.
fn kind(cx: &mut Context, fields: &Fields<'_>, owner: Owner<'_>) -> Option<Kind> {
    let mut present: Vec<(&Spec, &Node)> =
        KINDS.iter().filter_map(|spec| fields.value(spec.key).map(|node| (spec, node))).collect();
    // Report the later one in the file.
    present.sort_by_key(|(_, node)| (node.at.line, node.at.column));
    let Some((spec, node)) = present.first().copied() else {
        if !fields.has_strangers {
            let expected = format!("one of {}", quoted(KINDS.iter().map(|k| k.key)));
            let d =
                cx.error(Code::MissingKey, fields.at, "the rule says nothing about what to judge").expected(expected);
            cx.report::<()>(d);
        }
        return None;
    };
    for (other, node) in &present[1..] {
        let first = fields.key_at(spec.key).map(|at| cx.place(at)).unwrap_or_default();
        let at = fields.key_at(other.key).unwrap_or(node.at);
        let d = cx
            .error(Code::Conflict, at, format!("a rule is `{}` or `{}`, not both", spec.key, other.key))
            .help("make two rules of it")
            .related(first, "the first kind is here");
        cx.report::<()>(d);
        // What it says may be wrong as well.
        (other.read)(cx, node, fields, owner);
    }
    misplaced(cx, fields, &present);
    let kind = (spec.read)(cx, node, fields, owner);
    if present.len() == 1 { kind } else { None }
}

fn misplaced(cx: &mut Context, fields: &Fields<'_>, present: &[(&Spec, &Node)]) {
    let keys: BTreeSet<&str> =
        KINDS.iter().flat_map(|k| k.siblings.iter().copied()).chain(["unit", "timezone"]).collect();
    for key in keys {
        let Some(at) = fields.key_at(key) else { continue };
        let means =
            |spec: &Spec| spec.siblings.contains(&key) || (spec.judges_times && matches!(key, "unit" | "timezone"));
        if present.iter().any(|(spec, _)| means(spec)) {
            continue;
        }
        let kind = present.first().map_or("", |(spec, _)| spec.key);
        let mut d = cx.error(Code::UnknownKey, at, format!("`{key}` means nothing beside `{kind}`"));
        if present.iter().any(|(spec, _)| spec.inner.contains(&key)) {
            d = d.help(format!("write it inside: `{kind}: {{…, {key}: …}}`"));
        } else {
            let owners = KINDS.iter().filter(|spec| means(spec)).map(|spec| spec.key);
            d = d.expected(format!("it only with {}", quoted(owners)));
        }
        cx.report::<()>(d);
    }
}

/// Tables may be shared once they are complete.
pub fn shared(tables: Vec<TableRules>) -> Vec<Arc<TableRules>> {
    tables.into_iter().map(Arc::new).collect()
}
