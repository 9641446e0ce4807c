//! The ids of an index: maps an id to its row, a row to its id, and a filter of ids to rows. Ids that only count the rows are
//! not stored.

use std::collections::HashMap;

use roaring::RoaringTreemap;

use crate::error::{Error, Result};
use crate::number::to_u32;

/// The ids of an index, by row. A *row* is the position of a vector: the order they were given in, until one is removed
/// and the last one takes its place.
#[derive(Clone, Debug)]
pub(crate) enum Ids {
    /// The id is the row: nothing is stored.
    Rows(usize),
    /// Ascending, so that a row is found by halves.
    Ascending(Vec<u64>),
    /// Any order.
    Mapped(Vec<u64>, RowMap),
}

/// The row of each id.
#[derive(Clone, Debug)]
pub(crate) struct RowMap {
    rows: HashMap<u64, u32>,
    /// The most it ever had room for. The map never gives memory back, but it no longer counts all places of ids that
    /// were removed.
    capacity: usize,
}

impl RowMap {
    fn with_capacity(capacity: usize) -> Self {
        let rows = HashMap::with_capacity(capacity);
        Self { capacity: rows.capacity(), rows }
    }

    fn get(&self, id: u64) -> Option<usize> {
        self.rows.get(&id).map(|&row| row as usize)
    }

    /// Returns the row that `id` had before.
    fn insert(&mut self, id: u64, row: usize) -> Option<u32> {
        let before = self.rows.insert(id, to_u32(row));
        self.capacity = self.capacity.max(self.rows.capacity());
        before
    }

    fn remove(&mut self, id: u64) {
        self.rows.remove(&id);
    }

    /// A slot of the standard map and its byte of control; seven of eight slots may be in use.
    fn memory_bytes(&self) -> usize {
        (self.capacity * 8 / 7).next_power_of_two() * (size_of::<(u64, u32)>() + 1)
    }
}

impl Ids {
    /// Takes the given ids, or counts from 0.
    ///
    /// # Errors
    /// `InvalidInput` if their number is not `num_vectors`, if two are equal, or if there are too many.
    pub(crate) fn new(ids: Option<Vec<u64>>, num_vectors: usize) -> Result<Self> {
        check_len(num_vectors)?;
        let Some(ids) = ids else { return Ok(Self::Rows(num_vectors)) };
        if ids.len() != num_vectors {
            return Err(Error::invalid_input("number of ids differs from number of vectors")
                .with("expected", num_vectors)
                .with("got", ids.len()));
        }
        if ids.is_sorted_by(|a, b| a < b) {
            return Ok(Self::Ascending(ids));
        }
        let mut rows = RowMap::with_capacity(ids.len());
        for (row, &id) in ids.iter().enumerate() {
            if let Some(first) = rows.insert(id, row) {
                return Err(Error::invalid_input("two vectors have one id")
                    .with("id", id)
                    .with("row", first)
                    .with("and row", row));
            }
        }
        Ok(Self::Mapped(ids, rows))
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Rows(len) => *len,
            Self::Ascending(ids) | Self::Mapped(ids, _) => ids.len(),
        }
    }

    #[inline]
    pub(crate) fn id(&self, row: usize) -> u64 {
        match self {
            Self::Rows(_) => row as u64,
            Self::Ascending(ids) | Self::Mapped(ids, _) => ids[row],
        }
    }

    pub(crate) fn row(&self, id: u64) -> Option<usize> {
        match self {
            Self::Rows(len) => usize::try_from(id).ok().filter(|row| row < len),
            Self::Ascending(ids) => ids.binary_search(&id).ok(),
            Self::Mapped(_, rows) => rows.get(id),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = u64> {
        (0..self.len()).map(|row| self.id(row))
    }

    /// The ids, if they are stored.
    pub(crate) fn stored(&self) -> Option<&[u64]> {
        match self {
            Self::Rows(_) => None,
            Self::Ascending(ids) | Self::Mapped(ids, _) => Some(ids),
        }
    }

    /// Checks that none of `new` is there already, or twice.
    pub(crate) fn check_new(&self, new: &[u64]) -> Result<()> {
        check_len(self.len().saturating_add(new.len()))?;
        if let Some(id) = new.iter().find(|&&id| self.row(id).is_some()) {
            return Err(Error::already_exists("the index has a vector of this id").with("id", id));
        }
        let mut sorted = new.to_vec();
        sorted.sort_unstable();
        match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(Error::invalid_input("two vectors have one id").with("id", pair[0])),
            None => Ok(()),
        }
    }

    /// Appends ids that [`check_new`](Self::check_new) passed.
    pub(crate) fn extend(&mut self, new: &[u64]) {
        if let Self::Rows(len) = self {
            if new.iter().enumerate().all(|(i, &id)| id == (*len + i) as u64) {
                *len += new.len();
                return;
            }
            *self = Self::Ascending((0..*len as u64).collect());
        }
        if let Self::Ascending(ids) = self {
            let last = ids.last().copied();
            if new.is_sorted_by(|a, b| a < b) && new.first().is_none_or(|&first| last.is_none_or(|last| last < first)) {
                ids.extend_from_slice(new);
                return;
            }
            self.map();
        }
        if let Self::Mapped(ids, rows) = self {
            for &id in new {
                rows.insert(id, ids.len());
                ids.push(id);
            }
        }
    }

    /// Forgets the id of `row`; the last one takes its place.
    pub(crate) fn swap_remove(&mut self, row: usize) {
        if row + 1 == self.len() {
            match self {
                Self::Rows(len) => *len -= 1,
                Self::Ascending(ids) => _ = ids.pop(),
                Self::Mapped(ids, rows) => _ = ids.pop().map(|id| rows.remove(id)),
            }
            return;
        }
        self.map();
        if let Self::Mapped(ids, rows) = self {
            rows.remove(ids.swap_remove(row));
            rows.insert(ids[row], row);
        }
    }

    fn map(&mut self) {
        if !matches!(self, Self::Mapped(..)) {
            let ids: Vec<u64> = self.iter().collect();
            let mut rows = RowMap::with_capacity(ids.len());
            for (row, &id) in ids.iter().enumerate() {
                rows.insert(id, row);
            }
            *self = Self::Mapped(ids, rows);
        }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        match self {
            Self::Rows(_) => 0,
            Self::Ascending(ids) => ids.capacity() * size_of::<u64>(),
            Self::Mapped(ids, rows) => ids.capacity() * size_of::<u64>() + rows.memory_bytes(),
        }
    }

    /// The rows whose id is in `filter`. A filter may have billions of ids: the shorter of the two is gone through.
    pub(crate) fn matching(&self, filter: &RoaringTreemap) -> Vec<usize> {
        if filter.len() < self.len() as u64 {
            // By its 32-bit parts: the iterator over the whole is slower.
            let ids = filter
                .bitmaps()
                .flat_map(|(high, low)| low.iter().map(move |low| u64::from(high) << 32 | u64::from(low)));
            ids.filter_map(|id| self.row(id)).collect()
        } else {
            (0..self.len()).filter(|&row| filter.contains(self.id(row))).collect()
        }
    }
}

fn check_len(num_vectors: usize) -> Result<()> {
    // The largest number is kept for "none".
    if num_vectors < u32::MAX as usize {
        return Ok(());
    }
    Err(Error::invalid_input("too many vectors for one index")
        .with("expected", format_args!("at most {}", u32::MAX - 1))
        .with("got", num_vectors))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_data::Random;

    #[test]
    fn equal_ids_are_refused() {
        let error = Ids::new(Some(vec![5, 9, 7, 9]), 4).unwrap_err();
        assert_eq!(error.to_string(), "two vectors have one id: id 9, row 1, and row 3");
        let error = Ids::new(Some(vec![5]), 2).unwrap_err();
        assert_eq!(error.to_string(), "number of ids differs from number of vectors: expected 2, got 1");
        let ids = Ids::new(None, 4).unwrap();
        assert_eq!(ids.check_new(&[7, 3]).unwrap_err().to_string(), "the index has a vector of this id: id 3");
        assert_eq!(ids.check_new(&[7, 7]).unwrap_err().to_string(), "two vectors have one id: id 7");
    }

    #[test]
    fn ids_find_their_rows_in_any_order() {
        for ids in [vec![3, 10, 1 << 40, u64::MAX], vec![u64::MAX, 3, 1 << 40, 10]] {
            let map = Ids::new(Some(ids.clone()), 4).unwrap();
            for (row, &id) in ids.iter().enumerate() {
                assert_eq!((map.row(id), map.id(row)), (Some(row), id));
            }
            assert_eq!(map.row(4), None);
        }
    }

    #[test]
    fn ids_come_and_go_as_in_a_list() {
        for start in [None, Some((0..20).map(|i| i * 3).collect()), Some((0..20).rev().collect())] {
            let mut ids = Ids::new(start, 20).unwrap();
            let mut list: Vec<u64> = ids.iter().collect();
            let mut random = Random::new(9);
            for i in 0..200 {
                if random.below(3) > 0 {
                    let new = [1000 + 2 * i, 1001 + 2 * i];
                    ids.check_new(&new).unwrap();
                    ids.extend(&new);
                    list.extend(new);
                } else {
                    let row = random.below(list.len());
                    ids.swap_remove(row);
                    list.swap_remove(row);
                }
                assert_eq!(ids.iter().collect::<Vec<_>>(), list);
                assert!(list.iter().enumerate().all(|(row, &id)| ids.row(id) == Some(row)));
            }
        }
    }

    #[test]
    fn appending_in_order_stores_nothing_for_rows() {
        let mut ids = Ids::new(None, 3).unwrap();
        ids.extend(&[3, 4]);
        ids.swap_remove(4);
        assert_eq!((ids.len(), ids.memory_bytes()), (4, 0));
    }
}
