//! `ruvector-rabitq` 2.3.0: its reranking index, by its public functions.

use numpy::{IntoPyArray, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use rayon::prelude::*;
use ruvector_rabitq_v2::{AnnIndex, RabitqError, RabitqPlusIndex, RandomRotationKind};

/// `RabitqPlusIndex` of the crate. It has no batch search; ours runs its single search on all threads.
#[pyclass(frozen, module = "ruvector_bench_peer")]
pub struct RabitqV2 {
    index: RabitqPlusIndex,
}

#[pymethods]
impl RabitqV2 {
    /// Builds it over the rows of `vectors`, whose ids are their numbers. `rotation` is `haar` or `hadamard`.
    #[new]
    #[pyo3(signature = (vectors, *, seed = 42, rotation = "haar"))]
    fn new(py: Python<'_>, vectors: PyReadonlyArray2<'_, f32>, seed: u64, rotation: &str) -> PyResult<Self> {
        let kind = match rotation {
            "haar" => RandomRotationKind::HaarDense,
            "hadamard" => RandomRotationKind::HadamardSigned,
            other => return Err(PyValueError::new_err(format!("rotation: expected haar or hadamard, got {other}"))),
        };
        let dim = vectors.as_array().ncols();
        let values = vectors.as_slice()?;
        let index = py.detach(|| {
            let items = values.chunks_exact(dim).map(<[f32]>::to_vec).enumerate().collect();
            RabitqPlusIndex::from_vectors_parallel_with_rotation(dim, seed, 1, kind, items)
        });
        Ok(Self { index: index.map_err(to_py)? })
    }

    /// Bytes of memory held, in the crate's own count.
    #[getter]
    fn memory_bytes(&self) -> usize {
        self.index.memory_bytes()
    }

    /// Returns the ids of the `k` nearest vectors, nearest first.
    fn search<'py>(
        &self,
        py: Python<'py>,
        query: PyReadonlyArray1<'_, f32>,
        k: usize,
        rerank_factor: usize,
    ) -> PyResult<Bound<'py, PyArray1<u64>>> {
        let query = query.as_slice()?;
        Ok(py.detach(|| self.ids(query, k, rerank_factor))?.into_pyarray(py))
    }

    /// Returns the ids of the `k` nearest vectors of each query, on all threads.
    fn search_batch<'py>(
        &self,
        py: Python<'py>,
        queries: PyReadonlyArray2<'_, f32>,
        k: usize,
        rerank_factor: usize,
    ) -> PyResult<Bound<'py, PyArray2<u64>>> {
        let queries = queries.as_slice()?;
        let rows: Vec<Vec<u64>> = py.detach(|| {
            queries
                .par_chunks_exact(self.index.dim())
                .map(|query| self.ids(query, k, rerank_factor))
                .collect::<PyResult<_>>()
        })?;
        let shape = [rows.len(), rows.first().map_or(0, Vec::len)];
        rows.concat().into_pyarray(py).reshape(shape)
    }
}

impl RabitqV2 {
    fn ids(&self, query: &[f32], k: usize, rerank_factor: usize) -> PyResult<Vec<u64>> {
        let hits = self.index.search_with_rerank(query, k, rerank_factor).map_err(to_py)?;
        Ok(hits.into_iter().map(|hit| hit.id as u64).collect())
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the argument of map_err")]
fn to_py(error: RabitqError) -> PyErr {
    PyValueError::new_err(error.to_string())
}
