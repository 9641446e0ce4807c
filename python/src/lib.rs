//! The native module of the ruvector Python package.
//!
//! It is a border: it turns Python arguments into Arrow and Rust values, runs the work with the GIL released, and turns
//! errors into the classes of `ruvector.exceptions`. It decides nothing: what a statement means is said by
//! `ruvector_sql`, what an index answers by `ruvector_rabitq`, what a connection looks like by the Python sources
//! beside this crate.

mod error;

mod index;

mod process;

#[cfg(feature = "sql")]
mod runtime;

#[cfg(feature = "sql")]
mod sql;

use pyo3::prelude::*;

/// `ruvector._native`, or `ruvector_sql._native` in the wheel with the SQL engine.
#[pymodule(name = "_native")]
mod native {
    use super::{Bound, PyModule, PyModuleMethods, PyResult};

    #[pymodule_export]
    use super::index::{
        FlatF32Index, IdFilter, Index, IvfRabitqIndex, RabitqAsymIndex, RabitqIndex, RabitqPlusIndex, cpu_features,
    };

    #[cfg(feature = "sql")]
    #[pymodule_export]
    use super::sql::{Engine, Rows, main, wait_for_readers};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        module.add("has_sql", cfg!(feature = "sql"))
    }
}
