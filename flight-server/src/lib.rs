//! The Arrow Flight SQL server.
//!
//! It serves a [`ruvector_udfs::Engine`] over the network to every Flight SQL client. Callers are authenticated here; the engine
//! checks what they may do.
//!
//! The way of a call, in the order of the modules:
//!
//! ```text
//! client -> front (auth) -> service -> command/* -> state (session, engine) -> encode -> work (threads) -> client
//!             \-- plain SQL, GetSchema, ListFlights --^
//! ```
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use ruvector_flight_server::{bind, serve};
//! use ruvector_udfs::{Engine, EngineConfig};
//!
//! let engine = Engine::open(EngineConfig::default()).await?;
//! let listener = bind("127.0.0.1:0", false).await?;
//! println!("listening on {}", listener.local_addr()?);
//! serve(listener, engine, async { drop(tokio::signal::ctrl_c().await) }).await?;
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

/// Settings, and every other number with its unit and its reason.
pub mod config;

/// One line in the log for each statement.
mod audit;
/// Who calls, and what they may do.
mod auth;

/// TLS: certificates that are read again when they change.
mod certificates;
/// One file per command.
mod command;
/// Connections: how many, and how long they may be silent.
mod connections;
/// From the messages of a DoPut to batches.
mod decode;
/// From batches to Flight messages.
mod encode;
/// From the engine's errors to gRPC statuses.
mod error;
/// The Flight service that clients talk to.
mod front;
/// Before anything of a call is read: who calls.
mod guard;
/// The bytes in tickets and statement handles.
mod handle;
/// Errors of readers.
mod hidden_paths;
/// `/metrics` and `/healthz`.
mod http;
/// The gate for Arrow data from outside: sizes are checked before anything is allocated.
mod ipc;
/// What the server counts.
mod metrics;
/// How many statements run at the same time.
mod places;
/// Whether the engine's threads run.
mod pulse;
/// The Flight SQL service: which command is answered where.
mod service;
/// Which session a call belongs to.
mod session;
/// What every command needs.
mod state;
/// The engine's threads, and what runs on them.
mod work;

/// Listening, serving and stopping.
mod server;

pub use config::{Config, ConfigError, Setup};
pub use server::{ServerError, bind, bind_for, serve, serve_on};

/// Names, hashes and tokens of the file of users.
pub mod credentials {
    pub use crate::auth::{check_name, hash_password, hash_token, random_token};
}

/// The parts of the protocol that a client shares with the server.
pub mod wire {
    pub use crate::command::statement::COUNT_METADATA;
    pub use crate::error::{internal, root_cause, status};
    pub use crate::ipc::{Malformed, decode, decode_schema};
    pub use crate::session::{bearer_token, session_cookie_of};
}
