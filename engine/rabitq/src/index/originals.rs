use super::Hit;
use super::ids::{Ids, SlotSet};
use super::top_k::TopK;
use crate::error::Result;
use crate::metric::{self, ExactQuery, Metric};
use crate::vector::{Dim, VectorBatch};

/// The vectors as they were given, and their ids.
#[derive(Debug)]
pub(crate) struct Originals {
    dim: Dim,
    metric: Metric,
    ids: Ids,
    /// Row-major `[num_vectors, dim]`; a row's number is its slot.
    values: Vec<f32>,
    /// The squared norm of every row if the metric is cosine, else nothing.
    squared_norms: Vec<f32>,
}

impl Originals {
    /// Copies the vectors.
    pub(crate) fn copied_from(metric: Metric, ids: Option<&[u64]>, vectors: VectorBatch<'_>) -> Result<Self> {
        let ids = Ids::new(ids.map(<[u64]>::to_vec), vectors.num_vectors())?;
        Ok(Self::new(metric, vectors.dim(), ids, vectors.values().to_vec()))
    }

    /// Takes the vectors: one row for each id, finite values only.
    pub(crate) fn new(metric: Metric, dim: Dim, ids: Ids, values: Vec<f32>) -> Self {
        let squared_norms = match metric {
            Metric::Cosine => values.chunks_exact(dim.get()).map(metric::squared_norm).collect(),
            Metric::L2 | Metric::InnerProduct => Vec::new(),
        };
        Self { dim, metric, ids, values, squared_norms }
    }

    pub(super) fn dim(&self) -> Dim {
        self.dim
    }

    pub(super) fn metric(&self) -> Metric {
        self.metric
    }

    pub(super) fn ids(&self) -> &Ids {
        &self.ids
    }

    pub(super) fn values(&self) -> &[f32] {
        &self.values
    }

    pub(super) fn vector(&self, id: u64) -> Option<Vec<f32>> {
        self.ids.slot(id).map(|slot| self.row(slot).to_vec())
    }

    pub(super) fn memory_bytes(&self) -> usize {
        (self.values.capacity() + self.squared_norms.capacity()) * size_of::<f32>() + self.ids.memory_bytes()
    }

    /// The exact distance from the query to the vector in `slot`.
    pub(super) fn distance(&self, query: &ExactQuery<'_>, slot: usize) -> f32 {
        query.distance(self.row(slot), self.squared_norms.get(slot).copied().unwrap_or_default())
    }

    /// The `k` nearest of `slots`, by computing the distance to every one.
    pub(super) fn nearest(&self, query: &ExactQuery<'_>, k: usize, slots: &SlotSet) -> Vec<Hit> {
        let mut top = TopK::new(k.min(slots.len()));
        for slot in slots.iter() {
            let distance = self.distance(query, slot);
            if distance <= top.threshold() {
                top.push(distance, self.ids.id(slot));
            }
        }
        hits(top)
    }

    fn row(&self, slot: usize) -> &[f32] {
        &self.values[slot * self.dim.get()..][..self.dim.get()]
    }
}

/// The kept (distance, id) pairs as answers, nearest first.
pub(super) fn hits(top: TopK<u64>) -> Vec<Hit> {
    top.into_sorted().map(|(distance, id)| Hit { id, distance }).collect()
}
