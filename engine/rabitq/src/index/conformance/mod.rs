//! The promises of every kind of index, checked against brute force. A kind is tested by one call of [`index_conformance`].

use std::fmt::Display;

use roaring::RoaringTreemap;

use super::{BuildParams, Hit, IndexKind, SearchParams, VectorIndex};
use crate::metric::Metric;
use crate::test_data::{Random, clustered};
use crate::vector::{Dim, VectorBatch};

mod building;
mod changes;
mod extremes;
mod filters;
mod nearest;
mod ranges;
mod refusals;

/// Seed of the data, of the rotations and of every choice that a test makes.
const SEED: u64 = 11;

/// A bound so wide that no vector is ever outside of it: what is left to differ from brute force is a mistake.
const WIDE_EPSILON: f32 = 8.0;

/// The agreement of an index's answers with brute force.
#[derive(Clone, Copy, Debug)]
pub(super) enum Exactness {
    /// The same answers.
    Exact,
    /// The same distances, and the same answers as far as the error bound holds.
    Bounded,
    /// Distances are estimates.
    Estimates {
        /// The share of the ten nearest that must be among ten answers.
        min_recall: f64,
    },
}

/// Checks all that an index of this kind promises.
pub(super) fn index_conformance(kind: IndexKind, keep_originals: bool, exactness: Exactness) {
    let suite = Suite { kind, keep_originals, exactness };
    suite.finds_the_nearest();
    suite.more_lists_find_more();
    suite.ties_go_to_the_smaller_id();
    suite.k_may_exceed_what_there_is();
    suite.batches_answer_as_single_queries_do();
    suite.batches_that_meet_in_lists_answer_as_single_queries_do();
    suite.filters_keep_k_answers();
    suite.ranges_hold_all_that_is_near();
    suite.ranges_of_an_index_begun_empty_hold_what_is_on_their_edge();
    suite.ranges_take_any_number();
    suite.an_empty_index_can_be_filled();
    suite.changes_are_those_of_a_list();
    suite.everything_can_be_removed();
    suite.refuses_what_is_wrong();
    suite.refused_changes_change_nothing();
    suite.survives_any_number_it_takes();
    suite.refuses_what_overflows();
    suite.what_cannot_be_encoded_is_not_near();
    suite.knows_its_vectors();
    suite.progress_ends_with_all_vectors();
    suite.a_build_can_be_cancelled();
    suite.threads_do_not_change_answers();
}

#[derive(Clone, Copy)]
struct Suite {
    kind: IndexKind,
    keep_originals: bool,
    exactness: Exactness,
}

impl Suite {
    fn params(&self, metric: Metric) -> BuildParams {
        BuildParams::new(metric).with_seed(SEED).with_originals(self.keep_originals).with_epsilon(WIDE_EPSILON)
    }

    fn build(&self, case: &Case) -> Box<dyn VectorIndex> {
        self.build_with(case, &self.params(case.metric))
    }

    fn build_with(&self, case: &Case, params: &BuildParams) -> Box<dyn VectorIndex> {
        self.kind.build(Some(&case.ids), case.vectors(), params, None).unwrap()
    }

    fn estimates(&self) -> bool {
        matches!(self.exactness, Exactness::Estimates { .. })
    }

    /// Every vector, nearest first: by brute force, or by the estimates of the index for all of them.
    fn ranking(&self, index: &dyn VectorIndex, case: &Case, query: &[f32]) -> Vec<Hit> {
        if !self.estimates() {
            return case.ranking(query);
        }
        let hits = index.search(query, &everywhere(index, usize::MAX)).unwrap();
        assert_eq!(hits.len(), case.ids.len(), "{self}: every vector is an answer if so many are asked for");
        assert_sorted(&hits, self);
        hits
    }
}

impl Display for Suite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let originals = if self.keep_originals { "" } else { " without originals" };
        write!(f, "{}{originals}, seed {SEED}", self.kind)
    }
}

/// Asks for `k` of all lists, with a floor so low that only the error bound can find the others.
fn everywhere<'a>(index: &dyn VectorIndex, k: usize) -> SearchParams<'a> {
    SearchParams::new(k).with_nprobe(index.nlist()).with_rerank_factor(1)
}

/// Vectors, their ids, and brute force over them.
#[derive(Clone)]
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

    fn vectors(&self) -> VectorBatch<'_> {
        VectorBatch::new(Dim::new(self.dim).unwrap(), &self.values).unwrap()
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

    /// Every vector with its exact distance, nearest first.
    fn ranking(&self, query: &[f32]) -> Vec<Hit> {
        let mut hits: Vec<Hit> =
            self.rows().map(|(id, row)| Hit { id, distance: self.metric.distance(query, row) }).collect();
        hits.sort_by(|a, b| a.distance.total_cmp(&b.distance).then(a.id.cmp(&b.id)));
        hits
    }

    /// The exact distance of every vector in `hits`, in their order.
    fn true_distances(&self, query: &[f32], hits: &[Hit]) -> Vec<f32> {
        let rows: std::collections::HashMap<u64, &[f32]> = self.rows().collect();
        hits.iter().map(|hit| self.metric.distance(query, rows[&hit.id])).collect()
    }
}

/// The first `k` of a ranking that a filter allows.
fn first(ranking: &[Hit], k: usize, filter: Option<&RoaringTreemap>) -> Vec<Hit> {
    ranking.iter().filter(|hit| filter.is_none_or(|filter| filter.contains(hit.id))).take(k).copied().collect()
}

/// Nearest first, ties by smaller id, no id twice, and every distance a number.
fn assert_sorted(hits: &[Hit], what: impl Display) {
    for pair in hits.windows(2) {
        let order = pair[0].distance.total_cmp(&pair[1].distance).then(pair[0].id.cmp(&pair[1].id));
        assert!(order.is_lt(), "{what}: {pair:?} are not in order");
    }
    assert!(hits.iter().all(|hit| !hit.distance.is_nan()), "{what}: a distance is not a number");
}

/// The same ids in the same order, and the same bits of their distances.
fn assert_same(got: &[Hit], expected: &[Hit], what: impl Display) {
    let differ =
        |(got, expected): (&Hit, &Hit)| got.id != expected.id || got.distance.to_bits() != expected.distance.to_bits();
    if let Some(rank) = got.iter().zip(expected).position(differ) {
        panic!("{what}: rank {rank} is {:?}, expected {:?}", got[rank], expected[rank]);
    }
    assert_eq!(got.len(), expected.len(), "{what}: number of answers");
}
