//! How the bytes are cut changes nothing: huge messages, and one byte at a time in both directions.

use super::{BAD, GOOD, INSERT};
use crate::harness::{Bind, Proxy, Talk, cluster, drip::drip, fe, same_as_direct, same_when_guarded, stage::RULES};

#[test]
fn a_bind_of_20_megabytes() {
    same_when_guarded(|stage| {
        let mut a = stage.login("a");
        let big = "b".repeat(20 << 20);
        a.pipeline(&[fe::parse("s", "INSERT INTO ex (id, created_at, started_at, note) VALUES ($1, '2026-03-02', '2026-03-01', $2) RETURNING length(note)")]);
        a.pipeline(&[Bind::new("", "s").text("101").text(&big).build(), fe::execute("", 0)]);
        a.pipeline(&[fe::parse("n", "UPDATE ex SET note = $2, completed_at = '2020-01-01' WHERE id = $1")]);
        a.pipeline(&[Bind::new("", "n").text("1").text(&big).build(), fe::execute("", 0)]);
        a.query("SELECT sum(length(note)) FROM ex");
    });
}

#[test]
fn rows_of_5_megabytes() {
    same_when_guarded(|stage| {
        let mut a = stage.login("a");
        a.query("SELECT repeat('x', 5 << 20)");
        a.query("INSERT INTO ex (id, created_at, started_at, note) VALUES (102, '2026-03-02', '2026-03-01', repeat('y', 5 << 20)) RETURNING note, id");
        a.query("SELECT repeat('x', 100000) FROM generate_series(1, 50)");
    });
}

#[test]
fn a_query_of_10_megabytes() {
    same_as_direct(|stage| {
        let mut a = stage.login("a");
        a.query(format!("SELECT length('{}')", "q".repeat(10 << 20)));
        a.query(format!("INSERT INTO ex (id, note) VALUES (103, '{}') RETURNING length(note)", "q".repeat(10 << 20)));
        let list: Vec<String> = (0..200_000).map(|n| n.to_string()).collect();
        a.query(format!("UPDATE ex SET note = 'in' WHERE id IN ({})", list.join(",")));
    });
}

#[test]
fn large_error_messages() {
    same_as_direct(|stage| {
        let mut a = stage.login("a");
        a.query("DO $$ BEGIN RAISE EXCEPTION '%', repeat('e', 1 << 20); END $$");
        a.query(format!("SELECT {}", "x".repeat(1 << 20)));
    });
}

fn dialogue(talk: &mut Talk, database: &str) {
    talk.send(&fe::ssl_request());
    talk.byte();
    talk.start(&[("user", "postgres"), ("database", database)]);
    talk.query(BAD);
    talk.query("INSERT INTO ex (id, created_at, started_at) VALUES (103, '2026-03-02', '2026-03-01') RETURNING *");
    talk.query("INSERT INTO ex (id) VALUES (1)");
    talk.query("SELECT * FROM jobs");
    talk.pipeline(&[fe::parse("s", INSERT), fe::describe_statement("s")]);
    talk.pipeline(&[
        fe::bind("", "s", &["104", "2026-03-02", "2026-03-01"]),
        fe::describe_portal(""),
        fe::execute("", 1),
        fe::parse("", "SELEC"),
        fe::bind("", "", &[]),
    ]);
    talk.send(
        &[
            fe::query("COPY ex (id, created_at, started_at) FROM STDIN"),
            fe::copy_data("105\t2026-03-02\t2026-03-01\n"),
            fe::copy_done(),
        ]
        .concat(),
    );
    talk.ready();
    talk.query("COPY jobs TO STDOUT");
    talk.query(GOOD);
    talk.query("UPDATE ex SET completed_at = '2020-01-01' RETURNING id, completed_at");
    talk.terminate();
}

#[test]
fn one_byte_segments_from_the_client() {
    same_when_guarded(|stage| {
        let mut a = stage.socket("a");
        a.byte_by_byte();
        dialogue(&mut a, &stage.database);
    });
}

#[test]
fn one_byte_segments_in_both_directions() {
    if std::env::var_os("CHRONOGUARD_IT_DIRECT").is_some() {
        return;
    }
    let talk_over = |addr| {
        let database = cluster().database();
        let mut talk = Talk::connect(addr);
        dialogue(&mut talk, &database);
        talk.transcript()
            .lines()
            .skip_while(|l| !l.contains("ReadyForQuery"))
            .map(|l| l.replace(&database, ""))
            .collect::<Vec<_>>()
    };
    let direct = talk_over(cluster().addr);
    let proxy = Proxy::before(drip(cluster().addr), RULES);
    assert_eq!(direct, talk_over(drip(proxy.addr)));
}
