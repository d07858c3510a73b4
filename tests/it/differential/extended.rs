//! The extended query protocol, one exchange at a time.

use super::{BAD, GOOD, INSERT};
use crate::harness::{
    Bind, Guarded, Stage, fe,
    guarded::assert_usable,
    same_as_direct, same_when_guarded,
    stage::RULES,
    talk::{error, tags},
};

#[test]
fn unnamed_and_named_statements() {
    same_when_guarded(|stage| {
        let mut a = stage.login("a");
        for sql in [
            BAD,
            GOOD,
            "SELECT id, note FROM ex ORDER BY id",
            "",
            "  ",
            "-- nothing",
            "SELECT 1",
            "UPDATE ex SET note = 'x'",
        ] {
            a.send(&fe::extended(sql, &[]));
            a.ready();
        }
        a.pipeline(&[fe::parse("ins", INSERT), fe::describe_statement("ins")]);
        for id in 110..115 {
            let bind = fe::bind("", "ins", &[&id.to_string(), "2026-03-02", "2026-03-01"]);
            a.pipeline(&[bind.clone(), fe::execute("", 0)]);
            a.pipeline(&[bind, fe::describe_portal(""), fe::execute("", 0)]);
        }
        a.pipeline(&[fe::close_statement("ins")]);
        a.pipeline(&[fe::bind("", "ins", &["120", "2026-03-02", "2026-03-01"]), fe::execute("", 0)]);
        a.pipeline(&[fe::close_statement("never there"), fe::close_portal("never there")]);
    });
}

#[test]
fn each_exchange_apart_with_flush() {
    same_when_guarded(|stage| {
        let mut a = stage.login("a");
        let step = |a: &mut crate::harness::Talk, message: Vec<u8>, replies: usize| {
            a.send(&[message, fe::flush()].concat());
            a.count(replies);
        };
        step(
            &mut a,
            fe::parse(
                "s",
                "INSERT INTO ex (id, created_at, started_at) VALUES ($1, '2026-03-02', $2) RETURNING id, started_at",
            ),
            1,
        );
        step(&mut a, fe::describe_statement("s"), 2);
        step(&mut a, fe::bind("p", "s", &["130", "2026-03-01"]), 1);
        step(&mut a, fe::describe_portal("p"), 1);
        step(&mut a, fe::execute("p", 0), 2);
        step(&mut a, fe::close_portal("p"), 1);
        step(&mut a, fe::parse("n", INSERT), 1);
        step(&mut a, fe::describe_statement("n"), 2);
        step(&mut a, fe::bind("p", "n", &["131", "2026-03-02", "2026-03-01"]), 1);
        step(&mut a, fe::describe_portal("p"), 1);
        step(&mut a, fe::execute("p", 0), 1);
        step(&mut a, fe::close_statement("n"), 1);
        a.send(&fe::sync());
        a.ready();
        // Without Flush nothing need come before Sync; the order must hold all the same.
        a.send(&fe::parse("", "UPDATE ex SET completed_at = '2020-01-01' WHERE id = $1"));
        a.send(&fe::bind("", "", &["130"]));
        a.send(&fe::execute("", 0));
        a.send(&fe::sync());
        a.ready();
    });
}

#[test]
fn describe_before_and_after() {
    same_when_guarded(|stage| {
        let mut a = stage.login("a");
        for (n, sql) in [
            "INSERT INTO ex (id, created_at, started_at) VALUES ($1, '2026-03-02', '2026-03-01')",
            "INSERT INTO ex (id, created_at, started_at) VALUES ($1, '2026-03-02', '2026-03-01') RETURNING *",
            "INSERT INTO ex (id) VALUES ($1) RETURNING id AS x, note, started_at + interval '1 day'",
            "UPDATE ex SET started_at = '2020-01-01' WHERE id = $1",
            "UPDATE ex e SET started_at = '2020-01-01' WHERE id = $1 RETURNING e.*, 1 AS one",
            "WITH w AS (UPDATE ex SET started_at = '2020-01-01' WHERE id = $1 RETURNING *) SELECT id, note FROM w",
            "DELETE FROM ex WHERE id = $1 RETURNING note",
            "SELECT $1::bigint, * FROM ex",
        ]
        .iter()
        .enumerate()
        {
            let (s, id) = (format!("s{n}"), (200 + n).to_string());
            a.pipeline(&[fe::parse(&s, sql), fe::describe_statement(&s)]);
            a.pipeline(&[
                fe::describe_statement(&s),
                fe::bind("", &s, &[&id]),
                fe::describe_portal(""),
                fe::execute("", 0),
                fe::describe_portal(""),
            ]);
            a.pipeline(&[fe::describe_statement(&s), fe::describe_statement(&s)]);
        }
        a.pipeline(&[fe::describe_statement("never there")]);
        a.pipeline(&[fe::describe_portal("never there")]);
    });
}

#[test]
fn result_formats() {
    let returning =
        "INSERT INTO ex (id, note, started_at) VALUES ($1, 'n', '2026-03-01') RETURNING id, note, started_at";
    same_when_guarded(|stage| {
        let mut a = stage.login("a");
        let mut id = 300;
        for sql in [
            returning,
            "INSERT INTO ex (id) VALUES ($1)",
            "WITH w AS (INSERT INTO ex (id) VALUES ($1) RETURNING id, note, started_at) SELECT * FROM w",
        ] {
            a.pipeline(&[fe::parse("s", sql), fe::describe_statement("s")]);
            for codes in [
                &[][..],
                &[0],
                &[1],
                &[0, 0, 0],
                &[1, 1, 1],
                &[0, 1, 0],
                &[1, 0, 1],
                &[0, 1],
                &[1, 1, 1, 1],
                &[0, 0, 0, 1, 1],
                &[7],
            ] {
                // See `numbers_of_result_formats_that_do_not_fit`.
                if sql == returning && ![0, 1, 3].contains(&codes.len()) {
                    continue;
                }
                id += 1;
                let bind = Bind::new("", "s").text(id.to_string()).results(codes).build();
                a.pipeline(&[bind, fe::describe_portal(""), fe::execute("", 0)]);
            }
            a.pipeline(&[fe::close_statement("s")]);
        }
        // RETURNING * in binary, and after a failed Bind.
        a.pipeline(&[
            fe::parse("", "UPDATE ex SET note = 'b' WHERE id = 1 RETURNING *"),
            Bind::new("", "").results(&[1]).build(),
            fe::execute("", 0),
        ]);
    });
}

/// The server's message counts the guard's column and its code too: "3 result formats but query has 4 columns" where a direct client reads 2 and 3.
#[test]
fn numbers_of_result_formats_that_do_not_fit() {
    let guarded = Guarded::new(RULES);
    let mut talk = guarded.login();
    talk.pipeline(&[fe::parse("s", "INSERT INTO ex (id) VALUES ($1) RETURNING id, note, started_at")]);
    for codes in [&[0, 1][..], &[1, 1, 1, 1], &[0, 0, 0, 1, 1]] {
        let bind = Bind::new("", "s").text("101").results(codes).build();
        let replies = talk.pipeline(&[bind, fe::describe_portal(""), fe::execute("", 0)]);
        assert_eq!((tags(&replies), error(&replies).field('C')), ("EZ".into(), "08P01".into()));
    }
    assert_usable(&mut talk);
    assert_eq!(guarded.landed_ids(), "");
}

#[test]
fn parameter_formats() {
    same_when_guarded(|stage| {
        let mut a = stage.login("a");
        let (id, created) = (|n: i64| n.to_be_bytes(), fe::timestamptz_binary(1_770_000_000_000_000));
        a.pipeline(&[fe::parse("s", INSERT)]);
        for bind in [
            Bind::new("", "s").binary(id(401)).binary(created).binary(created),
            Bind::new("", "s").binary(id(402)).binary(created).text("2020-01-01"),
            Bind::new("", "s").text("403").null().null(),
            Bind::new("", "s").binary(id(404)).binary(created).binary(created).formats(&[1]),
            Bind::new("", "s").text("405").text("2026-03-01").text("infinity").formats(&[]),
            Bind::new("", "s").text("406").text("2026-03-01").text("2026-03-01").formats(&[0]),
            Bind::new("", "s").text("407").text("2026-03-01").text("2026-03-01").formats(&[0, 0]),
            Bind::new("", "s").text("408").text("2026-03-01"),
            Bind::new("", "s").text("409").text("2026-03-01").text("2026-03-01").text("extra"),
            Bind::new("", "s").text("not a number").text("2026-03-01").text("2026-03-01"),
            Bind::new("", "s").binary([1, 2, 3]).text("2026-03-01").text("2026-03-01"),
            Bind::new("", "s").text("410").text("2026-03-01").text("2026-03-01").formats(&[9]),
            Bind::new("", "s").text(b"\xff\xfe").null().null(),
            Bind::new("", "s").text("411").text("nonsense").null(),
        ] {
            a.pipeline(&[bind.build(), fe::execute("", 0)]);
        }
        // Types given, too many, wrong.
        a.pipeline(&[fe::parse_typed("t", INSERT, &[25, 0, 0])]);
        a.pipeline(&[fe::parse_typed("t", INSERT, &[20, 1184, 1184, 25]), fe::describe_statement("t")]);
        a.pipeline(&[fe::parse_typed("t2", INSERT, &[20]), fe::describe_statement("t2")]);
        a.pipeline(&[fe::parse_typed("t3", INSERT, &[4_000_000_000])]);
    });
}

#[test]
fn errors_in_each_message() {
    same_as_direct(|stage: &Stage| {
        let mut a = stage.login("a");
        let rest = || [fe::bind("", "", &[]), fe::describe_portal(""), fe::execute("", 0)].concat();
        for sql in [
            "SELEC 1",
            "INSERT INTO ex (id) VALUES (",
            "INSERT INTO ex (nonsense) VALUES (1)",
            "UPDATE ex SET nonsense = 1",
            "UPDATE ex SET note = 'x' RETURNING nonsense",
            "INSERT INTO ex (id) VALUES (1); INSERT INTO ex (id) VALUES (2)",
            "INSERT INTO ex (id) VALUES (1)",
            "INSERT INTO ex (id) VALUES (1/0)",
            "INSERT INTO ex (id) VALUES ($2)",
            "INSERT INTO ex (id, note) VALUES ($1, $1)",
            "INSERT INTO nonsense (id) VALUES (1)",
            "SELECT 1; SELECT 2",
        ] {
            a.pipeline(&[fe::parse("", sql), rest()]);
        }
        a.pipeline(&[fe::parse("dup", BAD)]);
        a.pipeline(&[fe::parse("dup", GOOD)]);
        a.pipeline(&[fe::parse("dup", "SELECT 1")]);
        a.pipeline(&[fe::bind("", "dup", &[]), fe::execute("", 0)]);
        a.pipeline(&[fe::bind("", "dup", &[]), fe::execute("", 0)]);
        a.pipeline(&[fe::bind("", "nonsense", &[]), fe::execute("", 0)]);
        a.pipeline(&[fe::execute("nonsense", 0)]);
        a.pipeline(&[fe::parse("", GOOD), fe::bind("pp", "", &[]), fe::bind("pp", "", &[])]);
        a.pipeline(&[fe::parse("", b"INSERT INTO ex (id, note) VALUES (520, '\xff')")]);
        a.query("SELECT id FROM ex WHERE id > 100 ORDER BY id");
        // Malformed bodies of messages that are otherwise in order.
        for message in [
            fe::message(b'B', b"\0"),
            fe::message(b'E', b"\0"),
            fe::message(b'D', b"X\0"),
            fe::message(b'C', b"Z\0"),
            fe::message(b'P', b"x\0SELECT 1"),
            fe::message(b'P', b"\0SELECT 1\0\0\x05"),
        ] {
            let mut b = stage.login("b");
            b.send(&[message, fe::sync()].concat());
            b.ready();
            b.query("SELECT 'usable'");
        }
    });
}

#[test]
fn unnamed_statement_and_portal_are_not_clobbered() {
    same_when_guarded(|stage| {
        let mut a = stage.login("a");
        // The unnamed statement stays over other exchanges; a simple query destroys it.
        a.pipeline(&[fe::parse("", "SELECT $1::int + 1")]);
        a.pipeline(&[
            fe::parse("ins", INSERT),
            fe::bind("", "ins", &["601", "2026-03-02", "2026-03-01"]),
            fe::execute("", 0),
        ]);
        a.pipeline(&[fe::bind("", "", &["41"]), fe::execute("", 0)]);
        a.pipeline(&[fe::parse("", INSERT)]);
        a.pipeline(&[
            fe::parse("other", "UPDATE ex SET note = 'o' WHERE id = 1"),
            fe::bind("po", "other", &[]),
            fe::execute("po", 0),
        ]);
        a.pipeline(&[
            fe::describe_statement(""),
            fe::bind("", "", &["602", "2026-03-02", "2026-03-01"]),
            fe::execute("", 0),
        ]);
        a.run("SELECT 1");
        a.pipeline(&[fe::bind("", "", &["603", "2026-03-02", "2026-03-01"]), fe::execute("", 0)]);
        // Parse fails: the unnamed statement is gone.
        a.pipeline(&[fe::parse("", "SELECT 2")]);
        a.pipeline(&[fe::parse("", "SELEC")]);
        a.pipeline(&[fe::bind("", "", &[]), fe::execute("", 0)]);
        // A portal of the first statement survives the replacement of the statement.
        a.run("BEGIN");
        a.send(
            &[fe::parse("", "INSERT INTO ex (id) VALUES (604) RETURNING id"), fe::bind("", "", &[]), fe::flush()]
                .concat(),
        );
        a.count(2);
        a.send(
            &[
                fe::parse("ins2", INSERT),
                fe::bind("named", "ins2", &["605", "2026-03-02", "2026-03-01"]),
                fe::execute("named", 0),
                fe::execute("", 0),
                fe::sync(),
            ]
            .concat(),
        );
        a.ready();
        a.run("COMMIT");
    });
}

#[test]
fn thousands_of_executions_of_one_statement() {
    same_when_guarded(|stage| {
        let mut a = stage.login("a");
        a.pipeline(&[fe::parse("s", "UPDATE ex SET completed_at = $1 WHERE id = 1")]);
        for n in 0..1000 {
            let when = if n % 3 == 0 { "2020-01-01" } else { "2026-04-01" };
            a.pipeline(&[fe::bind("", "s", &[when]), fe::execute("", 0)]);
        }
    });
}
