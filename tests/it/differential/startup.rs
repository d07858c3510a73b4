//! Before and during log-in.

use crate::harness::{Proxy, Stage, Talk, cluster, fe, same_as_direct, stage::RULES};

#[test]
fn encryption_requests_are_refused_politely() {
    same_as_direct(|stage| {
        let mut a = stage.socket("a");
        a.send(&fe::ssl_request());
        assert_eq!(a.byte(), b'N');
        a.start(&[("user", "postgres"), ("database", &stage.database)]);
        a.run("SELECT 1");
        a.terminate();
    });
    // A server that was built with GSSAPI says `G` even without a keytab; the proxy never does.
    if let Some(proxy) = proxy() {
        for requests in [
            &[fe::gssenc_request()][..],
            &[fe::gssenc_request(), fe::ssl_request()],
            &[fe::ssl_request(), fe::gssenc_request()],
        ] {
            let mut b = Talk::connect(proxy.addr);
            for request in requests {
                b.send(request);
                assert_eq!(b.byte(), b'N');
            }
            b.start(&[("user", "postgres"), ("database", "postgres")]);
            b.run("SELECT 1");
        }
    }
}

fn proxy() -> Option<Proxy> {
    std::env::var_os("CHRONOGUARD_IT_DIRECT").is_none().then(|| Proxy::start(RULES))
}

#[test]
fn every_split_of_the_start_up() {
    // 8 bytes SSLRequest, then the startup message: a pause at each place.
    same_as_direct(|stage| {
        let startup =
            fe::startup(&[("user", "postgres"), ("database", &stage.database), ("application_name", "split")]);
        for at in 1..startup.len() {
            let mut a = stage.socket("a");
            a.send(&startup[..at]);
            std::thread::yield_now();
            a.send(&startup[at..]);
            a.ready();
            a.terminate();
        }
        let mut b = stage.socket("b");
        b.byte_by_byte();
        b.send(&fe::ssl_request());
        b.byte();
        b.send(&startup);
        b.ready();
        b.query("SELECT 1");
        b.terminate();
    });
}

#[test]
fn startup_and_query_in_one_segment() {
    same_as_direct(|stage| {
        let mut a = stage.socket("a");
        let startup = fe::startup(&[("user", "postgres"), ("database", &stage.database)]);
        a.send(&[startup, fe::query("SELECT 1"), fe::query("SELECT 2"), fe::terminate()].concat());
        a.closed();
    });
}

#[test]
fn wrong_names() {
    same_as_direct(|stage| {
        for parameters in [
            &[("user", "postgres"), ("database", "no_such_database")][..],
            &[("user", "nobody_here"), ("database", "postgres")],
            &[("user", "nobody_here")],
            &[("database", "postgres")],
            &[("user", "postgres"), ("database", "postgres"), ("no_such_setting", "1")],
            &[("user", "postgres"), ("database", "postgres"), ("client_encoding", "nonsense")],
            &[("user", "postgres"), ("database", "postgres"), ("DateStyle", "nonsense")],
        ] {
            let mut a = stage.socket("a");
            a.send(&fe::startup(parameters));
            let replies = a.closed();
            assert!(replies.iter().any(|m| m.tag == b'E'), "{parameters:?}: {replies:?}");
        }
    });
}

#[test]
fn startup_parameters_reach_the_session() {
    same_as_direct(|stage| {
        let mut a = stage.socket("a");
        a.start(&[
            ("user", "postgres"),
            ("database", &stage.database),
            ("application_name", "my app"),
            ("client_encoding", "LATIN1"),
            ("DateStyle", "German"),
            ("TimeZone", "Asia/Tokyo"),
            ("options", "-c search_path=pg_catalog,public -c standard_conforming_strings=off"),
        ]);
        a.run("SELECT current_setting('application_name'), current_setting('search_path'), timestamptz '2026-01-01 00:00+00'");
        a.run("SHOW standard_conforming_strings");
    });
}

#[test]
fn other_protocol_versions() {
    same_as_direct(|stage| {
        let parameters = [("user", "postgres"), ("database", stage.database.as_str())];
        // 3.1: the server offers 3.0.
        let mut a = stage.socket("a");
        a.send(&fe::startup_version(196_609, &parameters));
        a.ready();
        a.run("SELECT 1");
        // An unknown protocol extension: the server says so and goes on.
        let mut b = stage.socket("b");
        b.send(&fe::startup(&[parameters[0], parameters[1], ("_pq_.nonsense", "1")]));
        b.ready();
        // 2.0 and 4.0 are refused.
        let mut c = stage.socket("c");
        c.send(&fe::startup_version(131_072, &parameters));
        c.raw_end();
        let mut d = stage.socket("d");
        d.send(&fe::startup_version(262_144, &parameters));
        d.closed();
    });
}

#[test]
fn client_gone_during_startup() {
    same_as_direct(|stage: &Stage| {
        drop(stage.socket("a"));
        let mut b = stage.socket("b");
        b.send(&fe::startup(&[("user", "postgres"), ("database", &stage.database)])[..7]);
        drop(b);
        let mut c = stage.socket("c");
        c.send(&fe::ssl_request());
        drop(c);
        stage.login("d").run("SELECT 1");
    });
}

#[test]
fn password_dialogue_passes_through() {
    // Trust everywhere: a password sent unasked is a protocol violation that the server answers.
    same_as_direct(|stage| {
        let mut a = stage.login("a");
        a.send(&fe::message(b'p', b"secret\0"));
        a.closed();
    });
    assert_eq!(Talk::login(cluster().addr, "postgres", "postgres").value("SELECT 1"), "1");
}
