//! Errors: a small kind to act on, a message to read.

use std::error::Error as StdError;
use std::fmt;

/// The kind of an [`Error`]: the reaction that it asks of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request is wrong: fix the argument; a retry cannot help.
    InvalidInput,
    /// No such model, or no runtime library to run it: the message says where it was looked for.
    NotFound,
    /// The hub did not answer: safe to retry.
    Unavailable,
    /// Bytes failed a check: fetch or build the model again.
    Corrupt,
    /// The caller asked for the work to stop.
    Cancelled,
    /// A bug in ruvector.
    Internal,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InvalidInput => "invalid input",
            Self::NotFound => "not found",
            Self::Unavailable => "unavailable",
            Self::Corrupt => "corrupt",
            Self::Cancelled => "cancelled",
            Self::Internal => "internal error",
        })
    }
}

/// A failure of this crate: a kind, a message, facts that belong to it, and the error underneath.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    context: Vec<(&'static str, String)>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The result of everything here that may fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, message: message.into(), context: Vec::new(), source: None }))
    }

    pub(crate) fn invalid_input(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidInput, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }

    pub(crate) fn corrupt(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Corrupt, message)
    }

    pub(crate) fn cancelled(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Cancelled, message)
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// Adds a fact to the message, such as what was expected and what was got.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl fmt::Display) -> Self {
        self.0.context.push((key, value.to_string()));
        self
    }

    pub(crate) fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The same kind with another message, and neither facts nor source: they name files.
    #[must_use]
    pub fn with_message(self, message: impl Into<String>) -> Self {
        Self::new(self.0.kind, message)
    }

    /// The kind: the reaction that the error asks of the caller.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The message alone, without facts and source.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The facts, in the order they were added.
    pub fn context(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.context.iter().map(|(key, value)| (*key, value.as_str()))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        for (i, (key, value)) in self.0.context.iter().enumerate() {
            let before = if i == 0 { " (" } else { ", " };
            write!(f, "{before}{key}: {value}")?;
        }
        if !self.0.context.is_empty() {
            f.write_str(")")?;
        }
        if let Some(source) = &self.0.source {
            write!(f, ": {source}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.0.kind)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_carries_its_facts_and_its_source() {
        let error = Error::corrupt("wrong digest").with("expected", "aa").with("got", "bb").with_source("disk");
        assert_eq!(error.to_string(), "wrong digest (expected: aa, got: bb): disk");
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert_eq!(error.context().collect::<Vec<_>>(), [("expected", "aa"), ("got", "bb")]);
        let other = error.with_message("no good");
        assert_eq!((other.kind(), other.to_string().as_str()), (ErrorKind::Corrupt, "no good"));
    }
}
