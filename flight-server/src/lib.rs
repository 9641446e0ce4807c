//! The Arrow Flight SQL server.
//!
//! It serves a [`ruvector_sql::Engine`] over the network to every Flight SQL client. Callers are authenticated here; the engine
//! checks what they may do.
//!
//! The way of a call, in the order of the modules:
//!
//! ```text
//! client -> flight (auth) -> command -> execution (session, engine, threads) -> wire -> client
//! ```
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use ruvector_flight_server::{bind, serve};
//! use ruvector_sql::{Engine, EngineConfig};
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

pub mod config;
pub mod wire;

mod address;
mod auth;
mod certificates;
mod command;
mod connections;
mod execution;
mod flight;
mod http;
mod server;
mod setup;

pub use certificates::choose_crypto;
pub use config::{Config, ConfigError};
pub use server::{ServerError, bind, bind_for, serve, serve_on};
pub use setup::Setup;

/// Names, hashes and tokens of the file of users.
pub mod credentials {
    pub use crate::auth::{check_name, hash_password, hash_token, random_token};
}
