//! Parameters of builds and searches, with their checks, and the progress and cancellation of a build.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use roaring::RoaringTreemap;

use super::stats::SearchStats;
use crate::error::{Error, ErrorKind, Result};
use crate::metric::Metric;

/// Seed of the random rotation, unless another is asked for.
pub const DEFAULT_SEED: u64 = 42;

/// Candidates reranked for each answer wanted, unless another floor is asked for.
pub const DEFAULT_RERANK_FACTOR: usize = 20;

/// Width of the error bound in standard deviations, unless another is asked for. At 3.0 a vector exactly as near as the
/// `k`-th answer is missed once in 700 times; a nearer one less often.
pub const DEFAULT_EPSILON: f32 = 3.0;

/// Told during a build how many vectors are done so far, and answers whether to go on; called from any thread, so
/// numbers may arrive out of order, and one number may arrive many times. A build that is told to break off ends with
/// `Cancelled`.
pub type Progress<'a> = &'a (dyn Fn(usize) -> ControlFlow<()> + Sync);

/// The progress and the cancellation of a build, shared by its threads.
#[derive(Default)]
pub(crate) struct Control<'a> {
    progress: Option<Progress<'a>>,
    done: AtomicUsize,
    cancelled: AtomicBool,
}

impl<'a> Control<'a> {
    pub(crate) fn new(progress: Option<Progress<'a>>) -> Self {
        Self { progress, ..Self::default() }
    }

    /// Asks the watcher whether to go on: `Cancelled` once it said no.
    pub(crate) fn check(&self) -> Result<()> {
        self.report(0);
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Cancelled, "the build was cancelled"));
        }
        Ok(())
    }

    /// Tells that `num_vectors` more are done.
    pub(crate) fn report(&self, num_vectors: usize) {
        if let Some(progress) = self.progress {
            let done = self.done.fetch_add(num_vectors, Ordering::Relaxed) + num_vectors;
            if progress(done).is_break() {
                self.cancelled.store(true, Ordering::Relaxed);
            }
        }
    }
}

impl fmt::Debug for Control<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").field("done", &self.done).field("cancelled", &self.cancelled).finish_non_exhaustive()
    }
}

/// Parameters of a build. Equal vectors and parameters give equal files on every machine.
#[derive(Clone, Debug, PartialEq)]
pub struct BuildParams {
    /// The metric of the distances.
    pub metric: Metric,
    /// Seed of the random rotation.
    pub seed: u64,
    /// A floor of `k * rerank_factor` candidates reranked exactly, never a cap: the error bound adds as many more as it
    /// cannot rule out.
    pub rerank_factor: usize,
    /// Width of the error bound in standard deviations. Smaller is faster and may miss an answer.
    pub epsilon: f32,
    /// Number of lists of an index with lists; without it `4 * sqrt(number of vectors)`.
    pub nlist: Option<usize>,
    /// Number of lists a search looks into, unless it says otherwise; without it a sixteenth of them, at least 16.
    pub nprobe: Option<usize>,
    /// True if an index of codes keeps the originals too, where its kind leaves the choice.
    pub keep_originals: bool,
}

impl BuildParams {
    /// The defaults for a metric.
    pub fn new(metric: Metric) -> Self {
        Self {
            metric,
            seed: DEFAULT_SEED,
            rerank_factor: DEFAULT_RERANK_FACTOR,
            epsilon: DEFAULT_EPSILON,
            nlist: None,
            nprobe: None,
            keep_originals: true,
        }
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

    /// Sets the number of lists.
    #[must_use]
    pub fn with_nlist(mut self, nlist: usize) -> Self {
        self.nlist = Some(nlist);
        self
    }

    /// Sets the number of lists a search looks into.
    #[must_use]
    pub fn with_nprobe(mut self, nprobe: usize) -> Self {
        self.nprobe = Some(nprobe);
        self
    }

    /// Says whether the originals are kept.
    #[must_use]
    pub fn with_originals(mut self, keep: bool) -> Self {
        self.keep_originals = keep;
        self
    }

    pub(crate) fn check(&self) -> Result<()> {
        at_least_one("nlist", self.nlist)?;
        at_least_one("nprobe", self.nprobe)?;
        check_epsilon(self.epsilon)
    }
}

impl Default for BuildParams {
    /// The defaults for [`Metric::L2`].
    fn default() -> Self {
        Self::new(Metric::default())
    }
}

/// Parameters of a search.
#[derive(Clone, Copy, Debug)]
pub struct SearchParams<'a> {
    /// Answers wanted, at least 1.
    pub k: usize,
    /// Only vectors whose id is in it are answers.
    pub filter: Option<&'a RoaringTreemap>,
    /// Replaces the floor the index was built with; see [`BuildParams::rerank_factor`].
    pub rerank_factor: Option<usize>,
    /// Replaces the number of lists searched; see [`BuildParams::nprobe`]. Only `ivf_rabitq` has a use for it.
    pub nprobe: Option<usize>,
    /// Replaces the width of the error bound; see [`BuildParams::epsilon`].
    pub epsilon: Option<f32>,
    /// Counts that the search adds its own to.
    pub stats: Option<&'a SearchStats>,
}

impl<'a> SearchParams<'a> {
    /// Asks for the `k` nearest of all vectors.
    pub fn new(k: usize) -> Self {
        Self { k, filter: None, rerank_factor: None, nprobe: None, epsilon: None, stats: None }
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

    /// Replaces the number of lists searched.
    #[must_use]
    pub fn with_nprobe(mut self, nprobe: usize) -> Self {
        self.nprobe = Some(nprobe);
        self
    }

    /// Replaces the width of the error bound in standard deviations.
    #[must_use]
    pub fn with_epsilon(mut self, epsilon: f32) -> Self {
        self.epsilon = Some(epsilon);
        self
    }

    /// Counts what the search does.
    #[must_use]
    pub fn with_stats(mut self, stats: &'a SearchStats) -> Self {
        self.stats = Some(stats);
        self
    }

    pub(super) fn check(&self) -> Result<()> {
        at_least_one("k", Some(self.k))?;
        at_least_one("nprobe", self.nprobe)?;
        self.epsilon.map_or(Ok(()), check_epsilon)
    }
}

fn at_least_one(name: &str, value: Option<usize>) -> Result<()> {
    match value {
        Some(0) => {
            Err(Error::invalid_input(format!("{name} is out of range")).with("expected", "at least 1").with("got", 0))
        }
        _ => Ok(()),
    }
}

fn check_epsilon(epsilon: f32) -> Result<()> {
    if epsilon.is_finite() && epsilon >= 0.0 {
        return Ok(());
    }
    Err(Error::invalid_input("epsilon is out of range")
        .with("expected", "a finite number, at least 0")
        .with("got", epsilon))
}
