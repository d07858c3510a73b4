use super::{relation as relation_findings, *};
use crate::{catalog::facts::QualifiedName, rules::load::inspect_texts};

fn relation(schema: &str, name: &str, columns: &[(&str, &str)]) -> RelationFacts {
    let column = |(name, type_name): &(&str, &str)| ColumnFacts {
        name: (*name).to_owned(),
        type_name: (*type_name).to_owned(),
        is_enum: false,
        has_default: false,
        default: None,
        generated: false,
        virtual_generated: false,
        identity_always: false,
        can_select: true,
        can_update: true,
    };
    let name = QualifiedName { schema: schema.to_owned(), name: name.to_owned() };
    RelationFacts {
        oid: 1,
        lineage: vec![name.clone()],
        name,
        kind: 'r',
        columns: columns.iter().map(column).collect(),
        primary_key: Vec::new(),
        entangled: Vec::new(),
        tableoids: vec![1],
        partition_root: None,
        foreign_descendant: false,
        view_bases: Vec::new(),
        before_insert_trigger: false,
        before_update_trigger: false,
        view: None,
        instead_of_trigger: false,
        instead_rule_insert: false,
        instead_rule_update: false,
        row_security: false,
        reads_system_columns: false,
        stage: crate::catalog::facts::StageFacts::default(),
        parents: Vec::new(),
    }
}

fn executions() -> RelationFacts {
    let mut facts = relation(
        "public",
        "executions",
        &[
            ("created_at", "timestamptz"),
            ("started_at", "timestamp"),
            ("day", "date"),
            ("start_ts", "int8"),
            ("took", "interval"),
            ("status", "text"),
            ("job_id", "int8"),
        ],
    );
    facts.parents = vec![relation("public", "jobs", &[("id", "int8"), ("created_at", "timestamptz"), ("ts", "int8")])];
    facts
}

/// `line:column code` of everything found about one rule, which starts at line 5, column 5.
fn found(rule: &str) -> Vec<String> {
    found_in(rule, &executions())
}

fn found_in(rule: &str, facts: &RelationFacts) -> Vec<String> {
    let text = format!(
        "version: 1\ntables:\n- table: executions\n  rules:\n  - {{name: r, {rule}}}\n  - {{name: last, check: status = day}}\n"
    );
    let inspected = inspect_texts([("a.yaml", text.as_str())]);
    assert!(inspected.diagnostics.is_empty(), "{:?}", inspected.diagnostics);
    let words = Words::new(&inspected.set, &inspected.sources);
    let table = &inspected.set.tables[0];
    let mut all = relation_findings(table, facts, &inspected.set);
    all.extend(table.rules.iter().flat_map(|r| super::rule(r, facts, "app", &words)));
    all.iter().map(|d| format!("{}:{} {}", d.place.line, d.place.column, d.code.as_str())).collect()
}

#[test]
fn what_fits_is_silent() {
    for rule in [
        "order: [created_at, start_ts], unit: us",
        "order: [started_at, day]",
        "order: [created_at, started_at], timezone: UTC",
        "plausible: {columns: [started_at, created_at], after: 2000-01-01, before: 2100-01-01}",
        "duration: {column: took, start: started_at, end: day, unit: s}",
        "duration: {column: job_id, start: started_at, end: day, unit: s}",
        "near_now: {columns: [created_at], past: 5m}",
        "require: {not_null: [status]}",
        "parent: {table: jobs, join: {job_id: id}, not_reused: {created_at: created_at}}",
    ] {
        assert_eq!(found(rule), Vec::<String>::new(), "{rule}");
    }
}

#[test]
fn what_does_not_fit_is_named_at_its_place() {
    for (rule, expected) in [
        ("order: [created_at, start_at]", vec!["5:35 unknown-column"]),
        ("order: [created_at, status]", vec!["5:35 column-type"]),
        ("order: [created_at, start_ts]", vec!["5:35 missing-unit"]),
        ("order: [created_at, started_at]", vec!["5:35 missing-timezone"]),
        ("near_now: {columns: [started_at], past: 5m}", vec!["5:36 missing-timezone"]),
        ("require: {not_null: [statu]}, when: Day > created", vec!["5:36 unknown-column", "5:57 unknown-column"]),
        (
            "duration: {column: status, start: created_at, end: took, unit: s}",
            vec!["5:66 column-type", "5:34 column-type"],
        ),
        ("parent: {table: job, join: {job_id: id}, not_reused: {created_at: created_at}}", vec!["5:31 unknown-table"]),
        (
            "parent: {table: jobs, join: {job_id: idd}, not_reused: {created_at: created_at}}",
            vec!["5:52 unknown-column"],
        ),
        ("parent: {table: jobs, join: {job_id: id}, not_before: {created_at: ts}}", vec!["5:82 missing-unit"]),
        (
            "parent: {table: jobs, join: {job_id: id}, not_before: {started_at: created_at}}",
            vec!["5:70 missing-timezone"],
        ),
    ] {
        assert_eq!(found(rule), expected, "{rule}");
    }
}

#[test]
fn relations_that_cannot_be_guarded_are_named() {
    let facts = |change: fn(&mut RelationFacts)| {
        let mut facts = executions();
        change(&mut facts);
        facts
    };
    for changed in [
        facts(|f| (f.kind, f.instead_of_trigger) = ('v', true)),
        facts(|f| f.kind = 'm'),
        facts(|f| f.kind = 'f'),
        facts(|f| f.foreign_descendant = true),
        facts(|f| f.instead_rule_update = true),
        facts(|f| f.row_security = true),
    ] {
        assert_eq!(found_in("check: day", &changed), ["3:10 unguardable"]);
    }
    let hidden = facts(|f| f.parents[0].row_security = true);
    assert_eq!(
        found_in("parent: {table: jobs, join: {job_id: id}, not_reused: {created_at: created_at}}", &hidden),
        ["5:31 unguardable"]
    );
}

#[test]
fn what_the_role_may_not_read_is_named() {
    let mut facts = executions();
    facts.columns[0].can_select = false;
    assert_eq!(found_in("order: [created_at, started_at], timezone: UTC", &facts), ["5:23 unguardable"]);
    let mut facts = executions();
    facts.parents[0].columns[0].can_select = false;
    let rule = "parent: {table: jobs, join: {job_id: id}, not_before: {created_at: created_at}}";
    assert_eq!(found_in(rule, &facts), ["5:52 unguardable"]);
    let mut facts = executions();
    facts.parents[0].columns.iter_mut().for_each(|column| column.can_update = false);
    let rule = "parent: {table: jobs, join: {job_id: id}, not_before: {created_at: created_at}, lock_parent: true}";
    assert_eq!(found_in(rule, &facts), ["5:95 unguardable"]);
    let mut facts = executions();
    facts.columns[0].virtual_generated = true;
    assert_eq!(found_in("require: {not_null: [created_at]}", &facts), ["5:36 column-type"]);
}

#[test]
fn units_of_what_is_no_number_are_named() {
    assert_eq!(found("order: [created_at, started_at], unit: us, timezone: UTC"), ["5:48 no-effect"]);
    assert_eq!(found("order: [created_at, start_ts], unit: us"), [""; 0]);
}

#[test]
fn views_and_partitions_are_named() {
    let name = |name: &str| QualifiedName { schema: "public".to_owned(), name: name.to_owned() };
    let messages = |facts: &RelationFacts, rules: &str| {
        let inspected = inspect_texts([("a.yaml", rules)]);
        let found = relation_findings(&inspected.set.tables[0], facts, &inspected.set);
        found.iter().map(|d| format!("{}: {}", d.code.as_str(), d.message)).collect::<Vec<_>>()
    };
    let one = "version: 1\ntables:\n- {table: executions, rules: [{name: r, check: day}]}\n";
    let both = format!("{one}- {{table: above, rules: [{{name: s, check: day}}]}}\n");
    let mut facts = executions();
    (facts.kind, facts.view_bases) = ('v', vec![name("base")]);
    assert_eq!(
        messages(&facts, one),
        [
            "on-view: `public.executions` is a view: a write to `public.base` itself, or through another view of it, is not judged by these rules"
        ]
    );
    let mut facts = executions();
    facts.lineage.push(name("above"));
    assert_eq!(
        messages(&facts, one),
        [
            "on-partition: `public.executions` is a child of `public.above`: a write to `public.above` is not judged, even if its row goes here"
        ]
    );
    facts.partition_root = Some(2);
    assert_eq!(
        messages(&facts, &both),
        [
            "on-partition: `public.executions` is a partition of `public.above`: a write to it is judged by these rules only, and not by those of `public.above`"
        ]
    );
}
