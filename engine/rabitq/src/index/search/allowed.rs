//! The filter of a search in the form that a scan uses. The ids of the filter go in, masks of blocks or a test of each
//! survivor come out.

use std::ops::Range;

use roaring::RoaringTreemap;

use crate::index::core::Core;
use crate::index::lists::Lists;
use crate::kernel::BLOCK_LEN;

/// A filter that allows less than one in so many is turned into masks of blocks, which are then skipped; a wider one is
/// asked about what survives the scan.
const MASKS_BELOW: u64 = 16;

/// The vectors that may be answers.
pub(super) enum Allowed<'a> {
    All,
    /// A bit for each slot of each list.
    Masks(Vec<Vec<u32>>),
    /// Asked about each survivor.
    Filter(&'a RoaringTreemap),
}

impl<'a> Allowed<'a> {
    pub(super) fn new(core: &Core, lists: &Lists, filter: Option<&'a RoaringTreemap>) -> Self {
        let Some(filter) = filter else { return Self::All };
        if filter.len().saturating_mul(MASKS_BELOW) >= core.len() as u64 {
            return Self::Filter(filter);
        }
        let mut masks: Vec<Vec<u32>> = vec![Vec::new(); lists.lists.len()];
        for row in core.ids.matching(filter) {
            let (list, slot) = lists.place(row);
            let masks = &mut masks[list];
            if masks.is_empty() {
                masks.resize(lists.lists[list].blocks.num_blocks(), 0);
            }
            masks[slot / BLOCK_LEN] |= 1 << (slot % BLOCK_LEN);
        }
        Self::Masks(masks)
    }

    /// The masks by which the scan of a list itself leaves vectors out.
    pub(super) fn masks(&self, list: usize) -> Masks<'_> {
        match self {
            Self::All | Self::Filter(_) => Masks::All,
            Self::Masks(masks) if masks[list].is_empty() => Masks::None,
            Self::Masks(masks) => Masks::Blocks(&masks[list]),
        }
    }

    /// Returns true if a survivor may be an answer.
    #[inline]
    pub(super) fn row(&self, core: &Core, row: usize) -> bool {
        match self {
            Self::All | Self::Masks(_) => true,
            Self::Filter(filter) => filter.contains(core.ids.id(row)),
        }
    }
}

/// The lanes of the blocks of a list that are scanned.
#[derive(Clone, Copy)]
pub(super) enum Masks<'a> {
    All,
    /// The list is not scanned at all.
    None,
    Blocks(&'a [u32]),
}

impl<'a> Masks<'a> {
    /// A mask for each of some blocks, unless all lanes are scanned.
    pub(super) fn of(self, blocks: Range<usize>) -> Option<&'a [u32]> {
        match self {
            Self::All | Self::None => None,
            Self::Blocks(masks) => Some(&masks[blocks]),
        }
    }
}
