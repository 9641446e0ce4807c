//! Assignment in the plans of INSERT and CREATE TABLE AS.
//!
//! DataFusion's planner casts what a query answers to the types of the table: 1.9 becomes 1 in an INT, 1e300 infinite in a
//! FLOAT. Those casts are taken out again, for [`ruvector_rulake::assign`]: what cannot be kept is an error that names its
//! column. A CAST that the statement has itself stays.

use std::sync::Arc;

use arrow::array::Array;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{DFSchema, Result, ScalarValue, exec_err};
use datafusion::logical_expr::expr::{Alias, Cast, ScalarFunction};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, LogicalPlan, Projection, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Values, Volatility, cast,
};
use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{CaseWhen, Expr as SqlExpr, SetExpr, Statement, Value};
use ruvector_rulake::Error;
use ruvector_rulake::assign::assign;
use ruvector_rulake::error::to_datafusion;
use ruvector_rulake::vector_column::dim_of;

/// Marks casts that are written out in the VALUES of an INSERT: in the plan they would look like the planner's own.
pub(crate) fn mark_casts(statement: &mut Statement) {
    let Statement::Insert(insert) = statement else { return };
    let Some(source) = &mut insert.source else { return };
    let SetExpr::Values(values) = source.body.as_mut() else { return };
    for expr in values.rows.iter_mut().flat_map(|row| row.content.iter_mut()) {
        let mut inner: &SqlExpr = expr;
        while let SqlExpr::Nested(nested) = inner {
            inner = nested;
        }
        if matches!(inner, SqlExpr::Cast { .. }) {
            let condition = SqlExpr::Value(Value::Boolean(true).into());
            *expr = SqlExpr::Case {
                case_token: AttachedToken::empty(),
                end_token: AttachedToken::empty(),
                operand: None,
                conditions: vec![CaseWhen { condition, result: expr.clone() }],
                else_result: None,
            };
        }
    }
}

/// Returns the plan of rows to be written with exact assignments in place of the planner's casts.
///
/// `input` is the projection that the planner puts on top of the query, over the columns of the table.
pub(crate) fn assigned(input: &LogicalPlan) -> Result<LogicalPlan> {
    let LogicalPlan::Projection(projection) = input else { return Ok(input.clone()) };
    let rows = match projection.input.as_ref() {
        LogicalPlan::Values(values) => assigned_values(values, projection)?,
        other => other.clone(),
    };
    let assigned = projection.expr.iter().map(|expr| match expr {
        Expr::Alias(Alias { expr, name, .. }) => Ok(assignment(expr, name, rows.schema())?.alias(name)),
        other => Ok(other.clone()),
    });
    let expr = assigned.collect::<Result<Vec<_>>>()?;
    Ok(LogicalPlan::Projection(Projection::try_new(expr, Arc::new(rows))?))
}

/// A list of VALUES has been cast value by value.
fn assigned_values(values: &Values, projection: &Projection) -> Result<LogicalPlan> {
    let names: Vec<&str> = values.schema.fields().iter().map(|field| column_of(projection, field.name())).collect();
    let none = DFSchema::empty();
    let mut rows = Vec::with_capacity(values.values.len());
    for row in &values.values {
        let row = row.iter().zip(values.schema.fields()).zip(&names);
        let row = row.map(|((expr, field), name)| match expr {
            Expr::Cast(_) => assignment(expr, name, &none),
            // A parameter got its value after the list was typed.
            other if other.get_type(&none).is_ok_and(|is| is != *field.data_type()) => {
                assignment(&other.clone().cast_to(field.data_type(), &none)?, name, &none)
            }
            other => Ok(other.clone()),
        });
        rows.push(row.collect::<Result<Vec<_>>>()?);
    }
    Ok(LogicalPlan::Values(Values { schema: Arc::clone(&values.schema), values: rows }))
}

/// The column of the table that a column of VALUES goes to.
fn column_of<'a>(projection: &'a Projection, name: &'a str) -> &'a str {
    let goes_there = |expr: &Expr| expr.column_refs().iter().any(|column| column.name == name);
    let target = projection.expr.iter().zip(projection.schema.fields()).find(|(expr, _)| goes_there(expr));
    target.map_or(name, |(_, field)| field.name())
}

fn assignment(expr: &Expr, column: &str, schema: &DFSchema) -> Result<Expr> {
    let Expr::Cast(Cast { expr: value, field: target }) = expr else { return Ok(expr.clone()) };
    let is_text = value.get_type(schema).is_ok_and(|is| is.is_string());
    // Text becomes a vector by a rule that looks for casts, and is exact.
    if is_text && dim_of(target.data_type()).is_some() {
        return Ok(expr.clone());
    }
    let column = Field::new(column, target.data_type().clone(), true);
    Ok(Assign::new(column, Volatility::Immutable).of(value.as_ref().clone()))
}

/// Returns the value of `value`, over `schema`, for a column of a row that is changed.
pub(crate) fn assigned_value(value: Expr, column: &Field, schema: &DFSchema) -> Expr {
    let is_text = value.get_type(schema).is_ok_and(|is| is.is_string());
    let value = match is_text && dim_of(column.data_type()).is_some() {
        true => cast(value, column.data_type().clone()),
        false => value,
    };
    // Volatile: a constant that does not fit is an error only if there is a row to get it.
    Assign::new(column.clone(), Volatility::Volatile).of(value)
}

/// The function over values that go to one column.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Assign {
    column: FieldRef,
    signature: Signature,
}

impl Assign {
    fn new(column: Field, volatility: Volatility) -> Self {
        Self { column: Arc::new(column), signature: Signature::any(1, volatility) }
    }

    fn of(self, value: Expr) -> Expr {
        Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(ScalarUDF::from(self)), vec![value]))
    }
}

impl ScalarUDFImpl for Assign {
    fn name(&self) -> &str {
        "assign"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(self.column.data_type().clone())
    }

    fn return_field_from_args(&self, _args: ReturnFieldArgs) -> Result<FieldRef> {
        Ok(Arc::clone(&self.column))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [value] = args.args.as_slice() else {
            return exec_err!("assign() takes 1 argument, got {}", args.args.len());
        };
        let values = value.to_array(1)?;
        if !self.column.is_nullable() && values.logical_null_count() > 0 {
            return Err(to_datafusion(Error::invalid_input("column is NOT NULL").with("column", self.column.name())));
        }
        let assigned = assign(&values, &self.column).map_err(to_datafusion)?;
        match value {
            ColumnarValue::Array(_) => Ok(ColumnarValue::Array(assigned)),
            ColumnarValue::Scalar(_) => Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&assigned, 0)?)),
        }
    }
}
