//! A thousand reloads under load lose no statement.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Duration,
};

use super::*;
use crate::harness::talk::error;

const RELOADS: u64 = 1_000;
const FIRST_ID: u64 = 1_000;

/// Two rule sets that judge alike and are told apart by the names of their rules. The second one also has rules that others do not.
fn versions() -> [String; 2] {
    let first = rules("on_violation: reject", "");
    let second = first.replace("ex_order", "ex_sequence")
        + "      - {name: ex_sane, plausible: {columns: [created_at], after: 2000-01-01, before: 2100-01-01}}\n"
        + "  - table: public.jobs\n    rules: [{name: jobs_sane, plausible: {columns: [created_at], after: 2000-01-01, before: 2100-01-01}}]\n";
    [first, second]
}

/// How a writer writes.
#[derive(Debug, Clone, Copy)]
enum Way {
    Simple,
    Extended,
    Prepared,
    BySql,
    Transaction,
    Copy,
}

const WAYS: [Way; 6] = [Way::Simple, Way::Extended, Way::Prepared, Way::BySql, Way::Transaction, Way::Copy];

/// One writer: a good row and a bad one in turn, until the reloads are over. Every reply is what it must be. Returns the good rows.
fn writer(guarded: &Guarded, way: Way, over: &AtomicBool, ids: &AtomicU64) -> u64 {
    let mut talk = guarded.login();
    let row = |start: &str| {
        format!("INSERT INTO ex (id, created_at, started_at) VALUES ($1, '2026-03-02', '{start}') RETURNING id")
    };
    let (good, bad) = (row("2026-03-03"), row("2026-03-01"));
    talk.run(&format!("PREPARE good_by_sql (bigint) AS {good}"));
    talk.run(&format!("PREPARE bad_by_sql (bigint) AS {bad}"));
    talk.pipeline(&[fe::parse("good", &good), fe::parse("bad", &bad)]);
    let mut written = 0;
    while !over.load(Ordering::Relaxed) {
        for (text, name) in [(&good, "good"), (&bad, "bad")] {
            let id = ids.fetch_add(1, Ordering::Relaxed).to_string();
            let replies = write(&mut talk, way, text, name, &id);
            if name == "bad" {
                let error = error(&replies);
                assert_eq!(error.field('C'), "23514", "{way:?}: {error}");
                assert!(["ex_order", "ex_sequence"].contains(&error.field('n').as_str()), "{way:?}: {error}");
                continue;
            }
            written += 1;
            let expected = if matches!(way, Way::Copy) { vec![] } else { vec![vec![id]] };
            assert_eq!(crate::harness::talk::rows(&replies), expected, "{way:?}: {replies:?}");
            assert!(replies.iter().all(|m| !b"EN".contains(&m.tag)), "{way:?}: {replies:?}");
            for message in replies.iter().filter(|m| m.tag == b'T') {
                assert_eq!(message.columns().len(), 1, "{way:?}: the guard's column shows");
            }
        }
    }
    talk.terminate();
    written
}

fn write(talk: &mut Talk, way: Way, text: &str, name: &str, id: &str) -> Vec<Message> {
    let bound = [fe::bind("", name, &[id]), fe::describe_portal(""), fe::execute("", 0)];
    match way {
        Way::Simple => talk.query(text.replace("$1", id)),
        Way::Extended => {
            talk.send(&fe::extended(text, &[id]));
            talk.ready()
        }
        Way::Prepared => talk.pipeline(&bound),
        Way::BySql => talk.query(format!("EXECUTE {name}_by_sql ({id})")),
        Way::Transaction => {
            talk.run("BEGIN");
            let replies = talk.pipeline(&bound);
            talk.run("COMMIT");
            replies
        }
        Way::Copy => {
            talk.send(&fe::query("COPY ex (id, created_at, started_at) FROM STDIN"));
            assert_eq!(talk.until(b"GE").last().unwrap().tag, b'G');
            let start = if name == "good" { "2026-03-03" } else { "2026-03-01" };
            talk.send(&[fe::copy_data(format!("{id}\t2026-03-02\t{start}\n")), fe::copy_done()].concat());
            talk.ready()
        }
    }
}

#[test]
fn a_thousand_reloads_lose_no_statement() {
    let [first, second] = versions();
    let guarded = Guarded::new(&first);
    let (over, ids) = (AtomicBool::new(false), AtomicU64::new(FIRST_ID));
    let written: u64 = thread::scope(|scope| {
        let writers: Vec<_> = WAYS
            .into_iter()
            .map(|way| {
                scope.spawn({
                    let (guarded, over, ids) = (&guarded, &over, &ids);
                    move || writer(guarded, way, over, ids)
                })
            })
            .collect();
        for n in 0..RELOADS {
            // However slow the machine is: a statement or more for each reload.
            while ids.load(Ordering::Relaxed) < FIRST_ID + n && !writers.iter().any(|w| w.is_finished()) {
                thread::sleep(Duration::from_micros(100));
            }
            guarded.proxy.use_rules(if n % 2 == 0 { &second } else { &first });
            if n % 100 == 50 {
                // A bad one in between.
                guarded.proxy.write_rules("version: 1\ntables: 5\n");
                assert_eq!(guarded.proxy.reload().0, 422);
            }
        }
        over.store(true, Ordering::Relaxed);
        writers.into_iter().map(|writer| writer.join().expect("a writer came through")).sum()
    });
    assert_eq!(guarded.landed("SELECT count(*) FROM ex WHERE id >= 1000"), written.to_string());
    assert_eq!(guarded.landed("SELECT count(*) FROM ex WHERE id >= 1000 AND started_at < created_at"), "0");
    assert!(ids.into_inner() - FIRST_ID >= RELOADS);
    let samples = guarded.proxy.metrics();
    assert_eq!(samples.sum("unguardable_total", &[]), 0.0, "{samples:#?}");
    assert_eq!(samples.sum("breaker_open", &[]), 0.0);
}
