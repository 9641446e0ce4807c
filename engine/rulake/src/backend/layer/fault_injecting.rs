//! Layer that injects faults, for tests: a closure decides if an operation passes, fails, hangs or ends its stream.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use super::operation::{Call, Layer, Operation, Outcome};
use crate::error::{Error, ErrorKind, Result};

/// Fault of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// None: the backend is asked.
    Pass,
    /// The operation fails, and the backend is not asked.
    Fail(ErrorKind),
    /// The operation never answers.
    Hang,
    /// The partition of a scan ends here, as if there were no more batches. Only for [`Operation::Batch`].
    Cut,
}

/// Injects faults into a backend, for tests of the code above it.
pub struct FaultInjecting {
    decide: Box<dyn Fn(Operation, u64) -> Fault + Send + Sync>,
    calls: [AtomicU64; Operation::ALL.len()],
}

impl FaultInjecting {
    /// A layer that asks `decide` for the fault of each operation; the number is that of earlier operations of its kind.
    pub fn new(decide: impl Fn(Operation, u64) -> Fault + Send + Sync + 'static) -> Self {
        Self { decide: Box::new(decide), calls: Default::default() }
    }

    /// A layer with one fault: that of the operation after `number` others of its kind.
    pub fn once(operation: Operation, number: u64, fault: Fault) -> Self {
        Self::new(move |asked, before| if (asked, before) == (operation, number) { fault } else { Fault::Pass })
    }
}

impl fmt::Debug for FaultInjecting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultInjecting").field("calls", &self.calls).finish_non_exhaustive()
    }
}

impl Layer for FaultInjecting {
    async fn around<T: Outcome>(&self, call: &Call<'_>, work: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let number = self.calls[call.operation as usize].fetch_add(1, Ordering::Relaxed);
        match (self.decide)(call.operation, number) {
            Fault::Pass => work.await,
            Fault::Hang => std::future::pending().await,
            Fault::Fail(kind) => Err(Error::new(kind, "injected fault")
                .with("backend", call.backend)
                .with("operation", call.operation)
                .with("number", number)),
            Fault::Cut => T::end().ok_or_else(|| {
                Error::invalid_input("fault does not fit the operation")
                    .with("expected", Operation::Batch)
                    .with("got", call.operation)
            }),
        }
    }
}
