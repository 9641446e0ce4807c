//! Which rows of a file are read.

use std::ops::Range;

use roaring::RoaringBitmap;

/// The rows of a file that are read.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) deleted: RoaringBitmap,
    /// The others may be left out.
    pub(super) allowed: Option<RoaringBitmap>,
}

impl Wanted {
    pub(super) fn contains(&self, row: u32) -> bool {
        !self.deleted.contains(row) && self.allowed.as_ref().is_none_or(|allowed| allowed.contains(row))
    }

    /// Whether no row of the range is wanted.
    pub(super) fn none(&self, rows: &Range<u32>) -> bool {
        self.deleted_in(rows) == rows.len()
            || self.allowed.as_ref().is_some_and(|allowed| allowed.range_cardinality(rows.clone()) == 0)
    }

    /// Whether every row of the range is wanted.
    pub(super) fn all(&self, rows: &Range<u32>) -> bool {
        self.deleted_in(rows) == 0
            && self.allowed.as_ref().is_none_or(|allowed| allowed.range_cardinality(rows.clone()) == rows.len() as u64)
    }

    /// How many rows of the range are deleted.
    pub(super) fn deleted_in(&self, rows: &Range<u32>) -> usize {
        match self.deleted.is_empty() {
            true => 0,
            // At most as many as the range has.
            false => self.deleted.range_cardinality(rows.clone()) as usize,
        }
    }
}
