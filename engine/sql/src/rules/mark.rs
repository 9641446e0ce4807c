//! EXISTS and IN (SELECT ...) in a SELECT list: a column of the row, as a mark join below makes it.
//!
//! DataFusion 55 makes joins of these predicates in filters only; in a projection its physical planner refuses them. Here
//! its own rule is applied to a filter that has nothing but the predicate, and of the result the join is taken.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, not_impl_err};
use datafusion::logical_expr::{Expr, Filter, LogicalPlan, Projection, not};
use datafusion::optimizer::decorrelate_predicate_subquery::DecorrelatePredicateSubquery;
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use super::subquery::{any_row, has_subquery, named};

/// Makes mark joins of the EXISTS and IN of projections.
#[derive(Debug, Default)]
pub(crate) struct Marks(DecorrelatePredicateSubquery);

impl OptimizerRule for Marks {
    fn name(&self) -> &str {
        "marks_of_subqueries"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Projection(projection) = plan else { return Ok(Transformed::no(plan)) };
        let mut input = projection.input.as_ref().clone();
        let mut marked = Vec::with_capacity(projection.expr.len());
        let mut changed = false;
        for expr in &projection.expr {
            let name = expr.qualified_name();
            let with_marks = expr.clone().transform_down(|expr| {
                let mark = match &expr {
                    Expr::Exists(exists) if exists.subquery.outer_ref_columns.is_empty() => {
                        let found = any_row(&exists.subquery.subquery)?;
                        if exists.negated { not(found) } else { found }
                    }
                    Expr::Exists(_) | Expr::InSubquery(_) => {
                        let (joined, mark) = self.join(&input, &expr, config)?;
                        input = joined;
                        mark
                    }
                    _ => return Ok(Transformed::no(expr)),
                };
                Ok(Transformed::new(mark, true, TreeNodeRecursion::Jump))
            })?;
            changed |= with_marks.transformed;
            marked.push(named(with_marks.data, name));
        }
        match changed {
            true => Ok(Transformed::yes(LogicalPlan::Projection(Projection::try_new(marked, Arc::new(input))?))),
            false => Ok(Transformed::no(LogicalPlan::Projection(projection))),
        }
    }
}

impl Marks {
    /// The rows of `input` with a mark for `predicate`, and the mark.
    fn join(&self, input: &LogicalPlan, predicate: &Expr, config: &dyn OptimizerConfig) -> Result<(LogicalPlan, Expr)> {
        // Not the predicate by itself, of which the rule would make a semi join.
        let embedded = Expr::IsTrue(Box::new(predicate.clone()));
        let filter = LogicalPlan::Filter(Filter::try_new(embedded, Arc::new(input.clone()))?);
        if let LogicalPlan::Projection(projection) = self.0.rewrite(filter, config)?.data
            && let LogicalPlan::Filter(filter) = projection.input.as_ref()
            && let Expr::IsTrue(mark) = &filter.predicate
            && !has_subquery(mark)
        {
            return Ok((filter.input.as_ref().clone(), mark.as_ref().clone()));
        }
        not_impl_err!("{predicate}: a subquery of this shape that refers to the outer query; write it as a join")
    }
}
