//! Two sessions that both set a start: every interleaving of their steps, under every isolation level, in every form of statement. Whoever commits first wins;
//! the other one is refused or fails as the server says, and never overwrites.

use super::{SCHEMA, merge_returns, rules, steps::Steps};
use crate::harness::{Proxy, cluster};

/// How a session sets `started_at` of row 1 to an hour of its own. `$` stands for that hour.
const FORMS: &[(&str, &str)] = &[
    ("plain", "UPDATE q SET started_at = '2026-01-01 $:00+00' WHERE id = 1"),
    ("by another column", "UPDATE q SET started_at = '2026-01-01 $:00+00' WHERE key2 = 'k1' RETURNING id"),
    ("joined", "UPDATE q SET started_at = '2026-01-01 $:00+00' FROM b WHERE b.id = q.id AND b.v = 1"),
    ("sub-select", "UPDATE q SET started_at = '2026-01-01 $:00+00' WHERE id IN (SELECT id FROM b WHERE v = 1)"),
    (
        "upsert",
        "INSERT INTO q (id, status, started_at) VALUES (1, 'queued', '2026-01-01 $:00+00') ON CONFLICT (id) DO UPDATE SET started_at = excluded.started_at",
    ),
    ("in WITH", "WITH w AS (UPDATE q SET started_at = '2026-01-01 $:00+00' WHERE id = 1 RETURNING *) SELECT id FROM w"),
];

/// The same by `MERGE`, where it can be judged.
const MERGE: (&str, &str) = (
    "merge",
    "MERGE INTO q USING b ON b.id = q.id AND b.v = 1 WHEN MATCHED THEN UPDATE SET started_at = '2026-01-01 $:00+00'",
);

/// Rows behind a trigger, whose lock comes first.
const TRIGGER: &str =
    "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.note = NEW.note || ''+''; RETURN NEW; END';
    CREATE TRIGGER touch BEFORE UPDATE ON q FOR EACH ROW EXECUTE FUNCTION touch();";

/// All ways to mix three steps of each of two sessions.
fn interleavings() -> Vec<String> {
    (0_u32..64)
        .filter(|bits| bits.count_ones() == 3)
        .map(|bits| (0..6).map(|at| if bits >> at & 1 == 1 { 'a' } else { 'b' }).collect())
        .collect()
}

/// Plays one mix. A session whose step waits does its next ones when the other has gone on.
fn play(proxy: &Proxy, setup: &str, isolation: &str, form: &str, mix: &str) {
    let database = cluster().database();
    let mut direct = cluster().direct(&database);
    direct.run(&format!("{SCHEMA}{setup}"));
    let mut steps = Steps::new(proxy.addr, &database);
    let script = |who: char| {
        let hour = if who == 'a' { "10" } else { "11" };
        [format!("BEGIN ISOLATION LEVEL {isolation}"), form.replace('$', hour), "COMMIT".to_owned()]
    };
    let mut todo = std::collections::BTreeMap::from([('a', script('a').into_iter()), ('b', script('b').into_iter())]);
    let mut committed = Vec::new();
    let mut order: Vec<char> = mix.chars().collect();
    while !order.is_empty() {
        // The next step of a session that does not wait.
        let at = order.iter().position(|who| !steps.is_waiting(&who.to_string())).expect("one of the two can go on");
        let who = order.remove(at);
        let name = who.to_string();
        if steps.is_open(&name) {
            steps.finish(&name);
        }
        let sql = todo.get_mut(&who).and_then(Iterator::next).expect("three steps");
        if !steps.start(&name, &sql) {
            steps.finish(&name);
            if steps.log.last().is_some_and(|line| line.ends_with("COMMIT")) {
                committed.push(who);
            }
        }
    }
    let stored =
        direct.value("SELECT coalesce(to_char(started_at AT TIME ZONE 'UTC', 'HH24'), '-') FROM q WHERE id = 1");
    let first = if committed.first() == Some(&'a') { "10" } else { "11" };
    let what = format!("{isolation}, {form}, {mix}: {:?}", steps.log);
    assert!(!committed.is_empty(), "{what}");
    assert_eq!(stored, first, "{what}");
    let refused = |code: &str| steps.log.iter().filter(|line| line.contains(code)).count();
    assert_eq!(refused("23514 q_once") + refused("40001"), 1, "{what}");
    if isolation == "READ COMMITTED" {
        assert_eq!(refused("40001"), 0, "{what}");
    }
    assert_eq!(committed.len(), 1, "{what}");
}

fn every_mix(isolation: &str) {
    let proxy = Proxy::start(&rules("reject"));
    let mixes = interleavings();
    assert_eq!(mixes.len(), 20);
    for (_, form) in FORMS.iter().chain(merge_returns().then_some(&MERGE)) {
        for mix in &mixes {
            play(&proxy, "", isolation, form, mix);
        }
    }
}

/// The mixes in which the second session waits for the first.
#[test]
fn behind_a_trigger() {
    let proxy = Proxy::start(&rules("reject"));
    for (_, form) in FORMS.iter().chain(merge_returns().then_some(&MERGE)) {
        for mix in ["ababab", "babaab", "aabbab", "bbaaba"] {
            play(&proxy, TRIGGER, "READ COMMITTED", form, mix);
        }
    }
    assert!(proxy.metrics().sum("unguardable_total", &[]) < 0.5);
}

#[test]
fn read_committed() {
    every_mix("READ COMMITTED");
}

#[test]
fn repeatable_read() {
    every_mix("REPEATABLE READ");
}

#[test]
fn serializable() {
    every_mix("SERIALIZABLE");
}
