//! `ORDER BY -f(x)`, as `<#>` makes it: the same order is that of `f(x)` the other way round.
//!
//! DataFusion 55 may find that a sort by a negated expression over a filter does not have the order that it was made for,
//! and plans nothing. A key without its sign has no such trouble, and no number whose negation overflows.

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan};
use datafusion::optimizer::AnalyzerRule;

/// Takes signs off the keys of a Sort.
#[derive(Debug)]
pub(crate) struct NegatedKeys;

impl AnalyzerRule for NegatedKeys {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        let turned = plan.transform_up_with_subqueries(|plan| {
            let LogicalPlan::Sort(mut sort) = plan else { return Ok(Transformed::no(plan)) };
            let mut changed = false;
            for key in &mut sort.expr {
                // Of intervals it is not said what is greater.
                while let Expr::Negative(negated) = &key.expr
                    && negated.get_type(sort.input.schema())?.is_numeric()
                {
                    key.expr = negated.as_ref().clone();
                    key.asc = !key.asc;
                    changed = true;
                }
            }
            let sort = LogicalPlan::Sort(sort);
            Ok(if changed { Transformed::yes(sort) } else { Transformed::no(sort) })
        });
        turned.map(|turned| turned.data)
    }

    fn name(&self) -> &str {
        "negated_keys"
    }
}
