//! Many queries through the lists of an index.
//!
//! Pairs of list and query are sorted by list, so that a list is read once for all queries that look into it, and up to
//! eight of them share a pass over its codes. They go in waves: what a query finds in its nearest lists rules out most of
//! the others. So a query meets its lists in another order than by itself, and where the error bound fails it may miss
//! another answer; in which order does not depend on the other queries.

use super::allowed::{Allowed, Masks};
use super::probe::{Probe, give_back, look_closer, nearest_lists, runs};
use super::scratch::Scratch;
use crate::code::ListTerms;
use crate::kernel::{QueryPass, Survivors};

/// Queries that share a pass: as many as the widest kernel takes.
const PASSES: usize = 8;

/// The first wave is the nearest list of each query, the second ends with its eighth, the third with the last.
const WAVE_ENDS: [usize; 3] = [1, 8, usize::MAX];

/// Searches the `nprobe` lists nearest to each query.
pub(super) fn search_by_list(probes: &mut [Probe<'_>], nprobe: usize, allowed: &Allowed<'_>) {
    let nearest = nearest_lists(probes, nprobe);
    let mut survivors: [Survivors; PASSES] = std::array::from_fn(|_| Survivors::default());
    let mut pairs: Vec<(u32, u32)> = Vec::new();
    let mut start = 0;
    for end in WAVE_ENDS {
        let end = end.min(nprobe);
        pairs.clear();
        for (i, query) in (0..probes.len()).zip(0_u32..) {
            pairs.extend(nearest.of_query(i)[start..end].iter().map(|&list| (list, query)));
        }
        pairs.sort_unstable();
        for list in pairs.chunk_by(|a, b| a.0 == b.0) {
            list.chunks(PASSES).for_each(|together| search_list(probes, together, allowed, &mut survivors));
        }
        start = end;
    }
    give_back(probes, nearest);
}

/// Searches one list for up to eight queries: each run of its codes is read once.
fn search_list(
    probes: &mut [Probe<'_>],
    pairs: &[(u32, u32)],
    allowed: &Allowed<'_>,
    survivors: &mut [Survivors; PASSES],
) {
    let Some(&(number, first)) = pairs.first() else { return };
    let lists = probes[first as usize].lists;
    let scan = probes[first as usize].scratch.code.kernels().scan;
    let list = &lists.lists[number as usize];
    let masks = allowed.masks(number as usize);
    if list.blocks.len() == 0 || matches!(masks, Masks::None) {
        return;
    }
    let mut terms: [Option<ListTerms>; PASSES] = [None; PASSES];
    for (terms, &(_, query)) in terms.iter_mut().zip(pairs) {
        let probe = &mut probes[query as usize];
        *terms = probe.terms_unless_too_far(number as usize);
        if terms.is_some() {
            probe.count(list);
        }
    }
    if terms.iter().all(Option::is_none) {
        return;
    }
    for blocks in runs(list) {
        let masks = masks.of(blocks.clone());
        let mut thresholds = [f32::INFINITY; PASSES];
        for (threshold, &(_, query)) in thresholds.iter_mut().zip(pairs) {
            *threshold = probes[query as usize].threshold();
        }
        let mut passes = Vec::with_capacity(PASSES);
        for (((&(_, query), terms), survivors), threshold) in
            pairs.iter().zip(&terms).zip(survivors.iter_mut()).zip(thresholds)
        {
            if let Some(terms) = terms {
                survivors.clear();
                let tables = probes[query as usize].scratch.code.tables();
                passes.push(QueryPass { tables, terms: terms.bits, threshold, masks, survivors });
            }
        }
        scan(&list.blocks.run(blocks), &mut passes);
        for (((&(_, query), terms), survivors), threshold) in
            pairs.iter().zip(&terms).zip(survivors.iter_mut()).zip(thresholds)
        {
            if let Some(terms) = terms {
                let probe = &mut probes[query as usize];
                let Scratch { code, closer, .. } = &mut probe.scratch;
                look_closer(code, list, terms, threshold, survivors, closer);
                probe.visit(list, terms, allowed, survivors);
            }
        }
    }
}
