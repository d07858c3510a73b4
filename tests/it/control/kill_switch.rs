//! The kill switch: at once, everywhere, and back.

use std::process::{Command, Output};

use super::*;
use crate::harness::metrics::{http, http_with};

#[test]
fn every_rule_only_observes_at_once_and_everywhere() {
    let guarded = guarded("on_violation: reject", "");
    let mut talk = guarded.login();
    prepare(&mut talk);
    all(Done::Refused, &everywhere(&mut talk));
    guarded.proxy.observe_only(true);
    all(Done::Passed, &everywhere(&mut talk));
    let samples = guarded.proxy.await_metric("violations_total", &[("action", "observe")], f64::from(POSITIONS));
    assert!((samples.sum("kill_switch", &[]) - 1.0).abs() < 0.5);
    assert!((samples.sum("violations_total", &[("action", "reject")]) - f64::from(POSITIONS)).abs() < 0.5);
    assert!(http(guarded.proxy.admin, "GET", "/").1.contains("Kill switch is on."));
    assert!(http(guarded.proxy.admin, "GET", "/api/rules").1.contains("\"observe_only\":true"));
    guarded.proxy.observe_only(false);
    all(Done::Refused, &everywhere(&mut talk));
    let log = guarded.proxy.log();
    assert!(log.contains("kill switch thrown") && log.contains("kill switch lifted"), "{log}");
    assert_eq!(guarded.proxy.metrics().sum("kill_switch", &[]), 0.0);
}

#[test]
fn inside_an_open_transaction_and_between_the_messages_of_a_pipeline() {
    let guarded = guarded("on_violation: reject", "");
    let mut talk = guarded.login();
    prepare(&mut talk);
    talk.run("BEGIN");
    talk.run(GOOD);
    guarded.proxy.observe_only(true);
    talk.run("EXECUTE by_sql");
    assert_eq!(done(&talk.pipeline(&[fe::bind("", "by_parse", &[]), fe::execute("", 0)])), Done::Passed);
    talk.run("COMMIT");
    assert_eq!(guarded.landed("SELECT count(*) FROM ex WHERE id > 100"), "3");

    // The first half of a pipeline goes by the switch as it was, the second as it is.
    let run = [fe::bind("", "by_parse", &[]), fe::execute("", 0)].concat();
    talk.send(&[run.clone(), fe::flush()].concat());
    assert_eq!(tags(&talk.until(b"CE")), "2C");
    guarded.proxy.observe_only(false);
    talk.send(&[run, fe::sync()].concat());
    assert_eq!(tags(&talk.ready()), "2EZ");
    assert_eq!(guarded.landed("SELECT count(*) FROM ex WHERE id > 100"), "3", "a pipeline is one transaction");

    // A copy under way keeps the guard that it began with.
    let id = talk.value("SELECT nextval('ids')");
    talk.send(&fe::query("COPY ex (id, created_at, started_at) FROM STDIN"));
    talk.until(b"G");
    guarded.proxy.observe_only(true);
    talk.send(&[fe::copy_data(format!("{id}\t2026-03-02\t2026-03-01\n")), fe::copy_done()].concat());
    assert_eq!(done(&talk.ready()), Done::Refused);
    assert_eq!(copy(&mut talk), Done::Passed);
}

/// What is prepared anew in a failed transaction would only fail too.
#[test]
fn in_a_failed_transaction_the_errors_stay_the_servers() {
    let guarded = guarded("on_violation: reject", "");
    let mut talk = guarded.login();
    prepare(&mut talk);
    talk.run("BEGIN");
    talk.query("SELECT 1 / 0");
    guarded.proxy.observe_only(true);
    for replies in [
        talk.query("EXECUTE by_sql"),
        talk.pipeline(&[fe::bind("", "by_parse", &[]), fe::execute("", 0)]),
        talk.query(BAD),
    ] {
        assert_eq!(crate::harness::talk::error(&replies).field('C'), "25P02");
    }
    talk.run("ROLLBACK");
    all(Done::Passed, &everywhere(&mut talk));
}

/// What the server skips up to `Sync` has not been prepared anew.
#[test]
fn behind_an_error_in_a_pipeline() {
    let guarded = guarded("on_violation: reject", "");
    let mut talk = guarded.login();
    prepare(&mut talk);
    let run = |sql: &str| [fe::parse("", sql), fe::bind("", "", &[]), fe::execute("", 0)].concat();
    for on in [true, false] {
        guarded.proxy.observe_only(on);
        let by_parse = [fe::bind("", "by_parse", &[]), fe::execute("", 0)].concat();
        let by_sql = [fe::bind("", "by_sql", &[]), fe::execute("", 0)].concat();
        for behind in [run("EXECUTE by_sql"), by_sql, by_parse] {
            assert_eq!(tags(&talk.pipeline(&[run("SELECT 1 / 0"), behind])), "1EZ");
        }
        all(if on { Done::Passed } else { Done::Refused }, &everywhere(&mut talk));
    }
}

#[test]
fn names_of_prepared_statements_stay_as_the_client_left_them() {
    let guarded = guarded("on_violation: reject", "");
    let mut talk = guarded.login();
    prepare(&mut talk);
    talk.run("PREPARE gone AS INSERT INTO ex (id) VALUES ($1)");
    talk.run("DEALLOCATE gone");
    talk.run("PREPARE \"Odd name\" (bigint, timestamptz) AS INSERT INTO ex (id, created_at, started_at) VALUES ($1, $2, '2026-03-01') RETURNING id");
    let own = "SELECT name, parameter_types::text, from_sql FROM pg_prepared_statements ORDER BY name";
    let before = talk.rows(own);
    guarded.proxy.observe_only(true);
    assert_eq!(talk.value("EXECUTE \"Odd name\" (501, '2026-03-02')"), "501");
    talk.run("EXECUTE by_sql");
    talk.run("EXECUTE by_parse");
    assert_eq!(talk.rows(own), before);
    let missing = talk.query("EXECUTE gone (1)");
    assert_eq!(crate::harness::talk::error(&missing).field('C'), "26000");
    guarded.proxy.observe_only(false);
    talk.run("DEALLOCATE ALL");
    let missing = talk.query("EXECUTE by_sql");
    assert_eq!(crate::harness::talk::error(&missing).field('C'), "26000");
    let missing = talk.pipeline(&[fe::bind("", "by_parse", &[]), fe::execute("", 0)]);
    assert_eq!(crate::harness::talk::error(&missing).field('C'), "26000");
}

fn observe_all(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_chronoguard")).arg("observe-all").args(arguments).output().unwrap()
}

#[test]
fn the_command_throws_it_and_lifts_it() {
    let guarded = guarded("on_violation: reject", "");
    let admin = guarded.proxy.admin.to_string();
    let mut talk = guarded.login();
    for (arguments, says, then) in [
        (vec!["--admin", &admin], "every rule only observes now\n", Done::Passed),
        (vec!["--admin", &admin], "every rule only observed already\n", Done::Passed),
        (vec!["--admin", &admin, "--lift"], "the rules act again\n", Done::Refused),
        (vec!["--admin", &admin, "--lift"], "the kill switch was not on\n", Done::Refused),
    ] {
        let output = observe_all(&arguments);
        assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stdout).as_ref()), (Some(0), says));
        assert_eq!(done(&talk.query(BAD)), then);
    }
    let nobody = observe_all(&["--admin", &format!("127.0.0.1:{}", crate::harness::cluster::free_port())]);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("/-/observe: "), "{nobody:?}");
}

#[test]
fn a_page_in_a_browser_cannot_flip_it() {
    let guarded = guarded("on_violation: reject", "");
    let before = guarded.proxy.metrics().sum("config_last_reload_success_timestamp_seconds", &[]);
    for header in
        ["Origin: http://evil.example\r\n", "Referer: http://evil.example/\r\n", "Sec-Fetch-Site: cross-site\r\n"]
    {
        for (method, path) in [("POST", "/-/observe"), ("DELETE", "/-/observe"), ("POST", "/-/reload")] {
            assert_eq!(http_with(guarded.proxy.admin, method, path, header).0, 403, "{method} {path} {header}");
        }
        assert_eq!(http_with(guarded.proxy.admin, "GET", "/-/healthy", header).0, 200);
    }
    assert_eq!(http(guarded.proxy.admin, "GET", "/-/observe").0, 405);
    assert_eq!(http(guarded.proxy.admin, "OPTIONS", "/-/observe").0, 405, "no preflight is allowed");
    let samples = guarded.proxy.metrics();
    assert_eq!(samples.sum("kill_switch", &[]), 0.0);
    assert!((samples.sum("config_last_reload_success_timestamp_seconds", &[]) - before).abs() < f64::EPSILON);
}
