//! Candidates of one search that wait for an exact distance. Lower bounds and rows go in, the candidates still of use come
//! out at the end of the search.

use std::cmp::Ordering;

use crate::number::to_u32;

/// A vector whose distance is not below `lower_bound`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Candidate {
    pub(super) lower_bound: f32,
    pub(super) row: u32,
}

impl Candidate {
    /// By bound, then by row.
    fn compare(&self, other: &Self) -> Ordering {
        self.lower_bound.total_cmp(&other.lower_bound).then(self.row.cmp(&other.row))
    }
}

/// Candidates left for the end of a search: those whose bound is not above the distance of the last answer, and of the
/// others as many as the floor of exact distances still asks for, nearest first.
#[derive(Debug)]
pub(super) struct Pending {
    candidates: Vec<Candidate>,
    /// A bound above it is of no use to the floor.
    floor_threshold: f32,
    /// The number of candidates at which those of no use are removed.
    cut_at: usize,
}

/// Candidates that are not worth looking through.
const FEW: usize = 512;

impl Pending {
    pub(super) fn new() -> Self {
        Self { candidates: Vec::new(), floor_threshold: f32::INFINITY, cut_at: FEW }
    }

    pub(super) fn push(&mut self, lower_bound: f32, row: usize) {
        self.candidates.push(Candidate { lower_bound, row: to_u32(row) });
    }

    /// The bound above which a vector is of no use: neither to the answer, whose last distance is `threshold`, nor to
    /// the floor, which asks for `needed` more.
    pub(super) fn threshold(&mut self, threshold: f32, needed: usize) -> f32 {
        if needed == 0 {
            return threshold;
        }
        if self.candidates.len() >= self.cut_at {
            self.cut(threshold, needed);
        }
        threshold.max(self.floor_threshold)
    }

    fn cut(&mut self, threshold: f32, needed: usize) {
        if self.candidates.len() > needed {
            let (_, last, _) = self.candidates.select_nth_unstable_by(needed - 1, Candidate::compare);
            self.floor_threshold = last.lower_bound;
            let threshold = threshold.max(self.floor_threshold);
            self.candidates.retain(|candidate| candidate.lower_bound <= threshold);
        }
        self.cut_at = (2 * self.candidates.len()).max(FEW);
    }

    /// Candidates that there is memory for.
    pub(super) fn capacity(&self) -> usize {
        self.candidates.capacity()
    }

    /// Forgets all, for another search.
    pub(super) fn clear(&mut self) {
        self.candidates.clear();
        (self.floor_threshold, self.cut_at) = (f32::INFINITY, FEW);
    }

    /// The candidates of use: first the `needed` of smallest bound, then the others, in no order.
    pub(super) fn useful(&mut self, threshold: f32, needed: usize) -> &[Candidate] {
        let mut kept = 0;
        if needed > 0 && needed < self.candidates.len() {
            self.candidates.select_nth_unstable_by(needed, Candidate::compare);
            kept = needed;
        }
        if needed < self.candidates.len() {
            // Most are not: a loop without a branch is worth its lines.
            let first = kept;
            for i in first..self.candidates.len() {
                let candidate = self.candidates[i];
                self.candidates[kept] = candidate;
                kept += usize::from(candidate.lower_bound <= threshold);
            }
            self.candidates.truncate(kept);
        }
        &self.candidates
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_data::Random;

    #[test]
    fn what_the_floor_or_the_answer_needs_is_kept() {
        let mut random = Random::new(4);
        for needed in [0, 1, 5, 40, 999, 1000, 2000] {
            for threshold in [-1.0, 3.0, 50.0, f32::INFINITY] {
                let all: Vec<Candidate> =
                    (0..3000).map(|row| Candidate { lower_bound: random.below(1000) as f32, row }).collect();
                let mut pending = Pending::new();
                for candidate in &all {
                    if candidate.lower_bound <= pending.threshold(threshold, needed) {
                        pending.push(candidate.lower_bound, candidate.row as usize);
                    }
                }
                let mut expected = all.clone();
                expected.sort_unstable_by(Candidate::compare);
                let mut rest = expected.split_off(needed);
                rest.retain(|candidate| candidate.lower_bound <= threshold);
                expected.append(&mut rest);
                let mut useful = pending.useful(threshold, needed).to_vec();
                let first = needed.min(useful.len());
                useful[..first].sort_unstable_by(Candidate::compare);
                assert_eq!(useful[..first], expected[..first], "needed {needed}, threshold {threshold}");
                useful.sort_unstable_by(Candidate::compare);
                assert_eq!(useful, expected, "needed {needed}, threshold {threshold}");
            }
        }
    }
}
