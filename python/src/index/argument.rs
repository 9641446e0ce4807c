//! Python arguments -> slices and numbers. Arrays of vectors are borrowed, never copied: what would need a copy is
//! refused with the expression that makes it.

use numpy::{
    PyArray1, PyArray2, PyArrayDescrMethods, PyArrayMethods, PyReadonlyArray, PyUntypedArray, PyUntypedArrayMethods,
};
use pyo3::exceptions::PyOverflowError;
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyString};

use crate::error;

/// An array of float32 in C order, borrowed from NumPy.
type Borrowed<'py, D> = PyReadonlyArray<'py, f32, D>;

/// Vectors, row-major `[num_vectors, dim]`.
pub(super) struct Matrix<'py>(Borrowed<'py, numpy::Ix2>);

impl<'py> Matrix<'py> {
    /// Borrows `value`, the argument `name`.
    pub(super) fn new(name: &str, value: &Bound<'py, PyAny>) -> PyResult<Self> {
        let refuse = |got: &str, fix: &str| refusal(value.py(), name, "float32 array of shape (n, dim)", got, fix);
        let Ok(array) = value.cast::<PyUntypedArray>() else {
            return Err(refuse(&type_name(value), &format!("np.asarray({name}, dtype=np.float32)")));
        };
        match array.ndim() {
            2 => {}
            0 | 1 => return Err(refuse(&shape(array)?, &format!("{name}.reshape(1, -1)"))),
            _ => return Err(refuse(&shape(array)?, &format!("{name}.reshape(-1, {name}.shape[-1])"))),
        }
        check_layout(name, array, refuse)?;
        Ok(Self(array.cast::<PyArray2<f32>>()?.try_readonly()?))
    }

    pub(super) fn num_vectors(&self) -> usize {
        self.0.shape()[0]
    }

    pub(super) fn dim(&self) -> usize {
        self.0.shape()[1]
    }

    pub(super) fn values(&self) -> &[f32] {
        self.0.as_slice().expect("the layout was checked")
    }
}

/// One vector.
pub(super) enum Vector<'py> {
    Array(Borrowed<'py, numpy::Ix1>),
    Sequence(Vec<f32>),
}

impl<'py> Vector<'py> {
    /// Borrows the array, or copies the list or tuple `value`, the argument `name`.
    pub(super) fn new(name: &str, value: &Bound<'py, PyAny>) -> PyResult<Self> {
        let refuse = |got: &str, fix: &str| {
            refusal(value.py(), name, "float32 array of shape (dim,) or a list of floats", got, fix)
        };
        let Ok(array) = value.cast::<PyUntypedArray>() else {
            let values = value.extract::<Vec<f32>>();
            return values
                .map(Self::Sequence)
                .map_err(|_| refuse(&type_name(value), &format!("np.asarray({name}, dtype=np.float32)")));
        };
        match array.ndim() {
            1 => {}
            2 if array.shape()[0] == 1 => return Err(refuse(&shape(array)?, &format!("{name}[0]"))),
            2 if name == "query" => return Err(refuse(&shape(array)?, "search_batch(queries)")),
            _ => return Err(refuse(&shape(array)?, &format!("{name}.reshape(-1)"))),
        }
        check_layout(name, array, refuse)?;
        Ok(Self::Array(array.cast::<PyArray1<f32>>()?.try_readonly()?))
    }

    pub(super) fn values(&self) -> &[f32] {
        match self {
            Self::Array(array) => array.as_slice().expect("the layout was checked"),
            Self::Sequence(values) => values,
        }
    }
}

/// Refuses an array that is not of float32, in C order and aligned.
fn check_layout(name: &str, array: &Bound<'_, PyUntypedArray>, refuse: impl Fn(&str, &str) -> PyErr) -> PyResult<()> {
    let dtype = array.dtype();
    let contiguous = array.is_c_contiguous() && array.is_aligned();
    if !dtype.is_equiv_to(&numpy::dtype::<f32>(array.py())) {
        let fix = match contiguous {
            true => format!("{name}.astype(np.float32)"),
            false => format!("np.ascontiguousarray({name}, dtype=np.float32)"),
        };
        return Err(refuse(&dtype.str()?.to_string(), &fix));
    }
    if !array.is_c_contiguous() {
        return Err(refuse("a non-contiguous array", &format!("np.ascontiguousarray({name})")));
    }
    if !array.is_aligned() {
        return Err(refuse("an unaligned array", &format!("{name}.copy()")));
    }
    Ok(())
}

fn refusal(py: Python<'_>, name: &str, expected: &str, got: &str, fix: &str) -> PyErr {
    error::invalid_input(py, &format!("{name}: expected a C-contiguous {expected}, got {got}: {fix}"))
}

fn shape(array: &Bound<'_, PyUntypedArray>) -> PyResult<String> {
    Ok(format!("shape {}", array.getattr("shape")?))
}

fn type_name(value: &Bound<'_, PyAny>) -> String {
    value.get_type().name().map_or_else(|_| "another type".to_owned(), |name| name.to_string())
}

/// Some ids.
pub(super) enum Ids<'py> {
    Array(PyReadonlyArray<'py, u64, numpy::Ix1>),
    Copied(Vec<u64>),
}

impl<'py> Ids<'py> {
    /// Borrows an array of uint64; copies an array of other integers, or anything that iterates over ints.
    pub(super) fn new(value: &Bound<'py, PyAny>) -> PyResult<Self> {
        let py = value.py();
        let refuse = |got: &str| {
            error::invalid_input(
                py,
                &format!("ids: expected an iterable of ints, or an integer array of shape (n,), got {got}"),
            )
        };
        if let Ok(array) = value.cast::<PyUntypedArray>() {
            if array.ndim() != 1 {
                return Err(refuse(&shape(array)?));
            }
            return match array.dtype().kind() {
                b'u' => {
                    let array = value.call_method1("astype", ("uint64", "C", "unsafe", true, false))?;
                    Ok(Self::Array(array.cast_into::<PyArray1<u64>>()?.try_readonly()?))
                }
                b'i' => {
                    let array = value.call_method1("astype", ("int64",))?;
                    let array = array.cast_into::<PyArray1<i64>>()?.try_readonly()?;
                    let ids = array.as_array();
                    ids.iter()
                        .map(|&id| u64::try_from(id).map_err(|_| id_out_of_range(py, id)))
                        .collect::<PyResult<_>>()
                }
                .map(Self::Copied),
                _ => Err(refuse(&array.dtype().str()?.to_string())),
            };
        }
        if value.is_instance_of::<PyString>() {
            return Err(refuse("str"));
        }
        let items = value.try_iter().map_err(|_| refuse(&type_name(value)))?;
        items.map(|item| id(&item?)).collect::<PyResult<_>>().map(Self::Copied)
    }

    /// Reads ids as [`new`](Self::new) does, or one int.
    pub(super) fn one_or_more(value: &Bound<'py, PyAny>) -> PyResult<Self> {
        match value.cast::<PyInt>().is_ok() || value.getattr("ndim").is_ok_and(|ndim| ndim.eq(0).unwrap_or(false)) {
            true => Ok(Self::Copied(vec![id(value)?])),
            false => Self::new(value),
        }
    }

    pub(super) fn values(&self) -> PyResult<&[u64]> {
        match self {
            Self::Array(array) => Ok(array.as_slice()?),
            Self::Copied(ids) => Ok(ids),
        }
    }
}

/// One id.
pub(super) fn id(value: &Bound<'_, PyAny>) -> PyResult<u64> {
    value.extract().map_err(|e: PyErr| match e.is_instance_of::<PyOverflowError>(value.py()) {
        true => id_out_of_range(value.py(), value),
        false => error::invalid_input(value.py(), &format!("id: expected an int, got {}", type_name(value))),
    })
}

fn id_out_of_range(py: Python<'_>, got: impl std::fmt::Display) -> PyErr {
    error::invalid_input(py, &format!("id is out of range: expected 0..={}, got {got}", u64::MAX))
}

/// A number of things: the argument `name`, at least `least`.
pub(super) fn count(py: Python<'_>, name: &str, least: usize, value: i128) -> PyResult<usize> {
    usize::try_from(value).ok().filter(|&value| value >= least).ok_or_else(|| {
        error::invalid_input(py, &format!("{name} is out of range: expected at least {least}, got {value}"))
    })
}

/// Checks a number as [`count`] does, if there is a value.
pub(super) fn optional_count(py: Python<'_>, name: &str, least: usize, value: Option<i128>) -> PyResult<Option<usize>> {
    value.map(|value| count(py, name, least, value)).transpose()
}

/// The seed of a random rotation.
pub(super) fn seed(py: Python<'_>, value: i128) -> PyResult<u64> {
    u64::try_from(value)
        .map_err(|_| error::invalid_input(py, &format!("seed is out of range: expected 0..={}, got {value}", u64::MAX)))
}
