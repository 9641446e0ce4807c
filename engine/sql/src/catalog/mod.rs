//! Backends as schemas, collections as tables.

pub(crate) mod backend;
pub(crate) mod external;
pub(crate) mod index;
pub(crate) mod index_table;
pub(crate) mod main_schema;
pub(crate) mod owner;
pub(crate) mod stored;

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, SchemaProvider, TableProvider};
use datafusion::common::Result;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::TableType;
use ruvector_rulake::contract::is_name;
use ruvector_rulake::error::to_datafusion;
use ruvector_rulake::{AsOf, Backend, Error, ErrorKind, RuLake};

use crate::catalog::external::Source;
use crate::catalog::index::IndexCatalog;
use crate::catalog::main_schema::MainSchema;
use crate::text::time_travel::split_name;
use ruvector_udfs::collection::{AbsentTable, CollectionTable};
use ruvector_udfs::declared_index::DeclaredIndex;
use ruvector_udfs::lookup::LookupOptions;
use ruvector_udfs::names::MAIN;

pub(crate) use backend::{Backends, Registered};

/// Name of the schema that has the insides of the engine as tables.
pub(crate) const SYSTEM: &str = "system";

/// The one catalog: a schema for each backend, and `system`.
#[derive(Debug)]
pub(crate) struct Catalog {
    lake: Arc<RuLake>,
    indexes: Arc<IndexCatalog>,
    backends: Arc<Backends>,
    main: Arc<MainSchema>,
    system: Arc<dyn SchemaProvider>,
}

impl Catalog {
    pub(crate) fn new(
        lake: Arc<RuLake>,
        indexes: Arc<IndexCatalog>,
        backends: Arc<Backends>,
        main: Arc<MainSchema>,
        system: Arc<dyn SchemaProvider>,
    ) -> Self {
        Self { lake, indexes, backends, main, system }
    }
}

impl CatalogProvider for Catalog {
    fn schema_names(&self) -> Vec<String> {
        let backends = self.backends.list().into_iter().map(|registered| registered.backend.id().to_owned());
        backends.chain([SYSTEM.to_owned()]).collect()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        if name == SYSTEM {
            return Some(Arc::clone(&self.system));
        }
        let backend = self.backends.find(name)?.backend;
        let main = (name == MAIN).then(|| Arc::clone(&self.main));
        let (lake, indexes) = (Arc::clone(&self.lake), Arc::clone(&self.indexes));
        Some(Arc::new(BackendSchema { backend, main, lake, indexes }))
    }
}

/// One backend as a schema.
#[derive(Debug)]
struct BackendSchema {
    backend: Arc<dyn Backend>,
    /// The schema `main`, if it is this one: some of its tables are no collections.
    main: Option<Arc<MainSchema>>,
    lake: Arc<RuLake>,
    indexes: Arc<IndexCatalog>,
}

impl BackendSchema {
    async fn external_table(&self, name: &str) -> Option<Result<Arc<dyn TableProvider>>> {
        let table = self.main.as_ref()?.external().find(name)?;
        match table.source() {
            Ok(Source::Files(files)) => Some(files.provider().await),
            Ok(Source::Collection { .. }) => None,
            Err(e) => Some(Err(to_datafusion(e))),
        }
    }

    /// A state that a table had. Indexes are over the newest state: a search of another one is exact.
    async fn table_as_of(&self, table: &str, as_of: AsOf) -> Result<Option<Arc<dyn TableProvider>>> {
        match self.backend.snapshot(table).await {
            Ok(_) => {}
            Err(e) if e.kind() == ErrorKind::NotFound || !is_name(table) => return Ok(None),
            Err(e) => return Err(to_datafusion(e)),
        }
        let pinned = self.lake.pin_as_of(self.backend.id(), table, as_of).await.map_err(to_datafusion)?;
        Ok(Some(Arc::new(CollectionTable::new(pinned, Arc::clone(&self.lake), Vec::new()))))
    }
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
        let found = self.find(name).await;
        let is_external = || self.main.as_ref().is_some_and(|main| main.external().find(name).is_some());
        match found {
            // What is said of all tables is said without those that cannot be reached.
            Err(e) if !LookupOptions::is_planning() && is_external() => {
                tracing::warn!(table = name, reason = %e, "external table cannot be read");
                Ok(None)
            }
            found => found,
        }
    }

    async fn table_type(&self, _name: &str) -> Result<Option<TableType>> {
        // Asked of the names above, one by one: pinning each would read the footers of all files of a lake.
        Ok(Some(TableType::Base))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.table_names().iter().any(|known| known == name)
    }
}

impl BackendSchema {
    async fn find(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        if let Some(found) = LookupOptions::take_prefetched(self.backend.id(), name) {
            return found;
        }
        if let Some((table, as_of)) = split_name(name).map_err(|e| DataFusionError::Plan(e.to_string()))? {
            return self.table_as_of(table, as_of).await;
        }
        if let Some(table) = self.external_table(name).await {
            return table.map(Some);
        }
        let wish = LookupOptions::of(self.backend.id(), name);
        if LookupOptions::force_refresh() {
            self.lake.unpin(self.backend.id(), name).map_err(to_datafusion)?;
        }
        let consistency = LookupOptions::consistency_of(self.backend.id(), name);
        let pin = self.lake.pin(self.backend.id(), name, consistency);
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
            Err(e) if e.kind() == ErrorKind::NotFound || !is_name(name) => return Ok(None),
            Err(e) => return Err(to_datafusion(e)),
        };
        let mut indexes = self.indexes.of_table(self.backend.id(), name);
        if let Some(own) = pinned.snapshot().index() {
            indexes.insert(0, DeclaredIndex::of_table(&pinned, own));
        }
        Ok(Some(Arc::new(CollectionTable::new(pinned, Arc::clone(&self.lake), indexes))))
    }
}
