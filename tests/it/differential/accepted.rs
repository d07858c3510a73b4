//! The differences that are accepted, each with its reason in `docs/LIMITS.md`, "What a client could notice". Here they are pinned down, so that there are no more of them.

use super::INSERT;
use crate::harness::{
    Message, fe,
    stage::play_on_both,
    talk::{error, tags},
};

/// Whether the first column of the result has a table, and its attribute number there.
fn origin(replies: &[Message]) -> (bool, u16) {
    let columns = replies.iter().find(|m| m.tag == b'T').expect("a RowDescription").columns();
    (columns[0].numbers.0 != 0, columns[0].numbers.1)
}

/// The columns of `*` over two relations are not known by name, so one item carries the guard and is no bare column any more.
#[test]
fn a_column_without_origin() {
    let sql = "WITH w AS (UPDATE ex SET started_at = '2026-05-05' FROM jobs WHERE ex.id = 1 AND jobs.id = 1 RETURNING ex.id, *) SELECT first FROM (SELECT w.* FROM w) AS s (first)";
    let (direct, guarded) = play_on_both(|stage| stage.login("a").query(sql));
    assert_eq!((tags(&direct), tags(&guarded)), ("TDCZ".into(), "TDCZ".into()));
    assert_eq!((origin(&direct), origin(&guarded)), ((true, 1), (false, 0)));
}

/// The guard's RETURNING makes a `WITH` entry readable that has none.
#[test]
fn a_cte_that_returns_nothing_is_read() {
    let sql = "WITH w AS (INSERT INTO ex (id, note) VALUES (110, 'x')) SELECT * FROM w";
    let (direct, guarded) = play_on_both(|stage| stage.login("a").query(sql));
    assert_eq!(error(&direct).field('C'), "0A000");
    assert_eq!(tags(&guarded), "TDCZ");
}

/// A portal of a write without RETURNING has no rows for SQL to fetch; PostgreSQL calls that an internal error.
#[test]
fn fetch_from_a_portal_without_rows() {
    let (direct, guarded) = play_on_both(|stage| {
        let mut a = stage.login("a");
        a.run("BEGIN");
        a.pipeline(&[fe::parse("", INSERT), fe::bind("p", "", &["111", "2026-03-02", "2026-03-01"])]);
        a.query("FETCH 1 FROM p")
    });
    assert_eq!(error(&direct).field('C'), "XX000");
    assert_eq!(tags(&guarded), "CZ");
    assert_eq!(guarded[0].command(), "FETCH 1");
}
