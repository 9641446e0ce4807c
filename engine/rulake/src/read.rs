//! Reading the vectors of a column, each with its address, each checked.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float32Array, RecordBatch};
use arrow::datatypes::{DataType, Float32Type, UInt64Type};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::execute_stream;
use futures::TryStreamExt;
use ruvector_rabitq::Dim;

use crate::address::RowAddress;
use crate::backend::{ScanRequest, Snapshot};
use crate::error::{Error, Result, from_datafusion};

/// Folds the vectors of `column` in `parts`, or in all, into `accumulator`, in whatever order partitions of the scan give them.
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
    parts: Option<Vec<usize>>,
    context: &Arc<TaskContext>,
    mut accumulator: A,
    fold: impl Fn(&mut A, RowAddress, &[f32]) + Send + Sync,
) -> Result<A> {
    let position = snapshot.schema().index_of(column).map_err(|e| Error::internal(e.to_string()))?;
    let all = parts.is_none();
    let request = ScanRequest {
        projection: Some(vec![position]),
        with_address: true,
        parts,
        as_stored: true,
        ..ScanRequest::default()
    };
    let plan = snapshot.scan(context, &request).await?;
    // Partitions are read and decoded each by a task of its own.
    let mut batches = execute_stream(plan, Arc::clone(context)).map_err(from_datafusion)?;
    let mut got = 0;
    while let Some(batch) = batches.try_next().await.map_err(from_datafusion)? {
        got += batch.num_rows();
        if let Some(expected) = snapshot.num_rows().filter(|expected| got > *expected) {
            return Err(Error::corrupt("backend gave more rows than it says there are")
                .with("collection", snapshot.data_ref())
                .with("expected", expected)
                .with("got at least", got));
        }
        fold_batch(&mut accumulator, &batch, dim, snapshot, &fold)?;
    }
    match snapshot.num_rows().filter(|expected| all && got < *expected) {
        // A backend that went away in the middle may look like one that came to its end.
        Some(expected) => Err(Error::unavailable("backend gave fewer rows than it says there are")
            .with("collection", snapshot.data_ref())
            .with("expected", expected)
            .with("got", got)),
        None => Ok(accumulator),
    }
}

fn fold_batch<A>(
    accumulator: &mut A,
    batch: &RecordBatch,
    dim: Dim,
    snapshot: &dyn Snapshot,
    fold: impl Fn(&mut A, RowAddress, &[f32]),
) -> Result<()> {
    let [column, addresses] = batch.columns() else { return Err(not_as_asked(batch)) };
    let addresses = addresses.as_primitive_opt::<UInt64Type>().ok_or_else(|| not_as_asked(batch))?;
    let lists = Lists::new(column)?;
    for (row, address) in addresses.values().iter().enumerate() {
        if column.is_null(row) {
            continue;
        }
        let address = RowAddress::from(*address);
        let at_fault = |message: &str| {
            Error::invalid_input(message).with("file", snapshot.file_name(address)).with("row", address.row())
        };
        let Some(values) = lists.floats else {
            let got = lists.item_type;
            return Err(at_fault("vector has another type").with("expected", DataType::Float32).with("got", got));
        };
        let range = lists.range(row);
        if range.len() != dim.get() {
            return Err(at_fault("vector has the wrong dimension").with("expected", dim).with("got", range.len()));
        }
        let has_null = values.nulls().is_some_and(|nulls| nulls.slice(range.start, range.len()).null_count() > 0);
        if has_null {
            return Err(at_fault("vector has a NULL coordinate"));
        }
        let vector = &values.values()[range];
        if !is_finite(vector) {
            let bad = vector.iter().find(|value| !value.is_finite()).copied().unwrap_or_default();
            return Err(at_fault("vector is not finite").with("got", bad));
        }
        fold(accumulator, address, vector);
    }
    Ok(())
}

fn not_as_asked(batch: &RecordBatch) -> Error {
    let got: Vec<String> = batch.schema_ref().fields().iter().map(|field| field.data_type().to_string()).collect();
    Error::corrupt("backend gave other columns than it was asked for")
        .with("expected", "vectors and their addresses")
        .with("got", got.join(", "))
}

/// Whether every coordinate is. All are looked at, so that the loop has no branch.
fn is_finite(vector: &[f32]) -> bool {
    const EXPONENT: u32 = 0x7f80_0000;
    !vector.iter().fold(false, |found, value| found | (value.to_bits() & EXPONENT == EXPONENT))
}

/// A column of lists of whatever kind.
struct Lists<'a> {
    item_type: &'a DataType,
    /// The items of all lists, if they are what vectors are made of.
    floats: Option<&'a Float32Array>,
    layout: Layout<'a>,
}

enum Layout<'a> {
    Fixed(usize),
    Offsets(&'a [i32]),
    LargeOffsets(&'a [i64]),
}

impl<'a> Lists<'a> {
    fn new(column: &'a ArrayRef) -> Result<Self> {
        let (items, layout) = match column.data_type() {
            DataType::FixedSizeList(_, dim) => {
                (column.as_fixed_size_list().values(), Layout::Fixed(usize::try_from(*dim).unwrap_or(0)))
            }
            DataType::List(_) => {
                let lists = column.as_list::<i32>();
                (lists.values(), Layout::Offsets(lists.value_offsets()))
            }
            DataType::LargeList(_) => {
                let lists = column.as_list::<i64>();
                (lists.values(), Layout::LargeOffsets(lists.value_offsets()))
            }
            other => {
                return Err(Error::invalid_input("column does not hold vectors")
                    .with("expected", "a list")
                    .with("got", other));
            }
        };
        Ok(Self { item_type: items.data_type(), floats: items.as_primitive_opt::<Float32Type>(), layout })
    }

    /// Where the items of a row are.
    fn range(&self, row: usize) -> Range<usize> {
        match self.layout {
            Layout::Fixed(dim) => row * dim..(row + 1) * dim,
            Layout::Offsets(offsets) => offsets[row] as usize..offsets[row + 1] as usize,
            Layout::LargeOffsets(offsets) => offsets[row] as usize..offsets[row + 1] as usize,
        }
    }
}
