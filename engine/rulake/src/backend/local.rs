//! Arrow batches in memory: the quickest backend to fill, and the one that tests can see through.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, UInt64Array};
use arrow::compute::interleave_record_batch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::limit::GlobalLimitExec;
use parking_lot::RwLock;

use crate::address::{ADDRESS_COLUMN, RowAddress};
use crate::backend::{Backend, ScanRequest, Snapshot};
use crate::error::{Error, Result, from_datafusion};
use crate::vectors::conform;
use crate::witness::Generation;

/// Collections held in memory. Their generation is a counter that means nothing to another process.
#[derive(Debug)]
pub struct LocalBackend {
    id: String,
    collections: RwLock<HashMap<String, Arc<LocalSnapshot>>>,
}

impl LocalBackend {
    /// An empty backend.
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), collections: RwLock::default() }
    }

    /// Creates a collection, or replaces the rows and the schema of the one of that name.
    ///
    /// # Errors
    /// `InvalidInput` if a batch does not fit the schema or holds a vector that is not finite.
    pub fn put(&self, collection: &str, schema: SchemaRef, batches: &[RecordBatch]) -> Result<()> {
        let batches = batches.iter().map(|batch| conform(batch, &schema)).collect::<Result<Vec<_>>>()?;
        let mut collections = self.collections.write();
        let snapshot = LocalSnapshot::new(&self.id, collection, schema, batches);
        collections.insert(collection.to_owned(), Arc::new(snapshot));
        Ok(())
    }

    /// Appends rows to a collection.
    ///
    /// # Errors
    /// `NotFound`; `InvalidInput` as [`LocalBackend::put`]. Nothing is changed on error.
    pub fn append(&self, collection: &str, batch: &RecordBatch) -> Result<()> {
        let mut collections = self.collections.write();
        let known = collections.get(collection).ok_or_else(|| not_found(&self.id, collection))?;
        let mut batches = known.batches.clone();
        batches.push(conform(batch, &known.schema)?);
        RowAddress::base(batches.len())?;
        let snapshot = LocalSnapshot::new(&self.id, collection, Arc::clone(&known.schema), batches);
        collections.insert(collection.to_owned(), Arc::new(snapshot));
        Ok(())
    }

    /// Removes a collection.
    ///
    /// # Errors
    /// `NotFound` if there is none.
    pub fn remove(&self, collection: &str) -> Result<()> {
        let removed = self.collections.write().remove(collection);
        removed.map(drop).ok_or_else(|| not_found(&self.id, collection))
    }
}

fn not_found(backend: &str, collection: &str) -> Error {
    Error::not_found("no such collection").with("backend", backend).with("collection", collection)
}

#[async_trait]
impl Backend for LocalBackend {
    fn id(&self) -> &str {
        &self.id
    }

    async fn list(&self) -> Result<Vec<String>> {
        let mut names: Vec<_> = self.collections.read().keys().cloned().collect();
        names.sort_unstable();
        Ok(names)
    }

    async fn snapshot(&self, collection: &str) -> Result<Arc<dyn Snapshot>> {
        let snapshot = self.collections.read().get(collection).cloned();
        Ok(snapshot.ok_or_else(|| not_found(&self.id, collection))?)
    }
}

/// The batches of a collection at one moment. A batch is what a file is elsewhere.
#[derive(Debug)]
struct LocalSnapshot {
    data_ref: String,
    generation: Generation,
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
}

impl LocalSnapshot {
    /// Generations count for the whole process: a collection that was removed and made again is another one.
    fn new(backend: &str, collection: &str, schema: SchemaRef, batches: Vec<RecordBatch>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let data_ref = format!("memory://{backend}/{collection}");
        Self { data_ref, generation: Generation::Number(NEXT.fetch_add(1, Ordering::Relaxed)), schema, batches }
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
        Some(self.batches.iter().map(RecordBatch::num_rows).sum())
    }

    fn index_dir(&self) -> Option<&Path> {
        None
    }

    fn file_name(&self, address: RowAddress) -> String {
        format!("batch {}", address.file())
    }

    async fn scan(&self, _context: &TaskContext, request: &ScanRequest) -> Result<Arc<dyn ExecutionPlan>> {
        let mut fields: Vec<Arc<Field>> = self.schema.fields().iter().cloned().collect();
        let mut projection = request.projection.clone().unwrap_or_else(|| (0..fields.len()).collect());
        if request.with_address {
            projection.push(fields.len());
            fields.push(Arc::new(Field::new(ADDRESS_COLUMN, DataType::UInt64, true)));
        }
        let schema = Arc::new(Schema::new(fields));
        let mut batches = Vec::with_capacity(self.batches.len());
        let wanted = |i: &usize| request.parts.as_ref().is_none_or(|parts| parts.contains(i));
        for (i, batch) in self.batches.iter().enumerate().filter(|(i, _)| wanted(i)) {
            let mut columns = batch.columns().to_vec();
            if request.with_address {
                let base = RowAddress::base(i)?;
                let addresses: ArrayRef = Arc::new(UInt64Array::from_iter_values(base..base + batch.num_rows() as u64));
                columns.push(addresses);
            }
            let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            batches.push(
                RecordBatch::try_new_with_options(Arc::clone(&schema), columns, &options)
                    .map_err(|e| Error::internal("batch does not fit its schema").with("reason", e))?,
            );
        }
        let scan = MemorySourceConfig::try_new_exec(&[batches], schema, Some(projection)).map_err(from_datafusion)?;
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
        let at: Vec<_> = addresses.iter().map(|address| (address.file(), address.row() as usize)).collect();
        let projected = |batch: &RecordBatch| batch.project(projection).map_err(failed);
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
