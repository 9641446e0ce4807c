//! Rows of an index: row numbers go in, batches of ids, vectors and addresses come out.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, FixedSizeListArray, Float32Array, Int64Array, RecordBatch, RecordBatchOptions, UInt64Array,
};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::stream;
use ruvector_rabitq::{SharedIndex, VectorIndex};

use crate::error::{Error, Result};

/// Content of a column of an answer.
#[derive(Clone, Copy, Debug)]
pub(super) enum IndexColumn {
    Id,
    Vector,
    Address,
}

/// The rows of an index. The index numbers them from 0; `ids` are their ids.
#[derive(Clone, Debug)]
pub(super) struct IndexRows {
    pub(super) ids: Arc<Vec<i64>>,
    pub(super) index: SharedIndex,
    /// The columns to read.
    pub(super) columns: Vec<IndexColumn>,
    pub(super) schema: SchemaRef,
    /// Bound on the number of rows.
    pub(super) limit: usize,
}

impl IndexRows {
    /// The rows of these numbers, in that order.
    ///
    /// # Errors
    /// `NotSupported` if vectors are asked for and the index keeps none.
    pub(super) fn batch(&self, rows: &[usize]) -> Result<RecordBatch> {
        let columns = self.columns.iter().zip(self.schema.fields());
        let columns = columns.map(|(column, field)| -> Result<ArrayRef> {
            Ok(match column {
                IndexColumn::Id => Arc::new(rows.iter().map(|row| self.ids[*row]).collect::<Int64Array>()),
                IndexColumn::Address => Arc::new(rows.iter().map(|row| *row as u64).collect::<UInt64Array>()),
                IndexColumn::Vector => self.vectors(rows, field.data_type())?,
            })
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
            .map_err(|e| Error::internal("rows of an index do not fit their schema").with("reason", e))
    }

    fn vectors(&self, rows: &[usize], data_type: &DataType) -> Result<ArrayRef> {
        let values = self.index.vectors().ok_or_else(|| no_vectors(&self.index))?;
        let DataType::FixedSizeList(item, dim) = data_type else {
            return Err(Error::internal("vector type is not a list").with("got", data_type));
        };
        let width = self.index.dim().get();
        let chosen: Float32Array =
            rows.iter().flat_map(|row| &values[row * width..(row + 1) * width]).copied().collect::<Vec<f32>>().into();
        let vectors = FixedSizeListArray::try_new(Arc::clone(item), *dim, Arc::new(chosen), None);
        Ok(Arc::new(vectors.map_err(|e| Error::internal("vectors do not fit their column").with("reason", e))?))
    }
}

/// The error of a request for vectors that the index does not keep.
pub(super) fn no_vectors(index: &dyn VectorIndex) -> Error {
    Error::not_supported("the index keeps no vectors, so that they cannot be read or compared exactly")
        .with("expected", "other columns, such as id and _distance, and an approximate search")
        .with("kind", index.kind())
}

impl PartitionStream for IndexRows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (step, rows) = (context.session_config().batch_size().max(1), self.clone());
        let end = self.ids.len().min(self.limit);
        let batch = move |from: usize| {
            let numbers: Vec<usize> = (from..end.min(from + step)).collect();
            rows.batch(&numbers).map_err(crate::error::to_datafusion)
        };
        let batches = stream::iter((0..end).step_by(step).map(batch));
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), batches))
    }
}
