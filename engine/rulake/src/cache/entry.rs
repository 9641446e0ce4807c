//! Entry of the cache: an index with its provenance and columns of ids. Queries go in, hits by row address come out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use parking_lot::RwLock;
use ruvector_rabitq::{Hit, SearchParams, VectorBatch, VectorIndex};

use super::provenance::Provenance;
use crate::error::Result;
use crate::id_column::IdColumn;
use crate::witness::Generation;

/// An index over one column of one state of a collection.
#[derive(Debug)]
pub struct Entry {
    pub(super) index: Box<dyn VectorIndex>,
    pub(super) provenance: Provenance,
    /// Vectors that changed since the index file was written.
    pub(super) unsaved: AtomicUsize,
    /// Columns of ids that searches asked for.
    pub(super) ids: RwLock<Vec<(String, Arc<IdColumn>)>>,
    /// Held by the task that reads a column of ids, so that concurrent first searches read it once.
    pub(super) reading_ids: tokio::sync::Mutex<()>,
    /// Time of the last use, on the clock of its cache, which counts uses.
    pub(super) used: AtomicU64,
    /// True if no new search may use the entry: it was invalidated, replaced, or changed into the entry of a newer state.
    pub(super) forgotten: AtomicBool,
}

impl Entry {
    pub(super) fn new(index: Box<dyn VectorIndex>, provenance: Provenance) -> Self {
        Self {
            index,
            provenance,
            unsaved: AtomicUsize::new(0),
            ids: RwLock::default(),
            reading_ids: tokio::sync::Mutex::default(),
            used: AtomicU64::new(0),
            forgotten: AtomicBool::new(false),
        }
    }

    /// Returns the nearest rows, nearest first, ties by smaller address; ids are row addresses, in the answer and in the
    /// filter.
    ///
    /// Distances are those of the index API: squared L2, negated inner product, `1 - cos`. With a filter, `k` rows come
    /// back whenever `k` rows of it have a vector.
    ///
    /// # Errors
    /// `InvalidInput` if the query has another dimension, is not finite, or `k` is 0; `Corrupt` if its index file was changed
    /// while it was mapped: the next search gets another entry.
    pub fn search(&self, query: &[f32], params: &SearchParams<'_>) -> Result<Vec<Hit>> {
        self.index.search(query, params)
    }

    /// Returns the answer of [`search`](Self::search) for each query, all in one pass.
    ///
    /// # Errors
    /// As [`search`](Self::search).
    pub fn search_batch(&self, queries: VectorBatch<'_>, params: &SearchParams<'_>) -> Result<Vec<Vec<Hit>>> {
        self.index.search_batch(queries, params)
    }

    /// The index itself.
    pub fn index(&self) -> &dyn VectorIndex {
        self.index.as_ref()
    }

    /// The witness of the state and the parameters that it was built from.
    pub fn witness(&self) -> &str {
        &self.provenance.witness
    }

    /// URI of the bytes it was built from.
    pub fn data_ref(&self) -> &str {
        &self.provenance.data_ref
    }

    /// The state it was built from.
    pub fn generation(&self) -> &Generation {
        &self.provenance.generation
    }

    /// Bytes of memory held.
    pub fn memory_bytes(&self) -> usize {
        self.index.memory_bytes() + self.ids.read().iter().map(|(_, ids)| ids.memory_bytes()).sum::<usize>()
    }

    /// Returns true if no search may begin with the entry: it was forgotten, or its index file was changed while it was mapped.
    pub(crate) fn is_forgotten(&self) -> bool {
        self.forgotten.load(Ordering::Acquire) || self.index.is_damaged()
    }
}
