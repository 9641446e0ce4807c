//! The interface of all kinds of index: queries and [`SearchParams`] go in, [`Hit`]s come out, nearest first.

use std::fmt;

use roaring::RoaringTreemap;

use super::core::{Attributes, Core};
use super::hit::Hit;
use super::kind::IndexKind;
use super::originals::Originals;
use super::params::{BuildParams, SearchParams};
use crate::error::{Error, Result};
use crate::metric::Metric;
use crate::vector::{Dim, VectorBatch, check_query};

/// Answers nearest-neighbour queries over vectors held in memory. Searching takes `&self` and is safe from many threads.
///
/// No distance overflows: coordinates are bounded by [`Metric::max_coordinate`]. Squared distances and inner products
/// below 1e-30 may have lost bits to underflow; [`Metric::score`] of the originals has them.
///
/// Every kind has the same parts, so a kind implements nothing but [`core`](Self::core).
pub trait VectorIndex: Send + Sync + fmt::Debug {
    /// The parts.
    #[doc(hidden)]
    fn core(&self) -> &Core;

    /// The parts, to change.
    #[doc(hidden)]
    fn core_mut(&mut self) -> &mut Core;

    /// Returns the kind of the index.
    fn kind(&self) -> IndexKind {
        self.core().kind
    }

    /// Coordinates per vector.
    fn dim(&self) -> Dim {
        self.core().dim
    }

    /// Returns the metric of the distances.
    fn metric(&self) -> Metric {
        self.build_params().metric
    }

    /// The parameters it was built with.
    fn build_params(&self) -> &BuildParams {
        &self.core().params
    }

    /// Number of vectors.
    fn len(&self) -> usize {
        self.core().len()
    }

    /// Returns true if there are no vectors.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of lists that the vectors are in, at least 1.
    fn nlist(&self) -> usize {
        self.core().lists.as_ref().map_or(1, |lists| lists.lists.len())
    }

    /// The id of every vector, by row: the order they were given in, until one is removed and the last takes its place.
    fn ids(&self) -> Vec<u64> {
        self.core().ids.iter().collect()
    }

    /// Returns true if there is a vector of this id.
    fn contains(&self, id: u64) -> bool {
        self.core().ids.row(id).is_some()
    }

    /// Returns the original vector behind `id`; nothing if there is no such id, or no originals are kept.
    fn vector(&self, id: u64) -> Option<&[f32]> {
        let row = self.core().ids.row(id)?;
        Some(self.core().originals.as_ref()?.row(row))
    }

    /// The originals, if they are kept: row-major `[len, dim]`, in the order of [`ids`](Self::ids).
    fn vectors(&self) -> Option<&[f32]> {
        self.core().originals.as_ref().map(Originals::values)
    }

    /// Returns the `min(k, matching)` nearest vectors, nearest first; ties by smaller id.
    ///
    /// `matching` is the number of vectors whose id is in the filter: with a filter `k` rows come back whenever `k` rows
    /// match.
    ///
    /// # Errors
    /// `InvalidInput` if `k` or `nprobe` is 0, if the query's dimension is not that of the index, or if a component of
    /// the query is NaN, infinite or above [`Metric::max_coordinate`]; `Corrupt` as [`verify`](Self::verify).
    fn search(&self, query: &[f32], params: &SearchParams<'_>) -> Result<Vec<Hit>> {
        params.check()?;
        let hits = self.core().nearest(check_query(query, self.dim(), self.metric())?, params);
        self.verify()?;
        Ok(hits)
    }

    /// Returns for each query what [`search`](Self::search) would, on all threads of the current rayon pool. Only where the
    /// error bound fails, as seldom as it may, another answer can be missed than there.
    ///
    /// # Errors
    /// As [`search`](Self::search); for queries and parameters, before anything is searched.
    fn search_batch(&self, queries: VectorBatch<'_>, params: &SearchParams<'_>) -> Result<Vec<Vec<Hit>>> {
        params.check()?;
        if queries.dim() != self.dim() {
            return Err(Error::invalid_input("queries have the wrong dimension")
                .with("expected", self.dim())
                .with("got", queries.dim()));
        }
        queries.check_fit(self.metric())?;
        let queries: Vec<&[f32]> = queries.rows().collect();
        let hits = self.core().nearest_batch(&queries, params);
        self.verify()?;
        Ok(hits)
    }

    /// Returns every vector whose distance is at most `radius`, in units of the metric, nearest first; ties by smaller id.
    /// The lists of an index are left out only where no vector of theirs can be that near.
    ///
    /// # Errors
    /// `InvalidInput` if the radius is not a number, or for a query as in [`search`](Self::search); `Corrupt` as there.
    fn range_search(&self, query: &[f32], radius: f32, filter: Option<&RoaringTreemap>) -> Result<Vec<Hit>> {
        if radius.is_nan() {
            return Err(Error::invalid_input("radius is out of range")
                .with("expected", "a number")
                .with("got", radius));
        }
        let hits = self.core().within(check_query(query, self.dim(), self.metric())?, radius, filter);
        self.verify()?;
        Ok(hits)
    }

    /// Checks that all vectors that were read until now are those of the index: its file, if it is
    /// [mapped](crate::load_mapped), was not cut short or written over. Searches and saving do it themselves. A
    /// caller that reads [`vector`](Self::vector) or [`vectors`](Self::vectors) calls it afterwards.
    ///
    /// # Errors
    /// `Corrupt` from then on, also of copies: build the index again, or load it if its file is whole.
    fn verify(&self) -> Result<()> {
        self.core().verify()
    }

    /// Returns true if [`verify`](Self::verify) is known to fail. It costs next to nothing.
    fn is_damaged(&self) -> bool {
        self.core().originals.as_ref().is_some_and(Originals::is_damaged)
    }

    /// Appends one vector under a new id.
    ///
    /// # Errors
    /// As [`add_batch`](Self::add_batch).
    fn add(&mut self, id: u64, vector: &[f32]) -> Result<()> {
        self.add_batch(&[id], VectorBatch::new(Dim::new(vector.len())?, vector)?)
    }

    /// Appends vectors under new ids, without a rebuild: the rotation, the origin and the centroids stay as they are.
    ///
    /// # Errors
    /// `InvalidInput` if the dimension is not that of the index, if a component is above [`Metric::max_coordinate`], if the
    /// number of ids is not that of the vectors, or if two ids are equal; `AlreadyExists` if the index has an id. Nothing is
    /// changed on error.
    fn add_batch(&mut self, ids: &[u64], vectors: VectorBatch<'_>) -> Result<()> {
        self.core_mut().add_batch(ids, vectors)
    }

    /// Removes the vectors behind `ids`, without a rebuild, and returns how many there were; an id that is not there is
    /// passed over.
    fn remove(&mut self, ids: &[u64]) -> usize {
        self.core_mut().remove(ids)
    }

    /// Gives every vector another id: `ids` is by row, as [`ids`](Self::ids) is.
    ///
    /// # Errors
    /// `InvalidInput` if their number is not that of the vectors, or if two are equal. Nothing is changed on error.
    fn renumber(&mut self, ids: Vec<u64>) -> Result<()> {
        self.core_mut().renumber(ids)
    }

    /// Bytes of memory held.
    fn memory_bytes(&self) -> usize {
        self.core().memory_bytes()
    }

    /// The attributes that the owner sealed into the index.
    fn attributes(&self) -> &Attributes {
        &self.core().attributes
    }

    /// The attributes that the owner seals into the index, to change; they are saved with it.
    fn attributes_mut(&mut self) -> &mut Attributes {
        &mut self.core_mut().attributes
    }
}

impl PartialEq for dyn VectorIndex {
    /// Returns true if both answer alike, now and after the same changes. They hold the same vectors under the same ids in the
    /// same rows, and were built in the same way with the same attributes.
    fn eq(&self, other: &Self) -> bool {
        self.core() == other.core()
    }
}
