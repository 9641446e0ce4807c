//! Plans `knn_batch(table, (SELECT ...) | vectors, k, name => value, ...)`.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use datafusion::common::{Column, DFSchema, Result, TableReference, plan_datafusion_err, plan_err};
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::planner::RelationPlannerContext;
use datafusion::logical_expr::{Expr, ExprSchemable, Extension, LogicalPlan, LogicalPlanBuilder, cast, lit};
use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, TableFactor};

use super::arguments::{BATCH_RELATION, typed};
use crate::knn::list_types::{is_list, is_list_of_lists};
use crate::knn::logical::join::{JOIN_RELATION, KnnJoinNode};
use crate::knn::logical::knn::{KnnNode, Target, parameter_position};

/// Plans the searches for all rows of `queries`, a subquery, or for the vectors of an array.
///
/// The one column of vectors of a subquery is what is searched for; the others come out as `query_<name>`, in front of the
/// table's columns and the distance. If there are no others, `query_index` counts the queries from 0.
pub(super) fn plan_batch(
    queries: SqlExpr,
    (target, k, predicates): (Target, Expr, Vec<Expr>),
    context: &mut dyn RelationPlannerContext,
) -> Result<LogicalPlan> {
    let (queries, parameter) = match queries {
        SqlExpr::Subquery(subquery) => {
            let derived = TableFactor::Derived { lateral: false, subquery, alias: None, sample: None };
            (context.plan(derived)?, None)
        }
        array => plan_array(array, &target, context)?,
    };
    let lists: Vec<usize> =
        (0..queries.schema().fields().len()).filter(|i| is_list(queries.schema().field(*i).data_type())).collect();
    let [vector] = lists.as_slice() else {
        let got = queries.schema().fields().iter().map(|field| format!("{} {}", field.name(), field.data_type()));
        return plan_err!(
            "{}: expected one column of vectors, got {}",
            target.query_name,
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
        let counted = cast(Expr::Column(Column::from_name(name)), DataType::Int64) - lit(1_i64);
        kept.push((counted, "query_index".to_owned()));
    }
    let names: Vec<String> = kept.iter().map(|(_, name)| name.clone()).collect();
    let projected = kept.into_iter().map(|(column, name)| column.alias(name)).chain([query.alias("__query")]);
    let queries = queries.project(projected)?.build()?;

    let no_query = LogicalPlanBuilder::empty(true).build()?;
    let search = KnnNode::try_new(target, no_query, k, None)?.with_filter(predicates)?;
    let found = search.target.output_schema(None);
    let mut joined = KnnJoinNode::try_new(queries, search, false)?;
    joined.parameter = parameter;
    let joined = LogicalPlan::Extension(Extension { node: Arc::new(joined) });

    let relation = || Some(TableReference::bare(BATCH_RELATION));
    let of_queries = names.iter().map(|name| Expr::Column(Column::from_name(name)).alias_qualified(relation(), name));
    let of_table = found.fields().iter().map(|field| {
        let column = Column::new(Some(TableReference::bare(JOIN_RELATION)), field.name());
        Expr::Column(column).alias_qualified(relation(), field.name())
    });
    LogicalPlanBuilder::from(joined).project(of_queries.chain(of_table))?.build()
}

/// A row for each vector of an array, and the number of the parameter that the array is, from 0.
fn plan_array(
    array: SqlExpr,
    target: &Target,
    context: &mut dyn RelationPlannerContext,
) -> Result<(LogicalPlan, Option<usize>)> {
    let lists = |item: DataType| DataType::List(Arc::new(Field::new_list_field(item, true)));
    let vectors = lists(lists(DataType::Float32));
    let expr = typed(context.sql_to_expr(array, &DFSchema::empty())?, vectors.clone());
    let parameter = match &expr {
        Expr::Placeholder(placeholder) => parameter_position(placeholder),
        _ => None,
    };
    let got = expr.get_type(&DFSchema::empty())?;
    if !is_list_of_lists(&got) {
        return plan_err!(
            "{}: expected a subquery, (SELECT ...), or an array of vectors, got {got}",
            target.query_name
        );
    }
    let rows = LogicalPlanBuilder::empty(true).project([cast(expr, vectors).alias("vec")])?.unnest_column("vec")?;
    Ok((rows.build()?, parameter))
}
