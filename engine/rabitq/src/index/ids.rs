use roaring::{RoaringBitmap, RoaringTreemap};

use crate::error::{Error, Result};
use crate::kernel::BLOCK_LEN;

/// The ids of an index. A *slot* is the position of a vector: its row when the index was built.
#[derive(Debug)]
pub(crate) struct Ids {
    ids: Vec<u64>,
    /// Slots in the order of their ids; nothing if that is the order of slots.
    by_id: Option<Vec<u32>>,
}

impl Ids {
    /// Takes the given ids, or counts from 0.
    ///
    /// # Errors
    /// `InvalidInput` if their number is not `num_vectors`, if two are equal, or if there are too many.
    pub(crate) fn new(ids: Option<Vec<u64>>, num_vectors: usize) -> Result<Self> {
        if u32::try_from(num_vectors).is_err() {
            return Err(Error::invalid_input("too many vectors for one index")
                .with("expected", format_args!("at most {}", u32::MAX))
                .with("got", num_vectors));
        }
        let ids = ids.unwrap_or_else(|| (0..num_vectors as u64).collect());
        if ids.len() != num_vectors {
            return Err(Error::invalid_input("number of ids differs from number of vectors")
                .with("expected", num_vectors)
                .with("got", ids.len()));
        }
        if ids.is_sorted_by(|a, b| a < b) {
            return Ok(Self { ids, by_id: None });
        }
        let mut by_id: Vec<u32> = (0..ids.len() as u32).collect();
        by_id.sort_unstable_by_key(|&slot| (ids[slot as usize], slot));
        let equal = by_id.windows(2).find(|pair| ids[pair[0] as usize] == ids[pair[1] as usize]);
        if let Some(&[first, second]) = equal {
            return Err(Error::invalid_input("two vectors have one id")
                .with("id", ids[first as usize])
                .with("row", first)
                .with("and row", second));
        }
        Ok(Self { ids, by_id: Some(by_id) })
    }

    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    pub(crate) fn as_slice(&self) -> &[u64] {
        &self.ids
    }

    pub(crate) fn id(&self, slot: usize) -> u64 {
        self.ids[slot]
    }

    pub(crate) fn slot(&self, id: u64) -> Option<usize> {
        match &self.by_id {
            None => self.ids.binary_search(&id).ok(),
            Some(by_id) => {
                let i = by_id.binary_search_by_key(&id, |&slot| self.ids[slot as usize]).ok()?;
                Some(by_id[i] as usize)
            }
        }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.ids.capacity() * size_of::<u64>()
            + self.by_id.as_ref().map_or(0, |by_id| by_id.capacity() * size_of::<u32>())
    }

    /// The slots a search may answer from: those whose id is in `filter`, or all.
    pub(super) fn matching(&self, filter: Option<&RoaringTreemap>) -> SlotSet {
        match filter {
            None => SlotSet::all(self.len()),
            // A lookup is a binary search, a test a probe of a bitmap: the smaller side leads.
            Some(filter) if filter.len().saturating_mul(8) < self.len() as u64 => {
                let mut slots = SlotSet::none(self.len());
                filter.iter().filter_map(|id| self.slot(id)).for_each(|slot| slots.insert(slot));
                slots
            }
            Some(filter) => {
                let mut slots = SlotSet::none(self.len());
                let bitmaps: Vec<(u32, &RoaringBitmap)> = filter.bitmaps().collect();
                let mut last: (Option<u32>, Option<&RoaringBitmap>) = (None, None);
                for (slot, &id) in self.ids.iter().enumerate() {
                    let (high, low) = ((id >> 32) as u32, id as u32);
                    // Neighbours mostly share their upper half, the file they came from.
                    if last.0 != Some(high) {
                        let found = bitmaps.binary_search_by_key(&high, |&(high, _)| high);
                        last = (Some(high), found.ok().map(|i| bitmaps[i].1));
                    }
                    if last.1.is_some_and(|bitmap| bitmap.contains(low)) {
                        slots.insert(slot);
                    }
                }
                slots
            }
        }
    }
}

/// A set of slots: 32 bits for each block.
#[derive(Debug)]
pub(super) struct SlotSet {
    masks: Vec<u32>,
    len: usize,
}

impl SlotSet {
    fn none(num_slots: usize) -> Self {
        Self { masks: vec![0; num_slots.div_ceil(BLOCK_LEN)], len: 0 }
    }

    fn all(num_slots: usize) -> Self {
        let mut masks = vec![u32::MAX; num_slots.div_ceil(BLOCK_LEN)];
        if let (Some(last), tail @ 1..) = (masks.last_mut(), num_slots % BLOCK_LEN) {
            *last = (1 << tail) - 1;
        }
        Self { masks, len: num_slots }
    }

    fn insert(&mut self, slot: usize) {
        let (mask, bit) = (&mut self.masks[slot / BLOCK_LEN], 1 << (slot % BLOCK_LEN));
        self.len += usize::from(*mask & bit == 0);
        *mask |= bit;
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Blocks that have a slot of the set, with a bit for each such slot.
    pub(super) fn blocks(&self) -> impl Iterator<Item = (usize, u32)> {
        self.masks.iter().copied().enumerate().filter(|&(_, mask)| mask != 0)
    }

    /// The slots in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> {
        self.blocks().flat_map(|(block, mask)| bits(mask).map(move |lane| block * BLOCK_LEN + lane))
    }
}

/// The positions of the ones in `mask`, in order.
fn bits(mut mask: u32) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lane = (mask != 0).then(|| mask.trailing_zeros() as usize);
        mask &= mask.wrapping_sub(1);
        lane
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_ids_are_refused() {
        let error = Ids::new(Some(vec![5, 9, 7, 9]), 4).unwrap_err();
        assert_eq!(error.to_string(), "two vectors have one id: id 9, row 1, and row 3");
        let error = Ids::new(Some(vec![5]), 2).unwrap_err();
        assert_eq!(error.to_string(), "number of ids differs from number of vectors: expected 2, got 1");
    }

    #[test]
    fn ids_find_their_slots_in_any_order() {
        for ids in [vec![3, 10, 1 << 40, u64::MAX], vec![u64::MAX, 3, 1 << 40, 10]] {
            let map = Ids::new(Some(ids.clone()), 4).unwrap();
            for (slot, &id) in ids.iter().enumerate() {
                assert_eq!((map.slot(id), map.id(slot)), (Some(slot), id));
            }
            assert_eq!(map.slot(4), None);
        }
    }

    #[test]
    fn filters_become_slots() {
        // Three files of rows, not in order.
        let ids: Vec<u64> = (0..100).map(|i| ((2 - i % 3) << 32) | (i * 7)).collect();
        let map = Ids::new(Some(ids.clone()), 100).unwrap();
        for modulus in [1, 2, 3, 50, 1000] {
            let filter: RoaringTreemap = ids.iter().copied().filter(|id| id % modulus == 1 % modulus).collect();
            let expected: Vec<usize> = (0..100).filter(|&slot| filter.contains(ids[slot])).collect();
            let slots = map.matching(Some(&filter));
            assert_eq!(slots.iter().collect::<Vec<_>>(), expected, "modulus {modulus}");
            assert_eq!(slots.len(), expected.len());
        }
        let strangers: RoaringTreemap = [1, 2, 3, u64::MAX].into_iter().collect();
        assert_eq!(map.matching(Some(&strangers)).len(), 0);
    }

    #[test]
    fn all_slots_end_with_the_last() {
        for num_slots in [0, 1, 31, 32, 33, 64] {
            let map = Ids::new(None, num_slots).unwrap();
            let slots = map.matching(None);
            assert_eq!(slots.iter().collect::<Vec<_>>(), (0..num_slots).collect::<Vec<_>>());
            assert_eq!(slots.len(), num_slots);
        }
    }
}
