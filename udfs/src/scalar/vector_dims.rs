//! `vector_dims(v)`: the number of coordinates, NULL for NULL.

use std::sync::Arc;

use arrow::array::{Array, AsArray, Int64Array};
use arrow::datatypes::DataType;
use datafusion::common::utils::take_function_args;
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::vectors::{answer, coerce, item_type, precision, rows_to_compute};
use crate::documentation::{Facts, VECTORS};

/// `vector_dims(v)`.
pub(super) fn function() -> ScalarUDF {
    let documentation = Facts {
        section: VECTORS,
        text: "Returns the number of coordinates of a vector.",
        arguments: &[("v", "A vector, `FLOAT[dim]`, or a list of numbers.")],
        returns: "`BIGINT`",
        unit: "coordinates",
        nulls: "NULL if `v` is NULL; NULL coordinates count",
        example: "SELECT vector_dims([3.0, 4.0]);\n-- 2",
    };
    let documentation = documentation.documentation(VectorDims::NAME);
    ScalarUDF::from(VectorDims { signature: Signature::user_defined(Volatility::Immutable), documentation })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct VectorDims {
    signature: Signature,
    documentation: Documentation,
}

impl VectorDims {
    const NAME: &str = "vector_dims";
}

impl ScalarUDFImpl for VectorDims {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        let [vectors] = take_function_args(Self::NAME, arg_types)?;
        let coerced = coerce(Self::NAME, vectors, &precision(arg_types))?;
        // Coordinates are not read, so lists stay what they are.
        Ok(vec![if item_type(vectors).is_some() { vectors.clone() } else { coerced }])
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [vectors] = take_function_args(Self::NAME, &args.args)?;
        let lists = vectors.to_array(rows_to_compute(&args.args, args.number_rows))?;
        let dims: Vec<i64> = match lists.data_type() {
            DataType::FixedSizeList(_, dim) => vec![i64::from(*dim); lists.len()],
            DataType::List(_) => lists.as_list::<i32>().offsets().lengths().map(|dim| dim as i64).collect(),
            DataType::LargeList(_) => lists.as_list::<i64>().offsets().lengths().map(|dim| dim as i64).collect(),
            other => return exec_err!("{} expected vectors, got {other}", Self::NAME),
        };
        answer(&args.args, Arc::new(Int64Array::new(dims.into(), lists.nulls().cloned())))
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }
}
