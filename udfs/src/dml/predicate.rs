//! Which rows a DELETE or UPDATE means.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchemaRef};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, Filter, LogicalPlan};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::scalar::ScalarValue;

use super::subquery::resolve_subqueries;
use crate::error::{Error, Result};

/// Which rows a statement means.
pub(super) enum Rows {
    None,
    All,
    Where(Expr),
}

/// The predicate over the scan of the table, or `None` if there is none.
fn rows_of(input: &LogicalPlan) -> Result<Option<&Expr>> {
    let scans = |plan: &LogicalPlan| match plan {
        LogicalPlan::SubqueryAlias(alias) => matches!(alias.input.as_ref(), LogicalPlan::TableScan(_)),
        other => matches!(other, LogicalPlan::TableScan(_)),
    };
    match input {
        LogicalPlan::Filter(Filter { predicate, input, .. }) if scans(input) => Ok(Some(predicate)),
        other if scans(other) => Ok(None),
        other => {
            Err(Error::not_supported(format!("DELETE or UPDATE of the rows of {} is not supported", other.display())))
        }
    }
}

pub(super) async fn predicate_of(state: &SessionState, input: &LogicalPlan) -> Result<Rows> {
    let Some(predicate) = rows_of(input)? else { return Ok(Rows::All) };
    let predicate = resolve_subqueries(state, predicate.clone()).await?;
    refuse_volatile(&predicate)?;
    // IS TRUE: the library deletes every row for a predicate that simplifies to NULL, as `id > NULL` does.
    let holds = simplify(state, predicate.is_true(), input.schema())?;
    match &holds {
        Expr::Literal(ScalarValue::Boolean(Some(true)), _) => Ok(Rows::All),
        Expr::Literal(..) => Ok(Rows::None),
        _ => Ok(Rows::Where(unqualified(holds)?)),
    }
}

fn simplify(state: &SessionState, expr: Expr, schema: &DFSchemaRef) -> Result<Expr> {
    let context = SimplifyContext::builder()
        .with_schema(Arc::clone(schema))
        .with_config_options(Arc::clone(state.config_options()))
        .build();
    Ok(ExprSimplifier::new(context).simplify(expr)?)
}

pub(super) fn refuse_volatile(expr: &Expr) -> Result<()> {
    match expr.is_volatile() {
        true => Err(Error::not_supported(format!("a data change with {expr}: its value changes from call to call"))),
        false => Ok(()),
    }
}

/// The Delta library knows the table's columns by their plain names.
pub(super) fn unqualified(expr: Expr) -> Result<Expr> {
    let plain = expr.transform(|expr| match expr {
        Expr::Column(column) => Ok(Transformed::yes(Expr::Column(Column::from_name(column.name)))),
        other => Ok(Transformed::no(other)),
    })?;
    Ok(plain.data)
}
