//! Backend of Parquet files in a local folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use object_store::local::LocalFileSystem;
use url::Url;

use super::object_store::ObjectStoreBackend;
use crate::contract::{Backend, Snapshot};
use crate::error::{Error, Result};

/// Parquet files below one local folder. It only reads them; other programs write them.
///
/// A collection is a sub-folder with `.parquet` files, also in folders of its own (`lang=en/...` makes `lang` a column),
/// or one file `name.parquet`. Names that start with `_` or `.` are passed over. The generation is a digest of the names,
/// sizes and times of its files.
#[derive(Debug)]
pub struct FsBackend(ObjectStoreBackend);

impl FsBackend {
    /// The collections in the folder `root`.
    ///
    /// # Errors
    /// `InvalidInput` if `root` is not a folder that can be read.
    pub fn open(id: impl Into<String>, root: &Path) -> Result<Self> {
        let refused = |reason: String| {
            Error::invalid_input("folder cannot be used").with("path", root.display()).with("reason", reason)
        };
        let root = root.canonicalize().map_err(|e| refused(e.to_string()))?;
        let store = LocalFileSystem::new_with_prefix(&root).map_err(|e| refused(e.to_string()))?;
        let url = Url::from_directory_path(&root).map_err(|()| refused("it is not absolute".to_owned()))?;
        Ok(Self(ObjectStoreBackend::new(id, Arc::new(store), url, "").with_index_root(root)))
    }

    /// Accepts every name of a folder or file as the name of a collection.
    #[must_use]
    pub fn with_any_names(self) -> Self {
        Self(self.0.with_any_names())
    }

    /// Sets the folder of index files, instead of one beside the files.
    #[must_use]
    pub fn with_index_root(self, folder: PathBuf) -> Self {
        Self(self.0.with_index_root(folder))
    }
}

#[async_trait]
impl Backend for FsBackend {
    fn id(&self) -> &str {
        self.0.id()
    }

    async fn list(&self) -> Result<Vec<String>> {
        self.0.list().await
    }

    async fn snapshot(&self, collection: &str) -> Result<Arc<dyn Snapshot>> {
        self.0.snapshot(collection).await
    }
}
