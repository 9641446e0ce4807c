//! Indexes over pinned states, built once and shared.
//!
//! An entry is keyed by the witness of the state it was built from, the column, the metric, the kind and the parameters,
//! so a search against a newer state never meets an older entry: that is FRESH. Building is singleflight: of many first
//! searches one builds and the others wait; a build that fails or is cancelled leaves nothing behind.

mod build;
mod store;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::execution::TaskContext;
use parking_lot::Mutex;
use roaring::RoaringTreemap;
use ruvector_rabitq::index::{DEFAULT_RERANK_FACTOR, DEFAULT_SEED};
use ruvector_rabitq::{Hit, Metric, Progress, SearchParams, VectorIndex};

pub use ruvector_rabitq::IndexKind;
use tokio::sync::OnceCell;

use crate::backend::Snapshot;
use crate::error::{Error, Result};
use crate::vectors::dim_of;
use crate::witness::{Generation, witness};

/// What index to build over which column.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IndexSpec {
    /// The vector column.
    pub column: String,
    /// What near means.
    pub metric: Metric,
    /// The structure.
    pub kind: IndexKind,
    /// Seed of the random rotation.
    pub seed: u64,
    /// Floor of candidates reranked exactly, as a multiple of `k`.
    pub rerank_factor: usize,
    /// Number of inverted lists of `ivf_rabitq`; without it 4 times the square root of the number of vectors.
    pub nlist: Option<usize>,
    /// Number of lists a search of `ivf_rabitq` looks into; without it a sixteenth of them, at least 16.
    pub nprobe: Option<usize>,
}

impl IndexSpec {
    /// The defaults over `column`: `rabitq_plus`, L2, seed 42, rerank factor 20.
    pub fn new(column: impl Into<String>) -> Self {
        Self {
            column: column.into(),
            metric: Metric::L2,
            kind: IndexKind::RabitqPlus,
            seed: DEFAULT_SEED,
            rerank_factor: DEFAULT_RERANK_FACTOR,
            nlist: None,
            nprobe: None,
        }
    }

    fn dim(&self, snapshot: &dyn Snapshot) -> Result<usize> {
        dim_of_column(snapshot, &self.column)
    }

    /// The witness of an entry built from `snapshot` by this specification.
    ///
    /// # Errors
    /// `NotFound` or `InvalidInput` if the column is not a vector column there.
    pub fn witness(&self, snapshot: &dyn Snapshot) -> Result<String> {
        Ok(witness(snapshot.data_ref(), self.dim(snapshot)?, self.seed, self.rerank_factor, snapshot.generation()))
    }
}

/// The dimension of a vector column.
///
/// # Errors
/// `NotFound` if there is no such column, `InvalidInput` if it holds something else.
pub(crate) fn dim_of_column(snapshot: &dyn Snapshot, column: &str) -> Result<usize> {
    let schema = snapshot.schema();
    let field =
        schema.field_with_name(column).map_err(|_| Error::not_found("no such column").with("column", column))?;
    dim_of(field.data_type()).ok_or_else(|| {
        Error::invalid_input(format!("column {column:?} does not hold vectors"))
            .with("expected", "FixedSizeList of Float32")
            .with("got", field.data_type())
    })
}

/// An index over one column of one state of a collection.
#[derive(Debug)]
pub struct Entry {
    index: Box<dyn VectorIndex>,
    witness: String,
    generation: Generation,
}

impl Entry {
    /// Returns the `k` nearest rows, nearest first, ties by smaller address; ids are row addresses.
    ///
    /// Distances are those of the index API: squared L2, negated inner product, `1 - cos`. With a filter, `k` rows come
    /// back whenever `k` rows of it have a vector.
    ///
    /// # Errors
    /// `InvalidInput` if the query has another dimension, is not finite, or `k` is 0.
    pub fn search(
        &self,
        query: &[f32],
        k: usize,
        filter: Option<&RoaringTreemap>,
        rerank_factor: Option<usize>,
    ) -> Result<Vec<Hit>> {
        let mut params = SearchParams::new(k);
        if let Some(filter) = filter {
            params = params.with_filter(filter);
        }
        if let Some(factor) = rerank_factor {
            params = params.with_rerank_factor(factor);
        }
        self.index.search(query, &params)
    }

    /// The index itself.
    pub fn index(&self) -> &dyn VectorIndex {
        self.index.as_ref()
    }

    /// The witness of what it was built from.
    pub fn witness(&self) -> &str {
        &self.witness
    }

    /// The state it was built from.
    pub fn generation(&self) -> &Generation {
        &self.generation
    }
}

/// Counters since the cache was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Searches that found their entry in memory.
    pub hits: u64,
    /// Entries read from an index file.
    pub loads: u64,
    /// Entries built from vectors.
    pub primes: u64,
}

/// Same collection, column and parameters: what a newer entry replaces.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Slot {
    data_ref: String,
    spec: IndexSpec,
}

#[derive(Clone, Debug)]
struct Cached {
    witness: String,
    entry: Arc<OnceCell<Arc<Entry>>>,
}

/// The cache of entries.
#[derive(Debug, Default)]
pub struct RuLake {
    entries: Mutex<HashMap<Slot, Cached>>,
    hits: AtomicU64,
    loads: AtomicU64,
    primes: AtomicU64,
}

impl RuLake {
    /// An empty cache.
    pub fn new() -> Self {
        Self::default()
    }

    /// The entry over `snapshot` by `spec`: from memory, else from the index file that a witness seals, else built.
    ///
    /// An entry that was built is kept as a file if the backend has a place for it. `progress` gets the number of vectors
    /// encoded so far.
    ///
    /// # Errors
    /// `NotFound` or `InvalidInput` if the column is not a vector column; `InvalidInput` naming file and row for a vector
    /// that is not finite or of another dimension; what the backend reports.
    pub async fn entry(
        &self,
        snapshot: &Arc<dyn Snapshot>,
        spec: &IndexSpec,
        context: &Arc<TaskContext>,
        progress: Option<Progress<'_>>,
    ) -> Result<Arc<Entry>> {
        let witness = spec.witness(snapshot.as_ref())?;
        let cell = self.cell(snapshot.data_ref(), spec, &witness);
        if let Some(entry) = cell.get() {
            self.hits.fetch_add(1, Ordering::Relaxed);
            return Ok(Arc::clone(entry));
        }
        let make = || async {
            if let Some(index) = store::load(snapshot.as_ref(), spec, &witness).await {
                self.loads.fetch_add(1, Ordering::Relaxed);
                return Ok(index);
            }
            let index = build::build(snapshot.as_ref(), spec, context, progress).await?;
            self.primes.fetch_add(1, Ordering::Relaxed);
            store::save(snapshot.as_ref(), spec, &witness, index).await
        };
        let entry = cell
            .get_or_try_init(|| async {
                let index = make().await?;
                let entry = Entry { index, witness: witness.clone(), generation: snapshot.generation().clone() };
                Ok::<_, Error>(Arc::new(entry))
            })
            .await?;
        Ok(Arc::clone(entry))
    }

    /// Counters since the cache was made.
    pub fn stats(&self) -> CacheStats {
        CacheStats {
            hits: self.hits.load(Ordering::Relaxed),
            loads: self.loads.load(Ordering::Relaxed),
            primes: self.primes.load(Ordering::Relaxed),
        }
    }

    /// Forgets the entries over `data_ref`. Their files go with the collection's folder.
    pub fn forget(&self, data_ref: &str) {
        self.entries.lock().retain(|slot, _| slot.data_ref != data_ref);
    }

    /// The cell that holds, or will hold, the entry. A newer state takes the slot; searches that still use the older
    /// entry keep it alive until they end.
    fn cell(&self, data_ref: &str, spec: &IndexSpec, witness: &str) -> Arc<OnceCell<Arc<Entry>>> {
        let slot = Slot { data_ref: data_ref.to_owned(), spec: spec.clone() };
        let mut entries = self.entries.lock();
        match entries.get(&slot) {
            Some(cached) if cached.witness == witness => Arc::clone(&cached.entry),
            _ => {
                let entry = Arc::default();
                entries.insert(slot, Cached { witness: witness.to_owned(), entry: Arc::clone(&entry) });
                entry
            }
        }
    }
}
