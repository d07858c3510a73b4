//! The endpoints that change something: reload and kill switch.

use std::net::SocketAddr;

use axum::{
    Json,
    extract::{ConnectInfo, Request, State},
    http::{HeaderName, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::Admin;
use crate::{
    control::Trigger,
    rules::diagnostic::{self, Counts},
};

/// What browsers say with a request that a page makes them send.
const FROM_A_PAGE: [HeaderName; 3] = [header::ORIGIN, header::REFERER, HeaderName::from_static("sec-fetch-site")];

/// Refuses what a browser sends: the admin server has no page that changes anything, so it can only be a foreign one that knows the address.
pub(super) async fn no_browsers(request: Request, next: Next) -> Response {
    if FROM_A_PAGE.iter().any(|name| request.headers().contains_key(name)) {
        return (StatusCode::FORBIDDEN, "refused: this is not for browsers\n").into_response();
    }
    next.run(request).await
}

/// Refuses what comes from another host, unless the settings allow it: an admin address that metrics are fetched from is not for everybody to switch the
/// rules off.
pub(super) async fn from_here(
    State(anywhere): State<bool>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    if anywhere || is_here(peer) {
        return next.run(request).await;
    }
    (StatusCode::FORBIDDEN, "refused: ask from the host that chronoguard runs on (setting admin_changes)\n")
        .into_response()
}

fn is_here(peer: SocketAddr) -> bool {
    peer.ip().to_canonical().is_loopback()
}

/// `POST /-/reload`.
pub(super) async fn reload(State(admin): State<Admin>) -> Response {
    let control = admin.state.control;
    // Thousands of rules take a while to read, and health checks come through this thread.
    let Ok(reloaded) = tokio::task::spawn_blocking(move || control.reload(Trigger::Request)).await else {
        return (StatusCode::INTERNAL_SERVER_ERROR, "the reload did not come to an end\n").into_response();
    };
    match reloaded {
        Ok(reloaded) => {
            let mut body = diagnostic::to_json(&reloaded.warnings, reloaded.counts);
            body["hash"] = json!(reloaded.hash);
            body["changed"] = json!(reloaded.changed);
            Json(body).into_response()
        }
        Err(mistakes) => {
            (StatusCode::UNPROCESSABLE_ENTITY, Json(diagnostic::to_json(&mistakes, Counts::default()))).into_response()
        }
    }
}

/// `POST /-/observe`.
pub(super) async fn observe(State(admin): State<Admin>) -> Response {
    let changed = admin.state.control.observe_only(true);
    Json(json!({"observe_only": true, "changed": changed})).into_response()
}

/// `DELETE /-/observe`.
pub(super) async fn act(State(admin): State<Admin>) -> Response {
    let changed = admin.state.control.observe_only(false);
    Json(json!({"observe_only": false, "changed": changed})).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_is_what_its_loopback_address_says() {
        for (peer, here) in [
            ("127.0.0.1:5000", true),
            ("127.9.9.9:5000", true),
            ("[::1]:5000", true),
            ("[::ffff:127.0.0.1]:5000", true),
            ("10.1.2.3:5000", false),
            ("[::ffff:10.1.2.3]:5000", false),
            ("[2001:db8::1]:5000", false),
        ] {
            assert_eq!(is_here(peer.parse().unwrap()), here, "{peer}");
        }
    }
}
