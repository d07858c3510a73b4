//! A staged COPY: six statements that reply as one.

use super::*;
use crate::catalog::facts::StageFacts;

const COPY: &str = "COPY ex (id, a) FROM STDIN";
/// Raised by a row of the stage: rule 1, line 7 of the rows.
const RAISED: &str = "invalid input syntax for type integer: \"CG0123456789abcdef.0|1|n7|t2|t1;@7\"";

/// A session in which notices are silenced, so that a rule that warns cannot be judged in COPY's `WHERE`.
fn staging() -> Exchange {
    let mut exchange = session();
    let key = NameKey { schema: None, name: "ex".to_owned() };
    let mut resolved = Resolved::clone(exchange.names.get(&key).unwrap());
    resolved.notices = false;
    resolved.relation.as_mut().unwrap().stage = StageFacts { temporary: true, ..StageFacts::default() };
    exchange.names.learn(key, Arc::new(resolved));
    exchange
}

fn copy_in() -> Vec<u8> {
    message(b'G', b"\0\0\x02\0\0\0\0")
}

fn data() -> Vec<u8> {
    [message(b'd', b"1\t2026-01-01\n"), message(b'c', b"")].concat()
}

/// The stage is made and tried.
fn prepared() -> Vec<u8> {
    let plan = [columns(&["QUERY PLAN"]), row(&["Insert on ex"]), row(&["  ->  Seq Scan"])].concat();
    [complete("SELECT 0"), plan, complete("EXPLAIN")].concat()
}

/// The rows are inserted, the stage is gone.
fn inserted(rows: &[&str]) -> Vec<u8> {
    let verdicts: Vec<u8> = rows.iter().flat_map(|verdict| row(&[verdict])).collect();
    let count = rows.len();
    let end = [complete(&format!("INSERT 0 {count}")), complete("TRUNCATE TABLE"), complete("DROP TABLE")].concat();
    [complete(&format!("COPY {count}")), columns(&["concat"]), verdicts, end].concat()
}

fn has(bytes: &[u8], part: &str) -> bool {
    memchr::memmem::find(bytes, part.as_bytes()).is_some()
}

#[test]
fn many_statements_reply_as_one() {
    let mut exchange = staging();
    let (sent, _) = client(&mut exchange, &query(&format!("{COPY} -- all of it")));
    for part in [
        "CREATE TEMPORARY TABLE chronoguard_copy AS SELECT id, a FROM ex WITH NO DATA; EXPLAIN INSERT INTO ex (id, a)",
        "; COPY pg_temp.chronoguard_copy (id, a) FROM STDIN; INSERT INTO ex (id, a) OVERRIDING SYSTEM VALUE SELECT id, a FROM",
        "; TRUNCATE pg_temp.chronoguard_copy; DROP TABLE pg_temp.chronoguard_copy -- all of it\0",
    ] {
        assert!(has(&sent, part), "{part}\n{}", String::from_utf8_lossy(&sent));
    }
    assert_eq!(server(&mut exchange, &[prepared(), copy_in()].concat()).0, copy_in());
    assert_eq!(client(&mut exchange, &data()).0, data());
    let (seen, back) = server(&mut exchange, &[inserted(&[GOOD, GOOD]), ready(b'I')].concat());
    assert_eq!(seen, [complete("COPY 2"), ready(b'I')].concat());
    assert!(back.is_empty() && exchange.is_idle());
    let metrics = exchange.context.metrics.render();
    assert!(metrics.contains("chronoguard_rows_checked_total{table=\"public.ex\"} 2"), "{metrics}");
    assert!(metrics.contains("operation=\"copy\",outcome=\"passed\",table=\"public.ex\"} 1"), "{metrics}");
}

#[test]
fn every_cut_gives_the_same() {
    let texts = [query("SELECT 1"), query(COPY), data(), query("SELECT 1")].concat();
    let one = [columns(&["?column?"]), row(&["1"]), complete("SELECT 1"), ready(b'I')].concat();
    let replies =
        [one.clone(), prepared(), copy_in(), inserted(&[GOOD, SEEN, GOOD]), ready(b'I'), one.clone()].concat();
    let play = |client_cut: usize, server_cut: usize| {
        let mut exchange = staging();
        let mut to_server = client(&mut exchange, &texts[..client_cut]).0;
        to_server.extend(client(&mut exchange, &texts[client_cut..]).0);
        let mut to_client = server(&mut exchange, &replies[..server_cut]).0;
        to_client.extend(server(&mut exchange, &replies[server_cut..]).0);
        assert!(exchange.is_idle());
        (to_server, to_client)
    };
    let whole = play(texts.len(), replies.len());
    let end = [complete("COPY 3"), ready(b'I'), one.clone()].concat();
    assert!(whole.1.starts_with(&[one, copy_in()].concat()) && whole.1.ends_with(&end));
    for cut in 0..texts.len() {
        assert_eq!(play(cut, 0).0, whole.0, "client cut at {cut}");
    }
    for cut in 0..replies.len() {
        assert_eq!(play(0, cut).1, whole.1, "server cut at {cut}");
    }
}

#[test]
fn a_refusal_names_the_line() {
    let mut exchange = staging();
    client(&mut exchange, &[query(&format!("{COPY} CSV HEADER")), data()].concat());
    let (seen, _) = server(
        &mut exchange,
        &[prepared(), copy_in(), complete("COPY 9"), error("22P02", RAISED), ready(b'I')].concat(),
    );
    let refusal = &seen[copy_in().len()..seen.len() - ready(b'I').len()];
    let fields = backend::fields(refusal).unwrap();
    let expected: [(u8, &[u8]); 3] = [(b'C', b"23514"), (b'n', b"refused"), (b'W', b"COPY ex, line 8")];
    for (kind, value) in expected {
        assert_eq!(backend::field(&fields, kind), Some(value));
    }
    assert!(exchange.is_idle());
}

#[test]
fn errors_and_notices_name_the_clients_relation() {
    let told = |kind: u8, context: &str| {
        let mut out = Vec::new();
        let fields: [(u8, &[u8]); 4] = [(b'S', b"x"), (b'C', b"22007"), (b'M', b"bad"), (b'W', context.as_bytes())];
        backend::write_fields(&mut out, kind, &fields);
        out
    };
    let mut exchange = staging();
    client(&mut exchange, &[query(COPY), data()].concat());
    server(&mut exchange, &[prepared(), copy_in()].concat());
    for kind in [b'N', b'E'] {
        let (seen, _) = server(&mut exchange, &told(kind, "COPY chronoguard_copy, line 3, column a: \"x\""));
        assert_eq!(seen, told(kind, "COPY ex, line 3, column a: \"x\""));
    }
    assert_eq!(server(&mut exchange, &ready(b'I')).0, ready(b'I'));
    assert!(exchange.is_idle());
}

/// What is behind the COPY follows the client's `CopyDone`, and only once the server has said that it takes data.
#[test]
fn in_the_extended_protocol() {
    let start = |text: &str| {
        let mut out = Vec::new();
        write_parse(&mut out, b"", text.as_bytes(), &[0, 0]);
        out.extend(message(b'B', b"\0\0\0\0\0\0\0\0"));
        out.extend(message(b'E', b"\0\0\0\0\0"));
        out
    };
    let sync = message(b'S', b"");
    let own = |replies: &[u8]| {
        let close = message(b'3', b"");
        [message(b'1', b""), message(b'2', b""), replies.to_vec(), close.clone(), close].concat()
    };
    let mut exchange = staging();
    let (sent, _) = client(&mut exchange, &start(COPY));
    assert!(has(&sent, "COPY pg_temp.chronoguard_copy (id, a) FROM STDIN\0") && !has(&sent, "TRUNCATE"));
    let (held, _) = client(&mut exchange, &[data(), sync.clone()].concat());
    assert_eq!(held, message(b'd', b"1\t2026-01-01\n"), "CopyDone and Sync wait");
    assert!(exchange.is_waiting());
    let plan = [row(&["Insert on ex"]), complete("EXPLAIN")].concat();
    let begun = [message(b'1', b""), message(b'2', b""), own(&complete("SELECT 0")), own(&plan), copy_in()].concat();
    let (seen, _) = server(&mut exchange, &begun);
    assert_eq!(seen, [message(b'1', b""), message(b'2', b""), copy_in()].concat());
    let (sent, _) = client(&mut exchange, b"");
    assert!(sent.starts_with(&message(b'c', b"")) && sent.ends_with(&sync) && has(&sent, "DROP TABLE pg_temp."));
    let end = [
        complete("COPY 1"),
        own(&[row(&[GOOD]), complete("INSERT 0 1")].concat()),
        own(&complete("TRUNCATE TABLE")),
        own(&complete("DROP TABLE")),
        ready(b'I'),
    ];
    assert_eq!(server(&mut exchange, &end.concat()).0, [complete("COPY 1"), ready(b'I')].concat());
    assert!(exchange.is_idle());

    // The Sync behind Execute is answered if the COPY fails before it takes data: nothing of ours may follow.
    let mut exchange = staging();
    client(&mut exchange, &[start(COPY), sync.clone(), data(), sync.clone()].concat());
    let failed = [message(b'1', b""), message(b'2', b""), error("57014", "canceled"), ready(b'I')].concat();
    assert_eq!(server(&mut exchange, &failed).0, failed);
    assert_eq!(client(&mut exchange, b"").0, [message(b'c', b""), sync].concat());
    assert_eq!(server(&mut exchange, &ready(b'I')).0, ready(b'I'));
    assert!(exchange.is_idle());
    // What is left of our statement is closed before the next of the client's.
    let (sent, _) = client(&mut exchange, &query("SELECT 1"));
    assert!(sent.starts_with(&message(b'C', b"Schronoguard\0")) && sent.ends_with(&query("SELECT 1")));
    let replies = [message(b'3', b""), complete("SELECT 1"), ready(b'I')].concat();
    assert_eq!(server(&mut exchange, &replies).0, replies[message(b'3', b"").len()..]);
}

#[test]
fn what_keeps_a_stage_from_being_made_is_not_the_clients_affair() {
    let mut exchange = staging();
    client(&mut exchange, &query(COPY));
    let denied = error("42501", "permission denied to create temporary tables in database \"db\"");
    let (seen, again) = server(&mut exchange, &[denied.clone(), ready(b'I')].concat());
    assert!(seen.is_empty());
    assert_eq!(again, query(COPY), "the client's own");
    server(&mut exchange, &copy_in());
    client(&mut exchange, &data());
    server(&mut exchange, &[complete("COPY 1"), ready(b'I')].concat());
    let metrics = exchange.context.metrics.render();
    assert!(
        metrics.contains("chronoguard_unguardable_total{reason=\"breaker_open\",table=\"public.ex\"} 1"),
        "{metrics}"
    );
    // Once it takes data nothing is run again.
    let mut exchange = staging();
    client(&mut exchange, &query(COPY));
    server(&mut exchange, &[prepared(), copy_in()].concat());
    let broken = error("42703", "column ex.b does not exist");
    let (seen, again) = server(&mut exchange, &[complete("COPY 0"), broken, ready(b'I')].concat());
    assert!(again.is_empty() && seen.starts_with(b"E") && seen.ends_with(&ready(b'I')));
}
