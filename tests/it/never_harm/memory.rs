//! What is stripped is not collected.

use crate::harness::{Guarded, fe, guarded::REJECT, talk::tags};

/// Growth of the proxy's peak that a million rows may cause, in KiB: a few buffers, not rows.
const FLAT_KIB: u64 = 8 << 10;

#[test]
fn a_million_rows_updated_without_returning() {
    let guarded = Guarded::with_schema(
        &REJECT.replace("reject", "observe"),
        "ALTER TABLE ex DROP CONSTRAINT ex_pkey;
         INSERT INTO ex (id, created_at, started_at) SELECT g, '2026-03-01', '2026-03-02' FROM generate_series(1001, 1001000) g",
    );
    let mut talk = guarded.login();
    assert_eq!(tags(&talk.query("UPDATE ex SET completed_at = '2026-03-03' WHERE id = 1001")), "CZ");
    let before = guarded.proxy.peak_memory_kib();
    let replies = talk.query("UPDATE ex SET completed_at = '2026-03-03'");
    assert_eq!(tags(&replies), "CZ");
    assert_eq!(replies[0].command(), "UPDATE 1000010");
    talk.send(&fe::extended("UPDATE ex SET completed_at = '2026-03-04'", &[]));
    assert_eq!(tags(&talk.ready()), "12nCZ");
    let after = guarded.proxy.peak_memory_kib();
    assert!(after - before < FLAT_KIB, "peak grew from {before} to {after} KiB");
    guarded.proxy.await_metric("rows_checked_total", &[("table", "public.ex")], 2_000_021.0);
}

#[test]
fn large_rows_and_messages_are_streamed() {
    let guarded = Guarded::new(&REJECT.replace("reject", "observe"));
    let mut talk = guarded.login();
    talk.run("INSERT INTO ex (id) VALUES (101)");
    let before = guarded.proxy.peak_memory_kib();
    talk.run("SELECT repeat('x', 60000000)");
    talk.pipeline(&[
        fe::parse("", "SELECT length($1)"),
        fe::bind("", "", &[&"y".repeat(60_000_000)]),
        fe::execute("", 0),
    ]);
    talk.send(
        &[
            fe::query("COPY plain FROM STDIN"),
            fe::copy_data(format!("900\t{}\n", "z".repeat(60_000_000))),
            fe::copy_done(),
        ]
        .concat(),
    );
    assert_eq!(tags(&talk.ready()), "GCZ");
    let after = guarded.proxy.peak_memory_kib();
    assert!(after - before < FLAT_KIB, "peak grew from {before} to {after} KiB");
}
