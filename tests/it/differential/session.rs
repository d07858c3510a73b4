//! Asynchronous messages, cancel, function call, end of the session.

use std::{thread, time::Duration};

use super::{BAD, GOOD};
use crate::harness::{Stage, Talk, cluster, fe, same_as_direct, same_when_guarded};

/// Waits until `seconds`-long sleeps run in the database: an event to act upon, not a time to hope for.
fn await_sleeping(stage: &Stage, talk: &Talk) {
    let pid = talk.key.as_ref().expect("a key").0;
    let mut watch = cluster().direct(&stage.database);
    for _ in 0..1000 {
        let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {pid} AND wait_event = 'PgSleep'");
        if watch.value(&sql) == "1" {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("the sleep never began");
}

#[test]
fn listen_and_notify() {
    same_as_direct(|stage| {
        let mut a = stage.login("a");
        let mut b = stage.login("b");
        a.run("LISTEN news");
        b.run("NOTIFY news, 'one'");
        // Delivered while idle.
        a.until(b"A");
        b.run("BEGIN; NOTIFY news, 'two'; NOTIFY news, 'three'; COMMIT");
        a.until(b"A");
        a.until(b"A");
        a.run("NOTIFY news, 'self'");
        a.run("INSERT INTO ex (id) VALUES (101) RETURNING id");
        a.send(&fe::extended("SELECT pg_notify('news', 'extended')", &[]));
        a.ready();
        // In a transaction it waits for the end.
        a.run("BEGIN");
        b.run("NOTIFY news, 'later'");
        a.run(GOOD);
        a.run("COMMIT");
        a.run("UNLISTEN *");
    });
}

#[test]
fn reported_settings() {
    same_as_direct(|stage| {
        let mut a = stage.login("a");
        for sql in [
            "SET application_name = 'x'",
            "SET client_encoding = 'LATIN1'",
            "SET client_encoding = 'UTF8'",
            "SET datestyle = 'German'",
            "SET timezone = 'Asia/Tokyo'",
            "BEGIN; SET LOCAL timezone = 'UTC'; ROLLBACK",
            "SET standard_conforming_strings = off; SET standard_conforming_strings = on",
            "SET SESSION AUTHORIZATION DEFAULT",
            "RESET ALL",
            "DISCARD ALL",
            BAD,
        ] {
            a.query(sql);
        }
    });
}

#[test]
fn cancel_a_running_statement() {
    same_as_direct(|stage| {
        let mut a = stage.login("a");
        a.send(&fe::query("SELECT pg_sleep(60)"));
        await_sleeping(stage, &a);
        a.cancel();
        a.ready();
        a.query("SELECT 'usable'");
        // In the middle of a guarded write, and of a pipeline.
        a.send(&fe::query("INSERT INTO ex (id, note) SELECT 101, pg_sleep(60)::text"));
        await_sleeping(stage, &a);
        a.cancel();
        a.ready();
        a.send(&[fe::parse("", GOOD), fe::bind("", "", &[]), fe::execute("", 0)].concat());
        a.send(
            &[
                fe::parse("", "UPDATE ex SET note = pg_sleep(60)::text RETURNING id"),
                fe::bind("", "", &[]),
                fe::execute("", 0),
            ]
            .concat(),
        );
        a.send(&[fe::parse("", BAD), fe::bind("", "", &[]), fe::execute("", 0), fe::sync()].concat());
        await_sleeping(stage, &a);
        a.cancel();
        a.ready();
        a.query("SELECT 'usable', count(*) FROM ex");
    });
}

#[test]
fn a_wrong_cancel_key_does_nothing() {
    same_as_direct(|stage| {
        let mut a = stage.login("a");
        let (pid, mut secret) = a.key.clone().expect("a key");
        secret[0] ^= 0xff;
        let mut b = stage.socket("b");
        b.send(&fe::cancel_request(pid, &secret));
        b.closed();
        let mut c = stage.socket("c");
        c.send(&fe::cancel_request(1, &[0, 0, 0, 0]));
        c.closed();
        a.run("SELECT pg_sleep(0.05)");
    });
}

#[test]
fn function_calls() {
    same_as_direct(|stage| {
        let mut a = stage.login("a");
        // int4pl, upper, and one that does not exist.
        for call in [
            fe::function_call(177, &["40", "2"]),
            fe::function_call(871, &["abc"]),
            fe::function_call(4_000_000, &[]),
            fe::function_call(177, &["40"]),
            fe::function_call(154, &["1", "0"]),
        ] {
            a.send(&call);
            a.ready();
        }
        a.query("BEGIN");
        a.send(&fe::function_call(177, &["x", "2"]));
        a.ready();
        a.send(&fe::function_call(177, &["1", "2"]));
        a.ready();
        a.query("ROLLBACK");
        a.query(BAD);
    });
}

#[test]
fn terminate_in_each_state() {
    same_when_guarded(|stage| {
        let scripts: [&[Vec<u8>]; 8] = [
            &[],
            &[fe::query("BEGIN")],
            &[fe::query("BEGIN"), fe::query(BAD)],
            &[fe::query("SELEC")],
            &[fe::parse("", BAD)],
            &[fe::parse("", BAD), fe::bind("", "", &[])],
            &[fe::query("COPY ex (id) FROM STDIN"), fe::copy_data("901\n")],
            &[fe::query(BAD)],
        ];
        for script in scripts {
            let mut a = stage.login("a");
            a.send(&script.concat());
            a.send(&fe::terminate());
            a.closed();
            // The same without Terminate.
            let mut b = stage.login("b");
            b.send(&script.concat());
            b.finish_writing();
            b.closed();
        }
    });
}

#[test]
fn the_server_ends_the_session() {
    same_as_direct(|stage| {
        let mut a = stage.login("a");
        a.run("BEGIN");
        a.query(BAD);
        let pid = a.key.as_ref().expect("a key").0;
        cluster().admin().run(&format!("SELECT pg_terminate_backend({pid})"));
        a.closed();
        let mut c = stage.login("c");
        c.run("SET idle_in_transaction_session_timeout = '50ms'");
        c.run("BEGIN");
        c.closed();
    });
}

#[test]
fn timeouts_of_the_server() {
    same_as_direct(|stage| {
        let mut a = stage.login("a");
        a.run("SET statement_timeout = '50ms'");
        a.query("INSERT INTO ex (id, note) SELECT 101, pg_sleep(60)::text");
        a.query("SELECT pg_sleep(60)");
        a.send(&fe::extended("UPDATE ex SET note = pg_sleep(60)::text", &[]));
        a.ready();
        a.run("RESET statement_timeout");
        a.run(GOOD);
    });
}
