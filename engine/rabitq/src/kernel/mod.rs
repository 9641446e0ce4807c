//! The inner loops, and the only unsafe code of the crate.
//!
//! [`scalar`] is the definition. The kernels of the other instruction sets compute the same bits: sums of floats are made in the same lanes and
//! folded in the same order, without fused multiply-add, and the sums of a block scan are integers. So answers and ties
//! do not depend on the machine.
//!
//! One table of functions is chosen at the first use and kept. The environment variable `RUVECTOR_KERNEL` (one of the
//! names that [`cpu_features`] lists) forces one; a name that is unknown, or that this CPU cannot run, is reported in the
//! log and ignored.

use std::sync::OnceLock;

#[cfg(all(unix, target_endian = "little"))]
#[expect(unsafe_code, reason = "a signal is handled, and memory mapped in its handler")]
mod faults;
mod layout;
#[expect(unsafe_code, reason = "lines of a cache are read as bytes and as floats")]
mod lines;
#[cfg(all(unix, target_endian = "little"))]
#[expect(unsafe_code, reason = "a file is mapped, and read as floats")]
mod mapped;
mod pass;
mod scalar;

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "SIMD loads take pointers, and calling AVX2 code needs a proof that the CPU has it")]
mod avx2;
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "SIMD loads take pointers, and calling AVX-512 code needs a proof that the CPU has it")]
mod avx512;
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "SIMD loads take pointers, and calling AVX-512 code needs a proof that the CPU has it")]
mod avx512_bw;

#[cfg(test)]
mod tests;

pub(crate) use layout::{GROUP_DIMS, Layout, TABLE_LEN, code_bytes};
pub(crate) use lines::{LINE_BYTES, Line, bytes, bytes_mut, floats, floats_mut, on_huge_pages, prefetch};
#[cfg(all(unix, target_endian = "little"))]
pub(crate) use mapped::MappedFloats;
pub(crate) use pass::{BlockRun, FACTOR_LINES, QueryPass, QueryTerms, RowPass, Survivors};
pub(crate) use scalar::TO_INTEGER;

/// Vectors in one block of codes.
pub(crate) const BLOCK_LEN: usize = 32;

/// Centroids in one block of centroids.
pub(crate) const CENTROID_LANES: usize = 16;

type CentroidScores = fn(points: &[i8], padded_dim: usize, blocks: &[Line], norms: &[i32], scores: &mut [i32]);
type NearestCentroids = fn(points: &[i8], padded_dim: usize, blocks: &[Line], norms: &[i32], nearest: &mut [Nearest]);

/// The inner loops for one kind of CPU.
pub(crate) struct Kernels {
    pub(crate) name: &'static str,
    /// Layout of the codes and tables that `scan` reads.
    pub(crate) layout: Layout,
    /// The sum of squared differences of two slices of one length.
    pub(crate) l2_squared: fn(&[f32], &[f32]) -> f32,
    /// The sum of products of two slices of one length.
    pub(crate) dot: fn(&[f32], &[f32]) -> f32,
    /// The sum of products of two slices of one length, a multiple of 64.
    pub(crate) dot_i16_i8: fn(&[i16], &[i8]) -> i64,
    /// One pass of some queries over some blocks; see [`scalar::scan`].
    pub(crate) scan: fn(&BlockRun<'_>, &mut [QueryPass<'_>]),
    /// One pass of a query over some rows of four bits; see [`scalar::scan_rows`].
    pub(crate) scan_rows: fn(&mut RowPass<'_>),
    /// Scores all centroids for some points; see [`scalar::centroid_scores`].
    pub(crate) centroid_scores: CentroidScores,
    /// The nearest centroid of each point; see [`scalar::nearest_centroids`].
    pub(crate) nearest_centroids: NearestCentroids,
    /// The fast Hadamard transform; see [`scalar::hadamard`].
    pub(crate) hadamard: fn(&mut [f32]),
    /// The lookup tables of a query; see [`scalar::fill_tables`].
    pub(crate) fill_tables: fn(rotated: &[f32], Layout, to_steps: f32, tables: &mut [u8]),
}

impl std::fmt::Debug for Kernels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Kernels").field(&self.name).finish()
    }
}

/// The centroid of smallest score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Nearest {
    pub(crate) score: i32,
    pub(crate) centroid: u32,
}

impl Nearest {
    pub(crate) const NONE: Self = Self { score: i32::MAX, centroid: u32::MAX };
}

/// The inner loops that run in this process, and those that could.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuFeatures {
    /// The kernel in use: `scalar`, `avx2`, `avx512bw` or `avx512vnni`.
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
fn simd() -> impl Iterator<Item = &'static Kernels> {
    [avx2::kernels(), avx512_bw::kernels(), avx512::kernels()].into_iter().flatten()
}

#[cfg(not(target_arch = "x86_64"))]
fn simd() -> impl Iterator<Item = &'static Kernels> {
    std::iter::empty()
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
