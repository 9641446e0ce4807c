//! The lake: registered backends, the pinned states of their collections, and the searches over them.
//!
//! A search pins a state by its consistency (`registry`), gets the entry of that state from the cache, and names the hits by
//! the ids of their rows (`search`).

mod bundles;
mod config;
mod federated;
mod gather;
mod registry;
mod sealed;
mod search;
mod session;

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::execution::TaskContext;
use parking_lot::RwLock;

use crate::cache::{BuildProgress, Cache, CachedEntry, Entry};
pub use crate::cache::{HitSource, Pinned};
use crate::consistency::Consistency;
use crate::error::Result;
use crate::index_spec::IndexSpec;

pub use bundles::RefreshResult;
pub use config::RuLakeBuilder;
pub use federated::{FederatedAnswer, FederatedOptions};
pub use gather::{GatherPolicy, Gathered, gather, merge_nearest};
pub use search::{LakeHit, SearchOptions};
pub use session::LakeSession;

use config::Config;
use registry::Registered;

/// Answers from compressed indexes over the collections of backends. Share it by [`Arc`]; it is safe from many threads.
#[derive(Debug)]
pub struct RuLake {
    config: Config,
    backends: RwLock<BTreeMap<String, Arc<Registered>>>,
    cache: Arc<Cache>,
    context: Arc<TaskContext>,
}

impl Default for RuLake {
    fn default() -> Self {
        Self::builder().build()
    }
}

impl RuLake {
    /// A lake with the defaults: FRESH, `rabitq_plus` by L2, a cache without limits.
    pub fn new() -> Self {
        Self::default()
    }

    /// A lake with other settings.
    pub fn builder() -> RuLakeBuilder {
        RuLakeBuilder::default()
    }

    /// Returns the entry over a pinned state by `spec`: from memory, from the index file, from the entry of an older state, or
    /// built.
    ///
    /// An entry that was built is kept as a file if the backend has a place for it. A build without waiters continues for the
    /// [linger time](RuLakeBuilder::linger).
    ///
    /// # Errors
    /// `NotFound` or `InvalidInput` if the column is not a vector column; `InvalidInput` naming file and row for a vector
    /// that is not finite or of another dimension; `GenerationGone` if the state is not there any more; what the backend
    /// reports.
    pub async fn entry(
        &self,
        pinned: &Arc<Pinned>,
        spec: &IndexSpec,
        context: &Arc<TaskContext>,
    ) -> Result<Arc<Entry>> {
        self.cache.entry(pinned, spec, context).await
    }

    /// Returns true if a search of this pinned state found the entry by `spec`, and the entry is still valid.
    pub fn has_entry(&self, pinned: &Pinned, spec: &IndexSpec) -> bool {
        pinned.remembered(spec).is_some_and(|entry| !entry.is_forgotten())
    }

    /// Builds the entry over a pinned state from all its vectors, and replaces the old entry if there is one. Searches use
    /// the old entry during the build, and keep it if the build fails.
    ///
    /// # Errors
    /// As [`entry`](Self::entry).
    pub async fn rebuild_entry(
        &self,
        pinned: &Arc<Pinned>,
        spec: &IndexSpec,
        context: &Arc<TaskContext>,
    ) -> Result<Arc<Entry>> {
        self.cache.rebuild(pinned, spec, context).await
    }

    /// The builds that run, with the progress of each.
    pub fn builds(&self) -> Vec<BuildProgress> {
        self.cache.builds()
    }

    /// Cancels the build of an entry; it ends as soon as that is possible. Its waiters get `Cancelled`, and may ask again.
    pub fn cancel_build(&self, backend: &str, collection: &str, spec: &IndexSpec) {
        self.cache.cancel_build(&(backend.to_owned(), collection.to_owned()), spec);
    }

    /// Forgets the entry over a pinned state by `spec`: in memory, unless others share it, and as an index file.
    /// Waits for a write of the file that has begun; [`RuLakeBuilder::index_files`] keeps later ones from writing it again.
    ///
    /// # Errors
    /// `Io` if the file cannot be removed.
    pub async fn discard(&self, pinned: &Pinned, spec: &IndexSpec) -> Result<()> {
        self.cache.forget_spec(pinned.key(), spec);
        self.cache.remove_file(pinned.snapshot().as_ref(), spec).await
    }

    /// The entries in memory, each with the collections that share it, sorted by them.
    pub fn cached_entries(&self) -> Vec<CachedEntry> {
        self.cache.list()
    }

    /// The witness of the entry in memory that the collection used last; of one of them, if there are several specifications.
    pub fn cache_witness_of(&self, backend: &str, collection: &str) -> Option<String> {
        self.cache.witnesses_of(&(backend.to_owned(), collection.to_owned())).into_iter().next()
    }
}
