//! The front door: opens an engine, hands out sessions, and runs their statements (`run`) and ingests (`ingest`).

pub(crate) mod ingest;
pub(crate) mod open;
pub(crate) mod register;

mod patched;
mod run;
mod runtime;
mod suggest;

use std::fmt;
use std::sync::Arc;

use datafusion::execution::SessionStateBuilder;
use datafusion::execution::memory_pool::MemoryLimit;
use datafusion::prelude::SessionContext;
use ruvector_rabitq::VectorIndex;
use ruvector_rulake::{Backend, LocalBackend, RuLake};

use crate::catalog::Registered;
use crate::catalog::backend::BackendDefinition;
use crate::engine::register::configure_session;
use crate::running::statement::Principal;
use crate::session::{Session, default_settings};
use crate::state::EngineState;
use crate::statements::create_index_table;
use ruvector_udfs::declared_index::IndexDefinition;
use ruvector_udfs::error::Result;
use ruvector_udfs::role::Role;

/// The SQL engine over one data directory. Cheap to share; safe from many threads.
pub struct Engine {
    state: EngineState,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("main", self.state.main()).finish_non_exhaustive()
    }
}

impl Engine {
    /// Makes a backend's collections visible as the tables of the schema that its id names, read-only.
    ///
    /// # Errors
    /// `AlreadyExists` if there is a schema of that name.
    pub fn add_backend(&self, backend: Arc<dyn Backend>) -> Result<()> {
        self.state.backends.add(Registered::new(backend, None))
    }

    /// The indexes that `CREATE INDEX` declared.
    pub fn declared_indexes(&self) -> Vec<IndexDefinition> {
        self.state.indexes.list().iter().map(|index| index.definition().clone()).collect()
    }

    /// The backends that `CREATE BACKEND` made.
    pub fn declared_backends(&self) -> Vec<BackendDefinition> {
        self.state.declared.list()
    }

    /// The backend that `CREATE BACKEND name TYPE memory` made, for the program to fill: SQL does not.
    pub fn memory_backend(&self, name: &str) -> Option<Arc<LocalBackend>> {
        self.state.backends.find(name)?.memory
    }

    /// A new session with default settings, which may do everything.
    pub fn session(&self) -> Arc<Session> {
        self.session_as(Role::Admin)
    }

    /// A new session with default settings, which may do what `role` may. What it may not is `PermissionDenied`, before
    /// anything is changed.
    pub fn session_as(&self, role: Role) -> Arc<Session> {
        self.session_of(None, role)
    }

    /// A new session like one of [`Engine::session_as`], for a user by name. `system.queries` and `KILL` know the user's
    /// statements by the name.
    pub fn session_of(&self, user: Option<&str>, role: Role) -> Arc<Session> {
        let principal = Principal { user: user.map(Into::into), role };
        let state = SessionStateBuilder::new()
            .with_config(default_settings().with_extension(Arc::new(principal.clone())))
            .with_runtime_env(Arc::clone(&self.state.runtime))
            .with_default_features()
            .with_catalog_list(Arc::clone(&self.state.catalogs))
            .build();
        let context = SessionContext::new_with_state(state);
        configure_session(&context, &self.state.catalogs, &self.state, role);
        Arc::new(Session::new(context, principal))
    }

    /// The lake that answers: its backends, its cache and its operations.
    pub fn lake(&self) -> &RuLake {
        &self.state.lake
    }

    /// The memory that statements hold for rows now, and what they may hold, in bytes.
    pub fn memory(&self) -> (usize, Option<usize>) {
        let pool = &self.state.runtime.memory_pool;
        let limit = match pool.memory_limit() {
            MemoryLimit::Finite(bytes) => Some(bytes),
            _ => None,
        };
        (pool.reserved(), limit)
    }

    /// Makes an index a table of `main`, with the columns `id` and `vec`, for as long as the engine lives: `knn(name, ...)`
    /// is answered by the index as it is. `DROP TABLE` takes it away again.
    ///
    /// # Errors
    /// `AlreadyExists` if there is a table of that name; `InvalidInput` if the name is none, or an id is not a `BIGINT`.
    pub async fn register_index(&self, name: &str, index: Box<dyn VectorIndex>) -> Result<()> {
        create_index_table::register(&self.state, name, index).await
    }

    /// The state that statements take.
    pub(crate) fn state(&self) -> &EngineState {
        &self.state
    }
}
