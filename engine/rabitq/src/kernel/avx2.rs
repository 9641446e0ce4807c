//! AVX2: eight floats or thirty-two bytes at a time.

use std::arch::x86_64::*;

use super::{BLOCK_LEN, BlockRun, CENTROID_LANES, Kernels, Layout, Nearest, QueryPass, RowPass, scalar};
use crate::memory::Line;
use crate::number::to_u32;

static KERNELS: Kernels = Kernels {
    name: "avx2",
    layout: Layout::Groups,
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

/// The table, if this CPU has AVX2. It is the only way to these functions, so every caller of one has AVX2.
pub(super) fn kernels() -> Option<&'static Kernels> {
    is_x86_feature_detected!("avx2").then_some(&KERNELS)
}

pub(super) fn l2_squared(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "vectors of one dimension");
    // SAFETY: reached only through `kernels`, which detected AVX2; the lengths are equal.
    unsafe { l2_squared_avx2(a, b) }
}

pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "vectors of one dimension");
    // SAFETY: reached only through `kernels`, which detected AVX2; the lengths are equal.
    unsafe { dot_avx2(a, b) }
}

fn dot_i16_i8(a: &[i16], b: &[i8]) -> i64 {
    // SAFETY: reached only through `kernels`, which detected AVX2; the lengths are checked.
    in_chunks(a, b, |a, b| unsafe { dot_i16_i8_avx2(a, b) })
}

/// Adds what `dot` makes of chunks no longer than [`MOST_PRODUCTS`].
#[inline(always)]
pub(super) fn in_chunks(a: &[i16], b: &[i8], dot: impl Fn(&[i16], &[i8]) -> i64) -> i64 {
    assert_eq!(a.len(), b.len(), "vectors of one dimension");
    assert!(a.len().is_multiple_of(64), "whole chunks");
    a.chunks(MOST_PRODUCTS).zip(b.chunks(MOST_PRODUCTS)).map(|(a, b)| dot(a, b)).sum()
}

fn hadamard(values: &mut [f32]) {
    #[target_feature(enable = "avx2")]
    unsafe fn compiled(values: &mut [f32]) {
        scalar::hadamard(values);
    }
    // SAFETY: reached only through `kernels`, which detected AVX2.
    unsafe { compiled(values) }
}

fn fill_tables(rotated: &[f32], layout: Layout, to_steps: f32, tables: &mut [u8]) {
    #[target_feature(enable = "avx2")]
    unsafe fn compiled(rotated: &[f32], layout: Layout, to_steps: f32, tables: &mut [u8]) {
        scalar::fill_tables(rotated, layout, to_steps, tables);
    }
    // SAFETY: reached only through `kernels`, which detected AVX2.
    unsafe { compiled(rotated, layout, to_steps, tables) }
}

fn scan(run: &BlockRun<'_>, queries: &mut [QueryPass<'_>]) {
    run.assert_fits();
    queries.iter().for_each(|query| query.assert_fits(run));
    // SAFETY: reached only through `kernels`, which detected AVX2; the lengths were checked above.
    unsafe { scan_avx2(run, queries) }
}

fn scan_rows(pass: &mut RowPass<'_>) {
    pass.assert_fits();
    // SAFETY: reached only through `kernels`, which detected AVX2; the lengths were checked above.
    unsafe { scan_rows_avx2(pass) }
}

fn centroid_scores(points: &[i8], padded_dim: usize, blocks: &[Line], norms: &[i32], scores: &mut [i32]) {
    scalar::assert_scores_fit(points, padded_dim, blocks, norms, scores);
    for (point, scores) in points.chunks_exact(padded_dim).zip(scores.chunks_exact_mut(norms.len())) {
        // SAFETY: reached only through `kernels`, which detected AVX2; the lengths were checked above.
        unsafe { centroid_scores_avx2(point, blocks, norms, scores) }
    }
}

fn nearest_centroids(points: &[i8], padded_dim: usize, blocks: &[Line], norms: &[i32], nearest: &mut [Nearest]) {
    let mut scores = vec![0; norms.len()];
    for (point, nearest) in points.chunks_exact(padded_dim).zip(nearest) {
        centroid_scores(point, padded_dim, blocks, norms, &mut scores);
        let mut best = Nearest::NONE;
        for (centroid, &score) in scores.iter().enumerate() {
            if score < best.score {
                best = Nearest { score, centroid: to_u32(centroid) };
            }
        }
        *nearest = best;
    }
}

/// Thirty-two lanes of the definition in four registers.
type Lanes = [__m256; 4];

#[target_feature(enable = "avx2")]
unsafe fn l2_squared_avx2(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [_mm256_setzero_ps(); 4];
    let (a_chunks, a_tail) = a.as_chunks::<32>();
    let (b_chunks, b_tail) = b.as_chunks::<32>();
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        l2_squared_step(&mut lanes, a, b);
    }
    if !a_tail.is_empty() {
        l2_squared_step(&mut lanes, &with_zeros(a_tail), &with_zeros(b_tail));
    }
    fold(lanes)
}

#[target_feature(enable = "avx2")]
unsafe fn dot_avx2(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [_mm256_setzero_ps(); 4];
    let (a_chunks, a_tail) = a.as_chunks::<32>();
    let (b_chunks, b_tail) = b.as_chunks::<32>();
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        dot_step(&mut lanes, a, b);
    }
    if !a_tail.is_empty() {
        dot_step(&mut lanes, &with_zeros(a_tail), &with_zeros(b_tail));
    }
    fold(lanes)
}

#[inline]
#[target_feature(enable = "avx2")]
fn l2_squared_step(lanes: &mut Lanes, a: &[f32; 32], b: &[f32; 32]) {
    for (i, lane) in lanes.iter_mut().enumerate() {
        let difference = _mm256_sub_ps(load(a, i), load(b, i));
        // Not a fused multiply-add: its single rounding would give other bits than the definition.
        *lane = _mm256_add_ps(*lane, _mm256_mul_ps(difference, difference));
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn dot_step(lanes: &mut Lanes, a: &[f32; 32], b: &[f32; 32]) {
    for (i, lane) in lanes.iter_mut().enumerate() {
        *lane = _mm256_add_ps(*lane, _mm256_mul_ps(load(a, i), load(b, i)));
    }
}

/// Loads floats `8 * i..8 * i + 8`.
#[inline]
#[target_feature(enable = "avx2")]
fn load(values: &[f32; 32], i: usize) -> __m256 {
    let eight: &[f32; 8] = &values.as_chunks().0[i];
    // SAFETY: `eight` is eight floats, and the load asks for no alignment.
    unsafe { _mm256_loadu_ps(eight.as_ptr()) }
}

/// A tail as a full step. A term of zeros is +0, and adding +0 changes no lane: none is ever -0.
#[inline]
pub(super) fn with_zeros(tail: &[f32]) -> [f32; 32] {
    let mut full = [0.0; 32];
    full[..tail.len()].copy_from_slice(tail);
    full
}

/// The fold of the definition: 16 upper lanes onto 16 lower, 8 onto 8, 4 onto 4, 2 onto 2, 1 onto 1.
#[inline]
#[target_feature(enable = "avx2")]
fn fold([a, b, c, d]: Lanes) -> f32 {
    let eight = _mm256_add_ps(_mm256_add_ps(a, c), _mm256_add_ps(b, d));
    fold_eight(eight)
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn fold_eight(eight: __m256) -> f32 {
    let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    let one = _mm_add_ss(two, _mm_shuffle_ps::<1>(two, two));
    _mm_cvtss_f32(one)
}

#[target_feature(enable = "avx2")]
unsafe fn scan_avx2(run: &BlockRun<'_>, queries: &mut [QueryPass<'_>]) {
    for block in 0..run.num_blocks() {
        for query in &mut *queries {
            let mask = query.mask(run, block);
            if mask != 0 {
                let mut sums = [0; BLOCK_LEN];
                block_sums(run.codes(block), query.tables, &mut sums);
                scalar::epilogue(run, block, mask, &sums, query);
            }
        }
    }
}

/// Pairs of groups added in 16 bits before the sums move to 32: 2 * 128 * 255 < 65536.
const PAIRS_PER_FLUSH: usize = 128;

/// FastScan (André, Kermarrec, Le Scouarnec, VLDB 2015): a byte shuffle looks up 32 codes at once.
///
/// A 32-byte load holds two groups, one in each half, and the matching 32 bytes of tables are their two tables. Bytes
/// are added as 16-bit lanes: `both` gathers even + 256 * odd modulo 2^16 and `odd` the odd ones, so that
/// even = both - 256 * odd, which is right because the true sum is below 2^16.
#[inline]
#[target_feature(enable = "avx2")]
fn block_sums(codes: &[u8], tables: &[u8], sums: &mut [i32; BLOCK_LEN]) {
    let low_nibble = _mm256_set1_epi8(0x0F);
    let (rows, _) = codes.as_chunks::<32>();
    let (tables, _) = tables.as_chunks::<32>();
    for (rows, tables) in rows.chunks(PAIRS_PER_FLUSH).zip(tables.chunks(PAIRS_PER_FLUSH)) {
        let zero = _mm256_setzero_si256();
        let (mut low_both, mut low_odd, mut high_both, mut high_odd) = (zero, zero, zero, zero);
        for (row, table) in rows.iter().zip(tables) {
            // SAFETY: both are arrays of 32 bytes, and the loads ask for no alignment.
            let (row, table) =
                unsafe { (_mm256_loadu_si256(row.as_ptr().cast()), _mm256_loadu_si256(table.as_ptr().cast())) };
            let low = _mm256_shuffle_epi8(table, _mm256_and_si256(row, low_nibble));
            let high = _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16::<4>(row), low_nibble));
            low_both = _mm256_add_epi16(low_both, low);
            low_odd = _mm256_add_epi16(low_odd, _mm256_srli_epi16::<8>(low));
            high_both = _mm256_add_epi16(high_both, high);
            high_odd = _mm256_add_epi16(high_odd, _mm256_srli_epi16::<8>(high));
        }
        let (first, second) = sums.split_at_mut(BLOCK_LEN / 2);
        flush(low_both, low_odd, first);
        flush(high_both, high_odd, second);
    }
}

/// Adds the sums of sixteen vectors, in their order, to `sums`.
#[inline]
#[target_feature(enable = "avx2")]
fn flush(both: __m256i, odd: __m256i, sums: &mut [i32]) {
    let even = _mm256_sub_epi16(both, _mm256_slli_epi16::<8>(odd));
    let even = _mm_add_epi16(_mm256_castsi256_si128(even), _mm256_extracti128_si256::<1>(even));
    let odd = _mm_add_epi16(_mm256_castsi256_si128(odd), _mm256_extracti128_si256::<1>(odd));
    add_sixteen(even, odd, sums);
}

/// Adds eight even and eight odd sums of 16 bits, in turn, to `sums`.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn add_sixteen(even: __m128i, odd: __m128i, sums: &mut [i32]) {
    let eights = [_mm_unpacklo_epi16(even, odd), _mm_unpackhi_epi16(even, odd)];
    for (eight, sums) in eights.into_iter().zip(sums.as_chunks_mut::<8>().0) {
        let pointer = sums.as_mut_ptr().cast::<__m256i>();
        // SAFETY: `sums` is eight i32, and neither the load nor the store asks for alignment.
        unsafe {
            let sum = _mm256_add_epi32(_mm256_loadu_si256(pointer), _mm256_cvtepu16_epi32(eight));
            _mm256_storeu_si256(pointer, sum);
        }
    }
}

/// Loads of 32 bytes of codes whose products are added in 16 bits: 4 * 2 * 2 * 15 * 128 < 32768.
const CODES_PER_FLUSH: usize = 4;

/// The most products of 16 and 8 bits that are added in lanes of 32 bits: in each of sixteen, 256 * 2^15 * 2^7 = 2^30.
const MOST_PRODUCTS: usize = 4096;

/// # Safety
/// The CPU has AVX2; the slices have one length, a multiple of 32 and at most [`MOST_PRODUCTS`].
#[target_feature(enable = "avx2")]
unsafe fn dot_i16_i8_avx2(a: &[i16], b: &[i8]) -> i64 {
    let mut sums = [_mm256_setzero_si256(); 2];
    for (a, b) in a.as_chunks::<32>().0.iter().zip(b.as_chunks::<32>().0) {
        for (half, sum) in sums.iter_mut().enumerate() {
            // SAFETY: both are arrays of 32 numbers, and the loads ask for no alignment.
            let (a, b) = unsafe {
                (
                    _mm256_loadu_si256(a.as_ptr().add(16 * half).cast()),
                    _mm_loadu_si128(b.as_ptr().add(16 * half).cast()),
                )
            };
            *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(a, _mm256_cvtepi8_epi16(b)));
        }
    }
    let mut lanes = [[0_i32; 8]; 2];
    for (lanes, sum) in lanes.iter_mut().zip(sums) {
        // SAFETY: `lanes` are eight numbers, and the store asks for no alignment.
        unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast(), sum) };
    }
    let mut total = 0;
    for lane in lanes.as_flattened() {
        total += i64::from(*lane);
    }
    total
}

#[target_feature(enable = "avx2")]
unsafe fn scan_rows_avx2(pass: &mut RowPass<'_>) {
    for &slot in pass.slots {
        let (codes, factors) = pass.row(slot);
        let sum = dot_u4_avx2(codes, pass.low, pass.high);
        pass.keep(slot, sum, factors);
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn dot_u4_avx2(codes: &[u8], low: &[i8], high: &[i8]) -> i32 {
    let low_nibble = _mm256_set1_epi8(0x0F);
    let ones = _mm256_set1_epi16(1);
    let (codes, codes_tail) = codes.as_chunks::<32>();
    let (low, low_tail) = low.as_chunks::<32>();
    let (high, high_tail) = high.as_chunks::<32>();
    let mut sums = _mm256_setzero_si256();
    for ((codes, low), high) in
        codes.chunks(CODES_PER_FLUSH).zip(low.chunks(CODES_PER_FLUSH)).zip(high.chunks(CODES_PER_FLUSH))
    {
        let mut products = _mm256_setzero_si256();
        for ((codes, low), high) in codes.iter().zip(low).zip(high) {
            // SAFETY: all are arrays of 32 bytes, and the loads ask for no alignment.
            let (codes, low, high) = unsafe {
                (
                    _mm256_loadu_si256(codes.as_ptr().cast()),
                    _mm256_loadu_si256(low.as_ptr().cast()),
                    _mm256_loadu_si256(high.as_ptr().cast()),
                )
            };
            let lower = _mm256_maddubs_epi16(_mm256_and_si256(codes, low_nibble), low);
            let upper = _mm256_maddubs_epi16(_mm256_and_si256(_mm256_srli_epi16::<4>(codes), low_nibble), high);
            products = _mm256_add_epi16(products, _mm256_add_epi16(lower, upper));
        }
        sums = _mm256_add_epi32(sums, _mm256_madd_epi16(products, ones));
    }
    fold_i32(sums) + scalar::dot_u4(codes_tail, low_tail, high_tail)
}

#[inline]
#[target_feature(enable = "avx2")]
fn fold_i32(sums: __m256i) -> i32 {
    let four = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256::<1>(sums));
    let two = _mm_add_epi32(four, _mm_shuffle_epi32::<0b1110>(four));
    _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32::<1>(two)))
}

/// Computes the scores of the definition, four centroids in a register. Bytes are widened to 16 bits first: `maddubs` would
/// saturate.
#[target_feature(enable = "avx2")]
unsafe fn centroid_scores_avx2(point: &[i8], blocks: &[Line], norms: &[i32], scores: &mut [i32]) {
    let quads = point.len() / 4;
    for ((block, norms), scores) in blocks
        .chunks_exact(quads)
        .zip(norms.as_chunks::<CENTROID_LANES>().0)
        .zip(scores.as_chunks_mut::<CENTROID_LANES>().0)
    {
        // Each holds the even and the odd halves of four centroids.
        let mut sums = [_mm256_setzero_si256(); 4];
        for (line, values) in block.iter().zip(point.as_chunks::<4>().0) {
            // SAFETY: `values` is four bytes.
            let four = _mm_cvtsi32_si128(unsafe { values.as_ptr().cast::<i32>().read_unaligned() });
            let four = _mm256_broadcastq_epi64(_mm_cvtepi8_epi16(four));
            for (sum, quarter) in sums.iter_mut().zip(line.0.as_chunks::<16>().0) {
                // SAFETY: `quarter` is 16 bytes, and the load asks for no alignment.
                let quarter = unsafe { _mm_loadu_si128(quarter.as_ptr().cast()) };
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(_mm256_cvtepu8_epi16(quarter), four));
            }
        }
        for ((sum, norms), scores) in sums.into_iter().zip(norms.as_chunks::<4>().0).zip(scores.as_chunks_mut::<4>().0)
        {
            // Lanes are (0, 0', 1, 1', 2, 2', 3, 3') of four centroids: added in pairs, then brought together.
            let pairs = _mm256_add_epi32(sum, _mm256_shuffle_epi32::<0b10_11_00_01>(sum));
            let four = _mm256_permutevar8x32_epi32(pairs, _mm256_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6));
            let twice = _mm_slli_epi32::<1>(_mm256_castsi256_si128(four));
            // SAFETY: both are four i32, and neither the load nor the store asks for alignment.
            unsafe {
                let norms = _mm_loadu_si128(norms.as_ptr().cast());
                _mm_storeu_si128(scores.as_mut_ptr().cast(), _mm_sub_epi32(norms, twice));
            }
        }
    }
}
