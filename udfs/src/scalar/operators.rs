//! Operators of vectors. pgvector's distances: `a <-> b` is `l2_distance`, `a <=> b` `cosine_distance`, `a <#> b` the
//! negative `inner_product`; and `+`, `-`, `*`, `/`, `||` by coordinate (`arithmetic`).
//!
//! What they are between other things than vectors is DataFusion's; `<=>` is `IS NOT DISTINCT FROM` there. Compared with a
//! vector, text is one.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::{Cast, ScalarFunction};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Expr, ExprSchemable, ScalarUDF};
use datafusion::sql::sqlparser::ast::BinaryOperator;
use ruvector_rulake::vector_column::dim_of;

use super::arithmetic::Operation;

/// Name of the operator `<->` in the text that is parsed.
pub const L2_DISTANCE: &str = "l2_distance";
/// Name of the operator `<#>` in the text that is parsed.
pub const NEGATIVE_INNER_PRODUCT: &str = "negative_inner_product";

/// Plans the operators.
#[derive(Debug)]
pub struct VectorOperators {
    functions: Vec<Arc<ScalarUDF>>,
}

impl Default for VectorOperators {
    fn default() -> Self {
        let functions = super::distance::functions().into_iter().chain(super::arithmetic::functions());
        Self { functions: functions.map(Arc::new).collect() }
    }
}

impl VectorOperators {
    fn call(&self, name: &str, arguments: [Expr; 2]) -> Option<Expr> {
        let function = self.functions.iter().find(|function| function.name() == name)?;
        Some(Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(function), arguments.to_vec())))
    }
}

impl ExprPlanner for VectorOperators {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let type_of = |expr: &Expr| expr.get_type(schema).ok();
        let (left, right) = (type_of(&expr.left), type_of(&expr.right));
        let is_vector = |data_type: &Option<DataType>| data_type.as_ref().and_then(dim_of).is_some();
        let is_list = |data_type: &Option<DataType>| matches!(data_type, Some(DataType::FixedSizeList(..)));
        let is_text = |data_type: &Option<DataType>| data_type.as_ref().is_some_and(DataType::is_string);
        let (any, both) = (is_vector(&left) || is_vector(&right), is_vector(&left) && is_vector(&right));
        let (name, negative) = match &expr.op {
            BinaryOperator::PGCustomBinaryOperator(words) => match words.as_slice() {
                [word] if word == L2_DISTANCE => ("l2_distance", false),
                [word] if word == NEGATIVE_INNER_PRODUCT => ("inner_product", true),
                _ => return Ok(PlannerResult::Original(expr)),
            },
            BinaryOperator::Spaceship if is_list(&left) || is_list(&right) => ("cosine_distance", false),
            BinaryOperator::Plus if any => (Operation::Add.name(), false),
            BinaryOperator::Minus if any => (Operation::Subtract.name(), false),
            BinaryOperator::Multiply if any => (Operation::Multiply.name(), false),
            BinaryOperator::Divide if any => (Operation::Divide.name(), false),
            // A list beside a vector has no fixed length: the answer is a list, DataFusion's `array_concat`.
            BinaryOperator::StringConcat if both => (Operation::Concat.name(), false),
            BinaryOperator::Eq | BinaryOperator::NotEq if any && (is_text(&left) || is_text(&right)) => {
                return Ok(PlannerResult::Original(text_as_vector(expr, left, right)));
            }
            _ => return Ok(PlannerResult::Original(expr)),
        };
        match self.call(name, [expr.left.clone(), expr.right.clone()]) {
            Some(call) if negative => Ok(PlannerResult::Planned(Expr::Negative(Box::new(call)))),
            Some(call) => Ok(PlannerResult::Planned(call)),
            None => Ok(PlannerResult::Original(expr)),
        }
    }
}

/// The comparison with its text cast to the type of the vector on the other side.
fn text_as_vector(mut expr: RawBinaryExpr, left: Option<DataType>, right: Option<DataType>) -> RawBinaryExpr {
    let cast = |text: Expr, data_type: DataType| Expr::Cast(Cast::new(Box::new(text), data_type));
    match (left, right) {
        (Some(text), Some(vector)) if text.is_string() => expr.left = cast(expr.left, vector),
        (Some(vector), Some(text)) if text.is_string() => expr.right = cast(expr.right, vector),
        _ => {}
    }
    expr
}
