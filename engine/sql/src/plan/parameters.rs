//! Types of a statement's parameters before they have values.
//!
//! DataFusion knows the type of a parameter that is compared, or written to a column. Drivers that bind by the types they were
//! told (JDBC, Go) cannot bind a parameter of unknown type. So parameters in the places that vector queries have get a type here.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, ParamValues, Result as DataFusionResult};
use datafusion::logical_expr::expr::{Cast, ScalarFunction};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan};
use datafusion::scalar::ScalarValue;
use ruvector_rulake::vector_column::dim_of;

use ruvector_udfs::error::{Error, Result};
use ruvector_udfs::scalar::embed::EMBED;

/// Functions of two vectors.
const OF_TWO_VECTORS: [&str; 9] = [
    "l2_distance",
    "l2_squared",
    "l1_distance",
    "array_distance",
    "cosine_distance",
    "cosine_similarity",
    "inner_product",
    "vector_add",
    "vector_subtract",
];
/// The function that `item = ANY(list)` is.
const ANY_OF: &str = "equal_any";
/// Functions of text, of those that a search is likely to have beside it.
const OF_TEXT: [&str; 8] = ["lower", "upper", "trim", "btrim", "ltrim", "rtrim", "starts_with", "contains"];

/// Checks that there is a value for each of `expected` parameters, by the types of the values.
///
/// # Errors
/// `InvalidInput` that names both numbers.
pub fn check_number(expected: usize, given: &[DataType]) -> Result<()> {
    let got = given.len();
    if got == expected {
        return Ok(());
    }
    // A client that passes a vector instead of a list with a vector in it binds its coordinates.
    let is_vector = got > expected && expected > 0 && given.iter().all(DataType::is_numeric);
    let hint = if is_vector { ": a vector is one parameter, as in con.sql(query, [vector])" } else { "" };
    Err(Error::invalid_input(format!("parameters: expected {expected}, got {got}{hint}")))
}

/// One field per parameter up to the highest number used; the type `Null` where nothing is known.
///
/// # Errors
/// `InvalidInput` for a parameter that is no number.
pub(crate) fn parameters(plan: &LogicalPlan) -> Result<SchemaRef> {
    let found = plan.get_parameter_fields()?;
    let guessed = guessed(plan)?;
    let number = |id: &str| id.trim_start_matches('$').parse::<usize>().ok().filter(|number| *number > 0);
    let mut fields = Vec::new();
    for (id, field) in &found {
        let Some(number) = number(id) else {
            return Err(Error::invalid_input(format!("parameters are written ? or $1, $2, ..., got {id}")));
        };
        if fields.len() < number {
            fields.resize(number, None);
        }
        let known = field.as_ref().map(|field| field.data_type().clone()).filter(|known| !known.is_null());
        fields[number - 1] = known.or_else(|| guessed.get(id).cloned());
    }
    let named = |(i, data_type): (usize, Option<DataType>)| {
        Field::new(format!("${}", i + 1), data_type.unwrap_or(DataType::Null), true)
    };
    Ok(Arc::new(Schema::new(fields.into_iter().enumerate().map(named).collect::<Vec<_>>())))
}

/// Puts the values of its parameters into a plan.
///
/// # Errors
/// `InvalidInput` if there is not one value for each.
pub(crate) fn bind(plan: LogicalPlan, params: &[ScalarValue]) -> Result<LogicalPlan> {
    check_count(parameters(&plan)?.as_ref(), params)?;
    match params.is_empty() {
        true => Ok(plan),
        false => Ok(plan.with_param_values(ParamValues::from(params.to_vec()))?),
    }
}

/// Checks that there is one value for each parameter.
pub(crate) fn check_count(parameters: &Schema, values: &[ScalarValue]) -> Result<()> {
    let types: Vec<_> = values.iter().map(ScalarValue::data_type).collect();
    check_number(parameters.fields().len(), &types)
}

/// Types by the places where parameters stand.
fn guessed(plan: &LogicalPlan) -> DataFusionResult<HashMap<String, DataType>> {
    let mut types = HashMap::new();
    plan.apply_with_subqueries(|plan| {
        let mut schema = DFSchema::empty();
        for input in plan.inputs() {
            schema.merge(input.schema());
        }
        if let LogicalPlan::Limit(limit) = plan {
            for count in [&limit.skip, &limit.fetch].into_iter().flatten() {
                note(&mut types, count, DataType::Int64);
            }
        }
        plan.apply_expressions(|expr| {
            expr.apply(|expr| {
                look(expr, &schema, &mut types);
                Ok(TreeNodeRecursion::Continue)
            })
        })?;
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(types)
}

fn look(expr: &Expr, schema: &DFSchema, types: &mut HashMap<String, DataType>) {
    match expr {
        Expr::ScalarFunction(ScalarFunction { func, args }) => match (func.name(), args.as_slice()) {
            (name, [a, b]) if OF_TWO_VECTORS.contains(&name) => {
                for (parameter, other) in [(a, b), (b, a)] {
                    if let Ok(other) = other.get_type(schema)
                        && dim_of(&other).is_some()
                    {
                        note(types, parameter, other);
                    }
                }
            }
            (EMBED, [text, ..]) => note(types, text, DataType::Utf8),
            (name, args) if OF_TEXT.contains(&name) => args.iter().for_each(|text| note(types, text, DataType::Utf8)),
            // `item = ANY(list)`, and array_has() the other way round.
            (ANY_OF, [item, list]) | ("array_has", [list, item]) => {
                if let Ok(item) = item.get_type(schema)
                    && !item.is_null()
                {
                    note(types, list, DataType::List(Arc::new(Field::new_list_field(item, true))));
                }
                if let Ok(DataType::List(field) | DataType::LargeList(field)) = list.get_type(schema) {
                    note(types, item, field.data_type().clone());
                }
            }
            // The items of a vector that is written out.
            ("make_array", items) => items.iter().for_each(|item| note(types, item, DataType::Float32)),
            _ => {}
        },
        Expr::Cast(Cast { expr, field }) => {
            let data_type = match field.data_type() {
                // Such drivers have no lists to bind, and text is cast to a vector.
                DataType::FixedSizeList(..) | DataType::List(_) | DataType::LargeList(_) => DataType::Utf8,
                other => other.clone(),
            };
            note(types, expr, data_type);
        }
        _ => {}
    }
}

/// The first place of a parameter that says something has the word.
fn note(types: &mut HashMap<String, DataType>, expr: &Expr, data_type: DataType) {
    if let Expr::Placeholder(placeholder) = expr {
        types.entry(placeholder.id.clone()).or_insert(data_type);
    }
}
