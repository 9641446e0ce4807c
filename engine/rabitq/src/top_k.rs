//! The `k` best of a stream: pairs of key and value go in, the `k` smallest come out in order.
//!
//! It is the one selection of nearest rows by a bounded heap: searches of indexes, exact search and merges use it.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// A float that entries of a [`TopK`] compete by: `f32` or `f64`.
pub trait Key: Copy {
    /// Positive infinity.
    const INFINITY: Self;

    /// Returns the order of two keys that IEEE 754 calls `totalOrder`: every number has a place, NaN too.
    fn total_cmp(&self, other: &Self) -> Ordering;
}

impl Key for f32 {
    const INFINITY: Self = Self::INFINITY;

    fn total_cmp(&self, other: &Self) -> Ordering {
        f32::total_cmp(self, other)
    }
}

impl Key for f64 {
    const INFINITY: Self = Self::INFINITY;

    fn total_cmp(&self, other: &Self) -> Ordering {
        f64::total_cmp(self, other)
    }
}

/// A value with the key it competes by: smaller keys are better, ties go to the smaller value.
#[derive(Clone, Copy, Debug)]
struct Entry<T, K> {
    key: K,
    value: T,
}

impl<T: Ord, K: Key> Ord for Entry<T, K> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.total_cmp(&other.key).then_with(|| self.value.cmp(&other.value))
    }
}

impl<T: Ord, K: Key> PartialOrd for Entry<T, K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: Ord, K: Key> PartialEq for Entry<T, K> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T: Ord, K: Key> Eq for Entry<T, K> {}

/// The `k` pairs of smallest key among those that were pushed.
///
/// Order: by key, in its total order (-0 before 0, positive NaN last); ties by smaller value. The result does not depend on the
/// order of the pushes. A push costs O(log k), and one comparison if the pair does not stay.
///
/// ```
/// use ruvector_rabitq::TopK;
///
/// let mut nearest = TopK::new(2);
/// for (distance, id) in [(3.0, 1_u64), (1.0, 7), (1.0, 4)] {
///     nearest.push(distance, id);
/// }
/// assert_eq!(nearest.threshold(), 1.0);
/// assert_eq!(nearest.into_sorted().collect::<Vec<_>>(), [(1.0, 4), (1.0, 7)]);
/// ```
#[derive(Clone, Debug)]
pub struct TopK<T, K = f32> {
    k: usize,
    heap: BinaryHeap<Entry<T, K>>,
}

impl<T: Ord, K: Key> TopK<T, K> {
    /// Returns an empty selection of at most `k` pairs. It takes memory for the pairs that it keeps only, so `k` may be any number.
    pub fn new(k: usize) -> Self {
        Self { k, heap: BinaryHeap::new() }
    }

    /// Returns an empty selection that takes memory for `k` pairs at once. The caller has bounded `k` by the number of
    /// pairs there are.
    pub fn with_capacity(k: usize) -> Self {
        Self { k, heap: BinaryHeap::with_capacity(k) }
    }

    /// Returns the largest key kept, or infinity while there is room: a pair of larger key would not stay.
    pub fn threshold(&self) -> K {
        match self.heap.peek() {
            Some(worst) if self.heap.len() == self.k => worst.key,
            _ => K::INFINITY,
        }
    }

    /// Returns the number of further pairs that would stay, whatever their keys.
    pub fn missing(&self) -> usize {
        self.k - self.heap.len()
    }

    /// Keeps the pair if it is among the `k` best so far.
    pub fn push(&mut self, key: K, value: T) {
        self.push_entry(Entry { key, value });
    }

    /// Adds the pairs that another selection kept.
    pub fn merge(&mut self, other: Self) {
        other.heap.into_iter().for_each(|entry| self.push_entry(entry));
    }

    fn push_entry(&mut self, entry: Entry<T, K>) {
        if self.heap.len() < self.k {
            self.heap.push(entry);
        } else if let Some(mut worst) = self.heap.peek_mut()
            && entry < *worst
        {
            *worst = entry;
        }
    }

    /// Returns the kept pairs, best first.
    pub fn into_sorted(self) -> impl Iterator<Item = (K, T)> {
        self.heap.into_sorted_vec().into_iter().map(|Entry { key, value }| (key, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_data::Random;

    #[test]
    fn keeps_the_smallest_and_breaks_ties_by_value() {
        let mut random = Random::new(3);
        for k in [1, 2, 7, 100] {
            let mut all: Vec<(f32, u64)> = (0..50).map(|id| (random.below(10) as f32, id)).collect();
            let (mut top, mut first, mut second) = (TopK::new(k), TopK::with_capacity(k), TopK::new(k));
            for i in (0..50).rev() {
                top.push(all[i].0, all[i].1);
                let half = if i % 2 == 0 { &mut first } else { &mut second };
                half.push(all[i].0, all[i].1);
            }
            first.merge(second);
            all.sort_by(|a, b| a.partial_cmp(b).unwrap());
            all.truncate(k);
            assert_eq!(top.into_sorted().collect::<Vec<_>>(), all);
            assert_eq!(first.into_sorted().collect::<Vec<_>>(), all, "in two halves");
        }
    }

    #[test]
    fn a_selection_of_nothing_keeps_nothing() {
        let mut top = TopK::new(0);
        top.push(1.0_f64, 1);
        assert_eq!((top.missing(), top.into_sorted().count()), (0, 0));
    }

    #[test]
    fn threshold_is_infinite_until_full() {
        let mut top: TopK<i32> = TopK::new(2);
        top.push(1.0, 1);
        assert_eq!(top.threshold(), f32::INFINITY);
        top.push(3.0, 2);
        assert_eq!(top.threshold(), 3.0);
        top.push(2.0, 3);
        assert_eq!(top.threshold(), 2.0);
    }
}
