//! The admin server, on its own address and its own thread, so that a busy relay does not delay a health check nor a scrape the relay.
//!
//! | endpoint | answers |
//! | --- | --- |
//! | `GET /metrics` | Prometheus' text format |
//! | `GET /-/healthy` | 200 while the process runs |
//! | `GET /-/ready` | 200 if a round trip to the server succeeds and chronoguard is not draining, else 503 with the reason |
//! | `GET /api/rules` | the rules in force, with how often each was violated |
//! | `GET /api/violations?limit=N&table=T&rule=R` | the recent violations, newest first |
//! | `GET /` | a status page for people |
//! | `POST /-/reload` | reads the rule files again: 200 with hash and counts, or 422 with every mistake |
//! | `POST /-/observe`, `DELETE /-/observe` | throws the kill switch, lifts it |

mod api;
mod change;
mod page;
mod ready;

use std::{
    io,
    net::{SocketAddr, TcpListener, ToSocketAddrs},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use tokio::sync::oneshot;

use crate::{
    config::HostPort,
    control::Control,
    observe::{Metrics, ViolationLog, metrics},
};

/// What the admin server tells about. Everything in it is shared with the rest of the program.
#[derive(Debug, Clone)]
pub struct AdminState {
    /// All metrics.
    pub metrics: Arc<Metrics>,
    /// The recent violations.
    pub violations: Arc<ViolationLog>,
    /// What is in force.
    pub control: Arc<Control>,
    /// Reload and kill switch may be asked for from other hosts.
    pub changes_from_anywhere: bool,
    /// Where clients connect, for the status page.
    pub listen: String,
    /// The PostgreSQL server that [`ready`] asks.
    pub upstream: HostPort,
    /// How long that may take.
    pub ready_timeout: Duration,
    /// No new clients are accepted any more.
    pub draining: Arc<AtomicBool>,
    /// When the program started.
    pub started: Instant,
}

/// Binds the admin address, so that a port in use is an error before anything runs.
///
/// # Errors
/// The address does not resolve or cannot be bound.
pub fn bind(address: &HostPort) -> io::Result<TcpListener> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for candidate in (address.host.as_str(), address.port).to_socket_addrs()? {
        match TcpListener::bind(candidate) {
            Ok(listener) => {
                listener.set_nonblocking(true)?;
                return Ok(listener);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The running admin server. Dropping it stops it.
#[derive(Debug)]
pub struct AdminServer {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl AdminServer {
    /// Serves on a bound listener.
    ///
    /// # Errors
    /// No thread or no runtime can be had.
    pub fn start(listener: TcpListener, state: AdminState) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let service = router(state).into_make_service_with_connect_info::<SocketAddr>();
        let serve = async move {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            tokio::select! {
                result = axum::serve(listener, service).into_future() => result,
                _ = stopped => Ok(()),
            }
        };
        let body = move || {
            if let Err(error) = runtime.block_on(serve) {
                tracing::error!(%error, "the admin server stopped");
            }
        };
        let thread = thread::Builder::new().name("admin".into()).spawn(body)?;
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for AdminServer {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // An error means that the server has stopped already.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the admin server panicked");
        }
    }
}

/// All endpoints.
fn router(state: AdminState) -> Router {
    let probe = ready::Probe::new(state.upstream.clone(), state.ready_timeout);
    Router::new()
        .route("/metrics", get(metrics_text))
        .route("/-/healthy", get(|| async { "healthy\n" }))
        .route("/-/ready", get(ready_now))
        .route("/api/rules", get(api::rules))
        .route("/api/violations", get(api::violations))
        .route("/", get(page::page))
        .merge(
            Router::new()
                .route("/-/reload", post(change::reload))
                .route("/-/observe", post(change::observe).delete(change::act))
                .layer(middleware::from_fn(change::no_browsers))
                .layer(middleware::from_fn_with_state(state.changes_from_anywhere, change::from_here)),
        )
        .with_state(Admin { state, probe: Arc::new(probe) })
}

/// What the handlers share.
#[derive(Debug, Clone)]
struct Admin {
    state: AdminState,
    probe: Arc<ready::Probe>,
}

impl Admin {
    /// Whether new clients would get through, and if not, why.
    async fn readiness(&self) -> Result<(), String> {
        if self.state.draining.load(Ordering::Relaxed) {
            return Err("draining: no new clients are accepted".into());
        }
        self.probe.check().await
    }
}

async fn metrics_text(State(admin): State<Admin>) -> Response {
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], admin.state.metrics.render()).into_response()
}

async fn ready_now(State(admin): State<Admin>) -> Response {
    match admin.readiness().await {
        Ok(()) => "ready\n".into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")).into_response(),
    }
}

#[cfg(test)]
mod tests;
