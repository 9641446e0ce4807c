//! The state of one engine: its catalogs, its backends, the lake and the statements that run.
//!
//! Statements, table functions and the session's parts take it. It opens nothing and runs nothing.

use std::sync::Arc;
use std::time::Duration;

use datafusion::catalog::{CatalogProvider, CatalogProviderList};
use datafusion::common::TableReference;
use datafusion::execution::runtime_env::RuntimeEnv;
use ruvector_rulake::{Backend, DeltaBackend, RuLake};
use tempfile::TempDir;
use tokio::sync::Mutex;

use crate::catalog::Backends;
use crate::catalog::backend::BackendCatalog;
use crate::catalog::index::IndexCatalog;
use crate::catalog::index::builds::Builds;
use crate::catalog::main_schema::MainSchema;
use crate::catalog::owner::Owner;
use crate::running::registry::RunningStatements;
use crate::running::uploads::Uploads;
use crate::text::time_travel::MARK;
use ruvector_udfs::error::{Error, ErrorKind, Result};
use ruvector_udfs::names::{CATALOG, MAIN};
use ruvector_udfs::scalar::embed;

/// The parts that statements of an engine share.
pub(crate) struct EngineState {
    pub(crate) main_schema: Arc<MainSchema>,
    pub(crate) backends: Arc<Backends>,
    pub(crate) declared: BackendCatalog,
    /// Held while a backend is made or dropped by SQL.
    pub(crate) backend_changes: Mutex<()>,
    pub(crate) catalogs: Arc<dyn CatalogProviderList>,
    pub(crate) catalog: Arc<dyn CatalogProvider>,
    pub(crate) indexes: Arc<IndexCatalog>,
    pub(crate) builds: Arc<Builds>,
    pub(crate) lake: Arc<RuLake>,
    pub(crate) models: Arc<embed::Models>,
    pub(crate) runtime: Arc<RuntimeEnv>,
    pub(crate) statements: RunningStatements,
    pub(crate) uploads: Uploads,
    pub(crate) statement_time_max: Option<Duration>,
    /// Held for its `Drop`: others may open the folder once no catalog is written any more.
    pub(crate) _owner: Arc<Owner>,
    /// Held for its `Drop`: an engine without a data directory takes its tables with it.
    pub(crate) _temporary: Option<TempDir>,
}

impl EngineState {
    /// The tables of `main`.
    pub(crate) fn main_schema(&self) -> &MainSchema {
        &self.main_schema
    }

    /// The Delta tables of `main`.
    pub(crate) fn main(&self) -> &DeltaBackend {
        self.main_schema.delta()
    }

    pub(crate) fn uploads(&self) -> &Uploads {
        &self.uploads
    }

    pub(crate) fn backends(&self) -> &Backends {
        &self.backends
    }

    pub(crate) fn declared(&self) -> &BackendCatalog {
        &self.declared
    }

    pub(crate) fn backend_changes(&self) -> &Mutex<()> {
        &self.backend_changes
    }

    pub(crate) fn indexes(&self) -> &IndexCatalog {
        &self.indexes
    }

    pub(crate) fn shared_indexes(&self) -> Arc<IndexCatalog> {
        Arc::clone(&self.indexes)
    }

    pub(crate) fn builds(&self) -> &Builds {
        &self.builds
    }

    /// The lake that answers.
    pub(crate) fn lake(&self) -> &RuLake {
        &self.lake
    }

    pub(crate) fn shared_lake(&self) -> Arc<RuLake> {
        Arc::clone(&self.lake)
    }

    pub(crate) fn models(&self) -> &Arc<embed::Models> {
        &self.models
    }

    /// The backends as schemas.
    pub(crate) fn catalog(&self) -> Arc<dyn CatalogProvider> {
        Arc::clone(&self.catalog)
    }

    /// The name of the table in `main` that a reference to be written means.
    pub(crate) fn main_table(&self, reference: &TableReference) -> Result<String> {
        let table = self.main_name(reference)?;
        self.main_schema.check_writable(&table)?;
        Ok(table)
    }

    /// The name in `main` that a reference means.
    pub(crate) fn main_name(&self, reference: &TableReference) -> Result<String> {
        let (catalog, schema) = (reference.catalog().unwrap_or(CATALOG), reference.schema().unwrap_or(MAIN));
        if catalog != CATALOG || schema != MAIN {
            let message = format!("tables of {catalog}.{schema} cannot be changed by SQL: expected {CATALOG}.{MAIN}");
            return Err(Error::not_supported(message));
        }
        if reference.table().contains(MARK) {
            let message =
                format!("older states of a table cannot be changed: expected its name, got {}", reference.table());
            return Err(Error::not_supported(message));
        }
        Ok(reference.table().to_owned())
    }

    /// The backend and the name of the table that a reference means.
    pub(crate) fn backend_table(&self, reference: &TableReference) -> Result<(Arc<dyn Backend>, String)> {
        let (catalog, schema) = (reference.catalog().unwrap_or(CATALOG), reference.schema().unwrap_or(MAIN));
        match self.backends.find(schema).filter(|_| catalog == CATALOG) {
            Some(registered) => Ok((registered.backend, reference.table().to_owned())),
            None => Err(Error::new(ErrorKind::NotFound, format!("no such backend: {catalog}.{schema}"))),
        }
    }
}
