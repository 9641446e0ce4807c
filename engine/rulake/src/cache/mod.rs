//! Indexes over pinned states, built once, sealed and shared.
//!
//! An entry is keyed by the witness of the state it was built from, the column, the metric, the kind and the parameters, so
//! a search against a newer state never meets an older entry, and collections of equal bytes share one. Making an entry is
//! singleflight: of many first searches one makes it and the others wait; a build that fails or is cancelled leaves nothing
//! behind. Searches hold no lock.

mod budget;
mod build;
mod entry;
mod follow;
mod ids;
mod make;
mod seal;
mod spec;
mod stats;
mod store;
mod warm;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use datafusion::execution::TaskContext;
use parking_lot::Mutex;
use ruvector_rabitq::Progress;
use tokio::sync::OnceCell;

use crate::error::{Error, ErrorKind, Result};
use crate::lake::Pinned;

pub use budget::Budget;
pub use entry::Entry;
pub(crate) use ids::IdColumn;
pub use ruvector_rabitq::IndexKind;
pub use spec::IndexSpec;
pub(crate) use spec::dim_of_column;
pub use stats::CacheStats;
pub(crate) use stats::Counters;
pub(crate) use warm::{read_dir, remove_saved, saved_name};

/// Names a collection: backend, collection.
pub type CollectionKey = (String, String);

/// What names an entry. The specification has column, metric, kind and parameters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct EntryKey {
    witness: String,
    spec: IndexSpec,
}

/// An entry, or the place where one is being made.
type Cell = Arc<Slot>;

#[derive(Debug, Default)]
struct Slot {
    entry: OnceCell<Arc<Entry>>,
    /// The last time that making it failed: whoever waited for that one fails with it, and does not try in turn.
    failure: Mutex<Option<(Instant, ErrorKind, String)>>,
}

impl Slot {
    fn get(&self) -> Option<&Arc<Entry>> {
        self.entry.get()
    }

    /// How making it failed since then, if it did.
    fn failed_since(&self, then: Instant) -> Option<Error> {
        let failure = self.failure.lock();
        let (_, kind, message) = failure.as_ref().filter(|(at, ..)| *at >= then)?;
        Some(Error::new(*kind, message))
    }
}

/// The cache of entries.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    budget: Budget,
    state: Mutex<State>,
    /// Counts uses, to tell which entry was used last.
    clock: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    entries: HashMap<EntryKey, Cell>,
    /// The entry that each collection used last, by specification.
    pointers: HashMap<CollectionKey, HashMap<IndexSpec, EntryKey>>,
    /// How often each collection was forgotten: an entry that is being made meanwhile is forgotten too.
    epochs: HashMap<CollectionKey, u64>,
    /// Collections whose entries stay whatever the budget.
    kept: HashSet<CollectionKey>,
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

impl Cache {
    pub(crate) fn new(budget: Budget) -> Self {
        Self { budget, ..Self::default() }
    }

    /// The entry over `pinned` by `spec`: from memory, else from the index file that a witness seals, else made from the
    /// entry of an older state, else built.
    pub(crate) async fn entry(
        &self,
        pinned: &Pinned,
        spec: &IndexSpec,
        context: &Arc<TaskContext>,
        progress: Option<Progress<'_>>,
    ) -> Result<Arc<Entry>> {
        let counters = pinned.counters();
        if let Some(entry) = pinned.remembered(spec).filter(|entry| !entry.is_forgotten()) {
            counters.hits.increment();
            self.touch(&entry);
            return Ok(entry);
        }
        let key = EntryKey { witness: spec.witness(pinned.snapshot().as_ref())?, spec: spec.clone() };
        let (epoch, cell) = {
            let mut state = self.state.lock();
            (state.epoch_of(pinned.key()), Arc::clone(state.entries.entry(key.clone()).or_default()))
        };
        match cell.get() {
            Some(_) => {
                counters.hits.increment();
                if !self.state.lock().points_at(pinned.key(), &key) {
                    counters.shared_hits.increment();
                }
            }
            None => counters.misses.increment(),
        }
        let began = Instant::now();
        let made = cell.entry.get_or_try_init(|| async {
            if let Some(e) = cell.failed_since(began) {
                return Err(e);
            }
            let made = self.make(pinned, &key, context, progress).await;
            if let Err(e) = &made {
                *cell.failure.lock() = Some((Instant::now(), e.kind(), e.to_string()));
            }
            made
        });
        let made = made.await;
        let entry = match made {
            Ok(entry) => Arc::clone(entry),
            Err(e) => {
                drop(cell);
                self.state.lock().sweep();
                return Err(e);
            }
        };
        self.touch(&entry);
        self.settle(pinned, key, &cell, epoch);
        pinned.remember(spec, &entry);
        Ok(entry)
    }

    fn touch(&self, entry: &Entry) {
        // Shared by all threads on purpose, and nothing else is: entries are many cache lines apart.
        entry.used.store(self.clock.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Notes that the collection uses the entry now, and lets go of what nobody uses any more.
    fn settle(&self, pinned: &Pinned, key: EntryKey, cell: &Cell, epoch: u64) {
        let mut state = self.state.lock();
        // It may have been forgotten while it was made; whoever waited for it gets it, the next search makes another.
        if state.entries.get(&key).is_none_or(|known| !Arc::ptr_eq(known, cell)) {
            return;
        }
        if state.epoch_of(pinned.key()) != epoch {
            return state.release(&key);
        }
        let pointers = state.pointers.entry(pinned.key().clone()).or_default();
        let before = pointers.insert(key.spec.clone(), key.clone());
        if let Some(before) = before.filter(|before| *before != key) {
            state.release(&before);
        }
        state.sweep();
        let evicted = self.budget.enforce(&mut state, &key);
        pinned.counters().evictions.add(evicted);
    }

    /// The witness of the entry that the collection used last, by any specification.
    pub(crate) fn witnesses_of(&self, collection: &CollectionKey) -> Vec<String> {
        let state = self.state.lock();
        let keys = state.pointers.get(collection).into_iter().flat_map(HashMap::values);
        keys.map(|key| key.witness.clone()).collect()
    }

    /// Forgets the entries of a collection, unless others share them, and returns how many it had.
    pub(crate) fn forget(&self, collection: &CollectionKey) -> usize {
        let mut state = self.state.lock();
        *state.epochs.entry(collection.clone()).or_default() += 1;
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

    /// The entries in memory, each with the collections that share it, in the order of their keys.
    pub(crate) fn list(&self) -> Vec<CachedEntry> {
        let state = self.state.lock();
        let mut entries: Vec<CachedEntry> = Vec::new();
        for (key, cell) in &state.entries {
            let Some(entry) = cell.get() else { continue };
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
            && let Some(cell) = self.entries.remove(key)
            && let Some(entry) = cell.get()
        {
            entry.forgotten.store(true, Ordering::Release);
        }
    }

    /// Drops the places of entries that nobody makes any more: their builds failed or were cancelled.
    fn sweep(&mut self) {
        self.entries.retain(|_, cell| cell.get().is_some() || Arc::strong_count(cell) > 1);
    }
}
