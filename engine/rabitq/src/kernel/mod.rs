//! The inner loops, and the only unsafe code of the crate.
//!
//! [`scalar`] is the definition. Every other file computes the same bits: sums of floats are made in the same lanes and
//! folded in the same order, without fused multiply-add, and the sums of a block scan are integers. So answers and ties
//! do not depend on the machine.
//!
//! One table of functions is chosen at the first use and kept. The environment variable `RUVECTOR_KERNEL` (`scalar` or
//! `avx2`) forces one; a name that is unknown, or that this CPU cannot run, is reported in the log and ignored.

use std::sync::OnceLock;

mod scalar;

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "SIMD loads take pointers, and calling AVX2 code needs a proof that the CPU has it")]
mod avx2;

/// Vectors in one block of codes.
pub(crate) const BLOCK_LEN: usize = 32;

/// Bytes of one row of a block: the 4 bits of one group of 4 dimensions for each of the 32 vectors.
pub(crate) const GROUP_BYTES: usize = 16;

/// Entries of one lookup table: one for each value of 4 bits.
pub(crate) const TABLE_LEN: usize = 16;

/// The inner loops for one kind of CPU.
#[derive(Debug)]
pub(crate) struct Kernels {
    pub(crate) name: &'static str,
    /// The sum of squared differences of two slices of one length.
    pub(crate) l2_squared: fn(&[f32], &[f32]) -> f32,
    /// The sum of products of two slices of one length.
    pub(crate) dot: fn(&[f32], &[f32]) -> f32,
    /// Sums for each of 32 vectors what its codes select from the tables; see [`scalar::scan_block`].
    pub(crate) scan_block: fn(codes: &[u8], tables: &[u8], sums: &mut [u32; BLOCK_LEN]),
    /// Turns the sums of a block into lower bounds of distances; see [`scalar::lower_bounds`].
    pub(crate) lower_bounds: fn(&[u32; BLOCK_LEN], &BlockFactors<'_>, &QueryTerms) -> [f32; BLOCK_LEN],
}

/// The factors of the vectors of one block; see [`CodeBlocks`](crate::code::CodeBlocks).
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockFactors<'a> {
    pub(crate) add: &'a [f32; BLOCK_LEN],
    pub(crate) rescale: &'a [f32; BLOCK_LEN],
    pub(crate) error: &'a [f32; BLOCK_LEN],
}

/// What the estimates of one query have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueryTerms {
    /// One unit of the lookup tables.
    pub(crate) step: f32,
    /// The product that a sum of 0 stands for.
    pub(crate) smallest_product: f32,
    /// Added to every estimate.
    pub(crate) add: f32,
    /// Scales the factor `add`.
    pub(crate) add_scale: f32,
    /// Scales the factor `error`: epsilon times the length of the query.
    pub(crate) error_scale: f32,
    /// Epsilon times the standard deviation of the product that the rounding of the tables causes.
    pub(crate) table_error: f32,
    /// What rounding of f32 may add to the error: a constant, and a share of the factor `add`.
    pub(crate) rounding: f32,
    pub(crate) rounding_share: f32,
}

impl QueryTerms {
    /// Returns the estimated distance of a vector and the bound of its error: the definition of both. The factors are
    /// its `add`, `rescale` and `error`.
    #[inline(always)]
    pub(crate) fn estimate(&self, sum: u32, [add, rescale, error]: [f32; 3]) -> (f32, f32) {
        // By way of i32, which every CPU converts in one instruction; sums are far below its limit.
        let product = self.step * (sum as i32) as f32 + self.smallest_product;
        let distance = self.add_scale * add + self.add + rescale * product;
        let error_bound = error * self.error_scale
            + rescale.abs() * self.table_error
            + (add.abs() * self.rounding_share + self.rounding);
        (distance, error_bound)
    }
}

/// Which inner loops run in this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuFeatures {
    /// The kernel in use: `scalar` or `avx2`.
    pub kernel: &'static str,
    /// The kernels this CPU could run, slowest first.
    pub available: Vec<&'static str>,
}

/// Tells which kernel was picked for this process, and which it could have been.
pub fn cpu_features() -> CpuFeatures {
    CpuFeatures { kernel: best().name, available: available().iter().map(|kernels| kernels.name).collect() }
}

/// The kernels chosen for this process.
pub(crate) fn best() -> &'static Kernels {
    static BEST: OnceLock<&'static Kernels> = OnceLock::new();
    BEST.get_or_init(|| choose(std::env::var("RUVECTOR_KERNEL").ok().as_deref()))
}

/// Every table this CPU can run, slowest first.
pub(crate) fn available() -> Vec<&'static Kernels> {
    std::iter::once(&scalar::KERNELS).chain(simd()).collect()
}

#[cfg(target_arch = "x86_64")]
fn simd() -> Option<&'static Kernels> {
    avx2::kernels()
}

#[cfg(not(target_arch = "x86_64"))]
fn simd() -> Option<&'static Kernels> {
    None
}

fn choose(forced: Option<&str>) -> &'static Kernels {
    let available = available();
    if let Some(name) = forced.filter(|name| !name.is_empty()) {
        if let Some(kernels) = available.iter().find(|kernels| kernels.name == name) {
            return kernels;
        }
        let names: Vec<&str> = available.iter().map(|kernels| kernels.name).collect();
        tracing::warn!(got = name, expected = ?names, "RUVECTOR_KERNEL names no kernel of this CPU; it is ignored");
    }
    available.last().expect("the scalar kernels are always available")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::test_data::Random;

    #[test]
    fn a_kernel_can_be_forced() {
        assert_eq!(choose(Some("scalar")).name, "scalar");
        let fastest = available().last().unwrap().name;
        for ignored in [None, Some(""), Some("mmx")] {
            assert_eq!(choose(ignored).name, fastest);
        }
        assert!(cpu_features().available.contains(&cpu_features().kernel));
    }

    #[test]
    fn lengths_around_a_lane_agree_with_scalar() {
        for len in [0, 1, 7, 8, 9, 31, 32, 33, 63, 64, 65, 384, 1000] {
            for start in 0..3 {
                assert_distances_agree(&Random::new(len as u64).gaussians(2 * (len + start)), start);
            }
        }
    }

    #[test]
    fn the_largest_sums_do_not_overflow() {
        for num_groups in [16, 256, 272, 4096] {
            let codes = vec![0xFF; num_groups * GROUP_BYTES];
            let tables = vec![0xFF; num_groups * TABLE_LEN];
            for kernels in available() {
                let mut sums = [0; BLOCK_LEN];
                (kernels.scan_block)(&codes, &tables, &mut sums);
                assert_eq!(sums, [255 * num_groups as u32; BLOCK_LEN], "{} {num_groups} groups", kernels.name);
            }
        }
    }

    #[test]
    fn lower_bounds_agree_with_scalar() {
        let mut random = Random::new(8);
        for extreme in [0.0, 1.0, 1e20, 3e38, f32::INFINITY, f32::NAN] {
            let sums = std::array::from_fn(|_| random.below(1 << 20) as u32);
            let mut lanes = || -> [f32; BLOCK_LEN] { std::array::from_fn(|_| random.gaussian()) };
            let (mut add, rescale, mut error) = (lanes(), lanes(), lanes());
            (add[3], error[7]) = (extreme, f32::INFINITY);
            let factors = BlockFactors { add: &add, rescale: &rescale, error: &error };
            let terms = QueryTerms {
                step: 0.3,
                smallest_product: -40.0,
                add: extreme,
                add_scale: 0.7,
                error_scale: 0.2,
                table_error: 0.1,
                rounding: 1e-3,
                rounding_share: 1e-6,
            };
            let expected = scalar::lower_bounds(&sums, &factors, &terms).map(f32::to_bits);
            for kernels in available() {
                let bounds = (kernels.lower_bounds)(&sums, &factors, &terms);
                assert!(bounds.iter().all(|&bound| bound < f32::INFINITY), "{} {extreme}: {bounds:?}", kernels.name);
                assert_eq!(bounds.map(f32::to_bits), expected, "{} {extreme}", kernels.name);
            }
        }
    }

    proptest! {
        #[test]
        fn every_distance_agrees_with_scalar(values in prop::collection::vec(-1e3_f32..1e3, 0..300), start in 0_usize..3) {
            assert_distances_agree(&values, start);
        }

        #[test]
        fn every_scan_agrees_with_scalar(seed: u64, sixteens in 1_usize..80, start in 0_usize..3) {
            let num_groups = 16 * sixteens;
            let mut random = Random::new(seed);
            let mut bytes = |len: usize| -> Vec<u8> { (0..len + start).map(|_| random.next_u64() as u8).collect() };
            let (codes, tables) = (bytes(num_groups * GROUP_BYTES), bytes(num_groups * TABLE_LEN));
            let mut expected = [0; BLOCK_LEN];
            scalar::scan_block(&codes[start..], &tables[start..], &mut expected);
            for kernels in available() {
                let mut sums = [u32::MAX; BLOCK_LEN];
                (kernels.scan_block)(&codes[start..], &tables[start..], &mut sums);
                prop_assert_eq!(sums, expected, "{}", kernels.name);
            }
        }
    }

    /// Splits `values` into two unaligned halves and compares the bits of every kernel with the definition.
    fn assert_distances_agree(values: &[f32], start: usize) {
        let half = values.len() / 2;
        let (a, b) = (&values[start.min(half)..half], &values[half + start.min(half)..2 * half]);
        for kernels in available() {
            let (name, len) = (kernels.name, a.len());
            let (l2, expected) = ((kernels.l2_squared)(a, b), scalar::l2_squared(a, b));
            assert_eq!(l2.to_bits(), expected.to_bits(), "{name} l2_squared of {len}: {l2} is not {expected}");
            let (dot, expected) = ((kernels.dot)(a, b), scalar::dot(a, b));
            assert_eq!(dot.to_bits(), expected.to_bits(), "{name} dot of {len}: {dot} is not {expected}");
        }
    }
}
