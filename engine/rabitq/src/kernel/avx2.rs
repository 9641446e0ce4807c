//! AVX2: eight floats or thirty-two bytes at a time.

use std::arch::x86_64::*;

use super::{BLOCK_LEN, BlockFactors, GROUP_BYTES, Kernels, QueryTerms, scalar};

static KERNELS: Kernels = Kernels { name: "avx2", l2_squared, dot, scan_block, lower_bounds };

/// The table, if this CPU has AVX2: the only way to these functions, so whoever calls one has AVX2.
pub(super) fn kernels() -> Option<&'static Kernels> {
    is_x86_feature_detected!("avx2").then_some(&KERNELS)
}

fn l2_squared(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "vectors of one dimension");
    // SAFETY: reached only through `kernels`, which detected AVX2; the lengths are equal.
    unsafe { l2_squared_avx2(a, b) }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "vectors of one dimension");
    // SAFETY: reached only through `kernels`, which detected AVX2; the lengths are equal.
    unsafe { dot_avx2(a, b) }
}

fn scan_block(codes: &[u8], tables: &[u8], sums: &mut [u32; BLOCK_LEN]) {
    assert_eq!(codes.len(), tables.len(), "one table for each group of the block");
    assert!(codes.len().is_multiple_of(2 * GROUP_BYTES), "an even number of groups");
    // SAFETY: reached only through `kernels`, which detected AVX2; the lengths were checked above.
    unsafe { scan_block_avx2(codes, tables, sums) }
}

fn lower_bounds(sums: &[u32; BLOCK_LEN], factors: &BlockFactors<'_>, terms: &QueryTerms) -> [f32; BLOCK_LEN] {
    // SAFETY: reached only through `kernels`, which detected AVX2.
    unsafe { lower_bounds_avx2(sums, factors, terms) }
}

/// The definition itself, compiled for eight lanes. The compiler never fuses a multiplication with an addition.
#[target_feature(enable = "avx2")]
unsafe fn lower_bounds_avx2(
    sums: &[u32; BLOCK_LEN],
    factors: &BlockFactors<'_>,
    terms: &QueryTerms,
) -> [f32; BLOCK_LEN] {
    scalar::lower_bounds(sums, factors, terms)
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
fn with_zeros(tail: &[f32]) -> [f32; 32] {
    let mut full = [0.0; 32];
    full[..tail.len()].copy_from_slice(tail);
    full
}

/// The fold of the definition: 16 upper lanes onto 16 lower, 8 onto 8, 4 onto 4, 2 onto 2, 1 onto 1.
#[inline]
#[target_feature(enable = "avx2")]
fn fold([a, b, c, d]: Lanes) -> f32 {
    let eight = _mm256_add_ps(_mm256_add_ps(a, c), _mm256_add_ps(b, d));
    let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    let one = _mm_add_ss(two, _mm_shuffle_ps::<1>(two, two));
    _mm_cvtss_f32(one)
}

/// Pairs of groups added in 16 bits before the sums move to 32: 2 * 128 * 255 < 65536.
const PAIRS_PER_FLUSH: usize = 128;

/// FastScan (André, Kermarrec, Le Scouarnec, VLDB 2015): a byte shuffle looks up 32 codes at once.
///
/// A 32-byte load holds two groups, one in each half, and the matching 32 bytes of tables are their two tables. Bytes
/// are added as 16-bit lanes: `both` gathers even + 256 * odd modulo 2^16 and `odd` the odd ones, so that
/// even = both - 256 * odd, which is right because the true sum is below 2^16.
#[target_feature(enable = "avx2")]
unsafe fn scan_block_avx2(codes: &[u8], tables: &[u8], sums: &mut [u32; BLOCK_LEN]) {
    let low_nibble = _mm256_set1_epi8(0x0F);
    let (rows, _) = codes.as_chunks::<32>();
    let (tables, _) = tables.as_chunks::<32>();
    sums.fill(0);
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
fn flush(both: __m256i, odd: __m256i, sums: &mut [u32]) {
    let even = _mm256_sub_epi16(both, _mm256_slli_epi16::<8>(odd));
    let even = _mm_add_epi16(_mm256_castsi256_si128(even), _mm256_extracti128_si256::<1>(even));
    let odd = _mm_add_epi16(_mm256_castsi256_si128(odd), _mm256_extracti128_si256::<1>(odd));
    let eights = [_mm_unpacklo_epi16(even, odd), _mm_unpackhi_epi16(even, odd)];
    for (eight, sums) in eights.into_iter().zip(sums.as_chunks_mut::<8>().0) {
        let pointer = sums.as_mut_ptr().cast::<__m256i>();
        // SAFETY: `sums` is eight u32, and neither the load nor the store asks for alignment.
        unsafe {
            let sum = _mm256_add_epi32(_mm256_loadu_si256(pointer), _mm256_cvtepu16_epi32(eight));
            _mm256_storeu_si256(pointer, sum);
        }
    }
}
