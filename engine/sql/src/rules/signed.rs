//! Counts and places are BIGINT.
//!
//! DataFusion 55 answers UInt64 for `array_length()`, `row_number()` and their like. Together with a BIGINT that is a DECIMAL,
//! so that `1 / array_length(l)` is no integer division. Here these functions answer BIGINT, as in PostgreSQL.

use std::sync::Arc;

use arrow::datatypes::FieldRef;
use arrow::datatypes::{DataType, Field};
use datafusion::common::Result;
use datafusion::logical_expr::expr::{AggregateFunction, WindowFunction, WindowFunctionParams};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawAggregateExpr, RawWindowExpr};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    WindowFunctionDefinition, cast,
};

/// Scalar functions that answer unsigned integers, or lists of them.
pub(crate) const SCALAR: [&str; 6] =
    ["array_length", "array_ndims", "array_position", "array_dims", "array_positions", "cardinality"];

/// Window functions that do.
const WINDOW: [&str; 4] = ["row_number", "rank", "dense_rank", "ntile"];

/// Aggregates that do.
const AGGREGATE: [&str; 2] = ["approx_distinct", "regr_count"];

/// The function with BIGINT where it had UInt64.
pub(crate) fn signed(function: Arc<ScalarUDF>) -> ScalarUDF {
    ScalarUDF::from(Signed { function })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Signed {
    function: Arc<ScalarUDF>,
}

fn signed_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::UInt64 => DataType::Int64,
        DataType::List(element) => DataType::List(signed_field(element)),
        other => other.clone(),
    }
}

fn signed_field(field: &Field) -> FieldRef {
    Arc::new(field.clone().with_data_type(signed_type(field.data_type())))
}

/// The type that the function itself answers.
fn unsigned_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Int64 => DataType::UInt64,
        DataType::List(element) => {
            DataType::List(Arc::new(element.as_ref().clone().with_data_type(unsigned_type(element.data_type()))))
        }
        other => other.clone(),
    }
}

impl ScalarUDFImpl for Signed {
    fn name(&self) -> &str {
        self.function.name()
    }

    fn aliases(&self) -> &[String] {
        self.function.aliases()
    }

    fn signature(&self) -> &Signature {
        self.function.signature()
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        self.function.coerce_types(arg_types)
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        Ok(signed_type(&self.function.return_type(arg_types)?))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        Ok(signed_field(self.function.return_field_from_args(args)?.as_ref()))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let target = args.return_field.data_type().clone();
        let return_field = Arc::new(args.return_field.as_ref().clone().with_data_type(unsigned_type(&target)));
        let args = ScalarFunctionArgs { return_field, ..args };
        self.function.invoke_with_args(args)?.cast_to(&target, None)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.function.documentation()
    }
}

/// Casts what window functions and aggregates answer.
#[derive(Debug)]
pub(crate) struct SignedCounts;

impl ExprPlanner for SignedCounts {
    fn plan_aggregate(&self, raw: RawAggregateExpr) -> Result<PlannerResult<RawAggregateExpr>> {
        if !AGGREGATE.contains(&raw.func.name()) {
            return Ok(PlannerResult::Original(raw));
        }
        let RawAggregateExpr { func, args, distinct, filter, order_by, null_treatment } = raw;
        let call = AggregateFunction::new_udf(func, args, distinct, filter, order_by, null_treatment);
        Ok(PlannerResult::Planned(cast(Expr::AggregateFunction(call), DataType::Int64)))
    }

    fn plan_window(&self, raw: RawWindowExpr) -> Result<PlannerResult<RawWindowExpr>> {
        let answers_unsigned = match &raw.func_def {
            WindowFunctionDefinition::WindowUDF(function) => WINDOW.contains(&function.name()),
            WindowFunctionDefinition::AggregateUDF(function) => AGGREGATE.contains(&function.name()),
        };
        if !answers_unsigned {
            return Ok(PlannerResult::Original(raw));
        }
        let RawWindowExpr {
            func_def: fun,
            args,
            partition_by,
            order_by,
            window_frame,
            filter,
            null_treatment,
            distinct,
        } = raw;
        let params =
            WindowFunctionParams { args, partition_by, order_by, window_frame, filter, null_treatment, distinct };
        let call = Expr::WindowFunction(Box::new(WindowFunction { fun, params }));
        Ok(PlannerResult::Planned(cast(call, DataType::Int64)))
    }
}
