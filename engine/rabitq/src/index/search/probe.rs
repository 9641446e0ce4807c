//! The search of one query through lists. The query, its lists and a filter go in, the best answers and the counts of the work
//! come out.

use std::ops::Range;

use super::allowed::{Allowed, Masks};
use super::scratch::Scratch;
use crate::code::{ListTerms, NearestLists, QueryCode};
use crate::index::candidates::Pending;
use crate::index::core::Core;
use crate::index::lists::{List, Lists};
use crate::index::originals::Originals;
use crate::index::stats::Counts;
use crate::kernel::{QueryPass, Survivors};
use crate::memory::prefetch;
use crate::metric::ExactQuery;
use crate::number::to_u32;
use crate::top_k::TopK;

/// Blocks scanned under one threshold.
const RUN_BLOCKS: usize = 64;

/// Vectors fetched ahead of the one being computed.
pub(super) const AHEAD: usize = 4;

/// The search of one query through lists.
pub(super) struct Probe<'a> {
    core: &'a Core,
    pub(super) lists: &'a Lists,
    exact: Option<(ExactQuery<'a>, &'a Originals)>,
    pub(super) top: TopK<u64>,
    /// Exact distances still to be computed at least.
    needed: usize,
    counts: Counts,
    pub(super) scratch: Scratch,
}

impl<'a> Probe<'a> {
    /// `floor` is the least number of exact distances.
    pub(super) fn new(
        core: &'a Core,
        lists: &'a Lists,
        query: &'a [f32],
        epsilon: f32,
        k: usize,
        floor: usize,
    ) -> Self {
        let mut scratch = Scratch::take();
        scratch.code.prepare(&lists.quantizer, query, epsilon);
        let exact = core.originals.as_ref().map(|originals| (ExactQuery::new(core.params.metric, query), originals));
        Self { core, lists, exact, top: TopK::with_capacity(k), needed: floor, counts: Counts::default(), scratch }
    }

    /// Searches one list.
    fn list(&mut self, number: usize, allowed: &Allowed<'_>) {
        let list = &self.lists.lists[number];
        let masks = allowed.masks(number);
        if list.blocks.len() == 0 || matches!(masks, Masks::None) {
            return;
        }
        let Some(terms) = self.terms_unless_too_far(number) else { return };
        self.count(list);
        for blocks in runs(list) {
            let threshold = self.threshold();
            let mut survivors = std::mem::take(&mut self.scratch.survivors);
            let Scratch { code, closer, .. } = &mut self.scratch;
            pass(code, list, blocks, &terms, masks, threshold, &mut survivors, closer);
            self.visit(list, &terms, allowed, &survivors);
            self.scratch.survivors = survivors;
        }
    }

    /// Counts a list that is looked into.
    pub(super) fn count(&mut self, list: &List) {
        self.counts.lists_probed += 1;
        self.counts.codes_scanned += list.blocks.len() as u64;
    }

    /// The terms of a list, unless none of its vectors is of use by the triangle inequality.
    pub(super) fn terms_unless_too_far(&mut self, number: usize) -> Option<ListTerms> {
        let terms = self.core.terms(&self.scratch.code, self.lists, number);
        let nearest = self.scratch.code.nearest_possible(&terms, self.lists.lists[number].radius);
        // What is not a number rules nothing out; and an estimate may be below what is possible.
        let too_far = nearest > f64::from(self.threshold());
        (self.exact.is_none() || !too_far).then_some(terms)
    }

    pub(super) fn nlist(&self) -> usize {
        self.lists.lists.len()
    }

    /// The bound above which a vector is of no use.
    pub(super) fn threshold(&mut self) -> f32 {
        self.scratch.pending.threshold(self.top.threshold(), self.needed)
    }

    /// Searches lists, in their order.
    pub(super) fn search(&mut self, lists: &[u32], allowed: &Allowed<'_>) {
        for (i, &list) in lists.iter().enumerate() {
            // The parts of the next list; where they lie is in the list itself, so that was asked for one step before.
            if let Some(&next) = lists.get(i + 1) {
                self.prefetch(next as usize);
            }
            if let Some(&after) = lists.get(i + 2) {
                prefetch(std::slice::from_ref(&self.lists.lists[after as usize]));
            }
            self.list(list as usize, allowed);
        }
    }

    /// Searches all lists but the `skipped` nearest, nearest first, until there are `k` answers.
    pub(super) fn search_on(&mut self, skipped: usize, allowed: &Allowed<'_>) {
        let nearest = nearest_lists(std::slice::from_mut(self), usize::MAX);
        for &list in &nearest.of_query(0)[skipped..] {
            if self.top.missing() == 0 {
                break;
            }
            self.list(list as usize, allowed);
        }
        self.scratch.lists = nearest;
    }

    /// Asks for the beginning of a list, for the CPU to fetch while it is busy with another.
    fn prefetch(&self, number: usize) {
        let list = &self.lists.lists[number];
        self.lists.centroids.prefetch(number);
        prefetch(list.blocks.run(0..list.blocks.num_blocks().min(2)).lines);
    }

    /// Takes what survived a run.
    pub(super) fn visit(&mut self, list: &List, terms: &ListTerms, allowed: &Allowed<'_>, survivors: &Survivors) {
        self.counts.survivors += survivors.len() as u64;
        let Some((query, originals)) = self.exact else { return self.take_estimates(list, terms, allowed, survivors) };
        let first = self.first_answers(list, allowed, survivors);
        let first_rows = || first.iter().map(|&i| list.row(survivors.slots[i as usize] as usize));
        first_rows().for_each(|row| prefetch(originals.row(row)));
        first_rows().for_each(|row| self.compute(&query, originals, row));

        let (answer, useful) = (self.top.threshold(), self.threshold());
        let mut likely = std::mem::take(&mut self.scratch.likely);
        likely.clear();
        for (i, &bound) in survivors.bounds.iter().enumerate() {
            if bound > useful || first.binary_search(&to_u32(i)).is_ok() {
                continue;
            }
            let row = list.row(survivors.slots[i] as usize);
            if !allowed.row(self.core, row) {
                continue;
            }
            if survivors.estimates[i] < answer {
                prefetch(originals.row(row));
                likely.push((bound, to_u32(row)));
            } else {
                self.scratch.pending.push(bound, row);
            }
        }
        for &(bound, row) in &likely {
            if bound <= self.top.threshold() {
                self.compute(&query, originals, row as usize);
            } else {
                self.scratch.pending.push(bound, row as usize);
            }
        }
        self.scratch.likely = likely;
    }

    /// Without originals: the estimates are the answers.
    fn take_estimates(&mut self, list: &List, terms: &ListTerms, allowed: &Allowed<'_>, survivors: &Survivors) {
        for (i, &slot) in survivors.slots.iter().enumerate() {
            let row = list.row(slot as usize);
            if survivors.bounds[i] <= self.top.threshold() && allowed.row(self.core, row) {
                let estimate =
                    self.core.estimate(&self.scratch.code, terms, list, slot as usize, survivors.estimates[i]);
                self.top.push(estimate, self.core.ids.id(row));
            }
        }
    }

    /// While there are fewer than `k` answers: the survivors of smallest estimate that fill them up, in order.
    fn first_answers(&self, list: &List, allowed: &Allowed<'_>, survivors: &Survivors) -> Vec<u32> {
        let missing = self.top.missing();
        if missing == 0 {
            return Vec::new();
        }
        let mut first: Vec<u32> = (0..to_u32(survivors.len()))
            .filter(|&i| allowed.row(self.core, list.row(survivors.slots[i as usize] as usize)))
            .collect();
        keep_smallest(&mut first, missing, |i| survivors.estimates[i as usize]);
        first
    }

    #[inline]
    fn compute(&mut self, query: &ExactQuery<'_>, originals: &Originals, row: usize) {
        self.needed = self.needed.saturating_sub(1);
        self.counts.exact_distances += 1;
        let distance = originals.distance(query, row);
        if distance <= self.top.threshold() {
            self.top.push(distance, self.core.ids.id(row));
        }
    }

    /// Computes what is pending, and returns the answers and what was done for them.
    pub(super) fn finish(mut self) -> (TopK<u64>, Counts) {
        if let Some((query, originals)) = self.exact {
            let mut pending = std::mem::replace(&mut self.scratch.pending, Pending::new());
            let useful = pending.useful(self.top.threshold(), self.needed);
            for (i, candidate) in useful.iter().enumerate() {
                if let Some(ahead) = useful.get(i + AHEAD) {
                    prefetch(originals.row(ahead.row as usize));
                }
                if candidate.lower_bound <= self.top.threshold() || self.needed > 0 {
                    self.compute(&query, originals, candidate.row as usize);
                }
            }
            self.scratch.pending = pending;
        }
        self.scratch.give_back();
        (self.top, self.counts)
    }
}

/// Searches the `nprobe` lists nearest to each query, one query after another.
pub(super) fn search_each(probes: &mut [Probe<'_>], nprobe: usize, allowed: &Allowed<'_>) {
    let nearest = nearest_lists(probes, nprobe);
    probes.iter_mut().enumerate().for_each(|(i, probe)| probe.search(nearest.of_query(i), allowed));
    give_back(probes, nearest);
}

/// The lists nearest to each query, in memory of the first, to be given back to it.
pub(super) fn nearest_lists(probes: &mut [Probe<'_>], nprobe: usize) -> NearestLists {
    let Some(first) = probes.first_mut() else { return NearestLists::default() };
    let (metric, centroids) = (first.core.params.metric, &first.lists.centroids);
    let mut nearest = std::mem::take(&mut first.scratch.lists);
    let rotated: Vec<&[f32]> = probes.iter().map(|probe| probe.scratch.code.rotated.as_slice()).collect();
    centroids.nearest_lists(metric, &rotated, nprobe, &mut nearest);
    nearest
}

pub(super) fn give_back(probes: &mut [Probe<'_>], nearest: NearestLists) {
    if let Some(first) = probes.first_mut() {
        first.scratch.lists = nearest;
    }
}

/// Keeps the `len` positions of smallest key, in order; ties go to the smaller position.
fn keep_smallest(positions: &mut Vec<u32>, len: usize, key: impl Fn(u32) -> f32) {
    if positions.len() > len {
        positions.select_nth_unstable_by(len, |&a, &b| key(a).total_cmp(&key(b)).then(a.cmp(&b)));
        positions.truncate(len);
        positions.sort_unstable();
    }
}

/// The blocks of a list, a run at a time.
pub(super) fn runs(list: &List) -> impl Iterator<Item = Range<usize>> + use<> {
    let num_blocks = list.blocks.num_blocks();
    (0..num_blocks).step_by(RUN_BLOCKS).map(move |start| start..num_blocks.min(start + RUN_BLOCKS))
}

/// Scans some blocks of a list for one query, and leaves in `survivors` what a closer look does not rule out either.
#[expect(clippy::too_many_arguments, reason = "the parts of a search that its caller holds apart")]
pub(super) fn pass(
    code: &QueryCode,
    list: &List,
    blocks: Range<usize>,
    terms: &ListTerms,
    masks: Masks<'_>,
    threshold: f32,
    survivors: &mut Survivors,
    closer: &mut Survivors,
) {
    survivors.clear();
    let masks = masks.of(blocks.clone());
    let query = QueryPass { tables: code.tables(), terms: terms.bits, threshold, masks, survivors };
    (code.kernels().scan)(&list.blocks.run(blocks), &mut [query]);
    look_closer(code, list, terms, threshold, survivors, closer);
}

/// Takes the estimates and bounds of four-bit rows, if there are any, and rules out by them. `closer` is memory for it.
pub(super) fn look_closer(
    code: &QueryCode,
    list: &List,
    terms: &ListTerms,
    threshold: f32,
    survivors: &mut Survivors,
    closer: &mut Survivors,
) {
    if let Some(rows) = &list.rows {
        closer.clear();
        code.scan_rows(terms, rows, &survivors.slots, threshold, closer);
        std::mem::swap(survivors, closer);
    }
    // A bound that is not a number rules nothing out.
    for bound in &mut survivors.bounds {
        *bound = if bound.is_nan() { f32::NEG_INFINITY } else { *bound };
    }
}
