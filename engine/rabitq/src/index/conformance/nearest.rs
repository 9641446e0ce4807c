//! Conformance of searches: recall, exact distances, ties, a large `k`, and batches that answer as single queries do.

use roaring::RoaringTreemap;

use super::{Case, Exactness, Hit, SEED, Suite, assert_same, assert_sorted, everywhere, first};
use crate::index::{BuildParams, DEFAULT_EPSILON, IndexKind, SearchParams, VectorIndex};
use crate::metric::Metric;
use crate::test_data::clustered;
use crate::vector::{Dim, VectorBatch};

const DIMS: [usize; 6] = [1, 3, 64, 65, 200, 384];

/// The largest mean error of estimates, as a share of how far distances are from their mean.
const ONE_BIT_ERROR: f64 = 0.6;
const FOUR_BITS_ERROR: f64 = 0.06;

impl Suite {
    pub(super) fn finds_the_nearest(&self) {
        for metric in Metric::ALL {
            for dim in DIMS {
                let case = Case::new(metric, dim, 3000);
                let what = format!("{self}, {metric}, dim {dim}");
                let index = self.build(&case);
                let default = self.build_with(&case, &self.params(metric).with_epsilon(DEFAULT_EPSILON));
                let (mut found, queries) = (0, case.queries(10));
                for query in &queries {
                    let expected = first(&self.ranking(index.as_ref(), &case, query), 10, None);
                    let hits = index.search(query, &everywhere(index.as_ref(), 10)).unwrap();
                    assert_same(&hits, &expected, &what);
                    let hits = default.search(query, &everywhere(default.as_ref(), 10)).unwrap();
                    assert_sorted(&hits, &what);
                    found += case.found(query, &hits);
                    self.assert_distances_are_right(default.as_ref(), &case, query, &what);
                }
                let recall = found as f64 / (10 * queries.len()) as f64;
                // In few dimensions neighbours are nearer to each other than any estimate can tell.
                assert!(recall >= self.min_recall() || self.estimates() && dim < 64, "{what}: recall {recall}");
            }
        }
    }

    /// The share of the nearest that the default width of the bound must find.
    pub(super) fn min_recall(&self) -> f64 {
        match self.exactness {
            Exactness::Exact => 1.0,
            Exactness::Bounded => 0.99,
            Exactness::Estimates { min_recall } => min_recall,
        }
    }

    /// Exact to the bit where the kind says so; else wrong by less than distances differ among each other.
    fn assert_distances_are_right(&self, index: &dyn VectorIndex, case: &Case, query: &[f32], what: &str) {
        let hits = index.search(query, &everywhere(index, case.ids.len())).unwrap();
        assert_eq!(hits.len(), case.ids.len(), "{what}: every vector is an answer if so many are asked for");
        let distances = case.true_distances(query, &hits);
        let pairs = || hits.iter().zip(&distances).map(|(hit, &distance)| (hit.distance, distance));
        if !self.estimates() {
            assert!(pairs().all(|(got, expected)| got.to_bits() == expected.to_bits()), "{what}: distances are exact");
            return;
        }
        let share = 1.0 / hits.len() as f64;
        let mean = share * distances.iter().map(|&distance| f64::from(distance)).sum::<f64>();
        let spread = share * distances.iter().map(|&distance| (f64::from(distance) - mean).abs()).sum::<f64>();
        let error = share * pairs().map(|(got, expected)| f64::from(got - expected).abs()).sum::<f64>();
        let max_error = if self.kind == IndexKind::IvfRabitq { FOUR_BITS_ERROR } else { ONE_BIT_ERROR };
        assert!(error <= max_error * spread, "{what}: mean error {error}, mean deviation of distances {spread}");
    }

    pub(super) fn more_lists_find_more(&self) {
        if self.kind != IndexKind::IvfRabitq {
            return;
        }
        for metric in Metric::ALL {
            let case = Case::new(metric, 64, 5000);
            let index = self.build_with(&case, &self.params(metric).with_epsilon(DEFAULT_EPSILON));
            assert_eq!(index.nlist(), 4 * 70, "{self}: four lists for each vector of the square root");
            let queries = case.queries(50);
            let recall = |params: &SearchParams<'_>| -> f64 {
                let found = |query: &Vec<f32>| case.found(query, &index.search(query, params).unwrap());
                queries.iter().map(found).sum::<usize>() as f64 / (10 * queries.len()) as f64
            };
            let recalls = [1, 4, 16, 64, 280].map(|nprobe| recall(&SearchParams::new(10).with_nprobe(nprobe)));
            let default = recall(&SearchParams::new(10));
            assert!(recalls.is_sorted() && recalls[0] < recalls[4], "{self}, {metric}: recalls {recalls:?}");
            assert!(recalls[4] >= self.min_recall(), "{self}, {metric}: recall {} of all lists", recalls[4]);
            assert!(default >= 0.9 * self.min_recall(), "{self}, {metric}: recall {default} by default");
            let beyond = index.search(&queries[0], &SearchParams::new(10).with_nprobe(usize::MAX)).unwrap();
            let all = index.search(&queries[0], &SearchParams::new(10).with_nprobe(280)).unwrap();
            assert_same(&beyond, &all, self);
        }
    }

    pub(super) fn ties_go_to_the_smaller_id(&self) {
        // Every vector four times, under ids whose order is not that of rows.
        let (dim, distinct) = (16, 200);
        let values = clustered(SEED, distinct, dim, 5).repeat(4);
        let ids: Vec<u64> = (0..4 * distinct as u64).map(|row| row * 7919 % 100_003).collect();
        for metric in Metric::ALL {
            let case = Case { metric, dim, ids: ids.clone(), values: values.clone() };
            let index = self.build(&case);
            for query in case.queries(5) {
                let ranking = self.ranking(index.as_ref(), &case, &query);
                for k in [1, 2, 3, 5, 8] {
                    let hits = index.search(&query, &everywhere(index.as_ref(), k)).unwrap();
                    assert_same(&hits, &ranking[..k], format!("{self}, {metric}, k {k}"));
                }
            }
        }
        let same = vec![1.5; 2500 * dim];
        let vectors = VectorBatch::new(Dim::new(dim).unwrap(), &same).unwrap();
        for metric in Metric::ALL {
            let index = self.kind.build(None, vectors, &self.params(metric), None).unwrap();
            let hits = index.search(&vec![1.5; dim], &everywhere(index.as_ref(), 40)).unwrap();
            assert!(hits.iter().map(|hit| hit.id).eq(0..40), "{self}, {metric}: {hits:?}");
        }
    }

    /// Whatever the number of lists looked into, as many answers come back as there are, up to `k`.
    pub(super) fn k_may_exceed_what_there_is(&self) {
        for num_vectors in [1, 31, 32, 33, 300] {
            let case = Case::new(Metric::L2, 8, num_vectors);
            let index = self.build(&case);
            let query = &case.queries(1)[0];
            let ranking = self.ranking(index.as_ref(), &case, query);
            for k in [num_vectors - num_vectors / 10, num_vectors, num_vectors + 1, 1000, usize::MAX] {
                let what = format!("{self}, k {k} of {num_vectors}");
                let hits = index.search(query, &everywhere(index.as_ref(), k)).unwrap();
                assert_same(&hits, &ranking[..k.min(num_vectors)], &what);
                for params in [SearchParams::new(k), SearchParams::new(k).with_rerank_factor(1).with_nprobe(1)] {
                    let hits = index.search(query, &params).unwrap();
                    assert_sorted(&hits, &what);
                    assert_eq!(hits.len(), k.min(num_vectors), "{what}, {params:?}");
                }
            }
        }
    }

    pub(super) fn batches_answer_as_single_queries_do(&self) {
        for metric in Metric::ALL {
            let case = Case::new(metric, 65, 3000);
            let index = self.build_with(&case, &BuildParams::new(metric).with_originals(self.keep_originals));
            let filter = case.ids.iter().copied().filter(|id| id % 3 == 0).collect();
            for num_queries in [0, 1, 2, 7, 8, 9, 33] {
                let queries = case.queries(num_queries);
                let values = queries.concat();
                let batch = VectorBatch::new(Dim::new(65).unwrap(), &values).unwrap();
                for params in [
                    SearchParams::new(10),
                    SearchParams::new(1).with_nprobe(3).with_rerank_factor(1),
                    SearchParams::new(10).with_filter(&filter),
                    SearchParams::new(5000),
                ] {
                    let answers = index.search_batch(batch, &params).unwrap();
                    assert_eq!(answers.len(), num_queries, "{self}: one answer for each query");
                    for (query, hits) in queries.iter().zip(answers) {
                        let what = format!("{self}, {metric}, {num_queries} queries, k {}", params.k);
                        assert_same(&hits, &index.search(query, &params).unwrap(), what);
                    }
                }
            }
        }
    }

    /// So many queries in so few lists that they go by list, in waves, with filters of every kind.
    pub(super) fn batches_that_meet_in_lists_answer_as_single_queries_do(&self) {
        let case = Case::new(Metric::L2, 16, 40_000);
        let params = BuildParams { nlist: Some(12), ..self.params(Metric::L2) };
        let index = self.build_with(&case, &params);
        let queries = case.queries(40);
        let values = queries.concat();
        let batch = VectorBatch::new(Dim::new(16).unwrap(), &values).unwrap();
        let half: RoaringTreemap = case.ids.iter().copied().filter(|id| id % 2 == 0).collect();
        let few: RoaringTreemap = case.ids.iter().copied().step_by(18).collect();
        let strangers: RoaringTreemap = (0..3000).map(|id| 1 << 50 | id).collect();
        for filter in [None, Some(&half), Some(&few), Some(&strangers)] {
            for nprobe in [1, 2, 9, 12] {
                let params = SearchParams { filter, ..SearchParams::new(10).with_nprobe(nprobe).with_rerank_factor(1) };
                let answers = index.search_batch(batch, &params).unwrap();
                for (query, hits) in queries.iter().zip(answers) {
                    let expected = index.search(query, &params).unwrap();
                    let allowed = filter.map_or(usize::MAX, |filter| filter.len() as usize);
                    assert_same(&hits, &expected, format!("{self}, nprobe {nprobe}, {allowed} allowed"));
                }
            }
        }
    }
}

impl Case {
    /// The number of hits, of the first ten, that are as near as the tenth nearest vector.
    fn found(&self, query: &[f32], hits: &[Hit]) -> usize {
        let tenth = self.ranking(query)[9].distance;
        self.true_distances(query, hits).iter().take(10).filter(|&&distance| distance <= tenth).count()
    }
}
