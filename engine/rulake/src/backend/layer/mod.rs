//! Wrappers around any backend, for what cuts across them: counting, throttling, time limits, caps, faults.
//!
//! A [`Layered`] backend passes each of its operations through a
//! [`Layer`]; what is known without asking the backend (schema, generation, parts, ...)
//! passes by it. Layers stack, the outermost is asked first:
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use ruvector_rulake::backend::layer::{Counting, Layered, Operation, TimeLimited};
//! use ruvector_rulake::{Backend, LocalBackend};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! let counting = Arc::new(Counting::default());
//! let counted = Layered::new(Arc::new(LocalBackend::new("hot")), Arc::clone(&counting));
//! let backend = Layered::new(Arc::new(counted), Arc::new(TimeLimited::new(Duration::from_secs(30))));
//! assert!(backend.list().await.unwrap().is_empty());
//! assert_eq!(counting.calls(Operation::List), 1);
//! # });
//! ```

mod capped;
mod counting;
mod exec;
mod fault_injecting;
mod given;
mod layered;
mod throttled;
mod time_limited;

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::physical_plan::ExecutionPlan;

use self::given::Given;
use crate::contract::{Commit, Snapshot};
use crate::error::Result;

pub use capped::Capped;
pub use counting::Counting;
pub use fault_injecting::{Fault, FaultInjecting};
pub use layered::Layered;
pub use throttled::Throttled;
pub use time_limited::TimeLimited;

/// A wrapper around each operation of a backend.
pub trait Layer: fmt::Debug + Send + Sync + 'static {
    /// Does `work`, or refuses to, and returns its outcome, or an error in its place.
    ///
    /// The work of a batch may be left behind unfinished, when the reader of a scan wants no more.
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
    /// The next batch of a partition of a scan, or the news that there is none.
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

/// One operation, as a layer sees it.
#[derive(Debug)]
pub struct Call<'a> {
    /// Kind of the operation.
    pub operation: Operation,
    /// The id of the backend.
    pub backend: &'a str,
    /// The collection; a list has none.
    pub collection: Option<&'a str>,
    given: &'a Given,
}

impl Call<'_> {
    /// Size of the data that the scan, in all its partitions, or the take has returned so far. This call is included once its
    /// work is done.
    pub fn given(&self) -> Size {
        self.given.total()
    }
}

/// An amount of rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Record batches.
    pub batches: u64,
    /// Their rows.
    pub rows: u64,
    /// Bytes of their values in memory, without other content of the same buffers.
    pub bytes: u64,
}

impl Size {
    fn of(batch: &RecordBatch) -> Self {
        let column_bytes = |column: &arrow::array::ArrayRef| {
            column.to_data().get_slice_memory_size().unwrap_or_else(|_| column.get_array_memory_size()) as u64
        };
        Self { batches: 1, rows: batch.num_rows() as u64, bytes: batch.columns().iter().map(column_bytes).sum() }
    }
}

impl std::ops::AddAssign for Size {
    fn add_assign(&mut self, other: Self) {
        self.batches += other.batches;
        self.rows += other.rows;
        self.bytes += other.bytes;
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
