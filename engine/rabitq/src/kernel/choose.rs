//! Choice of a kernel: the features of the CPU go in, the table of the fastest kernel comes out, and is kept for the process.
//!
//! The environment variable `RUVECTOR_KERNEL` (one of the names that [`cpu_features`] lists) forces one. A name that is unknown, or
//! that this CPU cannot run, is reported in the log and ignored.

use std::sync::OnceLock;

use super::scalar;
use super::table::Kernels;
#[cfg(target_arch = "x86_64")]
use super::{avx2, avx512, avx512_bw};

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

pub(super) fn choose(forced: Option<&str>) -> &'static Kernels {
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
