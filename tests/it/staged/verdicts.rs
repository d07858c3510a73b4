//! Which rows are refused, warned about, observed: the same as by INSERT.

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use super::{
    COPY,
    How::{Extended, Simple},
    RULES, assert_copied, assert_nothing_left, copy, good, reused, reversed,
};
use crate::harness::{
    Guarded, Message, fe,
    guarded::{assert_refused, assert_refused_by, assert_usable, status},
    talk::{error, tags},
};

fn assert_reuse_refused(replies: &[Message]) {
    assert_refused_by(replies, "public", "ex", "ex_no_reuse");
}

#[test]
fn line_500_of_a_thousand() {
    let guarded = Guarded::new(RULES);
    let mut talk = guarded.login();
    let data = |bad: String| good(1001..1500) + &bad + &good(1501..2001);
    let csv = |bad: String| data(bad).replace('\t', ",");
    for how in [Simple, Extended] {
        let replies = how.copy(&mut talk, COPY, data(reused(1500)));
        assert_reuse_refused(&replies);
        assert_eq!(tags(&replies).replace("12n", ""), "GEZ");
        assert_eq!(error(&replies).field('W'), "COPY ex, line 500");
        assert_usable(&mut talk);
        let replies = how.copy(&mut talk, COPY, data(reversed(1500)));
        assert_refused(&replies);
        assert_eq!(error(&replies).field('W'), "COPY ex, line 500");
        // Of several the first; the line is one of the data, header and line breaks in values counted.
        let options = "COPY ex (id, job_id, created_at, started_at) FROM STDIN (FORMAT csv, HEADER)";
        let replies = how.copy(&mut talk, options, "a,b,c,d\n".to_owned() + &csv(reused(1500) + &reversed(1499)));
        assert_reuse_refused(&replies);
        assert_eq!(error(&replies).field('W'), "COPY ex, line 501");
        let noted = "COPY ex (id, job_id, created_at, note) FROM STDIN WITH CSV";
        let replies = how.copy(
            &mut talk,
            noted,
            "1001,3,2026-03-01,\"one\ntwo\n\"\n1002,3,2026-03-01,\n1003,3,2026-01-01 00:03:00+00,\"x\ny\"\n",
        );
        assert_eq!(error(&replies).field('W'), "COPY ex, line 6");
        assert_copied(&how.copy(&mut talk, COPY, good(1001..2001)), 1000);
        assert_nothing_left(&guarded, &mut talk);
        assert_eq!(guarded.landed("SELECT count(*) FROM ex WHERE id > 1000"), "1000");
        guarded.direct().run("DELETE FROM ex WHERE id > 1000");
    }
    let metrics = guarded.await_outcome("rejected", 8);
    assert_eq!(metrics.sum("statements_total", &[("operation", "copy"), ("outcome", "passed")]), 2.0);
    assert_eq!(metrics.sum("unguardable_total", &[]), 0.0);
    assert_eq!(metrics.sum("retries_total", &[]), 0.0);
    assert_eq!(metrics.sum("breaker_open", &[]), 0.0);
    assert_eq!(metrics.sum("violations_total", &[("rule", "ex_no_reuse"), ("action", "reject")]), 6.0);
    assert_eq!(metrics.sum("rows_checked_total", &[("table", "public.ex")]), 2000.0);
}

/// Clients may send everything at once, before the server has said that it takes data.
#[test]
fn all_at_once() {
    let guarded = Guarded::new(RULES);
    let mut talk = guarded.login();
    for how in [Simple, Extended] {
        assert_copied(&how.copy_at_once(&mut talk, COPY, good(101..103)), 2);
        let replies = how.copy_at_once(&mut talk, COPY, good(103..105) + &reused(105));
        assert_reuse_refused(&replies);
        assert_eq!(error(&replies).field('W'), "COPY ex, line 3");
        assert_eq!(error(&how.copy_at_once(&mut talk, COPY, "x\n")).field('C'), "22P02");
        assert_eq!(error(&how.copy_at_once(&mut talk, "COPY ex (nonsense) FROM STDIN", "x\n")).field('C'), "42703");
        talk.run("BEGIN READ ONLY");
        assert_eq!(error(&how.copy_at_once(&mut talk, COPY, good(103..105))).field('C'), "25006");
        talk.run("ROLLBACK");
        assert_nothing_left(&guarded, &mut talk);
        assert_eq!(guarded.landed_ids(), "101 102");
        talk.run("DELETE FROM ex WHERE id > 100");
    }
    // A Sync behind Execute, which the server ignores if it takes data, and answers if not; nothing of ours may run behind it.
    let start = |sql: &str| [fe::parse("", sql), fe::bind("", "", &[]), fe::execute("", 0), fe::sync()].concat();
    let data = || [fe::copy_data(good(101..103)), fe::copy_done(), fe::sync(), fe::query("SELECT 1")].concat();
    talk.send(&[start(COPY), data()].concat());
    assert_eq!(tags(&talk.ready()), "12GCZ");
    assert_eq!(tags(&talk.ready()), "TDCZ");
    talk.run("BEGIN READ ONLY");
    talk.send(&[start(COPY), data()].concat());
    assert_eq!(tags(&talk.ready()), "12EZ");
    assert_eq!(status(&talk.ready()), 'E');
    assert_eq!(error(&talk.ready()).field('C'), "25P02");
    talk.run("ROLLBACK");
    assert_usable(&mut talk);
    assert_nothing_left(&guarded, &mut talk);
}

#[test]
fn binary() {
    let guarded = Guarded::new(RULES);
    let mut talk = guarded.login();
    let data = |bad: Option<u64>| {
        let mut data = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
        for id in 101_u64..151 {
            data.extend([0, 3, 0, 0, 0, 8]);
            data.extend(id.to_be_bytes());
            data.extend([0, 0, 0, 8]);
            data.extend(3_u64.to_be_bytes());
            data.extend([0, 0, 0, 8]);
            // 2026-01-01 00:03 is the time of job 3.
            let offset = if bad == Some(id) { 180 } else { 181 };
            data.extend(fe::timestamptz_binary((1_767_225_600 + offset) * 1_000_000));
        }
        data.extend([0xff, 0xff]);
        data
    };
    let sql = "COPY ex (id, job_id, created_at) FROM STDIN (FORMAT binary)";
    for how in [Simple, Extended] {
        let replies = how.copy(&mut talk, sql, data(Some(110)));
        assert_reuse_refused(&replies);
        assert_eq!(error(&replies).field('W'), "COPY ex, line 10");
    }
    assert_copied(&copy(&mut talk, sql, data(None)), 50);
    assert_eq!(guarded.landed("SELECT count(*) FROM ex WHERE id > 100"), "50");
}

#[test]
fn in_a_transaction() {
    let guarded = Guarded::new(RULES);
    let mut talk = guarded.login();
    for how in [Simple, Extended] {
        talk.run("BEGIN");
        // Twice in a row, then one that is refused; a savepoint brings the transaction back.
        assert_copied(&how.copy(&mut talk, COPY, good(101..103)), 2);
        let replies = how.copy(&mut talk, COPY, good(103..105));
        assert_copied(&replies, 2);
        assert_eq!(status(&replies), 'T');
        talk.run("SAVEPOINT s");
        let replies = how.copy(&mut talk, COPY, good(105..107) + &reused(107));
        assert_reuse_refused(&replies);
        assert_eq!(error(&replies).field('W'), "COPY ex, line 3");
        assert_eq!(status(&replies), 'E');
        assert_eq!(error(&how.copy(&mut talk, COPY, good(105..107))).field('C'), "25P02");
        talk.run("ROLLBACK TO s");
        assert_copied(&how.copy(&mut talk, COPY, good(108..109)), 1);
        talk.run("RELEASE s");
        talk.run("SAVEPOINT s");
        assert_copied(&how.copy(&mut talk, COPY, good(109..110)), 1);
        talk.run("ROLLBACK TO s");
        talk.run("COMMIT");
        assert_nothing_left(&guarded, &mut talk);
        assert_eq!(guarded.landed_ids(), "101 102 103 104 108");
        talk.run("DELETE FROM ex WHERE id > 100");
        talk.run("BEGIN");
        assert_copied(&how.copy(&mut talk, COPY, good(101..103)), 2);
        talk.run("ROLLBACK");
        assert_nothing_left(&guarded, &mut talk);
        assert_eq!(guarded.landed_ids(), "");
    }
    guarded.proxy.await_metric("writes_total", &[("operation", "copy"), ("result", "committed")], 6.0);
    guarded.proxy.await_metric("writes_total", &[("operation", "copy"), ("result", "rolled_back")], 4.0);
}

#[test]
fn among_other_statements() {
    let guarded = Guarded::new(RULES);
    let mut talk = guarded.login();
    // In one text, twice.
    let sql = format!("SELECT 1; {COPY}; SELECT 2; {COPY} -- the last\n; INSERT INTO plain VALUES (100, 'x')");
    let send = |talk: &mut crate::harness::Talk, second: String| {
        let data = |text: String| [fe::copy_data(text), fe::copy_done()].concat();
        talk.send(&[fe::query(&sql), data(good(101..104)), data(second)].concat());
        talk.ready()
    };
    let replies = send(&mut talk, good(104..105) + &reused(105));
    assert_eq!(tags(&replies), "TDCGCTDCGEZ");
    assert_reuse_refused(&replies);
    assert_eq!(error(&replies).field('W'), "COPY ex, line 2");
    assert_eq!(guarded.landed_ids(), "");
    let replies = send(&mut talk, good(104..106));
    assert_eq!(tags(&replies), "TDCGCTDCGC*Z");
    assert_eq!(
        replies.iter().filter(|m| m.tag == b'C').map(|m| m.command()).collect::<Vec<_>>()[1..4],
        ["COPY 3", "SELECT 1", "COPY 2"]
    );
    assert_eq!(guarded.landed_ids(), "101 102 103 104 105");
    assert_nothing_left(&guarded, &mut talk);
    // In a pipeline, with a statement that is prepared and runs twice; what is behind a refusal is skipped.
    talk.pipeline(&[fe::parse("c", COPY)]);
    let part =
        |data: String| [fe::bind("", "c", &[]), fe::execute("", 0), fe::copy_data(data), fe::copy_done()].concat();
    let insert = |id: &str| {
        [fe::parse("", "INSERT INTO ex (id) VALUES ($1)"), fe::bind("", "", &[id]), fe::execute("", 0)].concat()
    };
    let replies =
        talk.pipeline(&[insert("110"), part(good(111..113)), insert("113"), part(good(114..115)), insert("116")]);
    assert_eq!(tags(&replies), "12C2GC12C2GC12CZ");
    assert_eq!(guarded.landed_ids(), "101 102 103 104 105 110 111 112 113 114 116");
    let replies = talk.pipeline(&[insert("120"), part(reused(121)), insert("122")]);
    assert_eq!(tags(&replies), "12C2GEZ");
    assert_reuse_refused(&replies);
    assert_usable(&mut talk);
    assert_nothing_left(&guarded, &mut talk);
    assert_eq!(guarded.landed("SELECT count(*) FROM ex WHERE id > 116"), "0");
}

#[test]
fn warn_and_observe() {
    let guarded = Guarded::new(&RULES.replace("reject", "warn"));
    let mut talk = guarded.login();
    let data = good(101..103) + &reused(103) + &reversed(104);
    for how in [Simple, Extended] {
        let replies = how.copy(&mut talk, COPY, &data);
        assert_eq!(tags(&replies).replace("12n", ""), "GN*CZ");
        let warned: Vec<String> = replies.iter().filter(|m| m.tag == b'N').map(|m| m.field('n')).collect();
        assert_eq!(warned, ["ex_no_reuse", "ex_order"]);
        assert_eq!(replies[replies.len() - 2].command(), "COPY 4");
        talk.run("DELETE FROM ex WHERE id > 100");
    }
    let metrics = guarded.await_outcome("warned", 2);
    assert_eq!(metrics.sum("rows_checked_total", &[]), 8.0);
    let guarded = Guarded::new(&RULES.replace("reject", "observe"));
    let mut talk = guarded.login();
    assert_copied(&copy(&mut talk, COPY, &data), 4);
    assert_nothing_left(&guarded, &mut talk);
    let metrics = guarded.await_outcome("observed", 1);
    assert_eq!(metrics.sum("violations_total", &[("rule", "ex_no_reuse")]), 1.0);
    assert_eq!(metrics.sum("violations_total", &[("rule", "ex_order")]), 1.0);
    assert_eq!(metrics.sum("unguardable_total", &[]), 0.0);
}

/// Repairs, spoils and drops rows, by their note.
const TRIGGER: &str = "
    CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        CASE NEW.note
            WHEN 'repair' THEN NEW.created_at := '2026-02-20'; NEW.started_at := '2026-02-21'; NEW.completed_at := NULL;
            WHEN 'spoil' THEN NEW.started_at := NEW.created_at - interval '1 day';
            WHEN 'reuse' THEN NEW.created_at := (SELECT created_at FROM jobs WHERE id = NEW.job_id);
            WHEN 'drop' THEN RETURN NULL;
            ELSE NULL;
        END CASE;
        RETURN NEW;
    END $$;
    CREATE TRIGGER meddle BEFORE INSERT ON ex FOR EACH ROW EXECUTE FUNCTION meddle();";

#[test]
fn before_triggers() {
    let guarded = Guarded::with_schema(RULES, TRIGGER);
    let mut talk = guarded.login();
    let sql = "COPY ex (id, job_id, created_at, started_at, note) FROM STDIN";
    let row = |id: u32, note: &str| good(id..id + 1).replace('\n', &format!("\t{note}\n"));
    let bad = |id: u32, note: &str| reversed(id).replace('\n', &format!("\t{note}\n"));
    assert_copied(&copy(&mut talk, sql, row(101, "") + &bad(102, "repair") + &bad(103, "drop")), 2);
    for (note, rule) in [("spoil", "ex_order"), ("reuse", "ex_no_reuse")] {
        for how in [Simple, Extended] {
            let replies = how.copy(&mut talk, sql, row(104, "") + &bad(105, "drop") + &row(106, note));
            assert_refused_by(&replies, "public", "ex", rule);
            // The row that the trigger dropped was a line, too.
            assert_eq!(error(&replies).field('W'), "COPY ex, line 3");
        }
    }
    assert_eq!(guarded.landed_ids(), "101 102");
    assert_eq!(guarded.proxy.metrics().sum("unguardable_total", &[]), 0.0);
}

/// Random rows, each alone by INSERT and by COPY: refused by the same rule or not at all, and the same row lands. Then all at once, observing.
#[test]
fn the_same_verdict_as_insert() {
    let guarded = Guarded::with_schema(RULES, TRIGGER);
    let observing = Guarded::with_schema(&RULES.replace("reject", "observe"), TRIGGER);
    let mut talk = guarded.login();
    let mut refused = 0;
    let mut random = StdRng::seed_from_u64(0x5eed);
    let mut pick = |from: &[&str]| from[random.random_range(0..from.len())].to_owned();
    let mut all = String::new();
    let columns = "id, job_id, created_at, started_at, completed_at, note";
    for number in 0..300 {
        let id = 1000 + 2 * number;
        let times = [
            "2026-01-01 00:01:00+00",
            "2026-01-01 00:02:00+00",
            "2026-03-01 00:00:00+00",
            "2026-03-02 00:00:00+00",
            "infinity",
            "-infinity",
            "\\N",
        ];
        let values = [
            pick(&["1", "2", "3", "99", "\\N"]),
            pick(&times),
            pick(&times),
            pick(&times),
            pick(&["\\N", "x", "repair", "spoil", "reuse", "drop"]),
        ];
        let literal = |v: &String| if v == "\\N" { "NULL".to_owned() } else { format!("'{v}'") };
        let list = values.iter().map(literal).collect::<Vec<_>>().join(", ");
        let inserted = talk.query(format!("INSERT INTO ex ({columns}) VALUES ({id}, {list})"));
        let line = format!("{}\t{}\n", id + 1, values.join("\t"));
        let copied = copy(&mut talk, &format!("COPY ex ({columns}) FROM STDIN"), &line);
        let rule = |replies: &[Message]| {
            replies
                .iter()
                .find(|m| m.tag == b'E')
                .map(|m| (m.field('C'), m.field('n'), m.field('D').replace(&(id + 1).to_string(), &id.to_string())))
        };
        assert_eq!(rule(&inserted), rule(&copied), "{line}");
        refused += u32::from(rule(&copied).is_some());
        all += &line;
    }
    assert!((50..250).contains(&refused), "{refused} of 300 refused: the rows are no test");
    let pairs = "SELECT count(*) FROM ex a FULL JOIN ex b ON b.id = a.id + 1
        WHERE (a.id >= 1000 AND a.id % 2 = 0 OR b.id >= 1000 AND b.id % 2 = 1)
          AND (a.job_id, a.created_at, a.started_at, a.completed_at, a.note) IS DISTINCT FROM (b.job_id, b.created_at, b.started_at, b.completed_at, b.note)
          AND (a.id IS NULL OR a.id % 2 = 0) AND (b.id IS NULL OR b.id % 2 = 1)";
    assert_eq!(guarded.landed(pairs), "0");
    let mut talk = observing.login();
    let replies = copy(&mut talk, &format!("COPY ex ({columns}) FROM STDIN"), &all);
    let landed: u32 = observing.landed("SELECT count(*) FROM ex WHERE id >= 1000").parse().unwrap();
    assert_copied(&replies, landed);
    let metrics = observing.await_outcome("observed", 1);
    let expected = |rule: &str| {
        observing.landed(&format!("SELECT count(*) FROM ex x WHERE id >= 1000 AND ({rule})")).parse::<f64>().unwrap()
    };
    assert_eq!(
        metrics.sum("violations_total", &[("rule", "ex_no_reuse")]),
        expected("EXISTS (SELECT FROM jobs j WHERE j.id = x.job_id AND j.created_at = x.created_at)")
    );
    assert_eq!(
        metrics.sum("violations_total", &[("rule", "ex_order")]),
        expected("created_at > started_at OR coalesce(started_at, created_at) > completed_at")
    );
    assert_eq!(metrics.sum("rows_checked_total", &[]), f64::from(landed));
}
