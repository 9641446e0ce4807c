//! Layer that limits concurrent operations, and bytes per second, of a backend: operations and their results are delayed.

use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until};

use super::operation::{Call, Layer, Outcome};
use crate::error::Result;

/// Limits the concurrent operations and the bytes per second of a backend. Needs a Tokio runtime with time.
///
/// Waiting for a batch is an operation. Between two batches a scan does not delay other callers.
#[derive(Debug)]
pub struct Throttled {
    operations: Option<Semaphore>,
    bytes_per_second: Option<NonZeroU64>,
    /// Time at which the bytes that were given are paid for.
    paid_at: Mutex<Instant>,
}

impl Throttled {
    /// A layer without limits.
    pub fn new() -> Self {
        Self { operations: None, bytes_per_second: None, paid_at: Mutex::new(Instant::now()) }
    }

    /// Sets the bound on concurrent operations; others wait for their turn.
    #[must_use]
    pub fn with_operations_max(self, operations_max: NonZeroUsize) -> Self {
        let permits = operations_max.get().min(Semaphore::MAX_PERMITS);
        Self { operations: Some(Semaphore::new(permits)), ..self }
    }

    /// Sets the bound on the bytes per second of scans and takes together. A batch is delayed until the bytes before it are
    /// within the bound.
    #[must_use]
    pub fn with_bytes_per_second_max(self, bytes_per_second_max: NonZeroU64) -> Self {
        Self { bytes_per_second: Some(bytes_per_second_max), ..self }
    }

    /// Time at which a batch of `bytes` may be returned.
    fn due(&self, bytes: u64, bytes_per_second: NonZeroU64) -> Instant {
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(bytes_per_second.get());
        let costs = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let mut paid_at = self.paid_at.lock();
        let due = Instant::now().max(*paid_at);
        *paid_at = due.checked_add(costs).unwrap_or(due);
        due
    }
}

impl Default for Throttled {
    fn default() -> Self {
        Self::new()
    }
}

impl Layer for Throttled {
    async fn around<T: Outcome>(&self, _call: &Call<'_>, work: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let turn = match &self.operations {
            // It fails only once closed, which it never is.
            Some(operations) => operations.acquire().await.ok(),
            None => None,
        };
        let outcome = work.await?;
        drop(turn);
        let bytes = outcome.size().bytes;
        if let Some(bytes_per_second) = self.bytes_per_second.filter(|_| bytes > 0) {
            sleep_until(self.due(bytes, bytes_per_second)).await;
        }
        Ok(outcome)
    }
}
