//! Subqueries in the expressions of a data change: run first, and replaced by the values that they yield.

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::scalar::ScalarValue;

use super::run;
use crate::error::{Error, ErrorKind, Result};

/// Values that a subquery in a predicate may yield.
const SUBQUERY_ROWS_MAX: usize = 1_000_000;

/// Replaces subqueries that do not refer to the table by the values that they yield.
pub(super) async fn resolve_subqueries(state: &SessionState, expr: Expr) -> Result<Expr> {
    let mut subqueries = Vec::new();
    expr.apply(|expr| {
        if matches!(expr, Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_) | Expr::SetComparison(_)) {
            subqueries.push(expr.clone());
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    let mut resolved = expr;
    for subquery in subqueries {
        let value = resolve(state, &subquery).await?;
        resolved = resolved
            .transform(
                |expr| if expr == subquery { Ok(Transformed::yes(value.clone())) } else { Ok(Transformed::no(expr)) },
            )?
            .data;
    }
    Ok(resolved)
}

async fn resolve(state: &SessionState, expr: &Expr) -> Result<Expr> {
    let (subquery, what) = match expr {
        Expr::ScalarSubquery(subquery) => (subquery, "a subquery"),
        Expr::InSubquery(within) => (&within.subquery, "IN (SELECT ...)"),
        Expr::Exists(exists) => (&exists.subquery, "EXISTS"),
        other => return Err(Error::not_supported(format!("a data change with {other} is not supported"))),
    };
    if !subquery.outer_ref_columns.is_empty() {
        return Err(Error::not_supported(format!(
            "a data change with {what} that refers to the table itself is not supported: select the keys of the rows \
             in a subquery that stands alone, as in WHERE id IN (SELECT ...)"
        )));
    }
    let plan = subquery.subquery.as_ref().clone();
    match expr {
        Expr::Exists(exists) => {
            let plan = LogicalPlanBuilder::from(plan).limit(0, Some(1))?.build()?;
            let rows: usize = run(state, plan).await?.iter().map(|batch| batch.num_rows()).sum();
            Ok(Expr::Literal(ScalarValue::Boolean(Some((rows > 0) != exists.negated)), None))
        }
        Expr::InSubquery(within) => {
            let values = first_column(state, plan).await?;
            if values.len() > SUBQUERY_ROWS_MAX {
                let message = format!("{what} yields too many rows: at most {SUBQUERY_ROWS_MAX}, got {}", values.len());
                return Err(Error::new(ErrorKind::ResourceExhausted, message));
            }
            if values.is_empty() {
                return Ok(Expr::Literal(ScalarValue::Boolean(Some(within.negated)), None));
            }
            let list = values.into_iter().map(|value| Expr::Literal(value, None)).collect();
            Ok(Expr::InList(InList::new(within.expr.clone(), list, within.negated)))
        }
        _ => {
            let data_type = plan.schema().field(0).data_type().clone();
            let mut values = first_column(state, plan).await?;
            match (values.pop(), values.is_empty()) {
                (Some(value), true) => Ok(Expr::Literal(value, None)),
                (None, _) => Ok(Expr::Literal(ScalarValue::try_from(&data_type)?, None)),
                _ => Err(Error::invalid_input("a subquery used as a value yields more than one row")),
            }
        }
    }
}

async fn first_column(state: &SessionState, plan: LogicalPlan) -> Result<Vec<ScalarValue>> {
    let mut values = Vec::new();
    for batch in run(state, plan).await? {
        for row in 0..batch.num_rows() {
            values.push(ScalarValue::try_from_array(batch.column(0), row)?);
        }
    }
    Ok(values)
}
