//! `save` and `load` of the types of index: an index and a path go in, a file comes out, and back.

use std::path::Path;

use super::file;
use crate::error::{Error, Result};
use crate::index::{
    Attributes, FlatF32Index, IvfRabitqIndex, RabitqAsymIndex, RabitqIndex, RabitqPlusIndex, SharedIndex, VectorIndex,
};

/// Declares that indexes of these types can be saved.
macro_rules! save {
    ($($index:ty),*) => {$(
        impl $index {
            /// Writes the index and its attributes to `path`, atomically: a crash leaves the old file, or none, or all of
            /// the new one.
            ///
            /// # Errors
            /// `NotFound` if the folder does not exist, `InvalidInput` if the path names no file, `Io` if the file system
            /// refuses, `Corrupt` as [`verify`](VectorIndex::verify). The old file stays then.
            pub fn save(&self, path: &Path) -> Result<()> {
                self.save_with(self.attributes(), path)
            }

            /// Writes the index to `path` as `save` does, with other attributes than its own.
            ///
            /// # Errors
            /// The errors of `save`.
            pub fn save_with(&self, attributes: &Attributes, path: &Path) -> Result<()> {
                file::save(self.core(), attributes, path)
            }
        }
    )*};
}

/// Declares that indexes of these kinds can be loaded.
macro_rules! load {
    ($($index:ty),*) => {$(
        impl $index {
            /// Reads an index of this kind from `path`.
            ///
            /// # Errors
            /// As [`load_any`](crate::load_any), and `InvalidInput` if the file holds another kind.
            pub fn load(path: impl AsRef<Path>) -> Result<Self> {
                let core = file::load(path.as_ref())?;
                let kind = core.kind;
                Self::from_core(core).ok_or_else(|| {
                    Error::invalid_input("index file holds another kind")
                        .with("expected", Self::KIND)
                        .with("got", kind)
                        .with("path", path.as_ref().display())
                })
            }
        }
    )*};
}

save!(dyn VectorIndex + '_, SharedIndex);
save!(FlatF32Index, RabitqIndex, RabitqAsymIndex, RabitqPlusIndex, IvfRabitqIndex);
load!(FlatF32Index, RabitqIndex, RabitqAsymIndex, RabitqPlusIndex, IvfRabitqIndex);
