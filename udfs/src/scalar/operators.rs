//! pgvector's operators: `a <-> b` is `l2_distance`, `a <=> b` `cosine_distance`, `a <#> b` the negative `inner_product`.
//!
//! `<=>` between other things than vectors is what DataFusion makes of it (`IS NOT DISTINCT FROM`).

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Expr, ExprSchemable, ScalarUDF};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use crate::tokens::{L2_DISTANCE, NEGATIVE_INNER_PRODUCT};

/// Plans the operators.
#[derive(Debug)]
pub(crate) struct DistanceOperators {
    functions: Vec<Arc<ScalarUDF>>,
}

impl DistanceOperators {
    pub(crate) fn new() -> Self {
        Self { functions: super::distance::functions().into_iter().map(Arc::new).collect() }
    }

    fn call(&self, name: &str, arguments: [Expr; 2]) -> Option<Expr> {
        let function = self.functions.iter().find(|function| function.name() == name)?;
        Some(Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(function), arguments.to_vec())))
    }
}

impl ExprPlanner for DistanceOperators {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let is_vector = |expr: &Expr| matches!(expr.get_type(schema), Ok(DataType::FixedSizeList(..)));
        let (name, negative) = match &expr.op {
            BinaryOperator::PGCustomBinaryOperator(words) => match words.as_slice() {
                [word] if word == L2_DISTANCE => ("l2_distance", false),
                [word] if word == NEGATIVE_INNER_PRODUCT => ("inner_product", true),
                _ => return Ok(PlannerResult::Original(expr)),
            },
            BinaryOperator::Spaceship if is_vector(&expr.left) || is_vector(&expr.right) => ("cosine_distance", false),
            _ => return Ok(PlannerResult::Original(expr)),
        };
        match self.call(name, [expr.left.clone(), expr.right.clone()]) {
            Some(call) if negative => Ok(PlannerResult::Planned(Expr::Negative(Box::new(call)))),
            Some(call) => Ok(PlannerResult::Planned(call)),
            None => Ok(PlannerResult::Original(expr)),
        }
    }
}
