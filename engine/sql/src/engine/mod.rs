//! The one way in: sessions, statements and what they answer.

pub(crate) mod authorize;
pub(crate) mod register;
pub(crate) mod session;

mod patched;
mod runtime;
mod suggest;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::Schema;
use datafusion::catalog::{CatalogProvider, CatalogProviderList, MemoryCatalogProviderList};
use datafusion::common::TableReference;
use datafusion::execution::memory_pool::MemoryLimit;
use datafusion::execution::{SendableRecordBatchStream, SessionState, SessionStateBuilder, TaskContext};
use datafusion::logical_expr::{DdlStatement, LogicalPlan, Statement};
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::scalar::ScalarValue;
use ruvector_rabitq::VectorIndex;
use ruvector_rulake::error::is_generation_gone;
use ruvector_rulake::{Backend, DeltaBackend, LocalBackend, RuLake};
use tokio::sync::Mutex;

use crate::catalog::backend::{self, BackendCatalog, BackendDefinition, BackendKind};
use crate::catalog::index::IndexCatalog;
use crate::catalog::index::builds::{Awaited, Builds};
use crate::catalog::index::retire::discard_undeclared;
use crate::catalog::main_schema::{CreateRequest, MainSchema, TableKind};
use crate::catalog::owner::Owner;
use crate::catalog::{Backends, Catalog, Registered};
use crate::engine::authorize::{check_plan, check_statement};
use crate::engine::register::configure_session;
use crate::engine::runtime::runtime;
use crate::engine::session::Session;
use crate::limits::setting_ranges;
use crate::limits::stop::start;
use crate::plan::answer::{answer_schema, answers_rows, shaped};
use crate::plan::cache::{KeptPlan, TableStates};
use crate::plan::lookup;
use crate::plan::parameters::{Prepared, bind, parameters};
use crate::plan::snapshot::{Again, of_one_state};
use crate::running::answer::Answer;
use crate::running::turns;
use crate::running::uploads::Uploads;
use crate::running::{Queries, Running, Stop, Who};
use crate::state::EngineState;
use crate::statements::clauses;
use crate::statements::column_types::stored_types;
use crate::statements::create_backend;
use crate::statements::create_external_table;
use crate::statements::create_index;
use crate::statements::create_index_table;
use crate::statements::create_table;
use crate::statements::dml;
use crate::statements::foreign;
use crate::statements::{Parsed, parse};
use crate::system::{BackendsTable, BundlesTable, CacheTable, IndexesTable, QueriesTable, SystemSchema};
use ruvector_udfs::declared_index::IndexDefinition;
use ruvector_udfs::error::{Error, ErrorKind, Result};
use ruvector_udfs::knn;
use ruvector_udfs::names::{CATALOG, MAIN};
use ruvector_udfs::role::Role;
use ruvector_udfs::scalar::embed;
use ruvector_udfs::settings::{self, Settings};

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

/// The SQL engine over one data directory. Cheap to share; safe from many threads.
pub struct Engine {
    state: EngineState,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("main", self.state.main()).finish_non_exhaustive()
    }
}

/// Treatment of an existing or missing table by [`Engine::ingest`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IngestMode {
    /// Create the table; an error if it exists.
    Create,
    /// Append to it; an error if it does not exist.
    Append,
    /// Replace it, or create it.
    Replace,
    /// Append to it, or create it.
    CreateAppend,
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
        let queries = Queries::default();
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
            Arc::new(QueriesTable::new(queries.clone())),
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
            queries,
            uploads: Uploads::default(),
            statement_time_max: config.statement_time_max,
            _owner: owner,
            _temporary: temporary,
        };
        Ok(Arc::new(Self { state }))
    }

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
        let who = Who { user: user.map(Into::into), role };
        let state = SessionStateBuilder::new()
            .with_config(default_settings().with_extension(Arc::new(who.clone())))
            .with_runtime_env(Arc::clone(&self.state.runtime))
            .with_default_features()
            .with_catalog_list(Arc::clone(&self.state.catalogs))
            .build();
        let context = SessionContext::new_with_state(state);
        configure_session(&context, &self.state.catalogs, &self.state, role);
        Arc::new(Session::new(context, who))
    }

    /// Parses and plans `sql` without running anything. Until it is planned, it is in `system.queries` and can be killed, and
    /// the time that a statement may take is that of its planning too.
    ///
    /// # Errors
    /// As [`Engine::execute`], for what planning can see.
    pub async fn prepare(self: &Arc<Self>, session: &Arc<Session>, sql: &str) -> Result<Prepared> {
        if let Some(kept) = self.kept_plan(session, sql).await {
            return Ok(kept.prepared().clone());
        }
        let planning = self.begin(session, sql);
        let (engine, session, sql) = (Arc::clone(self), Arc::clone(session), sql.to_owned());
        let prepared =
            async move { engine.try_prepare(&session, &sql).await.map_err(|e| engine.with_hint(e, &session, &sql)) };
        planning.plan(prepared).await
    }

    async fn try_prepare(&self, session: &Session, sql: &str) -> Result<Prepared> {
        let parsed = parse(sql, session.dialect())?;
        check_statement(session.role(), &parsed)?;
        let (statement, options) = match parsed {
            Parsed::Other { statement, options } => (*statement, options),
            Parsed::Index(_) | Parsed::IndexTable(_) | Parsed::Backend(_) | Parsed::External(_) | Parsed::Kill(_) => {
                return Ok(Prepared { schema: None, parameters: Arc::new(Schema::empty()) });
            }
        };
        let state = session.context().state();
        let plan = lookup::plan(options, &state, statement).await?;
        check_plan(session.role(), &plan)?;
        prepared(&plan, analyzed(&state, &plan).as_ref())
    }

    /// The plan that was made when the statement ran before, if it would be made again.
    async fn kept_plan(&self, session: &Session, sql: &str) -> Option<Arc<KeptPlan>> {
        let kept = session.plans().find(session.context(), sql)?;
        if kept.is_current(self.state.catalog.as_ref()).await {
            return Some(kept);
        }
        session.plans().forget(sql, &kept);
        None
    }

    /// Runs one statement. `params` are the values of `$1, $2, ...` (or of `?`, in order).
    ///
    /// DDL and DML run to their end before this returns, exactly once; queries run as their stream is pulled. Until its rows
    /// have ended, the statement is in `system.queries`, can be killed, and may take as long as engine and session let it.
    ///
    /// # Errors
    /// Of every kind; nothing is changed on error.
    pub async fn execute(
        self: &Arc<Self>,
        session: &Arc<Session>,
        sql: &str,
        params: &[ScalarValue],
    ) -> Result<Answer> {
        self.watched(session, sql, params, Wanted::Anything, drop).await
    }

    /// Like [`Engine::execute`], for a statement that answers rows. Any other is refused before it does anything.
    ///
    /// `begun` is called with the statement's [`Stop`] before anything of it runs. A caller that waits while it holds rows, as
    /// for a client, learns from it that the statement was killed or has taken too long.
    ///
    /// # Errors
    /// As [`Engine::execute`]; `InvalidInput` for a statement that answers with a count.
    pub async fn query(
        self: &Arc<Self>,
        session: &Arc<Session>,
        sql: &str,
        params: &[ScalarValue],
        begun: impl FnOnce(Stop) + Send,
    ) -> Result<SendableRecordBatchStream> {
        match self.watched(session, sql, params, Wanted::Rows, begun).await? {
            Answer::Rows(rows) => Ok(rows),
            Answer::Count(_) => Err(not_a_query()),
        }
    }

    /// Runs one statement as one of those that run.
    async fn watched(
        self: &Arc<Self>,
        session: &Arc<Session>,
        sql: &str,
        params: &[ScalarValue],
        wanted: Wanted,
        begun: impl FnOnce(Stop) + Send,
    ) -> Result<Answer> {
        let mut running = self.begin(session, sql);
        begun(running.stop());
        if let Some(kept) = running.until_stopped(async { Ok(self.kept_plan(session, sql).await) }).await?
            && kept.takes(params)
        {
            return running.run_here(async { kept.run(params) }).await;
        }
        let (engine, session) = (Arc::clone(self), Arc::clone(session));
        let (sql, params) = (sql.to_owned(), params.to_vec());
        let answer = async move {
            engine.run(&session, &sql, &params, wanted).await.map_err(|e| engine.with_hint(e, &session, &sql))
        };
        running.run(answer).await
    }

    /// Makes a statement of the session known: to `system.queries`, `KILL` and the limit of its time.
    fn begin(&self, session: &Session, text: &str) -> Running {
        let limit = match (session.statement_timeout(), self.state.statement_time_max) {
            (Some(wished), Some(allowed)) => Some(wished.min(allowed)),
            (wished, allowed) => wished.or(allowed),
        };
        self.state.queries.begin(session.context().session_id(), session.who(), text, limit)
    }

    /// An error with a hint at the name that was probably meant.
    fn with_hint(&self, error: Error, session: &Session, sql: &str) -> Error {
        suggest::with_hint(error, sql, self.state.catalog.as_ref(), || {
            let functions = session.context().state().table_functions().keys().cloned().collect::<Vec<_>>();
            let ours = knn::sql::arguments::relations().map(str::to_owned);
            let indexes = self.state.indexes.list().iter().map(|index| index.definition().name.clone()).collect();
            suggest::KnownNames { relations: functions.into_iter().chain(ours).collect(), indexes }
        })
    }

    /// Runs a statement for [`Engine::execute`], which watches over it.
    async fn run(&self, session: &Session, sql: &str, params: &[ScalarValue], wanted: Wanted) -> Result<Answer> {
        let state = session.context().state();
        let parsed = parse(sql, session.dialect())?;
        check_statement(session.role(), &parsed)?;
        if wanted == Wanted::Rows && !matches!(parsed, Parsed::Other { .. }) {
            return Err(not_a_query());
        }
        let (statement, options) = match parsed {
            Parsed::Index(statement) => {
                create_index::run::execute(&self.state, &state.task_ctx(), statement).await?;
                return Ok(Answer::Count(0));
            }
            Parsed::IndexTable(create) => {
                create_index_table::create(&self.state, &create).await?;
                return Ok(Answer::Count(0));
            }
            Parsed::External(create) => {
                create_external_table::create(&self.state, &create).await?;
                return Ok(Answer::Count(0));
            }
            Parsed::Backend(statement) => {
                create_backend::execute(&self.state, statement).await?;
                return Ok(Answer::Count(0));
            }
            Parsed::Kill(id) => return Ok(Answer::Count(self.state.queries.kill(session.who(), id)?.into())),
            Parsed::Other { statement, options } => (Arc::new(*statement), options),
        };
        let again = Again::new(session.context(), &statement, &options);
        let plan = lookup::plan(options, &state, statement.as_ref().clone()).await?;
        check_plan(session.role(), &plan)?;
        if wanted == Wanted::Rows && !answers_rows(&plan) {
            return Err(not_a_query());
        }
        if answers_rows(&plan) {
            let tables = TableStates::of(&plan)?;
            let analyzed = analyzed(&state, &plan);
            let prepared = prepared(&plan, analyzed.as_ref())?;
            if let Some(analyzed) = analyzed
                && let Some(kept) = KeptPlan::make(&state, sql, analyzed, tables, prepared, &again).await.ok().flatten()
            {
                let kept = Arc::new(kept);
                session.plans().keep(&state, sql, &kept);
                if kept.takes(params) {
                    return kept.run(params);
                }
            }
        }
        let plan = bind(plan, params)?;
        let again = again.with(params);
        if foreign::targets_other_catalog(&state, &plan) {
            return foreign::execute(session.context(), plan).await;
        }
        match plan {
            LogicalPlan::Dml(change) => Ok(Answer::Count(dml::execute(&self.state, &state, change, &again).await?)),
            LogicalPlan::Ddl(DdlStatement::CreateMemoryTable(create)) => {
                clauses::refuse_ignored_of_table(&statement)?;
                let is_declared = create_table::declares_columns(&statement);
                Ok(Answer::Count(create_table::create_table(&self.state, &state, create, is_declared).await?))
            }
            LogicalPlan::Ddl(DdlStatement::DropTable(drop)) => {
                create_table::drop_table(&self.state, drop).await?;
                Ok(Answer::Count(0))
            }
            LogicalPlan::Ddl(other) => Err(Error::not_supported(format!("{} is not supported", other.name()))),
            plan @ LogicalPlan::Statement(_) => {
                // SET and its kin change the session; nothing is read.
                let is_reset = match &plan {
                    LogicalPlan::Statement(Statement::ResetVariable(reset)) => {
                        settings::reset(session.context(), &reset.variable, default_settings().options())?
                    }
                    LogicalPlan::Statement(Statement::SetVariable(set)) => {
                        setting_ranges::check(&set.variable, &set.value, default_settings().options())?;
                        false
                    }
                    _ => false,
                };
                if !is_reset {
                    session.context().execute_logical_plan(plan).await?;
                }
                Ok(Answer::Count(0))
            }
            plan => {
                let schema = answer_schema(&plan, analyzed(&state, &plan).as_ref());
                let physical = match state.create_physical_plan(&plan).await {
                    Err(e) if is_generation_gone(&e) => {
                        let columns = Arc::new(plan.schema().as_arrow().clone());
                        return Ok(Answer::Rows(shaped(again.rows(&columns).await?, schema)));
                    }
                    physical => physical?,
                };
                let rows = start(physical, state.task_ctx())?;
                Ok(Answer::Rows(shaped(again.if_gone(of_one_state(rows, &plan)?), schema)))
            }
        }
    }

    /// Writes the rows of `data` to `table` in one transaction and returns their number.
    ///
    /// Columns are matched by name. `List<Float32>` and `FixedSizeList` of floats go into vector columns.
    ///
    /// It is a statement of `system.queries`, as `INGEST INTO table`: it can be killed, and may take as long as engine and
    /// session let a statement take.
    ///
    /// # Errors
    /// `AlreadyExists`, `NotFound` by `mode`; `InvalidInput` for columns that do not fit; `PermissionDenied` for a session
    /// that may not write; `Cancelled` if it was killed or took too long. Nothing is written on error.
    pub async fn ingest(
        &self,
        session: &Session,
        table: &str,
        mode: IngestMode,
        data: SendableRecordBatchStream,
    ) -> Result<u64> {
        let running = self.begin(session, &format!("INGEST INTO {table}"));
        let written = async { self.write(session, table, mode, data).await.map(Answer::Count) };
        match running.run_here(written).await? {
            Answer::Count(count) => Ok(count),
            Answer::Rows(_) => Err(Error::new(ErrorKind::Internal, "an ingest answered with rows, expected a count")),
        }
    }

    /// Writes the rows of an ingest for [`Engine::ingest`], which watches over it.
    async fn write(
        &self,
        session: &Session,
        table: &str,
        mode: IngestMode,
        data: SendableRecordBatchStream,
    ) -> Result<u64> {
        session.role().check(Role::Writer, "ingest")?;
        let table = self.state.main_table(&TableReference::parse_str(table))?;
        let data = self.state.uploads.watch(&table, data);
        let main = self.state.main();
        let request = CreateRequest {
            table: &table,
            kind: TableKind::Delta,
            if_not_exists: mode == IngestMode::CreateAppend,
            or_replace: mode != IngestMode::CreateAppend,
        };
        let creation = match mode {
            IngestMode::Append => None,
            _ => self.state.main_schema().create(&request).await?,
        };
        let Some(creation) = creation else { return Ok(main.append(&table, data).await?) };
        let schema = stored_types(&data.schema())?;
        match mode == IngestMode::Replace && creation.replaces {
            true => Ok(main.overwrite(&table, schema, data).await?),
            // For `Create`, it refuses a table that exists.
            false => Ok(main.create_with(&table, schema, data).await?),
        }
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

/// The kind of answer that the caller of a statement accepts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// Rows or a count, as the statement has it.
    Anything,
    /// Rows, and no effect if it has none.
    Rows,
}

fn not_a_query() -> Error {
    Error::invalid_input("expected a query, got a statement that answers with a count")
}

/// The settings that a session begins with.
fn default_settings() -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_default_catalog_and_schema(CATALOG, MAIN)
        .with_create_default_catalog_and_schema(false)
        .with_information_schema(true)
        .with_option_extension(Settings::default());
    // Errors then say where in the text they are.
    config.options_mut().sql_parser.collect_spans = true;
    // Plain strings: some drivers do not know string views.
    config.options_mut().sql_parser.map_string_types_to_utf8view = false;
    config.options_mut().execution.parquet.schema_force_view_types = false;
    config
}

/// Definition of the default backend, for `system.backends`.
fn main_definition(data_dir: &Path) -> BackendDefinition {
    // It was made a moment ago; a path that cannot be resolved is shown as it was given.
    let path = data_dir.canonicalize().unwrap_or_else(|_| data_dir.to_owned());
    let options = [("path".to_owned(), path.display().to_string())].into();
    BackendDefinition { name: MAIN.to_owned(), kind: BackendKind::Delta, options, consistency: None, ttl_ms: None }
}

/// The plan of a query with its types, and with a search where an ORDER BY means one. A plan that cannot be analyzed says so
/// when it runs, or has parameters that are not known yet.
fn analyzed(state: &SessionState, plan: &LogicalPlan) -> Option<LogicalPlan> {
    // DataFusion's own log events would show the values of SET.
    let analyzed = || state.analyzer().execute_and_check(plan.clone(), state.config_options(), |_, _| {}).ok();
    answers_rows(plan).then(analyzed)?
}

/// Description of a statement, by its plan.
fn prepared(plan: &LogicalPlan, analyzed: Option<&LogicalPlan>) -> Result<Prepared> {
    let schema = answers_rows(plan).then(|| answer_schema(plan, analyzed));
    Ok(Prepared { schema, parameters: parameters(plan)? })
}
