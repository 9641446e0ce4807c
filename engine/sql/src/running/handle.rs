//! The handle of a running statement: runs its work in a task, hands its rows on, and ends its record.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use arrow::array::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{Stream, StreamExt};
use tokio::time::{Sleep, sleep, timeout};

use crate::running::answer::Answer;
use crate::running::registry::RunningStatements;
use crate::running::statement::{CANCELLED, DONE, FAILED, Principal, RunningStatement};
use crate::running::stop::{STATEMENT, Stop};
use crate::running::task::{Task, result_of};
use ruvector_udfs::error::{Error, ErrorKind, Result};

/// Time for which a stopped statement is waited for. A bound: one that is being planned may go on for longer.
const ABORT_MAX: Duration = Duration::from_millis(500);

/// A running statement, held by its caller. Dropped before its end, it was cancelled.
pub(crate) struct StatementHandle {
    statements: RunningStatements,
    statement: Arc<RunningStatement>,
    /// The time limit, and the timer that fires at the limit.
    limit: Option<(Duration, Pin<Box<Sleep>>)>,
}

impl StatementHandle {
    /// Begins the statement `sql` of a session. It may take `limit`, if there is one.
    pub(crate) fn begin(
        statements: &RunningStatements,
        session: String,
        principal: &Principal,
        sql: &str,
        limit: Option<Duration>,
    ) -> Self {
        let statement = statements.add(session, principal, sql, limit);
        let limit = limit.map(|limit| (limit, Box::pin(sleep(limit))));
        Self { statements: statements.clone(), statement, limit }
    }

    /// Returns the handle by which a holder learns that the statement is stopped.
    pub(crate) fn stop(&self) -> Stop {
        Stop::new(&self.statement)
    }

    /// Runs the statement in a task of its own, and hands its rows on. A planner may keep the thread of the task busy; the caller
    /// still learns that the statement was stopped.
    ///
    /// # Errors
    /// Errors of the statement; `Cancelled` if it was killed or took too long.
    pub(crate) async fn run(
        mut self,
        statement: impl Future<Output = Result<Answer>> + Send + 'static,
    ) -> Result<Answer> {
        let answer = self.in_task(statement).await;
        self.answered(answer)
    }

    /// Runs the statement like [`StatementHandle::run`], in the task of the caller: for statements that answer at once.
    pub(crate) async fn run_here(mut self, statement: impl Future<Output = Result<Answer>>) -> Result<Answer> {
        let statement = STATEMENT.scope(Stop::new(&self.statement), statement);
        let answer = self.until_stopped(statement).await;
        self.answered(answer)
    }

    /// Plans the statement as [`StatementHandle::run`] runs it. One that was planned is not among those that ran last.
    ///
    /// # Errors
    /// Errors of the planning; `Cancelled` if it was killed or took too long.
    pub(crate) async fn plan<T: Send + 'static>(
        mut self,
        planning: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let planned = self.in_task(planning).await;
        match &planned {
            Err(failed) if failed.kind() == ErrorKind::Cancelled => self.end_failed(failed),
            _ => self.forget(),
        }
        planned
    }

    async fn in_task<T: Send + 'static>(
        &mut self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let user = self.statement.principal.user.clone();
        self.statements.check_given_up(&user)?;
        let work = STATEMENT.scope(Stop::new(&self.statement), work);
        let task = tokio::spawn(self.statement.computed.clone().in_turns(work));
        let mut task = Task::new(task, self.statements.clone(), user);
        let done = self.until_stopped(async { Ok(task.wait().await) }).await;
        let stopped = match done {
            Ok(done) => return result_of(done),
            Err(stopped) => stopped,
        };
        // It ends where it waits next, with what it holds; or it did its work before that, which is then in effect.
        task.abort();
        match timeout(ABORT_MAX, task.wait()).await {
            Ok(Ok(Ok(done))) => Ok(done),
            _ => Err(stopped),
        }
    }

    /// Does some of its work, unless it is stopped first.
    ///
    /// # Errors
    /// Errors of the work; `Cancelled` if it was killed or took too long.
    pub(crate) async fn until_stopped<T>(&mut self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let mut work = pin!(work);
        let done = poll_fn(|context| match work.as_mut().poll(context) {
            // A change that is done is not called stopped: it is in effect.
            Poll::Ready(done) => Poll::Ready(done),
            Poll::Pending => self.poll_stopped(context).map_or(Poll::Pending, |stopped| Poll::Ready(Err(stopped))),
        });
        done.await
    }

    fn answered(self, answer: Result<Answer>) -> Result<Answer> {
        match answer {
            Ok(Answer::Rows(rows)) => {
                let schema = rows.schema();
                Ok(Answer::Rows(Box::pin(RecordBatchStreamAdapter::new(
                    schema,
                    MonitoredStream { rows, running: Some(self) },
                ))))
            }
            Ok(Answer::Count(count)) => {
                self.statement.rows.store(count, Ordering::Relaxed);
                self.end(DONE, None);
                Ok(Answer::Count(count))
            }
            Err(failed) => {
                self.end_failed(&failed);
                Err(failed)
            }
        }
    }

    /// Returns the error by which the statement may not go on. Without one, `context` is woken as soon as there is a reason.
    fn poll_stopped(&mut self, context: &mut Context<'_>) -> Option<Error> {
        let statement = &self.statement;
        if let Some((limit, deadline)) = &mut self.limit
            && !statement.is_stopped()
            && deadline.as_mut().poll(context).is_ready()
        {
            statement.time_out(*limit);
        }
        statement.register(context.waker());
        statement.stopped()
    }

    fn end_failed(&self, error: &Error) {
        let state = if error.kind() == ErrorKind::Cancelled { CANCELLED } else { FAILED };
        self.end(state, Some(error.to_string()));
    }

    /// Ends it without a trace.
    fn forget(&self) {
        if self.statement.end(DONE, None) {
            self.statements.forget(self.statement.id);
        }
    }

    fn end(&self, state: &'static str, error: Option<String>) {
        if self.statement.end(state, error) {
            self.statements.ended(self.statement.id);
        }
    }
}

impl Drop for StatementHandle {
    fn drop(&mut self) {
        // If it has not ended, it was stopped, or its client is gone.
        let stopped = self.statement.stopped().map(|stopped| stopped.to_string());
        self.end(CANCELLED, stopped);
    }
}

/// The rows of a statement.
struct MonitoredStream {
    rows: SendableRecordBatchStream,
    /// Until they have ended.
    running: Option<StatementHandle>,
}

impl Stream for MonitoredStream {
    type Item = std::result::Result<RecordBatch, DataFusionError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { rows, running } = &mut *self;
        let Some(running_now) = running else { return Poll::Ready(None) };
        if let Some(stopped) = running_now.poll_stopped(context) {
            running_now.end_failed(&stopped);
            *running = None;
            return Poll::Ready(Some(Err(DataFusionError::External(Box::new(stopped)))));
        }
        let statement = &running_now.statement;
        // The holder of the rows may leave them for long: it would keep a turn that it waited for.
        let next =
            STATEMENT.sync_scope(Stop::new(statement), || statement.computed.count(|| rows.poll_next_unpin(context)));
        match &next {
            Poll::Ready(Some(Ok(batch))) => {
                statement.rows.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
            }
            // What went wrong is the stream's last word: it is remembered as it will be told.
            Poll::Ready(Some(Err(failed))) => running_now.end(FAILED, Some(failed.strip_backtrace())),
            Poll::Ready(None) => {
                running_now.end(DONE, None);
                *running = None;
            }
            Poll::Pending => {}
        }
        next
    }
}
