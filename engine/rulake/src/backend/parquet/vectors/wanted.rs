//! Selection of the rows of a file that are read: deleted and allowed rows go in; tests of rows and ranges come out.

use std::ops::Range;

use roaring::RoaringBitmap;

/// The rows of a file that are read.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) deleted: RoaringBitmap,
    /// Other rows may be left out.
    pub(super) allowed: Option<RoaringBitmap>,
}

impl Wanted {
    pub(super) fn contains(&self, row: u32) -> bool {
        !self.deleted.contains(row) && self.allowed.as_ref().is_none_or(|allowed| allowed.contains(row))
    }

    /// Returns true if all rows of the range are deleted, or none of them is allowed. False may be wrong: a range whose
    /// allowed rows are all deleted is not noticed.
    pub(super) fn none(&self, rows: &Range<u32>) -> bool {
        self.deleted_in(rows) == rows.len()
            || self.allowed.as_ref().is_some_and(|allowed| allowed.range_cardinality(rows.clone()) == 0)
    }

    /// Returns true if every row of the range is wanted.
    pub(super) fn all(&self, rows: &Range<u32>) -> bool {
        self.deleted_in(rows) == 0
            && self.allowed.as_ref().is_none_or(|allowed| allowed.range_cardinality(rows.clone()) == rows.len() as u64)
    }

    /// The number of rows of the range that are deleted.
    pub(super) fn deleted_in(&self, rows: &Range<u32>) -> usize {
        match self.deleted.is_empty() {
            true => 0,
            #[expect(clippy::cast_possible_truncation, reason = "at most the length of the range, whose ends are u32")]
            false => self.deleted.range_cardinality(rows.clone()) as usize,
        }
    }
}
