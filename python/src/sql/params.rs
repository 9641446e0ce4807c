//! One Arrow batch of parameters -> the values of `$1, $2, ...`.

use datafusion::scalar::ScalarValue;
use pyo3::prelude::*;
use pyo3_arrow::PyRecordBatch;

use crate::error;

/// The single row of `params`, in the order of its columns. No batch, no values.
pub(crate) fn values(py: Python<'_>, params: Option<PyRecordBatch>) -> PyResult<Vec<ScalarValue>> {
    let Some(params) = params else { return Ok(Vec::new()) };
    let batch = params.into_inner();
    if batch.num_rows() != 1 {
        let message = format!("params: expected 1 row, got {}", batch.num_rows());
        return Err(error::invalid_input(py, &message));
    }
    batch
        .columns()
        .iter()
        .map(|column| ScalarValue::try_from_array(column, 0))
        .collect::<Result<_, _>>()
        .map_err(|e| error::invalid_input(py, &format!("params: {e}")))
}
