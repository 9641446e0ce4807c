//! The frame of the codes: [`Quantizer`] learns the origin from the vectors of a build. A vector of `dim` values goes in, a
//! rotated one of `padded_dim` values comes out.

use rayon::prelude::*;

use crate::metric::{Metric, dot_f64};
use crate::rotation::Rotation;
use crate::vector::{Dim, VectorBatch};

/// Rows whose sums are made by one thread; fixed, so that the mean has the same bits for any number of threads.
const MEAN_CHUNK_ROWS: usize = 1024;

/// The frame that vectors are encoded in: the rotation and the origin.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Quantizer {
    metric: Metric,
    rotation: Rotation,
    /// The mean of the vectors with L2; all zeros otherwise.
    origin: Vec<f32>,
}

impl Quantizer {
    /// Learns the mean of `vectors` if the metric is L2.
    pub(crate) fn train(metric: Metric, seed: u64, vectors: VectorBatch<'_>) -> Self {
        let origin = match metric {
            Metric::L2 => mean(metric, vectors),
            Metric::InnerProduct | Metric::Cosine => vec![0.0; vectors.dim().get()],
        };
        Self::from_parts(metric, vectors.dim(), seed, origin)
    }

    pub(crate) fn from_parts(metric: Metric, dim: Dim, seed: u64, origin: Vec<f32>) -> Self {
        Self { metric, rotation: Rotation::new(dim.get(), seed), origin }
    }

    pub(crate) fn metric(&self) -> Metric {
        self.metric
    }

    pub(crate) fn padded_dim(&self) -> usize {
        self.rotation.padded_dim()
    }

    pub(crate) fn origin(&self) -> &[f32] {
        &self.origin
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        size_of_val(self.origin.as_slice()) + self.rotation.memory_bytes()
    }

    /// The mean of `vectors` as codes see it: what one list for all of them is made around.
    pub(crate) fn centre(&self, vectors: VectorBatch<'_>) -> Vec<f32> {
        let mut centre = vec![0.0; self.padded_dim()];
        if self.metric != Metric::L2 {
            centre[..self.origin.len()].copy_from_slice(&mean(self.metric, vectors));
            self.rotation.rotate(&mut centre);
        }
        centre
    }

    /// Writes `vector` (`dim` values) as codes see it to `rotated` (`padded_dim` values): for cosine with length 1, else
    /// relative to the origin; then rotated.
    pub(crate) fn rotate(&self, vector: &[f32], rotated: &mut [f32]) {
        let dim = self.origin.len();
        let input = &mut rotated[..dim];
        match self.metric {
            Metric::L2 => {
                for ((input, value), origin) in input.iter_mut().zip(vector).zip(&self.origin) {
                    *input = value - origin;
                }
            }
            Metric::InnerProduct => input.copy_from_slice(vector),
            Metric::Cosine => normalize(vector, input),
        }
        self.rotation.rotate(rotated);
    }
}

/// Writes `vector` with length 1 to `output`; a zero vector stays zero.
#[expect(clippy::cast_possible_truncation, reason = "coordinates are f32")]
fn normalize(vector: &[f32], output: &mut [f32]) {
    let length = dot_f64(vector, vector).sqrt();
    let scale = if length > 0.0 { 1.0 / length } else { 0.0 };
    for (output, &value) in output.iter_mut().zip(vector) {
        *output = (f64::from(value) * scale) as f32;
    }
}

/// The mean of the vectors, with their lengths made 1 first if the metric is cosine.
#[expect(clippy::cast_possible_truncation, reason = "coordinates are f32")]
fn mean(metric: Metric, vectors: VectorBatch<'_>) -> Vec<f32> {
    let dim = vectors.dim().get();
    let chunks = vectors.values().par_chunks(MEAN_CHUNK_ROWS * dim);
    let sum_of_chunk = |chunk: &[f32]| {
        let mut sums = vec![0.0_f64; dim];
        let mut normalized = vec![0.0; dim];
        for row in chunk.chunks_exact(dim) {
            let row = if metric == Metric::Cosine {
                normalize(row, &mut normalized);
                &normalized
            } else {
                row
            };
            sums.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value));
        }
        sums
    };
    let chunk_sums: Vec<Vec<f64>> = chunks.map(sum_of_chunk).collect();
    let mut sums = vec![0.0; dim];
    for chunk in &chunk_sums {
        sums.iter_mut().zip(chunk).for_each(|(sum, value)| *sum += value);
    }
    let num_vectors = vectors.num_vectors().max(1) as f64;
    sums.iter().map(|sum| (sum / num_vectors) as f32).collect()
}
