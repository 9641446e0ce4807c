//! The record of a statement that has ended: a line in the audit log, under the target `ruvector::audit`, and its part in the
//! metrics.
//!
//! A query ends when its rows do; one whose client goes away before that is `cancelled`. A statement that cannot be planned
//! ends there. Questions of the shell's own are not recorded: no user typed them. The text is cut, and has no secrets. The
//! message of an error is not in the line, for it may quote the statement.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use arrow::array::RecordBatch;
use futures::{Stream, StreamExt};
use ruvector_sql::{Role, is_own_question, redact_sql, statement_kind};
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

use crate::auth::tried_user;
use crate::config::{AUDIT_CHARS_MAX, AUDIT_USER_CHARS_MAX};
use crate::execution::hidden_paths::without_paths;
use crate::execution::metrics::Metrics;
use crate::execution::sessions::Caller;
use crate::wire::encode::Batches;

const TARGET: &str = "ruvector::audit";

/// A statement that has not ended yet.
pub(crate) struct Audit {
    metrics: Arc<Metrics>,
    kind: &'static str,
    start: Instant,
    /// True if the shell asks the statement for itself.
    is_own: bool,
    /// The contents of its line, if there is a log.
    entry: Option<AuditLine>,
    /// The statement of a reader, whose errors have no paths but its own.
    reader: Option<String>,
}

struct AuditLine {
    user: Option<String>,
    role: &'static str,
    peer: Option<SocketAddr>,
    statement: String,
}

impl Audit {
    /// For a statement as SQL.
    pub(crate) fn of_statement(metrics: &Arc<Metrics>, caller: &Caller, sql: &str) -> Self {
        let audit = Self::new(metrics, caller, statement_kind(sql), || redact_sql(sql, AUDIT_CHARS_MAX));
        let reader = (caller.role() == Role::Reader).then(|| sql.to_owned());
        Self { is_own: is_own_question(sql), reader, ..audit }
    }

    /// For rows that are written to a table.
    pub(crate) fn of_ingest(metrics: &Arc<Metrics>, caller: &Caller, table: &str) -> Self {
        Self::new(metrics, caller, "ingest", || table.to_owned())
    }

    fn new(metrics: &Arc<Metrics>, caller: &Caller, kind: &'static str, statement: impl FnOnce() -> String) -> Self {
        // A statement is not parsed if the log is off.
        let entry = is_on().then(|| AuditLine {
            user: caller.user().map(str::to_owned),
            role: caller.role().name(),
            peer: caller.peer(),
            statement: statement(),
        });
        Self { metrics: Arc::clone(metrics), kind, start: Instant::now(), is_own: false, entry, reader: None }
    }

    /// Notes a statement that answered with this.
    pub(crate) fn ended(self, result: Result<u64, Status>) -> Result<u64, Status> {
        let result = result.map_err(|status| self.shown(status));
        self.write(result.as_ref().copied().map_err(Status::code));
        result
    }

    /// Notes a statement that failed; else it goes on somewhere else, and is noted there.
    pub(crate) fn if_failed<T>(self, result: Result<T, Status>) -> Result<T, Status> {
        let result = result.map_err(|status| self.shown(status));
        if let Err(status) = &result {
            self.write(Err(status.code()));
        }
        result
    }

    /// The error as its caller may see it.
    fn shown(&self, status: Status) -> Status {
        match &self.reader {
            Some(statement) => without_paths(status, statement),
            None => status,
        }
    }

    /// The rows of a query, which is noted when they end.
    pub(crate) fn rows(self, rows: Batches) -> Batches {
        Audited { rows, audit: Some(self), num_rows: 0 }.boxed()
    }

    fn write(self, outcome: Result<u64, Code>) {
        let Self { metrics, kind, start, is_own, entry, reader: _ } = self;
        if is_own {
            return;
        }
        let (rows, name) = (outcome.unwrap_or(0), outcome.err().map_or("ok", name));
        metrics.statement(kind, name, rows, start.elapsed());
        if let Some(AuditLine { user, role, peer, statement }) = entry {
            line(user.as_deref(), role, peer, kind, outcome, start, &statement);
        }
    }
}

/// Writes the line of a caller that was not let in, with the name that it tried; its real name is not known.
pub(crate) fn sign_in_refused(
    metrics: &Metrics,
    metadata: &MetadataMap,
    peer: Option<SocketAddr>,
    start: Instant,
    refused: &Status,
) {
    metrics.sign_in_refused();
    let tried = tried_user(metadata).map(|user| user.chars().take(AUDIT_USER_CHARS_MAX).collect::<String>());
    line(tried.as_deref(), "none", peer, "sign in", Err(refused.code()), start, "");
}

fn is_on() -> bool {
    tracing::enabled!(target: TARGET, tracing::Level::INFO)
}

fn line(
    user: Option<&str>,
    role: &str,
    peer: Option<SocketAddr>,
    kind: &str,
    outcome: Result<u64, Code>,
    start: Instant,
    statement: &str,
) {
    let peer = peer.map_or("unknown".to_owned(), |peer| peer.to_string());
    let milliseconds = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (rows, outcome) = match outcome {
        Ok(rows) => (rows, "ok"),
        Err(code) => (0, name(code)),
    };
    // The statement is quoted, so that no line break in it begins a line of its own.
    tracing::info!(
        target: TARGET,
        user = user.unwrap_or("anonymous"),
        role,
        peer,
        kind,
        outcome,
        rows,
        milliseconds,
        statement,
    );
}

/// The kind of an error.
fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "ok",
        Code::InvalidArgument => "invalid input",
        Code::NotFound => "not found",
        Code::AlreadyExists => "already exists",
        Code::PermissionDenied => "permission denied",
        Code::Unauthenticated => "unauthenticated",
        Code::Unimplemented => "not supported",
        Code::Unavailable => "unavailable",
        Code::ResourceExhausted => "resource exhausted",
        Code::DataLoss => "corrupt",
        Code::Cancelled => "cancelled",
        Code::DeadlineExceeded => "timeout",
        _ => "internal",
    }
}

/// Rows that are counted. Dropped before their end, they were cancelled.
struct Audited {
    rows: Batches,
    audit: Option<Audit>,
    num_rows: u64,
}

impl Stream for Audited {
    type Item = Result<RecordBatch, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let audited = &mut *self;
        let next = audited.rows.poll_next_unpin(context).map_err(|status| match &audited.audit {
            Some(audit) => audit.shown(status),
            None => status,
        });
        let outcome = match &next {
            Poll::Ready(Some(Ok(batch))) => {
                self.num_rows += batch.num_rows() as u64;
                None
            }
            Poll::Ready(Some(Err(status))) => Some(Err(status.code())),
            Poll::Ready(None) => Some(Ok(self.num_rows)),
            Poll::Pending => None,
        };
        if let Some(outcome) = outcome
            && let Some(audit) = self.audit.take()
        {
            audit.write(outcome);
        }
        next
    }
}

impl Drop for Audited {
    fn drop(&mut self) {
        if let Some(audit) = self.audit.take() {
            audit.write(Err(Code::Cancelled));
        }
    }
}
