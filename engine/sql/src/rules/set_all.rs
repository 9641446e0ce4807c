//! EXCEPT ALL and INTERSECT ALL count the copies of a row.
//!
//! DataFusion 55 plans them as an anti and a semi join, which keep or drop all copies of a row together. SQL has max(m - n, 0)
//! and min(m, n) copies of a row that is m times on the left and n times on the right. Here the copies of a row are numbered on
//! both sides, and the number is one more column that must be equal.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, NullEquality, Result};
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::{
    Distinct, Expr, ExprFunctionExt, Join, JoinType, LogicalPlan, LogicalPlanBuilder, Projection,
};
use datafusion::optimizer::AnalyzerRule;

/// Numbers the copies of rows below EXCEPT ALL and INTERSECT ALL.
#[derive(Debug)]
pub(crate) struct Copies;

impl AnalyzerRule for Copies {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        let counted = plan.transform_up_with_subqueries(|plan| match plan {
            LogicalPlan::Join(join) if is_of_copies(&join) => numbered(join).map(Transformed::yes),
            other => Ok(Transformed::no(other)),
        });
        counted.map(|counted| counted.data)
    }

    fn name(&self) -> &str {
        "copies_of_rows"
    }
}

/// The name of the column that has the number of a copy.
const COPY: &str = "__copy";

/// Returns true if a join was planned for EXCEPT ALL or INTERSECT ALL. Before optimization the only other joins with equal NULLs
/// are those of EXCEPT and INTERSECT, whose left side has no copies.
fn is_of_copies(join: &Join) -> bool {
    matches!(join.join_type, JoinType::LeftAnti | JoinType::LeftSemi)
        && join.null_equality == NullEquality::NullEqualsNull
        && join.filter.is_none()
        && !is_distinct(&join.left)
        && !join.on.iter().any(|(left, _)| matches!(left, Expr::Column(column) if column.name == COPY))
}

fn is_distinct(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Distinct(Distinct::All(_)) => true,
        LogicalPlan::SubqueryAlias(alias) => is_distinct(&alias.input),
        _ => false,
    }
}

fn numbered(join: Join) -> Result<LogicalPlan> {
    let columns: Vec<_> = join.left.schema().columns().into_iter().map(Expr::Column).collect();
    let (left_keys, right_keys): (Vec<_>, Vec<_>) = join.on.iter().cloned().unzip();
    let (left, left_copy) = with_copies(&join.left, left_keys)?;
    let (right, right_copy) = with_copies(&join.right, right_keys)?;
    let mut on = join.on;
    on.push((left_copy, right_copy));
    let join = Join::try_new(
        Arc::new(left),
        Arc::new(right),
        on,
        None,
        join.join_type,
        join.join_constraint,
        join.null_equality,
        join.null_aware,
    )?;
    Ok(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(LogicalPlan::Join(join)))?))
}

/// The rows with the number of each among those that are equal to it, and that column.
fn with_copies(plan: &Arc<LogicalPlan>, keys: Vec<Expr>) -> Result<(LogicalPlan, Expr)> {
    let number = row_number().partition_by(keys).build()?.alias(COPY);
    let plan = LogicalPlanBuilder::from(Arc::clone(plan)).window([number])?.build()?;
    Ok((plan, Expr::Column(Column::from_name(COPY))))
}
