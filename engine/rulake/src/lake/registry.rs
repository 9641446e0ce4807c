//! Registry of backends: it pins the newest state of each collection, as old as the consistency of a search allows.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::RwLock;

use super::{Consistency, RuLake};
use crate::cache::Pinned;
use crate::cache::{CacheStats, CollectionKey, Counters};
use crate::contract::{AsOf, Backend, Snapshot};
use crate::error::{Error, Result};
use crate::witness::Generation;

/// A registered backend, with the lake's records of its collections.
#[derive(Debug)]
pub(super) struct Registered {
    pub(super) backend: Arc<dyn Backend>,
    consistency: RwLock<Option<Consistency>>,
    collections: RwLock<HashMap<String, Arc<Known>>>,
}

/// The lake's record of a collection.
#[derive(Debug, Default)]
struct Known {
    consistency: RwLock<Option<Consistency>>,
    counters: Arc<Counters>,
    pin: RwLock<Option<Pin>>,
}

/// The newest state seen.
#[derive(Debug)]
struct Pin {
    pinned: Arc<Pinned>,
    /// Time when the backend was asked for the state. `None` if the state is known from files alone: its rows cannot be read.
    asked: Option<Instant>,
}

impl Registered {
    fn new(backend: Arc<dyn Backend>) -> Self {
        Self { backend, consistency: RwLock::default(), collections: RwLock::default() }
    }

    fn key(&self, collection: &str) -> CollectionKey {
        (self.backend.id().to_owned(), collection.to_owned())
    }

    /// The record of a collection, if there is one.
    fn known(&self, collection: &str) -> Option<Arc<Known>> {
        self.collections.read().get(collection).cloned()
    }

    /// The record of a collection, created if there is none.
    fn know(&self, collection: &str) -> Arc<Known> {
        if let Some(known) = self.known(collection) {
            return known;
        }
        Arc::clone(self.collections.write().entry(collection.to_owned()).or_default())
    }

    /// Pins the state that the backend returned for a request at `asked`, unless a newer answer came first. A state that is
    /// known from files alone is pinned only if no other is.
    fn pin(&self, collection: &str, known: &Known, snapshot: Arc<dyn Snapshot>, asked: Option<Instant>) -> Arc<Pinned> {
        let mut pin = known.pin.write();
        if let Some(pin) = pin.as_mut()
            && pin.asked.is_some() == asked.is_some()
            && is_same_state(pin.pinned.snapshot(), &snapshot)
        {
            pin.asked = pin.asked.max(asked);
            return Arc::clone(&pin.pinned);
        }
        let pinned = Arc::new(Pinned::new(self.key(collection), snapshot, Arc::clone(&known.counters)));
        if pin.as_ref().is_none_or(|pin| pin.asked <= asked) {
            *pin = Some(Pin { pinned: Arc::clone(&pinned), asked });
        }
        pinned
    }

    pub(super) fn unpin(&self, collection: &str) {
        if let Some(known) = self.known(collection) {
            *known.pin.write() = None;
        }
    }

    /// Forgets the pinned state, unless it is the named one.
    pub(super) fn unpin_other_than(&self, collection: &str, data_ref: &str, generation: &Generation) {
        if let Some(known) = self.known(collection) {
            known.pin.write().take_if(|pin| {
                let snapshot = pin.pinned.snapshot();
                snapshot.generation() != generation || snapshot.data_ref() != data_ref
            });
        }
    }

    fn stats(&self) -> Vec<(String, CacheStats)> {
        let collections = self.collections.read();
        collections.iter().map(|(collection, known)| (collection.clone(), known.counters.stats())).collect()
    }
}

fn is_same_state(a: &Arc<dyn Snapshot>, b: &Arc<dyn Snapshot>) -> bool {
    Arc::ptr_eq(a, b) || a.generation() == b.generation() && a.data_ref() == b.data_ref()
}

impl RuLake {
    /// Registers a backend.
    ///
    /// # Errors
    /// `AlreadyExists` if there is a backend of that id.
    pub fn register_backend(&self, backend: Arc<dyn Backend>) -> Result<()> {
        let mut backends = self.backends.write();
        let id = backend.id().to_owned();
        if backends.contains_key(&id) {
            return Err(Error::already_exists("backend is registered already").with("backend", id));
        }
        backends.insert(id, Arc::new(Registered::new(backend)));
        Ok(())
    }

    /// Forgets a backend, and the entries over its collections.
    ///
    /// # Errors
    /// `NotFound` if there is none of that id.
    pub fn remove_backend(&self, id: &str) -> Result<()> {
        let removed = self.backends.write().remove(id).ok_or_else(|| no_such_backend(id))?;
        for (collection, _) in removed.stats() {
            self.cache.forget(&(id.to_owned(), collection));
        }
        Ok(())
    }

    /// The backend of that id.
    ///
    /// # Errors
    /// `NotFound` if there is none.
    pub fn backend(&self, id: &str) -> Result<Arc<dyn Backend>> {
        Ok(Arc::clone(&self.registered(id)?.backend))
    }

    /// All backends, sorted by id.
    pub fn backends(&self) -> Vec<Arc<dyn Backend>> {
        self.backends.read().values().map(|registered| Arc::clone(&registered.backend)).collect()
    }

    /// Sets the consistency of a backend, or of one collection of it; `None` resets it.
    ///
    /// Precedence: collection, then backend, then the lake's default.
    ///
    /// # Errors
    /// `NotFound` if there is no such backend; `NotSupported` for FRESH if it has no generations.
    pub fn set_consistency(
        &self,
        backend: &str,
        collection: Option<&str>,
        consistency: Option<Consistency>,
    ) -> Result<()> {
        let registered = self.registered(backend)?;
        if let Some(consistency) = consistency {
            check_generations(registered.backend.as_ref(), consistency)?;
        }
        match collection {
            None => *registered.consistency.write() = consistency,
            Some(collection) => {
                *registered.know(collection).consistency.write() = consistency;
            }
        }
        Ok(())
    }

    /// Bound on the age of an answer from a collection, unless a search has its own.
    ///
    /// # Errors
    /// `NotFound` if there is no such backend.
    pub fn consistency_of(&self, backend: &str, collection: &str) -> Result<Consistency> {
        let registered = self.registered(backend)?;
        let of_collection = registered.known(collection).and_then(|known| *known.consistency.read());
        Ok(self.resolve(&registered, of_collection, None))
    }

    /// Pins the state of a collection that a search may answer from.
    ///
    /// # Errors
    /// `NotFound` if there is no such backend or collection; `Unavailable` if the backend has to be asked and does not
    /// answer; `NotSupported` for FRESH if it has no generations.
    pub async fn pin(&self, backend: &str, collection: &str, consistency: Option<Consistency>) -> Result<Arc<Pinned>> {
        let registered = self.registered(backend)?;
        self.pin_state(&registered, collection, consistency, false).await
    }

    /// Pins an older state of a collection, under the name `collection@v3`. The pin and the entries of the newest state are not
    /// affected.
    ///
    /// # Errors
    /// As [`Backend::snapshot_as_of`].
    pub async fn pin_as_of(&self, backend: &str, collection: &str, as_of: AsOf) -> Result<Arc<Pinned>> {
        let registered = self.registered(backend)?;
        let (version, snapshot) = registered.backend.snapshot_as_of(collection, as_of).await?;
        let known = registered.know(collection);
        let key = registered.key(&format!("{collection}@v{version}"));
        Ok(Arc::new(Pinned::new(key, snapshot, Arc::clone(&known.counters))))
    }

    /// Pins a state as [`pin`](Self::pin) does. If `sealed`, a state that is known from files alone is enough.
    pub(super) async fn pin_state(
        &self,
        registered: &Registered,
        collection: &str,
        consistency: Option<Consistency>,
        sealed: bool,
    ) -> Result<Arc<Pinned>> {
        let known = registered.known(collection);
        let of_collection = known.as_ref().and_then(|known| *known.consistency.read());
        let consistency = self.resolve(registered, of_collection, consistency);
        check_generations(registered.backend.as_ref(), consistency)?;
        if consistency != Consistency::Fresh
            && let Some(pin) = known.as_ref().map(|known| known.pin.read())
            && let Some(pin) = pin.as_ref().filter(|pin| sealed || pin.asked.is_some())
        {
            let young = match consistency {
                Consistency::Fresh => false,
                Consistency::Eventual(ttl) => pin.asked.is_some_and(|asked| asked.elapsed() <= ttl),
                Consistency::Stale => true,
            };
            if young {
                return Ok(Arc::clone(&pin.pinned));
            }
        }
        let asked = Instant::now();
        let snapshot = registered.backend.snapshot(collection).await?;
        // A collection gets a record only if the backend has it.
        let known = known.unwrap_or_else(|| registered.know(collection));
        Ok(registered.pin(collection, &known, snapshot, Some(asked)))
    }

    /// Forgets the entries over a collection and the state that was pinned: the next search asks the backend. Index files
    /// beside the collection stay; they are sealed by their witness.
    ///
    /// # Errors
    /// `NotFound` if there is no such backend.
    pub fn invalidate_cache(&self, backend: &str, collection: &str) -> Result<()> {
        let registered = self.registered(backend)?;
        registered.unpin(collection);
        let key = registered.key(collection);
        if self.cache.forget(&key) > 0 {
            registered.know(collection).counters.invalidated();
        }
        Ok(())
    }

    /// Forgets the pinned state, but not its entries: the next search asks the backend, and follows.
    ///
    /// # Errors
    /// `NotFound` if there is no such backend.
    pub fn unpin(&self, backend: &str, collection: &str) -> Result<()> {
        self.registered(backend)?.unpin(collection);
        Ok(())
    }

    /// Exempts the entries over a collection from the budget, or ends the exemption.
    pub fn keep_in_memory(&self, backend: &str, collection: &str, keep: bool) {
        self.cache.keep(&(backend.to_owned(), collection.to_owned()), keep);
    }

    /// Statistics of the entries of all collections.
    pub fn cache_stats(&self) -> CacheStats {
        self.cache_stats_by_collection().into_values().sum()
    }

    /// Statistics of the entries of each backend's collections.
    pub fn cache_stats_by_backend(&self) -> HashMap<String, CacheStats> {
        let mut stats = HashMap::new();
        for ((backend, _), of_collection) in self.cache_stats_by_collection() {
            let sum: &mut CacheStats = stats.entry(backend).or_default();
            *sum = *sum + of_collection;
        }
        stats
    }

    /// Statistics of the entries of each collection that was asked for.
    pub fn cache_stats_by_collection(&self) -> HashMap<CollectionKey, CacheStats> {
        let backends = self.backends.read();
        let of_backend = |registered: &Arc<Registered>| {
            let stats = registered.stats();
            let id = registered.backend.id().to_owned();
            stats.into_iter().map(move |(collection, stats)| ((id.clone(), collection), stats))
        };
        backends.values().flat_map(of_backend).collect()
    }

    pub(super) fn registered(&self, id: &str) -> Result<Arc<Registered>> {
        self.backends.read().get(id).cloned().ok_or_else(|| no_such_backend(id))
    }

    /// Pins a state that is known from files alone.
    pub(super) fn pin_sealed(&self, registered: &Registered, collection: &str, snapshot: Arc<dyn Snapshot>) {
        registered.pin(collection, &registered.know(collection), snapshot, None);
    }

    fn resolve(
        &self,
        registered: &Registered,
        of_collection: Option<Consistency>,
        of_search: Option<Consistency>,
    ) -> Consistency {
        let said = of_search.or(of_collection).or(*registered.consistency.read());
        said.unwrap_or(self.config.consistency)
    }
}

fn check_generations(backend: &dyn Backend, consistency: Consistency) -> Result<()> {
    if consistency != Consistency::Fresh || backend.has_generations() {
        return Ok(());
    }
    Err(Error::not_supported("FRESH over a backend that cannot tell whether it changed")
        .with("backend", backend.id())
        .with("expected", "EVENTUAL or STALE"))
}

fn no_such_backend(id: &str) -> Error {
    Error::not_found("no such backend").with("backend", id)
}
