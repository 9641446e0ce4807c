//! Errors of the SQL engine: a small kind to act on, a rich message to read. Other libraries' errors become ours here only.

use std::fmt;

use arrow::error::ArrowError;
use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;
use ruvector_embed::ErrorKind as EmbedKind;
use ruvector_rulake::ErrorKind as LakeKind;
use ruvector_rulake::error::{find_ours, is_disk_full, is_generation_gone, without_backtrace};

/// The kind of an error: the reaction that it asks of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The statement or an argument is wrong: fix it; a retry cannot help.
    InvalidInput,
    /// No such table, column, index, backend or model.
    NotFound,
    /// The object exists already.
    AlreadyExists,
    /// The role of the session does not allow the statement.
    PermissionDenied,
    /// SQL that is understood, but that ruvector does not do.
    NotSupported,
    /// A backend or model hub did not answer, or a concurrent writer won: safe to retry.
    Unavailable,
    /// A limit was reached: memory, size, time or the room on a disk.
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

/// The words of operating systems for a disk or a quota that is full.
const DISK_FULL: [&str; 3] = ["No space left on device", "Disk quota exceeded", "not enough space on the disk"];

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `kind` that says `message`.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// An error of kind `InvalidInput`.
    pub fn invalid_input(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidInput, message)
    }

    /// An error of kind `NotSupported`.
    pub fn not_supported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotSupported, message)
    }

    /// The same error with another message.
    pub fn saying(self, message: String) -> Self {
        Self { message, ..self }
    }

    /// The same error, or that a disk is full, if that is underneath. Some libraries pass on the words only.
    fn or_disk_full(self) -> Self {
        let in_words = matches!(self.kind, ErrorKind::Internal | ErrorKind::Unavailable | ErrorKind::Corrupt)
            && DISK_FULL.iter().any(|words| self.message.contains(words));
        match in_words || is_disk_full(&self) {
            true => {
                let message = format!("no space left on the disk: free some and try again: {}", self.message);
                Self { kind: ErrorKind::ResourceExhausted, message, ..self }
            }
            false => self,
        }
    }

    /// The kind: the reaction that the error asks of the caller.
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

impl From<ruvector_rulake::Error> for Error {
    fn from(error: ruvector_rulake::Error) -> Self {
        // What came up through a plan may be another library's error, of which ruLake does not know the kind.
        let through_plan =
            std::error::Error::source(&error).and_then(|source| source.downcast_ref::<DataFusionError>());
        let kind = through_plan.map_or_else(|| lake_kind(error.kind()), |inner| classify(inner).0);
        Self { kind, message: error.to_string(), source: Some(Box::new(error)) }.or_disk_full()
    }
}

impl From<ruvector_embed::Error> for Error {
    fn from(error: ruvector_embed::Error) -> Self {
        Self { kind: embed_kind(error.kind()), message: error.to_string(), source: Some(Box::new(error)) }
    }
}

impl From<DataFusionError> for Error {
    fn from(error: DataFusionError) -> Self {
        let (kind, mut message) = classify(&error);
        if let Some(start) = error.diagnostic().and_then(|found| found.span).map(|span| span.start)
            && start.line > 0
            && !message.to_ascii_lowercase().contains("at line")
        {
            message = format!("{} (at line {}, column {})", message.trim_end_matches('.'), start.line, start.column);
        }
        Self { kind, message, source: Some(Box::new(error)) }.or_disk_full()
    }
}

/// The kind and the message of a DataFusion error, by what is at its root.
fn classify(error: &DataFusionError) -> (ErrorKind, String) {
    match error.find_root() {
        // Also where it comes up through the readers of files.
        root if let Some(lake) = find_ours(root) => (lake_kind(lake.kind()), lake.to_string()),
        root if is_generation_gone(root) => (lake_kind(LakeKind::GenerationGone), root.strip_backtrace()),
        DataFusionError::External(inner) => {
            if let Some(ours) = inner.downcast_ref::<Error>() {
                (ours.kind, ours.message.clone())
            } else if let Some(embed) = inner.downcast_ref::<ruvector_embed::Error>() {
                (embed_kind(embed.kind()), embed.to_string())
            } else {
                (ErrorKind::Internal, without_backtrace(&inner.to_string()))
            }
        }
        // What the user wrote.
        DataFusionError::Plan(message) if is_missing_table(message) => (ErrorKind::NotFound, message.clone()),
        DataFusionError::Plan(message) if message.contains(NO_SUCH_FUNCTION) => {
            (ErrorKind::InvalidInput, wrong_arguments(message))
        }
        DataFusionError::Plan(message) | DataFusionError::Configuration(message) => {
            (ErrorKind::InvalidInput, message.clone())
        }
        DataFusionError::SQL(inner, _) => (ErrorKind::InvalidInput, format!("SQL cannot be parsed: {inner}")),
        DataFusionError::SchemaError(inner, _) => match **inner {
            SchemaError::FieldNotFound { .. } => (ErrorKind::NotFound, inner.to_string()),
            _ => (ErrorKind::InvalidInput, inner.to_string()),
        },
        DataFusionError::NotImplemented(message) => (ErrorKind::NotSupported, without_debug_text(message)),
        DataFusionError::Internal(message) if message.contains("unnest on struct can only be applied at the root") => {
            let rule = "unnest() of a struct: expected a column of its own, beside columns that have other names than the input's";
            (ErrorKind::InvalidInput, rule.to_owned())
        }
        DataFusionError::Internal(message) => {
            (ErrorKind::Internal, format!("statement cannot be planned or run: {}", without_debug_text(message)))
        }
        // What the data did.
        DataFusionError::Execution(message) => (ErrorKind::InvalidInput, message.clone()),
        DataFusionError::ArrowError(inner, _) if matches!(**inner, ArrowError::MemoryError(_)) => {
            (ErrorKind::ResourceExhausted, inner.to_string())
        }
        DataFusionError::ArrowError(inner, _) => (ErrorKind::InvalidInput, inner.to_string()),
        DataFusionError::ResourcesExhausted(message) => (ErrorKind::ResourceExhausted, message.clone()),
        DataFusionError::ObjectStore(inner) => (ErrorKind::Unavailable, inner.to_string()),
        DataFusionError::ParquetError(inner) => (ErrorKind::Corrupt, inner.to_string()),
        other => (ErrorKind::Internal, other.strip_backtrace()),
    }
}

/// A message of DataFusion without the plan or expression that it prints for its developers, `Name(Name { field: ...`.
fn without_debug_text(message: &str) -> String {
    let message = message.split("\nThis issue was likely caused by a bug").next().unwrap_or(message);
    let message = message.split("\nbacktrace:").next().unwrap_or(message);
    match message.find(" { ") {
        Some(start) => {
            let before = &message[..start];
            let name = before.rfind(char::is_whitespace).map_or(0, |at| at + 1);
            let end = before[name..].find('(').map_or(start, |at| name + at);
            before[..end].trim_end().to_owned()
        }
        None => message.trim_end_matches('.').to_owned(),
    }
}

/// DataFusion has no error of its own for a missing table.
fn is_missing_table(message: &str) -> bool {
    message.starts_with("table '") && message.trim_end_matches('.').ends_with("not found")
}

/// The words with which DataFusion begins the argument types that a function was called with.
const NO_SUCH_FUNCTION: &str = "No function matches the given name and argument types";
/// The words before a function's own message about its arguments, in DataFusion's error.
const SAID: &str = "user-defined coercion failed with: Error during planning: ";

/// The error of a call whose arguments have types that the function does not take. DataFusion puts its own internal error
/// before it, which is none here: what the function said, or the types and the candidates, is what helps.
fn wrong_arguments(message: &str) -> String {
    let (before, after) = message.split_at(message.find(NO_SUCH_FUNCTION).unwrap_or(0));
    match before.split_once(SAID) {
        Some((_, said)) => said.trim_end_matches(['.', ' ', '\n']).to_owned(),
        None => after.to_owned(),
    }
}

fn lake_kind(kind: LakeKind) -> ErrorKind {
    match kind {
        LakeKind::InvalidInput => ErrorKind::InvalidInput,
        LakeKind::NotFound => ErrorKind::NotFound,
        LakeKind::AlreadyExists => ErrorKind::AlreadyExists,
        LakeKind::NotSupported => ErrorKind::NotSupported,
        LakeKind::Unavailable | LakeKind::GenerationGone | LakeKind::Io => ErrorKind::Unavailable,
        LakeKind::Corrupt | LakeKind::WitnessMismatch => ErrorKind::Corrupt,
        LakeKind::Cancelled => ErrorKind::Cancelled,
        _ => ErrorKind::Internal,
    }
}

fn embed_kind(kind: EmbedKind) -> ErrorKind {
    match kind {
        EmbedKind::InvalidInput => ErrorKind::InvalidInput,
        EmbedKind::NotFound => ErrorKind::NotFound,
        EmbedKind::Unavailable => ErrorKind::Unavailable,
        EmbedKind::Corrupt => ErrorKind::Corrupt,
        EmbedKind::Cancelled => ErrorKind::Cancelled,
        _ => ErrorKind::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_for_users() {
        for (message, expected) in [
            (
                "Physical plan does not support logical expression Exists(Exists { subquery: <subquery>, negated: false })",
                "Physical plan does not support logical expression Exists",
            ),
            (
                "Unsupported function avg.\nThis issue was likely caused by a bug in DataFusion's code.",
                "Unsupported function avg",
            ),
            ("unexpected field Field { name: \"a\" }", "unexpected field Field"),
            ("plain words", "plain words"),
        ] {
            assert_eq!(without_debug_text(message), expected);
        }
    }

    #[test]
    fn a_full_disk_is_an_exhausted_resource_in_every_layer() {
        let full = || std::io::Error::from(std::io::ErrorKind::StorageFull);
        let lake = ruvector_rulake::Error::unavailable("file cannot be written").with_source(full());
        let words = ruvector_rulake::Error::internal("write failed: No space left on device (os error 28)");
        for error in [Error::from(lake), Error::from(words), Error::from(DataFusionError::IoError(full()))] {
            assert_eq!(error.kind(), ErrorKind::ResourceExhausted, "{error}");
            assert!(error.to_string().starts_with("no space left on the disk"), "{error}");
        }
        let said = Error::from(DataFusionError::Plan("no column named 'No space left on device'".to_owned()));
        assert_eq!(said.kind(), ErrorKind::InvalidInput);
    }

    #[test]
    fn an_internal_error_of_datafusion_asks_nobody_to_report_it_there() {
        let error = Error::from(DataFusionError::Internal("no such thing".to_owned()));
        assert_eq!(error.kind(), ErrorKind::Internal);
        assert_eq!(error.to_string(), "statement cannot be planned or run: no such thing");
    }
}
