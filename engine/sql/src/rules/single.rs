//! Correlated scalar subqueries that are no aggregate: `(SELECT name FROM users u WHERE u.id = o.user_id)`, and those with
//! `ORDER BY ... LIMIT 1`.
//!
//! DataFusion 55 makes a join of a correlated scalar subquery only if it is an aggregate. Here the values of a row are collected
//! by `array_agg()`, and a function above the join takes the only one; more than one is an error of a row that has them, as SQL
//! says. The first row of an order is `first_value()`.

use std::sync::Arc;

use arrow::array::{Array, AsArray, UInt64Array};
use arrow::compute::take;
use arrow::datatypes::{ArrowNativeType, DataType};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, DFSchema, Result, exec_err, plan_err};
use datafusion::functions_aggregate::expr_fn::array_agg;
use datafusion::functions_aggregate::first_last::first_value;
use datafusion::logical_expr::expr::{ScalarFunction, Sort as SortKey};
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::{
    ColumnarValue, Expr, FetchType, LogicalPlan, LogicalPlanBuilder, Projection, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, SkipType, Subquery, Volatility,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::analyzer::function_rewrite::ApplyFunctionRewrites;
use datafusion::optimizer::push_down_filter::replace_cols_by_name;

use super::subquery::{subquery, value_of};

/// The rule that makes aggregates of correlated scalar subqueries.
pub(crate) fn rule() -> Arc<dyn AnalyzerRule + Send + Sync> {
    let only = ScalarUDF::from(OnlyValue { signature: Signature::any(1, Volatility::Immutable) });
    Arc::new(ApplyFunctionRewrites::new(vec![Arc::new(Single { only: Arc::new(only) })]))
}

#[derive(Debug)]
struct Single {
    only: Arc<ScalarUDF>,
}

impl FunctionRewrite for Single {
    fn name(&self) -> &str {
        "single_values"
    }

    fn rewrite(&self, expr: Expr, _schema: &DFSchema, _config: &ConfigOptions) -> Result<Transformed<Expr>> {
        let Expr::ScalarSubquery(of) = &expr else { return Ok(Transformed::no(expr)) };
        let plan = of.subquery.as_ref();
        if of.outer_ref_columns.is_empty() || plan.schema().fields().len() != 1 || is_aggregate(plan) {
            return Ok(Transformed::no(expr));
        }
        if let LogicalPlan::Limit(limit) = plan {
            let is_first = matches!(limit.get_skip_type()?, SkipType::Literal(0))
                && matches!(limit.get_fetch_type()?, FetchType::Literal(Some(1)));
            return Ok(match is_first {
                true => Transformed::yes(Expr::ScalarSubquery(first(of, &limit.input)?)),
                false => Transformed::no(expr),
            });
        }
        if plan.max_rows().is_some_and(|rows| rows <= 1) {
            return Ok(Transformed::no(expr));
        }
        let values = array_agg(value_of(plan)).alias(VALUES);
        let collected = LogicalPlanBuilder::from(plan.clone()).aggregate(Vec::<Expr>::new(), [values])?.build()?;
        let values = Expr::ScalarSubquery(subquery(collected));
        Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(&self.only), vec![values]))))
    }
}

/// Name of the column of the values.
const VALUES: &str = "__values";

/// Returns true if DataFusion takes the subquery for an aggregate, or has a better error for it.
fn is_aggregate(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(projection) => is_aggregate(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => is_aggregate(&alias.input),
        LogicalPlan::Filter(filter) => matches!(filter.input.as_ref(), LogicalPlan::Aggregate(_)),
        LogicalPlan::Aggregate(_) => true,
        _ => false,
    }
}

/// The first value of rows that may have an order.
fn first(of: &Subquery, rows: &Arc<LogicalPlan>) -> Result<Subquery> {
    let mut value = value_of(rows);
    let mut rows = rows;
    while let LogicalPlan::Projection(projection) = rows.as_ref() {
        value = below(value, projection)?;
        rows = &projection.input;
    }
    let (input, keys): (_, Vec<SortKey>) = match rows.as_ref() {
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => (&sort.input, sort.expr.clone()),
        _ => (rows, Vec::new()),
    };
    let first = LogicalPlanBuilder::from(Arc::clone(input))
        .aggregate(Vec::<Expr>::new(), [first_value(value, keys).alias(VALUES)])?
        .build()?;
    Ok(of.with_plan(Arc::new(first)))
}

/// An expression over the input of a projection, of one over its columns.
fn below(expr: Expr, projection: &Projection) -> Result<Expr> {
    let made = projection.schema.columns().into_iter().map(|column: Column| column.flat_name());
    let exprs = projection.expr.iter().map(|expr| expr.clone().unalias());
    replace_cols_by_name(expr, &made.zip(exprs).collect())
}

/// The only value of a list.
#[derive(Debug, PartialEq, Eq, Hash)]
struct OnlyValue {
    signature: Signature,
}

impl ScalarUDFImpl for OnlyValue {
    fn name(&self) -> &str {
        "only_value"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        match arg_types {
            [DataType::List(item)] => Ok(item.data_type().clone()),
            other => plan_err!("only_value() expected a list, got {other:?}"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [values] = args.args.as_slice() else {
            return exec_err!("only_value() expected a list, got {} arguments", args.args.len());
        };
        let values = values.to_array(args.number_rows)?;
        let Some(lists) = values.as_list_opt::<i32>() else {
            return exec_err!("only_value() expected a list, got {}", values.data_type());
        };
        let offsets = lists.value_offsets();
        let places = (0..lists.len()).map(|row| match offsets[row + 1] - offsets[row] {
            _ if lists.is_null(row) => Ok(None),
            0 => Ok(None),
            1 => Ok(Some(offsets[row].as_usize() as u64)),
            rows => exec_err!("a subquery that is a value returned {rows} rows, expected at most 1"),
        });
        let places = places.collect::<Result<UInt64Array>>()?;
        Ok(ColumnarValue::Array(take(lists.values(), &places, None)?))
    }
}
