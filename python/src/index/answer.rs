//! Answers -> Python: named tuples for one query, arrays for many.

use numpy::{PyArray1, PyArray2, PyArrayMethods};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyList, PyTuple};
use ruvector_rabitq::Hit;

/// The id in the places of a row that have no answer.
const NO_ID: u64 = u64::MAX;

/// The hits as a list of `ruvector.Hit`.
pub(super) fn hits<'py>(py: Python<'py>, hits: &[Hit]) -> PyResult<Bound<'py, PyList>> {
    // The constructor of a named tuple is Python code; that of `tuple`, called for the class, is not.
    static NEW_TUPLE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    static HIT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let new_tuple =
        NEW_TUPLE.get_or_try_init(py, || py.get_type::<PyTuple>().getattr("__new__").map(Bound::unbind))?.bind(py);
    let class = HIT.get_or_try_init(py, || named_tuple(py, "Hit").map(Bound::unbind))?.bind(py);
    let hit = |hit: &Hit| new_tuple.call1((class, (hit.id, hit.distance)));
    PyList::new(py, hits.iter().map(hit).collect::<PyResult<Vec<_>>>()?)
}

/// Ids and scores of many queries as NumPy has them, `[num_queries, width]` each.
pub(super) type Arrays<'py> = (Bound<'py, PyArray2<u64>>, Bound<'py, PyArray2<f32>>);

/// Ids and scores of many queries, `[num_queries, width]` each.
pub(super) struct AnswerRows {
    width: usize,
    ids: Vec<u64>,
    scores: Vec<f32>,
}

impl AnswerRows {
    /// Fills the rows that are shorter than `width`.
    pub(super) fn new(width: usize, answers: &[Vec<Hit>]) -> Self {
        let mut ids = vec![NO_ID; answers.len() * width];
        let mut scores = vec![f32::INFINITY; answers.len() * width];
        for ((hits, ids), scores) in answers.iter().zip(ids.chunks_exact_mut(width)).zip(scores.chunks_exact_mut(width))
        {
            for ((hit, id), score) in hits.iter().zip(ids).zip(scores) {
                (*id, *score) = (hit.id, hit.distance);
            }
        }
        Self { width, ids, scores }
    }

    /// The two arrays.
    pub(super) fn into_arrays(self, py: Python<'_>) -> PyResult<Arrays<'_>> {
        let shape = [self.ids.len() / self.width, self.width];
        Ok((PyArray1::from_vec(py, self.ids).reshape(shape)?, PyArray1::from_vec(py, self.scores).reshape(shape)?))
    }
}

/// Tells which inner loops run in this process: `kernel`, the ones in use, and `available`, those that this CPU could
/// run, slowest first. The environment variable `RUVECTOR_KERNEL` forces one, before the first use.
///
/// Examples:
///     >>> import ruvector
///     >>> ruvector.cpu_features().available[0]
///     'scalar'
#[pyfunction]
pub(crate) fn cpu_features(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    let features = ruvector_rabitq::cpu_features();
    named_tuple(py, "CpuFeatures")?.call1((features.kernel, PyTuple::new(py, features.available)?))
}

fn named_tuple<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    py.import("ruvector._index")?.getattr(name)
}
