//! The code that all AVX-512 kernels share: distances, transforms, and the estimates of a scan, in registers of sixteen floats.

#![expect(
    clippy::needless_range_loop,
    reason = "an iterator over registers is a closure, which is called and not inlined"
)]

use std::arch::x86_64::*;

use super::avx2::{fold_eight, in_chunks, with_zeros};
use super::pass::{QueryTerms, Survivors};
use super::{Layout, scalar};

/// Returns true if this CPU has the part of AVX-512 that all AVX-512 kernels use.
pub(super) fn detected() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
}

pub(super) fn l2_squared(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "vectors of one dimension");
    // SAFETY: reached only through `kernels` of `avx512` or `avx512_bw`, which detected AVX-512F; the lengths are equal.
    unsafe { l2_squared_avx512(a, b) }
}

pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "vectors of one dimension");
    // SAFETY: reached only through `kernels` of `avx512` or `avx512_bw`, which detected AVX-512F; the lengths are equal.
    unsafe { dot_avx512(a, b) }
}

pub(super) fn dot_i16_i8(a: &[i16], b: &[i8]) -> i64 {
    // SAFETY: reached only through `kernels` of `avx512` or `avx512_bw`, which detected AVX-512; the lengths are checked.
    in_chunks(a, b, |a, b| unsafe { dot_i16_i8_avx512(a, b) })
}

pub(super) fn hadamard(values: &mut [f32]) {
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    unsafe fn compiled(values: &mut [f32]) {
        scalar::hadamard(values);
    }
    // SAFETY: reached only through `kernels` of `avx512` or `avx512_bw`, which detected AVX-512.
    unsafe { compiled(values) }
}

pub(super) fn fill_tables(rotated: &[f32], layout: Layout, to_steps: f32, tables: &mut [u8]) {
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    unsafe fn compiled(rotated: &[f32], layout: Layout, to_steps: f32, tables: &mut [u8]) {
        scalar::fill_tables(rotated, layout, to_steps, tables);
    }
    // SAFETY: reached only through `kernels` of `avx512` or `avx512_bw`, which detected AVX-512.
    unsafe { compiled(rotated, layout, to_steps, tables) }
}

/// Thirty-two lanes of the definition in two registers.
type Lanes = [__m512; 2];

#[target_feature(enable = "avx512f")]
unsafe fn l2_squared_avx512(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [_mm512_setzero_ps(); 2];
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

#[target_feature(enable = "avx512f")]
unsafe fn dot_avx512(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [_mm512_setzero_ps(); 2];
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
#[target_feature(enable = "avx512f")]
fn l2_squared_step(lanes: &mut Lanes, a: &[f32; 32], b: &[f32; 32]) {
    for (i, lane) in lanes.iter_mut().enumerate() {
        let difference = _mm512_sub_ps(load(a, i), load(b, i));
        // Not a fused multiply-add: its single rounding would give other bits than the definition.
        *lane = _mm512_add_ps(*lane, _mm512_mul_ps(difference, difference));
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn dot_step(lanes: &mut Lanes, a: &[f32; 32], b: &[f32; 32]) {
    for (i, lane) in lanes.iter_mut().enumerate() {
        *lane = _mm512_add_ps(*lane, _mm512_mul_ps(load(a, i), load(b, i)));
    }
}

/// # Safety
/// The CPU has the features; the slices have one length, a multiple of 64 and at most 4096.
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn dot_i16_i8_avx512(a: &[i16], b: &[i8]) -> i64 {
    let mut sums = [_mm512_setzero_si512(); 2];
    for (a, b) in a.as_chunks::<64>().0.iter().zip(b.as_chunks::<64>().0) {
        for half in 0..2 {
            // SAFETY: both are arrays of 64 numbers, and the loads ask for no alignment.
            let (a, b) = unsafe {
                (
                    _mm512_loadu_si512(a.as_ptr().add(32 * half).cast()),
                    _mm256_loadu_si256(b.as_ptr().add(32 * half).cast()),
                )
            };
            sums[half] = _mm512_add_epi32(sums[half], _mm512_madd_epi16(a, _mm512_cvtepi8_epi16(b)));
        }
    }
    let mut wide = _mm512_setzero_si512();
    for sum in sums {
        wide = _mm512_add_epi64(wide, _mm512_cvtepi32_epi64(_mm512_castsi512_si256(sum)));
        wide = _mm512_add_epi64(wide, _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64::<1>(sum)));
    }
    _mm512_reduce_add_epi64(wide)
}

/// Loads floats `16 * i..16 * i + 16`.
#[inline]
#[target_feature(enable = "avx512f")]
fn load(values: &[f32; 32], i: usize) -> __m512 {
    let sixteen: &[f32; 16] = &values.as_chunks().0[i];
    // SAFETY: `sixteen` is sixteen floats, and the load asks for no alignment.
    unsafe { _mm512_loadu_ps(sixteen.as_ptr()) }
}

/// The fold of the definition: 16 upper lanes onto 16 lower, 8 onto 8, 4 onto 4, 2 onto 2, 1 onto 1.
#[inline]
#[target_feature(enable = "avx512f")]
fn fold([a, b]: Lanes) -> f32 {
    let sixteen = _mm512_add_ps(a, b);
    let upper = _mm256_castpd_ps(_mm512_extractf64x4_pd::<1>(_mm512_castps_pd(sixteen)));
    fold_eight(_mm256_add_ps(_mm512_castps512_ps256(sixteen), upper))
}

/// The estimates of sixteen vectors, as [`QueryTerms::estimate`] defines them; the survivors of the threshold are stored.
///
/// # Safety
/// The CPU has the features, and all three columns of `survivors` have room for sixteen more.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
pub(super) unsafe fn keep_survivors(
    sums: __m512i,
    [add, rescale, error]: [__m512; 3],
    terms: &QueryTerms,
    threshold: f32,
    mask: __mmask16,
    slots: __m512i,
    survivors: &mut Survivors,
) {
    let product = _mm512_add_ps(
        _mm512_mul_ps(_mm512_set1_ps(terms.step), _mm512_cvtepi32_ps(sums)),
        _mm512_set1_ps(terms.smallest_product),
    );
    let estimate = _mm512_add_ps(
        _mm512_add_ps(_mm512_mul_ps(_mm512_set1_ps(terms.add_scale), add), _mm512_set1_ps(terms.add)),
        _mm512_mul_ps(rescale, product),
    );
    let error_bound = _mm512_add_ps(
        _mm512_add_ps(
            _mm512_mul_ps(error, _mm512_set1_ps(terms.error_scale)),
            _mm512_mul_ps(_mm512_abs_ps(rescale), _mm512_set1_ps(terms.table_error)),
        ),
        _mm512_add_ps(
            _mm512_mul_ps(_mm512_abs_ps(add), _mm512_set1_ps(terms.rounding_share)),
            _mm512_set1_ps(terms.rounding),
        ),
    );
    let bound = _mm512_sub_ps(estimate, error_bound);
    // Not greater, or not a number.
    let survives = _mm512_cmp_ps_mask::<_CMP_NGT_UQ>(bound, _mm512_set1_ps(threshold)) & mask;
    if survives == 0 {
        return;
    }
    let len = survivors.len();
    let new_len = len + survives.count_ones() as usize;
    // Compressed in a register and stored whole: compressing into memory is slow on some CPUs.
    // SAFETY: the caller vouches for the room; the lanes up to `new_len` are written.
    unsafe {
        _mm512_storeu_si512(survivors.slots.as_mut_ptr().add(len).cast(), _mm512_maskz_compress_epi32(survives, slots));
        _mm512_storeu_ps(survivors.bounds.as_mut_ptr().add(len), _mm512_maskz_compress_ps(survives, bound));
        _mm512_storeu_ps(survivors.estimates.as_mut_ptr().add(len), _mm512_maskz_compress_ps(survives, estimate));
        survivors.slots.set_len(new_len);
        survivors.bounds.set_len(new_len);
        survivors.estimates.set_len(new_len);
    }
}

/// The mask of the sixteen lanes from `first` on, of the mask of a block.
#[expect(clippy::cast_possible_truncation, reason = "the other lanes are left out")]
#[inline(always)]
pub(super) fn sixteen_lanes(mask: u32, first: usize) -> __mmask16 {
    (mask >> first) as __mmask16
}

/// Sixteen slots one after another.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn slots_from(first: u32) -> __m512i {
    let ramp = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    _mm512_add_epi32(_mm512_set1_epi32(first as i32), ramp)
}
