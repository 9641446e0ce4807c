//! Layer that caps the rows and bytes of one scan or take: a result over a cap becomes an `InvalidInput` error.

use super::operation::{Call, Layer, Outcome};
use crate::error::{Error, Result};

/// Refuses a scan or a take whose rows or bytes exceed a bound, before the batch that exceeds it is used.
///
/// A scan counts all its partitions together.
#[derive(Clone, Copy, Debug, Default)]
pub struct Capped {
    rows_max: Option<u64>,
    bytes_max: Option<u64>,
}

impl Capped {
    /// A layer without bounds.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the bound on the rows of one scan or take.
    #[must_use]
    pub fn with_rows_max(self, rows_max: u64) -> Self {
        Self { rows_max: Some(rows_max), ..self }
    }

    /// Sets the bound on the bytes of one scan or take: the size of its values in memory.
    #[must_use]
    pub fn with_bytes_max(self, bytes_max: u64) -> Self {
        Self { bytes_max: Some(bytes_max), ..self }
    }
}

impl Layer for Capped {
    async fn around<T: Outcome>(&self, call: &Call<'_>, work: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let outcome = work.await?;
        let given = call.given();
        let caps = [("rows at most", self.rows_max, given.rows), ("bytes at most", self.bytes_max, given.bytes)];
        for (name, cap, got) in caps {
            if let Some(cap) = cap.filter(|cap| got > *cap) {
                return Err(Error::invalid_input("backend gave more than may be read at once")
                    .with("backend", call.backend)
                    .with("collection", call.collection.unwrap_or_default())
                    .with("operation", call.operation)
                    .with(name, cap)
                    .with("got", got));
            }
        }
        Ok(outcome)
    }
}
