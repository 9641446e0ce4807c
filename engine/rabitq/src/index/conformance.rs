use roaring::RoaringTreemap;

use super::{BuildParams, Hit, SearchParams, VectorIndex};
use crate::error::ErrorKind;
use crate::metric::Metric;
use crate::test_data::{Random, clustered};
use crate::vector::{Dim, VectorBatch};

const SEED: u64 = 11;

const DIMS: [usize; 6] = [1, 3, 64, 65, 200, 384];

/// What every kind of index promises, against brute force. `build` makes the index; of the ten nearest vectors at least
/// the share `min_recall` must be found.
pub(super) fn index_conformance(
    min_recall: f64,
    build: impl Fn(Option<&[u64]>, VectorBatch<'_>, &BuildParams) -> Box<dyn VectorIndex>,
) {
    let suite = Suite { build, min_recall };
    suite.finds_the_nearest();
    suite.filters_keep_k_answers();
    suite.ties_go_to_the_smaller_id();
    suite.k_may_exceed_what_there_is();
    suite.empty_index_answers_nothing();
    suite.refuses_what_is_wrong();
    suite.knows_its_vectors();
    suite.survives_any_finite_number();
}

struct Suite<B> {
    build: B,
    min_recall: f64,
}

impl<B> Suite<B>
where
    B: Fn(Option<&[u64]>, VectorBatch<'_>, &BuildParams) -> Box<dyn VectorIndex>,
{
    fn build(&self, metric: Metric, dim: usize, ids: Option<&[u64]>, values: &[f32]) -> Box<dyn VectorIndex> {
        let vectors = VectorBatch::new(Dim::new(dim).unwrap(), values).unwrap();
        (self.build)(ids, vectors, &BuildParams::new(metric).with_seed(SEED))
    }

    fn finds_the_nearest(&self) {
        for metric in Metric::ALL {
            for dim in DIMS {
                let case = Case::new(metric, dim, 3000);
                let index = self.build(metric, dim, Some(&case.ids), &case.values);
                let (mut found, mut wanted) = (0, 0);
                for query in case.queries(10) {
                    // A floor of one candidate for each answer: the error bound must find the others.
                    let hits = index.search(&query, &SearchParams::new(10).with_rerank_factor(1)).unwrap();
                    let expected = case.nearest(&query, 10, None);
                    case.assert_sorted_and_exact(&query, &hits);
                    found += hits.iter().filter(|hit| hit.distance <= expected[9].distance).count();
                    wanted += expected.len();
                }
                let recall = f64::from(found as u32) / f64::from(wanted as u32);
                assert!(recall >= self.min_recall, "{metric} dim {dim} seed {SEED}: recall {recall}");
            }
        }
    }

    fn filters_keep_k_answers(&self) {
        for metric in Metric::ALL {
            let case = Case::new(metric, 65, 3000);
            let index = self.build(metric, 65, Some(&case.ids), &case.values);
            for modulus in [1, 2, 10, 100, 1000, 100_000] {
                let filter: RoaringTreemap = case.ids.iter().copied().filter(|id| id % modulus == 0).collect();
                for query in case.queries(3) {
                    for rerank_factor in [1, 20] {
                        let params = SearchParams::new(10).with_filter(&filter).with_rerank_factor(rerank_factor);
                        let hits = index.search(&query, &params).unwrap();
                        let expected = case.nearest(&query, 10, Some(&filter));
                        assert_eq!(hits, expected, "{metric} every {modulus}th id, seed {SEED}");
                    }
                }
            }
        }
    }

    fn ties_go_to_the_smaller_id(&self) {
        // Every vector four times, under ids whose order is not that of rows.
        let (dim, distinct) = (16, 200);
        let quarter = clustered(SEED, distinct, dim, 5);
        let values = quarter.repeat(4);
        let ids: Vec<u64> = (0..4 * distinct as u64).map(|row| row * 7919 % 100_003).collect();
        for metric in Metric::ALL {
            let case = Case { metric, dim, ids: ids.clone(), values: values.clone() };
            let index = self.build(metric, dim, Some(&case.ids), &case.values);
            for query in case.queries(5) {
                for k in [1, 2, 3, 5, 8] {
                    let hits = index.search(&query, &SearchParams::new(k).with_rerank_factor(1)).unwrap();
                    assert_eq!(hits, case.nearest(&query, k, None), "{metric} k {k} seed {SEED}");
                }
            }
        }
        let same = vec![1.5; 100 * dim];
        let index = self.build(Metric::L2, dim, None, &same);
        let hits = index.search(&vec![1.5; dim], &SearchParams::new(3).with_rerank_factor(1)).unwrap();
        assert_eq!(hits, [0, 1, 2].map(|id| Hit { id, distance: 0.0 }));
    }

    fn k_may_exceed_what_there_is(&self) {
        for num_vectors in [1, 31, 32, 33] {
            let case = Case::new(Metric::L2, 8, num_vectors);
            let index = self.build(Metric::L2, 8, Some(&case.ids), &case.values);
            let query = &case.queries(1)[0];
            for k in [num_vectors, num_vectors + 1, 1000, usize::MAX] {
                let hits = index.search(query, &SearchParams::new(k)).unwrap();
                assert_eq!(hits, case.nearest(query, num_vectors, None), "k {k} of {num_vectors}");
            }
        }
    }

    fn empty_index_answers_nothing(&self) {
        for metric in Metric::ALL {
            let index = self.build(metric, 7, None, &[]);
            assert_eq!((index.len(), index.is_empty(), index.dim().get(), index.metric()), (0, true, 7, metric));
            assert_eq!(index.search(&[1.0; 7], &SearchParams::new(3)).unwrap(), []);
            assert_eq!(index.search(&[1.0; 6], &SearchParams::new(3)).unwrap_err().kind(), ErrorKind::InvalidInput);
        }
    }

    fn refuses_what_is_wrong(&self) {
        let index = self.build(Metric::L2, 3, None, &[1.0; 9]);
        let message = |query: &[f32], k| {
            let error = index.search(query, &SearchParams::new(k)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            error.to_string()
        };
        assert_eq!(message(&[0.0; 3], 0), "k is out of range: expected at least 1, got 0");
        assert_eq!(message(&[0.0; 4], 1), "query has the wrong dimension: expected 3, got 4");
        assert_eq!(message(&[], 1), "query has the wrong dimension: expected 3, got 0");
        assert_eq!(
            message(&[0.0, f32::NAN, 0.0], 1),
            "query has a component that is not finite: component 1, expected a finite number, got NaN"
        );
        assert_eq!(
            message(&[0.0, 0.0, f32::INFINITY], 1),
            "query has a component that is not finite: component 2, expected a finite number, got inf"
        );
    }

    fn knows_its_vectors(&self) {
        let case = Case::new(Metric::Cosine, 20, 70);
        let index = self.build(Metric::Cosine, 20, Some(&case.ids), &case.values);
        assert_eq!(index.ids(), case.ids);
        assert_eq!(index.len(), 70);
        assert!(index.memory_bytes() >= 70 * 20 * 4);
        if let Some(vector) = index.vector(case.ids[33]) {
            assert_eq!(vector, case.values[33 * 20..34 * 20]);
        }
        assert_eq!(index.vector(u64::MAX), None);
        assert!(format!("{index:?}").len() < 300, "a log line shows what an index is, not its vectors");
    }

    fn survives_any_finite_number(&self) {
        let dim = 4;
        let mut values = clustered(SEED, 500, dim, 3);
        let extremes = [0.0, -0.0, f32::MAX, f32::MIN, 1e30, -1e30, 1e-30, f32::MIN_POSITIVE, 1e-45];
        let mut random = Random::new(SEED);
        for row in 0..40 {
            for i in 0..dim {
                values[row * 11 * dim + i] = extremes[random.below(extremes.len())];
            }
        }
        for metric in Metric::ALL {
            let case = Case { metric, dim, ids: (0..500).collect(), values: values.clone() };
            let index = self.build(metric, dim, None, &values);
            for extreme in extremes {
                for query in [[extreme; 4], [extreme, 1.0, 0.0, -extreme], [1.0, extreme, 2.0, 0.5]] {
                    let hits = index.search(&query, &SearchParams::new(10).with_rerank_factor(1)).unwrap();
                    case.assert_sorted_and_exact(&query, &hits);
                    assert_eq!(hits, case.nearest(&query, 10, None), "{metric} query {query:?} seed {SEED}");
                }
            }
        }
    }
}

/// Vectors, their ids, and brute force over them.
struct Case {
    metric: Metric,
    dim: usize,
    ids: Vec<u64>,
    values: Vec<f32>,
}

impl Case {
    /// Ids are rows of three files, not in order.
    fn new(metric: Metric, dim: usize, num_vectors: usize) -> Self {
        let ids = (0..num_vectors as u64).map(|row| (2 - row % 3) << 32 | (row * 7)).collect();
        Self { metric, dim, ids, values: clustered(SEED ^ dim as u64, num_vectors, dim, 20) }
    }

    fn rows(&self) -> impl Iterator<Item = (u64, &[f32])> {
        self.ids.iter().copied().zip(self.values.chunks_exact(self.dim))
    }

    /// Near some of the vectors, equal to none.
    fn queries(&self, num_queries: usize) -> Vec<Vec<f32>> {
        let mut random = Random::new(SEED + 1);
        let query = |_| {
            let row = random.below(self.ids.len()) * self.dim;
            self.values[row..row + self.dim].iter().map(|value| value + 0.3 * random.gaussian()).collect()
        };
        (0..num_queries).map(query).collect()
    }

    fn nearest(&self, query: &[f32], k: usize, filter: Option<&RoaringTreemap>) -> Vec<Hit> {
        let matching = self.rows().filter(|(id, _)| filter.is_none_or(|filter| filter.contains(*id)));
        let mut hits: Vec<Hit> =
            matching.map(|(id, row)| Hit { id, distance: self.metric.distance(query, row) }).collect();
        hits.sort_by(|a, b| a.distance.total_cmp(&b.distance).then(a.id.cmp(&b.id)));
        hits.truncate(k);
        hits
    }

    fn assert_sorted_and_exact(&self, query: &[f32], hits: &[Hit]) {
        assert!(hits.is_sorted_by(|a, b| (a.distance, a.id) < (b.distance, b.id)), "not sorted: {hits:?}");
        for hit in hits {
            let (_, row) = self.rows().find(|&(id, _)| id == hit.id).unwrap();
            assert_eq!(hit.distance.to_bits(), self.metric.distance(query, row).to_bits());
        }
    }
}
