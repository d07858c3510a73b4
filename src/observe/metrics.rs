//! Every metric, declared in one place with its help text.
//!
//! Label values come from rule files and from the closed sets in `labels`, never from SQL, users or error texts.
//! Series of one table are reached by a [`TableMetrics`] handle, which costs one atomic addition per use;
//! everything else here is called per session or per reload.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use parking_lot::RwLock;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

use super::{
    labels::{Direction, ErrorKind, RetryReason, SessionState, Side},
    process::ProcessCollector,
    series::{ByteCounts, OpenSession, TableMetrics},
    snapshot::Snapshot,
};
use crate::rules::set::{Rule, RuleSet};

/// Media type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// Label `table` of a write whose relation could not be told, since its statement could not be read.
pub const UNKNOWN_TABLE: &str = "unknown";

/// By how much a rule was violated: from a millisecond to a year; the incidents range from 4 ms to months.
const VIOLATION_BUCKETS: &[f64] = &[
    0.001,
    0.005,
    0.02,
    0.1,
    0.5,
    1.0,
    5.0,
    30.0,
    60.0,
    300.0,
    1_800.0,
    3_600.0,
    14_400.0,
    86_400.0,
    604_800.0,
    31_536_000.0,
];

/// Time spent in chronoguard: from 2 µs to 100 ms.
const OVERHEAD_BUCKETS: &[f64] = &[2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 5e-3, 2.5e-2, 0.1];

/// Elapsed time of a write: from half a millisecond to a minute.
const WRITE_BUCKETS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];

/// All metrics of the process. Created once and shared.
pub struct Metrics {
    registry: Registry,
    pub(super) families: Families,
    declared: Vec<Declared>,
    tables: RwLock<HashMap<String, Arc<TableMetrics>>>,
    /// When each exemption expires.
    exemptions: RwLock<Vec<jiff::Timestamp>>,
    to_server: IntCounter,
    to_client: IntCounter,
}

/// A metric family as it is declared, whether it has series yet or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// With `chronoguard_`.
    pub name: String,
    /// What it tells.
    pub help: String,
    /// Names of its labels.
    pub labels: Vec<String>,
}

/// The metric families, as registered.
pub(super) struct Families {
    pub violations: IntCounterVec,
    pub statements: IntCounterVec,
    pub unguardable: IntCounterVec,
    pub rows_checked: IntCounterVec,
    pub violation_seconds: HistogramVec,
    pub writes: IntCounterVec,
    pub zero_row_writes: IntCounterVec,
    pub write_errors: IntCounterVec,
    pub write_seconds: HistogramVec,
    pub overhead_seconds: Histogram,
    pub breaker_open: IntGaugeVec,
    pub retries: IntCounterVec,
    pub sessions: IntGaugeVec,
    pub session_errors: IntCounterVec,
    pub bytes: IntCounterVec,
    pub cancel_requests: IntCounter,
    pub rules_loaded: IntGauge,
    pub reload_successful: IntGauge,
    pub reload_success_timestamp: Gauge,
    pub config_info: IntGaugeVec,
    pub exemptions_active: IntGauge,
    pub kill_switch: IntGauge,
    pub build_info: IntGaugeVec,
}

impl Families {
    fn register(r: &mut Registrar<'_>) -> Self {
        Self {
            violations: r.counters(
                "violations_total",
                "Rows that violated a rule, by what was done and by the diagnosed cause.",
                &["table", "rule", "action", "cause"],
            ),
            statements: r.counters(
                "statements_total",
                "Writes to guarded tables by outcome; a statement with several writes counts each.",
                &["table", "operation", "outcome"],
            ),
            unguardable: r.counters(
                "unguardable_total",
                "Writes to guarded tables, or single rules of one, that could not be guarded, by reason.",
                &["table", "reason"],
            ),
            rows_checked: r.counters("rows_checked_total", "Rows that a guard judged.", &["table"]),
            violation_seconds: r.histograms(
                "violation_seconds",
                "By how much rows violated a rule, where that is a length of time.",
                &["table", "rule"],
                VIOLATION_BUCKETS,
            ),
            writes: r.counters(
                "writes_total",
                "Writes to guarded tables by the result of their transaction; lost: the connection ended before it was known.",
                &["table", "operation", "result"],
            ),
            zero_row_writes: r.counters(
                "zero_row_writes_total",
                "Writes to guarded tables that succeeded and changed no row.",
                &["table", "operation"],
            ),
            write_errors: r.counters(
                "write_errors_total",
                "Writes to guarded tables that the server refused, by SQLSTATE.",
                &["table", "sqlstate"],
            ),
            write_seconds: r.histograms(
                "write_seconds",
                "Elapsed time of writes to guarded tables, from the client's message to the server's answer.",
                &["table", "operation"],
                WRITE_BUCKETS,
            ),
            overhead_seconds: r.histogram(
                "overhead_seconds",
                "Time spent in chronoguard itself for a guarded statement.",
                OVERHEAD_BUCKETS,
            ),
            breaker_open: r.gauges(
                "breaker_open",
                "1 while writes to the table run unguarded because its guard failed.",
                &["table"],
            ),
            retries: r.counters("retries_total", "Statements sent to the server a second time.", &["reason"]),
            sessions: r.gauges("sessions", "Client connections now, by state.", &["state"]),
            session_errors: r.counters(
                "session_errors_total",
                "Sessions that ended badly, by the side it happened on.",
                &["side", "kind"],
            ),
            bytes: r.counters("bytes_total", "Bytes relayed.", &["direction"]),
            cancel_requests: r.counter("cancel_requests_total", "CancelRequests forwarded to the server."),
            rules_loaded: r.gauge("rules_loaded", "Rules in force."),
            reload_successful: r.gauge(
                "config_last_reload_successful",
                "1 if the last attempt to load the configuration and the rules succeeded.",
            ),
            reload_success_timestamp: r.float_gauge(
                "config_last_reload_success_timestamp_seconds",
                "When the configuration and the rules were last loaded successfully, in seconds since the epoch.",
            ),
            config_info: r.gauges("config_info", "1; the label is the hash over all rule files in force.", &["hash"]),
            exemptions_active: r.gauge("exemptions_active", "Exemptions in the rule files that have not expired."),
            kill_switch: r.gauge("kill_switch", "1 while every rule only observes."),
            build_info: r.gauges("build_info", "1; the label is the version.", &["version"]),
        }
    }
}

impl Metrics {
    /// Declares all metrics in a registry of their own.
    pub fn new() -> Arc<Self> {
        let registry = Registry::new();
        let mut registrar = Registrar { registry: &registry, declared: Vec::new() };
        let families = Families::register(&mut registrar);
        let declared = registrar.declared;
        registry.register(Box::new(ProcessCollector::new())).expect("process metrics are registered once");
        families.build_info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        for state in SessionState::ALL {
            families.sessions.with_label_values(&[state.as_str()]).set(0);
        }
        for reason in RetryReason::ALL {
            families.retries.with_label_values(&[reason.as_str()]).reset();
        }
        for side in Side::ALL {
            for kind in ErrorKind::ALL {
                families.session_errors.with_label_values(&[side.as_str(), kind.as_str()]).reset();
            }
        }
        let [to_server, to_client] =
            [Direction::ToServer, Direction::ToClient].map(|d| families.bytes.with_label_values(&[d.as_str()]));
        Arc::new(Self {
            registry,
            families,
            declared,
            tables: RwLock::default(),
            exemptions: RwLock::default(),
            to_server,
            to_client,
        })
    }

    /// The series of one table, named `schema.table` as in the rule file. Keep the handle where the table's rules are kept.
    pub fn table(&self, table: &str) -> Arc<TableMetrics> {
        if let Some(found) = self.tables.read().get(table) {
            return Arc::clone(found);
        }
        let mut tables = self.tables.write();
        let new = || Arc::new(TableMetrics::new(table, &self.families));
        Arc::clone(tables.entry(table.to_owned()).or_insert_with(new))
    }

    /// Another rule set is in force than `before`: counts its rules, tells its hash, creates the series that alerts watch at zero, so that the
    /// first violation is seen as an increase, and takes those of rules that are gone out of the exposition.
    pub fn rules_replaced(&self, before: Option<&RuleSet>, set: &RuleSet) {
        let count = set.tables.iter().map(|t| t.rules.len()).sum::<usize>();
        self.families.rules_loaded.set(i64::try_from(count).unwrap_or(i64::MAX));
        self.families.config_info.reset();
        self.families.config_info.with_label_values(&[&set.hash]).set(1);
        for table in before.iter().flat_map(|before| &before.tables) {
            let stays = |rule: &Rule| {
                set.table(&table.qualified_name()).is_some_and(|t| t.rules.iter().any(|other| other.name == rule.name))
            };
            let metrics = self.table(&table.label());
            table.rules.iter().filter(|rule| !stays(rule)).for_each(|rule| metrics.withdraw(rule));
        }
        for table in &set.tables {
            self.table(&table.label()).announce(&table.rules, &set.exemptions);
        }
        *self.exemptions.write() = set.exemptions.iter().map(|exemption| exemption.expires).collect();
    }

    /// All series now. Exemptions expire without anybody telling.
    fn gather(&self) -> Vec<prometheus::proto::MetricFamily> {
        let now = jiff::Timestamp::now();
        let active = self.exemptions.read().iter().filter(|expires| **expires > now).count();
        self.families.exemptions_active.set(i64::try_from(active).unwrap_or(i64::MAX));
        self.registry.gather()
    }

    /// An attempt to load configuration and rules ended.
    pub fn config_loaded(&self, successful: bool) {
        self.families.reload_successful.set(i64::from(successful));
        if successful {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            self.families.reload_success_timestamp.set(now.as_secs_f64());
        }
    }

    /// The kill switch was thrown or taken back.
    pub fn kill_switch(&self, on: bool) {
        self.families.kill_switch.set(i64::from(on));
    }

    /// Time spent in chronoguard itself for one guarded statement.
    pub fn overhead(&self, spent: Duration) {
        self.families.overhead_seconds.observe(spent.as_secs_f64());
    }

    /// Something was sent to the server a second time.
    pub fn retry(&self, reason: RetryReason) {
        self.families.retries.with_label_values(&[reason.as_str()]).inc();
    }

    /// A client was accepted. The session counts while the returned value lives.
    pub fn session(&self) -> OpenSession {
        let gauge = |state: SessionState| self.families.sessions.with_label_values(&[state.as_str()]);
        OpenSession::new(gauge(SessionState::Startup), gauge(SessionState::Open))
    }

    /// A session ended badly.
    pub fn session_error(&self, side: Side, kind: ErrorKind) {
        self.families.session_errors.with_label_values(&[side.as_str(), kind.as_str()]).inc();
    }

    /// A session's own byte counts, which reach the shared counters in batches.
    pub fn byte_counts(&self) -> ByteCounts {
        ByteCounts::new(self.to_server.clone(), self.to_client.clone())
    }

    /// A CancelRequest was forwarded.
    pub fn cancel_request(&self) {
        self.families.cancel_requests.inc();
    }

    /// All metrics in Prometheus' text format.
    pub fn render(&self) -> String {
        let mut text = String::new();
        if let Err(error) = TextEncoder::new().encode_utf8(&self.gather(), &mut text) {
            tracing::error!(%error, "encode metrics");
        }
        text
    }

    /// Every metric family, for documentation and for tests of what refers to them.
    pub fn declared(&self) -> &[Declared] {
        &self.declared
    }

    /// The counters and gauges now, for the status page.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(&self.gather())
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// Registers families under `chronoguard_`. A refusal of the registry (a name twice, a bad name) is a mistake in this file that the
/// first test to run finds.
struct Registrar<'a> {
    registry: &'a Registry,
    declared: Vec<Declared>,
}

impl Registrar<'_> {
    fn add<M: prometheus::core::Collector + Clone + 'static>(&mut self, metric: prometheus::Result<M>) -> M {
        let metric = metric.expect("metric names and labels are well formed");
        self.registry.register(Box::new(metric.clone())).expect("each metric is declared once");
        self.declared.extend(metric.desc().into_iter().map(|d| Declared {
            name: d.fq_name.clone(),
            help: d.help.clone(),
            labels: d.variable_labels.clone(),
        }));
        metric
    }

    fn opts(name: &str, help: &str) -> Opts {
        Opts::new(name, help).namespace("chronoguard")
    }

    fn counters(&mut self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.add(IntCounterVec::new(Self::opts(name, help), labels))
    }

    fn counter(&mut self, name: &str, help: &str) -> IntCounter {
        self.add(IntCounter::with_opts(Self::opts(name, help)))
    }

    fn gauges(&mut self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.add(IntGaugeVec::new(Self::opts(name, help), labels))
    }

    fn gauge(&mut self, name: &str, help: &str) -> IntGauge {
        self.add(IntGauge::with_opts(Self::opts(name, help)))
    }

    fn float_gauge(&mut self, name: &str, help: &str) -> Gauge {
        self.add(GaugeVec::new(Self::opts(name, help), &[])).with_label_values::<&str>(&[])
    }

    fn histograms(&mut self, name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> HistogramVec {
        let opts = HistogramOpts { common_opts: Self::opts(name, help), buckets: buckets.to_vec() };
        self.add(HistogramVec::new(opts, labels))
    }

    fn histogram(&mut self, name: &str, help: &str, buckets: &[f64]) -> Histogram {
        let opts = HistogramOpts { common_opts: Self::opts(name, help), buckets: buckets.to_vec() };
        self.add(Histogram::with_opts(opts))
    }
}

#[cfg(test)]
mod tests;
