//! Scan of rows with their vectors: DataFusion reads the other columns, our own reader the vectors.
//!
//! Our reader does not expand the levels of lists; it is several times as fast as one that does.

use std::fmt;
use std::sync::Arc;

use arrow::array::builder::NullBufferBuilder;
use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeListArray, Float32Array, Float32Builder, ListArray, RecordBatch, UInt64Array,
};
use arrow::buffer::{NullBuffer, ScalarBuffer};
use arrow::compute::{cast, concat};
use arrow::datatypes::{ArrowNativeType, DataType, Field, Float32Type, Int64Type, Schema, SchemaRef, UInt64Type};
use arrow::error::ArrowError;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{ColumnStatistics, Statistics, config::ConfigOptions};
use datafusion::error::Result as DfResult;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::filter_pushdown::{FilterDescription, FilterPushdownPhase};
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties, displayable,
};
use futures::TryStreamExt;
use parquet::arrow::arrow_reader::RowSelection;
use tokio::sync::mpsc::Sender;

use super::ParquetFiles;
use super::plan::Files;
use super::vectors::Cursor;
use crate::address::{ADDRESS_COLUMN, RowAddress};
use crate::contract::ScanRequest;
use crate::error::{Error, Result, to_datafusion};
use crate::vector_column::dim_of;

/// Bound on the bytes of vectors in a batch of more than one row. A larger batch would leave the CPU caches before it is read.
const BATCH_BYTES: usize = 2 << 20;
/// Number of batches that are read ahead.
const BATCHES_AHEAD: usize = 2;

impl ParquetFiles {
    /// The plan of a request that all vectors of `files` are read for; `None` if there are none, or not all are needed.
    pub(super) fn plan_with_vectors(
        &self,
        context: &TaskContext,
        request: &ScanRequest,
        files: &[(usize, Option<RowSelection>)],
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        if request.as_stored || request.limit.is_some() || request.pruning.is_some() || files.is_empty() {
            return Ok(None);
        }
        let wanted: Vec<usize> = match &request.projection {
            Some(columns) => columns.clone(),
            None => (0..self.schema.fields().len()).collect(),
        };
        let in_path = |field: &Field| self.partition_columns.iter().any(|column| column == field.name());
        let (mut columns, mut rest) = (Vec::new(), Vec::new());
        for column in wanted {
            let field = Arc::clone(&self.schema.fields()[column]);
            columns.push(match dim_of(field.data_type()).filter(|dim| *dim > 0 && !in_path(&field)) {
                Some(dim) => OutputColumn { field, origin: Origin::Vectors { column, dim } },
                None => {
                    rest.push(column);
                    OutputColumn { field, origin: Origin::Rest(rest.len() - 1) }
                }
            });
        }
        if rest.len() == columns.len() {
            return Ok(None);
        }
        if request.with_address {
            let field = Arc::new(Field::new(ADDRESS_COLUMN, DataType::UInt64, true));
            columns.push(OutputColumn { field, origin: Origin::Address });
        }
        let of_rest = ScanRequest { projection: Some(rest), with_address: true, ..ScanRequest::default() };
        // Directly over the source, so that no optimizer changes the order of rows within a file. Files are not split: vectors
        // would be read beyond the end of a half.
        let rest = self.source(context, &of_rest, files.to_vec(), None, Files::AreWhole)?;
        Ok(Some(Arc::new(WithVectorsExec::new(Arc::new(self.clone()), columns, rest))))
    }
}

/// A column of the answer.
#[derive(Clone, Debug)]
struct OutputColumn {
    field: Arc<Field>,
    origin: Origin,
}

#[derive(Clone, Copy, Debug)]
enum Origin {
    /// A column of the rest.
    Rest(usize),
    /// The position of a vector column in the schema.
    Vectors {
        column: usize,
        dim: usize,
    },
    Address,
}

/// Plan that adds vectors to the rows of `rest`, whose last two columns are the address of the row.
#[derive(Clone)]
struct WithVectorsExec {
    files: Arc<ParquetFiles>,
    columns: Arc<[OutputColumn]>,
    rest: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl WithVectorsExec {
    fn new(files: Arc<ParquetFiles>, columns: Vec<OutputColumn>, rest: Arc<dyn ExecutionPlan>) -> Self {
        let schema = Schema::new(columns.iter().map(|column| Arc::clone(&column.field)).collect::<Vec<_>>());
        let properties = properties(Arc::new(schema), &rest);
        Self { files, columns: columns.into(), rest, properties }
    }
}

fn properties(schema: SchemaRef, rest: &Arc<dyn ExecutionPlan>) -> Arc<PlanProperties> {
    let partitions = Partitioning::UnknownPartitioning(rest.output_partitioning().partition_count());
    let equivalences = EquivalenceProperties::new(schema);
    Arc::new(PlanProperties::new(equivalences, partitions, rest.pipeline_behavior(), rest.boundedness()))
}

impl fmt::Debug for WithVectorsExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", displayable(self).one_line())
    }
}

impl DisplayAs for WithVectorsExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let vectors = self.columns.iter().filter(|column| matches!(column.origin, Origin::Vectors { .. }));
        let vectors: Vec<_> = vectors.map(|column| column.field.name().as_str()).collect();
        write!(f, "WithVectorsExec: vectors=[{}]", vectors.join(", "))
    }
}

impl ExecutionPlan for WithVectorsExec {
    fn name(&self) -> &'static str {
        "WithVectorsExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.rest]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DfResult<TreeNodeRecursion>,
    ) -> DfResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let (Some(rest), true) = (children.pop(), children.is_empty()) else {
            return datafusion::common::internal_err!("vectors are put beside the rows of one plan");
        };
        let properties = properties(self.schema(), &rest);
        Ok(Arc::new(Self { rest, properties, ..Arc::unwrap_or_clone(self) }))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> DfResult<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(partition)]
    }

    fn statistics_from_inputs(&self, inputs: &[Arc<Statistics>], _args: &StatisticsArgs) -> DfResult<Arc<Statistics>> {
        let unknown = Statistics::new_unknown(&self.schema());
        let Some(rest) = inputs.first() else { return Ok(Arc::new(unknown)) };
        let column = |column: &OutputColumn| match column.origin {
            Origin::Rest(at) => rest.column_statistics.get(at).cloned().unwrap_or_else(ColumnStatistics::new_unknown),
            Origin::Vectors { .. } | Origin::Address => ColumnStatistics::new_unknown(),
        };
        let column_statistics = self.columns.iter().map(column).collect();
        Ok(Arc::new(Statistics { num_rows: rest.num_rows, column_statistics, ..unknown }))
    }

    fn supports_limit_pushdown(&self) -> bool {
        true
    }

    /// Filters on columns of the rest alone are pushed down, and may leave out rows there.
    fn gather_filters_for_pushdown(
        &self,
        _phase: FilterPushdownPhase,
        parent_filters: Vec<Arc<dyn PhysicalExpr>>,
        _config: &ConfigOptions,
    ) -> DfResult<FilterDescription> {
        FilterDescription::from_children(parent_filters, &self.children())
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> DfResult<SendableRecordBatchStream> {
        let rest = self.rest.execute(partition, Arc::clone(&context))?;
        let mut made = RecordBatchReceiverStreamBuilder::new(self.schema(), BATCHES_AHEAD);
        let (files, columns) = (Arc::clone(&self.files), Arc::clone(&self.columns));
        let cursors = columns.iter().map(|_| None).collect();
        let beside = Beside { files, columns, schema: self.schema(), context, cursors };
        let sender = made.tx();
        made.spawn(beside.send(rest, sender));
        Ok(made.build())
    }
}

/// A partition of the scan.
struct Beside {
    files: Arc<ParquetFiles>,
    columns: Arc<[OutputColumn]>,
    schema: SchemaRef,
    context: Arc<TaskContext>,
    /// Cursor of each vector column, in the file that the last row was in; `None` for other columns.
    cursors: Vec<Option<Cursor>>,
}

impl Beside {
    async fn send(
        mut self,
        mut rest: SendableRecordBatchStream,
        sender: Sender<DfResult<RecordBatch>>,
    ) -> DfResult<()> {
        let floats: usize = self.columns.iter().map(|column| column.origin.dim()).sum();
        let step =
            (BATCH_BYTES / (floats * size_of::<f32>())).clamp(1, self.context.session_config().batch_size().max(1));
        while let Some(rows) = rest.try_next().await? {
            let addresses = addresses(&rows).map_err(to_datafusion)?;
            let mut start = 0;
            while let Some(first) = addresses.get(start) {
                let file = RowAddress::from(*first).file();
                let of_file = addresses[start..].partition_point(|address| RowAddress::from(*address).file() == file);
                let end = start + of_file.min(step);
                let (rows, addresses) = (rows.slice(start, end - start), addresses.slice(start, end - start));
                let batch = self.beside(&rows, file, addresses).await.map_err(to_datafusion)?;
                if sender.send(Ok(batch)).await.is_err() {
                    return Ok(());
                }
                start = end;
            }
        }
        Ok(())
    }

    /// Rows of a file with their vectors.
    async fn beside(&mut self, rows: &RecordBatch, file: usize, addresses: ScalarBuffer<u64>) -> Result<RecordBatch> {
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.columns.len());
        for (column, cursor) in self.columns.iter().zip(&mut self.cursors) {
            let (position, dim) = match column.origin {
                Origin::Vectors { column, dim } => (column, dim),
                Origin::Rest(at) => {
                    columns.push(Arc::clone(rows.column(at)));
                    continue;
                }
                Origin::Address => {
                    columns.push(Arc::new(UInt64Array::new(addresses.clone(), None)));
                    continue;
                }
            };
            let cursor = match cursor {
                Some(cursor) if cursor.ordinal() == file => cursor,
                other => other.insert(Cursor::open(&self.files, file, position, &self.context).await?),
            };
            let pieces = cursor.lists(&addresses).await?;
            let vectors = fixed(&pieces, &column.field, dim);
            columns.push(vectors.map_err(|wrong| {
                match wrong {
                    Wrong::Length { row, got } => Error::invalid_input("vector has the wrong dimension")
                        .with("file", &self.files.files[file].path)
                        .with("row", addresses.get(row).map_or(0, |address| RowAddress::from(*address).row()))
                        .with("expected", dim)
                        .with("got", got),
                    Wrong::Arrow(e) => Error::internal("vectors do not fit their type").with("reason", e),
                }
            })?);
        }
        RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .map_err(|e| Error::corrupt("rows do not fit their schema").with("reason", e))
    }
}

/// The addresses of rows, which the last two columns make.
fn addresses(rows: &RecordBatch) -> Result<ScalarBuffer<u64>> {
    let [.., files, in_file] = rows.columns() else { return Err(Error::internal("rows come without their address")) };
    let files = cast(files, &DataType::UInt64);
    let (Some(files), Some(in_file)) = (
        files.as_ref().ok().and_then(|files| files.as_primitive_opt::<UInt64Type>()),
        in_file.as_primitive_opt::<Int64Type>(),
    ) else {
        return Err(Error::internal("rows come with another address"));
    };
    Ok(files.values().iter().zip(in_file.values()).map(|(file, row)| file + row.unsigned_abs()).collect())
}

impl Origin {
    fn dim(self) -> usize {
        match self {
            Self::Rest(_) | Self::Address => 0,
            Self::Vectors { dim, .. } => dim,
        }
    }
}

/// Reason that lists are no vectors.
enum Wrong {
    Length { row: usize, got: usize },
    Arrow(ArrowError),
}

/// Pieces of lists as one column of vectors.
fn fixed(pieces: &[ArrayRef], field: &Field, dim: usize) -> Result<ArrayRef, Wrong> {
    let DataType::FixedSizeList(item, size) = field.data_type() else {
        return Err(Wrong::Arrow(ArrowError::SchemaError(format!("{field} holds no vectors"))));
    };
    let lists: Option<Vec<&ListArray>> = pieces.iter().map(|piece| piece.as_list_opt::<i32>()).collect();
    let Some(lists) = lists else {
        // A scan has made vectors of them.
        return concat(&pieces.iter().map(AsRef::as_ref).collect::<Vec<_>>()).map_err(Wrong::Arrow);
    };
    let plain: Option<Vec<&[f32]>> = lists.iter().map(|lists| floats(lists, dim)).collect();
    let (values, nulls) = match plain {
        Some(plain) => (Float32Array::new(plain.concat().into(), None), None),
        None => irregular(&lists, dim)?,
    };
    let vectors = FixedSizeListArray::try_new(Arc::clone(item), *size, Arc::new(values), nulls);
    vectors.map(|vectors| Arc::new(vectors) as _).map_err(Wrong::Arrow)
}

/// The floats of lists none of which is NULL, has a NULL in it or is of another length.
fn floats(lists: &ListArray, dim: usize) -> Option<&[f32]> {
    let (offsets, values) = (lists.offsets(), lists.values().as_primitive_opt::<Float32Type>()?);
    let (first, last) = (offsets.first()?.as_usize(), offsets.last()?.as_usize());
    let plain = lists.null_count() == 0 && values.nulls().is_none() && offsets.lengths().all(|len| len == dim);
    plain.then(|| &values.values()[first..last])
}

/// The floats of any lists, zeros where one is NULL, and which are there.
fn irregular(lists: &[&ListArray], dim: usize) -> Result<(Float32Array, Option<NullBuffer>), Wrong> {
    let rows: usize = lists.iter().map(|lists| lists.len()).sum();
    let (mut floats, mut vectors) = (Float32Builder::with_capacity(rows * dim), NullBufferBuilder::new(rows));
    let mut first = 0;
    for lists in lists {
        let values = lists.values().as_primitive_opt::<Float32Type>();
        let values = values.ok_or_else(|| Wrong::Arrow(ArrowError::CastError("lists of no floats".to_owned())))?;
        for (row, range) in lists.offsets().windows(2).enumerate() {
            let (from, to) = (range[0].as_usize(), range[1].as_usize());
            if lists.is_null(row) {
                floats.append_value_n(0.0, dim);
                vectors.append_null();
                continue;
            }
            if to - from != dim {
                return Err(Wrong::Length { row: first + row, got: to - from });
            }
            match values.nulls() {
                None => floats.append_slice(&values.values()[from..to]),
                Some(nulls) => {
                    let are_there: Vec<bool> = (from..to).map(|i| nulls.is_valid(i)).collect();
                    floats.append_values(&values.values()[from..to], &are_there);
                }
            }
            vectors.append_non_null();
        }
        first += lists.len();
    }
    Ok((floats.finish(), vectors.finish()))
}
