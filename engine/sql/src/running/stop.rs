//! The signal that a statement is stopped, for the parts that work for it.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use tokio::time::sleep;

use crate::running::statement::RunningStatement;
use crate::running::turns::Turn;
use ruvector_udfs::error::{Error, ErrorKind, Result};

/// Bytes of the long constants that are computed for a statement, at most. A bound: four of the longest values.
const CONSTANTS_BYTES_MAX: u64 = 256 << 20;

tokio::task_local! {
    /// The statement that is run by the task.
    pub(super) static STATEMENT: Stop;
}

/// Tells whether a statement goes on. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Stop(Arc<RunningStatement>);

impl Stop {
    pub(super) fn new(statement: &Arc<RunningStatement>) -> Self {
        Self(Arc::clone(statement))
    }

    /// Resolves with the reason when the statement is killed or has taken too long; never, if it ends by itself.
    ///
    /// A statement is noticed to be stopped where it is polled. This is for the holder of its rows that waits for something
    /// else: it must be polled by the task that polls the rows, which is the only one that a kill wakes.
    pub async fn stopped(&self) -> Error {
        let statement = &self.0;
        let mut deadline = statement.time_left().map(|left| Box::pin(sleep(left)));
        poll_fn(|context| {
            if let (Some(limit), Some(timer)) = (statement.limit, &mut deadline)
                && !statement.has_ended()
                && !statement.is_stopped()
                && timer.as_mut().poll(context).is_ready()
            {
                statement.time_out(limit);
            }
            statement.register(context.waker());
            match statement.stopped() {
                Some(stopped) if !statement.has_ended() => Poll::Ready(stopped),
                _ => Poll::Pending,
            }
        })
        .await
    }

    /// Polls a task that hands out rows of the statement when it has its turn, if the statement has computed for long.
    ///
    /// The task must be polled when it is woken, or be dropped.
    pub fn poll_in_turn<T>(
        &self,
        turn: &mut Turn,
        context: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        turn.poll(&self.0.computed, context, poll)
    }

    /// Returns the [`Stop`] of the statement that the current task runs, if it runs one.
    pub(crate) fn current() -> Option<Self> {
        STATEMENT.try_with(Clone::clone).ok()
    }

    /// Counts a long constant that is computed for the statement. Its plan holds it, and copies of it while it is planned.
    ///
    /// # Errors
    /// `ResourceExhausted` if there are too many.
    pub(crate) fn count_constant(&self, bytes: u64) -> Result<()> {
        let all = self.0.constants.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        match all > CONSTANTS_BYTES_MAX {
            true => Err(Error::new(
                ErrorKind::ResourceExhausted,
                format!("constants of a statement: expected at most {CONSTANTS_BYTES_MAX} bytes, got {all}"),
            )),
            false => Ok(()),
        }
    }

    /// Checks that the statement goes on.
    ///
    /// # Errors
    /// `Cancelled` if it was killed, took too long, or its client has left.
    pub(crate) fn check(&self) -> Result<()> {
        let statement = &self.0;
        if let Some(limit) = statement.limit
            && !statement.is_stopped()
            && statement.time_left().is_some_and(|left| left.is_zero())
        {
            statement.time_out(limit);
        }
        match statement.stopped() {
            Some(stopped) => Err(stopped),
            None if statement.has_ended() => {
                Err(Error::new(ErrorKind::Cancelled, format!("statement {} has ended", statement.id)))
            }
            None => Ok(()),
        }
    }
}
