//! One search over the same collection in several backends.

use std::sync::Arc;
use std::time::Duration;

use datafusion::common::runtime::SpawnedTask;
use futures::future::join_all;

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
        // Each is a task of its own: one that is busy encoding delays no other, and no deadline is missed.
        let searches = ids.iter().map(|id| {
            let (lake, id, collection) = (Arc::clone(self), id.clone(), collection.to_owned());
            let (query, options) = (query.to_vec(), options.clone());
            SpawnedTask::spawn(async move { lake.search_if_there(&id, &collection, &query, k, &options).await })
        });
        let searches: Vec<_> = searches.collect();
        let limited = searches.into_iter().zip(&ids).map(|(search, id)| in_time(search, id, options.timeout));
        let answers = join_all(limited).await;

        let (mut hits, mut failed, mut absent) = (Vec::new(), Vec::new(), 0);
        for (id, answer) in ids.into_iter().zip(answers) {
            match answer {
                Ok(Some(found)) => hits.push(found),
                Ok(None) => absent += 1,
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

    /// The answer of one backend; nothing if it was not named and has no such collection.
    async fn search_if_there(
        &self,
        backend: &str,
        collection: &str,
        query: &[f32],
        k: usize,
        options: &FederatedOptions,
    ) -> Result<Option<Vec<LakeHit>>> {
        if options.backends.is_none() {
            // Asked apart from the search, in which other things may not be found either.
            let registered = self.registered(backend)?;
            match self.pin_state(&registered, collection, options.search.consistency, true).await {
                Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
                pinned => pinned?,
            };
        }
        self.search_one(backend, collection, query, k, &options.search).await.map(Some)
    }
}

/// The answer of a task, if it comes within the limit.
async fn in_time<T: Send + 'static>(task: SpawnedTask<Result<T>>, backend: &str, limit: Option<Duration>) -> Result<T> {
    let answer = task.join();
    let answer = match limit {
        None => answer.await,
        Some(limit) => tokio::time::timeout(limit, answer).await.map_err(|_| {
            Error::unavailable("backend did not answer in time")
                .with("backend", backend)
                .with("milliseconds at most", limit.as_millis())
        })?,
    };
    answer.map_err(|e| Error::internal("search of a backend stopped").with("backend", backend).with("reason", e))?
}

fn distinct(ids: &[String]) -> Result<Vec<String>> {
    match ids.iter().enumerate().find(|(i, id)| ids[..*i].contains(id)) {
        None => Ok(ids.to_vec()),
        Some((_, twice)) => Err(Error::invalid_input("a backend is named twice")
            .with("expected", "different backends")
            .with("got", twice)),
    }
}
