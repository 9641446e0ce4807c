//! Conditions of a subquery that refer to the outer query, below operators that they must not pass.
//!
//! DataFusion 55 makes a join of such a subquery: it moves the conditions to the join, above everything in the subquery. Window
//! functions then see the rows of all outer rows. Where those conditions are `inner = outer`, the inner sides become keys of
//! PARTITION BY here, so that the rows of one outer row are partitions of their own. The row that an outer join or an anti join
//! keeps for want of a partner, and the group that HAVING drops in LATERAL, are then not told apart: these, and windows below other
//! conditions, are `NotSupported`.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, not_impl_err};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, Join, JoinType, LogicalPlan, Operator, Window};
use datafusion::optimizer::AnalyzerRule;

/// Partitions the window functions of correlated subqueries, and refuses other operators in them.
#[derive(Debug)]
pub(crate) struct Correlated;

impl AnalyzerRule for Correlated {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        let partitioned = plan.transform_up_with_subqueries(|plan| match plan {
            LogicalPlan::Window(window) if is_correlated(&window.input) => partitioned(window),
            LogicalPlan::Join(join) => check(&join).map(|()| Transformed::no(LogicalPlan::Join(join))),
            other => Ok(Transformed::no(other)),
        });
        partitioned.map(|partitioned| partitioned.data)
    }

    fn name(&self) -> &str {
        "places_of_correlated_conditions"
    }
}

fn is_correlated(plan: &LogicalPlan) -> bool {
    !plan.all_out_ref_exprs().is_empty()
}

fn check(join: &Join) -> Result<()> {
    let (left, right) = match join.join_type {
        JoinType::Inner => (false, false),
        JoinType::Left | JoinType::LeftAnti | JoinType::LeftSemi | JoinType::LeftMark => (false, true),
        JoinType::Right | JoinType::RightAnti | JoinType::RightSemi | JoinType::RightMark => (true, false),
        JoinType::Full => (true, true),
    };
    // The subquery of LATERAL refers to the other side of the join.
    let lateral = match join.right.as_ref() {
        LogicalPlan::SubqueryAlias(alias) => alias.input.as_ref(),
        right => right,
    };
    if let LogicalPlan::Subquery(lateral) = lateral {
        return match drops_group(&lateral.subquery) {
            true => {
                not_impl_err!("HAVING in LATERAL without GROUP BY: write the condition in the WHERE of the outer query")
            }
            false => Ok(()),
        };
    }
    match (left && is_correlated(&join.left)) || (right && is_correlated(&join.right)) {
        true => not_impl_err!(
            "a condition that refers to the outer query, in a table of a {} join: write it in the ON of the join or in WHERE",
            join.join_type
        ),
        false => Ok(()),
    }
}

/// Returns true if the one group of an aggregate over correlated rows may be dropped.
fn drops_group(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(projection) => drops_group(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => drops_group(&alias.input),
        LogicalPlan::Filter(filter) => match filter.input.as_ref() {
            LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty() && is_correlated(&aggregate.input),
            input => drops_group(input),
        },
        _ => false,
    }
}

fn partitioned(window: Window) -> Result<Transformed<LogicalPlan>> {
    let mut keys = Vec::new();
    if !correlations(&window.input, &mut keys) {
        return not_impl_err!(
            "a window function in a subquery that refers to the outer query in another way than by a condition inner = outer in \
             its WHERE"
        );
    }
    let input = Arc::clone(&window.input);
    let names = NamePreserver::new(&LogicalPlan::Window(window.clone()));
    let functions = window.window_expr.into_iter().map(|function| {
        let name = names.save(&function);
        let function = function.transform_up(|expr| match expr {
            Expr::WindowFunction(mut function) => {
                let partitions = &mut function.params.partition_by;
                let new: Vec<_> = keys.iter().filter(|key| !partitions.contains(key)).cloned().collect();
                partitions.extend(new);
                Ok(Transformed::yes(Expr::WindowFunction(function)))
            }
            other => Ok(Transformed::no(other)),
        })?;
        Ok(name.restore(function.data))
    });
    let functions = functions.collect::<Result<Vec<_>>>()?;
    Ok(Transformed::yes(LogicalPlan::Window(Window::try_new(functions, input)?)))
}

/// Gathers the inner sides of the conditions that refer to the outer query. Whether all references stand in such conditions.
fn correlations(plan: &LogicalPlan, keys: &mut Vec<Expr>) -> bool {
    match plan {
        LogicalPlan::Filter(filter) => {
            split_conjunction(&filter.predicate).into_iter().filter(|part| part.contains_outer()).all(|part| {
                let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = part else { return false };
                let inner = match (is_outer(left), is_outer(right)) {
                    (true, false) => right,
                    (false, true) => left,
                    _ => return false,
                };
                keys.push(inner.as_ref().clone());
                !inner.contains_outer()
            }) && correlations(&filter.input, keys)
        }
        // Of the same columns.
        LogicalPlan::Window(window) => {
            !window.window_expr.iter().any(Expr::contains_outer) && correlations(&window.input, keys)
        }
        other => !is_correlated(other),
    }
}

/// Returns true if an expression has columns of the outer query alone.
fn is_outer(expr: &Expr) -> bool {
    let has_inner = expr.exists(|expr| Ok(matches!(expr, Expr::Column(_)))).unwrap_or(true);
    expr.contains_outer() && !has_inner
}
