//! Storage of four-bit codes: [`Rows`] keeps one packed row of codes and factors per vector, as kernels and files read it.
//! The coordinates of a query go in as well, and come out in the order of a row.

use super::Factors;
use crate::kernel::BLOCK_LEN;
use crate::memory::on_huge_pages;

/// Codes of four bits, one row per vector: 32 bytes for each 64 coordinates, then three factors as little-endian f32.
///
/// Byte `i` of 32 holds the code of coordinate `i` below and of coordinate `i + 32` above.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rows {
    padded_dim: usize,
    bytes: Vec<u8>,
}

/// Bytes of one row, in memory and in files.
pub(crate) fn row_bytes(padded_dim: usize) -> usize {
    padded_dim / 2 + 3 * size_of::<f32>()
}

impl Rows {
    /// Room for `num_vectors`, all zero.
    pub(crate) fn zeroed(padded_dim: usize, num_vectors: usize) -> Self {
        // A zeroed vector comes from untouched pages: the advice is in time.
        Self { padded_dim, bytes: on_huge_pages(vec![0; num_vectors * row_bytes(padded_dim)]) }
    }

    pub(crate) fn from_bytes(padded_dim: usize, bytes: Vec<u8>) -> Self {
        Self { padded_dim, bytes }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// The rows in blocks of 32, to be written by several threads.
    pub(crate) fn blocks_mut(&mut self) -> std::slice::ChunksMut<'_, u8> {
        self.bytes.chunks_mut(BLOCK_LEN * row_bytes(self.padded_dim))
    }

    pub(crate) fn push(&mut self, row: &[u8]) {
        self.bytes.extend_from_slice(row);
    }

    /// Moves the last row into `slot`, and forgets the one that was there.
    pub(crate) fn swap_remove(&mut self, slot: usize) {
        let len = row_bytes(self.padded_dim);
        let last = self.bytes.len() - len;
        self.bytes.copy_within(last.., slot * len);
        self.bytes.truncate(last);
    }
}

/// Writes codes (each below 16, one per coordinate) and factors to a row.
pub(super) fn write(row: &mut [u8], codes: &[u8], factors: Factors) {
    let (packed, rest) = row.split_at_mut(codes.len() / 2);
    for (packed, codes) in packed.as_chunks_mut::<32>().0.iter_mut().zip(codes.as_chunks::<64>().0) {
        for (i, packed) in packed.iter_mut().enumerate() {
            *packed = codes[i] | codes[i + 32] << 4;
        }
    }
    for (bytes, factor) in rest.as_chunks_mut::<4>().0.iter_mut().zip([factors.add, factors.rescale, factors.error]) {
        *bytes = factor.to_le_bytes();
    }
}

/// Brings the coordinates of a query into the order of a row: what meets lower halves of bytes, and upper ones.
pub(super) fn split_coordinates(coordinates: &[i8], low: &mut Vec<i8>, high: &mut Vec<i8>) {
    low.clear();
    high.clear();
    for chunk in coordinates.as_chunks::<64>().0 {
        low.extend_from_slice(&chunk[..32]);
        high.extend_from_slice(&chunk[32..]);
    }
}
