use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::{GROUP_DIMS, MAX_SQUARED_LENGTH, normalize, round_up};
use crate::kernel::{BLOCK_LEN, BlockFactors, GROUP_BYTES};
use crate::metric::{Metric, dot_f64};
use crate::rotation::Rotation;
use crate::vector::{Dim, VectorBatch};

/// Rows whose sums are made by one thread; fixed, so that the mean has the same bits for any number of threads.
const MEAN_CHUNK_ROWS: usize = 1024;

/// Turns vectors into codes: the rotation and the mean.
#[derive(Debug)]
pub(crate) struct Quantizer {
    pub(super) metric: Metric,
    pub(super) rotation: Rotation,
    pub(super) mean: Vec<f32>,
    /// The largest length of an encoded vector; scales the rounding term of the bound.
    pub(super) max_norm: f32,
}

/// Codes in blocks of 32 vectors, and the factors of each vector. Lanes after the last vector are zero.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct CodeBlocks {
    /// For each block `padded_dim / 4` rows of 16 bytes; see the scan kernel.
    pub(crate) codes: Vec<u8>,
    /// Per vector: `radius^2` for L2, `-<o - mean, mean>` for the others.
    pub(crate) f_add: Vec<f32>,
    /// Per vector: `-radius^2 / <residual, x>`, twice that for L2.
    pub(crate) f_rescale: Vec<f32>,
    /// Per vector: the standard deviation of the estimate for a query at length 1, rounded up.
    pub(crate) f_error: Vec<f32>,
}

struct Factors {
    add: f32,
    rescale: f32,
    error: f32,
}

impl Factors {
    /// For a vector that a code says nothing about: its lower bound is minus infinity, so it is always computed.
    const UNBOUNDED: Self = Self { add: 0.0, rescale: 0.0, error: f32::INFINITY };
}

impl Quantizer {
    /// Learns the mean of `vectors`, with their lengths made 1 first if the metric is cosine.
    pub(crate) fn train(metric: Metric, seed: u64, vectors: VectorBatch<'_>) -> Self {
        let dim = vectors.dim().get();
        let chunk_sums: Vec<(Vec<f64>, f64)> = vectors
            .values()
            .par_chunks(MEAN_CHUNK_ROWS * dim)
            .map(|chunk| {
                let mut sums = vec![0.0; dim];
                let mut row_buffer = vec![0.0; dim];
                let mut max_squared_norm = 0.0_f64;
                for row in chunk.chunks_exact(dim) {
                    let row = encoded_form(metric, row, &mut row_buffer);
                    sums.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value));
                    max_squared_norm = max_squared_norm.max(dot_f64(row, row));
                }
                (sums, max_squared_norm)
            })
            .collect();
        let mut sums = vec![0.0; dim];
        let mut max_squared_norm = 0.0_f64;
        for (chunk, chunk_max) in &chunk_sums {
            sums.iter_mut().zip(chunk).for_each(|(sum, value)| *sum += value);
            max_squared_norm = max_squared_norm.max(*chunk_max);
        }
        let num_vectors = vectors.num_vectors().max(1) as f64;
        let mean = sums.iter().map(|sum| (sum / num_vectors) as f32).collect();
        Self::from_parts(metric, vectors.dim(), seed, mean, round_up(max_squared_norm.sqrt()))
    }

    pub(crate) fn from_parts(metric: Metric, dim: Dim, seed: u64, mean: Vec<f32>, max_norm: f32) -> Self {
        Self { metric, rotation: Rotation::new(dim.get(), seed), mean, max_norm }
    }

    pub(crate) fn padded_dim(&self) -> usize {
        self.rotation.padded_dim()
    }

    pub(crate) fn mean(&self) -> &[f32] {
        &self.mean
    }

    pub(crate) fn max_norm(&self) -> f32 {
        self.max_norm
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        size_of_val(self.mean.as_slice()) + self.rotation.memory_bytes()
    }

    /// Encodes all vectors, blocks in parallel. `progress` is told how many vectors are done, from any thread.
    pub(crate) fn encode(&self, vectors: VectorBatch<'_>, progress: Option<&(dyn Fn(usize) + Sync)>) -> CodeBlocks {
        let dim = self.mean.len();
        let num_blocks = vectors.num_vectors().div_ceil(BLOCK_LEN);
        let block_bytes = block_bytes(self.padded_dim());
        let lanes = num_blocks * BLOCK_LEN;
        let mut blocks = CodeBlocks {
            codes: vec![0; num_blocks * block_bytes],
            f_add: vec![0.0; lanes],
            f_rescale: vec![0.0; lanes],
            f_error: vec![0.0; lanes],
        };
        let done = AtomicUsize::new(0);
        let rows = vectors.values().par_chunks(BLOCK_LEN * dim);
        rows.zip(blocks.codes.par_chunks_mut(block_bytes))
            .zip(blocks.f_add.par_chunks_mut(BLOCK_LEN))
            .zip(blocks.f_rescale.par_chunks_mut(BLOCK_LEN))
            .zip(blocks.f_error.par_chunks_mut(BLOCK_LEN))
            .for_each_init(
                || Encoder::new(self),
                |encoder, ((((rows, codes), f_add), f_rescale), f_error)| {
                    for (lane, row) in rows.chunks_exact(dim).enumerate() {
                        let factors = encoder.encode(row, lane, codes);
                        (f_add[lane], f_rescale[lane], f_error[lane]) = (factors.add, factors.rescale, factors.error);
                    }
                    if let Some(progress) = progress {
                        let block_len = rows.len() / dim;
                        progress(done.fetch_add(block_len, Ordering::Relaxed) + block_len);
                    }
                },
            );
        blocks
    }
}

impl CodeBlocks {
    /// The factors of block `block`.
    pub(super) fn factors(&self, block: usize) -> BlockFactors<'_> {
        let (add, rescale, error) =
            (self.f_add.as_chunks().0, self.f_rescale.as_chunks().0, self.f_error.as_chunks().0);
        BlockFactors { add: &add[block], rescale: &rescale[block], error: &error[block] }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        let factors = self.f_add.capacity() + self.f_rescale.capacity() + self.f_error.capacity();
        self.codes.capacity() + factors * size_of::<f32>()
    }
}

/// Bytes of the codes of one block of 32 vectors.
pub(crate) fn block_bytes(padded_dim: usize) -> usize {
    padded_dim / GROUP_DIMS * GROUP_BYTES
}

/// The vector a metric encodes: for cosine a copy of length 1, else the vector itself.
fn encoded_form<'a>(metric: Metric, vector: &'a [f32], buffer: &'a mut [f32]) -> &'a [f32] {
    match metric {
        Metric::L2 | Metric::InnerProduct => vector,
        Metric::Cosine => {
            normalize(vector, buffer);
            buffer
        }
    }
}

/// The buffers of one thread.
struct Encoder<'a> {
    quantizer: &'a Quantizer,
    vector: Vec<f32>,
    residual: Vec<f32>,
    rotated: Vec<f32>,
}

impl<'a> Encoder<'a> {
    fn new(quantizer: &'a Quantizer) -> Self {
        let dim = quantizer.mean.len();
        let (vector, residual) = (vec![0.0; dim], vec![0.0; dim]);
        Self { quantizer, vector, residual, rotated: vec![0.0; quantizer.padded_dim()] }
    }

    /// Sets the bits of lane `lane` in the block `codes`, which are zero before, and returns the factors.
    fn encode(&mut self, vector: &[f32], lane: usize, codes: &mut [u8]) -> Factors {
        let Quantizer { metric, rotation, mean, .. } = self.quantizer;
        let vector = encoded_form(*metric, vector, &mut self.vector);
        for ((residual, value), mean) in self.residual.iter_mut().zip(vector).zip(mean) {
            *residual = value - mean;
        }
        rotation.rotate(&self.residual, &mut self.rotated);
        let (byte, shift) = (lane % GROUP_BYTES, lane / GROUP_BYTES * 4);
        for (group, row) in self.rotated.as_chunks::<GROUP_DIMS>().0.iter().zip(codes.chunks_exact_mut(GROUP_BYTES)) {
            let bits = group.iter().enumerate().fold(0, |bits, (i, &value)| bits | u8::from(value >= 0.0) << i);
            row[byte] |= bits << shift;
        }
        factors(*metric, mean, &self.residual, &self.rotated)
    }
}

/// The three factors of a vector, from its distance to the mean before and after the rotation.
fn factors(metric: Metric, mean: &[f32], residual: &[f32], rotated: &[f32]) -> Factors {
    let padded_dim = rotated.len() as f64;
    let squared_radius = dot_f64(rotated, rotated);
    // <residual, x>: x has the sign of the residual in every coordinate, and size 1/2.
    let product = 0.5 * rotated.iter().map(|value| f64::from(value.abs())).sum::<f64>();
    let along_mean = match metric {
        Metric::L2 => 0.0,
        Metric::InnerProduct | Metric::Cosine => dot_f64(residual, mean),
    };
    if !(squared_radius <= MAX_SQUARED_LENGTH && along_mean.abs() <= MAX_SQUARED_LENGTH) {
        return Factors::UNBOUNDED;
    }
    let (rescale, deviation) = if product > 0.0 {
        let inverse_squared_cosine = squared_radius * (padded_dim / 4.0) / (product * product);
        let error_length = (squared_radius * (inverse_squared_cosine - 1.0).max(0.0)).sqrt();
        (-squared_radius / product, error_length / (padded_dim - 1.0).sqrt())
    } else {
        (0.0, 0.0)
    };
    match metric {
        Metric::L2 => {
            Factors { add: squared_radius as f32, rescale: (2.0 * rescale) as f32, error: round_up(2.0 * deviation) }
        }
        Metric::InnerProduct | Metric::Cosine => {
            Factors { add: (-along_mean) as f32, rescale: rescale as f32, error: round_up(deviation) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_data::clustered;

    #[test]
    fn codes_do_not_depend_on_the_number_of_threads() {
        let values = clustered(1, 3000, 65, 10);
        let vectors = VectorBatch::new(Dim::new(65).unwrap(), &values).unwrap();
        let encode = |num_threads: usize, metric| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(num_threads).build().unwrap();
            pool.install(|| {
                let quantizer = Quantizer::train(metric, 42, vectors);
                (quantizer.mean.clone(), quantizer.encode(vectors, None))
            })
        };
        for metric in Metric::ALL {
            assert!(encode(1, metric) == encode(4, metric), "{metric}");
        }
    }

    #[test]
    fn a_vector_at_the_mean_has_no_error() {
        let values = vec![3.0; 5 * 10];
        let vectors = VectorBatch::new(Dim::new(10).unwrap(), &values).unwrap();
        let quantizer = Quantizer::train(Metric::L2, 42, vectors);
        let blocks = quantizer.encode(vectors, None);
        assert_eq!(quantizer.mean(), [3.0; 10]);
        assert_eq!(blocks.f_add, [0.0; 32]);
        assert_eq!(blocks.f_rescale, [0.0; 32]);
        assert_eq!(blocks.f_error, [0.0; 32]);
    }

    #[test]
    fn a_vector_too_long_to_estimate_is_always_computed() {
        let values = [3e38, -3e38, 1.0, 1.0];
        let vectors = VectorBatch::new(Dim::new(2).unwrap(), &values).unwrap();
        for metric in [Metric::L2, Metric::InnerProduct] {
            let blocks = Quantizer::train(metric, 42, vectors).encode(vectors, None);
            assert_eq!(blocks.f_error[0], f32::INFINITY, "{metric}");
        }
    }

    #[test]
    fn progress_counts_every_vector() {
        let values = clustered(1, 100, 8, 2);
        let vectors = VectorBatch::new(Dim::new(8).unwrap(), &values).unwrap();
        let most = AtomicUsize::new(0);
        let progress = |done: usize| _ = most.fetch_max(done, Ordering::Relaxed);
        Quantizer::train(Metric::L2, 42, vectors).encode(vectors, Some(&progress));
        assert_eq!(most.into_inner(), 100);
    }
}
