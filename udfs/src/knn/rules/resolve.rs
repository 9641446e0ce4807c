//! Seeing through nodes that keep rows as they are.

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::{Expr, LogicalPlan};

/// An expression over the columns of `plan` in the words of what is under its projections, aliases, filters and sorts.
pub(super) fn resolve(expr: &Expr, plan: &LogicalPlan) -> Result<Expr> {
    let (replaced, below) = match plan {
        LogicalPlan::Projection(projection) => {
            let of_input = |column: &Column| -> Result<Expr> {
                let position = projection.schema.index_of_column(column)?;
                Ok(projection.expr[position].clone().unalias())
            };
            (replace_columns(expr, of_input)?, &projection.input)
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let of_input = |column: &Column| -> Result<Expr> {
                let position = alias.schema.index_of_column(column)?;
                Ok(Expr::from(alias.input.schema().qualified_field(position)))
            };
            (replace_columns(expr, of_input)?, &alias.input)
        }
        LogicalPlan::Filter(filter) => (expr.clone(), &filter.input),
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => (expr.clone(), &sort.input),
        LogicalPlan::Limit(limit) => (expr.clone(), &limit.input),
        LogicalPlan::Subquery(subquery) => (expr.clone(), &subquery.subquery),
        _ => return Ok(expr.clone()),
    };
    resolve(&replaced, below)
}

/// The expression with something else for each of its columns.
pub(crate) fn replace_columns(expr: &Expr, replacement: impl Fn(&Column) -> Result<Expr>) -> Result<Expr> {
    let replaced = expr.clone().transform(|expr| match &expr {
        Expr::Column(column) => replacement(column).map(Transformed::yes),
        _ => Ok(Transformed::no(expr)),
    });
    replaced.map(|replaced| replaced.data)
}
