//! Layer that counts operations, failures, and the data that scans and takes return.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::operation::{Call, Layer, Operation, Outcome};
use super::size::Size;
use crate::error::Result;

/// Counts the operations of a backend and the data that it returns. A test can prove that a cache hit read nothing.
#[derive(Debug, Default)]
pub struct Counting {
    calls: [AtomicU64; Operation::ALL.len()],
    failures: [AtomicU64; Operation::ALL.len()],
    given: Mutex<Size>,
}

impl Counting {
    /// The number of times that an operation was begun. Each partition of a scan is asked for one batch more than it has.
    pub fn calls(&self, operation: Operation) -> u64 {
        self.calls[operation as usize].load(Ordering::Relaxed)
    }

    /// The number of times that an operation failed.
    pub fn failures(&self, operation: Operation) -> u64 {
        self.failures[operation as usize].load(Ordering::Relaxed)
    }

    /// Size of all data that scans and takes returned.
    pub fn given(&self) -> Size {
        *self.given.lock()
    }
}

impl Layer for Counting {
    async fn around<T: Outcome>(&self, call: &Call<'_>, work: impl Future<Output = Result<T>> + Send) -> Result<T> {
        self.calls[call.operation as usize].fetch_add(1, Ordering::Relaxed);
        let outcome = work.await;
        match &outcome {
            Ok(outcome) => *self.given.lock() += outcome.size(),
            Err(_) => {
                self.failures[call.operation as usize].fetch_add(1, Ordering::Relaxed);
            }
        }
        outcome
    }
}
