//! Errors: the error type of the index engine, which this crate shares, and conversions from and to errors of other libraries.

use std::error::Error as StdError;
use std::io;

use datafusion::error::DataFusionError;
use deltalake::DeltaTableError;

pub use ruvector_rabitq::{Error, ErrorKind, Result};

/// Our error anywhere underneath another one.
pub fn find_ours<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Error> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(ours) = error.downcast_ref() {
            return Some(ours);
        }
        cause = error.source();
    }
    None
}

/// Our error inside a DataFusion error, or a new one of the kind that fits, with the DataFusion error as its source.
pub fn from_datafusion(error: DataFusionError) -> Error {
    if find_ours(&error).is_none() && is_generation_gone(&error) {
        let gone = Error::new(ErrorKind::GenerationGone, "a file of this state is not there any more");
        return gone.with("reason", error.find_root().strip_backtrace()).with_source(error);
    }
    let (kind, message) = match error.find_root() {
        // Also where it comes up through the readers of files.
        root if let Some(ours) = find_ours(root) => (ours.kind(), ours.to_string()),
        DataFusionError::External(inner) => match inner.downcast_ref::<DeltaTableError>() {
            Some(delta) => (delta_kind(delta), without_backtrace(&delta.to_string())),
            None => (ErrorKind::Internal, without_backtrace(&inner.to_string())),
        },
        DataFusionError::Plan(message) | DataFusionError::Execution(message) => {
            (ErrorKind::InvalidInput, message.clone())
        }
        DataFusionError::ArrowError(inner, _) => (ErrorKind::InvalidInput, inner.to_string()),
        DataFusionError::NotImplemented(message) => (ErrorKind::NotSupported, message.clone()),
        DataFusionError::ObjectStore(inner) => (ErrorKind::Unavailable, inner.to_string()),
        other => (ErrorKind::Internal, other.strip_backtrace()),
    };
    Error::new(kind, message).with_source(error)
}

/// Returns true if the error says that a pinned state, or a file of it, is not there any more.
pub fn is_generation_gone(error: &DataFusionError) -> bool {
    if let Some(ours) = find_ours(error) {
        return ours.kind() == ErrorKind::GenerationGone;
    }
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(e) = cause {
        if let Some(object_store::Error::NotFound { .. }) = e.downcast_ref() {
            return true;
        }
        cause = e.source();
    }
    // The reader of Parquet footers passes on the text of the store's error, but not the error.
    let words = error.find_root().to_string();
    words.contains("Object Store error: Object at location") && words.contains("not found")
}

/// Our error as one that DataFusion carries.
pub fn to_datafusion(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// Our error for one of an object store.
pub(crate) fn from_object_store(error: object_store::Error) -> Error {
    use object_store::Error as StoreError;
    match error {
        StoreError::Generic { source, .. } | StoreError::NotFound { source, .. } if source.is::<Error>() => {
            *source.downcast().expect("it was just asked")
        }
        StoreError::NotFound { path, source } => {
            Error::not_found("object store has no such object").with("path", path).with("reason", source)
        }
        other => Error::unavailable("object store does not answer").with("reason", other),
    }
}

/// Our error for one of the Delta library.
pub fn from_delta(error: DeltaTableError) -> Error {
    // An error of our own plans is somewhere in the chain of causes.
    if let Some(ours) = find_ours(&error) {
        return Error::new(ours.kind(), ours.to_string());
    }
    Error::new(delta_kind(&error), without_backtrace(&error.to_string())).with_source(error)
}

/// A text without the backtrace that libraries put after it where `$RUST_BACKTRACE` is set.
pub fn without_backtrace(text: &str) -> String {
    let end = ["\n   0: ", "\n\nbacktrace:"].iter().filter_map(|mark| text.find(mark)).min();
    text[..end.unwrap_or(text.len())].trim_end().to_owned()
}

/// Returns true if an error is, or comes from, a disk or a quota that is full.
pub fn is_disk_full(error: &(dyn StdError + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<io::Error>()
            && matches!(io.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        {
            return true;
        }
        cause = error.source();
    }
    false
}

/// The kind of an error of the Delta kernel by its text: its type is not exported.
fn kernel_kind(text: &str) -> ErrorKind {
    let begins = |with: &str| text.starts_with(with);
    if begins("Unsupported") {
        ErrorKind::NotSupported
    } else if begins("Error interacting with object store") || begins("Reqwest Error") {
        ErrorKind::Unavailable
    } else {
        ErrorKind::Internal
    }
}

fn delta_kind(error: &DeltaTableError) -> ErrorKind {
    match error {
        DeltaTableError::NotATable(_) => ErrorKind::NotFound,
        DeltaTableError::ObjectStore { .. } | DeltaTableError::Transaction { .. } | DeltaTableError::Io { .. } => {
            ErrorKind::Unavailable
        }
        DeltaTableError::InvalidJsonLog { .. }
        | DeltaTableError::InvalidStatsJson { .. }
        | DeltaTableError::Parquet { .. }
        | DeltaTableError::MetadataError(_)
        | DeltaTableError::NoSchema => ErrorKind::Corrupt,
        DeltaTableError::KernelError(inner) => kernel_kind(&inner.to_string()),
        DeltaTableError::Kernel { source } => kernel_kind(&source.to_string()),
        DeltaTableError::SchemaMismatch { .. } | DeltaTableError::Arrow { .. } => ErrorKind::InvalidInput,
        _ => ErrorKind::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backtrace_is_no_part_of_a_message() {
        let text = "log is damaged\nat line 1\n   0: std::backtrace::create\n             at a.rs:1\n   1: main\n";
        assert_eq!(without_backtrace(text), "log is damaged\nat line 1");
        assert_eq!(without_backtrace("no plan\n\nbacktrace:    0: main"), "no plan");
        assert_eq!(without_backtrace("plain"), "plain");
    }

    #[test]
    fn a_full_disk_is_found_below_the_errors_of_libraries() {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        let store = object_store::Error::Generic { store: "local", source: Box::new(full()) };
        assert!(is_disk_full(&from_delta(DeltaTableError::from(store))));
        assert!(is_disk_full(&from_datafusion(DataFusionError::IoError(full()))));
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        assert!(!is_disk_full(&from_delta(DeltaTableError::from(denied))));
    }
}
