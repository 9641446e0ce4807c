//! Plans `recall('docs', 100, 10)`: how much of the exact answer an index finds, and how much sooner.
//!
//! The queries are a sample of the table's own vectors, or those of a subquery. `nprobe =>`, `rerank_factor =>`, `filter =>`,
//! `metric =>` and `column =>` say the same as in `knn()`: this is where to see what they do.

use std::sync::Arc;

use datafusion::common::{Column, DFSchema, Result, plan_err};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::planner::RelationPlannerContext;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, col, lit};
use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, TableFactor};
use ruvector_rulake::address::ADDRESS_COLUMN;

use crate::knn::argument::positive;
use crate::knn::list_types::is_list;
use crate::knn::logical::knn::{KnnNode, Target};
use crate::knn::logical::recall::{MOST_QUERIES, RecallNode};

/// Plans `recall(table, sample, k, ...)`.
pub(super) fn plan_recall(
    sample: SqlExpr,
    (target, k, predicates): (Target, Expr, Vec<Expr>),
    context: &mut dyn RelationPlannerContext,
) -> Result<RecallNode> {
    if target.index().is_none() {
        return plan_err!(
            "recall() measures an index: table {} has none over {} by {}; CREATE INDEX makes one",
            target.table.name(),
            target.column_name(),
            target.metric.0
        );
    }
    let queries = match sample {
        SqlExpr::Subquery(subquery) => {
            let derived = TableFactor::Derived { lateral: false, subquery, alias: None, sample: None };
            let queries = context.plan(derived)?;
            let [field] = queries.schema().fields().as_ref() else {
                let got = queries.schema().fields().len();
                return plan_err!("{}: expected a subquery of 1 column, got {got}", target.query_name);
            };
            if !is_list(field.data_type()) {
                return plan_err!("{}: expected vectors, got {}", target.query_name, field.data_type());
            }
            queries
        }
        number => {
            let sample = positive(context.sql_to_expr(number, &DFSchema::empty())?, &target.query_name)?;
            let sample = sample.min(MOST_QUERIES);
            let rows = target.table.snapshot().num_rows().unwrap_or(sample);
            // Every so manyth row: the same ones each time, from all over the table.
            let stride = (rows / sample).max(1) as u64;
            let column = target.column_name();
            let source = provider_as_source(Arc::new(target.table.addressed()));
            let chosen = (col(ADDRESS_COLUMN) % lit(stride)).eq(lit(0_u64));
            let vector = Expr::Column(Column::new(Some(target.name.clone()), column));
            LogicalPlanBuilder::scan(target.name.clone(), source, None)?
                .filter(vector.clone().is_not_null().and(chosen))?
                .project([vector])?
                .limit(0, Some(sample))?
                .build()?
        }
    };
    let no_query = LogicalPlanBuilder::empty(true).build()?;
    RecallNode::try_new(queries, KnnNode::try_new(target, no_query, k, None)?.with_filter(predicates)?)
}
