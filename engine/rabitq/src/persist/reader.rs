//! The reader of index files: an untrusted [`Source`] of bytes goes in, an index or an error comes out.

use std::io::ErrorKind as IoErrorKind;

use super::format::{ALIGNMENT, FIXED_BYTES, FLAG_REQUIRED, MAGIC, MAX_SECTIONS, Section, SectionId, header_len};
use super::header::{Header, check_version, num_sections, unknown};
use super::lists::{Directory, ENTRY_BYTES};
use super::parts::Parts;
use super::source::Source;
use super::{attributes, numbers};
use crate::error::{Error, Result};
use crate::index::{Core, IndexKind};
use crate::kernel::on_huge_pages;

/// Reads an index from the `file_len` bytes of `source`. Nothing in it is trusted: memory is taken for a section only once
/// the file is known to be long enough to hold it, and every byte is under a checksum or checked to be zero.
pub(super) fn read(source: &dyn Source, file_len: u64) -> Result<Core> {
    let header = read_header(source)?;
    if header.file_len != file_len {
        return Err(Error::corrupt("index file has the wrong length")
            .with("expected", header.file_len)
            .with("got", file_len));
    }
    check_sections(&header)?;
    let (num_vectors, dim) = (u64::from(header.num_vectors), header.dim.get() as u64);
    let (nlist, padded_dim) = (u64::from(header.nlist), header.padded_dim() as u64);
    let mut parts = Parts::default();
    let mut directory = Directory::default();
    let mut end = header_len(header.sections.len()) as u64;
    for section in &header.sections {
        check_gap(source, end, section.offset)?;
        end = section.offset + section.len;
        match SectionId::of(section.id) {
            // Below 2^32 vectors of at most 2^16 bytes: no product overflows.
            Some(SectionId::Ids) => {
                check_len(section, num_vectors * size_of::<u64>() as u64)?;
                parts.ids = Some(numbers::read(source, section)?);
            }
            Some(SectionId::Vectors) => {
                check_len(section, num_vectors * dim * size_of::<f32>() as u64)?;
                let bound = header.params.metric.max_coordinate();
                (parts.vectors, parts.vectors_fit) = numbers::read_or_map(source, section, bound)?;
            }
            Some(SectionId::Origin) => {
                check_len(section, dim * size_of::<f32>() as u64)?;
                parts.origin = numbers::read(source, section)?;
            }
            Some(SectionId::Centroids) => {
                check_len(section, size_of::<f32>() as u64 + nlist * padded_dim)?;
                parts.set_centroids(&read_bytes(source, section)?)?;
            }
            Some(SectionId::Directory) => {
                check_len(section, nlist * ENTRY_BYTES as u64)?;
                directory = Directory::from_bytes(&read_bytes(source, section)?, &header)?;
            }
            Some(SectionId::Lists) => parts.lists = directory.read_lists(source, section, &header)?,
            Some(SectionId::Attributes) => parts.attributes = attributes::from_bytes(&read_bytes(source, section)?)?,
            None if section.flags & FLAG_REQUIRED != 0 => return Err(unknown("section", section.id)),
            None => pass_over(source, section)?,
        }
    }
    parts.into_core(header)
}

fn read_header(source: &dyn Source) -> Result<Header> {
    let mut bytes = vec![0; FIXED_BYTES];
    // What is no index file at all may be shorter than a header.
    let (version, rest) = bytes.split_at_mut(MAGIC.len() + 8);
    fill(source, version, 0)?;
    check_version(version)?;
    fill(source, rest, version.len() as u64)?;
    let num_sections = num_sections(&bytes)? as usize;
    if num_sections > MAX_SECTIONS {
        return Err(Error::corrupt("index file has too many sections")
            .with("expected", format_args!("at most {MAX_SECTIONS}"))
            .with("got", num_sections));
    }
    bytes.resize(header_len(num_sections), 0);
    fill(source, &mut bytes[FIXED_BYTES..], FIXED_BYTES as u64)?;
    Header::from_bytes(&bytes)
}

/// Checks that the sections this version needs are there, stand in order, and end with the file.
fn check_sections(header: &Header) -> Result<()> {
    let out_of_place = |section: &Section| {
        Error::corrupt("index file has a section out of place").with("section", section.id).with("got", section.offset)
    };
    let mut end = header_len(header.sections.len()) as u64;
    let mut last_id = 0;
    for section in &header.sections {
        let start = end.next_multiple_of(ALIGNMENT);
        // As `end` is at most the length of the file, its next multiple does not overflow.
        let section_end = section.offset.checked_add(section.len).filter(|&end| end <= header.file_len);
        match section_end {
            Some(section_end) if section.id > last_id && section.offset == start => end = section_end,
            _ => return Err(out_of_place(section).with("expected", start)),
        }
        last_id = section.id;
    }
    if end != header.file_len {
        return Err(Error::corrupt("index file has bytes after its last section")
            .with("expected", end)
            .with("got", header.file_len));
    }
    for id in SectionId::ALL {
        let got = header.sections.iter().find(|section| section.id == id as u32);
        let has_codes = header.kind != IndexKind::FlatF32;
        let expected = match id {
            SectionId::Ids => got.is_some(),
            SectionId::Vectors => header.kind.keeps_originals(&header.params),
            SectionId::Origin | SectionId::Centroids | SectionId::Directory | SectionId::Lists => has_codes,
            SectionId::Attributes => true,
        };
        if got.is_some() != expected || got.is_some_and(|section| section.flags != FLAG_REQUIRED) {
            return Err(Error::corrupt("index file has the wrong sections")
                .with("section", format_args!("{id:?}"))
                .with("expected", if expected { "one that is required" } else { "none" })
                .with("got", got.map_or("none".to_owned(), |section| format!("one with flags {}", section.flags))));
        }
    }
    Ok(())
}

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
fn read_bytes(source: &dyn Source, section: &Section) -> Result<Vec<u8>> {
    let bytes = take(source, section.offset, section.len)?;
    check_sum(section, crc32fast::hash(&bytes))?;
    Ok(bytes)
}

/// Checks the sum of a section that a later minor version added.
fn pass_over(source: &dyn Source, section: &Section) -> Result<()> {
    let mut buffer = vec![0; section.len.min(1 << 16) as usize];
    let mut crc = crc32fast::Hasher::new();
    let mut passed = 0;
    while passed < section.len {
        let len = (section.len - passed).min(buffer.len() as u64);
        let piece = &mut buffer[..len as usize];
        fill(source, piece, section.offset + passed)?;
        crc.update(piece);
        passed += len;
    }
    check_sum(section, crc.finalize())
}

/// Reads `len` bytes from `offset` on, which are within the file.
pub(super) fn take(source: &dyn Source, offset: u64, len: u64) -> Result<Vec<u8>> {
    let mut bytes = room(len)?;
    bytes.resize(len as usize, 0);
    fill(source, &mut bytes, offset)?;
    Ok(bytes)
}

fn fill(source: &dyn Source, bytes: &mut [u8], offset: u64) -> Result<()> {
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

/// An empty vector with room for `len` values: an error where `Vec::with_capacity` would end the process.
pub(super) fn room<T>(len: u64) -> Result<Vec<T>> {
    let mut values = Vec::new();
    let reserved = usize::try_from(len).is_ok_and(|len| values.try_reserve_exact(len).is_ok());
    if reserved {
        return Ok(on_huge_pages(values));
    }
    let source = std::io::Error::from(IoErrorKind::OutOfMemory);
    Err(Error::io("no memory for the index file", source).with("values", len).with("bytes each", size_of::<T>()))
}
