//! Cache of indexes over pinned states: a pinned state and a specification go in, an entry comes out.
//!
//! An entry is keyed by the witness of its state and by the specification of its index. So a search of a newer state never
//! gets an older entry, and collections of equal bytes share one. The life of an entry:
//!
//! ```text
//!  absent -----------> in flight -----------> ready -----------> superseded
//!    ^   first caller      |    load or build   |   newer state or     |
//!    |                     |                    |   rebuild            |
//!    |   failed, cancelled |           evicted, |      its last search |
//!    |   or no waiter      |          forgotten |                 ends |
//!    +---------------------+--------------------+----------------------+
//! ```
//!
//! New searches use an entry that is ready. A search that has an entry keeps it to its end, and holds no lock.
//!
//! Builds are single-flight: one task per entry, shared by all waiters (`in_flight`). The task takes the first of these that
//! exists: an index that the collection is, an entry of an older state in memory, the index file (`file`), a new build (`build`).
//! A build that fails leaves nothing behind.

mod budget;
mod build;
mod entry;
mod export;
mod file;
mod file_locks;
mod follow;
mod ids;
mod in_flight;
mod load_or_build;
mod pinned;
mod progress;
mod provenance;
mod rebuild;
mod stats;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use datafusion::execution::TaskContext;
use parking_lot::Mutex;

use crate::error::Result;
use crate::index_spec::IndexSpec;

pub use budget::Budget;
pub use entry::Entry;
pub(crate) use export::{read_dir, remove_saved, saved_name};
use file_locks::FileLocks;
pub(crate) use file_locks::WantedFiles;
use in_flight::{InFlight, Slot};
pub use pinned::{HitSource, Pinned};
use progress::BuildControl;
pub use progress::BuildProgress;
pub use stats::CacheStats;
pub(crate) use stats::Counters;

/// Names a collection: backend, collection.
pub type CollectionKey = (String, String);

/// Key of an entry. The specification has column, metric, kind and parameters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct EntryKey {
    witness: String,
    spec: IndexSpec,
}

/// The cache of entries.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    budget: Budget,
    /// Time for which a build continues without a waiter.
    linger: Duration,
    wanted: WantedFiles,
    locks: FileLocks,
    state: Mutex<CacheState>,
    /// Counts uses, to tell which entry was used last.
    clock: AtomicU64,
}

#[derive(Debug, Default)]
struct CacheState {
    entries: HashMap<EntryKey, Slot>,
    /// The entry that each collection used last, by specification.
    pointers: HashMap<CollectionKey, HashMap<IndexSpec, EntryKey>>,
    /// Number of times that each collection was forgotten. A build that began before the last time is forgotten too.
    epochs: HashMap<CollectionKey, u64>,
    /// Collections whose entries the budget does not evict.
    kept: HashSet<CollectionKey>,
    /// Builds of entries. A reference to a build that ended is dead.
    builds: Vec<Weak<BuildControl>>,
}

/// An entry in the cache, and the collections that use it.
#[derive(Clone, Debug)]
pub struct CachedEntry {
    /// The collections that share it.
    pub collections: Vec<CollectionKey>,
    /// Column, metric, kind and parameters.
    pub spec: IndexSpec,
    /// The entry.
    pub entry: Arc<Entry>,
}

/// Result of a lookup in the cache.
enum Lookup {
    Ready(Arc<Entry>),
    InFlight(InFlight),
}

impl Cache {
    pub(crate) fn new(budget: Budget, linger: Duration, wanted: WantedFiles) -> Self {
        Self { budget, linger, wanted, ..Self::default() }
    }

    /// Returns the entry over `pinned` by `spec`: from memory, from the index file, from the entry of an older state, or built.
    pub(crate) async fn entry(
        self: &Arc<Self>,
        pinned: &Arc<Pinned>,
        spec: &IndexSpec,
        context: &Arc<TaskContext>,
    ) -> Result<Arc<Entry>> {
        let counters = pinned.counters();
        if let Some(entry) = pinned.remembered(spec).filter(|entry| !entry.is_forgotten()) {
            counters.hits.increment();
            self.touch(&entry);
            return Ok(entry);
        }
        let key = EntryKey { witness: spec.witness(pinned.snapshot().as_ref())?, spec: spec.clone() };
        let (epoch, lookup) = self.find_or_start(pinned, &key, context);
        let entry = match lookup {
            Lookup::Ready(entry) => entry,
            Lookup::InFlight(build) => build.wait().await?,
        };
        self.use_for(pinned, &key, &entry, epoch);
        Ok(entry)
    }

    /// Returns the entry, or the task that builds it, which is started if there is none.
    fn find_or_start(
        self: &Arc<Self>,
        pinned: &Arc<Pinned>,
        key: &EntryKey,
        context: &Arc<TaskContext>,
    ) -> (u64, Lookup) {
        let counters = pinned.counters();
        let mut state = self.state.lock();
        let epoch = state.epoch_of(pinned.key());
        // An entry whose file was changed under it is loaded or built again.
        if let Some(entry) = state.entries.get(key).and_then(Slot::ready).filter(|entry| !entry.is_forgotten()) {
            counters.hits.increment();
            if !state.points_at(pinned.key(), key) {
                counters.shared_hits.increment();
            }
            return (epoch, Lookup::Ready(Arc::clone(entry)));
        }
        counters.misses.increment();
        if let Some(Slot::InFlight(build)) = state.entries.get(key) {
            return (epoch, Lookup::InFlight(build.clone()));
        }
        let control = state.begin_build(pinned.key(), &key.spec);
        let build = InFlight::start(self, pinned, key, epoch, context, control);
        state.entries.insert(key.clone(), Slot::InFlight(build.clone()));
        (epoch, Lookup::InFlight(build))
    }

    fn touch(&self, entry: &Entry) {
        // The one word that all threads share on purpose: entries are many cache lines apart.
        entry.used.store(self.clock.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Points the collection at the entry, drops the entry that it used before unless others share it, and enforces the budget.
    fn use_for(&self, pinned: &Pinned, key: &EntryKey, entry: &Arc<Entry>, epoch: u64) {
        self.touch(entry);
        let mut state = self.state.lock();
        // It may have been forgotten while it was built: its waiters get it, and the next search builds another.
        if !state.entries.get(key).and_then(Slot::ready).is_some_and(|known| Arc::ptr_eq(known, entry)) {
            return;
        }
        if state.epoch_of(pinned.key()) != epoch {
            return state.release(key);
        }
        let pointers = state.pointers.entry(pinned.key().clone()).or_default();
        let before = pointers.insert(key.spec.clone(), key.clone());
        if let Some(before) = before.filter(|before| before != key) {
            state.release(&before);
        }
        let evicted = self.budget.enforce(&mut state, key);
        pinned.counters().evictions.add(evicted);
        drop(state);
        pinned.remember(&key.spec, entry);
    }

    /// The witnesses of the entries that the collection used last, one for each specification, in no order.
    pub(crate) fn witnesses_of(&self, collection: &CollectionKey) -> Vec<String> {
        let state = self.state.lock();
        let keys = state.pointers.get(collection).into_iter().flat_map(HashMap::values);
        keys.map(|key| key.witness.clone()).collect()
    }

    /// Forgets the entries of a collection, unless others share them, and returns how many it had.
    pub(crate) fn forget(&self, collection: &CollectionKey) -> usize {
        let mut state = self.state.lock();
        *state.epochs.entry(collection.clone()).or_default() += 1;
        state.entries.retain(|_, slot| !slot.is_built_for(collection));
        let keys = state.pointers.remove(collection).unwrap_or_default();
        for key in keys.values() {
            state.release(key);
        }
        keys.len()
    }

    /// Exempts the entries of a collection from the budget, or ends the exemption.
    pub(crate) fn keep(&self, collection: &CollectionKey, keep: bool) {
        let mut state = self.state.lock();
        match keep {
            true => _ = state.kept.insert(collection.clone()),
            false => _ = state.kept.remove(collection),
        }
    }

    /// The entries in memory, each with the collections that share it, in the order of collections, column and witness.
    pub(crate) fn list(&self) -> Vec<CachedEntry> {
        let state = self.state.lock();
        let mut entries: Vec<CachedEntry> = Vec::new();
        for (key, slot) in &state.entries {
            let Some(entry) = slot.ready() else { continue };
            entries.push(CachedEntry {
                collections: state.owners(key),
                spec: key.spec.clone(),
                entry: Arc::clone(entry),
            });
        }
        entries.sort_by(|a, b| {
            (&a.collections, &a.spec.column, a.entry.witness()).cmp(&(
                &b.collections,
                &b.spec.column,
                b.entry.witness(),
            ))
        });
        entries
    }
}

impl CacheState {
    fn epoch_of(&self, collection: &CollectionKey) -> u64 {
        self.epochs.get(collection).copied().unwrap_or_default()
    }

    fn points_at(&self, collection: &CollectionKey, key: &EntryKey) -> bool {
        self.pointers.get(collection).and_then(|pointers| pointers.get(&key.spec)).is_some_and(|known| known == key)
    }

    /// The collections that use an entry, sorted.
    fn owners(&self, key: &EntryKey) -> Vec<CollectionKey> {
        let mut owners: Vec<_> =
            self.pointers.keys().filter(|collection| self.points_at(collection, key)).cloned().collect();
        owners.sort_unstable();
        owners
    }

    /// Drops an entry that no collection uses.
    fn release(&mut self, key: &EntryKey) {
        if self.owners(key).is_empty()
            && let Some(slot) = self.entries.remove(key)
            && let Some(entry) = slot.ready()
        {
            entry.forgotten.store(true, Ordering::Release);
        }
    }
}
