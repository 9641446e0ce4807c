//! Backends as schemas, collections as tables.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, SchemaProvider, TableProvider};
use datafusion::common::Result;
use datafusion::logical_expr::TableType;
use parking_lot::RwLock;
use ruvector_rulake::error::to_datafusion;
use ruvector_rulake::{Backend, ErrorKind, LocalBackend, RuLake};

use crate::backend::BackendDefinition;
use crate::collection::CollectionTable;
use crate::index::IndexCatalog;
use crate::system::{BackendsTable, SYSTEM, SystemSchema};

/// The name of the one catalog.
pub(crate) const CATALOG: &str = "ruvector";
/// The schema of the default backend: Delta tables in the data directory.
pub(crate) const MAIN: &str = "main";

/// A backend, and how it was made.
#[derive(Clone, Debug)]
pub(crate) struct Registered {
    pub(crate) backend: Arc<dyn Backend>,
    /// What is known of it; `None` if a program added it.
    pub(crate) definition: Option<BackendDefinition>,
    /// The same backend, if SQL made it to be filled by the program.
    pub(crate) memory: Option<Arc<LocalBackend>>,
}

impl Registered {
    pub(crate) fn new(backend: Arc<dyn Backend>, definition: Option<BackendDefinition>) -> Self {
        Self { backend, definition, memory: None }
    }
}

/// The backends of an engine, by name.
#[derive(Debug, Default)]
pub(crate) struct Backends(RwLock<BTreeMap<String, Registered>>);

impl Backends {
    /// Adds a backend, or replaces the one of that name.
    pub(crate) fn add(&self, registered: Registered) {
        self.0.write().insert(registered.backend.id().to_owned(), registered);
    }

    pub(crate) fn remove(&self, name: &str) {
        self.0.write().remove(name);
    }

    pub(crate) fn find(&self, name: &str) -> Option<Registered> {
        self.0.read().get(name).cloned()
    }

    /// All of them, sorted by name.
    pub(crate) fn list(&self) -> Vec<Registered> {
        self.0.read().values().cloned().collect()
    }
}

/// The one catalog: a schema for each backend, and `system`.
#[derive(Debug)]
pub(crate) struct Catalog {
    lake: Arc<RuLake>,
    indexes: Arc<IndexCatalog>,
    backends: Arc<Backends>,
    system: Arc<SystemSchema>,
}

impl Catalog {
    pub(crate) fn new(lake: Arc<RuLake>, indexes: Arc<IndexCatalog>, backends: Arc<Backends>) -> Self {
        let system = SystemSchema::new(vec![Arc::new(BackendsTable::new(Arc::clone(&backends)))]);
        Self { lake, indexes, backends, system: Arc::new(system) }
    }
}

impl CatalogProvider for Catalog {
    fn schema_names(&self) -> Vec<String> {
        let backends = self.backends.list().into_iter().map(|registered| registered.backend.id().to_owned());
        backends.chain([SYSTEM.to_owned()]).collect()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        if name == SYSTEM {
            return Some(Arc::clone(&self.system) as _);
        }
        let backend = self.backends.find(name)?.backend;
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
        // The trait is synchronous; listing is not. Backends answer within seconds, or fail.
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
        let snapshot = match self.backend.snapshot(name).await {
            Ok(snapshot) => snapshot,
            // A name that no collection can have is as absent as one that none has.
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::InvalidInput) => return Ok(None),
            Err(e) => return Err(to_datafusion(e)),
        };
        let indexes = self.indexes.of_table(self.backend.id(), name);
        Ok(Some(Arc::new(CollectionTable::new(self.backend.id(), name, snapshot, Arc::clone(&self.lake), indexes))))
    }

    async fn table_type(&self, _name: &str) -> Result<Option<TableType>> {
        // Asked of the names above, one by one: pinning each would read the footers of all files of a lake.
        Ok(Some(TableType::Base))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.table_names().iter().any(|known| known == name)
    }
}
