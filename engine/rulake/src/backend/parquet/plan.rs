//! Scan plans over Parquet files: files with row selections go in; a DataFusion plan comes out, with row addresses if requested.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::{ScalarValue, project_schema};
use datafusion::config::TableParquetOptions;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::{ParquetFileReaderFactory, ParquetRowSelection};
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::TaskContext;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{BinaryExpr, CastExpr, Column};
use datafusion::physical_expr::{Partitioning, PhysicalExpr};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use parquet::arrow::RowNumber;
use parquet::arrow::arrow_reader::RowSelection;

use super::ParquetFiles;
use super::bounds::BoundedReaders;
use crate::address::{ADDRESS_COLUMN, RowAddress};
use crate::contract::ScanRequest;
use crate::error::{Error, Result, from_datafusion};

/// Internal column: the address of a file's row 0.
const FILE_COLUMN: &str = "_ruvector_file";
/// Internal column: the physical row in its file, made by the Parquet reader.
const ROW_COLUMN: &str = "_ruvector_row";

/// Permission for the optimizer to read parts of a file in different partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Files {
    MayBeSplit,
    AreWhole,
}

impl ParquetFiles {
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

    /// A plan over `files` (ordinal, rows to read or all that live), read by `readers`, or by readers with bounds that can be
    /// pruned by.
    pub(super) fn plan(
        &self,
        context: &TaskContext,
        request: &ScanRequest,
        files: Vec<(usize, Option<RowSelection>)>,
        readers: Option<Arc<dyn ParquetFileReaderFactory>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if files.is_empty() {
            return self.empty(request);
        }
        let scan = self.source(context, request, files, readers, Files::MayBeSplit)?;
        let num_columns = scan.schema().fields().len();
        let scan = if request.with_address { with_address(scan, num_columns - 2)? } else { scan };
        Ok(match request.limit {
            // The source counts the rows of each partition for itself.
            Some(limit) if scan.output_partitioning().partition_count() > 1 => {
                Arc::new(CoalescePartitionsExec::new(scan).with_fetch(Some(limit)))
            }
            _ => scan,
        })
    }

    /// The same for at least one file. An address, if it is asked for, is in two columns at the end: that of the file's row 0
    /// (`UInt64`), and the row (`Int64`).
    pub(super) fn source(
        &self,
        context: &TaskContext,
        request: &ScanRequest,
        files: Vec<(usize, Option<RowSelection>)>,
        readers: Option<Arc<dyn ParquetFileReaderFactory>>,
        split: Files,
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
        for (ordinal, selection) in files {
            partitioned.push(self.partitioned_file(ordinal, &in_path, selection)?);
        }
        let groups = FileGroup::new(partitioned).split_files(context.session_config().target_partitions().max(1));
        let num_groups = groups.len();

        let mut parquet = context.session_config().options().execution.parquet.clone();
        parquet.schema_force_view_types = false;
        let options = TableParquetOptions { global: parquet, ..TableParquetOptions::default() };
        let mut source = ParquetSource::new(table_schema).with_table_parquet_options(options);
        let readers = readers.unwrap_or_else(|| Arc::new(BoundedReaders::new(Arc::clone(&self.store))));
        source = source.with_parquet_file_reader_factory(readers);
        if let Some(predicate) = &request.pruning {
            source = source.with_predicate(Arc::clone(predicate));
        }
        let mut indices: Vec<usize> = match &request.projection {
            Some(columns) => columns.iter().map(|column| positions[*column]).collect(),
            None => positions,
        };
        if request.with_address {
            indices.extend([num_stored, num_stored + 1]);
        }
        context.runtime_env().register_object_store(self.store_url.as_ref(), Arc::clone(&self.store));
        let config = FileScanConfigBuilder::new(self.store_url.clone(), Arc::new(source))
            .with_file_groups(groups)
            .with_projection_indices(Some(indices))
            .map_err(from_datafusion)?
            .with_limit(request.limit);
        let config = match split {
            Files::MayBeSplit => config,
            // Declared columns keep their types.
            Files::AreWhole => config.with_output_partitioning(Some(Partitioning::UnknownPartitioning(num_groups))),
        };
        Ok(DataSourceExec::from_data_source(config.build()))
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
