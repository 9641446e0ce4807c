//! Conformance at the limits of f32: extreme coordinates give sorted distances without NaN, and coordinates that could
//! overflow are refused.

use super::{Case, SEED, Suite, assert_same, assert_sorted, everywhere};
use crate::error::ErrorKind;
use crate::index::SearchParams;
use crate::metric::Metric;
use crate::test_data::{Random, clustered};
use crate::vector::{Dim, VectorBatch};

/// The largest that an index takes, and numbers whose squares or products overflow or vanish.
fn extremes(metric: Metric) -> [f32; 9] {
    let largest = metric.max_coordinate();
    [0.0, -0.0, largest, -largest, largest.sqrt(), -largest / 8.0, 1e-30, f32::MIN_POSITIVE, 1e-45]
}

const DIM: usize = 4;

impl Suite {
    /// Vectors and queries of any numbers that an index takes: answers are as exact as those of brute force, or at least sorted
    /// numbers where they are estimates.
    pub(super) fn survives_any_number_it_takes(&self) {
        for metric in Metric::ALL {
            let case = Case { metric, dim: DIM, ids: (0..500).collect(), values: values(metric) };
            let index = self.build(&case);
            for extreme in extremes(metric) {
                for query in [[extreme; DIM], [extreme, 1.0, 0.0, -extreme], [1.0, extreme, 2.0, 0.5]] {
                    let what = format!("{self}, {metric}, query {query:?}");
                    let ranking = self.ranking(index.as_ref(), &case, &query);
                    let hits = index.search(&query, &everywhere(index.as_ref(), 10)).unwrap();
                    assert_sorted(&hits, &what);
                    assert_eq!(hits.len(), 10, "{what}");
                    let all = index.range_search(&query, f32::INFINITY, None).unwrap();
                    assert_sorted(&all, &what);
                    assert_same(&all, &ranking, format!("{what}, radius without end"));
                    if self.estimates() {
                        continue;
                    }
                    assert_same(&hits, &ranking[..10], &what);
                    for rank in [0, 5, 40, 300] {
                        let radius = ranking[rank].distance;
                        let expected = ranking.partition_point(|hit| hit.distance <= radius);
                        let near = index.range_search(&query, radius, None).unwrap();
                        assert_same(&near, &ranking[..expected], format!("{what}, radius {radius}"));
                    }
                    index.search(&query, &SearchParams::new(10)).unwrap();
                }
            }
        }
    }

    /// A refused vector is named, and changes nothing: a distance that overflows would have no place in the order.
    pub(super) fn refuses_what_overflows(&self) {
        let case = Case { metric: Metric::L2, dim: DIM, ids: vec![3, 4], values: vec![0.5; 2 * DIM] };
        for metric in [Metric::L2, Metric::InnerProduct] {
            let case = Case { metric, ..case.clone() };
            let mut index = self.build(&case);
            let beyond = [0.0, 0.0, -1.1e16, 0.0];
            let (vector, query) = ("vector", "query");
            let message = |what: &str, row: &str| {
                format!(
                    "{what} has a component that is too large for an index by {metric}: {row}component 2, expected at \
                     most 1e16 in magnitude, got -1.1e16"
                )
            };
            let assert = |error: crate::Error, message: String| {
                assert_eq!((error.kind(), error.to_string()), (ErrorKind::InvalidInput, message), "{self}");
            };
            let values = [[0.0; DIM], beyond].concat();
            let two = VectorBatch::new(Dim::new(DIM).unwrap(), &values).unwrap();
            assert(self.kind.build(None, two, &self.params(metric), None).unwrap_err(), message(vector, "row 1, "));
            assert(index.add_batch(&[7, 8], two).unwrap_err(), message(vector, "row 1, "));
            assert(index.add(7, &beyond).unwrap_err(), message(vector, "row 0, "));
            assert(index.search(&beyond, &SearchParams::new(1)).unwrap_err(), message(query, ""));
            assert(index.range_search(&beyond, 1.0, None).unwrap_err(), message(query, ""));
            assert(index.search_batch(two, &SearchParams::new(1)).unwrap_err(), message(vector, "row 1, "));
            assert_eq!((index.len(), index.ids()), (2, vec![3, 4]), "{self}");
        }
        // Only directions count.
        let mut index = self.build(&Case { metric: Metric::Cosine, ..case });
        index.add(7, &[f32::MAX; DIM]).unwrap();
        assert!(index.contains(7), "{self}");
    }

    /// Its distance is beyond what a code can say: it is the last answer, not the first.
    pub(super) fn what_cannot_be_encoded_is_not_near(&self) {
        let case = Case::new(Metric::L2, 20, 300);
        let mut index = self.build(&case);
        index.add(1, &[1e16; 20]).unwrap();
        for query in case.queries(5) {
            let hits = index.search(&query, &everywhere(index.as_ref(), 301)).unwrap();
            assert_eq!((hits.len(), hits[300].id), (301, 1), "{self}");
            let ranges = index.range_search(&query, hits[299].distance, None).unwrap();
            assert_same(&ranges, &hits[..300], self);
        }
    }
}

/// Five hundred vectors; every eleventh of the first 440 has extremes.
fn values(metric: Metric) -> Vec<f32> {
    let mut values = clustered(SEED, 500, DIM, 3);
    let mut random = Random::new(SEED);
    for row in 0..40 {
        for value in &mut values[row * 11 * DIM..][..DIM] {
            *value = extremes(metric)[random.below(extremes(metric).len())];
        }
    }
    values
}
