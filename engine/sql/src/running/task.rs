//! The task that a statement runs in, and its end when the caller gives it up.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::task::{JoinError, JoinHandle};

use crate::running::registry::RunningStatements;
use ruvector_udfs::error::{Error, ErrorKind, Result};

/// Returns the result of a task. A panic of the task goes on in the caller.
///
/// # Errors
/// That of the task; `Cancelled` if the runtime ended it.
pub(super) fn result_of<T>(done: std::result::Result<Result<T>, JoinError>) -> Result<T> {
    match done.map_err(JoinError::try_into_panic) {
        Ok(done) => done,
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        Err(Err(_)) => Err(Error::new(ErrorKind::Cancelled, "the engine is stopping")),
    }
}

/// The task of a statement. Dropped, it is given up, and counts until it has come to a place where it ends.
pub(super) struct Task<T: Send + 'static> {
    /// `None` once it has ended.
    handle: Option<JoinHandle<T>>,
    statements: RunningStatements,
    user: Option<Arc<str>>,
}

impl<T: Send + 'static> Task<T> {
    pub(super) fn new(handle: JoinHandle<T>, statements: RunningStatements, user: Option<Arc<str>>) -> Self {
        Self { handle: Some(handle), statements, user }
    }

    /// Waits for its end, once.
    pub(super) async fn wait(&mut self) -> std::result::Result<T, JoinError> {
        match &mut self.handle {
            Some(handle) => {
                let done = handle.await;
                self.handle = None;
                done
            }
            None => std::future::pending().await,
        }
    }

    /// Ends it where it waits next.
    pub(super) fn abort(&self) {
        if let Some(handle) = &self.handle {
            handle.abort();
        }
    }
}

impl<T: Send + 'static> Drop for Task<T> {
    fn drop(&mut self) {
        let Some(handle) = self.handle.take() else { return };
        handle.abort();
        if let Ok(runtime) = Handle::try_current()
            && !handle.is_finished()
        {
            let (statements, user) = (self.statements.clone(), self.user.take());
            statements.give_up(user.clone());
            runtime.spawn(async move {
                let _ = handle.await;
                statements.end_given_up(&user);
            });
        }
    }
}
