//! The negative of a NaN is that NaN.
//!
//! DataFusion 55 turns the sign bit, and orders and compares floats by all of their bits: a NaN with a sign is less than every
//! number, and unequal to the other NaN. Here `-x` of a float is `0 - x`, which leaves NaN alone. Functions whose NaN the
//! processor gives a sign, and values that are compared by bits, get `+ 0.0`: the sum is the NaN without a sign
//! (`patches/arrow-arith`), and `0.0` for `-0.0`. Those values are the elements of an IN list, the operand of CASE with its choices,
//! and the arguments of `nullif`. Lists and structs have their floats in one form wherever they are compared.

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

use crate::rules::one_form::in_one_form;

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
                let mut changed = false;
                for element in &mut list.list {
                    changed |= without_sign(element, schema)?;
                }
                // A column is looked up by its value already. Beside elements that equal neither zero nor NaN, no sign matters. These
                // stay as they are for the statistics of files.
                if !matches!(list.expr.as_ref(), Expr::Column(_)) && !list.list.iter().all(has_one_form) {
                    changed |= without_sign(&mut list.expr, schema)?;
                }
                return Ok(Transformed::new_transformed(Expr::InList(list), changed));
            }
            Expr::Case(mut case) => {
                let mut changed = false;
                if let Some(operand) = &mut case.expr {
                    let choices = case.when_then_expr.iter_mut().map(|(choice, _)| choice);
                    for compared in std::iter::once(operand).chain(choices) {
                        changed |= without_sign(compared, schema)?;
                    }
                }
                return Ok(Transformed::new_transformed(Expr::Case(case), changed));
            }
            Expr::ScalarFunction(mut call) if call.name() == "nullif" => {
                let mut changed = false;
                for compared in &mut call.args {
                    changed |= without_sign(compared, schema)?;
                }
                return Ok(Transformed::new_transformed(Expr::ScalarFunction(call), changed));
            }
            Expr::ScalarFunction(mut call) if COMPARE_ELEMENTS.contains(&call.name()) => {
                // The optimizer makes a column in a list of constants a column in an IN list, which stays as it is.
                let is_membership = ["array_has", "equal_any"].contains(&call.name());
                let of_constants = is_membership && call.args.first().is_some_and(|list| !list.any_column_refs());
                let mut changed = false;
                for compared in &mut call.args {
                    if !(of_constants && matches!(compared, Expr::Column(_))) {
                        changed |= without_sign(compared, schema)?;
                    }
                }
                return Ok(Transformed::new_transformed(Expr::ScalarFunction(call), changed));
            }
            Expr::BinaryExpr(mut compared) if compares(compared.op) => {
                let mut changed = in_one_form(&mut compared.left, schema)?;
                changed |= in_one_form(&mut compared.right, schema)?;
                return Ok(Transformed::new_transformed(Expr::BinaryExpr(compared), changed));
            }
            Expr::Between(mut between) => {
                let mut changed = false;
                for compared in [&mut between.expr, &mut between.low, &mut between.high] {
                    changed |= in_one_form(compared, schema)?;
                }
                return Ok(Transformed::new_transformed(Expr::Between(between), changed));
            }
            Expr::ScalarFunction(call) if MAY_ANSWER_NAN.contains(&call.name()) => {
                let mut call = Expr::ScalarFunction(call);
                let changed = without_sign(&mut call, schema)?;
                return Ok(Transformed::new_transformed(call, changed));
            }
            other => return Ok(Transformed::no(other)),
        };
        let Some(zero) = zero_of(&of, schema) else { return Ok(Transformed::no(Expr::Negative(of))) };
        Ok(Transformed::yes(binary_expr(zero, Operator::Minus, *of)))
    }
}

/// Functions that answer NaN for other arguments than NaN.
const MAY_ANSWER_NAN: [&str; 13] =
    ["acos", "acosh", "asin", "atanh", "cos", "cot", "ln", "log", "log10", "log2", "power", "sin", "tan"];

/// Functions of lists that compare elements by their bits.
const COMPARE_ELEMENTS: [&str; 16] = [
    "array_distinct",
    "array_except",
    "array_has",
    "array_has_all",
    "array_has_any",
    "array_intersect",
    "array_position",
    "array_positions",
    "array_remove",
    "array_remove_all",
    "array_remove_n",
    "array_replace",
    "array_replace_all",
    "array_replace_n",
    "array_union",
    "equal_any",
];

fn compares(operator: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(operator, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom)
}

/// Zero of the type of a float.
fn zero_of(expr: &Expr, schema: &DFSchema) -> Option<Expr> {
    match expr.get_type(schema) {
        Ok(DataType::Float64) => Some(lit(0.0_f64)),
        Ok(DataType::Float32) => Some(lit(0.0_f32)),
        _ => None,
    }
}

/// Returns true if a constant is neither zero nor NaN as a float: it equals only values of the same bits.
fn has_one_form(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(ScalarValue::Float64(value), _) => value.is_none_or(|value| value != 0.0 && !value.is_nan()),
        Expr::Literal(ScalarValue::Float32(value), _) => value.is_none_or(|value| value != 0.0 && !value.is_nan()),
        Expr::Literal(ScalarValue::Int64(value), _) => value.is_none_or(|value| value != 0),
        Expr::ScalarFunction(call) if call.name() == "arrow_cast" => {
            matches!(call.args.first(), Some(Expr::Literal(ScalarValue::Int64(Some(value)), _)) if *value != 0)
        }
        _ => false,
    }
}

/// Adds zero to a float, and gives floats within lists and structs one form, if that can make a difference: says whether it did.
pub(super) fn without_sign(expr: &mut Expr, schema: &DFSchema) -> Result<bool> {
    let is_itself = match expr {
        Expr::Literal(ScalarValue::Float64(value), _) => {
            value.is_none_or(|value| value.to_bits() == (value + 0.0).to_bits() && !value.is_nan())
        }
        Expr::Literal(ScalarValue::Float32(value), _) => {
            value.is_none_or(|value| value.to_bits() == (value + 0.0).to_bits() && !value.is_nan())
        }
        _ => false,
    };
    if is_itself || has_one_form(expr) {
        return Ok(false);
    }
    let Some(zero) = zero_of(expr, schema) else { return in_one_form(expr, schema) };
    *expr = binary_expr(std::mem::take(expr), Operator::Plus, zero);
    Ok(true)
}
