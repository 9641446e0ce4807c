//! Exact search without an index: every vector of a pinned state is read and compared.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::Arc;

use datafusion::execution::TaskContext;
use roaring::RoaringTreemap;
use ruvector_rabitq::{Dim, Hit, Metric, VectorBatch};

use crate::backend::Snapshot;
use crate::error::{Error, Result};
use crate::read::{Folded, fold_vectors_apart};

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
    let dim = Dim::new(crate::cache::dim_of_column(snapshot, column)?)?;
    if query.len() != dim.get() {
        return Err(Error::invalid_input("query has the wrong dimension")
            .with("expected", dim)
            .with("got", query.len()));
    }
    let queries = VectorBatch::new(dim, query)?;
    let mut answers = search_batch(snapshot, column, metric, queries, k, filter, context).await?;
    Ok(answers.pop().unwrap_or_default())
}

/// Returns for each query what [`search`] would, all in one pass over the vectors.
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
) -> Result<Vec<Vec<Hit>>> {
    if k == 0 {
        return Err(Error::invalid_input("k is too small").with("expected", "at least 1").with("got", k));
    }
    let dim = Dim::new(crate::cache::dim_of_column(snapshot, column)?)?;
    if queries.dim() != dim {
        return Err(Error::invalid_input("query has the wrong dimension")
            .with("expected", dim)
            .with("got", queries.dim()));
    }
    let visit = |nearest: &mut Vec<BinaryHeap<Nearest>>, address, vector: &[f32]| {
        let id = u64::from(address);
        if filter.is_some_and(|allowed| !allowed.contains(id)) {
            return;
        }
        for (query, nearest) in queries.rows().zip(nearest) {
            keep(nearest, Nearest(Hit { id, distance: metric.distance(query, vector) }), k);
        }
    };
    let none = || queries.rows().map(|_| BinaryHeap::new()).collect();
    let folded = Folded { column, dim, parts: None, allowed: filter };
    let found = fold_vectors_apart(snapshot, folded, context, none, visit).await?;
    snapshot.verify().await?;
    let merge = |mut merged: Vec<BinaryHeap<Nearest>>, found: Vec<BinaryHeap<Nearest>>| {
        for (merged, found) in merged.iter_mut().zip(found) {
            found.into_iter().for_each(|candidate| keep(merged, candidate, k));
        }
        merged
    };
    let nearest = found.into_iter().reduce(merge).unwrap_or_else(none);
    let sorted =
        |nearest: BinaryHeap<Nearest>| nearest.into_sorted_vec().into_iter().map(|nearest| nearest.0).collect();
    Ok(nearest.into_iter().map(sorted).collect())
}

/// Keeps a candidate if it is among the `k` nearest.
fn keep(nearest: &mut BinaryHeap<Nearest>, candidate: Nearest, k: usize) {
    if nearest.len() < k {
        nearest.push(candidate);
    } else if let Some(mut farthest) = nearest.peek_mut()
        && candidate < *farthest
    {
        *farthest = candidate;
    }
}

/// A hit that sorts by distance, then address.
struct Nearest(Hit);

impl Ord for Nearest {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.distance.total_cmp(&other.0.distance).then(self.0.id.cmp(&other.0.id))
    }
}

impl PartialOrd for Nearest {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Nearest {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Nearest {}
