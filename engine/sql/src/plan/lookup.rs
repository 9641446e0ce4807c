//! Planning of a statement, with its lookup options.

use std::collections::HashMap;

use datafusion::common::{Result, TableReference};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::Statement as DfStatement;
use futures::future::join_all;

use crate::plan::every_column::expanded;
use crate::rules::same_names::{self, Extent};
use ruvector_udfs::lookup::{Found, LookupOptions, with_prefetched};
use ruvector_udfs::names::{CATALOG, MAIN};

/// Plans a statement. Its tables are looked up at the same time: each may have to wait for a backend.
pub(crate) async fn plan(options: LookupOptions, state: &SessionState, statement: DfStatement) -> Result<LogicalPlan> {
    let named = state.resolve_table_references(&statement)?;
    let planning = async {
        let found = match named.len() {
            0 | 1 => HashMap::new(),
            _ => look_up(state, named).await,
        };
        let statement = expanded(state, statement).await?;
        with_prefetched(found, planned(state, statement)).await
    };
    options.scope(state.config_options(), planning).await
}

/// The plan of a statement, which may have columns of equal names.
async fn planned(state: &SessionState, statement: DfStatement) -> Result<LogicalPlan> {
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
