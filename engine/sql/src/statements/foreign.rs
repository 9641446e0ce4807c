//! Catalogs that a program registered beside ours, through [`crate::Session::context`].
//!
//! What is in them is DataFusion's own business: tables in memory, views, whatever its providers can do. Statements that
//! change something there are run as DataFusion runs them.

use arrow::array::AsArray;
use arrow::datatypes::UInt64Type;
use datafusion::common::{SchemaReference, TableReference};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{DdlStatement, LogicalPlan};
use datafusion::prelude::SessionContext;

use crate::running::answer::Answer;
use ruvector_udfs::error::Result;
use ruvector_udfs::names::CATALOG;

/// Returns true if `plan` changes something in a catalog of the program, not in the engine's own.
pub(crate) fn targets_other_catalog(state: &SessionState, plan: &LogicalPlan) -> bool {
    let defaults = &state.config_options().catalog;
    let is_foreign = |name: &TableReference| name.catalog().unwrap_or(&defaults.default_catalog) != CATALOG;
    match plan {
        LogicalPlan::Dml(change) => is_foreign(&change.table_name),
        LogicalPlan::Ddl(ddl) => match ddl {
            DdlStatement::CreateMemoryTable(create) => is_foreign(&create.name),
            DdlStatement::CreateExternalTable(create) => is_foreign(&create.name),
            DdlStatement::CreateView(create) => is_foreign(&create.name),
            DdlStatement::DropTable(drop) => is_foreign(&drop.name),
            DdlStatement::DropView(drop) => is_foreign(&drop.name),
            // `schema` or `catalog.schema`.
            DdlStatement::CreateCatalogSchema(create) => {
                create.schema_name.split_once('.').map_or(&*defaults.default_catalog, |(catalog, _)| catalog) != CATALOG
            }
            DdlStatement::DropCatalogSchema(drop) => match &drop.name {
                SchemaReference::Bare { .. } => defaults.default_catalog != CATALOG,
                SchemaReference::Full { catalog, .. } => &**catalog != CATALOG,
            },
            _ => false,
        },
        _ => false,
    }
}

/// Runs `plan`, for which [`targets_other_catalog`] holds.
pub(crate) async fn execute(context: &SessionContext, plan: LogicalPlan) -> Result<Answer> {
    let is_dml = matches!(plan, LogicalPlan::Dml(_));
    let answer = context.execute_logical_plan(plan).await?.collect().await?;
    let count = answer.first().filter(|batch| is_dml && batch.num_rows() == 1 && batch.num_columns() == 1);
    let count = count.and_then(|batch| batch.column(0).as_primitive_opt::<UInt64Type>().map(|count| count.value(0)));
    Ok(Answer::Count(count.unwrap_or(0)))
}
