//! Searches of one collection: a query goes in; hits with the ids of their rows come out.

use std::sync::Arc;

use ruvector_rabitq::{Hit, IndexKind, Metric, SearchParams, VectorBatch};

use super::{Registered, RuLake};
use crate::address::RowAddress;
use crate::cache::{Entry, HitSource, Pinned};
use crate::consistency::Consistency;
use crate::error::{Error, ErrorKind, Result};
use crate::id_column::IdColumn;
use crate::index_spec::IndexSpec;
use crate::vector_column::vector_columns;
use crate::vector_type::NO_VECTORS_KEY;

/// The column of ids, unless a search says otherwise.
const ID_COLUMN: &str = "id";

/// Options of a search, beyond the query. The default sets none.
#[derive(Clone, Debug, Default)]
pub struct SearchOptions {
    /// Bound on the age of the answer; the bound of the collection, the backend or the lake if not set.
    pub consistency: Option<Consistency>,
    /// The vector column; needed where a collection has several.
    pub column: Option<String>,
    /// The column of ids, of integers; `id` if not set.
    pub id_column: Option<String>,
    /// Distance metric; the lake's if not set.
    pub metric: Option<Metric>,
    /// The kind of index; the lake's if not set.
    pub kind: Option<IndexKind>,
    /// Floor of candidates reranked exactly, as a multiple of `k`; that of the entry if not set.
    pub rerank_factor: Option<usize>,
    /// Lists searched, where the kind has lists; as many as the entry says if not set.
    pub nprobe: Option<usize>,
}

impl SearchOptions {
    fn params(&self, k: usize) -> SearchParams<'static> {
        SearchParams { rerank_factor: self.rerank_factor, nprobe: self.nprobe, ..SearchParams::new(k) }
    }
}

/// A hit of a search.
#[derive(Clone, Debug, PartialEq)]
pub struct LakeHit {
    /// The backend and the collection that hold the row.
    pub source: Arc<HitSource>,
    /// Id of the row in its collection.
    pub id: i64,
    /// The distance, nearer is smaller: *squared* L2, the negated inner product, or one minus the cosine.
    pub distance: f32,
}

/// An entry with the ids of its rows.
pub(super) struct SearchTarget {
    pinned: Arc<Pinned>,
    entry: Arc<Entry>,
    ids: Arc<IdColumn>,
}

impl RuLake {
    /// Returns the `k` nearest rows of a collection, nearest first.
    ///
    /// # Errors
    /// `NotFound` if there is no such backend, collection or column; `InvalidInput` if the query has another dimension or
    /// is not finite, `k` is 0, or the id column does not hold integers; `Unavailable` if the backend has to be asked and
    /// does not answer, which is safe to retry.
    pub async fn search_one(
        &self,
        backend: &str,
        collection: &str,
        query: &[f32],
        k: usize,
        options: &SearchOptions,
    ) -> Result<Vec<LakeHit>> {
        self.find(backend, collection, options).await?.search(query, k, options)
    }

    /// Returns the answer of [`search_one`](Self::search_one) for each query, all from one state of the collection.
    ///
    /// # Errors
    /// As [`search_one`](Self::search_one), before anything is searched.
    pub async fn search_batch(
        &self,
        backend: &str,
        collection: &str,
        queries: VectorBatch<'_>,
        k: usize,
        options: &SearchOptions,
    ) -> Result<Vec<Vec<LakeHit>>> {
        self.find(backend, collection, options).await?.search_batch(queries, k, options)
    }

    /// Loads or builds the entry that a search with these options would use, and returns its witness.
    ///
    /// # Errors
    /// As [`search_one`](Self::search_one).
    pub async fn prime(&self, backend: &str, collection: &str, options: &SearchOptions) -> Result<String> {
        Ok(self.find(backend, collection, options).await?.entry.witness().to_owned())
    }

    /// The entry and the ids to answer from.
    async fn find(&self, backend: &str, collection: &str, options: &SearchOptions) -> Result<SearchTarget> {
        let registered = self.registered(backend)?;
        match self.find_once(&registered, collection, options).await {
            // The state went away between two looks at it, or another caller cancelled the entry.
            Err(e) if matches!(e.kind(), ErrorKind::GenerationGone | ErrorKind::Cancelled) => {
                registered.unpin(collection);
                self.find_once(&registered, collection, options).await
            }
            found => found,
        }
    }

    async fn find_once(
        &self,
        registered: &Registered,
        collection: &str,
        options: &SearchOptions,
    ) -> Result<SearchTarget> {
        let pinned = self.pin_state(registered, collection, options.consistency, true).await?;
        self.find_in(pinned, options).await
    }

    /// The entry over a pinned state, and its ids.
    pub(super) async fn find_in(&self, pinned: Arc<Pinned>, options: &SearchOptions) -> Result<SearchTarget> {
        let is_plain = options.column.is_none() && options.metric.is_none() && options.kind.is_none();
        let said = if is_plain { None } else { Some(self.spec(&pinned, options)?) };
        let spec = match &said {
            Some(spec) => spec,
            None => pinned.plain_spec(|| self.spec(&pinned, options))?,
        };
        let entry = self.cache.entry(&pinned, spec, &self.context).await?;
        let id_column = options.id_column.as_deref().unwrap_or(ID_COLUMN);
        let ids = entry.ids(pinned.snapshot().as_ref(), id_column, &self.context).await?;
        Ok(SearchTarget { pinned, entry, ids })
    }

    /// The index that a search with these options is answered from.
    pub(super) fn spec(&self, pinned: &Pinned, options: &SearchOptions) -> Result<IndexSpec> {
        let schema = pinned.snapshot().schema();
        let mut spec = match &options.column {
            Some(column) => self.config.spec(column),
            None => match vector_columns(&schema).as_slice() {
                [column] => self.config.spec(column),
                columns => {
                    let reason = schema.fields().iter().find_map(|field| field.metadata().get(NO_VECTORS_KEY));
                    if let (true, Some(reason)) = (columns.is_empty(), reason) {
                        return Err(Error::invalid_input("collection has no vector column")
                            .with("collection", pinned.collection())
                            .with("reason", reason));
                    }
                    let wrong = if columns.is_empty() { "no vector column" } else { "several vector columns" };
                    return Err(Error::invalid_input(format!("collection has {wrong}"))
                        .with("collection", pinned.collection())
                        .with("expected", "one, or its name")
                        .with("got", format!("[{}]", columns.join(", "))));
                }
            },
        };
        spec.metric = options.metric.unwrap_or(spec.metric);
        spec.kind = options.kind.unwrap_or(spec.kind);
        Ok(spec)
    }
}

impl SearchTarget {
    pub(super) fn search(&self, query: &[f32], k: usize, options: &SearchOptions) -> Result<Vec<LakeHit>> {
        self.name(self.entry.search(query, &options.params(k))?)
    }

    pub(super) fn search_batch(
        &self,
        queries: VectorBatch<'_>,
        k: usize,
        options: &SearchOptions,
    ) -> Result<Vec<Vec<LakeHit>>> {
        let answers = self.entry.search_batch(queries, &options.params(k))?;
        answers.into_iter().map(|hits| self.name(hits)).collect()
    }

    /// Hits with the ids of their rows.
    fn name(&self, hits: Vec<Hit>) -> Result<Vec<LakeHit>> {
        let named = |hit: Hit| {
            Ok(LakeHit {
                source: Arc::clone(self.pinned.source()),
                id: self.ids.get(RowAddress::from(hit.id))?,
                distance: hit.distance,
            })
        };
        hits.into_iter().map(named).collect()
    }
}
