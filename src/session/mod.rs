//! One client connection paired with one server connection.
//!
//! ```text
//! startup ─▶ relay ─▶ exchange ─ frontend ─▶ planner ─▶ plan        what is sent instead
//!                        │                     ▲ names              what names mean, asked inside the session
//!                        └────── backend  ◀─ owed ─▶ running        verdicts read and taken out of the replies
//!                                failure  ─▶ retry                  verdicts translated; a second run without the guard
//! ```
//!
//! Only `relay` and `startup` touch sockets.

mod backend;
mod breaker;
mod context;
mod error;
mod exchange;
mod failure;
mod follow;
mod frontend;
mod names;
mod owed;
mod pending;
mod plan;
mod planner;
mod prepared;
mod relay;
mod retry;
mod running;
mod staged;
mod startup;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use tokio::{io::AsyncWriteExt, net::TcpStream};

pub use breaker::Breakers;
pub use context::Context;
pub use error::SessionError;
pub use names::Databases;
pub use planner::PlanCache;

use self::{context::Identity, exchange::Exchange, relay::Relay, startup::Startup};
use crate::observe::Side;

/// Serves one client connection from its first byte to its last. Errors end here: counted, logged, and told to the client where that is possible.
/// `stop` is ready when chronoguard is to stop: the session then ends as soon as it is idle.
pub async fn serve(
    mut client: TcpStream,
    number: u64,
    context: Arc<Context>,
    stop: impl Future<Output = ()> + Send + 'static,
) {
    let result = begin(&mut client, number, &context).await;
    let error = match result {
        Ok(Some((server, exchange))) => {
            let mut relay = Relay::new(client, server, exchange, stop);
            let Err(error) = relay.run().await else { return };
            if matches!(error, SessionError::Stopped) {
                return;
            }
            report(&error, number, &context, Some(relay.exchange()));
            return;
        }
        Ok(None) => return,
        Err(error) => error,
    };
    report(&error, number, &context, None);
    if let Some(message) = error.for_client() {
        let farewell = async {
            client.write_all(&message).await?;
            client.shutdown().await
        };
        let _ = tokio::time::timeout(Duration::from_secs(5), farewell).await;
    }
}

/// From the first packet to a connected pair. `None`: there is no session to relay.
async fn begin(
    client: &mut TcpStream,
    number: u64,
    context: &Arc<Context>,
) -> Result<Option<(TcpStream, Exchange)>, SessionError> {
    let peer = client.peer_addr().ok();
    client.set_nodelay(true).map_err(|source| SessionError::Write { side: Side::Client, source })?;
    let open = context.metrics.session();
    let packet = match startup::receive(client, context.startup_timeout).await? {
        Startup::Nothing => return Ok(None),
        Startup::Cancel(packet) => {
            context.metrics.cancel_request();
            // Nothing is ever answered to a CancelRequest.
            if let Err(error) = startup::cancel(client, &packet, &context.upstream, context.connect_timeout).await {
                report(&error, number, context, None);
            }
            return Ok(None);
        }
        Startup::Session(packet) => packet,
    };
    let opaque = startup::major_version(&packet) != 3;
    let mut identity = Identity { session: number, client: peer, opaque, ..Identity::default() };
    for (name, value) in startup::parameters(&packet) {
        match name.as_str() {
            "user" => identity.user = value,
            "database" => identity.database = value,
            "application_name" => identity.application_name = value,
            "replication" => identity.opaque |= !matches!(value.as_str(), "false" | "off" | "no" | "0"),
            _ => {}
        }
    }
    if identity.database.is_empty() {
        identity.database.clone_from(&identity.user);
    }
    let mut server = startup::connect(&context.upstream, context.connect_timeout).await?;
    server.write_all(&packet).await.map_err(|source| SessionError::Write { side: Side::Server, source })?;
    Ok(Some((server, Exchange::new(Arc::clone(context), identity, open))))
}

fn report(error: &SessionError, session: u64, context: &Context, exchange: Option<&Exchange>) {
    let (side, kind) = error.labels();
    context.metrics.session_error(side, kind);
    let identity = exchange.map(Exchange::identity);
    let user = identity.map(|i| i.user.as_str());
    let database = identity.map(|i| i.database.as_str());
    let client = identity.and_then(|i| i.client).map(tracing::field::display);
    // A client that goes away is no one's fault.
    if matches!(error, SessionError::Read { side: Side::Client, .. } | SessionError::Write { side: Side::Client, .. }) {
        tracing::debug!(session, user, database, client, %error, "session ended");
    } else {
        tracing::warn!(session, user, database, client, %error, "session ended");
    }
}
