//! Description of a statement before it runs: the schema of its rows and its parameters.
//!
//! Takes a plan, and its analyzed form.

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;

use crate::plan::answer::{answer_schema, answers_rows};
use crate::plan::parameters::parameters;
use ruvector_udfs::error::Result;

/// Description of a statement before it runs.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The schema of its rows, or `None` if it answers with a count (DDL, DML, SET).
    pub schema: Option<SchemaRef>,
    /// One field per parameter, in order of `$1, $2, ...`; the type `Null` where it is not known.
    pub parameters: SchemaRef,
}

impl Prepared {
    /// Description of a statement by its plan. `analyzed` is its plan with types, if it has one.
    ///
    /// # Errors
    /// `InvalidInput` for a parameter that is no number.
    pub(crate) fn of(plan: &LogicalPlan, analyzed: Option<&LogicalPlan>) -> Result<Self> {
        let schema = answers_rows(plan).then(|| answer_schema(plan, analyzed));
        Ok(Self { schema, parameters: parameters(plan)? })
    }

    /// Description of a statement of ruvector's own: no rows and no parameters.
    pub(crate) fn of_command() -> Self {
        Self { schema: None, parameters: Schema::empty().into() }
    }
}

/// The plan of a query with its types, and with a search in the place of an ORDER BY that means one. A plan that cannot be
/// analyzed gives `None`: it fails when it runs, or has parameters that are not known yet.
pub(crate) fn analyzed(state: &SessionState, plan: &LogicalPlan) -> Option<LogicalPlan> {
    // DataFusion's own log events would show the values of SET.
    let analyzed = || state.analyzer().execute_and_check(plan.clone(), state.config_options(), |_, _| {}).ok();
    answers_rows(plan).then(analyzed)?
}
