//! Replacement of a file in one step: a path goes in, and an empty file beside it comes out, which is filled and renamed over it.
//! Readers see the old file or the whole new one, also after a crash.
//!
//! It is the one writer of files that are replaced. Names of temporary files, errors and clean-ups after a kill belong to its
//! callers.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A temporary file in the folder of the file that it replaces. Unless it is renamed, it is removed when it is dropped.
///
/// Steps, in order: [`create`](Self::create), write to [`file`](Self::file), [`sync`](Self::sync), [`rename`](Self::rename),
/// [`sync_folder`](Self::sync_folder).
///
/// The file is locked until it is dropped, where the file system has locks: a clean-up tells it from a file whose process was
/// killed.
#[derive(Debug)]
pub struct AtomicFile {
    target: PathBuf,
    temporary: PathBuf,
    file: File,
    is_renamed: bool,
}

impl AtomicFile {
    /// Creates an empty file in the folder of `target`, which exists.
    ///
    /// `options` has no more than the permissions of the new file. `name` makes the file's name of `<process>-<number>`, which
    /// no other file of this process has. A name that is taken is not used.
    ///
    /// # Errors
    /// The path that was tried, and the reason of the system.
    pub fn create(
        target: &Path,
        mut options: OpenOptions,
        name: impl Fn(&str) -> OsString,
    ) -> Result<Self, (PathBuf, io::Error)> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        options.write(true).create_new(true);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let temporary = target.with_file_name(name(&format!("{}-{number}", std::process::id())));
            match options.open(&temporary) {
                // A clean-up was faster: it removes the file.
                Ok(file) if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) => {}
                // A file system without locks does without.
                Ok(file) => return Ok(Self { target: target.to_owned(), temporary, file, is_renamed: false }),
                // Left by a process of this number that was killed.
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err((temporary, e)),
            }
        }
    }

    /// Returns the file, to write to.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Waits until all that was written is on disk.
    ///
    /// # Errors
    /// The reason of the system.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    /// Gives the file the name of the one that it replaces: the step that decides.
    ///
    /// # Errors
    /// The reason of the system; the old file stays then.
    pub fn rename(&mut self) -> io::Result<()> {
        std::fs::rename(&self.temporary, &self.target)?;
        self.is_renamed = true;
        Ok(())
    }

    /// Makes the new name last through a power cut. Elsewhere than on Unix a folder cannot be opened, nor need be.
    ///
    /// # Errors
    /// The reason of the system; the new file has its name then, but may lose it in a power cut.
    pub fn sync_folder(&self) -> io::Result<()> {
        if cfg!(unix) { File::open(folder_of(&self.target))?.sync_all() } else { Ok(()) }
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if !self.is_renamed {
            // Best effort: the caller needs the reason of the first failure.
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}

/// Returns the folder that the file at `path` is in.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_by_the_rename_and_not_before() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("target");
        std::fs::write(&target, b"old").unwrap();
        let mut file = AtomicFile::create(&target, File::options(), |unique| format!(".{unique}.new").into()).unwrap();
        file.file().write_all(b"new").unwrap();
        file.sync().unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"old");
        assert_eq!(names(folder.path()).len(), 2);
        file.rename().unwrap();
        file.sync_folder().unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"new");
        drop(file);
        assert_eq!(names(folder.path()), ["target"]);
    }

    #[test]
    fn a_file_that_is_not_renamed_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("target");
        let create = || AtomicFile::create(&target, File::options(), |unique| format!("x{unique}").into()).unwrap();
        drop((create(), create()));
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn an_error_names_the_file_that_was_tried() {
        let target = tempfile::tempdir().unwrap().path().join("absent").join("target");
        let (path, reason) = AtomicFile::create(&target, File::options(), |_| "new".into()).unwrap_err();
        assert_eq!((path, reason.kind()), (target.with_file_name("new"), io::ErrorKind::NotFound));
    }

    #[cfg(unix)]
    #[test]
    fn a_file_has_the_permissions_that_were_asked_for() {
        use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("target");
        let mut options = File::options();
        options.mode(0o600);
        let mut file = AtomicFile::create(&target, options, |unique| unique.into()).unwrap();
        file.rename().unwrap();
        assert_eq!(target.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}
