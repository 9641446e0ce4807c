//! Federated search: one collection in several backends, searched at the same time, with one merged answer.

use std::sync::Arc;
use std::time::Duration;

use super::gather::{GatherPolicy, Gathered, gather, merge_nearest};
use super::{LakeHit, RuLake, SearchOptions};
use crate::error::{Error, ErrorKind, Result};

/// Options of a federated search: the backends, and their treatment.
#[derive(Clone, Debug, Default)]
pub struct FederatedOptions {
    /// Options of the search of each backend.
    pub search: SearchOptions,
    /// The backends to ask; `None` is all that the lake has.
    pub backends: Option<Vec<String>>,
    /// Time limit of each backend; `None` is no limit.
    pub timeout: Option<Duration>,
    /// True if a failed backend is left out of the answer, with a warning. If false, the search fails.
    pub partial: bool,
}

/// Result of a federated search.
#[derive(Debug)]
pub struct FederatedAnswer {
    /// The nearest rows of all, nearest first; ties in the order of the backends asked.
    pub hits: Vec<LakeHit>,
    /// The backends that are missing from the answer, and why.
    pub failed: Vec<(String, Error)>,
}

impl RuLake {
    /// Returns the `k` nearest rows of a collection over several backends, searched at the same time.
    ///
    /// If no backends are named, those that have no such collection are passed over.
    ///
    /// # Errors
    /// As [`search_one`](Self::search_one) of the first backend that fails, unless a partial answer is asked for and one of
    /// them answers; `Unavailable` for one that took too long; `NotFound` if none has the collection.
    pub async fn search_federated(
        self: &Arc<Self>,
        collection: &str,
        query: &[f32],
        k: usize,
        options: &FederatedOptions,
    ) -> Result<FederatedAnswer> {
        let ids = match &options.backends {
            Some(ids) => distinct(ids)?,
            None => self.backends.read().keys().cloned().collect(),
        };
        let searches = ids.iter().map(|id| {
            let (lake, backend, collection) = (Arc::clone(self), id.clone(), collection.to_owned());
            let (query, options) = (query.to_vec(), options.clone());
            let search = async move { lake.search_if_there(&backend, &collection, &query, k, &options).await };
            (id.clone(), search)
        });
        let policy = GatherPolicy { timeout: options.timeout, partial: options.partial };
        let Gathered { answers, mut failed } = gather(searches, policy, |e| e).await?;
        for (backend, e) in &failed {
            tracing::warn!(backend, collection, reason = %e, "left out of a federated answer");
        }
        let asked = answers.len();
        let found: Vec<Vec<LakeHit>> = answers.into_iter().flatten().collect();
        if found.is_empty() {
            return Err(match failed.pop() {
                Some((_, e)) => e,
                None => Error::not_found("no backend has the collection")
                    .with("collection", collection)
                    .with("backends asked", asked),
            });
        }
        let hits = merge_nearest(found.into_iter().flatten(), k, |hit| hit.distance);
        Ok(FederatedAnswer { hits, failed })
    }

    /// The answer of one backend; `None` if it was not named and has no such collection.
    async fn search_if_there(
        &self,
        backend: &str,
        collection: &str,
        query: &[f32],
        k: usize,
        options: &FederatedOptions,
    ) -> Result<Option<Vec<LakeHit>>> {
        if options.backends.is_none() {
            // Asked before the search, whose `NotFound` may be about a column.
            let registered = self.registered(backend)?;
            match self.pin_state(&registered, collection, options.search.consistency, true).await {
                Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
                pinned => pinned?,
            };
        }
        self.search_one(backend, collection, query, k, &options.search).await.map(Some)
    }
}

fn distinct(ids: &[String]) -> Result<Vec<String>> {
    match ids.iter().enumerate().find(|(i, id)| ids[..*i].contains(id)) {
        None => Ok(ids.to_vec()),
        Some((_, twice)) => Err(Error::invalid_input("a backend is named twice")
            .with("expected", "different backends")
            .with("got", twice)),
    }
}
