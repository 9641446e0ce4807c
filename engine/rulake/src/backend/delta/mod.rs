//! Delta Lake tables in one folder: the default store of record.
//!
//! A collection is a sub-folder with a `_delta_log`. Every change is a Delta transaction: what was acknowledged is there
//! after `kill -9`, and any other Delta reader can read it. Folders whose name starts with `_` or `.` are not collections.

mod change;
mod create;
mod first_list;
mod folders;
mod history;
mod layout;
mod remote;
mod snapshot;
mod write;

use std::collections::HashMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use deltalake::{DeltaTable, DeltaTableBuilder, DeltaTableError};
use object_store::{ObjectStore, ObjectStoreExt};
use parking_lot::Mutex;
use tokio::sync::RwLock;
use url::Url;

use crate::contract::{AsOf, Backend, Commit, INDEX_DIR, NameRule, Snapshot};
use crate::error::{Error, ErrorKind, Result, from_delta};
use crate::failpoint::reach;

use change::TableLocks;
use folders::DroppedFolder;

pub use change::{ChangeKind, ChangeLock, RowChanges};
pub use remote::RemoteDeltaBackend;
pub use snapshot::DeltaSnapshot;

const LOG_DIR: &str = "_delta_log";

/// Delta tables under one local folder.
#[derive(Debug)]
pub struct DeltaBackend {
    id: String,
    root: PathBuf,
    names: NameRule,
    loaded: Mutex<HashMap<String, Loaded>>,
    locks: Mutex<HashMap<String, TableLocks>>,
}

/// The newest state seen of a table.
#[derive(Clone, Debug)]
struct Loaded {
    snapshot: Arc<DeltaSnapshot>,
    identity: Option<String>,
}

impl DeltaBackend {
    /// The tables in the folder `root`, which is created if it does not exist.
    ///
    /// # Errors
    /// `InvalidInput` if `root` is not a folder or cannot be created.
    pub fn open(id: impl Into<String>, root: &Path) -> Result<Self> {
        let refused =
            |e| Error::invalid_input("data folder cannot be used").with("path", root.display()).with("reason", e);
        std::fs::create_dir_all(root).map_err(refused)?;
        let root = root.canonicalize().map_err(refused)?;
        Ok(Self { id: id.into(), root, names: NameRule::default(), loaded: Mutex::default(), locks: Mutex::default() })
    }

    /// Accepts every name of a folder as the name of a table.
    #[must_use]
    pub fn with_any_names(self) -> Self {
        Self { names: NameRule::FileName, ..self }
    }

    /// Removes a table and its index files.
    ///
    /// # Errors
    /// `NotFound` if there is none.
    pub async fn drop(&self, collection: &str) -> Result<()> {
        self.drop_and(collection, || Ok(())).await
    }

    /// Like [`DeltaBackend::drop`]. `forget` removes what the caller keeps about the table, while no table of that name can be
    /// created. The drop is decided when `forget` returns: [`DeltaBackend::recover`] undoes one that was cut short earlier.
    ///
    /// # Errors
    /// `NotFound` if there is no table; the error of `forget`. Nothing is changed on error. If the table cannot get its name
    /// back, the error says where it lies until the next start.
    pub async fn drop_and<E: From<Error> + Display>(
        &self,
        collection: &str,
        forget: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        let folder = self.folder(collection)?;
        let _alone = self.lock(collection).write_owned().await;
        if !self.exists(collection) {
            return Err(self.not_found(collection).into());
        }
        let refused = |e| Error::unavailable("table cannot be dropped").with("table", collection).with("reason", e);
        // Renamed first: the table disappears in one step, even if the removal of its files fails.
        let dropped = DroppedFolder::begin(&self.root, &folder).map_err(refused)?;
        reach("drop_table.renamed");
        if let Err(e) = forget() {
            return Err(match dropped.undo() {
                Ok(()) => e,
                Err(undo) => Error::unavailable("table is not dropped, and has no name until the next start")
                    .with("table", collection)
                    .with("path", dropped.hidden().display())
                    .with("reason", e)
                    .with("reason of the file system", undo)
                    .into(),
            });
        }
        reach("drop_table.forgotten");
        self.loaded.lock().remove(collection);
        let grave = dropped.bury();
        if let Err(e) = tokio::fs::remove_dir_all(&grave).await {
            tracing::warn!(path = %grave.display(), reason = %e, "files of a dropped table are left");
        }
        Ok(())
    }

    /// Completes or undoes creations and drops of tables that were cut short, and removes index files whose writers were
    /// killed. For the process that owns the folder, before it creates, drops or indexes a table.
    ///
    /// `is_dropped` says whether the `forget` of [`DeltaBackend::drop_and`] has nothing left to do for a table. If so its drop
    /// is completed, else it is undone.
    pub fn recover(&self, is_dropped: impl Fn(&str) -> bool) {
        folders::recover(&self.root, is_dropped);
        folders::remove_unsaved_index_files(&self.root);
    }

    /// Returns true if there is certainly no table of that name, and none whose drop is not decided. A folder that cannot be
    /// read may be a table.
    pub fn is_absent(&self, collection: &str) -> bool {
        let found = self.folder(collection).map(|folder| folder.symlink_metadata());
        found.is_ok_and(|found| found.is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound))
            && !folders::is_dropping(&self.root, collection)
    }

    /// Pins the newest version of a table, for operations of the Delta library.
    ///
    /// # Errors
    /// As [`Backend::snapshot`].
    pub async fn delta_snapshot(&self, collection: &str) -> Result<Arc<DeltaSnapshot>> {
        if !self.exists(collection) {
            return Err(self.not_found(collection));
        }
        let known = self.loaded.lock().get(collection).cloned();
        let table = match &known {
            Some(known) => {
                let mut table = known.snapshot.table().clone();
                // A table that was dropped and made again has other commits under the same numbers.
                if known.identity == identity(&table).await {
                    let version = table.version();
                    if self.is_newest(collection, version) {
                        return Ok(Arc::clone(&known.snapshot));
                    }
                    match table.update_state().await {
                        Ok(()) if table.version() == version => return Ok(Arc::clone(&known.snapshot)),
                        Ok(()) => Some(table),
                        Err(DeltaTableError::VersionDowngrade { .. }) => None,
                        Err(e) => return Err(self.unreadable(collection, e)),
                    }
                } else {
                    None
                }
            }
            None => None,
        };
        let table = match table {
            Some(table) => table,
            None => self.load(collection).await?,
        };
        let identity = identity(&table).await;
        let index_dir = self.folder(collection)?.join(INDEX_DIR);
        let snapshot = Arc::new(DeltaSnapshot::new(table, Some(index_dir)).await?);
        let loaded = Loaded { snapshot: Arc::clone(&snapshot), identity };
        self.loaded.lock().insert(collection.to_owned(), loaded);
        Ok(snapshot)
    }

    /// Returns true if the log has the commit of this version and none of the next. The library would list and read the log
    /// to find out. It has to where old commits were cleaned away.
    fn is_newest(&self, collection: &str, version: Option<u64>) -> bool {
        let (Ok(folder), Some(version)) = (self.folder(collection), version) else { return false };
        let commit = |version: u64| folder.join(LOG_DIR).join(format!("{version:020}.json"));
        !commit(version + 1).exists() && commit(version).exists()
    }

    /// The URI of a table's bytes of record, whether or not there is one.
    ///
    /// # Errors
    /// `InvalidInput` for a name that no table can have.
    pub fn data_ref(&self, collection: &str) -> Result<String> {
        Ok(self.url(collection)?.to_string())
    }

    /// The lock that writers of a table share, within this process.
    fn lock(&self, collection: &str) -> Arc<RwLock<()>> {
        self.locks(collection).table
    }

    fn locks(&self, collection: &str) -> TableLocks {
        self.locks.lock().entry(collection.to_owned()).or_default().clone()
    }

    async fn load(&self, collection: &str) -> Result<DeltaTable> {
        let builder = DeltaTableBuilder::from_url(self.url(collection)?).map_err(from_delta)?;
        builder.load().await.map_err(|e| self.unreadable(collection, e))
    }

    /// The error of a log that cannot be read. Where neither the store nor a missing feature is to blame, its files are
    /// damaged.
    fn unreadable(&self, collection: &str, error: DeltaTableError) -> Error {
        let error = from_delta(error);
        match error.kind() {
            ErrorKind::NotFound => self.not_found(collection),
            ErrorKind::Internal | ErrorKind::InvalidInput | ErrorKind::Corrupt => {
                Error::corrupt("log of a Delta table is damaged")
                    .with("table", collection)
                    .with("log", self.root.join(collection).join(LOG_DIR).display())
                    .with("reason", &error)
                    .with("advice", "restore the files of the log, or drop the table")
                    .with_source(error)
            }
            _ => error,
        }
    }

    fn exists(&self, collection: &str) -> bool {
        self.folder(collection).is_ok_and(|folder| folder.join(LOG_DIR).is_dir())
    }

    fn not_found(&self, collection: &str) -> Error {
        Error::not_found("no such table").with("backend", &self.id).with("table", collection)
    }

    /// The folder of a collection: a checked name cannot leave the root.
    fn folder(&self, collection: &str) -> Result<PathBuf> {
        self.names.check(collection)?;
        Ok(self.root.join(collection))
    }

    fn url(&self, collection: &str) -> Result<Url> {
        let folder = self.folder(collection)?;
        check_path(&folder)?;
        Url::from_directory_path(&folder)
            .map_err(|()| Error::internal("data folder is not absolute").with("path", folder.display()))
    }
}

/// Checks that the Delta library finds the files below a folder. The library decodes percent codes twice, and takes some
/// characters of names for patterns.
fn check_path(folder: &Path) -> Result<()> {
    let path = folder.to_string_lossy();
    let has_code = path
        .match_indices('%')
        .any(|(at, _)| path.as_bytes().get(at + 1..at + 3).is_some_and(|code| code.iter().all(u8::is_ascii_hexdigit)));
    match has_code || path.contains(['[', ']', '*', '?']) {
        false => Ok(()),
        true => Err(Error::invalid_input("path of a Delta table")
            .with("expected", "none of [ ] * ? and no percent code")
            .with("got", path)),
    }
}

#[async_trait]
impl Backend for DeltaBackend {
    fn id(&self) -> &str {
        &self.id
    }

    async fn list(&self) -> Result<Vec<String>> {
        let unreadable =
            |e| Error::unavailable("data folder cannot be read").with("path", self.root.display()).with("reason", e);
        let mut names = Vec::new();
        let mut entries = tokio::fs::read_dir(&self.root).await.map_err(unreadable)?;
        while let Some(entry) = entries.next_entry().await.map_err(unreadable)? {
            names.extend(entry.file_name().into_string().ok().filter(|name| self.exists(name)));
        }
        names.sort_unstable();
        Ok(names)
    }

    async fn snapshot(&self, collection: &str) -> Result<Arc<dyn Snapshot>> {
        Ok(self.delta_snapshot(collection).await?)
    }

    async fn snapshot_as_of(&self, collection: &str, as_of: AsOf) -> Result<(u64, Arc<dyn Snapshot>)> {
        let newest = self.delta_snapshot(collection).await?;
        history::pin(&newest, as_of).await.map_err(|e| e.with("table", collection))
    }

    async fn history(&self, collection: &str) -> Result<Vec<Commit>> {
        let newest = self.delta_snapshot(collection).await?;
        history::history(&newest).await.map_err(|e| e.with("table", collection))
    }
}

/// Identity of a table, unlike that of a later table in the same folder: time and tag of its first commit, if that is kept.
async fn identity(table: &DeltaTable) -> Option<String> {
    let store: Arc<dyn ObjectStore> = table.log_store().object_store(None);
    let first = object_store::path::Path::from(format!("{LOG_DIR}/{:020}.json", 0));
    let meta = store.head(&first).await.ok()?;
    Some(format!("{:?} {}", meta.e_tag, meta.last_modified))
}
