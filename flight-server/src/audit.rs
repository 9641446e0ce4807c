//! The audit log: one line for each statement, under the target `ruvector::audit`, when it has ended.
//!
//! A query ends when its rows do; one whose client goes away before that is `cancelled`. A statement that cannot be planned
//! ends there. The text is cut, and has no secrets; the message of an error is not in the line, for it may quote the statement.

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use arrow::array::RecordBatch;
use futures::{Stream, StreamExt};
use ruvector_udfs::{shown_sql, statement_kind};
use tonic::{Code, Status};

use crate::config::AUDIT_CHARS_MAX;
use crate::encode::Batches;
use crate::session::Caller;

const TARGET: &str = "ruvector::audit";

/// The line of a statement that has not ended yet.
pub(crate) struct Audit(Option<Entry>);

struct Entry {
    user: Option<String>,
    role: &'static str,
    peer: Option<SocketAddr>,
    kind: &'static str,
    statement: String,
    start: Instant,
}

impl Audit {
    /// For a statement as SQL.
    pub(crate) fn of_statement(caller: &Caller, sql: &str) -> Self {
        // A statement is not taken apart if nobody reads the log.
        match is_on() {
            true => Self::new(caller, statement_kind(sql), shown_sql(sql, AUDIT_CHARS_MAX)),
            false => Self(None),
        }
    }

    /// For rows that are written to a table.
    pub(crate) fn of_ingest(caller: &Caller, table: &str) -> Self {
        match is_on() {
            true => Self::new(caller, "ingest", table.to_owned()),
            false => Self(None),
        }
    }

    fn new(caller: &Caller, kind: &'static str, statement: String) -> Self {
        Self(Some(Entry {
            user: caller.user().map(str::to_owned),
            role: caller.role().name(),
            peer: caller.peer(),
            kind,
            statement,
            start: Instant::now(),
        }))
    }

    /// Writes the line of a statement that answered with this.
    pub(crate) fn ended(self, result: Result<u64, Status>) -> Result<u64, Status> {
        self.write(result.as_ref().copied().map_err(Status::code));
        result
    }

    /// Writes the line if the statement failed; else it goes on somewhere else, and has its line there.
    pub(crate) fn if_failed<T>(self, result: Result<T, Status>) -> Result<T, Status> {
        if let Err(status) = &result {
            self.write(Err(status.code()));
        }
        result
    }

    /// The rows of a query, whose line is written when they end.
    pub(crate) fn rows(self, rows: Batches) -> Batches {
        match self.0 {
            Some(entry) => Audited { rows, entry: Some(entry), num_rows: 0 }.boxed(),
            None => rows,
        }
    }

    fn write(self, outcome: Result<u64, Code>) {
        if let Some(entry) = self.0 {
            entry.write(outcome);
        }
    }
}

impl Entry {
    fn write(self, outcome: Result<u64, Code>) {
        let Self { user, role, peer, kind, statement, start } = self;
        line(user.as_deref(), role, peer, kind, outcome, start, &statement);
    }
}

/// Writes the line of somebody who was not let in. Who it was is not known.
pub(crate) fn sign_in_refused(peer: Option<SocketAddr>, start: Instant, refused: &Status) {
    line(None, "none", peer, "sign in", Err(refused.code()), start, "");
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
    entry: Option<Entry>,
    num_rows: u64,
}

impl Stream for Audited {
    type Item = Result<RecordBatch, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.rows.poll_next_unpin(context);
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
            && let Some(entry) = self.entry.take()
        {
            entry.write(outcome);
        }
        next
    }
}

impl Drop for Audited {
    fn drop(&mut self) {
        if let Some(entry) = self.entry.take() {
            entry.write(Err(Code::Cancelled));
        }
    }
}
