//! Storage of f32 values, in memory of the process or in a mapped file; both come out as one slice.

use std::ops::{Deref, DerefMut};

#[cfg(all(unix, target_endian = "little"))]
use crate::memory::MappedFloats;
use crate::memory::on_huge_pages;

/// The numbers of many vectors, wherever they lie.
#[derive(Debug)]
pub(crate) enum Values {
    /// In memory of our own.
    Owned(Vec<f32>),
    /// In a file.
    #[cfg(all(unix, target_endian = "little"))]
    Mapped(MappedFloats),
    /// Copied from a file that was not what it had been: some of them are wrong.
    Damaged(Vec<f32>),
}

/// Returns the number of values to take room for, where there will be `len`. Without more room the first vector added to a
/// large index would move the index as a whole. Room that is not written to takes no memory.
pub(crate) fn roomy(len: usize) -> usize {
    const LARGE: usize = 1 << 24;
    if len < LARGE { len } else { len + len / 8 }
}

impl Values {
    /// Copies the numbers, with room for more.
    pub(crate) fn copy_of(numbers: &[f32]) -> Self {
        let mut values = on_huge_pages(Vec::with_capacity(roomy(numbers.len())));
        values.extend_from_slice(numbers);
        Self::Owned(values)
    }

    /// Numbers that there is room for.
    pub(crate) fn capacity(&self) -> usize {
        match self {
            Self::Owned(values) | Self::Damaged(values) => values.capacity(),
            #[cfg(all(unix, target_endian = "little"))]
            Self::Mapped(values) => values.capacity(),
        }
    }

    pub(crate) fn extend_from_slice(&mut self, more: &[f32]) {
        match self {
            Self::Owned(values) | Self::Damaged(values) => values.extend_from_slice(more),
            #[cfg(all(unix, target_endian = "little"))]
            Self::Mapped(values) => {
                if !values.try_extend(more) {
                    let mut owned = on_huge_pages(Vec::with_capacity(roomy(values.len() + more.len())));
                    owned.extend_from_slice(values);
                    owned.extend_from_slice(more);
                    *self = if values.verify() { Self::Owned(owned) } else { Self::Damaged(owned) };
                }
            }
        }
    }

    /// Returns true if some of the numbers are known to be wrong. It makes no system call.
    pub(crate) fn is_damaged(&self) -> bool {
        match self {
            Self::Owned(_) => false,
            #[cfg(all(unix, target_endian = "little"))]
            Self::Mapped(values) => values.is_damaged(),
            Self::Damaged(_) => true,
        }
    }

    /// Returns true if all numbers that were read until now are right.
    pub(crate) fn verify(&self) -> bool {
        match self {
            Self::Owned(_) => true,
            #[cfg(all(unix, target_endian = "little"))]
            Self::Mapped(values) => values.verify(),
            Self::Damaged(_) => false,
        }
    }

    pub(crate) fn truncate(&mut self, len: usize) {
        match self {
            Self::Owned(values) | Self::Damaged(values) => values.truncate(len),
            #[cfg(all(unix, target_endian = "little"))]
            Self::Mapped(values) => values.truncate(len),
        }
    }
}

impl Deref for Values {
    type Target = [f32];

    #[inline]
    fn deref(&self) -> &[f32] {
        match self {
            Self::Owned(values) | Self::Damaged(values) => values,
            #[cfg(all(unix, target_endian = "little"))]
            Self::Mapped(values) => values,
        }
    }
}

impl DerefMut for Values {
    fn deref_mut(&mut self) -> &mut [f32] {
        match self {
            Self::Owned(values) | Self::Damaged(values) => values,
            #[cfg(all(unix, target_endian = "little"))]
            Self::Mapped(values) => values,
        }
    }
}

impl Default for Values {
    fn default() -> Self {
        Self::Owned(Vec::new())
    }
}

impl Clone for Values {
    fn clone(&self) -> Self {
        let copy = Self::copy_of(self);
        match (copy, self.verify()) {
            (Self::Owned(numbers), false) => Self::Damaged(numbers),
            (copy, _) => copy,
        }
    }
}

impl PartialEq for Values {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}
