//! The text of a value in a `.slt` file, the same on every machine.
//!
//! | value | written |
//! |---|---|
//! | NULL | `NULL` |
//! | text | as it is; `(empty)` if it is empty |
//! | integer, boolean, date, ... | as Arrow displays it |
//! | float | rounded to at most 6 significant digits, without trailing zeros: `1.41421`, `0.5`, `1` |
//! | vector | its floats, as above: `[1, 0.5]` |
//!
//! The type letters of a query are `I` for integers, `R` for floats, `T` for text and `?` for the rest, vectors among it.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Schema};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use sqllogictest::DefaultColumnType;

/// The type letters of the columns of `schema`.
pub fn types(schema: &Schema) -> Vec<DefaultColumnType> {
    let letter = |data_type: &DataType| match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => DefaultColumnType::Text,
        other if other.is_integer() => DefaultColumnType::Integer,
        other if other.is_floating() => DefaultColumnType::FloatingPoint,
        _ => DefaultColumnType::Any,
    };
    schema.fields().iter().map(|field| letter(field.data_type())).collect()
}

/// The rows of `batch`, each value as text.
///
/// # Errors
/// If a type cannot be displayed.
pub fn rows(batch: &RecordBatch) -> Result<Vec<Vec<String>>, ArrowError> {
    (0..batch.num_rows())
        .map(|row| batch.columns().iter().map(|column| value(column.as_ref(), row)).collect())
        .collect()
}

/// One value as text.
fn value(array: &dyn Array, row: usize) -> Result<String, ArrowError> {
    if array.is_null(row) {
        return Ok("NULL".to_owned());
    }
    match array.data_type() {
        data_type if data_type.is_floating() => {
            let number = cast(&array.slice(row, 1), &DataType::Float64)?;
            Ok(float(number.as_primitive::<Float64Type>().value(0)))
        }
        DataType::FixedSizeList(_, _) => list(array.as_fixed_size_list().value(row).as_ref()),
        DataType::List(_) => list(array.as_list::<i32>().value(row).as_ref()),
        _ => {
            let options = FormatOptions::default();
            let text = ArrayFormatter::try_new(array, &options)?.value(row).try_to_string()?;
            Ok(if text.is_empty() { "(empty)".to_owned() } else { text })
        }
    }
}

fn list(elements: &dyn Array) -> Result<String, ArrowError> {
    let elements: Result<Vec<_>, _> = (0..elements.len()).map(|index| value(elements, index)).collect();
    Ok(format!("[{}]", elements?.join(", ")))
}

/// `number` with at most 6 significant digits.
fn float(number: f64) -> String {
    if !number.is_finite() {
        return number.to_string();
    }
    // Scientific notation counts significant digits; parsing it drops trailing zeros. `-0` would be a second zero.
    let rounded: f64 = format!("{number:.5e}").parse().unwrap_or(number);
    if rounded == 0.0 { "0".to_owned() } else { rounded.to_string() }
}

#[cfg(test)]
mod tests {
    use super::float;

    #[test]
    fn floats_have_six_digits_and_no_trailing_zeros() {
        for (number, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (1.0, "1"),
            (-0.5, "-0.5"),
            (2_f64.sqrt(), "1.41421"),
            (f64::from(0.1_f32), "0.1"),
            (123_456_789.0, "123457000"),
            (1.23e-7, "0.000000123"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(float(number), text);
        }
    }
}
