//! What all sessions share, and who a session is.

use std::{net::SocketAddr, sync::Arc};

use super::{breaker::Breakers, names::Databases, planner::PlanCache};
use crate::{
    control::Control,
    guard::cache::GuardCache,
    observe::{Metrics, SessionContext, ViolationLog},
    rules::set::{Exemption, RuleSet},
};

/// What all sessions of the process share.
pub struct Context {
    /// The upstream server, `host:port`.
    pub upstream: String,
    /// How long a connection to the server may take.
    pub connect_timeout: std::time::Duration,
    /// How long a client may take for its first packet.
    pub startup_timeout: std::time::Duration,
    /// What is in force.
    pub control: Arc<Control>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The violation log.
    pub violations: Arc<ViolationLog>,
    /// Largest `Query` or `Parse` that is looked at, in bytes.
    pub message_cap: usize,
    /// This process's random mark, 16 hexadecimal digits.
    pub mark: String,
    /// Names by database.
    pub databases: Databases,
    /// Plans of texts seen lately.
    pub plans: PlanCache,
    /// Guards made lately.
    pub guards: GuardCache,
    /// Guards that broke statements.
    pub breakers: Breakers,
}

/// Who a session is: from its StartupMessage and what the server reported since.
#[derive(Debug, Clone, Default)]
pub(super) struct Identity {
    pub(super) session: u64,
    pub(super) user: String,
    pub(super) database: String,
    pub(super) application_name: String,
    pub(super) client: Option<SocketAddr>,
    pub(super) server_pid: Option<i32>,
    /// A replication connection, or a protocol other than 3: the stream is not ours to read.
    pub(super) opaque: bool,
    /// The client said Terminate.
    pub(super) terminated: bool,
}

impl Identity {
    /// The exemptions that may be for this session: which are depends on its role and its name as well, which may change.
    pub(super) fn exemptions(&self, rules: &RuleSet) -> Arc<[Arc<Exemption>]> {
        let client = self.client.map(|address| address.ip());
        let for_it = |e: &&Arc<Exemption>| e.matches.session(&self.database, client);
        rules.exemptions.iter().filter(for_it).cloned().collect()
    }

    /// The same for the violation log.
    pub(super) fn for_log(&self) -> Arc<SessionContext> {
        Arc::new(SessionContext {
            session: self.session,
            user: self.user.clone(),
            database: self.database.clone(),
            application_name: self.application_name.clone(),
            client: self.client,
            server_pid: self.server_pid,
        })
    }
}
