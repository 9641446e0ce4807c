//! Folds over the vectors of a column: a snapshot goes in; each vector is checked and handed to a function with its address.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float32Array, RecordBatch};
use arrow::datatypes::{ArrowNativeType, DataType, Float32Type, UInt64Type};
use datafusion::execution::TaskContext;
use futures::TryStreamExt;
use parking_lot::Mutex;
use rayon::prelude::*;
use roaring::RoaringTreemap;
use ruvector_rabitq::Dim;

use crate::address::RowAddress;
use crate::blocking::cpu_bound;
use crate::contract::{Snapshot, VectorRequest, VectorStream};
use crate::error::{Error, Result};

/// Rows of a batch that are folded by one thread.
const ROWS_AT_ONCE: usize = 2048;

/// The vectors to fold: their column, their dimension, their parts and the allowed rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct VectorFold<'a> {
    pub(crate) column: &'a str,
    pub(crate) dim: Dim,
    /// Only these parts of the state; `None` is all of them.
    pub(crate) parts: Option<&'a [usize]>,
    /// Vectors of other rows may be left out.
    pub(crate) allowed: Option<&'a RoaringTreemap>,
}

/// Folds vectors into `accumulator`, one after the other, in the order of the stream.
///
/// NULL vectors are passed over.
///
/// # Errors
/// `InvalidInput` that names file and row of a vector that has another type, another dimension, a NULL coordinate or one
/// that is not finite; errors of the backend.
pub(crate) async fn fold_vectors<A: Send>(
    snapshot: &dyn Snapshot,
    folded: VectorFold<'_>,
    context: &Arc<TaskContext>,
    mut accumulator: A,
    fold: impl Fn(&mut A, RowAddress, &[f32]) + Send + Sync,
) -> Result<A> {
    let mut windows = Windows::open(snapshot, folded, context).await?;
    while let Some(batches) = windows.next().await? {
        cpu_bound(|| {
            batches.iter().try_for_each(|batch| fold_batch(&mut accumulator, batch, folded.dim, snapshot, &fold))
        })?;
    }
    Ok(accumulator)
}

/// Folds vectors into as many accumulators as it takes to keep all cores busy.
///
/// Each vector is in one of them; in which is left to chance.
///
/// # Errors
/// As [`fold_vectors`].
pub(crate) async fn fold_vectors_apart<A: Send>(
    snapshot: &dyn Snapshot,
    folded: VectorFold<'_>,
    context: &Arc<TaskContext>,
    new: impl Fn() -> A + Send + Sync,
    fold: impl Fn(&mut A, RowAddress, &[f32]) + Send + Sync,
) -> Result<Vec<A>> {
    let accumulators = Mutex::new(Vec::new());
    let mut windows = Windows::open(snapshot, folded, context).await?;
    while let Some(batches) = windows.next().await? {
        let pieces: Vec<RecordBatch> = batches.iter().flat_map(pieces).collect();
        let work = |piece: &RecordBatch| {
            let mut accumulator = accumulators.lock().pop().unwrap_or_else(&new);
            let done = fold_batch(&mut accumulator, piece, folded.dim, snapshot, &fold);
            accumulators.lock().push(accumulator);
            done
        };
        let done: Vec<Result<()>> = cpu_bound(|| pieces.par_iter().map(work).collect());
        // Of several rows at fault the first is named.
        done.into_iter().collect::<Result<()>>()?;
    }
    Ok(accumulators.into_inner())
}

fn pieces(batch: &RecordBatch) -> impl Iterator<Item = RecordBatch> {
    let rows = batch.num_rows();
    (0..rows).step_by(ROWS_AT_ONCE).map(move |first| batch.slice(first, ROWS_AT_ONCE.min(rows - first)))
}

/// Stream of a state's vectors, with a count of the rows received.
struct Windows<'a> {
    snapshot: &'a dyn Snapshot,
    windows: VectorStream<'a>,
    /// True if all parts of the state are read, so that fewer rows than its row count are an error.
    all: bool,
    got: usize,
}

impl<'a> Windows<'a> {
    async fn open(snapshot: &'a dyn Snapshot, folded: VectorFold<'_>, context: &Arc<TaskContext>) -> Result<Self> {
        let column = snapshot.schema().index_of(folded.column).map_err(|e| Error::internal(e.to_string()))?;
        let request = VectorRequest { column, parts: folded.parts, allowed: folded.allowed };
        let windows = snapshot.vectors(context, &request).await?;
        Ok(Self { snapshot, windows, all: folded.parts.is_none(), got: 0 })
    }

    async fn next(&mut self) -> Result<Option<Vec<RecordBatch>>> {
        let window = self.windows.try_next().await?;
        let (known, is_end) = (self.snapshot.num_rows(), window.is_none());
        self.got += window.as_ref().map_or(0, |window| window.num_rows);
        let got = self.got;
        if let Some(expected) = known.filter(|expected| got > *expected) {
            return Err(Error::corrupt("backend gave more rows than it says there are")
                .with("collection", self.snapshot.data_ref())
                .with("expected", expected)
                .with("got at least", got));
        }
        match known.filter(|expected| is_end && self.all && got < *expected) {
            // A lost connection may look like the end of the stream.
            Some(expected) => Err(Error::unavailable("backend gave fewer rows than it says there are")
                .with("collection", self.snapshot.data_ref())
                .with("expected", expected)
                .with("got", got)),
            None => Ok(window.map(|window| window.batches)),
        }
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
    let lists = ListColumn::new(column)?;
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

/// Returns true if every coordinate is finite. All coordinates are looked at, so that the loop has no branch.
fn is_finite(vector: &[f32]) -> bool {
    const EXPONENT: u32 = 0x7f80_0000;
    !vector.iter().fold(false, |found, value| found | (value.to_bits() & EXPONENT == EXPONENT))
}

/// A column of lists of any kind.
struct ListColumn<'a> {
    item_type: &'a DataType,
    /// The items of all lists, if they are floats.
    floats: Option<&'a Float32Array>,
    layout: Layout<'a>,
}

enum Layout<'a> {
    Fixed(usize),
    Offsets(&'a [i32]),
    LargeOffsets(&'a [i64]),
}

impl<'a> ListColumn<'a> {
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

    /// Positions of the items of a row.
    fn range(&self, row: usize) -> Range<usize> {
        match self.layout {
            Layout::Fixed(dim) => row * dim..(row + 1) * dim,
            Layout::Offsets(offsets) => offsets[row].as_usize()..offsets[row + 1].as_usize(),
            Layout::LargeOffsets(offsets) => offsets[row].as_usize()..offsets[row + 1].as_usize(),
        }
    }
}
