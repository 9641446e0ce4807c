//! NaN without a sign.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float16Type, Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType};
use arrow_schema::DataType;
use half::f16;

/// The values with the positive NaN in the place of every other. An array without NaN is not copied.
pub(crate) fn positive(values: ArrayRef) -> ArrayRef {
    match values.data_type() {
        DataType::Float16 => replaced::<Float16Type>(values, f16::from_bits(0x7e00), f16::is_nan),
        DataType::Float32 => replaced::<Float32Type>(values, f32::from_bits(0x7fc0_0000), f32::is_nan),
        DataType::Float64 => replaced::<Float64Type>(values, f64::from_bits(0x7ff8_0000_0000_0000), f64::is_nan),
        _ => values,
    }
}

fn replaced<T: ArrowPrimitiveType>(values: ArrayRef, nan: T::Native, is_nan: impl Fn(T::Native) -> bool) -> ArrayRef {
    let floats = values.as_primitive::<T>();
    // Without a branch, so that the loop is one of vectors.
    if !floats.values().iter().fold(false, |found, value| found | is_nan(*value)) {
        return values;
    }
    Arc::new(floats.unary::<_, T>(|value| if is_nan(value) { nan } else { value }))
}
