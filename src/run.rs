//! The running proxy: everything bound and started, in an order in which nothing is half there.

use std::{
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Instant,
};

use tokio::sync::oneshot;

use crate::{
    admin::{self, AdminServer, AdminState},
    config::{HostPort, Settings},
    control::{Control, Look, Trigger, Watch},
    guard::cache::GuardCache,
    listener::{self, Workers},
    observe::{LogLimits, Metrics, ViolationLog},
    rules::diagnostic::Diagnostic,
    session::{Breakers, Context, Databases, PlanCache},
};

/// Why the proxy could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Mistakes in rule files, all of them.
    #[error("the rules cannot be used: {} mistakes", .0.len())]
    Rules(Vec<Diagnostic>),
    /// An address cannot be bound.
    #[error("listen on {address} ({what}): {source}")]
    Bind {
        /// For clients, or for the admin server.
        what: &'static str,
        /// The address.
        address: HostPort,
        /// What the system said.
        source: io::Error,
    },
    /// A thread or a runtime cannot be had.
    #[error("start the relay threads: {0}")]
    Threads(#[from] io::Error),
}

/// A proxy that runs in threads of its own. Dropping it ends it, sessions included.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    admin: Option<AdminServer>,
    metrics: Arc<Metrics>,
    control: Arc<Control>,
    _watch: Option<Watch>,
    draining: Arc<AtomicBool>,
    stop: Option<oneshot::Sender<()>>,
    accepting: Option<JoinHandle<Option<Workers>>>,
}

impl Proxy {
    /// Loads the rules, binds, and starts to serve.
    ///
    /// # Errors
    /// [`StartError`]; then nothing is left running.
    pub fn start(settings: &Settings) -> Result<Self, StartError> {
        let look = Look::new(&settings.rules);
        let metrics = Metrics::new();
        let control = Control::start(&settings.rules, &metrics).map_err(StartError::Rules)?;
        let bind = |what, address: &HostPort, bind: fn(&HostPort) -> io::Result<std::net::TcpListener>| {
            bind(address).map_err(|source| StartError::Bind { what, address: address.clone(), source })
        };
        let listener = bind("for clients", &settings.listen, listener::bind)?;
        let admin = settings.admin.as_ref().map(|a| bind("admin server", a, admin::bind)).transpose()?;
        let address = listener.local_addr()?;

        let limits = LogLimits { per_statement: settings.log_violations, values: settings.log_values };
        let violations = ViolationLog::new(limits);
        let draining = Arc::new(AtomicBool::new(false));
        let admin = admin
            .map(|listener| {
                let state = AdminState {
                    metrics: Arc::clone(&metrics),
                    violations: Arc::clone(&violations),
                    control: Arc::clone(&control),
                    changes_from_anywhere: settings.admin_changes_from_anywhere,
                    listen: address.to_string(),
                    upstream: settings.upstream.clone(),
                    ready_timeout: settings.connect_timeout,
                    draining: Arc::clone(&draining),
                    started: Instant::now(),
                };
                AdminServer::start(listener, state)
            })
            .transpose()?;
        let context = Arc::new(Context {
            upstream: settings.upstream.to_string(),
            connect_timeout: settings.connect_timeout,
            startup_timeout: settings.startup_timeout,
            control: Arc::clone(&control),
            metrics: Arc::clone(&metrics),
            violations,
            message_cap: settings.message_cap,
            mark: format!("{:016x}", rand::random::<u64>()),
            databases: Databases::default(),
            plans: PlanCache::default(),
            guards: GuardCache::default(),
            breakers: Breakers::default(),
        });
        let workers = Workers::start(settings.threads, &context)?;
        let (stop, stopped) = oneshot::channel::<()>();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let max_connections = settings.max_connections;
        let accepting = thread::Builder::new().name("accept".into()).spawn(move || {
            let until = async { drop(stopped.await) };
            if let Err(error) = runtime.block_on(workers.accept(listener, &context, max_connections, until)) {
                tracing::error!(%error, "clients cannot be accepted any more");
            }
            Some(workers)
        })?;
        let rules = Arc::clone(&control.in_force().rules);
        let watch = settings.watch_rules.map(|interval| Watch::start(&control, look, interval)).transpose()?;
        let proxy = Self {
            address,
            admin,
            metrics,
            control,
            _watch: watch,
            draining,
            stop: Some(stop),
            accepting: Some(accepting),
        };
        tracing::info!(addr = %proxy.address, upstream = %settings.upstream, "listening for clients");
        if let Some(admin) = proxy.admin_address() {
            tracing::info!(addr = %admin, "admin server listening");
        }
        tracing::info!(tables = rules.tables.len(), hash = rules.hash, "rules loaded");
        Ok(proxy)
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the admin server listens, if it does.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(AdminServer::address)
    }

    /// The metrics.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Reads the rule files again; mistakes are logged, and leave what is in force.
    pub fn reload(&self) {
        let _ = self.control.reload(Trigger::Signal);
    }

    /// Accepts no more clients, and lets sessions end by themselves for `grace`. Returns how many were cut short.
    pub fn drain(mut self, grace: std::time::Duration) -> usize {
        self.draining.store(true, Ordering::Relaxed);
        self.stop_accepting().map_or(0, |workers| workers.drain(grace))
    }

    fn stop_accepting(&mut self) -> Option<Workers> {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        self.accepting.take()?.join().ok()?
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(workers) = self.stop_accepting() {
            workers.drain(std::time::Duration::ZERO);
        }
    }
}

/// Rule paths as given, for messages.
pub fn shown(paths: &[PathBuf]) -> String {
    paths.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ")
}
