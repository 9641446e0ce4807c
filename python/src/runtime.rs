//! The one tokio runtime, and waiting on it from Python.

use std::future::Future;
use std::sync::OnceLock;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread::available_parallelism;
use std::time::Duration;

use pyo3::prelude::*;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use crate::{error, process};

/// More threads than this do not help one Python process, and each holds a stack.
const THREADS_MAX: usize = 8;

/// Planning a deeply nested statement recurses: the default of 2 MiB is not enough. Only touched pages are ever used.
const STACK_BYTES: usize = 16 << 20;

/// The longest delay of Ctrl-C. A bound: shorter costs wake-ups, longer is felt.
pub(crate) const SIGNAL_INTERVAL: Duration = Duration::from_millis(50);

/// The runtime of every connection in this process. It is never dropped: work may outlive the interpreter's last object.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let threads = available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
        Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_stack_size(STACK_BYTES)
            .thread_name("ruvector")
            .enable_all()
            .build()
            .expect("the operating system starts a few threads")
    })
}

/// Runs `work` on the runtime and waits for it with the GIL released.
///
/// # Errors
/// The pending exception of a signal (`KeyboardInterrupt`), after which `work` is dropped; `InternalError` if `work`
/// panicked; `Unavailable` in a forked child.
pub(crate) fn wait<T: Send + 'static>(py: Python<'_>, work: impl Future<Output = T> + Send + 'static) -> PyResult<T> {
    if let Err(forked) = process::check(py) {
        process::discard(work);
        return Err(forked);
    }
    // Not a timeout of tokio: its clock stands still while every thread of the runtime computes.
    let (sender, mut done) = sync_channel(1);
    let _task = AbortOnDrop(runtime().spawn(async move {
        // An interrupted caller has stopped listening.
        let _ = sender.send(work.await);
    }));
    loop {
        // A receiver may be in one thread only, so it goes where the GIL is not, and comes back.
        let answer;
        (answer, done) = py.detach(move || (done.recv_timeout(SIGNAL_INTERVAL), done));
        match answer {
            Ok(value) => return Ok(value),
            Err(RecvTimeoutError::Timeout) => py.check_signals()?,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(error::internal(
                    py,
                    "the statement failed in an unexpected way: this is a bug in ruvector",
                ));
            }
        }
    }
}

struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
