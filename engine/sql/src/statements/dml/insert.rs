//! INSERT: a query whose rows are appended to a table.

use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::logical_expr::dml::InsertOp;
use ruvector_rulake::Backend;

use crate::limits::stop::start;
use crate::plan::snapshot::verified_stream;
use crate::state::EngineState;
use crate::statements::assign::assigned;
use ruvector_udfs::error::{Error, Result};

/// Appends the rows of a query to a table, or replaces its rows by them, and returns their number.
///
/// # Errors
/// `NotSupported` for `REPLACE INTO`; whatever planning and writing meet.
pub(super) async fn execute(
    engine: &EngineState,
    state: &SessionState,
    table: &str,
    op: InsertOp,
    input: &LogicalPlan,
) -> Result<u64> {
    let input = assigned(input)?;
    let plan = state.create_physical_plan(&input).await?;
    let rows = verified_stream(start(plan, state.task_ctx())?, &input)?;
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
