use std::cmp::Ordering;

use crate::kernel::BLOCK_LEN;

/// A vector whose distance is not below `lower_bound`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Candidate {
    pub(super) lower_bound: f32,
    pub(super) slot: u32,
}

impl Candidate {
    /// By bound, then by slot.
    pub(super) fn compare(&self, other: &Self) -> Ordering {
        self.lower_bound.total_cmp(&other.lower_bound).then(self.slot.cmp(&other.slot))
    }
}

/// Keeps the `len` candidates of smallest bound.
///
/// Not a heap: candidates are gathered and cut back to `len` once in a while, which costs a push next to nothing. The
/// threshold is that of the last cut, so that some are gathered in vain.
#[derive(Debug)]
pub(super) struct SmallestBounds {
    len: usize,
    threshold: f32,
    pool: Vec<Candidate>,
}

impl SmallestBounds {
    /// `len` is at least 1.
    pub(super) fn new(len: usize) -> Self {
        Self { len, threshold: f32::INFINITY, pool: Vec::new() }
    }

    /// A bound that is not below it need not be pushed.
    pub(super) fn threshold(&self) -> f32 {
        self.threshold
    }

    pub(super) fn push(&mut self, candidate: Candidate) {
        self.pool.push(candidate);
        if self.pool.len() >= self.len.saturating_add(self.len.max(BLOCK_LEN)) {
            self.cut();
        }
    }

    /// The kept candidates, in no order.
    pub(super) fn into_candidates(mut self) -> Vec<Candidate> {
        self.cut();
        self.pool
    }

    fn cut(&mut self) {
        if self.pool.len() > self.len {
            let (_, last, _) = self.pool.select_nth_unstable_by(self.len - 1, Candidate::compare);
            self.threshold = last.lower_bound;
            self.pool.truncate(self.len);
        }
    }
}

/// Returns the candidates whose bound is at most `threshold`, smallest first. An infinite bound is not a candidate.
pub(super) fn candidates_within(lower_bounds: &[f32], threshold: f32) -> Vec<Candidate> {
    let threshold = threshold.min(f32::MAX);
    let mut candidates = Vec::new();
    for (block, bounds) in lower_bounds.as_chunks::<BLOCK_LEN>().0.iter().enumerate() {
        if any(bounds, |bound| bound <= threshold) {
            let lanes = bounds.iter().enumerate().filter(|&(_, &bound)| bound <= threshold);
            candidates.extend(lanes.map(|(lane, &lower_bound)| candidate(block, lane, lower_bound)));
        }
    }
    candidates.sort_unstable_by(Candidate::compare);
    candidates
}

/// The candidate in lane `lane` of block `block`.
pub(super) fn candidate(block: usize, lane: usize, lower_bound: f32) -> Candidate {
    Candidate { lower_bound, slot: (block * BLOCK_LEN + lane) as u32 }
}

/// Whether any bound of a block passes. All are counted: that takes a few vector instructions, and most blocks have none.
pub(super) fn any(bounds: &[f32; BLOCK_LEN], passes: impl Fn(f32) -> bool) -> bool {
    bounds.iter().map(|&bound| u32::from(passes(bound))).sum::<u32>() > 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_data::Random;

    #[test]
    fn smallest_bounds_are_kept() {
        let mut random = Random::new(4);
        for len in [1, 5, 40, 999, 1000, 2000, usize::MAX] {
            let mut all: Vec<Candidate> =
                (0..1000).map(|slot| Candidate { lower_bound: random.below(100) as f32, slot }).collect();
            let mut smallest = SmallestBounds::new(len);
            for &candidate in &all {
                if candidate.lower_bound < smallest.threshold() {
                    smallest.push(candidate);
                }
            }
            let mut kept = smallest.into_candidates();
            kept.sort_unstable_by(Candidate::compare);
            all.sort_unstable_by(Candidate::compare);
            all.truncate(len);
            assert_eq!(kept, all, "len {len}");
        }
    }

    #[test]
    fn candidates_come_smallest_first_and_infinite_ones_never() {
        let mut bounds = [f32::INFINITY; 2 * BLOCK_LEN];
        (bounds[3], bounds[40], bounds[41], bounds[60]) = (2.0, f32::NEG_INFINITY, 3.0, 2.0);
        let slots = |threshold| -> Vec<u32> {
            candidates_within(&bounds, threshold).iter().map(|candidate| candidate.slot).collect()
        };
        assert_eq!(slots(2.0), [40, 3, 60]);
        assert_eq!(slots(f32::INFINITY), [40, 3, 60, 41]);
    }
}
