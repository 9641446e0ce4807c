//! Address of a row inside one generation: (file, physical row), packed into the `u64` that indexes store.

use crate::error::{Error, Result};

/// The name of the hidden column that carries addresses through plans.
pub const ADDRESS_COLUMN: &str = "_rowaddr";

/// (file, physical row) inside one generation of a collection; never valid beyond it.
///
/// `file` is the ordinal of the file in the snapshot's order, `row` counts from 0 in the file as written, deleted rows
/// included. Addresses sort by file, then row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowAddress(u64);

impl RowAddress {
    /// The address of `row` in `file`.
    pub fn new(file: u32, row: u32) -> Self {
        Self(u64::from(file) << 32 | u64::from(row))
    }

    /// The address of row 0 of `file`; a row number is added to it.
    ///
    /// # Errors
    /// `NotSupported` if there are more than 2^32 files.
    pub fn base(file: usize) -> Result<u64> {
        let file = u32::try_from(file).map_err(|_| {
            Error::not_supported("too many files in one collection").with("at most", u32::MAX).with("got", file)
        })?;
        Ok(u64::from(file) << 32)
    }

    /// The ordinal of the file.
    pub fn file(self) -> usize {
        (self.0 >> 32) as usize
    }

    /// The physical row in the file.
    #[expect(clippy::cast_possible_truncation, reason = "the low 32 bits are the row")]
    pub fn row(self) -> u32 {
        self.0 as u32
    }
}

impl From<u64> for RowAddress {
    fn from(packed: u64) -> Self {
        Self(packed)
    }
}

impl From<RowAddress> for u64 {
    fn from(address: RowAddress) -> Self {
        address.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packs_and_sorts_by_file_then_row() {
        let address = RowAddress::new(3, 7);
        assert_eq!((address.file(), address.row()), (3, 7));
        assert_eq!(u64::from(address), RowAddress::base(3).unwrap() + 7);
        assert!(RowAddress::new(1, u32::MAX) < RowAddress::new(2, 0));
    }
}
