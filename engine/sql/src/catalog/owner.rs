//! The right to write the catalogs of a data folder, which one engine has at a time.
//!
//! [`Owner::claim`] takes an exclusive lock of the operating system on `_ruvector/owner.lock`; it ends with the process at the
//! latest. A catalog ([`StoredCatalog`](crate::catalog::stored::StoredCatalog)) is not written once the owner is gone. Delta tables
//! need no owner: their writers meet at the commit, whatever process they are in.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arrow::temporal_conversions::timestamp_s_to_datetime;
use ruvector_rabitq::persist::remove_unsaved;
use ruvector_rulake::contract::INDEX_DIR;

use ruvector_udfs::error::{Error, ErrorKind, Result};

/// The folder of the catalogs, in the data folder. Names with `_` are not tables.
const CATALOG_DIR: &str = "_ruvector";
/// The sub-folders with index files of tables and backends that have no folder of their own for them:
/// `<sub-folder>/<name>` and `<sub-folder>/<name>/_ruvector/<collection>`.
const INDEX_ROOTS: [&str; 2] = ["external", "backends"];
/// The file that is locked. Its text names the holder.
const LOCK_FILE: &str = "owner.lock";
/// Bound on the wait for an owner that is about to end, as [`TRIES`] pauses: a write of a catalog may be under way.
const PAUSE: Duration = Duration::from_millis(50);
const TRIES: usize = 20;

/// The owner of the catalogs of a data folder.
#[derive(Debug)]
pub(crate) struct Owner {
    folder: PathBuf,
    /// `None` in a folder that this process cannot write.
    lock: Option<File>,
    process: u32,
}

impl Owner {
    /// Claims the catalogs of `data_dir`. A folder that cannot be written is opened without the right to change them.
    ///
    /// # Errors
    /// `Unavailable` if another engine owns them, in this process or in another one, or if the folder cannot be locked.
    pub(crate) async fn claim(data_dir: &Path) -> Result<Arc<Self>> {
        let folder = data_dir.join(CATALOG_DIR);
        let owner = |folder, lock| Arc::new(Self { folder, lock, process: std::process::id() });
        let refused = |e: io::Error| {
            let path = data_dir.display();
            Error::new(ErrorKind::Unavailable, format!("data folder cannot be locked: path {path}, reason {e}"))
        };
        let mut file = match open(&folder) {
            Ok(file) => file,
            Err(e) if matches!(e.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) => {
                tracing::warn!(path = %folder.display(), reason = %e, "indexes and backends cannot be changed");
                return Ok(owner(folder, None));
            }
            Err(e) => return Err(refused(e)),
        };
        let mut tries = 0;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if tries < TRIES => {
                    tries += 1;
                    tokio::time::sleep(PAUSE).await;
                }
                Err(TryLockError::WouldBlock) => return Err(held(data_dir, &mut file)),
                Err(TryLockError::Error(e)) if e.kind() == io::ErrorKind::Unsupported => {
                    tracing::warn!(path = %folder.display(), "the file system has no locks: open the folder only once");
                    break;
                }
                Err(TryLockError::Error(e)) => return Err(refused(e)),
            }
        }
        if let Err(e) = file.set_len(0).and_then(|()| file.write_all(holder().as_bytes())) {
            // The lock holds without it: a second engine is told less.
            tracing::warn!(path = %folder.display(), reason = %e, "the owner of the data folder cannot be written down");
        }
        Ok(owner(folder, Some(file)))
    }

    /// The folder of the catalogs.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns true if catalogs can be written.
    pub(crate) fn may_write(&self) -> bool {
        self.lock.is_some()
    }

    /// Removes the temporary files of catalogs whose writers were killed. They may hold secrets.
    pub(crate) fn remove_temporary_files(&self) {
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return };
        let is_temporary = |name: &str| name.starts_with('.') && name.ends_with(".tmp");
        for entry in entries.flatten().filter(|entry| entry.file_name().to_str().is_some_and(is_temporary)) {
            if let Err(e) = std::fs::remove_file(entry.path()) {
                tracing::warn!(path = %entry.path().display(), reason = %e, "a temporary file of a catalog is left");
            }
        }
    }

    /// Removes index files of external tables and backends whose writers were killed. Links are not followed.
    pub(crate) fn remove_unsaved_index_files(&self) {
        let roots = folders_in(&self.folder).into_iter();
        let roots = roots.filter(|root| INDEX_ROOTS.iter().any(|name| root.ends_with(name)));
        for named in roots.flat_map(|root| folders_in(&root)) {
            let collections = folders_in(&named.join(INDEX_DIR));
            for folder in std::iter::once(named).chain(collections) {
                if let Err(e) = remove_unsaved(&folder) {
                    tracing::warn!(reason = %e, "unsaved index files are left until the next start");
                }
            }
        }
    }
}

/// The folders in a folder. A link is none, and has none.
fn folders_in(folder: &Path) -> Vec<PathBuf> {
    if !folder.symlink_metadata().is_ok_and(|found| found.is_dir()) {
        return Vec::new();
    }
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).collect()
}

impl Drop for Owner {
    fn drop(&mut self) {
        // Closing is not enough: a forked child has the same lock. Nor may a child unlock what its parent owns.
        if let Some(lock) = self.lock.as_ref().filter(|_| self.process == std::process::id())
            && let Err(e) = lock.unlock()
        {
            tracing::warn!(path = %self.folder.display(), reason = %e, "the data folder is not unlocked");
        }
    }
}

fn open(folder: &Path) -> io::Result<File> {
    std::fs::create_dir_all(folder)?;
    File::options().read(true).write(true).create(true).truncate(false).open(folder.join(LOCK_FILE))
}

/// The error of a second engine on one folder.
fn held(data_dir: &Path, file: &mut File) -> Error {
    let mut text = String::new();
    // Some systems let no other process read a locked file.
    let known = file.read_to_string(&mut text).is_ok_and(|bytes| bytes > 0);
    let by = if known { text.trim() } else { "an unknown process" };
    let advice = match text.starts_with(&process()) {
        true => "share its Engine, or drop it first",
        false => "stop that process, or connect to it if it is a server",
    };
    let path = data_dir.display();
    Error::new(
        ErrorKind::Unavailable,
        format!("data folder is owned by another engine: path {path}, owner {by}; {advice}"),
    )
}

/// This process, and the time.
fn holder() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let since = i64::try_from(seconds).ok().and_then(timestamp_s_to_datetime);
    match since {
        Some(since) => format!("{} since {since} UTC\n", process()),
        None => format!("{}\n", process()),
    }
}

/// This process: its id, program and host.
fn process() -> String {
    let program = std::env::current_exe().ok();
    let program = program
        .as_deref()
        .and_then(Path::file_name)
        .map_or_else(|| "program unknown".to_owned(), |name| name.to_string_lossy().into_owned());
    let host =
        std::fs::read_to_string("/proc/sys/kernel/hostname").or_else(|_| std::fs::read_to_string("/etc/hostname"));
    let host = host.map_or_else(|_| "this host".to_owned(), |name| format!("host {}", name.trim()));
    format!("process {} ({program}) on {host}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_engine_owns_a_folder_and_names_itself() {
        let folder = tempfile::tempdir().unwrap();
        let owner = Owner::claim(folder.path()).await.unwrap();
        let error = Owner::claim(folder.path()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        let (message, process) = (error.to_string(), format!("process {} (", std::process::id()));
        for part in [folder.path().to_str().unwrap(), &process, "UTC", "share its Engine"] {
            assert!(message.contains(part), "{message:?} does not say {part:?}");
        }
        drop(owner);
        Owner::claim(folder.path()).await.unwrap();
    }

    #[tokio::test]
    async fn temporary_files_of_catalogs_are_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let owner = Owner::claim(folder.path()).await.unwrap();
        for name in [".5f1f6a0e.tmp", "backends.json", "mine.tmp"] {
            std::fs::write(owner.folder().join(name), b"hush").unwrap();
        }
        owner.remove_temporary_files();
        assert!(!owner.folder().join(".5f1f6a0e.tmp").exists());
        assert!(owner.folder().join("backends.json").exists() && owner.folder().join("mine.tmp").exists());
    }
}
