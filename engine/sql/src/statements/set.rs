//! SET, RESET and the other statements that change the session. Nothing is read.

use datafusion::logical_expr::{LogicalPlan, Statement};

use crate::limits::setting_ranges;
use crate::session::{Session, default_settings};
use ruvector_udfs::error::Result;
use ruvector_udfs::settings;

/// Runs the plan of such a statement.
///
/// # Errors
/// `InvalidInput` for a setting that does not exist, and for a value that it cannot have.
pub(crate) async fn execute(session: &Session, plan: LogicalPlan) -> Result<()> {
    let defaults = default_settings();
    match &plan {
        LogicalPlan::Statement(Statement::ResetVariable(reset))
            if settings::reset(session.context(), &reset.variable, defaults.options())? =>
        {
            return Ok(());
        }
        LogicalPlan::Statement(Statement::SetVariable(set)) => {
            setting_ranges::check(&set.variable, &set.value, defaults.options())?;
        }
        _ => {}
    }
    session.context().execute_logical_plan(plan).await?;
    Ok(())
}
