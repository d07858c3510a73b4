//! Rules are replaced under open sessions; a bad file changes nothing.

use std::time::{Duration, Instant};

use super::*;
use crate::harness::{Proxy, cluster, metrics::http, talk::error};

#[test]
fn open_sessions_go_by_the_new_rules_everywhere() {
    let guarded = guarded("on_violation: observe", "");
    let mut talk = guarded.login();
    prepare(&mut talk);
    all(Done::Passed, &everywhere(&mut talk));
    for (action, done) in
        [("reject", Done::Refused), ("warn", Done::Warned), ("observe", Done::Passed), ("reject", Done::Refused)]
    {
        guarded.proxy.use_rules(&rules(&format!("on_violation: {action}"), ""));
        all(done, &everywhere(&mut talk));
    }
    // Without rules nothing is judged, and nothing is left of the guard.
    guarded.proxy.use_rules("version: 1\ntables: []\n");
    all(Done::Passed, &everywhere(&mut talk));
    let returned = talk.pipeline(&[fe::bind("", "by_parse", &[]), fe::describe_portal(""), fe::execute("", 0)]);
    assert_eq!(tags(&returned), "2nCZ");
    guarded.proxy.use_rules(&rules("on_violation: reject", ""));
    all(Done::Refused, &everywhere(&mut talk));
}

#[test]
fn the_answer_says_what_is_in_force_now() {
    let guarded = guarded("on_violation: observe", "");
    let hash = |samples: &crate::harness::metrics::Samples| {
        let info: Vec<_> = samples.0.iter().filter(|s| s.name == "chronoguard_config_info").collect();
        assert_eq!(info.len(), 1);
        info[0].labels["hash"].clone()
    };
    let before = hash(&guarded.proxy.metrics());
    guarded.proxy.write_rules(&rules("on_violation: reject", "").replace("ex_order", "ex_sequence"));
    let (status, body) = guarded.proxy.reload();
    assert_eq!(status, 200);
    let samples = guarded.proxy.metrics();
    assert_eq!(body["hash"], hash(&samples));
    assert_ne!(body["hash"], before);
    assert_eq!((&body["tables"], &body["rules"], &body["files"]), (&1.into(), &1.into(), &1.into()), "{body}");
    assert_eq!(samples.sum("config_last_reload_successful", &[]), 1.0);
    // Series of rules that are gone are gone, those of new ones begin at zero.
    let rules_in = |metric: &str| {
        let of = samples.0.iter().filter(|s| s.name == metric).map(|s| s.labels["rule"].clone());
        of.collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(rules_in("chronoguard_violations_total"), ["ex_sequence".to_owned()].into());
    let (status, body) = guarded.proxy.reload();
    assert_eq!((status, &body["changed"]), (200, &false.into()), "the same once more");
}

#[test]
fn a_bad_file_changes_nothing_and_every_mistake_is_told() {
    let guarded = guarded("on_violation: reject", "");
    let mut talk = guarded.login();
    prepare(&mut talk);
    guarded.proxy.write_rules("version: 1\ntables:\n  - table: public.ex\n    on_violation: rejct\n    rules:\n      - name: ex_order\n        ordr: [a, b]\n");
    let (status, body) = guarded.proxy.reload();
    assert_eq!((status, &body["errors"]), (422, &2.into()), "{body}");
    let places: Vec<_> =
        body["diagnostics"].as_array().unwrap().iter().map(|d| (d["line"].clone(), d["column"].clone())).collect();
    assert_eq!(places, [(4.into(), 19.into()), (7.into(), 9.into())]);
    assert_eq!(body["diagnostics"][0]["file"], guarded.proxy.rules_path().display().to_string());
    assert_eq!(body["diagnostics"][0]["help"], "did you mean `reject`?");
    all(Done::Refused, &everywhere(&mut talk));
    assert_eq!(guarded.proxy.metrics().sum("config_last_reload_successful", &[]), 0.0);
    assert!(http(guarded.proxy.admin, "GET", "/").1.contains("The rule files have mistakes."));
    let log = guarded.proxy.log();
    assert!(log.contains("the rules in force stay") && log.contains("rules.yaml:7:9"), "{log}");
    guarded.proxy.use_rules(&rules("on_violation: warn", ""));
    all(Done::Warned, &everywhere(&mut talk));
    assert_eq!(guarded.proxy.metrics().sum("config_last_reload_successful", &[]), 1.0);
    std::fs::remove_file(guarded.proxy.rules_path()).unwrap();
    assert_eq!(guarded.proxy.reload().0, 422);
    all(Done::Warned, &everywhere(&mut talk));
}

/// Until a write is refused.
fn await_refusal(talk: &mut Talk) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while done(&talk.query(BAD)) != Done::Refused {
        assert!(Instant::now() < deadline, "the new rules were never taken up");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_signal_reloads() {
    let guarded = guarded("on_violation: observe", "");
    let mut talk = guarded.login();
    guarded.proxy.write_rules(&rules("on_violation: reject", ""));
    assert_eq!(done(&talk.query(BAD)), Done::Passed, "a file alone changes nothing while it is not watched");
    let pid = guarded.proxy.pid().to_string();
    assert!(std::process::Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    await_refusal(&mut talk);
}

#[test]
fn a_changed_file_reloads() {
    let proxy = Proxy::watching(&rules("on_violation: observe", ""));
    let database = cluster().database();
    cluster().direct(&database).run(IDS);
    let mut talk = proxy.login(&database);
    assert_eq!(done(&talk.query(BAD)), Done::Passed);
    // As editors and ConfigMaps do it: another file takes the name.
    let next = proxy.rules_path().with_extension("next");
    std::fs::write(&next, rules("on_violation: reject", "")).unwrap();
    std::fs::rename(&next, proxy.rules_path()).unwrap();
    await_refusal(&mut talk);
    // A bad one is told and changes nothing.
    proxy.write_rules("version: 2\n");
    proxy.await_metric("config_last_reload_successful", &[], 0.0);
    assert_eq!(done(&talk.query(BAD)), Done::Refused);
}

/// A table that had no rules when the statements were prepared.
#[test]
fn statements_prepared_before_their_table_had_rules() {
    let other = "version: 1\ntables:\n  - table: public.jobs\n    rules: [{name: jobs_sane, plausible: {columns: [created_at], after: 2000-01-01, before: 2100-01-01}}]\n";
    for first in [other, "version: 1\ntables: []\n"] {
        let guarded = Guarded::with_schema(first, IDS);
        let mut talk = guarded.login();
        prepare(&mut talk);
        talk.pipeline(&[fe::parse("closed", BAD), fe::close_statement("closed")]);
        talk.pipeline(&[fe::parse("reader", "SELECT count(*) FROM ex"), fe::parse("selects", "select 1")]);
        all(Done::Passed, &everywhere(&mut talk));
        guarded.proxy.use_rules(&rules("on_violation: reject", ""));
        // Nothing is known yet of SQL's PREPARE in a session without rules: see LIMITS.
        let found = everywhere(&mut talk);
        match first == other {
            true => all(Done::Refused, &found),
            false => all(
                Done::Refused,
                &found.into_iter().filter(|(w, _)| !w.contains("EXECUTE") && !w.contains("SQL")).collect::<Vec<_>>(),
            ),
        }
        let missing = talk.pipeline(&[fe::bind("", "closed", &[]), fe::execute("", 0)]);
        assert_eq!(error(&missing).field('C'), "26000");
        assert_eq!(tags(&talk.pipeline(&[fe::bind("", "reader", &[]), fe::execute("", 0)])), "2DCZ");
    }
}

#[test]
fn partitions_and_views_stay_guarded() {
    let schema = format!("{IDS}; CREATE VIEW v AS SELECT id, created_at, started_at, completed_at FROM ex");
    let guarded = Guarded::with_schema(&rules("on_violation: reject", ""), &schema);
    let mut talk = guarded.login();
    let through_view = BAD.replace("INTO ex", "INTO v");
    talk.pipeline(&[fe::parse("view", &through_view)]);
    let run = [fe::bind("", "view", &[]), fe::execute("", 0)];
    assert_eq!(done(&talk.pipeline(&run)), Done::Refused);
    guarded.proxy.use_rules(&rules("on_violation: warn", ""));
    assert_eq!(done(&talk.pipeline(&run)), Done::Warned);
    guarded.proxy.use_rules(&rules("on_violation: reject", ""));
    assert_eq!(done(&talk.query(&through_view)), Done::Refused);
    assert_eq!(done(&talk.pipeline(&run)), Done::Refused);
}

/// Names that lead to a table which had no rules when the statements were prepared.
#[test]
fn a_first_rule_is_for_partitions_and_views_too() {
    let schema = format!(
        "{IDS}; CREATE VIEW v AS SELECT id, created_at, started_at, completed_at FROM ex;
         CREATE TABLE parts (LIKE ex) PARTITION BY RANGE (id); CREATE TABLE part PARTITION OF parts DEFAULT"
    );
    let other = "version: 1\ntables: [{table: public.jobs, rules: []}]\n";
    let guarded = Guarded::with_schema(other, &schema);
    let mut talk = guarded.login();
    let mut prepared = Vec::new();
    for name in ["v", "part", "plain"] {
        let sql = BAD.replace("INTO ex", &format!("INTO {name}"));
        let sql = if name == "plain" { "INSERT INTO plain VALUES (nextval('ids'), 'x')".to_owned() } else { sql };
        talk.pipeline(&[fe::parse(name, &sql)]);
        talk.run(&format!("PREPARE {name}_by_sql AS {sql}"));
        prepared.push((name, [fe::bind("", name, &[]), fe::execute("", 0)]));
    }
    for (name, run) in &prepared {
        assert_eq!((*name, done(&talk.pipeline(run))), (*name, Done::Passed));
    }
    let both = rules("on_violation: reject", "").replace("name: ex_order", "name: ex_first")
        + &rules("on_violation: reject", "").split_once("tables:\n").unwrap().1.replace("public.ex", "public.parts");
    guarded.proxy.use_rules(&both);
    for _ in 0..2 {
        for (name, run) in &prepared {
            let expected = if *name == "plain" { Done::Passed } else { Done::Refused };
            assert_eq!((*name, done(&talk.pipeline(run))), (*name, expected));
            assert_eq!((*name, done(&talk.query(format!("EXECUTE {name}_by_sql")))), (*name, expected));
        }
    }
    guarded.proxy.use_rules(other);
    for (name, run) in &prepared {
        assert_eq!((*name, done(&talk.pipeline(run))), (*name, Done::Passed));
        assert_eq!((*name, done(&talk.query(format!("EXECUTE {name}_by_sql")))), (*name, Done::Passed));
    }
}

/// A rule that looks at another table needs facts that nobody asked for before.
#[test]
fn a_new_rule_about_a_parent_judges_at_once() {
    let guarded = guarded("on_violation: observe", "");
    let mut talk = guarded.login();
    let copied = "INSERT INTO ex (id, job_id, created_at) SELECT nextval('ids'), 1, created_at FROM jobs WHERE id = 1";
    talk.pipeline(&[fe::parse("copied", copied)]);
    let run = [fe::bind("", "copied", &[]), fe::execute("", 0)];
    assert_eq!(done(&talk.pipeline(&run)), Done::Passed);
    guarded.proxy.use_rules(
        "version: 1\ntables:\n  - table: public.ex\n    on_violation: reject\n    rules: [{name: ex_no_reuse, parent: {table: public.jobs, join: {job_id: id}, not_reused: {created_at: created_at}}}]\n",
    );
    assert_eq!(done(&talk.pipeline(&run)), Done::Refused);
    assert_eq!(done(&talk.query(copied)), Done::Refused);
    assert_eq!(guarded.proxy.metrics().sum("unguardable_total", &[]), 0.0);
}
