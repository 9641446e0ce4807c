//! The vector indexes: one base with everything that they share, and a class for each kind.
//!
//! Any number of threads may search at once; a change waits for them, and they for it. The lock is taken with the GIL
//! released and given back before the GIL is taken again, so neither waits for the other.

use std::path::PathBuf;
use std::sync::{Arc, RwLock};

use numpy::ndarray::ArrayView2;
use numpy::{PyArray1, PyArray2, PyArrayMethods, PyUntypedArrayMethods};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyType};
use ruvector_rabitq::{BuildParams, Dim, Progress, SearchParams, VectorBatch, VectorIndex};

use crate::{error, process};

mod answer;
mod argument;
mod build;
mod filter;

use answer::Arrays;
pub(crate) use answer::cpu_features;
use argument::{Ids, Matrix, Vector};
pub(crate) use filter::IdFilter;

/// The state of an index at one time. Changes copy it first if another reader holds it.
type State = Arc<Box<dyn VectorIndex>>;

/// The common part of the index classes. It has no constructor: each class has `build` and `load`.
///
/// Any number of threads may search one index at once; `add`, `add_batch` and `remove` wait for them. Every method
/// releases the GIL around its work.
#[pyclass(frozen, subclass, mapping, module = "ruvector._native", name = "_Index")]
#[derive(Debug)]
pub(crate) struct Index {
    state: RwLock<State>,
    dim: Dim,
}

impl Index {
    fn new(index: Box<dyn VectorIndex>) -> Self {
        let dim = index.dim();
        Self { state: RwLock::new(Arc::new(index)), dim }
    }

    fn read<T: Send>(&self, py: Python<'_>, work: impl FnOnce(&State) -> T + Send) -> PyResult<T> {
        let read = py.detach(|| {
            // A lock that another thread held at the fork is held for ever in the child.
            let state = if process::is_forked() { self.state.try_read().ok() } else { self.state.read().ok() };
            state.map(|state| work(&state))
        });
        read.ok_or_else(|| broken(py))
    }

    fn write<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut dyn VectorIndex) -> ruvector_rabitq::Result<T> + Send,
    ) -> PyResult<T> {
        process::check(py)?;
        py.detach(|| self.state.write().ok().map(|mut state| work(Arc::make_mut(&mut state).as_mut())))
            .ok_or_else(|| broken(py))?
            .map_err(|e| error::index(py, &e))
    }

    /// Runs a search, unless there is nothing to search.
    fn ask<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&dyn VectorIndex) -> ruvector_rabitq::Result<T> + Send,
    ) -> PyResult<T> {
        self.read(py, |state| (!state.is_empty()).then(|| work(&***state)))?
            .ok_or_else(|| error::empty_index(py))?
            .map_err(|e| error::index(py, &e))
    }

    fn check_dim(&self, py: Python<'_>, what: &str, got: usize) -> PyResult<()> {
        let expected = self.dim.get();
        if got == expected { Ok(()) } else { Err(error::dimension_mismatch(py, what, expected, got)) }
    }

    fn nearest<'py>(&self, query: &Bound<'py, PyAny>, params: &SearchParams<'_>) -> PyResult<Bound<'py, PyList>> {
        let py = query.py();
        let query = Vector::new("query", query)?;
        let values = query.values();
        self.check_dim(py, "query has", values.len())?;
        answer::hits(py, &self.ask(py, |index| index.search(values, params))?)
    }

    fn nearest_batch<'py>(&self, queries: &Bound<'py, PyAny>, params: &SearchParams<'_>) -> PyResult<Arrays<'py>> {
        let py = queries.py();
        let queries = Matrix::new("queries", queries)?;
        self.check_dim(py, "queries have", queries.dim())?;
        let values = queries.values();
        process::check(py)?;
        let rows = self.ask(py, |index| {
            let answers = index.search_batch(VectorBatch::new(self.dim, values)?, params)?;
            Ok(answer::AnswerRows::new(params.k.min(index.len()), &answers))
        })?;
        rows.into_arrays(py)
    }

    /// The ids and originals as they are now: the arrays stay as they are when the index changes.
    fn frozen<'py>(slf: &Bound<'py, Self>) -> PyResult<(Vec<u64>, Bound<'py, PyArray2<f32>>)> {
        let py = slf.py();
        let state = slf.get().read(py, State::clone)?;
        let ids = state.ids();
        let holder = Bound::new(py, Frozen(state))?;
        let state = &holder.get().0;
        let Some(vectors) = state.vectors() else {
            return Err(PyTypeError::new_err(without_originals(&slf.get_type())));
        };
        let shape = (ids.len(), state.dim().get());
        let view = ArrayView2::from_shape(shape, vectors).expect("the originals are all rows of all vectors");
        // SAFETY: the array refers to `holder`, which holds the state and never lets it go; and as long as anybody else
        // holds a state, `write` changes a copy of it.
        let array = unsafe { PyArray2::borrow_from_array(&view, holder.clone().into_any()) };
        array.readwrite().make_nonwriteable();
        Ok((ids, array))
    }
}

/// Holds a state for the arrays that lie in it.
#[pyclass(frozen, module = "ruvector._native", name = "_Frozen")]
struct Frozen(State);

fn broken(py: Python<'_>) -> PyErr {
    error::internal(py, "an earlier change of this index failed halfway: load or build it again")
}

fn without_originals(class: &Bound<'_, PyType>) -> String {
    let name = class.name().map_or_else(|_| "this index".to_owned(), |name| name.to_string());
    format!("this {name} keeps no originals: RabitqPlusIndex does")
}

#[pymethods]
impl Index {
    /// Return the nearest vectors to `query` as `Hit(id, score)`, nearest first; ties by smaller id.
    ///
    /// There are `k` of them, or as many as there are vectors whose id is in `filter`. `score` is the distance by the
    /// metric of the index, smaller is nearer: *squared* L2, the negated inner product, or one minus the cosine. It is
    /// exact if the index keeps the vectors, else an estimate.
    ///
    /// `query` is a float32 array of shape `(dim,)`; a list of floats is copied. At least `k * rerank_factor`
    /// candidates are ranked by exact distance; `epsilon` is the width of the error bound in standard deviations: less is
    /// faster and may miss an answer. `None` is what the index was built with.
    ///
    /// Raises `DimensionMismatch`, `EmptyIndex` if there are no vectors at all, and `InvalidInput` if `k` is 0 or a
    /// component is not finite or, but for cosine, above 1e16 in magnitude: squared distances of larger ones overflow.
    ///
    /// Examples:
    ///     >>> import numpy as np, ruvector
    ///     >>> vectors = np.array([[0, 0], [3, 4], [1, 0]], dtype=np.float32)
    ///     >>> index = ruvector.RabitqPlusIndex.build(vectors, ids=[10, 20, 30])
    ///     >>> index.search([0, 0], k=2)
    ///     [Hit(id=10, score=0.0), Hit(id=30, score=1.0)]
    ///     >>> index.search([0, 0], k=2, filter=ruvector.IdFilter([20]))
    ///     [Hit(id=20, score=25.0)]
    #[pyo3(signature = (query, k=10, *, filter=None, rerank_factor=None, epsilon=None))]
    fn search<'py>(
        &self,
        query: &Bound<'py, PyAny>,
        k: i128,
        filter: Option<&Bound<'py, PyAny>>,
        rerank_factor: Option<i128>,
        epsilon: Option<f32>,
    ) -> PyResult<Bound<'py, PyList>> {
        self.nearest(query, &search_params(query.py(), k, filter, rerank_factor, None, epsilon)?)
    }

    /// Return what `search` would for each row of `queries`, on all cores, as `(ids, scores)`.
    ///
    /// `queries` is a C-contiguous float32 array of shape `(num_queries, dim)`, read without a copy. `ids` is uint64
    /// and `scores` float32, both of shape `(num_queries, min(k, len(index)))`. Where a filter leaves fewer answers,
    /// the rest of the row has the id `2**64 - 1` and the score infinity.
    ///
    /// Raises as `search` does, before anything is searched.
    ///
    /// Examples:
    ///     >>> import numpy as np, ruvector
    ///     >>> vectors = np.eye(4, dtype=np.float32)
    ///     >>> index = ruvector.FlatF32Index.build(vectors)
    ///     >>> ids, scores = index.search_batch(vectors[2:], k=2)
    ///     >>> ids.tolist(), scores.tolist()
    ///     ([[2, 0], [3, 0]], [[0.0, 2.0], [0.0, 2.0]])
    #[pyo3(signature = (queries, k=10, *, filter=None, rerank_factor=None, epsilon=None))]
    fn search_batch<'py>(
        &self,
        queries: &Bound<'py, PyAny>,
        k: i128,
        filter: Option<&Bound<'py, PyAny>>,
        rerank_factor: Option<i128>,
        epsilon: Option<f32>,
    ) -> PyResult<Arrays<'py>> {
        self.nearest_batch(queries, &search_params(queries.py(), k, filter, rerank_factor, None, epsilon)?)
    }

    /// Return every vector whose score is at most `radius` as `Hit(id, score)`, nearest first; ties by smaller id.
    ///
    /// `radius` is in units of the score: the *square* of a Euclidean distance. `query` and `filter` are those of
    /// `search`, and so are the errors; `InvalidInput` also if `radius` is not a number.
    ///
    /// Examples:
    ///     >>> import numpy as np, ruvector
    ///     >>> index = ruvector.FlatF32Index.build(np.array([[0], [1], [2], [3]], dtype=np.float32))
    ///     >>> index.range_search([0], radius=4)
    ///     [Hit(id=0, score=0.0), Hit(id=1, score=1.0), Hit(id=2, score=4.0)]
    #[pyo3(signature = (query, radius, *, filter=None))]
    fn range_search<'py>(
        &self,
        query: &Bound<'py, PyAny>,
        radius: f32,
        filter: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyList>> {
        let py = query.py();
        let filter = filter::ids(filter)?;
        let query = Vector::new("query", query)?;
        let values = query.values();
        self.check_dim(py, "query has", values.len())?;
        answer::hits(py, &self.ask(py, |index| index.range_search(values, radius, filter))?)
    }

    /// Append one vector under a new id. `vector` is a float32 array of shape `(dim,)`, or a list of floats.
    ///
    /// Raises as `add_batch` does; nothing is changed then.
    fn add(&self, id: &Bound<'_, PyAny>, vector: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = id.py();
        let id = argument::id(id)?;
        let vector = Vector::new("vector", vector)?;
        let values = vector.values();
        self.check_dim(py, "vector has", values.len())?;
        self.write(py, |index| index.add(id, values))
    }

    /// Append vectors under new ids, without a rebuild: what `build` learned from the data stays as it is.
    ///
    /// `ids` is an integer array of shape `(n,)` or an iterable of ints, `vectors` a C-contiguous float32 array of
    /// shape `(n, dim)`.
    ///
    /// Raises `AlreadyExists` if the index has an id, `DimensionMismatch`, and `InvalidInput` if two ids are equal, if
    /// there are more or fewer of them than vectors, or if a component is not finite or, but for cosine, above 1e16 in
    /// magnitude; nothing is changed then.
    ///
    /// Examples:
    ///     >>> import numpy as np, ruvector
    ///     >>> index = ruvector.RabitqPlusIndex.build(np.zeros((1, 2), dtype=np.float32))
    ///     >>> index.add_batch([7, 8], np.ones((2, 2), dtype=np.float32))
    ///     >>> len(index), index.remove([7, 99])
    ///     (3, 1)
    fn add_batch(&self, ids: &Bound<'_, PyAny>, vectors: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = ids.py();
        let ids = Ids::new(ids)?;
        let ids = ids.values()?;
        let vectors = Matrix::new("vectors", vectors)?;
        let values = vectors.values();
        self.check_dim(py, "vectors have", vectors.dim())?;
        self.write(py, |index| index.add_batch(ids, VectorBatch::new(self.dim, values)?))
    }

    /// Remove the vectors behind `ids` (one int, an integer array, or an iterable of ints), without a rebuild, and
    /// return how many there were. An id that is not there is passed over.
    ///
    /// Raises `InvalidInput` for what is not an id.
    fn remove(&self, ids: &Bound<'_, PyAny>) -> PyResult<usize> {
        let py = ids.py();
        let ids = Ids::one_or_more(ids)?;
        let ids = ids.values()?;
        self.write(py, |index| Ok(index.remove(ids)))
    }

    /// Write the index to the file `path`, whose usual extension is `.rbpx`. The file has the same bytes on every
    /// machine. A crash leaves the old file, or none, or all of the new one.
    ///
    /// Raises `PersistError`; it is `IndexFileNotFound`, a `NotFound`, if the folder does not exist.
    ///
    /// Examples:
    ///     >>> import tempfile, pathlib, numpy as np, ruvector
    ///     >>> index = ruvector.RabitqPlusIndex.build(np.eye(3, dtype=np.float32))
    ///     >>> with tempfile.TemporaryDirectory() as folder:
    ///     ...     index.save(pathlib.Path(folder) / "eye.rbpx")
    ///     ...     index == ruvector.RabitqPlusIndex.load(pathlib.Path(folder) / "eye.rbpx")
    ///     True
    fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        process::check(py)?;
        self.read(py, |index| index.save(&path))?.map_err(|e| error::persist(py, &e))
    }

    /// Components per vector.
    #[getter]
    fn dim(&self) -> usize {
        self.dim.get()
    }

    /// Metric of the scores: `'l2'`, `'inner_product'` or `'cosine'`.
    #[getter]
    fn metric(&self, py: Python<'_>) -> PyResult<&'static str> {
        self.read(py, |index| index.metric().name())
    }

    /// The name of this kind of index in SQL: `'flat'`, `'rabitq'`, `'rabitq_asym'`, `'rabitq_plus'` or `'ivf_rabitq'`.
    #[getter]
    fn kind(&self, py: Python<'_>) -> PyResult<&'static str> {
        self.read(py, |index| index.kind().name())
    }

    /// Bytes of memory held by the index, without arrays that `np.asarray` gave out before the last change.
    #[getter]
    fn memory_bytes(&self, py: Python<'_>) -> PyResult<usize> {
        self.read(py, |index| index.memory_bytes())
    }

    /// A new uint64 array of all ids, by row: the order they were given in, until one is removed and the last takes its
    /// place.
    #[getter]
    fn ids<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<u64>>> {
        Ok(PyArray1::from_vec(py, self.read(py, |index| index.ids())?))
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        self.read(py, |index| index.len())
    }

    fn __contains__(&self, py: Python<'_>, id: &Bound<'_, PyAny>) -> PyResult<bool> {
        let Ok(id) = argument::id(id) else { return Ok(false) };
        self.read(py, |index| index.contains(id))
    }

    /// Return a copy of the vector behind `id`, float32 of shape `(dim,)`.
    ///
    /// Raises `NotFound`, a `LookupError`, if there is no such id, or if the index keeps no originals.
    fn __getitem__<'py>(slf: &Bound<'py, Self>, id: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyArray1<f32>>> {
        let py = slf.py();
        let id = argument::id(id)?;
        let (vector, keeps_originals) =
            slf.get().read(py, |index| (index.vector(id).map(<[f32]>::to_vec), index.vectors().is_some()))?;
        match vector {
            Some(vector) => Ok(PyArray1::from_vec(py, vector)),
            None if keeps_originals => {
                Err(error::not_found(py, &format!("the index has no vector of this id: id {id}")))
            }
            None => Err(error::not_found(py, &without_originals(&slf.get_type()))),
        }
    }

    /// Iterate over `(id, vector)` by row, as they are now: a change of the index does not show. The vectors are
    /// read-only rows of `np.asarray(index)`.
    ///
    /// Raises `TypeError` if the index keeps no originals.
    fn __iter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let (ids, vectors) = Self::frozen(slf)?;
        let builtins = py.import("builtins")?;
        let ids = builtins.call_method1("map", (builtins.getattr("int")?, PyArray1::from_vec(py, ids)))?;
        builtins.call_method1("zip", (ids, vectors))
    }

    /// Return the originals for `np.asarray(index)`: float32 of shape `(n, dim)`, in the order of `ids`, read-only and
    /// without a copy.
    ///
    /// The array stays as it is when the index changes: the first change while such an array lives copies the index, so
    /// that for a while there are two.
    ///
    /// Raises `TypeError` if the index keeps no originals.
    #[pyo3(signature = (dtype=None, copy=None))]
    fn __array__<'py>(
        slf: &Bound<'py, Self>,
        dtype: Option<Bound<'py, PyAny>>,
        copy: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let (_, array) = Self::frozen(slf)?;
        if let Some(dtype) = dtype {
            let dtype = py.import("numpy")?.call_method1("dtype", (dtype,))?;
            if !dtype.eq(array.dtype())? {
                if copy == Some(false) {
                    let message = format!("copy: expected None or True, got False: float32 becomes {dtype} by a copy");
                    return Err(error::invalid_input(py, &message));
                }
                return array.call_method1("astype", (dtype,));
            }
        }
        if copy == Some(true) { array.call_method0("copy") } else { Ok(array.into_any()) }
    }

    /// True if both would be the same file: the same vectors under the same ids in the same rows, built in the same
    /// way.
    fn __eq__(&self, py: Python<'_>, other: &Bound<'_, Self>) -> PyResult<bool> {
        process::check(py)?;
        // Not two locks at once: another thread may take them in the other order.
        let (a, b) = (self.read(py, State::clone)?, other.get().read(py, State::clone)?);
        Ok(py.detach(|| **a == **b))
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let py = slf.py();
        let name = slf.get_type().name()?;
        slf.get().read(py, |index| (index.len(), index.metric(), index.memory_bytes())).map(|(len, metric, bytes)| {
            format!("{name}(n={len}, dim={}, metric='{metric}', memory_bytes={bytes})", slf.get().dim)
        })
    }
}

fn search_params<'a>(
    py: Python<'_>,
    k: i128,
    filter: Option<&'a Bound<'_, PyAny>>,
    rerank_factor: Option<i128>,
    nprobe: Option<i128>,
    epsilon: Option<f32>,
) -> PyResult<SearchParams<'a>> {
    Ok(SearchParams {
        k: argument::count(py, "k", 1, k)?,
        filter: filter::ids(filter)?,
        rerank_factor: argument::optional_count(py, "rerank_factor", 0, rerank_factor)?,
        nprobe: argument::optional_count(py, "nprobe", 1, nprobe)?,
        epsilon,
        stats: None,
    })
}

/// The arguments of `build` that every class has, and those that some have.
struct Request<'a, 'py> {
    ids: Option<&'a Bound<'py, PyAny>>,
    seed: i128,
    rerank_factor: i128,
    metric: &'a str,
    epsilon: f32,
    options: Options,
    progress: Option<Py<PyAny>>,
}

/// The arguments of `build` that some classes have.
struct Options {
    keep_originals: bool,
    nlist: Option<i128>,
    nprobe: Option<i128>,
}

impl Default for Options {
    fn default() -> Self {
        Self { keep_originals: true, nlist: None, nprobe: None }
    }
}

/// `build` of one kind of index.
type Build<I> = fn(Option<&[u64]>, VectorBatch<'_>, &BuildParams, Option<Progress<'_>>) -> ruvector_rabitq::Result<I>;

impl Request<'_, '_> {
    fn params(&self, py: Python<'_>) -> PyResult<BuildParams> {
        let mut params = BuildParams::new(self.metric.parse().map_err(|e| error::index(py, &e))?)
            .with_seed(argument::seed(py, self.seed)?)
            .with_rerank_factor(argument::count(py, "rerank_factor", 0, self.rerank_factor)?)
            .with_epsilon(self.epsilon)
            .with_originals(self.options.keep_originals);
        params.nlist = argument::optional_count(py, "nlist", 1, self.options.nlist)?;
        params.nprobe = argument::optional_count(py, "nprobe", 1, self.options.nprobe)?;
        Ok(params)
    }

    fn build<I: VectorIndex + 'static>(&self, vectors: &Bound<'_, PyAny>, build: Build<I>) -> PyResult<Index> {
        let py = vectors.py();
        let vectors = Matrix::new("vectors", vectors)?;
        let dim = Dim::new(vectors.dim()).map_err(|e| error::index(py, &e))?;
        let params = self.params(py)?;
        let ids = self.ids.map(Ids::new).transpose()?;
        let ids = ids.as_ref().map(Ids::values).transpose()?;
        let values = vectors.values();
        let index = build::watched(py, vectors.num_vectors(), self.progress.as_ref(), |progress| {
            build(ids, VectorBatch::new(dim, values)?, &params, Some(progress))
        })?;
        Ok(Index::new(Box::new(index)))
    }
}

/// Declares a class: its document, the options of its `build`, and methods of its own.
macro_rules! index_class {
    (
        $(#[$doc:meta])*
        $name:ident($($option:ident: $option_type:ty = $default:tt),*) { $($methods:tt)* }
    ) => {
        $(#[$doc])*
        #[pyclass(frozen, mapping, extends = Index, module = "ruvector")]
        #[derive(Debug)]
        pub(crate) struct $name;

        #[pymethods]
        impl $name {
            /// Build the index on all cores. The result does not depend on the machine or the number of cores.
            ///
            /// `vectors` is a C-contiguous float32 array of shape `(n, dim)`, read without a copy: do not write to it
            /// meanwhile. `ids` is an integer array of shape `(n,)` or an iterable of ints; without it vectors are
            /// numbered from 0. `metric` is `'l2'`, `'inner_product'` or `'cosine'`. `seed` chooses the random rotation
            /// behind the codes. A search ranks at least `k * rerank_factor` candidates by exact distance, and more
            /// where the error bound, `epsilon` standard deviations wide, cannot rule them out. The class says what its
            /// other options mean.
            ///
            /// `progress(done, n)` is called in this thread about 20 times a second, and once at the end; what it
            /// raises cancels the build, and so does Ctrl-C.
            ///
            /// Raises `InvalidInput` for another type, shape or order of array (the message says how to convert it), if
            /// a component is not finite or, but for cosine, above 1e16 in magnitude, if two ids are equal, or if an option
            /// is out of range.
            #[classmethod]
            #[pyo3(signature = (
                vectors, *, ids=None, seed=42, rerank_factor=20, metric="l2", epsilon=3.0,
                $($option=$default,)* progress=None
            ))]
            #[expect(clippy::too_many_arguments, reason = "keywords in Python")]
            fn build<'py>(
                _class: &Bound<'py, PyType>,
                vectors: &Bound<'py, PyAny>,
                ids: Option<&Bound<'py, PyAny>>,
                seed: i128,
                rerank_factor: i128,
                metric: &str,
                epsilon: f32,
                $($option: $option_type,)*
                progress: Option<Py<PyAny>>,
            ) -> PyResult<Bound<'py, Self>> {
                #[allow(clippy::needless_update, reason = "one class has every option")]
                let options = Options { $($option,)* ..Options::default() };
                let request = Request { ids, seed, rerank_factor, metric, epsilon, options, progress };
                let index = request.build(vectors, ruvector_rabitq::$name::build)?;
                Bound::new(vectors.py(), PyClassInitializer::from(index).add_subclass(Self))
            }

            /// Read an index of this class from the file `path`, written by `save`. Every byte is checked.
            ///
            /// Raises `PersistError`: it is `IndexFileNotFound`, a `NotFound`, if there is no such file, and
            /// `IndexFileCorrupt`, a `Corrupt`, if the file is damaged; plain if it holds another class or is of a
            /// later version.
            #[classmethod]
            fn load<'py>(class: &Bound<'py, PyType>, path: PathBuf) -> PyResult<Bound<'py, Self>> {
                let py = class.py();
                process::check(py)?;
                let index = py
                    .detach(|| ruvector_rabitq::$name::load(path))
                    .map_err(|e| error::persist(py, &e))?;
                Bound::new(py, PyClassInitializer::from(Index::new(Box::new(index))).add_subclass(Self))
            }

            $($methods)*
        }
    };
}

index_class! {
    /// Exact search: the distance to every vector is computed. `seed`, `rerank_factor` and `epsilon` change nothing;
    /// they are there so that all classes are built alike.
    ///
    /// Examples:
    ///     >>> import numpy as np, ruvector
    ///     >>> index = ruvector.FlatF32Index.build(np.eye(3, dtype=np.float32), metric="cosine")
    ///     >>> index.search([0, 2, 0], k=1)
    ///     [Hit(id=1, score=0.0)]
    FlatF32Index() {}
}

index_class! {
    /// Codes of one bit alone: the smallest, about `dim / 8 + 12` bytes per vector. Scores are unbiased estimates, so
    /// that of a vector at the query itself may be a little below 0; there are no originals to make them exact, to get
    /// by id or to iterate over.
    ///
    /// Examples:
    ///     >>> import numpy as np, ruvector
    ///     >>> vectors = np.random.default_rng(1).standard_normal((1000, 128), dtype=np.float32)
    ///     >>> index = ruvector.RabitqIndex.build(vectors)
    ///     >>> index.search(vectors[7], k=1)[0].id, index.memory_bytes < vectors.nbytes / 10
    ///     (7, True)
    RabitqIndex() {}
}

index_class! {
    /// Codes of one bit, estimated with the floats of the query instead of its 8-bit tables: a little more precise than
    /// `RabitqIndex` and slower. With `keep_originals=True` it answers as `RabitqPlusIndex` does.
    ///
    /// Examples:
    ///     >>> import numpy as np, ruvector
    ///     >>> vectors = np.random.default_rng(1).standard_normal((1000, 128), dtype=np.float32)
    ///     >>> index = ruvector.RabitqAsymIndex.build(vectors, keep_originals=False)
    ///     >>> [hit.id for hit in index.search(vectors[7], k=1)]
    ///     [7]
    RabitqAsymIndex(keep_originals: bool = true) {}
}

index_class! {
    /// Codes of one bit to rule vectors out, and the originals to rank what is left: the recall of exact search at a
    /// fraction of its cost. The one to begin with.
    ///
    /// Examples:
    ///     >>> import numpy as np, ruvector
    ///     >>> vectors = np.random.default_rng(1).standard_normal((1000, 128), dtype=np.float32)
    ///     >>> index = ruvector.RabitqPlusIndex.build(vectors)
    ///     >>> [(hit.id, hit.score) for hit in index.search(vectors[7], k=1)]
    ///     [(7, 0.0)]
    RabitqPlusIndex() {}
}

index_class! {
    /// Inverted lists of 1-bit codes, four-bit codes behind them, and the originals unless `keep_originals=False`: for
    /// millions of vectors.
    ///
    /// There are `nlist` lists, without it `4 * sqrt(n)`; a search looks into the `nprobe` nearest of them, without it
    /// into a sixteenth, at least 16. More lists searched find more of the nearest and take longer.
    ///
    /// Examples:
    ///     >>> import numpy as np, ruvector
    ///     >>> vectors = np.random.default_rng(1).standard_normal((1000, 128), dtype=np.float32)
    ///     >>> index = ruvector.IvfRabitqIndex.build(vectors, nlist=20)
    ///     >>> index.nlist
    ///     20
    ///     >>> index.search(vectors[7], k=1, nprobe=2)
    ///     [Hit(id=7, score=0.0)]
    IvfRabitqIndex(keep_originals: bool = true, nlist: Option<i128> = None, nprobe: Option<i128> = None) {
        /// Return the nearest vectors to `query` in the `nprobe` lists nearest to it, as `Hit(id, score)`, nearest
        /// first; ties by smaller id. Without `nprobe` it is the number the index was built with. Everything else is as
        /// in the other classes.
        ///
        /// Raises as theirs does, and `InvalidInput` if `nprobe` is 0.
        #[pyo3(signature = (query, k=10, *, filter=None, rerank_factor=None, nprobe=None, epsilon=None))]
        fn search<'py>(
            slf: &Bound<'py, Self>,
            query: &Bound<'py, PyAny>,
            k: i128,
            filter: Option<&Bound<'py, PyAny>>,
            rerank_factor: Option<i128>,
            nprobe: Option<i128>,
            epsilon: Option<f32>,
        ) -> PyResult<Bound<'py, PyList>> {
            let params = search_params(slf.py(), k, filter, rerank_factor, nprobe, epsilon)?;
            slf.as_super().get().nearest(query, &params)
        }

        /// Return what `search` would for each row of `queries`, on all cores, as `(ids, scores)`. Shapes, filling and
        /// errors are as in the other classes.
        #[pyo3(signature = (queries, k=10, *, filter=None, rerank_factor=None, nprobe=None, epsilon=None))]
        fn search_batch<'py>(
            slf: &Bound<'py, Self>,
            queries: &Bound<'py, PyAny>,
            k: i128,
            filter: Option<&Bound<'py, PyAny>>,
            rerank_factor: Option<i128>,
            nprobe: Option<i128>,
            epsilon: Option<f32>,
        ) -> PyResult<Arrays<'py>> {
            let params = search_params(slf.py(), k, filter, rerank_factor, nprobe, epsilon)?;
            slf.as_super().get().nearest_batch(queries, &params)
        }

        /// Number of inverted lists.
        #[getter]
        fn nlist(slf: &Bound<'_, Self>) -> PyResult<usize> {
            slf.as_super().get().read(slf.py(), |index| index.nlist())
        }
    }
}
