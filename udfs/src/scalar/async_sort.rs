//! `ORDER BY l2_distance(vec, embed('text'))`: what is awaited is computed before the Sort.
//!
//! DataFusion awaits functions in projections and filters, not in the keys of a Sort, where they fail when they are run.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, Sort};
use datafusion::optimizer::AnalyzerRule;

/// Moves keys that are awaited into a projection under their Sort.
#[derive(Debug)]
pub struct AsyncSort;

impl AnalyzerRule for AsyncSort {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        let moved = plan.transform_up_with_subqueries(|plan| match &plan {
            LogicalPlan::Sort(sort) if sort.expr.iter().any(|key| is_awaited(&key.expr)) => {
                move_keys(sort).map(Transformed::yes)
            }
            _ => Ok(Transformed::no(plan)),
        });
        moved.map(|moved| moved.data)
    }

    fn name(&self) -> &str {
        "async_sort"
    }
}

fn is_awaited(expr: &Expr) -> bool {
    let awaited =
        expr.exists(|expr| Ok(matches!(expr, Expr::ScalarFunction(function) if function.func.as_async().is_some())));
    awaited.unwrap_or(false)
}

fn move_keys(sort: &Sort) -> Result<LogicalPlan> {
    let columns = || sort.input.schema().iter().map(Expr::from);
    let mut sorted = sort.clone();
    let mut computed = Vec::new();
    for key in &mut sorted.expr {
        if is_awaited(&key.expr) {
            let name = format!("__key_{}", computed.len());
            let column = Expr::Column(Column::from_name(&name));
            computed.push(std::mem::replace(&mut key.expr, column).alias(name));
        }
    }
    let input = LogicalPlanBuilder::from(Arc::clone(&sort.input)).project(columns().chain(computed))?.build()?;
    sorted.input = Arc::new(input);
    LogicalPlanBuilder::from(LogicalPlan::Sort(sorted)).project(columns())?.build()
}
