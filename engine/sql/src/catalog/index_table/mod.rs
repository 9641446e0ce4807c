//! Indexes that are tables: `CREATE EXTERNAL TABLE name STORED AS RBPX LOCATION 'path'`, and what programs register.
//!
//! They are in `main` beside its tables: readers see [`WithIndexes`] as one backend. Index tables of files are kept in a file of
//! the data directory; those that programs register end with the engine. Code that creates tables asks here whether a name is
//! taken.

mod catalog;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use ruvector_rabitq::VectorIndex;
use ruvector_rulake::{AsOf, Backend, Commit, IndexBackend, Result, Snapshot};
use tokio::sync::Mutex;

use crate::catalog::owner::Owner;
use ruvector_udfs::names::MAIN;

use catalog::IndexTableCatalog;

/// The indexes that are tables of an engine.
#[derive(Debug)]
pub(crate) struct IndexTables {
    backend: Arc<IndexBackend>,
    declared: IndexTableCatalog,
    /// Held while one is made or dropped.
    changes: Mutex<()>,
}

impl IndexTables {
    /// Reads what was declared from the catalog of `owner`. The files themselves are read on use: one that is not there does
    /// not stop the engine.
    pub(crate) fn open(owner: &Arc<Owner>) -> Result<Self> {
        let declared = IndexTableCatalog::open(owner)?;
        let backend = Arc::new(IndexBackend::new(MAIN));
        for (name, path) in declared.list() {
            backend.add_file(&name, path)?;
        }
        Ok(Self { backend, declared, changes: Mutex::default() })
    }

    pub(crate) fn backend(&self) -> &Arc<IndexBackend> {
        &self.backend
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.backend.contains(name)
    }

    /// Makes an index of the program a table.
    pub(crate) async fn register(&self, name: &str, index: Box<dyn VectorIndex>) -> Result<()> {
        let _alone = self.changes.lock().await;
        self.backend.add(name, index)
    }

    /// Makes an index file a table, and keeps that.
    pub(crate) async fn declare(&self, name: &str, path: PathBuf, replace: bool) -> Result<()> {
        let _alone = self.changes.lock().await;
        if replace {
            self.backend.remove(name);
        }
        self.backend.add_file(name, path.clone())?;
        match self.declared.add(name, path) {
            Ok(()) => Ok(()),
            Err(e) => {
                self.backend.remove(name);
                Err(e)
            }
        }
    }

    /// Forgets a table. Its file is the user's, and stays.
    pub(crate) async fn forget(&self, name: &str) -> Result<()> {
        let _alone = self.changes.lock().await;
        self.declared.remove(name)?;
        self.backend.remove(name);
        Ok(())
    }
}

/// A backend, and the indexes that are tables of it.
#[derive(Debug)]
pub(crate) struct WithIndexes {
    tables: Arc<dyn Backend>,
    indexes: Arc<IndexBackend>,
}

impl WithIndexes {
    pub(crate) fn new(tables: Arc<dyn Backend>, indexes: Arc<IndexBackend>) -> Self {
        Self { tables, indexes }
    }
}

#[async_trait]
impl Backend for WithIndexes {
    fn id(&self) -> &str {
        self.tables.id()
    }

    async fn list(&self) -> Result<Vec<String>> {
        let mut names = self.tables.list().await?;
        names.extend(self.indexes.names());
        names.sort_unstable();
        Ok(names)
    }

    async fn snapshot(&self, collection: &str) -> Result<Arc<dyn Snapshot>> {
        match self.indexes.contains(collection) {
            true => self.indexes.snapshot(collection).await,
            false => self.tables.snapshot(collection).await,
        }
    }

    async fn snapshot_as_of(&self, collection: &str, as_of: AsOf) -> Result<(u64, Arc<dyn Snapshot>)> {
        match self.indexes.contains(collection) {
            true => self.indexes.snapshot_as_of(collection, as_of).await,
            false => self.tables.snapshot_as_of(collection, as_of).await,
        }
    }

    async fn history(&self, collection: &str) -> Result<Vec<Commit>> {
        match self.indexes.contains(collection) {
            true => self.indexes.history(collection).await,
            false => self.tables.history(collection).await,
        }
    }

    fn has_generations(&self) -> bool {
        self.tables.has_generations()
    }
}
