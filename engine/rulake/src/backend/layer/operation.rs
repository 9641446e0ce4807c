//! The trait of a layer, and the operations of a backend that go through it.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::physical_plan::ExecutionPlan;

use super::scan_totals::ScanTotals;
use super::size::Size;
use crate::contract::{Commit, Snapshot};
use crate::error::Result;

/// A wrapper around each operation of a backend.
pub trait Layer: fmt::Debug + Send + Sync + 'static {
    /// Runs `work` and returns its outcome, or refuses it with an error.
    ///
    /// The work of a batch may be dropped before its end, when the reader of a scan stops.
    fn around<T: Outcome>(
        &self,
        call: &Call<'_>,
        work: impl Future<Output = Result<T>> + Send,
    ) -> impl Future<Output = Result<T>> + Send;
}

/// Kind of an operation of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// [`Backend::list`](crate::Backend::list).
    List,
    /// [`Backend::snapshot`](crate::Backend::snapshot), `snapshot_as_of` and `history`.
    Snapshot,
    /// [`Snapshot::scan`]: the plan, not yet its rows.
    Scan,
    /// The next batch of a partition of a scan, or its end.
    Batch,
    /// [`Snapshot::take`].
    Take,
    /// [`Snapshot::verify`].
    Verify,
}

impl Operation {
    /// All operations.
    pub const ALL: [Self; 6] = [Self::List, Self::Snapshot, Self::Scan, Self::Batch, Self::Take, Self::Verify];
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::List => "list",
            Self::Snapshot => "snapshot",
            Self::Scan => "scan",
            Self::Batch => "next batch of a scan",
            Self::Take => "take",
            Self::Verify => "verify",
        })
    }
}

/// Call of an operation.
#[derive(Debug)]
pub struct Call<'a> {
    /// Kind of the operation.
    pub operation: Operation,
    /// The id of the backend.
    pub backend: &'a str,
    /// The collection; a list has none.
    pub collection: Option<&'a str>,
    pub(super) totals: &'a ScanTotals,
}

impl Call<'_> {
    /// Size of the data that the scan, in all its partitions, or the take has returned so far. This call is included once its
    /// work is done.
    pub fn given(&self) -> Size {
        self.totals.total()
    }
}

/// Result of an operation.
pub trait Outcome: Send + Sized {
    /// Size of the data in it.
    fn size(&self) -> Size {
        Size::default()
    }

    /// The end of a stream, if the outcome is a step of one.
    fn end() -> Option<Self> {
        None
    }
}

impl Outcome for Vec<String> {}

impl Outcome for Arc<dyn Snapshot> {}

impl Outcome for Arc<dyn ExecutionPlan> {}

impl Outcome for () {}

impl Outcome for (u64, Arc<dyn Snapshot>) {}

impl Outcome for Vec<Commit> {}

impl Outcome for RecordBatch {
    fn size(&self) -> Size {
        Size::of(self)
    }
}

impl Outcome for Option<RecordBatch> {
    fn size(&self) -> Size {
        self.as_ref().map(Size::of).unwrap_or_default()
    }

    fn end() -> Option<Self> {
        Some(None)
    }
}
