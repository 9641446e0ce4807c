use std::fs::File;
use std::io::{BufReader, ErrorKind as IoErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

use super::format::{ALIGNMENT, FIXED_BYTES, FLAG_REQUIRED, MAGIC, MAX_SECTIONS, Section, SectionId, header_len};
use super::header::{Header, check_version, num_sections, unknown};
use super::lists::{Directory, ENTRY_BYTES};
use super::parts::Parts;
use super::{attributes, floats};
use crate::error::{Error, Result};
use crate::index::{Core, IndexKind};
use crate::kernel::on_huge_pages;

/// Reads the file at `path`. Nothing in it is trusted: memory is taken for a section only once the file is known to be
/// long enough to hold it, and every byte is under a checksum or checked to be zero.
pub(super) fn read_file(path: &Path) -> Result<Core> {
    let cannot_open = |source| Error::io("cannot open the index file", source);
    let file = File::open(path).map_err(cannot_open)?;
    let file_len = file.metadata().map_err(cannot_open)?.len();
    read_with(BufReader::new(&file), file_len, |section| floats::read(&file, section))
}

/// Reads an index from the `file_len` bytes of `input`.
pub(super) fn read(input: impl Read + Seek, file_len: u64) -> Result<Core> {
    read_with(input, file_len, |_| None)
}

/// As [`read`], where `large` may know a quicker way to the numbers of the largest section.
fn read_with(
    input: impl Read + Seek,
    file_len: u64,
    large: impl Fn(&Section) -> Option<Result<Vec<f32>>>,
) -> Result<Core> {
    let mut reader = SectionReader { input, position: 0, crc: crc32fast::Hasher::new() };
    let header = reader.header()?;
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
    for section in &header.sections {
        reader.enter(section)?;
        match SectionId::of(section.id) {
            Some(SectionId::Ids) => parts.ids = Some(reader.numbers(section, num_vectors, u64::from_le_bytes)?),
            Some(SectionId::Vectors) => {
                reader.expect_len(section, num_vectors * dim * size_of::<f32>() as u64)?;
                parts.vectors = match large(section) {
                    Some(read) => {
                        let vectors = read?;
                        reader.pass_over(section)?;
                        vectors
                    }
                    None => reader.numbers(section, num_vectors * dim, f32::from_le_bytes)?,
                };
            }
            Some(SectionId::Origin) => parts.origin = reader.numbers(section, dim, f32::from_le_bytes)?,
            Some(SectionId::Centroids) => {
                parts.set_centroids(&reader.bytes(section, size_of::<f32>() as u64 + nlist * padded_dim)?)?;
            }
            Some(SectionId::Directory) => {
                directory = Directory::from_bytes(&reader.bytes(section, nlist * ENTRY_BYTES as u64)?, &header)?;
            }
            Some(SectionId::Lists) => parts.lists = directory.lists(&mut reader, section, &header)?,
            Some(SectionId::Attributes) => {
                parts.attributes = attributes::from_bytes(&reader.bytes(section, section.len)?)?;
            }
            None if section.flags & FLAG_REQUIRED != 0 => return Err(unknown("section", section.id)),
            None => reader.skip(section)?,
        }
    }
    parts.into_core(header)
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

/// Reads a file from front to back.
pub(super) struct SectionReader<R> {
    input: R,
    position: u64,
    /// Of the section so far.
    crc: crc32fast::Hasher,
}

impl<R: Read + Seek> SectionReader<R> {
    /// Goes to the end of a section that was read in another way.
    fn pass_over(&mut self, section: &Section) -> Result<()> {
        let end = section.offset + section.len;
        self.input.seek(SeekFrom::Start(end)).map_err(|source| Error::io("cannot read the index file", source))?;
        self.position = end;
        Ok(())
    }
}

impl<R: Read> SectionReader<R> {
    fn header(&mut self) -> Result<Header> {
        let mut bytes = vec![0; FIXED_BYTES];
        // What is no index file at all may be shorter than a header.
        let (version, rest) = bytes.split_at_mut(MAGIC.len() + 8);
        self.fill(version)?;
        check_version(version)?;
        self.fill(rest)?;
        let num_sections = num_sections(&bytes)? as usize;
        if num_sections > MAX_SECTIONS {
            return Err(Error::corrupt("index file has too many sections")
                .with("expected", format_args!("at most {MAX_SECTIONS}"))
                .with("got", num_sections));
        }
        bytes.resize(header_len(num_sections), 0);
        self.fill(&mut bytes[FIXED_BYTES..])?;
        Header::from_bytes(&bytes)
    }

    /// Goes to the start of a section.
    fn enter(&mut self, section: &Section) -> Result<()> {
        self.zeros_until(section.offset)?;
        self.crc = crc32fast::Hasher::new();
        Ok(())
    }

    /// Checks the sum of a section that was read to its end.
    pub(super) fn leave(&mut self, section: &Section) -> Result<()> {
        debug_assert_eq!(self.position, section.offset + section.len, "section {} was read to its end", section.id);
        check_sum(section, self.crc.clone().finalize())
    }

    /// Checks the length that the table gives a section: it lies within the file, so it bounds what may be taken.
    pub(super) fn expect_len(&self, section: &Section, expected: u64) -> Result<()> {
        if section.len == expected {
            return Ok(());
        }
        Err(Error::corrupt("index file has a section of the wrong length")
            .with("section", section.id)
            .with("expected", expected)
            .with("got", section.len))
    }

    /// Reads the zeros before `offset`, which is less than 64 bytes away.
    pub(super) fn zeros_until(&mut self, offset: u64) -> Result<()> {
        let mut zeros = [0; ALIGNMENT as usize];
        let zeros = &mut zeros[..(offset - self.position) as usize];
        self.fill(zeros)?;
        match zeros.iter().find(|&&byte| byte != 0) {
            None => Ok(()),
            Some(byte) => Err(Error::corrupt("index file has bytes in a gap")
                .with("before", offset)
                .with("expected", 0)
                .with("got", byte)),
        }
    }

    /// Reads a section of `expected` bytes.
    fn bytes(&mut self, section: &Section, expected: u64) -> Result<Vec<u8>> {
        self.expect_len(section, expected)?;
        let bytes = self.take(expected)?;
        self.leave(section)?;
        Ok(bytes)
    }

    /// Reads `len` bytes, which are within the section.
    pub(super) fn take(&mut self, len: u64) -> Result<Vec<u8>> {
        let mut bytes = room(len)?;
        bytes.resize(len as usize, 0);
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// Reads a section of `count` numbers.
    fn numbers<T, const LEN: usize>(
        &mut self,
        section: &Section,
        count: u64,
        number: impl Fn([u8; LEN]) -> T,
    ) -> Result<Vec<T>> {
        // Below 2^32 vectors of at most 2^16 bytes: no product overflows.
        self.expect_len(section, count * LEN as u64)?;
        let mut numbers = room(count)?;
        self.pieces(section, |piece| numbers.extend(piece.as_chunks().0.iter().map(|&bytes| number(bytes))))?;
        Ok(numbers)
    }

    /// Passes over a section that a later minor version added.
    fn skip(&mut self, section: &Section) -> Result<()> {
        self.pieces(section, |_| ())
    }

    /// Reads a section in pieces of a multiple of 8 bytes, but for the last.
    fn pieces(&mut self, section: &Section, mut piece: impl FnMut(&[u8])) -> Result<()> {
        let mut buffer = vec![0; section.len.min(1 << 16) as usize];
        let mut left = section.len;
        while left > 0 {
            let len = left.min(buffer.len() as u64) as usize;
            self.fill(&mut buffer[..len])?;
            piece(&buffer[..len]);
            left -= len as u64;
        }
        self.leave(section)
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<()> {
        let end = self.position + buffer.len() as u64;
        self.input.read_exact(buffer).map_err(|source| cannot_read(source, end))?;
        self.position += buffer.len() as u64;
        self.crc.update(buffer);
        Ok(())
    }
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
