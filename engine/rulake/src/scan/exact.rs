//! Exact search without an index: every vector of a pinned state is read and compared.

use std::cmp::Ordering;
use std::sync::Arc;

use datafusion::execution::TaskContext;
use roaring::RoaringTreemap;
use ruvector_rabitq::{Dim, Hit, Metric, TopK, VectorBatch};

use super::fold::{VectorFold, fold_vectors_apart};
use crate::contract::Snapshot;
use crate::error::{Error, Result};
use crate::vector_column::dim_of_column;

/// A row that was found, with its exact distance.
///
/// It sorts by score, then by address: nearest first.
#[derive(Clone, Copy, Debug)]
pub struct Scored {
    /// The address of the row.
    pub id: u64,
    /// The distance in f64, [`Metric::score`]: squared L2, negated inner product, or `1 - cos`.
    pub score: f64,
}

/// Returns the `k` nearest rows, nearest first, ties by smaller address; ids are row addresses.
///
/// Distances are those of the index API (squared L2, negated inner product, `1 - cos`), by the same kernels, so that an
/// index and this give the same numbers.
///
/// # Errors
/// `InvalidInput` if `k` is 0, the query has another dimension or is not finite, or a stored vector is at fault.
pub async fn search(
    snapshot: &dyn Snapshot,
    column: &str,
    metric: Metric,
    query: &[f32],
    k: usize,
    filter: Option<&RoaringTreemap>,
    context: &Arc<TaskContext>,
) -> Result<Vec<Hit>> {
    let dim = Dim::new(dim_of_column(&snapshot.schema(), column)?)?;
    if query.len() != dim.get() {
        return Err(Error::invalid_input("query has the wrong dimension")
            .with("expected", dim)
            .with("got", query.len()));
    }
    let queries = VectorBatch::new(dim, query)?;
    let mut answers = search_batch(snapshot, column, metric, queries, k, filter, context).await?;
    let hits = answers.pop().unwrap_or_default().into_iter();
    #[expect(clippy::cast_possible_truncation, reason = "the precision of an index")]
    Ok(hits.map(|Scored { id, score }| Hit { id, distance: score as f32 }).collect())
}

/// Returns the answer of [`search`] for each query, all in one pass over the vectors. Distances neither overflow nor vanish.
///
/// # Errors
/// As [`search`].
pub async fn search_batch(
    snapshot: &dyn Snapshot,
    column: &str,
    metric: Metric,
    queries: VectorBatch<'_>,
    k: usize,
    filter: Option<&RoaringTreemap>,
    context: &Arc<TaskContext>,
) -> Result<Vec<Vec<Scored>>> {
    if k == 0 {
        return Err(Error::invalid_input("k is too small").with("expected", "at least 1").with("got", k));
    }
    let dim = Dim::new(dim_of_column(&snapshot.schema(), column)?)?;
    if queries.dim() != dim {
        return Err(Error::invalid_input("query has the wrong dimension")
            .with("expected", dim)
            .with("got", queries.dim()));
    }
    let visit = |nearest: &mut Vec<Nearest>, address, vector: &[f32]| {
        let id = u64::from(address);
        if filter.is_some_and(|allowed| !allowed.contains(id)) {
            return;
        }
        for (query, nearest) in queries.rows().zip(nearest) {
            nearest.push(metric.score(query, vector), id);
        }
    };
    let none = || queries.rows().map(|_| TopK::new(k)).collect();
    let folded = VectorFold { column, dim, parts: None, allowed: filter };
    let found = fold_vectors_apart(snapshot, folded, context, none, visit).await?;
    snapshot.verify().await?;
    let merge = |mut merged: Vec<Nearest>, found: Vec<Nearest>| {
        merged.iter_mut().zip(found).for_each(|(merged, found)| merged.merge(found));
        merged
    };
    let nearest = found.into_iter().reduce(merge).unwrap_or_else(none);
    let scored = |nearest: Nearest| nearest.into_sorted().map(|(score, id)| Scored { id, score }).collect();
    Ok(nearest.into_iter().map(scored).collect())
}

/// The nearest rows of one query: addresses by score.
type Nearest = TopK<u64, f64>;

impl Ord for Scored {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then(self.id.cmp(&other.id))
    }
}

impl PartialOrd for Scored {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Scored {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Scored {}
