//! Reading the vectors of a column, each with its address, each checked.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float32Type, UInt64Type};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::execute_stream;
use futures::TryStreamExt;
use ruvector_rabitq::Dim;

use crate::address::RowAddress;
use crate::backend::{ScanRequest, Snapshot};
use crate::error::{Error, Result, from_datafusion};

/// Folds the vectors of `column` into `accumulator`, in whatever order partitions of the scan give them.
///
/// NULL vectors are passed over.
///
/// # Errors
/// `InvalidInput` that names file and row of a vector that has another type, another dimension, a NULL coordinate or one
/// that is not finite; what the backend reports.
pub(crate) async fn fold_vectors<A: Send>(
    snapshot: &dyn Snapshot,
    column: &str,
    dim: Dim,
    context: &Arc<TaskContext>,
    mut accumulator: A,
    fold: impl Fn(&mut A, RowAddress, &[f32]) + Send + Sync,
) -> Result<A> {
    let position = snapshot.schema().index_of(column).map_err(|e| Error::internal(e.to_string()))?;
    let request =
        ScanRequest { projection: Some(vec![position]), with_address: true, as_stored: true, ..ScanRequest::default() };
    let plan = snapshot.scan(context, &request).await?;
    // Partitions are read and decoded each by a task of its own.
    let mut batches = execute_stream(plan, Arc::clone(context)).map_err(from_datafusion)?;
    while let Some(batch) = batches.try_next().await.map_err(from_datafusion)? {
        fold_batch(&mut accumulator, &batch, dim, snapshot, &fold)?;
    }
    Ok(accumulator)
}

fn fold_batch<A>(
    accumulator: &mut A,
    batch: &RecordBatch,
    dim: Dim,
    snapshot: &dyn Snapshot,
    fold: impl Fn(&mut A, RowAddress, &[f32]),
) -> Result<()> {
    let (column, addresses) = (batch.column(0), batch.column(1).as_primitive::<UInt64Type>());
    for row in 0..batch.num_rows() {
        let address = RowAddress::from(addresses.value(row));
        let at_fault = |message: &str| {
            Error::invalid_input(message).with("file", snapshot.file_name(address)).with("row", address.row())
        };
        let Some(vector) = list_item(column, row)? else { continue };
        let vector = vector.as_primitive_opt::<Float32Type>().ok_or_else(|| {
            at_fault("vector has another type").with("expected", DataType::Float32).with("got", vector.data_type())
        })?;
        if vector.len() != dim.get() {
            return Err(at_fault("vector has the wrong dimension").with("expected", dim).with("got", vector.len()));
        }
        if vector.null_count() > 0 {
            return Err(at_fault("vector has a NULL coordinate"));
        }
        if let Some(bad) = vector.values().iter().find(|value| !value.is_finite()) {
            return Err(at_fault("vector is not finite").with("got", bad));
        }
        fold(accumulator, address, vector.values());
    }
    Ok(())
}

/// The list in `row`, or `None` if it is NULL.
fn list_item(column: &ArrayRef, row: usize) -> Result<Option<ArrayRef>> {
    if column.is_null(row) {
        return Ok(None);
    }
    Ok(Some(match column.data_type() {
        DataType::FixedSizeList(..) => column.as_fixed_size_list().value(row),
        DataType::List(_) => column.as_list::<i32>().value(row),
        DataType::LargeList(_) => column.as_list::<i64>().value(row),
        other => {
            return Err(Error::invalid_input("column does not hold vectors")
                .with("expected", "a list")
                .with("got", other));
        }
    }))
}
