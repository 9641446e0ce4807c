//! Floats within lists and structs are equal where floats are: `-0.0` equals `0.0`, and every NaN every NaN.
//!
//! DataFusion 55 compares lists and structs by all bits of their floats: in comparisons, keys of groups and joins, DISTINCT,
//! memberships and the functions of lists. Here such values go through a function that gives zeros and NaNs one form. Operators of
//! expressions get it from [`negative`](super::negative), keys of sorts and windows and arguments of
//! DISTINCT from [`float_keys`](super::float_keys); this
//! rule gives it to groups, DISTINCT, joins and subqueries.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::logical_expr::expr::{InSubquery, SetComparison};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Distinct, Expr, GroupingSet, LogicalPlan, LogicalPlanBuilder, Subquery};
use datafusion::optimizer::AnalyzerRule;

use crate::rules::one_form::in_one_form;

/// Gives nested floats one form in keys of groups and joins, DISTINCT, and memberships in subqueries.
#[derive(Debug)]
pub(crate) struct NestedFloats;

impl AnalyzerRule for NestedFloats {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        let in_one_form = plan.transform_up_with_subqueries(|plan| {
            let plan = subqueries(plan)?;
            plan.transform_data(|plan| match plan {
                LogicalPlan::Aggregate(_) => groups(plan),
                LogicalPlan::Distinct(Distinct::All(input)) => {
                    Ok(projected(input)?.update_data(|input| LogicalPlan::Distinct(Distinct::All(input))))
                }
                LogicalPlan::Distinct(Distinct::On(mut on)) => {
                    let input = projected(on.input)?;
                    on.input = input.data;
                    Ok(Transformed::new_transformed(LogicalPlan::Distinct(Distinct::On(on)), input.transformed))
                }
                LogicalPlan::Join(mut join) => {
                    let mut changed = false;
                    for (left, right) in &mut join.on {
                        changed |= in_one_form(left, join.left.schema())?;
                        changed |= in_one_form(right, join.right.schema())?;
                    }
                    Ok(Transformed::new_transformed(LogicalPlan::Join(join), changed))
                }
                other => Ok(Transformed::no(other)),
            })
        });
        in_one_form.map(|plan| plan.data)
    }

    fn name(&self) -> &str {
        "nested_floats"
    }
}

/// Keys of an aggregate.
fn groups(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let names = NamePreserver::new(&plan);
    let LogicalPlan::Aggregate(mut aggregate) = plan else { return Ok(Transformed::no(plan)) };
    let input = aggregate.input.schema();
    let mut changed = false;
    for group in &mut aggregate.group_expr {
        let keys: Vec<&mut Expr> = match group {
            Expr::GroupingSet(GroupingSet::Rollup(keys) | GroupingSet::Cube(keys)) => keys.iter_mut().collect(),
            Expr::GroupingSet(GroupingSet::GroupingSets(sets)) => sets.iter_mut().flatten().collect(),
            key => vec![key],
        };
        for key in keys {
            let name = names.save(key);
            if in_one_form(key, input)? {
                *key = name.restore(std::mem::take(key));
                changed = true;
            }
        }
    }
    Ok(Transformed::new_transformed(LogicalPlan::Aggregate(aggregate), changed))
}

/// A plan with its columns in one form.
fn projected(input: Arc<LogicalPlan>) -> Result<Transformed<Arc<LogicalPlan>>> {
    let schema = Arc::clone(input.schema());
    let mut changed = false;
    let columns = schema.iter().map(|(qualifier, field)| {
        let mut expr = Expr::Column(Column::from((qualifier, field)));
        if in_one_form(&mut expr, &schema)? {
            changed = true;
            expr = expr.alias_qualified(qualifier.cloned(), field.name());
        }
        Ok(expr)
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    if !changed {
        return Ok(Transformed::no(input));
    }
    let plan = LogicalPlanBuilder::from(input).project(columns)?.build()?;
    Ok(Transformed::yes(Arc::new(plan)))
}

/// Memberships and comparisons with the rows of a subquery.
fn subqueries(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let mut schema = DFSchema::empty();
    for input in plan.inputs() {
        schema.merge(input.schema());
    }
    let names = NamePreserver::new(&plan);
    plan.map_expressions(|expr| {
        let name = names.save(&expr);
        let rewritten = expr.transform_up(|expr| match expr {
            Expr::InSubquery(InSubquery { mut expr, subquery, negated }) => {
                let mut changed = in_one_form(&mut expr, &schema)?;
                let subquery = with_rows(subquery, &mut changed)?;
                let membership = Expr::InSubquery(InSubquery { expr, subquery, negated });
                Ok(Transformed::new_transformed(membership, changed))
            }
            Expr::SetComparison(SetComparison { mut expr, subquery, op, quantifier }) => {
                let mut changed = in_one_form(&mut expr, &schema)?;
                let subquery = with_rows(subquery, &mut changed)?;
                let comparison = Expr::SetComparison(SetComparison { expr, subquery, op, quantifier });
                Ok(Transformed::new_transformed(comparison, changed))
            }
            other => Ok(Transformed::no(other)),
        })?;
        Ok(rewritten.update_data(|expr| name.restore(expr)))
    })
}

fn with_rows(subquery: Subquery, changed: &mut bool) -> Result<Subquery> {
    let rows = projected(Arc::clone(&subquery.subquery))?;
    *changed |= rows.transformed;
    Ok(subquery.with_plan(rows.data))
}
