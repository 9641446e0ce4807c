//! Plans of a session that are kept from one run of a statement to the next.
//!
//! A statement with parameters is run again and again with other values. If searches take all of its parameters, its plan is made
//! once. Each run looks up the states of its tables, as every statement does. If the plan is over the same states, the run only
//! puts its values in. The plan of a search without parameters is kept too. Any other statement is planned in each run, so that a
//! kept plan never changes an answer.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::CatalogProvider;
use datafusion::common::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::SessionContext;
use datafusion::scalar::ScalarValue;
use futures::future::join_all;
use lru::LruCache;
use parking_lot::Mutex;
use ruvector_rulake::Snapshot;

use crate::plan::answer::shaped;
use crate::plan::parameters::check_count;
use crate::plan::prepared::Prepared;
use crate::plan::snapshot::{Retry, snapshots, verified_against};
use crate::running::answer::Answer;
use crate::text::time_travel::MARK;
use ruvector_udfs::collection::CollectionTable;
use ruvector_udfs::knn::parameterize::{Parameterized, bind, contains_search, is_reusable, parameterize, tables};
use ruvector_udfs::names::CATALOG;

/// Plans that a session keeps, at most: a client has so many statements at hand, and a plan is some kilobytes.
const PLANS: NonZeroUsize = NonZeroUsize::new(64).expect("64 is not zero");

/// A plan holds the states of its tables, and what replaced them needs the memory: one that was not run for this long goes.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// Bytes of the text of a statement without parameters whose plan is kept, at most. A bound: a longer text has vectors written
/// out, which differ each time, so that it hardly comes again.
const TEXT_BYTES_MAX: usize = 2048;

/// Runs of a kept plan before it is made again. A bound: scans gather metrics in each run, and their plan keeps them.
const RUNS_MAX: usize = 256;

/// The plans of a session, by the text of their statements.
pub(crate) struct PlanCache(Mutex<Kept>);

struct Kept {
    /// The session's settings when the plans were made; other settings are another object.
    settings: Option<Arc<ConfigOptions>>,
    plans: LruCache<String, Used>,
}

struct Used {
    plan: Arc<KeptPlan>,
    last: Instant,
}

impl Kept {
    /// Lets go of plans that were not run for long. The one that was used last is the last to go.
    fn drop_idle(&mut self) {
        while self.plans.peek_lru().is_some_and(|(_, used)| used.last.elapsed() > IDLE_MAX) {
            self.plans.pop_lru();
        }
    }
}

impl PlanCache {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Kept { settings: None, plans: LruCache::new(PLANS) }))
    }

    /// The plan of a statement, if there is one by the session's settings.
    pub(crate) fn find(&self, context: &SessionContext, sql: &str) -> Option<Arc<KeptPlan>> {
        let state = context.state_ref();
        let state = state.read();
        let mut kept = self.0.lock();
        let current = kept.settings.as_ref().is_some_and(|settings| Arc::ptr_eq(settings, state.config().options()));
        if !current {
            kept.plans.clear();
            return None;
        }
        let found = kept.plans.get_mut(sql).map(|used| {
            used.last = Instant::now();
            Arc::clone(&used.plan)
        });
        kept.drop_idle();
        found
    }

    /// Lets go of a plan that is over, and with it of the states that it holds.
    pub(crate) fn forget(&self, sql: &str, plan: &Arc<KeptPlan>) {
        let mut kept = self.0.lock();
        // Another run may have put a newer one in its place.
        if kept.plans.peek(sql).is_some_and(|known| Arc::ptr_eq(&known.plan, plan)) {
            kept.plans.pop(sql);
        }
    }

    /// Keeps a plan that was made by the settings of `state`.
    pub(crate) fn keep(&self, state: &SessionState, sql: &str, plan: &Arc<KeptPlan>) {
        let settings = state.config().options();
        let mut kept = self.0.lock();
        if !kept.settings.as_ref().is_some_and(|known| Arc::ptr_eq(known, settings)) {
            kept.plans.clear();
            kept.settings = Some(Arc::clone(settings));
        }
        kept.plans.put(sql.to_owned(), Used { plan: Arc::clone(plan), last: Instant::now() });
        kept.drop_idle();
    }
}

/// The tables of a plan, and which of their indexes could answer when it was made.
pub(crate) struct TableStates(Vec<(CollectionTable, Vec<bool>)>);

impl TableStates {
    /// The tables of a plan that is not analyzed yet. An index that gets ready in the meantime counts as one that could
    /// not answer.
    ///
    /// # Errors
    /// If a table cannot be told.
    pub(crate) fn of(plan: &LogicalPlan) -> Result<Self> {
        let with_ready = |table: CollectionTable| {
            let ready = table.ready_indexes();
            (table, ready)
        };
        Ok(Self(tables(plan)?.into_iter().map(with_ready).collect()))
    }
}

/// A statement's plan, whose parameters are open.
pub(crate) struct KeptPlan {
    plan: Arc<dyn ExecutionPlan>,
    /// True if the statement casts its vectors.
    casts: bool,
    context: Arc<TaskContext>,
    tables: TableStates,
    snapshots: Vec<Arc<dyn Snapshot>>,
    prepared: Prepared,
    /// The schema of its rows.
    schema: SchemaRef,
    /// The statement, to be planned again if the state that it reads goes away.
    retry: Retry,
    runs: AtomicUsize,
}

impl KeptPlan {
    /// The plan of a statement, if it can be kept: `analyzed` is what was planned of it, with its parameters.
    ///
    /// # Errors
    /// What planning meets.
    pub(crate) async fn make(
        state: &SessionState,
        sql: &str,
        analyzed: LogicalPlan,
        tables: TableStates,
        prepared: Prepared,
        retry: &Retry,
    ) -> Result<Option<Self>> {
        let Some(schema) = prepared.schema.clone() else { return Ok(None) };
        if prepared.parameters.fields().is_empty() && (sql.len() > TEXT_BYTES_MAX || !contains_search(&analyzed)?) {
            return Ok(None);
        }
        // What other catalogs have is theirs: a view there may be another by the next run.
        if !retry.reads_only(state, CATALOG)? {
            return Ok(None);
        }
        // An earlier state of a table is looked up each time.
        if tables.0.iter().any(|(table, _)| table.name().contains(MARK)) {
            return Ok(None);
        }
        let Some(Parameterized { plan, casts }) = parameterize(analyzed)? else { return Ok(None) };
        let snapshots = snapshots(&plan)?;
        let plan = state.create_physical_plan(&plan).await?;
        if !is_reusable(&plan) {
            return Ok(None);
        }
        let (context, retry) = (state.task_ctx(), retry.clone());
        Ok(Some(Self { plan, casts, context, tables, snapshots, prepared, schema, retry, runs: AtomicUsize::new(0) }))
    }

    pub(crate) fn prepared(&self) -> &Prepared {
        &self.prepared
    }

    /// Returns true if the tables are in the states, and have the indexes, that the plan was made for. A plan with inputs is
    /// over after [`RUNS_MAX`] runs.
    pub(crate) async fn is_current(&self, catalog: &dyn CatalogProvider) -> bool {
        if self.runs.load(Ordering::Relaxed) >= RUNS_MAX && !self.plan.children().is_empty() {
            return false;
        }
        let unchanged = self.tables.0.iter().map(|(table, ready)| async move {
            let Some(schema) = catalog.schema(table.backend()) else { return false };
            let found = schema.table(table.name()).await;
            let Ok(Some(found)) = found else { return false };
            let found = found.downcast_ref::<CollectionTable>();
            found.is_some_and(|found| found.is_unchanged_since(table) && found.ready_indexes() == *ready)
        });
        let options = self.retry.options().clone();
        options
            .scope(self.context.session_config().options(), join_all(unchanged))
            .await
            .into_iter()
            .all(|unchanged| unchanged)
    }

    /// Returns true if the search makes vectors of these values. It makes none of text if the statement casts its vectors: the
    /// cast might read the text.
    pub(crate) fn takes(&self, values: &[ScalarValue]) -> bool {
        !self.casts || values.iter().all(|value| value.try_as_str().is_none())
    }

    /// The rows for these values of the parameters.
    ///
    /// # Errors
    /// `InvalidInput` if there are too few values, or if one does not fit.
    pub(crate) fn run(&self, values: &[ScalarValue]) -> ruvector_udfs::error::Result<Answer> {
        check_count(&self.prepared.parameters, values)?;
        self.runs.fetch_add(1, Ordering::Relaxed);
        let plan = bind(&self.plan, values)?;
        let rows = execute_stream(plan, Arc::clone(&self.context))?;
        let rows = self.retry.with(values).retry_on_generation_gone(verified_against(rows, self.snapshots.clone()));
        Ok(Answer::Rows(shaped(rows, Arc::clone(&self.schema))))
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::ListArray;
    use datafusion::arrow::datatypes::Float32Type;

    use super::*;
    use crate::Engine;
    use crate::EngineConfig;
    use crate::Session;

    async fn run(engine: &Arc<Engine>, session: &Arc<Session>, sql: &str, params: &[ScalarValue]) {
        engine.execute(session, sql, params).await.unwrap().collect().await.unwrap();
    }

    fn vector() -> ScalarValue {
        let vector = [Some([Some(1.0), Some(0.0)])];
        ScalarValue::List(Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(vector)))
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn plans_of_searches_are_kept_until_their_tables_change() {
        let engine = Engine::open(EngineConfig::default()).await.unwrap();
        let session = engine.session();
        run(&engine, &session, "CREATE TABLE docs (id BIGINT, vec FLOAT[2])", &[]).await;
        run(&engine, &session, "INSERT INTO docs VALUES (1, [1, 0]), (2, [0, 1])", &[]).await;
        let is_kept = |sql: &'static str| {
            let kept = session.plans().find(session.context(), sql).is_some();
            assert!(kept, "planned each time: {sql}");
        };
        let one = [vector()];
        for sql in [
            "SELECT id, _distance FROM knn('docs', $1, 1)",
            "SELECT id FROM docs ORDER BY l2_distance(vec, $1) LIMIT 1",
            "SELECT id FROM docs WHERE id > 0 ORDER BY cosine_distance($1, vec) LIMIT 1",
            "SELECT id FROM docs ORDER BY vec <-> $1 LIMIT 1",
            "SELECT id FROM docs ORDER BY l2_distance(vec, CAST($1 AS FLOAT[2])) LIMIT 1",
        ] {
            run(&engine, &session, sql, &one).await;
            is_kept(sql);
        }
        for sql in [
            "SELECT id FROM knn('docs', [1, 0], 1)",
            "SELECT query_id, id FROM knn_batch('docs', (SELECT id, vec FROM docs), 1)",
            "SELECT a.id, b.id FROM docs a CROSS JOIN LATERAL knn('docs', a.vec, 1) b",
            "SELECT id FROM docs ORDER BY l2_distance(vec, [1, 0]) LIMIT 1",
        ] {
            run(&engine, &session, sql, &[]).await;
            is_kept(sql);
        }
        let written_out = format!("SELECT id FROM knn('docs', [1, 0], 1) -- {}", "long".repeat(TEXT_BYTES_MAX / 4));
        for sql in [
            "SELECT now(), id FROM knn('docs', [1, 0], 1)",
            "SELECT count(*) FROM docs",
            "SELECT 1",
            // Nodes that cannot run twice, or twice at the same time.
            "SELECT (SELECT min(id) FROM docs), id FROM knn('docs', [1, 0], 1)",
            "SELECT id FROM knn('docs', [1, 0], 2) WHERE id >= (SELECT avg(id) FROM docs)",
            &written_out,
        ] {
            run(&engine, &session, sql, &[]).await;
            assert!(session.plans().find(session.context(), sql).is_none(), "kept: {sql}");
        }
        let sql = "SELECT id FROM knn('docs', $1, 1)";
        run(&engine, &session, sql, &one).await;
        let old = session.plans().find(session.context(), sql).unwrap();
        assert!(old.is_current(engine.state().catalog().as_ref()).await);
        run(&engine, &session, "INSERT INTO docs VALUES (3, [1, 1])", &[]).await;
        assert!(!old.is_current(engine.state().catalog().as_ref()).await);
        run(&engine, &session, sql, &one).await;
        let new = session.plans().find(session.context(), sql).unwrap();
        assert!(!Arc::ptr_eq(&old, &new));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_kept_plan_answers_as_it_did() {
        let engine = Engine::open(EngineConfig::default()).await.unwrap();
        let session = engine.session();
        run(&engine, &session, "CREATE TABLE docs (id BIGINT, vec FLOAT[2])", &[]).await;
        for values in ["(1, [1, 0]), (2, [0, 1])", "(3, [1, 1]), (4, [2, 0])"] {
            run(&engine, &session, &format!("INSERT INTO docs VALUES {values}"), &[]).await;
        }
        for sql in [
            "SELECT (SELECT min(id) FROM docs), id FROM knn('docs', [1, 0], 3)",
            "SELECT max(d.id) FROM docs d JOIN knn('docs', [1, 0], 3) k ON d.id = k.id",
            "SELECT d.id, d.vec FROM docs d JOIN knn('docs', [1, 0], 3) k ON d.id = k.id ORDER BY d.id DESC LIMIT 2",
            "SELECT id FROM knn('docs', [1, 0], 3) WHERE id > 1",
            "SELECT id FROM knn('docs', [1, 0], 3) WHERE id >= (SELECT min(id) FROM docs WHERE id > 1)",
            "SELECT id FROM knn('docs', (SELECT vec FROM docs WHERE id = 3), 3) ORDER BY id",
        ] {
            let mut answers = Vec::new();
            for _ in 0..4 {
                let answer = engine.execute(&session, sql, &[]).await.unwrap().collect().await.unwrap();
                answers.push(arrow::util::pretty::pretty_format_batches(&answer).unwrap().to_string());
            }
            assert!(answers[0].contains("| "), "{sql}");
            assert!(answers.iter().all(|answer| *answer == answers[0]), "{sql}: {answers:#?}");
        }
        // Another view of that name, in a catalog of the program's own.
        let own = Arc::new(datafusion::catalog::MemoryCatalogProvider::new());
        let schema = Arc::new(datafusion::catalog::MemorySchemaProvider::new());
        CatalogProvider::register_schema(own.as_ref(), "public", schema).unwrap();
        session.context().register_catalog("mem", own);
        let sql = "SELECT v.id FROM mem.public.v v JOIN knn('docs', [1, 0], 4) k ON v.id = k.id ORDER BY 1";
        for most in [1, 3] {
            let view = format!("CREATE OR REPLACE VIEW mem.public.v AS SELECT id FROM docs WHERE id <= {most}");
            run(&engine, &session, &view, &[]).await;
            let rows = engine.execute(&session, sql, &[]).await.unwrap().collect().await.unwrap();
            assert_eq!(rows.iter().map(|batch| batch.num_rows()).sum::<usize>(), most);
        }
    }
}
