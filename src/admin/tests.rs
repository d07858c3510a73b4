use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
};

use super::*;
use crate::{
    guard::{Cause, Reason},
    observe::{ColumnValue, Finding, LogLimits, SessionContext, StatementContext},
    rules::set::{Action, Condition, Kind, OnUnguardable, Place, Rule, RuleSet, TableRules},
    sql::write::Operation,
};

fn rules() -> RuleSet {
    let rule = Rule {
        name: "executions_short".into(),
        on_violation: Action::Reject.into(),
        ramp: None,
        since: None,
        severity: None,
        hint: None,
        description: None,
        always: false,
        when: None,
        units: Default::default(),
        timezone: None,
        kind: Kind::Check(Condition { text: "a < b".into(), columns: vec!["a".into(), "b".into()] }),
        place: Place { file: Arc::new("rules/executions.yaml".into()), line: 7, column: 5 },
    };
    let table = TableRules {
        schema: "public".into(),
        table: "executions".into(),
        owner: Some("runner-team".into()),
        description: None,
        runbook: Some("https://runbooks.example/executions".into()),
        unguardable: OnUnguardable::Pass,
        rules: vec![rule],
        place: Place::default(),
    };
    RuleSet { tables: vec![Arc::new(table)], hash: "00112233445566aa".into(), ..RuleSet::default() }
}

/// A state with one rule that was violated once by a client with a hostile name, before a server at `upstream`.
fn state(upstream: SocketAddr) -> AdminState {
    let (metrics, violations, rules) = (Metrics::new(), ViolationLog::new(LogLimits::default()), rules());
    let hash = rules.hash.clone();
    let control = Control::with(rules, &[], &metrics);
    let table = metrics.table("public.executions");
    table.violation("executions_short", Action::Reject, Cause::ClockSkew, Some(0.02));
    table.unguardable(Reason::RowSecurity);
    table.breaker_open(true);
    let context = StatementContext {
        session: Arc::new(SessionContext { user: "<script>alert(1)</script>".into(), ..SessionContext::default() }),
        table: "public.executions".into(),
        operation: Operation::Update,
        fingerprint: "0011".into(),
        traceparent: None,
        config_hash: hash,
    };
    violations.statement(context).violation(|| Finding {
        rule: "executions_short".into(),
        action: Action::Reject,
        cause: "clock_skew",
        evidence: Some("a is 20 ms before <b>".into()),
        exemption: None,
        columns: vec![ColumnValue { column: "a".into(), old: None, new: Some("2026-01-02".into()) }],
        by_seconds: Some(0.02),
        key: vec![],
    });
    AdminState {
        control,
        metrics,
        violations,
        changes_from_anywhere: false,
        listen: "127.0.0.1:6432".into(),
        upstream: HostPort { host: upstream.ip().to_string(), port: upstream.port() },
        ready_timeout: Duration::from_secs(5),
        draining: Arc::default(),
        started: Instant::now(),
    }
}

/// A server that answers every connection with the same bytes, once it has read a StartupMessage.
fn server(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            let mut length = [0; 4];
            client.read_exact(&mut length).unwrap();
            let mut rest = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap() - 4];
            client.read_exact(&mut rest).unwrap();
            client.write_all(answer).unwrap();
        }
    });
    address
}

/// An address where nobody listens.
fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn start(state: AdminState) -> AdminServer {
    AdminServer::start(bind(&HostPort { host: "localhost".into(), port: 0 }).unwrap(), state).unwrap()
}

/// Status line and whole answer.
fn fetch(server: &AdminServer, path: &str) -> (u16, String) {
    let mut connection = TcpStream::connect(server.address()).unwrap();
    write!(connection, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer)
}

fn json(answer: &str) -> serde_json::Value {
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

const AUTHENTICATION_SASL: &[u8] = b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0";

#[test]
fn metrics_are_served_as_prometheus_text() {
    let server = start(state(nobody()));
    let (status, answer) = fetch(&server, "/metrics");
    assert_eq!(status, 200);
    assert!(answer.contains("content-type: text/plain; version=0.0.4"), "{answer}");
    assert!(answer.contains("chronoguard_rules_loaded 1"), "{answer}");
}

#[test]
fn healthy_does_not_ask_the_server() {
    assert_eq!(fetch(&start(state(nobody())), "/-/healthy").0, 200);
}

#[test]
fn ready_when_the_server_asks_for_a_password() {
    let server = start(state(server(AUTHENTICATION_SASL)));
    assert_eq!(fetch(&server, "/-/ready"), (200, fetch(&server, "/-/ready").1));
}

#[test]
fn not_ready_while_the_server_starts_is_gone_or_is_something_else() {
    let starting = b"E\0\0\0\x40SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0R12345\0\0";
    for (upstream, expected) in [
        (server(starting), "the database system is starting up"),
        (nobody(), "refused"),
        (server(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "does not speak PostgreSQL"),
    ] {
        let (status, answer) = fetch(&start(state(upstream)), "/-/ready");
        assert_eq!(status, 503);
        assert!(answer.contains("not ready: ") && answer.contains(expected), "{answer}");
    }
}

#[test]
fn not_ready_while_draining() {
    let state = state(server(AUTHENTICATION_SASL));
    let draining = Arc::clone(&state.draining);
    let server = start(state);
    assert_eq!(fetch(&server, "/-/ready").0, 200);
    draining.store(true, Ordering::Relaxed);
    let (status, answer) = fetch(&server, "/-/ready");
    assert_eq!(status, 503);
    assert!(answer.contains("draining"), "{answer}");
}

#[test]
fn a_server_that_never_answers_is_not_ready() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut state = state(silent.local_addr().unwrap());
    state.ready_timeout = Duration::from_millis(20);
    let (status, answer) = fetch(&start(state), "/-/ready");
    assert_eq!(status, 503);
    assert!(answer.contains("no answer within 20ms"), "{answer}");
}

#[test]
fn the_rules_with_their_counts() {
    let (status, answer) = fetch(&start(state(nobody())), "/api/rules");
    assert_eq!(status, 200);
    let rules = json(&answer);
    assert_eq!(rules["hash"], "00112233445566aa");
    let table = &rules["tables"][0];
    assert_eq!((&table["table"], &table["owner"]), (&"public.executions".into(), &"runner-team".into()));
    let rule = &table["rules"][0];
    assert_eq!(rule["name"], "executions_short");
    assert_eq!(rule["kind"], "check");
    assert_eq!(rule["on_violation"], "reject");
    assert_eq!(rule["columns"], serde_json::json!(["a", "b"]));
    assert_eq!((&rule["file"], &rule["line"]), (&"rules/executions.yaml".into(), &7.into()));
    assert_eq!(rule["violations"], 1);
}

#[test]
fn recent_violations_can_be_narrowed_down() {
    let server = start(state(nobody()));
    let count = |query: &str| {
        let (status, answer) = fetch(&server, &format!("/api/violations{query}"));
        assert_eq!(status, 200);
        json(&answer)["violations"].as_array().unwrap().len()
    };
    assert_eq!(count(""), 1);
    assert_eq!(count("?rule=executions_short&table=public.executions"), 1);
    assert_eq!(count("?rule=other"), 0);
    assert_eq!(count("?limit=0"), 0);
    assert_eq!(fetch(&server, "/api/violations?limit=x").0, 400);
}

#[test]
fn the_page_shows_the_state_and_lets_no_markup_in() {
    let (status, answer) = fetch(&start(state(nobody())), "/");
    assert_eq!(status, 200);
    assert!(answer.contains("content-security-policy: default-src 'none'"), "{answer}");
    for part in [
        "not ready",
        "Breaker open.",
        "executions_short",
        "clock_skew",
        "a is 20 ms before &lt;b&gt;",
        "20.0 ms",
        "row_security",
        "&lt;script&gt;alert(1)&lt;/script&gt;",
    ] {
        assert!(answer.contains(part), "{part} is missing in {answer}");
    }
    assert!(!answer.contains("<script"), "{answer}");
}

#[test]
fn what_does_not_exist_is_404_and_nothing_can_be_posted() {
    let server = start(state(nobody()));
    assert_eq!(fetch(&server, "/nothing").0, 404);
    let mut connection = TcpStream::connect(server.address()).unwrap();
    write!(connection, "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
}

#[test]
fn a_port_in_use_is_an_error_at_once() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let error = bind(&HostPort { host: "127.0.0.1".into(), port: taken.local_addr().unwrap().port() }).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
}

#[test]
fn the_port_is_free_again_after_the_end() {
    let server = start(state(nobody()));
    let address = server.address();
    drop(server);
    assert!(TcpStream::connect(address).is_err());
}
