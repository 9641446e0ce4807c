//! Listening, serving, and stopping without breaking off calls before the time for them is up.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use arrow_flight::flight_service_server::FlightServiceServer;
use futures::future::Either;
use ruvector_sql::Engine;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tonic::server::NamedService;
use tonic::transport::Server;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::address::{look_up, not_an_address, refused_address};
use crate::certificates;
use crate::config::{ConfigError, PING_TIMEOUT, PULSE_INTERVAL, ServerConfig};
use crate::connections::{ConnectionLimits, Connections, Counted};
use crate::execution::executor::{Executor, Limits};
use crate::execution::pulse::Pulse;
use crate::execution::state::ServerState;
use crate::flight::auth_layer::AuthLayer;
use crate::flight::frontend::FlightFrontend;
use crate::http;
use crate::setup::Setup;

/// The reason that a server cannot listen or serve.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServerError {
    /// The address is no `HOST:PORT`, or the host has no address.
    Address(String, io::Error),
    /// The configuration cannot be used, or opens the server to other machines without TLS or authentication.
    Config(ConfigError),
    /// The address can be reached from other machines, and there is neither TLS nor authentication.
    NotLoopback(SocketAddr),
    /// Another process listens there.
    InUse(SocketAddr),
    /// The system refuses the socket.
    Socket(SocketAddr, io::Error),
    /// Serving ended by an error.
    Transport(String),
}

impl std::fmt::Display for ServerError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Address(address, error) => f.write_str(&not_an_address(address, error)),
            Self::Config(error) => error.fmt(f),
            Self::NotLoopback(address) => f.write_str(&refused_address(*address, "no TLS and no authentication")),
            Self::InUse(address) => write!(f, "address {address} is in use"),
            Self::Socket(address, error) => write!(f, "cannot listen on {address}: {error}"),
            Self::Transport(message) => write!(f, "serving failed: {message}"),
        }
    }
}

impl std::error::Error for ServerError {}

/// Binds `address`, a `HOST:PORT`. Port 0 takes a free one.
///
/// # Errors
/// `NotLoopback` if the address is not of this machine only and `allow_remote` is false; `InUse`; `Address`; `Socket`.
pub async fn bind(address: &str, allow_remote: bool) -> Result<TcpListener, ServerError> {
    let candidates = look_up(address).await.map_err(|error| ServerError::Address(address.to_owned(), error))?;
    match candidates.iter().find(|candidate| !candidate.ip().is_loopback()) {
        Some(remote) if !allow_remote => Err(ServerError::NotLoopback(*remote)),
        _ => bind_one(candidates).await,
    }
}

/// Binds the address that `setup` says.
///
/// # Errors
/// `Config` if other machines can reach it and TLS or authentication is missing, or it is no address; `InUse`; `Socket`.
pub async fn bind_for(setup: &Setup) -> Result<TcpListener, ServerError> {
    bind_one(setup.addresses().await.map_err(ServerError::Config)?).await
}

/// Binds the address of plain HTTP: it may be one that other machines can reach, for it tells nothing but numbers.
async fn bind_http(address: &str) -> Result<TcpListener, ServerError> {
    let candidates = look_up(address).await.map_err(|error| ServerError::Address(address.to_owned(), error))?;
    let listener = bind_one(candidates).await?;
    if let Ok(address) = listener.local_addr() {
        tracing::info!("http://{address}/metrics and /healthz");
    }
    Ok(listener)
}

/// Binds the first of the addresses, of which there is one at least, that can be bound.
async fn bind_one(candidates: Vec<SocketAddr>) -> Result<TcpListener, ServerError> {
    let mut last = ServerError::Transport("there is no address to listen on".to_owned());
    for candidate in candidates {
        match TcpListener::bind(candidate).await {
            Ok(listener) => return Ok(listener),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(ServerError::InUse(candidate)),
            Err(error) => last = ServerError::Socket(candidate, error),
        }
    }
    Err(last)
}

/// Serves `engine` on `listener` until `shutdown` resolves, with default settings; statements run on the caller's runtime.
///
/// It then accepts nothing new, and returns when all running streams and statements have finished, after
/// `server.drain_seconds_max` at the latest.
///
/// # Errors
/// `Transport` if the listener breaks.
pub async fn serve(
    listener: TcpListener,
    engine: Arc<Engine>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServerError> {
    serve_on(listener, engine, Handle::current(), Setup::default(), shutdown).await
}

/// Serves as [`serve`] does, with the settings of `setup`, and with statements on the threads of `engine_runtime`. A heavy
/// statement does not keep the sockets waiting there. The threads need a stack of [`STACK_BYTES`](crate::config::STACK_BYTES).
///
/// # Errors
/// As [`serve`].
pub async fn serve_on(
    listener: TcpListener,
    engine: Arc<Engine>,
    engine_runtime: Handle,
    setup: Setup,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServerError> {
    let (executor, idle) = Executor::new(engine_runtime, Limits::from(&setup.config.server));
    let state = Arc::new(ServerState::new(engine, executor, &setup));
    let front = FlightFrontend::new(Arc::clone(&state))
        .map_err(|status| ServerError::Transport(status.message().to_owned()))?;
    let ServerConfig { message_bytes_max, header_list_bytes_max, drain_max, ping_interval, .. } = setup.config.server;
    let service = FlightServiceServer::new(front).max_decoding_message_size(message_bytes_max);
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<FlightServiceServer<FlightFrontend>>().await;
    let http = match &setup.config.server.http_listen {
        Some(address) => Some(bind_http(address).await?),
        None => None,
    };

    let pulse = state.executor.pulse().clone();
    let (stop, stopping) = oneshot::channel();
    let (stop_http, http_stopping) = oneshot::channel::<()>();
    let signal = async move {
        tokio::select! {
            () = shutdown => {}
            () = follow(&pulse, &health) => {}
        }
        // Load balancers look elsewhere while the rest is finished.
        health.set_service_status("", ServingStatus::NotServing).await;
        health.set_not_serving::<FlightServiceServer<FlightFrontend>>().await;
        let _ = stop.send(Instant::now() + drain_max);
    };
    let connections = Connections::new(ConnectionLimits::from(&setup.config.server));
    let router = Server::builder()
        .http2_keepalive_interval(Some(ping_interval))
        .http2_keepalive_timeout(Some(PING_TIMEOUT))
        .http2_max_header_list_size(u32::try_from(header_list_bytes_max).unwrap_or(u32::MAX))
        .add_service(Counted::new(health_service, connections.clone()))
        .add_service(Counted::new(AuthLayer::new(service, Arc::clone(&state)), connections.clone()));
    let sockets = connections.accept(listener);
    let server = match setup.tls {
        Some(files) => {
            Either::Left(router.serve_with_incoming_shutdown(certificates::accepted(sockets, files), signal))
        }
        None => Either::Right(router.serve_with_incoming_shutdown(sockets, signal)),
    };

    let http = async move {
        match http {
            Some(listener) => http::serve(listener, state, async { drop(http_stopping.await) }).await,
            None => {
                // Executor ends when nothing holds the state any more.
                drop(state);
                Ok(())
            }
        }
    };
    let server = async move {
        let served = server.await;
        // Health checks and metrics see the drain too.
        drop(stop_http);
        served
    };
    let served = async move {
        let (served, http) = tokio::join!(server, http);
        served.map_err(|error| ServerError::Transport(error.to_string()))?;
        http.map_err(|error| ServerError::Transport(format!("server.http_listen: {error}")))
    };
    let drained = async move {
        match stopping.await {
            Ok(deadline) => {
                tracing::info!("stopping: no new calls");
                sleep_until(deadline).await;
            }
            // The server ended by itself.
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        served = served => served?,
        () = drained => {
            tracing::warn!("stopping: calls that did not finish in {drain_max:?} are cut off");
            return Ok(());
        }
    }
    // The connections are gone. An update whose caller went away may still be running.
    if timeout_at(Instant::now() + drain_max, idle.wait()).await.is_err() {
        tracing::warn!("stopping: a statement that did not finish in {drain_max:?} is cut off");
    }
    Ok(())
}

/// Keeps what gRPC health says in step with the engine's threads. Never resolves.
async fn follow(pulse: &Pulse, health: &HealthReporter) {
    let mut healthy = true;
    loop {
        sleep(PULSE_INTERVAL).await;
        let missed = pulse.missed();
        if missed.is_none() == healthy {
            continue;
        }
        healthy = missed.is_none();
        let status = if healthy { ServingStatus::Serving } else { ServingStatus::NotServing };
        match missed {
            None => tracing::info!("the engine's threads run again"),
            Some(age) => tracing::error!("the engine's threads have not run a task for {age:?}: not healthy"),
        }
        health.set_service_status("", status).await;
        health.set_service_status(<FlightServiceServer<FlightFrontend> as NamedService>::NAME, status).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn port_0_takes_a_free_one() {
        let listener = bind("127.0.0.1:0", false).await.unwrap();
        assert_ne!(listener.local_addr().unwrap().port(), 0);
    }

    #[tokio::test]
    async fn a_taken_port_is_named() {
        let listener = bind("127.0.0.1:0", false).await.unwrap();
        let address = listener.local_addr().unwrap();
        let error = bind(&address.to_string(), false).await.unwrap_err();
        assert_eq!(error.to_string(), format!("address {address} is in use"));
    }

    #[tokio::test]
    async fn other_machines_are_kept_out() {
        let error = bind("0.0.0.0:0", false).await.unwrap_err();
        assert!(matches!(error, ServerError::NotLoopback(_)), "{error}");
        assert!(error.to_string().contains("--insecure-allow-remote"), "{error}");
        bind("0.0.0.0:0", true).await.unwrap();
    }

    #[tokio::test]
    async fn an_address_without_a_port_is_refused() {
        let error = bind("localhost", false).await.unwrap_err();
        assert!(error.to_string().starts_with("address 'localhost' is not a HOST:PORT"), "{error}");
    }
}
