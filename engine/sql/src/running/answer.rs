//! Answers of statements: rows, or a count.
//!
//! Every statement ends in one of them.

use arrow::array::RecordBatch;
use datafusion::execution::SendableRecordBatchStream;
use futures::TryStreamExt;

use ruvector_udfs::error::Result;

/// The answer of a statement.
pub enum Answer {
    /// Rows, made as they are pulled. Dropping the stream ends the work.
    Rows(SendableRecordBatchStream),
    /// The statement ran to its end and changed this many rows (0 for DDL and SET).
    Count(u64),
}

impl Answer {
    /// All rows of the answer, or none if it is a count.
    ///
    /// # Errors
    /// Errors of the query while it runs.
    pub async fn collect(self) -> Result<Vec<RecordBatch>> {
        match self {
            Self::Rows(rows) => Ok(rows.try_collect().await?),
            Self::Count(_) => Ok(Vec::new()),
        }
    }
}
