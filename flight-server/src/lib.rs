//! The Arrow Flight SQL server and the `ruvector` command.
//!
//! It is the way to a [`ruvector_udfs::Engine`] over the network, for every Flight SQL client, and from the shell: who calls
//! is found out here, and what they may do is the engine's to check.
//! It is not the engine: it knows Arrow Flight, and no SQL beyond where one statement ends.
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
/// How much memory there is to share.
mod memory;
/// What the server counts.
mod metrics;
/// How many statements run at the same time.
mod places;
/// Whether the engine's threads run.
mod pulse;
/// Where one SQL statement ends and the next begins.
mod script;
/// The Flight SQL service: which command is answered where.
mod service;
/// Which session a call belongs to.
mod session;
/// What every command needs.
mod state;
/// The engine's threads, and what runs on them.
mod work;

/// The command line.
mod cli;
/// Listening, serving and stopping.
mod server;
/// `ruvector sql`: statements from the command line, a file, or a person.
mod shell;
/// `ruvector user`: lines for the file of users.
mod user;

pub use cli::{exit_code, run};
pub use config::{Config, ConfigError, Setup};
pub use server::{ServerError, bind, bind_for, serve, serve_on};
