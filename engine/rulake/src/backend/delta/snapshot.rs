//! One version of a Delta table: its files, read by our own Parquet plans so that rows keep their addresses.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch, RecordBatchOptions, UInt64Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt64Type};
use async_trait::async_trait;
use datafusion::common::{ScalarValue, project_schema};
use datafusion::config::TableParquetOptions;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::ParquetRowSelection;
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, CastExpr, Column};
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::{ExecutionPlan, collect};
use deltalake::DeltaTable;
use deltalake::delta_datafusion::{DeltaScanConfig, DeltaScanNext, create_session};
use deltalake::logstore::LogStoreRef;
use object_store::ObjectStoreExt;
use object_store::path::Path as ObjectPath;
use parquet::arrow::RowNumber;
use parquet::arrow::arrow_reader::{RowSelection, RowSelector};
use tokio::sync::OnceCell;

use crate::address::{ADDRESS_COLUMN, RowAddress};
use crate::backend::{ScanRequest, Snapshot};
use crate::error::{Error, ErrorKind, Result, from_datafusion, from_delta};
use crate::vectors::logical_schema;
use crate::witness::Generation;

/// Internal column: the address of a file's row 0.
const FILE_COLUMN: &str = "_ruvector_file";
/// Internal column: the physical row in its file, made by the Parquet reader.
const ROW_COLUMN: &str = "_ruvector_row";

/// One version of a Delta table.
#[derive(Debug)]
pub struct DeltaSnapshot {
    table: DeltaTable,
    data_ref: String,
    generation: Generation,
    schema: SchemaRef,
    stored: SchemaRef,
    partition_columns: Vec<String>,
    files: Vec<DataFile>,
    index_dir: Option<PathBuf>,
}

/// A Parquet file of the snapshot, in the order that addresses count.
#[derive(Debug)]
struct DataFile {
    path: ObjectPath,
    bytes: u64,
    partition_values: HashMap<String, Option<String>>,
    /// Physical rows as the log says, deleted ones included.
    logged_rows: Option<usize>,
    physical_rows: OnceCell<usize>,
    /// The rows that are not deleted; `None` if all are there.
    live: Option<Vec<bool>>,
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
        let mut files: Vec<DataFile> = state
            .log_data()
            .into_iter()
            .map(|file| DataFile {
                path: file.object_store_path(),
                bytes: u64::try_from(file.size()).unwrap_or(0),
                partition_values: file.partition_values_map(),
                logged_rows: file.num_records(),
                physical_rows: OnceCell::new(),
                live: file.deletion_vector_descriptor().is_some().then(Vec::new),
            })
            .collect();
        // The log lists files in no fixed order; addresses need one that is the same in every process.
        files.sort_by(|a, b| a.path.cmp(&b.path));
        RowAddress::base(files.len())?;
        if files.iter().any(|file| file.live.is_some()) {
            mask_deleted(&table, &mut files).await?;
        }
        Ok(Self {
            data_ref: table.table_url().to_string(),
            generation: Generation::Opaque(format!("{}@{}", metadata.id(), state.version())),
            schema: logical_schema(&stored)?,
            stored,
            partition_columns: metadata.partition_columns().to_vec(),
            files,
            index_dir,
            table,
        })
    }

    /// The table at this version, for the library's own operations.
    pub fn table(&self) -> &DeltaTable {
        &self.table
    }

    /// The schema as the table stores it: vectors are lists.
    pub fn stored_schema(&self) -> &SchemaRef {
        &self.stored
    }

    fn log_store(&self) -> LogStoreRef {
        self.table.log_store()
    }

    /// The columns that the files hold, the partition columns, and where each column of the schema is in a scan.
    fn layout(&self, as_stored: bool) -> (Vec<Arc<Field>>, Vec<Arc<Field>>, Vec<usize>) {
        let schema = if as_stored { &self.stored } else { &self.schema };
        let is_partition = |name: &str| self.partition_columns.iter().any(|column| column == name);
        let in_file: Vec<_> = schema.fields().iter().filter(|field| !is_partition(field.name())).cloned().collect();
        let in_path: Vec<_> = schema.fields().iter().filter(|field| is_partition(field.name())).cloned().collect();
        let position = |name: &str| {
            in_file
                .iter()
                .chain(&in_path)
                .position(|field| field.name() == name)
                .expect("every column is in one of the two")
        };
        let positions = schema.fields().iter().map(|field| position(field.name())).collect();
        (in_file, in_path, positions)
    }

    /// A plan over `files` (ordinal, rows to read or all that live).
    fn plan(
        &self,
        context: &TaskContext,
        request: &ScanRequest,
        files: impl Iterator<Item = Result<(usize, Option<RowSelection>)>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (in_file, in_path, positions) = self.layout(request.as_stored);
        let file_field = Arc::new(Field::new(FILE_COLUMN, DataType::UInt64, false));
        let row_field = Arc::new(Field::new(ROW_COLUMN, DataType::Int64, true).with_extension_type(RowNumber));
        let num_stored = in_file.len() + in_path.len();
        let partition_fields: Vec<_> = in_path.iter().cloned().chain([file_field]).collect();
        let table_schema = TableSchema::builder(Arc::new(Schema::new(in_file)))
            .with_table_partition_cols(partition_fields)
            .with_virtual_columns(vec![row_field])
            .build();

        let mut partitioned = Vec::new();
        for file in files {
            let (ordinal, selection) = file?;
            partitioned.push(self.partitioned_file(ordinal, &in_path, selection)?);
        }
        if partitioned.is_empty() {
            return self.empty(request);
        }
        let groups = FileGroup::new(partitioned).split_files(context.session_config().target_partitions().max(1));

        let mut parquet = context.session_config().options().execution.parquet.clone();
        parquet.schema_force_view_types = false;
        let options = TableParquetOptions { global: parquet, ..TableParquetOptions::default() };
        let mut source = ParquetSource::new(table_schema).with_table_parquet_options(options);
        if let Some(predicate) = &request.pruning {
            source = source.with_predicate(Arc::clone(predicate));
        }
        let wanted: Vec<usize> = match &request.projection {
            Some(columns) => columns.iter().map(|column| positions[*column]).collect(),
            None => positions,
        };
        let mut indices = wanted.clone();
        if request.with_address {
            indices.extend([num_stored, num_stored + 1]);
        }
        let log_store = self.log_store();
        let url = log_store.object_store_url();
        context.runtime_env().register_object_store(url.as_ref(), log_store.object_store(None));
        let config = FileScanConfigBuilder::new(url, Arc::new(source))
            .with_file_groups(groups)
            .with_projection_indices(Some(indices))
            .map_err(from_datafusion)?
            .with_limit(request.limit)
            .build();
        let scan = DataSourceExec::from_data_source(config);
        if request.with_address { with_address(scan, wanted.len()) } else { Ok(scan) }
    }

    /// A plan of no rows: a scan of no files would have no partitions, which no parent expects.
    fn empty(&self, request: &ScanRequest) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = if request.as_stored { &self.stored } else { &self.schema };
        let schema = project_schema(schema, request.projection.as_ref()).map_err(from_datafusion)?;
        let mut fields: Vec<Arc<Field>> = schema.fields().iter().cloned().collect();
        if request.with_address {
            fields.push(Arc::new(Field::new(ADDRESS_COLUMN, DataType::UInt64, true)));
        }
        Ok(Arc::new(EmptyExec::new(Arc::new(Schema::new(fields)))))
    }

    fn partitioned_file(
        &self,
        ordinal: usize,
        partitions: &[Arc<Field>],
        selection: Option<RowSelection>,
    ) -> Result<PartitionedFile> {
        let file = &self.files[ordinal];
        let mut values = Vec::with_capacity(partitions.len() + 1);
        for field in partitions {
            let text = file.partition_values.get(field.name()).cloned().flatten();
            let value = match text {
                None => ScalarValue::try_from(field.data_type()),
                Some(text) => ScalarValue::try_from_string(text, field.data_type()),
            };
            values.push(value.map_err(|e| {
                Error::corrupt(format!("partition value of column {:?} cannot be read", field.name()))
                    .with("file", &file.path)
                    .with("reason", e)
            })?);
        }
        values.push(ScalarValue::UInt64(Some(RowAddress::base(ordinal)?)));
        let mut partitioned = PartitionedFile::new(String::new(), file.bytes).with_partition_values(values);
        // Set as a parsed path: `PartitionedFile::new` would encode it again.
        partitioned.object_meta.location = file.path.clone();
        Ok(match selection {
            Some(selection) => partitioned.with_extension(ParquetRowSelection::new(selection)),
            None => partitioned,
        })
    }

    /// Physical rows of a file: as logged, or as its footer says.
    async fn physical_rows(&self, ordinal: usize) -> Result<usize> {
        let file = &self.files[ordinal];
        if let Some(rows) = file.logged_rows {
            return Ok(rows);
        }
        let read = || async {
            let store = self.log_store().object_store(None);
            let meta = PartitionedFile::new(file.path.to_string(), file.bytes).object_meta;
            let footer = match DFParquetMetadata::new(store.as_ref(), &meta).fetch_metadata().await {
                Ok(footer) => footer,
                Err(e) => return Err(self.why(&[ordinal], e).await),
            };
            usize::try_from(footer.file_metadata().num_rows())
                .map_err(|_| Error::corrupt("Parquet footer has a negative row count").with("file", &file.path))
        };
        file.physical_rows.get_or_try_init(read).await.copied()
    }

    /// The number of rows, also where the log does not say it.
    pub(super) async fn count_rows(&self) -> Result<u64> {
        let mut rows = 0;
        for (ordinal, file) in self.files.iter().enumerate() {
            let deleted = file.live.as_ref().map_or(0, |live| live.iter().filter(|keep| !**keep).count());
            rows += self.physical_rows(ordinal).await?.saturating_sub(deleted) as u64;
        }
        Ok(rows)
    }

    /// Our error for one met while reading files: readers drop the cause, so the files are looked at again.
    async fn why(&self, ordinals: &[usize], error: DataFusionError) -> Error {
        let store = self.log_store().object_store(None);
        for ordinal in ordinals {
            let path = &self.files[*ordinal].path;
            if let Err(object_store::Error::NotFound { .. }) = store.head(path).await {
                return Error::new(ErrorKind::GenerationGone, "a file of this version is not there any more")
                    .with("file", path);
            }
        }
        from_datafusion(error)
    }

    /// The rows of a file that are not deleted, or `None` if all are there.
    async fn live_rows(&self, ordinal: usize) -> Result<Option<RowSelection>> {
        let Some(live) = &self.files[ordinal].live else { return Ok(None) };
        let rows = self.physical_rows(ordinal).await?;
        let mut selectors: Vec<RowSelector> = Vec::new();
        // The mask ends at the last deleted row; what follows is there.
        for keep in live.iter().copied().chain(std::iter::repeat_n(true, rows.saturating_sub(live.len()))) {
            match selectors.last_mut() {
                Some(last) if last.skip != keep => last.row_count += 1,
                _ => selectors.push(if keep { RowSelector::select(1) } else { RowSelector::skip(1) }),
            }
        }
        Ok(Some(RowSelection::from(selectors)))
    }
}

#[async_trait]
impl Snapshot for DeltaSnapshot {
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
        let live = |file: &DataFile| {
            let deleted = file.live.as_ref().map_or(0, |live| live.iter().filter(|keep| !**keep).count());
            file.logged_rows.map(|rows| rows.saturating_sub(deleted))
        };
        self.files.iter().map(live).sum()
    }

    fn index_dir(&self) -> Option<&Path> {
        self.index_dir.as_deref()
    }

    fn file_name(&self, address: RowAddress) -> String {
        self.files.get(address.file()).map_or_else(String::new, |file| file.path.to_string())
    }

    async fn scan(&self, context: &TaskContext, request: &ScanRequest) -> Result<Arc<dyn ExecutionPlan>> {
        let mut files = Vec::with_capacity(self.files.len());
        for ordinal in 0..self.files.len() {
            files.push(Ok((ordinal, self.live_rows(ordinal).await?)));
        }
        self.plan(context, request, files.into_iter())
    }

    async fn take(
        &self,
        context: &Arc<TaskContext>,
        addresses: &[RowAddress],
        projection: &[usize],
    ) -> Result<RecordBatch> {
        let mut by_file: HashMap<usize, Vec<u32>> = HashMap::new();
        for address in addresses {
            by_file.entry(address.file()).or_default().push(address.row());
        }
        let mut selected = Vec::with_capacity(by_file.len());
        for (ordinal, mut rows) in by_file {
            if ordinal >= self.files.len() {
                return Err(Error::internal("row address outside its snapshot").with("file", ordinal));
            }
            rows.sort_unstable();
            let total = self.physical_rows(ordinal).await?;
            let ranges = rows.iter().map(|row| *row as usize..*row as usize + 1);
            selected.push((ordinal, Some(RowSelection::from_consecutive_ranges(ranges, total))));
        }
        selected.sort_by_key(|(ordinal, _)| *ordinal);
        let ordinals: Vec<usize> = selected.iter().map(|(ordinal, _)| *ordinal).collect();
        let request =
            ScanRequest { projection: Some(projection.to_vec()), with_address: true, ..ScanRequest::default() };
        let plan = self.plan(context, &request, selected.into_iter().map(Ok))?;
        let schema = plan.schema();
        let batches = match collect(plan, Arc::clone(context)).await {
            Ok(batches) => batches,
            Err(e) => return Err(self.why(&ordinals, e).await),
        };
        let rows = concat_batches(&schema, &batches)
            .map_err(|e| Error::internal("rows do not concatenate").with("reason", e))?;
        in_order(&rows, addresses)
    }
}

/// Reads the deletion vectors of `files` into their masks.
async fn mask_deleted(table: &DeltaTable, files: &mut [DataFile]) -> Result<()> {
    let session = create_session().state();
    table.update_datafusion_session(&session).map_err(from_delta)?;
    let snapshot = table.snapshot().map_err(from_delta)?.snapshot().clone();
    let scan = DeltaScanNext::new(snapshot, DeltaScanConfig::new()).map_err(from_datafusion)?;
    let masks = scan.deletion_vectors(&session).await.map_err(from_datafusion)?;
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
        files[*file].live = Some(mask.keep_mask);
    }
    match files.iter().find(|file| file.live.as_ref().is_some_and(Vec::is_empty)) {
        Some(file) => Err(Error::internal("deletion vector was not read").with("file", &file.path)),
        None => Ok(()),
    }
}

/// Replaces the two address columns at the end of `scan` by their sum.
fn with_address(scan: Arc<dyn ExecutionPlan>, num_columns: usize) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = scan.schema();
    let column = |i: usize| -> Arc<dyn PhysicalExpr> { Arc::new(Column::new(schema.field(i).name(), i)) };
    let row = Arc::new(CastExpr::new(column(num_columns + 1), DataType::UInt64, None));
    let address: Arc<dyn PhysicalExpr> = Arc::new(BinaryExpr::new(column(num_columns), Operator::Plus, row));
    let mut columns: Vec<_> = (0..num_columns).map(|i| (column(i), schema.field(i).name().clone())).collect();
    columns.push((address, ADDRESS_COLUMN.to_owned()));
    Ok(Arc::new(ProjectionExec::try_new(columns, scan).map_err(from_datafusion)?))
}

/// The rows of `found`, whose last column is their address, in the order of `addresses`, without that column.
fn in_order(found: &RecordBatch, addresses: &[RowAddress]) -> Result<RecordBatch> {
    let last = found.num_columns() - 1;
    let at: HashMap<u64, u64> =
        found.column(last).as_primitive::<UInt64Type>().values().iter().copied().zip(0..).collect();
    let indices: Option<Vec<u64>> = addresses.iter().map(|address| at.get(&u64::from(*address)).copied()).collect();
    let indices = indices.ok_or_else(|| {
        Error::new(ErrorKind::GenerationGone, "rows of this version are not there any more")
            .with("expected", addresses.len())
            .with("got", found.num_rows())
    })?;
    let rows = take_record_batch(found, &UInt64Array::from(indices))
        .map_err(|e| Error::internal("rows cannot be taken").with("reason", e))?;
    let columns: Vec<usize> = (0..last).collect();
    let schema = Arc::new(rows.schema().project(&columns).map_err(|e| Error::internal(e.to_string()))?);
    let options = RecordBatchOptions::new().with_row_count(Some(addresses.len()));
    RecordBatch::try_new_with_options(schema, rows.columns()[..last].to_vec(), &options)
        .map_err(|e| Error::internal("rows do not fit their schema").with("reason", e))
}
