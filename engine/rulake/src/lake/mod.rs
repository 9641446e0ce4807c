//! The lake: backends, the states of their collections that answers come from, and the operations over them.

mod bundles;
mod config;
mod federated;
mod pinned;
mod registry;
mod sealed;
mod search;
mod session;

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::execution::TaskContext;
use parking_lot::RwLock;

use crate::cache::{Cache, CachedEntry, Entry, MakingEntry};
use crate::consistency::Consistency;
use crate::error::Result;
use crate::index_spec::IndexSpec;

pub use bundles::RefreshResult;
pub use config::RuLakeBuilder;
pub use federated::{FederatedAnswer, FederatedOptions};
pub use pinned::Pinned;
pub use search::{HitSource, LakeHit, SearchOptions};
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
    /// A lake of the defaults: FRESH, `rabitq_plus` by L2, no limit to what the cache holds.
    pub fn new() -> Self {
        Self::default()
    }

    /// A lake with other settings.
    pub fn builder() -> RuLakeBuilder {
        RuLakeBuilder::default()
    }

    /// The entry over a pinned state by `spec`: from memory, else from the index file that a witness seals, else made from
    /// the entry of an older state, else built.
    ///
    /// An entry that was built is kept as a file if the backend has a place for it. The making of an entry continues for
    /// [a while](RuLakeBuilder::linger) when it has no waiter any more.
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

    /// Returns true if the entry over a pinned state by `spec` is at hand, as far as searches of this state know.
    pub fn has_entry(&self, pinned: &Pinned, spec: &IndexSpec) -> bool {
        pinned.remembered(spec).is_some_and(|entry| !entry.is_forgotten())
    }

    /// Builds the entry over a pinned state from all its vectors, and replaces the old entry if there is one. Searches use
    /// the old entry during the build, and keep it if the build fails.
    ///
    /// # Errors
    /// As [`entry`](Self::entry).
    pub async fn entry_anew(
        &self,
        pinned: &Arc<Pinned>,
        spec: &IndexSpec,
        context: &Arc<TaskContext>,
    ) -> Result<Arc<Entry>> {
        self.cache.make_anew(pinned, spec, context).await
    }

    /// The entries that are being made, and how far each is.
    pub fn making(&self) -> Vec<MakingEntry> {
        self.cache.making()
    }

    /// Ends the making of an entry as soon as that is possible. Its waiters get `Cancelled`, and may ask again.
    pub fn stop_making(&self, backend: &str, collection: &str, spec: &IndexSpec) {
        self.cache.stop_making(&(backend.to_owned(), collection.to_owned()), spec);
    }

    /// Forgets what was made of a pinned state by `spec`: the entry in memory, unless others share it, and the index file.
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
