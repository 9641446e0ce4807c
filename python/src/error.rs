//! Rust errors -> `ruvector.exceptions`. The only place that maps them.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use ruvector_rabitq as rabitq;

/// The Python exception for an error of the SQL engine.
#[cfg(feature = "sql")]
pub(crate) fn to_py(py: Python<'_>, error: &ruvector_sql::Error) -> PyErr {
    use ruvector_sql::ErrorKind;
    let class = match error.kind() {
        ErrorKind::InvalidInput => "InvalidInput",
        ErrorKind::NotFound => "NotFound",
        ErrorKind::AlreadyExists => "AlreadyExists",
        ErrorKind::PermissionDenied => "PermissionDenied",
        ErrorKind::NotSupported => "NotSupported",
        ErrorKind::Unavailable => "Unavailable",
        ErrorKind::ResourceExhausted => "ResourceExhausted",
        ErrorKind::Corrupt => "Corrupt",
        ErrorKind::Cancelled => "Cancelled",
        _ => "InternalError",
    };
    new(py, class, &error.to_string())
}

/// The Python exception for an error of an index in memory.
pub(crate) fn index(py: Python<'_>, error: &rabitq::Error) -> PyErr {
    let class = match error.kind() {
        rabitq::ErrorKind::InvalidInput => "InvalidInput",
        rabitq::ErrorKind::AlreadyExists => "AlreadyExists",
        rabitq::ErrorKind::NotSupported => "NotSupported",
        rabitq::ErrorKind::Cancelled => "Cancelled",
        _ => "InternalError",
    };
    new(py, class, &error.to_string())
}

/// The Python exception for an error of saving or loading an index.
pub(crate) fn persist(py: Python<'_>, error: &rabitq::Error) -> PyErr {
    let class = match error.kind() {
        rabitq::ErrorKind::NotFound => "IndexFileNotFound",
        rabitq::ErrorKind::Corrupt => "IndexFileCorrupt",
        _ => "PersistError",
    };
    new(py, class, &error.to_string())
}

/// `ruvector.InvalidInput`, for an argument that never reaches the engine.
pub(crate) fn invalid_input(py: Python<'_>, message: &str) -> PyErr {
    new(py, "InvalidInput", message)
}

/// `ruvector.DimensionMismatch`; `what` is the subject and verb: `query has`.
pub(crate) fn dimension_mismatch(py: Python<'_>, what: &str, expected: usize, got: usize) -> PyErr {
    new(py, "DimensionMismatch", &format!("{what} the wrong dimension: expected {expected}, got {got}"))
}

/// `ruvector.EmptyIndex`.
pub(crate) fn empty_index(py: Python<'_>) -> PyErr {
    new(py, "EmptyIndex", "the index has no vectors to search: add some first")
}

/// `ruvector.NotFound`, which is a `LookupError`.
pub(crate) fn not_found(py: Python<'_>, message: &str) -> PyErr {
    new(py, "NotFound", message)
}

/// `ruvector.Unavailable`.
pub(crate) fn unavailable(py: Python<'_>, message: &str) -> PyErr {
    new(py, "Unavailable", message)
}

/// `ruvector.InternalError`: a bug in ruvector.
pub(crate) fn internal(py: Python<'_>, message: &str) -> PyErr {
    new(py, "InternalError", message)
}

fn new(py: Python<'_>, class: &str, message: &str) -> PyErr {
    static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let exception = MODULE
        .get_or_try_init(py, || py.import("ruvector.exceptions").map(Bound::unbind))
        .and_then(|module| module.bind(py).getattr(class))
        .and_then(|class| class.call1((message,)));
    match exception {
        Ok(exception) => PyErr::from_value(exception),
        Err(import_error) => import_error,
    }
}
