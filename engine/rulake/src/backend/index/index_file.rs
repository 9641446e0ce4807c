//! Index file of the user as a collection: a path goes in, the newest state of the file comes out as a snapshot.
//! The index is loaded again only after the file was replaced.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use tokio::sync::Mutex;

use super::snapshot::IndexSnapshot;
use crate::blocking::run_blocking;
use crate::error::{Error, Result};
use crate::witness::Generation;

/// An index in a file of the user's own.
#[derive(Debug)]
pub(super) struct IndexFile {
    path: PathBuf,
    /// The state that was read last. The lock is held during a read, so that concurrent first callers read the file once.
    read: Mutex<Option<Arc<IndexSnapshot>>>,
}

impl IndexFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, read: Mutex::default() }
    }

    /// The index as the file has it now.
    pub(super) async fn newest(&self) -> Result<Arc<IndexSnapshot>> {
        let mut read = self.read.lock().await;
        let generation = self.generation().await?;
        if let Some(known) = read.as_ref().filter(|known| known.is_of(&generation)) {
            return Ok(Arc::clone(known));
        }
        let path = self.path.clone();
        let load = move || {
            // Into memory, not mapped: another process may overwrite or truncate the file at any time.
            let index = ruvector_rabitq::load_any(&path)?;
            IndexSnapshot::in_file(&path, generation, index).map_err(|e| e.with("path", path.display()))
        };
        let loaded = run_blocking("index reader", load).await?;
        Ok(Arc::clone(read.insert(Arc::new(loaded))))
    }

    /// A token of the file as it is: another file in its place has another number, length or time.
    async fn generation(&self) -> Result<Generation> {
        let unreadable = |e: std::io::Error| {
            Error::unavailable("index file of the table cannot be opened")
                .with("path", self.path.display())
                .with("reason", e)
        };
        let metadata = tokio::fs::metadata(&self.path).await.map_err(unreadable)?;
        let modified = metadata.modified().map_err(unreadable)?;
        let since = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
        #[cfg(unix)]
        let number = std::os::unix::fs::MetadataExt::ino(&metadata);
        #[cfg(not(unix))]
        let number = 0;
        Ok(Generation::Opaque(format!("{number}.{}@{}", metadata.len(), since.as_nanos())))
    }
}
