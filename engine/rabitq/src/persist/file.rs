//! Index files in a folder: a path and the parts of an index go in, a file comes out, and back.

use std::fs::File;
use std::io;
use std::path::Path;

use super::{reader, source, unsaved, writer};
use crate::error::{Error, Result};
use crate::index::{Attributes, Core, VectorIndex, boxed};

/// Writes an index to `path` with `attributes`, atomically: a crash leaves the old file, or none, or all of the new one.
///
/// # Errors
/// `NotFound` if the folder does not exist, `InvalidInput` if the path names no file, `Io` if the file system refuses, `Corrupt`
/// if the index is damaged. The old file stays then.
pub(super) fn save(core: &Core, attributes: &Attributes, path: &Path) -> Result<()> {
    let written = unsaved::replace(path, |file| {
        writer::write(core, attributes, file)?;
        core.verify().map_err(io::Error::other)
    });
    // Which of the two is why, the caller has to know: other bytes would not help.
    written.map_err(|e| core.verify().err().map_or(e, |damaged| damaged.with("path", path.display())))?;
    tracing::debug!(path = %path.display(), kind = %core.kind, num_vectors = core.len(), "saved an index");
    Ok(())
}

/// Reads the parts of an index of any kind from `path`; errors as of [`load_any`].
pub(super) fn load(path: &Path) -> Result<Core> {
    read_from(path, false)
}

fn read_from(path: &Path, mapped: bool) -> Result<Core> {
    let cannot_open = |source| Error::io("cannot open the index file", source);
    let read = || {
        let file = File::open(path).map_err(cannot_open)?;
        let len = file.metadata().map_err(cannot_open)?.len();
        if mapped { reader::read(&source::Mapped(file), len) } else { reader::read(&file, len) }
    };
    let core = read().map_err(|error| error.with("path", path.display()))?;
    tracing::debug!(path = %path.display(), kind = %core.kind, num_vectors = core.len(), "loaded an index");
    Ok(core)
}

/// Reads an index of any kind from `path`.
///
/// # Errors
/// `NotFound` if there is no such file, `Corrupt` if any byte of it is not what was written, `NotSupported` if another
/// major version wrote it, or a later one that needs what this one does not know; `Io` if the file system refuses.
pub fn load_any(path: &Path) -> Result<Box<dyn VectorIndex>> {
    load(path).map(boxed)
}

/// Reads an index of any kind like [`load_any`], but leaves its vectors in the file. Their memory is shared by all processes
/// that map the file, and the system may take it back. Every byte is checked all the same.
///
/// It is for files that are replaced, as [`save`](crate::SharedIndex::save) does, and not written over. A search of an index
/// whose file was cut short or written over since is `Corrupt`, as [`VectorIndex::verify`] says. A change to the index leaves
/// the file as it is. Where files cannot be mapped, the vectors are read as [`load_any`] reads them.
///
/// The first mapping installs a handler of SIGBUS, which passes on every signal that is not of a mapped index file. A handler
/// that is installed later has to pass on signals as well.
///
/// # Errors
/// The errors of [`load_any`].
pub fn load_mapped(path: &Path) -> Result<Box<dyn VectorIndex>> {
    read_from(path, true).map(boxed)
}

/// Reads an index from the bytes of a file: for the fuzzer.
///
/// # Errors
/// As [`load_any`].
#[doc(hidden)]
pub fn load_bytes(bytes: &[u8]) -> Result<Box<dyn VectorIndex>> {
    reader::read(&bytes, bytes.len() as u64).map(boxed)
}
