//! Settings of a lake: builder calls go in, a `RuLake` with its cache comes out.

use std::sync::Arc;
use std::time::Duration;

use datafusion::execution::TaskContext;
use parking_lot::RwLock;
use ruvector_rabitq::index::{DEFAULT_RERANK_FACTOR, DEFAULT_SEED};
use ruvector_rabitq::{IndexKind, Metric};

use super::RuLake;
use crate::cache::{Budget, Cache, CollectionKey, WantedFiles};
use crate::consistency::Consistency;
use crate::index_spec::IndexSpec;

/// Settings of a lake.
#[derive(Clone, Debug)]
pub(super) struct Config {
    pub(super) consistency: Consistency,
    kind: IndexKind,
    metric: Metric,
    seed: u64,
    rerank_factor: usize,
}

impl Config {
    /// The index that the lake builds over a column unless a search says otherwise.
    pub(super) fn spec(&self, column: &str) -> IndexSpec {
        IndexSpec {
            metric: self.metric,
            kind: self.kind,
            seed: self.seed,
            rerank_factor: self.rerank_factor,
            ..IndexSpec::new(column)
        }
    }
}

/// Builder of a lake.
#[derive(Clone, Debug)]
pub struct RuLakeBuilder {
    config: Config,
    budget: Budget,
    linger: Duration,
    wanted: WantedFiles,
    context: Arc<TaskContext>,
}

impl Default for RuLakeBuilder {
    fn default() -> Self {
        let config = Config {
            consistency: Consistency::Fresh,
            kind: IndexKind::RabitqPlus,
            metric: Metric::L2,
            seed: DEFAULT_SEED,
            rerank_factor: DEFAULT_RERANK_FACTOR,
        };
        Self {
            config,
            budget: Budget::default(),
            linger: Duration::from_secs(60),
            wanted: WantedFiles::default(),
            context: Arc::default(),
        }
    }
}

impl RuLakeBuilder {
    /// Bound on the age of answers, unless a backend, a collection or a search has its own. FRESH if not set.
    #[must_use]
    pub fn consistency(mut self, consistency: Consistency) -> Self {
        self.config.consistency = consistency;
        self
    }

    /// The kind of index that searches build. `rabitq_plus` if not set.
    #[must_use]
    pub fn kind(mut self, kind: IndexKind) -> Self {
        self.config.kind = kind;
        self
    }

    /// Distance metric. L2 if not set.
    #[must_use]
    pub fn metric(mut self, metric: Metric) -> Self {
        self.config.metric = metric;
        self
    }

    /// Seed of the random rotation. 42 if not set.
    #[must_use]
    pub fn rotation_seed(mut self, seed: u64) -> Self {
        self.config.seed = seed;
        self
    }

    /// Floor of candidates reranked exactly, as a multiple of `k`. 20 if not set.
    #[must_use]
    pub fn rerank_factor(mut self, rerank_factor: usize) -> Self {
        self.config.rerank_factor = rerank_factor;
        self
    }

    /// The most entries in memory. See [`Budget`].
    #[must_use]
    pub fn max_cache_entries(mut self, entries: usize) -> Self {
        self.budget.entries = Some(entries);
        self
    }

    /// The most bytes of entries in memory. See [`Budget`].
    #[must_use]
    pub fn max_cache_bytes(mut self, bytes: usize) -> Self {
        self.budget.bytes = Some(bytes);
        self
    }

    /// Time for which a build continues without a waiter, so that a search that timed out may succeed at its next try. A build
    /// is cancelled after that time. One minute if not set.
    #[must_use]
    pub fn linger(mut self, linger: Duration) -> Self {
        self.linger = linger;
        self
    }

    /// Writes the index file of a collection and a specification only if `is_wanted` returns true just before the write. After
    /// [`RuLake::discard`] of an unwanted file there is none. All files are written if not set.
    #[must_use]
    pub fn index_files(
        mut self,
        is_wanted: impl Fn(&CollectionKey, &IndexSpec) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.wanted = WantedFiles::by(is_wanted);
        self
    }

    /// Runs scans with the settings and the memory pool of `context`.
    #[must_use]
    pub fn context(mut self, context: Arc<TaskContext>) -> Self {
        self.context = context;
        self
    }

    /// The lake.
    pub fn build(self) -> RuLake {
        RuLake {
            config: self.config,
            backends: RwLock::default(),
            cache: Arc::new(Cache::new(self.budget, self.linger, self.wanted)),
            context: self.context,
        }
    }
}
