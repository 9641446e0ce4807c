//! A DECIMAL beside a DOUBLE is a DOUBLE.
//!
//! DataFusion 55 compares them as DECIMAL(30, 15), and gives CASE, COALESCE and UNION of both that type: 1e-20 is then zero,
//! and 1e18 and NaN are errors. Here the DECIMAL becomes a DOUBLE before types are coerced, as in PostgreSQL. A number that is
//! written in the query is as exact as its digits, and becomes a DECIMAL.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator, Projection, Subquery, cast};
use datafusion::optimizer::AnalyzerRule;
use datafusion::scalar::ScalarValue;

/// Makes doubles of decimals that meet doubles.
#[derive(Debug)]
pub(crate) struct DecimalsAsDoubles;

/// Functions whose arguments are values of one type.
const OF_ONE_TYPE: [&str; 7] = ["coalesce", "greatest", "ifnull", "least", "make_array", "nullif", "nvl"];

/// Digits of a DECIMAL.
const PRECISION_MAX: usize = 38;

impl AnalyzerRule for DecimalsAsDoubles {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        let as_doubles = plan.transform_up_with_subqueries(|plan| {
            let mut schema = merge_schema(&plan.inputs());
            if let LogicalPlan::TableScan(scan) = &plan {
                schema.merge(&DFSchema::try_from_qualified_schema(scan.table_name.clone(), &scan.source.schema())?);
            }
            let names = NamePreserver::new(&plan);
            let plan = plan.map_expressions(|expr| {
                let name = names.save(&expr);
                let expr = expr.transform_up(|expr| rewrite(expr, &schema))?;
                Ok(expr.update_data(|expr| name.restore(expr)))
            })?;
            let plan = plan.transform_data(inputs)?;
            match plan.transformed {
                true => plan.map_data(LogicalPlan::recompute_schema),
                // What is below may have other types than before.
                false => plan.map_data(|plan| match plan.inputs().is_empty() {
                    true => Ok(plan),
                    false => plan.recompute_schema(),
                }),
            }
        });
        as_doubles.map(|as_doubles| as_doubles.data)
    }

    fn name(&self) -> &str {
        "decimals_as_doubles"
    }
}

/// The inputs of unions and joins, whose columns meet.
fn inputs(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    match plan {
        LogicalPlan::Union(mut union) => {
            let mut targets = vec![false; union.schema.fields().len()];
            for (place, is_double) in targets.iter_mut().enumerate() {
                let types: Vec<_> = union.inputs.iter().map(|input| input.schema().field(place).data_type()).collect();
                *is_double = types.iter().any(|t| t.is_floating()) && types.iter().any(|t| is_decimal(t));
            }
            if !targets.contains(&true) {
                return Ok(Transformed::no(LogicalPlan::Union(union)));
            }
            for input in &mut union.inputs {
                *input = Arc::new(with_doubles(input, &targets)?);
            }
            Ok(Transformed::yes(LogicalPlan::Union(union)))
        }
        LogicalPlan::Join(mut join) => {
            let mut changed = false;
            for (left, right) in &mut join.on {
                changed |= meet(&mut [(left, join.left.schema()), (right, join.right.schema())]);
            }
            Ok(if changed {
                Transformed::yes(LogicalPlan::Join(join))
            } else {
                Transformed::no(LogicalPlan::Join(join))
            })
        }
        other => Ok(Transformed::no(other)),
    }
}

fn with_doubles(input: &Arc<LogicalPlan>, targets: &[bool]) -> Result<LogicalPlan> {
    let columns = input.schema().iter().zip(targets).map(|((qualifier, field), is_double)| {
        let column = Expr::from((qualifier, field));
        match *is_double && is_decimal(field.data_type()) {
            true => cast(column, DataType::Float64).alias_qualified(qualifier.cloned(), field.name()),
            false => column,
        }
    });
    Ok(LogicalPlan::Projection(Projection::try_new(columns.collect(), Arc::clone(input))?))
}

fn is_decimal(data_type: &DataType) -> bool {
    data_type.is_decimal()
}

fn rewrite(mut expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let met = |values: Vec<&mut Expr>| {
        let mut values: Vec<_> = values.into_iter().map(|value| (value, schema)).collect();
        meet(&mut values)
    };
    let changed = match &mut expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if compares(*op) => met(vec![left, right]),
        Expr::Between(between) => met(vec![&mut between.expr, &mut between.low, &mut between.high]),
        Expr::InList(list) => met(std::iter::once(list.expr.as_mut()).chain(&mut list.list).collect()),
        Expr::Case(case) => {
            let (mut compared, mut answered) = (Vec::new(), Vec::new());
            for (when, then) in &mut case.when_then_expr {
                compared.push(when.as_mut());
                answered.push(then.as_mut());
            }
            answered.extend(case.else_expr.as_deref_mut());
            let of_one_type = met(answered);
            match case.expr.as_deref_mut() {
                Some(value) => {
                    compared.push(value);
                    met(compared) | of_one_type
                }
                None => of_one_type,
            }
        }
        Expr::ScalarFunction(function) if OF_ONE_TYPE.contains(&function.name()) => {
            met(function.args.iter_mut().collect())
        }
        Expr::InSubquery(within) => meets_rows(&mut within.expr, &mut within.subquery, schema)?,
        Expr::SetComparison(compared) => meets_rows(&mut compared.expr, &mut compared.subquery, schema)?,
        _ => false,
    };
    Ok(if changed { Transformed::yes(expr) } else { Transformed::no(expr) })
}

fn compares(op: Operator) -> bool {
    matches!(
        op,
        Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
            | Operator::IsDistinctFrom
            | Operator::IsNotDistinctFrom
    )
}

/// Makes values that meet doubles or decimals, if they are both, and says whether there was something to do.
fn meet(values: &mut [(&mut Expr, &DFSchema)]) -> bool {
    // A value without a type is one that DataFusion refuses later, or a parameter.
    let types: Vec<_> =
        values.iter().map(|(value, schema)| value.get_type(*schema).unwrap_or(DataType::Null)).collect();
    if !types.iter().any(DataType::is_floating) || !types.iter().any(is_decimal) {
        return false;
    }
    match exact(values, &types) {
        Some(literals) => {
            for ((value, _), literal) in values.iter_mut().zip(literals) {
                if let Some(literal) = literal {
                    **value = literal;
                }
            }
        }
        None => {
            for ((value, _), data_type) in values.iter_mut().zip(&types) {
                if is_decimal(data_type) {
                    **value = cast(std::mem::take(*value), DataType::Float64);
                }
            }
        }
    }
    true
}

/// The decimals that the doubles among `values` are written as, if all of them are, and if one type holds all digits.
fn exact(values: &[(&mut Expr, &DFSchema)], types: &[DataType]) -> Option<Vec<Option<Expr>>> {
    let (mut whole, mut scale) = (0, 0);
    let mut literals = Vec::with_capacity(values.len());
    for ((value, _), data_type) in values.iter().zip(types) {
        let literal = if data_type.is_floating() {
            let Expr::Literal(ScalarValue::Float64(Some(number)), metadata) = &**value else { return None };
            let (decimal, of_number) = written(*number)?;
            whole = whole.max(of_number.0);
            scale = scale.max(of_number.1);
            Some(Expr::Literal(decimal, metadata.clone()))
        } else {
            if let Some((p, s)) = precision_and_scale(data_type) {
                whole = whole.max(usize::try_from(i16::from(p).saturating_sub(i16::from(s))).unwrap_or(0));
                scale = scale.max(usize::try_from(s).unwrap_or(0));
            }
            None
        };
        literals.push(literal);
    }
    (whole + scale <= PRECISION_MAX).then_some(literals)
}

fn precision_and_scale(data_type: &DataType) -> Option<(u8, i8)> {
    match data_type {
        DataType::Decimal32(p, s)
        | DataType::Decimal64(p, s)
        | DataType::Decimal128(p, s)
        | DataType::Decimal256(p, s) => Some((*p, *s)),
        _ => None,
    }
}

/// The decimal with the digits of a number, and how many of them are before and after the point.
fn written(number: f64) -> Option<(ScalarValue, (usize, usize))> {
    if !number.is_finite() {
        return None;
    }
    let text = number.abs().to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    if whole.len() + fraction.len() > PRECISION_MAX {
        return None;
    }
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let digits = if number.is_sign_negative() { -digits } else { digits };
    let (precision, scale) = (u8::try_from(whole.len() + fraction.len()).ok()?, i8::try_from(fraction.len()).ok()?);
    Some((ScalarValue::Decimal128(Some(digits), precision, scale), (whole.len(), fraction.len())))
}

/// The same for a value that meets the rows of a subquery.
fn meets_rows(value: &mut Box<Expr>, subquery: &mut Subquery, schema: &DFSchema) -> Result<bool> {
    let (Ok(of_value), [row]) = (value.get_type(schema), subquery.subquery.schema().fields().as_ref()) else {
        return Ok(false);
    };
    if is_decimal(&of_value) && row.data_type().is_floating() {
        **value = cast(std::mem::take(value.as_mut()), DataType::Float64);
        return Ok(true);
    }
    if of_value.is_floating() && is_decimal(row.data_type()) {
        subquery.subquery = Arc::new(with_doubles(&subquery.subquery, &[true])?);
        return Ok(true);
    }
    Ok(false)
}
