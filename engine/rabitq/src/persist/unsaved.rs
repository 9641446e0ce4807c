//! Index files while they are written: `.<file>.<process>-<number>.unsaved` beside `<file>`, which they become by a rename.
//!
//! Such a file is locked until it is saved, so that [`remove_unsaved`] can tell it from one whose process was killed.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;

use super::format::EXTENSION;
use crate::atomic_file::AtomicFile;
use crate::error::{Error, Result};

const UNSAVED: &str = ".unsaved";

/// Removes the files in `folder` in which index files were written when their process was killed. A file that a process
/// writes to now stays, and so does one that cannot be locked. A folder that is missing or a link is left alone.
///
/// # Errors
/// `Io` if the folder cannot be read or a file cannot be removed; the other files are removed all the same.
pub fn remove_unsaved(folder: &Path) -> Result<()> {
    let unreadable = |e| Error::io("folder of index files cannot be read", e).with("path", folder.display());
    match folder.symlink_metadata() {
        Ok(found) if found.is_dir() => {}
        Ok(_) => return Ok(()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(unreadable(e)),
    }
    let mut removed = Ok(());
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        // The type of the entry itself: a link is not a file.
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if is_file
            && entry.file_name().to_str().is_some_and(is_unsaved)
            && let Err(e) = remove_unlocked(&entry.path())
        {
            removed = Err(Error::io("unsaved index file cannot be removed", e).with("path", entry.path().display()));
        }
    }
    removed
}

/// Returns true for the name of an index file that is being written.
fn is_unsaved(name: &str) -> bool {
    let parts = || {
        let (file, numbers) = name.strip_prefix('.')?.strip_suffix(UNSAVED)?.rsplit_once('.')?;
        let (process, number) = numbers.split_once('-')?;
        Some((Path::new(file), [process, number]))
    };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    parts().is_some_and(|(file, numbers)| {
        file.extension().is_some_and(|extension| extension == EXTENSION) && numbers.into_iter().all(is_number)
    })
}

/// Removes a file, unless a process has locked it.
fn remove_unlocked(path: &Path) -> io::Result<()> {
    // Some file systems lock only what may be written.
    let file = match OpenOptions::new().write(true).open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e),
    };
    match file.try_lock() {
        Ok(()) => std::fs::remove_file(path),
        Err(TryLockError::WouldBlock) => Ok(()),
        Err(TryLockError::Error(e)) if e.kind() == io::ErrorKind::Unsupported => Ok(()),
        Err(TryLockError::Error(e)) => Err(e),
    }
}

/// Replaces the file at `path` by what `fill` writes: the old file is there until the new one is complete and on disk.
pub(super) fn replace(path: &Path, fill: impl FnOnce(&File) -> io::Result<()>) -> Result<()> {
    let name = path.file_name().ok_or_else(|| {
        Error::invalid_input("path names no file").with("expected", "a file name").with("got", path.display())
    })?;
    let unsaved_name = |unique: &str| {
        let mut unsaved = OsString::from(".");
        unsaved.push(name);
        unsaved.push(format!(".{unique}{UNSAVED}"));
        unsaved
    };
    let mut unsaved = AtomicFile::create(path, File::options(), unsaved_name)
        .map_err(|(unsaved, e)| Error::io("cannot create an index file", e).with("path", unsaved.display()))?;
    fill(unsaved.file())
        .and_then(|()| unsaved.sync())
        .map_err(|source| Error::io("cannot write the index file", source).with("path", path.display()))?;
    unsaved
        .rename()
        .and_then(|()| unsaved.sync_folder())
        .map_err(|source| Error::io("cannot replace the index file", source).with("path", path.display()))
}
