//! The statements that run and those that ran last: `system.queries`, `KILL`, and the time that a statement may take.
//!
//! A statement is known from its planning to the end of its rows. It can be stopped wherever it waits or hands out rows. A
//! change that is stopped while it is being committed may be in effect: the caller must look.

pub(crate) mod answer;
pub(crate) mod own_question;
pub(crate) mod turns;
pub(crate) mod uploads;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use arrow::array::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::task::AtomicWaker;
use futures::{Stream, StreamExt};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Sleep, sleep, timeout};

use crate::running::answer::Answer;
use crate::running::own_question::is_own_question;
use crate::running::turns::{Computed, Turn};
use crate::text::redact::{LOOK_AHEAD, boundary};
use ruvector_udfs::error::{Error, ErrorKind, Result};
use ruvector_udfs::role::Role;

/// Statements that are remembered when they have ended: enough to see what just happened.
const RECENT: usize = 100;
/// Bytes of the long constants that are computed for a statement, at most. A bound: four of the longest values.
const CONSTANTS_BYTES_MAX: u64 = 256 << 20;
/// Time for which a stopped statement is waited for. A bound: one that is being planned may go on for longer.
const ABORT_MAX: Duration = Duration::from_millis(500);
/// Statements of a user that were given up and still keep a thread, at most: a planner ends only between two of its steps. A
/// bound: one user could keep all threads by statements that are given up again and again.
const GIVEN_UP_MAX: usize = 8;
/// The states of statements that have ended.
const DONE: &str = "done";
const FAILED: &str = "failed";
const CANCELLED: &str = "cancelled";
/// Characters of a statement that `system.queries` shows.
pub(crate) const SQL_CHARS_MAX: usize = 1000;

/// User and role of a session. The session's configuration holds it as an extension, for tables such as `system.queries`.
#[derive(Clone, Debug)]
pub(crate) struct Who {
    /// Name of the user; `None` for a session that was opened without one.
    pub(crate) user: Option<Arc<str>>,
    pub(crate) role: Role,
}

impl Who {
    /// Returns true if the session may see and stop the statements of `user`.
    pub(crate) fn may_see(&self, user: Option<&str>) -> bool {
        self.role == Role::Admin || self.user.as_deref() == user
    }
}

/// The statements of an engine. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queries(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    last_id: u64,
    running: BTreeMap<u64, Arc<Query>>,
    /// Tasks of each user that were given up and have not come to a place where they end.
    given_up: HashMap<Option<Arc<str>>, usize>,
    /// The ones that ended last, the oldest first.
    recent: VecDeque<Arc<Query>>,
}

/// A statement.
#[derive(Debug)]
pub(crate) struct Query {
    pub(crate) id: u64,
    pub(crate) session: String,
    pub(crate) who: Who,
    /// The beginning of the text, as long as may be needed to show it. It may contain secrets.
    pub(crate) sql: String,
    pub(crate) began: SystemTime,
    start: Instant,
    /// Time that it may take, at most.
    limit: Option<Duration>,
    rows: AtomicU64,
    /// Bytes of the long constants that were computed for it.
    constants: AtomicU64,
    computed: Computed,
    stopped: OnceLock<Stopped>,
    /// Waker of the task that waits for the statement.
    waker: AtomicWaker,
    end: OnceLock<End>,
}

/// Reason for which a statement was stopped.
#[derive(Debug)]
enum Stopped {
    KilledBy(Option<Arc<str>>),
    TimedOut(Duration),
}

#[derive(Debug)]
struct End {
    elapsed: Duration,
    state: &'static str,
    error: Option<String>,
}

impl Query {
    /// `running`, `done`, `failed` or `cancelled`.
    pub(crate) fn state(&self) -> &'static str {
        self.end.get().map_or("running", |end| end.state)
    }

    /// The time it took, or has taken until now.
    pub(crate) fn elapsed(&self) -> Duration {
        self.end.get().map_or_else(|| self.start.elapsed(), |end| end.elapsed)
    }

    /// The rows it handed out or changed.
    pub(crate) fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// The error with which it ended, if there was one.
    pub(crate) fn error(&self) -> Option<&str> {
        self.end.get()?.error.as_deref()
    }

    /// The error that the waiters for the statement get.
    fn error_of(&self, stopped: &Stopped) -> Error {
        let message = match stopped {
            Stopped::KilledBy(Some(user)) => format!("statement {} was killed by {user}", self.id),
            Stopped::KilledBy(None) => format!("statement {} was killed", self.id),
            Stopped::TimedOut(limit) => format!(
                "statement {} took longer than {} ms: that is as long as a statement may take here (SHOW \
                 ruvector.statement_timeout_ms)",
                self.id,
                limit.as_millis()
            ),
        };
        Error::new(ErrorKind::Cancelled, message)
    }
}

impl Queries {
    /// Makes a statement known.
    ///
    /// It may take `limit`, if there is one. A question of the shell's own has no id and is in no list.
    pub(crate) fn begin(&self, session: String, who: &Who, sql: &str, limit: Option<Duration>) -> Running {
        let is_own = is_own_question(sql);
        let mut known = self.0.lock();
        known.last_id += u64::from(!is_own);
        let query = Arc::new(Query {
            id: if is_own { 0 } else { known.last_id },
            session,
            who: who.clone(),
            sql: sql[..boundary(sql, SQL_CHARS_MAX * LOOK_AHEAD)].to_owned(),
            began: SystemTime::now(),
            start: Instant::now(),
            limit,
            rows: AtomicU64::new(0),
            constants: AtomicU64::new(0),
            computed: Computed::default(),
            stopped: OnceLock::new(),
            waker: AtomicWaker::new(),
            end: OnceLock::new(),
        });
        if !is_own {
            known.running.insert(query.id, Arc::clone(&query));
        }
        drop(known);
        let limit = limit.map(|limit| (limit, Box::pin(sleep(limit))));
        Running { queries: self.clone(), query, limit }
    }

    /// The statements that run and those that ran last, in the order in which they began.
    pub(crate) fn list(&self) -> Vec<Arc<Query>> {
        let known = self.0.lock();
        let mut list: Vec<_> = known.recent.iter().chain(known.running.values()).cloned().collect();
        list.sort_unstable_by_key(|query| query.id);
        list
    }

    /// Stops statement `id`. Says whether it ran; one that has ended already is as stopped as it can be.
    ///
    /// # Errors
    /// `NotFound` if there never was one; `PermissionDenied` if it is another user's and the session's role is not admin.
    pub(crate) fn kill(&self, who: &Who, id: u64) -> Result<bool> {
        let known = self.0.lock();
        let found = known.running.get(&id).cloned();
        let last_id = known.last_id;
        drop(known);
        let Some(query) = found else {
            return match (1..=last_id).contains(&id) {
                true => Ok(false),
                false => Err(Error::new(ErrorKind::NotFound, format!("no such statement: {id} (see system.queries)"))),
            };
        };
        if !who.may_see(query.who.user.as_deref()) {
            let message = format!(
                "KILL of another user's statement needs the role admin, and this session has the role {}",
                who.role
            );
            return Err(Error::new(ErrorKind::PermissionDenied, message));
        }
        let _ = query.stopped.set(Stopped::KilledBy(who.user.clone()));
        query.waker.wake();
        Ok(true)
    }
}

tokio::task_local! {
    /// The statement that is run by the task.
    static STATEMENT: Stop;
}

/// Tells whether a statement goes on. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Stop(Arc<Query>);

impl Stop {
    /// Resolves with the reason when the statement is killed or has taken too long; never, if it ends by itself.
    ///
    /// A statement is noticed to be stopped where it is polled. This is for the holder of its rows that waits for something
    /// else: it must be polled by the task that polls the rows, which is the only one that a kill wakes.
    pub async fn stopped(&self) -> Error {
        let query = &self.0;
        let left = query.limit.map(|limit| limit.saturating_sub(query.start.elapsed()));
        let mut deadline = left.map(|left| Box::pin(sleep(left)));
        poll_fn(|context| {
            if let (Some(limit), Some(timer)) = (query.limit, &mut deadline)
                && query.end.get().is_none()
                && query.stopped.get().is_none()
                && timer.as_mut().poll(context).is_ready()
            {
                let _ = query.stopped.set(Stopped::TimedOut(limit));
            }
            // First register, then look: a kill between the two is not missed.
            query.waker.register(context.waker());
            match query.stopped.get() {
                Some(stopped) if query.end.get().is_none() => Poll::Ready(query.error_of(stopped)),
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
        let query = &self.0;
        if let Some(limit) = query.limit
            && query.stopped.get().is_none()
            && query.start.elapsed() > limit
        {
            let _ = query.stopped.set(Stopped::TimedOut(limit));
        }
        match query.stopped.get() {
            Some(stopped) => Err(query.error_of(stopped)),
            None if query.end.get().is_some() => {
                Err(Error::new(ErrorKind::Cancelled, format!("statement {} has ended", query.id)))
            }
            None => Ok(()),
        }
    }
}

/// A running statement, held by its caller. Dropped before its end, it was cancelled.
pub(crate) struct Running {
    queries: Queries,
    query: Arc<Query>,
    /// The time limit, and the timer that fires at the limit.
    limit: Option<(Duration, Pin<Box<Sleep>>)>,
}

impl Running {
    /// Returns the handle by which a holder learns that the statement is stopped.
    pub(crate) fn stop(&self) -> Stop {
        Stop(Arc::clone(&self.query))
    }

    /// Runs the statement in a task of its own, and hands its rows on. A planner may keep the thread of the task busy; the caller
    /// still learns that the statement was stopped.
    ///
    /// # Errors
    /// Those of the statement; `Cancelled` if it was killed or took too long.
    pub(crate) async fn run(
        mut self,
        statement: impl Future<Output = Result<Answer>> + Send + 'static,
    ) -> Result<Answer> {
        let answer = self.in_task(statement).await;
        self.answered(answer)
    }

    /// Runs the statement like [`Running::run`], in the task of the caller: for statements that answer at once.
    pub(crate) async fn run_here(mut self, statement: impl Future<Output = Result<Answer>>) -> Result<Answer> {
        let statement = STATEMENT.scope(Stop(Arc::clone(&self.query)), statement);
        let answer = self.until_stopped(statement).await;
        self.answered(answer)
    }

    /// Plans the statement as [`Running::run`] runs it. One that was planned is not among those that ran last.
    ///
    /// # Errors
    /// Those of the planning; `Cancelled` if it was killed or took too long.
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
        let user = self.query.who.user.clone();
        if self.queries.0.lock().given_up.get(&user).is_some_and(|tasks| *tasks >= GIVEN_UP_MAX) {
            let message =
                format!("{GIVEN_UP_MAX} statements that were stopped are still being planned: try again later");
            return Err(Error::new(ErrorKind::ResourceExhausted, message));
        }
        let work = STATEMENT.scope(Stop(Arc::clone(&self.query)), work);
        let task = tokio::spawn(self.query.computed.clone().in_turns(work));
        let mut task = Task { handle: Some(task), queries: self.queries.clone(), user };
        let done = self.until_stopped(async { Ok(task.wait().await) }).await;
        let stopped = match done {
            Ok(done) => return of_task(done),
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
    /// Those of the work; `Cancelled` if it was killed or took too long.
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
                Ok(Answer::Rows(Box::pin(RecordBatchStreamAdapter::new(schema, Watched { rows, running: Some(self) }))))
            }
            Ok(Answer::Count(count)) => {
                self.query.rows.store(count, Ordering::Relaxed);
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
        let query = &self.query;
        if let Some((limit, deadline)) = &mut self.limit
            && query.stopped.get().is_none()
            && deadline.as_mut().poll(context).is_ready()
        {
            let _ = query.stopped.set(Stopped::TimedOut(*limit));
        }
        // First register, then look: a kill between the two is not missed.
        query.waker.register(context.waker());
        query.stopped.get().map(|stopped| query.error_of(stopped))
    }

    fn end_failed(&self, error: &Error) {
        let state = if error.kind() == ErrorKind::Cancelled { CANCELLED } else { FAILED };
        self.end(state, Some(error.to_string()));
    }

    /// Ends it without a trace.
    fn forget(&self) {
        let query = &self.query;
        if query.end.set(End { elapsed: query.start.elapsed(), state: DONE, error: None }).is_ok() {
            self.queries.0.lock().running.remove(&query.id);
        }
    }

    fn end(&self, state: &'static str, error: Option<String>) {
        let query = &self.query;
        if query.end.set(End { elapsed: query.start.elapsed(), state, error }).is_err() {
            return;
        }
        let mut known = self.queries.0.lock();
        if let Some(ended) = known.running.remove(&query.id) {
            if known.recent.len() == RECENT {
                known.recent.pop_front();
            }
            known.recent.push_back(ended);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // If it has not ended, it was stopped, or its client is gone.
        let stopped = self.query.stopped.get().map(|stopped| self.query.error_of(stopped).to_string());
        self.end(CANCELLED, stopped);
    }
}

/// Returns the result of a task. A panic of the task goes on in the caller.
fn of_task<T>(done: std::result::Result<Result<T>, JoinError>) -> Result<T> {
    match done.map_err(JoinError::try_into_panic) {
        Ok(done) => done,
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        Err(Err(_)) => Err(Error::new(ErrorKind::Cancelled, "the engine is stopping")),
    }
}

/// The task of a statement. Dropped, it is given up, and counts until it has come to a place where it ends.
struct Task<T: Send + 'static> {
    /// `None` once it has ended.
    handle: Option<JoinHandle<T>>,
    queries: Queries,
    user: Option<Arc<str>>,
}

impl<T: Send + 'static> Task<T> {
    async fn wait(&mut self) -> std::result::Result<T, JoinError> {
        match &mut self.handle {
            Some(handle) => {
                let done = handle.await;
                self.handle = None;
                done
            }
            // It is waited for once.
            None => std::future::pending().await,
        }
    }

    fn abort(&self) {
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
            let (queries, user) = (self.queries.clone(), self.user.take());
            *queries.0.lock().given_up.entry(user.clone()).or_default() += 1;
            runtime.spawn(async move {
                let _ = handle.await;
                let mut known = queries.0.lock();
                if let Some(tasks) = known.given_up.get_mut(&user) {
                    *tasks -= 1;
                    if *tasks == 0 {
                        known.given_up.remove(&user);
                    }
                }
            });
        }
    }
}

/// The rows of a statement.
struct Watched {
    rows: SendableRecordBatchStream,
    /// Until they have ended.
    running: Option<Running>,
}

impl Stream for Watched {
    type Item = std::result::Result<RecordBatch, DataFusionError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { rows, running } = &mut *self;
        let Some(running_now) = running else { return Poll::Ready(None) };
        if let Some(stopped) = running_now.poll_stopped(context) {
            running_now.end_failed(&stopped);
            *running = None;
            return Poll::Ready(Some(Err(DataFusionError::External(Box::new(stopped)))));
        }
        let stop = Stop(Arc::clone(&running_now.query));
        // The holder of the rows may leave them for long: it would keep a turn that it waited for.
        let next = STATEMENT.sync_scope(stop, || running_now.query.computed.count(|| rows.poll_next_unpin(context)));
        match &next {
            Poll::Ready(Some(Ok(batch))) => {
                running_now.query.rows.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
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
