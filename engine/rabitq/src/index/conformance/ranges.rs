//! Conformance of range searches: all vectors within a radius, for any radius, with and without a filter.

use roaring::RoaringTreemap;

use super::{Case, Hit, SearchParams, Suite, assert_same};
use crate::metric::Metric;
use crate::vector::{Dim, VectorBatch};

impl Suite {
    pub(super) fn ranges_hold_all_that_is_near(&self) {
        for metric in Metric::ALL {
            for dim in [3, 65] {
                let case = Case::new(metric, dim, 3000);
                let index = self.build(&case);
                let few: RoaringTreemap = case.ids.iter().copied().step_by(50).chain([5 << 40]).collect();
                let many: RoaringTreemap = case.ids.iter().copied().filter(|id| id % 3 > 0).collect();
                // Also from far outside, where an estimate may be below what is possible.
                let far = case.queries(1)[0].iter().map(|value| 40.0 * value).collect();
                for query in case.queries(3).into_iter().chain([far]) {
                    let ranking = self.ranking(index.as_ref(), &case, &query);
                    for rank in [0, 1, 10, 500, 2999] {
                        // The distance itself is inside, the next smaller number is not.
                        let distance = ranking[rank].distance;
                        for radius in [distance, distance.next_down(), distance.next_up()] {
                            for filter in [None, Some(&few), Some(&many), Some(&RoaringTreemap::new())] {
                                let hits = index.range_search(&query, radius, filter).unwrap();
                                let what = format!("{self}, {metric}, dim {dim}, radius {radius}");
                                assert_same(&hits, &within(&ranking, radius, filter), what);
                            }
                        }
                    }
                }
            }
        }
    }

    /// The centroid of an index begun empty is no vector's neighbour: nothing hides what rounding does.
    pub(super) fn ranges_of_an_index_begun_empty_hold_what_is_on_their_edge(&self) {
        for metric in Metric::ALL {
            for dim in [64, 128, 300] {
                let case = Case::new(metric, dim, 200);
                let none = VectorBatch::new(Dim::new(dim).unwrap(), &[]).unwrap();
                let mut index = self.kind.build(None, none, &self.params(metric), None).unwrap();
                index.add_batch(&case.ids, case.vectors()).unwrap();
                for (_, query) in case.rows().step_by(20) {
                    let nearest = index.search(query, &SearchParams::new(1)).unwrap()[0];
                    let hits = index.range_search(query, nearest.distance, None).unwrap();
                    assert_eq!(hits.first(), Some(&nearest), "{self}, {metric}, dim {dim}");
                }
            }
        }
    }

    pub(super) fn ranges_take_any_number(&self) {
        for metric in Metric::ALL {
            let case = Case::new(metric, 20, 700);
            let index = self.build(&case);
            let query = &case.queries(1)[0];
            let ranking = self.ranking(index.as_ref(), &case, query);
            for radius in [f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN, -1.0, -0.0, 0.0, 1e-40] {
                let hits = index.range_search(query, radius, None).unwrap();
                assert_same(&hits, &within(&ranking, radius, None), format!("{self}, {metric}, radius {radius}"));
            }
            let error = index.range_search(query, f32::NAN, None).unwrap_err();
            assert_eq!(error.to_string(), "radius is out of range: expected a number, got NaN");
        }
    }
}

/// All of a ranking that is no farther than `radius`.
fn within(ranking: &[Hit], radius: f32, filter: Option<&RoaringTreemap>) -> Vec<Hit> {
    let mut near = super::first(ranking, usize::MAX, filter);
    near.retain(|hit| hit.distance <= radius);
    near
}
