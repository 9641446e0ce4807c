//! Stream of the vectors of a column: a request goes in; windows of vectors with the addresses of their rows come out.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use roaring::RoaringTreemap;

use super::scan_request::ScanRequest;
use crate::error::{Result, from_datafusion};

/// Bound on the batches of a window. Batches that are ready at the same time can be folded at the same time.
const BATCHES_AT_ONCE: usize = 16;

/// Request of the vectors of a column: parts and rows to read.
#[derive(Clone, Copy, Debug)]
pub struct VectorRequest<'a> {
    /// The position of the column in the schema.
    pub column: usize,
    /// Only these parts, by their positions in [`Snapshot::parts`](super::Snapshot::parts); `None` is all of them.
    pub parts: Option<&'a [usize]>,
    /// Rows at other addresses may be left out; they may still come.
    pub allowed: Option<&'a RoaringTreemap>,
}

/// Window of a stream: vectors of a column that are in memory at the same time.
#[derive(Clone, Debug)]
pub struct VectorWindow {
    /// The number of rows that the window stands for, including rows left out because the request does not allow them.
    pub num_rows: usize,
    /// Batches of two columns: vectors as they are stored, unchecked, and the addresses of their rows (`UInt64`).
    pub batches: Vec<RecordBatch>,
}

/// Stream of the vectors of a state.
pub type VectorStream<'a> = BoxStream<'a, Result<VectorWindow>>;

impl VectorRequest<'_> {
    /// The scan of the same vectors.
    pub(crate) fn scan(&self) -> ScanRequest {
        ScanRequest {
            projection: Some(vec![self.column]),
            with_address: true,
            parts: self.parts.map(<[usize]>::to_vec),
            as_stored: true,
            ..ScanRequest::default()
        }
    }
}

/// Returns the vectors of a scan. Each partition is read and decoded by a task of its own.
pub(crate) fn scan_vectors(plan: Arc<dyn ExecutionPlan>, context: &Arc<TaskContext>) -> Result<VectorStream<'static>> {
    let batches = execute_stream(plan, Arc::clone(context)).map_err(from_datafusion)?;
    let window = |batches: Vec<datafusion::error::Result<RecordBatch>>| {
        let batches = batches.into_iter().collect::<datafusion::error::Result<Vec<_>>>()?;
        Ok(VectorWindow { num_rows: batches.iter().map(RecordBatch::num_rows).sum(), batches })
    };
    Ok(batches.ready_chunks(BATCHES_AT_ONCE).map(window).map_err(from_datafusion).boxed())
}
