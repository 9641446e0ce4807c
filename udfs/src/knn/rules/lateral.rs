//! `FROM queries q CROSS JOIN LATERAL knn('docs', q.vec, k)`: a search for each row on the left, as one node.
//!
//! DataFusion plans the right side as a subquery whose query vector refers to the left; it cannot run that. So it is
//! rewritten before any optimizer rule, into a join of the left rows, each with its query vector.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result, TableReference, internal_err, plan_err};
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{
    Expr, Extension, FetchType, Filter, Join, JoinType, Limit, LogicalPlan, LogicalPlanBuilder, Projection, SkipType,
    Subquery, SubqueryAlias, lit,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::scalar::ScalarValue;

use super::order_by::{VectorSource, searched};
use super::resolve::{replace_columns, resolve};
use crate::knn::RELATION;
use crate::knn::logical::join::{JOIN_RELATION, KnnJoinNode};
use crate::knn::logical::knn::KnnNode;

/// The query vector beside the columns of its row.
const QUERY_COLUMN: &str = "__query";

/// Makes a `KnnJoinNode` of a lateral join with `knn()`.
#[derive(Debug)]
pub struct Lateral;

impl AnalyzerRule for Lateral {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        let rewritten = plan.transform_up_with_subqueries(|plan| match &plan {
            LogicalPlan::Join(join) => {
                let right = with_search(&join.right)?;
                match search_of(&right)? {
                    Some(search) => rewrite(&Join { right, ..join.clone() }, search).map(Transformed::yes),
                    None => Ok(Transformed::no(plan)),
                }
            }
            _ => Ok(Transformed::no(plan)),
        });
        rewritten.map(|rewritten| rewritten.data)
    }

    fn name(&self) -> &str {
        "knn_lateral"
    }
}

/// The right side of a join, where `ORDER BY distance LIMIT k` to a vector of the left is a search: DataFusion runs no
/// other, whatever the session says of indexes.
fn with_search(right: &Arc<LogicalPlan>) -> Result<Arc<LogicalPlan>> {
    match right.as_ref() {
        LogicalPlan::SubqueryAlias(alias) => {
            let input = with_search(&alias.input)?;
            Ok(Arc::new(LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(input, alias.alias.clone())?)))
        }
        LogicalPlan::Subquery(subquery) if !subquery.outer_ref_columns.is_empty() => {
            let plan = Arc::new(searched(subquery.subquery.as_ref().clone(), VectorSource::OfTheLeft)?);
            Ok(Arc::new(LogicalPlan::Subquery(Subquery { subquery: plan, ..subquery.clone() })))
        }
        _ => Ok(Arc::clone(right)),
    }
}

/// A search whose query vector refers to the left side of its join.
struct Search {
    node: KnnNode,
    /// Predicates on its answers, over the columns of the search.
    predicates: Vec<Expr>,
}

/// The search that the right side of a join is, if it refers to the left.
fn search_of(right: &LogicalPlan) -> Result<Option<Search>> {
    let mut lateral = false;
    right.apply(|node| {
        if let LogicalPlan::Extension(extension) = node
            && let Some(search) = extension.node.as_any().downcast_ref::<KnnNode>()
        {
            lateral |= search.query.plan().is_some_and(|query| !query.all_out_ref_exprs().is_empty());
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    if !lateral {
        return Ok(None);
    }
    let mut predicates = Vec::new();
    let mut below = right;
    loop {
        below = match below {
            LogicalPlan::Projection(projection) => &projection.input,
            LogicalPlan::SubqueryAlias(alias) => &alias.input,
            LogicalPlan::Subquery(subquery) => &subquery.subquery,
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => &sort.input,
            LogicalPlan::Limit(limit) if keeps_all(limit, below)? => &limit.input,
            LogicalPlan::Filter(filter) => {
                predicates.push(resolve(&filter.predicate, &filter.input)?);
                &filter.input
            }
            LogicalPlan::Extension(extension) => match extension.node.as_any().downcast_ref::<KnnNode>() {
                Some(node) => return Ok(Some(Search { node: node.clone(), predicates })),
                None => return not_such(below),
            },
            other => return not_such(other),
        }
    }
}

/// True if a limit keeps all answers: for each row on the left, the search below it finds no more rows than the limit.
fn keeps_all(limit: &Limit, plan: &LogicalPlan) -> Result<bool> {
    let (SkipType::Literal(0), FetchType::Literal(Some(fetch))) = (limit.get_skip_type()?, limit.get_fetch_type()?)
    else {
        return Ok(false);
    };
    let mut keeps = false;
    plan.apply(|plan| {
        if let LogicalPlan::Extension(extension) = plan
            && let Some(search) = extension.node.as_any().downcast_ref::<KnnNode>()
            && let Expr::Literal(ScalarValue::Int64(Some(k)), _) = &search.k
        {
            keeps = usize::try_from(*k).is_ok_and(|k| k <= fetch);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(keeps)
}

fn not_such<T>(plan: &LogicalPlan) -> Result<T> {
    plan_err!(
        "LATERAL over a search expected knn(...), SELECT columns FROM knn(...) with an optional WHERE on _distance, or SELECT \
         columns FROM table ORDER BY distance LIMIT k, got {}",
        plan.display()
    )
}

fn rewrite(join: &Join, search: Search) -> Result<LogicalPlan> {
    let Search { node, predicates } = search;
    let (node, together) = without_correlated(node)?;
    let outer = match join.join_type {
        JoinType::Inner => false,
        JoinType::Left => true,
        other => return plan_err!("LATERAL knn() expected CROSS JOIN, JOIN or LEFT JOIN, got {other} JOIN"),
    };
    let correlated = node.allowed.as_ref().is_some_and(|allowed| !allowed.all_out_ref_exprs().is_empty());
    if correlated || node.k.contains_outer() || predicates.iter().any(Expr::contains_outer) {
        return plan_err!(
            "LATERAL knn() expected that only its query vector and its filter refer to the other side of the join"
        );
    }
    let on_true = join.filter.as_ref().is_none_or(|filter| *filter == lit(true));
    if outer && (!on_true || !join.on.is_empty() || !predicates.is_empty()) {
        return plan_err!("LEFT JOIN LATERAL knn() expected ON true and no condition on the answers");
    }
    let columns = |plan: &LogicalPlan| plan.schema().iter().map(Expr::from).collect::<Vec<_>>();
    let query = query_of(&node, &join.left)?.alias(QUERY_COLUMN);
    let with_query = columns(&join.left).into_iter().chain([query]);
    let queries = LogicalPlanBuilder::from(Arc::clone(&join.left)).project(with_query)?.build()?;
    let target = node.target.name.clone();
    let mut joined = KnnJoinNode::try_new(queries, node, outer)?;
    joined.together = conjunction(together).map(|together| of_both(together, &target)).transpose()?;
    let mut plan = LogicalPlan::Extension(Extension { node: Arc::new(joined) });

    // In the words of the join, whose columns have another qualifier than those of a search.
    let of_join = |expr: &Expr| {
        replace_columns(expr, |column| {
            let found = column.relation.as_ref() == Some(&TableReference::bare(RELATION));
            let relation = if found { Some(TableReference::bare(JOIN_RELATION)) } else { column.relation.clone() };
            Ok(Expr::Column(Column::new(relation, &column.name)))
        })
        .and_then(of_left)
    };
    if let Some(predicate) = conjunction(predicates) {
        plan = LogicalPlan::Filter(Filter::try_new(of_join(&predicate)?, Arc::new(plan))?);
    }
    let mut output = columns(&join.left);
    for (qualifier, field) in join.right.schema().iter() {
        let found = resolve(&Expr::from((qualifier, field)), &join.right)?;
        output.push(of_join(&found)?.alias_qualified(qualifier.cloned(), field.name()));
    }
    plan = LogicalPlan::Projection(Projection::try_new(output, Arc::new(plan))?);
    let equal = join.on.iter().map(|(left, right)| left.clone().eq(right.clone()));
    match conjunction(equal.chain(join.filter.clone().filter(|_| !on_true))) {
        Some(predicate) => Ok(LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(plan))?)),
        None => Ok(plan),
    }
}

/// The search among the rows of its filters that do not refer to the left side, and the filters that do.
fn without_correlated(mut node: KnnNode) -> Result<(KnnNode, Vec<Expr>)> {
    if node.allowed.as_ref().is_none_or(|allowed| allowed.all_out_ref_exprs().is_empty()) {
        return Ok((node, Vec::new()));
    }
    let mut predicates = Vec::new();
    let mut below = node.allowed.as_ref();
    while let Some(plan) = below {
        if let LogicalPlan::Filter(filter) = plan {
            predicates.extend(split_conjunction_owned(filter.predicate.clone()));
        }
        below = match plan {
            LogicalPlan::Projection(projection) => Some(projection.input.as_ref()),
            LogicalPlan::Filter(filter) => Some(filter.input.as_ref()),
            _ => None,
        };
    }
    let (together, alone): (Vec<_>, Vec<_>) = predicates.into_iter().partition(Expr::contains_outer);
    node.allowed = None;
    Ok((node.with_filter(alone)?, together))
}

/// A filter of `table` that refers to the left side, in the words of the join.
fn of_both(filter: Expr, table: &TableReference) -> Result<Expr> {
    let of_both = filter.transform(|expr| match expr {
        Expr::Column(column) if column.relation.as_ref() == Some(table) => {
            let column = Column::new(Some(TableReference::bare(JOIN_RELATION)), column.name);
            Ok(Transformed::yes(Expr::Column(column)))
        }
        Expr::OuterReferenceColumn(_, column) => Ok(Transformed::yes(Expr::Column(column))),
        other => Ok(Transformed::no(other)),
    });
    of_both.map(|expr| expr.data)
}

/// The query vector in the words of the left side.
fn query_of(node: &KnnNode, left: &LogicalPlan) -> Result<Expr> {
    let Some(plan) = node.query.plan() else { return internal_err!("LATERAL knn() is planned with its query") };
    let LogicalPlan::Projection(query) = plan else { return not_such(plan) };
    let ([query], LogicalPlan::EmptyRelation(_)) = (query.expr.as_slice(), query.input.as_ref()) else {
        return not_such(plan);
    };
    query.apply(|expr| match expr {
        Expr::OuterReferenceColumn(_, column) if !left.schema().has_column(column) => {
            plan_err!("LATERAL knn() expected a column of the other side of its join, got {column}")
        }
        _ => Ok(TreeNodeRecursion::Continue),
    })?;
    of_left(query.clone().unalias())
}

/// An expression in which columns of the left side are just that.
fn of_left(expr: Expr) -> Result<Expr> {
    let of_left = expr.transform(|expr| match expr {
        Expr::OuterReferenceColumn(_, column) => Ok(Transformed::yes(Expr::Column(column))),
        other => Ok(Transformed::no(other)),
    });
    of_left.map(|expr| expr.data)
}
