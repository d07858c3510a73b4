//! What the random statements found, made small.

use crate::harness::{
    Guarded, fe,
    guarded::{REJECT, assert_refused},
};

/// A question that a failed transaction leaves without an answer is about that transaction only.
#[test]
fn a_question_behind_a_failed_transaction() {
    let guarded = Guarded::new(REJECT);
    let mut talk = guarded.login();
    talk.run("INSERT INTO ex (id, started_at) VALUES (101, '2026-03-01')");
    let script = [
        "BEGIN",
        "UPDATE ex SET started_at = '2020-01-01' WHERE id = 1",
        // What names mean may have changed.
        "ROLLBACK TO nowhere",
        "INSERT INTO ex (id, started_at) VALUES (102, '2026-03-01')",
    ];
    talk.send(&script.map(fe::query).concat());
    let replies: Vec<_> = script.iter().map(|_| talk.ready()).collect();
    assert_refused(&replies[1]);
    talk.run("END");
    assert_refused(&talk.query("INSERT INTO ex (id, started_at) VALUES (103, '2020-01-01')"));
    assert_eq!(guarded.landed_ids(), "101");
}
