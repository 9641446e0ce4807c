//! The directory and the lists of an index file: the bytes of both sections go in, checked lists of codes come out. Lists are
//! read on all threads.

use rayon::prelude::*;

use super::fields::Fields;
use super::format::{ALIGNMENT, FLAG_ROWS, Section};
use super::header::{Header, unknown};
use super::sections::{check_gap, check_len, check_sum, take};
use super::source::Source;
use crate::code::{CodeBlocks, Rows, block_bytes, row_bytes};
use crate::error::{Error, Result};
use crate::index::List;
use crate::kernel::{BLOCK_LEN, Layout, code_bytes};

/// Bytes of one entry of the directory.
pub(super) const ENTRY_BYTES: usize = 24;

/// The entry of the directory for one list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// From the start of the section of lists.
    pub(super) offset: u64,
    pub(super) num_vectors: u32,
    pub(super) radius: f32,
    pub(super) has_rows: bool,
    pub(super) crc: u32,
}

impl Entry {
    pub(super) fn to_bytes(self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        bytes[..8].copy_from_slice(&self.offset.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.num_vectors.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.radius.to_le_bytes());
        bytes[16..20].copy_from_slice(&if self.has_rows { FLAG_ROWS } else { 0 }.to_le_bytes());
        bytes[20..].copy_from_slice(&self.crc.to_le_bytes());
        bytes
    }

    fn from_fields(fields: &mut Fields<'_>) -> Result<Self> {
        let (offset, num_vectors, radius) = (fields.u64()?, fields.u32()?, fields.f32()?);
        let has_rows = match fields.u32()? {
            0 => false,
            FLAG_ROWS => true,
            flags => return Err(unknown("flags of a list", flags)),
        };
        Ok(Self { offset, num_vectors, radius, has_rows, crc: fields.u32()? })
    }
}

/// The entries of all lists.
///
/// Those that were read are consistent: ranges follow each other and fill the section of lists, the vectors are as many
/// as the header says, and each radius is one.
#[derive(Debug, Default)]
pub(super) struct Directory {
    entries: Vec<Entry>,
    /// Bytes of the section of lists.
    lists_len: u64,
}

impl Directory {
    pub(super) fn from_bytes(bytes: &[u8], header: &Header) -> Result<Self> {
        let mut fields = Fields(bytes);
        let entries: Vec<Entry> = (0..header.nlist).map(|_| Entry::from_fields(&mut fields)).collect::<Result<_>>()?;
        let (mut lists_len, mut num_vectors) = (0_u64, 0_u64);
        for (number, entry) in entries.iter().enumerate() {
            let wrong = |field: &'static str| {
                Error::corrupt("index file has a directory that cannot be").with("list", number).with("field", field)
            };
            let offset = lists_len.next_multiple_of(ALIGNMENT);
            if entry.offset != offset {
                return Err(wrong("offset").with("expected", offset).with("got", entry.offset));
            }
            if entry.radius.is_nan() || entry.radius < 0.0 {
                return Err(wrong("radius").with("expected", "at least 0").with("got", entry.radius));
            }
            if entry.has_rows != entries[0].has_rows {
                return Err(wrong("flags").with("expected", "four-bit rows in all lists, or in none"));
            }
            num_vectors += u64::from(entry.num_vectors);
            if num_vectors > u64::from(header.num_vectors) {
                break;
            }
            // At most 2^32 vectors and 2^32 lists, of 2^14 and 2^17 bytes: no sum overflows.
            lists_len = offset + RangeLens::new(header, entry).total();
        }
        if num_vectors != u64::from(header.num_vectors) {
            return Err(Error::corrupt("index file has lists of another number of vectors")
                .with("expected", header.num_vectors)
                .with("got", format_args!("{num_vectors} or more")));
        }
        Ok(Self { entries, lists_len })
    }

    /// Reads the section of lists.
    pub(super) fn read_lists(&self, source: &dyn Source, section: &Section, header: &Header) -> Result<Vec<List>> {
        check_len(section, self.lists_len)?;
        let ends = self.entries.iter().map(|entry| entry.offset + RangeLens::new(header, entry).total());
        let starts: Vec<u64> = std::iter::once(0).chain(ends).collect();
        let read = self.entries.par_iter().zip(&starts).enumerate().map(|(number, (entry, gap))| {
            let [gap, start] = [gap, &entry.offset].map(|offset| section.offset + offset);
            let mut crc = check_gap(source, gap, start)?;
            let (list, sum) = read_list(source, start, header, entry).map_err(|error| error.with("list", number))?;
            crc.combine(&sum);
            Ok((list, crc))
        });
        let (lists, sums): (Vec<List>, Vec<_>) = read.collect::<Result<Vec<_>>>()?.into_iter().unzip();
        check_members(&lists, header)?;
        let mut crc = crc32fast::Hasher::new();
        sums.iter().for_each(|sum| crc.combine(sum));
        check_sum(section, crc.finalize())?;
        Ok(lists)
    }
}

/// Checks that each row is in one list.
fn check_members(lists: &[List], header: &Header) -> Result<()> {
    let mut seen = vec![false; if header.nlist > 1 { header.num_vectors as usize } else { 0 }];
    for (number, list) in lists.iter().enumerate() {
        for &row in &list.members {
            match seen.get_mut(row as usize) {
                Some(seen) if !*seen => *seen = true,
                _ => {
                    return Err(Error::corrupt("index file has a list whose members cannot be")
                        .with("expected", format_args!("each row below {} once", header.num_vectors))
                        .with("got", row)
                        .with("list", number));
                }
            }
        }
    }
    Ok(())
}

/// Bytes of the parts of one list's range.
struct RangeLens {
    blocks: u64,
    rows: u64,
    members: u64,
}

impl RangeLens {
    fn new(header: &Header, entry: &Entry) -> Self {
        let (padded_dim, num_vectors) = (header.padded_dim(), u64::from(entry.num_vectors));
        Self {
            blocks: num_vectors.div_ceil(BLOCK_LEN as u64) * block_bytes(padded_dim) as u64,
            rows: if entry.has_rows { num_vectors * row_bytes(padded_dim) as u64 } else { 0 },
            members: if header.nlist > 1 { num_vectors * size_of::<u32>() as u64 } else { 0 },
        }
    }

    fn total(&self) -> u64 {
        self.blocks + self.rows + self.members
    }
}

/// Reads the list that starts at `start`, and tells the checksum of its bytes.
fn read_list(source: &dyn Source, start: u64, header: &Header, entry: &Entry) -> Result<(List, crc32fast::Hasher)> {
    let (padded_dim, num_vectors) = (header.padded_dim(), entry.num_vectors as usize);
    let lens = RangeLens::new(header, entry);
    let blocks = take(source, start, lens.blocks)?;
    let rows = take(source, start + lens.blocks, lens.rows)?;
    let members = take(source, start + lens.blocks + lens.rows, lens.members)?;
    let mut crc = crc32fast::Hasher::new();
    [&blocks, &rows, &members].into_iter().for_each(|part| crc.update(part));
    let got = crc.clone().finalize();
    if got != entry.crc {
        return Err(Error::corrupt("checksum of a list of the index file is wrong")
            .with("expected", format_args!("{:08x}", entry.crc))
            .with("got", format_args!("{got:08x}")));
    }
    check_blocks(padded_dim, num_vectors, &blocks)?;
    let members: Vec<u32> = members.as_chunks().0.iter().map(|&bytes| u32::from_le_bytes(bytes)).collect();
    rows.chunks_exact(row_bytes(padded_dim)).try_for_each(|row| {
        let (factors, _) = row[padded_dim / 2..].as_chunks();
        check_factors([factors[0], factors[1], factors[2]].map(f32::from_le_bytes))
    })?;
    let rows = entry.has_rows.then(|| Rows::from_bytes(padded_dim, rows));
    let blocks = CodeBlocks::from_file(padded_dim, num_vectors, &blocks);
    Ok((List { blocks, rows, members, radius: entry.radius }, crc))
}

/// Checks the factors of every vector, and that there is nothing where the last block has no vector.
fn check_blocks(padded_dim: usize, num_vectors: usize, blocks: &[u8]) -> Result<()> {
    for (block, bytes) in blocks.chunks_exact(block_bytes(padded_dim)).enumerate() {
        let (codes, factors) = bytes.split_at(code_bytes(padded_dim));
        let factors = factors.as_chunks().0;
        let used = (num_vectors - block * BLOCK_LEN).min(BLOCK_LEN);
        for lane in 0..BLOCK_LEN {
            let factors = [factors[lane], factors[BLOCK_LEN + lane], factors[2 * BLOCK_LEN + lane]];
            if lane < used {
                check_factors(factors.map(f32::from_le_bytes))?;
            } else if factors != [[0; 4]; 3] || (0..padded_dim / 4).any(|group| nibble(codes, group, lane) != 0) {
                return Err(Error::corrupt("index file has a code beyond its last vector")
                    .with("expected", "zeros")
                    .with("slot", block * BLOCK_LEN + lane));
            }
        }
    }
    Ok(())
}

fn nibble(codes: &[u8], group: usize, lane: usize) -> u8 {
    let (byte, shift) = Layout::Lanes.nibble(group, lane);
    (codes[byte] >> shift) & 0x0F
}

/// An error without bound marks a vector that its code says nothing about.
fn check_factors([add, rescale, error]: [f32; 3]) -> Result<()> {
    if add.is_finite() && rescale.is_finite() && error >= 0.0 {
        return Ok(());
    }
    Err(Error::corrupt("index file has a code with factors that cannot be")
        .with("expected", "finite numbers, and an error of at least 0")
        .with("got", format_args!("{add}, {rescale}, {error}")))
}
