//! What the server's clock decides: `since`, `expires`, and the share of a `ramp`.

use super::*;
use crate::harness::talk::error;

/// The server's clock, in microseconds.
fn now(talk: &mut Talk) -> u64 {
    talk.value("SELECT floor(extract(epoch FROM clock_timestamp()) * 1000000)::int8").parse().unwrap()
}

/// An instant as rule files have it.
fn instant(micros: u64) -> String {
    let at = jiff::Timestamp::from_microsecond(i64::try_from(micros).unwrap()).unwrap();
    format!("\"{at}\"")
}

/// Runs every position again and again around an instant of the server's clock. What ran before it must have been done one way, what ran after it
/// another; what ran while it passed is not looked at. Machines stall: with a later instant if nothing was done before the first.
fn around(rules: impl Fn(&str) -> (String, String), before: Done, after: Done) -> Guarded {
    for seconds in [3, 15, 60] {
        let (keys, rest) = rules("\"2999-01-01T00:00:00Z\"");
        let guarded = guarded(&keys, &rest);
        let mut talk = guarded.login();
        let at = now(&mut talk) + seconds * 1_000_000;
        let (keys, rest) = rules(&instant(at));
        guarded.proxy.use_rules(&super::rules(&keys, &rest));
        prepare(&mut talk);
        // This transaction was there before.
        let mut open = guarded.login();
        open.run("BEGIN");
        open.run(GOOD);
        let mut seen_before = false;
        loop {
            let started = now(&mut talk);
            let found = everywhere(&mut talk);
            if now(&mut talk) < at {
                seen_before = true;
                all(before, &found);
            } else if started >= at {
                all(after, &found);
                break;
            }
        }
        if seen_before {
            assert_eq!(done(&open.query(BAD)), after, "an open transaction does not stop the clock");
            return guarded;
        }
    }
    panic!("the machine stalls for a minute at a time");
}

#[test]
fn an_exemption_ends_at_its_instant_in_open_sessions() {
    let rules = |at: &str| {
        let rest =
            format!("exemptions: [{{rules: [ex_order], match: {{database: 'it*'}}, reason: r, expires: {at}}}]\n");
        ("on_violation: reject".to_owned(), rest)
    };
    let guarded = around(rules, Done::Passed, Done::Refused);
    assert_eq!(guarded.proxy.metrics().sum("exemptions_active", &[]), 0.0);
    assert!(guarded.proxy.metrics().sum("violations_total", &[("action", "exempt")]) >= f64::from(POSITIONS));
}

#[test]
fn until_since_a_rule_observes_in_open_sessions() {
    let rules = |at: &str| (format!("on_violation: reject, since: {at}"), String::new());
    let guarded = around(rules, Done::Passed, Done::Refused);
    assert!(guarded.proxy.metrics().sum("violations_total", &[("action", "observe")]) >= f64::from(POSITIONS));
}

/// So many statements of three bad rows; how many were refused.
fn refusals(talk: &mut Talk, statements: u32) -> u32 {
    let three =
        format!("{BAD}, (nextval('ids'), '2026-03-02', '2026-03-01'), (nextval('ids'), '2026-03-02', '2026-03-01')");
    talk.run(&format!("PREPARE three AS {three}"));
    talk.pipeline(&[fe::parse("three_by_parse", &three)]);
    let mut refused = 0;
    for n in 0..statements {
        let replies = match n % 3 {
            0 => talk.query(&three),
            1 => talk.query("EXECUTE three"),
            _ => talk.pipeline(&[fe::bind("", "three_by_parse", &[]), fe::execute("", 0)]),
        };
        match done(&replies) {
            Done::Refused => refused += 1,
            Done::Warned => {
                assert_eq!(replies.iter().filter(|m| m.tag == b'N').count(), 3, "all rows of a statement fare alike");
            }
            Done::Passed => panic!("neither refused nor warned"),
        }
    }
    refused
}

#[test]
fn a_ramp_refuses_its_share_of_the_statements() {
    let guarded = guarded("on_violation: reject, ramp: 25%", "");
    let refused = refusals(&mut guarded.login(), 600);
    // 150 of 600 with a standard deviation of 10.6: one run in ten billion is outside.
    assert!((80..=220).contains(&refused), "{refused}");
    let samples = guarded.proxy.await_metric("statements_total", &[("outcome", "rejected")], f64::from(refused));
    let warned = f64::from(600 - refused);
    assert!((samples.sum("statements_total", &[("outcome", "warned")]) - warned).abs() < 0.5);
    assert!((samples.sum("violations_total", &[("action", "warn")]) - 3.0 * warned).abs() < 0.5);
    assert!((samples.sum("violations_total", &[("action", "reject")]) - f64::from(refused)).abs() < 0.5);
    assert_eq!(guarded.landed("SELECT count(*) FROM ex WHERE id >= 1000"), (3 * (600 - refused)).to_string());
}

#[test]
fn a_ramp_decides_in_every_position() {
    let guarded = guarded("on_violation: reject, ramp: 50%", "");
    let mut talk = guarded.login();
    prepare(&mut talk);
    let mut seen = std::collections::BTreeMap::new();
    // Each position does both within 60 tries, but for one run in 10^17.
    for _ in 0..60 {
        for (what, done) in everywhere(&mut talk) {
            let (refused, warned) = seen.entry(what).or_insert((0, 0));
            match done {
                Done::Refused => *refused += 1,
                Done::Warned => *warned += 1,
                Done::Passed => panic!("{what} passed without a warning"),
            }
        }
    }
    assert!(seen.values().all(|(refused, warned)| *refused > 0 && *warned > 0), "{seen:?}");
}

#[test]
fn every_kind_of_write_has_its_action() {
    let guarded = guarded("on_violation: {insert: reject, update: warn, default: observe}", "");
    let mut talk = guarded.login();
    assert_eq!(done(&talk.query(BAD)), Done::Refused);
    assert_eq!(copy(&mut talk), Done::Passed);
    talk.run(GOOD);
    assert_eq!(done(&talk.query("UPDATE ex SET started_at = '2020-01-01' WHERE id > 1000")), Done::Warned);
    if crate::harness::cluster().version >= 170_000 {
        let merge = "MERGE INTO ex USING (SELECT 5001 AS id) s ON ex.id = s.id WHEN NOT MATCHED THEN INSERT (id, created_at, started_at) VALUES (s.id, '2026-03-02', '2026-03-01')";
        assert_eq!(done(&talk.query(merge)), Done::Passed);
    }
    let refused = error(&talk.query(BAD)).field('n');
    assert_eq!(refused, "ex_order");
}

/// A rule that looks at another table, with everything that a decision may depend on at once.
#[test]
fn a_parent_is_looked_at_whatever_is_decided() {
    for lock in ["false", "true"] {
        let rules = format!(
            "version: 1\ntables:\n  - table: public.ex\n    rules:\n      - name: ex_no_reuse\n        parent: {{table: public.jobs, join: {{job_id: id}}, not_reused: {{created_at: created_at}}, lock_parent: {lock}}}\n        on_violation: reject\n        since: 2000-01-01\n        ramp: 50%\nexemptions: [{{rules: [ex_no_reuse], match: {{client: 127.0.0.1, application_name: backfill}}, reason: r, expires: 2999-01-01}}]\n"
        );
        let guarded = Guarded::with_schema(&rules, IDS);
        let mut talk = guarded.login();
        let copied =
            "INSERT INTO ex (id, job_id, created_at) SELECT nextval('ids'), 1, created_at FROM jobs WHERE id = 1";
        let within = format!("WITH x AS ({copied} RETURNING id) SELECT count(*) FROM x");
        let own = copied.replace("1, created_at", "1, created_at + interval '1 s'");
        for sql in [copied, &within] {
            let found: Vec<_> = (0..60).map(|_| done(&talk.query(sql))).collect();
            assert!(found.contains(&Done::Refused) && found.contains(&Done::Warned), "{lock} {sql}");
            assert!(!found.contains(&Done::Passed));
            assert_eq!(done(&talk.query(&own)), Done::Passed);
        }
        talk.run("SET application_name = backfill");
        for sql in [copied, &within] {
            assert_eq!(done(&talk.query(sql)), Done::Passed);
        }
        guarded.proxy.await_metric("violations_total", &[("action", "exempt")], 2.0);
        assert_eq!(guarded.proxy.metrics().sum("breaker_open", &[]), 0.0);
    }
}

/// Where notices are silenced nobody would learn of a warning; what rejects still does.
#[test]
fn silenced_notices_leave_the_rejecting_share() {
    let guarded = guarded("on_violation: reject, since: 2000-01-01", "");
    let mut talk = guarded.login();
    talk.run("SET client_min_messages = error");
    assert_eq!(copy(&mut talk), Done::Refused);
    assert_eq!(done(&talk.query(format!("WITH x AS ({BAD} RETURNING id) SELECT count(*) FROM x"))), Done::Refused);
    talk.run(&format!("WITH x AS ({GOOD} RETURNING id) SELECT count(*) FROM x"));
    guarded.await_unguardable("notices_silenced", 1);
}
