//! What went wrong: the error type of the index engine, which this crate shares, and the borders to other libraries.

use std::error::Error as StdError;

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
            Some(delta) => (delta_kind(delta), delta.to_string()),
            None => (ErrorKind::Internal, inner.to_string()),
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

/// Whether the error is that a file of a pinned state is not there any more.
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
    // The reader of Parquet footers passes on the words of the store, but not its error.
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
    // What came up through a plan of ours is somewhere underneath.
    if let Some(ours) = find_ours(&error) {
        return Error::new(ours.kind(), ours.to_string());
    }
    Error::new(delta_kind(&error), error.to_string())
}

fn delta_kind(error: &DeltaTableError) -> ErrorKind {
    match error {
        DeltaTableError::NotATable(_) => ErrorKind::NotFound,
        DeltaTableError::ObjectStore { .. } | DeltaTableError::Transaction { .. } => ErrorKind::Unavailable,
        DeltaTableError::SchemaMismatch { .. } | DeltaTableError::Arrow { .. } => ErrorKind::InvalidInput,
        _ => ErrorKind::Internal,
    }
}
