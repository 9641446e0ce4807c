//! Layer that limits the time of each operation: an operation over the limit fails as `Unavailable`.

use std::time::Duration;

use super::operation::{Call, Layer, Outcome};
use crate::error::{Error, Result};

/// Limits the time of each operation, and of each batch of a scan. Needs a Tokio runtime with time.
///
/// The total time of a scan is not limited, only the time that it waits for its next batch.
#[derive(Debug)]
pub struct TimeLimited {
    limit: Duration,
}

impl TimeLimited {
    /// A layer with the time limit `limit`; an operation beyond it is `Unavailable`.
    pub fn new(limit: Duration) -> Self {
        Self { limit }
    }
}

impl Layer for TimeLimited {
    async fn around<T: Outcome>(&self, call: &Call<'_>, work: impl Future<Output = Result<T>> + Send) -> Result<T> {
        match tokio::time::timeout(self.limit, work).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let error = Error::unavailable("backend did not answer").with("backend", call.backend);
                let error = match call.collection {
                    Some(collection) => error.with("collection", collection),
                    None => error,
                };
                Err(error.with("operation", call.operation).with("limit", format!("{:?}", self.limit)))
            }
        }
    }
}
