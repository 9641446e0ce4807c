//! Snapshot of an in-memory collection: its batches go in; scans and takes of their live rows come out.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, UInt64Array};
use arrow::compute::interleave_record_batch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::limit::GlobalLimitExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::stream;
use roaring::RoaringBitmap;

use super::batch::{Batch, live_slice};
use crate::address::{ADDRESS_COLUMN, RowAddress};
use crate::contract::{Part, ScanRequest, Snapshot};
use crate::error::{Error, ErrorKind, Result, from_datafusion};
use crate::witness::Generation;
use crate::witness::PROCESS;

/// The batches of a collection at one moment.
#[derive(Debug)]
pub(super) struct LocalSnapshot {
    data_ref: String,
    generation: Generation,
    pub(super) schema: SchemaRef,
    pub(super) batches: Vec<Batch>,
}

impl LocalSnapshot {
    /// Generations count for the whole process: a collection that was dropped and made again is another one. The name of
    /// the process keeps its counters apart from those of others, whose index files may be read here.
    pub(super) fn new(backend: &str, collection: &str, schema: SchemaRef, batches: Vec<Batch>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let data_ref = format!("memory://{}/{backend}/{collection}", *PROCESS);
        Self { data_ref, generation: Generation::Number(NEXT.fetch_add(1, Ordering::Relaxed)), schema, batches }
    }

    /// Checks that there is a row at `address`.
    fn check(&self, address: RowAddress) -> Result<()> {
        let batch = self.batches.get(address.file());
        match batch.filter(|batch| (address.row() as usize) < batch.rows().num_rows()) {
            None => Err(Error::internal("row address outside its snapshot")
                .with("file", address.file())
                .with("row", address.row())),
            Some(batch) if batch.deleted().contains(address.row()) => {
                Err(Error::new(ErrorKind::GenerationGone, "a row is not there in this state")
                    .with("file", self.file_name(address))
                    .with("row", address.row()))
            }
            Some(_) => Ok(()),
        }
    }

    /// The columns of a batch that a scan asks for, of all its rows.
    fn scanned(&self, ordinal: usize, request: &ScanRequest, schema: &SchemaRef) -> Result<Scanned> {
        let batch = self.batches.get(ordinal).ok_or_else(|| {
            Error::internal("part outside its snapshot").with("expected below", self.batches.len()).with("got", ordinal)
        })?;
        let rows = batch.rows();
        let mut columns = match &request.projection {
            Some(wanted) => wanted.iter().map(|column| Arc::clone(rows.column(*column))).collect(),
            None => rows.columns().to_vec(),
        };
        if request.with_address {
            let base = RowAddress::base(ordinal)?;
            let addresses: ArrayRef = Arc::new(UInt64Array::from_iter_values(base..base + rows.num_rows() as u64));
            columns.push(addresses);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        let rows = RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
            .map_err(|e| Error::internal("batch does not fit its schema").with("reason", e))?;
        Ok(Scanned { rows, deleted: Arc::clone(batch.deleted()) })
    }
}

#[async_trait]
impl Snapshot for LocalSnapshot {
    fn data_ref(&self) -> &str {
        &self.data_ref
    }

    fn generation(&self) -> &Generation {
        &self.generation
    }

    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn num_rows(&self) -> Option<usize> {
        Some(self.batches.iter().map(Batch::num_live).sum())
    }

    fn parts(&self) -> Vec<Part> {
        self.batches.iter().map(Batch::part).collect()
    }

    fn index_dir(&self) -> Option<&Path> {
        None
    }

    fn file_name(&self, address: RowAddress) -> String {
        format!("batch {}", address.file())
    }

    async fn scan(&self, _context: &TaskContext, request: &ScanRequest) -> Result<Arc<dyn ExecutionPlan>> {
        let mut fields: Vec<Arc<Field>> = match &request.projection {
            Some(wanted) => wanted.iter().map(|column| Arc::clone(&self.schema.fields()[*column])).collect(),
            None => self.schema.fields().iter().cloned().collect(),
        };
        if request.with_address {
            fields.push(Arc::new(Field::new(ADDRESS_COLUMN, DataType::UInt64, true)));
        }
        let schema = Arc::new(Schema::new(fields));
        let ordinals = request.parts.clone().unwrap_or_else(|| (0..self.batches.len()).collect());
        let scanned = ordinals.into_iter().map(|ordinal| self.scanned(ordinal, request, &schema));
        let scan = plan(schema.clone(), scanned.collect::<Result<_>>()?)?;
        Ok(match request.limit {
            Some(limit) => Arc::new(GlobalLimitExec::new(scan, 0, Some(limit))),
            None => scan,
        })
    }

    async fn take(
        &self,
        _context: &Arc<TaskContext>,
        addresses: &[RowAddress],
        projection: &[usize],
    ) -> Result<RecordBatch> {
        let failed = |e| Error::internal("rows cannot be taken").with("reason", e);
        for address in addresses {
            self.check(*address)?;
        }
        let at: Vec<_> = addresses.iter().map(|address| (address.file(), address.row() as usize)).collect();
        let projected = |batch: &Batch| batch.rows().project(projection).map_err(failed);
        if projection.is_empty() || at.is_empty() {
            let schema = Arc::new(self.schema.project(projection).map_err(failed)?);
            let options = RecordBatchOptions::new().with_row_count(Some(at.len()));
            let columns =
                schema.fields().iter().map(|field| arrow::array::new_empty_array(field.data_type())).collect();
            return RecordBatch::try_new_with_options(schema, columns, &options).map_err(failed);
        }
        let batches = self.batches.iter().map(projected).collect::<Result<Vec<_>>>()?;
        interleave_record_batch(&batches.iter().collect::<Vec<_>>(), &at).map_err(failed)
    }
}

/// A plan of one partition. Where no row is gone, the optimizer sees how many there are.
fn plan(schema: SchemaRef, scanned: Vec<Scanned>) -> Result<Arc<dyn ExecutionPlan>> {
    if scanned.iter().all(|scanned| scanned.deleted.is_empty()) {
        let batches = scanned.into_iter().map(|scanned| scanned.rows).collect();
        return Ok(MemorySourceConfig::try_new_exec(&[batches], schema, None).map_err(from_datafusion)?);
    }
    let rows = Arc::new(LiveRows { schema: Arc::clone(&schema), scanned });
    let scan = StreamingTableExec::try_new(schema, vec![rows], None, [], false, None).map_err(from_datafusion)?;
    Ok(Arc::new(scan))
}

/// Columns of a batch, and which of its rows are gone.
#[derive(Clone, Debug)]
struct Scanned {
    rows: RecordBatch,
    deleted: Arc<RoaringBitmap>,
}

/// The rows that are there, copied as they are read: a plan is made more often than it is run.
#[derive(Debug)]
struct LiveRows {
    schema: SchemaRef,
    scanned: Vec<Scanned>,
}

impl PartitionStream for LiveRows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let step = context.session_config().batch_size().max(1);
        let slices = self.scanned.clone().into_iter().flat_map(move |Scanned { rows, deleted }| {
            let num_rows = rows.num_rows();
            let slice = move |from| Ok(live_slice(&rows, &deleted, from..num_rows.min(from + step))?);
            (0..num_rows).step_by(step).map(slice)
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), stream::iter(slices)))
    }
}
