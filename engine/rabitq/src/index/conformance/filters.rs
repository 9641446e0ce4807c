//! Conformance of filters: a filter of any selectivity leaves `k` answers, and a search of all lists finds the nearest allowed.

use roaring::RoaringTreemap;

use super::{Case, Suite, assert_same, assert_sorted, everywhere, first};
use crate::index::{SearchParams, VectorIndex};
use crate::metric::Metric;

/// Enough for every way that a filter is applied: to survivors, as masks of blocks, and before any code is looked at.
const NUM_VECTORS: usize = 20_000;

impl Suite {
    pub(super) fn filters_keep_k_answers(&self) {
        for metric in Metric::ALL {
            let case = Case::new(metric, 17, NUM_VECTORS);
            let index = self.build(&case);
            let filters = filters(&case);
            for query in case.queries(2) {
                let ranking = self.ranking(index.as_ref(), &case, &query);
                for (name, filter) in &filters {
                    let what = format!("{self}, {metric}, {name}");
                    for k in [1, 10, 1500] {
                        let params = everywhere(index.as_ref(), k).with_filter(filter);
                        let expected = first(&ranking, k, Some(filter));
                        assert_same(&index.search(&query, &params).unwrap(), &expected, format!("{what}, k {k}"));
                        assert_k_answers(index.as_ref(), &query, filter, k, expected.len(), &what);
                    }
                }
            }
        }
    }
}

/// However few lists a search looks into, `k` answers come back whenever `k` match.
fn assert_k_answers(
    index: &dyn VectorIndex,
    query: &[f32],
    filter: &RoaringTreemap,
    k: usize,
    expected: usize,
    what: &str,
) {
    for params in [SearchParams::new(k), SearchParams::new(k).with_rerank_factor(1).with_nprobe(1)] {
        let hits = index.search(query, &params.with_filter(filter)).unwrap();
        assert_sorted(&hits, what);
        assert_eq!(hits.len(), expected, "{what}, k {k}, nprobe {:?}", params.nprobe);
        assert!(hits.iter().all(|hit| filter.contains(hit.id)), "{what}: an answer is not in the filter");
    }
}

/// Filters of every selectivity, with and without ids that no vector has.
fn filters(case: &Case) -> Vec<(String, RoaringTreemap)> {
    let strangers = || (0..3000).map(|i| (5 << 32) + 3 * i);
    let every = |modulus: usize| case.ids.iter().copied().step_by(modulus);
    let mut filters =
        vec![("empty filter".to_owned(), RoaringTreemap::new()), ("only strangers".to_owned(), strangers().collect())];
    let mut wide: RoaringTreemap = every(1).collect();
    wide.insert_range(1 << 50..(1 << 50) + (1 << 31));
    filters.push(("all, and two billion strangers".to_owned(), wide));
    for modulus in [1, 2, 10, 18, 100, 1000, NUM_VECTORS] {
        filters.push((format!("one in {modulus}"), every(modulus).collect()));
        filters.push((format!("one in {modulus} and strangers"), every(modulus).chain(strangers()).collect()));
    }
    // All in one place: the first run of blocks, and the last ids of the last.
    filters.push(("the first hundred".to_owned(), case.ids[..100].iter().copied().collect()));
    filters.push(("the last hundred".to_owned(), case.ids[NUM_VECTORS - 100..].iter().copied().collect()));
    filters
}
