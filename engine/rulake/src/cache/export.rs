//! Export of entries to folders of the user's own: one process saves its entries, another one loads them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ruvector_rabitq::persist::EXTENSION;

use super::file::file_name;
use super::{Cache, CollectionKey, Entry, EntryKey, Slot, file};
use crate::blocking::run_blocking;
use crate::error::{Error, Result};
use crate::index_spec::IndexSpec;
use crate::witness::{Generation, witness};

impl Cache {
    /// Writes an entry to `path`, with the ids it has.
    pub(crate) async fn save(entry: Arc<Entry>, column: &str, path: PathBuf) -> Result<()> {
        let mut attributes = entry.provenance.to_attributes(column)?;
        attributes.extend(entry.stored_ids());
        let write = move || file::write(entry.index(), &attributes, &path);
        run_blocking("index writer", write).await
    }

    /// Puts an entry that was read from a file into the cache, as one that the collection uses.
    pub(crate) fn install(&self, collection: &CollectionKey, spec: IndexSpec, entry: Arc<Entry>) {
        let key = EntryKey { witness: entry.witness().to_owned(), spec };
        self.touch(&entry);
        let mut state = self.state.lock();
        state.entries.insert(key.clone(), Slot::Ready(entry));
        // An entry that the collection uses already is as new as this one, or newer.
        let pointers = state.pointers.entry(collection.clone()).or_default();
        pointers.entry(key.spec.clone()).or_insert_with(|| key.clone());
        self.budget.enforce(&mut state, &key);
    }
}

/// The name of an entry's file in a folder of the user's own, where files of several states may lie for a moment.
pub(crate) fn saved_name(spec: &IndexSpec, data_ref: &str, generation: &Generation) -> String {
    format!("{}{}", file_name(spec).trim_end_matches(EXTENSION), ending(data_ref, generation))
}

/// The common ending of the names of a state's files.
fn ending(data_ref: &str, generation: &Generation) -> String {
    let state = witness(data_ref, 0, 0, 0, generation);
    format!("{}.{EXTENSION}", &state[..16])
}

/// The index files in `dir` of a state, sorted.
async fn files_of(dir: &Path, data_ref: &str, generation: &Generation) -> Result<Vec<PathBuf>> {
    let unreadable = |e| Error::io("folder of index files cannot be read", e).with("path", dir.display());
    let ending = ending(data_ref, generation);
    let mut paths = Vec::new();
    let mut files = tokio::fs::read_dir(dir).await.map_err(unreadable)?;
    while let Some(file) = files.next_entry().await.map_err(unreadable)? {
        let name = file.file_name();
        let name = name.to_string_lossy();
        if !name.starts_with('.') && name.ends_with(&ending) {
            paths.push(file.path());
        }
    }
    paths.sort_unstable();
    Ok(paths)
}

/// Removes the index files in `dir` of a state that a newer one replaced.
pub(crate) async fn remove_saved(dir: &Path, data_ref: &str, generation: &Generation) -> Result<()> {
    for path in files_of(dir, data_ref, generation).await? {
        // Another process may have removed it; a file that stays is ignored.
        let _ = tokio::fs::remove_file(path).await;
    }
    Ok(())
}

/// Reads the entries in `dir` of a state, sorted by file name.
///
/// # Errors
/// `NotFound` if there is no such folder or no entry in it; for an index file that cannot be read, the error of the read.
pub(crate) async fn read_dir(dir: &Path, data_ref: &str, generation: &Generation) -> Result<Vec<(Entry, IndexSpec)>> {
    let paths = files_of(dir, data_ref, generation).await?;
    if paths.is_empty() {
        return Err(Error::not_found("no index file of the state that the bundle names").with("path", dir.display()));
    }
    let mut entries = Vec::with_capacity(paths.len());
    for path in paths {
        entries.push(file::read(&path).await.map_err(
            |e| match e.context().iter().any(|(name, _)| *name == "path") {
                true => e,
                false => e.with("path", path.display()),
            },
        )?);
    }
    Ok(entries)
}
