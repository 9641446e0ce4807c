//! The definition of every inner loop: plain Rust that a reader can check, and the answer on any CPU.

use super::{BLOCK_LEN, BlockFactors, GROUP_BYTES, Kernels, QueryTerms, TABLE_LEN};

pub(super) static KERNELS: Kernels = Kernels { name: "scalar", l2_squared, dot, scan_block, lower_bounds };

/// Partial sums of a distance: four registers of eight floats. Element `i` is added to lane `i % 32`.
const LANES: usize = 32;

/// Sum of squared differences.
pub(super) fn l2_squared(a: &[f32], b: &[f32]) -> f32 {
    sum_in_lanes(a, b, |a, b| (a - b) * (a - b))
}

/// Sum of products.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    sum_in_lanes(a, b, |a, b| a * b)
}

/// Adds the terms of each lane in order, then folds the lanes: 16 upper onto 16 lower, 8 onto 8, ..., 1 onto 1.
fn sum_in_lanes(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    assert_eq!(a.len(), b.len(), "vectors of one dimension");
    let mut lanes = [0.0; LANES];
    for (a, b) in a.chunks(LANES).zip(b.chunks(LANES)) {
        for ((lane, &a), &b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += term(a, b);
        }
    }
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
        half /= 2;
    }
    lanes[0]
}

/// Sums for each of 32 vectors what its codes select from the tables of a query.
///
/// `codes` has one row of [`GROUP_BYTES`] bytes for each group of 4 dimensions: byte `j` holds the 4 bits of vector `j`
/// below and those of vector `j + 16` above. `tables` has one table of [`TABLE_LEN`] bytes for each group.
/// ```text
/// sums[v] = sum over groups g of tables[g][code of vector v in group g]
/// ```
/// With at most 4096 groups a sum is at most 4096 * 255, far below `u32::MAX`. The number of groups is even.
pub(super) fn scan_block(codes: &[u8], tables: &[u8], sums: &mut [u32; BLOCK_LEN]) {
    assert_eq!(codes.len(), tables.len(), "one table for each group of the block");
    sums.fill(0);
    let (rows, _) = codes.as_chunks::<GROUP_BYTES>();
    let (tables, _) = tables.as_chunks::<TABLE_LEN>();
    for (row, table) in rows.iter().zip(tables) {
        for (j, &byte) in row.iter().enumerate() {
            sums[j] += u32::from(table[usize::from(byte & 0x0F)]);
            sums[j + 16] += u32::from(table[usize::from(byte >> 4)]);
        }
    }
}

/// Distances that the true ones are not below, but for the chance that epsilon leaves: finite, or minus infinity for a
/// vector that must be computed.
#[inline(always)]
pub(super) fn lower_bounds(
    sums: &[u32; BLOCK_LEN],
    factors: &BlockFactors<'_>,
    terms: &QueryTerms,
) -> [f32; BLOCK_LEN] {
    let mut bounds = [0.0; BLOCK_LEN];
    for (lane, bound) in bounds.iter_mut().enumerate() {
        let factors = [factors.add[lane], factors.rescale[lane], factors.error[lane]];
        let (distance, error_bound) = terms.estimate(sums[lane], factors);
        let lower = distance - error_bound;
        *bound = if lower.is_nan() { f32::NEG_INFINITY } else { lower.min(f32::MAX) };
    }
    bounds
}
