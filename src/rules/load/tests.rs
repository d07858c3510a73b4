use proptest::prelude::*;

use super::*;
use crate::{
    rules::set::{Action, Kind, Matches, Network, OnUnguardable, Ramp, Rule, Span, Unit},
    sql::write::Operation,
};

/// Everything of DESIGN 6.2 that this version has.
const FULL: &str = r#"version: 1
tables:
  - table: public.executions
    owner: runner-team
    description: what the runner did
    runbook: https://wiki/executions
    unguardable: reject
    on_violation: warn
    units: {start_ts: ms}
    timezone: Europe/Berlin
    rules:
      - name: executions_order
        order: [created_at, started_at, completed_at]
        tolerance: 5ms
        on_violation: reject
        severity: page
        hint: set created_at to started_at
        description: times follow each other
        always: true
        when: "Status <> 'imported'"
      - name: executions_gap
        order: [start_ts, "\"endTs\""]
        unit: us
        timezone: UTC
        min_gap: 1ms
        max_gap: 1h30m
      - name: executions_strict
        order: [start_ts, started_at]
        strict: true
      - name: executions_no_reuse
        parent:
          table: Jobs
          join: {job_id: id, tenant: tenant}
          not_reused: {created_at: created_at}
          not_before: {started_at: created_at}
          tolerance: 250ns
          lock_parent: true
      - name: executions_duration
        duration: {column: duration_us, start: started_at, end: completed_at, unit: us, tolerance: 1us}
      - name: executions_fresh
        near_now: {columns: [created_at], past: 5m, future: 5s}
        on_violation: observe
      - name: executions_sane
        plausible: {columns: [started_at, completed_at], after: 2000-01-01, before: "2100-01-01T12:00:00+02:00"}
      - name: executions_done_has_end
        when: "status IN ('completed','failed')"
        require: {not_null: [completed_at], null: [error]}
      - name: executions_short
        check: "executions.completed_at - started_at < interval '1 day'"
      - name: executions_start_once
        write_once: [started_at, "\"endTs\""]
      - name: executions_advance
        monotonic: [updated_at, start_ts]
        on_violation: observe
      - name: executions_states
        transitions: {column: status, allow: {queued: [running, queued], "running": [1, true], done: []}, initial: [queued]}
    tests:
      - name: negative
        setup: "INSERT INTO jobs VALUES (1)"
        sql: "INSERT INTO executions VALUES (1)"
        expect: {violations: [executions_order], rejected: true}
"#;

fn loaded(text: &str) -> Loaded {
    load_texts([("rules.yaml", text)]).unwrap_or_else(|all| panic!("{}", shown(&all)))
}

fn shown(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(ToString::to_string).collect()
}

fn rule<'a>(loaded: &'a Loaded, name: &str) -> &'a Rule {
    loaded.set.tables[0].rules.iter().find(|r| r.name == name).unwrap()
}

/// `(line, column, code)` of every error.
fn errors(text: &str) -> Vec<(u32, u32, &'static str)> {
    let all = load_texts([("rules.yaml", text)]).expect_err("there are mistakes");
    all.iter()
        .filter(|d| d.severity == Severity::Error)
        .map(|d| (d.place.line, d.place.column, d.code.as_str()))
        .collect()
}

const MS: u64 = 1_000_000;

#[test]
fn every_field_of_a_table_arrives() {
    let loaded = loaded(FULL);
    assert_eq!(loaded.counts, Counts { files: 1, tables: 1, rules: 12 });
    let table = &loaded.set.tables[0];
    assert_eq!((table.schema.as_str(), table.table.as_str()), ("public", "executions"));
    assert_eq!(table.owner.as_deref(), Some("runner-team"));
    assert_eq!(table.description.as_deref(), Some("what the runner did"));
    assert_eq!(table.runbook.as_deref(), Some("https://wiki/executions"));
    assert_eq!(table.unguardable, OnUnguardable::Reject);
    assert_eq!((table.place.line, table.place.column), (3, 12));
    assert_eq!(loaded.set.hash.len(), 16);
    let codes: Vec<_> = loaded.warnings.iter().map(|d| (d.place.line, d.code.as_str())).collect();
    let expected = [(32, "folded-name"), (49, "check-not-total"), (56, "no-effect")];
    assert_eq!(codes, expected, "{}", shown(&loaded.warnings));
}

#[test]
fn every_field_of_a_rule_arrives() {
    let loaded = loaded(FULL);
    let order = rule(&loaded, "executions_order");
    assert_eq!(order.on_violation, Action::Reject.into());
    assert_eq!(order.severity.as_deref(), Some("page"));
    assert_eq!(order.hint.as_deref(), Some("set created_at to started_at"));
    assert_eq!(order.description.as_deref(), Some("times follow each other"));
    assert!(order.always);
    let when = order.when.as_ref().unwrap();
    assert_eq!(
        (when.text.as_str(), when.columns.as_slice()),
        ("Status <> 'imported'", ["status".to_owned()].as_slice())
    );
    assert_eq!(order.units.get("start_ts"), Some(&Unit::Ms));
    assert_eq!(order.timezone.as_deref(), Some("Europe/Berlin"));
    assert_eq!((order.place.line, order.place.column), (12, 15));
    assert_eq!(order.columns(), ["created_at", "started_at", "completed_at", "status"]);
    // The rule's own action over the table's, the table's over observe.
    assert_eq!(rule(&loaded, "executions_fresh").on_violation, Action::Observe.into());
    assert_eq!(rule(&loaded, "executions_gap").on_violation, Action::Warn.into());
}

#[test]
fn every_field_of_order_arrives() {
    let loaded = loaded(FULL);
    let Kind::Order(order) = &rule(&loaded, "executions_order").kind else { panic!() };
    assert_eq!(order.columns, ["created_at", "started_at", "completed_at"]);
    assert_eq!((order.tolerance, order.strict), (Span { nanos: 5 * MS }, false));
    let gap = rule(&loaded, "executions_gap");
    assert_eq!(gap.timezone.as_deref(), Some("UTC"));
    assert_eq!((gap.units["start_ts"], gap.units["endTs"]), (Unit::Us, Unit::Us));
    let Kind::Order(order) = &gap.kind else { panic!() };
    assert_eq!(order.columns, ["start_ts", "endTs"]);
    assert_eq!(order.min_gap, Some(Span { nanos: MS }));
    assert_eq!(order.max_gap, Some(Span { nanos: 5_400_000 * MS }));
    let Kind::Order(order) = &rule(&loaded, "executions_strict").kind else { panic!() };
    assert!(order.strict && order.min_gap.is_none() && order.max_gap.is_none() && order.tolerance.nanos == 0);
}

#[test]
fn every_field_of_the_other_kinds_arrives() {
    let loaded = loaded(FULL);
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    let Kind::Parent(parent) = &rule(&loaded, "executions_no_reuse").kind else { panic!() };
    assert_eq!((parent.schema.as_str(), parent.table.as_str()), ("public", "jobs"));
    assert_eq!(parent.join, [pair("job_id", "id"), pair("tenant", "tenant")]);
    assert_eq!(parent.not_reused, [pair("created_at", "created_at")]);
    assert_eq!(parent.not_before, [pair("started_at", "created_at")]);
    assert_eq!((parent.tolerance.nanos, parent.lock_parent), (250, true));
    let Kind::Duration(d) = &rule(&loaded, "executions_duration").kind else { panic!() };
    assert_eq!((d.column.as_str(), d.start.as_str(), d.end.as_str()), ("duration_us", "started_at", "completed_at"));
    assert_eq!((d.unit, d.tolerance.nanos), (Unit::Us, 1_000));
    let Kind::NearNow(near) = &rule(&loaded, "executions_fresh").kind else { panic!() };
    assert_eq!(near.columns, ["created_at"]);
    assert_eq!((near.past.unwrap().nanos, near.future.unwrap().nanos), (300_000 * MS, 5_000 * MS));
    let Kind::Plausible(sane) = &rule(&loaded, "executions_sane").kind else { panic!() };
    assert_eq!(sane.after.to_string(), "2000-01-01T00:00:00Z");
    assert_eq!(sane.before.to_string(), "2100-01-01T10:00:00Z");
    let Kind::Require(require) = &rule(&loaded, "executions_done_has_end").kind else { panic!() };
    assert_eq!(
        (require.not_null.as_slice(), require.null.as_slice()),
        (["completed_at".to_owned()].as_slice(), ["error".to_owned()].as_slice())
    );
    let Kind::Check(check) = &rule(&loaded, "executions_short").kind else { panic!() };
    assert_eq!(check.columns, ["completed_at", "started_at"]);
    let Kind::WriteOnce(once) = &rule(&loaded, "executions_start_once").kind else { panic!() };
    assert_eq!(once.columns, ["started_at", "endTs"]);
    let Kind::Monotonic(monotonic) = &rule(&loaded, "executions_advance").kind else { panic!() };
    assert_eq!(monotonic.columns, ["updated_at", "start_ts"]);
    let Kind::Transitions(states) = &rule(&loaded, "executions_states").kind else { panic!() };
    let allow: Vec<(&str, Vec<&str>)> =
        states.allow.iter().map(|(from, to)| (from.as_str(), to.iter().map(String::as_str).collect())).collect();
    assert_eq!(allow, [("queued", vec!["running", "queued"]), ("running", vec!["1", "true"]), ("done", vec![])]);
    assert_eq!((states.column.as_str(), states.initial.as_deref()), ("status", Some(&["queued".to_owned()][..])));
}

#[test]
fn a_rule_that_refuses_who_waited_is_warned_of() {
    let warned = |rest: &str| {
        let loaded = loaded(&one_rule(rest));
        loaded.warnings.iter().map(|d| (d.place.column, d.code.as_str())).collect::<Vec<_>>()
    };
    assert_eq!(warned("{name: a, monotonic: [b], on_violation: reject}"), [(19, "monotonic-rejects")]);
    assert_eq!(warned("{name: a, monotonic: [b], on_violation: reject, unit: us}"), []);
    assert_eq!(warned("{name: a, monotonic: [b], on_violation: warn}"), []);
    assert_eq!(warned("{name: a, write_once: [b], on_violation: reject}"), []);
}

#[test]
fn twelve_mistakes_are_twelve_errors() {
    let text = r#"version: 2
tables:
  - table: a.b.c
    on_violation: rejct
    unguardble: pass
    rules:
      - name: Bad-Name
        order: [created_at]
        tolerance: 5
      - name: second
        near_now: {columns: [created_at]}
      - name: third
        plausible: {columns: [x], after: 2100-01-01, before: 2000-01-01}
      - order: [a, b]
        check: "a = (SELECT 1)"
      - name: fifth
        deadline: {max: 1m}
      - name: sixth
        require: {not_null: [a], null: [a]}
"#;
    assert_eq!(
        errors(text),
        [
            (1, 10, "bad-value"),
            (3, 12, "bad-value"),
            (4, 19, "bad-value"),
            (5, 5, "unknown-key"),
            (7, 15, "bad-value"),
            (8, 16, "bad-value"),
            (9, 20, "bad-value"),
            (11, 19, "missing-key"),
            (13, 62, "conflict"),
            (14, 9, "missing-key"),
            (15, 9, "conflict"),
            (15, 16, "bad-sql"),
            (17, 9, "not-supported-yet"),
            (19, 18, "conflict"),
        ]
    );
}

/// One rule in the place of `…`, which starts at line 5, column 9.
fn one_rule(rest: &str) -> String {
    format!("version: 1\ntables:\n- table: t\n  rules:\n      - {rest}\n")
}

#[test]
fn mistakes_of_kinds() {
    for (rest, column, code) in [
        ("{name: a}", 9, "missing-key"),
        ("{name: a, ordr: [a, b]}", 19, "unknown-key"),
        ("{name: a, order: a}", 26, "wrong-type"),
        ("{name: a, order: [a, a]}", 30, "bad-value"),
        ("{name: a, order: [a, b], min_gap: 1s, tolerance: 1s}", 47, "conflict"),
        ("{name: a, order: [a, b], min_gap: 1s, strict: true}", 47, "conflict"),
        ("{name: a, order: [a, b], min_gap: 2s, max_gap: 1s}", 56, "conflict"),
        ("{name: a, order: [a, b], past: 1s}", 34, "unknown-key"),
        ("{name: a, order: [a, b], strict: yes}", 42, "wrong-type"),
        ("{name: a, order: [a, b], timezone: CET}", 44, "bad-value"),
        ("{name: a, order: [a, b], unit: h}", 40, "bad-value"),
        ("{name: a, order: [a, b], on_violation: reject, ramp: 0%}", 62, "bad-value"),
        ("{name: a, order: [a, b], on_violation: reject, ramp: 101%}", 62, "bad-value"),
        ("{name: a, order: [a, b], on_violation: reject, ramp: 5}", 62, "bad-value"),
        ("{name: a, order: [a, b], on_violation: reject, ramp: 0.005%}", 62, "bad-value"),
        ("{name: a, order: [a, b], on_violation: reject, ramp: [5%]}", 62, "wrong-type"),
        ("{name: a, order: [a, b], on_violation: reject, since: 2027-02-30}", 63, "bad-value"),
        ("{name: a, order: [a, b], on_violation: reject, since: 2027-02-03T10:00:00}", 63, "bad-value"),
        ("{name: a, order: [a, b], on_violation: exempt}", 48, "bad-value"),
        ("{name: a, order: [a, b], on_violation: [reject]}", 48, "wrong-type"),
        ("{name: a, order: [a, b], on_violation: {}}", 48, "bad-value"),
        ("{name: a, order: [a, b], on_violation: {insert: wrn}}", 57, "bad-value"),
        ("{name: a, order: [a, b], on_violation: {isnert: warn}}", 49, "unknown-key"),
        ("{name: a, order: [a, b], on_violation: {delete: warn}}", 49, "unknown-key"),
        ("{name: a, affects_rows: {min: 1}}", 33, "missing-key"),
        ("{name: a, affects_rows: {operations: []}}", 46, "bad-value"),
        ("{name: a, affects_rows: {operations: [delete]}}", 47, "bad-value"),
        ("{name: a, affects_rows: {operations: [update], min: 0}}", 61, "bad-value"),
        ("{name: a, affects_rows: {operations: [update], max: 1}}", 56, "unknown-key"),
        ("{name: a, affects_rows: {operations: [update]}, when: a}", 57, "conflict"),
        ("{name: a, affects_rows: {operations: [update]}, always: true}", 57, "conflict"),
        ("{name: a, affects_rows: {operations: [update]}, ramp: 5%}", 57, "conflict"),
        ("{name: a, affects_rows: {operations: [update]}, on_violation: reject}", 57, "conflict"),
        ("{name: a, affects_rows: {operations: [update]}, on_violation: {update: reject}}", 57, "conflict"),
        ("{name: a, write_once: []}", 31, "bad-value"),
        ("{name: a, write_once: [a, a]}", 35, "bad-value"),
        ("{name: a, write_once: a}", 31, "wrong-type"),
        ("{name: a, write_once: [a], unit: us}", 36, "unknown-key"),
        ("{name: a, monotonic: {a: b}}", 30, "wrong-type"),
        ("{name: a, monotonic: [a], tolerance: 1s}", 35, "unknown-key"),
        ("{name: a, write_once: [a], monotonic: [a]}", 36, "conflict"),
        ("{name: a, transitions: {column: s}}", 32, "missing-key"),
        ("{name: a, transitions: {allow: {a: [b]}}}", 32, "missing-key"),
        ("{name: a, transitions: {column: s, allow: {}}}", 51, "bad-value"),
        ("{name: a, transitions: {column: s, allow: [a]}}", 51, "wrong-type"),
        ("{name: a, transitions: {column: s, allow: {a: b}}}", 55, "wrong-type"),
        ("{name: a, transitions: {column: s, allow: {a: [b, b]}}}", 59, "bad-value"),
        ("{name: a, transitions: {column: s, allow: {a: [[b]]}}}", 56, "wrong-type"),
        ("{name: a, transitions: {column: s, allow: {a: [b], a: [c]}}}", 60, "duplicate-key"),
        ("{name: a, transitions: {column: s, allow: {a: [b]}, initial: []}}", 70, "bad-value"),
        ("{name: a, transitions: {column: s, allow: {a: [\"b\\nc\"]}}}", 56, "bad-value"),
        ("{name: a, transitions: {column: s, allow: {a: [b]}, start: [a]}}", 61, "unknown-key"),
        ("{name: a, deadline: {max: 1s}}", 19, "not-supported-yet"),
        ("{name: a, duration: {column: a, start: b, end: c}}", 29, "missing-key"),
        ("{name: a, duration: {column: a, start: b, end: b, unit: s}}", 29, "conflict"),
        ("{name: a, duration: {column: a, start: b, end: c, unit: s}, tolerance: 1s}", 69, "unknown-key"),
        ("{name: a, near_now: {columns: [], past: 1s}}", 39, "bad-value"),
        ("{name: a, plausible: {columns: [a], after: 2000-13-01, before: 2001-01-01}}", 52, "bad-value"),
        ("{name: a, plausible: {columns: [a], after: 2000-01-01T00:00:00, before: 2001-01-01}}", 52, "bad-value"),
        ("{name: a, plausible: {columns: [a], after: 2000-01-01}}", 30, "missing-key"),
        ("{name: a, require: {}}", 28, "missing-key"),
        ("{name: a, require: {not_null: [x]}, unit: s}", 45, "unknown-key"),
        ("{name: a, parent: {table: p, join: {a: b}}}", 27, "missing-key"),
        ("{name: a, parent: {table: p, join: {}, not_reused: {a: b}}}", 44, "bad-value"),
        ("{name: a, parent: {join: {a: b}, not_reused: {a: b}}}", 27, "missing-key"),
        ("{name: a, parent: {table: p, join: {a: b, a: c}, not_reused: {a: b}}}", 51, "duplicate-key"),
        ("{name: a, check: \"a = 1; x\"}", 26, "bad-sql"),
        ("{name: a, check: a, when: other.b}", 35, "bad-sql"),
        ("{name: a, check: a, name: b}", 29, "duplicate-key"),
        ("{name: a, check: a, hint: \"\"}", 35, "bad-value"),
        ("{name: 5, check: a}", 16, "wrong-type"),
        ("[a]", 9, "wrong-type"),
    ] {
        assert_eq!(errors(&one_rule(rest)), [(5, column, code)], "{rest}");
    }
}

#[test]
fn mistakes_of_files() {
    for (text, expected) in [
        ("", (1, 1, "missing-key")),
        ("- a\n", (1, 1, "wrong-type")),
        ("tables: []\n", (1, 1, "missing-key")),
        ("groups: []\nother: 5\n", (1, 1, "missing-key")),
        ("version: 1\n", (1, 1, "missing-key")),
        ("version: '1'\ntables: []\n", (1, 10, "bad-value")),
        ("version: 1\ntables: {}\n", (2, 9, "wrong-type")),
        ("version: 1\ntables: []\nexemptions: {}\n", (3, 13, "wrong-type")),
        ("version: 1\ntables: []\ntrusted_roles: migrator\n", (3, 16, "wrong-type")),
        ("version: 1\ntables: []\naudit_log: true\n", (3, 1, "not-supported-yet")),
        ("version: 1\ntables: []\nTests: []\n", (3, 1, "unknown-key")),
        ("version: 1\ntables:\n- table: t\n", (3, 3, "missing-key")),
        ("version: 1\ntables: []\ntests: [{name: a, sql: b, expect: {violations: [nobody]}}]\n", (3, 49, "bad-value")),
        ("version: 1\ntables: []\ntests: [{name: a, sql: b}]\n", (3, 9, "missing-key")),
        // A rule that is wrong exists all the same.
        (
            "version: 1\ntables: [{table: t, rules: [{name: r, check: 5}]}]\ntests: [{name: a, sql: b, expect: {violations: [r]}}]\n",
            (2, 46, "wrong-type"),
        ),
        ("version: 1\ntables: [\n", (2, 9, "yaml-syntax")),
    ] {
        assert_eq!(errors(text), [expected], "{text}");
    }
}

/// One exemption in the place of `…`, which starts at line 6, column 3, of the rule `r`.
fn one_exemption(rest: &str) -> String {
    format!("version: 1\ntables:\n- table: t\n  rules: [{{name: r, order: [a, b]}}]\nexemptions:\n- {rest}\n")
}

#[test]
fn mistakes_of_exemptions() {
    for (rest, column, code) in [
        ("{match: {role: m}, reason: b, expires: 2999-01-01}", 3, "missing-key"),
        ("{rules: [r], reason: b, expires: 2999-01-01}", 3, "missing-key"),
        ("{rules: [r], match: {role: m}, expires: 2999-01-01}", 3, "missing-key"),
        ("{rules: [r], match: {role: m}, reason: b}", 3, "missing-key"),
        ("{rules: [q], match: {role: m}, reason: b, expires: 2999-01-01}", 12, "bad-value"),
        ("{rules: [], match: {role: m}, reason: b, expires: 2999-01-01}", 11, "bad-value"),
        ("{rules: [r], match: {}, reason: b, expires: 2999-01-01}", 23, "missing-key"),
        ("{rules: [r], match: {user: m}, reason: b, expires: 2999-01-01}", 24, "unknown-key"),
        ("{rules: [r], match: {role: '*'}, reason: b, expires: 2999-01-01}", 30, "bad-value"),
        ("{rules: [r], match: {role: 5}, reason: b, expires: 2999-01-01}", 30, "wrong-type"),
        ("{rules: [r], match: {application_name: été}, reason: b, expires: 2999-01-01}", 42, "bad-value"),
        ("{rules: [r], match: {client: 10.0.0.0/33}, reason: b, expires: 2999-01-01}", 32, "bad-value"),
        ("{rules: [r], match: {client: 10.1.2.3/16}, reason: b, expires: 2999-01-01}", 32, "bad-value"),
        ("{rules: [r], match: {client: db.internal}, reason: b, expires: 2999-01-01}", 32, "bad-value"),
        ("{rules: [r], match: {role: m}, reason: '', expires: 2999-01-01}", 42, "bad-value"),
        ("{rules: [r], match: {role: m}, reason: b, expires: never}", 54, "bad-value"),
        ("{rules: [r], match: {role: m}, reason: b, expires: 2999-01-01, until: x}", 66, "unknown-key"),
    ] {
        assert_eq!(errors(&one_exemption(rest)), [(6, column, code)], "{rest}");
    }
}

#[test]
fn exemptions_arrive() {
    let text = one_exemption(
        "{rules: [r], match: {role: m*, database: app, application_name: 'backfill-*', client: 10.1.0.0/16}, reason: b, owner: o, expires: 2999-01-31}",
    ) + "- {rules: [r], match: {client: '2001:db8::1'}, reason: c, expires: \"2999-01-31T10:00:00+02:00\"}\ntrusted_roles: [m, n]\n";
    let loaded = loaded(&text);
    assert!(loaded.warnings.is_empty(), "{}", shown(&loaded.warnings));
    let [first, second] = &loaded.set.exemptions[..] else { panic!() };
    assert_eq!((first.rules.as_slice(), first.reason.as_str()), (["r".to_owned()].as_slice(), "b"));
    assert_eq!((first.owner.as_deref(), second.owner.as_deref()), (Some("o"), None));
    assert_eq!(first.expires.to_string(), "2999-01-31T00:00:00Z");
    assert_eq!(second.expires.to_string(), "2999-01-31T08:00:00Z");
    assert_eq!(
        first.matches,
        Matches {
            role: Some("m*".to_owned()),
            database: Some("app".to_owned()),
            application_name: Some("backfill-*".to_owned()),
            client: Some(Network { address: [10, 1, 0, 0].into(), prefix: 16 }),
        }
    );
    assert_eq!(second.matches.client.map(|n| n.prefix), Some(128));
    assert_eq!((first.place.line, first.place.column), (6, 3));
    assert_eq!(loaded.set.trusted_roles, ["m", "n"]);
}

#[test]
fn actions_of_kinds_of_write() {
    use Operation::{Copy, Insert, Merge, Update};
    let rule = |table: &str, rule: &str| {
        let text = format!("version: 1\ntables:\n- table: t\n{table}  rules: [{{name: r, order: [a, b]{rule}}}]\n");
        let loaded = loaded(&text);
        assert!(loaded.warnings.is_empty(), "{}", shown(&loaded.warnings));
        let actions = &loaded.set.tables[0].rules[0].on_violation;
        [Insert, Update, Merge, Copy].map(|operation| actions.action(operation).as_str())
    };
    let table = "  on_violation: {insert: reject, default: warn}\n";
    assert_eq!(rule("", ""), ["observe"; 4]);
    assert_eq!(rule("  on_violation: warn\n", ""), ["warn"; 4]);
    assert_eq!(rule(table, ""), ["reject", "warn", "warn", "warn"]);
    assert_eq!(rule(table, ", on_violation: observe"), ["observe"; 4]);
    assert_eq!(rule(table, ", on_violation: {copy: observe}"), ["reject", "warn", "warn", "observe"]);
    assert_eq!(
        rule(table, ", on_violation: {update: reject, default: observe}"),
        ["observe", "reject", "observe", "observe"]
    );
    assert_eq!(rule("", ", on_violation: {merge: warn}"), ["observe", "observe", "warn", "observe"]);
}

#[test]
fn ramp_and_since_arrive_and_go_with_an_action() {
    let one = |rest: &str| loaded(&one_rule(&format!("{{name: a, order: [a, b], {rest}}}")));
    for (text, basis_points) in [("5%", 500), ("0.25%", 25), ("100%", 10_000), ("'7.5 %'", 750)] {
        let loaded = one(&format!("on_violation: reject, ramp: {text}"));
        assert_eq!(rule(&loaded, "a").ramp, Some(Ramp { basis_points }), "{text}");
        assert!(loaded.warnings.is_empty());
    }
    let since = one("on_violation: warn, since: 2027-02-03");
    assert_eq!(rule(&since, "a").since.unwrap().to_string(), "2027-02-03T00:00:00Z");
    for rest in ["on_violation: warn, ramp: 5%", "since: 2027-02-03"] {
        let codes: Vec<_> = one(rest).warnings.iter().map(|d| d.code.as_str()).collect();
        assert_eq!(codes, ["no-effect"], "{rest}");
    }
}

#[test]
fn affects_rows_arrives_and_never_rejects() {
    let loaded =
        loaded(&one_rule("{name: a, affects_rows: {operations: [update, copy, update], min: 3}, on_violation: warn}"));
    let Kind::AffectsRows(rows) = &rule(&loaded, "a").kind else { panic!() };
    assert_eq!((rows.operations.as_slice(), rows.min), ([Operation::Update, Operation::Copy].as_slice(), 3));
    assert!(loaded.warnings.is_empty());
    // What other kinds of write do does not matter.
    let other = "{name: a, affects_rows: {operations: [update]}, on_violation: {insert: reject, default: warn}}";
    assert!(load_texts([("rules.yaml", one_rule(other).as_str())]).is_ok());
    // The table's own action is inherited, and as wrong.
    let text = "version: 1\ntables:\n- table: t\n  on_violation: reject\n  rules: [{name: a, affects_rows: {operations: [update]}}]\n";
    assert_eq!(errors(text), [(5, 21, "conflict")]);
}

#[test]
fn duplicates_across_files_name_both_places() {
    let table = |table: &str, rule: &str| {
        format!("version: 1\ntables:\n- table: {table}\n  rules:\n  - {{name: {rule}, check: a}}\n")
    };
    let (a, b) = (table("public.jobs", "one"), table("\"jobs\"", "one"));
    let all = load_texts([("a.yaml", a.as_str()), ("b.yaml", b.as_str())]).unwrap_err();
    let found: Vec<_> =
        all.iter().map(|d| (d.code.as_str(), d.location(), d.related[0].0.file.display().to_string())).collect();
    assert_eq!(
        found,
        [
            ("duplicate-table", "b.yaml:3:10".to_owned(), "a.yaml".to_owned()),
            ("duplicate-rule", "b.yaml:5:12".to_owned(), "a.yaml".to_owned()),
        ]
    );
    assert!(all.iter().all(|d| d.excerpt.is_some()));
}

#[test]
fn a_file_that_is_no_yaml_hides_nothing_in_the_others() {
    let all = load_texts([("a.yaml", "a: [\n"), ("b.yaml", "version: 2\ntables: []\n")]).unwrap_err();
    assert_eq!(all.iter().map(|d| d.code).collect::<Vec<_>>(), [Code::YamlSyntax, Code::BadValue]);
}

#[test]
fn directories_are_searched_and_files_named_twice_are_read_once() {
    let dir = tempfile::tempdir().unwrap();
    let text = |n: u8| format!("version: 1\ntables:\n- table: t{n}\n  rules:\n  - {{name: r{n}, check: a}}\n");
    std::fs::create_dir_all(dir.path().join("sub/..data")).unwrap();
    std::fs::write(dir.path().join("sub/b.yml"), text(1)).unwrap();
    std::fs::write(dir.path().join("a.yaml"), text(2)).unwrap();
    std::fs::write(dir.path().join("README.md"), "no rules").unwrap();
    std::fs::write(dir.path().join("sub/..data/b.yml"), text(1)).unwrap();
    let loaded = load(&[dir.path().to_owned(), dir.path().join("a.yaml")]).unwrap();
    let tables: Vec<_> = loaded.set.tables.iter().map(|t| t.table.as_str()).collect();
    assert_eq!(tables, ["t2", "t1"]);
    assert_eq!(loaded.counts.files, 2);
}

#[test]
fn presets_come_into_force_where_they_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let text = |n: u8| format!("version: 1\ntables:\n- table: t{n}\n  rules:\n  - {{name: r{n}, check: a}}\n");
    let presets = dir.path().join("sub/presets");
    std::fs::create_dir_all(&presets).unwrap();
    std::fs::write(dir.path().join("a.yaml"), text(1)).unwrap();
    std::fs::write(presets.join("b.yaml"), text(2)).unwrap();
    std::fs::write(presets.join("c.yaml"), text(3)).unwrap();
    let names = |set: RuleSet| set.tables.iter().map(|t| t.table.clone()).collect::<Vec<_>>().join(" ");
    let loaded = |paths: &[PathBuf]| names(load(paths).unwrap().set);
    let root = dir.path().to_owned();
    assert_eq!(loaded(std::slice::from_ref(&root)), "t1");
    assert_eq!(loaded(&[root.clone(), presets.join("c.yaml")]), "t1 t3");
    assert_eq!(loaded(&[root.clone(), presets.clone()]), "t1 t2 t3");
    assert_eq!(loaded(&[presets]), "t2 t3");
    // Who looks for mistakes sees all.
    assert_eq!(names(inspect(&[root]).set), "t1 t2 t3");
}

#[test]
fn what_cannot_be_read_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let missing = load(&[dir.path().join("none.yaml")]).unwrap_err();
    assert_eq!(missing[0].code, Code::Unreadable);
    let empty = load(&[dir.path().to_owned()]).unwrap();
    assert_eq!(empty.warnings[0].code, Code::NoEffect);
    std::fs::write(dir.path().join("x.yaml"), b"version: 1\n# \xff\n").unwrap();
    let not_utf8 = load(&[dir.path().to_owned()]).unwrap_err();
    assert!(not_utf8[0].message.contains("line 2"), "{}", not_utf8[0].message);
}

#[test]
fn the_hash_is_of_the_contents() {
    let hash = |name, text: &str| load_texts([(name, text)]).unwrap().set.hash;
    assert_eq!(hash("a.yaml", FULL), hash("elsewhere/b.yaml", FULL));
    assert_ne!(hash("a.yaml", FULL), hash("a.yaml", &format!("{FULL}# more\n")));
    assert_eq!(hash("a", "version: 1\ntables: []\n"), "e3a82c517eff3d13");
}

#[test]
fn windows_line_ends_and_byte_order_marks_are_read() {
    let text = format!("\u{feff}{}", one_rule("{name: a, order: [a]}").replace('\n', "\r\n"));
    assert_eq!(errors(&text), [(5, 26, "bad-value")]);
}

#[test]
fn ten_thousand_rules_load() {
    let mut text = String::from("version: 1\ntables:\n");
    for t in 0..1000 {
        text += &format!("- table: t{t}\n  rules:\n");
        for r in 0..10 {
            text += &format!(
                "  - name: t{t}_r{r}\n    order: [created_at, started_at, completed_at]\n    tolerance: 5ms\n    on_violation: reject\n"
            );
        }
    }
    assert_eq!(loaded(&text).counts.rules, 10_000);
}

/// The YAML blocks of a text in Markdown, each from its first line on.
fn yaml_blocks(markdown: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut inside: Option<String> = None;
    for line in markdown.lines() {
        match (&mut inside, line) {
            (None, "```yaml") => inside = Some(String::new()),
            (Some(_), "```") => blocks.extend(inside.take()),
            (Some(block), line) => *block += &format!("{line}\n"),
            (None, _) => {}
        }
    }
    blocks
}

#[test]
fn the_examples_of_the_manual_load() {
    let manual = include_str!("../../../docs/rules.md");
    let mut rules = 0;
    for block in yaml_blocks(manual) {
        let text = if block.starts_with("version:") {
            block
        } else if block.starts_with("schema:") || block.starts_with("exemptions:") {
            // It names the rule of the first example.
            format!("{}{block}", yaml_blocks(manual)[0])
        } else {
            let rules: String = block.lines().map(|line| format!("  {line}\n")).collect();
            format!("version: 1\ntables:\n- table: t\n  rules:\n{rules}")
        };
        rules += loaded(&text).counts.rules;
    }
    assert_eq!(rules, 6);
}

/// Pieces of rule files, for texts that get past the parser.
fn piece() -> impl Strategy<Value = String> {
    let words = vec![
        "version: 1",
        "tables:",
        "- table: t",
        "  rules:",
        "  - name: a",
        "    order: [a, b]",
        "    tolerance: 5ms",
        "&x",
        "*x",
        "<<: *x",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "null",
        "~",
        "parent:",
        "join: {a: b}",
        "require: {null: [a], not_null: }",
        "check: \"a\"",
        "when: |",
        "  a = 1",
        "#",
        "'",
        "\"",
        "!!int",
        "? ",
        "- ",
        "---",
        "...",
        "units: {a: us}",
        "duration: {column: a, start: b, end: c, unit: s}",
        "\t",
        "plausible: {columns: [a], after: 1, before: 2}",
        "write_once: [a]",
        "transitions: {column: a, allow: {1: [true, ~]}, initial: a}",
        "initial: [a]",
    ];
    prop::sample::select(words).prop_map(str::to_owned)
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut reading = Reading::default();
        reading.file(PathBuf::from("x.yaml"), &bytes);
        let inspected = reading.finish();
        to_all_formats(&inspected);
    }

    #[test]
    fn any_yaml_is_read_or_refused(pieces in prop::collection::vec((piece(), "[ \n]{0,8}"), 0..40)) {
        let text: String = pieces.into_iter().flat_map(|(a, b)| [a, b]).collect();
        to_all_formats(&inspect_texts([("x.yaml", text.as_str())]));
    }

    #[test]
    fn a_damaged_file_is_read_or_refused(at in 0..FULL.len(), with in any::<String>()) {
        let mut text = FULL.to_owned();
        if text.is_char_boundary(at) {
            text.insert_str(at, &with);
        }
        to_all_formats(&inspect_texts([("x.yaml", text.as_str())]));
        to_all_formats(&inspect_texts([("x.yaml", &FULL[..at])]));
    }
}

fn to_all_formats(inspected: &Inspected) {
    use crate::rules::diagnostic::{to_json, to_sarif, to_text};
    assert!(!to_text(&inspected.diagnostics, inspected.counts).is_empty());
    assert!(to_json(&inspected.diagnostics, inspected.counts).is_object());
    crate::rules::diagnostic::tests::assert_valid_sarif(&to_sarif(&inspected.diagnostics));
}
