//! Load or build of an entry: a pinned state and a key go in; the first source that exists gives the entry.
//!
//! Sources, in this order: the index that the collection is, the entry of an older state, the index file, all vectors.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use datafusion::execution::TaskContext;
use ruvector_rabitq::VectorIndex;

use super::build::{Made, build};
use super::follow::changes;
use super::progress::BuildControl;
use super::provenance::Provenance;
use super::{Cache, Entry, EntryKey, Pinned, file};
use crate::blocking::run_blocking;
use crate::error::Result;
use crate::index_spec::IndexSpec;
use crate::scan::read_ids;

/// Share of changed vectors, one in this many, from which on an index file is written again. Below it, a restart follows from
/// the file of the older state.
const UNSAVED_SHARE: usize = 8;
/// Bytes of an entry below which its file is written after every change: the write costs little.
const ALWAYS_SAVED: usize = 16 << 20;

/// The entry that a newer one follows.
struct Base {
    entry: Arc<Entry>,
    /// Its key in the cache, if it is there.
    key: Option<EntryKey>,
}

impl Cache {
    /// Returns the entry of `key` from the first source that exists, and writes its index file if it is due.
    pub(super) async fn load_or_build(
        &self,
        pinned: &Pinned,
        key: &EntryKey,
        context: &Arc<TaskContext>,
        control: &BuildControl,
    ) -> Result<Arc<Entry>> {
        let (snapshot, counters) = (pinned.snapshot().as_ref(), pinned.counters());
        if let Some(own) = snapshot.index().filter(|own| own.spec == key.spec) {
            counters.loads.increment();
            let provenance = Provenance::of(snapshot, &key.witness, own.index.len());
            return Ok(Arc::new(Entry::new(Box::new(own.index.clone()), provenance)));
        }
        let mut base = self.base_in_memory(pinned, key);
        if base.is_none()
            && let Some(stored) = file::load(snapshot, &key.spec).await
        {
            if stored.witness() == key.witness {
                counters.loads.increment();
                return Ok(Arc::new(stored));
            }
            base = Some(Base { entry: Arc::new(stored), key: None });
        }
        let started = Instant::now();
        let followed = match base {
            Some(base) => self.follow(pinned, key, base, context, control).await?,
            None => None,
        };
        let entry = match followed {
            Some(entry) => {
                counters.follows.increment();
                entry
            }
            None => self.build_entry(pinned, key, context, control).await?,
        };
        let entry = Arc::new(entry);
        let unsaved = entry.unsaved.load(Ordering::Relaxed);
        if unsaved.saturating_mul(UNSAVED_SHARE) >= entry.index().len()
            || (unsaved > 0 && entry.memory_bytes() < ALWAYS_SAVED)
        {
            let before = Instant::now();
            self.save_beside(pinned, &key.spec, &entry).await;
            counters.write_time.add_time(before.elapsed());
        }
        counters.prime_time.add_time(started.elapsed());
        Ok(entry)
    }

    /// Builds the entry from all vectors.
    pub(super) async fn build_entry(
        &self,
        pinned: &Pinned,
        key: &EntryKey,
        context: &Arc<TaskContext>,
        control: &BuildControl,
    ) -> Result<Entry> {
        let (snapshot, counters) = (pinned.snapshot().as_ref(), pinned.counters());
        let Made { value: index, reading, encoding } = build(snapshot, &key.spec, context, control).await?;
        counters.primes.increment();
        counters.read_time.add_time(reading);
        counters.encode_time.add_time(encoding);
        let provenance = Provenance::of(snapshot, &key.witness, index.len());
        let unsaved = index.len().max(1).into();
        Ok(Entry { unsaved, ..Entry::new(index, provenance) })
    }

    /// Writes the index files of the entries over a pinned state that lag behind.
    pub(crate) async fn write_back(&self, pinned: &Pinned) {
        for cached in self.list() {
            let entry = cached.entry;
            let lags =
                entry.unsaved.load(Ordering::Relaxed) > 0 && entry.generation() == pinned.snapshot().generation();
            if lags && cached.collections.contains(pinned.key()) {
                self.save_beside(pinned, &cached.spec, &entry).await;
            }
        }
    }

    /// Writes the index file of an entry, if the backend has a place for it and the file is wanted.
    ///
    /// A folder that cannot be written costs the next start a build, not this search its answer.
    pub(super) async fn save_beside(&self, pinned: &Pinned, spec: &IndexSpec, entry: &Arc<Entry>) {
        let Some(path) = file::path(pinned.snapshot().as_ref(), spec) else { return };
        let (shared, wanted, to) = (Arc::clone(entry), self.wanted.clone(), path.clone());
        let (collection, spec) = (pinned.key().clone(), spec.clone());
        let alone = self.locks.lock(&path).await;
        let write = move || -> Result<bool> {
            // The write goes on when its caller is cancelled: it keeps the lock.
            let _alone = alone;
            if !wanted.contains(&collection, &spec) {
                return Ok(false);
            }
            let attributes = shared.provenance.to_attributes(&spec.column)?;
            file::write_beside(shared.index(), &attributes, &to).map(|()| true)
        };
        match run_blocking("index writer", write).await {
            Ok(true) => entry.unsaved.store(0, Ordering::Relaxed),
            Ok(false) => {}
            Err(e) => tracing::warn!(path = %path.display(), reason = %e, "index file is not written"),
        }
    }

    /// The entry that the collection used last, of the same bytes of record and specification.
    fn base_in_memory(&self, pinned: &Pinned, key: &EntryKey) -> Option<Base> {
        let state = self.state.lock();
        let known = state.pointers.get(pinned.key())?.get(&key.spec)?;
        let entry = Arc::clone(state.entries.get(known)?.ready().filter(|entry| !entry.is_forgotten())?);
        file::can_follow(&entry, pinned.snapshot().as_ref(), &key.spec)
            .then(|| Base { entry, key: Some(known.clone()) })
    }

    /// Changes the entry of an older state into this one; `None` if it has to be built from all vectors.
    async fn follow(
        &self,
        pinned: &Pinned,
        key: &EntryKey,
        base: Base,
        context: &Arc<TaskContext>,
        control: &BuildControl,
    ) -> Result<Option<Entry>> {
        let (snapshot, counters) = (pinned.snapshot().as_ref(), pinned.counters());
        let before = &base.entry.provenance;
        let (index, parts, built_len) = (base.entry.index(), &before.parts, before.built_len);
        let Some(made) = changes(index, before, snapshot, &key.spec, context, control).await? else { return Ok(None) };
        let changed = before.changed + made.value.len();
        let mut ids = Vec::new();
        let known = base.entry.ids.read().clone();
        for (column, known) in known {
            // If this fails, the next search reads them again.
            if let Ok(read) = read_ids(snapshot, &column, Some((&known, parts)), context).await {
                ids.push((column, Arc::new(read)));
            }
        }
        let unsaved = base.entry.unsaved.load(Ordering::Relaxed) + made.value.len();
        let started = Instant::now();
        let mut index = self.take(pinned, base);
        if let Err(e) = made.value.apply(index.as_mut()) {
            tracing::warn!(collection = snapshot.data_ref(), reason = %e, "index cannot follow; it is rebuilt");
            return Ok(None);
        }
        counters.read_time.add_time(made.reading);
        counters.encode_time.add_time(started.elapsed());
        let provenance = Provenance { changed, ..Provenance::of(snapshot, &key.witness, built_len) };
        Ok(Some(Entry { unsaved: unsaved.into(), ids: ids.into(), ..Entry::new(index, provenance) }))
    }

    /// Takes the index of an entry, to change it. The entry leaves the cache if no other collection uses it.
    /// An index that is still in use is copied.
    fn take(&self, pinned: &Pinned, base: Base) -> Box<dyn VectorIndex> {
        let Base { entry, key } = base;
        if let Some(key) = key {
            let mut state = self.state.lock();
            if state.owners(&key) == [pinned.key().clone()] {
                state.entries.remove(&key);
                // A caller that pinned the older state finds it gone, and builds it again.
                entry.forgotten.store(true, Ordering::Release);
            }
        }
        match Arc::try_unwrap(entry) {
            Ok(entry) => entry.index,
            Err(shared) => shared.index.clone(),
        }
    }
}
