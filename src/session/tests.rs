//! The exchange without sockets: dialogues of a scripted client and server, whole and cut at every byte.

use std::{sync::Arc, time::Duration};

use super::{
    Breakers, Context, Databases, PlanCache,
    context::Identity,
    exchange::{Exchange, Transaction},
    names::NameKey,
};
use crate::{
    catalog::facts::Resolved,
    control::Control,
    guard::{cache::GuardCache, testing},
    observe::{LogLimits, Metrics, ViolationLog},
    rules::load::load_texts,
    wire::{
        backend,
        frame::patch_length,
        frontend::{self, write_parse, write_query},
    },
};

mod staged;

const RULES: &str = "
version: 1
tables:
  - table: ex
    rules:
      - {name: seen, order: [a, b], on_violation: warn}
      - {name: refused, order: [b, c], on_violation: reject}
";

fn context() -> Arc<Context> {
    let rules = load_texts([("rules.yaml", RULES)]).unwrap().set;
    let metrics = Metrics::new();
    Arc::new(Context {
        upstream: String::new(),
        connect_timeout: Duration::ZERO,
        startup_timeout: Duration::ZERO,
        control: Control::with(rules, &[], &metrics),
        metrics,
        violations: ViolationLog::new(LogLimits::default()),
        message_cap: 1 << 20,
        mark: "0123456789abcdef".to_owned(),
        databases: Databases::default(),
        plans: PlanCache::default(),
        guards: GuardCache::default(),
        breakers: Breakers::default(),
    })
}

/// A session that has been greeted, and knows what `ex` means.
fn session() -> Exchange {
    let context = context();
    let rules = Arc::clone(&context.control.in_force().rules);
    context.databases.learn("db", &rules, Vec::new());
    let identity = Identity { database: "db".to_owned(), ..Identity::default() };
    let open = context.metrics.session();
    let mut exchange = Exchange::new(context, identity, open);
    let relation =
        testing::relation("ex", &[("id", "int8"), ("a", "timestamptz"), ("b", "timestamptz"), ("c", "timestamptz")]);
    let resolved = Resolved {
        relation: Some(relation),
        role: "app".to_owned(),
        server_version: 150_000,
        notices: true,
        may_set_config: true,
    };
    exchange.names.learn(NameKey { schema: None, name: "ex".to_owned() }, Arc::new(resolved));
    let (to_client, _) = server(&mut exchange, &[ready(b'I')].concat());
    assert_eq!(to_client, ready(b'I'));
    exchange
}

/// The client sends; what goes to the server, and at once to the client.
fn client(exchange: &mut Exchange, bytes: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
    exchange.frontend(bytes, &mut to_server, &mut to_client).unwrap();
    (to_server, to_client)
}

/// The server sends; what goes to the client, and back to the server.
fn server(exchange: &mut Exchange, bytes: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (mut to_client, mut to_server) = (Vec::new(), Vec::new());
    exchange.backend(bytes, &mut to_client, &mut to_server).unwrap();
    (to_client, to_server)
}

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![tag, 0, 0, 0, 0];
    out.extend_from_slice(body);
    patch_length(&mut out);
    out
}

fn ready(status: u8) -> Vec<u8> {
    message(b'Z', &[status])
}

fn query(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    write_query(&mut out, text.as_bytes());
    out
}

fn columns(names: &[&str]) -> Vec<u8> {
    let mut body = u16::try_from(names.len()).unwrap().to_be_bytes().to_vec();
    for name in names {
        body.extend_from_slice(name.as_bytes());
        body.extend_from_slice(&[0; 19]);
    }
    message(b'T', &body)
}

fn row(values: &[&str]) -> Vec<u8> {
    let mut body = u16::try_from(values.len()).unwrap().to_be_bytes().to_vec();
    for value in values {
        body.extend_from_slice(&u32::try_from(value.len()).unwrap().to_be_bytes());
        body.extend_from_slice(value.as_bytes());
    }
    message(b'D', &body)
}

fn complete(tag: &str) -> Vec<u8> {
    message(b'C', format!("{tag}\0").as_bytes())
}

fn error(sqlstate: &str, text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let fields: [(u8, &[u8]); 4] =
        [(b'S', b"ERROR"), (b'V', b"ERROR"), (b'C', sqlstate.as_bytes()), (b'M', text.as_bytes())];
    backend::write_fields(&mut out, b'E', &fields);
    out
}

/// The pipeline of a driver that prepares, binds, describes and runs.
fn pipeline(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    write_parse(&mut out, b"s", text.as_bytes(), &[0, 0]);
    out.extend(message(b'B', b"\0s\0\0\0\0\0\0\x01\0\x01"));
    out.extend(message(b'D', b"P\0"));
    out.extend(message(b'E', b"\0\0\0\0\x01"));
    out.extend(message(b'S', b""));
    out
}

const GOOD: &str = "";
const SEEN: &str = "0|n7|t2|t1;";

#[test]
fn a_row_that_warns_is_told_once_and_its_column_is_gone() {
    let mut exchange = session();
    let (sent, _) = client(&mut exchange, &query("INSERT INTO ex (a, b) VALUES (now(), now()) RETURNING id"));
    assert!(sent.len() > 300, "the guard was spliced in");
    let replies =
        [columns(&["id", "cg"]), row(&["7", SEEN]), row(&["8", GOOD]), complete("INSERT 0 2"), ready(b'I')].concat();
    let (seen, _) = server(&mut exchange, &replies);
    let start = [columns(&["id"]), row(&["7"]), row(&["8"])].concat();
    let end = [complete("INSERT 0 2"), ready(b'I')].concat();
    assert!(seen.starts_with(&start) && seen.ends_with(&end));
    let notice = &seen[start.len()..seen.len() - end.len()];
    let fields = backend::fields(notice).unwrap();
    assert_eq!(notice[0], b'N');
    assert_eq!(backend::field(&fields, b'C'), Some(&b"01000"[..]));
    assert_eq!(backend::field(&fields, b'n'), Some(&b"seen"[..]));
}

#[test]
fn without_a_result_of_its_own_the_client_sees_none() {
    let mut exchange = session();
    let (sent, _) = client(&mut exchange, &pipeline("INSERT INTO ex (a) VALUES (now())"));
    let execute = message(b'E', b"\0\0\0\0\0");
    assert!(memchr::memmem::find(&sent, &execute).is_some(), "no row limit: the statement must not be suspended");
    let replies =
        [message(b'1', b""), message(b'2', b""), columns(&["cg"]), row(&[GOOD]), complete("INSERT 0 1"), ready(b'I')];
    let (seen, _) = server(&mut exchange, &replies.concat());
    let expected = [message(b'1', b""), message(b'2', b""), message(b'n', b""), complete("INSERT 0 1"), ready(b'I')];
    assert_eq!(seen, expected.concat());
}

#[test]
fn every_cut_of_both_streams_gives_the_same() {
    let sent = [
        query("SELECT 1"),
        pipeline("INSERT INTO ex (a) VALUES (now())"),
        query("INSERT INTO ex (a) VALUES (now()) RETURNING *"),
    ]
    .concat();
    let replies = [
        columns(&["?column?"]),
        row(&["1"]),
        complete("SELECT 1"),
        ready(b'I'),
        message(b'1', b""),
        message(b'2', b""),
        columns(&["cg"]),
        row(&[SEEN]),
        complete("INSERT 0 1"),
        ready(b'I'),
        columns(&["id", "a", "b", "c", "cg"]),
        row(&["1", "2", "3", "4", GOOD]),
        complete("INSERT 0 1"),
        ready(b'I'),
    ]
    .concat();
    let play = |client_cut: usize, server_cut: usize| {
        let mut exchange = session();
        let mut to_server = client(&mut exchange, &sent[..client_cut]).0;
        to_server.extend(client(&mut exchange, &sent[client_cut..]).0);
        let mut to_client = server(&mut exchange, &replies[..server_cut]).0;
        to_client.extend(server(&mut exchange, &replies[server_cut..]).0);
        assert!(exchange.is_idle());
        (to_server, to_client)
    };
    let whole = play(sent.len(), replies.len());
    for cut in 0..sent.len() {
        assert_eq!(play(cut, 0).0, whole.0, "client cut at {cut}");
    }
    for cut in 0..replies.len() {
        assert_eq!(play(0, cut).1, whole.1, "server cut at {cut}");
    }
}

#[test]
fn a_refusal_keeps_the_protocol() {
    let mut exchange = session();
    let raised = error("22P02", "invalid input syntax for type integer: \"CG0123456789abcdef.0|1|n7|t2|t1;\"");
    client(&mut exchange, &pipeline("INSERT INTO ex (b, c) VALUES ($1, $2)"));
    let (seen, _) = server(
        &mut exchange,
        &[message(b'1', b""), message(b'2', b""), columns(&["cg"]), raised, ready(b'E')].concat(),
    );
    let start = [message(b'1', b""), message(b'2', b""), message(b'n', b"")].concat();
    let refusal = &seen[start.len()..seen.len() - ready(b'E').len()];
    let fields = backend::fields(refusal).unwrap();
    let expected: [(u8, &[u8]); 4] = [(b'C', b"23514"), (b's', b"public"), (b't', b"ex"), (b'n', b"refused")];
    for (kind, value) in expected {
        assert_eq!(backend::field(&fields, kind), Some(value));
    }
    assert!(seen.ends_with(&ready(b'E')));
    assert_eq!(exchange.transaction, Transaction::Failed);
}

#[test]
fn a_mark_that_the_client_wrote_is_the_clients() {
    let mut exchange = session();
    // Rule 0 warns in this statement, it does not reject; rule 5 does not exist; and the statement before had no guard at all.
    for forged in
        ["CG0123456789abcdef.0|5|n7|t2|t1;", "CG0123456789abcdef.1|1|n7|t2|t1;", "CGffffffffffffffff.0|1|n7|t2|t1;"]
    {
        let raised = error("22P02", &format!("invalid input syntax for type integer: \"{forged}\""));
        client(&mut exchange, &query("UPDATE ex SET c = now() WHERE id = 'x'"));
        assert_eq!(server(&mut exchange, &raised).0, raised);
        server(&mut exchange, &ready(b'I'));
    }
    let raised = error("22P02", "invalid input syntax for type integer: \"CG0123456789abcdef.0|1|n7|t2|t1;\"");
    client(&mut exchange, &query("SELECT 'x'::int"));
    assert_eq!(server(&mut exchange, &raised).0, raised);
}

#[test]
fn an_unknown_name_is_asked_about_and_the_client_waits() {
    let mut exchange = session();
    exchange.names.forget();
    let insert = query("INSERT INTO ex (a) VALUES (now())");
    let (asked, _) = client(&mut exchange, &insert);
    assert!(exchange.is_waiting());
    assert_eq!(asked[0], frontend::tag::PARSE, "a question of its own");
    assert!(memchr::memmem::find(&asked, b"INSERT INTO").is_none(), "the statement is held back");
    // No answer: an error, twice. Then the statement goes on as the client wrote it.
    let refused = [error("57014", "canceling statement due to user request"), ready(b'I')].concat();
    let (seen, again) = server(&mut exchange, &refused);
    assert!(seen.is_empty() && exchange.is_waiting());
    assert_eq!(again[0], frontend::tag::CLOSE, "what the error left of the question");
    assert!(memchr::memmem::find(&again, b"pg_catalog.").is_some(), "the question again");
    let (seen, again) = server(&mut exchange, &[message(b'3', b""), refused].concat());
    assert!(seen.is_empty() && again.is_empty() && exchange.holds_frontend());
    let (sent, _) = client(&mut exchange, b"");
    assert!(sent.ends_with(&insert) && sent[0] == frontend::tag::CLOSE);
    let metrics = exchange.context.metrics.clone();
    server(&mut exchange, &[message(b'3', b""), complete("INSERT 0 1"), ready(b'I')].concat());
    let counted = "chronoguard_unguardable_total{reason=\"catalog_unknown\",table=\"public.ex\"} 1";
    assert!(metrics.render().contains(counted), "never silently");
}

#[test]
fn a_guard_that_breaks_a_statement_is_left_out_the_second_time() {
    let mut exchange = session();
    let text = "INSERT INTO ex (a) VALUES (now())";
    client(&mut exchange, &pipeline(text));
    let broken = error("42703", "column ex.b does not exist");
    let (seen, sent) = server(&mut exchange, &[broken.clone(), ready(b'I')].concat());
    assert!(seen.is_empty(), "the client does not see the first run");
    let mut expected = Vec::new();
    write_parse(&mut expected, b"s", text.as_bytes(), &[0, 0]);
    assert!(sent.starts_with(&expected), "the client's own text");
    let replies =
        [message(b'1', b""), message(b'2', b""), message(b'n', b""), complete("INSERT 0 1"), ready(b'I')].concat();
    assert_eq!(server(&mut exchange, &replies).0, replies);
    let metrics = exchange.context.metrics.render();
    assert!(metrics.contains("chronoguard_breaker_open{table=\"public.ex\"} 1"));
    assert!(metrics.contains("chronoguard_retries_total{reason=\"guard_failed\"} 1"));

    // In a transaction nothing can be run again: the error goes to the client.
    let mut exchange = session();
    client(&mut exchange, &query("BEGIN"));
    server(&mut exchange, &[complete("BEGIN"), ready(b'T')].concat());
    client(&mut exchange, &query(text));
    assert_eq!(server(&mut exchange, &broken).0, broken);
}
