//! `subvector(v, start, length)`: `length` coordinates from the `start`th on, which is 1 for the first, as in SQL's
//! `substring`; NULL if an argument is NULL.

use std::sync::Arc;

use arrow::array::{ArrayRef, ArrowPrimitiveType, AsArray, Int64Array};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, Float32Type, Float64Type, Int64Type};
use datafusion::common::utils::take_function_args;
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::scalar::ScalarValue;

use super::vectors::{Vectors, VectorsBuilder, answer, coerce, item_type, precision, rows_to_compute};
use crate::documentation::{Facts, VECTORS};

/// `subvector(v, start, length)`.
pub(super) fn function() -> ScalarUDF {
    let documentation = Facts {
        section: VECTORS,
        text: "Returns a part of a vector: the first coordinates of a Matryoshka embedding, for instance. The first \
               coordinate has the number 1. A part that does not lie in the vector is an error, not a shorter vector.",
        arguments: &[
            ("v", "A vector, `FLOAT[dim]`, or a list of numbers."),
            ("start", "The number of the first coordinate, from 1."),
            ("length", "The number of coordinates, at least 1. Of a vector it is a constant: it is the type's."),
        ],
        returns: "`FLOAT[length]`; `DOUBLE[]` if `v` is a list",
        unit: "the unit of the coordinates",
        nulls: "NULL if an argument is NULL or `v` has a NULL coordinate",
        example: "SELECT subvector([0.1, 0.2, 0.3, 0.4], 2, 3);\n-- [0.2, 0.3, 0.4]",
    };
    let documentation = documentation.documentation(Subvector::NAME);
    ScalarUDF::from(Subvector { signature: Signature::user_defined(Volatility::Immutable), documentation })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Subvector {
    signature: Signature,
    documentation: Documentation,
}

impl Subvector {
    const NAME: &str = "subvector";
}

impl ScalarUDFImpl for Subvector {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        // The dimension of the answer is an argument, which only `return_field_from_args` sees.
        plan_err!("{} has a type only with its arguments", Self::NAME)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let [vectors, _, _] = take_function_args(Self::NAME, args.arg_fields)?;
        let [_, start, length] = take_function_args(Self::NAME, args.scalar_arguments)?;
        let vectors = vectors.data_type();
        let data_type = match coerce(Self::NAME, vectors, &precision(std::slice::from_ref(vectors)))? {
            DataType::FixedSizeList(field, dim) => {
                let Some(length) = length else {
                    return plan_err!("{} of a vector, argument length: expected a constant", Self::NAME);
                };
                let coordinates = usize::try_from(dim).unwrap_or(0);
                // Without a length the answer is NULL, of whatever type.
                let length = match int64(length)? {
                    #[expect(clippy::cast_possible_truncation, reason = "at most `dim`, an i32")]
                    Some(length) => range(1, length, coordinates)?.len() as i32,
                    None => dim,
                };
                if let Some(start) = start.map(int64).transpose()?.flatten() {
                    range(start, i64::from(length), coordinates)?;
                }
                DataType::FixedSizeList(field, length)
            }
            list => list,
        };
        Ok(Arc::new(Field::new(Self::NAME, data_type, true)))
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        let [vectors, start, length] = take_function_args(Self::NAME, arg_types)?;
        // Integers of every kind stay what they are: a cast would hide a constant from `return_field_from_args`.
        let integer = |name: &str, data_type: &DataType| match data_type {
            integer if integer.is_integer() || integer.is_null() => Ok(integer.clone()),
            other => plan_err!("{} argument {name}: expected an integer, got {other}", Self::NAME),
        };
        Ok(vec![
            coerce(Self::NAME, vectors, &precision(std::slice::from_ref(vectors)))?,
            integer("start", start)?,
            integer("length", length)?,
        ])
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let parts = match item_type(args.return_field.data_type()) {
            Some(DataType::Float32) => parts::<Float32Type>(&args)?,
            _ => parts::<Float64Type>(&args)?,
        };
        answer(&args.args, parts)
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }
}

fn parts<T: ArrowPrimitiveType>(args: &ScalarFunctionArgs) -> Result<ArrayRef> {
    let [vectors, starts, lengths] = take_function_args(Subvector::NAME, &args.args)?;
    let vectors = Vectors::<T>::new(vectors)?;
    let num_rows = rows_to_compute(&args.args, args.number_rows);
    let (starts, lengths) = (integers(starts, num_rows)?, integers(lengths, num_rows)?);
    let mut builder = VectorsBuilder::<T>::new(args.return_field.data_type(), num_rows);
    for ((row, start), length) in (0..num_rows).zip(&starts).zip(&lengths) {
        match (vectors.get(row), start, length) {
            (Some(vector), Some(start), Some(length)) => {
                let part = &vector[range(start, length, vector.len())?];
                builder.append_with(|out| {
                    out.extend_from_slice(part);
                    true
                });
            }
            _ => builder.append_null(),
        }
    }
    builder.finish()
}

/// The range of `length` coordinates from the `start`th on, counted from 1, in a vector of `dim`.
fn range(start: i64, length: i64, dim: usize) -> Result<std::ops::Range<usize>> {
    let inside = || {
        let (first, length) = (usize::try_from(start.checked_sub(1)?).ok()?, usize::try_from(length).ok()?);
        let end = first.checked_add(length)?;
        (length > 0 && end <= dim).then_some(first..end)
    };
    match inside() {
        Some(range) => Ok(range),
        None => exec_err!(
            "{}: expected a part of the coordinates 1 to {dim}, got start {start} and length {length}",
            Subvector::NAME
        ),
    }
}

fn int64(scalar: &ScalarValue) -> Result<Option<i64>> {
    Ok(integers(&ColumnarValue::Scalar(scalar.clone()), 1)?.iter().next().flatten())
}

fn integers(argument: &ColumnarValue, num_rows: usize) -> Result<Int64Array> {
    // Strict: a number beyond the range would be NULL.
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let integers = cast_with_options(&argument.to_array(num_rows)?, &DataType::Int64, &strict)?;
    Ok(integers.as_primitive::<Int64Type>().clone())
}
