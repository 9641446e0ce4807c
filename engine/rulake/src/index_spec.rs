//! Specification of an index: its column, its structure and its build parameters.
//!
//! A specification and a snapshot have a [witness](IndexSpec::witness), which names the entry of the cache.

use ruvector_rabitq::index::{DEFAULT_RERANK_FACTOR, DEFAULT_SEED};
use ruvector_rabitq::{BuildParams, IndexKind, Metric};

/// Specification of an index: the column, and the structure and parameters to build over it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IndexSpec {
    /// The vector column.
    pub column: String,
    /// Distance metric.
    pub metric: Metric,
    /// The structure.
    pub kind: IndexKind,
    /// Seed of the random rotation.
    pub seed: u64,
    /// Floor of candidates reranked exactly, as a multiple of `k`.
    pub rerank_factor: usize,
    /// Number of inverted lists of `ivf_rabitq`; without it 4 times the square root of the number of vectors.
    pub nlist: Option<usize>,
    /// Number of lists a search of `ivf_rabitq` looks into; without it a sixteenth of them, at least 16.
    pub nprobe: Option<usize>,
}

impl IndexSpec {
    /// The defaults over `column`: `rabitq_plus`, L2, seed 42, rerank factor 20.
    pub fn new(column: impl Into<String>) -> Self {
        Self {
            column: column.into(),
            metric: Metric::L2,
            kind: IndexKind::RabitqPlus,
            seed: DEFAULT_SEED,
            rerank_factor: DEFAULT_RERANK_FACTOR,
            nlist: None,
            nprobe: None,
        }
    }

    pub(crate) fn build_params(&self) -> BuildParams {
        BuildParams {
            metric: self.metric,
            seed: self.seed,
            rerank_factor: self.rerank_factor,
            nlist: self.nlist,
            nprobe: self.nprobe,
            ..BuildParams::default()
        }
    }
}
