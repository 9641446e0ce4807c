//! Factors of the parts of an expression in its plan.
//!
//! Its planner and simplifier write some operators with copies of their operands, or ask for the type of an operand twice, and again
//! where one is within another: so n levels are k^n copies or questions. The factors here were measured with nested statements.

use std::collections::HashMap;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, ObjectNamePart, UnaryOperator,
};

use super::Factor;
use crate::text::dialect::folded;

type Factors = HashMap<*const Expr, Factor>;

/// The factor of a membership that filters rows. No other operand has it.
pub(super) const FILTER: Factor = Factor { copies: 1, visits: 2 };

/// Functions that are planned as CASE with their arguments in the conditions and in the results.
const CASES: [&str; 4] = ["coalesce", "concat_ws", "ifnull", "nvl"];
/// Functions whose comparison with a constant is planned as one of their argument.
const INVERTED: [&str; 4] = ["date_part", "datepart", "date_trunc", "floor"];

/// Notes the memberships among the conjuncts of a condition, which are planned as joins.
pub(super) fn of_condition(condition: &Expr, factors: &mut Factors) {
    match condition {
        Expr::Nested(inner) | Expr::UnaryOp { op: UnaryOperator::Not, expr: inner } => of_condition(inner, factors),
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            of_condition(left, factors);
            of_condition(right, factors);
        }
        Expr::InSubquery { .. } => {
            factors.insert(std::ptr::from_ref(condition), FILTER);
        }
        _ => {}
    }
}

/// The factor of all parts of an expression; the factors of some of its operands are added to `factors`.
pub(super) fn of(expr: &Expr, is_filter: bool, factors: &mut Factors) -> Option<Factor> {
    let mut operand = |operand: &Expr, copies: u64| {
        if !matches!(operand, Expr::Value(_) | Expr::Identifier(_) | Expr::CompoundIdentifier(_)) {
            factors.insert(std::ptr::from_ref(operand), Factor::copies(copies));
        }
    };
    match expr {
        Expr::Exists { .. } | Expr::Subquery(_) => return Some(Factor { copies: 1, visits: 2 }),
        Expr::InSubquery { expr, .. } => {
            return match expr.as_ref() {
                // Written twice by `rules::row_in`, and simplified to more.
                Expr::Tuple(_) => Some(Factor { copies: 2, visits: 10 }),
                _ if is_filter => None,
                // Three values: `rules::three_valued`.
                _ => Some(Factor { copies: 3, visits: 12 }),
            };
        }
        Expr::AnyOp { left, right, .. } | Expr::AllOp { left, right, .. } => {
            if matches!(right.as_ref(), Expr::Subquery(_)) {
                return Some(Factor::copies(3));
            }
            operand(left, 3);
            operand(right, 5);
        }
        Expr::Function(call) if is_one_of(call, &CASES) => return Some(Factor::copies(3)),
        Expr::Function(call) if is_one_of(call, &["map"]) || has_lambda(call) => return Some(Factor::copies(2)),
        Expr::Between { expr, .. } => operand(expr, 2),
        Expr::Case { conditions, else_result, .. } => {
            for when in conditions {
                operand(&when.condition, 3);
            }
            let results = conditions.iter().map(|when| &when.result).chain(else_result.as_deref());
            // A chain of CASE asks once.
            for result in results.filter(|result| !matches!(unnested(result), Expr::Case { .. })) {
                operand(result, 2);
            }
        }
        Expr::BinaryOp { left, right, .. }
        | Expr::IsDistinctFrom(left, right)
        | Expr::IsNotDistinctFrom(left, right) => {
            for side in [left, right].into_iter().filter(|side| is_inverted(side)) {
                operand(side, 3);
            }
        }
        Expr::InList { expr, .. } if is_inverted(expr) => operand(expr, 6),
        Expr::IsNull(inner) | Expr::IsNotNull(inner) if matches!(unnested(inner), Expr::Case { .. }) => {
            operand(inner, 2);
        }
        _ => {}
    }
    None
}

fn unnested(expr: &Expr) -> &Expr {
    match expr {
        Expr::Nested(inner) => unnested(inner),
        expr => expr,
    }
}

fn is_inverted(expr: &Expr) -> bool {
    match unnested(expr) {
        Expr::Floor { .. } | Expr::Extract { .. } => true,
        Expr::Function(call) => is_one_of(call, &INVERTED),
        _ => false,
    }
}

/// Returns true if a call is of one of the functions `names`, however its name is written.
fn is_one_of(call: &Function, names: &[&str]) -> bool {
    match call.name.0.as_slice() {
        [ObjectNamePart::Identifier(name)] => names.contains(&folded(name).as_str()),
        _ => false,
    }
}

fn has_lambda(call: &Function) -> bool {
    let FunctionArguments::List(arguments) = &call.args else { return false };
    let is_lambda =
        |argument: &FunctionArg| matches!(argument, FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Lambda(_))));
    arguments.args.iter().any(is_lambda)
}
