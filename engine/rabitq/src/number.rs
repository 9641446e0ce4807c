//! Numbers of vectors, lists and coordinates, and places of them, in the 32 bits that indexes, kernels and files have for them.

/// Returns `number` in 32 bits. It is a number of vectors, lists or coordinates of one index, or the place of one. An index has
/// fewer than 2^32 of each: it checks the number of its vectors, and has no more lists than vectors.
#[expect(clippy::cast_possible_truncation, reason = "an index has fewer than 2^32 of each")]
#[inline(always)]
pub(crate) fn to_u32(number: usize) -> u32 {
    number as u32
}
