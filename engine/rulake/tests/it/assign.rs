//! Assignment to columns: each value is kept exactly, or its row is an error, wherever the value lies.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use proptest::prelude::*;
use ruvector_rulake::ErrorKind;
use ruvector_rulake::assign::conform;
use ruvector_rulake::vector_column::vector_type;
use ruvector_rulake::vector_type::VectorType;

use self::arrays::{Layout, Value, array, item, map_of, types, values};

#[path = "../../../../patches/arrow-cast/tests/it/arrays.rs"]
mod arrays;

/// Types of columns that a type may be assigned to, with fields of structs in another order and one more.
fn columns(from: &DataType) -> BoxedStrategy<DataType> {
    match from {
        DataType::Int64 => prop_oneof![Just(DataType::Int64), Just(DataType::Int8), Just(DataType::Float32)].boxed(),
        DataType::Float64 => {
            prop_oneof![Just(DataType::Float64), Just(DataType::Float32), Just(DataType::Int32)].boxed()
        }
        DataType::Utf8 => prop_oneof![Just(DataType::Utf8), Just(DataType::LargeUtf8)].boxed(),
        DataType::List(inner)
        | DataType::LargeList(inner)
        | DataType::ListView(inner)
        | DataType::LargeListView(inner)
        | DataType::FixedSizeList(inner, _) => columns(inner.data_type())
            .prop_flat_map(|inner| {
                prop_oneof![
                    Just(DataType::List(item(inner.clone()))),
                    Just(DataType::LargeList(item(inner.clone()))),
                    Just(DataType::FixedSizeList(item(inner), 2)),
                ]
            })
            .boxed(),
        DataType::Struct(fields) => (columns(fields[0].data_type()), columns(fields[1].data_type()))
            .prop_map(|(a, b)| {
                let fields =
                    vec![Field::new("b", b, true), Field::new("more", DataType::Int64, true), Field::new("a", a, true)];
                DataType::Struct(fields.into())
            })
            .boxed(),
        DataType::Map(entries, _) => {
            let DataType::Struct(fields) = entries.data_type() else { panic!("entries are structs") };
            columns(fields[1].data_type()).prop_map(map_of).boxed()
        }
        other => panic!("no column for {other}"),
    }
}

/// The definition: what a column of the type `to` has for `value`, or `None` where it cannot hold it.
fn assigned(value: &Value, from: &DataType, to: &DataType, is_coordinate: bool) -> Option<Value> {
    let items = |items: &[Value], of: &DataType, into: &DataType, is_coordinate: bool| {
        items.iter().map(|item| assigned(item, of, into, is_coordinate)).collect::<Option<Vec<_>>>()
    };
    match (value, from, to) {
        (Value::Null, ..) => Some(Value::Null),
        (Value::Int(value), _, DataType::Int8) => i8::try_from(*value).ok().map(|value| Value::Int(value.into())),
        (Value::Int(value), _, DataType::Float32) => {
            let rounded = *value as f32;
            #[expect(clippy::cast_possible_truncation, reason = "a float of a whole number is whole, and below 2^64")]
            let is_exact = i128::from(*value) == rounded as i128;
            (is_exact || is_coordinate).then(|| Value::Float(rounded.into()))
        }
        (Value::Float(value), _, DataType::Float32) => {
            #[expect(clippy::cast_possible_truncation, reason = "the assignment rounds")]
            let rounded = *value as f32;
            rounded.is_finite().then(|| Value::Float(rounded.into()))
        }
        (Value::Float(value), _, DataType::Int32) => {
            let fits = value.fract() == 0.0 && value.abs() < 1e9;
            #[expect(clippy::cast_possible_truncation, reason = "used only if it fits")]
            let whole = *value as i64;
            fits.then_some(Value::Int(whole))
        }
        (Value::Many(values), DataType::Struct(of), DataType::Struct(_)) => {
            let DataType::Struct(into) = to else { return None };
            let (a, b) = (&values[0], &values[1]);
            let b = assigned(b, of[1].data_type(), into[0].data_type(), false)?;
            let a = assigned(a, of[0].data_type(), into[2].data_type(), false)?;
            Some(Value::Many(vec![b, Value::Null, a]))
        }
        (Value::Many(values), DataType::Map(of, _), DataType::Map(into, _)) => {
            let (DataType::Struct(of), DataType::Struct(into)) = (of.data_type(), into.data_type()) else {
                return None;
            };
            let of_value = |at: usize, value: &Value| match at % 2 {
                0 => Some(value.clone()),
                _ => assigned(value, of[1].data_type(), into[1].data_type(), false),
            };
            let values = values.iter().enumerate().map(|(at, value)| of_value(at, value));
            values.collect::<Option<Vec<_>>>().map(Value::Many)
        }
        (
            Value::Many(values),
            DataType::List(of)
            | DataType::LargeList(of)
            | DataType::ListView(of)
            | DataType::LargeListView(of)
            | DataType::FixedSizeList(of, _),
            DataType::List(into) | DataType::LargeList(into) | DataType::FixedSizeList(into, _),
        ) => {
            let dim = if let DataType::FixedSizeList(_, dim) = to { usize::try_from(*dim).ok() } else { None };
            if dim.is_some_and(|dim| dim != values.len()) {
                return None;
            }
            let is_coordinate = dim.is_some() && *into.data_type() == DataType::Float32;
            items(values, of.data_type(), into.data_type(), is_coordinate).map(Value::Many)
        }
        (value, ..) => Some(value.clone()),
    }
}

/// Rows of a column as an array: leaves as the column has them.
fn column_of(to: &DataType, rows: &[Value]) -> ArrayRef {
    let wide = widened(to);
    let array = array(&wide, rows, Layout::Plain);
    // Of a plain array; every value fits.
    arrow::compute::cast(&array, to).unwrap()
}

/// The type with leaves that the values are made of.
fn widened(to: &DataType) -> DataType {
    match to {
        DataType::Int8 | DataType::Int32 => DataType::Int64,
        DataType::Float32 => DataType::Float64,
        DataType::LargeUtf8 => DataType::Utf8,
        DataType::List(inner) => DataType::List(item(widened(inner.data_type()))),
        DataType::LargeList(inner) => DataType::LargeList(item(widened(inner.data_type()))),
        DataType::FixedSizeList(inner, dim) => DataType::FixedSizeList(item(widened(inner.data_type())), *dim),
        DataType::Struct(fields) => {
            let fields = fields.iter().map(|field| Field::new(field.name(), widened(field.data_type()), true));
            DataType::Struct(fields.collect())
        }
        DataType::Map(entries, _) => {
            let DataType::Struct(fields) = entries.data_type() else { panic!("entries are structs") };
            map_of(widened(fields[1].data_type()))
        }
        other => other.clone(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn rows_are_assigned_one_by_one(
        (from, to, rows) in types().prop_flat_map(|from| {
            let rows = proptest::collection::vec(values(&from), 0..6);
            (columns(&from), rows).prop_map(move |(to, rows)| (from.clone(), to, rows))
        })
    ) {
        // Vectors with NULL in them are refused by another rule.
        let is_vector = VectorType::of(&Field::new("x", to.clone(), true)).is_some();
        let has_null = |row: &Value| matches!(row, Value::Many(items) if items.contains(&Value::Null));
        prop_assume!(!(is_vector && rows.iter().any(has_null)));
        let expected: Option<Vec<Value>> = rows.iter().map(|row| assigned(row, &from, &to, false)).collect();
        let schema = Arc::new(Schema::new(vec![Field::new("x", to.clone(), true)]));
        let given = array(&from, &rows, Layout::Sliced);
        let batch = RecordBatch::try_from_iter_with_nullable([("x", given, true)]).unwrap();
        match (expected, conform(&batch, &schema)) {
            (Some(expected), Ok(got)) => {
                prop_assert_eq!(got.column(0), &column_of(&to, &expected), "{:?}", rows);
            }
            (None, Err(e)) => {
                prop_assert_eq!(e.kind(), ErrorKind::InvalidInput);
                prop_assert!(e.to_string().contains("\"x"), "{}", e);
            }
            (expected, got) => prop_assert!(false, "expected {expected:?}, got {got:?}"),
        }
    }
}

fn assign(array: ArrayRef, to: DataType) -> ruvector_rulake::Result<ArrayRef> {
    let schema = Arc::new(Schema::new(vec![Field::new("x", to, true)]));
    let batch = RecordBatch::try_from_iter_with_nullable([("x", array, true)]).unwrap();
    Ok(Arc::clone(conform(&batch, &schema)?.column(0)))
}

#[test]
fn values_of_leaves_are_kept_or_refused() {
    use DataType::{Binary, Boolean, Date32, Date64, Decimal128, Float32, Float64, Int16, Int32, Int64, Utf8};
    use arrow::array::*;
    use arrow::datatypes::TimeUnit::{Microsecond, Nanosecond};
    let micros = |zone: Option<&str>| DataType::Timestamp(Microsecond, zone.map(Into::into));
    let text = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text])) };
    let decimal = |value: i128, scale: i8| -> ArrayRef {
        Arc::new(Decimal128Array::from(vec![value]).with_precision_and_scale(20, scale).unwrap())
    };
    let nanos = |value: i64, zone: Option<&str>| -> ArrayRef {
        Arc::new(TimestampNanosecondArray::from(vec![value]).with_timezone_opt(zone))
    };
    let micro = |value: i64, zone: Option<&str>| -> ArrayRef {
        Arc::new(TimestampMicrosecondArray::from(vec![value]).with_timezone_opt(zone))
    };
    let float = |value: f64| -> ArrayRef { Arc::new(Float64Array::from(vec![value])) };
    let cases: Vec<(ArrayRef, DataType, Option<ArrayRef>)> = vec![
        (float(1e300), Float32, None),
        (float(0.1), Float32, Some(Arc::new(Float32Array::from(vec![0.1])))),
        (float(f64::INFINITY), Float32, Some(Arc::new(Float32Array::from(vec![f32::INFINITY])))),
        (float(1.9), Int32, None),
        (float(-0.0), Int32, Some(Arc::new(Int32Array::from(vec![0])))),
        (float(f64::NAN), Int32, None),
        (float(9e18), Int64, Some(Arc::new(Int64Array::from(vec![9_000_000_000_000_000_000])))),
        (float(1e19), Int64, None),
        (Arc::new(Int64Array::from(vec![(1_i64 << 53) + 1])), Float64, None),
        (Arc::new(UInt64Array::from(vec![u64::MAX])), Int64, None),
        (Arc::new(UInt64Array::from(vec![u64::MAX])), Decimal128(20, 0), Some(decimal(u64::MAX.into(), 0))),
        (Arc::new(Int32Array::from(vec![2])), Boolean, None),
        (decimal(150, 2), Decimal128(20, 1), Some(decimal(15, 1))),
        (decimal(155, 2), Decimal128(20, 1), None),
        (decimal(155, 2), Int32, None),
        (decimal(200, 2), Int32, Some(Arc::new(Int32Array::from(vec![2])))),
        (float(0.25), Decimal128(20, 1), None),
        (nanos(1_001, None), micros(None), None),
        (nanos(-2_000, None), micros(None), Some(micro(-2, None))),
        (micro(5, Some("Asia/Tokyo")), micros(Some("UTC")), Some(micro(5, Some("UTC")))),
        (micro(5, Some("UTC")), micros(None), None),
        (micro(5, None), micros(Some("UTC")), None),
        (micro(86_400_000_000, None), Date32, Some(Arc::new(Date32Array::from(vec![1])))),
        (micro(86_400_000_001, None), Date32, None),
        (Arc::new(Date64Array::from(vec![86_400_001])), Date32, None),
        (Arc::new(Date32Array::from(vec![1])), micros(None), Some(micro(86_400_000_000, None))),
        (Arc::new(Int64Array::from(vec![5])), micros(None), None),
        (Arc::new(BinaryArray::from(vec![b"\xff".as_slice()])), Utf8, None),
        (text("ab"), Binary, Some(Arc::new(BinaryArray::from(vec![b"ab".as_slice()])))),
        (text("12"), Int16, Some(Arc::new(Int16Array::from(vec![12])))),
        (text("1.5"), Int16, None),
        (text("70000"), Int16, None),
        (text("1e300"), Float32, None),
        (text("inf"), Float32, Some(Arc::new(Float32Array::from(vec![f32::INFINITY])))),
        (text("1.50"), Decimal128(20, 1), Some(decimal(15, 1))),
        (text("1.55"), Decimal128(20, 1), None),
        (text("1970-01-02"), Date32, Some(Arc::new(Date32Array::from(vec![1])))),
        (text("1970-01-02 10:00:00"), Date32, None),
        (text("1970-01-02"), Date64, Some(Arc::new(Date64Array::from(vec![86_400_000])))),
        (text("1970-01-01 00:00:00.000005"), micros(None), Some(micro(5, None))),
        (text("1970-01-01 00:00:00.0000051"), micros(None), None),
        (text("1970-01-01T01:00:00+01:00"), micros(Some("UTC")), Some(micro(0, Some("UTC")))),
        (text("1970-01-01T01:00:00+01:00"), micros(None), None),
        (text("2500-01-01 00:00:00"), micros(None), Some(micro(16_725_225_600_000_000, None))),
        (text("no time"), micros(None), None),
        (Arc::new(Int32Array::from(vec![12])), Utf8, Some(text("12"))),
        (Arc::new(text_in_a_dictionary("5")), Int32, Some(Arc::new(Int32Array::from(vec![5])))),
        (Arc::new(NullArray::new(1)), Int32, Some(Arc::new(Int32Array::from(vec![None])))),
        (Arc::new(DurationSecondArray::from(vec![5])), Int64, None),
        (nanos(5, None), DataType::Timestamp(Nanosecond, None), Some(nanos(5, None))),
    ];
    for (given, to, expected) in cases {
        let what = format!("{given:?} into {to}");
        match (assign(given, to), expected) {
            (Ok(got), Some(expected)) => assert_eq!(&got, &expected, "{what}"),
            (Err(e), None) => {
                assert_eq!(e.kind(), ErrorKind::InvalidInput, "{what}");
                assert!(e.to_string().contains("column \"x\"") && e.to_string().contains("got"), "{what}: {e}");
            }
            (got, expected) => panic!("{what}: expected {expected:?}, got {got:?}"),
        }
    }
}

/// A dictionary of one text.
fn text_in_a_dictionary(text: &str) -> arrow::array::DictionaryArray<arrow::datatypes::Int8Type> {
    [text].into_iter().collect()
}

#[test]
fn fields_are_matched_by_name_at_any_depth() {
    let point = |names: [&str; 2]| {
        let fields = names.map(|name| Field::new(name, DataType::Int64, true));
        DataType::List(item(DataType::Struct(fields.to_vec().into())))
    };
    let rows = [Value::Many(vec![Value::Many(vec![Value::Int(1), Value::Int(2)])])];
    let given = |names| array(&point(names), &rows, Layout::Sliced);
    let swapped = [Value::Many(vec![Value::Many(vec![Value::Int(2), Value::Int(1)])])];
    let got = assign(given(["lon", "lat"]), point(["lat", "lon"])).unwrap();
    assert_eq!(&got, &array(&point(["lat", "lon"]), &swapped, Layout::Plain));
    for (names, says) in [(["lon", "latitude"], "no such field"), (["lon", "lon"], "occurs twice")] {
        let error = assign(given(names), point(["lat", "lon"])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains(says) && error.to_string().contains("x[]"), "{error}");
    }
}

#[test]
fn a_field_or_a_column_that_must_be_there_is_named() {
    let needed = |name: &str| Field::new(name, DataType::Int64, false);
    let of = |fields: Vec<Field>| DataType::Struct(fields.into());
    let given =
        array(&of(vec![Field::new("a", DataType::Int64, true)]), &[Value::Many(vec![Value::Null])], Layout::Plain);
    let error = assign(Arc::clone(&given), of(vec![needed("a")])).unwrap_err();
    assert!(error.to_string().contains("\"x.a\" does not allow NULL"), "{error}");
    let error = assign(given, of(vec![Field::new("a", DataType::Int64, true), needed("b")])).unwrap_err();
    assert!(error.to_string().contains("\"x.b\" does not allow NULL"), "{error}");
    // A struct that is NULL has no fields at all.
    let none = array(&of(vec![Field::new("a", DataType::Int64, true)]), &[Value::Null], Layout::Sliced);
    assert!(assign(none, of(vec![needed("a")])).unwrap().is_null(0));
}

#[test]
fn coordinates_are_rounded_and_their_number_is_checked() {
    let ints = DataType::List(item(DataType::Int64));
    let rows = [Value::Null, Value::Many(vec![Value::Int(16_777_217), Value::Int(2)])];
    let got = assign(array(&ints, &rows, Layout::Sliced), vector_type(2).unwrap()).unwrap();
    let rounded = [Value::Null, Value::Many(vec![Value::Float(16_777_216.0), Value::Float(2.0)])];
    assert_eq!(&got, &column_of(&vector_type(2).unwrap(), &rounded));
    let error = assign(array(&ints, &rows, Layout::Sliced), vector_type(3).unwrap()).unwrap_err();
    assert!(error.to_string().contains("row 1, expected 3, got 2"), "{error}");
    let huge = [Value::Many(vec![Value::Float(1e300), Value::Float(0.0)])];
    let doubles = DataType::List(item(DataType::Float64));
    let error = assign(array(&doubles, &huge, Layout::Sliced), vector_type(2).unwrap()).unwrap_err();
    assert!(error.to_string().contains("\"x[]\""), "{error}");
}

#[test]
fn a_column_occurs_once() {
    let column: ArrayRef = Arc::new(arrow::array::Int64Array::from(vec![1]));
    let field = Field::new("x", DataType::Int64, true);
    let twice = Arc::new(Schema::new(vec![field.clone(), field.clone()]));
    let batch = RecordBatch::try_new(twice, vec![Arc::clone(&column), column]).unwrap();
    let error = conform(&batch, &Arc::new(Schema::new(vec![field]))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("\"x\" occurs twice"), "{error}");
}
