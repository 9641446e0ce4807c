use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};

/// Replaces the file at `path` by what `fill` writes: the old file is there until the new one is complete and on disk.
pub(super) fn replace(path: &Path, fill: impl FnOnce(&File) -> io::Result<()>) -> Result<()> {
    let unsaved = Unsaved::create(path)?;
    fill(&unsaved.file)
        .and_then(|()| unsaved.file.sync_all())
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
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    return Err(Error::io("cannot create an index file", error).with("path", unsaved.display()));
                }
            }
        }
    }

    fn publish(self, path: &Path) -> io::Result<()> {
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
fn sync_folder(path: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}
