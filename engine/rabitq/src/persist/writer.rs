use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::format::{ALIGNMENT, FLAG_REQUIRED, Header, Section, SectionId, header_len};
use crate::error::{Error, Result};
use crate::index::{Attributes, IndexParts};
use crate::rotation::padded_dim;

/// Writes the parts of an index to `path`: the old file is there until the new one is complete and on disk.
pub(super) fn write(parts: &IndexParts<'_>, path: &Path) -> Result<()> {
    let unsaved = Unsaved::create(path)?;
    unsaved
        .fill(parts)
        .map_err(|source| Error::io("cannot write the index file", source).with("path", path.display()))?;
    unsaved
        .publish(path)
        .map_err(|source| Error::io("cannot replace the index file", source).with("path", path.display()))
}

/// A file beside the one it will become; deleted unless it is published.
struct Unsaved {
    path: PathBuf,
    file: File,
}

impl Unsaved {
    /// Creates an empty file in the folder of `path`, under a name that no index has.
    fn create(path: &Path) -> Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = path.file_name().ok_or_else(|| {
            Error::invalid_input("path names no file").with("expected", "a file name").with("got", path.display())
        })?;
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let mut unsaved_name = std::ffi::OsString::from(".");
            unsaved_name.push(name);
            unsaved_name.push(format!(".{}-{number}.unsaved", std::process::id()));
            let unsaved = path.with_file_name(unsaved_name);
            match OpenOptions::new().write(true).create_new(true).open(&unsaved) {
                Ok(file) => return Ok(Self { path: unsaved, file }),
                // Left by a process of this number that was killed.
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    return Err(Error::io("cannot create an index file", error).with("path", unsaved.display()));
                }
            }
        }
    }

    fn fill(&self, parts: &IndexParts<'_>) -> std::io::Result<()> {
        let contents = contents(parts);
        let mut writer = SectionWriter::new(&self.file, header_len(contents.len()))?;
        for (id, content) in contents {
            writer.section(id, content)?;
        }
        let header = Header {
            kind: parts.kind,
            metric: parts.params.metric,
            dim: parts.dim.get() as u32,
            padded_dim: padded_dim(parts.dim.get()) as u32,
            num_vectors: parts.ids.len() as u64,
            seed: parts.params.seed,
            rerank_factor: parts.params.rerank_factor as u64,
            epsilon: parts.params.epsilon,
            max_norm: parts.codes.map_or(0.0, |codes| codes.quantizer.max_norm()),
            file_len: writer.position,
            sections: writer.sections,
        };
        writer.file.seek(SeekFrom::Start(0))?;
        writer.file.write_all(&header.to_bytes())?;
        writer.file.flush()?;
        self.file.sync_all()
    }

    fn publish(self, path: &Path) -> std::io::Result<()> {
        std::fs::rename(&self.path, path)?;
        sync_folder(path)
    }
}

impl Drop for Unsaved {
    fn drop(&mut self) {
        // After a rename there is nothing under this name; after a failure the first error is the one to report.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Makes the new name last through a power cut. Elsewhere than on Unix a folder cannot be opened, nor need be.
fn sync_folder(path: &Path) -> std::io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// What a section is made from.
enum Content<'a> {
    U64(&'a [u64]),
    F32(&'a [f32]),
    Bytes(&'a [u8]),
    Attributes(&'a Attributes),
}

fn contents<'a>(parts: &IndexParts<'a>) -> Vec<(SectionId, Content<'a>)> {
    let mut contents =
        vec![(SectionId::Ids, Content::U64(parts.ids)), (SectionId::Vectors, Content::F32(parts.vectors))];
    if let Some(codes) = parts.codes {
        contents.extend([
            (SectionId::Mean, Content::F32(codes.quantizer.mean())),
            (SectionId::Codes, Content::Bytes(&codes.blocks.codes)),
            (SectionId::FactorAdd, Content::F32(&codes.blocks.f_add)),
            (SectionId::FactorRescale, Content::F32(&codes.blocks.f_rescale)),
            (SectionId::FactorError, Content::F32(&codes.blocks.f_error)),
        ]);
    }
    contents.push((SectionId::Attributes, Content::Attributes(parts.attributes)));
    contents
}

/// Writes sections one after another and keeps their table. The header is written last, over the zeros left for it.
struct SectionWriter<'a> {
    file: BufWriter<&'a File>,
    position: u64,
    crc: crc32fast::Hasher,
    sections: Vec<Section>,
}

impl<'a> SectionWriter<'a> {
    fn new(file: &'a File, header_len: usize) -> std::io::Result<Self> {
        let (file, crc) = (BufWriter::with_capacity(1 << 20, file), crc32fast::Hasher::new());
        let mut writer = Self { file, position: 0, crc, sections: Vec::new() };
        writer.write(&vec![0; header_len])?;
        Ok(writer)
    }

    fn section(&mut self, id: SectionId, content: Content<'_>) -> std::io::Result<()> {
        let gap = self.position.next_multiple_of(ALIGNMENT) - self.position;
        self.write(&[0; ALIGNMENT as usize][..gap as usize])?;
        let offset = self.position;
        self.crc = crc32fast::Hasher::new();
        match content {
            Content::U64(values) => self.numbers(values, |value| value.to_le_bytes())?,
            Content::F32(values) => self.numbers(values, |value| value.to_le_bytes())?,
            Content::Bytes(bytes) => self.write(bytes)?,
            Content::Attributes(attributes) => self.attributes(attributes)?,
        }
        let (len, crc) = (self.position - offset, self.crc.clone().finalize());
        self.sections.push(Section { id: id as u32, flags: FLAG_REQUIRED, offset, len, crc });
        Ok(())
    }

    /// Converts and writes in pieces that stay in the cache.
    fn numbers<T: Copy, const LEN: usize>(
        &mut self,
        values: &[T],
        bytes: impl Fn(T) -> [u8; LEN],
    ) -> std::io::Result<()> {
        let mut buffer = Vec::with_capacity(1 << 16);
        for chunk in values.chunks((1 << 16) / LEN) {
            buffer.clear();
            chunk.iter().for_each(|&value| buffer.extend(bytes(value)));
            self.write(&buffer)?;
        }
        Ok(())
    }

    fn attributes(&mut self, attributes: &Attributes) -> std::io::Result<()> {
        self.length(attributes.len())?;
        for text in attributes.iter().flat_map(|(key, value)| [key, value]) {
            self.length(text.len())?;
            self.write(text.as_bytes())?;
        }
        Ok(())
    }

    fn length(&mut self, len: usize) -> std::io::Result<()> {
        let len = u32::try_from(len).map_err(|_| std::io::Error::other("an attribute is longer than 4 GiB"))?;
        self.write(&len.to_le_bytes())
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.crc.update(bytes);
        self.position += bytes.len() as u64;
        self.file.write_all(bytes)
    }
}
