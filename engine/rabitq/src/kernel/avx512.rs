//! AVX-512 with VBMI and VNNI: `vpermb` looks 64 codes up in four tables at once, `vpdpbusd` adds four of them per lane.
//!
//! Source of the pairing: the search kernels of turbovec (MIT licence). Per 64 bytes of codes, which are 512 dimensions
//! of vectors, it takes 3 instructions that all queries share and 4 for each query.

#![expect(
    clippy::needless_range_loop,
    reason = "an iterator over registers is a closure, which is called and not inlined"
)]

use std::arch::x86_64::*;

use super::avx512_base::{
    detected, dot, dot_i16_i8, fill_tables, hadamard, keep_survivors, l2_squared, sixteen_lanes, slots_from,
};
use super::pass::block_bytes;
use super::{BLOCK_LEN, BlockRun, CENTROID_LANES, Kernels, Layout, Nearest, QueryPass, RowPass, scalar};
use crate::memory::{LINE_BYTES, Line, bytes};
use crate::number::to_u32;

static KERNELS: Kernels = Kernels {
    name: "avx512vnni",
    layout: Layout::Lanes,
    l2_squared,
    dot,
    dot_i16_i8,
    scan,
    scan_rows,
    centroid_scores,
    nearest_centroids,
    hadamard,
    fill_tables,
};

/// The table, if this CPU has all of what the functions are compiled for: the only way to them.
pub(super) fn kernels() -> Option<&'static Kernels> {
    let detected = detected() && is_x86_feature_detected!("avx512vbmi") && is_x86_feature_detected!("avx512vnni");
    detected.then_some(&KERNELS)
}

fn scan(run: &BlockRun<'_>, queries: &mut [QueryPass<'_>]) {
    run.assert_fits();
    queries.iter().for_each(|query| query.assert_fits(run));
    // SAFETY: reached only through `kernels`, which detected what they are compiled for; lengths were checked above.
    unsafe {
        let (eights, rest) = queries.as_chunks_mut::<8>();
        eights.iter_mut().for_each(|eight| scan_together(run, eight));
        let (fours, rest) = rest.as_chunks_mut::<4>();
        fours.iter_mut().for_each(|four| scan_together(run, four));
        let (twos, rest) = rest.as_chunks_mut::<2>();
        twos.iter_mut().for_each(|two| scan_together(run, two));
        let (ones, _) = rest.as_chunks_mut::<1>();
        ones.iter_mut().for_each(|one| scan_together(run, one));
    }
}

fn scan_rows(pass: &mut RowPass<'_>) {
    pass.assert_fits();
    // SAFETY: reached only through `kernels`, which detected what it is compiled for; lengths were checked above.
    unsafe { scan_rows_vnni(pass) }
}

fn centroid_scores(points: &[i8], padded_dim: usize, blocks: &[Line], norms: &[i32], scores: &mut [i32]) {
    scalar::assert_scores_fit(points, padded_dim, blocks, norms, scores);
    let tiles = points.chunks(TILE_POINTS * padded_dim).zip(scores.chunks_mut(TILE_POINTS * norms.len()));
    for (points, scores) in tiles {
        // SAFETY: reached only through `kernels`, which detected what they are compiled for; lengths were checked above.
        unsafe {
            if points.len() == TILE_POINTS * padded_dim {
                scores_of_tile::<TILE_POINTS, 2>(points, padded_dim, blocks, norms, scores);
            } else {
                for (point, scores) in points.chunks_exact(padded_dim).zip(scores.chunks_exact_mut(norms.len())) {
                    scores_of_tile::<1, 4>(point, padded_dim, blocks, norms, scores);
                }
            }
        }
    }
}

fn nearest_centroids(points: &[i8], padded_dim: usize, blocks: &[Line], norms: &[i32], nearest: &mut [Nearest]) {
    assert_eq!(points.len(), nearest.len() * padded_dim, "one answer for each point");
    assert!(padded_dim.is_multiple_of(4), "whole quads");
    assert_eq!(blocks.len() / (padded_dim / 4) * CENTROID_LANES, norms.len(), "16 centroids in a block");
    for (points, nearest) in points.chunks(TILE_POINTS * padded_dim).zip(nearest.chunks_mut(TILE_POINTS)) {
        // SAFETY: reached only through `kernels`, which detected what they are compiled for; lengths were checked above.
        unsafe {
            match nearest.len() {
                TILE_POINTS => nearest_of_tile::<TILE_POINTS>(points, padded_dim, blocks, norms, nearest),
                _ => {
                    for (point, nearest) in points.chunks_exact(padded_dim).zip(nearest) {
                        nearest_of_tile::<1>(point, padded_dim, blocks, norms, std::slice::from_mut(nearest));
                    }
                }
            }
        }
    }
}

/// Number of bytes ahead of the scan at which lines are prefetched: the CPU's own prefetcher stops at every 4 KiB.
const PREFETCH_BYTES: usize = 2048;

/// Scans all blocks for `N` queries at once.
///
/// # Safety
/// The CPU has the features, and the lengths were checked by `assert_fits`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,avx512vnni")]
unsafe fn scan_together<const N: usize>(run: &BlockRun<'_>, queries: &mut [QueryPass<'_>; N]) {
    let stride = block_bytes(run.padded_dim);
    let quads = run.padded_dim / 32;
    let start = bytes(run.lines).as_ptr();
    queries.iter_mut().for_each(|query| query.survivors.reserve(run.num_vectors));
    let low_nibble = _mm512_set1_epi8(0x0F);
    // Byte `j` of four looks in table `j`.
    let ramp = _mm512_set1_epi32(0x3020_1000);
    let ones = _mm512_set1_epi8(1);
    // No closures in here: one is compiled as a function of its own, and the loop would call it.
    let (mut tables, mut masks) = ([std::ptr::null::<u8>(); N], [0; N]);
    for i in 0..N {
        tables[i] = queries[i].tables.as_ptr();
    }
    for block in 0..run.num_blocks() {
        let mut any = 0;
        for i in 0..N {
            masks[i] = queries[i].mask(run, block);
            any |= masks[i];
        }
        if any == 0 {
            continue;
        }
        // SAFETY: the block is within the run, as `assert_fits` checked.
        let codes = unsafe { start.add(block * stride) };
        let mut sums = [[_mm512_setzero_si512(); 2]; N];
        for quad in 0..quads {
            // SAFETY: a block has two lines of codes for each quad, and tables have two lines for each quad. A prefetch
            // may point anywhere.
            unsafe {
                let line = codes.add(quad * 2 * LINE_BYTES);
                _mm_prefetch::<_MM_HINT_T0>(line.wrapping_add(PREFETCH_BYTES).cast());
                _mm_prefetch::<_MM_HINT_T0>(line.wrapping_add(PREFETCH_BYTES + LINE_BYTES).cast());
                let first = _mm512_load_si512(line.cast());
                let second = _mm512_load_si512(line.add(LINE_BYTES).cast());
                // ramp | (codes & 0x0F) in one instruction each: 0xF8 is a | (b & c).
                let first_low = _mm512_ternarylogic_epi32::<0xF8>(ramp, first, low_nibble);
                let second_low = _mm512_ternarylogic_epi32::<0xF8>(ramp, second, low_nibble);
                let first_high = _mm512_ternarylogic_epi32::<0xF8>(ramp, _mm512_srli_epi16::<4>(first), low_nibble);
                let second_high = _mm512_ternarylogic_epi32::<0xF8>(ramp, _mm512_srli_epi16::<4>(second), low_nibble);
                for i in 0..N {
                    let table = tables[i].add(quad * 2 * LINE_BYTES);
                    let low = _mm512_loadu_si512(table.cast());
                    let high = _mm512_loadu_si512(table.add(LINE_BYTES).cast());
                    let [a, b] = sums[i];
                    let a = _mm512_dpbusd_epi32(a, _mm512_permutexvar_epi8(first_low, low), ones);
                    let b = _mm512_dpbusd_epi32(b, _mm512_permutexvar_epi8(second_low, low), ones);
                    let a = _mm512_dpbusd_epi32(a, _mm512_permutexvar_epi8(first_high, high), ones);
                    let b = _mm512_dpbusd_epi32(b, _mm512_permutexvar_epi8(second_high, high), ones);
                    sums[i] = [a, b];
                }
            }
        }
        // SAFETY: three times two lines of factors follow the codes of a block.
        let factors = unsafe { codes.add(quads * 2 * LINE_BYTES).cast::<f32>() };
        for half in 0..2 {
            let lane = half * BLOCK_LEN / 2;
            // SAFETY: as above.
            let factors = unsafe {
                [
                    _mm512_load_ps(factors.add(lane)),
                    _mm512_load_ps(factors.add(BLOCK_LEN + lane)),
                    _mm512_load_ps(factors.add(2 * BLOCK_LEN + lane)),
                ]
            };
            let slots = slots_from(run.first_slot + to_u32(block * BLOCK_LEN + lane));
            for i in 0..N {
                let query = &mut queries[i];
                let mask = sixteen_lanes(masks[i], lane);
                // SAFETY: `reserve` made room for all vectors of the run and a line beyond.
                unsafe {
                    keep_survivors(sums[i][half], factors, &query.terms, query.threshold, mask, slots, query.survivors);
                }
            }
        }
    }
}

/// Four rows at a time share the loads of the query and the folding of sums, sixteen the estimates.
///
/// # Safety
/// The CPU has the features, and `assert_fits` passed.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
unsafe fn scan_rows_vnni(pass: &mut RowPass<'_>) {
    let row_bytes = pass.row_bytes();
    let start = pass.rows.as_ptr();
    pass.survivors.reserve(pass.slots.len());
    prefetch_rows(pass, 0);
    for first in (0..pass.slots.len()).step_by(16) {
        prefetch_rows(pass, first + 16);
        let sixteen = &pass.slots[first..pass.slots.len().min(first + 16)];
        let (mut slots, mut sums) = ([sixteen[0]; 16], [0; 16]);
        slots[..sixteen.len()].copy_from_slice(sixteen);
        let mut factors = [[0.0_f32; 16]; 3];
        for four in (0..sixteen.len()).step_by(4) {
            let mut rows = [start; 4];
            for i in 0..4 {
                // SAFETY: the slot is a row, as `assert_fits` checked.
                unsafe { rows[i] = start.add(slots[four + i] as usize * row_bytes) };
                for (f, factors) in factors.iter_mut().enumerate() {
                    // SAFETY: three floats follow the codes of a row.
                    factors[four + i] = unsafe { rows[i].add(pass.low.len()).cast::<f32>().add(f).read_unaligned() };
                }
            }
            // SAFETY: rows begin with as many bytes of codes as the query has, and `sums` has room for four more.
            unsafe { _mm_storeu_si128(sums.as_mut_ptr().add(four).cast(), dot_of_four(rows, pass.low, pass.high)) };
        }
        let mask = u16::MAX >> (16 - sixteen.len());
        // SAFETY: all are sixteen numbers, and the loads ask for no alignment; `reserve` made room for all slots.
        unsafe {
            let factors = [
                _mm512_loadu_ps(factors[0].as_ptr()),
                _mm512_loadu_ps(factors[1].as_ptr()),
                _mm512_loadu_ps(factors[2].as_ptr()),
            ];
            let (sums, slots) = (_mm512_loadu_si512(sums.as_ptr().cast()), _mm512_loadu_si512(slots.as_ptr().cast()));
            keep_survivors(sums, factors, &pass.terms, pass.threshold, mask, slots, pass.survivors);
        }
    }
}

/// Prefetches sixteen rows: the first sixteen lines of each, and its last one. Between them the CPU's own prefetcher runs.
#[inline]
#[target_feature(enable = "avx512f")]
fn prefetch_rows(pass: &RowPass<'_>, first: usize) {
    let len = pass.row_bytes();
    for &slot in pass.slots.iter().skip(first).take(16) {
        let row = pass.rows.as_ptr().wrapping_add(slot as usize * len).cast::<i8>();
        for offset in (0..len.min(16 * LINE_BYTES)).step_by(LINE_BYTES) {
            _mm_prefetch::<_MM_HINT_T0>(row.wrapping_add(offset));
        }
        _mm_prefetch::<_MM_HINT_T0>(row.wrapping_add(len - 1));
    }
}

/// The sums of products of four rows with a query, in order.
///
/// # Safety
/// The CPU has the features, each of `rows` points to as many bytes as `low` and `high` have.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn dot_of_four(rows: [*const u8; 4], low: &[i8], high: &[i8]) -> __m128i {
    let low_nibble = _mm512_set1_epi8(0x0F);
    let mut sums = [[_mm512_setzero_si512(); 2]; 4];
    for start in (0..low.len()).step_by(LINE_BYTES) {
        let mask = u64::MAX >> (LINE_BYTES - (low.len() - start).min(LINE_BYTES));
        // SAFETY: the mask ends the loads with the slices, and with the codes, which are as long.
        unsafe {
            let low = _mm512_maskz_loadu_epi8(mask, low.as_ptr().add(start));
            let high = _mm512_maskz_loadu_epi8(mask, high.as_ptr().add(start));
            for i in 0..4 {
                let codes = _mm512_maskz_loadu_epi8(mask, rows[i].add(start).cast());
                let upper = _mm512_and_si512(_mm512_srli_epi16::<4>(codes), low_nibble);
                sums[i][0] = _mm512_dpbusd_epi32(sums[i][0], _mm512_and_si512(codes, low_nibble), low);
                sums[i][1] = _mm512_dpbusd_epi32(sums[i][1], upper, high);
            }
        }
    }
    let [a, b, c, d] = [
        _mm512_add_epi32(sums[0][0], sums[0][1]),
        _mm512_add_epi32(sums[1][0], sums[1][1]),
        _mm512_add_epi32(sums[2][0], sums[2][1]),
        _mm512_add_epi32(sums[3][0], sums[3][1]),
    ];
    // In each quarter: a b a b and c d c d, then a b c d.
    let ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    let cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    let quarters = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    let halves = _mm256_add_epi32(_mm512_castsi512_si256(quarters), _mm512_extracti64x4_epi64::<1>(quarters));
    _mm_add_epi32(_mm256_castsi256_si128(halves), _mm256_extracti128_si256::<1>(halves))
}

/// Points whose scores are computed together: with two blocks of centroids they fill twelve registers of sums.
const TILE_POINTS: usize = 6;

/// The products of `P` points with `B` blocks of centroids, from block `first` on. Where there are fewer left, the last
/// one is taken again.
///
/// # Safety
/// The CPU has the features; `points` holds `P` points; blocks have a line for each quad of a point.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn products_of_tile<const P: usize, const B: usize>(
    points: &[i8],
    padded_dim: usize,
    blocks: &[Line],
    first: usize,
) -> [[__m512i; B]; P] {
    let quads = padded_dim / 4;
    let num_blocks = blocks.len() / quads;
    let mut sums = [[_mm512_setzero_si512(); B]; P];
    // SAFETY: the caller vouches for `quads` lines in each block, and for `quads` times four bytes in each point.
    unsafe {
        let mut starts = [blocks.as_ptr(); B];
        for b in 0..B {
            starts[b] = blocks.as_ptr().add((first + b).min(num_blocks - 1) * quads);
        }
        for quad in 0..quads {
            let mut lines = [_mm512_setzero_si512(); B];
            for b in 0..B {
                lines[b] = _mm512_load_si512(starts[b].add(quad).cast());
            }
            for p in 0..P {
                let values = points.as_ptr().add(p * padded_dim + quad * 4).cast::<i32>().read_unaligned();
                let values = _mm512_set1_epi32(values);
                for b in 0..B {
                    sums[p][b] = _mm512_dpbusd_epi32(sums[p][b], lines[b], values);
                }
            }
        }
    }
    sums
}

/// # Safety
/// The CPU has the features; `points` holds `P` points; the lengths fit.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn scores_of_tile<const P: usize, const B: usize>(
    points: &[i8],
    padded_dim: usize,
    blocks: &[Line],
    norms: &[i32],
    scores: &mut [i32],
) {
    let num_blocks = norms.len() / CENTROID_LANES;
    for first in (0..num_blocks).step_by(B) {
        // SAFETY: the caller vouches for it.
        let sums = unsafe { products_of_tile::<P, B>(points, padded_dim, blocks, first) };
        for b in 0..B {
            let lane = (first + b).min(num_blocks - 1) * CENTROID_LANES;
            // SAFETY: norms have sixteen numbers for each block, and scores as many for each of the points.
            unsafe {
                let norms_of_block = _mm512_loadu_si512(norms.as_ptr().add(lane).cast());
                for p in 0..P {
                    let score = _mm512_sub_epi32(norms_of_block, _mm512_slli_epi32::<1>(sums[p][b]));
                    _mm512_storeu_si512(scores.as_mut_ptr().add(p * norms.len() + lane).cast(), score);
                }
            }
        }
    }
}

/// # Safety
/// The CPU has the features; `points` holds `P` points; the lengths fit.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn nearest_of_tile<const P: usize>(
    points: &[i8],
    padded_dim: usize,
    blocks: &[Line],
    norms: &[i32],
    nearest: &mut [Nearest],
) {
    let num_blocks = norms.len() / CENTROID_LANES;
    let lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    let mut best_scores = [_mm512_set1_epi32(i32::MAX); P];
    let mut best_centroids = [_mm512_set1_epi32(-1); P];
    for block in (0..num_blocks).step_by(2) {
        // Two blocks, or the last one twice: the second time it is not smaller.
        let pair = [block, (block + 1).min(num_blocks - 1)];
        // SAFETY: the caller vouches for it.
        let sums = unsafe { products_of_tile::<P, 2>(points, padded_dim, blocks, block) };
        for half in 0..2 {
            let first = pair[half] * CENTROID_LANES;
            // SAFETY: norms have sixteen numbers for each block.
            let norms = unsafe { _mm512_loadu_si512(norms.as_ptr().add(first).cast()) };
            let centroids = _mm512_add_epi32(lane, _mm512_set1_epi32(to_u32(first).cast_signed()));
            for p in 0..P {
                let score = _mm512_sub_epi32(norms, _mm512_slli_epi32::<1>(sums[p][half]));
                let smaller = _mm512_cmplt_epi32_mask(score, best_scores[p]);
                best_scores[p] = _mm512_mask_mov_epi32(best_scores[p], smaller, score);
                best_centroids[p] = _mm512_mask_mov_epi32(best_centroids[p], smaller, centroids);
            }
        }
    }
    for p in 0..P {
        let score = _mm512_reduce_min_epi32(best_scores[p]);
        let equal = _mm512_cmpeq_epi32_mask(best_scores[p], _mm512_set1_epi32(score));
        let centroid = _mm512_mask_reduce_min_epu32(equal, best_centroids[p]);
        nearest[p] = Nearest { score, centroid };
    }
}
