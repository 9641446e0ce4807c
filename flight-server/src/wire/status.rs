//! From the engine's errors to gRPC statuses. The only place that does it.
//!
//! A status carries the kind as its code and the error's text as its message: no Rust debug output, which no user
//! should have to read.

use arrow_flight::error::FlightError;
use datafusion::error::DataFusionError;
use ruvector_sql::{Error, ErrorKind};
use tokio::task::JoinError;
use tonic::{Code, Status};

use crate::config::ERROR_CHARS_MAX;
use crate::wire::ipc::Malformed;

/// The status that says what `error` says.
pub fn status(error: &Error) -> Status {
    Status::new(code(error.kind()), shortened(error.to_string()))
}

/// An error may quote the whole statement. It travels in a header, and most clients refuse the connection for a large one.
fn shortened(mut message: String) -> String {
    if let Some((end, _)) = message.char_indices().nth(ERROR_CHARS_MAX) {
        message.truncate(end);
        message.push_str("...");
    }
    message
}

/// The status of an error that came out of a running stream.
pub(crate) fn stream_status(error: DataFusionError) -> Status {
    match error.find_root() {
        DataFusionError::External(source) if let Some(error) = source.downcast_ref::<Error>() => status(error),
        _ => status(&Error::from(error)),
    }
}

/// The status of a task of the engine that panicked or was stopped.
pub(crate) fn task_status(error: &JoinError) -> Status {
    if error.is_cancelled() { Status::cancelled("the server is stopping") } else { panic_status() }
}

/// The status of what panicked.
pub(crate) fn panic_status() -> Status {
    Status::internal("the statement failed in an unexpected way: this is a bug in ruvector, see the server's log")
}

/// The status of Arrow data from a client that cannot be read.
pub(crate) fn decode_status(error: FlightError) -> Status {
    match error {
        FlightError::Tonic(status) => *status,
        FlightError::DecodeError(message) | FlightError::ProtocolError(message) => {
            Status::invalid_argument(shortened(message))
        }
        other => Status::invalid_argument(shortened(other.to_string())),
    }
}

/// The status of Arrow data from a client whose sizes do not fit. It may quote a name that the client chose.
impl From<Malformed> for Status {
    fn from(error: Malformed) -> Self {
        Self::invalid_argument(shortened(error.to_string()))
    }
}

/// The status of an Arrow operation on our own data that should not have failed.
pub fn internal(error: impl std::fmt::Display) -> Status {
    Status::internal(error.to_string())
}

/// The innermost cause of an error: the layers above it only say where the error occurred.
pub fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

fn code(kind: ErrorKind) -> Code {
    match kind {
        ErrorKind::InvalidInput => Code::InvalidArgument,
        ErrorKind::NotFound => Code::NotFound,
        ErrorKind::AlreadyExists => Code::AlreadyExists,
        ErrorKind::PermissionDenied => Code::PermissionDenied,
        ErrorKind::NotSupported => Code::Unimplemented,
        ErrorKind::Unavailable => Code::Unavailable,
        ErrorKind::ResourceExhausted => Code::ResourceExhausted,
        ErrorKind::Corrupt => Code::DataLoss,
        ErrorKind::Cancelled => Code::Cancelled,
        // A kind that this version does not know is as unexpected as a bug.
        _ => Code::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_has_the_code_of_the_kind_and_the_text_of_the_error() {
        for (kind, expected) in [
            (ErrorKind::InvalidInput, Code::InvalidArgument),
            (ErrorKind::NotFound, Code::NotFound),
            (ErrorKind::AlreadyExists, Code::AlreadyExists),
            (ErrorKind::PermissionDenied, Code::PermissionDenied),
            (ErrorKind::NotSupported, Code::Unimplemented),
            (ErrorKind::Unavailable, Code::Unavailable),
            (ErrorKind::ResourceExhausted, Code::ResourceExhausted),
            (ErrorKind::Corrupt, Code::DataLoss),
            (ErrorKind::Cancelled, Code::Cancelled),
            (ErrorKind::Internal, Code::Internal),
        ] {
            let status = status(&Error::new(kind, "k must be at least 1, got 0"));
            assert_eq!((status.code(), status.message()), (expected, "k must be at least 1, got 0"));
        }
    }

    #[test]
    fn a_long_message_is_cut() {
        let status = status(&Error::new(ErrorKind::InvalidInput, "ä".repeat(1 << 20)));
        assert_eq!(status.message().chars().count(), ERROR_CHARS_MAX + 3);
        assert!(status.message().ends_with("ä..."));
    }

    #[test]
    fn bad_bytes_from_a_client_are_its_fault() {
        let status = decode_status(FlightError::DecodeError("truncated".into()));
        assert_eq!((status.code(), status.message()), (Code::InvalidArgument, "truncated"));
    }
}
