//! The violation log: one event per violation (DESIGN 6.6), with target [`TARGET`], and the same as an entry of the recent list.
//!
//! ```text
//! statement with violations ─▶ StatementLog ─▶ first N: one event each, and the recent list
//!                                           └▶ the others: counted, one event at the end
//! ```

use std::{net::SocketAddr, sync::Arc};

use serde::{Serialize, Serializer};

use super::recent::Recent;
use crate::{guard::violation::Violation, rules::set::Action, sql::write::Operation};

/// Target of the events, for filters such as `chronoguard::violation=info`.
pub const TARGET: &str = "chronoguard::violation";

/// Who wrote: the same for all statements of a session.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SessionContext {
    /// Number of the session in this process.
    pub session: u64,
    /// `user` of the StartupMessage.
    pub user: String,
    /// `database` of the StartupMessage, or the user where it names none.
    pub database: String,
    /// `application_name` as last reported by the server.
    pub application_name: String,
    /// The client's address.
    pub client: Option<SocketAddr>,
    /// Process id of the server's backend, from BackendKeyData.
    pub server_pid: Option<i32>,
}

/// What was written: the same for all violations of a write.
#[derive(Debug, Clone, Serialize)]
pub struct StatementContext {
    /// Who wrote.
    #[serde(flatten)]
    pub session: Arc<SessionContext>,
    /// `schema.table`.
    pub table: String,
    /// Kind of the write.
    #[serde(serialize_with = "operation_name")]
    pub operation: Operation,
    /// [`super::fingerprint()`] of the client's text.
    pub fingerprint: String,
    /// [`super::traceparent()`] of the client's text.
    pub traceparent: Option<String>,
    /// `RuleSet::hash` of the rules that judged it.
    pub config_hash: String,
}

/// What was wrong with one row.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// The violated rule.
    pub rule: String,
    /// What was done.
    pub action: Action,
    /// The diagnosis, [`crate::guard::Cause`].
    pub cause: &'static str,
    /// What speaks for the diagnosis. `None`: nothing was seen, and the cause is `other`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
    /// Why nothing was done, where the writer is exempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exemption: Option<Waiver>,
    /// The columns that the rule looked at.
    pub columns: Vec<ColumnValue>,
    /// By how much, in seconds, where that is a length of time.
    pub by_seconds: Option<f64>,
    /// The row's key as `(column, value)`; empty where it is not known.
    pub key: Vec<ColumnValue>,
}

impl From<&Violation> for Finding {
    fn from(violation: &Violation) -> Self {
        let old = |column: &String| violation.old_values.iter().find(|(name, _)| name == column);
        let values = |pairs: &[(String, String)]| {
            let value = |(column, new): &(String, String)| ColumnValue {
                column: column.clone(),
                old: old(column).map(|(_, value)| value.clone()),
                new: Some(new.clone()),
            };
            pairs.iter().map(value).collect()
        };
        Self {
            rule: violation.rule.clone(),
            action: violation.action,
            cause: violation.cause.as_str(),
            evidence: violation.evidence.clone(),
            exemption: violation
                .exemption
                .as_ref()
                .map(|exemption| Waiver { reason: exemption.reason.clone(), owner: exemption.owner.clone() }),
            columns: values(&violation.values),
            by_seconds: violation.by_seconds,
            key: values(&violation.key),
        }
    }
}

/// What an exemption says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Waiver {
    /// Why.
    pub reason: String,
    /// Who answers for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// A column and what it held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ColumnValue {
    /// The column.
    pub column: String,
    /// Its value before the write, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<String>,
    /// Its value after the write; `None` where values are not logged.
    pub new: Option<String>,
}

/// An entry of the violation log.
#[derive(Debug, Clone, Serialize)]
pub struct ViolationRecord {
    /// When chronoguard learned of it.
    #[serde(serialize_with = "instant")]
    pub time: jiff::Timestamp,
    /// What was wrong.
    #[serde(flatten)]
    pub finding: Finding,
    /// What was written by whom.
    #[serde(flatten)]
    pub statement: Arc<StatementContext>,
}

fn operation_name<S: Serializer>(operation: &Operation, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(operation.as_str())
}

fn instant<S: Serializer>(time: &jiff::Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

/// Where violations go.
#[derive(Debug)]
pub struct ViolationLog {
    recent: Recent,
    limits: LogLimits,
}

/// What the violation log leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLimits {
    /// So many violations of one statement get an event each; the others are summed up in one.
    pub per_statement: u32,
    /// Values of columns and keys are logged. Off: only names of columns.
    pub values: bool,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self { per_statement: 10, values: true }
    }
}

impl ViolationLog {
    /// A log with an empty recent list.
    pub fn new(limits: LogLimits) -> Arc<Self> {
        Arc::new(Self { recent: Recent::default(), limits })
    }

    /// Opens the log of one write, at its first violation.
    pub fn statement(self: &Arc<Self>, context: StatementContext) -> StatementLog {
        StatementLog { log: Arc::clone(self), context: Arc::new(context), seen: 0 }
    }

    /// The newest `limit` violations, newest first.
    pub fn recent(&self, limit: usize) -> Vec<Arc<ViolationRecord>> {
        self.recent.newest(limit)
    }
}

/// The violations of one write. Dropping it logs the sum of those that were left out.
#[derive(Debug)]
pub struct StatementLog {
    log: Arc<ViolationLog>,
    context: Arc<StatementContext>,
    seen: u64,
}

impl StatementLog {
    /// Logs one violation, or only counts it if enough of this write were logged.
    pub fn violation(&mut self, finding: impl FnOnce() -> Finding) {
        self.seen += 1;
        if self.seen > u64::from(self.log.limits.per_statement) {
            return;
        }
        let mut finding = finding();
        if !self.log.limits.values {
            finding.key.clear();
            for value in &mut finding.columns {
                (value.old, value.new) = (None, None);
            }
        }
        let record =
            Arc::new(ViolationRecord { time: jiff::Timestamp::now(), finding, statement: Arc::clone(&self.context) });
        emit(&record);
        self.log.recent.push(record);
    }

    /// How many violations were seen, logged or not.
    pub fn seen(&self) -> u64 {
        self.seen
    }
}

impl Drop for StatementLog {
    fn drop(&mut self) {
        let left_out = self.seen.saturating_sub(u64::from(self.log.limits.per_statement));
        if left_out == 0 {
            return;
        }
        let (statement, session) = (&self.context, &self.context.session);
        tracing::warn!(
            target: TARGET,
            left_out,
            violations = self.seen,
            table = statement.table,
            operation = statement.operation.as_str(),
            session = session.session,
            user = session.user,
            database = session.database,
            application_name = session.application_name,
            client = session.client.map(tracing::field::display),
            server_pid = session.server_pid,
            fingerprint = statement.fingerprint,
            traceparent = statement.traceparent,
            config_hash = statement.config_hash,
            "more violations in the same statement"
        );
    }
}

/// One event. `columns` and `key` hold JSON, which the JSON format of the log writes as such.
fn emit(record: &ViolationRecord) {
    let (finding, statement, session) = (&record.finding, &record.statement, &record.statement.session);
    let json = |values: &[ColumnValue]| serde_json::to_string(values).unwrap_or_default();
    tracing::warn!(
        target: TARGET,
        rule = finding.rule,
        table = statement.table,
        operation = statement.operation.as_str(),
        action = finding.action.as_str(),
        cause = finding.cause,
        evidence = finding.evidence,
        exemption = finding.exemption.as_ref().map(|exemption| exemption.reason.as_str()),
        exemption_owner = finding.exemption.as_ref().and_then(|exemption| exemption.owner.as_deref()),
        columns = tracing::field::display(json(&finding.columns)),
        by_seconds = finding.by_seconds,
        key = (!finding.key.is_empty()).then(|| tracing::field::display(json(&finding.key))),
        session = session.session,
        user = session.user,
        database = session.database,
        application_name = session.application_name,
        client = session.client.map(tracing::field::display),
        server_pid = session.server_pid,
        fingerprint = statement.fingerprint,
        traceparent = statement.traceparent,
        config_hash = statement.config_hash,
        "timestamp rule violated"
    );
}

#[cfg(test)]
pub(super) mod tests;
