//! The SQL engine in process, and the `ruvector` command.

mod engine;
mod input;
mod params;
mod rows;

pub(crate) use engine::{Engine, wait_for_readers};
pub(crate) use rows::Rows;

use std::ffi::OsString;

use pyo3::prelude::*;

/// Runs the `ruvector` command with `argv` (the program's name first) and returns its exit code.
#[pyfunction]
pub(crate) fn main(py: Python<'_>, argv: Vec<OsString>) -> i32 {
    py.detach(|| ruvector_cli::exit_code(argv, || {}).into())
}
