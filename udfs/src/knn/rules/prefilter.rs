//! Gives a WHERE on `knn()` its meaning, before any optimizer rule runs.
//!
//! Where `knn()` is the only relation of its FROM, the WHERE says which rows may be answers, so `k` rows come back whenever
//! `k` rows match. Conjuncts on `_distance` are a range search: they cut the answer. A predicate that mixes both in one
//! conjunct has neither meaning and is an error. With joins the filter stands above the join, not above `knn()`: it is
//! left where it is, and `filter =>` says the other thing.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result, plan_err};
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{
    Expr, Extension, Filter, LogicalPlan, Projection, SubqueryAlias, UserDefinedLogicalNode,
};
use datafusion::optimizer::AnalyzerRule;

use crate::knn::DISTANCE_COLUMN;
use crate::knn::logical::federated::{BACKEND_COLUMN, FederatedNode};
use crate::knn::logical::knn::KnnNode;

/// Moves the conjuncts of a filter right above `knn()` into it.
#[derive(Debug)]
pub struct Prefilter;

impl AnalyzerRule for Prefilter {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(move_into_knn).map(|moved| moved.data)
    }

    fn name(&self) -> &str {
        "knn_prefilter"
    }
}

fn move_into_knn(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let LogicalPlan::Filter(filter) = plan else { return Ok(Transformed::no(plan)) };
    let Some(federated) = knn_below(&filter.input) else {
        return Ok(Transformed::no(LogicalPlan::Filter(filter)));
    };
    let (mut on_distance, mut on_rows) = (Vec::new(), Vec::new());
    for conjunct in split_conjunction_owned(filter.predicate) {
        let columns = columns_of(&conjunct)?;
        if federated && columns.iter().any(|column| column.name == BACKEND_COLUMN) {
            return plan_err!(
                "the predicate {conjunct} is on _backend: name the backends to search in backends => [...], or put knn() into \
                 a subquery of its own to filter its answer"
            );
        }
        let distance = columns.iter().any(|column| column.name == DISTANCE_COLUMN);
        if distance && columns.iter().any(|column| column.name != DISTANCE_COLUMN) {
            let place = columns.iter().find(|column| column.name == DISTANCE_COLUMN).map(place).unwrap_or_default();
            return plan_err!(
                "the predicate {conjunct}{place} mixes _distance with columns of the table: expected conditions joined by \
                 AND that are either on _distance (a range search) or on the rows (a filter)"
            );
        }
        if distance { on_distance.push(conjunct) } else { on_rows.push(conjunct) }
    }
    let below = with_filter(Arc::unwrap_or_clone(filter.input), &on_rows)?;
    Ok(Transformed::yes(match conjunction(on_distance) {
        Some(predicate) => LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(below))?),
        None => below,
    }))
}

/// The position of a column in the text of the statement, as an error writes it; empty if it is not known.
fn place(column: &Column) -> String {
    match column.spans.first() {
        Some(span) if span.start.line > 0 => format!(" at line {}, column {}", span.start.line, span.start.column),
        _ => String::new(),
    }
}

/// The columns that a predicate reads of the relation.
fn columns_of(predicate: &Expr) -> Result<Vec<Column>> {
    let mut columns: Vec<Column> = predicate.column_refs().into_iter().cloned().collect();
    let mut correlated = false;
    predicate.apply(|expr| {
        correlated |= match expr {
            Expr::ScalarSubquery(subquery) => !subquery.outer_ref_columns.is_empty(),
            Expr::InSubquery(within) => !within.subquery.outer_ref_columns.is_empty(),
            Expr::Exists(exists) => !exists.subquery.outer_ref_columns.is_empty(),
            _ => false,
        };
        Ok(TreeNodeRecursion::Continue)
    })?;
    if correlated {
        return plan_err!(
            "the predicate {predicate} on knn() has a subquery that refers back to it: put knn() into a subquery of its \
             own to filter its answer, or say filter => to filter what is searched"
        );
    }
    columns.sort();
    Ok(columns)
}

/// For a plan that is a `knn()` under aliases only, true if it is over several backends; `None` for another plan.
fn knn_below(plan: &LogicalPlan) -> Option<bool> {
    match plan {
        LogicalPlan::SubqueryAlias(alias) => knn_below(&alias.input),
        LogicalPlan::Extension(extension) => {
            let node = extension.node.as_any();
            let federated = node.is::<FederatedNode>();
            (federated || node.is::<KnnNode>()).then_some(federated)
        }
        _ => None,
    }
}

/// The same `knn()` among the rows for which all of `predicates` hold, in every backend that it searches.
fn with_filter(plan: LogicalPlan, predicates: &[Expr]) -> Result<LogicalPlan> {
    match plan {
        LogicalPlan::SubqueryAlias(alias) => {
            let below = with_filter(Arc::unwrap_or_clone(alias.input), predicates)?;
            Ok(LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(Arc::new(below), alias.alias)?))
        }
        LogicalPlan::Projection(projection) => {
            let below = with_filter(Arc::unwrap_or_clone(projection.input), predicates)?;
            Ok(LogicalPlan::Projection(Projection::try_new(projection.expr, Arc::new(below))?))
        }
        LogicalPlan::Extension(extension) => {
            let node: Arc<dyn UserDefinedLogicalNode> = match extension.node.as_any().downcast_ref::<FederatedNode>() {
                Some(federated) => {
                    let searches = federated.searches.iter().map(|search| with_filter(search.clone(), predicates));
                    Arc::new(federated.with_searches(searches.collect::<Result<_>>()?))
                }
                None => match extension.node.as_any().downcast_ref::<KnnNode>() {
                    Some(node) => Arc::new(filtered(node.clone(), predicates)?),
                    None => extension.node,
                },
            };
            Ok(LogicalPlan::Extension(Extension { node }))
        }
        other => Ok(other),
    }
}

/// The node with the predicates, in the words of its table.
fn filtered(node: KnnNode, predicates: &[Expr]) -> Result<KnnNode> {
    let name = node.target.name.clone();
    let of_table = |expr: &Expr| {
        expr.clone()
            .transform(|expr| match expr {
                Expr::Column(column) => {
                    Ok(Transformed::yes(Expr::Column(Column::new(Some(name.clone()), column.name))))
                }
                other => Ok(Transformed::no(other)),
            })
            .map(|moved| moved.data)
    };
    node.with_filter(predicates.iter().map(of_table).collect::<Result<Vec<_>>>()?)
}
