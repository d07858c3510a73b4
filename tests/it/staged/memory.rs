//! A million rows through a stage are streamed, too.

use super::{RULES, assert_nothing_left};
use crate::harness::{Guarded, fe, talk::tags};

/// Growth of the proxy's peak, in KiB: a few buffers, not rows.
const FLAT_KIB: u64 = 8 << 10;

#[test]
fn a_million_rows() {
    let guarded = Guarded::with_schema(RULES, "ALTER TABLE ex DROP CONSTRAINT ex_pkey");
    let mut talk = guarded.login();
    let sql = "COPY ex (id, job_id, created_at) FROM STDIN";
    let block = |from: u32| -> Vec<u8> {
        fe::copy_data(
            (from..from + 10_000).map(|id| format!("{id}\t{}\t2026-03-01\n", id % 20 + 1)).collect::<String>(),
        )
    };
    talk.send(&[fe::query(sql), block(1000), fe::copy_done()].concat());
    assert_eq!(tags(&talk.ready()), "GCZ");
    let before = guarded.proxy.peak_memory_kib();
    talk.send(&fe::query(sql));
    talk.until(b"G");
    for number in 0..100 {
        talk.send(&block(20_000 + number * 10_000));
    }
    talk.send(&fe::copy_done());
    let replies = talk.ready();
    assert_eq!(tags(&replies), "CZ");
    assert_eq!(replies[0].command(), "COPY 1000000");
    let after = guarded.proxy.peak_memory_kib();
    assert!(after - before < FLAT_KIB, "peak grew from {before} to {after} KiB");
    assert_nothing_left(&guarded, &mut talk);
    let metrics = guarded.proxy.await_metric("rows_checked_total", &[("table", "public.ex")], 1_010_000.0);
    assert_eq!(metrics.sum("statements_total", &[("operation", "copy"), ("outcome", "passed")]), 2.0);
}
