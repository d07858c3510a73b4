//! However a staged COPY ends: the client sees what it would have seen, nothing is left, and the session goes on.

use super::{
    COPY,
    How::{Extended, Simple},
    RULES, assert_copied, assert_nothing_left, copy, good,
};
use crate::harness::{
    Guarded, Message, Talk, cluster, fe,
    guarded::{assert_usable, status},
    talk::{error, tags},
};

/// Fields of the error, those aside that name the place in the server's sources.
fn told(replies: &[Message]) -> Vec<(char, String)> {
    error(replies).fields().into_iter().filter(|(code, _)| !matches!(code, 'F' | 'L' | 'R')).collect()
}

/// A direct session and a guarded one on equal databases.
fn both(sql: &str) -> (Guarded, Talk, Talk) {
    let guarded = Guarded::with_schema(RULES, sql);
    let database = cluster().database();
    let mut direct = cluster().direct(&database);
    if !sql.is_empty() {
        direct.run(sql);
    }
    let talk = guarded.login();
    (guarded, talk, direct)
}

#[test]
fn errors_of_the_data_keep_line_and_column() {
    let (guarded, mut talk, mut direct) = both("");
    for data in [
        good(101..105) + "x\t1\t2026-01-01\t2026-01-01\n",
        good(101..105) + "105\t1\tnonsense\t2026-01-01\n",
        good(101..105) + "105\t1\n",
        good(101..105) + "105\t1\t2026-01-01\t2026-01-01\textra\n",
        good(101..105) + "105\t1\t2026-01-01\t2026-01-01",
        "\u{0}".to_owned(),
    ] {
        for how in [Simple, Extended] {
            let (want, got) = (how.copy(&mut direct, COPY, &data), how.copy(&mut talk, COPY, &data));
            assert_eq!(tags(&want), tags(&got), "{data}");
            if want.iter().any(|m| m.tag == b'E') {
                assert_eq!(told(&want), told(&got));
                assert!(error(&got).field('W').starts_with("COPY ex, line "), "{}", error(&got));
            }
            assert_usable(&mut talk);
            for talk in [&mut talk, &mut direct] {
                talk.run("DELETE FROM ex WHERE id > 100");
            }
        }
    }
    assert_nothing_left(&guarded, &mut talk);
}

/// What the server itself has against a row it says at the INSERT, where it does not know the line.
#[test]
fn errors_of_the_relation_have_no_line() {
    let sql = "ALTER TABLE ex ADD CONSTRAINT queued CHECK (status <> 'bad'), ALTER job_id SET NOT NULL, \
               ADD FOREIGN KEY (job_id) REFERENCES jobs; \
               CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.note = 'no' THEN RAISE 'I said no'; END IF; RETURN NEW; END $$; \
               CREATE TRIGGER no BEFORE INSERT ON ex FOR EACH ROW EXECUTE FUNCTION no();";
    let (guarded, mut talk, mut direct) = both(sql);
    let sql = "COPY ex (id, job_id, created_at, status, note) FROM STDIN";
    let row = |id: &str, job: &str, status: &str, note: &str| format!("{id}\t{job}\t2026-03-01\t{status}\t{note}\n");
    for (bad, sqlstate) in [
        (row("1", "1", "new", ""), "23505"),
        (row("101", "1", "new", ""), "23505"),
        (row("\\N", "1", "new", ""), "23502"),
        (row("102", "\\N", "new", ""), "23502"),
        (row("102", "1", "bad", ""), "23514"),
        (row("102", "77", "new", ""), "23503"),
        (row("102", "1", "new", "no"), "P0001"),
    ] {
        for how in [Simple, Extended] {
            let data = row("101", "1", "new", "") + &bad;
            let (want, got) = (told(&how.copy(&mut direct, sql, &data)), how.copy(&mut talk, sql, &data));
            let context = error(&got).field('W');
            // The frames inside a trigger are the same; COPY's own has no line.
            let lines: Vec<String> = want.iter().filter(|(code, _)| *code == 'W').map(|(_, w)| w.clone()).collect();
            let cut = lines.first().map_or(String::new(), |w| w[..w.find("COPY ex").unwrap_or(w.len())].to_owned());
            assert_eq!(context, cut + "COPY ex", "{bad}");
            let others = |fields: Vec<(char, String)>| -> Vec<_> {
                fields.into_iter().filter(|(code, _)| *code != 'W').collect()
            };
            assert_eq!(others(want), others(told(&got)), "{bad}");
            assert_eq!(error(&got).field('C'), sqlstate);
            assert_usable(&mut talk);
        }
    }
    assert_eq!(guarded.landed_ids(), "");
    assert_nothing_left(&guarded, &mut talk);
    guarded.await_outcome("error", 14);
}

#[test]
fn statements_that_are_wrong() {
    let (_guarded, mut talk, mut direct) = both("");
    for sql in [
        "COPY ex (nonsense) FROM STDIN",
        "COPY ex (id, id) FROM STDIN",
        "COPY ex (id) FROM STDIN WHERE nonsense",
        "COPY ex (id) FROM STDIN WHERE id = (SELECT 1)",
        "COPY ex (id) FROM STDIN WHERE count(*) > 1",
        "COPY ex (id) FROM STDIN WITH (nonsense)",
        "COPY ex (id) FROM STDIN (FORMAT csv, FORCE_NOT_NULL (note))",
        "COPY ex (id) FROM STDIN (FORMAT csv, DELIMITER 'ab')",
        "COPY ex (id) FROM STDIN (HEADER maybe)",
        "COPY ex (id) FROM '/nowhere/at/all'",
        "COPY ex (id) FROM PROGRAM 'exit 3'",
        "COPY ex FROM",
    ] {
        let (want, got) = (direct.query(sql), talk.query(sql));
        assert_eq!(told(&want), told(&got), "{sql}");
        for talk in [&mut talk, &mut direct] {
            talk.run("BEGIN");
        }
        let (want, got) = (direct.query(sql), talk.query(sql));
        assert_eq!((told(&want), status(&want)), (told(&got), status(&got)), "{sql}");
        for talk in [&mut talk, &mut direct] {
            talk.run("ROLLBACK");
            talk.send(&fe::extended(sql, &[]));
        }
        let (want, got) = (direct.ready(), talk.ready());
        assert_eq!((told(&want), tags(&want)), (told(&got), tags(&got)), "{sql}");
    }
    assert_usable(&mut talk);
}

#[test]
fn the_client_gives_up() {
    let (guarded, mut talk, mut direct) = both("");
    for transaction in [false, true] {
        for extended in [false, true] {
            let go = |talk: &mut Talk| {
                if transaction {
                    talk.run("BEGIN");
                }
                let start = if extended {
                    [fe::parse("", COPY), fe::bind("", "", &[]), fe::execute("", 0), fe::flush()].concat()
                } else {
                    fe::query(COPY)
                };
                talk.send(&start);
                talk.until(b"G");
                talk.send(&[fe::copy_data(good(101..110)), fe::copy_fail("changed my mind")].concat());
                if extended {
                    talk.send(&fe::sync());
                }
                let replies = talk.ready();
                if transaction {
                    talk.run("ROLLBACK");
                }
                (told(&replies), status(&replies))
            };
            assert_eq!(go(&mut direct), go(&mut talk));
            assert_usable(&mut talk);
        }
    }
    assert_nothing_left(&guarded, &mut talk);
    assert_eq!(guarded.landed_ids(), "");
}

/// Something other than data in the middle of it, and a connection that just ends.
#[test]
fn the_client_breaks_the_protocol_or_goes_away() {
    let guarded = Guarded::new(RULES);
    let mut talk = guarded.login();
    talk.send(&[fe::query(COPY), fe::copy_data(good(101..105)), fe::query("SELECT 1")].concat());
    talk.closed();
    let mut talk = guarded.login();
    talk.send(&[fe::query(COPY), fe::copy_data(good(101..105))].concat());
    talk.until(b"G");
    drop(talk);
    let mut talk = guarded.login();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while guarded.landed("SELECT count(*) FROM pg_class WHERE relpersistence = 't'") != "0" {
        assert!(std::time::Instant::now() < deadline, "the stage of a session that has ended is still there");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert_eq!(guarded.landed_ids(), "");
    assert_copied(&copy(&mut talk, COPY, good(101..105)), 4);
}

#[test]
fn cancel_and_timeout() {
    let guarded = Guarded::with_schema(
        RULES,
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(30) WHERE NEW.note = 'slow'; RETURN NEW; END $$;
         CREATE TRIGGER slow BEFORE INSERT ON ex FOR EACH ROW EXECUTE FUNCTION slow();",
    );
    let mut talk = guarded.login();
    // While it takes data.
    talk.send(&[fe::query(COPY), fe::copy_data(good(101..105))].concat());
    talk.until(b"G");
    talk.cancel();
    // The server looks at it when there is something to read.
    talk.send(&[fe::copy_data(good(105..110)), fe::copy_done()].concat());
    let replies = talk.ready();
    assert_eq!(error(&replies).field('C'), "57014");
    assert_eq!(status(&replies), 'I');
    assert_usable(&mut talk);
    // While it inserts.
    let sql = "COPY ex (id, note) FROM STDIN";
    for transaction in [false, true] {
        if transaction {
            talk.run("BEGIN");
        }
        talk.send(&[fe::query(sql), fe::copy_data("101\tslow\n"), fe::copy_done()].concat());
        talk.until(b"G");
        let mut direct = guarded.direct();
        while direct.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'") == "0" {}
        talk.cancel();
        let replies = talk.ready();
        assert_eq!(error(&replies).field('C'), "57014", "{replies:?}");
        assert_eq!(status(&replies), if transaction { 'E' } else { 'I' });
        if transaction {
            talk.run("ROLLBACK");
        }
        assert_usable(&mut talk);
    }
    talk.run("SET statement_timeout = '100ms'");
    for how in [Simple, Extended] {
        let replies = how.copy(&mut talk, sql, "101\tslow\n");
        assert_eq!(error(&replies).field('C'), "57014", "{replies:?}");
    }
    talk.run("RESET statement_timeout");
    assert_nothing_left(&guarded, &mut talk);
    assert_eq!(guarded.landed_ids(), "");
    let metrics = guarded.await_outcome("error", 5);
    assert_eq!(metrics.sum("retries_total", &[]) + metrics.sum("breaker_open", &[]), 0.0);
}

#[test]
fn read_only_transactions() {
    let (guarded, mut talk, mut direct) = both("");
    for start in
        ["BEGIN READ ONLY", "BEGIN; SET TRANSACTION READ ONLY", "SET default_transaction_read_only = on; COMMIT"]
    {
        for how in [Simple, Extended] {
            let go = |talk: &mut Talk| {
                talk.query(start);
                let replies = how.copy(talk, COPY, good(101..105));
                let seen = (tags(&replies), told(&replies), status(&replies));
                talk.query("ROLLBACK; RESET default_transaction_read_only");
                seen
            };
            assert_eq!(go(&mut direct), go(&mut talk), "{start}");
        }
    }
    assert_eq!(guarded.landed_ids(), "");
    assert_eq!(guarded.proxy.metrics().sum("breaker_open", &[]), 0.0);
    assert_copied(&copy(&mut talk, COPY, good(101..105)), 4);
}
