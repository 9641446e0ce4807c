//! The way of a query through an index.
//!
//! ```text
//! for each list, nearest first
//!     scan the bits of its vectors: an estimate and a lower bound of each distance
//!     of those whose bound is not above t, the distance of the k-th answer so far
//!         with four-bit rows: take the estimate and the bound of the row instead, and rule out by them again
//!         estimate below t: compute the distance, which may lower t
//!         else: leave it pending
//! compute the pending distances that the floor asks for, smallest bound first, and all whose bound is not above t
//! ```
//! Computing at once what is probably nearer, and only that, keeps t near its end value without computing what a later t
//! rules out. Without originals the estimate is the answer, and the pending part falls away.
//!
//! A list is left out if, by the triangle inequality, none of its vectors is as near as t.
//!
//! Queries of a batch go together where they read the same: the codes of a list (see [`batch`]), or the vectors of an index
//! without codes.

use rayon::prelude::*;
use roaring::RoaringTreemap;

use super::core::Core;
use super::hit::Hit;
use super::kind::IndexKind;
use super::lists::{List, Lists};
use super::originals::Originals;
use super::params::SearchParams;
use super::stats::{Counts, SearchStats};
use crate::code::{ListTerms, QueryCode};
use crate::kernel::{Survivors, code_bytes};
use crate::memory::prefetch;
use crate::metric::{ExactQuery, Metric};
use crate::top_k::TopK;

mod allowed;
mod batch;
mod probe;
mod scratch;

use allowed::{Allowed, Masks};
use batch::search_by_list;
use probe::{AHEAD, Probe, pass, runs, search_each};
use scratch::MOST_BY_LIST;

/// With a filter that allows so few vectors, or fewer than the floor, their distances are computed without a look at
/// codes.
const FEW_ALLOWED: u64 = 2048;

/// A query of which no coordinate reaches it is compared with the vectors themselves by the inner product. Squares of larger
/// ones are normal numbers.
const TINY_QUERY: f32 = 1e-15;

/// Queries of a batch that are taken together where they do not go by list: their distances to centroids, or to the vectors
/// of an index without codes, are computed in one go.
const TOGETHER: usize = 12;

/// Queries of a batch go by list where so many of them meet in each.
const MEETINGS: usize = 8;

/// Queries that go by list together have tables of so many bytes at most. It was measured: more than a core's own cache,
/// as every list is met by a few of them only.
const TABLE_BYTES: usize = 1 << 22;

/// The parameters of a search, resolved for this index.
struct Plan<'a> {
    core: &'a Core,
    k: usize,
    epsilon: f32,
    stats: Option<&'a SearchStats>,
    way: Way<'a>,
}

/// The method that finds the answers.
enum Way<'a> {
    /// By the distances to all allowed vectors; without a filter that is all.
    Originals(&'a Originals, Option<Vec<usize>>),
    /// By codes.
    Codes { lists: &'a Lists, allowed: Allowed<'a>, nprobe: usize, floor: usize },
}

impl Core {
    /// The answers to a query that was checked.
    pub(super) fn nearest(&self, query: &[f32], params: &SearchParams<'_>) -> Vec<Hit> {
        self.plan(params, &[query]).answers(&[query], false).swap_remove(0)
    }

    /// The answers to queries that were checked, on all threads.
    pub(super) fn nearest_batch(&self, queries: &[&[f32]], params: &SearchParams<'_>) -> Vec<Vec<Hit>> {
        let plan = self.plan(params, queries);
        let by_list = plan.most_by_list(queries.len());
        // No more in one go than keeps all threads busy.
        let busy = queries.len().div_ceil(rayon::current_num_threads()).max(1);
        let len = by_list.unwrap_or(TOGETHER).min(busy);
        queries.par_chunks(len).flat_map_iter(|queries| plan.answers(queries, by_list.is_some())).collect()
    }

    fn plan<'a>(&'a self, params: &SearchParams<'a>, queries: &[&[f32]]) -> Plan<'a> {
        let vanishes = queries.iter().any(|query| self.vanishes(query));
        let floor = params.k.saturating_mul(params.rerank_factor.unwrap_or(self.params.rerank_factor).max(1));
        let way = match (&self.lists, &self.originals) {
            (Some(lists), originals) => {
                let few = params.filter.map_or(0, |_| FEW_ALLOWED).max(floor as u64);
                match originals {
                    Some(originals)
                        if vanishes || params.filter.map_or(self.len() as u64, RoaringTreemap::len) <= few =>
                    {
                        Way::Originals(originals, params.filter.map(|filter| self.ids.matching(filter)))
                    }
                    _ => Way::Codes {
                        lists,
                        allowed: Allowed::new(self, lists, params.filter),
                        nprobe: self.nprobe(params.nprobe, lists),
                        floor: if originals.is_some() { floor } else { 0 },
                    },
                }
            }
            (None, Some(originals)) => Way::Originals(originals, params.filter.map(|filter| self.ids.matching(filter))),
            (None, None) => unreachable!("an index has codes or originals"),
        };
        let epsilon = params.epsilon.unwrap_or(self.params.epsilon);
        Plan { core: self, k: params.k.min(self.len()), epsilon, stats: params.stats, way }
    }

    /// Returns true if the bounds of codes would lose this query to underflow, while its products with long vectors are still
    /// numbers. With L2 it is false: squared distances to such a query are those to the origin.
    fn vanishes(&self, query: &[f32]) -> bool {
        let largest = || query.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
        self.params.metric == Metric::InnerProduct && largest() < TINY_QUERY
    }

    fn nprobe(&self, asked: Option<usize>, lists: &Lists) -> usize {
        let nlist = lists.lists.len();
        if self.kind != IndexKind::IvfRabitq {
            return nlist;
        }
        asked.or(self.params.nprobe).unwrap_or_else(|| (nlist / 16).max(16)).min(nlist)
    }

    /// The vectors within a distance, nearest first. Lists are left out only if none of their vectors can be.
    pub(super) fn within(&self, query: &[f32], radius: f32, filter: Option<&RoaringTreemap>) -> Vec<Hit> {
        let mut hits = Vec::new();
        let exact = ExactQuery::new(self.params.metric, query);
        let mut visit = |row: usize, distance: f32| {
            if distance <= radius {
                hits.push(Hit { id: self.ids.id(row), distance });
            }
        };
        let by_codes = self.originals.is_none() || !self.vanishes(query);
        match (self.lists.as_ref().filter(|_| by_codes), &self.originals) {
            (Some(lists), originals) => {
                let code = QueryCode::new(&lists.quantizer, query, self.params.epsilon);
                let allowed = Allowed::new(self, lists, filter);
                let (mut survivors, mut closer) = (Survivors::default(), Survivors::default());
                for (number, list) in lists.lists.iter().enumerate() {
                    let terms = self.terms(&code, lists, number);
                    let nothing_allowed = matches!(allowed.masks(number), Masks::None);
                    // An estimate may be below what is possible.
                    let too_far = || code.nearest_possible(&terms, list.radius) > f64::from(radius);
                    if nothing_allowed || originals.is_some() && too_far() {
                        continue;
                    }
                    for blocks in runs(list) {
                        let masks = allowed.masks(number);
                        pass(&code, list, blocks, &terms, masks, radius, &mut survivors, &mut closer);
                        for (i, &slot) in survivors.slots.iter().enumerate() {
                            let (slot, row) = (slot as usize, list.row(slot as usize));
                            if allowed.row(self, row) {
                                visit(
                                    row,
                                    match originals {
                                        Some(originals) => originals.distance(&exact, row),
                                        None => self.estimate(&code, &terms, list, slot, survivors.estimates[i]),
                                    },
                                );
                            }
                        }
                    }
                }
            }
            (None, Some(originals)) => {
                let rows = filter.map_or_else(|| (0..self.len()).collect(), |filter| self.ids.matching(filter));
                rows.into_iter().for_each(|row| visit(row, originals.distance(&exact, row)));
            }
            (None, None) => unreachable!("an index has codes or originals"),
        }
        hits.sort_unstable_by(|a, b| a.distance.total_cmp(&b.distance).then(a.id.cmp(&b.id)));
        hits
    }

    /// The best estimate there is of a survivor: of its bits by the floats of the query where the kind says so, or else
    /// the one of the last look. Never not-a-number: an answer needs a place in the order. That of a vector which could
    /// not be encoded is behind all others.
    fn estimate(&self, code: &QueryCode, terms: &ListTerms, list: &List, slot: usize, estimate: f32) -> f32 {
        let factors = list.blocks.factors(slot);
        let estimate = if self.kind == IndexKind::RabitqAsym {
            let mut nibbles = vec![0; code.rotated.len() / 4];
            list.blocks.nibbles(slot, &mut nibbles);
            code.float_estimate(terms, &nibbles, factors).0
        } else {
            estimate
        };
        if estimate.is_nan() || factors.is_unbounded() { f32::MAX } else { estimate }
    }

    /// The terms of a scan: without originals the bits of `rabitq` are ranked by their estimates alone, and those of
    /// `rabitq_asym` by what the floats of the query would say.
    fn terms(&self, code: &QueryCode, lists: &Lists, list: usize) -> ListTerms {
        let mut terms = code.list_terms(&lists.centroids, list);
        if self.originals.is_none() && lists.lists[list].rows.is_none() {
            terms.bits.error_scale = 0.0;
            if self.kind == IndexKind::Rabitq {
                (terms.bits.table_error, terms.bits.rounding, terms.bits.rounding_share) = (0.0, 0.0, 0.0);
            }
        }
        terms
    }
}

impl Plan<'_> {
    /// The most of `num_queries` queries that go through the lists together; `None` if too few of them meet in a list.
    fn most_by_list(&self, num_queries: usize) -> Option<usize> {
        let Way::Codes { lists, nprobe, .. } = &self.way else { return None };
        // Their tables are read again for every list: so many stay in the cache.
        let most = (TABLE_BYTES / code_bytes(lists.quantizer.padded_dim())).clamp(TOGETHER, MOST_BY_LIST);
        let meetings = most.min(num_queries) * nprobe / lists.lists.len();
        (meetings >= MEETINGS).then_some(most)
    }

    /// The answers to each query, in order.
    fn answers(&self, queries: &[&[f32]], by_list: bool) -> Vec<Vec<Hit>> {
        if self.k == 0 {
            return vec![Vec::new(); queries.len()];
        }
        match &self.way {
            Way::Originals(originals, rows) => self.by_originals(originals, rows.as_deref(), queries),
            Way::Codes { lists, allowed, nprobe, floor } => {
                let probe = |query| Probe::new(self.core, lists, query, self.epsilon, self.k, *floor);
                let mut probes: Vec<Probe<'_>> = queries.iter().map(|&query| probe(query)).collect();
                let search = if by_list { search_by_list } else { search_each };
                search(&mut probes, *nprobe, allowed);
                probes.into_iter().map(|probe| self.finish(probe)).collect()
            }
        }
    }

    /// Looks into as many more lists as it takes to find `k` allowed vectors, and returns the answers.
    fn finish(&self, mut probe: Probe<'_>) -> Vec<Hit> {
        if let Way::Codes { allowed, nprobe, .. } = &self.way
            && probe.top.missing() > 0
            && *nprobe < probe.nlist()
        {
            probe.search_on(*nprobe, allowed);
        }
        let (top, counts) = probe.finish();
        if let Some(stats) = self.stats {
            stats.add(&counts);
        }
        hits(top)
    }

    /// The nearest by computing the distance to every allowed vector.
    fn by_originals(&self, originals: &Originals, rows: Option<&[usize]>, queries: &[&[f32]]) -> Vec<Vec<Hit>> {
        let exact: Vec<_> = queries.iter().map(|query| ExactQuery::new(self.core.params.metric, query)).collect();
        let mut tops: Vec<TopK<u64>> = queries.iter().map(|_| TopK::with_capacity(self.k)).collect();
        let mut visit = |row: usize| {
            for (query, top) in exact.iter().zip(&mut tops) {
                let distance = originals.distance(query, row);
                if distance <= top.threshold() {
                    top.push(distance, self.core.ids.id(row));
                }
            }
        };
        if let Some(stats) = self.stats {
            let num_rows = rows.map_or(self.core.len(), <[usize]>::len);
            stats.add(&Counts { exact_distances: (num_rows * queries.len()) as u64, ..Counts::default() });
        }
        match rows {
            None => (0..self.core.len()).for_each(visit),
            Some(rows) => {
                for (i, &row) in rows.iter().enumerate() {
                    if let Some(&ahead) = rows.get(i + AHEAD) {
                        prefetch(originals.row(ahead));
                    }
                    visit(row);
                }
            }
        }
        tops.into_iter().map(hits).collect()
    }
}

/// The kept (distance, id) pairs as answers, nearest first.
fn hits(top: TopK<u64>) -> Vec<Hit> {
    top.into_sorted().map(|(distance, id)| Hit { id, distance }).collect()
}
