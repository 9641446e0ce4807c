//! `normalize(v)`: the vector of the same direction and norm 1, NULL for NULL and for a zero vector.

use arrow::array::{ArrayRef, ArrowPrimitiveType};
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use datafusion::common::Result;
use datafusion::common::utils::take_function_args;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use ruvector_rabitq::metric::norm;

use super::vectors::{
    Vectors, VectorsBuilder, answer, coerce, item_type, norm_f64, precision, rows_to_compute, to_f32,
};
use crate::documentation::{Facts, VECTORS};

/// `normalize(v)`.
pub(super) fn function() -> ScalarUDF {
    let documentation = Facts {
        section: VECTORS,
        text: "Returns the vector of the same direction whose norm is 1. A zero vector has no direction: NULL, as \
               `array_normalize` of DataFusion has it.",
        arguments: &[("v", "A vector, `FLOAT[dim]`, or a list of numbers.")],
        returns: "`FLOAT[dim]`; `DOUBLE[]` if `v` is a list",
        unit: "none",
        nulls: "NULL if `v` is NULL, has a NULL coordinate, or is a zero vector",
        example: "SELECT normalize([3.0, 4.0]), normalize([0.0, 0.0]);\n-- [0.6, 0.8] | NULL",
    };
    let documentation = documentation.documentation(Normalize::NAME);
    ScalarUDF::from(Normalize { signature: Signature::user_defined(Volatility::Immutable), documentation })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Normalize {
    signature: Signature,
    documentation: Documentation,
}

impl Normalize {
    const NAME: &str = "normalize";
}

impl ScalarUDFImpl for Normalize {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        let [vectors] = take_function_args(Self::NAME, arg_types)?;
        coerce(Self::NAME, vectors, &precision(arg_types))
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(vec![self.return_type(arg_types)?])
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let normalized = match item_type(args.return_field.data_type()) {
            Some(DataType::Float32) => normalized::<Float32Type>(&args, |vector, out| {
                let norm = norm(vector);
                out.extend(vector.iter().map(|value| to_f32(f64::from(*value) / norm)));
                norm != 0.0 || vector.is_empty()
            })?,
            _ => normalized::<Float64Type>(&args, |vector, out| {
                let norm = norm_f64(vector);
                out.extend(vector.iter().map(|value| value / norm));
                norm != 0.0 || vector.is_empty()
            })?,
        };
        answer(&args.args, normalized)
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }
}

/// Appends each vector to the coordinates by `normalize`, which tells whether it is one.
fn normalized<T: ArrowPrimitiveType>(
    args: &ScalarFunctionArgs,
    normalize: impl Fn(&[T::Native], &mut Vec<T::Native>) -> bool,
) -> Result<ArrayRef> {
    let [vectors] = take_function_args(Normalize::NAME, &args.args)?;
    let vectors = Vectors::<T>::new(vectors)?;
    let num_rows = rows_to_compute(&args.args, args.number_rows);
    let mut builder = VectorsBuilder::<T>::new(args.return_field.data_type(), num_rows);
    for row in 0..num_rows {
        match vectors.get(row) {
            Some(vector) => builder.append_with(|out| normalize(vector, out)),
            None => builder.append_null(),
        }
    }
    builder.finish()
}
