//! AVX-512 without VBMI and VNNI: the byte shuffle of AVX2, twice as wide.

use std::arch::x86_64::*;

use super::avx2::add_sixteen;
use super::avx512_base::{self, detected, keep_survivors, sixteen_lanes, slots_from};
use super::{BLOCK_LEN, BlockRun, Kernels, Layout, QueryPass, avx2};
use crate::number::to_u32;

/// The table, if this CPU has the features: the only way to these functions.
pub(super) fn kernels() -> Option<&'static Kernels> {
    static KERNELS: std::sync::OnceLock<Option<Kernels>> = std::sync::OnceLock::new();
    let table = || {
        detected().then_some(())?;
        Some(Kernels {
            name: "avx512bw",
            layout: Layout::Groups,
            l2_squared: avx512_base::l2_squared,
            dot: avx512_base::dot,
            dot_i16_i8: avx512_base::dot_i16_i8,
            scan,
            hadamard: avx512_base::hadamard,
            fill_tables: avx512_base::fill_tables,
            // Sums of bytes without VNNI: a CPU that old is not worth a wider copy of them.
            ..*avx2::kernels()?
        })
    };
    KERNELS.get_or_init(table).as_ref()
}

fn scan(run: &BlockRun<'_>, queries: &mut [QueryPass<'_>]) {
    run.assert_fits();
    queries.iter().for_each(|query| query.assert_fits(run));
    queries.iter_mut().for_each(|query| query.survivors.reserve(run.num_vectors));
    // SAFETY: reached only through `kernels`, which detected the features; lengths were checked and room made above.
    unsafe { scan_bw(run, queries) }
}

/// # Safety
/// The CPU has the features, `assert_fits` passed, and all survivors have room for the vectors of the run.
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512dq")]
unsafe fn scan_bw(run: &BlockRun<'_>, queries: &mut [QueryPass<'_>]) {
    for block in 0..run.num_blocks() {
        let factors = run.factors(block);
        for query in &mut *queries {
            let mask = query.mask(run, block);
            if mask == 0 {
                continue;
            }
            let mut sums = [0; BLOCK_LEN];
            block_sums(run.codes(block), query.tables, &mut sums);
            for half in 0..2 {
                let lanes = half * 16;
                // SAFETY: sums and factors are 32 numbers each, and the loads ask for no alignment.
                let (sums, factors) = unsafe {
                    (
                        _mm512_loadu_si512(sums.as_ptr().add(lanes).cast()),
                        [
                            _mm512_loadu_ps(factors.add.as_ptr().add(lanes)),
                            _mm512_loadu_ps(factors.rescale.as_ptr().add(lanes)),
                            _mm512_loadu_ps(factors.error.as_ptr().add(lanes)),
                        ],
                    )
                };
                let slots = slots_from(run.first_slot + to_u32(block * BLOCK_LEN + lanes));
                let mask = sixteen_lanes(mask, lanes);
                // SAFETY: the caller made room for all vectors of the run.
                unsafe {
                    keep_survivors(sums, factors, &query.terms, query.threshold, mask, slots, query.survivors);
                }
            }
        }
    }
}

/// Quadruples of groups added in 16 bits before the sums move to 32: 4 * 64 * 255 < 65536, also after the four quarters
/// of a register were added up.
const QUADRUPLES_PER_FLUSH: usize = 64;

/// Computes the sums of a block like the AVX2 kernel, with four groups in a load.
#[inline]
#[target_feature(enable = "avx2,avx512f,avx512bw")]
fn block_sums(codes: &[u8], tables: &[u8], sums: &mut [i32; BLOCK_LEN]) {
    let low_nibble = _mm512_set1_epi8(0x0F);
    let (rows, _) = codes.as_chunks::<64>();
    let (tables, _) = tables.as_chunks::<64>();
    for (rows, tables) in rows.chunks(QUADRUPLES_PER_FLUSH).zip(tables.chunks(QUADRUPLES_PER_FLUSH)) {
        let zero = _mm512_setzero_si512();
        let (mut low_both, mut low_odd, mut high_both, mut high_odd) = (zero, zero, zero, zero);
        for (row, table) in rows.iter().zip(tables) {
            // SAFETY: both are arrays of 64 bytes, and the loads ask for no alignment.
            let (row, table) =
                unsafe { (_mm512_loadu_si512(row.as_ptr().cast()), _mm512_loadu_si512(table.as_ptr().cast())) };
            let low = _mm512_shuffle_epi8(table, _mm512_and_si512(row, low_nibble));
            let high = _mm512_shuffle_epi8(table, _mm512_and_si512(_mm512_srli_epi16::<4>(row), low_nibble));
            low_both = _mm512_add_epi16(low_both, low);
            low_odd = _mm512_add_epi16(low_odd, _mm512_srli_epi16::<8>(low));
            high_both = _mm512_add_epi16(high_both, high);
            high_odd = _mm512_add_epi16(high_odd, _mm512_srli_epi16::<8>(high));
        }
        let (first, second) = sums.split_at_mut(BLOCK_LEN / 2);
        flush(low_both, low_odd, first);
        flush(high_both, high_odd, second);
    }
}

/// Adds the sums of sixteen vectors, in their order, to `sums`.
#[inline]
#[target_feature(enable = "avx2,avx512f,avx512bw")]
fn flush(both: __m512i, odd: __m512i, sums: &mut [i32]) {
    let even = _mm512_sub_epi16(both, _mm512_slli_epi16::<8>(odd));
    add_sixteen(add_quarters(even), add_quarters(odd), sums);
}

#[inline]
#[target_feature(enable = "avx2,avx512f,avx512bw")]
fn add_quarters(quarters: __m512i) -> __m128i {
    let halves = _mm256_add_epi16(_mm512_castsi512_si256(quarters), _mm512_extracti64x4_epi64::<1>(quarters));
    _mm_add_epi16(_mm256_castsi256_si128(halves), _mm256_extracti128_si256::<1>(halves))
}
