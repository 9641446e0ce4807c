//! A scalar subquery without a row is NULL, also if its column never is.
//!
//! DataFusion 55 takes the nullability of the column for that of the subquery, so that `(SELECT 'a' FROM empty) IS NULL` is
//! false to its optimizer, and an answer with such a column fails. Here a function around the subquery says that it may be NULL.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, exec_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::analyzer::function_rewrite::ApplyFunctionRewrites;

/// The rule that says which scalar subqueries may be NULL.
pub(crate) fn rule() -> Arc<dyn AnalyzerRule + Send + Sync> {
    let or_null = OrNull { signature: Signature::any(1, Volatility::Immutable) };
    Arc::new(ApplyFunctionRewrites::new(vec![Arc::new(NoRow { or_null: Arc::new(ScalarUDF::from(or_null)) })]))
}

#[derive(Debug)]
struct NoRow {
    or_null: Arc<ScalarUDF>,
}

impl FunctionRewrite for NoRow {
    fn name(&self) -> &str {
        "scalar_subqueries_without_a_row"
    }

    fn rewrite(&self, expr: Expr, _schema: &DFSchema, _config: &ConfigOptions) -> Result<Transformed<Expr>> {
        let Expr::ScalarSubquery(subquery) = &expr else { return Ok(Transformed::no(expr)) };
        let plan = subquery.subquery.as_ref();
        if plan.schema().field(0).is_nullable() || has_one_row(plan) {
            return Ok(Transformed::no(expr));
        }
        let call = ScalarFunction::new_udf(Arc::clone(&self.or_null), vec![expr]);
        Ok(Transformed::yes(Expr::ScalarFunction(call)))
    }
}

/// Whether there is a row whatever the tables hold.
fn has_one_row(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(projection) => has_one_row(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => has_one_row(&alias.input),
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
        LogicalPlan::EmptyRelation(relation) => relation.produce_one_row,
        _ => false,
    }
}

/// The value that it gets, which may be NULL.
#[derive(Debug, PartialEq, Eq, Hash)]
struct OrNull {
    signature: Signature,
}

impl ScalarUDFImpl for OrNull {
    fn name(&self) -> &str {
        "or_null"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        Ok(arg_types.first().cloned().unwrap_or(DataType::Null))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        match args.arg_fields {
            [field] => Ok(Arc::new(Field::clone(field).with_nullable(true))),
            fields => exec_err!("or_null() expected a value, got {} arguments", fields.len()),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.args.as_slice() {
            [value] => Ok(value.clone()),
            args => exec_err!("or_null() expected a value, got {} arguments", args.len()),
        }
    }
}
