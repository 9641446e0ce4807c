//! A set of ids that a search may answer with.

use pyo3::prelude::*;
use roaring::RoaringTreemap;

use super::argument::{self, Ids};
use crate::error;

/// A set of ids: `search(query, k, filter=IdFilter(ids))` answers with vectors of these ids only.
///
/// `ids` is an integer array of shape `(n,)` or an iterable of ints; an id may be in it twice, or in no index. Making
/// one costs more than using it, so make it once for many searches. It takes two bytes per id at most where ids lie
/// close together. It does not change, and may be used by many threads.
///
/// Raises `InvalidInput` for what is not an id.
///
/// Examples:
///     >>> from ruvector import IdFilter
///     >>> allowed = IdFilter([3, 5, 3])
///     >>> len(allowed), 5 in allowed, 4 in allowed
///     (2, True, False)
#[pyclass(frozen, module = "ruvector")]
#[derive(Debug)]
pub(crate) struct IdFilter(RoaringTreemap);

#[pymethods]
impl IdFilter {
    #[new]
    fn new(py: Python<'_>, ids: &Bound<'_, PyAny>) -> PyResult<Self> {
        let ids = Ids::new(ids)?;
        let ids = ids.values()?;
        Ok(Self(py.detach(|| ids.iter().copied().collect())))
    }

    fn __len__(&self) -> usize {
        usize::try_from(self.0.len()).unwrap_or(usize::MAX)
    }

    fn __contains__(&self, id: &Bound<'_, PyAny>) -> bool {
        argument::id(id).is_ok_and(|id| self.0.contains(id))
    }

    fn __repr__(&self) -> String {
        format!("IdFilter(n={})", self.0.len())
    }
}

/// The ids behind the argument `filter`.
pub(super) fn ids<'a>(filter: Option<&'a Bound<'_, PyAny>>) -> PyResult<Option<&'a RoaringTreemap>> {
    let Some(filter) = filter else { return Ok(None) };
    match filter.cast::<IdFilter>() {
        Ok(filter) => Ok(Some(&filter.get().0)),
        Err(_) => {
            let got = filter.get_type().name()?;
            let message = format!("filter: expected an IdFilter, got {got}: ruvector.IdFilter(ids)");
            Err(error::invalid_input(filter.py(), &message))
        }
    }
}
