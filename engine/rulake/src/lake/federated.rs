//! One search over the same collection in several backends.

use std::time::Duration;

use futures::future::join_all;

use super::{LakeHit, RuLake, SearchOptions};
use crate::error::{Error, ErrorKind, Result};

/// How a federated search treats its backends.
#[derive(Clone, Debug, Default)]
pub struct FederatedOptions {
    /// How each of them is searched.
    pub search: SearchOptions,
    /// The backends to ask; `None` is all that the lake has.
    pub backends: Option<Vec<String>>,
    /// How long each may take; `None` waits as long as it takes.
    pub timeout: Option<Duration>,
    /// Whether to answer from the others, with a warning, if a backend fails; else the search fails.
    pub partial: bool,
}

/// What a federated search found.
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
        &self,
        collection: &str,
        query: &[f32],
        k: usize,
        options: &FederatedOptions,
    ) -> Result<FederatedAnswer> {
        let named = options.backends.is_some();
        let ids = options.backends.clone().unwrap_or_else(|| self.backends.read().keys().cloned().collect());
        let searches = ids.iter().map(|id| self.search_in_time(id, collection, query, k, options));
        let answers = join_all(searches).await;

        let (mut hits, mut failed, mut absent) = (Vec::new(), Vec::new(), 0);
        for (id, answer) in ids.into_iter().zip(answers) {
            match answer {
                Ok(found) => hits.push(found),
                Err(e) if !named && e.kind() == ErrorKind::NotFound => absent += 1,
                Err(e) if options.partial => {
                    tracing::warn!(backend = id, collection, reason = %e, "left out of a federated answer");
                    failed.push((id, e));
                }
                Err(e) => return Err(e),
            }
        }
        if hits.is_empty() {
            return Err(match failed.pop() {
                Some((_, e)) => e,
                None => Error::not_found("no backend has the collection")
                    .with("collection", collection)
                    .with("backends asked", absent),
            });
        }
        let mut hits: Vec<LakeHit> = hits.into_iter().flatten().collect();
        // Stable: ties stay in the order of the backends.
        hits.sort_by(|a, b| a.score.total_cmp(&b.score));
        hits.truncate(k);
        Ok(FederatedAnswer { hits, failed })
    }

    async fn search_in_time(
        &self,
        backend: &str,
        collection: &str,
        query: &[f32],
        k: usize,
        options: &FederatedOptions,
    ) -> Result<Vec<LakeHit>> {
        let search = self.search_one(backend, collection, query, k, &options.search);
        let Some(limit) = options.timeout else { return search.await };
        match tokio::time::timeout(limit, search).await {
            Ok(answer) => answer,
            Err(_) => Err(Error::unavailable("backend did not answer in time")
                .with("backend", backend)
                .with("milliseconds at most", limit.as_millis())),
        }
    }
}
