//! The negative of a NaN is that NaN.
//!
//! DataFusion 55 turns the sign bit, and orders and compares floats by all of their bits: a NaN with a sign is less than every
//! number, and unequal to the other NaN. Here `-x` of a float is `0 - x`, which leaves NaN alone. A list of IN is looked up by
//! bits too, so that `-0.0` in it is written `0.0`.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::{Expr, ExprSchemable, Operator, binary_expr, lit};
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::analyzer::function_rewrite::ApplyFunctionRewrites;
use datafusion::scalar::ScalarValue;

/// The rule that subtracts floats where they are negated.
pub(crate) fn rule() -> Arc<dyn AnalyzerRule + Send + Sync> {
    Arc::new(ApplyFunctionRewrites::new(vec![Arc::new(Negatives)]))
}

#[derive(Debug)]
struct Negatives;

impl FunctionRewrite for Negatives {
    fn name(&self) -> &str {
        "negatives_of_floats"
    }

    fn rewrite(&self, expr: Expr, schema: &DFSchema, _config: &ConfigOptions) -> Result<Transformed<Expr>> {
        let of = match expr {
            Expr::Negative(of) => of,
            Expr::InList(mut list) => {
                let zeros = list.list.iter_mut().filter(|element| is_negative_zero(element));
                let changed = zeros.map(|element| *element = positive(std::mem::take(element))).count() > 0;
                return Ok(Transformed::new_transformed(Expr::InList(list), changed));
            }
            other => return Ok(Transformed::no(other)),
        };
        let zero = match of.get_type(schema) {
            Ok(DataType::Float64) => lit(0.0_f64),
            Ok(DataType::Float32) => lit(0.0_f32),
            _ => return Ok(Transformed::no(Expr::Negative(of))),
        };
        Ok(Transformed::yes(binary_expr(zero, Operator::Minus, *of)))
    }
}

fn is_negative_zero(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(ScalarValue::Float64(Some(zero)), _) => *zero == 0.0 && zero.is_sign_negative(),
        Expr::Literal(ScalarValue::Float32(Some(zero)), _) => *zero == 0.0 && zero.is_sign_negative(),
        _ => false,
    }
}

fn positive(zero: Expr) -> Expr {
    match zero {
        Expr::Literal(ScalarValue::Float32(_), _) => lit(0.0_f32),
        _ => lit(0.0_f64),
    }
}
