//! `ORDER BY l2_distance(vec, query) LIMIT k` is a search: the k nearest rows are looked up instead of sorting all.
//!
//! ```text
//! Limit k                          Limit k
//!   Sort distance                    Projection (what the Sort had)
//!     Projection ...        =>         Sort __distance
//!       Filter predicate                 Projection ..., __distance
//!         TableScan                        Knn k, among the rows of the predicate
//! ```
//! It is done to the plan as it was written, before any optimizer rule: the shapes are few, and what the rules make of the
//! result is the same as for `knn()`. The answer is that of the plan it replaces, NULLs included. The Sort stays, for plans
//! that do not keep the order of the search, and costs nothing in those that do. Where the distances of the search are not
//! those of the expression (an index of estimates, DataFusion's own `array_distance`), more rows are looked up, and sorted
//! by the expression.
//!
//! Left as it was: an ORDER BY of several keys (all ties of the last row would be needed), an expression
//! that is no distance to one vector, a LIMIT that is not a number, anything between the Sort and the table that is not a
//! projection or a filter. `SET ruvector.use_index = false` leaves everything as it was.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, Result, TableReference, internal_err};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{
    Expr, ExprSchemable, Extension, FetchType, Limit, LogicalPlan, LogicalPlanBuilder, Projection, SkipType, Sort,
    SubqueryAlias, lit,
};
use datafusion::optimizer::AnalyzerRule;
use ruvector_rabitq::{IndexKind, Metric};
use ruvector_rulake::vector_type::VectorType;

use super::resolve::resolve;
use crate::collection::CollectionTable;
use crate::knn::argument::ArgumentName;
use crate::knn::logical::knn::{KnnNode, MetricKey, Nulls, Target};
use crate::knn::{DISTANCE_COLUMN, RELATION, changes_each_time};
use crate::settings::Settings;

/// The search's distance on its way to the Sort.
const SORT_COLUMN: &str = "__distance";

/// Rewrites `ORDER BY distance LIMIT k` to a search.
#[derive(Debug)]
pub struct OrderByDistance;

impl AnalyzerRule for OrderByDistance {
    fn analyze(&self, plan: LogicalPlan, config: &ConfigOptions) -> Result<LogicalPlan> {
        if !Settings::of(config).use_index {
            return Ok(plan);
        }
        searched(plan, VectorSource::Constant)
    }

    fn name(&self) -> &str {
        "knn_order_by"
    }
}

/// The source of the vectors that the distances of an ORDER BY are computed to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum VectorSource {
    /// One vector.
    Constant,
    /// A vector of each row on the left side of a lateral join.
    OfTheLeft,
}

/// The plan with a search for every `ORDER BY distance LIMIT k` in it.
pub(super) fn searched(plan: LogicalPlan, vectors: VectorSource) -> Result<LogicalPlan> {
    plan.transform_down_with_subqueries(|plan| match &plan {
        LogicalPlan::Limit(limit) => match (limit.get_skip_type()?, limit.get_fetch_type()?) {
            (SkipType::Literal(skip), FetchType::Literal(Some(fetch))) => {
                let Some(k) = skip.checked_add(fetch).filter(|k| *k > 0) else { return Ok(Transformed::no(plan)) };
                let Some(input) = below_limit(&limit.input, k, vectors)? else { return Ok(Transformed::no(plan)) };
                let limit = Limit { input: Arc::new(input), ..limit.clone() };
                Ok(Transformed::yes(LogicalPlan::Limit(limit)))
            }
            _ => Ok(Transformed::no(plan)),
        },
        LogicalPlan::Sort(Sort { fetch: Some(k), .. }) if *k > 0 => match below_limit(&plan, *k, vectors)? {
            Some(searched) => Ok(Transformed::yes(searched)),
            None => Ok(Transformed::no(plan)),
        },
        _ => Ok(Transformed::no(plan)),
    })
    .map(|transformed| transformed.data)
}

/// The plan with its Sort over a search, if it is one: above the Sort may be what keeps rows and their order.
fn below_limit(plan: &LogicalPlan, k: usize, vectors: VectorSource) -> Result<Option<LogicalPlan>> {
    match plan {
        LogicalPlan::Projection(projection) => {
            let Some(input) = below_limit(&projection.input, k, vectors)? else { return Ok(None) };
            Ok(Some(LogicalPlan::Projection(Projection::try_new(projection.expr.clone(), Arc::new(input))?)))
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let Some(input) = below_limit(&alias.input, k, vectors)? else { return Ok(None) };
            Ok(Some(LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(Arc::new(input), alias.alias.clone())?)))
        }
        LogicalPlan::Sort(sort) => search(sort, k, vectors),
        _ => Ok(None),
    }
}

/// The Sort over a search.
fn search(sort: &Sort, k: usize, vectors: VectorSource) -> Result<Option<LogicalPlan>> {
    let [key] = sort.expr.as_slice() else { return Ok(None) };
    let mut predicates = Vec::new();
    let Some(scan) = table_below(&sort.input, &mut predicates)? else { return Ok(None) };
    let Ok(ordered_by) = resolve(&key.expr, &sort.input) else { return Ok(None) };
    let Some(wanted) = Wanted::new(&ordered_by, key.asc, &scan, vectors) else { return Ok(None) };

    let target = Target {
        table: scan.table.clone(),
        name: scan.name,
        column: wanted.column,
        metric: MetricKey(wanted.metric),
        exact: false,
        rerank_factor: None,
        nprobe: None,
        query_name: ArgumentName::new("the query vector of ORDER BY"),
        k_name: ArgumentName::new("LIMIT"),
    };
    // What the search says is what the expression says, or the expression has the last word among some more.
    let estimates = |kind| matches!(kind, IndexKind::Rabitq | IndexKind::RabitqAsym);
    let estimated = target.index().filter(|index| estimates(index.spec.kind));
    let (k, by_expression) = match estimated {
        Some(index) => (k.saturating_mul(index.spec.rerank_factor.max(1)), true),
        None if wanted.in_double => (k.saturating_mul(2).saturating_add(16), true),
        None => (k, false),
    };
    // Above a lateral join nothing sorts the answers to each row by themselves.
    if by_expression && vectors == VectorSource::OfTheLeft {
        return Ok(None);
    }
    let Ok(limit) = i64::try_from(k) else { return Ok(None) };
    let nulls = if key.nulls_first { Nulls::First } else { Nulls::Last };
    let query = LogicalPlanBuilder::empty(true).project([wanted.query.alias("query")])?.build()?;
    let node = KnnNode::try_new(target, query, lit(limit), Some(nulls))?.with_filter(predicates)?;
    let node = LogicalPlan::Extension(Extension { node: Arc::new(node) });

    let rebuilt = Rebuild { search: node, ordered_by: &ordered_by, by_expression }.plan(&sort.input)?;
    let mut sorted = sort.clone();
    if !by_expression {
        sorted.expr[0].expr = Expr::Column(rebuilt.distance);
        // Nearer is first, whatever the expression says.
        sorted.expr[0].asc = true;
    }
    sorted.input = Arc::new(rebuilt.plan);
    let as_before = sort.input.schema().iter().map(|(qualifier, field)| Expr::from((qualifier, field)));
    LogicalPlanBuilder::from(LogicalPlan::Sort(sorted)).project(as_before)?.build().map(Some)
}

/// The table that is sorted.
struct Scan {
    table: CollectionTable,
    name: TableReference,
    schema: Arc<DFSchema>,
}

/// The table under projections, aliases and filters, whose predicates are put into its words.
fn table_below(plan: &LogicalPlan, predicates: &mut Vec<Expr>) -> Result<Option<Scan>> {
    match plan {
        LogicalPlan::Projection(projection) => table_below(&projection.input, predicates),
        LogicalPlan::SubqueryAlias(alias) => table_below(&alias.input, predicates),
        LogicalPlan::Filter(filter) => {
            let Ok(predicate) = resolve(&filter.predicate, &filter.input) else { return Ok(None) };
            predicates.push(predicate);
            table_below(&filter.input, predicates)
        }
        LogicalPlan::TableScan(scan)
            if scan.filters.is_empty() && scan.fetch.is_none() && scan.projection.is_none() =>
        {
            let Ok(provider) = source_as_provider(&scan.source) else { return Ok(None) };
            let Some(table) = provider.downcast_ref::<CollectionTable>() else { return Ok(None) };
            let schema = Arc::clone(&scan.projected_schema);
            let taken = [DISTANCE_COLUMN, SORT_COLUMN].iter().any(|name| schema.has_column_with_unqualified_name(name));
            Ok((!taken).then(|| Scan { table: table.clone(), name: scan.table_name.clone(), schema }))
        }
        _ => Ok(None),
    }
}

/// The search that an ORDER BY asks for.
struct Wanted {
    /// Position of the vector column.
    column: usize,
    query: Expr,
    metric: Metric,
    /// True if the expression computes with more digits than the search.
    in_double: bool,
}

impl Wanted {
    fn new(ordered_by: &Expr, ascending: bool, scan: &Scan, vectors: VectorSource) -> Option<Self> {
        let (function, ascending) = match ordered_by {
            Expr::Negative(negated) => (negated.as_ref(), !ascending),
            other => (other, ascending),
        };
        let Expr::ScalarFunction(function) = uncast(function) else { return None };
        let (metric, nearest_ascending) = match function.name() {
            "l2_distance" | "l2_squared" | "array_distance" => (Metric::L2, true),
            "cosine_distance" => (Metric::Cosine, true),
            "cosine_similarity" => (Metric::Cosine, false),
            "inner_product" => (Metric::InnerProduct, false),
            _ => return None,
        };
        let [a, b] = function.args.as_slice() else { return None };
        let (column, query) = match (scan.vector_column(a), scan.vector_column(b)) {
            (Some(column), None) => (column, b),
            (None, Some(column)) => (column, a),
            _ => return None,
        };
        let of_the_left = vectors == VectorSource::OfTheLeft;
        let constant = query.column_refs().is_empty()
            && query.contains_outer() == of_the_left
            && !changes_each_time(query).ok()?;
        let in_double = ordered_by.get_type(&scan.schema).ok()? != DataType::Float32;
        (ascending == nearest_ascending && constant).then(|| Self { column, query: query.clone(), metric, in_double })
    }
}

impl Scan {
    /// The position of the vector column that an expression is.
    fn vector_column(&self, expr: &Expr) -> Option<usize> {
        let Expr::Column(column) = uncast(expr) else { return None };
        let position = self.schema.index_of_column(column).ok()?;
        VectorType::of(self.schema.field(position)).map(|_| position)
    }
}

fn uncast(expr: &Expr) -> &Expr {
    match expr {
        Expr::Cast(cast) => uncast(&cast.expr),
        Expr::TryCast(cast) => uncast(&cast.expr),
        Expr::Alias(alias) => uncast(&alias.expr),
        other => other,
    }
}

/// Rebuilds the plan under the Sort over the search.
struct Rebuild<'a> {
    search: LogicalPlan,
    ordered_by: &'a Expr,
    by_expression: bool,
}

/// A plan with the columns that it had, and one for the distance.
struct Rebuilt {
    plan: LogicalPlan,
    distance: Column,
}

impl Rebuild<'_> {
    fn plan(&self, plan: &LogicalPlan) -> Result<Rebuilt> {
        match plan {
            LogicalPlan::Projection(projection) => {
                let below = self.plan(&projection.input)?;
                let distance = below.distance;
                let expr = |expr: &Expr| self.with_distance(expr, &projection.input, &distance);
                let mut columns = projection.expr.iter().map(expr).collect::<Result<Vec<_>>>()?;
                columns.push(Expr::Column(distance.clone()));
                let plan = LogicalPlan::Projection(Projection::try_new(columns, Arc::new(below.plan))?);
                Ok(Rebuilt { plan, distance })
            }
            LogicalPlan::SubqueryAlias(alias) => {
                let below = self.plan(&alias.input)?;
                let plan = SubqueryAlias::try_new(Arc::new(below.plan), alias.alias.clone())?;
                let distance = Column::new(Some(alias.alias.clone()), SORT_COLUMN);
                Ok(Rebuilt { plan: LogicalPlan::SubqueryAlias(plan), distance })
            }
            LogicalPlan::Filter(filter) => self.plan(&filter.input),
            LogicalPlan::TableScan(scan) => {
                let column = |from: &str, to: &str| {
                    let column = Column::new(Some(TableReference::bare(RELATION)), from);
                    Expr::Column(column).alias_qualified(Some(scan.table_name.clone()), to)
                };
                let columns = scan.projected_schema.fields().iter().map(|field| column(field.name(), field.name()));
                let columns = columns.chain([column(DISTANCE_COLUMN, SORT_COLUMN)]).collect();
                let plan = Projection::try_new(columns, Arc::new(self.search.clone()))?;
                let distance = Column::new(Some(scan.table_name.clone()), SORT_COLUMN);
                Ok(Rebuilt { plan: LogicalPlan::Projection(plan), distance })
            }
            other => internal_err!("no search was planned over {}", other.display()),
        }
    }

    /// The expression, which is not computed again where the search has computed it. `input` is what it was over.
    fn with_distance(&self, expr: &Expr, input: &LogicalPlan, distance: &Column) -> Result<Expr> {
        let Some(known) = self.known(distance).filter(|_| !self.by_expression) else { return Ok(expr.clone()) };
        let name = NamePreserver::new_for_projection().save(expr);
        let replaced = expr.clone().transform_down(|expr| match resolve(&expr, input)? == *self.ordered_by {
            true => Ok(Transformed::new(known.clone(), true, TreeNodeRecursion::Jump)),
            false => Ok(Transformed::no(expr)),
        })?;
        Ok(name.restore(replaced.data))
    }

    /// The expression of the ORDER BY in terms of `distance`; `None` if the distance does not determine it.
    fn known(&self, distance: &Column) -> Option<Expr> {
        let distance = Expr::Column(distance.clone());
        let (function, negated) = match self.ordered_by {
            Expr::Negative(negated) => (negated.as_ref(), true),
            other => (other, false),
        };
        let Expr::ScalarFunction(function) = function else { return None };
        match (function.name(), negated) {
            ("l2_distance" | "cosine_distance", false) | ("inner_product", true) => Some(distance),
            ("inner_product", false) => Some(Expr::Negative(Box::new(distance))),
            _ => None,
        }
    }
}
