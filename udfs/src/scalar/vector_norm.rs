//! `vector_norm(v)`: the Euclidean norm, NULL for NULL.

use std::sync::Arc;

use arrow::array::{ArrayRef, ArrowPrimitiveType, PrimitiveBuilder};
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use datafusion::common::Result;
use datafusion::common::utils::take_function_args;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use ruvector_rabitq::metric::norm;

use super::vectors::{Vectors, answer, coerce, norm_f64, precision, rows_to_compute, to_f32};
use crate::documentation::{Facts, VECTORS};

/// `vector_norm(v)`.
pub(super) fn function() -> ScalarUDF {
    let documentation = Facts {
        section: VECTORS,
        text: "Returns the Euclidean norm of a vector: its distance from the origin.",
        arguments: &[("v", "A vector, `FLOAT[dim]`, or a list of numbers.")],
        returns: "`FLOAT`; `DOUBLE` if `v` is a list",
        unit: "the unit of the coordinates",
        nulls: "NULL if `v` is NULL or has a NULL coordinate",
        example: "SELECT vector_norm([3.0, 4.0]);\n-- 5",
    };
    let documentation = documentation.documentation(VectorNorm::NAME);
    ScalarUDF::from(VectorNorm { signature: Signature::user_defined(Volatility::Immutable), documentation })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct VectorNorm {
    signature: Signature,
    documentation: Documentation,
}

impl VectorNorm {
    const NAME: &str = "vector_norm";
}

impl ScalarUDFImpl for VectorNorm {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        Ok(precision(arg_types))
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        let [vectors] = take_function_args(Self::NAME, arg_types)?;
        Ok(vec![coerce(Self::NAME, vectors, &precision(arg_types))?])
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let norms = match args.return_field.data_type() {
            DataType::Float32 => norms::<Float32Type>(&args, |vector| to_f32(norm(vector)))?,
            _ => norms::<Float64Type>(&args, norm_f64)?,
        };
        answer(&args.args, norms)
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }
}

fn norms<T: ArrowPrimitiveType>(
    args: &ScalarFunctionArgs,
    norm: impl Fn(&[T::Native]) -> T::Native,
) -> Result<ArrayRef> {
    let [vectors] = take_function_args(VectorNorm::NAME, &args.args)?;
    let vectors = Vectors::<T>::new(vectors)?;
    let num_rows = rows_to_compute(&args.args, args.number_rows);
    let mut norms = PrimitiveBuilder::<T>::with_capacity(num_rows);
    for row in 0..num_rows {
        norms.append_option(vectors.get(row).map(&norm));
    }
    Ok(Arc::new(norms.finish()))
}
