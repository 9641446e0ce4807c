//! `RIGHT JOIN` and `FULL JOIN ... USING (id)`: the merged `id` has the value of the side that has a row.
//!
//! DataFusion 55 takes the column of the left table, which is NULL where there is none. Here a projection above the join puts
//! the merged value in its place, `coalesce(a.id, b.id)` of a FULL and `b.id` of a RIGHT JOIN, and keeps the table's own under
//! another name: `a.id` in a statement, which [`super::using`] has marked, is that one. NATURAL joins are such joins.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, ExprSchema, Result};
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::logical_expr::expr::{Exists, InSubquery, SetComparison};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, Join, JoinConstraint, JoinType, LogicalPlan, Projection, ScalarUDF};
use datafusion::optimizer::AnalyzerRule;

use super::subquery::subquery;
use super::unchanged;

/// Name of the function that marks a column of a table, as it is without the merge.
pub(super) const OF_TABLE: &str = "column_of_table";

/// The name of a column without the marks in it.
pub(super) fn unmarked_name(name: &str) -> String {
    let mut unmarked = String::with_capacity(name.len());
    let mut rest = name;
    while let Some((before, marked)) =
        rest.split_once(OF_TABLE).and_then(|(before, call)| Some((before, call.strip_prefix('(')?)))
    {
        let (column, after) = marked.split_once(')').unwrap_or((marked, ""));
        unmarked.push_str(before);
        unmarked.push_str(column);
        rest = after;
    }
    unmarked.push_str(rest);
    unmarked
}

/// Begins the names of such columns.
const OWN: &str = "__own_";

/// The function that marks a column of a table.
pub(crate) fn column_of_table() -> ScalarUDF {
    unchanged::function(OF_TABLE, false)
}

/// Gives merged columns the value of the side that has a row.
#[derive(Debug)]
pub(crate) struct Merged;

impl AnalyzerRule for Merged {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        let mut found = false;
        plan.apply_with_subqueries(|plan| {
            found |= is_partial(plan) || plan.expressions().iter().any(has_mark);
            Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })?;
        if !found {
            return Ok(plan);
        }
        let merged = plan.transform_up_with_subqueries(|plan| match plan {
            LogicalPlan::Join(join) if is_partial_join(&join) => merged(join).map(Transformed::yes),
            plan => with_own_columns(plan),
        })?;
        // Of tables whose columns no join has merged.
        let unmarked = merged.data.transform_up_with_subqueries(|plan| {
            if !plan.expressions().iter().any(has_mark) {
                return Ok(Transformed::no(plan));
            }
            with_names(plan, |expr| replaced(expr, |column| Some(column.clone())).map(Transformed::yes))
        })?;
        Ok(unmarked.data)
    }

    fn name(&self) -> &str {
        "merged_columns"
    }
}

fn is_partial(plan: &LogicalPlan) -> bool {
    matches!(plan, LogicalPlan::Join(join) if is_partial_join(join))
}

fn is_partial_join(join: &Join) -> bool {
    join.join_constraint == JoinConstraint::Using && matches!(join.join_type, JoinType::Right | JoinType::Full)
}

fn has_mark(expr: &Expr) -> bool {
    expr.exists(|expr| Ok(marked(expr).is_some())).unwrap_or(false)
}

/// The column that is marked.
fn marked(expr: &Expr) -> Option<&Expr> {
    match expr {
        Expr::ScalarFunction(call) if call.func.name() == OF_TABLE => call.args.first(),
        _ => None,
    }
}

/// The name of a column of a table, as it is without the merge.
fn own(column: &Column) -> Column {
    Column::new(column.relation.clone(), format!("{OWN}{}", column.name))
}

/// The join with the merged values in the places of its left columns.
fn merged(join: Join) -> Result<LogicalPlan> {
    // Of the sides as they are now: a join below may have got columns.
    let join = LogicalPlan::Join(join).recompute_schema()?;
    let LogicalPlan::Join(join) = join else { return Ok(join) };
    let mut values = Vec::with_capacity(join.on.len());
    for (left, right) in &join.on {
        let (Expr::Column(left), Expr::Column(right)) = (left, right) else { continue };
        let right = Expr::Column(right.clone());
        let value = match join.join_type {
            JoinType::Full => coalesce(vec![Expr::Column(left.clone()), right]),
            _ => right,
        };
        values.push((left.clone(), value));
    }
    let schema = Arc::clone(&join.schema);
    let mut columns: Vec<Expr> = Vec::with_capacity(schema.fields().len() + values.len());
    for column in schema.columns() {
        columns.push(match values.iter().find(|(left, _)| *left == column) {
            Some((left, value)) => value.clone().alias_qualified(left.relation.clone(), left.name.clone()),
            None => Expr::Column(column),
        });
    }
    for (left, _) in values {
        let own = own(&left);
        // A join below has merged it before.
        if !schema.has_column(&own) {
            columns.push(Expr::Column(left).alias_qualified(own.relation, own.name));
        }
    }
    Ok(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(LogicalPlan::Join(join)))?))
}

/// The node with the columns of tables in the places of those that are marked.
fn with_own_columns(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let mut schema = DFSchema::empty();
    plan.inputs().into_iter().for_each(|input| schema.merge(input.schema()));
    if !schema.fields().iter().any(|field| field.name().starts_with(OWN)) {
        return Ok(Transformed::no(plan));
    }
    let of_input = |column: &Expr| match column {
        Expr::Column(column) => Some(own(column)).filter(|own| schema.has_column(own)).map(Expr::Column),
        _ => None,
    };
    let of_outer = |column: &Expr| match column {
        Expr::OuterReferenceColumn(_, column) => {
            let own = Some(own(column)).filter(|own| schema.has_column(own))?;
            let field = schema.field_from_column(&own).ok()?;
            Some(Expr::OuterReferenceColumn(Arc::clone(field), own))
        }
        _ => None,
    };
    let changed = with_names(plan, |expr| {
        let expr = replaced(expr, of_input)?;
        expr.transform_up(|expr| in_subquery(expr, of_outer))
    })?;
    changed.data.recompute_schema().map(Transformed::yes)
}

/// The node with other expressions under the names that they had.
fn with_names(
    plan: LogicalPlan,
    change: impl Fn(Expr) -> Result<Transformed<Expr>>,
) -> Result<Transformed<LogicalPlan>> {
    let names = NamePreserver::new(&plan);
    plan.map_expressions(|expr| {
        let name = names.save(&expr);
        Ok(change(expr)?.update_data(|expr| name.restore(expr)))
    })
}

/// The expression with others in the places of marked columns.
fn replaced(expr: Expr, by: impl Fn(&Expr) -> Option<Expr>) -> Result<Expr> {
    let replaced = expr.transform_up(|expr| match marked(&expr).and_then(&by) {
        Some(other) => Ok(Transformed::yes(other)),
        None => Ok(Transformed::no(expr)),
    });
    replaced.map(|replaced| replaced.data)
}

/// A subquery with others in the places of marked columns.
fn in_subquery(mut expr: Expr, by: impl Fn(&Expr) -> Option<Expr>) -> Result<Transformed<Expr>> {
    let (Expr::Exists(Exists { subquery: of, .. })
    | Expr::InSubquery(InSubquery { subquery: of, .. })
    | Expr::SetComparison(SetComparison { subquery: of, .. })
    | Expr::ScalarSubquery(of)) = &mut expr
    else {
        return Ok(Transformed::no(expr));
    };
    let plan = of
        .subquery
        .as_ref()
        .clone()
        .transform_up_with_subqueries(|plan| with_names(plan, |expr| replaced(expr, &by).map(Transformed::yes)))?;
    *of = subquery(plan.data);
    Ok(Transformed::yes(expr))
}
