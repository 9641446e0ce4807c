use std::fs::File;
use std::io::{BufReader, ErrorKind as IoErrorKind, Read};
use std::path::Path;

use super::format::{
    ALIGNMENT, CRC_BYTES, FIXED_BYTES, FLAG_REQUIRED, Fields, Header, MAGIC, MAX_SECTIONS, SECTION_BYTES, Section,
    SectionId, header_len,
};
use crate::code::{CodeBlocks, Quantizer};
use crate::error::{Error, Result};
use crate::index::{Attributes, BuildParams, FlatF32Index, Ids, IndexKind, Originals, RabitqCodes, RabitqPlusIndex};
use crate::kernel::{BLOCK_LEN, GROUP_BYTES};
use crate::rotation::padded_dim;
use crate::vector::{Dim, VectorBatch};

/// An index of the kind the file holds.
pub(super) enum Loaded {
    FlatF32(FlatF32Index),
    RabitqPlus(RabitqPlusIndex),
}

/// Reads the file at `path`. Nothing in it is trusted: memory is taken for a section only once the file is known to be
/// long enough to hold it, and every byte is under a checksum or checked to be zero.
pub(super) fn read(path: &Path) -> Result<Loaded> {
    let read = || {
        let file = File::open(path).map_err(|source| Error::io("cannot open the index file", source))?;
        let file_len = file.metadata().map_err(|source| Error::io("cannot open the index file", source))?.len();
        read_index(BufReader::new(file), file_len)
    };
    read().map_err(|error| error.with("path", path.display()))
}

/// Reads an index from the `file_len` bytes of `input`.
pub(super) fn read_index(input: impl Read, file_len: u64) -> Result<Loaded> {
    let mut reader = SectionReader { input, position: 0 };
    let header = reader.header()?;
    if header.file_len != file_len {
        return Err(Error::corrupt("index file has the wrong length")
            .with("expected", header.file_len)
            .with("got", file_len));
    }
    check_sections(&header)?;
    let shape = Shape::new(&header)?;
    let mut parts = Parts::default();
    for section in &header.sections {
        reader.gap(section.offset)?;
        match SectionId::ALL.into_iter().find(|&id| id as u32 == section.id) {
            Some(SectionId::Ids) => parts.ids = reader.numbers(section, shape.num_vectors, u64::from_le_bytes)?,
            Some(SectionId::Vectors) => parts.vectors = reader.floats(section, shape.num_values)?,
            Some(SectionId::Mean) => parts.mean = reader.floats(section, shape.dim.get())?,
            Some(SectionId::Codes) => parts.blocks.codes = reader.exactly(section, shape.code_bytes)?,
            Some(SectionId::FactorAdd) => parts.blocks.f_add = reader.floats(section, shape.num_lanes)?,
            Some(SectionId::FactorRescale) => parts.blocks.f_rescale = reader.floats(section, shape.num_lanes)?,
            Some(SectionId::FactorError) => parts.blocks.f_error = reader.floats(section, shape.num_lanes)?,
            Some(SectionId::Attributes) => parts.attributes = attributes(&reader.bytes(section)?)?,
            None => reader.skip(section)?,
        }
    }
    parts.into_index(&header, &shape)
}

/// Checks that the sections this version needs are there once, lie in order, and end with the file.
fn check_sections(header: &Header) -> Result<()> {
    let mut end = header_len(header.sections.len()) as u64;
    for section in &header.sections {
        let start = end.checked_next_multiple_of(ALIGNMENT);
        end = match section.offset.checked_add(section.len) {
            Some(section_end) if start == Some(section.offset) => section_end,
            _ => return Err(Error::corrupt("index file has a section out of place").with("section", section.id)),
        };
    }
    if end != header.file_len {
        return Err(Error::corrupt("index file has bytes after its last section")
            .with("expected", end)
            .with("got", header.file_len));
    }
    for id in SectionId::ALL {
        let expected = match id {
            SectionId::Ids | SectionId::Vectors | SectionId::Attributes => 1,
            _ => usize::from(header.kind == IndexKind::RabitqPlus),
        };
        let got = header.sections.iter().filter(|section| section.id == id as u32).count();
        if got != expected {
            return Err(Error::corrupt("index file has the wrong sections")
                .with("section", format_args!("{id:?}"))
                .with("expected", expected)
                .with("got", got));
        }
    }
    Ok(())
}

/// How many of everything the header promises.
struct Shape {
    dim: Dim,
    num_vectors: usize,
    num_values: usize,
    num_lanes: usize,
    code_bytes: usize,
}

impl Shape {
    fn new(header: &Header) -> Result<Self> {
        let wrong = |what: &'static str| Error::corrupt("index file has a header that cannot be").with("field", what);
        let dim = Dim::new(header.dim as usize).map_err(|_| wrong("dim"))?;
        if header.padded_dim as usize != padded_dim(dim.get()) {
            return Err(wrong("padded_dim"));
        }
        if header.max_norm.is_nan() || header.max_norm < 0.0 {
            return Err(wrong("max_norm"));
        }
        // Below 2^32 no product here overflows: the largest is 2^32 * 16384 * 4 bytes.
        let num_vectors = u32::try_from(header.num_vectors).map_err(|_| wrong("num_vectors"))? as usize;
        let num_lanes = num_vectors.next_multiple_of(BLOCK_LEN);
        Ok(Self {
            dim,
            num_vectors,
            num_values: num_vectors * dim.get(),
            num_lanes,
            code_bytes: num_lanes / BLOCK_LEN * (padded_dim(dim.get()) / 4 * GROUP_BYTES),
        })
    }
}

/// The contents of the sections.
#[derive(Default)]
struct Parts {
    ids: Vec<u64>,
    vectors: Vec<f32>,
    mean: Vec<f32>,
    blocks: CodeBlocks,
    attributes: Attributes,
}

impl Parts {
    fn into_index(self, header: &Header, shape: &Shape) -> Result<Loaded> {
        let not_buildable = |error: Error| Error::corrupt(format!("index file holds what cannot be built: {error}"));
        let params = BuildParams {
            metric: header.metric,
            seed: header.seed,
            rerank_factor: usize::try_from(header.rerank_factor).unwrap_or(usize::MAX),
            epsilon: header.epsilon,
        };
        params.check().map_err(not_buildable)?;
        let ids = Ids::new(Some(self.ids), shape.num_vectors).map_err(not_buildable)?;
        VectorBatch::new(shape.dim, &self.vectors).map_err(not_buildable)?;
        VectorBatch::new(shape.dim, &self.mean).map_err(not_buildable)?;
        let originals = Originals::new(params.metric, shape.dim, ids, self.vectors);
        Ok(match header.kind {
            IndexKind::FlatF32 => Loaded::FlatF32(FlatF32Index::from_parts(params, originals, self.attributes)),
            IndexKind::RabitqPlus => {
                let quantizer =
                    Quantizer::from_parts(params.metric, shape.dim, params.seed, self.mean, header.max_norm);
                let codes = RabitqCodes { quantizer, blocks: self.blocks };
                Loaded::RabitqPlus(RabitqPlusIndex::from_parts(params, originals, codes, self.attributes))
            }
        })
    }
}

/// Reads a file from front to back.
struct SectionReader<R> {
    input: R,
    position: u64,
}

impl<R: Read> SectionReader<R> {
    fn header(&mut self) -> Result<Header> {
        let mut bytes = vec![0; FIXED_BYTES];
        self.fill(&mut bytes)?;
        if !bytes.starts_with(&MAGIC) {
            return Err(Error::corrupt("not an index file")
                .with("expected", format_args!("magic {}", MAGIC.escape_ascii()))
                .with("got", bytes[..MAGIC.len()].escape_ascii()));
        }
        let num_sections = u32::from_le_bytes(bytes[28..32].try_into().expect("a range of four bytes")) as usize;
        if num_sections > MAX_SECTIONS {
            return Err(Error::corrupt("index file has too many sections")
                .with("expected", format_args!("at most {MAX_SECTIONS}"))
                .with("got", num_sections));
        }
        bytes.resize(FIXED_BYTES + num_sections * SECTION_BYTES + CRC_BYTES, 0);
        self.fill(&mut bytes[FIXED_BYTES..])?;
        Header::from_bytes(&bytes)
    }

    /// Reads the zeros before a section that starts at `offset`.
    fn gap(&mut self, offset: u64) -> Result<()> {
        let mut zeros = [0; ALIGNMENT as usize];
        let len = (offset - self.position) as usize;
        self.fill(&mut zeros[..len])?;
        match zeros.iter().all(|&byte| byte == 0) {
            true => Ok(()),
            false => Err(Error::corrupt("index file has bytes between its sections").with("offset", offset)),
        }
    }

    fn floats(&mut self, section: &Section, expected: usize) -> Result<Vec<f32>> {
        self.numbers(section, expected, f32::from_le_bytes)
    }

    fn exactly(&mut self, section: &Section, expected: usize) -> Result<Vec<u8>> {
        self.numbers(section, expected, |[byte]| byte)
    }

    fn bytes(&mut self, section: &Section) -> Result<Vec<u8>> {
        self.exactly(section, section.len as usize)
    }

    /// Reads a section of `expected` numbers, a piece at a time.
    fn numbers<T, const LEN: usize>(
        &mut self,
        section: &Section,
        expected: usize,
        number: impl Fn([u8; LEN]) -> T,
    ) -> Result<Vec<T>> {
        let expected_len = (expected * LEN) as u64;
        if section.len != expected_len {
            return Err(Error::corrupt("index file has a section of the wrong length")
                .with("section", section.id)
                .with("expected", expected_len)
                .with("got", section.len));
        }
        let mut numbers = Vec::with_capacity(expected);
        self.pieces(section, |piece| numbers.extend(piece.as_chunks::<LEN>().0.iter().map(|&bytes| number(bytes))))?;
        Ok(numbers)
    }

    /// Passes over a section that a later minor version added, if it may.
    fn skip(&mut self, section: &Section) -> Result<()> {
        if section.flags & FLAG_REQUIRED != 0 {
            return Err(Error::not_supported("index file needs a later version").with("section", section.id));
        }
        self.pieces(section, |_| ())
    }

    /// Reads a whole section in pieces of a multiple of 8 bytes, then checks its checksum.
    fn pieces(&mut self, section: &Section, mut piece: impl FnMut(&[u8])) -> Result<()> {
        let mut crc = crc32fast::Hasher::new();
        let mut buffer = vec![0; section.len.min(1 << 16) as usize];
        let mut left = section.len;
        while left > 0 {
            let len = left.min(buffer.len() as u64) as usize;
            self.fill(&mut buffer[..len])?;
            crc.update(&buffer[..len]);
            piece(&buffer[..len]);
            left -= len as u64;
        }
        let got = crc.finalize();
        if got != section.crc {
            return Err(Error::corrupt("checksum of a section of the index file is wrong")
                .with("section", section.id)
                .with("expected", format_args!("{:08x}", section.crc))
                .with("got", format_args!("{got:08x}")));
        }
        Ok(())
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<()> {
        self.input.read_exact(buffer).map_err(|source| match source.kind() {
            IoErrorKind::UnexpectedEof => Error::corrupt("index file is truncated").with_source(source),
            _ => Error::io("cannot read the index file", source),
        })?;
        self.position += buffer.len() as u64;
        Ok(())
    }
}

fn attributes(bytes: &[u8]) -> Result<Attributes> {
    let mut fields = Fields(bytes);
    let mut attributes = Attributes::new();
    for _ in 0..fields.u32()? {
        let (key, value) = (text(&mut fields)?, text(&mut fields)?);
        if attributes.last_key_value().is_some_and(|(last, _)| *last >= key) {
            return Err(Error::corrupt("index file has attributes out of order").with("key", key));
        }
        attributes.insert(key, value);
    }
    match fields.0 {
        [] => Ok(attributes),
        rest => Err(Error::corrupt("index file has bytes after its attributes").with("got", rest.len())),
    }
}

fn text(fields: &mut Fields<'_>) -> Result<String> {
    let len = fields.u32()? as usize;
    let bytes = fields.bytes(len)?;
    String::from_utf8(bytes.to_vec())
        .map_err(|source| Error::corrupt("index file has an attribute that is not UTF-8").with_source(source))
}
