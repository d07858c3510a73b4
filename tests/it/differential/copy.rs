//! `COPY`, in and out, simple and extended, to the end and not.

use super::BAD;
use crate::harness::{fe, same_as_direct, same_when_guarded};

const COPY: &str = "COPY ex (id, created_at, started_at) FROM STDIN";
const GOOD_LINE: &str = "\t2026-03-01\t2026-03-02\n";
const BAD_LINE: &str = "\t2026-03-02\t2026-03-01\n";

/// Lines for rows `from..to`, every third one bad.
fn lines(from: u32, to: u32) -> String {
    (from..to).map(|id| format!("{id}{}", if id % 3 == 0 { BAD_LINE } else { GOOD_LINE })).collect()
}

#[test]
fn copy_in() {
    same_when_guarded(|stage| {
        let mut a = stage.login("a");
        let go = |a: &mut crate::harness::Talk, sql: &str, data: &[String]| {
            a.send(&fe::query(sql));
            if a.until(b"GZ").last().is_some_and(|m| m.tag == b'Z') {
                return;
            }
            for piece in data {
                a.send(&fe::copy_data(piece));
            }
            a.send(&fe::copy_done());
            a.ready();
        };
        go(&mut a, COPY, &[lines(100, 140)]);
        go(&mut a, COPY, &[]);
        go(&mut a, COPY, &[lines(140, 150), lines(150, 160), String::new()]);
        // Lines split over messages at every place.
        let text = lines(160, 164);
        let bytes: Vec<String> = text.chars().map(|c| c.to_string()).collect();
        go(&mut a, COPY, &bytes);
        go(
            &mut a,
            "COPY ex (id, created_at, started_at) FROM STDIN WITH (FORMAT csv)",
            &[lines(170, 175).replace('\t', ",")],
        );
        go(
            &mut a,
            "COPY ex (id, created_at, started_at) FROM STDIN (FORMAT csv, HEADER)",
            &["a,b,c\n".into(), lines(176, 180).replace('\t', ",")],
        );
        go(
            &mut a,
            "copy public.ex(id, created_at, started_at) from stdin csv delimiter ';'",
            &[lines(180, 184).replace('\t', ";")],
        );
        go(&mut a, "COPY ex (id, created_at, started_at) FROM STDIN WHERE id % 2 = 0", &[lines(184, 190)]);
        go(&mut a, "COPY ex (id, created_at, started_at) FROM STDIN WHERE id = 190 OR id = 191;", &[lines(190, 195)]);
        go(&mut a, "COPY ex FROM STDIN", &["200\t1\tq\t2026-03-02\t2026-03-01\t\\N\tnote\n\\.\n".into()]);
        go(&mut a, "COPY plain FROM STDIN", &["50\tx\n51\t\\N\n".into()]);
        go(&mut a, "COPY nonsense FROM STDIN", &[]);
        go(&mut a, "COPY ex (nonsense) FROM STDIN", &[]);
        go(&mut a, "COPY ex (id) FROM STDIN WHERE nonsense", &[]);
        go(&mut a, "COPY ex (id) FROM STDIN WITH (nonsense)", &[]);
        a.query("SELECT count(*) FROM ex");
    });
}

#[test]
fn copy_in_fails() {
    same_as_direct(|stage| {
        let mut a = stage.login("a");
        // What the relation itself has against a row is told without its line where rows go through a stage: see `staged::ends`.
        for data in [
            lines(100, 105) + "x\tbad id\t\n" + &lines(106, 110),
            lines(100, 105) + "105\n",
            lines(100, 105) + "106\tnonsense\t2026-01-01\n",
            lines(100, 105) + "107\t2026-03-01\t2026-03-01\textra\n",
        ] {
            a.send(&[fe::query(COPY), fe::copy_data(&data), fe::copy_data(lines(300, 310)), fe::copy_done()].concat());
            a.ready();
            a.query("SELECT 'usable'");
        }
        a.send(&[fe::query(COPY), fe::copy_data(lines(100, 105)), fe::copy_fail("changed my mind")].concat());
        a.ready();
        // Something else than copy data ends the session.
        let mut b = stage.login("b");
        b.send(&[fe::query(COPY), fe::copy_data(lines(100, 105)), fe::query("SELECT 1")].concat());
        b.closed();
        // In a transaction.
        a.query("BEGIN");
        a.send(&[fe::query(COPY), fe::copy_data("x\n"), fe::copy_done()].concat());
        a.ready();
        a.query("SELECT 1");
        a.query("ROLLBACK");
        // Copy messages outside of a copy are ignored.
        a.send(&[fe::copy_data("x"), fe::copy_done(), fe::copy_fail("x"), fe::query("SELECT 'ignored'")].concat());
        a.ready();
        // The line number in the context must be the client's.
        a.send(&[fe::query("COPY plain FROM STDIN"), fe::copy_data("60\ta\n-1\tb\n"), fe::copy_done()].concat());
        a.ready();
    });
}

#[test]
fn copy_out() {
    same_as_direct(|stage| {
        let mut a = stage.login("a");
        for sql in [
            "COPY ex (id, note) TO STDOUT",
            "COPY (SELECT id FROM ex ORDER BY id) TO STDOUT WITH (FORMAT csv, HEADER)",
            "COPY plain TO STDOUT (FORMAT binary)",
            "COPY (SELECT repeat('x', 100000) FROM generate_series(1, 20)) TO STDOUT",
            "COPY (SELECT 1/(3 - g) FROM generate_series(1, 5) g) TO STDOUT",
            "COPY nonsense TO STDOUT",
            "COPY (INSERT INTO ex (id) VALUES (100), (101) RETURNING id) TO STDOUT",
            "COPY (UPDATE ex SET completed_at = '2020-01-01' WHERE id < 4 RETURNING id, note) TO STDOUT",
            "COPY (UPDATE ex SET note = 'x') TO STDOUT",
        ] {
            a.query(sql);
        }
        for sql in ["COPY ex (id, note) TO STDOUT", "COPY (UPDATE ex SET note = 'y' RETURNING id) TO STDOUT"] {
            a.send(&fe::extended(sql, &[]));
            a.ready();
        }
    });
}

#[test]
fn several_copies_in_one_query() {
    same_when_guarded(|stage| {
        let mut a = stage.login("a");
        let sql = format!("SELECT 1; {COPY}; {BAD}; {COPY}; COPY plain TO STDOUT; SELECT 2");
        a.send(
            &[
                fe::query(&sql),
                fe::copy_data(lines(110, 115)),
                fe::copy_done(),
                fe::copy_data(lines(115, 120)),
                fe::copy_done(),
            ]
            .concat(),
        );
        a.ready();
        // The second one fails: the rest is not run.
        a.send(
            &[
                fe::query(sql.replace("101", "102")),
                fe::copy_data(lines(120, 125)),
                fe::copy_done(),
                fe::copy_data("x\n"),
                fe::copy_done(),
            ]
            .concat(),
        );
        a.ready();
        a.query("SELECT count(*) FROM ex");
    });
}

#[test]
fn copy_in_the_extended_protocol() {
    same_when_guarded(|stage| {
        let mut a = stage.login("a");
        let start =
            || [fe::parse("", COPY), fe::bind("", "", &[]), fe::describe_portal(""), fe::execute("", 0)].concat();
        // Step by step.
        a.send(&[start(), fe::flush()].concat());
        a.until(b"G");
        a.send(&[fe::copy_data(lines(100, 110)), fe::copy_done(), fe::sync()].concat());
        a.ready();
        // The Sync behind Execute is swallowed while the server wants data.
        a.send(&[start(), fe::sync()].concat());
        a.until(b"G");
        a.send(
            &[
                fe::copy_data(lines(110, 115)),
                fe::sync(),
                fe::flush(),
                fe::copy_data(lines(115, 120)),
                fe::copy_done(),
                fe::sync(),
            ]
            .concat(),
        );
        a.ready();
        // All at once.
        a.send(
            &[start(), fe::sync(), fe::copy_data(lines(120, 125)), fe::copy_done(), fe::sync(), fe::query("SELECT 1")]
                .concat(),
        );
        a.ready();
        a.ready();
        // Everything goes wrong, one thing at a time.
        for end in [
            [fe::copy_data("x\n"), fe::copy_done()].concat(),
            [fe::copy_data(lines(130, 132)), fe::copy_fail("no")].concat(),
        ] {
            a.send(
                &[
                    start(),
                    end,
                    fe::parse("", "SELECT 'skipped'"),
                    fe::bind("", "", &[]),
                    fe::execute("", 0),
                    fe::sync(),
                ]
                .concat(),
            );
            a.ready();
            a.query("SELECT 'usable'");
        }
        let mut b = stage.login("b");
        b.send(&[start(), fe::copy_data(lines(130, 132)), fe::parse("", "SELECT 1"), fe::sync()].concat());
        b.closed();
        // The error comes before the Sync that follows Execute: here it is not swallowed.
        let wrong =
            [fe::parse("", "COPY nonsense FROM STDIN"), fe::bind("", "", &[]), fe::execute("", 0), fe::sync()].concat();
        a.send(&wrong);
        a.ready();
        a.query("SELECT 'usable'");
        // A named statement, twice; something behind the copy before Sync.
        a.pipeline(&[fe::parse("cp", COPY), fe::describe_statement("cp")]);
        for from in [140, 150] {
            a.send(
                &[fe::bind("", "cp", &[]), fe::execute("", 0), fe::copy_data(lines(from, from + 5)), fe::copy_done()]
                    .concat(),
            );
            a.send(
                &[
                    fe::parse("", "INSERT INTO ex (id) VALUES ($1) RETURNING id"),
                    fe::bind("", "", &[&(from + 9).to_string()]),
                    fe::execute("", 0),
                    fe::sync(),
                ]
                .concat(),
            );
            a.ready();
        }
        a.query("SELECT count(*) FROM ex");
    });
}

#[test]
fn binary_copy() {
    same_when_guarded(|stage| {
        let mut a = stage.login("a");
        let mut data = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
        for id in 100_i64..120 {
            data.extend([0, 2, 0, 0, 0, 8]);
            data.extend(id.to_be_bytes());
            data.extend([0, 0, 0, 8]);
            data.extend(fe::timestamptz_binary(1_770_000_000_000_000 + id));
        }
        data.extend([0xff, 0xff]);
        a.send(
            &[fe::query("COPY ex (id, started_at) FROM STDIN (FORMAT binary)"), fe::copy_data(&data), fe::copy_done()]
                .concat(),
        );
        a.ready();
        a.send(
            &[fe::query("COPY ex (id, started_at) FROM STDIN BINARY"), fe::copy_data(&data[..60]), fe::copy_done()]
                .concat(),
        );
        a.ready();
    });
}

#[test]
fn a_large_copy() {
    same_when_guarded(|stage| {
        let mut a = stage.login("a");
        let mut bytes = fe::query(COPY);
        for block in 0..50 {
            let text: String = (0..1000).map(|n| format!("{}{GOOD_LINE}", 10_000 + block * 1000 + n)).collect();
            bytes.extend(fe::copy_data(text));
        }
        bytes.extend(fe::copy_done());
        a.send_behind(bytes);
        a.ready();
        a.sent();
    });
}
