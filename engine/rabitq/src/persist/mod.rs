//! Index files (`.rbpx`): the same index gives the same bytes on every machine.
//!
//! An index file is derived data. One that is truncated, torn or altered in any byte is
//! [`Corrupt`](crate::error::ErrorKind::Corrupt), never a wrong answer: rebuild it.

use std::path::Path;

use crate::error::{Error, Result};
use crate::index::{FlatF32Index, IndexKind, RabitqPlusIndex, VectorIndex};

mod format;
mod reader;
mod writer;

use reader::Loaded;

/// The extension of an index file, without the dot.
pub const EXTENSION: &str = "rbpx";

/// Writes an index and its attributes to `path`, atomically: a crash leaves the old file, or none, or all of the new one.
///
/// # Errors
/// `NotFound` if the folder does not exist, `Io` if the file system refuses.
pub fn save(index: &dyn VectorIndex, path: &Path) -> Result<()> {
    let parts = index.parts();
    writer::write(&parts, path)?;
    tracing::debug!(path = %path.display(), kind = %parts.kind, num_vectors = parts.ids.len(), "saved an index");
    Ok(())
}

/// Reads an index of any kind from `path`.
///
/// # Errors
/// `NotFound` if there is no such file, `Corrupt` if any byte of it is not what was written, `NotSupported` if a later
/// version wrote it, `Io` if the file system refuses.
pub fn load_any(path: &Path) -> Result<Box<dyn VectorIndex>> {
    let index: Box<dyn VectorIndex> = match reader::read(path)? {
        Loaded::FlatF32(index) => Box::new(index),
        Loaded::RabitqPlus(index) => Box::new(index),
    };
    tracing::debug!(path = %path.display(), kind = %index.kind(), num_vectors = index.len(), "loaded an index");
    Ok(index)
}

impl FlatF32Index {
    /// Writes the index to `path`; see [`save`].
    ///
    /// # Errors
    /// As [`save`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        save(self, path.as_ref())
    }

    /// Reads a flat index from `path`.
    ///
    /// # Errors
    /// As [`load_any`], and `InvalidInput` if the file holds another kind.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        match reader::read(path.as_ref())? {
            Loaded::FlatF32(index) => Ok(index),
            Loaded::RabitqPlus(_) => Err(other_kind(path.as_ref(), IndexKind::FlatF32, IndexKind::RabitqPlus)),
        }
    }
}

impl RabitqPlusIndex {
    /// Writes the index to `path`; see [`save`].
    ///
    /// # Errors
    /// As [`save`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        save(self, path.as_ref())
    }

    /// Reads an index with codes and originals from `path`.
    ///
    /// # Errors
    /// As [`load_any`], and `InvalidInput` if the file holds another kind.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        match reader::read(path.as_ref())? {
            Loaded::RabitqPlus(index) => Ok(index),
            Loaded::FlatF32(_) => Err(other_kind(path.as_ref(), IndexKind::RabitqPlus, IndexKind::FlatF32)),
        }
    }
}

fn other_kind(path: &Path, expected: IndexKind, got: IndexKind) -> Error {
    Error::invalid_input("index file holds another kind")
        .with("expected", expected)
        .with("got", got)
        .with("path", path.display())
}

#[cfg(test)]
mod tests;
