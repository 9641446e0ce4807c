//! `ORDER BY -f(x)`, as `<#>` makes it: the same order is that of `f(x)` the other way round.
//!
//! DataFusion 55 may find that a sort by a negated expression over a filter does not have the order that it was made for,
//! and plans nothing. A key without its sign has no such trouble, and no number whose negation overflows.

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan};
use datafusion::optimizer::AnalyzerRule;

/// Takes signs off the keys of a Sort.
#[derive(Debug)]
pub(crate) struct NegatedKeys;

/// Returns true if the order of the negative of an expression is the expression's own order the other way round. Intervals have
/// no defined order. NaN is the greatest float with either sign, and of floats only the functions of vectors have no NaN.
fn turns(expr: &Expr, schema: &DFSchema) -> Result<bool> {
    let data_type = expr.get_type(schema)?;
    let of_vectors = matches!(expr, Expr::ScalarFunction(call) if OF_VECTORS.contains(&call.name()));
    Ok(data_type.is_numeric() && (of_vectors || !data_type.is_floating()))
}

const OF_VECTORS: [&str; 4] = ["inner_product", "cosine_similarity", "l2_distance", "cosine_distance"];

impl AnalyzerRule for NegatedKeys {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        let turned = plan.transform_up_with_subqueries(|plan| {
            let LogicalPlan::Sort(mut sort) = plan else { return Ok(Transformed::no(plan)) };
            let mut changed = false;
            for key in &mut sort.expr {
                while let Expr::Negative(negated) = &key.expr
                    && turns(negated, sort.input.schema())?
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
