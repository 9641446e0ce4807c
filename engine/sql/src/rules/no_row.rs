//! A scalar subquery without a row is NULL, also if its column never is.
//!
//! DataFusion 55 takes the nullability of the column for that of the subquery, so that `(SELECT 'a' FROM empty) IS NULL` is
//! false to its optimizer, and an answer with such a column fails. Here a function around the subquery says that it may be NULL.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::{Expr, LogicalPlan, ScalarUDF};
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::analyzer::function_rewrite::ApplyFunctionRewrites;

use super::unchanged;

/// The rule that says which scalar subqueries may be NULL.
pub(crate) fn rule() -> Arc<dyn AnalyzerRule + Send + Sync> {
    let or_null = Arc::new(unchanged::function("or_null", true));
    Arc::new(ApplyFunctionRewrites::new(vec![Arc::new(NoRow { or_null })]))
}

#[derive(Debug)]
struct NoRow {
    or_null: Arc<ScalarUDF>,
}

impl FunctionRewrite for NoRow {
    fn name(&self) -> &str {
        "scalar_subqueries_without_a_row"
    }

    fn rewrite(&self, expr: Expr, _schema: &DFSchema, _config: &ConfigOptions) -> Result<Transformed<Expr>> {
        let Expr::ScalarSubquery(subquery) = &expr else { return Ok(Transformed::no(expr)) };
        let plan = subquery.subquery.as_ref();
        if plan.schema().field(0).is_nullable() || has_one_row(plan) {
            return Ok(Transformed::no(expr));
        }
        let call = ScalarFunction::new_udf(Arc::clone(&self.or_null), vec![expr]);
        Ok(Transformed::yes(Expr::ScalarFunction(call)))
    }
}

/// Returns true if there is a row whatever the tables hold.
fn has_one_row(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(projection) => has_one_row(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => has_one_row(&alias.input),
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
        LogicalPlan::EmptyRelation(relation) => relation.produce_one_row,
        _ => false,
    }
}
