//! Search session: pins each collection once, so that all answers of a session come from the same states.

use std::collections::HashMap;
use std::sync::Arc;

use ruvector_rabitq::VectorBatch;
use tokio::sync::Mutex;

use super::search::SearchTarget;
use super::{LakeHit, RuLake, SearchOptions};
use crate::cache::CollectionKey;
use crate::cache::Pinned;
use crate::error::Result;

/// Searches that share pins. The state of a collection is pinned at its first search, and all answers of the session are of
/// that state.
#[derive(Debug)]
pub struct LakeSession<'a> {
    lake: &'a RuLake,
    pins: Mutex<HashMap<CollectionKey, Arc<Pinned>>>,
}

impl RuLake {
    /// Begins a session.
    pub fn session(&self) -> LakeSession<'_> {
        LakeSession { lake: self, pins: Mutex::default() }
    }
}

impl LakeSession<'_> {
    /// Searches as [`RuLake::search_one`] does, in the state that the session pinned.
    ///
    /// # Errors
    /// As [`RuLake::search_one`]; `GenerationGone` if the state that the session began with is not there any more.
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

    /// Searches as [`RuLake::search_batch`] does, in the state that the session pinned.
    ///
    /// # Errors
    /// As [`search_one`](Self::search_one).
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

    /// Ends the session: entries whose index files lag behind are written.
    pub async fn commit(self) {
        let pins = self.pins.into_inner();
        for pinned in pins.values() {
            self.lake.cache.write_back(pinned).await;
        }
    }

    async fn find(&self, backend: &str, collection: &str, options: &SearchOptions) -> Result<SearchTarget> {
        self.lake.find_in(self.pin(backend, collection, options).await?, options).await
    }

    async fn pin(&self, backend: &str, collection: &str, options: &SearchOptions) -> Result<Arc<Pinned>> {
        let key = (backend.to_owned(), collection.to_owned());
        let mut pins = self.pins.lock().await;
        if let Some(pinned) = pins.get(&key) {
            return Ok(Arc::clone(pinned));
        }
        let registered = self.lake.registered(backend)?;
        let pinned = self.lake.pin_state(&registered, collection, options.consistency, true).await?;
        pins.insert(key, Arc::clone(&pinned));
        Ok(pinned)
    }
}
