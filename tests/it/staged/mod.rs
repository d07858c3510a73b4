//! COPY into tables whose rules cannot be judged in COPY's `WHERE`: through a stage, with the verdict that an INSERT of each row would get, and as
//! far as the client can see by the one statement that it sent.

mod ends;
mod memory;
mod obstacles;
mod shapes;
mod verdicts;

use crate::harness::{Guarded, Message, Talk, fe, talk::tags};

/// A parent and an order on `ex`, both rejecting. The parents are those of the template: job `n` was made at minute `n` of 2026.
const RULES: &str = "\
version: 1
tables:
  - table: public.ex
    on_violation: reject
    rules:
      - name: ex_order
        order: [created_at, started_at, completed_at]
        hint: ask the clock only once
      - name: ex_no_reuse
        parent: {table: public.jobs, join: {job_id: id}, not_reused: {created_at: created_at}}
";

const COPY: &str = "COPY ex (id, job_id, created_at, started_at) FROM STDIN";

/// A row that reuses the time of its job.
fn reused(id: u32) -> String {
    format!("{id}\t3\t2026-01-01 00:03:00+00\t2026-03-01\n")
}

/// A row that starts before it was made.
fn reversed(id: u32) -> String {
    format!("{id}\t3\t2026-03-02\t2026-03-01\n")
}

/// Good rows.
fn good(ids: std::ops::Range<u32>) -> String {
    ids.map(|id| format!("{id}\t{}\t2026-03-01\t2026-03-02\n", id % 20 + 1)).collect()
}

/// By which protocol a COPY comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Simple,
    Extended,
}

impl How {
    /// A whole COPY, which waits with its data until the server takes it.
    fn copy(self, talk: &mut Talk, sql: &str, data: impl AsRef<[u8]>) -> Vec<Message> {
        let end = if self == Self::Extended { fe::sync() } else { Vec::new() };
        let start = match self {
            Self::Simple => fe::query(sql),
            // The Sync is ignored while the server takes data.
            Self::Extended => {
                [fe::parse("", sql), fe::bind("", "", &[]), fe::describe_portal(""), fe::execute("", 0), fe::sync()]
                    .concat()
            }
        };
        talk.send(&start);
        let mut replies = talk.until(b"GZ");
        if replies.last().is_some_and(|m| m.tag == b'G') {
            talk.send(&[fe::copy_data(data), fe::copy_done(), end].concat());
            replies.extend(talk.ready());
        }
        replies
    }

    /// The same with everything sent at once.
    fn copy_at_once(self, talk: &mut Talk, sql: &str, data: impl AsRef<[u8]>) -> Vec<Message> {
        let data = [fe::copy_data(data), fe::copy_done()].concat();
        let messages = match self {
            Self::Simple => vec![fe::query(sql), data],
            Self::Extended => {
                vec![fe::parse("", sql), fe::bind("", "", &[]), fe::execute("", 0), data, fe::sync()]
            }
        };
        talk.send(&messages.concat());
        talk.ready()
    }
}

/// A whole COPY in the simple protocol.
fn copy(talk: &mut Talk, sql: &str, data: impl AsRef<[u8]>) -> Vec<Message> {
    How::Simple.copy(talk, sql, data)
}

/// It went well and said so.
fn assert_copied(replies: &[Message], rows: u32) {
    assert!(["GCZ", "12GCZ", "12nGCZ"].contains(&tags(replies).as_str()), "{replies:?}");
    assert_eq!(replies[replies.len() - 2].command(), format!("COPY {rows}"));
}

/// No temporary table, no setting, no prepared statement is left of a session.
fn assert_nothing_left(guarded: &Guarded, talk: &mut Talk) {
    assert_eq!(guarded.landed("SELECT count(*) FROM pg_class WHERE relpersistence = 't'"), "0");
    assert_eq!(talk.value("SELECT coalesce(current_setting('chronoguard.row', true), '')"), "");
    assert_eq!(talk.value("SELECT count(*) FROM pg_prepared_statements WHERE name = 'chronoguard'"), "0");
    assert_eq!(talk.value("SELECT count(*) FROM pg_cursors WHERE name = 'chronoguard'"), "0");
}
