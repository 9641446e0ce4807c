//! Opening of an engine: the owner's lock, the catalogs, what a killed process left half done, and the parts that statements share.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use datafusion::catalog::{CatalogProvider, CatalogProviderList, MemoryCatalogProviderList};
use datafusion::execution::TaskContext;
use ruvector_rulake::{DeltaBackend, RuLake};
use tokio::sync::Mutex;

use crate::catalog::backend::{self, BackendCatalog, BackendDefinition, BackendKind};
use crate::catalog::index::IndexCatalog;
use crate::catalog::index::builds::{Awaited, Builds};
use crate::catalog::index::retire::discard_undeclared;
use crate::catalog::main_schema::MainSchema;
use crate::catalog::owner::Owner;
use crate::catalog::{Backends, Catalog, Registered};
use crate::engine::runtime::runtime;
use crate::engine::{Engine, patched};
use crate::running::registry::RunningStatements;
use crate::running::turns;
use crate::running::uploads::Uploads;
use crate::state::EngineState;
use crate::system::{BackendsTable, BundlesTable, CacheTable, IndexesTable, QueriesTable, SystemSchema};
use ruvector_udfs::error::{Error, ErrorKind, Result};
use ruvector_udfs::names::{CATALOG, MAIN};
use ruvector_udfs::scalar::embed;

/// Configuration of an [`Engine`].
#[derive(Clone, Debug, Default)]
pub struct EngineConfig {
    /// Folder of the default backend `main`. `None` keeps tables in a temporary folder that goes with the engine.
    pub data_dir: Option<PathBuf>,
    /// Options by which `embed()` finds its model and its runtime.
    pub embed: ruvector_embed::EmbedderOptions,
    /// Time that a statement may take, at most. A session's `ruvector.statement_timeout_ms` can only shorten it. `None` is no
    /// limit.
    pub statement_time_max: Option<Duration>,
    /// Memory that all statements share for what they hold of rows (sorts, joins, aggregates), in bytes: one that needs more
    /// goes on with files in `spill_dir`, or fails if it cannot. `None` is no limit. Vectors and indexes in memory are the
    /// cache's, and not counted here.
    pub memory_bytes_max: Option<usize>,
    /// Folder of the files that take what does not fit into memory; `None` is the system's folder for temporary files.
    pub spill_dir: Option<PathBuf>,
}

impl Engine {
    /// Opens the engine.
    ///
    /// # Errors
    /// `InvalidInput` if `data_dir` cannot be made or is not a folder; `Unavailable` if another engine has it open; `Corrupt`
    /// if the catalog of indexes or backends is damaged; `NotSupported` if the program lacks ruvector's patches of other
    /// crates. A backend that cannot be opened is no error: its tables are unavailable until it can.
    pub async fn open(config: EngineConfig) -> Result<Arc<Self>> {
        patched::check()?;
        turns::install();
        let (data_dir, temporary) = match config.data_dir {
            Some(data_dir) => (data_dir, None),
            None => {
                let temporary = tempfile::tempdir()
                    .map_err(|e| Error::new(ErrorKind::Unavailable, format!("no temporary folder can be made: {e}")))?;
                (temporary.path().to_owned(), Some(temporary))
            }
        };
        let main = DeltaBackend::open(MAIN, &data_dir)?;
        let owner = Owner::claim(&data_dir).await?;
        let runtime = runtime(config.memory_bytes_max, config.spill_dir)?;
        let statements = RunningStatements::default();
        let main_schema = Arc::new(MainSchema::open(main, &owner, Arc::clone(&runtime))?);
        let indexes = Arc::new(IndexCatalog::open(&owner)?);
        let declared = BackendCatalog::open(&owner)?;
        if owner.may_write() {
            owner.remove_temporary_files();
            main_schema.recover(&indexes);
            owner.remove_unsaved_index_files();
            let finished = backend::finish_drops(&declared, &indexes)
                .and_then(|()| main_schema.forget_indexes_of_dropped(&indexes));
            if let Err(e) = finished {
                tracing::warn!(reason = %e, "a drop that was cut short is not completed; the next start tries again");
            }
        }
        let awaited = Awaited::default();
        let (wanted_by, declared_indexes) = (awaited.clone(), Arc::clone(&indexes));
        let lake = RuLake::builder()
            .index_files(move |collection, spec| wanted_by.want_file(&declared_indexes, collection, spec))
            .build();
        let lake = Arc::new(lake);
        let backends = Arc::new(Backends::new(Arc::clone(&lake)));
        backend::reopen(&declared).into_iter().try_for_each(|registered| backends.add(registered))?;
        backends.add(Registered::new(Arc::clone(&main_schema) as _, Some(main_definition(&data_dir))))?;
        let builds = Arc::new(Builds::new(Arc::clone(&lake), Arc::clone(&indexes), awaited));
        builds.resume(&Arc::new(TaskContext::default().with_runtime(Arc::clone(&runtime))));
        if owner.may_write() {
            discard_undeclared(&lake, &indexes);
        }
        let system = SystemSchema::new(vec![
            Arc::new(BackendsTable::new(Arc::clone(&backends))),
            Arc::new(BundlesTable::new(Arc::clone(&lake))),
            Arc::new(CacheTable::new(Arc::clone(&lake))),
            Arc::new(IndexesTable::new(
                Arc::clone(&lake),
                Arc::clone(&builds),
                Arc::clone(&indexes),
                Arc::clone(main_schema.index_tables().backend()),
            )),
            Arc::new(QueriesTable::new(statements.clone())),
        ]);
        let catalog: Arc<dyn CatalogProvider> = Arc::new(Catalog::new(
            Arc::clone(&lake),
            Arc::clone(&indexes),
            Arc::clone(&backends),
            Arc::clone(&main_schema),
            Arc::new(system),
        ));
        let catalogs = Arc::new(MemoryCatalogProviderList::new());
        catalogs.register_catalog(CATALOG.to_owned(), Arc::clone(&catalog));
        let state = EngineState {
            main_schema,
            backends,
            declared,
            backend_changes: Mutex::default(),
            catalogs,
            catalog,
            indexes,
            builds,
            lake,
            models: Arc::new(embed::Models::new(config.embed)),
            runtime,
            statements,
            uploads: Uploads::default(),
            statement_time_max: config.statement_time_max,
            _owner: owner,
            _temporary: temporary,
        };
        Ok(Arc::new(Self { state }))
    }
}

/// Definition of the default backend, for `system.backends`.
fn main_definition(data_dir: &Path) -> BackendDefinition {
    // It was made a moment ago; a path that cannot be resolved is shown as it was given.
    let path = data_dir.canonicalize().unwrap_or_else(|_| data_dir.to_owned());
    let options = [("path".to_owned(), path.display().to_string())].into();
    BackendDefinition { name: MAIN.to_owned(), kind: BackendKind::Delta, options, consistency: None, ttl_ms: None }
}
