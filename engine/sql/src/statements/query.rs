//! Queries: their plan goes in, their rows come out.

use std::sync::Arc;

use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::scalar::ScalarValue;
use ruvector_rulake::error::is_generation_gone;

use crate::limits::stop::start;
use crate::plan::answer::{answer_schema, shaped};
use crate::plan::cache::{KeptPlan, TableStates};
use crate::plan::parameters::bind;
use crate::plan::prepared::{Prepared, analyzed};
use crate::plan::snapshot::{Retry, verified_stream};
use crate::running::answer::Answer;
use crate::session::Session;
use ruvector_udfs::error::Result;

/// Runs the query `sql` as its rows are pulled, and keeps its plan for the session if later runs can use it.
///
/// # Errors
/// `InvalidInput` if there is not one value for each parameter, and whatever planning meets.
pub(crate) async fn execute(
    session: &Session,
    state: &SessionState,
    sql: &str,
    plan: LogicalPlan,
    params: &[ScalarValue],
    retry: Retry,
) -> Result<Answer> {
    let tables = TableStates::of(&plan)?;
    let with_types = analyzed(state, &plan);
    let prepared = Prepared::of(&plan, with_types.as_ref())?;
    // Values of parameters can change types.
    let announced = prepared.schema.clone().filter(|_| params.is_empty());
    if let Some(with_types) = with_types
        && let Some(kept) = KeptPlan::make(state, sql, with_types, tables, prepared, &retry).await.ok().flatten()
    {
        let kept = Arc::new(kept);
        session.plans().keep(state, sql, &kept);
        if kept.takes(params) {
            return kept.run(params);
        }
    }
    let plan = bind(plan, params)?;
    let retry = retry.with(params);
    let schema = announced.unwrap_or_else(|| answer_schema(&plan, analyzed(state, &plan).as_ref()));
    let physical = match state.create_physical_plan(&plan).await {
        Err(e) if is_generation_gone(&e) => {
            let columns = Arc::new(plan.schema().as_arrow().clone());
            return Ok(Answer::Rows(shaped(retry.rows(&columns).await?, schema)));
        }
        physical => physical?,
    };
    let rows = verified_stream(start(physical, state.task_ctx())?, &plan)?;
    Ok(Answer::Rows(shaped(retry.retry_on_generation_gone(rows), schema)))
}
