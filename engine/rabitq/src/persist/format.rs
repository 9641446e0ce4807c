//! The layout of an index file (`.rbpx`), major version 2. All numbers are little-endian.
//!
//! | offset | size | meaning |
//! |---|---|---|
//! | 0 | 8 | magic `rbpx\r\n\x1a\n` |
//! | 8 | 2 | major version: a reader of another one refuses the file |
//! | 10 | 2 | minor version: a reader skips what it does not know |
//! | 12 | 4 | `0x0A0B_0C0D`, as a check of the byte order |
//! | 16 | 2 | kind: 1 flat, 2 rabitq_plus, 3 rabitq, 4 rabitq_asym, 5 ivf_rabitq |
//! | 18 | 2 | metric: 1 l2, 2 inner_product, 3 cosine |
//! | 20 | 4 | dim |
//! | 24 | 4 | padded_dim: dim rounded up to a multiple of 64 |
//! | 28 | 4 | number of sections |
//! | 32 | 8 | num_vectors |
//! | 40 | 8 | seed of the rotation |
//! | 48 | 8 | rerank_factor |
//! | 56 | 4 | epsilon (f32) |
//! | 60 | 4 | flags: bit 0 keep_originals, as asked for |
//! | 64 | 8 | number of lists as asked for, 0 if it was left open |
//! | 72 | 8 | nprobe as asked for, 0 if it was left open |
//! | 80 | 8 | nlist: the number of lists there are, 0 without codes |
//! | 88 | 8 | length of the file |
//! | 96 | 32 each | sections: id (4), flags (4), offset (8), length (8), crc32 of the bytes (4), 0 (4) |
//! | then | 4 | crc32 of everything before it |
//!
//! Sections stand in the order of their ids, each at the next multiple of 64 after what is before it; gaps are zeros. The
//! file ends with the last section. Flag bit 0 of a section: a reader that does not know it must refuse the file; it is
//! set for all of these. What an index does not have, its file has no section for.
//!
//! | section | bytes |
//! |---|---|
//! | 1 ids | u64 per vector; left out if they count from 0 |
//! | 2 vectors | f32 `[num_vectors, dim]` |
//! | 3 origin | f32 `[dim]`: the mean with l2, else zeros |
//! | 4 centroids | step (f32), then i8 `[nlist, padded_dim]`: rotated, relative to the origin, in steps |
//! | 5 directory | per list: offset within section 6 (8), number of vectors (4), radius (f32), flags (4), crc32 of its range (4) |
//! | 6 lists | the range of each list, each at the next multiple of 64; gaps are zeros |
//! | 7 attributes | number (4); per attribute, by ascending key: length (4) and UTF-8 of key, length (4) and UTF-8 of value |
//!
//! | range of a list | bytes |
//! |---|---|
//! | blocks of 32 vectors | `4 * padded_dim` of bits, then 32 times each of the factors add, rescale, error (f32) |
//! | rows, if flag bit 0 is set | per vector `padded_dim / 2` of four-bit codes, then its factors add, rescale, error (f32) |
//! | members, if there are several lists | u32 per vector: its row, a position in sections 1 and 2 |
//!
//! Bits: those of coordinates `4g..4g + 4` of vector `v` of a block are half of byte
//! `g / 8 * 128 + v / 16 * 64 + v % 16 * 4 + g / 2 % 4`, the upper half for odd `g`; the last block is filled up with zeros.
//! Row: byte `i` of each 32 holds the code of coordinate `i` of each 64 in its lower half, of `i + 32` in its upper one.

/// The extension of an index file, without the dot.
pub const EXTENSION: &str = "rbpx";

pub(super) const MAGIC: [u8; 8] = *b"rbpx\r\n\x1a\n";
/// Magic of the files of another project: those that `RabitqIndex.save` of the package `ruvector` 0.1 on PyPI writes. They have
/// the same extension.
pub(super) const MAGIC_OF_PYPI_0_1: [u8; 8] = *b"rbpx0001";
pub(super) const MAJOR: u16 = 2;
pub(super) const MINOR: u16 = 0;
pub(super) const ENDIAN_TAG: u32 = 0x0A0B_0C0D;
pub(super) const FIXED_BYTES: usize = 96;
pub(super) const NUM_SECTIONS_OFFSET: usize = 28;
pub(super) const SECTION_BYTES: usize = 32;
pub(super) const CRC_BYTES: usize = 4;
pub(super) const MAX_SECTIONS: usize = 64;
pub(super) const ALIGNMENT: u64 = 64;
pub(super) const FLAG_KEEP_ORIGINALS: u32 = 1;
pub(super) const FLAG_REQUIRED: u32 = 1;
pub(super) const FLAG_ROWS: u32 = 1;

/// The sections of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum SectionId {
    Ids = 1,
    Vectors = 2,
    Origin = 3,
    Centroids = 4,
    Directory = 5,
    Lists = 6,
    Attributes = 7,
}

impl SectionId {
    pub(super) const ALL: [Self; 7] =
        [Self::Ids, Self::Vectors, Self::Origin, Self::Centroids, Self::Directory, Self::Lists, Self::Attributes];

    pub(super) fn of(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|&id| id as u32 == number)
    }
}

/// One row of the section table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) id: u32,
    pub(super) flags: u32,
    pub(super) offset: u64,
    pub(super) len: u64,
    pub(super) crc: u32,
}

/// Bytes of a header with `num_sections` sections, its checksum included.
pub(super) fn header_len(num_sections: usize) -> usize {
    FIXED_BYTES + num_sections * SECTION_BYTES + CRC_BYTES
}
