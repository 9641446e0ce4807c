//! The server as clients see it: a real engine on a free port, and arrow-flight's own client.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod certificates;
mod guarded;
mod harness;
mod secured;

mod auth;
mod cancel;
mod errors;
mod exchange;
mod hostile;
mod ingest;
mod limits;
mod malformed;
mod metadata;
mod plain;
mod prepared;
mod roles;
mod sessions;
mod statements;
mod tls;
mod watched;
