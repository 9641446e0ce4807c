//! Work that occupies a thread, and its place beside the tasks of the runtime.

use crate::error::{Error, Result};

/// Runs work that never waits on this thread. The other tasks of the thread move to another one.
pub fn cpu_bound<T>(work: impl FnOnce() -> T) -> T {
    match tokio::runtime::Handle::current().runtime_flavor() {
        tokio::runtime::RuntimeFlavor::MultiThread => tokio::task::block_in_place(work),
        _ => work(),
    }
}

/// Runs work on files on a thread that may block. The work goes on if the caller is cancelled.
///
/// # Errors
/// Errors of the work; `Internal` that names the `worker` if it panics.
pub(crate) async fn run_blocking<T: Send + 'static>(
    worker: &str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let outcome = tokio::task::spawn_blocking(work).await;
    outcome.map_err(|e| Error::internal(format!("{worker} stopped")).with("reason", e))?
}
