//! `l2_distance(a, b)`, `cosine_distance(a, b)`, `inner_product(a, b)`: Float32, NULL if either vector is NULL.
//!
//! They compute what the index engine computes, by the same kernels, so that `_distance` of `knn()` and these functions
//! give equal numbers: `l2_distance` is Euclidean, `cosine_distance` is `1 - cos` (1 if a vector is zero), `inner_product`
//! is the dot product (`_distance` is its negative).

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float32Array};
use arrow::datatypes::{DataType, Field, Float32Type};
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use datafusion::scalar::ScalarValue;
use ruvector_rabitq::Metric;

/// The functions of this file.
pub(crate) fn functions() -> Vec<ScalarUDF> {
    [
        Distance::new("l2_distance", l2),
        Distance::new("cosine_distance", cosine),
        Distance::new("inner_product", inner_product),
    ]
    .into_iter()
    .map(ScalarUDF::from)
    .collect()
}

fn l2(a: &[f32], b: &[f32]) -> f32 {
    Metric::L2.distance(a, b).sqrt()
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    Metric::Cosine.distance(a, b)
}

fn inner_product(a: &[f32], b: &[f32]) -> f32 {
    -Metric::InnerProduct.distance(a, b)
}

#[derive(Debug)]
struct Distance {
    name: &'static str,
    function: fn(&[f32], &[f32]) -> f32,
    signature: Signature,
}

/// The name says which function it is; addresses of functions do not.
impl PartialEq for Distance {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Distance {}

impl std::hash::Hash for Distance {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl Distance {
    fn new(name: &'static str, function: fn(&[f32], &[f32]) -> f32) -> Self {
        Self { name, function, signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Distance {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float32)
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        let [a, b] = arg_types else {
            return plan_err!("{} expected 2 vectors, got {} arguments", self.name, arg_types.len());
        };
        if let (DataType::FixedSizeList(_, a), DataType::FixedSizeList(_, b)) = (a, b)
            && a != b
        {
            return plan_err!("{}: vectors have different dimensions: expected {a}, got {b}", self.name);
        }
        arg_types.iter().map(|data_type| self.coerce(data_type)).collect()
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [a, b] = args.args.as_slice() else { return exec_err!("{} expected 2 vectors", self.name) };
        let constant = matches!((a, b), (ColumnarValue::Scalar(_), ColumnarValue::Scalar(_)));
        let num_rows = if constant { 1 } else { args.number_rows };
        let (a, b) = (Vectors::new(a)?, Vectors::new(b)?);
        let mut distances = Vec::with_capacity(num_rows);
        for row in 0..num_rows {
            distances.push(match (a.get(row), b.get(row)) {
                (Some(a), Some(b)) if a.len() == b.len() => Some((self.function)(a, b)),
                (Some(a), Some(b)) => {
                    let (expected, got) = (a.len(), b.len());
                    return exec_err!(
                        "{}: vectors have different dimensions: expected {expected}, got {got}",
                        self.name
                    );
                }
                _ => None,
            });
        }
        Ok(match constant {
            true => ColumnarValue::Scalar(ScalarValue::Float32(distances.pop().flatten())),
            false => ColumnarValue::Array(Arc::new(Float32Array::from(distances))),
        })
    }
}

impl Distance {
    fn coerce(&self, data_type: &DataType) -> Result<DataType> {
        let item = || Arc::new(Field::new_list_field(DataType::Float32, true));
        let numeric = |field: &Field| field.data_type().is_numeric() || field.data_type().is_null();
        match data_type {
            DataType::FixedSizeList(field, dim) if numeric(field) => Ok(DataType::FixedSizeList(item(), *dim)),
            DataType::List(field) | DataType::LargeList(field) if numeric(field) => Ok(DataType::List(item())),
            DataType::Null => Ok(DataType::List(item())),
            other => plan_err!("{} expected vectors (FLOAT[dim] or a list of numbers), got {other}", self.name),
        }
    }
}

/// The vectors of an argument: one for every row, or one for all.
struct Vectors {
    lists: ArrayRef,
    values: Float32Array,
    constant: bool,
}

impl Vectors {
    fn new(argument: &ColumnarValue) -> Result<Self> {
        let (lists, constant) = match argument {
            ColumnarValue::Array(array) => (Arc::clone(array), false),
            ColumnarValue::Scalar(scalar) => (scalar.to_array()?, true),
        };
        let values = match lists.data_type() {
            DataType::FixedSizeList(..) => lists.as_fixed_size_list().values(),
            DataType::List(_) => lists.as_list::<i32>().values(),
            other => return exec_err!("expected vectors, got {other}"),
        };
        let Some(values) = values.as_primitive_opt::<Float32Type>() else {
            return exec_err!("expected vectors of Float32, got {}", values.data_type());
        };
        Ok(Self { values: values.clone(), lists, constant })
    }

    /// The vector of a row; a vector with a NULL coordinate is NULL.
    fn get(&self, row: usize) -> Option<&[f32]> {
        let row = if self.constant { 0 } else { row };
        if self.lists.is_null(row) {
            return None;
        }
        let range = match self.lists.as_fixed_size_list_opt() {
            Some(lists) => {
                let start = lists.value_offset(row) as usize;
                start..start + lists.value_length() as usize
            }
            None => {
                let offsets = self.lists.as_list::<i32>().value_offsets();
                offsets[row] as usize..offsets[row + 1] as usize
            }
        };
        let has_null = self.values.null_count() > 0 && range.clone().any(|i| self.values.is_null(i));
        (!has_null).then(|| &self.values.values()[range])
    }
}
