//! Size of the data that an operation returns.

use arrow::array::RecordBatch;

/// An amount of data.
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
    pub(super) fn of(batch: &RecordBatch) -> Self {
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
