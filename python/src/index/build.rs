//! A build that Python watches: it hears of progress, and it can stop it.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use pyo3::prelude::*;
use ruvector_rabitq::{Progress, Result};

use crate::{error, process};

/// Time between two reports of progress, and the longest delay of Ctrl-C. A bound: shorter costs wake-ups, longer is felt.
const WATCH_INTERVAL: Duration = Duration::from_millis(50);

/// Runs `build` with the GIL released and returns what it built. During the build `progress(done, total)` is called in this
/// thread, with rising numbers; the last call, after the build, says that all are done.
///
/// # Errors
/// The exception of `progress` or of a signal (`KeyboardInterrupt`): the build is cancelled. `Unavailable` in a forked child.
pub(super) fn watched<T: Send>(
    py: Python<'_>,
    total: usize,
    progress: Option<&Py<PyAny>>,
    build: impl FnOnce(Progress<'_>) -> Result<T> + Send,
) -> PyResult<T> {
    process::check(py)?;
    let done = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let tell = |py: Python<'_>, done: usize| match progress {
        Some(progress) => progress.call1(py, (done, total)).map(drop),
        None => Ok(()),
    };
    let watch = || {
        Python::attach(|py| {
            py.check_signals()?;
            tell(py, done.load(Ordering::Relaxed).min(total))
        })
    };
    let report = |num_vectors| {
        done.fetch_max(num_vectors, Ordering::Relaxed);
        if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let report = &report;
    let (built, raised) = py.detach(|| {
        thread::scope(|scope| {
            let (finished, finish) = sync_channel::<()>(0);
            // This thread keeps the right to run signal handlers, so another one waits for the build.
            let builder = scope.spawn(move || {
                let _finished = finished;
                build(report)
            });
            let mut raised = None;
            while let Err(RecvTimeoutError::Timeout) = finish.recv_timeout(WATCH_INTERVAL) {
                if raised.is_none()
                    && let Err(error) = watch()
                {
                    stop.store(true, Ordering::Relaxed);
                    raised = Some(error);
                }
            }
            (builder.join(), raised)
        })
    });
    if let Some(error) = raised {
        return Err(error);
    }
    let built = built
        .map_err(|_| error::internal(py, "the build failed in an unexpected way: this is a bug in ruvector"))?
        .map_err(|e| error::index(py, &e))?;
    tell(py, total)?;
    Ok(built)
}
