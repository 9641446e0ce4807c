//! Folds over the vectors of a column: a snapshot goes in; each vector is checked and handed to a function with its address.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::UInt64Type;
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
use crate::vector_lists::VectorLists;

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
    let lists = VectorLists::new(column)?;
    let mut scratch = Vec::new();
    for (row, address) in addresses.values().iter().enumerate() {
        if column.is_null(row) {
            continue;
        }
        let address = RowAddress::from(*address);
        let vector = lists.read(row, dim.get(), &mut scratch).map_err(|fault| {
            let at = |error: Error| error.with("file", snapshot.file_name(address)).with("row", address.row());
            fault.error("vector", at)
        })?;
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
