//! What a statement wishes of the tables it names: how old their state may be, how long a backend may take to tell it, and
//! whether to go on without it.
//!
//! Tables are looked up by DataFusion, which has no place for wishes: they go along with the task that plans.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use datafusion::catalog::TableProvider;
use datafusion::common::config::ConfigOptions;
use datafusion::common::{ResolvedTableReference, Result as DfResult, TableReference};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::Statement as DfStatement;
use futures::future::join_all;
use parking_lot::Mutex;
use ruvector_rulake::Consistency;

use crate::catalog::{CATALOG, MAIN};
use crate::error::{Error, Result};
use crate::rules::same_names::{self, Extent};
use crate::settings::Settings;
use crate::statements::dml;

tokio::task_local! {
    static WISHES: Wishes;
    static FOUND: Mutex<HashMap<(String, String), Found>>;
}

/// What a backend knows of the name of a table.
type Found = DfResult<Option<Arc<dyn TableProvider>>>;

/// What is wished of one table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wish {
    pub(crate) table: ResolvedTableReference,
    pub(crate) consistency: Option<Consistency>,
    pub(crate) timeout: Option<Duration>,
    /// Whether to go on without the table if its backend does not answer.
    pub(crate) partial: bool,
}

/// The wishes of a statement.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wishes {
    of_tables: Vec<Wish>,
    /// What the session wishes of all tables.
    consistency: Option<Consistency>,
    /// Whether every backend is asked again, whatever is said of its consistency.
    anew: bool,
}

impl Wishes {
    /// Adds a wish.
    ///
    /// # Errors
    /// `InvalidInput` if another is wished of the table: a statement reads a table in one state.
    pub(crate) fn add(&mut self, wish: Wish) -> Result<()> {
        match self.of_tables.iter().find(|known| known.table == wish.table && **known != wish) {
            Some(known) => Err(Error::invalid_input(format!(
                "a statement reads a table in one state: two calls of knn() say different things of {}",
                known.table
            ))),
            None => {
                self.of_tables.push(wish);
                Ok(())
            }
        }
    }

    /// The same wishes, of the newest states: for the second try after a state went away.
    pub(crate) fn anew(self) -> Self {
        Self { anew: true, ..self }
    }

    /// Whether the statement that is being planned wishes for the newest states.
    pub(crate) fn are_anew() -> bool {
        WISHES.try_with(|wishes| wishes.anew).unwrap_or(false)
    }

    /// Whether a statement is being planned: else tables are looked up for what is said of them, as `information_schema` does.
    pub(crate) fn are_being_planned() -> bool {
        WISHES.try_with(|_| ()).is_ok()
    }

    /// Plans a statement with these wishes. Its tables are looked up at the same time: each may have to wait for a backend.
    pub(crate) async fn plan(self, state: &SessionState, statement: DfStatement) -> DfResult<LogicalPlan> {
        let named = state.resolve_table_references(&statement)?;
        let planning = async {
            let found = match named.len() {
                0 | 1 => HashMap::new(),
                _ => look_up(state, named).await,
            };
            let statement = dml::expanded(state, statement).await?;
            FOUND.scope(Mutex::new(found), planned(state, statement)).await
        };
        self.scope(state.config_options(), planning).await
    }

    /// Does something, a look-up of tables perhaps, with these wishes and those of a session.
    pub(crate) async fn scope<F: Future>(mut self, settings: &ConfigOptions, work: F) -> F::Output {
        self.consistency = Settings::of(settings).consistency();
        WISHES.scope(self, work).await
    }

    /// What was found when the tables of the statement that is being planned were looked up, the first time it is asked.
    pub(crate) fn take_found(backend: &str, table: &str) -> Option<Found> {
        FOUND.try_with(|found| found.lock().remove(&(backend.to_owned(), table.to_owned()))).ok().flatten()
    }

    /// How old the state of a table may be for the statement that is being planned.
    pub(crate) fn consistency_of(backend: &str, table: &str) -> Option<Consistency> {
        let of_session = || WISHES.try_with(|wishes| wishes.consistency).ok().flatten();
        Self::of(backend, table).and_then(|wish| wish.consistency).or_else(of_session)
    }

    /// What the statement that is being planned wishes of a table.
    pub(crate) fn of(backend: &str, table: &str) -> Option<Wish> {
        let is_meant =
            |wish: &&Wish| (&*wish.table.catalog, &*wish.table.schema, &*wish.table.table) == (CATALOG, backend, table);
        WISHES.try_with(|wishes| wishes.of_tables.iter().find(is_meant).cloned()).ok().flatten()
    }
}

/// The plan of a statement, which may have columns of equal names.
async fn planned(state: &SessionState, statement: DfStatement) -> DfResult<LogicalPlan> {
    let refused = match state.statement_to_plan(statement.clone()).await {
        Err(e) if same_names::is_refusal(&e) => e,
        planned => return planned,
    };
    for extent in [Extent::Written, Extent::BesideStars] {
        if let Some(statement) = same_names::distinguished(&statement, extent)
            && let Ok(plan) = state.statement_to_plan(statement).await
        {
            return Ok(plan);
        }
    }
    Err(refused)
}

/// Looks up tables by their backends and names, all at the same time.
async fn look_up(state: &SessionState, named: Vec<TableReference>) -> HashMap<(String, String), Found> {
    let catalog = state.catalog_list().catalog(CATALOG);
    let searches = named.into_iter().filter_map(|table| {
        let table = table.resolve(CATALOG, MAIN);
        let schema = catalog.as_ref().filter(|_| *table.catalog == *CATALOG)?.schema(&table.schema)?;
        Some(async move {
            let found = schema.table(&table.table).await;
            ((table.schema.to_string(), table.table.to_string()), found)
        })
    });
    join_all(searches).await.into_iter().collect()
}
