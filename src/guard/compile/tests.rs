use std::fmt::Write as _;

use super::*;
use crate::{
    guard::{
        Lines,
        testing::{condition, relation, rule, site, table},
    },
    rules::set::{Duration, Kind, NearNow, Order, Parent, Plausible, Require, Span, Unit},
};

const COLUMNS: [(&str, &str); 9] = [
    ("id", "int8"),
    ("job_id", "int8"),
    ("status", "text"),
    ("created_at", "timestamptz"),
    ("started_at", "timestamptz"),
    ("completed_at", "timestamptz"),
    ("local_at", "timestamp"),
    ("end_us", "int8"),
    ("duration_us", "int8"),
];

fn executions() -> RelationFacts {
    let mut facts = relation("executions", &COLUMNS);
    facts.parents = vec![relation("jobs", &[("id", "int8"), ("created_at", "timestamptz")])];
    facts
}

fn order(columns: &[&str]) -> Order {
    Order {
        columns: columns.iter().map(|column| (*column).to_owned()).collect(),
        strict: false,
        tolerance: Span::default(),
        min_gap: None,
        max_gap: None,
    }
}

fn ordered() -> Rule {
    rule(Kind::Order(order(&["created_at", "started_at", "completed_at"])))
}

fn rejecting(mut rule: Rule) -> Rule {
    rule.on_violation = Action::Reject.into();
    rule
}

fn parent() -> Parent {
    let pair = || vec![("created_at".to_owned(), "created_at".to_owned())];
    Parent {
        schema: "public".to_owned(),
        table: "jobs".to_owned(),
        join: vec![("job_id".to_owned(), "id".to_owned())],
        not_reused: pair(),
        not_before: pair(),
        tolerance: Span::default(),
        lock_parent: false,
    }
}

fn compiled(rule: Rule, site: &Site<'_>) -> Guard {
    compile(&table("executions", vec![rule]), &executions(), site).unwrap()
}

fn ms(count: u64) -> Span {
    Span { nanos: count * 1_000_000 }
}

/// One rule of each kind and form, named.
fn rules() -> Vec<(&'static str, Rule)> {
    let mut in_us = rule(Kind::Order(order(&["started_at", "end_us"])));
    in_us.units.insert("end_us".to_owned(), Unit::Us);
    let mut zoned = rule(Kind::Order(Order { tolerance: ms(5), ..order(&["local_at", "started_at"]) }));
    zoned.timezone = Some("Europe/Berlin".to_owned());
    let when = Rule {
        when: Some(condition("status = 'done'", &["status"])),
        ..rule(Kind::Require(Require { not_null: vec!["completed_at".to_owned()], null: vec!["end_us".to_owned()] }))
    };
    let duration = Duration {
        column: "duration_us".to_owned(),
        start: "started_at".to_owned(),
        end: "completed_at".to_owned(),
        unit: Unit::Us,
        tolerance: Span { nanos: 1_000 },
    };
    let near = NearNow { columns: vec!["created_at".to_owned()], past: Some(ms(300_000)), future: Some(ms(5_000)) };
    let plausible = Plausible {
        columns: vec!["created_at".to_owned()],
        after: "1969-12-31T00:00:00Z".parse().unwrap(),
        before: "2100-01-01T00:00:00Z".parse().unwrap(),
    };
    let gaps = Order { min_gap: Some(ms(1)), max_gap: Some(ms(1_000)), ..order(&["started_at", "completed_at"]) };
    vec![
        ("order", ordered()),
        ("order, tolerance", rule(Kind::Order(Order { tolerance: ms(5), ..order(&["created_at", "started_at"]) }))),
        ("order, strict", rule(Kind::Order(Order { strict: true, ..order(&["created_at", "started_at"]) }))),
        ("order, gaps", rule(Kind::Order(gaps))),
        ("order, number and timestamptz", in_us),
        ("order, timestamp and timestamptz", zoned),
        ("duration", rule(Kind::Duration(duration))),
        ("near_now", rule(Kind::NearNow(near))),
        ("plausible", rule(Kind::Plausible(plausible))),
        ("require, when", when),
        ("check", rule(Kind::Check(condition("completed_at > started_at", &["completed_at", "started_at"])))),
        ("parent", rule(Kind::Parent(parent()))),
        ("parent, locked", rule(Kind::Parent(Parent { lock_parent: true, ..parent() }))),
    ]
}

/// Every guard text as it is sent. To accept a change: `UPDATE_SNAPSHOTS=1 cargo test --lib guard::compile`.
#[test]
fn texts_are_as_recorded() {
    let mut all = String::new();
    for channel in [Channel::Column, Channel::Notice, Channel::CopyWhere, Channel::Staged(Lines::Csv)] {
        for reject in [false, true] {
            for (name, rule) in rules() {
                let rule = if reject { rejecting(rule) } else { rule };
                let action = rule.on_violation.default.as_str();
                let site = Site { channel, ..site("x") };
                let text = match compile(&table("executions", vec![rule]), &executions(), &site) {
                    Ok(guard) => guard.expression.unwrap(),
                    Err(reason) => format!("({})", reason.as_str()),
                };
                assert!(text.is_ascii() && !text.contains('\\'), "{text}");
                writeln!(all, "-- {name}, {action}, {channel:?}\n{text}").unwrap();
            }
        }
    }
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/guard/compile/snapshots.sql");
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(file, &all).unwrap();
    }
    assert_eq!(all, std::fs::read_to_string(file).unwrap());
}

fn refused(facts: &RelationFacts, site: &Site<'_>) -> Option<Reason> {
    compile(&table("executions", vec![ordered()]), facts, site).err()
}

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|name| (*name).to_owned()).collect()
}

/// An UPDATE that sets these columns.
fn update(columns: &[String]) -> Site<'_> {
    Site { operation: Operation::Update, columns: Some(columns), ..site("x") }
}

#[test]
fn leaves_alone_what_returning_would_break() {
    let with = |change: fn(&mut RelationFacts)| {
        let mut facts = executions();
        change(&mut facts);
        facts
    };
    let (insert, updated) = (site("x"), names(&["started_at"]));
    let update = update(&updated);
    assert_eq!(refused(&executions(), &insert), None);
    assert_eq!(refused(&with(|f| f.kind = 'f'), &insert), Some(Reason::ForeignTable));
    assert_eq!(refused(&with(|f| f.foreign_descendant = true), &insert), Some(Reason::ForeignTable));

    let view = with(|f| f.kind = 'v');
    assert_eq!(refused(&view, &insert), None, "rules written for the view");
    let other = with(|f| (f.kind, f.name.name) = ('v', "recent".to_owned()));
    assert_eq!(refused(&other, &insert), Some(Reason::View));
    assert_eq!(
        refused(&with(|f| (f.kind, f.instead_of_trigger) = ('v', true)), &insert),
        Some(Reason::InsteadOfTrigger)
    );

    let rule = with(|f| f.instead_rule_insert = true);
    assert_eq!((refused(&rule, &insert), refused(&rule, &update)), (Some(Reason::InsteadRule), None));
    let rule = with(|f| f.instead_rule_update = true);
    assert_eq!((refused(&rule, &insert), refused(&rule, &update)), (None, Some(Reason::InsteadRule)));
    let upsert = Site { conflict_columns: Some(&updated), ..site("x") };
    assert_eq!(refused(&rule, &upsert), Some(Reason::InsteadRule));

    let merge = Site { operation: Operation::Merge, ..site("x") };
    assert_eq!(refused(&executions(), &merge), Some(Reason::MergeBefore17));
    assert_eq!(refused(&executions(), &Site { server_version: 170_000, ..merge }), None);
}

#[test]
fn row_security_is_not_made_stricter() {
    let mut facts = executions();
    facts.row_security = true;
    let set = names(&["started_at"]);
    assert_eq!(refused(&facts, &site("x")), Some(Reason::RowSecurity));
    assert_eq!(refused(&facts, &update(&set)), Some(Reason::RowSecurity));
    assert_eq!(refused(&facts, &Site { reads_target: true, ..site("x") }), None);
    assert_eq!(refused(&facts, &Site { reads_target: true, ..update(&set) }), None);
    assert_eq!(refused(&facts, &Site { conflict_target: true, ..site("x") }), None);
}

#[test]
fn an_update_is_judged_by_the_rules_it_touches() {
    let judged = |rule: Rule, facts: &RelationFacts, columns: &[&str]| {
        let columns = names(columns);
        let guard = compile(&table("executions", vec![rule]), facts, &update(&columns)).unwrap();
        assert_eq!(guard.judged.is_empty(), guard.expression.is_none());
        assert_eq!(guard.judged.is_empty(), guard.skipped == [(0, Skip::Untouched)]);
        guard.expression.is_some()
    };
    let facts = executions();
    assert!(judged(ordered(), &facts, &["status", "started_at"]));
    assert!(!judged(ordered(), &facts, &["status"]));
    assert!(judged(Rule { always: true, ..ordered() }, &facts, &["status"]));
    let when = Rule { when: Some(condition("status = 'done'", &["status"])), ..ordered() };
    assert!(judged(when, &facts, &["status"]));
    assert!(judged(rule(Kind::Check(condition("now() > '2000-01-01'", &[]))), &facts, &["status"]));
    assert!(judged(rule(Kind::Parent(parent())), &facts, &["job_id"]));

    let mut triggered = executions();
    triggered.before_update_trigger = true;
    assert!(judged(ordered(), &triggered, &["status"]));
    let mut generated = executions();
    generated.columns[5].generated = true;
    generated.columns[5].default = Some("(local_at + '01:00:00'::interval)".to_owned());
    assert!(judged(ordered(), &generated, &["local_at"]));
    assert!(!judged(ordered(), &generated, &["status"]));
}

#[test]
fn the_conflict_path_leaves_old_rows_alone() {
    let set = names(&["status"]);
    let upsert = Site { conflict_columns: Some(&set), ..site("x") };
    let expression = |rule: Rule, facts: &RelationFacts| {
        let guard = compile(&table("executions", vec![rejecting(rule)]), facts, &upsert).unwrap();
        (guard.judged[0].1, guard.expression.unwrap().contains("x.xmax OPERATOR(pg_catalog.=) 0"))
    };
    assert_eq!(expression(ordered(), &executions()), (Action::Reject, true));
    let when = Rule { when: Some(condition("status = 'done'", &["status"])), ..ordered() };
    assert_eq!(expression(when, &executions()), (Action::Reject, false));
    // Where it cannot be told whether the row is new, nobody is refused.
    let mut partitioned = executions();
    partitioned.kind = 'p';
    assert_eq!(expression(ordered(), &partitioned), (Action::Observe, false));
    let mut limited = executions();
    limited.reads_system_columns = false;
    assert_eq!(expression(ordered(), &limited), (Action::Observe, false));
}

#[test]
fn merge_spares_deletes_and_untouched_rows() {
    let set = names(&["status"]);
    let merge = Site { operation: Operation::Merge, server_version: 170_000, ..site("x") };
    let text = compiled(ordered(), &merge).expression.unwrap();
    assert!(
        text.starts_with("CASE WHEN merge_action() OPERATOR(pg_catalog.=) 'DELETE' THEN NULL WHEN x.tableoid "),
        "{text}"
    );
    let known = Site { conflict_columns: Some(&set), ..merge };
    let text = compiled(ordered(), &known).expression.unwrap();
    assert!(
        text.contains("CASE WHEN merge_action() OPERATOR(pg_catalog.=) 'INSERT' THEN CASE WHEN x.created_at"),
        "{text}"
    );
}

#[test]
fn a_rule_that_cannot_judge_does_not_stop_the_others() {
    let skipped = |change: fn(&mut RelationFacts), other: Rule, site: &Site<'_>| {
        let mut facts = executions();
        change(&mut facts);
        let strict = rule(Kind::Order(order(&["created_at", "started_at"])));
        let guard = compile(&table("executions", vec![other, strict]), &facts, site).unwrap();
        assert_eq!(guard.judged, [(1, Action::Observe)]);
        match guard.skipped[..] {
            [(0, Skip::Unguardable(reason))] => reason,
            _ => panic!("{:?}", guard.skipped),
        }
    };
    let plain = site("x");
    let copy = Site { operation: Operation::Copy, channel: Channel::CopyWhere, ..site("executions") };
    let with_parent = || rule(Kind::Parent(parent()));
    let locked = || rule(Kind::Parent(Parent { lock_parent: true, ..parent() }));
    let also = names(&["jobs"]);
    for (reason, found) in [
        (Reason::NoSelectPrivilege, skipped(|f| f.columns[5].can_select = false, ordered(), &plain)),
        (Reason::ColumnMissing, skipped(|f| f.columns.truncate(5), ordered(), &plain)),
        (Reason::ColumnType, skipped(|_| (), rule(Kind::Order(order(&["local_at", "created_at"]))), &plain)),
        (Reason::ColumnType, skipped(|_| (), rule(Kind::Order(order(&["created_at", "status"]))), &plain)),
        (Reason::ColumnType, skipped(|_| (), rule(Kind::Order(order(&["created_at", "end_us"]))), &plain)),
        (Reason::ColumnType, skipped(|f| f.columns[5].virtual_generated = true, ordered(), &plain)),
        (Reason::Parent, skipped(|f| f.parents.clear(), with_parent(), &plain)),
        (Reason::Parent, skipped(|f| f.parents[0].row_security = true, with_parent(), &plain)),
        (Reason::Parent, skipped(|f| f.parents[0].columns[1].can_select = false, with_parent(), &plain)),
        (
            Reason::Parent,
            skipped(|f| f.parents[0].columns.iter_mut().for_each(|c| c.can_update = false), locked(), &plain),
        ),
        (Reason::ColumnType, skipped(|f| f.parents[0].columns[0].type_name = "uuid".to_owned(), with_parent(), &plain)),
        (Reason::ParentSameStatement, skipped(|_| (), with_parent(), &Site { also_written: &also, ..site("x") })),
        (Reason::CopySubquery, skipped(|_| (), with_parent(), &copy)),
    ] {
        assert_eq!(found, reason);
    }
}

#[test]
fn all_or_nothing_where_the_table_says_so() {
    let local = || rule(Kind::Order(order(&["local_at", "created_at"])));
    let rules = || vec![ordered(), local()];
    let strict =
        |rules| crate::rules::set::TableRules { unguardable: OnUnguardable::Reject, ..table("executions", rules) };
    assert!(compile(&table("executions", rules()), &executions(), &site("x")).is_ok());
    assert_eq!(compile(&table("executions", vec![local()]), &executions(), &site("x")), Err(Reason::ColumnType));
    assert_eq!(compile(&strict(rules()), &executions(), &site("x")), Err(Reason::ColumnType));
    // A rule that does not concern the write is no reason to refuse it.
    let set = names(&["started_at"]);
    assert!(compile(&strict(rules()), &executions(), &update(&set)).is_ok());
    let set = names(&["status"]);
    assert_eq!(compile(&strict(rules()), &executions(), &update(&set)).unwrap().expression, None);
}

#[test]
fn copy_refuses_nothing_before_a_trigger_repaired_it() {
    let copy = Site { operation: Operation::Copy, channel: Channel::CopyWhere, ..site("executions") };
    let mut facts = executions();
    facts.before_insert_trigger = true;
    let guard = compile(&table("executions", vec![rejecting(ordered())]), &facts, &copy).unwrap();
    assert_eq!(guard.judged, [(0, Action::Observe)]);
    assert_eq!(guard.skipped, [(0, Skip::Unguardable(Reason::CopyTrigger))]);
}

#[test]
fn silenced_notices_leave_only_refusals() {
    let notice = Site { channel: Channel::Notice, notices: false, ..site("x") };
    assert_eq!(refused(&executions(), &notice), Some(Reason::NoticesSilenced));
    assert_eq!(compiled(rejecting(ordered()), &notice).judged, [(0, Action::Reject)]);
}

#[test]
fn the_kill_switch_refuses_nothing() {
    let guard = compiled(rejecting(ordered()), &Site { observe_only: true, ..site("x") });
    assert_eq!(guard.judged, [(0, Action::Observe)]);
    assert!(!guard.expression.unwrap().contains("int4in"));
}

#[test]
fn knows_its_relation_by_every_name() {
    let identity = |change: fn(&mut RelationFacts)| {
        let mut facts = executions();
        change(&mut facts);
        let text = compile(&table("executions", vec![ordered()]), &facts, &site("x")).unwrap().expression.unwrap();
        text.split(" THEN ").next().unwrap().to_owned()
    };
    assert_eq!(identity(|_| ()), "CASE WHEN x.tableoid OPERATOR(pg_catalog.=) 16402");
    assert_eq!(
        identity(|f| f.tableoids = vec![16402, 7]),
        "CASE WHEN x.tableoid OPERATOR(pg_catalog.=) ANY ('{16402,7}'::pg_catalog.oid[])"
    );
    assert_eq!(
        identity(|f| (f.kind, f.tableoids, f.partition_root) = ('p', vec![16402, 7], Some(5))),
        "CASE WHEN x.tableoid OPERATOR(pg_catalog.=) ANY ('{16402,7}'::pg_catalog.oid[]) OR \
         pg_catalog.pg_partition_root(x.tableoid)::pg_catalog.oid OPERATOR(pg_catalog.=) 5"
    );
    assert_eq!(
        identity(|f| (f.kind, f.tableoids, f.partition_root) = ('p', (1..99).collect(), Some(5))),
        "CASE WHEN pg_catalog.pg_partition_root(x.tableoid)::pg_catalog.oid OPERATOR(pg_catalog.=) 5"
    );
    // Neither a view nor a role with privileges on columns only can name tableoid.
    for change in [(|f| f.kind = 'v') as fn(&mut RelationFacts), |f| f.reads_system_columns = false] {
        assert!(identity(change).starts_with("pg_catalog.concat(CASE WHEN x.created_at"));
    }
}

#[test]
fn remembers_which_defaults_are_the_clock() {
    let mut facts = executions();
    facts.columns[3].default = Some("now()".to_owned());
    facts.columns[4].default = Some("'2000-01-01 00:00:00+00'::timestamptz".to_owned());
    let clocks = |columns: Option<&[String]>, operation| {
        let site = Site { operation, columns, ..site("x") };
        compile(&table("executions", vec![ordered()]), &facts, &site).unwrap().context.clock_defaults
    };
    let (without, with) = (names(&["id", "completed_at"]), names(&["created_at"]));
    assert_eq!(clocks(Some(&without), Operation::Insert), [("created_at".to_owned(), "now()".to_owned())]);
    assert_eq!(clocks(Some(&with), Operation::Insert), []);
    assert_eq!(clocks(None, Operation::Insert), []);
    assert_eq!(clocks(Some(&without), Operation::Update), []);
}

#[test]
fn judges_stored_rows_without_a_channel() {
    let sql = |rule: Rule| violated(&rule, &executions(), "r", None).unwrap();
    assert_eq!(
        sql(rule(Kind::Order(order(&["created_at", "started_at"])))),
        "r.created_at OPERATOR(pg_catalog.>) r.started_at"
    );
    let when = Rule { when: Some(condition("status = 'done'", &["status"])), ..rule(Kind::Parent(parent())) };
    assert_eq!(
        sql(when),
        "CASE WHEN r.status = 'done' THEN EXISTS (SELECT 1 FROM \"public\".jobs cg_p WHERE cg_p.id OPERATOR(pg_catalog.=) r.job_id AND \
         (cg_p.created_at OPERATOR(pg_catalog.=) r.created_at OR r.created_at OPERATOR(pg_catalog.<) cg_p.created_at)) END"
    );
}
