//! Tests of the estimates against true distances: the error bound, the bias, and the gain of four bits over one.

use super::*;
use crate::code::{CodeBlocks, Encoder, Factors, Rows, row_bytes, set_lane, train_centroids};
use crate::kernel::{BLOCK_LEN, QueryPass, Survivors};
use crate::test_data::{Random, clustered};
use crate::vector::{Dim, VectorBatch};

const SEED: u64 = 7;
const NUM_VECTORS: usize = 2000;

/// The method that estimates the distance of a vector.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Estimate {
    /// One bit, by tables: what a scan gives.
    Tables,
    /// One bit, by the floats of the query.
    Floats,
    /// Four bits.
    Row,
}

const ESTIMATES: [Estimate; 3] = [Estimate::Tables, Estimate::Floats, Estimate::Row];

#[test]
fn true_distances_are_inside_the_bound() {
    for metric in Metric::ALL {
        for (dim, nlist) in [(1, 1), (3, 1), (64, 1), (64, 10), (65, 1), (384, 1), (384, 10)] {
            let case = Case::new(metric, dim, nlist, SEED);
            for estimate in ESTIMATES {
                let errors = case.errors(estimate, 3.0);
                let share = share_inside(&errors);
                assert!(share >= 0.99, "{metric} dim {dim} {nlist} lists {estimate:?} seed {SEED}: {share} inside");
            }
        }
    }
}

#[test]
fn one_epsilon_is_at_least_one_standard_deviation() {
    for metric in Metric::ALL {
        for nlist in [1, 10] {
            let case = Case::new(metric, 384, nlist, SEED);
            for estimate in ESTIMATES {
                let share = share_inside(&case.errors(estimate, 1.0));
                assert!(
                    (0.66..0.95).contains(&share),
                    "{metric} {nlist} lists {estimate:?}: {share} inside one epsilon"
                );
            }
        }
    }
}

/// The mean of the errors, each in units of its own deviation, over many rotations: one rotation moves all its
/// estimates together, so rotations are the independent samples.
#[test]
fn the_estimate_is_unbiased() {
    const ROTATIONS: u64 = 64;
    for metric in Metric::ALL {
        let values = clustered(SEED, NUM_VECTORS, 128, 20);
        let cases: Vec<Case> = (0..ROTATIONS).map(|seed| Case::of(metric, 128, 1, seed, values.clone())).collect();
        for estimate in ESTIMATES {
            let mean_of = |case: &Case| {
                let errors = case.errors(estimate, 1.0);
                errors.iter().map(|&(error, deviation)| f64::from(error / deviation)).sum::<f64>() / errors.len() as f64
            };
            let means: Vec<f64> = cases.iter().map(mean_of).collect();
            let mean = means.iter().sum::<f64>() / ROTATIONS as f64;
            let variance = means.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / (ROTATIONS - 1) as f64;
            let standard_error = (variance / ROTATIONS as f64).sqrt();
            let what = format!("{metric} {estimate:?}: mean error {mean}, standard error {standard_error}");
            assert!(mean.abs() < 3.5 * standard_error && mean.abs() < 0.02, "{what} deviations");
        }
    }
}

/// Seven times by the theory: codes of one bit leave 0.756 of a deviation, those of four 0.107.
#[test]
fn four_bits_are_seven_times_as_exact_as_one() {
    for metric in Metric::ALL {
        let case = Case::new(metric, 384, 1, SEED);
        let deviation = |estimate| {
            let errors = case.errors(estimate, 1.0);
            (errors.iter().map(|(error, _)| f64::from(error * error)).sum::<f64>() / errors.len() as f64).sqrt()
        };
        let [tables, floats, row] = ESTIMATES.map(deviation);
        assert!(floats <= 1.01 * tables, "{metric}: tables add an error, {tables} to {floats}");
        assert!(tables <= 1.2 * floats, "{metric}: a small one, {tables} to {floats}");
        assert!(row < tables / 6.5, "{metric}: {row} with four bits, {tables} with one");
    }
}

#[test]
fn queries_without_length_or_limits_are_bounded() {
    for metric in Metric::ALL {
        for nlist in [1, 3] {
            let case = Case::new(metric, 16, nlist, SEED);
            for value in [0.0, 1e-45, 1e-40, 1e-30, 1e15, 1e18, 1e30, 3e38] {
                let query = [value; 16];
                for estimate in ESTIMATES {
                    for (row, (estimated, bound)) in case.vectors().rows().zip(case.estimates(estimate, &query, 8.0)) {
                        let distance = metric.distance(&query, row);
                        let lower = estimated - bound;
                        let what = format!("{metric} {estimate:?} query of {value}: bound {lower} above {distance}");
                        assert!(lower.is_nan() || lower <= distance, "{what}");
                    }
                }
            }
        }
    }
}

/// Nothing in a list is nearer than what is possible.
#[test]
fn no_vector_is_nearer_than_possible() {
    for metric in Metric::ALL {
        let case = Case::new(metric, 64, 20, SEED);
        let far: Vec<f32> = case.queries()[0].iter().map(|value| 30.0 * value).collect();
        for query in case.queries().iter().chain([&far]) {
            let code = QueryCode::new(&case.quantizer, query, 3.0);
            for (list, rows) in case.lists.iter().enumerate() {
                let terms = code.list_terms(&case.centroids, list);
                let possible = code.nearest_possible(&terms, case.radii[list]);
                let distance = |&row: &usize| f64::from(metric.distance(query, case.vectors().row(row)));
                let nearest = rows.iter().map(distance).fold(f64::INFINITY, f64::min);
                assert!(possible <= nearest, "{metric} list {list}: {possible} is above {nearest}");
                let is_far = *query == far && metric == Metric::L2;
                assert!(!is_far || possible > 0.8 * nearest, "{metric} list {list}: {possible} is far below {nearest}");
            }
        }
    }
}

fn share_inside(errors: &[(f32, f32)]) -> f64 {
    errors.iter().filter(|(error, bound)| error.abs() <= *bound).count() as f64 / errors.len() as f64
}

/// Vectors, encoded in lists.
struct Case {
    dim: usize,
    values: Vec<f32>,
    quantizer: Quantizer,
    centroids: Centroids,
    /// The rows of each list.
    lists: Vec<Vec<usize>>,
    /// For each list its codes, with four bits too.
    codes: Vec<(CodeBlocks, Vec<Vec<u8>>)>,
    radii: Vec<f32>,
}

impl Case {
    fn new(metric: Metric, dim: usize, nlist: usize, seed: u64) -> Self {
        Self::of(metric, dim, nlist, seed, clustered(SEED, NUM_VECTORS, dim, 20))
    }

    fn of(metric: Metric, dim: usize, nlist: usize, seed: u64, values: Vec<f32>) -> Self {
        let vectors = VectorBatch::new(Dim::new(dim).unwrap(), &values).unwrap();
        let quantizer = Quantizer::train(metric, seed, vectors);
        let centroids = match nlist {
            1 => Centroids::single(&quantizer.centre(vectors)),
            _ => train_centroids(&quantizer, vectors, nlist, seed, &|| Ok(())).unwrap(),
        };
        // By turns, not by the nearest centroid: the bound holds around any.
        let lists: Vec<Vec<usize>> = (0..nlist).map(|list| (list..NUM_VECTORS).step_by(nlist).collect()).collect();
        let mut encoder = Encoder::new(&quantizer, &centroids);
        let (mut codes, mut radii) = (Vec::new(), Vec::new());
        for (list, rows) in lists.iter().enumerate() {
            let mut blocks = CodeBlocks::zeroed(quantizer.padded_dim(), rows.len());
            let (mut four_bits, mut radius) = (Vec::new(), 0.0_f32);
            for (block, rows) in blocks.blocks_mut().zip(rows.chunks(BLOCK_LEN)) {
                for (lane, &row) in rows.iter().enumerate() {
                    let mut bytes = vec![0; row_bytes(quantizer.padded_dim())];
                    let (factors, distance) = encoder.encode(vectors.row(row), list, Some(&mut bytes));
                    set_lane(block, quantizer.padded_dim(), lane, &encoder.nibbles, factors);
                    four_bits.push(bytes);
                    radius = radius.max(distance);
                }
            }
            codes.push((blocks, four_bits));
            radii.push(radius);
        }
        Self { dim, values, quantizer, centroids, lists, codes, radii }
    }

    fn vectors(&self) -> VectorBatch<'_> {
        VectorBatch::new(Dim::new(self.dim).unwrap(), &self.values).unwrap()
    }

    /// Near some of the vectors.
    fn queries(&self) -> Vec<Vec<f32>> {
        let mut random = Random::new(SEED + 1);
        let query = |_| {
            let row = random.below(NUM_VECTORS) * self.dim;
            self.values[row..row + self.dim].iter().map(|value| value + 0.5 * random.gaussian()).collect()
        };
        (0..4).map(query).collect()
    }

    /// (estimate - true distance, error bound) for some queries and all vectors.
    fn errors(&self, estimate: Estimate, epsilon: f32) -> Vec<(f32, f32)> {
        let errors_of = |query: &Vec<f32>| {
            let metric = self.quantizer.metric();
            let distances: Vec<f32> = self.vectors().rows().map(|row| metric.distance(query, row)).collect();
            let estimates = self.estimates(estimate, query, epsilon).into_iter();
            estimates.zip(distances).map(|((estimate, bound), distance)| (estimate - distance, bound)).collect()
        };
        self.queries().iter().flat_map(|query| -> Vec<(f32, f32)> { errors_of(query) }).collect()
    }

    /// (estimate, error bound) of all vectors, by row.
    fn estimates(&self, estimate: Estimate, query: &[f32], epsilon: f32) -> Vec<(f32, f32)> {
        let code = QueryCode::new(&self.quantizer, query, epsilon);
        let mut estimates = vec![(0.0, 0.0); NUM_VECTORS];
        for (list, (blocks, four_bits)) in self.codes.iter().enumerate() {
            let terms = code.list_terms(&self.centroids, list);
            let of_list: Vec<(f32, f32)> = match estimate {
                Estimate::Tables => scanned(&code, &terms, blocks),
                Estimate::Floats => {
                    let mut nibbles = vec![0; self.quantizer.padded_dim() / 4];
                    let mut estimate = |slot| {
                        let factors: Factors = blocks.vector(slot, &mut nibbles);
                        code.float_estimate(&terms, &nibbles, factors)
                    };
                    (0..blocks.len()).map(&mut estimate).collect()
                }
                Estimate::Row => {
                    let rows = Rows::from_bytes(self.quantizer.padded_dim(), four_bits.concat());
                    let slots: Vec<u32> = (0..four_bits.len() as u32).collect();
                    let mut survivors = Survivors::default();
                    code.scan_rows(&terms, &rows, &slots, f32::INFINITY, &mut survivors);
                    bounds_of_all(&survivors, four_bits.len())
                }
            };
            self.lists[list].iter().zip(of_list).for_each(|(&row, estimate)| estimates[row] = estimate);
        }
        estimates
    }
}

/// (estimate, error bound) of every vector of a list, as a scan finds them.
fn scanned(code: &QueryCode, terms: &ListTerms, blocks: &CodeBlocks) -> Vec<(f32, f32)> {
    let mut survivors = Survivors::default();
    let threshold = f32::INFINITY;
    let pass =
        QueryPass { tables: code.tables(), terms: terms.bits, threshold, masks: None, survivors: &mut survivors };
    (code.kernels().scan)(&blocks.run(0..blocks.num_blocks()), &mut [pass]);
    bounds_of_all(&survivors, blocks.len())
}

fn bounds_of_all(survivors: &Survivors, num_vectors: usize) -> Vec<(f32, f32)> {
    assert_eq!(survivors.len(), num_vectors, "every vector survives a threshold without end");
    survivors.estimates.iter().zip(&survivors.bounds).map(|(estimate, lower)| (*estimate, estimate - lower)).collect()
}
