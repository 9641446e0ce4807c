//! Writes of rows to a Delta table: a stream is appended or replaces the rows, in one transaction.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::SchemaRef;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::datasource::provider_as_source;
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::LogicalPlanBuilder;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use deltalake::delta_datafusion::create_session;
use deltalake::operations::write::{SchemaMode, WriteBuilder};
use deltalake::protocol::SaveMode;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use parking_lot::Mutex;

use super::DeltaBackend;
use super::layout::writer_properties;
use crate::assign::conform;
use crate::error::{Error, Result, from_datafusion, from_delta, to_datafusion};
use crate::failpoint::reach;
use crate::vector_column::{stored_schema, to_stored};

/// Target for the bytes of a batch that is written: the library's writer keeps ten batches in memory.
const PIECE_BYTES: usize = 1 << 20;

impl DeltaBackend {
    /// Appends the rows of `data` in one transaction and returns their number.
    ///
    /// Columns are matched by name and cast; see [`conform`].
    ///
    /// # Errors
    /// `NotFound`; `InvalidInput` if the rows do not fit; `Unavailable` if a concurrent writer won. Nothing is written
    /// on error.
    pub async fn append(&self, collection: &str, data: SendableRecordBatchStream) -> Result<u64> {
        let _shared = self.lock(collection).read_owned().await;
        let snapshot = self.delta_snapshot(collection).await?;
        let schema = crate::contract::Snapshot::schema(snapshot.as_ref());
        let state = snapshot.table().snapshot().map_err(from_delta)?.snapshot().clone();
        let builder = WriteBuilder::new(snapshot.table().log_store(), Some(state)).with_save_mode(SaveMode::Append);
        write(builder, schema, data).await
    }

    /// Replaces the rows and the schema of a table by those of `data`, in one transaction, and returns their number.
    ///
    /// # Errors
    /// As [`DeltaBackend::append`].
    pub async fn overwrite(&self, collection: &str, schema: SchemaRef, data: SendableRecordBatchStream) -> Result<u64> {
        // The second of two concurrent calls would fail, because the files that it replaces are gone.
        let _turn = self.lock_for_change(collection).await;
        let snapshot = self.delta_snapshot(collection).await?;
        let state = snapshot.table().snapshot().map_err(from_delta)?.snapshot().clone();
        let builder = WriteBuilder::new(snapshot.table().log_store(), Some(state))
            .with_save_mode(SaveMode::Overwrite)
            .with_schema_mode(SchemaMode::Overwrite);
        write(builder, schema, data).await
    }
}

/// Writes the rows of `data` as `builder` says, in one transaction, and returns their number.
pub(super) async fn write(builder: WriteBuilder, schema: SchemaRef, data: SendableRecordBatchStream) -> Result<u64> {
    let (num_rows, fault) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(None)));
    let rows = CheckedRows {
        stored: stored_schema(&schema),
        schema,
        data: Mutex::new(Some(data)),
        num_rows: Arc::clone(&num_rows),
        fault: Arc::clone(&fault),
    };
    let builder = builder.with_writer_properties(writer_properties(&rows.stored));
    let table = StreamingTable::try_new(Arc::clone(&rows.stored), vec![Arc::new(rows)]).map_err(from_datafusion)?;
    let plan = LogicalPlanBuilder::scan("rows", provider_as_source(Arc::new(table)), None)
        .and_then(LogicalPlanBuilder::build)
        .map_err(from_datafusion)?;
    // One partition keeps the order of rows, so that files can be pruned by a sorted column.
    let mut session = create_session().state();
    session.config_mut().options_mut().execution.target_partitions = 1;
    match builder.with_session_state(Arc::new(session)).with_input_plan(plan).await {
        Ok(_) => Ok(num_rows.load(Ordering::Relaxed)),
        // The library passes on the text of an error of ours, but not its kind.
        Err(e) => Err(fault.lock().take().unwrap_or_else(|| from_delta(e))),
    }
}

/// A stream of rows as a table that is read once: checked, put into stored form and counted on the way.
struct CheckedRows {
    schema: SchemaRef,
    stored: SchemaRef,
    data: Mutex<Option<SendableRecordBatchStream>>,
    num_rows: Arc<AtomicU64>,
    fault: Arc<Mutex<Option<Error>>>,
}

impl std::fmt::Debug for CheckedRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CheckedRows").field("schema", &self.schema).finish_non_exhaustive()
    }
}

#[expect(clippy::misnamed_getters, reason = "the schema of the plan is the stored one")]
impl PartitionStream for CheckedRows {
    fn schema(&self) -> &SchemaRef {
        &self.stored
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let Some(data) = self.data.lock().take() else {
            let twice = Err(to_datafusion(Error::internal("rows to be written were read twice")));
            return Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.stored), stream::iter([twice])));
        };
        let (schema, stored) = (Arc::clone(&self.schema), Arc::clone(&self.stored));
        let (num_rows, fault) = (Arc::clone(&self.num_rows), Arc::clone(&self.fault));
        let checked = data.map(move |batch| {
            let batch = batch.map_err(from_datafusion).and_then(|batch| conform(&batch, &schema));
            match batch.and_then(|batch| to_stored(&batch, &stored)) {
                Ok(batch) => {
                    reach("write_table.rows");
                    num_rows.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
                    Ok(pieces(batch))
                }
                Err(e) => {
                    let text = e.to_string();
                    fault.lock().get_or_insert(e);
                    Err(DataFusionError::Execution(text))
                }
            }
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.stored), checked.try_flatten()))
    }
}

/// The rows of a batch in pieces of about [`PIECE_BYTES`]. Nothing is copied.
fn pieces(batch: RecordBatch) -> impl Stream<Item = Result<RecordBatch, DataFusionError>> {
    let bytes: usize =
        batch.columns().iter().map(|column| column.to_data().get_slice_memory_size().unwrap_or_default()).sum();
    let rows = batch.num_rows();
    let step = rows.div_ceil((bytes / PIECE_BYTES).max(1)).max(1);
    stream::iter((0..rows).step_by(step).map(move |from| Ok(batch.slice(from, step.min(rows - from)))))
}
