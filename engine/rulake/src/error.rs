//! What went wrong: the error type of the index engine, which this crate shares, and the borders to other libraries.

use datafusion::error::DataFusionError;
use deltalake::DeltaTableError;

pub use ruvector_rabitq::{Error, ErrorKind, Result};

/// Our error inside a DataFusion error, or a new one of the kind that fits, with the DataFusion error as its source.
pub fn from_datafusion(error: DataFusionError) -> Error {
    if let Some(path) = missing_object(&error) {
        let gone = Error::new(ErrorKind::GenerationGone, "a file of this state is not there any more");
        return gone.with("file", path).with_source(error);
    }
    let (kind, message) = match error.find_root() {
        DataFusionError::External(inner) => {
            match (inner.downcast_ref::<Error>(), inner.downcast_ref::<DeltaTableError>()) {
                (Some(ours), _) => (ours.kind(), ours.to_string()),
                (_, Some(delta)) => (delta_kind(delta), delta.to_string()),
                _ => (ErrorKind::Internal, inner.to_string()),
            }
        }
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

/// The path of the object whose absence is underneath: readers wrap what the store said.
fn missing_object(error: &DataFusionError) -> Option<String> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(e) = cause {
        if let Some(object_store::Error::NotFound { path, .. }) = e.downcast_ref::<object_store::Error>() {
            return Some(path.clone());
        }
        // A box hides what is in it from those who ask for the inner type.
        cause = match e.downcast_ref::<parquet::errors::ParquetError>() {
            Some(parquet::errors::ParquetError::External(inner)) => Some(inner.as_ref()),
            _ => e.source(),
        };
    }
    None
}

/// Our error as one that DataFusion carries.
pub fn to_datafusion(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// Our error for one of the Delta library.
pub fn from_delta(error: DeltaTableError) -> Error {
    // What came up through a plan of ours is somewhere underneath.
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(e) = cause {
        if let Some(ours) = e.downcast_ref::<Error>() {
            return Error::new(ours.kind(), ours.to_string());
        }
        cause = e.source();
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
