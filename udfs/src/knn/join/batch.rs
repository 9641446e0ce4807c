//! Plans `knn_batch(table, (SELECT ...), k, name => value, ...)`.

use std::sync::Arc;

use datafusion::common::{Column, Result, TableReference, plan_datafusion_err, plan_err};
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::planner::RelationPlannerContext;
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, LogicalPlanBuilder, cast, lit};
use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, TableFactor};

use super::KnnJoinNode;
use super::node::JOIN_RELATION;
use crate::knn::node::{KnnNode, Target};
use crate::knn::queries::is_list;

/// The name of the relation.
pub(crate) const BATCH_RELATION: &str = "knn_batch";

/// Plans the searches for all rows of `queries`, a subquery.
///
/// Its one column of vectors is what is searched for; the others come out as `query_<name>`, in front of the table's
/// columns and the distance. If there are no others, `query_index` counts the queries from 0.
pub(crate) fn plan_batch(
    queries: SqlExpr,
    (target, k, predicates): (Target, Expr, Vec<Expr>),
    context: &mut dyn RelationPlannerContext,
) -> Result<LogicalPlan> {
    let SqlExpr::Subquery(subquery) = queries else {
        return plan_err!("{BATCH_RELATION}() argument queries: expected a subquery, (SELECT ...), got `{queries}`");
    };
    let derived = TableFactor::Derived { lateral: false, subquery, alias: None, sample: None };
    let queries = context.plan(derived)?;
    let lists: Vec<usize> =
        (0..queries.schema().fields().len()).filter(|i| is_list(queries.schema().field(*i).data_type())).collect();
    let [vector] = lists.as_slice() else {
        let got = queries.schema().fields().iter().map(|field| format!("{} {}", field.name(), field.data_type()));
        return plan_err!(
            "{BATCH_RELATION}() argument queries: expected one column of vectors, got {}",
            got.collect::<Vec<_>>().join(", ")
        );
    };
    let columns: Vec<(Expr, String)> = queries
        .schema()
        .iter()
        .map(|(qualifier, field)| (Expr::from((qualifier, field)), format!("query_{}", field.name())))
        .collect();
    let (query, _) = columns.get(*vector).cloned().ok_or_else(|| plan_datafusion_err!("queries have no vector"))?;
    let mut queries = LogicalPlanBuilder::from(queries);
    let mut kept: Vec<(Expr, String)> =
        columns.into_iter().enumerate().filter(|(i, _)| i != vector).map(|(_, column)| column).collect();
    if kept.is_empty() {
        let number = row_number();
        let name = number.schema_name().to_string();
        queries = queries.window([number])?;
        let counted = cast(Expr::Column(Column::from_name(name)), arrow::datatypes::DataType::Int64) - lit(1_i64);
        kept.push((counted, "query_index".to_owned()));
    }
    let names: Vec<String> = kept.iter().map(|(_, name)| name.clone()).collect();
    let projected = kept.into_iter().map(|(column, name)| column.alias(name)).chain([query.alias("__query")]);
    let queries = queries.project(projected)?.build()?;

    let no_query = LogicalPlanBuilder::empty(true).build()?;
    let search = KnnNode::try_new(target, no_query, k, None)?.with_filter(predicates)?;
    let found = search.target.output_schema(None);
    let joined = KnnJoinNode::try_new(queries, search, false)?;
    let joined = LogicalPlan::Extension(Extension { node: Arc::new(joined) });

    let relation = || Some(TableReference::bare(BATCH_RELATION));
    let of_queries = names.iter().map(|name| Expr::Column(Column::from_name(name)).alias_qualified(relation(), name));
    let of_table = found.fields().iter().map(|field| {
        let column = Column::new(Some(TableReference::bare(JOIN_RELATION)), field.name());
        Expr::Column(column).alias_qualified(relation(), field.name())
    });
    LogicalPlanBuilder::from(joined).project(of_queries.chain(of_table))?.build()
}
