//! Folders of tables that are being created or dropped. Their names are hidden from readers of the root folder.
//!
//! A rename is the step that decides, so a process may be killed at any point: [`recover`] completes or undoes the
//! step. It touches only folders with one of the prefixes below and a UUID.
//!
//! | folder | holds | [`recover`] |
//! |---|---|---|
//! | `.creating-<uuid>` | a new table without its name | removes it |
//! | `.dropping-<uuid>/<table>` | a table whose drop is not decided | asks its caller: gives the name back, or removes it |
//! | `.dropped-<uuid>` | a dropped table | removes it |

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use ruvector_rabitq::persist::remove_unsaved;

use crate::contract::{INDEX_DIR, is_name};
use crate::failpoint::reach;

const CREATING: &str = ".creating-";
const DROPPING: &str = ".dropping-";
const DROPPED: &str = ".dropped-";

/// The folder of a table that is being created. It is removed with its files, unless it was published.
#[derive(Debug)]
pub(super) struct NewFolder(PathBuf);

impl NewFolder {
    pub(super) fn create(root: &Path) -> io::Result<Self> {
        let path = hidden(root, CREATING);
        std::fs::create_dir(&path)?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Renames the folder to its final name; from then on the table exists.
    ///
    /// # Errors
    /// `DirectoryNotEmpty` or `NotADirectory` if the name is taken; other errors of the file system.
    pub(super) fn publish(self, folder: &Path) -> io::Result<()> {
        std::fs::rename(&self.0, folder)
    }
}

impl Drop for NewFolder {
    fn drop(&mut self) {
        // After `publish` there is nothing under this name.
        remove(&self.0);
    }
}

/// A table that has no name while it is decided whether it is dropped.
#[derive(Debug)]
pub(super) struct DroppedFolder {
    root: PathBuf,
    /// The folder that the table lies in.
    hidden: PathBuf,
    /// The folder that it had.
    folder: PathBuf,
}

impl DroppedFolder {
    /// Renames the folder of a table to a hidden name.
    pub(super) fn begin(root: &Path, folder: &Path) -> io::Result<Self> {
        let name = folder.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let hidden = hidden(root, DROPPING);
        std::fs::create_dir(&hidden)?;
        if let Err(e) = std::fs::rename(folder, hidden.join(name)) {
            remove(&hidden);
            return Err(e);
        }
        Ok(Self { root: root.to_owned(), hidden, folder: folder.to_owned() })
    }

    /// The folder that the table lies in.
    pub(super) fn hidden(&self) -> &Path {
        &self.hidden
    }

    /// Renames the folder back.
    pub(super) fn undo(&self) -> io::Result<()> {
        let name = self.folder.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        std::fs::rename(self.hidden.join(name), &self.folder)?;
        if let Err(e) = std::fs::remove_dir(&self.hidden) {
            tracing::warn!(path = %self.hidden.display(), reason = %e, "an empty folder is left until the next start");
        }
        Ok(())
    }

    /// Marks the table as dropped, and returns the folder to remove.
    pub(super) fn bury(self) -> PathBuf {
        bury(&self.root, self.hidden)
    }
}

/// Returns true if there is a table of that name whose drop is not decided.
pub(super) fn is_dropping(root: &Path, table: &str) -> bool {
    let Ok(entries) = std::fs::read_dir(root) else { return false };
    let found = |entry: std::fs::DirEntry| {
        is_hidden(&entry.file_name(), DROPPING) && entry.path().join(table).symlink_metadata().is_ok()
    };
    entries.flatten().any(found)
}

/// Completes or undoes creations and drops that were cut short. `is_dropped` decides of a table whose drop had begun.
pub(super) fn recover(root: &Path, is_dropped: impl Fn(&str) -> bool) {
    let Ok(entries) = std::fs::read_dir(root) else { return };
    for entry in entries.flatten() {
        let (name, path) = (entry.file_name(), entry.path());
        if is_hidden(&name, CREATING) || is_hidden(&name, DROPPED) {
            remove(&path);
        } else if is_hidden(&name, DROPPING) {
            settle(root, path, &is_dropped);
        }
    }
}

/// Removes index files of tables that were being written when their process ended. Links are not followed.
pub(super) fn remove_unsaved_index_files(root: &Path) {
    let Ok(entries) = std::fs::read_dir(root) else { return };
    for entry in entries.flatten() {
        let is_table =
            entry.file_name().to_str().is_some_and(is_name) && entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_table && let Err(e) = remove_unsaved(&entry.path().join(INDEX_DIR)) {
            tracing::warn!(reason = %e, "unsaved index files of a table are left until the next start");
        }
    }
}

/// Decides about the table in a folder `.dropping-<uuid>`.
fn settle(root: &Path, hidden: PathBuf, is_dropped: &impl Fn(&str) -> bool) {
    let table = std::fs::read_dir(&hidden).ok().and_then(|entries| entries.flatten().next());
    let Some(table) = table.map(|entry| entry.file_name()) else {
        // The process ended before it moved a table here, or after it moved the table back.
        if let Err(e) = std::fs::remove_dir(&hidden) {
            tracing::warn!(path = %hidden.display(), reason = %e, "a folder is left");
        }
        return;
    };
    if table.to_str().is_some_and(is_dropped) {
        remove(&bury(root, hidden));
        return;
    }
    let dropped = DroppedFolder { root: root.to_owned(), folder: root.join(&table), hidden };
    if let Err(e) = dropped.undo() {
        let (path, table) = (dropped.hidden.display(), table.display());
        tracing::warn!(%path, %table, reason = %e, "a table whose drop failed does not get its name back");
    }
}

/// Renames a folder to one that every start removes. Where that fails, it is removed under its old name.
fn bury(root: &Path, hidden: PathBuf) -> PathBuf {
    let grave = self::hidden(root, DROPPED);
    match std::fs::rename(&hidden, &grave) {
        Ok(()) => {
            reach("drop_table.buried");
            grave
        }
        Err(e) => {
            tracing::warn!(path = %hidden.display(), reason = %e, "the folder of a dropped table is not renamed");
            hidden
        }
    }
}

fn hidden(root: &Path, prefix: &str) -> PathBuf {
    root.join(format!("{prefix}{}", uuid::Uuid::new_v4()))
}

fn is_hidden(name: &OsStr, prefix: &str) -> bool {
    name.to_str().and_then(|name| name.strip_prefix(prefix)).is_some_and(|id| uuid::Uuid::parse_str(id).is_ok())
}

fn remove(folder: &Path) {
    match std::fs::remove_dir_all(folder) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(path = %folder.display(), reason = %e, "a folder is left until the next start");
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(root: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(root).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort_unstable();
        names
    }

    /// A root folder with a table `t`.
    fn root() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("t")).unwrap();
        std::fs::write(root.path().join("t/rows"), b"rows").unwrap();
        root
    }

    #[test]
    fn a_new_folder_is_there_when_it_is_published() {
        let root = root();
        drop(NewFolder::create(root.path()).unwrap());
        assert_eq!(names(root.path()), ["t"]);
        let new = NewFolder::create(root.path()).unwrap();
        std::fs::write(new.path().join("rows"), b"new").unwrap();
        let error = new.publish(&root.path().join("t")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::DirectoryNotEmpty);
        assert_eq!(names(root.path()), ["t"]);
        assert_eq!(std::fs::read(root.path().join("t/rows")).unwrap(), b"rows");

        let new = NewFolder::create(root.path()).unwrap();
        std::fs::write(new.path().join("rows"), b"new").unwrap();
        new.publish(&root.path().join("u")).unwrap();
        assert_eq!(names(root.path()), ["t", "u"]);
    }

    #[test]
    fn a_drop_that_was_cut_short_is_undone_or_completed() {
        for is_dropped in [false, true] {
            let root = root();
            DroppedFolder::begin(root.path(), &root.path().join("t")).unwrap();
            assert!(is_dropping(root.path(), "t") && !is_dropping(root.path(), "u"));
            assert!(!root.path().join("t").exists());
            recover(root.path(), |table| table == "t" && is_dropped);
            assert_eq!(names(root.path()), if is_dropped { vec![] } else { vec!["t"] });
        }
    }

    /// Another table took the name during the drop: neither table is lost.
    #[test]
    fn a_table_that_cannot_get_its_name_back_stays() {
        let root = root();
        let dropped = DroppedFolder::begin(root.path(), &root.path().join("t")).unwrap();
        std::fs::create_dir(root.path().join("t")).unwrap();
        std::fs::write(root.path().join("t/rows"), b"other").unwrap();
        assert!(dropped.undo().is_err());
        recover(root.path(), |_| false);
        assert_eq!(std::fs::read(dropped.hidden().join("t/rows")).unwrap(), b"rows");
        assert_eq!(std::fs::read(root.path().join("t/rows")).unwrap(), b"other");
        std::fs::remove_dir_all(root.path().join("t")).unwrap();
        recover(root.path(), |_| false);
        assert_eq!(names(root.path()), ["t"]);
    }

    #[test]
    fn nothing_but_folders_of_ours_is_removed() {
        let root = root();
        let id = uuid::Uuid::new_v4();
        for name in [".creating-mine", ".dropped-", "creating", ".dropping-x"] {
            std::fs::create_dir(root.path().join(name)).unwrap();
        }
        for name in [format!(".creating-{id}"), format!(".dropped-{id}"), format!(".dropping-{id}")] {
            std::fs::create_dir(root.path().join(name)).unwrap();
        }
        recover(root.path(), |_| true);
        assert_eq!(names(root.path()), [".creating-mine", ".dropped-", ".dropping-x", "creating", "t"]);
    }
}
