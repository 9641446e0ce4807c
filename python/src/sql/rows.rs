//! The rows of one statement, pulled batch by batch.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchReader};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;
use pyo3_arrow::error::PyArrowResult;
use pyo3_arrow::ffi::to_schema_pycapsule;
use pyo3_arrow::{PyRecordBatch, PyRecordBatchReader};

use crate::runtime::wait;
use crate::{error, process};

/// The rows of one statement: each batch is made when it is asked for, and handed over without a copy.
#[pyclass(frozen, module = "ruvector._native")]
pub(crate) struct Rows {
    schema: SchemaRef,
    /// `None` once the stream has ended, failed, was closed or handed on.
    stream: Mutex<Option<SendableRecordBatchStream>>,
}

impl Rows {
    pub(crate) fn new(stream: SendableRecordBatchStream) -> Self {
        Self { schema: stream.schema(), stream: Mutex::new(Some(stream)) }
    }
}

impl Drop for Rows {
    fn drop(&mut self) {
        process::discard(self.stream.get_mut().take());
    }
}

#[pymethods]
impl Rows {
    /// The next batch, or `None` after the last. An interrupt or an error ends the statement.
    fn next_batch(&self, py: Python<'_>) -> PyResult<Option<PyRecordBatch>> {
        let Some(stream) = self.stream.lock().take() else { return Ok(None) };
        let Some((batch, stream)) = next(py, stream)? else { return Ok(None) };
        *self.stream.lock() = Some(stream);
        Ok(Some(PyRecordBatch::new(batch)))
    }

    /// Ends the statement. Twice is once.
    fn close(&self, py: Python<'_>) {
        let stream = self.stream.lock().take();
        py.detach(|| process::discard(stream));
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyArrowResult<Bound<'py, PyCapsule>> {
        to_schema_pycapsule(py, self.schema.as_ref())
    }

    /// Hands the rest of the rows on as an Arrow C stream, once.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyCapsule>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let stream = self.stream.lock().take();
        let reader = Reader { schema: Arc::clone(&self.schema), stream };
        let reader = Bound::new(py, PyRecordBatchReader::new(Box::new(reader)))?;
        reader.call_method1("__arrow_c_stream__", (requested_schema,))
    }
}

/// The same rows for a consumer of the Arrow C stream, which calls from any thread, with the GIL or without.
struct Reader {
    schema: SchemaRef,
    stream: Option<SendableRecordBatchStream>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        process::discard(self.stream.take());
    }
}

impl Iterator for Reader {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let stream = self.stream.take()?;
        match Python::attach(|py| next(py, stream)) {
            Ok(Some((batch, stream))) => {
                self.stream = Some(stream);
                Some(Ok(batch))
            }
            Ok(None) => None,
            Err(error) => Some(Err(ArrowError::ExternalError(Box::new(error)))),
        }
    }
}

impl RecordBatchReader for Reader {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}

/// The next batch and the stream after it, or `None` after the last.
fn next(
    py: Python<'_>,
    mut stream: SendableRecordBatchStream,
) -> PyResult<Option<(RecordBatch, SendableRecordBatchStream)>> {
    let (batch, stream) = wait(py, async move { (stream.next().await, stream) })?;
    match batch {
        Some(Ok(batch)) => Ok(Some((batch, stream))),
        Some(Err(e)) => Err(error::to_py(py, &ruvector_sql::Error::from(e))),
        None => Ok(None),
    }
}
