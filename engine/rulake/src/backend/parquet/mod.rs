//! Pinned list of Parquet files: the snapshot of all backends over files, read by plans that keep the addresses of rows.

mod bounds;
mod files;
mod page_reader;
mod plan;
mod take;
mod vectors;
mod with_vectors;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::datasource::object_store::ObjectStoreUrl;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use object_store::ObjectStore;

use crate::address::RowAddress;
use crate::contract::{Part, ScanRequest, Snapshot, VectorRequest, VectorStream};
use crate::error::Result;
use crate::witness::Generation;

pub(crate) use files::{DataFile, file_id};
pub(crate) use page_reader::FooterCache;

/// A state of a collection: its files in the order of row addresses, and their schema.
#[derive(Clone, Debug)]
pub(crate) struct ParquetFiles {
    pub(crate) data_ref: String,
    pub(crate) generation: Generation,
    /// Vectors are `FixedSizeList<Float32>`.
    pub(crate) schema: SchemaRef,
    /// The schema as files have it: vectors may be lists.
    pub(crate) stored: SchemaRef,
    /// Columns whose values are in the names of folders.
    pub(crate) partition_columns: Vec<String>,
    pub(crate) files: Arc<[DataFile]>,
    pub(crate) index_dir: Option<PathBuf>,
    pub(crate) store: Arc<dyn ObjectStore>,
    /// URL under which plans find the store.
    pub(crate) store_url: ObjectStoreUrl,
    /// Footers of files that rows were taken from, or vectors were read from.
    pub(crate) footers: Arc<FooterCache>,
}

#[async_trait]
impl Snapshot for ParquetFiles {
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
        self.files.iter().map(DataFile::known_rows).sum()
    }

    fn parts(&self) -> Vec<Part> {
        self.files.iter().map(|file| Part { id: file.id(), deleted: file.deleted.clone() }).collect()
    }

    fn index_dir(&self) -> Option<&Path> {
        self.index_dir.as_deref()
    }

    fn file_name(&self, address: RowAddress) -> String {
        self.files.get(address.file()).map_or_else(String::new, |file| file.path.to_string())
    }

    async fn scan(&self, context: &TaskContext, request: &ScanRequest) -> Result<Arc<dyn ExecutionPlan>> {
        let ordinals = request.parts.clone().unwrap_or_else(|| (0..self.files.len()).collect());
        self.unchanged(ordinals.iter().copied()).await?;
        let mut files = Vec::with_capacity(ordinals.len());
        for ordinal in ordinals {
            files.push((ordinal, self.live_rows(ordinal).await?));
        }
        match self.plan_with_vectors(context, request, &files)? {
            Some(plan) => Ok(plan),
            None => self.plan(context, request, files, None),
        }
    }

    async fn vectors(&self, context: &Arc<TaskContext>, request: &VectorRequest<'_>) -> Result<VectorStream<'_>> {
        self.read_vectors(context, request).await
    }

    async fn take(
        &self,
        context: &Arc<TaskContext>,
        addresses: &[RowAddress],
        projection: &[usize],
    ) -> Result<RecordBatch> {
        take::take(self, context, addresses, projection).await
    }

    async fn verify(&self) -> Result<()> {
        self.unchanged(0..self.files.len()).await
    }
}
