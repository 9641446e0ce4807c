//! The writer of index files: a [`Core`] and [`Attributes`] go in, the bytes of all sections and the header come out.

use std::io::{BufWriter, Result, Seek, SeekFrom, Write};

use super::attributes;
use super::format::{ALIGNMENT, FLAG_REQUIRED, Section, SectionId, header_len};
use super::header::Header;
use super::lists::{ENTRY_BYTES, Entry};
use crate::code::Rows;
use crate::index::{Attributes, Core, List, Lists, Originals};
use crate::number::to_u32;

/// Writes an index to an empty file.
pub(super) fn write(core: &Core, attributes: &Attributes, file: impl Write + Seek) -> Result<()> {
    let mut writer = SectionWriter::new(file);
    let ids = core.ids.stored();
    let num_sections =
        1 + usize::from(ids.is_some()) + usize::from(core.originals.is_some()) + 4 * usize::from(core.lists.is_some());
    writer.bytes(&vec![0; header_len(num_sections)])?;
    if let Some(ids) = ids {
        writer.section(SectionId::Ids, |writer| writer.numbers(ids, u64::to_le_bytes))?;
    }
    if let Some(values) = core.originals.as_ref().map(Originals::values) {
        writer.section(SectionId::Vectors, |writer| writer.numbers(values, f32::to_le_bytes))?;
    }
    if let Some(lists) = &core.lists {
        write_lists(&mut writer, lists)?;
    }
    let attributes = attributes::to_bytes(attributes)?;
    writer.section(SectionId::Attributes, |writer| writer.bytes(&attributes))?;
    let header = Header {
        kind: core.kind,
        params: core.params.clone(),
        dim: core.dim,
        num_vectors: to_u32(core.len()),
        nlist: core.lists.as_ref().map_or(0, |lists| to_u32(lists.lists.len())),
        file_len: writer.position,
        sections: std::mem::take(&mut writer.sections),
    };
    debug_assert_eq!(header.sections.len(), num_sections, "room was left for the table");
    writer.overwrite(0, &header.to_bytes())?;
    writer.file.flush()
}

fn write_lists<W: Write + Seek>(writer: &mut SectionWriter<W>, lists: &Lists) -> Result<()> {
    let origin = lists.quantizer.origin();
    writer.section(SectionId::Origin, |writer| writer.numbers(origin, f32::to_le_bytes))?;
    writer.section(SectionId::Centroids, |writer| {
        writer.bytes(&lists.centroids.step().to_le_bytes())?;
        writer.numbers(lists.centroids.rows(), i8::to_le_bytes)
    })?;
    // The directory has checksums of what follows it: zeros until they are known.
    let zeros = vec![0; lists.lists.len() * ENTRY_BYTES];
    let directory = writer.section(SectionId::Directory, |writer| writer.bytes(&zeros))?;
    let mut entries = Vec::with_capacity(zeros.len());
    writer.section(SectionId::Lists, |writer| {
        let start = writer.position;
        for list in &lists.lists {
            writer.align()?;
            let offset = writer.position - start;
            entries.extend(write_list(writer, list, offset)?.to_bytes());
        }
        Ok(())
    })?;
    let section = &mut writer.sections[directory];
    section.crc = crc32fast::hash(&entries);
    let offset = section.offset;
    writer.overwrite(offset, &entries)
}

/// Writes the range of one list, and tells what the directory says of it.
fn write_list<W: Write + Seek>(writer: &mut SectionWriter<W>, list: &List, offset: u64) -> Result<Entry> {
    let mut crc = crc32fast::Hasher::new();
    let mut part = |bytes: &[u8]| {
        crc.update(bytes);
        writer.bytes(bytes)
    };
    list.blocks.file_blocks().try_for_each(|block| part(&block))?;
    part(list.rows.as_ref().map_or(&[], Rows::bytes))?;
    let members: Vec<u8> = list.members.iter().flat_map(|row| row.to_le_bytes()).collect();
    part(&members)?;
    Ok(Entry {
        offset,
        num_vectors: to_u32(list.blocks.len()),
        radius: list.radius,
        has_rows: list.rows.is_some(),
        crc: crc.finalize(),
    })
}

/// Writes sections one after another and keeps their table. The header is written last, over the zeros left for it.
struct SectionWriter<W: Write> {
    file: BufWriter<W>,
    position: u64,
    crc: crc32fast::Hasher,
    sections: Vec<Section>,
}

impl<W: Write + Seek> SectionWriter<W> {
    fn new(file: W) -> Self {
        let (file, crc) = (BufWriter::with_capacity(1 << 20, file), crc32fast::Hasher::new());
        Self { file, position: 0, crc, sections: Vec::new() }
    }

    /// Writes one section, and tells its place in the table.
    fn section(&mut self, id: SectionId, content: impl FnOnce(&mut Self) -> Result<()>) -> Result<usize> {
        self.align()?;
        let offset = self.position;
        self.crc = crc32fast::Hasher::new();
        content(self)?;
        let (len, crc) = (self.position - offset, self.crc.clone().finalize());
        self.sections.push(Section { id: id as u32, flags: FLAG_REQUIRED, offset, len, crc });
        Ok(self.sections.len() - 1)
    }

    #[expect(clippy::cast_possible_truncation, reason = "a gap is shorter than the alignment")]
    fn align(&mut self) -> Result<()> {
        let gap = self.position.next_multiple_of(ALIGNMENT) - self.position;
        self.bytes(&[0; ALIGNMENT as usize][..gap as usize])
    }

    /// Converts and writes in pieces that stay in the cache.
    fn numbers<T: Copy, const LEN: usize>(&mut self, values: &[T], to_bytes: fn(T) -> [u8; LEN]) -> Result<()> {
        let mut buffer = Vec::with_capacity(1 << 16);
        for chunk in values.chunks((1 << 16) / LEN) {
            buffer.clear();
            chunk.iter().for_each(|&value| buffer.extend(to_bytes(value)));
            self.bytes(&buffer)?;
        }
        Ok(())
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.crc.update(bytes);
        self.position += bytes.len() as u64;
        self.file.write_all(bytes)
    }

    /// Writes over what is there already, and goes back to the end.
    fn overwrite(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.file.seek(SeekFrom::Start(offset))?;
        self.file.write_all(bytes)?;
        self.file.seek(SeekFrom::Start(self.position))?;
        Ok(())
    }
}
