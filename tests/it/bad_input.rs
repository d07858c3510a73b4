//! Bytes and peers that misbehave: a clear error in PostgreSQL's form where one can still be sent, that session ends, all others go on.

use std::{net::SocketAddr, thread, time::Duration};

use crate::harness::{
    Guarded, Message, Proxy, Talk, cluster,
    cluster::free_port,
    fake::{Backend, backend},
    fe,
    guarded::{REJECT, assert_refused, assert_usable},
};

/// What came is one FATAL error of class 08 or 57 and nothing else.
fn assert_fatal(replies: &[Message], what: &str) {
    let error = replies.last().unwrap_or_else(|| panic!("{what}: closed without a word"));
    assert_eq!(error.tag, b'E', "{what}: {replies:?}");
    let fields = error.fields();
    assert_eq!((fields[&'S'].as_str(), fields[&'V'].as_str()), ("FATAL", "FATAL"), "{what}: {error}");
    assert!(fields[&'C'].starts_with("08") || fields[&'C'].starts_with("57"), "{what}: {error}");
    assert!(!fields[&'M'].is_empty(), "{what}: {error}");
}

#[test]
fn garbage_before_start_up() {
    let mut proxy = Proxy::start(REJECT);
    let mut witness = Talk::login(proxy.addr, "postgres", "postgres");
    let garbage: [(&str, &[u8]); 10] = [
        ("HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
        ("SSH", b"SSH-2.0-OpenSSH_9.2\r\n"),
        ("zeroes", &[0; 64]),
        ("ones", &[0xff; 64]),
        ("length 4", &[0, 0, 0, 4, 0, 3, 0, 0]),
        ("length 7", &[0, 0, 0, 7, 0, 3, 0]),
        ("length 1 GB", &[0x40, 0, 0, 0, 0, 3, 0, 0, b'u']),
        ("no terminator", &[0, 0, 0, 13, 0, 3, 0, 0, b'u', b's', b'e', b'r', b'x']),
        ("a query first", b"Q\0\0\0\x0dSELECT 1\0"),
    ];
    for (what, bytes) in garbage {
        let mut talk = Talk::connect(proxy.addr);
        talk.try_send(bytes).ok();
        talk.finish_writing();
        let replies = talk.closed();
        assert_fatal(&replies, what);
        witness.run("SELECT 1");
    }
    // Cut off in the middle: nobody is there to be told.
    for cut in [1, 3, 4, 7, 9, 20] {
        let mut talk = Talk::connect(proxy.addr);
        talk.send(&fe::startup(&[("user", "postgres"), ("database", "postgres")])[..cut]);
        talk.finish_writing();
        talk.closed();
    }
    // Encryption asked for again and again.
    let mut talk = Talk::connect(proxy.addr);
    for _ in 0..1000 {
        if talk.try_send(&fe::ssl_request()).is_err() {
            break;
        }
    }
    talk.finish_writing();
    drop(talk);
    witness.run("SELECT 1");
    assert!(proxy.alive());
}

#[test]
fn bytes_behind_an_ssl_request_are_not_believed() {
    // What was sent before the answer must not be read as if it came after (CVE-2021-23222 and its like): refuse, or treat as plain text.
    let proxy = Proxy::start(REJECT);
    let mut talk = Talk::connect(proxy.addr);
    talk.send(&[fe::ssl_request(), fe::startup(&[("user", "postgres"), ("database", "postgres")])].concat());
    assert_eq!(talk.byte(), b'N');
    let replies = talk.until(b"ZE");
    assert!(matches!(replies.last().map(|m| m.tag), Some(b'Z' | b'E')));
}

#[test]
fn lying_lengths_of_frontend_messages() {
    let guarded = Guarded::new(REJECT);
    let mut witness = guarded.login();
    let lies: [(&str, Vec<u8>); 9] = [
        ("Query of length 3", b"Q\0\0\0\x03".to_vec()),
        ("Query of length 0", b"Q\0\0\0\0".to_vec()),
        ("Query of negative length", b"Q\xff\xff\xff\xff".to_vec()),
        ("Parse of 2 GB", b"P\x7f\xff\xff\xff\0INSERT INTO ex".to_vec()),
        ("Sync with 1 MB", [b"S\0\x10\0\0".to_vec(), vec![0; 1 << 20]].concat()),
        ("Terminate with 1 GB", b"X\x40\0\0\0".to_vec()),
        ("Execute of 1 GB", b"E\x40\0\0\0".to_vec()),
        ("Describe of length 4", [b"D\0\0\0\x04".to_vec(), fe::sync()].concat()),
        ("unknown tag", b"\x01\0\0\0\x04".to_vec()),
    ];
    for (what, bytes) in lies {
        let mut talk = guarded.login();
        talk.try_send(&bytes).ok();
        talk.finish_writing();
        // The proxy or the server objects, or the connection just ends; never a reply as if all were well.
        let replies = talk.closed();
        assert!(replies.iter().all(|m| matches!(m.tag, b'E' | b'Z')), "{what}: {replies:?}");
        assert_usable(&mut witness);
    }
    for (what, bytes) in [("length 3", &b"Q\0\0\0\x03"[..]), ("negative", b"Q\xff\xff\xff\xff"), ("zero", b"P\0\0\0\0")]
    {
        let mut talk = guarded.login();
        talk.send(bytes);
        assert_fatal(&talk.closed(), what);
    }
    assert!(guarded.proxy.peak_memory_kib() < 200 << 10, "no buffer is sized by a lie");
    assert_refused(
        &witness.query("INSERT INTO ex (id, created_at, started_at) VALUES (101, '2026-03-02', '2026-03-01')"),
    );
}

#[test]
fn lying_counts_inside_messages_that_are_looked_at() {
    let guarded = Guarded::new(REJECT);
    let insert = "INSERT INTO ex (id, created_at, started_at) VALUES ($1, '2026-03-02', '2026-03-03')";
    // Bodies of Parse and Bind whose counts and lengths do not fit: the server's own words reach the client, the session goes on.
    let parse = |tail: &[u8]| fe::message(b'P', &[b"\0", insert.as_bytes(), b"\0", tail].concat());
    let bind = |body: &[u8]| fe::message(b'B', body);
    let lies = [
        parse(b""),
        parse(b"\0"),
        parse(b"\x7f\xff"),
        parse(b"\0\x01\0\0"),
        parse(b"\0\0\0\0"),
        fe::message(b'P', insert.as_bytes()),
        fe::message(b'Q', insert.as_bytes()),
        fe::message(b'Q', b""),
        bind(b""),
        bind(b"\0"),
        bind(b"\0\0"),
        bind(b"\0\0\0"),
        bind(b"\0\0\x7f\xff\0\x01"),
        bind(b"\0\0\0\0\x7f\xff"),
        bind(b"\0\0\0\0\0\x01\0\0\0\x09x"),
        bind(b"\0\0\0\0\0\x01\xff\xff\xff\xfe"),
        bind(b"\0\0\0\0\0\x01\x7f\xff\xff\xff"),
        bind(b"\0\0\0\0\0\x01\0\0\0\x03110"),
        bind(b"\0\0\0\0\0\x01\0\0\0\x03110\0\x05"),
        bind(b"\0\0\0\0\0\x01\0\0\0\x03110\0\0extra"),
        fe::message(b'D', b""),
        fe::message(b'D', b"S"),
        fe::message(b'E', b"\0\0"),
        fe::message(b'C', b"Sx"),
    ];
    for lie in lies {
        let mut talk = guarded.login();
        talk.pipeline(&[fe::parse("", insert)]);
        talk.send(&lie);
        if lie[0] != b'Q' {
            talk.send(&fe::sync());
        }
        let replies = talk.ready();
        assert!(replies.iter().any(|m| m.tag == b'E'), "{}: {replies:?}", lie.escape_ascii());
        assert_usable(&mut talk);
    }
    assert_eq!(guarded.landed_ids(), "");
}

#[test]
fn a_server_that_is_down() {
    let upstream = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let proxy = Proxy::before(upstream, REJECT);
    for _ in 0..3 {
        let mut talk = Talk::connect(proxy.addr);
        talk.send(&fe::ssl_request());
        assert_eq!(talk.byte(), b'N');
        talk.send(&fe::startup(&[("user", "postgres"), ("database", "postgres")]));
        assert_fatal(&talk.closed(), "down");
    }
    // Nothing answers a CancelRequest, also not an error.
    let mut talk = Talk::connect(proxy.addr);
    talk.send(&fe::cancel_request(1, &[0, 0, 0, 0]));
    assert!(talk.closed().is_empty());
    let errors = proxy.metrics();
    assert!(errors.sum("session_errors_total", &[("side", "server")]) >= 3.0, "{errors:#?}");
    let (status, _) = crate::harness::metrics::http(proxy.admin, "GET", "/-/ready");
    assert_eq!(status, 503);
    let (status, _) = crate::harness::metrics::http(proxy.admin, "GET", "/-/healthy");
    assert_eq!(status, 200);
}

#[test]
fn a_server_that_refuses_says_so_in_its_own_words() {
    let error = b"SFATAL\0VFATAL\0C53300\0Msorry, too many clients already\0Fproc.c\0\0";
    let upstream = backend(move |server| {
        server.startup();
        server.message(b'E', error);
    });
    let proxy = Proxy::before(upstream, REJECT);
    let mut talk = Talk::connect(proxy.addr);
    talk.send(&fe::startup(&[("user", "postgres")]));
    let replies = talk.closed();
    assert_eq!((replies.len(), &replies[0].body[..]), (1, &error[..]));
}

/// What a server may do to a session before it closes the connection, and whether the client can still be told.
type Death = (&'static str, fn(&mut Backend), bool);

fn until_query(server: &mut Backend) {
    server.log_in();
    server.query();
}

const DEATHS: &[Death] = &[
    ("at once", |_| {}, true),
    ("after the start-up message", |s| drop(s.startup()), true),
    (
        "in the middle of authentication",
        |s| {
            s.startup();
            s.message(b'R', &[0, 0, 0, 0]);
            s.message(b'S', b"a\0b\0");
        },
        true,
    ),
    (
        "in the middle of a start-up reply",
        |s| {
            s.startup();
            s.send(&[b'R', 0, 0]);
        },
        false,
    ),
    ("while idle", |s| assert!(s.log_in().is_some()), true),
    ("after a query", |s| until_query(s), true),
    (
        "between two rows",
        |s| {
            until_query(s);
            s.message(b'T', b"\0\x01a\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0");
            s.message(b'D', b"\0\x01\0\0\0\x01x");
        },
        true,
    ),
    (
        "inside a row",
        |s| {
            until_query(s);
            s.message(b'T', b"\0\x01a\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0");
            s.send(b"D\0\0\x10\0\0\x01\0\0\x0f\0half a row");
        },
        false,
    ),
    (
        "inside a header",
        |s| {
            until_query(s);
            s.send(b"C\0\0");
        },
        false,
    ),
    (
        "while it wants COPY data",
        |s| {
            until_query(s);
            s.message(b'G', b"\0\0\x01\0\0");
        },
        true,
    ),
    (
        "in the middle of COPY OUT",
        |s| {
            until_query(s);
            s.message(b'H', b"\0\0\x01\0\0");
            s.message(b'd', b"line\n");
        },
        true,
    ),
];

#[test]
fn a_server_that_dies_in_each_state() {
    let upstream = backend(|server| {
        // The user's name chooses; `witness` gets a server that behaves.
        let Some(startup) = peek(server) else { return };
        let name = |n: usize| format!("user\0death{n}\0").into_bytes();
        match (0..DEATHS.len()).find(|n| startup.windows(name(*n).len()).any(|w| w == name(*n))) {
            Some(n) => DEATHS[n].1(server),
            None => serve(server),
        }
    });
    let mut proxy = Proxy::before(upstream, REJECT);
    let mut witness = Talk::login(proxy.addr, "witness", "postgres");
    for (n, (what, _, told)) in DEATHS.iter().enumerate() {
        let mut talk = Talk::connect(proxy.addr);
        talk.send(&fe::startup(&[("user", &format!("death{n}")), ("database", "postgres")]));
        thread::sleep(Duration::from_millis(20));
        talk.try_send(&fe::query("SELECT 1")).ok();
        let replies = talk_to_the_end(&mut talk);
        if *told {
            assert_fatal(&replies, what);
        }
        assert_eq!(witness.query("SELECT 1").len(), 2, "{what}: others go on");
    }
    assert!(proxy.alive());
    assert!(proxy.metrics().sum("session_errors_total", &[("side", "server")]) >= 1.0);
}

/// Messages up to the end; half a message at the end is dropped.
fn talk_to_the_end(talk: &mut Talk) -> Vec<Message> {
    let mut out = Vec::new();
    while let Ok(message) = talk.read() {
        out.push(message);
    }
    out
}

/// Reads the start-up message and puts it back.
fn peek(server: &mut Backend) -> Option<Vec<u8>> {
    let startup = server.startup()?;
    server.unread_startup(&startup);
    Some(startup)
}

/// A server that behaves: answers each Query with a row-less result.
fn serve(server: &mut Backend) {
    server.log_in();
    while server.query().is_some() {
        server.message(b'C', b"SELECT 0\0");
        server.message(b'Z', b"I");
    }
}

#[test]
fn a_server_that_dies_over_a_hidden_question() {
    let upstream = backend(|server| {
        server.log_in();
        server.read();
    });
    let proxy = Proxy::before(upstream, REJECT);
    for message in [fe::query("INSERT INTO ex (id) VALUES (1)"), fe::extended("INSERT INTO ex (id) VALUES (1)", &[])] {
        let mut talk = Talk::login(proxy.addr, "postgres", "postgres");
        talk.send(&message);
        assert_fatal(&talk_to_the_end(&mut talk), "over a hidden question");
    }
}

#[test]
fn a_server_that_sends_nonsense() {
    let nonsense: [&[u8]; 6] = [
        b"D\0\0\0\x03",
        b"Z\xff\xff\xff\xff",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\0\0\0\0\0\0\0\0",
        b"Z\0\0\0\x05?",
        b"C\0\0\0\x04",
    ];
    for bytes in nonsense {
        let upstream = backend(move |server| {
            if server.log_in().is_some() && server.query().is_some() {
                server.send(bytes);
                server.drain();
            }
        });
        let mut proxy = Proxy::before(upstream, REJECT);
        let mut talk = Talk::login(proxy.addr, "postgres", "postgres");
        talk.send(&fe::query("SELECT 1"));
        talk.finish_writing();
        // Either it is passed on as it came (then the client ends the session), or the session is ended with an error; no panic, no hang.
        while talk.read_raw() {}
        assert!(proxy.alive(), "{}", bytes.escape_ascii());
        assert!(!proxy.log().contains("panicked"), "{}: {}", bytes.escape_ascii(), proxy.log());
    }
}

#[test]
fn clients_that_vanish_leave_no_session_behind() {
    let guarded = Guarded::new(REJECT);
    let scripts: [&[Vec<u8>]; 7] = [
        &[],
        &[fe::query("BEGIN")],
        &[fe::query("SELECT pg_sleep(0.1)")],
        &[fe::parse("", "INSERT INTO ex (id) VALUES (1)")],
        &[fe::query("COPY ex (id) FROM STDIN"), fe::copy_data("900\n")],
        &[fe::query("SELECT repeat('x', 1000000) FROM generate_series(1, 100)")],
        &[b"Q\0\0\x10\0INSERT INTO ex".to_vec()],
    ];
    for script in scripts {
        let mut talk = guarded.login();
        talk.send(&script.concat());
    }
    let mut watch = cluster().admin();
    let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{}'", guarded.database);
    for round in 0.. {
        if watch.value(&sql) == "0" {
            break;
        }
        assert!(round < 1000, "sessions stay at the server");
        thread::sleep(Duration::from_millis(10));
    }
    guarded.proxy.await_metric("sessions", &[], 0.0);
    assert_eq!(guarded.landed_ids(), "");
}

#[test]
fn many_broken_sessions_beside_good_ones() {
    let guarded = Guarded::new(REJECT);
    thread::scope(|scope| {
        for worker in 0..4 {
            let guarded = &guarded;
            scope.spawn(move || {
                for n in 0..50_usize {
                    let mut talk = Talk::connect(guarded.proxy.addr);
                    let bytes: Vec<u8> =
                        (0..n * 7).map(|i| ((i * 31 + n * 17 + worker) % 256).to_le_bytes()[0]).collect();
                    talk.try_send(&bytes).ok();
                }
            });
        }
        let mut talk = guarded.login();
        for _ in 0..200 {
            assert_usable(&mut talk);
        }
    });
}
