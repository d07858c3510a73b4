use std::fmt::Write as _;

use super::*;
use crate::{
    guard::testing::{condition, relation, rule, site, table},
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
    rule.action = Action::Reject;
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
    for channel in [Channel::Column, Channel::Notice, Channel::CopyWhere] {
        for reject in [false, true] {
            for (name, rule) in rules() {
                let rule = if reject { rejecting(rule) } else { rule };
                let action = rule.action.as_str();
                let text = compiled(rule, &Site { channel, ..site("x") }).expression;
                let text = text.unwrap_or_else(|| "(not judged)".to_owned());
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
