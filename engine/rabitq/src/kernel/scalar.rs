//! The definition of every inner loop: plain Rust that a reader can check, and the answer on any CPU.
//!
//! Functions marked `inline(always)` are also the code of other kernels, compiled there for more lanes: they hold nothing
//! but additions, multiplications and comparisons, whose bits are the same on every machine.

use super::{BLOCK_LEN, BlockRun, CENTROID_LANES, Kernels, Layout, Nearest, QueryPass, RowPass, TABLE_LEN, code_bytes};
use crate::memory::Line;
use crate::number::to_u32;

pub(super) static KERNELS: Kernels = Kernels {
    name: "scalar",
    layout: Layout::Lanes,
    l2_squared,
    dot,
    dot_i16_i8,
    scan,
    scan_rows,
    centroid_scores,
    nearest_centroids,
    hadamard: |values| hadamard(values),
    fill_tables: |rotated, layout, to_steps, tables| fill_tables(rotated, layout, to_steps, tables),
};

/// Partial sums of a distance: four registers of eight floats. Element `i` is added to lane `i % 32`.
const LANES: usize = 32;

/// Sum of squared differences.
pub(super) fn l2_squared(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "vectors of one dimension");
    sum_in_lanes(a, b, |a, b| (a - b) * (a - b))
}

/// Sum of products.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "vectors of one dimension");
    sum_in_lanes(a, b, |a, b| a * b)
}

/// Sum of products of integers.
pub(super) fn dot_i16_i8(a: &[i16], b: &[i8]) -> i64 {
    assert_eq!(a.len(), b.len(), "vectors of one dimension");
    a.iter().zip(b).map(|(&a, &b)| i64::from(i32::from(a) * i32::from(b))).sum()
}

/// Adds the terms of each lane in order, then folds the lanes: 16 upper onto 16 lower, 8 onto 8, ..., 1 onto 1.
#[inline(always)]
fn sum_in_lanes(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let (a_chunks, a_tail) = a.as_chunks::<LANES>();
    let (b_chunks, b_tail) = b.as_chunks::<LANES>();
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for i in 0..LANES {
            lanes[i] += term(a[i], b[i]);
        }
    }
    for ((lane, &a), &b) in lanes.iter_mut().zip(a_tail).zip(b_tail) {
        *lane += term(a, b);
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

/// For every vector of the run and every query: sums what its code selects from the tables of the query, turns the sum
/// into an estimate and a lower bound of the distance, and keeps it as a survivor unless the bound is above the
/// threshold of the query.
/// ```text
/// sum = sum over groups g of tables[g][code of the vector in group g]
/// ```
/// With at most 4096 groups a sum is at most 4096 * 255, far below `i32::MAX`.
pub(super) fn scan(run: &BlockRun<'_>, queries: &mut [QueryPass<'_>]) {
    for block in 0..run.num_blocks() {
        for query in &mut *queries {
            let mask = query.mask(run, block);
            if mask != 0 {
                let sums = block_sums(run.codes(block), query.tables, Layout::Lanes);
                epilogue(run, block, mask, &sums, query);
            }
        }
    }
}

/// The sums of one block; the definition for every layout.
pub(super) fn block_sums(codes: &[u8], tables: &[u8], layout: Layout) -> [i32; BLOCK_LEN] {
    let mut sums = [0; BLOCK_LEN];
    for group in 0..codes.len() / 16 {
        let table = &tables[layout.table(group)..][..TABLE_LEN];
        for (lane, sum) in sums.iter_mut().enumerate() {
            let (byte, shift) = layout.nibble(group, lane);
            *sum += i32::from(table[usize::from((codes[byte] >> shift) & 0x0F)]);
        }
    }
    sums
}

/// Turns the sums of a block into survivors.
#[inline(always)]
pub(super) fn epilogue(
    run: &BlockRun<'_>,
    block: usize,
    mask: u32,
    sums: &[i32; BLOCK_LEN],
    query: &mut QueryPass<'_>,
) {
    let factors = run.factors(block);
    let (mut estimates, mut bounds) = ([0.0; BLOCK_LEN], [0.0; BLOCK_LEN]);
    for lane in 0..BLOCK_LEN {
        let (estimate, error_bound) =
            query.terms.estimate(sums[lane], factors.add[lane], factors.rescale[lane], factors.error[lane]);
        (estimates[lane], bounds[lane]) = (estimate, estimate - error_bound);
    }
    let mut survives = 0_u32;
    for (lane, &bound) in bounds.iter().enumerate() {
        // A bound that is not a number rules nothing out.
        let ruled_out = bound > query.threshold;
        survives |= u32::from(!ruled_out) << lane;
    }
    survives &= mask;
    while survives != 0 {
        let lane = survives.trailing_zeros() as usize;
        survives &= survives - 1;
        query.survivors.push(run.first_slot + to_u32(block * BLOCK_LEN + lane), bounds[lane], estimates[lane]);
    }
}

/// For every slot of the pass: multiplies the codes of its row with the query, turns the sum of products into an estimate
/// and a lower bound of the distance, and keeps it as a survivor unless the bound is above the threshold.
pub(super) fn scan_rows(pass: &mut RowPass<'_>) {
    pass.assert_fits();
    for &slot in pass.slots {
        let (codes, factors) = pass.row(slot);
        let sum = dot_u4(codes, pass.low, pass.high);
        pass.keep(slot, sum, factors);
    }
}

/// The sum of products of 4-bit codes with a query of small integers. Byte `i` of `codes` holds one code below, whose
/// partner is `low[i]`, and one above, whose partner is `high[i]`. At most 8192 * 2 * 15 * 128, far below `i32::MAX`.
pub(super) fn dot_u4(codes: &[u8], low: &[i8], high: &[i8]) -> i32 {
    assert!(codes.len() == low.len() && codes.len() == high.len(), "one byte of codes for two coordinates");
    let product = |code: u8, value: i8| i32::from(code) * i32::from(value);
    codes.iter().zip(low).zip(high).map(|((&c, &low), &high)| product(c & 0x0F, low) + product(c >> 4, high)).sum()
}

/// Scores every centroid for each of some points: `norm - 2 * <centroid + 128, point>`, smaller is nearer; see
/// [`Centroids`](crate::code::Centroids). Sums are below 2^31 for dimensions up to 16384.
/// Scores are row-major, `[points, norms]`.
pub(super) fn centroid_scores(points: &[i8], padded_dim: usize, blocks: &[Line], norms: &[i32], scores: &mut [i32]) {
    assert_scores_fit(points, padded_dim, blocks, norms, scores);
    for (point, scores) in points.chunks_exact(padded_dim).zip(scores.chunks_exact_mut(norms.len())) {
        scores_of_point(point, blocks, norms, scores);
    }
}

/// Panics unless kernels may score without further checks.
pub(super) fn assert_scores_fit(points: &[i8], padded_dim: usize, blocks: &[Line], norms: &[i32], scores: &[i32]) {
    assert!(padded_dim.is_multiple_of(4) && points.len().is_multiple_of(padded_dim), "whole points of whole quads");
    assert_eq!(blocks.len() / (padded_dim / 4) * CENTROID_LANES, norms.len(), "16 centroids in a block");
    assert_eq!(points.len() / padded_dim * norms.len(), scores.len(), "one score for each point and centroid");
}

fn scores_of_point(point: &[i8], blocks: &[Line], norms: &[i32], scores: &mut [i32]) {
    let quads = point.len() / 4;
    for ((block, norms), scores) in blocks
        .chunks_exact(quads)
        .zip(norms.as_chunks::<CENTROID_LANES>().0)
        .zip(scores.as_chunks_mut::<CENTROID_LANES>().0)
    {
        let mut sums = [0; CENTROID_LANES];
        for (line, values) in block.iter().zip(point.as_chunks::<4>().0) {
            for (sum, four) in sums.iter_mut().zip(line.0.as_chunks::<4>().0) {
                for (&coordinate, &value) in four.iter().zip(values) {
                    *sum += i32::from(coordinate) * i32::from(value);
                }
            }
        }
        for ((score, &norm), sum) in scores.iter_mut().zip(norms).zip(sums) {
            *score = norm - 2 * sum;
        }
    }
}

/// The centroid of smallest score for each of some points; ties go to the smaller number.
pub(super) fn nearest_centroids(
    points: &[i8],
    padded_dim: usize,
    blocks: &[Line],
    norms: &[i32],
    nearest: &mut [Nearest],
) {
    let mut scores = vec![0; norms.len()];
    for (point, nearest) in points.chunks_exact(padded_dim).zip(nearest) {
        centroid_scores(point, padded_dim, blocks, norms, &mut scores);
        let best = scores.iter().enumerate().min_by_key(|&(centroid, &score)| (score, centroid));
        if let Some((centroid, &score)) = best {
            *nearest = Nearest { score, centroid: to_u32(centroid) };
        }
    }
}

/// Fast Hadamard transform in place, not normalised. The length is a power of two, at least 64.
#[inline(always)]
pub(super) fn hadamard(values: &mut [f32]) {
    for eight in values.as_chunks_mut::<8>().0 {
        let [a, b, c, d, e, f, g, h] = *eight;
        let (a, b, c, d, e, f, g, h) = (a + b, a - b, c + d, c - d, e + f, e - f, g + h, g - h);
        let (a, b, c, d, e, f, g, h) = (a + c, b + d, a - c, b - d, e + g, f + h, e - g, f - h);
        *eight = [a + e, b + f, c + g, d + h, a - e, b - f, c - g, d - h];
    }
    let mut half = 8;
    while half < values.len() {
        for pair in values.chunks_exact_mut(2 * half) {
            let (left, right) = pair.split_at_mut(half);
            for (x, y) in left.iter_mut().zip(right) {
                (*x, *y) = (*x + *y, *x - *y);
            }
        }
        half *= 2;
    }
}

/// Membership of each coordinate of a group in the 16 subsets: 1 in a subset that holds the coordinate, else 0.
const SUBSETS: [[f32; TABLE_LEN]; 4] = {
    let mut subsets = [[0.0; TABLE_LEN]; 4];
    let mut entry = 0;
    while entry < 4 * TABLE_LEN {
        let (coordinate, subset) = (entry / TABLE_LEN, entry % TABLE_LEN);
        subsets[coordinate][subset] = ((subset >> coordinate) & 1) as f32;
        entry += 1;
    }
    subsets
};

/// Added to a float of small size it leaves the nearest integer, half to even, in the last bits. A cast would do the same
/// one value at a time.
pub(crate) const TO_INTEGER: f32 = 1.5 * (1 << 23) as f32;

/// Writes for each group of 4 coordinates the sums of its 16 subsets, above the smallest and in steps, to `tables`.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the sum is in the last eight bits")]
pub(super) fn fill_tables(rotated: &[f32], layout: Layout, to_steps: f32, tables: &mut [u8]) {
    assert_eq!(tables.len(), rotated.len() / 4 * TABLE_LEN, "one table for each group");
    assert_eq!(code_bytes(rotated.len()), tables.len(), "tables take as many bytes as the codes of a block");
    for (group, &[a, b, c, d]) in rotated.as_chunks::<4>().0.iter().enumerate() {
        let smallest = (a.min(0.0) + b.min(0.0)) + (c.min(0.0) + d.min(0.0));
        let table = &mut tables[layout.table(group)..][..TABLE_LEN];
        for (i, entry) in table.iter_mut().enumerate() {
            let sum = (SUBSETS[0][i] * a + SUBSETS[1][i] * b) + (SUBSETS[2][i] * c + SUBSETS[3][i] * d);
            // A last bit of rounding cannot leave 0..=255.
            *entry = ((sum - smallest) * to_steps + TO_INTEGER).to_bits() as u8;
        }
    }
}

/// Only tests want it apart from the scan.
#[cfg(test)]
pub(super) fn scan_in_layout(run: &BlockRun<'_>, queries: &mut [QueryPass<'_>], layout: Layout) {
    for block in 0..run.num_blocks() {
        for query in &mut *queries {
            let mask = query.mask(run, block);
            if mask != 0 {
                let sums = block_sums(run.codes(block), query.tables, layout);
                epilogue(run, block, mask, &sums, query);
            }
        }
    }
}
