//! The number of elements that SQL types of a fixed length may have.
//!
//! A value of a fixed length takes its memory even if it is NULL: `CAST(NULL AS FLOAT[2147483647])` is 8 GiB. DataFusion plans the
//! types themselves, wherever they stand: casts, columns, parameters.

use arrow::datatypes::FieldRef;
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::sql::sqlparser::ast::{ArrayElemTypeDef, DataType};
use ruvector_rulake::vector_column::vector_type;

/// Refuses types that are too long, and leaves the others to DataFusion.
#[derive(Debug)]
pub(crate) struct ArraySizes;

impl TypePlanner for ArraySizes {
    fn plan_type_field(&self, sql_type: &DataType) -> Result<Option<FieldRef>> {
        let elements = elements(sql_type);
        // Nothing is planned for a length of 0, which is refused where it is used.
        match elements > 1 && usize::try_from(elements).map_or(true, |elements| vector_type(elements).is_err()) {
            true => plan_err!("{sql_type}: expected at most 16384 elements of fixed number, got {elements}"),
            false => Ok(None),
        }
    }
}

/// The elements of fixed number in a value of the type. The types within others are planned by themselves.
fn elements(sql_type: &DataType) -> u64 {
    match sql_type {
        DataType::Array(ArrayElemTypeDef::SquareBracket(item, Some(length))) => {
            length.saturating_mul(elements(item).max(1))
        }
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(item: DataType, length: u64) -> DataType {
        DataType::Array(ArrayElemTypeDef::SquareBracket(Box::new(item), Some(length)))
    }

    #[test]
    fn lengths_are_multiplied() {
        for (sql_type, is_taken) in [
            (DataType::Real, true),
            (vector(DataType::Real, 0), true),
            (vector(DataType::Real, 16_384), true),
            (vector(DataType::Real, 16_385), false),
            (vector(DataType::Real, u64::MAX), false),
            (vector(vector(DataType::Real, 128), 128), true),
            (vector(vector(DataType::Real, 16_384), 16_384), false),
        ] {
            assert_eq!(ArraySizes.plan_type_field(&sql_type).is_ok(), is_taken, "{sql_type}");
        }
    }
}
