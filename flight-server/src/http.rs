//! Plain HTTP beside Flight: `/metrics` for Prometheus, `/healthz` for health checks.
//!
//! Requests are not authenticated: the operator chooses the address to listen on, and the answers tell only numbers of the
//! server's state.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use crate::execution::scrape;
use crate::execution::state::ServerState;

/// The type of OpenMetrics' text format.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Serves until `stopping` resolves.
///
/// # Errors
/// If the listener breaks.
pub(crate) async fn serve(
    listener: TcpListener,
    state: Arc<ServerState>,
    stopping: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let routes = Router::new().route("/metrics", get(metrics_text)).route("/healthz", get(health)).with_state(state);
    axum::serve(listener, routes).with_graceful_shutdown(stopping).await
}

async fn metrics_text(State(state): State<Arc<ServerState>>) -> Response {
    match scrape::text(&state) {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// The sockets are served, as this answer shows, and the engine's threads run: nothing else is what a restart could mend. A full
/// queue is no reason for one.
async fn health(State(state): State<Arc<ServerState>>) -> Response {
    match state.executor.pulse().missed() {
        None => "ok\n".into_response(),
        Some(age) => {
            let reason = format!("the engine's threads have not run a task for {} s\n", age.as_secs());
            (StatusCode::SERVICE_UNAVAILABLE, reason).into_response()
        }
    }
}
