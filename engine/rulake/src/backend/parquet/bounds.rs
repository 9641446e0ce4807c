//! Readers whose footers name no maximum of a float column.
//!
//! NaN is greater than every other float here, but a Parquet writer leaves it out of minima and maxima. A maximum would
//! let DataFusion leave out the NaN rows that `score > 2` or `score <> 1` matches. Minima stay: a NaN is above them all.
//! Footers are changed instead of predicates, because predicates reach a scan on several ways: from WHERE, from the filter
//! of a search, from joins and from LIMIT while a query runs.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::{DefaultParquetFileReaderFactory, ParquetFileReaderFactory};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::ObjectStore;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::basic::{LogicalType, Type};
use parquet::errors::Result;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};
use parquet::file::statistics::{Statistics, ValueStatistics};
use parquet::schema::types::ColumnDescriptor;

/// Factory of readers whose footers are safe to prune by.
#[derive(Debug)]
pub(super) struct BoundedReaders {
    readers: DefaultParquetFileReaderFactory,
}

impl BoundedReaders {
    pub(super) fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self { readers: DefaultParquetFileReaderFactory::new(store) }
    }
}

impl ParquetFileReaderFactory for BoundedReaders {
    fn create_reader(
        &self,
        partition: usize,
        file: PartitionedFile,
        metadata_size_hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> datafusion::error::Result<Box<dyn AsyncFileReader + Send>> {
        let reader = self.readers.create_reader(partition, file, metadata_size_hint, metrics)?;
        Ok(Box::new(BoundedReader(reader)))
    }
}

struct BoundedReader(Box<dyn AsyncFileReader + Send>);

impl AsyncFileReader for BoundedReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes>> {
        self.0.get_bytes(range)
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, Result<Vec<Bytes>>> {
        self.0.get_byte_ranges(ranges)
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>>> {
        async move { without_float_maxima(self.0.get_metadata(options).await?) }.boxed()
    }
}

/// The footer without maxima of floats, neither of row groups nor of pages.
fn without_float_maxima(footer: Arc<ParquetMetaData>) -> Result<Arc<ParquetMetaData>> {
    let columns = footer.file_metadata().schema_descr().columns();
    if !columns.iter().any(|column| is_prunable_float(column)) {
        return Ok(footer);
    }
    let mut builder = Arc::unwrap_or_clone(footer).into_builder();
    // The indexes of pages are read later, at the places that row groups name.
    builder.take_column_index();
    let groups = builder.take_row_groups().into_iter().map(row_group).collect::<Result<_>>()?;
    Ok(Arc::new(builder.set_row_groups(groups).build()))
}

/// Lists are left alone, vectors above all: no predicate is held against their items.
fn is_prunable_float(column: &ColumnDescriptor) -> bool {
    let is_float = matches!(column.physical_type(), Type::FLOAT | Type::DOUBLE)
        || column.logical_type_ref() == Some(&LogicalType::Float16);
    is_float && column.max_rep_level() == 0
}

fn row_group(group: RowGroupMetaData) -> Result<RowGroupMetaData> {
    let mut builder = group.into_builder();
    let columns = builder.take_columns().into_iter().map(column_chunk).collect::<Result<_>>()?;
    builder.set_column_metadata(columns).build()
}

fn column_chunk(chunk: ColumnChunkMetaData) -> Result<ColumnChunkMetaData> {
    if !is_prunable_float(chunk.column_descr()) {
        return Ok(chunk);
    }
    let bounded = match chunk.statistics() {
        Some(Statistics::Float(known)) => Some(Statistics::Float(without_maximum(known))),
        Some(Statistics::Double(known)) => Some(Statistics::Double(without_maximum(known))),
        _ => None,
    };
    let builder = chunk.into_builder().clear_statistics().set_column_index_offset(None).set_column_index_length(None);
    match bounded {
        Some(bounded) => builder.set_statistics(bounded).build(),
        None => builder.build(),
    }
}

fn without_maximum<T: Copy>(known: &ValueStatistics<T>) -> ValueStatistics<T> {
    ValueStatistics::new(known.min_opt().copied(), None, known.distinct_count(), known.null_count_opt(), false)
        .with_min_is_exact(known.min_is_exact())
}
