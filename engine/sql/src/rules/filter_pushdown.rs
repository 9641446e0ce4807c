//! Filters that are pushed through physical plans keep their columns, also where two columns have one name.
//!
//! DataFusion 55 finds the column of a filter in a node's input by its name alone. Above a self-join both sides have a column
//! of that name, and the filter reads the first. The filters that joins, TopK and aggregates make while they run go the same
//! way. Here the walk over the plan is DataFusion's (`push_down_filters` of its physical optimizer), and a filter goes on to a
//! child only if each of its columns is there the column that it was.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{JoinSide, JoinType, Result, internal_err};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::execution_plan::replace_children_if_necessary;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::filter_pushdown::{
    ChildFilterPushdownResult, ChildPushdownResult, FilterPushdownPhase, FilterPushdownPropagation, PushedDown,
};
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::joins::utils::build_join_schema;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};

/// A list of physical rules.
type Rules = Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>>;

/// The rules with ours in the places of DataFusion's two.
pub(crate) fn in_place(rules: &[Arc<dyn PhysicalOptimizerRule + Send + Sync>]) -> Rules {
    let replaced = rules.iter().map(|rule| -> Arc<dyn PhysicalOptimizerRule + Send + Sync> {
        match rule.name() {
            PRE => Arc::new(FilterPushdown(FilterPushdownPhase::Pre)),
            POST => Arc::new(FilterPushdown(FilterPushdownPhase::Post)),
            _ => Arc::clone(rule),
        }
    });
    replaced.collect()
}

const PRE: &str = "FilterPushdown";
const POST: &str = "FilterPushdown(Post)";

/// Pushes filters down, in one of DataFusion's two phases.
#[derive(Debug)]
struct FilterPushdown(FilterPushdownPhase);

impl PhysicalOptimizerRule for FilterPushdown {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self.push(&plan, &[], config)?.updated_node.unwrap_or(plan))
    }

    fn name(&self) -> &str {
        match self.0 {
            FilterPushdownPhase::Pre => PRE,
            FilterPushdownPhase::Post => POST,
        }
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Origin of a filter that is sent to a child, by its place there.
enum Origin {
    Node(usize),
    Parent(usize),
}

impl FilterPushdown {
    fn push(
        &self,
        node: &Arc<dyn ExecutionPlan>,
        filters: &[Arc<dyn PhysicalExpr>],
        config: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        let mut offered = Vec::with_capacity(filters.len());
        for (place, filter) in filters.iter().enumerate() {
            if !is_volatile(filter)? {
                offered.push((place, Arc::clone(filter)));
            }
        }
        let offered_filters = offered.iter().map(|(_, filter)| Arc::clone(filter)).collect();
        let description = node.gather_filters_for_pushdown(self.0, offered_filters, config)?;
        let (of_parent, of_node) = (description.parent_filters(), description.self_filters());
        let children = node.children();
        if of_parent.len() != children.len() || of_node.len() != children.len() {
            return internal_err!("{} describes the filters of {} children", node.name(), of_parent.len());
        }
        let mut parent_results = vec![vec![PushedDown::No; children.len()]; filters.len()];
        let mut node_results = Vec::with_capacity(children.len());
        let mut new_children = Vec::with_capacity(children.len());
        for (side, ((child, of_parent), of_node)) in children.into_iter().zip(of_parent).zip(of_node).enumerate() {
            if of_parent.len() != offered.len() {
                return internal_err!("{} describes {} of {} filters", node.name(), of_parent.len(), offered.len());
            }
            let (mut origins, mut sent) = (Vec::new(), Vec::new());
            for (place, filter) in of_node.iter().enumerate() {
                if !is_volatile(filter)? && keeps_columns(child, filter)? {
                    origins.push(Origin::Node(place));
                    sent.push(Arc::clone(filter));
                }
            }
            for ((place, filter), mapped) in offered.iter().zip(of_parent) {
                if matches!(mapped.discriminant, PushedDown::Yes)
                    && is_same(node, side, child, filter, &mapped.predicate)?
                    && keeps_columns(child, &mapped.predicate)?
                {
                    origins.push(Origin::Parent(*place));
                    sent.push(mapped.predicate);
                }
            }
            let result = self.push(child, &sent, config)?;
            if result.filters.len() != sent.len() {
                return internal_err!(
                    "{} answers for {} of {} filters",
                    child.name(),
                    result.filters.len(),
                    sent.len()
                );
            }
            let mut of_node: Vec<_> =
                of_node.into_iter().map(|filter| PushedDown::No.wrap_expression(filter)).collect();
            for (origin, pushed) in origins.into_iter().zip(result.filters) {
                match origin {
                    Origin::Node(place) => of_node[place].discriminant = pushed,
                    Origin::Parent(place) => parent_results[place][side] = pushed,
                }
            }
            node_results.push(of_node);
            new_children.push(result.updated_node.unwrap_or_else(|| Arc::clone(child)));
        }
        let updated = replace_children_if_necessary(Arc::clone(node), new_children)?;
        let parent_filters = filters.iter().cloned().zip(parent_results);
        let parent_filters =
            parent_filters.map(|(filter, child_results)| ChildFilterPushdownResult { filter, child_results }).collect();
        let results = ChildPushdownResult { parent_filters, self_filters: node_results };
        let mut result = updated.handle_child_pushdown_result(self.0, results, config)?;
        if result.updated_node.is_none() && !Arc::ptr_eq(&updated, node) {
            result.updated_node = Some(updated);
        }
        Ok(result)
    }
}

fn is_volatile(filter: &Arc<dyn PhysicalExpr>) -> Result<bool> {
    filter.exists(|expr| Ok(expr.is_volatile_node()))
}

/// The columns of a filter, in the order in which they stand there.
fn columns(filter: &Arc<dyn PhysicalExpr>) -> Result<Vec<Column>> {
    let mut columns = Vec::new();
    filter.apply(|expr| {
        columns.extend(expr.downcast_ref::<Column>().cloned());
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(columns)
}

/// Returns true if `mapped` says of a child's rows what `filter` says of the rows of `node`.
fn is_same(
    node: &Arc<dyn ExecutionPlan>,
    side: usize,
    child: &Arc<dyn ExecutionPlan>,
    filter: &Arc<dyn PhysicalExpr>,
    mapped: &Arc<dyn PhysicalExpr>,
) -> Result<bool> {
    let from = columns(filter)?;
    if node.is::<ProjectionExec>() {
        // It replaces columns by what they are made of: by place, once the first column of the name was taken.
        let schema = node.schema();
        return Ok(from.iter().all(|column| schema.index_of(column.name()).is_ok_and(|first| first == column.index())));
    }
    let to = columns(mapped)?;
    if from.len() != to.len() {
        return Ok(false);
    }
    let mut pairs = from.iter().zip(&to).map(|(from, to)| (from, to.index()));
    if let Some(join) = node.downcast_ref::<HashJoinExec>() {
        return Ok(pairs.all(|(from, to)| is_of_side(join, side, from.index(), to)));
    }
    if let Some(aggregate) = node.downcast_ref::<AggregateExec>() {
        let groups = aggregate.group_expr().expr();
        return Ok(pairs.all(|(from, to)| groups.get(from.index()).is_some_and(|(group, _)| is_column(group, to))));
    }
    if let Some(filtered) = node.downcast_ref::<FilterExec>()
        && let Some(projection) = filtered.projection().as_ref()
    {
        return Ok(pairs.all(|(from, to)| projection.get(from.index()) == Some(&to)));
    }
    if node.is::<UnionExec>() {
        return Ok(pairs.all(|(from, to)| from.index() == to));
    }
    let (own, below) = (node.schema(), child.schema());
    let is_unique = |name: &str| {
        [&own, &below].iter().all(|schema| schema.fields().iter().filter(|field| field.name() == name).count() == 1)
    };
    Ok(pairs.all(|(from, to)| from.index() == to || is_unique(from.name())))
}

fn is_column(expr: &Arc<dyn PhysicalExpr>, index: usize) -> bool {
    expr.downcast_ref::<Column>().is_some_and(|column| column.index() == index)
}

/// Returns true if a column that a join answers is the column `to` of an input, or a key that equals it.
fn is_of_side(join: &HashJoinExec, side: usize, from: usize, to: usize) -> bool {
    let (_, columns) = build_join_schema(&join.left().schema(), &join.right().schema(), join.join_type());
    let from = match join.projection.as_ref() {
        Some(projection) => projection.get(from).and_then(|from| columns.get(*from)),
        None => columns.get(from),
    };
    let Some(from) = from else { return false };
    match (from.side, side) {
        (JoinSide::Left, 0) | (JoinSide::Right, 1) => from.index == to,
        (JoinSide::Left, _) if *join.join_type() == JoinType::LeftSemi => {
            join.on().iter().any(|(left, right)| is_column(left, from.index) && is_column(right, to))
        }
        (JoinSide::Right, _) if *join.join_type() == JoinType::RightSemi => {
            join.on().iter().any(|(left, right)| is_column(right, from.index) && is_column(left, to))
        }
        _ => false,
    }
}

/// Returns true if a node that takes a filter for its own finds the filter's columns in its input.
fn keeps_columns(node: &Arc<dyn ExecutionPlan>, filter: &Arc<dyn PhysicalExpr>) -> Result<bool> {
    let Some(filtered) = node.downcast_ref::<FilterExec>() else { return Ok(true) };
    let Some(projection) = filtered.projection().as_ref() else { return Ok(true) };
    // It looks them up by name.
    let input = filtered.input().schema();
    let is_found = |column: &Column| projection.get(column.index()).copied() == input.index_of(column.name()).ok();
    Ok(columns(filter)?.iter().all(is_found))
}
