//! Indexes over pinned states, built once, sealed and shared.
//!
//! An entry is keyed by the witness of the state it was built from, the column, the metric, the kind and the parameters, so
//! a search against a newer state never meets an older entry, and collections of equal bytes share one. Making an entry is
//! singleflight: one task makes it for all waiters. A waiter that gives up stops the task only if no other waiter comes within
//! the linger time. A build that fails leaves nothing behind. Searches hold no lock.

mod anew;
mod budget;
mod build;
mod entry;
mod files;
mod follow;
mod ids;
mod make;
mod seal;
mod slot;
mod stats;
mod store;
mod warm;
mod work;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use datafusion::execution::TaskContext;
use parking_lot::Mutex;

use crate::error::Result;
use crate::index_spec::IndexSpec;
use crate::lake::Pinned;

pub use budget::Budget;
pub use entry::Entry;
use files::FileLocks;
pub(crate) use files::WantedFiles;
use slot::{Making, Slot};
pub use stats::CacheStats;
pub(crate) use stats::Counters;
pub(crate) use warm::{read_dir, remove_saved, saved_name};
pub use work::MakingEntry;
use work::Work;

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
    /// The time for which the making of an entry continues without a waiter.
    linger: Duration,
    wanted: WantedFiles,
    locks: FileLocks,
    state: Mutex<State>,
    /// Counts uses, to tell which entry was used last.
    clock: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    entries: HashMap<EntryKey, Slot>,
    /// The entry that each collection used last, by specification.
    pointers: HashMap<CollectionKey, HashMap<IndexSpec, EntryKey>>,
    /// The number of times that each collection was forgotten. An entry whose making began earlier is forgotten too.
    epochs: HashMap<CollectionKey, u64>,
    /// Collections whose entries stay whatever the budget.
    kept: HashSet<CollectionKey>,
    /// Builds of entries. A reference to a build that ended is dead.
    works: Vec<Weak<Work>>,
}

/// An entry in the cache, and whose it is.
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
enum Found {
    Entry(Arc<Entry>),
    Making(Making),
}

impl Cache {
    pub(crate) fn new(budget: Budget, linger: Duration, wanted: WantedFiles) -> Self {
        Self { budget, linger, wanted, ..Self::default() }
    }

    /// The entry over `pinned` by `spec`: from memory, else from the index file that a witness seals, else made from the
    /// entry of an older state, else built.
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
        let (epoch, found) = self.find_or_start(pinned, &key, context);
        let entry = match found {
            Found::Entry(entry) => entry,
            Found::Making(making) => making.wait().await?,
        };
        self.use_for(pinned, &key, &entry, epoch);
        Ok(entry)
    }

    /// The entry, or the task that makes it; started if there is none.
    fn find_or_start(
        self: &Arc<Self>,
        pinned: &Arc<Pinned>,
        key: &EntryKey,
        context: &Arc<TaskContext>,
    ) -> (u64, Found) {
        let counters = pinned.counters();
        let mut state = self.state.lock();
        let epoch = state.epoch_of(pinned.key());
        // One whose file was changed under it is made again.
        if let Some(entry) = state.entries.get(key).and_then(Slot::ready).filter(|entry| !entry.is_forgotten()) {
            counters.hits.increment();
            if !state.points_at(pinned.key(), key) {
                counters.shared_hits.increment();
            }
            return (epoch, Found::Entry(Arc::clone(entry)));
        }
        counters.misses.increment();
        if let Some(Slot::Making(making)) = state.entries.get(key) {
            return (epoch, Found::Making(making.clone()));
        }
        let work = state.begin(pinned.key(), &key.spec);
        let making = Making::start(self, pinned, key, epoch, context, work);
        state.entries.insert(key.clone(), Slot::Making(making.clone()));
        (epoch, Found::Making(making))
    }

    fn touch(&self, entry: &Entry) {
        // Shared by all threads on purpose, and nothing else is: entries are many cache lines apart.
        entry.used.store(self.clock.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Notes that the collection uses the entry now, drops the entry it used before unless others share it, and enforces the
    /// budget.
    fn use_for(&self, pinned: &Pinned, key: &EntryKey, entry: &Arc<Entry>, epoch: u64) {
        self.touch(entry);
        let mut state = self.state.lock();
        // It may have been forgotten while it was made; whoever waited for it gets it, the next search makes another.
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
        state.entries.retain(|_, slot| !slot.is_made_for(collection));
        let keys = state.pointers.remove(collection).unwrap_or_default();
        for key in keys.values() {
            state.release(key);
        }
        keys.len()
    }

    /// Keeps the entries of a collection in memory whatever the budget, or no longer.
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

impl State {
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
