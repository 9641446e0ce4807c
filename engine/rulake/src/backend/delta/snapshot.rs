//! Snapshot of a Delta table: one version, as a list of Parquet files with their deleted rows.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use deltalake::DeltaTable;
use deltalake::delta_datafusion::{DeltaScanConfig, DeltaScanNext, create_session};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectStoreExt;
use object_store::path::Path as ObjectPath;
use roaring::RoaringBitmap;
use tokio::sync::OnceCell;

use super::first_list::mark_vectors;
use crate::address::RowAddress;
use crate::backend::parquet::{DataFile, ParquetFiles};
use crate::contract::{Part, ScanRequest, Snapshot, VectorRequest, VectorStream};
use crate::error::{Error, Result, from_datafusion, from_delta, from_object_store};
use crate::vector_column::logical_schema;
use crate::witness::Generation;

/// Requests to a store that are under way at the same time.
const FILES_ASKED_AT_ONCE: usize = 16;

/// One version of a Delta table.
#[derive(Debug)]
pub struct DeltaSnapshot {
    table: DeltaTable,
    files: ParquetFiles,
}

impl DeltaSnapshot {
    /// Pins the state that `table` has loaded.
    pub(super) async fn new(table: DeltaTable, index_dir: Option<PathBuf>) -> Result<Self> {
        let state = table.snapshot().map_err(from_delta)?.snapshot();
        let metadata = state.metadata();
        let mapping = metadata.configuration().get("delta.columnMapping.mode");
        if let Some(mode) = mapping.filter(|mode| mode.as_str() != "none") {
            return Err(Error::not_supported("Delta column mapping")
                .with("table", table.table_url())
                .with("mode", mode));
        }
        let stored = state.arrow_schema();
        let mut masked = 0;
        let mut files: Vec<DataFile> = state
            .log_data()
            .into_iter()
            .inspect(|file| masked += usize::from(file.deletion_vector_descriptor().is_some()))
            .map(|file| DataFile {
                path: file.object_store_path(),
                bytes: u64::try_from(file.size()).unwrap_or(0),
                partition_values: partition_values(file.partition_values_map()),
                logged_rows: file.num_records(),
                physical_rows: OnceCell::new(),
                deleted: RoaringBitmap::new(),
                // A file of a Delta table is never written again under its name.
                pinned: None,
            })
            .collect();
        // The log lists files in no fixed order; addresses need one that is the same in every process.
        files.sort_by(|a, b| a.path.cmp(&b.path));
        RowAddress::base(files.len())?;
        if masked > 0 {
            mask_deleted(&table, &mut files, masked).await?;
        }
        let log_store = table.log_store();
        let mut files = ParquetFiles {
            data_ref: table.table_url().to_string(),
            generation: Generation::Opaque(format!("{}@{}", metadata.id(), state.version())),
            schema: logical_schema(&stored)?,
            stored,
            partition_columns: metadata.partition_columns().to_vec(),
            files: files.into(),
            index_dir,
            store: log_store.object_store(None),
            store_url: log_store.object_store_url(),
            footers: Arc::default(),
        };
        mark_vectors(&mut files).await;
        Ok(Self { files, table })
    }

    /// The table at this version, for the library's own operations.
    pub fn table(&self) -> &DeltaTable {
        &self.table
    }

    /// The schema as the table stores it: vectors are lists.
    pub fn stored_schema(&self) -> &SchemaRef {
        &self.files.stored
    }

    /// The number of this version.
    pub(super) fn version(&self) -> Result<u64> {
        Ok(self.table.snapshot().map_err(from_delta)?.version())
    }

    /// A file of this version that is not there any more. Files that `newest` has too are.
    pub(super) async fn missing_file(&self, newest: &Self) -> Result<Option<String>> {
        let known: HashSet<&ObjectPath> = newest.files.files.iter().map(|file| &file.path).collect();
        let store = &self.files.store;
        let older = self.files.files.iter().map(|file| &file.path).filter(|path| !known.contains(path));
        let asked = stream::iter(older.cloned().collect::<Vec<_>>()).map(|path| async move {
            match store.head(&path).await {
                Ok(_) => Ok(None),
                Err(object_store::Error::NotFound { .. }) => Ok(Some(path.to_string())),
                Err(e) => Err(from_object_store(e)),
            }
        });
        let mut asked = asked.buffer_unordered(FILES_ASKED_AT_ONCE);
        while let Some(missing) = asked.try_next().await? {
            if missing.is_some() {
                return Ok(missing);
            }
        }
        Ok(None)
    }

    /// The number of data files.
    pub(super) fn num_files(&self) -> usize {
        self.files.files.len()
    }

    /// The rows of a file, by its ordinal, if the log says how many there are.
    pub(super) fn known_rows(&self, file: usize) -> Option<usize> {
        self.files.files.get(file)?.known_rows()
    }

    /// The ordinal of a file.
    pub(super) fn ordinal(&self, path: &ObjectPath) -> Option<usize> {
        // Files are sorted by path.
        self.files.files.binary_search_by(|file| file.path.cmp(path)).ok()
    }

    /// The path of a file, by its ordinal, for messages.
    pub(super) fn path(&self, file: usize) -> String {
        self.files.files.get(file).map_or_else(String::new, |file| file.path.to_string())
    }

    /// The number of rows, also where the log does not say it.
    pub(super) async fn count_rows(&self) -> Result<u64> {
        self.files.count_rows().await
    }
}

#[async_trait]
impl Snapshot for DeltaSnapshot {
    fn data_ref(&self) -> &str {
        self.files.data_ref()
    }

    fn generation(&self) -> &Generation {
        self.files.generation()
    }

    fn schema(&self) -> SchemaRef {
        self.files.schema()
    }

    fn num_rows(&self) -> Option<usize> {
        self.files.num_rows()
    }

    fn parts(&self) -> Vec<Part> {
        self.files.parts()
    }

    fn index_dir(&self) -> Option<&Path> {
        self.files.index_dir()
    }

    fn file_name(&self, address: RowAddress) -> String {
        self.files.file_name(address)
    }

    async fn scan(&self, context: &TaskContext, request: &ScanRequest) -> Result<Arc<dyn ExecutionPlan>> {
        self.files.scan(context, request).await
    }

    async fn vectors(&self, context: &Arc<TaskContext>, request: &VectorRequest<'_>) -> Result<VectorStream<'_>> {
        self.files.vectors(context, request).await
    }

    async fn take(
        &self,
        context: &Arc<TaskContext>,
        addresses: &[RowAddress],
        projection: &[usize],
    ) -> Result<RecordBatch> {
        self.files.take(context, addresses, projection).await
    }
}

/// By Delta's rules: an empty text is NULL, of every type. Values are not encoded in the log, as paths are.
fn partition_values(logged: HashMap<String, Option<String>>) -> HashMap<String, Option<String>> {
    logged.into_iter().map(|(name, value)| (name, value.filter(|text| !text.is_empty()))).collect()
}

/// Reads the deletion vectors of `files` into their masks.
async fn mask_deleted(table: &DeltaTable, files: &mut [DataFile], expected: usize) -> Result<()> {
    let session = create_session().state();
    table.update_datafusion_session(&session).map_err(from_delta)?;
    let snapshot = table.snapshot().map_err(from_delta)?.snapshot().clone();
    let scan = DeltaScanNext::new(snapshot, DeltaScanConfig::new()).map_err(from_datafusion)?;
    let masks = scan.deletion_vectors(&session).await.map_err(from_datafusion)?;
    if masks.len() != expected {
        return Err(Error::internal("deletion vectors were not read")
            .with("expected", expected)
            .with("got", masks.len()));
    }
    let root = table.table_url();
    let by_uri: HashMap<String, usize> = files
        .iter()
        .enumerate()
        .filter_map(|(i, file)| Some((root.join(file.path.as_ref()).ok()?.to_string(), i)))
        .collect();
    for mask in masks {
        let file = by_uri
            .get(&mask.filepath)
            .ok_or_else(|| Error::internal("deletion vector of an unknown file").with("file", &mask.filepath))?;
        // The mask ends at the last deleted row; no later row is deleted.
        let deleted = mask.keep_mask.iter().zip(0..).filter(|(keep, _)| !**keep).map(|(_, row)| row);
        files[*file].deleted = RoaringBitmap::from_sorted_iter(deleted)
            .map_err(|e| Error::internal("rows of a deletion vector are out of order").with("reason", e))?;
    }
    Ok(())
}
