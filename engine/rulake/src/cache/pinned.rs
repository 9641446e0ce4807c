//! Pinned state: the snapshot of a collection that answers come from, with the entries that searches found for it.

use std::sync::{Arc, OnceLock, Weak};

use parking_lot::RwLock;

use super::{CollectionKey, Counters, Entry};
use crate::contract::Snapshot;
use crate::error::Result;
use crate::index_spec::IndexSpec;

/// Origin of a hit: a backend and a collection. All hits of one origin share it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HitSource {
    /// The backend that holds the row.
    pub backend: String,
    /// Its collection there.
    pub collection: String,
}

/// A pinned state of a collection, with the entries that searches found for it.
#[derive(Debug)]
pub struct Pinned {
    key: CollectionKey,
    /// The same, to be shared by hits.
    source: Arc<HitSource>,
    snapshot: Arc<dyn Snapshot>,
    counters: Arc<Counters>,
    /// Specification of the index for searches that set neither column nor metric nor kind.
    plain: OnceLock<IndexSpec>,
    /// The entries found for the state; the next search asks no other table.
    entries: RwLock<Vec<(IndexSpec, Weak<Entry>)>>,
}

impl Pinned {
    pub(crate) fn new(key: CollectionKey, snapshot: Arc<dyn Snapshot>, counters: Arc<Counters>) -> Self {
        let source = Arc::new(HitSource { backend: key.0.clone(), collection: key.1.clone() });
        Self { key, source, snapshot, counters, plain: OnceLock::new(), entries: RwLock::default() }
    }

    /// The id of its backend.
    pub fn backend(&self) -> &str {
        &self.key.0
    }

    /// Its name in the backend.
    pub fn collection(&self) -> &str {
        &self.key.1
    }

    /// The state.
    pub fn snapshot(&self) -> &Arc<dyn Snapshot> {
        &self.snapshot
    }

    pub(crate) fn source(&self) -> &Arc<HitSource> {
        &self.source
    }

    pub(crate) fn key(&self) -> &CollectionKey {
        &self.key
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Specification of the index for searches that set neither column nor metric nor kind; the first call computes it by `make`.
    pub(crate) fn plain_spec(&self, make: impl FnOnce() -> Result<IndexSpec>) -> Result<&IndexSpec> {
        match self.plain.get() {
            Some(spec) => Ok(spec),
            None => {
                let spec = make()?;
                Ok(self.plain.get_or_init(|| spec))
            }
        }
    }

    pub(crate) fn remembered(&self, spec: &IndexSpec) -> Option<Arc<Entry>> {
        self.entries.read().iter().find(|(known, _)| known == spec)?.1.upgrade()
    }

    pub(crate) fn remember(&self, spec: &IndexSpec, entry: &Arc<Entry>) {
        let mut entries = self.entries.write();
        entries.retain(|(known, entry)| known != spec && entry.strong_count() > 0);
        entries.push((spec.clone(), Arc::downgrade(entry)));
    }
}
