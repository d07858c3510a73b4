//! Who is exempt, and from what.

use super::*;
use crate::harness::{cluster, metrics::http};

/// An exemption of `ex_order`, by `of`.
fn exempt(of: &str) -> String {
    format!(
        "exemptions:\n  - {{rules: [ex_order], match: {{{of}}}, reason: backfill of 2025, owner: data-team, expires: 2999-01-01}}\n"
    )
}

/// A role with this name, and the right to write.
fn role(name: &str) {
    let sql = format!("DO $$ BEGIN CREATE ROLE {name} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$");
    cluster().admin().run(&sql);
}

#[test]
fn an_exempt_role_is_judged_and_let_pass_everywhere() {
    role("control_migrator");
    let guarded = guarded("on_violation: reject", &exempt("role: control_migrat*"));
    let mut talk = guarded.login_as("control_migrator");
    prepare(&mut talk);
    all(Done::Passed, &everywhere(&mut talk));
    let count = f64::from(POSITIONS);
    let samples = guarded.proxy.await_metric("statements_total", &[("outcome", "exempt")], count);
    let labels = [("table", "public.ex"), ("rule", "ex_order"), ("action", "exempt")];
    assert!((samples.sum("violations_total", &labels) - count).abs() < 0.5, "{samples:#?}");
    assert_eq!(samples.sum("violations_total", &[("action", "reject")]), 0.0);
    assert!((samples.sum("exemptions_active", &[]) - 1.0).abs() < 0.5);
    let recent = http(guarded.proxy.admin, "GET", "/api/violations").1;
    let recent: serde_json::Value = serde_json::from_str(&recent).unwrap();
    let newest = &recent["violations"][0];
    assert_eq!(newest["action"], "exempt");
    assert_eq!(newest["exemption"], serde_json::json!({"reason": "backfill of 2025", "owner": "data-team"}));
    assert!(guarded.proxy.log().contains("exemption=\"backfill of 2025\" exemption_owner=\"data-team\""));
    let rules: serde_json::Value = serde_json::from_str(&http(guarded.proxy.admin, "GET", "/api/rules").1).unwrap();
    assert_eq!(rules["exemptions"][0]["match"], serde_json::json!({"role": "control_migrat*"}));
    // Everybody else is not.
    let mut other = guarded.login();
    prepare(&mut other);
    all(Done::Refused, &everywhere(&mut other));
}

#[test]
fn another_role_in_the_open_session_counts_at_once() {
    role("control_migrator");
    let guarded = guarded("on_violation: reject", &exempt("role: control_migrator"));
    let mut talk = guarded.login();
    prepare(&mut talk);
    for _ in 0..2 {
        all(Done::Refused, &everywhere(&mut talk));
        talk.run("SET ROLE control_migrator");
        all(Done::Passed, &everywhere(&mut talk));
        talk.run("RESET ROLE");
    }
}

#[test]
fn a_name_is_believed_of_trusted_roles() {
    role("control_migrator");
    let rest = exempt("application_name: 'backfill-*'") + "trusted_roles: [control_migrator]\n";
    let guarded = guarded("on_violation: reject", &rest);
    let mut talk = guarded.login_as("control_migrator");
    prepare(&mut talk);
    all(Done::Refused, &everywhere(&mut talk));
    // The server knows the name of the moment: also what was prepared long ago, and in the transaction that takes it back.
    talk.run("SET application_name = 'backfill-7'");
    all(Done::Passed, &everywhere(&mut talk));
    talk.run("BEGIN");
    talk.run("SET LOCAL application_name = 'web'");
    assert_eq!(done(&talk.query("EXECUTE by_sql")), Done::Refused);
    talk.run("ROLLBACK");
    assert_eq!(done(&talk.query("EXECUTE by_sql")), Done::Passed);
    let pipeline = [
        fe::parse("", "SET application_name = 'web'"),
        fe::bind("", "", &[]),
        fe::execute("", 0),
        fe::bind("", "by_parse", &[]),
        fe::execute("", 0),
    ];
    assert_eq!(done(&talk.pipeline(&pipeline)), Done::Refused, "changed by the same pipeline");

    let mut other = guarded.login();
    other.run("SET application_name = 'backfill-7'");
    assert_eq!(done(&other.query(BAD)), Done::Refused, "a name alone proves nothing");
}

#[test]
fn a_name_alone_waives_a_warning_and_no_reject() {
    let names = exempt("application_name: 'back_fill%*'");
    let guarded = guarded("on_violation: {insert: warn, copy: reject}", &names);
    let mut talk = guarded.login();
    prepare(&mut talk);
    let [copy_refused, warned] = [Done::Refused, Done::Warned].map(|done| {
        move |found: Vec<(&'static str, Done)>| {
            let (copies, inserts): (Vec<_>, Vec<_>) = found.into_iter().partition(|(what, _)| *what == "COPY");
            (all(done, if done == Done::Refused { &copies } else { &inserts }), copies, inserts)
        }
    });
    let (_, _, inserts) = copy_refused(everywhere(&mut talk));
    all(Done::Warned, &inserts);
    // `_` and `%` are no wildcards here.
    talk.run("SET application_name = 'backXfillXX'");
    warned(everywhere(&mut talk));
    talk.run("SET application_name = 'back_fill%1'");
    let (_, _, inserts) = copy_refused(everywhere(&mut talk));
    all(Done::Passed, &inserts);
}

#[test]
fn all_that_is_given_must_match() {
    role("control_migrator");
    for (of, done_here) in [
        ("client: 127.0.0.0/8", Done::Passed),
        ("client: 10.0.0.0/8", Done::Refused),
        ("database: 'it*'", Done::Passed),
        ("database: it", Done::Refused),
        ("role: control_migrator, client: 127.0.0.1", Done::Passed),
        ("role: control_migrator, client: 127.0.0.2", Done::Refused),
        ("role: control_migrator, application_name: web", Done::Refused),
        ("role: somebody, client: 127.0.0.1", Done::Refused),
    ] {
        let guarded = guarded("on_violation: reject", &exempt(of));
        let mut talk = guarded.login_as("control_migrator");
        assert_eq!(done(&talk.query(BAD)), done_here, "{of}");
        assert_eq!(copy(&mut talk), done_here, "{of}");
    }
}

#[test]
fn the_kill_switch_leaves_who_is_exempt_exempt() {
    role("control_migrator");
    let guarded = guarded("on_violation: reject", &exempt("role: control_migrator"));
    guarded.proxy.observe_only(true);
    let mut talk = guarded.login_as("control_migrator");
    assert_eq!(done(&talk.query(BAD)), Done::Passed);
    guarded.await_outcome("exempt", 1);
}
