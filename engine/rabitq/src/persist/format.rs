//! The layout of an index file (`.rbpx`), major version 1. All numbers are little-endian.
//!
//! | offset | size | meaning |
//! |---|---|---|
//! | 0 | 8 | magic `rbpx\r\n\x1a\n` |
//! | 8 | 2 | major version: a reader of another one refuses the file |
//! | 10 | 2 | minor version: a reader skips what it does not know |
//! | 12 | 4 | `0x0A0B_0C0D`, as a check of the byte order |
//! | 16 | 2 | kind: 1 flat, 2 rabitq_plus |
//! | 18 | 2 | metric: 1 l2, 2 inner_product, 3 cosine |
//! | 20 | 4 | dim |
//! | 24 | 4 | padded_dim: dim rounded up to a multiple of 64 |
//! | 28 | 4 | number of sections |
//! | 32 | 8 | number of vectors |
//! | 40 | 8 | seed of the rotation |
//! | 48 | 8 | rerank_factor |
//! | 56 | 4 | epsilon (f32) |
//! | 60 | 4 | the largest length of an encoded vector (f32), 0 without codes |
//! | 64 | 8 | length of the file |
//! | 72 | 32 each | sections: id (4), flags (4), offset (8), length (8), crc32 of the bytes (4), 0 (4) |
//! | then | 4 | crc32 of everything before it |
//!
//! Each section starts at the next multiple of 64 after what is before it; the gap is zeros. The file ends with the last
//! section. Flag bit 0: a reader that does not know the section must refuse the file.
//!
//! | section | bytes |
//! |---|---|
//! | 1 ids | u64 per vector |
//! | 2 vectors | f32 `[num_vectors, dim]` |
//! | 3 mean | f32 `[dim]` |
//! | 4 codes | per block of 32 vectors: `padded_dim / 4` rows of 16 bytes |
//! | 5, 6, 7 factors | f_add, f_rescale, f_error: f32 per lane of every block |
//! | 8 attributes | number (4); per attribute, by ascending key: length (4) and UTF-8 of key, length (4) and UTF-8 of value |

use crate::error::{Error, ErrorKind, Result};
use crate::index::IndexKind;
use crate::metric::Metric;

pub(super) const MAGIC: [u8; 8] = *b"rbpx\r\n\x1a\n";
pub(super) const MAJOR: u16 = 1;
pub(super) const MINOR: u16 = 0;
pub(super) const ENDIAN_TAG: u32 = 0x0A0B_0C0D;
pub(super) const FIXED_BYTES: usize = 72;
pub(super) const SECTION_BYTES: usize = 32;
pub(super) const CRC_BYTES: usize = 4;
pub(super) const MAX_SECTIONS: usize = 64;
pub(super) const ALIGNMENT: u64 = 64;
pub(super) const FLAG_REQUIRED: u32 = 1;

/// The sections of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum SectionId {
    Ids = 1,
    Vectors = 2,
    Mean = 3,
    Codes = 4,
    FactorAdd = 5,
    FactorRescale = 6,
    FactorError = 7,
    Attributes = 8,
}

impl SectionId {
    pub(super) const ALL: [Self; 8] = [
        Self::Ids,
        Self::Vectors,
        Self::Mean,
        Self::Codes,
        Self::FactorAdd,
        Self::FactorRescale,
        Self::FactorError,
        Self::Attributes,
    ];
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

/// The head of a file, all but its checksum.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Header {
    pub(super) kind: IndexKind,
    pub(super) metric: Metric,
    pub(super) dim: u32,
    pub(super) padded_dim: u32,
    pub(super) num_vectors: u64,
    pub(super) seed: u64,
    pub(super) rerank_factor: u64,
    pub(super) epsilon: f32,
    pub(super) max_norm: f32,
    pub(super) file_len: u64,
    pub(super) sections: Vec<Section>,
}

/// Bytes of a header with `num_sections` sections, its checksum included.
pub(super) fn header_len(num_sections: usize) -> usize {
    FIXED_BYTES + num_sections * SECTION_BYTES + CRC_BYTES
}

impl Header {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(header_len(self.sections.len()));
        bytes.extend(MAGIC);
        bytes.extend(MAJOR.to_le_bytes());
        bytes.extend(MINOR.to_le_bytes());
        bytes.extend(ENDIAN_TAG.to_le_bytes());
        bytes.extend(kind_number(self.kind).to_le_bytes());
        bytes.extend(metric_number(self.metric).to_le_bytes());
        bytes.extend(self.dim.to_le_bytes());
        bytes.extend(self.padded_dim.to_le_bytes());
        bytes.extend((self.sections.len() as u32).to_le_bytes());
        bytes.extend(self.num_vectors.to_le_bytes());
        bytes.extend(self.seed.to_le_bytes());
        bytes.extend(self.rerank_factor.to_le_bytes());
        bytes.extend(self.epsilon.to_le_bytes());
        bytes.extend(self.max_norm.to_le_bytes());
        bytes.extend(self.file_len.to_le_bytes());
        for section in &self.sections {
            bytes.extend(section.id.to_le_bytes());
            bytes.extend(section.flags.to_le_bytes());
            bytes.extend(section.offset.to_le_bytes());
            bytes.extend(section.len.to_le_bytes());
            bytes.extend(section.crc.to_le_bytes());
            bytes.extend([0; 4]);
        }
        let crc = crc32fast::hash(&bytes);
        bytes.extend(crc.to_le_bytes());
        bytes
    }

    /// Reads a whole header, as long as [`header_len`] says, whose magic was seen already.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let (content, crc) = bytes.split_last_chunk().ok_or_else(|| Error::corrupt("index file has no header"))?;
        let (expected, got) = (u32::from_le_bytes(*crc), crc32fast::hash(content));
        if expected != got {
            return Err(Error::corrupt("checksum of the index file's header is wrong")
                .with("expected", format_args!("{expected:08x}"))
                .with("got", format_args!("{got:08x}")));
        }
        let mut fields = Fields(&content[MAGIC.len()..]);
        let (major, minor) = (fields.u16()?, fields.u16()?);
        if major != MAJOR {
            return Err(Error::not_supported("index file has another major version")
                .with("expected", MAJOR)
                .with("got", format_args!("{major}.{minor}")));
        }
        let endian_tag = fields.u32()?;
        if endian_tag != ENDIAN_TAG {
            return Err(Error::corrupt("index file has another byte order")
                .with("expected", format_args!("{ENDIAN_TAG:08x}"))
                .with("got", format_args!("{endian_tag:08x}")));
        }
        let kind = kind_of_number(fields.u16()?)?;
        let metric = metric_of_number(fields.u16()?)?;
        let (dim, padded_dim, num_sections) = (fields.u32()?, fields.u32()?, fields.u32()?);
        let (num_vectors, seed, rerank_factor) = (fields.u64()?, fields.u64()?, fields.u64()?);
        let (epsilon, max_norm) = (f32::from_bits(fields.u32()?), f32::from_bits(fields.u32()?));
        let file_len = fields.u64()?;
        let mut sections = Vec::new();
        for _ in 0..num_sections {
            let (id, flags, offset, len) = (fields.u32()?, fields.u32()?, fields.u64()?, fields.u64()?);
            sections.push(Section { id, flags, offset, len, crc: fields.u32()? });
            fields.u32()?;
        }
        Ok(Self {
            kind,
            metric,
            dim,
            padded_dim,
            num_vectors,
            seed,
            rerank_factor,
            epsilon,
            max_norm,
            file_len,
            sections,
        })
    }
}

/// Takes numbers from the front of some bytes.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn bytes(&mut self, len: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or_else(|| {
            Error::corrupt("index file ends within a field").with("expected", len).with("got", self.0.len())
        })?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const LEN: usize>(&mut self) -> Result<[u8; LEN]> {
        Ok(self.bytes(LEN)?.try_into().expect("`bytes` returns as many bytes as it was asked for"))
    }

    fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }
}

fn kind_number(kind: IndexKind) -> u16 {
    match kind {
        IndexKind::FlatF32 => 1,
        IndexKind::RabitqPlus => 2,
    }
}

fn kind_of_number(number: u16) -> Result<IndexKind> {
    IndexKind::ALL.into_iter().find(|&kind| kind_number(kind) == number).ok_or_else(|| unknown("kind", number))
}

fn metric_number(metric: Metric) -> u16 {
    match metric {
        Metric::L2 => 1,
        Metric::InnerProduct => 2,
        Metric::Cosine => 3,
    }
}

fn metric_of_number(number: u16) -> Result<Metric> {
    Metric::ALL.into_iter().find(|&metric| metric_number(metric) == number).ok_or_else(|| unknown("metric", number))
}

/// The checksum was right, so a later version wrote it.
fn unknown(what: &'static str, number: u16) -> Error {
    Error::new(ErrorKind::NotSupported, "index file holds what this version does not know").with(what, number)
}
