//! Backends as schemas, collections as tables.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, SchemaProvider, TableProvider};
use datafusion::common::Result;
use ruvector_rulake::error::to_datafusion;
use ruvector_rulake::{Backend, Error, ErrorKind, RuLake};

use crate::collection::{AbsentTable, CollectionTable};
use crate::index::IndexCatalog;
use crate::wishes::Wishes;

/// The name of the one catalog.
pub(crate) const CATALOG: &str = "ruvector";
/// The schema of the default backend: Delta tables in the data directory.
pub(crate) const MAIN: &str = "main";

/// The backends of an engine.
#[derive(Debug)]
pub(crate) struct Backends {
    lake: Arc<RuLake>,
    indexes: Arc<IndexCatalog>,
}

impl Backends {
    pub(crate) fn new(lake: Arc<RuLake>, indexes: Arc<IndexCatalog>) -> Self {
        Self { lake, indexes }
    }
}

impl CatalogProvider for Backends {
    fn schema_names(&self) -> Vec<String> {
        self.lake.backends().iter().map(|backend| backend.id().to_owned()).collect()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        let backend = self.lake.backend(name).ok()?;
        Some(Arc::new(BackendSchema { backend, lake: Arc::clone(&self.lake), indexes: Arc::clone(&self.indexes) }))
    }
}

/// One backend as a schema.
#[derive(Debug)]
struct BackendSchema {
    backend: Arc<dyn Backend>,
    lake: Arc<RuLake>,
    indexes: Arc<IndexCatalog>,
}

#[async_trait]
impl SchemaProvider for BackendSchema {
    fn table_names(&self) -> Vec<String> {
        // The trait is synchronous; listing is not. Backends answer from a folder or from memory, at once.
        let list = self.backend.list();
        let names = match tokio::runtime::Handle::try_current() {
            Ok(runtime) if runtime.runtime_flavor() == tokio::runtime::RuntimeFlavor::MultiThread => {
                tokio::task::block_in_place(|| runtime.block_on(list))
            }
            _ => futures::executor::block_on(list),
        };
        names.unwrap_or_else(|e| {
            tracing::warn!(backend = self.backend.id(), reason = %e, "collections cannot be listed");
            Vec::new()
        })
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let wish = Wishes::of(self.backend.id(), name);
        let pin = self.lake.pin(self.backend.id(), name, wish.as_ref().and_then(|wish| wish.consistency));
        let pinned = match wish.as_ref().and_then(|wish| wish.timeout) {
            None => pin.await,
            Some(limit) => tokio::time::timeout(limit, pin).await.unwrap_or_else(|_| {
                Err(Error::unavailable("backend did not answer in time")
                    .with("backend", self.backend.id())
                    .with("milliseconds at most", limit.as_millis()))
            }),
        };
        let pinned = match pinned {
            Ok(pinned) => pinned,
            Err(e) if wish.is_some_and(|wish| wish.partial) => {
                tracing::warn!(backend = self.backend.id(), reason = %e, "left out of a federated answer");
                return Ok(Some(Arc::new(AbsentTable)));
            }
            // A name that no collection can have is as absent as one that none has.
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::InvalidInput) => return Ok(None),
            Err(e) => return Err(to_datafusion(e)),
        };
        let indexes = self.indexes.of_table(self.backend.id(), name);
        Ok(Some(Arc::new(CollectionTable::new(pinned, Arc::clone(&self.lake), indexes))))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.table_names().iter().any(|known| known == name)
    }
}
