//! Keys of sorts and windows in which `-0.0` equals `0.0` and a NaN every NaN.
//!
//! DataFusion 55 compares floats for equality by their value, but sorts by all of their bits: of rows that are equal in `x`, the
//! order of `ORDER BY x, y` is not that of `y`, and a window has them apart. Here such a key is `x + 0.0`, which is one value
//! for both zeros. The last key of an ORDER BY stays as it is, for no order of equal rows is a wrong one. Lists and structs with
//! floats that a function takes with DISTINCT have one form too: DataFusion makes `count(DISTINCT l)` a GROUP BY of `l`.

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::{AggregateFunction, Sort, WindowFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::AnalyzerRule;

use super::negative::without_sign;
use super::one_form::in_one_form;

/// Makes keys of equal floats equal.
#[derive(Debug)]
pub(crate) struct FloatKeys;

impl AnalyzerRule for FloatKeys {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        let with_keys = plan.transform_up_with_subqueries(|plan| match plan {
            LogicalPlan::Sort(mut sort) => {
                let changed = ordered(&mut sort.expr, sort.input.schema())?;
                Ok(Transformed::new_transformed(LogicalPlan::Sort(sort), changed))
            }
            LogicalPlan::Window(_) | LogicalPlan::Aggregate(_) => {
                let Some(input) = plan.inputs().first().map(|input| input.schema().as_ref().clone()) else {
                    return Ok(Transformed::no(plan));
                };
                let names = NamePreserver::new(&plan);
                plan.map_expressions(|expr| {
                    let name = names.save(&expr);
                    let with_keys = expr.transform_up(|expr| of_function(expr, &input))?;
                    Ok(with_keys.update_data(|expr| name.restore(expr)))
                })
            }
            other => Ok(Transformed::no(other)),
        });
        with_keys.map(|with_keys| with_keys.data)
    }

    fn name(&self) -> &str {
        "keys_of_floats"
    }
}

/// Changes the keys of an order but the last.
fn ordered(keys: &mut [Sort], schema: &DFSchema) -> Result<bool> {
    let Some((_, keys)) = keys.split_last_mut() else { return Ok(false) };
    let mut changed = false;
    for key in keys {
        changed |= without_sign(&mut key.expr, schema)?;
    }
    Ok(changed)
}

/// Puts the lists and structs that a function takes with DISTINCT in one form, in its ORDER BY as in its arguments.
fn distinct(args: &mut [Expr], keys: &mut [Sort], schema: &DFSchema) -> Result<bool> {
    let mut changed = false;
    for value in args.iter_mut().chain(keys.iter_mut().map(|key| &mut key.expr)) {
        changed |= in_one_form(value, schema)?;
    }
    Ok(changed)
}

fn of_function(mut expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let changed = match &mut expr {
        Expr::WindowFunction(window) => {
            let WindowFunction { params, .. } = window.as_mut();
            let mut changed = false;
            let keys = params.order_by.iter_mut().map(|key| &mut key.expr);
            for key in keys.chain(&mut params.partition_by) {
                changed |= without_sign(key, schema)?;
            }
            changed | (params.distinct && distinct(&mut params.args, &mut [], schema)?)
        }
        Expr::AggregateFunction(AggregateFunction { params, .. }) if params.distinct => {
            distinct(&mut params.args, &mut params.order_by, schema)?
        }
        Expr::AggregateFunction(AggregateFunction { params, .. }) => ordered(&mut params.order_by, schema)?,
        _ => false,
    };
    Ok(Transformed::new_transformed(expr, changed))
}
