//! Many messages before one `Sync`, with an error in each position.

use super::{BAD, GOOD, INSERT};
use crate::harness::{Talk, fe, same_as_direct, same_when_guarded, talk::tags};

fn one(sql: &str) -> Vec<u8> {
    [fe::parse("", sql), fe::bind("", "", &[]), fe::describe_portal(""), fe::execute("", 0)].concat()
}

#[test]
fn an_error_at_each_position() {
    same_when_guarded(|stage| {
        let mut a = stage.login("a");
        let good = |n: usize| {
            one(&format!("INSERT INTO ex (id, created_at, started_at) VALUES ({n}, '2026-03-02', '2026-03-01')"))
        };
        for position in 0..5 {
            for wrong in ["SELEC", "INSERT INTO ex (id) VALUES (1)", "SELECT 1/0", "UPDATE ex SET note = 1/0"] {
                let base = 2000 + position * 10;
                let steps: Vec<_> = (0..5).map(|n| if n == position { one(wrong) } else { good(base + n) }).collect();
                a.pipeline(&steps);
            }
        }
        a.query("SELECT count(*) FROM ex");
    });
}

#[test]
fn wrong_bind_describe_execute_in_the_middle() {
    same_when_guarded(|stage| {
        let mut a = stage.login("a");
        a.pipeline(&[fe::parse("s", INSERT)]);
        let insert =
            |id: u32| [fe::bind("", "s", &[&id.to_string(), "2026-03-02", "2026-03-01"]), fe::execute("", 0)].concat();
        for wrong in [
            fe::bind("", "s", &["1"]),
            fe::bind("", "nonsense", &[]),
            fe::describe_statement("nonsense"),
            fe::describe_portal("nonsense"),
            fe::execute("nonsense", 0),
            fe::parse("s", INSERT),
            fe::bind("", "s", &["x", "y", "z"]),
        ] {
            a.pipeline(&[insert(2101), wrong, insert(2102), fe::close_statement("s"), fe::parse("s", "SELECT 1")]);
            // The Close was skipped with the rest.
            a.pipeline(&[
                insert(2103),
                fe::parse("", "DELETE FROM ex WHERE id = 2103"),
                fe::bind("", "", &[]),
                fe::execute("", 0),
            ]);
        }
    });
}

#[test]
fn several_syncs_in_one_segment() {
    same_when_guarded(|stage| {
        let mut a = stage.login("a");
        let parts = [
            one(BAD),
            fe::sync(),
            one("SELEC"),
            one(GOOD),
            fe::sync(),
            one(GOOD),
            fe::sync(),
            fe::query("SELECT 1"),
            one("INSERT INTO ex (id) VALUES (2201) RETURNING id"),
            fe::sync(),
            fe::sync(),
            fe::query(BAD),
            fe::query("UPDATE ex SET note = 'q' RETURNING id"),
        ];
        a.send(&parts.concat());
        for _ in 0..8 {
            a.ready();
        }
    });
}

#[test]
fn query_without_a_sync_before() {
    same_when_guarded(|stage| {
        let mut a = stage.login("a");
        a.send(&[one(BAD), fe::query("SELECT 1")].concat());
        a.ready();
        a.send(
            &[fe::parse("q", INSERT), fe::bind("", "q", &["2301", "2026-03-02", "2026-03-01"]), fe::query(GOOD)]
                .concat(),
        );
        a.ready();
        a.send(&[fe::execute("", 0), fe::sync()].concat());
        a.ready();
        // After an error a Query is skipped too, up to Sync.
        a.send(&[one("SELEC"), fe::query("SELECT 'skipped'"), fe::sync()].concat());
        a.ready();
        a.query("SELECT 'usable'");
    });
}

#[test]
fn transactions_inside_a_pipeline() {
    same_when_guarded(|stage| {
        let mut a = stage.login("a");
        let insert = |id: u32| {
            one(&format!("INSERT INTO ex (id, created_at, started_at) VALUES ({id}, '2026-03-02', '2026-03-01')"))
        };
        a.pipeline(&[one("BEGIN"), insert(2401), one("COMMIT"), insert(2402), one("SELECT 1/0"), insert(2403)]);
        a.pipeline(&[insert(2404), one("BEGIN"), insert(2405)]);
        a.pipeline(&[one("SELECT 1/0"), one("ROLLBACK")]);
        a.pipeline(&[one("SELECT 1")]);
        a.pipeline(&[insert(2406)]);
        a.pipeline(&[one("ROLLBACK")]);
        a.pipeline(&[
            one("BEGIN"),
            insert(2407),
            one("SAVEPOINT s"),
            insert(2408),
            one("ROLLBACK TO s"),
            insert(2409),
            one("COMMIT"),
        ]);
        a.query("SELECT id FROM ex WHERE id > 2400 ORDER BY id");
    });
}

#[test]
fn a_thousand_inserts_before_one_sync() {
    same_when_guarded(|stage| {
        let mut a = stage.login("a");
        let mut bytes =
            fe::parse("s", "INSERT INTO ex (id, created_at, started_at) VALUES ($1, '2026-03-02', $2) RETURNING id");
        for id in 3000..4000 {
            let started = if id % 2 == 0 { "2026-03-01" } else { "2026-03-03" };
            bytes.extend(fe::bind("", "s", &[&id.to_string(), started]));
            bytes.extend(fe::execute("", 0));
        }
        bytes.extend(fe::sync());
        a.send_behind(bytes);
        let replies = a.ready();
        assert_eq!(replies.iter().filter(|m| m.tag == b'C').count(), 1000);
        a.sent();
    });
}

#[test]
fn both_directions_drain() {
    // Replies far beyond what sockets hold, none read before everything is sent.
    same_as_direct(|stage| {
        let mut a = stage.login("a");
        let mut bytes = Vec::new();
        for n in 0..60 {
            bytes.extend(one(&format!("SELECT repeat('x', 100000), {n} /* {} */", "y".repeat(50_000))));
            bytes.extend(one(&format!("INSERT INTO ex (id, created_at, started_at, note) VALUES ({}, '2026-03-02', '2026-03-01', repeat('n', 20000)) RETURNING note", 5000 + n)));
        }
        bytes.extend(fe::sync());
        a.send_behind(bytes);
        std::thread::sleep(std::time::Duration::from_millis(300));
        a.ready();
        a.sent();
    });
}

#[test]
fn errors_and_terminate_in_one_segment() {
    same_as_direct(|stage| {
        for bytes in [
            [one("SELEC"), fe::terminate()].concat(),
            [one(BAD), fe::terminate()].concat(),
            [one(BAD), fe::sync(), fe::terminate()].concat(),
            [fe::query("SELECT 1"), fe::terminate()].concat(),
            [fe::query("BEGIN"), fe::query(BAD), fe::terminate()].concat(),
            [fe::parse("x", BAD), fe::terminate()].concat(),
        ] {
            let mut a: Talk = stage.login("a");
            a.send(&bytes);
            a.closed();
        }
        let mut b = stage.login("b");
        let replies = b.query("SELECT count(*) FROM ex");
        assert_eq!(tags(&replies), "TDCZ");
    });
}
