use roaring::RoaringTreemap;

use crate::error::{Error, Result};
use crate::metric::Metric;

/// Seed of the random rotation, unless another is asked for.
pub const DEFAULT_SEED: u64 = 42;

/// Candidates reranked for each answer wanted, unless another floor is asked for.
pub const DEFAULT_RERANK_FACTOR: usize = 20;

/// Width of the error bound in standard deviations, unless another is asked for. At 3.0 a vector exactly as near as the
/// `k`-th answer is missed once in 700 times; a nearer one less often.
pub const DEFAULT_EPSILON: f32 = 3.0;

/// How an index is built. Equal vectors and parameters give equal files on every machine.
#[derive(Clone, Debug, PartialEq)]
pub struct BuildParams {
    /// How distances are measured.
    pub metric: Metric,
    /// Seed of the random rotation.
    pub seed: u64,
    /// A floor of `k * rerank_factor` candidates reranked exactly, never a cap: the error bound adds as many more as it
    /// cannot rule out.
    pub rerank_factor: usize,
    /// Width of the error bound in standard deviations. Smaller is faster and may miss an answer.
    pub epsilon: f32,
}

impl BuildParams {
    /// The defaults for a metric.
    pub fn new(metric: Metric) -> Self {
        Self { metric, seed: DEFAULT_SEED, rerank_factor: DEFAULT_RERANK_FACTOR, epsilon: DEFAULT_EPSILON }
    }

    /// Sets the seed of the random rotation.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets the floor of candidates reranked for each answer wanted.
    #[must_use]
    pub fn with_rerank_factor(mut self, rerank_factor: usize) -> Self {
        self.rerank_factor = rerank_factor;
        self
    }

    /// Sets the width of the error bound in standard deviations.
    #[must_use]
    pub fn with_epsilon(mut self, epsilon: f32) -> Self {
        self.epsilon = epsilon;
        self
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.epsilon.is_finite() && self.epsilon >= 0.0 {
            return Ok(());
        }
        Err(Error::invalid_input("epsilon is out of range")
            .with("expected", "a finite number, at least 0")
            .with("got", self.epsilon))
    }
}

impl Default for BuildParams {
    /// The defaults for [`Metric::L2`].
    fn default() -> Self {
        Self::new(Metric::default())
    }
}

/// What a search asks for.
#[derive(Clone, Copy, Debug)]
pub struct SearchParams<'a> {
    /// Answers wanted, at least 1.
    pub k: usize,
    /// Only vectors whose id is in it are answers.
    pub filter: Option<&'a RoaringTreemap>,
    /// Replaces the floor the index was built with; see [`BuildParams::rerank_factor`].
    pub rerank_factor: Option<usize>,
}

impl<'a> SearchParams<'a> {
    /// Asks for the `k` nearest of all vectors.
    pub fn new(k: usize) -> Self {
        Self { k, filter: None, rerank_factor: None }
    }

    /// Asks only for vectors whose id is in `filter`.
    #[must_use]
    pub fn with_filter(mut self, filter: &'a RoaringTreemap) -> Self {
        self.filter = Some(filter);
        self
    }

    /// Replaces the floor of candidates reranked for each answer wanted.
    #[must_use]
    pub fn with_rerank_factor(mut self, rerank_factor: usize) -> Self {
        self.rerank_factor = Some(rerank_factor);
        self
    }

    pub(super) fn check(&self) -> Result<()> {
        if self.k > 0 {
            return Ok(());
        }
        Err(Error::invalid_input("k is out of range").with("expected", "at least 1").with("got", self.k))
    }
}
