//! New rules, bad rules, and the kill switch, while sessions and prepared statements live on.

use crate::harness::{
    Guarded, Talk, fe,
    guarded::{REJECT, assert_refused, assert_usable},
    metrics::http,
    talk::tags,
};

const BAD: &str = "INSERT INTO ex (id, created_at, started_at) VALUES (101, '2026-03-02', '2026-03-01')";
const NO_RULES: &str = "version: 1\ntables: []\n";

/// A session with a statement prepared in each way.
fn prepared(guarded: &Guarded) -> Talk {
    let mut talk = guarded.login();
    let update = "UPDATE ex SET completed_at = '2020-01-01' WHERE id = 1";
    talk.pipeline(&[fe::parse("named", update)]);
    talk.run(&format!("PREPARE sql AS {update}"));
    talk
}

/// Each way to write a bad row is answered with an error, or each is not.
fn judged(talk: &mut Talk, refused: bool) {
    for way in 0..4 {
        talk.run("BEGIN");
        let replies = match way {
            0 => talk.query("UPDATE ex SET completed_at = '2020-01-01' WHERE id = 1"),
            1 => talk.pipeline(&[fe::bind("", "named", &[]), fe::execute("", 0)]),
            2 => talk.query("EXECUTE sql"),
            _ => {
                talk.send(&fe::extended("UPDATE ex SET completed_at = '2020-01-01' WHERE id = 1 RETURNING id", &[]));
                talk.ready()
            }
        };
        if refused {
            assert_refused(&replies);
        } else {
            assert!(replies.iter().all(|m| m.tag != b'E'), "way {way}: {replies:?}");
        }
        talk.run("ROLLBACK");
    }
}

fn reload(guarded: &Guarded, rules: &str) -> u16 {
    guarded.proxy.write_rules(rules);
    http(guarded.proxy.admin, "POST", "/-/reload").0
}

#[test]
fn prepared_statements_get_the_new_rules() {
    let guarded = Guarded::new(REJECT);
    let mut talk = prepared(&guarded);
    judged(&mut talk, true);
    assert_eq!(reload(&guarded, NO_RULES), 200);
    judged(&mut talk, false);
    assert_eq!(reload(&guarded, REJECT), 200);
    judged(&mut talk, true);
    assert_eq!(reload(&guarded, &REJECT.replace("reject", "observe")), 200);
    judged(&mut talk, false);
    assert_eq!(reload(&guarded, &REJECT.replace("[created_at, started_at, completed_at]", "[created_at, started_at]")), 200);
    judged(&mut talk, false);
    assert_usable(&mut talk);
    assert_eq!(guarded.proxy.metrics().sum("config_last_reload_successful", &[]), 1.0);
}

#[test]
fn prepared_before_there_were_rules() {
    let guarded = Guarded::new(NO_RULES);
    let mut talk = prepared(&guarded);
    judged(&mut talk, false);
    assert_eq!(reload(&guarded, REJECT), 200);
    assert_refused(&talk.query(BAD));
    assert_refused(&talk.pipeline(&[fe::bind("", "named", &[]), fe::execute("", 0)]));
}

#[test]
fn a_bad_file_changes_nothing() {
    let guarded = Guarded::new(REJECT);
    let mut talk = prepared(&guarded);
    for bad in ["version: 1\ntables: [", "version: 7\n", "", &REJECT.replace("order:", "ordre:")] {
        assert!(reload(&guarded, bad) >= 400, "{bad}");
        judged(&mut talk, true);
        assert_eq!(guarded.proxy.metrics().sum("config_last_reload_successful", &[]), 0.0);
    }
    assert_eq!(reload(&guarded, REJECT), 200);
    assert_eq!(guarded.proxy.metrics().sum("config_last_reload_successful", &[]), 1.0);
}

#[test]
fn the_kill_switch_turns_every_rule_to_observe() {
    let guarded = Guarded::new(REJECT);
    let mut talk = prepared(&guarded);
    judged(&mut talk, true);
    assert_eq!(http(guarded.proxy.admin, "POST", "/-/observe").0, 200);
    judged(&mut talk, false);
    assert_eq!(tags(&talk.query(BAD)), "CZ");
    let metrics = guarded.await_outcome("observed", 5);
    assert_eq!(metrics.sum("kill_switch", &[]), 1.0);
    assert_eq!(http(guarded.proxy.admin, "DELETE", "/-/observe").0, 200);
    judged(&mut talk, true);
    assert_eq!(guarded.landed_ids(), "101");
}

#[test]
fn a_reload_in_the_middle_of_traffic() {
    let guarded = Guarded::new(REJECT);
    std::thread::scope(|scope| {
        for worker in 0..4_u32 {
            let guarded = &guarded;
            scope.spawn(move || {
                let mut talk = guarded.login();
                talk.pipeline(&[fe::parse("s", "INSERT INTO ex (id, created_at, started_at) VALUES ($1, '2026-03-01', '2026-03-02') RETURNING id")]);
                for n in 0..150 {
                    let id = (10_000 * (worker + 1) + n).to_string();
                    let replies = talk.pipeline(&[fe::bind("", "s", &[&id]), fe::describe_portal(""), fe::execute("", 0)]);
                    assert_eq!(tags(&replies), "2TDCZ", "{replies:?}");
                    assert_eq!(replies[1].columns().len(), 1);
                    assert_eq!(replies[2].values().len(), 1);
                }
            });
        }
        for round in 0..30 {
            let rules = if round % 2 == 0 { NO_RULES } else { REJECT };
            assert_eq!(reload(&guarded, rules), 200);
        }
    });
    assert_eq!(guarded.landed("SELECT count(*) FROM ex WHERE id >= 10000"), "600");
}
