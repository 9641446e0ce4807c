use super::quantizer::{CodeBlocks, Quantizer, block_bytes};
use super::{GROUP_DIMS, MAX_SQUARED_LENGTH, normalize};
use crate::kernel::{self, BLOCK_LEN, Kernels, QueryTerms, TABLE_LEN};
use crate::metric::{Metric, dot_f64};

/// What f32 sums may be off by, relative to the lengths that enter them; far below the error of one bit.
const ROUNDING: f64 = 4e-6;

/// A query as the scan reads it.
#[derive(Debug)]
pub(crate) struct QueryCode {
    kernels: &'static Kernels,
    /// For each group of 4 dimensions the 16 sums of subsets of its coordinates, in units of a step above the smallest.
    tables: Vec<u8>,
    terms: QueryTerms,
}

impl QueryCode {
    /// Prepares `query` for scans over codes that `quantizer` made. `epsilon` is the width of the error bound in
    /// standard deviations.
    pub(crate) fn new(quantizer: &Quantizer, query: &[f32], epsilon: f32) -> Self {
        let Quantizer { metric, rotation, mean, max_norm } = quantizer;
        let mut normalized = Vec::new();
        let query = if *metric == Metric::Cosine {
            normalized.resize(query.len(), 0.0);
            normalize(query, &mut normalized);
            &normalized
        } else {
            query
        };
        let (query_along_mean, squared_mean) = (dot_f64(query, mean), dot_f64(mean, mean));
        let mean_share = match metric {
            Metric::L2 => 1.0,
            Metric::InnerProduct | Metric::Cosine if squared_mean > 0.0 => query_along_mean / squared_mean,
            Metric::InnerProduct | Metric::Cosine => 0.0,
        };
        let residual: Vec<f32> = query
            .iter()
            .zip(mean)
            .map(|(&value, &mean)| (f64::from(value) - mean_share * f64::from(mean)) as f32)
            .collect();
        let mut rotated = vec![0.0; rotation.padded_dim()];
        rotation.rotate(&residual, &mut rotated);

        let squared_length = dot_f64(&rotated, &rotated);
        let squared_norm = dot_f64(query, query);
        let (add, rounding) = match metric {
            Metric::L2 => (squared_length, squared_length),
            Metric::InnerProduct => {
                (-query_along_mean, squared_norm.sqrt() * f64::from(*max_norm) + query_along_mean.abs())
            }
            Metric::Cosine => (1.0 - query_along_mean, 2.0),
        };
        // Beyond this the estimates could overflow: an infinite error leaves every vector to the exact distance.
        let lengths = [squared_length, squared_norm, add.abs(), squared_norm * mean_share * mean_share];
        let can_overflow = !lengths.iter().all(|&value| value <= MAX_SQUARED_LENGTH);
        let rounding = if can_overflow { f64::INFINITY } else { ROUNDING * rounding };

        let tables = Tables::new(&rotated);
        let table_deviation = tables.step * (rotated.len() as f64 / (12 * GROUP_DIMS) as f64).sqrt();
        let terms = QueryTerms {
            step: tables.step as f32,
            smallest_product: tables.smallest_product as f32,
            add: add as f32,
            add_scale: mean_share as f32,
            error_scale: (f64::from(epsilon) * squared_length.sqrt()) as f32,
            table_error: (f64::from(epsilon) * table_deviation) as f32,
            rounding: rounding as f32,
            rounding_share: ROUNDING as f32,
        };
        Self { kernels: kernel::best(), tables: tables.entries, terms }
    }

    /// Returns for each of the 32 vectors of block `block` a distance that the true one is not below, but for the chance
    /// that `epsilon` leaves: finite, or minus infinity for a vector that must be computed.
    pub(crate) fn lower_bounds(&self, blocks: &CodeBlocks, block: usize) -> [f32; BLOCK_LEN] {
        (self.kernels.lower_bounds)(&self.sums(blocks, block), &blocks.factors(block), &self.terms)
    }

    fn sums(&self, blocks: &CodeBlocks, block: usize) -> [u32; BLOCK_LEN] {
        let block_bytes = self.tables.len();
        let mut sums = [0; BLOCK_LEN];
        (self.kernels.scan_block)(&blocks.codes[block * block_bytes..][..block_bytes], &self.tables, &mut sums);
        sums
    }
}

struct Tables {
    entries: Vec<u8>,
    step: f64,
    /// Minus half the sum of absolute coordinates: the smallest value of `<x, v>`.
    smallest_product: f64,
}

impl Tables {
    /// The sum of a subset is smallest for all negative coordinates of the group, and largest for all positive ones, so
    /// a table spans the sum of absolute values. One step fits all groups: 255 steps are the widest span.
    fn new(rotated: &[f32]) -> Self {
        let (groups, _) = rotated.as_chunks::<GROUP_DIMS>();
        let span = |group: &[f32; GROUP_DIMS]| group.iter().map(|value| f64::from(value.abs())).sum::<f64>();
        let widest = groups.iter().map(span).fold(0.0, f64::max);
        let to_steps = if widest > 0.0 { 255.0 / widest } else { 0.0 };
        let mut entries = vec![0; block_bytes(rotated.len())];
        for (group, table) in groups.iter().zip(entries.as_chunks_mut::<TABLE_LEN>().0) {
            let smallest: f64 = group.iter().map(|&value| f64::from(value.min(0.0))).sum();
            let mut sums = [0.0; TABLE_LEN];
            for (i, &value) in group.iter().enumerate() {
                for bits in 0..1 << i {
                    sums[bits + (1 << i)] = sums[bits] + f64::from(value);
                }
            }
            for (entry, sum) in table.iter_mut().zip(sums) {
                // A cast from float to u8 saturates: a last bit of rounding cannot leave 0..=255.
                *entry = ((sum - smallest) * to_steps + 0.5) as u8;
            }
        }
        let step = widest / 255.0;
        Self { entries, step, smallest_product: -0.5 * groups.iter().map(span).sum::<f64>() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_data::{Random, clustered};
    use crate::vector::{Dim, VectorBatch};

    const SEED: u64 = 7;
    const NUM_VECTORS: usize = 2000;

    #[test]
    fn true_distances_are_inside_the_bound() {
        for metric in Metric::ALL {
            for dim in [3, 64, 65, 384] {
                let errors = signed_errors(metric, dim, 3.0, SEED);
                let inside = errors.iter().filter(|(error, bound)| error.abs() <= *bound).count();
                let share = inside as f64 / errors.len() as f64;
                assert!(share >= 0.99, "{metric} dim {dim} seed {SEED}: only {share} inside the bound");
            }
        }
    }

    #[test]
    fn one_epsilon_is_at_least_one_standard_deviation() {
        for metric in Metric::ALL {
            let errors = signed_errors(metric, 384, 1.0, SEED);
            let inside = errors.iter().filter(|(error, bound)| error.abs() <= *bound).count();
            let share = inside as f64 / errors.len() as f64;
            assert!((0.66..0.95).contains(&share), "{metric} seed {SEED}: {share} inside one epsilon");
        }
    }

    /// The mean of the errors, each in units of its own deviation, over many rotations: one rotation moves all its
    /// estimates together, so rotations are the independent samples.
    #[test]
    fn the_estimate_is_unbiased() {
        const ROTATIONS: u64 = 64;
        for metric in Metric::ALL {
            let means: Vec<f64> = (0..ROTATIONS)
                .map(|seed| {
                    let errors = signed_errors(metric, 128, 1.0, seed);
                    errors.iter().map(|&(error, deviation)| f64::from(error / deviation)).sum::<f64>()
                        / errors.len() as f64
                })
                .collect();
            let mean = means.iter().sum::<f64>() / ROTATIONS as f64;
            let variance = means.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / (ROTATIONS - 1) as f64;
            let standard_error = (variance / ROTATIONS as f64).sqrt();
            assert!(mean.abs() < 3.5 * standard_error, "{metric}: mean error {mean}, standard error {standard_error}");
            assert!(mean.abs() < 0.02, "{metric}: mean error {mean} deviations");
        }
    }

    #[test]
    fn queries_without_length_or_limits_are_bounded() {
        let values = clustered(SEED, 32, 16, 3);
        let vectors = VectorBatch::new(Dim::new(16).unwrap(), &values).unwrap();
        for metric in Metric::ALL {
            let quantizer = Quantizer::train(metric, SEED, vectors);
            let blocks = quantizer.encode(vectors, None);
            for value in [0.0, 1e-40, 1e30, 3e38] {
                let query = [value; 16];
                let lower = QueryCode::new(&quantizer, &query, 3.0).lower_bounds(&blocks, 0);
                for (row, bound) in vectors.rows().zip(lower) {
                    let distance = metric.distance(&query, row);
                    assert!(bound <= distance, "{metric} query of {value}: bound {bound} above {distance}");
                }
            }
        }
    }

    /// (estimate - true distance, error bound) for some queries and all vectors.
    fn signed_errors(metric: Metric, dim: usize, epsilon: f32, seed: u64) -> Vec<(f32, f32)> {
        let values = clustered(SEED, NUM_VECTORS, dim, 20);
        let vectors = VectorBatch::new(Dim::new(dim).unwrap(), &values).unwrap();
        let quantizer = Quantizer::train(metric, seed, vectors);
        let blocks = quantizer.encode(vectors, None);
        let mut random = Random::new(SEED + 1);
        let mut errors = Vec::new();
        for _ in 0..4 {
            let row = random.below(NUM_VECTORS);
            let noise = random.gaussians(dim);
            let query: Vec<f32> = values[row * dim..][..dim].iter().zip(noise).map(|(x, n)| x + 0.5 * n).collect();
            let query_code = QueryCode::new(&quantizer, &query, epsilon);
            for (block, rows) in values.chunks(BLOCK_LEN * dim).enumerate() {
                let (sums, factors) = (query_code.sums(&blocks, block), blocks.factors(block));
                for (lane, row) in rows.chunks_exact(dim).enumerate() {
                    let factors = [factors.add[lane], factors.rescale[lane], factors.error[lane]];
                    let (estimate, error_bound) = query_code.terms.estimate(sums[lane], factors);
                    errors.push((estimate - metric.distance(&query, row), error_bound));
                }
            }
        }
        errors
    }
}
