//! Every function against its definition in f64, on vectors in every form that Arrow has for them.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeListArray, Float16Array, Float32Array, Float64Array, Int32Array, Int64Array,
    LargeListArray, ListArray, PrimitiveArray, UInt64Array, new_null_array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::cast;
use arrow::datatypes::{ArrowPrimitiveType, DataType, Field, Float32Type, Float64Type, Int64Type};
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::functions_nested::all_default_nested_functions;
use datafusion::logical_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF};
use datafusion::scalar::ScalarValue;
use proptest::prelude::*;
use ruvector_embed::EmbedderOptions;
use ruvector_rabitq::Metric;

use super::{embed, functions};
use crate::role::Role;

const BINARY: [&str; 7] = [
    "l2_distance",
    "l2_squared",
    "cosine_distance",
    "cosine_similarity",
    "inner_product",
    "l1_distance",
    "array_distance",
];

fn function(name: &str) -> ScalarUDF {
    let all = functions(Arc::new(embed::Models::new(EmbedderOptions::default())), Role::Admin);
    all.into_iter().find(|function| function.name() == name).unwrap()
}

/// Calls a function of ours.
fn call(name: &str, args: Vec<ColumnarValue>, number_rows: usize) -> Result<ColumnarValue> {
    invoke(&function(name), args, number_rows)
}

/// Calls a function as a plan does: arguments are cast to what it asks for.
fn invoke(function: &ScalarUDF, args: Vec<ColumnarValue>, number_rows: usize) -> Result<ColumnarValue> {
    let given: Vec<DataType> = args.iter().map(ColumnarValue::data_type).collect();
    let coerced = function.coerce_types(&given)?;
    let args: Vec<ColumnarValue> = args
        .into_iter()
        .zip(&coerced)
        .map(|(arg, to)| if &arg.data_type() == to { Ok(arg) } else { arg.cast_to(to, None) })
        .collect::<Result<_>>()?;
    let arg_fields: Vec<_> = coerced.iter().map(|to| Arc::new(Field::new("a", to.clone(), true))).collect();
    let scalars: Vec<Option<&ScalarValue>> = args
        .iter()
        .map(|arg| match arg {
            ColumnarValue::Scalar(scalar) => Some(scalar),
            ColumnarValue::Array(_) => None,
        })
        .collect();
    let return_field =
        function.return_field_from_args(ReturnFieldArgs { arg_fields: &arg_fields, scalar_arguments: &scalars })?;
    let answer = function.invoke_with_args(ScalarFunctionArgs {
        args: args.clone(),
        arg_fields,
        number_rows,
        return_field: Arc::clone(&return_field),
        config_options: Arc::new(ConfigOptions::default()),
    })?;
    assert_eq!(&answer.data_type(), return_field.data_type(), "{}", function.name());
    Ok(answer)
}

fn rows(answer: ColumnarValue, number_rows: usize) -> ArrayRef {
    let array = answer.to_array(number_rows).unwrap();
    assert_eq!(array.len(), number_rows);
    array
}

fn floats(array: &dyn Array) -> Vec<Option<f64>> {
    let array = cast(array, &DataType::Float64).unwrap();
    array.as_primitive::<Float64Type>().iter().collect()
}

type Rows = Vec<Option<Vec<Option<f32>>>>;

/// The layout of vectors in memory.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    Fixed,
    FixedF64,
    FixedF16,
    List,
    ListF64,
    LargeList,
    LargeListF64,
}

const FORMS: [Form; 7] =
    [Form::Fixed, Form::FixedF64, Form::FixedF16, Form::List, Form::ListF64, Form::LargeList, Form::LargeListF64];

/// `rows` in a form, behind `before` rows and coordinates that are not theirs.
fn array(rows: &Rows, dim: usize, form: Form, before: usize) -> ArrayRef {
    let junk = (0..before).map(|_| Some(vec![Some(9.0_f32); dim]));
    let all: Rows = junk.chain(rows.iter().cloned()).collect();
    let empty = || vec![Some(7.0_f32); dim];
    let values: Vec<Option<f32>> = all.iter().flat_map(|row| row.clone().unwrap_or_else(empty)).collect();
    let values: ArrayRef = Arc::new(Float32Array::from(values));
    let values: ArrayRef = match form {
        Form::Fixed | Form::List | Form::LargeList => values,
        Form::FixedF16 => cast(&values, &DataType::Float16).unwrap(),
        Form::FixedF64 | Form::ListF64 | Form::LargeListF64 => cast(&values, &DataType::Float64).unwrap(),
    };
    let nulls: NullBuffer = all.iter().map(Option::is_some).collect();
    let item = Arc::new(Field::new("element", values.data_type().clone(), true));
    let lengths = || all.iter().map(|row| row.as_ref().map_or(dim, Vec::len));
    let array: ArrayRef = match form {
        Form::Fixed | Form::FixedF64 | Form::FixedF16 => {
            let size = i32::try_from(dim).unwrap();
            Arc::new(FixedSizeListArray::try_new_with_length(item, size, values, Some(nulls), all.len()).unwrap())
        }
        Form::List | Form::ListF64 => {
            Arc::new(ListArray::new(item, OffsetBuffer::from_lengths(lengths()), values, Some(nulls)))
        }
        Form::LargeList | Form::LargeListF64 => {
            Arc::new(LargeListArray::new(item, OffsetBuffer::from_lengths(lengths()), values, Some(nulls)))
        }
    };
    array.slice(before, rows.len())
}

/// The reference value of a function, in f64. The kernels sum in Float32, hence the tolerance, which `scale` sets.
fn meaning(name: &str, a: &[f32], b: &[f32], of_lists: bool) -> Option<f64> {
    let pairs = || a.iter().zip(b).map(|(a, b)| (f64::from(*a), f64::from(*b)));
    let squared: f64 = pairs().map(|(a, b)| (a - b) * (a - b)).sum();
    let dot: f64 = pairs().map(|(a, b)| a * b).sum();
    let norms = pairs().map(|(a, _)| a * a).sum::<f64>().sqrt() * pairs().map(|(_, b)| b * b).sum::<f64>().sqrt();
    let cosine = match norms == 0.0 {
        true if of_lists => None,
        true => Some(0.0),
        false => Some(dot / norms),
    };
    match name {
        "l2_distance" | "array_distance" => Some(squared.sqrt()),
        "l2_squared" => Some(squared),
        "cosine_distance" => cosine.map(|cosine| 1.0 - cosine),
        "cosine_similarity" => cosine,
        "inner_product" => Some(dot),
        "l1_distance" => Some(pairs().map(|(a, b)| (a - b).abs()).sum()),
        other => panic!("{other} is no distance"),
    }
}

/// The values of a row, if it is a vector.
fn complete(row: &Option<Vec<Option<f32>>>) -> Option<Vec<f32>> {
    row.clone()?.into_iter().collect()
}

fn vectors(max_dim: usize) -> impl Strategy<Value = (usize, Rows, Rows)> {
    // Halves: exact in Float16 too.
    let number = prop_oneof![9 => (-40_i8..40).prop_map(|x| Some(f32::from(x) / 2.0)), 1 => Just(Some(0.0))];
    (0..=max_dim, 0..6_usize).prop_flat_map(move |(dim, num_rows)| {
        let coordinate = prop_oneof![60 => number.clone(), 1 => Just(None)];
        let row = prop_oneof![6 => prop::collection::vec(coordinate, dim).prop_map(Some), 1 => Just(None)];
        let rows = prop::collection::vec(row, num_rows);
        (Just(dim), rows.clone(), rows)
    })
}

proptest! {
    #[test]
    fn distances_agree_with_their_definition_in_every_form(
        (dim, a, b) in vectors(70),
        name in prop::sample::select(BINARY.to_vec()),
        form_a in prop::sample::select(FORMS.to_vec()),
        form_b in prop::sample::select(FORMS.to_vec()),
        before in 0..4_usize,
        constant in 0..3_u8,
    ) {
        let is_vector = |form: Form| matches!(form, Form::Fixed | Form::FixedF16);
        let of_lists = !is_vector(form_a) && !is_vector(form_b);
        let (array_a, array_b) = (array(&a, dim, form_a, before), array(&b, dim, form_b, 3 - before));
        // A constant is the first row, for every row.
        let argument = |array: &ArrayRef, is_constant: bool| match is_constant && !array.is_empty() {
            true => ColumnarValue::Scalar(ScalarValue::try_from_array(array, 0).unwrap()),
            false => ColumnarValue::Array(Arc::clone(array)),
        };
        let answer = call(name, vec![argument(&array_a, constant == 1), argument(&array_b, constant == 2)], a.len()).unwrap();
        let got = rows(answer, a.len());
        prop_assert_eq!(got.data_type(), &if of_lists { DataType::Float64 } else { DataType::Float32 });
        for (row, got) in floats(&got).into_iter().enumerate() {
            let (a, b) = (&a[if constant == 1 { 0 } else { row }], &b[if constant == 2 { 0 } else { row }]);
            let (Some(a), Some(b)) = (complete(a), complete(b)) else {
                prop_assert_eq!(got, None);
                continue;
            };
            match (meaning(name, &a, &b, of_lists), got) {
                (None, got) => prop_assert_eq!(got, None),
                (Some(expected), Some(got)) => {
                    // 70 products of at most 40 * 40.
                    let tolerance = if of_lists { 1e-9 } else { 1e-4 + expected.abs() * 1e-5 };
                    prop_assert!((expected - got).abs() <= tolerance, "{name} {a:?} {b:?}: {expected}, {got}");
                }
                (expected, got) => prop_assert!(false, "{name}: expected {expected:?}, got {got:?}"),
            }
        }
    }

    #[test]
    fn of_lists_they_say_what_datafusion_says(
        (dim, a, b) in vectors(20),
        longer in 0..8_usize,
        form_a in prop::sample::select(vec![Form::List, Form::ListF64, Form::LargeList, Form::LargeListF64, Form::FixedF64]),
        same in any::<bool>(),
        before in 0..4_usize,
        ours in prop::sample::select(vec!["cosine_distance", "inner_product", "array_distance"]),
    ) {
        let theirs = all_default_nested_functions().into_iter().find(|theirs| theirs.name() == ours).unwrap();
        // DataFusion's `array_distance` takes no list with a large list.
        let form_b = if same || ours == "array_distance" { form_a } else { Form::LargeListF64 };
        // Now and then the vectors have different lengths.
        let b = if longer > 0 { b } else { a.iter().map(|_| Some(vec![Some(1.0); dim + 1])).collect() };
        let b_dim = if longer > 0 { dim } else { dim + 1 };
        let args =
            || vec![ColumnarValue::Array(array(&a, dim, form_a, before)), ColumnarValue::Array(array(&b, b_dim, form_b, 1))];
        match (call(ours, args(), a.len()), invoke(&theirs, args(), a.len())) {
            (Ok(ours), Ok(theirs)) => {
                let (ours, theirs) = (rows(ours, a.len()), rows(theirs, a.len()));
                prop_assert_eq!(ours.data_type(), theirs.data_type());
                prop_assert_eq!(floats(&ours), floats(&theirs));
            }
            (Err(_), Err(_)) => {}
            // Lists of a fixed length are told apart before there are rows.
            (Err(_), Ok(_)) if form_a == Form::FixedF64 && dim != b_dim => {}
            // DataFusion's `array_distance` looks for NULL coordinates before it looks at lengths.
            (Err(_), Ok(_)) if ours == "array_distance" && dim != b_dim => {}
            (ours, theirs) => prop_assert!(false, "{:?}, {:?}", ours.is_ok(), theirs.is_ok()),
        }
    }

    #[test]
    fn functions_of_one_vector_agree_with_their_definition_in_every_form(
        (dim, a, _) in vectors(70),
        form in prop::sample::select(FORMS.to_vec()),
        before in 0..4_usize,
    ) {
        let argument = || vec![ColumnarValue::Array(array(&a, dim, form, before))];
        let norms = floats(&rows(call("vector_norm", argument(), a.len()).unwrap(), a.len()));
        let dims = rows(call("vector_dims", argument(), a.len()).unwrap(), a.len());
        let normalized = rows(call("normalize", argument(), a.len()).unwrap(), a.len());
        for (row, vector) in a.iter().enumerate() {
            let dims = dims.as_primitive::<Int64Type>();
            prop_assert_eq!(dims.is_valid(row).then(|| dims.value(row)), vector.as_ref().map(|_| dim as i64));
            let vector = complete(vector);
            let norm = vector.as_ref().map(|v| v.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt());
            match (norms[row], norm) {
                (Some(got), Some(norm)) => prop_assert!((got - norm).abs() <= 1e-5 * (1.0 + norm)),
                (got, norm) => prop_assert_eq!(got, norm),
            }
            let got = list(&normalized, row);
            match (vector, norm) {
                (Some(vector), Some(norm)) if norm > 0.0 || dim == 0 => {
                    let got = got.unwrap();
                    prop_assert_eq!(got.len(), dim);
                    for (got, x) in got.iter().zip(vector) {
                        prop_assert!((got - f64::from(x) / norm).abs() < 1e-6);
                    }
                }
                _ => prop_assert_eq!(got, None),
            }
        }
    }

    #[test]
    fn subvector_is_the_slice_of_these_numbers_or_an_error(
        (dim, a, _) in vectors(9),
        form in prop::sample::select(FORMS.to_vec()),
        start in prop_oneof![4 => -1..12_i64, 1 => any::<i64>(), 1 => Just(i64::MIN), 1 => Just(i64::MAX)],
        length in prop_oneof![4 => -1..12_i64, 1 => any::<i64>(), 1 => Just(i64::MIN), 1 => Just(i64::MAX)],
        before in 0..4_usize,
        constant in any::<bool>(),
    ) {
        let start_argument = match constant {
            true => ColumnarValue::Scalar(ScalarValue::Int64(Some(start))),
            false => ColumnarValue::Array(Arc::new(Int64Array::from(vec![start; a.len()]))),
        };
        let length_argument = ColumnarValue::Scalar(ScalarValue::Int64(Some(length)));
        let vectors = ColumnarValue::Array(array(&a, dim, form, before));
        let got = call("subvector", vec![vectors, start_argument, length_argument], a.len());
        let end = i128::from(start) + i128::from(length) - 1;
        let fits = start >= 1 && length >= 1 && end <= dim as i128;
        let Ok(got) = got else {
            prop_assert!(!fits, "{}", got.unwrap_err());
            return Ok(());
        };
        let got = rows(got, a.len());
        for (row, vector) in a.iter().enumerate() {
            let expected = complete(vector).map(|vector| {
                prop_assert!(fits, "coordinates {start} to {end} of {dim}");
                let range = usize::try_from(start).unwrap() - 1..usize::try_from(end).unwrap();
                Ok(vector[range].iter().map(|x| f64::from(*x)).collect::<Vec<_>>())
            });
            prop_assert_eq!(list(&got, row), expected.transpose()?);
        }
    }

    #[test]
    fn any_bits_are_answered_without_panic(
        (a, b) in (0..20_usize).prop_flat_map(|dim| {
            let row = prop::collection::vec(any::<u32>().prop_map(f32::from_bits), dim);
            (row.clone(), row)
        }),
        name in prop::sample::select(BINARY.to_vec()),
    ) {
        for form in FORMS {
            let side = |values: &[f32]| {
                let row = values.iter().copied().map(Some).collect();
                ColumnarValue::Array(array(&vec![Some(row)], values.len(), form, 1))
            };
            rows(call(name, vec![side(&a), side(&b)], 1).unwrap(), 1);
            for name in ["vector_norm", "normalize", "vector_dims"] {
                rows(call(name, vec![side(&a)], 1).unwrap(), 1);
            }
        }
    }
}

/// A list as numbers.
fn list(lists: &ArrayRef, row: usize) -> Option<Vec<f64>> {
    let values = match lists.data_type() {
        _ if lists.is_null(row) => return None,
        DataType::FixedSizeList(..) => lists.as_fixed_size_list().value(row),
        DataType::List(_) => lists.as_list::<i32>().value(row),
        _ => lists.as_list::<i64>().value(row),
    };
    floats(&values).into_iter().collect()
}

fn fixed<T: ArrowPrimitiveType>(values: PrimitiveArray<T>, dim: i32) -> ArrayRef {
    let item = Arc::new(Field::new_list_field(T::DATA_TYPE, true));
    Arc::new(FixedSizeListArray::new(item, dim, Arc::new(values), None))
}

#[test]
fn numbers_equal_those_of_the_index_engine() {
    let (a, b) = ([0.1_f32, -0.7, 3.3], [1.9_f32, 0.2, -0.4]);
    let column = |values: [f32; 3]| ColumnarValue::Array(fixed(Float32Array::from(values.to_vec()), 3));
    let got = |name: &str| {
        let answer = rows(call(name, vec![column(a), column(b)], 1).unwrap(), 1);
        answer.as_primitive::<Float32Type>().value(0)
    };
    assert_eq!(got("l2_distance"), Metric::L2.distance(&a, &b).sqrt());
    assert_eq!(got("l2_squared"), Metric::L2.distance(&a, &b));
    assert_eq!(got("cosine_distance"), Metric::Cosine.distance(&a, &b));
    assert_eq!(got("inner_product"), -Metric::InnerProduct.distance(&a, &b));
}

#[test]
fn vectors_are_read_where_they_lie() {
    let vectors = fixed(Float32Array::from(vec![1.0, 2.0, 3.0, 4.0]), 2);
    let address = vectors.as_fixed_size_list().values().as_primitive::<Float32Type>().values().as_ptr();
    let read = super::vectors::Vectors::<Float32Type>::new(&ColumnarValue::Array(vectors.slice(1, 1))).unwrap();
    assert_eq!(read.get(0).unwrap(), [3.0, 4.0]);
    assert_eq!(read.get(0).unwrap().as_ptr(), address.wrapping_add(2));
    // Whatever the name of the items is, and whether they may be NULL, they are not cast.
    for nullable in [true, false] {
        let item = Arc::new(Field::new("x", DataType::Float32, nullable));
        for lists in [DataType::FixedSizeList(Arc::clone(&item), 2), DataType::List(item)] {
            let vector = vectors.data_type().clone();
            let coerced = function("l2_distance").coerce_types(&[lists.clone(), vector.clone()]).unwrap();
            assert_eq!(coerced, [lists, vector]);
        }
    }
}

#[test]
fn what_does_not_fit_is_named() {
    let two = || ColumnarValue::Array(fixed(Float32Array::from(vec![1.0, 2.0]), 2));
    let three = || ColumnarValue::Array(fixed(Float32Array::from(vec![1.0, 2.0, 3.0]), 3));
    let ragged = |values: &[f64]| {
        let values: Vec<ScalarValue> = values.iter().map(|value| ScalarValue::from(*value)).collect();
        ColumnarValue::Scalar(ScalarValue::List(ScalarValue::new_list(&values, &DataType::Float64, true)))
    };
    let number = |number: i64| ColumnarValue::Scalar(ScalarValue::Int64(Some(number)));
    let text = || ColumnarValue::Scalar(ScalarValue::from("[1, 2]"));
    let message = |name: &str, args: Vec<ColumnarValue>| call(name, args, 1).unwrap_err().strip_backtrace();
    for name in BINARY {
        for (args, part) in [
            (vec![two(), three()], "expected 2, got 3"),
            (vec![two(), ragged(&[1.0, 2.0, 3.0])], "expected 2, got 3"),
            (vec![ragged(&[1.0]), ragged(&[])], "expected 1, got 0"),
            (vec![two()], "requires 2 arguments, got 1"),
            (vec![two(), number(1)], "does not support type Int64: expected FLOAT[dim]"),
            (vec![text(), ragged(&[1.0, 2.0])], "does not support type Utf8: expected FLOAT[dim]"),
            (vec![text(), three()], "expected 2, got 3"),
        ] {
            let message = message(name, args);
            assert!(message.contains(name) && message.contains(part), "{message}");
        }
    }
    for (args, part) in [
        (vec![three(), number(0), number(1)], "coordinates 1 to 3, got start 0 and length 1"),
        (vec![three(), number(3), number(2)], "coordinates 1 to 3, got start 3 and length 2"),
        (vec![three(), number(1), number(0)], "coordinates 1 to 3, got start 1 and length 0"),
        (vec![three(), number(1), ragged(&[1.0])], "argument length: expected an integer, got List"),
        (vec![three(), number(1), ColumnarValue::Array(Arc::new(Int64Array::from(vec![1])))], "expected a constant"),
        (vec![three(), number(1)], "requires 3 arguments, got 2"),
    ] {
        let message = message("subvector", args);
        assert!(message.contains("subvector") && message.contains(part), "{message}");
    }
}

#[test]
fn null_in_any_place_is_null() {
    let null = || ColumnarValue::Scalar(ScalarValue::Null);
    let vector = || ColumnarValue::Array(fixed(Float32Array::from(vec![1.0, 2.0, 3.0, 4.0]), 2));
    let is_null = |name: &str, args: Vec<ColumnarValue>| {
        let answer = rows(call(name, args, 2).unwrap(), 2);
        assert_eq!(answer.null_count(), 2, "{name}");
    };
    for name in BINARY {
        is_null(name, vec![null(), vector()]);
        is_null(name, vec![vector(), null()]);
        is_null(name, vec![null(), null()]);
    }
    for name in ["vector_norm", "normalize", "vector_dims"] {
        is_null(name, vec![null()]);
    }
    let one = || ColumnarValue::Scalar(ScalarValue::Int64(Some(1)));
    is_null("subvector", vec![null(), one(), one()]);
    is_null("subvector", vec![vector(), null(), one()]);
    is_null("subvector", vec![vector(), one(), null()]);
    is_null("vector_norm", vec![ColumnarValue::Array(new_null_array(&DataType::Null, 2))]);
}

#[test]
fn integers_of_every_kind_say_where_a_part_begins() {
    let vectors = || ColumnarValue::Array(fixed(Float32Array::from(vec![1.0, 2.0, 3.0, 4.0]), 2));
    let length = || ColumnarValue::Scalar(ScalarValue::UInt8(Some(1)));
    let starts: [ArrayRef; 2] = [Arc::new(Int32Array::from(vec![2, 1])), Arc::new(UInt64Array::from(vec![2, 1]))];
    for starts in starts {
        let got = rows(call("subvector", vec![vectors(), ColumnarValue::Array(starts), length()], 2).unwrap(), 2);
        assert_eq!((list(&got, 0), list(&got, 1)), (Some(vec![2.0]), Some(vec![3.0])));
    }
    let huge: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX, 1]));
    assert!(call("subvector", vec![vectors(), ColumnarValue::Array(huge), length()], 2).is_err());
}

#[test]
fn lists_keep_their_precision() {
    let list = |values: &[f64]| {
        let values: Vec<ScalarValue> = values.iter().map(|value| ScalarValue::from(*value)).collect();
        ColumnarValue::Scalar(ScalarValue::List(ScalarValue::new_list(&values, &DataType::Float64, true)))
    };
    let answer = call("inner_product", vec![list(&[1e16, 1.0]), list(&[1.0, 1.0])], 1).unwrap();
    assert_eq!(rows(answer, 1).as_primitive::<Float64Type>().value(0), 1e16 + 1.0);
    // A fixed number of Float64 is a list, too.
    let fixed = ColumnarValue::Array(fixed(Float64Array::from(vec![1e16, 1.0]), 2));
    assert_eq!(call("vector_norm", vec![fixed], 1).unwrap().data_type(), DataType::Float64);
    let halves = fixed_f16(&[0.5, 1.0]);
    assert_eq!(call("vector_norm", vec![ColumnarValue::Array(halves)], 1).unwrap().data_type(), DataType::Float32);
}

fn fixed_f16(values: &[f32]) -> ArrayRef {
    let values = cast(&Float32Array::from(values.to_vec()), &DataType::Float16).unwrap();
    let item = Arc::new(Field::new_list_field(DataType::Float16, true));
    let values: Float16Array = values.as_primitive().clone();
    let dim = i32::try_from(values.len()).unwrap();
    Arc::new(FixedSizeListArray::new(item, dim, Arc::new(values), None))
}
