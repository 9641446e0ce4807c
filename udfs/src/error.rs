//! Errors of the SQL engine: a small kind to act on, a rich message to read.

use std::fmt;

/// What a caller can do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The statement or an argument is wrong: fix it; a retry cannot help.
    InvalidInput,
    /// No such table, column, index, backend or model.
    NotFound,
    /// The object exists already.
    AlreadyExists,
    /// SQL that is understood, but that ruvector does not do.
    NotSupported,
    /// A backend or model hub did not answer, or a concurrent writer won: safe to retry.
    Unavailable,
    /// A limit was reached: memory, size or time.
    ResourceExhausted,
    /// Stored bytes failed a check.
    Corrupt,
    /// The statement was cancelled.
    Cancelled,
    /// A bug in ruvector.
    Internal,
}

/// An error of the SQL engine.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `kind` that says `message`.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// What a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|e| e as _)
    }
}
