//! Writers that race over a few rows: what each of them sees may be old, what lands is right.

use std::collections::BTreeMap;

use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};

use super::play::{seed, times};
use crate::harness::{Guarded, Talk, fe, talk};

const WRITERS: u64 = 8;
const STATEMENTS: usize = 400;
const ROWS: u32 = 6;

const SCHEMA: &str = "
CREATE TABLE raced (id int PRIMARY KEY, a timestamptz, b timestamptz, c timestamptz, took bigint, n int NOT NULL DEFAULT 0);
INSERT INTO raced SELECT g FROM generate_series(1, 6) g;";

const RULES: &str = "\
version: 1
tables:
  - table: public.raced
    on_violation: reject
    rules:
      - {name: raced_order, order: [a, b, c], tolerance: 1h}
      - {name: raced_took, duration: {column: took, start: a, end: b, unit: s, tolerance: 2h}}
";

const BAD: &str = "SELECT count(*) FROM raced WHERE a > b + interval '1 hour' OR b > c + interval '1 hour'
  OR b IS NULL AND a > c + interval '1 hour' OR abs(took - extract(epoch FROM b - a)) > 7200";

#[test]
fn nothing_wrong_lands() {
    let guarded = Guarded::with_schema(RULES, SCHEMA);
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|n| {
                let talk = guarded.login();
                scope.spawn(move || write(talk, StdRng::seed_from_u64(seed() ^ n << 32)))
            })
            .collect();
        for writer in writers {
            for (code, count) in writer.join().expect("a writer came through") {
                *seen.entry(code).or_default() += count;
            }
        }
    });
    assert_eq!(guarded.landed(BAD), "0", "seed {}: {seen:?}", seed());
    assert_eq!(seen.keys().collect::<Vec<_>>(), ["23514", "done"], "seed {}", seed());
    let total: usize = seen.values().sum();
    assert!(seen.values().all(|count| *count > total / 10), "{seen:?}");
}

/// SQLSTATEs by how often they came.
fn write(mut talk: Talk, mut random: StdRng) -> BTreeMap<String, usize> {
    talk.send(
        &[
            fe::parse("both", "UPDATE raced SET a = $2::text::timestamptz, b = $3::text::timestamptz WHERE id = $1"),
            fe::sync(),
        ]
        .concat(),
    );
    talk.ready();
    let mut seen = BTreeMap::new();
    for _ in 0..STATEMENTS * times() {
        let id = random.random_range(1..=ROWS);
        let mut time = || match random.random_range(0..10) {
            0 => None,
            hour => Some(format!("2026-01-01 0{hour}:00+00")),
        };
        let (one, other) = (time(), time());
        let text = |value: &Option<String>| value.as_ref().map_or("NULL".to_owned(), |value| format!("'{value}'"));
        let (x, y) = (text(&one), text(&other));
        let column = ["a", "b", "c"].choose(&mut random).expect("some");
        let took = random.random_range(0..4) * 3_600;
        let replies = match random.random_range(0..8) {
            0 => talk.query(format!("UPDATE raced SET took = extract(epoch FROM b - a), n = n + 1 WHERE id = {id} RETURNING n, took")),
            1 => talk.query(format!("UPDATE raced SET took = {took} WHERE id = {id}")),
            2 => talk.query(format!(
                "INSERT INTO raced (id, a, b) VALUES ({id}, {x}, {y}) ON CONFLICT (id) DO UPDATE SET {column} = {x}, took = NULL"
            )),
            3 => {
                let mut bind = crate::harness::Bind::new("", "both").text(id.to_string());
                for value in [&one, &other] {
                    bind = match value {
                        Some(value) => bind.text(value),
                        None => bind.null(),
                    };
                }
                talk.pipeline(&[bind.build(), fe::execute("", 0)])
            }
            4 => {
                // Others wait for its lock meanwhile.
                talk.run("BEGIN");
                let replies = talk.query(format!("UPDATE raced SET {column} = {x} WHERE id = {id}"));
                talk.query("SELECT pg_sleep(0.001)");
                talk.run("COMMIT");
                replies
            }
            _ => talk.query(format!("UPDATE raced SET {column} = {x}, n = n + 1 WHERE id = {id}")),
        };
        let code = match replies.iter().any(|m| m.tag == b'E') {
            true => talk::error(&replies).field('C'),
            false => "done".to_owned(),
        };
        *seen.entry(code).or_default() += 1;
    }
    seen
}
