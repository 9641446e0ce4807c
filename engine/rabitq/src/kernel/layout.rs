//! Layouts of the codes and lookup tables of a block. A group and a vector go in, the position of the code or table comes out.
//! Codes are converted from one [`Layout`] to another.

/// Vectors in one block of codes.
pub(crate) const BLOCK_LEN: usize = 32;

/// Centroids in one block of centroids.
pub(crate) const CENTROID_LANES: usize = 16;

/// The order of the bits of a block of 32 vectors in memory. Every layout takes `padded_dim * 4` bytes: half a byte for each
/// vector and group of 4 dimensions. Files hold [`Layout::Lanes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// For byte shuffles: 16 bytes per group. Byte `j` holds the bits of vector `j` below and of vector `j + 16` above.
    /// Tables stand in the order of their groups.
    Groups,
    /// For `vpermb` and `vpdpbusd`: a quarter of a line of 64 bytes holds 32 dimensions of one vector as 4 bytes, two
    /// groups each, so that a line is 16 vectors and the products of a vector add up in one lane. Tables come in lines
    /// too: those of the four lower groups, then those of the four upper ones.
    Lanes,
}

/// Dimensions that share one lookup table.
pub(crate) const GROUP_DIMS: usize = 4;

/// Entries of one lookup table: one for each value of 4 bits.
pub(crate) const TABLE_LEN: usize = 16;

/// Bytes of the codes of one block.
pub(crate) const fn code_bytes(padded_dim: usize) -> usize {
    padded_dim / GROUP_DIMS * BLOCK_LEN / 2
}

impl Layout {
    /// Position of the 4 bits of a group for a vector: the byte within the block, and the number of bits they are shifted by.
    #[inline(always)]
    pub(crate) fn nibble(self, group: usize, lane: usize) -> (usize, usize) {
        match self {
            Self::Groups => (group * 16 + lane % 16, lane / 16 * 4),
            Self::Lanes => {
                let byte = group / 2;
                (byte / 4 * 128 + lane / 16 * 64 + lane % 16 * 4 + byte % 4, group % 2 * 4)
            }
        }
    }

    /// Position of the first byte of a group's table.
    #[inline(always)]
    pub(crate) fn table(self, group: usize) -> usize {
        match self {
            Self::Groups => group * TABLE_LEN,
            Self::Lanes => group / 8 * 128 + group % 2 * 64 + group / 2 % 4 * TABLE_LEN,
        }
    }

    /// Moves the codes of one block, all of `codes`, from this layout to another.
    pub(crate) fn convert(self, to: Self, codes: &mut [u8], buffer: &mut Vec<u8>) {
        if self == to {
            return;
        }
        buffer.clear();
        buffer.extend_from_slice(codes);
        codes.fill(0);
        for group in 0..codes.len() / 16 {
            for lane in 0..BLOCK_LEN {
                let (from_byte, from_shift) = self.nibble(group, lane);
                let (byte, shift) = to.nibble(group, lane);
                codes[byte] |= ((buffer[from_byte] >> from_shift) & 0x0F) << shift;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_data::Random;

    #[test]
    fn every_nibble_and_table_has_a_place_of_its_own() {
        for layout in [Layout::Groups, Layout::Lanes] {
            for padded_dim in [64, 128, 192] {
                let mut seen = vec![0_u8; code_bytes(padded_dim)];
                let mut tables = vec![0_u8; padded_dim / GROUP_DIMS * TABLE_LEN];
                for group in 0..padded_dim / GROUP_DIMS {
                    for lane in 0..BLOCK_LEN {
                        let (byte, shift) = layout.nibble(group, lane);
                        assert_eq!((seen[byte] >> shift) & 0x0F, 0, "{layout:?} group {group} lane {lane}");
                        seen[byte] |= 0x0F << shift;
                    }
                    tables[layout.table(group)..][..TABLE_LEN].iter_mut().for_each(|byte| *byte += 1);
                }
                assert!(seen.iter().all(|&byte| byte == 0xFF), "{layout:?}");
                assert!(tables.iter().all(|&byte| byte == 1), "{layout:?}");
            }
        }
    }

    #[test]
    fn conversion_and_back_changes_nothing() {
        let mut random = Random::new(1);
        let codes: Vec<u8> = (0..code_bytes(192)).map(|_| random.below(256) as u8).collect();
        let (mut converted, mut buffer) = (codes.clone(), Vec::new());
        Layout::Lanes.convert(Layout::Groups, &mut converted, &mut buffer);
        assert_ne!(converted, codes);
        Layout::Groups.convert(Layout::Lanes, &mut converted, &mut buffer);
        assert_eq!(converted, codes);
    }
}
