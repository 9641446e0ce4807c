use std::fmt;

use super::candidates::{Candidate, SmallestBounds, any, candidate, candidates_within};
use super::ids::SlotSet;
use super::originals::hits;
use super::top_k::TopK;
use super::{
    Attributes, BuildParams, Hit, IndexKind, IndexParts, Originals, Progress, SearchParams, VectorIndex, debug_index,
};
use crate::code::{CodeBlocks, Quantizer, QueryCode};
use crate::error::Result;
use crate::kernel::BLOCK_LEN;
use crate::metric::ExactQuery;
use crate::vector::{Dim, VectorBatch, check_query};

/// 1-bit codes to rule vectors out, and the originals to rank what is left: the recall of exact search at a fraction of
/// its cost.
///
/// ```text
/// 1. scan all codes; keep for each vector a lower bound of its distance
/// 2. compute the k * rerank_factor vectors of smallest lower bound; t = the k-th distance
/// 3. compute every other vector whose lower bound is at most t, smallest first, while t shrinks
/// ```
/// Only the error bound can miss an answer: with [`DEFAULT_EPSILON`](super::DEFAULT_EPSILON) about one in a thousand of
/// those that are as far as the last answer.
pub struct RabitqPlusIndex {
    params: BuildParams,
    originals: Originals,
    codes: RabitqCodes,
    attributes: Attributes,
}

/// What the vectors were turned into.
#[derive(Debug)]
pub(crate) struct RabitqCodes {
    pub(crate) quantizer: Quantizer,
    pub(crate) blocks: CodeBlocks,
}

impl RabitqPlusIndex {
    /// Copies the vectors and encodes them, on all threads of the current rayon pool. Without `ids` they are numbered
    /// from 0. The result does not depend on the number of threads.
    ///
    /// # Errors
    /// `InvalidInput` if the number of ids is not that of the vectors, if two ids are equal, or if a parameter is out of
    /// range.
    pub fn build(
        ids: Option<&[u64]>,
        vectors: VectorBatch<'_>,
        params: &BuildParams,
        progress: Option<Progress<'_>>,
    ) -> Result<Self> {
        params.check()?;
        let originals = Originals::copied_from(params.metric, ids, vectors)?;
        let quantizer = Quantizer::train(params.metric, params.seed, vectors);
        let blocks = quantizer.encode(vectors, progress);
        Ok(Self::from_parts(params.clone(), originals, RabitqCodes { quantizer, blocks }, Attributes::new()))
    }

    pub(crate) fn from_parts(
        params: BuildParams,
        originals: Originals,
        codes: RabitqCodes,
        attributes: Attributes,
    ) -> Self {
        Self { params, originals, codes, attributes }
    }

    /// Steps 1 to 3; `floor` is in `k..slots.len()`.
    fn bounded_search(&self, query: &[f32], k: usize, floor: usize, slots: &SlotSet) -> Vec<Hit> {
        let query_code = QueryCode::new(&self.codes.quantizer, query, self.params.epsilon);
        let query = ExactQuery::new(self.params.metric, query);
        let (mut lower_bounds, first) = self.scan(&query_code, floor, slots);

        let mut top = TopK::new(k);
        for candidate in first {
            lower_bounds[candidate.slot as usize] = f32::INFINITY;
            self.rerank(&query, candidate, &mut top);
        }
        for candidate in candidates_within(&lower_bounds, top.threshold()) {
            if candidate.lower_bound > top.threshold() {
                break;
            }
            self.rerank(&query, candidate, &mut top);
        }
        hits(top)
    }

    /// Returns the lower bound of every slot, infinite outside of `slots`, and the `floor` candidates of smallest bound.
    fn scan(&self, query: &QueryCode, floor: usize, slots: &SlotSet) -> (Vec<f32>, Vec<Candidate>) {
        let mut lower_bounds = vec![f32::INFINITY; self.codes.blocks.f_add.len()];
        let mut smallest = SmallestBounds::new(floor);
        for (block, mask) in slots.blocks() {
            let mut bounds = query.lower_bounds(&self.codes.blocks, block);
            if mask != u32::MAX {
                for (lane, bound) in bounds.iter_mut().enumerate() {
                    *bound = if (mask >> lane) & 1 == 1 { *bound } else { f32::INFINITY };
                }
            }
            lower_bounds[block * BLOCK_LEN..][..BLOCK_LEN].copy_from_slice(&bounds);
            if any(&bounds, |bound| bound < smallest.threshold()) {
                for (lane, &bound) in bounds.iter().enumerate() {
                    if bound < smallest.threshold() {
                        smallest.push(candidate(block, lane, bound));
                    }
                }
            }
        }
        (lower_bounds, smallest.into_candidates())
    }

    fn rerank(&self, query: &ExactQuery<'_>, candidate: Candidate, top: &mut TopK<u64>) {
        let slot = candidate.slot as usize;
        let distance = self.originals.distance(query, slot);
        if distance <= top.threshold() {
            top.push(distance, self.originals.ids().id(slot));
        }
    }
}

impl fmt::Debug for RabitqPlusIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_index(self, f)
    }
}

impl VectorIndex for RabitqPlusIndex {
    fn kind(&self) -> IndexKind {
        IndexKind::RabitqPlus
    }

    fn dim(&self) -> Dim {
        self.originals.dim()
    }

    fn build_params(&self) -> &BuildParams {
        &self.params
    }

    fn ids(&self) -> &[u64] {
        self.originals.ids().as_slice()
    }

    fn vector(&self, id: u64) -> Option<Vec<f32>> {
        self.originals.vector(id)
    }

    fn search(&self, query: &[f32], params: &SearchParams<'_>) -> Result<Vec<Hit>> {
        params.check()?;
        let query = check_query(query, self.dim())?;
        let slots = self.originals.ids().matching(params.filter);
        let rerank_factor = params.rerank_factor.unwrap_or(self.params.rerank_factor);
        let floor = params.k.saturating_mul(rerank_factor.max(1));
        if slots.len() <= floor {
            return Ok(self.originals.nearest(&ExactQuery::new(self.metric(), query), params.k, &slots));
        }
        Ok(self.bounded_search(query, params.k, floor, &slots))
    }

    fn memory_bytes(&self) -> usize {
        self.originals.memory_bytes() + self.codes.quantizer.memory_bytes() + self.codes.blocks.memory_bytes()
    }

    fn attributes(&self) -> &Attributes {
        &self.attributes
    }

    fn attributes_mut(&mut self) -> &mut Attributes {
        &mut self.attributes
    }

    fn parts(&self) -> IndexParts<'_> {
        IndexParts {
            kind: self.kind(),
            dim: self.dim(),
            params: &self.params,
            ids: self.ids(),
            vectors: self.originals.values(),
            codes: Some(&self.codes),
            attributes: &self.attributes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::conformance::index_conformance;

    #[test]
    fn rabitq_plus_index() {
        index_conformance(0.999, |ids, vectors, params| {
            Box::new(RabitqPlusIndex::build(ids, vectors, params, None).unwrap())
        });
    }
}
