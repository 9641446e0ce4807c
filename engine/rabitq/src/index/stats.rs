//! Counts of the work of searches: each search adds its own counts, the caller reads the sums.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts of the work of searches, added up. A caller asks for them with
/// [`SearchParams::with_stats`](super::SearchParams::with_stats). Many searches, from many threads, may share one value.
#[derive(Debug, Default)]
pub struct SearchStats {
    lists_probed: AtomicU64,
    codes_scanned: AtomicU64,
    survivors: AtomicU64,
    exact_distances: AtomicU64,
}

/// The same for one query, while it is searched.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) lists_probed: u64,
    pub(super) codes_scanned: u64,
    pub(super) survivors: u64,
    pub(super) exact_distances: u64,
}

impl SearchStats {
    pub(super) fn add(&self, counts: &Counts) {
        self.lists_probed.fetch_add(counts.lists_probed, Ordering::Relaxed);
        self.codes_scanned.fetch_add(counts.codes_scanned, Ordering::Relaxed);
        self.survivors.fetch_add(counts.survivors, Ordering::Relaxed);
        self.exact_distances.fetch_add(counts.exact_distances, Ordering::Relaxed);
    }

    /// Lists whose codes were looked at; those that the triangle inequality rules out are not counted.
    pub fn lists_probed(&self) -> u64 {
        self.lists_probed.load(Ordering::Relaxed)
    }

    /// Codes of the lists that were looked into, also of blocks that a filter skips.
    pub fn codes_scanned(&self) -> u64 {
        self.codes_scanned.load(Ordering::Relaxed)
    }

    /// Codes whose lower bound did not rule them out.
    pub fn survivors(&self) -> u64 {
        self.survivors.load(Ordering::Relaxed)
    }

    /// Distances computed from original vectors.
    pub fn exact_distances(&self) -> u64 {
        self.exact_distances.load(Ordering::Relaxed)
    }
}
