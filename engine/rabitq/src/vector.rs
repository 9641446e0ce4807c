//! Dimensions and batches of vectors, checked once.

use std::fmt;

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::metric::Metric;

/// The largest dimension a vector may have.
pub const MAX_DIM: usize = 16_384;

/// A vector dimension in `1..=16_384`. Holding one proves the check happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dim(u16);

impl Dim {
    /// Returns the dimension if it is in `1..=MAX_DIM`.
    ///
    /// # Errors
    /// `InvalidInput` otherwise.
    pub fn new(dim: usize) -> Result<Self> {
        match u16::try_from(dim) {
            Ok(value) if (1..=MAX_DIM).contains(&dim) => Ok(Self(value)),
            _ => Err(Error::invalid_input("dimension is out of range").with("expected", "1..=16384").with("got", dim)),
        }
    }

    /// The dimension as a number of coordinates.
    pub fn get(self) -> usize {
        usize::from(self.0)
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Vectors of one dimension, row-major `[num_vectors, dim]`.
///
/// Holding one proves that
/// * the number of values is a multiple of `dim`,
/// * every value is finite.
#[derive(Clone, Copy, Debug)]
pub struct VectorBatch<'a> {
    dim: Dim,
    values: &'a [f32],
}

impl<'a> VectorBatch<'a> {
    /// Checks the shape and every value, once.
    ///
    /// # Errors
    /// `InvalidInput` if the last row is incomplete, or if a value is NaN or infinite: the message names its row,
    /// component and value.
    pub fn new(dim: Dim, values: &'a [f32]) -> Result<Self> {
        if !values.len().is_multiple_of(dim.get()) {
            return Err(Error::invalid_input("the last vector is incomplete")
                .with("expected", format_args!("a multiple of {dim} values"))
                .with("got", values.len()));
        }
        if let Some(i) = first_beyond(values, f32::MAX) {
            return Err(Error::invalid_input("vector has a component that is not finite")
                .with("row", i / dim.get())
                .with("component", i % dim.get())
                .with("expected", "a finite number")
                .with("got", values[i]));
        }
        Ok(Self { dim, values })
    }

    /// Returns true if an index by `metric` takes all of them; see [`Metric::max_coordinate`].
    pub fn fits(&self, metric: Metric) -> bool {
        self.check_fit(metric).is_ok()
    }

    /// # Errors
    /// `InvalidInput` if an index by `metric` does not take one of them: the message names its row, component and value.
    pub(crate) fn check_fit(&self, metric: Metric) -> Result<()> {
        match first_beyond(self.values, metric.max_coordinate()) {
            None => Ok(()),
            Some(i) => {
                let (row, component) = (i / self.dim.get(), i % self.dim.get());
                let error = too_large("vector", metric).with("row", row).with("component", component);
                Err(largest_and_got(error, metric, self.values[i]))
            }
        }
    }

    /// Coordinates per vector.
    pub fn dim(&self) -> Dim {
        self.dim
    }

    /// Number of vectors.
    pub fn num_vectors(&self) -> usize {
        self.values.len() / self.dim.get()
    }

    /// All values, row by row.
    pub fn values(&self) -> &'a [f32] {
        self.values
    }

    /// Vector `row`.
    pub fn row(&self, row: usize) -> &'a [f32] {
        &self.values[row * self.dim.get()..][..self.dim.get()]
    }

    /// The vectors in order.
    pub fn rows(&self) -> std::slice::ChunksExact<'a, f32> {
        self.values.chunks_exact(self.dim.get())
    }
}

/// Returns the query itself if it has the index's dimension and only finite components that an index by `metric` takes.
pub(crate) fn check_query(query: &[f32], dim: Dim, metric: Metric) -> Result<&[f32]> {
    if query.len() != dim.get() {
        return Err(Error::invalid_input("query has the wrong dimension")
            .with("expected", dim)
            .with("got", query.len()));
    }
    if let Some(i) = first_beyond(query, f32::MAX) {
        return Err(Error::invalid_input("query has a component that is not finite")
            .with("component", i)
            .with("expected", "a finite number")
            .with("got", query[i]));
    }
    match first_beyond(query, metric.max_coordinate()) {
        None => Ok(query),
        Some(i) => Err(largest_and_got(too_large("query", metric).with("component", i), metric, query[i])),
    }
}

fn too_large(what: &str, metric: Metric) -> Error {
    Error::invalid_input(format!("{what} has a component that is too large for an index by {metric}"))
}

fn largest_and_got(error: Error, metric: Metric, got: f32) -> Error {
    let largest = metric.max_coordinate();
    error.with("expected", format_args!("at most {largest:e} in magnitude")).with("got", format_args!("{got:e}"))
}

/// Finds the first NaN, or number of a magnitude above `bound`, on all threads where there is much to look at.
fn first_beyond(values: &[f32], bound: f32) -> Option<usize> {
    const SHARE: usize = 1 << 20;
    if values.len() <= SHARE {
        return first_beyond_in(values, bound);
    }
    let shares = values.par_chunks(SHARE).enumerate();
    shares.find_map_first(|(share, values)| first_beyond_in(values, bound).map(|i| share * SHARE + i))
}

/// Whole chunks are tested without a branch per value, so the usual answer is quick.
fn first_beyond_in(values: &[f32], bound: f32) -> Option<usize> {
    const CHUNK: usize = 256;
    // False for what is not a number.
    let is_within = |value: &f32| value.abs() <= bound;
    let chunk_is_within = |chunk: &[f32]| chunk.iter().fold(true, |all, value| all & is_within(value));
    let chunk = values.chunks(CHUNK).position(|chunk| !chunk_is_within(chunk))?;
    let start = chunk * CHUNK;
    values[start..].iter().position(|value| !is_within(value)).map(|i| start + i)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_many_values_that_are_not_finite_is_named() {
        let mut values = vec![1.0; (1 << 22) + 3];
        VectorBatch::new(Dim::new(1).unwrap(), &values).unwrap();
        for i in [values.len() - 1, 3 << 20, (1 << 20) + 1] {
            values[i] = f32::NAN;
            let error = VectorBatch::new(Dim::new(1).unwrap(), &values).unwrap_err();
            assert!(error.to_string().contains(&format!("row {i},")), "{error}");
        }
    }

    #[test]
    fn dim_is_in_range() {
        assert!(Dim::new(0).is_err());
        assert_eq!(Dim::new(1).unwrap().get(), 1);
        assert_eq!(Dim::new(MAX_DIM).unwrap().get(), MAX_DIM);
        let error = Dim::new(MAX_DIM + 1).unwrap_err();
        assert_eq!(error.to_string(), "dimension is out of range: expected 1..=16384, got 16385");
    }

    #[test]
    fn batch_refuses_an_incomplete_row() {
        let error = VectorBatch::new(Dim::new(3).unwrap(), &[0.0; 7]).unwrap_err();
        assert_eq!(error.to_string(), "the last vector is incomplete: expected a multiple of 3 values, got 7");
    }

    #[test]
    fn batch_names_row_component_and_value() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut values = vec![1.0; 3000];
            values[2 * 1000 + 17] = bad;
            let error = VectorBatch::new(Dim::new(1000).unwrap(), &values).unwrap_err();
            let expected = format!(
                "vector has a component that is not finite: row 2, component 17, expected a finite number, got {bad}"
            );
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn batch_may_be_empty() {
        let batch = VectorBatch::new(Dim::new(3).unwrap(), &[]).unwrap();
        assert_eq!(batch.num_vectors(), 0);
        assert_eq!(batch.rows().count(), 0);
    }
}
