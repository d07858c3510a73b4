//! What the program tells about itself: metrics, the violation log and the list of recent violations.
//!
//! Owns every metric name, log field and label value. Knows no sockets and no SQL beyond the words of a statement's
//! fingerprint.

mod fingerprint;
mod labels;
pub mod log;
pub mod metrics;
mod process;
mod recent;
mod series;
mod snapshot;
pub mod violation;

pub use fingerprint::{fingerprint, traceparent};
pub use labels::{Direction, ErrorKind, Outcome, RetryReason, SessionState, Side, WriteResult};
pub use metrics::Metrics;
pub use recent::Recent;
pub use series::{ByteCounts, OpenSession, TableMetrics};
pub use snapshot::Snapshot;
pub use violation::{
    ColumnValue, Finding, LogLimits, SessionContext, StatementContext, StatementLog, ViolationLog, ViolationRecord,
    Waiver,
};
