//! INSERT, DELETE, UPDATE, MERGE and TRUNCATE, from the plan before any optimizer rule has seen it onto the Delta library's
//! operations.
//!
//! Not through `TableProvider::delete_from` and `update`: those may get an empty filter, meaning every row, for
//! `WHERE false`, `IN (SELECT ...)` or `EXISTS`.

mod change;
mod every_column;
mod merge;
mod predicate;
mod storable;
mod subquery;

use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::dml::InsertOp;
use datafusion::logical_expr::{DmlStatement, LogicalPlan, WriteOp};
use datafusion::physical_plan::{collect, execute_stream};
use ruvector_rulake::Backend;

pub(crate) use every_column::{expanded, stars};

use crate::assign::assigned;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::one_state::of_one_state;

/// Runs a data change and returns the number of rows that it changed.
pub(crate) async fn execute(engine: &Engine, state: &SessionState, dml: DmlStatement) -> Result<u64> {
    let table = engine.main_table(&dml.table_name)?;
    match &dml.op {
        WriteOp::Insert(op) => insert(engine, state, &table, *op, &dml.input).await,
        WriteOp::Delete => change::delete(engine, state, &table, analyze(state, &dml.input)?).await,
        WriteOp::Update => change::update(engine, state, &table, &dml).await,
        WriteOp::MergeInto(_) => merge::merge(engine, state, &table, dml).await,
        WriteOp::Truncate => Ok(engine.main().delete(&table, None).await?),
        other => Err(Error::not_supported(format!("{} is not supported", other.name()))),
    }
}

async fn insert(engine: &Engine, state: &SessionState, table: &str, op: InsertOp, input: &LogicalPlan) -> Result<u64> {
    let input = assigned(input)?;
    let plan = state.create_physical_plan(&input).await?;
    let rows = of_one_state(execute_stream(plan, state.task_ctx())?, &input)?;
    match op {
        InsertOp::Append => Ok(engine.main().append(table, rows).await?),
        InsertOp::Overwrite => {
            let schema = engine.main().snapshot(table).await?.schema();
            Ok(engine.main().overwrite(table, schema, rows).await?)
        }
        InsertOp::Replace => Err(Error::not_supported(
            "REPLACE INTO replaces rows of equal keys, and a table has no declared key: say what is equal by MERGE INTO t \
             USING (...) AS s ON t.id = s.id WHEN MATCHED THEN UPDATE SET ... WHEN NOT MATCHED THEN INSERT ...",
        )),
    }
}

/// Type coercion and the like; no optimizer rule.
pub(crate) fn analyze(state: &SessionState, plan: &LogicalPlan) -> Result<LogicalPlan> {
    Ok(state.analyzer().execute_and_check(plan.clone(), state.config_options(), |_, _| {})?)
}

async fn run(state: &SessionState, plan: LogicalPlan) -> Result<Vec<arrow::array::RecordBatch>> {
    let plan = state.create_physical_plan(&plan).await?;
    Ok(collect(plan, state.task_ctx()).await?)
}
