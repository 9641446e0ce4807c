//! Index files: derived data beside a collection, sealed by the witness of the state they were built from.
//!
//! A file is used only if it is whole and its witness holds; any other file is replaced by a new build.

use std::io;
use std::path::{Path, PathBuf};

use ruvector_rabitq::persist::EXTENSION;
use ruvector_rabitq::{Attributes, VectorIndex};

use super::Entry;
use super::provenance::Provenance;
use crate::blocking::run_blocking;
use crate::contract::{INDEX_DIR, Snapshot};
use crate::error::{Error, Result};
use crate::index_spec::IndexSpec;
use crate::vector_column::dim_of_column;

/// The path of an index file: one per column, kind and parameters. A newer state replaces the file of an older one.
pub(super) fn path(snapshot: &dyn Snapshot, spec: &IndexSpec) -> Option<PathBuf> {
    Some(snapshot.index_dir()?.join(file_name(spec)))
}

/// The name of the index file of a specification.
pub(super) fn file_name(spec: &IndexSpec) -> String {
    let column: String = spec.column.chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect();
    // Columns may differ in other characters only; the number keeps their files apart.
    let number = crc32fast::hash(spec.column.as_bytes());
    let mut name =
        format!("{column}-{number:08x}.{}.{}.seed{}.rerank{}", spec.kind, spec.metric, spec.seed, spec.rerank_factor);
    for (option, value) in [("nlist", spec.nlist), ("nprobe", spec.nprobe)] {
        if let Some(value) = value {
            name.push_str(&format!(".{option}{value}"));
        }
    }
    format!("{name}.{EXTENSION}")
}

/// Reads the index file over this or an earlier state of the collection, if there is one that can be used.
pub(super) async fn load(snapshot: &dyn Snapshot, spec: &IndexSpec) -> Option<Entry> {
    let path = path(snapshot, spec).filter(|path| path.exists())?;
    let entry = match read(&path).await {
        Ok((entry, found)) if found == *spec && can_follow(&entry, snapshot, spec) => entry,
        Ok(_) => return None,
        Err(e) => {
            tracing::warn!(path = %path.display(), reason = %e, "index file is not usable; it is rebuilt");
            return None;
        }
    };
    Some(entry)
}

/// Returns true if an entry is over this or an earlier state of the collection, and its vectors have the same dimension.
pub(super) fn can_follow(entry: &Entry, snapshot: &dyn Snapshot, spec: &IndexSpec) -> bool {
    let dim = dim_of_column(&snapshot.schema(), &spec.column);
    entry.data_ref() == snapshot.data_ref() && dim.is_ok_and(|dim| dim == entry.index().dim().get())
}

/// Reads an index file and checks its provenance.
///
/// # Errors
/// `NotFound`; `Corrupt` if it is not whole; `WitnessMismatch` if the witness does not hold.
pub(super) async fn read(path: &Path) -> Result<(Entry, IndexSpec)> {
    let owned = path.to_owned();
    let mut index = run_blocking("index reader", move || ruvector_rabitq::load_mapped(&owned)).await?;
    let (provenance, spec) = Provenance::of_index(index.as_ref())?;
    // The attributes of millions of rows need not be in memory twice.
    let attributes = std::mem::take(index.attributes_mut());
    let entry = Entry::new(index, provenance);
    entry.remember_stored_ids(&attributes)?;
    Ok((entry, spec))
}

/// Writes the index file of an entry.
///
/// # Errors
/// `Unavailable` if the folder cannot be created or written.
pub(super) fn write(index: &dyn VectorIndex, attributes: &Attributes, path: &Path) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|e| no_folder(folder, e))?;
    index.save_with(attributes, path)
}

/// Like [`write`], for the file beside a collection. The folder of a dropped table is not created again.
///
/// # Errors
/// As [`write`].
pub(super) fn write_beside(index: &dyn VectorIndex, attributes: &Attributes, path: &Path) -> Result<()> {
    let Some(folder) = path.parent().filter(|folder| folder.ends_with(INDEX_DIR)) else {
        return write(index, attributes, path);
    };
    match std::fs::create_dir(folder) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(no_folder(folder, e)),
        _ => index.save_with(attributes, path),
    }
}

fn no_folder(folder: &Path, reason: io::Error) -> Error {
    Error::unavailable("index folder cannot be made").with("path", folder.display()).with("reason", reason)
}
