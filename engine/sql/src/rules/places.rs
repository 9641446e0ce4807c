//! Subqueries where DataFusion has none: in ORDER BY, GROUP BY, aggregates, windows, ON and VALUES.
//!
//! DataFusion 55 plans subqueries in filters and projections. In other places they are refused, by its checks of plans or by
//! its physical planner. Here such a subquery becomes a column of a projection right below its node, or a filter above
//! its join.

use std::cell::Cell;
use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, Result, not_impl_err};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{
    Aggregate, EmptyRelation, Expr, Filter, Join, JoinType, LogicalPlan, LogicalPlanBuilder, Projection, Sort,
    Subquery, Union, Values, Window,
};
use datafusion::optimizer::AnalyzerRule;

use super::subquery::{has_subquery, is_subquery};

/// Moves subqueries to where they are planned.
#[derive(Debug)]
pub(crate) struct Places;

impl AnalyzerRule for Places {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        let lifts = Lifts::default();
        let moved = plan.transform_up_with_subqueries(|plan| {
            if !matches!(
                plan,
                LogicalPlan::Sort(_)
                    | LogicalPlan::Aggregate(_)
                    | LogicalPlan::Window(_)
                    | LogicalPlan::Join(_)
                    | LogicalPlan::Values(_)
            ) || !plan.expressions().iter().any(has_subquery)
            {
                return Ok(Transformed::no(plan));
            }
            let schema = Arc::clone(plan.schema());
            let moved = match plan {
                LogicalPlan::Sort(sort) => lifts.sort(sort)?,
                LogicalPlan::Aggregate(aggregate) => lifts.aggregate(aggregate)?,
                LogicalPlan::Window(window) => lifts.window(window)?,
                LogicalPlan::Join(join) => lifts.join(join)?,
                LogicalPlan::Values(values) => rows(values)?,
                other => other,
            };
            restored(moved, &schema).map(Transformed::yes)
        });
        moved.map(|moved| moved.data)
    }

    fn name(&self) -> &str {
        "places_of_subqueries"
    }
}

/// The plan with the columns that it had: those of a new schema are in the same order, with more among them.
fn restored(plan: LogicalPlan, schema: &DFSchema) -> Result<LogicalPlan> {
    if plan.schema().fields().len() == schema.fields().len()
        && plan.schema().iter().zip(schema.iter()).all(|(new, old)| new.0 == old.0 && new.1.name() == old.1.name())
    {
        return Ok(plan);
    }
    let new: Vec<Column> = plan.schema().columns().into_iter().filter(|column| !is_lifted(column)).collect();
    let columns = new.into_iter().zip(schema.iter()).map(|(new, (qualifier, field))| {
        match new.relation.as_ref() == qualifier && new.name == *field.name() {
            true => Expr::Column(new),
            false => Expr::Column(new).alias_qualified(qualifier.cloned(), field.name()),
        }
    });
    let columns = columns.collect::<Vec<_>>();
    Ok(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(plan))?))
}

/// Begins the names of columns that are subqueries.
const LIFTED: &str = "__subquery_";

fn is_lifted(column: &Column) -> bool {
    column.relation.is_none() && column.name.starts_with(LIFTED)
}

/// Names the subqueries of a plan.
#[derive(Default)]
struct Lifts {
    count: Cell<usize>,
}

impl Lifts {
    /// A name for a subquery. Plans that were analyzed before have none of these names: those are below projections.
    fn name(&self) -> String {
        self.count.set(self.count.get() + 1);
        format!("{LIFTED}{}", self.count.get())
    }

    /// The expression with a column for each subquery in it; `lifted` gets the subqueries by their names.
    fn lift(&self, expr: Expr, lifted: &mut Vec<(Expr, String)>) -> Result<Expr> {
        let without = expr.transform_down(|expr| {
            if !is_subquery(&expr) {
                return Ok(Transformed::no(expr));
            }
            let known = lifted.iter().find(|(known, _)| *known == expr).map(|(_, name)| name.clone());
            let name = known.unwrap_or_else(|| {
                let name = self.name();
                lifted.push((expr.clone(), name.clone()));
                name
            });
            let column = Expr::Column(Column::new_unqualified(name));
            Ok(Transformed::new(column, true, TreeNodeRecursion::Jump))
        });
        without.map(|without| without.data)
    }

    fn lift_all(&self, exprs: Vec<Expr>, lifted: &mut Vec<(Expr, String)>) -> Result<Vec<Expr>> {
        exprs.into_iter().map(|expr| self.lift(expr, lifted)).collect()
    }

    fn sort(&self, mut sort: Sort) -> Result<LogicalPlan> {
        let mut lifted = Vec::new();
        for key in &mut sort.expr {
            key.expr = self.lift(key.expr.clone(), &mut lifted)?;
        }
        sort.input = match sort.input.as_ref() {
            // A subquery may refer to columns that the SELECT list does not have.
            LogicalPlan::Projection(below) if !refer_to(&lifted, sort.input.schema())? => {
                let subqueries = lifted.into_iter().map(|(expr, name)| expr.alias(name));
                let columns = below.expr.iter().cloned().chain(subqueries).collect();
                Arc::new(LogicalPlan::Projection(Projection::try_new(columns, Arc::clone(&below.input))?))
            }
            _ => with_columns(&sort.input, lifted)?,
        };
        Ok(LogicalPlan::Sort(sort))
    }

    fn aggregate(&self, aggregate: Aggregate) -> Result<LogicalPlan> {
        let mut lifted = Vec::new();
        let group_by = self.lift_all(aggregate.group_expr, &mut lifted)?;
        let aggregates = self.lift_all(aggregate.aggr_expr, &mut lifted)?;
        // A subquery that is grouped by is a column of the answer, which must not be taken for one that was added.
        let group_by = group_by.into_iter().map(|key| match &key {
            Expr::Column(column) if is_lifted(column) => key.clone().alias(format!("_{}", column.name)),
            _ => key,
        });
        let input = with_columns(&aggregate.input, lifted)?;
        let group_by = group_by.collect();
        Ok(LogicalPlan::Aggregate(Aggregate::try_new(input, group_by, aggregates)?))
    }

    fn window(&self, window: Window) -> Result<LogicalPlan> {
        let mut lifted = Vec::new();
        let windows = self.lift_all(window.window_expr, &mut lifted)?;
        let input = with_columns(&window.input, lifted)?;
        Ok(LogicalPlan::Window(Window::try_new(windows, input)?))
    }

    fn join(&self, mut join: Join) -> Result<LogicalPlan> {
        let equal = |(left, right): (Expr, Expr)| left.eq(right);
        if join.join_type == JoinType::Inner {
            let (with, without): (Vec<_>, Vec<_>) =
                join.on.into_iter().partition(|(left, right)| has_subquery(left) || has_subquery(right));
            join.on = without;
            let filter = join.filter.take().into_iter();
            let predicate = conjunction(with.into_iter().map(equal).chain(filter));
            let joined = LogicalPlan::Join(join);
            return match predicate {
                Some(predicate) => Ok(LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(joined))?)),
                None => Ok(joined),
            };
        }
        let mut lifted = Vec::new();
        for (left, right) in &mut join.on {
            *left = self.lift(left.clone(), &mut lifted)?;
            *right = self.lift(right.clone(), &mut lifted)?;
        }
        if let Some(filter) = join.filter.take() {
            join.filter = Some(self.lift(filter, &mut lifted)?);
        }
        let (mut of_left, mut of_right) = (Vec::new(), Vec::new());
        for (expr, name) in lifted {
            let columns = columns_of(&expr)?;
            let all_in = |schema: &DFSchema| columns.iter().all(|column| schema.has_column(column));
            if all_in(join.left.schema()) {
                of_left.push((expr, name));
            } else if all_in(join.right.schema()) {
                of_right.push((expr, name));
            } else {
                return not_impl_err!(
                    "a subquery in ON of a {} JOIN that refers to both sides: select it from a subquery of the two",
                    join.join_type
                );
            }
        }
        let (left, right) = (with_columns(&join.left, of_left)?, with_columns(&join.right, of_right)?);
        Ok(LogicalPlan::Join(Join::try_new(
            left,
            right,
            join.on,
            join.filter,
            join.join_type,
            join.join_constraint,
            join.null_equality,
            join.null_aware,
        )?))
    }
}

/// The columns of the query around that a subquery reads.
fn columns_of(subquery: &Expr) -> Result<Vec<Column>> {
    let mut columns: Vec<Column> = subquery.column_refs().into_iter().cloned().collect();
    let mut add = |within: &Subquery| {
        columns.extend(within.outer_ref_columns.iter().filter_map(|column| match column {
            Expr::OuterReferenceColumn(_, column) => Some(column.clone()),
            _ => None,
        }));
    };
    match subquery {
        Expr::Exists(exists) => add(&exists.subquery),
        Expr::InSubquery(within) => add(&within.subquery),
        Expr::SetComparison(comparison) => add(&comparison.subquery),
        Expr::ScalarSubquery(scalar) => add(scalar),
        _ => {}
    }
    Ok(columns)
}

/// Returns true if subqueries refer to columns of `schema` only.
fn refer_to(subqueries: &[(Expr, String)], schema: &DFSchema) -> Result<bool> {
    for (subquery, _) in subqueries {
        if columns_of(subquery)?.iter().any(|column| !schema.has_column(column)) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The rows of `input` with subqueries as further columns.
fn with_columns(input: &Arc<LogicalPlan>, lifted: Vec<(Expr, String)>) -> Result<Arc<LogicalPlan>> {
    if lifted.is_empty() {
        return Ok(Arc::clone(input));
    }
    let columns = input.schema().iter().map(Expr::from);
    let subqueries = lifted.into_iter().map(|(expr, name)| expr.alias(name));
    let projection = Projection::try_new(columns.chain(subqueries).collect(), Arc::clone(input))?;
    Ok(Arc::new(LogicalPlan::Projection(projection)))
}

/// VALUES as a union of projections, each of one row.
fn rows(values: Values) -> Result<LogicalPlan> {
    let one_row =
        || LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row: true, schema: Arc::new(DFSchema::empty()) });
    let mut rows = Vec::with_capacity(values.values.len());
    for row in values.values {
        let columns = row.into_iter().zip(values.schema.fields()).map(|(expr, field)| {
            use datafusion::logical_expr::ExprSchemable;
            let expr = expr.cast_to(field.data_type(), &DFSchema::empty())?;
            Ok(expr.alias(field.name()))
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        rows.push(Arc::new(LogicalPlanBuilder::from(one_row()).project(columns)?.build()?));
    }
    match rows.len() {
        1 => Ok(Arc::unwrap_or_clone(rows.remove(0))),
        _ => Ok(LogicalPlan::Union(Union::try_new_with_loose_types(rows)?)),
    }
}
