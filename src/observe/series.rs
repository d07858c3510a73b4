//! Handles that sessions hold: the series of one table, a session's place in the gauges, its bytes.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge};

use super::{
    labels::{Outcome, WriteResult, sqlstate_label},
    metrics::Families,
};
use crate::{
    guard::{Cause, Reason},
    rules::set::{Action, Exemption, Rule},
    sql::write::Operation,
};

const OPERATIONS: usize = 4;
const OUTCOMES: usize = Outcome::ALL.len();
const RESULTS: usize = WriteResult::ALL.len();

/// The series of one guarded table. What every guarded write touches is found once and then reached without a lookup.
pub struct TableMetrics {
    table: String,
    violations: IntCounterVec,
    violation_seconds: HistogramVec,
    unguardable: IntCounterVec,
    write_errors: IntCounterVec,
    zero_row_writes: IntCounterVec,
    rows_checked: IntCounter,
    breaker_open: IntGauge,
    statements_family: IntCounterVec,
    statements: [[OnceLock<IntCounter>; OUTCOMES]; OPERATIONS],
    writes_family: IntCounterVec,
    writes: [[OnceLock<IntCounter>; RESULTS]; OPERATIONS],
    seconds_family: HistogramVec,
    seconds: [OnceLock<Histogram>; OPERATIONS],
}

impl TableMetrics {
    pub(super) fn new(table: &str, families: &Families) -> Self {
        Self {
            table: table.to_owned(),
            violations: families.violations.clone(),
            violation_seconds: families.violation_seconds.clone(),
            unguardable: families.unguardable.clone(),
            write_errors: families.write_errors.clone(),
            zero_row_writes: families.zero_row_writes.clone(),
            rows_checked: families.rows_checked.with_label_values(&[table]),
            breaker_open: families.breaker_open.with_label_values(&[table]),
            statements_family: families.statements.clone(),
            statements: Default::default(),
            writes_family: families.writes.clone(),
            writes: Default::default(),
            seconds_family: families.write_seconds.clone(),
            seconds: Default::default(),
        }
    }

    /// The label: `schema.table`.
    pub fn name(&self) -> &str {
        &self.table
    }

    /// Creates at zero what alerts watch.
    pub(super) fn announce(&self, rules: &[Rule], exemptions: &[Arc<Exemption>]) {
        for rule in rules {
            let exempt = exemptions.iter().any(|exemption| exemption.rules.contains(&rule.name));
            for action in rule.actions().into_iter().chain(exempt.then_some(Action::Exempt)) {
                for cause in Cause::ALL {
                    let labels = [self.table.as_str(), rule.name.as_str(), action.as_str(), cause.as_str()];
                    self.violations.with_label_values(&labels).inc_by(0);
                }
            }
        }
        for operation in [Operation::Insert, Operation::Update] {
            for outcome in [Outcome::Passed, Outcome::Rejected, Outcome::Unguardable] {
                self.statement_series(operation, outcome);
            }
            for result in WriteResult::ALL {
                self.write_series(operation, *result);
            }
            self.zero_row_writes.with_label_values(&[self.table.as_str(), operation.as_str()]).inc_by(0);
        }
    }

    /// The rule is gone. A statement that it still judges brings its series back.
    pub(super) fn withdraw(&self, rule: &Rule) {
        for action in Action::ALL {
            for cause in Cause::ALL {
                let labels = [self.table.as_str(), rule.name.as_str(), action.as_str(), cause.as_str()];
                // An error means that there is none.
                let _ = self.violations.remove_label_values(&labels);
            }
        }
        let _ = self.violation_seconds.remove_label_values(&[self.table.as_str(), rule.name.as_str()]);
    }

    /// One row violated one rule; `by`: by how much, in seconds, where that is a length of time.
    pub fn violation(&self, rule: &str, action: Action, cause: Cause, by: Option<f64>) {
        self.violations.with_label_values(&[self.table.as_str(), rule, action.as_str(), cause.as_str()]).inc();
        if let Some(seconds) = by {
            self.violation_seconds.with_label_values(&[self.table.as_str(), rule]).observe(seconds);
        }
    }

    /// One write ended with this outcome.
    pub fn statement(&self, operation: Operation, outcome: Outcome) {
        self.statement_series(operation, outcome).inc();
    }

    /// One write, or one rule of it, could not be guarded.
    pub fn unguardable(&self, reason: Reason) {
        self.unguardable.with_label_values(&[self.table.as_str(), reason.as_str()]).inc();
    }

    /// A guard judged `rows` rows.
    pub fn rows_checked(&self, rows: u64) {
        self.rows_checked.inc_by(rows);
    }

    /// The transaction of a write ended.
    pub fn write_result(&self, operation: Operation, result: WriteResult) {
        self.write_series(operation, result).inc();
    }

    /// A write succeeded and changed no row.
    pub fn zero_row_write(&self, operation: Operation) {
        self.zero_row_writes.with_label_values(&[self.table.as_str(), operation.as_str()]).inc();
    }

    /// The server refused a write.
    pub fn write_error(&self, sqlstate: &str) {
        self.write_errors.with_label_values(&[self.table.as_str(), sqlstate_label(sqlstate)]).inc();
    }

    /// How long a write took.
    pub fn write_seconds(&self, operation: Operation, elapsed: Duration) {
        let labels = [self.table.as_str(), operation.as_str()];
        self.seconds[operation as usize]
            .get_or_init(|| self.seconds_family.with_label_values(&labels))
            .observe(elapsed.as_secs_f64());
    }

    /// The table's guard is switched off because it failed, or on again.
    pub fn breaker_open(&self, open: bool) {
        self.breaker_open.set(i64::from(open));
    }

    fn statement_series(&self, operation: Operation, outcome: Outcome) -> &IntCounter {
        let labels = [self.table.as_str(), operation.as_str(), outcome.as_str()];
        self.statements[operation as usize][outcome as usize]
            .get_or_init(|| self.statements_family.with_label_values(&labels))
    }

    fn write_series(&self, operation: Operation, result: WriteResult) -> &IntCounter {
        let labels = [self.table.as_str(), operation.as_str(), result.as_str()];
        self.writes[operation as usize][result as usize].get_or_init(|| self.writes_family.with_label_values(&labels))
    }
}

impl std::fmt::Debug for TableMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TableMetrics").field("table", &self.table).finish_non_exhaustive()
    }
}

/// One session's place in the gauge of sessions. Leaves it when dropped.
#[derive(Debug)]
pub struct OpenSession {
    now: IntGauge,
    open: IntGauge,
}

impl OpenSession {
    pub(super) fn new(startup: IntGauge, open: IntGauge) -> Self {
        startup.inc();
        Self { now: startup, open }
    }

    /// The server sent its first ReadyForQuery. To be called once; a second call changes nothing.
    pub fn opened(&mut self) {
        self.now.dec();
        self.now = self.open.clone();
        self.now.inc();
    }
}

impl Drop for OpenSession {
    fn drop(&mut self) {
        self.now.dec();
    }
}

/// Counts of one session's bytes. They reach the shared counters after [`BATCH_BYTES`], on [`ByteCounts::flush`] and when dropped, so
/// that sessions on different cores do not fight over a cache line for each message.
#[derive(Debug)]
pub struct ByteCounts {
    to_server: Pending,
    to_client: Pending,
}

/// How many bytes a session may hold back from the shared counters, for each direction.
pub const BATCH_BYTES: u64 = 64 * 1024;

#[derive(Debug)]
struct Pending {
    shared: IntCounter,
    bytes: u64,
}

impl Pending {
    fn add(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        if self.bytes >= BATCH_BYTES {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if self.bytes > 0 {
            self.shared.inc_by(std::mem::take(&mut self.bytes));
        }
    }
}

impl ByteCounts {
    pub(super) fn new(to_server: IntCounter, to_client: IntCounter) -> Self {
        let pending = |shared| Pending { shared, bytes: 0 };
        Self { to_server: pending(to_server), to_client: pending(to_client) }
    }

    /// Bytes went from the client to the server.
    pub fn to_server(&mut self, bytes: usize) {
        self.to_server.add(bytes);
    }

    /// Bytes went from the server to the client.
    pub fn to_client(&mut self, bytes: usize) {
        self.to_client.add(bytes);
    }

    /// Hands over what is held back.
    pub fn flush(&mut self) {
        self.to_server.flush();
        self.to_client.flush();
    }
}

impl Drop for ByteCounts {
    fn drop(&mut self) {
        self.flush();
    }
}
