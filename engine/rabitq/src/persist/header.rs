//! The header of an index file: converts a [`Header`] to bytes, and bytes to a header whose checksum, version and fields were
//! checked.

use super::fields::Fields;
use super::format::{
    ENDIAN_TAG, FLAG_KEEP_ORIGINALS, MAGIC, MAGIC_OF_PYPI_0_1, MAJOR, MINOR, NUM_SECTIONS_OFFSET, Section, header_len,
};
use crate::error::{Error, Result};
use crate::index::{BuildParams, IndexKind};
use crate::metric::Metric;
use crate::number::to_u32;
use crate::rotation::padded_dim;
use crate::vector::Dim;

/// The head of a file.
///
/// One that was read is possible by itself: the parameters are in range, the dimension is, and `nlist` suits the kind.
/// What it says of sections is for the reader to check.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Header {
    pub(super) kind: IndexKind,
    pub(super) params: BuildParams,
    pub(super) dim: Dim,
    pub(super) num_vectors: u32,
    pub(super) nlist: u32,
    pub(super) file_len: u64,
    pub(super) sections: Vec<Section>,
}

impl Header {
    pub(super) fn padded_dim(&self) -> usize {
        padded_dim(self.dim.get())
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(header_len(self.sections.len()));
        bytes.extend(MAGIC);
        bytes.extend(MAJOR.to_le_bytes());
        bytes.extend(MINOR.to_le_bytes());
        bytes.extend(ENDIAN_TAG.to_le_bytes());
        bytes.extend(kind_number(self.kind).to_le_bytes());
        bytes.extend(metric_number(self.params.metric).to_le_bytes());
        bytes.extend(to_u32(self.dim.get()).to_le_bytes());
        bytes.extend(to_u32(self.padded_dim()).to_le_bytes());
        bytes.extend(to_u32(self.sections.len()).to_le_bytes());
        bytes.extend(u64::from(self.num_vectors).to_le_bytes());
        bytes.extend(self.params.seed.to_le_bytes());
        bytes.extend((self.params.rerank_factor as u64).to_le_bytes());
        bytes.extend(self.params.epsilon.to_le_bytes());
        bytes.extend(if self.params.keep_originals { FLAG_KEEP_ORIGINALS } else { 0 }.to_le_bytes());
        // No caller may ask for 0 lists, so 0 stands for "not asked".
        bytes.extend((self.params.nlist.unwrap_or(0) as u64).to_le_bytes());
        bytes.extend((self.params.nprobe.unwrap_or(0) as u64).to_le_bytes());
        bytes.extend(u64::from(self.nlist).to_le_bytes());
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

    /// Reads a whole header, as long as [`header_len`] says, that [`check_version`] passed.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let (content, crc) = bytes.split_last_chunk().ok_or_else(|| Error::corrupt("index file has no header"))?;
        let (expected, got) = (u32::from_le_bytes(*crc), crc32fast::hash(content));
        if expected != got {
            return Err(Error::corrupt("checksum of the index file's header is wrong")
                .with("expected", format_args!("{expected:08x}"))
                .with("got", format_args!("{got:08x}")));
        }
        let mut fields = Fields(&content[MAGIC.len() + 8..]);
        let kind = kind_of_number(fields.u16()?)?;
        let metric = metric_of_number(fields.u16()?)?;
        let dim = Dim::new(fields.u32()? as usize).map_err(impossible)?;
        expect("padded_dim", padded_dim(dim.get()) as u64, fields.u32()?.into())?;
        let num_sections = fields.u32()?;
        let num_vectors = below_u32_max("num_vectors", fields.u64()?)?;
        let (seed, rerank_factor, epsilon) = (fields.u64()?, size("rerank_factor", fields.u64()?)?, fields.f32()?);
        let keep_originals = match fields.u32()? {
            0 => false,
            FLAG_KEEP_ORIGINALS => true,
            flags => return Err(unknown("flags", flags)),
        };
        let nlist_asked = Some(size("nlist", fields.u64()?)?).filter(|&nlist| nlist > 0);
        let nprobe = Some(size("nprobe", fields.u64()?)?).filter(|&nprobe| nprobe > 0);
        let params = BuildParams { metric, seed, rerank_factor, epsilon, nlist: nlist_asked, nprobe, keep_originals };
        params.check().map_err(impossible)?;
        let nlist = below_u32_max("number of lists", fields.u64()?)?;
        match kind {
            IndexKind::FlatF32 => expect("number of lists", 0, nlist.into())?,
            IndexKind::Rabitq | IndexKind::RabitqAsym => expect("number of lists", 1, nlist.into())?,
            IndexKind::RabitqPlus | IndexKind::IvfRabitq if nlist == 0 => {
                return Err(out_of_range("number of lists", "at least 1", 0));
            }
            IndexKind::RabitqPlus | IndexKind::IvfRabitq => {}
        }
        let file_len = fields.u64()?;
        let sections = (0..num_sections).map(|_| section(&mut fields)).collect::<Result<_>>()?;
        Ok(Self { kind, params, dim, num_vectors, nlist, file_len, sections })
    }
}

fn section(fields: &mut Fields<'_>) -> Result<Section> {
    let (id, flags, offset, len) = (fields.u32()?, fields.u32()?, fields.u64()?, fields.u64()?);
    let section = Section { id, flags, offset, len, crc: fields.u32()? };
    expect("end of a section's row", 0, fields.u32()?.into())?;
    Ok(section)
}

/// Checks the magic, the byte order and the version, which stand at one place in every version, before anything that
/// another version may have elsewhere. `bytes` are those up to the kind at least.
pub(super) fn check_version(bytes: &[u8]) -> Result<()> {
    let mut fields = Fields(bytes);
    let magic = fields.bytes(MAGIC.len())?;
    if magic == MAGIC_OF_PYPI_0_1 {
        return Err(Error::not_supported(
            "index file of another project, the package ruvector 0.1 on PyPI: build an index from its vectors, which \
             RabitqIndex.load(path).export_items() of that package returns",
        ));
    }
    if magic != MAGIC {
        return Err(Error::corrupt("not an index file")
            .with("expected", format_args!("magic {}", MAGIC.escape_ascii()))
            .with("got", magic.escape_ascii()));
    }
    let (major, minor, endian_tag) = (fields.u16()?, fields.u16()?, fields.u32()?);
    if endian_tag != ENDIAN_TAG {
        return Err(Error::corrupt("index file has another byte order")
            .with("expected", format_args!("{ENDIAN_TAG:08x}"))
            .with("got", format_args!("{endian_tag:08x}")));
    }
    if major != MAJOR {
        return Err(Error::not_supported("index file has another major version")
            .with("expected", MAJOR)
            .with("got", format_args!("{major}.{minor}")));
    }
    Ok(())
}

/// The number of sections that the fixed part of a header tells of.
pub(super) fn num_sections(fixed: &[u8]) -> Result<u32> {
    Fields(&fixed[NUM_SECTIONS_OFFSET..]).u32()
}

/// Returns the error for contents under a right checksum that no index has.
pub(super) fn impossible(error: Error) -> Error {
    Error::corrupt(format!("index file holds what no index has: {error}"))
}

fn expect(field: &'static str, expected: u64, got: u64) -> Result<()> {
    if expected == got { Ok(()) } else { Err(out_of_range(field, expected, got)) }
}

fn out_of_range(field: &'static str, expected: impl std::fmt::Display, got: u64) -> Error {
    Error::corrupt("index file has a header that cannot be")
        .with("field", field)
        .with("expected", expected)
        .with("got", got)
}

fn size(field: &'static str, number: u64) -> Result<usize> {
    usize::try_from(number).map_err(|_| out_of_range(field, format_args!("at most {}", usize::MAX), number))
}

/// The largest number is kept for "none" by the index.
fn below_u32_max(field: &'static str, number: u64) -> Result<u32> {
    let expected = format_args!("below {}", u32::MAX);
    u32::try_from(number).ok().filter(|&number| number < u32::MAX).ok_or_else(|| out_of_range(field, expected, number))
}

fn kind_number(kind: IndexKind) -> u16 {
    match kind {
        IndexKind::FlatF32 => 1,
        IndexKind::RabitqPlus => 2,
        IndexKind::Rabitq => 3,
        IndexKind::RabitqAsym => 4,
        IndexKind::IvfRabitq => 5,
    }
}

fn kind_of_number(number: u16) -> Result<IndexKind> {
    IndexKind::ALL.into_iter().find(|&kind| kind_number(kind) == number).ok_or_else(|| unknown("kind", number.into()))
}

fn metric_number(metric: Metric) -> u16 {
    match metric {
        Metric::L2 => 1,
        Metric::InnerProduct => 2,
        Metric::Cosine => 3,
    }
}

fn metric_of_number(number: u16) -> Result<Metric> {
    Metric::ALL
        .into_iter()
        .find(|&metric| metric_number(metric) == number)
        .ok_or_else(|| unknown("metric", number.into()))
}

/// The checksum was right, so a later version wrote it.
pub(super) fn unknown(what: &'static str, number: u32) -> Error {
    Error::not_supported("index file needs a later version").with("unknown", format_args!("{what} {number}"))
}
