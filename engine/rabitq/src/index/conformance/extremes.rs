use super::{Case, SEED, Suite, assert_same, assert_sorted, everywhere};
use crate::index::SearchParams;
use crate::metric::Metric;
use crate::test_data::{Random, clustered};

const EXTREMES: [f32; 9] = [0.0, -0.0, f32::MAX, f32::MIN, 1e30, -1e30, 1e-30, f32::MIN_POSITIVE, 1e-45];

const DIM: usize = 4;

impl Suite {
    /// Vectors and queries of any finite numbers: answers are as exact as those of brute force, or at least sorted
    /// numbers where they are estimates.
    pub(super) fn survives_any_finite_number(&self) {
        for metric in Metric::ALL {
            let case = Case { metric, dim: DIM, ids: (0..500).collect(), values: values() };
            let index = self.build(&case);
            for extreme in EXTREMES {
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

    /// Its distance is beyond what a code can say: it is the last answer, not the first.
    pub(super) fn what_cannot_be_encoded_is_not_near(&self) {
        let case = Case::new(Metric::L2, 20, 300);
        let mut index = self.build(&case);
        index.add(1, &[1e18; 20]).unwrap();
        for query in case.queries(5) {
            let hits = index.search(&query, &everywhere(index.as_ref(), 301)).unwrap();
            assert_eq!((hits.len(), hits[300].id), (301, 1), "{self}");
            let ranges = index.range_search(&query, hits[299].distance, None).unwrap();
            assert_same(&ranges, &hits[..300], self);
        }
    }
}

/// Five hundred vectors, one in eleven of them of extremes.
fn values() -> Vec<f32> {
    let mut values = clustered(SEED, 500, DIM, 3);
    let mut random = Random::new(SEED);
    for row in 0..40 {
        for value in &mut values[row * 11 * DIM..][..DIM] {
            *value = EXTREMES[random.below(EXTREMES.len())];
        }
    }
    values
}
