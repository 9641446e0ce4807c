//! Peers of `make bench-index` that have no Python module of their own: `ruvector-rabitq` 2.3.0, and the memory.

use pyo3::prelude::*;

mod bandwidth;
mod rabitq_v2;

#[pymodule]
mod ruvector_bench_peer {
    #[pymodule_export]
    use super::bandwidth::read_bandwidth;
    #[pymodule_export]
    use super::rabitq_v2::RabitqV2;
}
