//! The `k` best of a stream: pairs of key and value go in, the `k` smallest come out in order.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// A value with the key it competes by: smaller keys are better, ties go to the smaller value.
#[derive(Clone, Copy, Debug)]
struct Entry<T> {
    key: f32,
    value: T,
}

impl<T: Ord> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.total_cmp(&other.key).then_with(|| self.value.cmp(&other.value))
    }
}

impl<T: Ord> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: Ord> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T: Ord> Eq for Entry<T> {}

/// The `k` smallest of what was pushed.
#[derive(Debug)]
pub(super) struct TopK<T> {
    k: usize,
    heap: BinaryHeap<Entry<T>>,
}

impl<T: Ord> TopK<T> {
    /// `k` is at least 1. Memory is taken for `k` entries: the caller has bounded it by what there is.
    pub(super) fn new(k: usize) -> Self {
        Self { k, heap: BinaryHeap::with_capacity(k) }
    }

    /// The largest key kept, or infinity while there is room: a larger key would not stay.
    pub(super) fn threshold(&self) -> f32 {
        match self.heap.peek() {
            Some(worst) if self.heap.len() == self.k => worst.key,
            _ => f32::INFINITY,
        }
    }

    /// The number of further entries that would stay whatever their key.
    pub(super) fn missing(&self) -> usize {
        self.k - self.heap.len()
    }

    pub(super) fn push(&mut self, key: f32, value: T) {
        let entry = Entry { key, value };
        if self.heap.len() < self.k {
            self.heap.push(entry);
        } else if let Some(mut worst) = self.heap.peek_mut()
            && entry < *worst
        {
            *worst = entry;
        }
    }

    /// The kept pairs, best first.
    pub(super) fn into_sorted(self) -> impl Iterator<Item = (f32, T)> {
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
            let mut top = TopK::new(k);
            for i in (0..50).rev() {
                top.push(all[i].0, all[i].1);
            }
            all.sort_by(|a, b| a.partial_cmp(b).unwrap());
            all.truncate(k);
            assert_eq!(top.into_sorted().collect::<Vec<_>>(), all);
        }
    }

    #[test]
    fn threshold_is_infinite_until_full() {
        let mut top = TopK::new(2);
        top.push(1.0, 1);
        assert_eq!(top.threshold(), f32::INFINITY);
        top.push(3.0, 2);
        assert_eq!(top.threshold(), 3.0);
        top.push(2.0, 3);
        assert_eq!(top.threshold(), 2.0);
    }
}
