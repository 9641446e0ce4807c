//! The default backend `main`. Calls for an external table go to the table's own backend, all others to the Delta backend of the
//! data directory; a list has the names of both.

use std::sync::Arc;

use async_trait::async_trait;
use ruvector_rulake::{AsOf, Backend, Commit, DeltaBackend, Error, ErrorKind, Result, Snapshot};

use super::ExternalTables;
use super::table::{ExternalTable, Source};
use ruvector_udfs::names::MAIN;

/// The default backend as it is read: the Delta tables of the data directory, and the external tables.
#[derive(Debug)]
pub(crate) struct MainBackend {
    tables: Arc<DeltaBackend>,
    external: Arc<ExternalTables>,
}

impl MainBackend {
    pub(crate) fn new(tables: Arc<DeltaBackend>, external: Arc<ExternalTables>) -> Self {
        Self { tables, external }
    }
}

/// The collection that an external table is.
fn collection_of(table: &ExternalTable) -> Result<(&Arc<dyn Backend>, &str)> {
    match table.source()? {
        Source::Collection { backend, collection } => Ok((backend, collection)),
        Source::Files(_) => Err(table.not_searched()),
    }
}

#[async_trait]
impl Backend for MainBackend {
    fn id(&self) -> &str {
        MAIN
    }

    async fn list(&self) -> Result<Vec<String>> {
        let mut names = self.tables.list().await?;
        names.extend(self.external.names());
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    async fn snapshot(&self, collection: &str) -> Result<Arc<dyn Snapshot>> {
        match self.external.find(collection) {
            Some(table) => {
                let (backend, inner) = collection_of(&table)?;
                backend.snapshot(inner).await.map_err(|e| match e.kind() {
                    // The table is there: it is its files that are not.
                    ErrorKind::NotFound => Error::unavailable("files of an external table are not there")
                        .with("table", collection)
                        .with("reason", e),
                    _ => e,
                })
            }
            None => self.tables.snapshot(collection).await,
        }
    }

    async fn snapshot_as_of(&self, collection: &str, as_of: AsOf) -> Result<(u64, Arc<dyn Snapshot>)> {
        match self.external.find(collection) {
            Some(table) => {
                let (backend, inner) = collection_of(&table)?;
                backend.snapshot_as_of(inner, as_of).await
            }
            None => self.tables.snapshot_as_of(collection, as_of).await,
        }
    }

    async fn history(&self, collection: &str) -> Result<Vec<Commit>> {
        match self.external.find(collection) {
            Some(table) => {
                let (backend, inner) = collection_of(&table)?;
                backend.history(inner).await
            }
            None => self.tables.history(collection).await,
        }
    }
}
