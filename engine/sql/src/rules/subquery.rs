//! Parts that the rules about subqueries share.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, ExprSchema, Result, Spans, TableReference};
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::expr::Exists;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, Subquery, lit};

/// Returns true if the expression is a subquery itself.
pub(super) fn is_subquery(expr: &Expr) -> bool {
    matches!(expr, Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_) | Expr::ScalarSubquery(_))
}

/// Returns true if the expression is or contains a subquery.
pub(super) fn has_subquery(expr: &Expr) -> bool {
    expr.exists(|expr| Ok(is_subquery(expr))).unwrap_or(false)
}

/// The first column of a subquery, as an expression over its rows.
pub(super) fn value_of(plan: &LogicalPlan) -> Expr {
    Expr::Column(Column::from(plan.schema().qualified_field(0)))
}

/// A plan as a subquery.
pub(super) fn subquery(plan: LogicalPlan) -> Subquery {
    let outer_ref_columns = plan.all_out_ref_exprs();
    Subquery { subquery: Arc::new(plan), outer_ref_columns, spans: Spans::new() }
}

/// The predicate that a plan has a row. The plan may refer to the outer query; if it does not, the predicate is computed once.
pub(super) fn exists(plan: LogicalPlan) -> Result<Expr> {
    let subquery = subquery(plan);
    match subquery.outer_ref_columns.is_empty() {
        true => any_row(&subquery.subquery),
        false => Ok(Expr::Exists(Exists { subquery, negated: false })),
    }
}

/// The predicate that a plan has a row, as a scalar subquery. The plan must not refer to the outer query.
pub(super) fn any_row(plan: &Arc<LogicalPlan>) -> Result<Expr> {
    let counted = LogicalPlanBuilder::from(Arc::clone(plan))
        .limit(0, Some(1))?
        .aggregate(Vec::<Expr>::new(), [count(lit(1_i64)).alias("__rows")])?
        .project([Expr::Column(Column::from_name("__rows")).gt(lit(0_i64)).alias("__any_row")])?
        .build()?;
    Ok(Expr::ScalarSubquery(subquery(counted)))
}

/// The rows of a subquery for which `predicate` holds.
pub(super) fn filtered(plan: &LogicalPlan, predicate: Expr) -> Result<LogicalPlan> {
    LogicalPlanBuilder::from(plan.clone()).filter(predicate)?.build()
}

/// The expression as a subquery below refers to it.
pub(super) fn outer(expr: &Expr, schema: &DFSchema) -> Result<Expr> {
    let outer = expr.clone().transform(|expr| match expr {
        Expr::Column(column) => {
            let field = Arc::clone(schema.field_from_column(&column)?);
            Ok(Transformed::yes(Expr::OuterReferenceColumn(field, column)))
        }
        other => Ok(Transformed::no(other)),
    });
    outer.map(|outer| outer.data)
}

/// The expression under the name that it had before it was changed.
pub(super) fn named(expr: Expr, (relation, name): (Option<TableReference>, String)) -> Expr {
    // ANY and ALL are rewritten by the optimizer, which does not keep their names.
    let is_renamed = expr.exists(|expr| Ok(matches!(expr, Expr::SetComparison(_)))).unwrap_or(false);
    match !is_renamed && expr.qualified_name() == (relation.clone(), name.clone()) {
        true => expr,
        false => expr.alias_qualified(relation, name),
    }
}
