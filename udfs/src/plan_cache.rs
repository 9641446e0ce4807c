//! Plans of a session that are kept from one run of a statement to the next.
//!
//! A statement with parameters is run again and again with other values. If `knn()` takes them all, its plan is made once:
//! the next run looks up the states of its tables, as every statement does, and if they are the ones that the plan is over
//! it only gets its values. Anything else is planned anew, so that what is kept never changes an answer.

use std::num::NonZeroUsize;
use std::sync::Arc;
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

use crate::collection::CollectionTable;
use crate::engine::{Answer, Prepared, check_count, shaped};
use crate::knn::open::{closed, opened, tables};
use crate::one_state::{Again, of_states, snapshots};
use crate::time_travel::MARK;

/// Plans that a session keeps, at most: a client has so many statements at hand, and a plan is some kilobytes.
const PLANS: NonZeroUsize = NonZeroUsize::new(64).expect("64 is not zero");

/// A plan holds the states of its tables, and what replaced them needs the memory: one that was not run for this long goes.
const IDLE_MAX: Duration = Duration::from_secs(60);

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

/// A statement's plan, whose parameters are open.
pub(crate) struct KeptPlan {
    plan: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
    /// The tables, and which of their indexes could answer when the plan was made.
    tables: Vec<(CollectionTable, Vec<bool>)>,
    snapshots: Vec<Arc<dyn Snapshot>>,
    prepared: Prepared,
    /// The schema of its rows.
    schema: SchemaRef,
    /// The statement, to be planned anew if the state that it reads goes away.
    again: Again,
}

impl KeptPlan {
    /// The plan of a statement, if it can be kept: `plan` is what was planned of it, with its parameters.
    ///
    /// # Errors
    /// What planning meets.
    pub(crate) async fn make(
        state: &SessionState,
        plan: &LogicalPlan,
        prepared: Prepared,
        again: &Again,
    ) -> Result<Option<Self>> {
        let Some(schema) = prepared.schema.clone() else { return Ok(None) };
        if prepared.parameters.fields().is_empty() {
            return Ok(None);
        }
        // A state that a table had is looked up anew each time.
        let tables = tables(plan)?;
        if tables.iter().any(|table| table.name().contains(MARK)) {
            return Ok(None);
        }
        let tables =
            tables.into_iter().map(|table| (table.ready_indexes(), table)).map(|(ready, table)| (table, ready));
        let tables = tables.collect();
        // What an ORDER BY of a distance becomes shows once it is analyzed.
        let analyzed = state.analyzer().execute_and_check(plan.clone(), state.config_options(), |_, _| {})?;
        let Some(open) = opened(analyzed)? else { return Ok(None) };
        let snapshots = snapshots(&open)?;
        let plan = state.create_physical_plan(&open).await?;
        let (context, again) = (state.task_ctx(), again.clone());
        Ok(Some(Self { plan, context, tables, snapshots, prepared, schema, again }))
    }

    pub(crate) fn prepared(&self) -> &Prepared {
        &self.prepared
    }

    /// Whether the tables are in the states, and have the indexes, that the plan was made for.
    pub(crate) async fn is_current(&self, catalog: &dyn CatalogProvider) -> bool {
        let unchanged = self.tables.iter().map(|(table, ready)| async move {
            let Some(schema) = catalog.schema(table.backend()) else { return false };
            let found = schema.table(table.name()).await;
            let Ok(Some(found)) = found else { return false };
            let found = found.downcast_ref::<CollectionTable>();
            found.is_some_and(|found| found.is_unchanged_since(table) && found.ready_indexes() == *ready)
        });
        let wishes = self.again.wishes().clone();
        wishes
            .scope(self.context.session_config().options(), join_all(unchanged))
            .await
            .into_iter()
            .all(|unchanged| unchanged)
    }

    /// The rows for these values of the parameters.
    ///
    /// # Errors
    /// `InvalidInput` if there are too few values, or if one does not fit.
    pub(crate) fn run(&self, values: &[ScalarValue]) -> crate::error::Result<Answer> {
        check_count(&self.prepared.parameters, values)?;
        let plan = closed(&self.plan, values)?;
        let rows = execute_stream(plan, Arc::clone(&self.context))?;
        let rows = self.again.with(values).if_gone(of_states(rows, self.snapshots.clone()));
        Ok(Answer::Rows(shaped(rows, Arc::clone(&self.schema))))
    }
}
