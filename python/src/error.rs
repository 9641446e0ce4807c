//! Rust errors -> `ruvector.exceptions`. The only place that maps them.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use ruvector_udfs::{Error, ErrorKind};

/// The Python exception for an error of the SQL engine.
pub(crate) fn to_py(py: Python<'_>, error: &Error) -> PyErr {
    let class = match error.kind() {
        ErrorKind::InvalidInput => "InvalidInput",
        ErrorKind::NotFound => "NotFound",
        ErrorKind::AlreadyExists => "AlreadyExists",
        ErrorKind::NotSupported => "NotSupported",
        ErrorKind::Unavailable => "Unavailable",
        ErrorKind::ResourceExhausted => "ResourceExhausted",
        ErrorKind::Corrupt => "Corrupt",
        ErrorKind::Cancelled => "Cancelled",
        _ => "InternalError",
    };
    new(py, class, &error.to_string())
}

/// `ruvector.InvalidInput`, for an argument that never reaches the engine.
pub(crate) fn invalid_input(py: Python<'_>, message: &str) -> PyErr {
    new(py, "InvalidInput", message)
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
