//! The engine and one session of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use arrow::array::RecordBatchReader;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use parking_lot::{Condvar, Mutex};
use pyo3::prelude::*;
use pyo3_arrow::PyRecordBatch;
use ruvector_embed::EmbedderOptions;
use ruvector_sql::{Answer, EngineConfig, IngestMode, Session};
use tokio::sync::Mutex as AsyncMutex;

use super::input::Input;
use super::params;
use super::rows::Rows;
use crate::runtime::{SIGNAL_INTERVAL, wait};
use crate::{error, process};

/// Batches of the caller's data that may wait for the engine.
const BATCHES_IN_FLIGHT: usize = 2;

/// The SQL engine over one data directory, with one session. Safe from many threads.
#[pyclass(frozen, module = "ruvector._native")]
pub(crate) struct Engine(Mutex<Option<Open>>);

#[derive(Clone)]
struct Open {
    engine: Arc<ruvector_sql::Engine>,
    session: Arc<Session>,
}

#[pymethods]
impl Engine {
    /// Opens the engine over `data_dir`, or shares the one that this process has open there; `None` keeps tables in a
    /// temporary folder that goes with the engine.
    /// `onnxruntime` is the library that `embed()` loads; `None` looks for it as the `ruvector` command does.
    #[new]
    #[pyo3(signature = (data_dir=None, onnxruntime=None))]
    fn new(py: Python<'_>, data_dir: Option<PathBuf>, onnxruntime: Option<PathBuf>) -> PyResult<Self> {
        let engine = wait(py, open(data_dir, onnxruntime))?.map_err(|e| error::to_py(py, &e))?;
        let session = engine.session();
        Ok(Self(Mutex::new(Some(Open { engine, session }))))
    }

    /// Runs one statement. `params` is a batch of one row. Returns `Rows`, or the number of rows changed.
    #[pyo3(signature = (query, params=None))]
    fn execute<'py>(
        &self,
        py: Python<'py>,
        query: String,
        params: Option<PyRecordBatch>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let Open { engine, session } = self.open(py)?;
        let params = params::values(py, params)?;
        let work = async move { engine.execute(&session, &query, &params).await };
        match wait(py, work)?.map_err(|e| error::to_py(py, &e))? {
            Answer::Rows(stream) => Ok(Bound::new(py, Rows::new(stream))?.into_any()),
            Answer::Count(count) => Ok(count.into_pyobject(py)?.into_any()),
        }
    }

    /// Writes the rows of `data` to `table` in one transaction and returns their number.
    fn ingest(&self, py: Python<'_>, table: String, mode: &str, data: Input) -> PyResult<u64> {
        let Open { engine, session } = self.open(py)?;
        let mode = match mode {
            "create" => IngestMode::Create,
            "append" => IngestMode::Append,
            "replace" => IngestMode::Replace,
            "create_append" => IngestMode::CreateAppend,
            other => {
                let message = format!("mode: expected create, append, replace or create_append, got {other:?}");
                return Err(error::invalid_input(py, &message));
            }
        };
        let reader = data.into_reader();
        let work = async move { engine.ingest(&session, &table, mode, stream(reader)).await };
        wait(py, work)?.map_err(|e| error::to_py(py, &e))
    }

    /// Gives the engine up. Statements that run go on; every later call is an error. Twice is once.
    fn close(&self, py: Python<'_>) {
        let open = self.0.lock().take();
        py.detach(|| process::discard(open));
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        process::discard(self.0.get_mut().take());
    }
}

impl Engine {
    fn open(&self, py: Python<'_>) -> PyResult<Open> {
        self.0.lock().clone().ok_or_else(|| error::invalid_input(py, "the connection is closed"))
    }
}

/// An engine that is open, and the options that it was opened with.
struct Opened {
    engine: Weak<ruvector_sql::Engine>,
    onnxruntime: Option<PathBuf>,
}

/// The engines of this process by their folders. One engine owns a folder, so connections to it share that one.
static OPENED: AsyncMutex<BTreeMap<PathBuf, Opened>> = AsyncMutex::const_new(BTreeMap::new());

/// Opens an engine, or finds the one that this process has open over the same folder.
async fn open(
    data_dir: Option<PathBuf>,
    onnxruntime: Option<PathBuf>,
) -> ruvector_sql::Result<Arc<ruvector_sql::Engine>> {
    let Some(folder) = data_dir else { return open_own(None, onnxruntime).await };
    let mut opened = OPENED.lock().await;
    opened.retain(|_, known| known.engine.strong_count() > 0);
    if let Some(known) = opened.get(&canonical(&folder))
        && let Some(engine) = known.engine.upgrade()
    {
        return match known.onnxruntime == onnxruntime {
            true => Ok(engine),
            false => Err(ruvector_sql::Error::invalid_input(format!(
                "folder {} is open in this process with another ONNX Runtime: expected {:?}, got {onnxruntime:?}",
                folder.display(),
                known.onnxruntime
            ))),
        };
    }
    let engine = open_own(Some(folder.clone()), onnxruntime.clone()).await?;
    // Only now is it certain that the folder is there.
    opened.insert(canonical(&folder), Opened { engine: Arc::downgrade(&engine), onnxruntime });
    Ok(engine)
}

async fn open_own(
    data_dir: Option<PathBuf>,
    onnxruntime: Option<PathBuf>,
) -> ruvector_sql::Result<Arc<ruvector_sql::Engine>> {
    let embed = EmbedderOptions { onnxruntime, ..EmbedderOptions::default() };
    ruvector_sql::Engine::open(EngineConfig { data_dir, embed, ..EngineConfig::default() }).await
}

/// The one path of a folder, however it was written.
fn canonical(folder: &Path) -> PathBuf {
    folder.canonicalize().unwrap_or_else(|_| folder.to_owned())
}

/// The batches of a caller's reader as a stream. The reader may block or run Python, so it gets a thread of its own.
fn stream(reader: Box<dyn RecordBatchReader + Send>) -> SendableRecordBatchStream {
    let mut builder = RecordBatchReceiverStreamBuilder::new(reader.schema(), BATCHES_IN_FLIGHT);
    let sender = builder.tx();
    let reading = Reading::begin();
    builder.spawn_blocking(move || {
        let _reading = reading;
        for batch in reader {
            let batch = batch.map_err(DataFusionError::from);
            if sender.blocking_send(batch).is_err() {
                break; // the engine has given the stream up, and says why itself
            }
        }
        Ok(())
    });
    builder.build()
}

/// The number of readers of callers that are being read.
static READING: Mutex<usize> = Mutex::new(0);
static READ: Condvar = Condvar::new();

/// A reader that is being read, until this is dropped.
struct Reading;

impl Reading {
    fn begin() -> Self {
        *READING.lock() += 1;
        Self
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        *READING.lock() -= 1;
        READ.notify_all();
    }
}

/// Waits for the readers of callers that are still being read. An interpreter that ended before would take their thread away
/// in the middle of Python code, which ends the process.
///
/// # Errors
/// The pending exception of a signal (`KeyboardInterrupt`).
#[pyfunction]
pub(crate) fn wait_for_readers(py: Python<'_>) -> PyResult<()> {
    // A forked child reads nothing.
    while process::check(py).is_ok() {
        let reading = py.detach(|| {
            let mut reading = READING.lock();
            if *reading > 0 {
                READ.wait_for(&mut reading, SIGNAL_INTERVAL);
            }
            *reading
        });
        if reading == 0 {
            break;
        }
        py.check_signals()?;
    }
    Ok(())
}
