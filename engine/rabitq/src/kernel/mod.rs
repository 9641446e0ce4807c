//! The inner loops; all unsafe code of the crate is here and in `memory`.
//!
//! [`scalar`] is the definition. The kernels of the other instruction sets compute the same bits: sums of floats are made in
//! the same lanes and folded in the same order, without fused multiply-add, and the sums of a block scan are integers. So
//! answers and ties do not depend on the machine.
//!
//! One [table](Kernels) of functions is chosen at the first use and kept (`choose`).

mod choose;
mod layout;
mod pass;
mod scalar;
mod table;

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "SIMD loads take pointers, and calling AVX2 code needs a proof that the CPU has it")]
mod avx2;
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "SIMD loads take pointers, and calling AVX-512 code needs a proof that the CPU has it")]
mod avx512;
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "SIMD loads take pointers, and calling AVX-512 code needs a proof that the CPU has it")]
mod avx512_base;
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "SIMD loads take pointers, and calling AVX-512 code needs a proof that the CPU has it")]
mod avx512_bw;

#[cfg(test)]
mod tests;

#[cfg(any(test, feature = "bench"))]
pub(crate) use choose::available;
pub(crate) use choose::best;
pub use choose::{CpuFeatures, cpu_features};
pub(crate) use layout::{BLOCK_LEN, CENTROID_LANES, GROUP_DIMS, Layout, TABLE_LEN, code_bytes};
pub(crate) use pass::{BlockRun, FACTOR_LINES, QueryPass, QueryTerms, RowPass, Survivors};
pub(crate) use scalar::TO_INTEGER;
pub(crate) use table::{Kernels, Nearest};
