//! What an operator sees: metrics of real traffic, the violation log, the admin endpoints, draining.

use std::{
    net::TcpStream,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::harness::{
    Guarded, Proxy, Talk, cluster, fe,
    guarded::{REJECT, assert_refused},
    metrics::{Samples, http},
    talk::{error, tags},
};

const OBSERVE: &str = "\
version: 1
tables:
  - table: public.ex
    owner: runner-team
    rules:
      - name: ex_order
        order: [created_at, started_at, completed_at]
";

/// A healthy row.
fn good(id: u32) -> String {
    format!("INSERT INTO ex (id, created_at, started_at) VALUES ({id}, '2026-03-01', '2026-03-02')")
}

/// A row that started a day before it was created.
fn bad(id: u32) -> String {
    format!("INSERT INTO ex (id, created_at, started_at) VALUES ({id}, '2026-03-02', '2026-03-01')")
}

fn result(samples: &Samples, operation: &str, result: &str) -> f64 {
    samples.sum("writes_total", &[("table", "public.ex"), ("operation", operation), ("result", result)])
}

#[test]
fn the_results_of_transactions() {
    let guarded = Guarded::new(OBSERVE);
    let mut talk = guarded.login();
    talk.run(&good(101));
    talk.run("BEGIN");
    talk.run(&good(102));
    talk.run("SAVEPOINT s");
    talk.run(&good(103));
    talk.run(&good(104));
    talk.run("ROLLBACK TO s");
    talk.run("COMMIT");
    talk.run("BEGIN");
    talk.run("UPDATE ex SET started_at = '2026-03-03' WHERE id = 101");
    talk.run("ROLLBACK");
    talk.run(&format!("{}; {}; {}", good(105), good(106), good(107)));
    // A unique violation takes the first of the two back as well.
    talk.query(format!("{}; {}", good(108), good(101)));
    // What is committed before the violation stays.
    talk.query(format!("BEGIN; {}; COMMIT; {}", good(109), good(101)));
    let mut gone = guarded.login();
    gone.run("BEGIN");
    gone.run("UPDATE ex SET started_at = '2026-03-04' WHERE id = 102");
    drop(gone);

    let samples = guarded.proxy.await_metric("writes_total", &[("result", "lost")], 1.0);
    assert_eq!(result(&samples, "update", "lost"), 1.0);
    assert_eq!(result(&samples, "insert", "committed"), 6.0);
    assert_eq!(result(&samples, "insert", "rolled_back"), 3.0);
    assert_eq!(result(&samples, "update", "rolled_back"), 1.0);
    assert_eq!(result(&samples, "insert", "failed"), 2.0);
    assert_eq!(samples.sum("write_errors_total", &[("table", "public.ex"), ("sqlstate", "23505")]), 2.0);
    assert_eq!(samples.sum("statements_total", &[("outcome", "error")]), 2.0);
    assert_eq!(samples.sum("session_errors_total", &[]), 0.0, "a client that goes away is no error");
    assert_eq!(guarded.landed_ids(), "101 102 105 106 107 109");
}

#[test]
fn a_transaction_that_fails_at_its_commit_is_not_committed() {
    let schema = "ALTER TABLE ex ADD CONSTRAINT late UNIQUE (note) DEFERRABLE INITIALLY DEFERRED";
    let guarded = Guarded::with_schema(OBSERVE, &format!("UPDATE ex SET note = id::text; {schema}"));
    let mut talk = guarded.login();
    talk.run("BEGIN");
    talk.run("UPDATE ex SET note = 'same', started_at = created_at WHERE id IN (1, 2)");
    talk.query("COMMIT");
    let samples =
        guarded.proxy.await_metric("writes_total", &[("operation", "update"), ("result", "rolled_back")], 1.0);
    assert_eq!(result(&samples, "update", "committed"), 0.0);
}

#[test]
fn rows_errors_and_writes_that_change_nothing() {
    let guarded = Guarded::new(OBSERVE);
    let mut talk = guarded.login();
    talk.run("INSERT INTO ex (id, created_at) SELECT g, '2026-03-01' FROM generate_series(200, 299) g");
    talk.run("UPDATE ex SET started_at = '2026-03-02' WHERE id BETWEEN 200 AND 209 RETURNING id");
    talk.run("UPDATE ex SET started_at = '2026-03-02' WHERE id = 0");
    talk.run("UPDATE ex SET started_at = '2026-03-02' WHERE id = 0 RETURNING *");
    talk.query("INSERT INTO ex (id, created_at) VALUES (0/0, now())");
    talk.query("UPDATE ex SET status = 'x' WHERE no_such_column = 1");
    let samples = guarded.proxy.await_metric("statements_total", &[("outcome", "error")], 2.0);
    assert_eq!(samples.sum("rows_checked_total", &[("table", "public.ex")]), 110.0);
    assert_eq!(samples.sum("zero_row_writes_total", &[("table", "public.ex"), ("operation", "update")]), 2.0);
    assert_eq!(samples.sum("write_errors_total", &[("sqlstate", "22012")]), 1.0);
    assert_eq!(samples.sum("write_errors_total", &[("sqlstate", "42703")]), 1.0);
    assert_eq!(samples.sum("breaker_open", &[]), 0.0, "the client's own errors open no breaker");
    assert_eq!(samples.sum("write_seconds_count", &[("operation", "update")]), 3.0);
    assert!(samples.sum("overhead_seconds_count", &[]) >= 4.0);
}

#[test]
fn sessions_bytes_and_cancel_requests() {
    let guarded = Guarded::new(OBSERVE);
    let mut talk = guarded.login();
    guarded.proxy.await_metric("sessions", &[("state", "open")], 1.0);
    let text = "x".repeat(200_000);
    assert_eq!(talk.value(&format!("SELECT length('{text}')")), "200000");
    talk.cancel();
    let samples = guarded.proxy.await_metric("cancel_requests_total", &[], 1.0);
    assert!(samples.sum("bytes_total", &[("direction", "to_server")]) > 130_000.0);
    talk.terminate();
    let samples = guarded.proxy.await_metric("sessions", &[], 0.0);
    assert!(samples.sum("bytes_total", &[("direction", "to_server")]) > 200_000.0);
    assert_eq!(samples.sum("session_errors_total", &[]), 0.0, "ordinary ends are no errors");
}

/// The lines of the violation log, when there are that many.
fn violations(proxy: &Proxy, count: usize) -> Vec<Value> {
    let of = |log: &str| -> Vec<Value> {
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["target"] == "chronoguard::violation").collect()
    };
    let logged = of(&proxy.await_log(|log| of(log).len() >= count));
    assert_eq!(logged.len(), count, "{}", proxy.log());
    logged
}

#[test]
fn a_violation_is_logged_with_all_that_the_contract_names() {
    let database = cluster().database();
    let proxy = Proxy::with(cluster().addr, REJECT, &["--log-format", "json"]);
    let mut talk = Talk::connect(proxy.addr);
    talk.start(&[("user", "postgres"), ("database", &database), ("application_name", "worker-7")]);
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let sql = "INSERT INTO ex (id, started_at, note) VALUES ($1, $2, 'secret')";
    let sql = format!("{sql} /*traceparent='{trace}'*/");
    talk.send(&fe::extended(&sql, &["777", "2026-02-14 00:00:00+00"]));
    assert_refused(&talk.ready());
    proxy.await_metric("violations_total", &[("cause", "other")], 1.0);

    let (status, body) = http(proxy.admin, "GET", "/api/violations");
    assert_eq!(status, 200);
    let recent: Value = serde_json::from_str(&body).unwrap();
    let logged = violations(&proxy, 1);
    for (place, found) in [("log", &logged[0]), ("api", &recent["violations"][0])] {
        assert_eq!(found["rule"], "ex_order", "{place}: {found}");
        assert_eq!(found["table"], "public.ex");
        assert_eq!(found["operation"], "insert");
        assert_eq!(found["action"], "reject");
        assert_eq!(found["by_seconds"], 86_400.0);
        assert_eq!(found["key"][0]["column"], "id");
        assert_eq!(found["key"][0]["new"], "777");
        assert_eq!(found["columns"][0]["column"], "created_at");
        assert_eq!(found["columns"][0]["new"], "2026-02-15 00:00:00+00");
        assert_eq!(found["columns"][1]["new"], "2026-02-14 00:00:00+00");
        assert_eq!(found["user"], "postgres");
        assert_eq!(found["database"], database.as_str());
        assert_eq!(found["application_name"], "worker-7");
        assert!(found["client"].as_str().is_some_and(|c| c.starts_with("127.0.0.1:")), "{found}");
        assert!(found["server_pid"].as_i64().is_some_and(|pid| pid > 0), "{found}");
        assert!(found["fingerprint"].as_str().is_some_and(|f| f.len() == 16), "{found}");
        assert_eq!(found["traceparent"], trace);
        assert!(found["config_hash"].as_str().is_some_and(|h| h.len() == 16), "{found}");
    }
    assert!(!proxy.log().contains("secret") && !body.contains("secret"), "{}", proxy.log());
}

#[test]
fn many_violations_of_one_statement_are_counted_one_by_one_and_logged_in_short() {
    let database = cluster().database();
    let proxy = Proxy::with(cluster().addr, OBSERVE, &["--log-format", "json"]);
    let mut talk = proxy.login(&database);
    let rows = "SELECT g, '2026-03-02', '2026-03-01' FROM generate_series(1001, 2000) g";
    assert_eq!(tags(&talk.query(format!("INSERT INTO ex (id, created_at, started_at) {rows}"))), "CZ");
    let samples = proxy.await_metric("violations_total", &[("rule", "ex_order")], 1_000.0);
    assert_eq!(samples.sum("violation_seconds_count", &[("rule", "ex_order")]), 1_000.0);
    assert_eq!(samples.sum("statements_total", &[("outcome", "observed")]), 1.0);
    assert_eq!(samples.sum("rows_checked_total", &[]), 1_000.0);
    talk.terminate();
    proxy.await_metric("sessions", &[], 0.0);
    let logged = violations(&proxy, 11);
    assert_eq!(logged[10]["left_out"], 990);
    assert_eq!(logged[10]["fingerprint"], logged[0]["fingerprint"]);
}

#[test]
fn the_api_and_the_page_show_rules_and_violations() {
    let guarded = Guarded::new(OBSERVE);
    guarded.login().run(&bad(101));
    guarded.await_violations("ex_order", 1);
    let (status, body) = http(guarded.proxy.admin, "GET", "/api/rules");
    assert_eq!(status, 200);
    let rules: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(rules["tables"][0]["table"], "public.ex");
    assert_eq!(rules["tables"][0]["rules"][0]["kind"], "order");
    assert_eq!(rules["tables"][0]["rules"][0]["violations"], 1);
    let (status, page) = http(guarded.proxy.admin, "GET", "/");
    assert_eq!(status, 200);
    for part in ["ex_order", "runner-team", "2026-03-01 00:00:00+00", ">ready<"] {
        assert!(page.contains(part), "{part} is missing in {page}");
    }
}

#[test]
fn ready_asks_the_server() {
    let proxy = Proxy::start(OBSERVE);
    assert_eq!(http(proxy.admin, "GET", "/-/ready"), (200, "ready\n".into()));
    let nobody = Proxy::before(([127, 0, 0, 1], crate::harness::cluster::free_port()).into(), OBSERVE);
    let (status, body) = http(nobody.admin, "GET", "/-/ready");
    assert_eq!(status, 503);
    assert!(body.contains("refused"), "{body}");
    assert_eq!(http(nobody.admin, "GET", "/-/healthy").0, 200);
}

/// Waits for something that is under way.
fn until(mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < deadline, "it never happened");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn sigterm_lets_sessions_finish_and_takes_no_new_ones() {
    let guarded = Guarded::new(OBSERVE);
    let mut proxy = guarded.proxy;
    let mut talk = proxy.login(&guarded.database);
    talk.run("BEGIN");
    talk.run(&good(101));
    let pid = rustix::process::Pid::from_raw(proxy.pid().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    until(|| http(proxy.admin, "GET", "/-/ready").0 == 503);
    until(|| TcpStream::connect(proxy.addr).is_err());
    talk.run(&good(102));
    talk.run("COMMIT");
    assert!(proxy.alive());
    talk.terminate();
    until(|| !proxy.alive());
    proxy.await_log(|log| log.contains("stopped"));
    let landed = cluster().direct(&guarded.database).value("SELECT count(*) FROM ex WHERE id > 100");
    assert_eq!(landed, "2");
}

#[test]
fn a_write_that_is_refused_because_it_cannot_be_guarded() {
    let rules = OBSERVE.replace("owner: runner-team", "unguardable: reject");
    let guarded = Guarded::with_schema(
        &rules,
        "CREATE VIEW ex_view AS SELECT id, started_at AS created_at, created_at AS started_at, completed_at FROM ex",
    );
    let mut talk = guarded.login();
    let replies = talk.query("INSERT INTO ex_view (id, created_at) VALUES (101, '2026-03-01')");
    assert_eq!(error(&replies).field('C'), "0A000");
    assert_eq!(guarded.landed_ids(), "");
    let samples = guarded.await_unguardable("view", 1);
    assert_eq!(samples.sum("statements_total", &[("outcome", "unguardable"), ("table", "public.ex")]), 1.0);
    assert_eq!(samples.sum("write_errors_total", &[("sqlstate", "0A000")]), 1.0);
    assert_eq!(result(&samples, "insert", "failed"), 1.0);
}
