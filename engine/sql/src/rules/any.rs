//! `x = ANY(list)` is unknown where SQL says so.
//!
//! DataFusion 55 plans `= ANY` of a list as `array_has()`, and the other comparisons by the least and greatest element: both
//! leave NULL elements out, so that `2 = ANY([1, NULL])` is false, and its negation keeps rows. Its `ALL` has the third value.
//! Here `x < ANY(list)` becomes `NOT (x >= ALL(list))`, and `x = ANY(list)` a function, which is an IN list where the elements
//! are known: what reads files knows what to leave out by that.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray};
use arrow::datatypes::{ArrowNativeType, DataType};
use datafusion::common::{Result, exec_err};
use datafusion::functions_nested::array_has::array_has_udf;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature};
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr as SqlExpr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments,
    Ident, ObjectName, Statement, UnaryOperator, VisitMut, VisitorMut,
};

/// Name of the function that `= ANY` of a list becomes.
const EQUAL_ANY: &str = "equal_any";

/// Rewrites the `ANY` of lists in a statement.
pub(crate) fn rewrite(statement: &mut Statement) {
    let _ = statement.visit(&mut AnyOfLists);
}

struct AnyOfLists;

impl VisitorMut for AnyOfLists {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut SqlExpr) -> ControlFlow<()> {
        if let SqlExpr::AnyOp { left, compare_op, right, .. } = expr
            && !matches!(right.as_ref(), SqlExpr::Subquery(_))
        {
            let nothing = || Box::new(SqlExpr::Identifier(Ident::new("")));
            let take = |expr: &mut Box<SqlExpr>| std::mem::replace(expr, nothing());
            if *compare_op == BinaryOperator::Eq {
                let (left, right) = (take(left), take(right));
                *expr = call(*right, *left);
            } else if let Some(compare_op) = negated(compare_op) {
                let (left, right) = (take(left), take(right));
                let all = SqlExpr::Nested(Box::new(SqlExpr::AllOp { left, compare_op, right }));
                let not = SqlExpr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(all) };
                *expr = SqlExpr::Nested(Box::new(not));
            }
        }
        ControlFlow::Continue(())
    }
}

fn negated(compare: &BinaryOperator) -> Option<BinaryOperator> {
    Some(match compare {
        BinaryOperator::NotEq => BinaryOperator::Eq,
        BinaryOperator::Lt => BinaryOperator::GtEq,
        BinaryOperator::LtEq => BinaryOperator::Gt,
        BinaryOperator::Gt => BinaryOperator::LtEq,
        BinaryOperator::GtEq => BinaryOperator::Lt,
        _ => return None,
    })
}

fn call(list: SqlExpr, element: SqlExpr) -> SqlExpr {
    call_of(EQUAL_ANY, [list, element].map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg))).to_vec())
}

/// The call of a function.
pub(super) fn call_of(name: &str, args: Vec<FunctionArg>) -> SqlExpr {
    SqlExpr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args, clauses: Vec::new() }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// The function that `x = ANY(list)` becomes: `array_has()` with a third value.
pub(crate) fn equal_any() -> ScalarUDF {
    ScalarUDF::from(EqualAny { has: array_has_udf() })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct EqualAny {
    has: Arc<ScalarUDF>,
}

impl ScalarUDFImpl for EqualAny {
    fn name(&self) -> &str {
        EQUAL_ANY
    }

    fn signature(&self) -> &Signature {
        self.has.signature()
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.has.return_type(arg_types)
    }

    fn simplify(&self, args: Vec<Expr>, context: &SimplifyContext) -> Result<ExprSimplifyResult> {
        self.has.simplify(args, context)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [list, element] = args.args.as_slice() else {
            return exec_err!("ANY expected a list and a value, got {} arguments", args.args.len());
        };
        let (list, element) = (list.to_array(args.number_rows)?, element.to_array(args.number_rows)?);
        if list.data_type().is_null() {
            return Ok(ColumnarValue::Array(Arc::new(BooleanArray::new_null(args.number_rows))));
        }
        let num_rows = args.number_rows;
        let arrays = vec![ColumnarValue::Array(Arc::clone(&list)), ColumnarValue::Array(Arc::clone(&element))];
        let has = self.has.invoke_with_args(ScalarFunctionArgs { args: arrays, ..args })?.to_array(num_rows)?;
        let has = has.as_boolean();
        let answers = (0..num_rows).map(|row| {
            if list.is_null(row) {
                return Ok(None);
            }
            let (elements, within) = elements(&list, row)?;
            if within.is_empty() {
                return Ok(Some(false));
            }
            if element.is_null(row) {
                return Ok(None);
            }
            if has.is_valid(row) && has.value(row) {
                return Ok(Some(true));
            }
            let is_unknown = elements.null_count() > 0 && within.into_iter().any(|element| elements.is_null(element));
            Ok((!is_unknown).then_some(false))
        });
        Ok(ColumnarValue::Array(Arc::new(answers.collect::<Result<BooleanArray>>()?)))
    }
}

/// The elements of lists, and the places of those of one row.
fn elements(list: &dyn Array, row: usize) -> Result<(&dyn Array, Range<usize>)> {
    Ok(match list.data_type() {
        DataType::List(_) => {
            let list = list.as_list::<i32>();
            let offsets = list.value_offsets();
            (list.values().as_ref(), offsets[row].as_usize()..offsets[row + 1].as_usize())
        }
        DataType::LargeList(_) => {
            let list = list.as_list::<i64>();
            let offsets = list.value_offsets();
            (list.values().as_ref(), offsets[row].as_usize()..offsets[row + 1].as_usize())
        }
        DataType::FixedSizeList(..) => {
            let list = list.as_fixed_size_list();
            let start = list.value_offset(row).as_usize();
            (list.values().as_ref(), start..start + list.value_length().as_usize())
        }
        other => return exec_err!("ANY expected a list, got {other}"),
    })
}
