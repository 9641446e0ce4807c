//! The record of one statement: its principal, its text, its progress, the reason for which it was stopped and its end.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Waker;
use std::time::{Duration, Instant, SystemTime};

use futures::task::AtomicWaker;

use crate::running::turns::Computed;
use crate::text::redact::{LOOK_AHEAD, boundary};
use ruvector_udfs::error::{Error, ErrorKind};
use ruvector_udfs::role::Role;

/// The states of statements that have ended.
pub(super) const DONE: &str = "done";
pub(super) const FAILED: &str = "failed";
pub(super) const CANCELLED: &str = "cancelled";
/// Characters of a statement that `system.queries` shows.
pub(crate) const SQL_CHARS_MAX: usize = 1000;

/// User and role of a session. The session's configuration holds it as an extension, for tables such as `system.queries`.
#[derive(Clone, Debug)]
pub(crate) struct Principal {
    /// Name of the user; `None` for a session that was opened without one.
    pub(crate) user: Option<Arc<str>>,
    pub(crate) role: Role,
}

impl Principal {
    /// Returns true if the session may see and stop the statements of `user`.
    pub(crate) fn may_see(&self, user: Option<&str>) -> bool {
        self.role == Role::Admin || self.user.as_deref() == user
    }
}

/// A statement that runs or has run.
#[derive(Debug)]
pub(crate) struct RunningStatement {
    pub(crate) id: u64,
    pub(crate) session: String,
    pub(crate) principal: Principal,
    /// The beginning of the text, as long as may be needed to show it. It may contain secrets.
    pub(crate) sql: String,
    pub(crate) began: SystemTime,
    start: Instant,
    /// Time that it may take, at most.
    pub(super) limit: Option<Duration>,
    /// Rows that it handed out or changed.
    pub(super) rows: AtomicU64,
    /// Bytes of the long constants that were computed for it.
    pub(super) constants: AtomicU64,
    pub(super) computed: Computed,
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

/// End of a statement.
#[derive(Debug)]
struct End {
    elapsed: Duration,
    state: &'static str,
    error: Option<String>,
}

impl RunningStatement {
    /// A statement that begins now. A statement that is in no list has the id 0.
    pub(super) fn new(id: u64, session: String, principal: Principal, sql: &str, limit: Option<Duration>) -> Self {
        Self {
            id,
            session,
            principal,
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
        }
    }

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

    /// Time that is left of its limit, if it has one.
    pub(super) fn time_left(&self) -> Option<Duration> {
        self.limit.map(|limit| limit.saturating_sub(self.start.elapsed()))
    }

    /// Returns true once it has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.end.get().is_some()
    }

    /// Returns true once it was stopped.
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.get().is_some()
    }

    /// The error that the waiters for the statement get, once it was stopped.
    pub(super) fn stopped(&self) -> Option<Error> {
        let message = match self.stopped.get()? {
            Stopped::KilledBy(Some(user)) => format!("statement {} was killed by {user}", self.id),
            Stopped::KilledBy(None) => format!("statement {} was killed", self.id),
            Stopped::TimedOut(limit) => format!(
                "statement {} took longer than {} ms: that is as long as a statement may take here (SHOW \
                 ruvector.statement_timeout_ms)",
                self.id,
                limit.as_millis()
            ),
        };
        Some(Error::new(ErrorKind::Cancelled, message))
    }

    /// Stops it for `user`, and wakes its waiter. A statement that was stopped before keeps its first reason.
    pub(super) fn kill(&self, user: Option<Arc<str>>) {
        let _ = self.stopped.set(Stopped::KilledBy(user));
        self.waker.wake();
    }

    /// Stops it because it has taken longer than `limit`.
    pub(super) fn time_out(&self, limit: Duration) {
        let _ = self.stopped.set(Stopped::TimedOut(limit));
    }

    /// Registers the task that a kill wakes. The task looks for [`RunningStatement::stopped`] after this: a kill between the two is
    /// not missed.
    pub(super) fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// Ends it now. Returns false if it had ended before.
    pub(super) fn end(&self, state: &'static str, error: Option<String>) -> bool {
        self.end.set(End { elapsed: self.start.elapsed(), state, error }).is_ok()
    }
}
