//! Subqueries without rows, and subqueries that end in a node of another kind than DataFusion's.
//!
//! DataFusion 55 asks the topmost nodes of a subquery for its first expression, and fails (`single expression required`) where
//! they have none: an empty relation, which its own rules put in the place of `... WHERE false`, VALUES, or a search. Here the
//! value of a subquery without rows is put in its place, and the others get a projection.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::expr::{Exists, InSubquery, SetComparison, SetQuantifier};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, LogicalPlan, Projection, Subquery, lit};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use datafusion::scalar::ScalarValue;

use super::subquery::has_subquery;

/// Gives every subquery a first expression, or its value. It runs in two places, under different names.
#[derive(Debug)]
pub(crate) enum Headless {
    /// Before comparisons with ANY and ALL are rewritten.
    First,
    /// Before joins are made of subqueries.
    BeforeJoins,
}

impl OptimizerRule for Headless {
    fn name(&self) -> &str {
        match self {
            Self::First => "subqueries_without_expressions",
            Self::BeforeJoins => "subqueries_that_lost_their_expressions",
        }
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, _config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        if !plan.expressions().iter().any(has_subquery) {
            return Ok(Transformed::no(plan));
        }
        let names = NamePreserver::new(&plan);
        plan.map_expressions(|expr| {
            let name = names.save(&expr);
            let with_heads = expr.transform_up(|mut expr| {
                let (Expr::Exists(Exists { subquery, .. })
                | Expr::InSubquery(InSubquery { subquery, .. })
                | Expr::SetComparison(SetComparison { subquery, .. })
                | Expr::ScalarSubquery(subquery)) = &mut expr
                else {
                    return Ok(Transformed::no(expr));
                };
                if is_empty(&subquery.subquery) {
                    return value_of_empty(&expr).map(Transformed::yes);
                }
                if subquery.subquery.head_output_expr()?.is_some() {
                    return Ok(Transformed::no(expr));
                }
                *subquery = with_head(subquery)?;
                Ok(Transformed::yes(expr))
            })?;
            Ok(with_heads.update_data(|expr| name.restore(expr)))
        })
    }
}

/// Returns true if a plan is known to have no row.
fn is_empty(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::EmptyRelation(relation) => !relation.produce_one_row,
        LogicalPlan::SubqueryAlias(alias) => is_empty(&alias.input),
        _ => false,
    }
}

/// The value of a subquery, or of a predicate over it, if it has no rows.
fn value_of_empty(expr: &Expr) -> Result<Expr> {
    Ok(match expr {
        Expr::Exists(exists) => lit(exists.negated),
        Expr::InSubquery(within) => lit(within.negated),
        Expr::SetComparison(comparison) => lit(comparison.quantifier == SetQuantifier::All),
        Expr::ScalarSubquery(subquery) => {
            let data_type = subquery.subquery.schema().field(0).data_type();
            Expr::Literal(ScalarValue::try_from(data_type)?, None)
        }
        other => other.clone(),
    })
}

fn with_head(subquery: &Subquery) -> Result<Subquery> {
    let columns = subquery.subquery.schema().iter().map(|field| Expr::Column(Column::from(field))).collect();
    let projection = Projection::try_new(columns, Arc::clone(&subquery.subquery))?;
    Ok(subquery.with_plan(Arc::new(LogicalPlan::Projection(projection))))
}
