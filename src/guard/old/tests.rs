use std::fmt::Write as _;

use super::*;
use crate::{
    guard::{
        Channel, Guard, Skip, compile,
        testing::{relation, rule, site, table},
    },
    rules::set::{Action, Monotonic, Transitions, WriteOnce},
};

const COLUMNS: [(&str, &str); 8] = [
    ("id", "int8"),
    ("name", "text"),
    ("status", "text"),
    ("started_at", "timestamptz"),
    ("updated_at", "timestamptz"),
    ("tries", "int4"),
    ("cost", "numeric"),
    ("load", "float8"),
];

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|name| (*name).to_owned()).collect()
}

fn once(columns: &[&str]) -> Rule {
    rule(Kind::WriteOnce(WriteOnce { columns: names(columns) }))
}

fn grows(columns: &[&str]) -> Rule {
    rule(Kind::Monotonic(Monotonic { columns: names(columns) }))
}

fn states(initial: Option<&[&str]>) -> Rule {
    let allow = vec![("queued".to_owned(), names(&["running"])), ("running".to_owned(), names(&["it's", "b\\s"]))];
    rule(Kind::Transitions(Transitions { column: "status".to_owned(), allow, initial: initial.map(names) }))
}

fn update(columns: &[String]) -> Site<'_> {
    Site { operation: Operation::Update, columns: Some(columns), ..site("x") }
}

fn compiled(rules: Vec<Rule>, site: &Site<'_>) -> Guard {
    compile(&table("jobs", rules), &relation("jobs", &COLUMNS), site).unwrap()
}

fn refused(site: &Site<'_>, change: impl Fn(&mut RelationFacts)) -> Option<Reason> {
    let mut facts = relation("jobs", &COLUMNS);
    change(&mut facts);
    compile(&table("jobs", vec![once(&["started_at"])]), &facts, site).err()
}

/// Every guard text and every record as they are sent. To accept a change: `UPDATE_SNAPSHOTS=1 cargo test --lib guard::old`.
#[test]
fn texts_are_as_recorded() {
    let set = names(&["status", "started_at", "updated_at", "tries", "cost", "load"]);
    let (update, upsert) = (update(&set), Site { conflict_columns: Some(&set), ..site("x") });
    let merge = Site { operation: Operation::Merge, server_version: 170_000, ..upsert.clone() };
    let no_where = OldPlaces { condition: false, ..update.old };
    let sites = [
        ("18", Site { server_version: 180_000, ..update.clone() }),
        ("18, upsert", Site { server_version: 180_000, ..upsert.clone() }),
        ("18, merge", Site { server_version: 180_000, ..merge.clone() }),
        ("condition", update.clone()),
        ("assignment", Site { old: no_where, ..update.clone() }),
        ("assignment, notice", Site { old: no_where, channel: Channel::Notice, ..update }),
        ("upsert", upsert.clone()),
        ("upsert, notice", Site { channel: Channel::Notice, ..upsert }),
        ("17, merge", merge),
        ("insert", site("x")),
        ("copy", Site { operation: Operation::Copy, channel: Channel::CopyWhere, ..site("x") }),
    ];
    let mut all = String::new();
    for (how, site) in &sites {
        for rules in [
            vec![once(&["started_at", "name"])],
            vec![grows(&["updated_at", "tries", "cost", "load"])],
            vec![states(None)],
            vec![states(Some(&["queued"]))],
            vec![once(&["started_at"]), Rule { on_violation: Action::Reject.into(), ..grows(&["tries"]) }],
        ] {
            let kinds: Vec<&str> = rules.iter().map(|rule| rule.kind.as_str()).collect();
            let guard = compiled(rules, site);
            let Some(expression) = guard.expression else {
                assert!(guard.skipped.iter().all(|(_, skip)| *skip == Skip::Untouched) && guard.old_row.is_none());
                continue;
            };
            assert!(expression.is_ascii());
            writeln!(all, "-- {how}, {}\n{expression}", kinds.join(" and ")).unwrap();
            match guard.old_row {
                Some(OldRow::Alias(name)) => writeln!(all, "   OLD AS {name}").unwrap(),
                Some(OldRow::Condition(sql)) => writeln!(all, "   WHERE {sql}").unwrap(),
                Some(OldRow::Assignment(sql)) => writeln!(all, "   SET {sql}").unwrap(),
                None => assert!(matches!(*how, "insert" | "copy"), "{how}"),
            }
        }
    }
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/guard/old/snapshots.sql");
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(file, &all).unwrap();
    }
    assert_eq!(all, std::fs::read_to_string(file).unwrap());
}

#[test]
fn rows_that_are_new_have_nothing_to_remember() {
    for site in [site("x"), Site { operation: Operation::Copy, channel: Channel::CopyWhere, ..site("x") }] {
        let guard = compiled(vec![once(&["started_at"]), grows(&["tries"]), states(None)], &site);
        assert_eq!(guard.expression, None);
        assert_eq!(guard.skipped, [0, 1, 2].map(|number| (number, Skip::Untouched)));
        let guard = compiled(vec![states(Some(&["queued"]))], &site);
        assert_eq!((guard.judged.len(), guard.old_row), (1, None));
    }
    // An upsert that leaves the column alone.
    let set = names(&["name"]);
    let upsert = Site { conflict_columns: Some(&set), ..site("x") };
    assert_eq!(compiled(vec![once(&["started_at"])], &upsert).expression, None);
    assert!(compiled(vec![states(Some(&["queued"]))], &upsert).expression.is_some());
    // So does a MERGE without UPDATE.
    let merge = Site { operation: Operation::Merge, server_version: 170_000, ..site("x") };
    assert_eq!(compiled(vec![once(&["started_at"])], &merge).expression, None);
}

#[test]
fn an_update_that_sets_none_of_the_columns_is_not_judged() {
    let set = names(&["name"]);
    let guard = compiled(vec![once(&["started_at"])], &update(&set));
    assert_eq!((guard.expression, guard.old_row), (None, None));
    let mut triggered = relation("jobs", &COLUMNS);
    triggered.before_update_trigger = true;
    let guard = compile(&table("jobs", vec![once(&["started_at"])]), &triggered, &update(&set)).unwrap();
    assert!(guard.expression.is_some());
}

#[test]
fn why_there_is_no_old_row() {
    let set = names(&["started_at"]);
    let update = update(&set);
    let old = update.old;
    assert_eq!(refused(&update, |_| ()), None);
    assert_eq!(refused(&Site { may_set_config: false, ..update.clone() }, |_| ()), Some(Reason::SetConfig));
    let newer = Site { server_version: 180_000, may_set_config: false, ..update.clone() };
    assert_eq!(refused(&newer, |_| ()), None);
    assert_eq!(refused(&Site { old: OldPlaces { alias: None, ..old }, ..newer }, |_| ()), Some(Reason::OldRow));
    let behind = Site {
        server_version: 180_000,
        old: OldPlaces { condition: false, assignment: false, ..old },
        ..update.clone()
    };
    assert_eq!(refused(&behind, |_| ()), None);
    assert_eq!(
        refused(&behind, |f| f.before_update_trigger = true),
        Some(Reason::OldRow),
        "RETURNING has another version then"
    );
    let assigned = Site { old: OldPlaces { condition: false, ..old }, ..update.clone() };
    assert_eq!(refused(&assigned, |_| ()), None);
    assert_eq!(refused(&assigned, |f| f.columns.truncate(4)), None, "name and status are left");
    assert_eq!(
        refused(&assigned, |f| f.entangled = names(&["id", "name", "status", "updated_at", "tries", "cost", "load"])),
        Some(Reason::OldRow)
    );
    let locked: fn(&mut RelationFacts) = |f| f.columns.iter_mut().for_each(|c| c.can_update = c.name == "started_at");
    assert_eq!(refused(&assigned, locked), Some(Reason::OldRow));
    assert_eq!(refused(&update, locked), None);
    let secured = Site { reads_target: true, ..update.clone() };
    assert_eq!(
        refused(&secured, |f| (f.row_security, f.entangled) =
            (true, names(&["name", "status", "updated_at", "tries", "cost", "load"]))),
        Some(Reason::OldRow)
    );
    let nowhere = Site { old: OldPlaces::default(), ..update };
    assert_eq!(refused(&nowhere, |_| ()), Some(Reason::OldRow));
    // An upsert whose key is not known, where a trigger may drop what was recorded.
    let upsert = Site { conflict_columns: Some(&set), ..site("x") };
    assert_eq!(refused(&upsert, |f| f.primary_key.clear()), None);
    assert_eq!(
        refused(&upsert, |f| (f.primary_key, f.before_update_trigger) = (Vec::new(), true)),
        Some(Reason::OldRow)
    );
    assert_eq!(refused(&upsert, |f| f.before_update_trigger = true), None);
}

#[test]
fn the_column_that_is_assigned_to_itself() {
    let set = names(&["started_at", "status"]);
    let site = Site { old: OldPlaces { condition: false, ..site("x").old }, ..update(&set) };
    let spare = |change: fn(&mut RelationFacts)| {
        let mut facts = relation("jobs", &COLUMNS);
        change(&mut facts);
        spare_column(&facts, &site).map(str::to_owned)
    };
    assert_eq!(spare(|_| ()).as_deref(), Some("updated_at"), "of a fixed size, and not set");
    assert_eq!(spare(|f| f.entangled.push("updated_at".to_owned())).as_deref(), Some("tries"));
    assert_eq!(spare(|f| f.columns[4].generated = true), None, "generated from nobody knows what");
    assert_eq!(spare(|f| f.columns[4].can_select = false).as_deref(), Some("tries"));
    assert_eq!(spare(|f| f.columns[4].identity_always = true).as_deref(), Some("tries"));
    let generated: fn(&mut RelationFacts) = |f| {
        f.columns[4].generated = true;
        f.columns[4].default = Some("tries + 1".to_owned());
    };
    assert_eq!(spare(generated).as_deref(), Some("load"));
    assert_eq!(spare(|f| f.columns.truncate(4)).as_deref(), Some("name"));
    assert_eq!(spare(|f| f.columns.truncate(1)), None);
}

#[test]
fn what_was_recorded_is_only_believed_of_the_same_row() {
    let sure = |columns: &[&str], change: fn(&mut RelationFacts)| {
        let (set, mut facts) = (names(columns), relation("jobs", &COLUMNS));
        change(&mut facts);
        let guard = compile(&table("jobs", vec![once(&["started_at"])]), &facts, &update(&set)).unwrap();
        guard.expression.unwrap().contains("ELSE pg_catalog.concat('?;')")
    };
    assert!(sure(&["started_at"], |_| ()));
    assert!(!sure(&["started_at", "id"], |_| ()), "the statement moves the key");
    assert!(!sure(&["started_at"], |f| f.primary_key.clear()));
    assert!(!sure(&["started_at"], |f| f.columns[0].can_select = false));
}
