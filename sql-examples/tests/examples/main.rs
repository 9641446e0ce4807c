//! SQL that is tested in SQL: the lessons, the plans, the examples of the reference, and DataFusion's own tests.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use ruvector_flight_server::config::STACK_BYTES;
use tokio::runtime::{Builder, Runtime};

mod datafusion;
mod lessons;
mod plans;
mod reference;

/// Threads with the stack that planning SQL needs.
fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).thread_stack_size(STACK_BYTES).enable_all().build().unwrap()
}

/// The root of the workspace.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}
