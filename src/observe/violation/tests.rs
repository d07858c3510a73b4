use super::*;
use crate::observe::log::{LogFormat, capture};

pub(in crate::observe) fn record(rule: &str) -> ViolationRecord {
    ViolationRecord { time: jiff::Timestamp::UNIX_EPOCH, finding: finding(rule), statement: Arc::new(context()) }
}

fn finding(rule: &str) -> Finding {
    let value = |column: &str, new: &str| ColumnValue { column: column.into(), old: None, new: Some(new.into()) };
    Finding {
        rule: rule.into(),
        action: Action::Reject,
        exemption: None,
        cause: "default_after_explicit",
        evidence: Some("created_at is not in the column list, its default is now()".into()),
        columns: vec![value("created_at", "2026-01-01 00:00:00.02+00"), value("started_at", "2026-01-01 00:00:00+00")],
        by_seconds: Some(0.02),
        key: vec![value("id", "7")],
    }
}

fn context() -> StatementContext {
    let session = SessionContext {
        session: 12,
        user: "runner".into(),
        database: "app".into(),
        application_name: "worker \"1\"".into(),
        client: Some(([127, 0, 0, 1], 5000).into()),
        server_pid: Some(4711),
    };
    StatementContext {
        session: Arc::new(session),
        table: "public.executions".into(),
        operation: Operation::Insert,
        fingerprint: "0123456789abcdef".into(),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
        config_hash: "feedfacefeedface".into(),
    }
}

#[test]
fn the_json_log_has_every_field_of_the_contract() {
    let log = ViolationLog::new(LogLimits::default());
    let text = capture(LogFormat::Json, || log.statement(context()).violation(|| finding("executions_order")));
    let event: serde_json::Value = serde_json::from_str(text.trim_end()).unwrap();
    let expected = serde_json::json!({
        "level": "WARN",
        "target": "chronoguard::violation",
        "message": "timestamp rule violated",
        "rule": "executions_order",
        "table": "public.executions",
        "operation": "insert",
        "action": "reject",
        "cause": "default_after_explicit",
        "evidence": "created_at is not in the column list, its default is now()",
        "columns": [
            {"column": "created_at", "new": "2026-01-01 00:00:00.02+00"},
            {"column": "started_at", "new": "2026-01-01 00:00:00+00"},
        ],
        "by_seconds": 0.02,
        "key": [{"column": "id", "new": "7"}],
        "session": 12,
        "user": "runner",
        "database": "app",
        "application_name": "worker \"1\"",
        "client": "127.0.0.1:5000",
        "server_pid": 4711,
        "fingerprint": "0123456789abcdef",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "config_hash": "feedfacefeedface",
    });
    let mut event = event.as_object().unwrap().clone();
    let time = event.remove("time").unwrap();
    assert!(time.as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
    assert_eq!(serde_json::Value::Object(event), expected);
}

#[test]
fn the_text_log_has_rule_and_values() {
    let log = ViolationLog::new(LogLimits::default());
    let text = capture(LogFormat::Text, || log.statement(context()).violation(|| finding("executions_order")));
    let columns = r#"columns=[{"column":"created_at","new":"2026-01-01 00:00:00.02+00"},"#;
    for part in ["WARN", "timestamp rule violated", "executions_order", columns, "0123456789abcdef"] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
}

#[test]
fn what_is_above_the_cap_is_summed_up_once() {
    let log = ViolationLog::new(LogLimits { per_statement: 2, ..LogLimits::default() });
    let text = capture(LogFormat::Json, || {
        let mut statement = log.statement(context());
        for _ in 0..500 {
            statement.violation(|| finding("executions_order"));
        }
        assert_eq!(statement.seen(), 500);
    });
    let events: Vec<serde_json::Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(events.len(), 3);
    assert_eq!(events[2]["left_out"], 498);
    assert_eq!(events[2]["violations"], 500);
    assert_eq!(events[2]["fingerprint"], "0123456789abcdef");
    assert_eq!(log.recent(100).len(), 2);
}

#[test]
fn values_can_be_left_out() {
    let log = ViolationLog::new(LogLimits { values: false, ..LogLimits::default() });
    let text = capture(LogFormat::Json, || log.statement(context()).violation(|| finding("executions_order")));
    assert!(text.contains("created_at") && !text.contains("2026-01-01"), "{text}");
    let recent = serde_json::to_string(&log.recent(1)).unwrap();
    assert!(recent.contains("created_at") && !recent.contains("2026-01-01"), "{recent}");
}

#[test]
fn a_record_is_one_flat_object() {
    let value = serde_json::to_value(record("executions_order")).unwrap();
    assert_eq!(value["time"], "1970-01-01T00:00:00Z");
    assert_eq!(value["rule"], "executions_order");
    assert_eq!(value["action"], "reject");
    assert_eq!(value["evidence"], "created_at is not in the column list, its default is now()");
    assert_eq!(value["operation"], "insert");
    assert_eq!(value["client"], "127.0.0.1:5000");
    assert_eq!(value["key"][0]["new"], "7");
}
