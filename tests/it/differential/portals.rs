//! Row limits, suspended portals, portals with names.

use super::{BAD, INSERT};
use crate::harness::{Bind, fe, same_as_direct, same_when_guarded};

#[test]
fn a_limit_on_a_select() {
    same_as_direct(|stage| {
        let mut a = stage.login("a");
        a.send(
            &[fe::parse("", "SELECT id FROM ex ORDER BY id"), fe::bind("p", "", &[]), fe::execute("p", 3), fe::flush()]
                .concat(),
        );
        a.until(b"s");
        a.send(&[fe::execute("p", 3), fe::flush()].concat());
        a.until(b"s");
        a.send(&[fe::execute("p", 100), fe::execute("p", 1), fe::sync()].concat());
        a.ready();
        a.pipeline(&[fe::execute("p", 1)]);
    });
}

#[test]
fn a_limit_on_a_write_without_returning() {
    same_when_guarded(|stage| {
        let mut a = stage.login("a");
        for limit in [1, 2, 5, 100] {
            a.pipeline(&[
                fe::parse("", "UPDATE ex SET completed_at = '2020-01-01'"),
                fe::bind("", "", &[]),
                fe::describe_portal(""),
                fe::execute("", limit),
            ]);
            a.pipeline(&[
                fe::parse("", BAD),
                fe::bind("", "", &[]),
                fe::execute("", limit),
                fe::parse("", "DELETE FROM ex WHERE id = 101"),
                fe::bind("", "", &[]),
                fe::execute("", limit),
            ]);
        }
        a.pipeline(&[fe::parse("s", INSERT)]);
        for id in 10..14 {
            a.pipeline(&[
                fe::bind("", "s", &[&id.to_string(), "2026-03-02", "2026-03-01"]),
                fe::describe_portal(""),
                fe::execute("", 1),
            ]);
        }
        // A portal that is through is not run again.
        for portal in ["", "named"] {
            a.pipeline(&[
                fe::bind(portal, "s", &["20", "2026-03-02", "2026-03-01"]),
                fe::execute(portal, 0),
                fe::execute(portal, 0),
                fe::execute(portal, 0),
            ]);
        }
        a.query("BEGIN");
        a.pipeline(&[fe::bind("p", "s", &["21", "2026-03-02", "2026-03-01"]), fe::execute("p", 1)]);
        a.pipeline(&[fe::close_portal("p"), fe::bind("p", "s", &["22", "2026-03-02", "2026-03-01"])]);
        a.pipeline(&[fe::execute("p", 1)]);
        a.pipeline(&[fe::execute("p", 1), fe::bind("", "s", &["23", "2026-03-02", "2026-03-01"])]);
        a.pipeline(&[fe::execute("p", 1)]);
        a.query("ROLLBACK");
        a.query("SELECT name FROM pg_prepared_statements");
    });
}

#[test]
fn a_limit_on_a_write_with_returning() {
    same_when_guarded(|stage| {
        let mut a = stage.login("a");
        let insert = "INSERT INTO ex (id, created_at, started_at) SELECT g, '2026-03-02', '2026-03-01' FROM generate_series($1::int, $1::int + 4) g RETURNING id, started_at";
        for (limit, from) in [(1, "800"), (2, "810"), (3, "820"), (5, "830"), (6, "840")] {
            a.send(
                &[
                    fe::parse("", insert),
                    fe::bind("p", "", &[from]),
                    fe::describe_portal("p"),
                    fe::execute("p", limit),
                    fe::flush(),
                ]
                .concat(),
            );
            a.until(b"sC");
            for _ in 0..6 {
                a.send(&[fe::execute("p", limit), fe::flush()].concat());
                if a.until(b"sCE").last().is_some_and(|m| m.tag != b's') {
                    break;
                }
            }
            a.send(&fe::sync());
            a.ready();
        }
        // Left suspended, closed, and dropped by Sync.
        a.pipeline(&[
            fe::parse("", insert),
            fe::bind("p", "", &["850"]),
            fe::execute("p", 2),
            fe::close_portal("p"),
            fe::execute("p", 2),
        ]);
        a.pipeline(&[fe::parse("", insert), fe::bind("p", "", &["860"]), fe::execute("p", 2)]);
        a.pipeline(&[fe::execute("p", 2)]);
        // In a transaction a portal lives on over Sync.
        a.query("BEGIN");
        a.pipeline(&[fe::parse("", insert), Bind::new("p", "").text("870").results(&[1]).build(), fe::execute("p", 2)]);
        a.pipeline(&[fe::execute("p", 2)]);
        // SQL reads from a portal of the protocol too.
        a.query("FETCH 2 FROM p; SELECT 1");
        a.query("CLOSE p");
        a.pipeline(&[fe::parse("", insert), fe::bind("Mixed", "", &["880"])]);
        a.query("FETCH FORWARD 2 IN \"Mixed\"");
        a.query("MOVE 1 FROM \"Mixed\"");
        a.send(&fe::extended("fetch all \"Mixed\" -- the rest", &[]));
        a.ready();
        a.query("FETCH 1 FROM \"Mixed\"");
        a.query("FETCH 1 FROM nowhere");
        a.query("COMMIT");
    });
}

#[test]
fn several_portals_at_once() {
    same_when_guarded(|stage| {
        let mut a = stage.login("a");
        a.run("BEGIN");
        a.pipeline(&[
            fe::parse("s", "SELECT id FROM ex ORDER BY id"),
            fe::parse(
                "i",
                "INSERT INTO ex (id, created_at, started_at) VALUES ($1, '2026-03-02', '2026-03-01') RETURNING id",
            ),
            fe::parse("n", INSERT),
            fe::bind("p1", "s", &[]),
            fe::bind("p2", "i", &["901"]),
            fe::bind("p3", "n", &["902", "2026-03-02", "2026-03-01"]),
            fe::execute("p1", 2),
            fe::execute("p2", 0),
            fe::execute("p1", 2),
            fe::execute("p3", 1),
            fe::describe_portal("p1"),
            fe::describe_portal("p2"),
            fe::describe_portal("p3"),
            fe::execute("p1", 0),
            fe::close_portal("p1"),
            fe::close_portal("p3"),
        ]);
        a.run("COMMIT");
        a.pipeline(&[fe::describe_portal("p2")]);
    });
}
