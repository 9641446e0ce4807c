//! The reader of index files: an untrusted [`Source`] of bytes goes in, an index or an error comes out.

use super::format::{ALIGNMENT, FIXED_BYTES, FLAG_REQUIRED, MAGIC, MAX_SECTIONS, Section, SectionId, header_len};
use super::header::{Header, check_version, num_sections, unknown};
use super::lists::{Directory, ENTRY_BYTES};
use super::parts::Parts;
use super::sections::{check_gap, check_len, fill, pass_over, read_bytes};
use super::source::Source;
use super::{attributes, numbers};
use crate::error::{Error, Result};
use crate::index::{Core, IndexKind};

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
