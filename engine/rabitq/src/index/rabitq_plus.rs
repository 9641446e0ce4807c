use super::ids::SlotSet;
use super::originals::hits;
use super::top_k::TopK;
use super::{Attributes, BuildParams, Hit, IndexKind, IndexParts, Originals, Progress, SearchParams, VectorIndex};
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
#[derive(Debug)]
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

/// A vector that is not ruled out yet.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    lower_bound: f32,
    slot: u32,
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
        for &slot in &first {
            lower_bounds[slot as usize] = f32::INFINITY;
            self.rerank(&query, slot, &mut top);
        }
        let mut rest = candidates(&lower_bounds, top.threshold());
        rest.sort_unstable_by(|a, b| a.lower_bound.total_cmp(&b.lower_bound));
        for candidate in rest {
            if candidate.lower_bound > top.threshold() {
                break;
            }
            self.rerank(&query, candidate.slot, &mut top);
        }
        hits(top)
    }

    /// Returns the lower bound of every slot, infinite outside of `slots`, and the `floor` slots of smallest bound.
    fn scan(&self, query: &QueryCode, floor: usize, slots: &SlotSet) -> (Vec<f32>, Vec<u32>) {
        let mut lower_bounds = vec![f32::INFINITY; self.codes.blocks.f_add.len()];
        let mut smallest = TopK::new(floor);
        for (block, mask) in slots.blocks() {
            let mut bounds = query.estimate(&self.codes.blocks, block).lower_bounds();
            if mask != u32::MAX {
                for (lane, bound) in bounds.iter_mut().enumerate() {
                    *bound = if mask >> lane & 1 == 1 { *bound } else { f32::INFINITY };
                }
            }
            lower_bounds[block * BLOCK_LEN..][..BLOCK_LEN].copy_from_slice(&bounds);
            // Counted first: most blocks have none, and the count takes a few vector instructions.
            let threshold = smallest.threshold();
            if bounds.iter().map(|&bound| u32::from(bound < threshold)).sum::<u32>() > 0 {
                for (lane, &bound) in bounds.iter().enumerate() {
                    if bound < threshold {
                        smallest.push(bound, (block * BLOCK_LEN + lane) as u32);
                    }
                }
            }
        }
        (lower_bounds, smallest.into_sorted().map(|(_, slot)| slot).collect())
    }

    fn rerank(&self, query: &ExactQuery<'_>, slot: u32, top: &mut TopK<u64>) {
        let slot = slot as usize;
        top.push(self.originals.distance(query, slot), self.originals.ids().id(slot));
    }
}

/// The slots whose lower bound is at most `threshold`, and finite: an infinite one is done, or was never a candidate.
fn candidates(lower_bounds: &[f32], threshold: f32) -> Vec<Candidate> {
    let threshold = threshold.min(f32::MAX);
    let mut candidates = Vec::new();
    for (block, bounds) in lower_bounds.as_chunks::<BLOCK_LEN>().0.iter().enumerate() {
        if bounds.iter().map(|&bound| u32::from(bound <= threshold)).sum::<u32>() == 0 {
            continue;
        }
        for (lane, &lower_bound) in bounds.iter().enumerate() {
            if lower_bound <= threshold {
                candidates.push(Candidate { lower_bound, slot: (block * BLOCK_LEN + lane) as u32 });
            }
        }
    }
    candidates
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
