//! Searches of several backends at the same time: searches go in; the answers that came in time come out, in their order.
//!
//! It is the one place where a federated search has its time limit, its policy for failures and its merge. It knows neither
//! backends nor the form of answers.

use std::time::Duration;

use datafusion::common::runtime::SpawnedTask;
use futures::future::join_all;
use ruvector_rabitq::TopK;

use crate::error::Error;

/// Policy for searches that are late or fail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GatherPolicy {
    /// Time limit of each search, from the start of all; `None` is no limit.
    pub timeout: Option<Duration>,
    /// True if a failed search is left out. If false, the first failure is the answer.
    pub partial: bool,
}

/// Outcome of [`gather`].
#[derive(Clone, Debug, PartialEq)]
pub struct Gathered<T, E> {
    /// The answers, in the order of the searches.
    pub answers: Vec<T>,
    /// The backends that were left out, each with its error. Empty unless the policy is partial.
    pub failed: Vec<(String, E)>,
}

/// Runs the search of each backend in a task of its own, and waits for all of them.
///
/// A busy search delays no other, and a late one is cancelled. `to_error` gives errors of this function the caller's type.
///
/// # Errors
/// The error of the first search, in their order, that fails, unless the policy is partial. `Unavailable` for a late search,
/// `Internal` for one that panics.
pub async fn gather<T, E, S>(
    searches: impl IntoIterator<Item = (String, S)>,
    policy: GatherPolicy,
    to_error: impl Fn(Error) -> E,
) -> Result<Gathered<T, E>, E>
where
    T: Send + 'static,
    E: Send + 'static,
    S: Future<Output = Result<T, E>> + Send + 'static,
{
    // All are begun before one is waited for.
    let tasks: Vec<_> = searches.into_iter().map(|(backend, search)| (backend, SpawnedTask::spawn(search))).collect();
    let answers = tasks.into_iter().map(|(backend, task)| async {
        let answer = join(task, &backend, policy.timeout).await.map_err(&to_error).flatten();
        (backend, answer)
    });
    let mut gathered = Gathered { answers: Vec::new(), failed: Vec::new() };
    for (backend, answer) in join_all(answers).await {
        match answer {
            Ok(answer) => gathered.answers.push(answer),
            Err(e) if policy.partial => gathered.failed.push((backend, e)),
            Err(e) => return Err(e),
        }
    }
    Ok(gathered)
}

/// Waits for the outcome of a task, within the limit.
async fn join<T: 'static>(task: SpawnedTask<T>, backend: &str, limit: Option<Duration>) -> Result<T, Error> {
    let outcome = match limit {
        None => task.join().await,
        Some(limit) => tokio::time::timeout(limit, task.join()).await.map_err(|_| {
            Error::unavailable("backend did not answer in time")
                .with("backend", backend)
                .with("milliseconds at most", limit.as_millis())
        })?,
    };
    outcome.map_err(|e| Error::internal("search of a backend stopped").with("backend", backend).with("reason", e))
}

/// Returns the `k` nearest of `hits`, nearest first; ties stay in their order.
pub fn merge_nearest<T>(hits: impl IntoIterator<Item = T>, k: usize, distance: impl Fn(&T) -> f32) -> Vec<T> {
    let hits: Vec<T> = hits.into_iter().collect();
    let mut nearest = TopK::new(k);
    hits.iter().enumerate().for_each(|(position, hit)| nearest.push(distance(hit), position));
    let mut hits: Vec<Option<T>> = hits.into_iter().map(Some).collect();
    nearest.into_sorted().filter_map(|(_, position)| hits[position].take()).collect()
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use futures::future::{BoxFuture, pending, ready};

    use super::*;
    use crate::error::ErrorKind;

    fn search(backend: &str, answer: Result<i32, Error>) -> (String, BoxFuture<'static, Result<i32, Error>>) {
        (backend.to_owned(), ready(answer).boxed())
    }

    fn run<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_multi_thread().enable_time().build().unwrap().block_on(work)
    }

    #[test]
    fn the_first_failure_in_order_is_the_answer_unless_it_is_partial() {
        let searches = || {
            let fail = |message| Err(Error::not_found(message));
            [search("a", Ok(1)), search("b", fail("first")), search("c", fail("second")), search("d", Ok(4))]
        };
        let whole = run(gather(searches(), GatherPolicy::default(), |e| e)).unwrap_err();
        assert!(whole.to_string().contains("first"), "{whole}");
        let partial = GatherPolicy { partial: true, ..GatherPolicy::default() };
        let Gathered { answers, failed } = run(gather(searches(), partial, |e| e)).unwrap();
        assert_eq!(answers, [1, 4]);
        assert_eq!(failed.iter().map(|(backend, _)| backend.as_str()).collect::<Vec<_>>(), ["b", "c"]);
    }

    #[test]
    fn a_late_search_is_unavailable_and_a_panic_is_internal() {
        let late = ("late".to_owned(), pending::<Result<i32, Error>>().boxed());
        let broken = ("broken".to_owned(), async { panic!("as a test") }.boxed());
        // A panic takes a while to be reported.
        let policy = GatherPolicy { timeout: Some(Duration::from_secs(1)), partial: true };
        let Gathered { answers, failed } = run(gather([late, broken, search("a", Ok(1))], policy, |e| e)).unwrap();
        assert_eq!(answers, [1]);
        let kinds: Vec<_> = failed.iter().map(|(backend, e)| (backend.as_str(), e.kind())).collect();
        assert_eq!(kinds, [("late", ErrorKind::Unavailable), ("broken", ErrorKind::Internal)]);
    }

    #[test]
    fn ties_stay_in_the_order_of_the_backends() {
        let hits = [("a", 2.0), ("a", 3.0), ("b", 1.0), ("b", 2.0)];
        assert_eq!(merge_nearest(hits, 3, |hit| hit.1), [("b", 1.0), ("a", 2.0), ("b", 2.0)]);
    }
}
