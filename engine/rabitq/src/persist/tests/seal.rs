//! Makes the checksums of a damaged file right again, as far as its section table can be followed, so that what is behind
//! them is reached. The fuzzer includes this file too.

use std::ops::Range;

const NUM_SECTIONS: usize = 28;
const FILE_LEN: usize = 88;
const FIXED_BYTES: usize = 96;
const SECTION_BYTES: usize = 32;
const ENTRY_BYTES: usize = 24;
const DIRECTORY: u32 = 5;
const LISTS: u32 = 6;

/// Corrects the length of the file and all checksums: of lists, of sections, of the header.
pub(crate) fn seal(file: &mut [u8]) {
    if file.len() < FIXED_BYTES {
        return;
    }
    let file_len = file.len() as u64;
    file[FILE_LEN..][..8].copy_from_slice(&file_len.to_le_bytes());
    let num_sections = number(file, NUM_SECTIONS, 4) as usize;
    let table_end = FIXED_BYTES.saturating_add(num_sections.saturating_mul(SECTION_BYTES));
    if table_end.saturating_add(4) > file.len() {
        return;
    }
    let rows: Vec<usize> = (FIXED_BYTES..table_end).step_by(SECTION_BYTES).collect();
    let section = |file: &[u8], id: u32| {
        let row = rows.iter().find(|&&row| number(file, row, 4) == u64::from(id))?;
        range(file, number(file, row + 8, 8), number(file, row + 16, 8))
    };
    if let (Some(directory), Some(lists)) = (section(file, DIRECTORY), section(file, LISTS)) {
        seal_lists(file, &directory, &lists);
    }
    for &row in &rows {
        if let Some(bytes) = range(file, number(file, row + 8, 8), number(file, row + 16, 8)) {
            put_crc(file, bytes, row + 24);
        }
    }
    put_crc(file, 0..table_end, table_end);
}

/// Corrects the checksums of lists, whose lengths follow from the header.
fn seal_lists(file: &mut [u8], directory: &Range<usize>, lists: &Range<usize>) {
    let (padded_dim, nlist) = (number(file, 24, 4) as usize, number(file, 80, 8));
    for entry in directory.clone().step_by(ENTRY_BYTES) {
        if entry + ENTRY_BYTES > directory.end {
            return;
        }
        let (offset, num_vectors) = (number(file, entry, 8), number(file, entry + 8, 4) as usize);
        let rows = if number(file, entry + 16, 4) & 1 == 1 { num_vectors * (padded_dim / 2 + 12) } else { 0 };
        let members = if nlist > 1 { num_vectors * 4 } else { 0 };
        let len = num_vectors.div_ceil(32) * (padded_dim * 4 + 384) + rows + members;
        if let Some(bytes) = range(file, (lists.start as u64).saturating_add(offset), len as u64) {
            put_crc(file, bytes, entry + 20);
        }
    }
}

fn range(file: &[u8], offset: u64, len: u64) -> Option<Range<usize>> {
    let end = offset.checked_add(len).filter(|&end| end <= file.len() as u64)?;
    Some(offset as usize..end as usize)
}

fn put_crc(file: &mut [u8], of: Range<usize>, at: usize) {
    let crc = crc32fast::hash(&file[of]);
    file[at..][..4].copy_from_slice(&crc.to_le_bytes());
}

/// The little-endian number of `len` bytes at `offset`.
pub(crate) fn number(file: &[u8], offset: usize, len: usize) -> u64 {
    file[offset..][..len].iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}
