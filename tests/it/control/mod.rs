//! Rules that change while sessions are open: by reload, by the kill switch, by the clock, by who writes. Each is looked at in every position that a
//! write can have.

use crate::harness::{Guarded, Message, Talk, fe, talk::tags};

mod affects_rows;
mod clock;
mod exemptions;
mod kill_switch;
mod load;
mod reload;

/// Gives every row an id of its own.
const IDS: &str = "CREATE SEQUENCE ids START 1000; GRANT ALL ON SEQUENCE ids TO PUBLIC; GRANT ALL ON ex TO PUBLIC";

/// A row that started a day before it was created.
const BAD: &str = "INSERT INTO ex (id, created_at, started_at) VALUES (nextval('ids'), '2026-03-02', '2026-03-01')";

/// A healthy row.
const GOOD: &str = "INSERT INTO ex (id, created_at, started_at) VALUES (nextval('ids'), '2026-03-01', '2026-03-02')";

/// The rule `ex_order` with more keys, and more of a file behind it.
fn rules(keys: &str, rest: &str) -> String {
    format!(
        "version: 1\ntables:\n  - table: public.ex\n    rules:\n      - {{name: ex_order, order: [created_at, started_at, completed_at], {keys}}}\n{rest}"
    )
}

fn guarded(keys: &str, rest: &str) -> Guarded {
    Guarded::with_schema(&rules(keys, rest), IDS)
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Done {
    /// The client sees nothing of a rule.
    Passed,
    Warned,
    Refused,
}

fn done(replies: &[Message]) -> Done {
    if let Some(error) = replies.iter().find(|m| m.tag == b'E') {
        assert_eq!(error.field('C'), "23514", "{error}");
        return Done::Refused;
    }
    let warnings: Vec<_> = replies.iter().filter(|m| m.tag == b'N').collect();
    assert!(warnings.iter().all(|n| n.field('C') == "01000" && n.field('n').starts_with("ex_")), "{warnings:?}");
    assert!(replies.iter().any(|m| m.tag == b'C'), "{replies:?}");
    if warnings.is_empty() { Done::Passed } else { Done::Warned }
}

/// The writes that [`everywhere`] does.
const POSITIONS: u32 = 11;

/// Prepares what [`everywhere`] runs later.
fn prepare(talk: &mut Talk) {
    talk.run(&format!("PREPARE by_sql AS {BAD}"));
    let prepared = talk.pipeline(&[fe::parse("by_parse", BAD), fe::describe_statement("by_parse")]);
    assert_eq!(tags(&prepared), "1tnZ");
}

/// The bad row in each position.
fn everywhere(talk: &mut Talk) -> Vec<(&'static str, Done)> {
    let mut found = Vec::new();
    found.push(("simple", done(&talk.query(BAD))));
    talk.send(&fe::extended(BAD, &[]));
    found.push(("extended", done(&talk.ready())));
    found.push(("prepared", done(&talk.pipeline(&[fe::bind("", "by_parse", &[]), fe::execute("", 0)]))));
    found.push(("EXECUTE", done(&talk.query("EXECUTE by_sql"))));
    talk.send(&fe::extended("EXECUTE by_sql", &[]));
    found.push(("EXECUTE, extended", done(&talk.ready())));
    found.push(("EXECUTE of what a Parse prepared", done(&talk.query("EXECUTE by_parse"))));
    found.push(("Bind of what SQL prepared", done(&talk.pipeline(&[fe::bind("", "by_sql", &[]), fe::execute("", 0)]))));
    talk.run("BEGIN");
    talk.run(GOOD);
    found.push(("transaction", done(&talk.pipeline(&[fe::bind("", "by_parse", &[]), fe::execute("", 0)]))));
    talk.run("ROLLBACK");
    let good = [fe::parse("", GOOD), fe::bind("", "", &[]), fe::execute("", 0)].concat();
    let bad = [fe::bind("", "by_parse", &[]), fe::execute("", 0)].concat();
    found.push(("pipeline", done(&talk.pipeline(&[good.clone(), bad, good]))));
    found.push(("WITH", done(&talk.query(format!("WITH x AS ({BAD} RETURNING id) SELECT count(*) FROM x")))));
    found.push(("COPY", copy(talk)));
    assert_eq!(found.len(), POSITIONS as usize);
    found
}

/// The bad row through COPY.
fn copy(talk: &mut Talk) -> Done {
    let id = talk.value("SELECT nextval('ids')");
    talk.send(&fe::query("COPY ex (id, created_at, started_at) FROM STDIN"));
    let begun = talk.until(b"GE");
    assert_eq!(begun.last().unwrap().tag, b'G', "{begun:?}");
    talk.send(&[fe::copy_data(format!("{id}\t2026-03-02\t2026-03-01\n")), fe::copy_done()].concat());
    done(&talk.ready())
}

/// The same everywhere.
fn all(done: Done, found: &[(&'static str, Done)]) {
    let others: Vec<_> = found.iter().filter(|(_, other)| *other != done).collect();
    assert!(others.is_empty(), "{done:?} everywhere but {others:?}");
}
