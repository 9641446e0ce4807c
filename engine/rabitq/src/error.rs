//! The error type of this crate: each [`Error`] has a message, and an [`ErrorKind`] that tells the caller's next step.

use std::error::Error as StdError;
use std::fmt;

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of this crate: a kind for the caller to act on, and a message that names the expected and the given value.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    context: Vec<(&'static str, String)>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The class of an [`Error`], by the action that is left to the caller.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request is wrong: fix the argument; a retry cannot help.
    InvalidInput,
    /// There is no such collection, index, bundle or file: create it, or ask for another.
    NotFound,
    /// The name is taken: choose another, or drop what holds it.
    AlreadyExists,
    /// The request is well formed, but this version or this kind does not do it: ask in another way.
    NotSupported,
    /// A backend did not answer: safe to retry.
    Unavailable,
    /// Stored bytes failed a check: rebuild from the backend.
    Corrupt,
    /// The caller asked to stop: nothing was changed.
    Cancelled,
    /// The file system refused: look at the path, its permissions and the space left.
    Io,
    /// The stored data was built from other bytes than the ones asked for: rebuild, or trust neither.
    WitnessMismatch,
    /// The generation a search began with is no longer there: start over with the current one.
    GenerationGone,
    /// A bug in ruvector: report it.
    Internal,
}

impl Error {
    /// Returns an error of the given kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), context: Vec::new(), source: None }
    }

    /// Returns an [`ErrorKind::InvalidInput`].
    pub fn invalid_input(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidInput, message)
    }

    /// Returns an [`ErrorKind::NotFound`].
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    /// Returns an [`ErrorKind::AlreadyExists`].
    pub fn already_exists(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::AlreadyExists, message)
    }

    /// Returns an [`ErrorKind::NotSupported`].
    pub fn not_supported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotSupported, message)
    }

    /// Returns an [`ErrorKind::Unavailable`].
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }

    /// Returns an [`ErrorKind::Corrupt`].
    pub fn corrupt(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Corrupt, message)
    }

    /// Returns an [`ErrorKind::Internal`].
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// Returns an [`ErrorKind::NotFound`] for a missing file, an [`ErrorKind::Io`] for everything else; the operating
    /// system's words stand in the message as `reason`.
    pub fn io(message: impl Into<String>, source: std::io::Error) -> Self {
        let kind = match source.kind() {
            std::io::ErrorKind::NotFound => ErrorKind::NotFound,
            _ => ErrorKind::Io,
        };
        Self::new(kind, message).with("reason", &source).with_source(source)
    }

    /// Adds a named value to the message: `.with("expected", 3).with("got", 4)`.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.context.push((name, value.to_string()));
        self
    }

    /// Adds the error underneath, for callers that walk [`std::error::Error::source`].
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Returns the kind, which tells the caller's next step.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The message without its named values.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The named values, in the order they were added.
    pub fn context(&self) -> &[(&'static str, String)] {
        &self.context
    }
}

impl fmt::Display for Error {
    /// Prints `message: expected 3, got 4`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        for (i, (name, value)) in self.context.iter().enumerate() {
            write!(f, "{} {name} {value}", if i == 0 { ":" } else { "," })?;
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_names_expected_and_got() {
        let error = Error::invalid_input("query has the wrong dimension").with("expected", 3).with("got", 4);
        assert_eq!(error.to_string(), "query has the wrong dimension: expected 3, got 4");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert_eq!(Error::internal("no context").to_string(), "no context");
    }

    #[test]
    fn io_error_keeps_its_reason_and_its_source() {
        let error = Error::io("cannot read the file", std::io::Error::from(std::io::ErrorKind::NotFound));
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert_eq!(error.to_string(), "cannot read the file: reason entity not found");
        assert!(error.source().is_some());
        let denied = Error::io("cannot read the file", std::io::Error::from(std::io::ErrorKind::PermissionDenied));
        assert_eq!(denied.kind(), ErrorKind::Io);
    }
}
