//! The `ruvector` command as users run it: processes, their output and their exit codes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

// Servers that are shared with the tests of `flight-server`.
#[path = "../../../flight-server/tests/it/certificates.rs"]
mod certificates;
#[path = "../../../flight-server/tests/it/guarded.rs"]
#[allow(dead_code, reason = "some of it is for the tests of the server alone")]
mod guarded;
#[path = "../../../flight-server/tests/it/harness.rs"]
#[allow(dead_code, reason = "some of it is for the tests of the server alone")]
mod harness;
#[path = "../../../flight-server/tests/it/secured.rs"]
#[allow(dead_code, reason = "some of it is for the tests of the server alone")]
mod secured;

mod audit;
mod bundles;
mod command_line;
mod config;
mod tls;
