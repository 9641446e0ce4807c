//! Locks of the index files beside collections, and the set of those files that are wanted.
//!
//! Each file has a lock, which is held while the file is written or removed. The set is asked under the lock. A
//! caller first takes a file out of the set and then removes it, which waits for a write that has begun. No later write
//! begins, so no file is left.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;

use super::{Cache, CollectionKey, file};
use crate::contract::Snapshot;
use crate::error::{Error, Result};
use crate::index_spec::IndexSpec;

/// Predicate over a collection and a specification: true if the index file is wanted.
type IsWanted = dyn Fn(&CollectionKey, &IndexSpec) -> bool + Send + Sync;

/// The set of wanted index files: those that a predicate accepts, or all files if there is no predicate.
#[derive(Clone, Default)]
pub(crate) struct WantedFiles(Option<Arc<IsWanted>>);

impl WantedFiles {
    pub(crate) fn by(is_wanted: impl Fn(&CollectionKey, &IndexSpec) -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(is_wanted)))
    }

    pub(super) fn contains(&self, collection: &CollectionKey, spec: &IndexSpec) -> bool {
        self.0.as_ref().is_none_or(|is_wanted| is_wanted(collection, spec))
    }
}

impl fmt::Debug for WantedFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "some" } else { "all" })
    }
}

/// The locks of index files that are being written or removed.
#[derive(Debug, Default)]
pub(super) struct FileLocks(Mutex<HashMap<PathBuf, Weak<tokio::sync::Mutex<()>>>>);

impl FileLocks {
    /// Waits for the lock of a file. The other files are not affected.
    pub(super) async fn lock(&self, path: &Path) -> OwnedMutexGuard<()> {
        let lock = {
            let mut locks = self.0.lock();
            locks.retain(|_, lock| lock.strong_count() > 0);
            locks.get(path).and_then(Weak::upgrade).unwrap_or_else(|| {
                let lock = Arc::default();
                locks.insert(path.to_owned(), Arc::downgrade(&lock));
                lock
            })
        };
        lock.lock_owned().await
    }
}

impl Cache {
    /// Removes the index file of a specification, if there is one. Waits for a write of the file that has begun.
    pub(crate) async fn remove_file(&self, snapshot: &dyn Snapshot, spec: &IndexSpec) -> Result<()> {
        let Some(path) = file::path(snapshot, spec) else { return Ok(()) };
        let _alone = self.locks.lock(&path).await;
        match tokio::fs::remove_file(&path).await {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io("index file cannot be removed", e).with("path", path.display()))
            }
            _ => Ok(()),
        }
    }
}
