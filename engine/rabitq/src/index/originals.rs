//! The original vectors of an index: rows of f32 go in, exact distances from a query to a row come out.

use super::values::Values;
use crate::metric::{self, ExactQuery, Metric};
use crate::vector::{Dim, VectorBatch};

/// The vectors as they were given, by row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Originals {
    dim: Dim,
    metric: Metric,
    /// Row-major `[num_vectors, dim]`.
    values: Values,
    /// The squared norm of every row if the metric is cosine, else nothing.
    squared_norms: Vec<f32>,
}

impl Originals {
    /// Takes the vectors: whole rows of finite values only.
    pub(crate) fn new(metric: Metric, dim: Dim, values: Values) -> Self {
        let mut originals = Self { dim, metric, values, squared_norms: Vec::new() };
        originals.measure();
        originals
    }

    /// Appends the vectors.
    pub(crate) fn extend(&mut self, vectors: VectorBatch<'_>) {
        self.values.extend_from_slice(vectors.values());
        self.measure();
    }

    fn measure(&mut self) {
        if self.metric == Metric::Cosine {
            let new = &self.values[self.squared_norms.len() * self.dim.get()..];
            self.squared_norms.extend(new.chunks_exact(self.dim.get()).map(metric::squared_norm));
        }
    }

    /// Forgets `row`; the last one takes its place.
    pub(crate) fn swap_remove(&mut self, row: usize) {
        let dim = self.dim.get();
        let last = self.values.len() - dim;
        self.values.copy_within(last.., row * dim);
        self.values.truncate(last);
        if self.metric == Metric::Cosine {
            self.squared_norms.swap_remove(row);
        }
    }

    pub(crate) fn values(&self) -> &[f32] {
        &self.values
    }

    /// Returns true if some values are known to be wrong. It makes no system call.
    pub(crate) fn is_damaged(&self) -> bool {
        self.values.is_damaged()
    }

    /// Returns true if all values that were read until now are right.
    pub(crate) fn verify(&self) -> bool {
        self.values.verify()
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        (self.values.capacity() + self.squared_norms.capacity()) * size_of::<f32>()
    }

    /// The exact distance from the query to the vector in `row`.
    #[inline]
    pub(super) fn distance(&self, query: &ExactQuery<'_>, row: usize) -> f32 {
        query.distance(self.row(row), self.squared_norms.get(row).copied().unwrap_or_default())
    }

    #[inline]
    pub(super) fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.dim.get()..][..self.dim.get()]
    }
}
