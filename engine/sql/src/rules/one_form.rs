//! `floats_in_one_form(value)`: lists and structs in which zeros have no sign and every NaN is the same.
//!
//! Rules put the calls where values are compared by their bits. The function is not registered, so statements cannot name it.

use std::sync::{Arc, LazyLock};

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, FixedSizeListArray, GenericListArray, OffsetSizeTrait, StructArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, FieldRef, Float16Type, Float32Type, Float64Type};
use arrow::error::ArrowError;
use datafusion::common::{DFSchema, Result, ScalarValue, exec_err, internal_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

const ONE_FORM: &str = "floats_in_one_form";

static FUNCTION: LazyLock<Arc<ScalarUDF>> =
    LazyLock::new(|| Arc::new(ScalarUDF::from(OneForm { signature: Signature::any(1, Volatility::Immutable) })));

/// Puts the call around a list or a struct with floats: says whether it did.
pub(crate) fn in_one_form(expr: &mut Expr, schema: &DFSchema) -> Result<bool> {
    let is_called = matches!(expr, Expr::ScalarFunction(call) if call.name() == ONE_FORM);
    if is_called || !expr.get_type(schema).is_ok_and(|data_type| has_nested_floats(&data_type)) {
        return Ok(false);
    }
    *expr = Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(&FUNCTION), vec![std::mem::take(expr)]));
    Ok(true)
}

/// Returns true if a type is a float, or a list or a struct with floats in it.
pub(super) fn has_floats(data_type: &DataType) -> bool {
    data_type.is_floating() || has_nested_floats(data_type)
}

/// Returns true if a type is a list or a struct with floats in it.
fn has_nested_floats(data_type: &DataType) -> bool {
    match data_type {
        DataType::List(element) | DataType::LargeList(element) | DataType::FixedSizeList(element, _) => {
            has_floats(element.data_type())
        }
        DataType::Struct(fields) => fields.iter().any(|field| has_floats(field.data_type())),
        _ => false,
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct OneForm {
    signature: Signature,
}

impl ScalarUDFImpl for OneForm {
    fn name(&self) -> &str {
        ONE_FORM
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        internal_err!("{ONE_FORM} answers the field of its argument")
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        match args.arg_fields {
            [field] => Ok(Arc::clone(field)),
            fields => exec_err!("{ONE_FORM} expected one argument, got {}", fields.len()),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.args.as_slice() {
            [ColumnarValue::Array(array)] => Ok(ColumnarValue::Array(one_form(array)?)),
            [ColumnarValue::Scalar(value)] => {
                let array = one_form(&value.to_array()?)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?))
            }
            values => exec_err!("{ONE_FORM} expected one argument, got {}", values.len()),
        }
    }
}

type Half = <Float16Type as ArrowPrimitiveType>::Native;

/// The array itself, if all of its floats have the form already.
pub(super) fn one_form(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    match array.data_type() {
        DataType::Float16 => Ok(floats::<Float16Type>(array, |value| {
            let form = if value.is_nan() { Half::NAN } else { value + Half::ZERO };
            (form.to_bits() != value.to_bits()).then_some(form)
        })),
        DataType::Float32 => Ok(floats::<Float32Type>(array, |value| {
            let form = if value.is_nan() { f32::NAN } else { value + 0.0 };
            (form.to_bits() != value.to_bits()).then_some(form)
        })),
        DataType::Float64 => Ok(floats::<Float64Type>(array, |value| {
            let form = if value.is_nan() { f64::NAN } else { value + 0.0 };
            (form.to_bits() != value.to_bits()).then_some(form)
        })),
        DataType::List(element) => lists::<i32>(array, element),
        DataType::LargeList(element) => lists::<i64>(array, element),
        DataType::FixedSizeList(element, size) => {
            let lists = array.as_fixed_size_list();
            let values = one_form(lists.values())?;
            if Arc::ptr_eq(&values, lists.values()) {
                return Ok(Arc::clone(array));
            }
            let (element, nulls) = (Arc::clone(element), lists.nulls().cloned());
            Ok(Arc::new(FixedSizeListArray::try_new_with_length(element, *size, values, nulls, lists.len())?))
        }
        DataType::Struct(fields) => {
            let columns = array.as_struct().columns();
            let forms = columns.iter().map(one_form).collect::<Result<Vec<_>, _>>()?;
            if columns.iter().zip(&forms).all(|(column, form)| Arc::ptr_eq(column, form)) {
                return Ok(Arc::clone(array));
            }
            let nulls = array.nulls().cloned();
            Ok(Arc::new(StructArray::try_new_with_length(fields.clone(), forms, nulls, array.len())?))
        }
        _ => Ok(Arc::clone(array)),
    }
}

/// Replaces the floats for which `form` answers another.
fn floats<T: ArrowPrimitiveType>(array: &ArrayRef, form: impl Fn(T::Native) -> Option<T::Native>) -> ArrayRef {
    let floats = array.as_primitive::<T>();
    match floats.values().iter().any(|value| form(*value).is_some()) {
        true => Arc::new(floats.unary::<_, T>(|value| form(value).unwrap_or(value))),
        false => Arc::clone(array),
    }
}

fn lists<O: OffsetSizeTrait>(array: &ArrayRef, element: &FieldRef) -> Result<ArrayRef, ArrowError> {
    let lists = array.as_list::<O>();
    let offsets = lists.value_offsets();
    let first = offsets.first().copied().unwrap_or_default();
    let length = offsets.last().copied().unwrap_or_default() - first;
    // The values of a slice are those of the whole array: the rest is not looked at for each slice.
    let values = lists.values().slice(first.as_usize(), length.as_usize());
    let form = one_form(&values)?;
    if Arc::ptr_eq(&form, &values) {
        return Ok(Arc::clone(array));
    }
    let offsets = OffsetBuffer::new(offsets.iter().map(|offset| *offset - first).collect());
    Ok(Arc::new(GenericListArray::try_new(Arc::clone(element), offsets, form, lists.nulls().cloned())?))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float32Array, Float64Array, ListArray};
    use arrow::datatypes::{Field, Float64Type};

    use super::*;

    #[test]
    fn slices_of_lists_have_the_values_of_their_rows() {
        let rows =
            [Some(vec![Some(7.0)]), None, Some(vec![Some(-0.0), None]), Some(vec![]), Some(vec![Some(-f64::NAN)])];
        let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>(rows));
        for start in 0..=lists.len() {
            for length in 0..=lists.len() - start {
                let slice = lists.slice(start, length);
                let form = one_form(&slice).unwrap();
                assert_eq!(form.len(), length);
                for row in 0..length {
                    assert_eq!(form.is_null(row), slice.is_null(row));
                    let expected = slice.as_list::<i32>().value(row);
                    let expected = expected.as_primitive::<Float64Type>();
                    let got = form.as_list::<i32>().value(row);
                    let got = got.as_primitive::<Float64Type>();
                    let bits = |floats: &Float64Array| floats.iter().map(|x| x.map(f64::to_bits)).collect::<Vec<_>>();
                    let plain: Float64Array =
                        expected.iter().map(|x| x.map(|x| if x.is_nan() { f64::NAN } else { x + 0.0 })).collect();
                    assert_eq!(bits(got), bits(&plain), "slice {start} {length}, row {row}");
                }
            }
        }
    }

    #[test]
    fn arrays_in_the_form_are_not_copied() {
        let values: ArrayRef = Arc::new(Float32Array::from(vec![1.0, 0.0, f32::NAN, f32::INFINITY]));
        let element = Arc::new(Field::new_list_field(DataType::Float32, true));
        let lists: ArrayRef = Arc::new(FixedSizeListArray::new(element, 2, values, None));
        let structs: ArrayRef = Arc::new(StructArray::from(vec![(
            Arc::new(Field::new("l", lists.data_type().clone(), true)),
            Arc::clone(&lists),
        )]));
        for array in [lists, structs] {
            assert!(Arc::ptr_eq(&one_form(&array).unwrap(), &array));
        }
    }
}
