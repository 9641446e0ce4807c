//! Backend of one Delta table in an object store. The table is only read; other programs write it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use deltalake::logstore::{StorageConfig, default_logstore};
use deltalake::{DeltaTable, DeltaTableError};
use object_store::prefix::PrefixStore;
use parking_lot::Mutex;
use url::Url;

use super::{DeltaSnapshot, history, identity};
use crate::backend::object_store::open_store;
use crate::contract::{AsOf, Backend, Commit, Snapshot};
use crate::error::{Error, ErrorKind, Result, from_delta};

/// One Delta table in an object store: a backend of one collection.
#[derive(Debug)]
pub struct RemoteDeltaBackend {
    id: String,
    collection: String,
    /// The table, of which nothing is read yet.
    unread: DeltaTable,
    index_dir: PathBuf,
    newest: Mutex<Option<Newest>>,
}

/// The newest state seen.
#[derive(Clone, Debug)]
struct Newest {
    snapshot: Arc<DeltaSnapshot>,
    identity: Option<String>,
}

impl RemoteDeltaBackend {
    /// The table at `url`, called `collection`. URLs and options are those of
    /// [`ObjectStoreBackend::from_url`](crate::ObjectStoreBackend::from_url); index files go into `index_dir`.
    ///
    /// # Errors
    /// `InvalidInput` for a URL or an option that cannot be used. Nothing is asked of the store yet.
    pub fn from_url(
        id: impl Into<String>,
        collection: impl Into<String>,
        url: &str,
        options: &BTreeMap<String, String>,
        index_dir: PathBuf,
    ) -> Result<Self> {
        let (id, collection) = (id.into(), collection.into());
        let (store, prefix) = open_store(&id, url, options)?;
        // It was parsed a moment ago.
        let mut url = Url::parse(url).map_err(|e| Error::invalid_input("URL of a table").with("reason", e))?;
        // The library takes the path for that in the store; in some kinds of URLs the container is a part of it.
        url.set_path(&format!("/{prefix}/"));
        let table_store = Arc::new(PrefixStore::new(Arc::clone(&store), prefix));
        let log_store = default_logstore(table_store, store, &url, &StorageConfig::default());
        let unread = DeltaTable::new(log_store);
        Ok(Self { id, collection, unread, index_dir, newest: Mutex::default() })
    }

    async fn newest(&self, collection: &str) -> Result<Arc<DeltaSnapshot>> {
        if collection != self.collection {
            return Err(self.not_found(collection));
        }
        let known = self.newest.lock().clone();
        let table = match known {
            // A table that was removed and made again has other commits under the same numbers.
            Some(known) if known.identity == identity(known.snapshot.table()).await => {
                let mut table = known.snapshot.table().clone();
                match table.update_state().await {
                    Ok(()) if table.version() == known.snapshot.table().version() => return Ok(known.snapshot),
                    Ok(()) => table,
                    Err(DeltaTableError::VersionDowngrade { .. }) => self.load().await?,
                    Err(e) => return Err(self.unreadable(e)),
                }
            }
            _ => self.load().await?,
        };
        let identity = identity(&table).await;
        let snapshot = Arc::new(DeltaSnapshot::new(table, Some(self.index_dir.clone())).await?);
        *self.newest.lock() = Some(Newest { snapshot: Arc::clone(&snapshot), identity });
        Ok(snapshot)
    }

    async fn load(&self) -> Result<DeltaTable> {
        let mut table = self.unread.clone();
        table.load().await.map_err(|e| self.unreadable(e))?;
        Ok(table)
    }

    fn unreadable(&self, error: DeltaTableError) -> Error {
        let error = from_delta(error);
        match error.kind() {
            ErrorKind::NotFound => self.not_found(&self.collection).with("expected", "a folder with a Delta log"),
            // The library passes on the text of an error of the store, but not always its kind.
            ErrorKind::Internal => Error::unavailable("Delta table cannot be read").with("reason", error),
            _ => error,
        }
    }

    fn not_found(&self, collection: &str) -> Error {
        Error::not_found("no such Delta table").with("backend", &self.id).with("table", collection)
    }
}

#[async_trait]
impl Backend for RemoteDeltaBackend {
    fn id(&self) -> &str {
        &self.id
    }

    async fn list(&self) -> Result<Vec<String>> {
        Ok(vec![self.collection.clone()])
    }

    async fn snapshot(&self, collection: &str) -> Result<Arc<dyn Snapshot>> {
        Ok(self.newest(collection).await?)
    }

    async fn snapshot_as_of(&self, collection: &str, as_of: AsOf) -> Result<(u64, Arc<dyn Snapshot>)> {
        let newest = self.newest(collection).await?;
        history::pin(&newest, as_of).await.map_err(|e| e.with("table", collection))
    }

    async fn history(&self, collection: &str) -> Result<Vec<Commit>> {
        let newest = self.newest(collection).await?;
        history::history(&newest).await.map_err(|e| e.with("table", collection))
    }
}
