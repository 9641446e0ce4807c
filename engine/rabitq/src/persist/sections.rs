//! Checked bytes of an index file: a place in an untrusted [`Source`] goes in; its bytes come out, or an error if the file
//! ends before, or a checksum, a length or a gap is wrong.

use std::io::ErrorKind as IoErrorKind;

use super::format::{ALIGNMENT, Section};
use super::source::Source;
use crate::error::{Error, Result};
use crate::memory::on_huge_pages;

/// Checks the length that the table gives a section: it lies within the file, so it bounds what may be taken.
pub(super) fn check_len(section: &Section, expected: u64) -> Result<()> {
    if section.len == expected {
        return Ok(());
    }
    Err(Error::corrupt("index file has a section of the wrong length")
        .with("section", section.id)
        .with("expected", expected)
        .with("got", section.len))
}

/// Checks that there are zeros from `start` to `end`, which is less than 64 bytes away; tells their checksum.
#[expect(clippy::cast_possible_truncation, reason = "a gap is shorter than the alignment")]
pub(super) fn check_gap(source: &dyn Source, start: u64, end: u64) -> Result<crc32fast::Hasher> {
    let mut gap = [0; ALIGNMENT as usize];
    let gap = &mut gap[..(end - start) as usize];
    fill(source, gap, start)?;
    if let Some(byte) = gap.iter().find(|&&byte| byte != 0) {
        return Err(Error::corrupt("index file has bytes in a gap")
            .with("before", end)
            .with("expected", 0)
            .with("got", byte));
    }
    let mut crc = crc32fast::Hasher::new();
    crc.update(gap);
    Ok(crc)
}

/// Reads a section and checks its sum.
pub(super) fn read_bytes(source: &dyn Source, section: &Section) -> Result<Vec<u8>> {
    let bytes = take(source, section.offset, section.len)?;
    check_sum(section, crc32fast::hash(&bytes))?;
    Ok(bytes)
}

/// Checks the sum of a section that a later minor version added.
pub(super) fn pass_over(source: &dyn Source, section: &Section) -> Result<()> {
    let at_most = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX).min(1 << 16);
    let mut buffer = vec![0; at_most(section.len)];
    let mut crc = crc32fast::Hasher::new();
    let mut passed = 0;
    while passed < section.len {
        let piece = &mut buffer[..at_most(section.len - passed)];
        fill(source, piece, section.offset + passed)?;
        crc.update(piece);
        passed += piece.len() as u64;
    }
    check_sum(section, crc.finalize())
}

/// Reads `len` bytes from `offset` on, which are within the file.
pub(super) fn take(source: &dyn Source, offset: u64, len: u64) -> Result<Vec<u8>> {
    let len = count_of::<u8>(len)?;
    let mut bytes = room(len)?;
    bytes.resize(len, 0);
    fill(source, &mut bytes, offset)?;
    Ok(bytes)
}

pub(super) fn fill(source: &dyn Source, bytes: &mut [u8], offset: u64) -> Result<()> {
    let end = offset + bytes.len() as u64;
    source.read_at(bytes, offset).map_err(|source| cannot_read(source, end))
}

/// Checks the sum of a section.
pub(super) fn check_sum(section: &Section, got: u32) -> Result<()> {
    if got == section.crc {
        return Ok(());
    }
    Err(Error::corrupt("checksum of a section of the index file is wrong")
        .with("section", section.id)
        .with("expected", format_args!("{:08x}", section.crc))
        .with("got", format_args!("{got:08x}")))
}

/// The error of a read that failed; `expected` is the length that the file should have at least.
pub(super) fn cannot_read(source: std::io::Error, expected: u64) -> Error {
    match source.kind() {
        IoErrorKind::UnexpectedEof => {
            Error::corrupt("index file is truncated").with("expected", format_args!("at least {expected} bytes"))
        }
        _ => Error::io("cannot read the index file", source),
    }
}

/// The number of values in `len` bytes: an error if there are more than memory has addresses for.
pub(super) fn count_of<T>(len: u64) -> Result<usize> {
    let count = len / size_of::<T>() as u64;
    usize::try_from(count).map_err(|_| no_memory::<T>(count))
}

/// An empty vector with room for `len` values: an error where `Vec::with_capacity` would end the process.
pub(super) fn room<T>(len: usize) -> Result<Vec<T>> {
    let mut values = Vec::new();
    match values.try_reserve_exact(len) {
        Ok(()) => Ok(on_huge_pages(values)),
        Err(_) => Err(no_memory::<T>(len as u64)),
    }
}

fn no_memory<T>(len: u64) -> Error {
    let source = std::io::Error::from(IoErrorKind::OutOfMemory);
    Error::io("no memory for the index file", source).with("values", len).with("bytes each", size_of::<T>())
}
