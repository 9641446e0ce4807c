//! Random nested arrays, for property tests: the same rows in a plain form, and in one with all that slices leave behind.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, FixedSizeListArray, Float64Array, GenericListArray, GenericListViewArray, Int64Array, MapArray,
    OffsetSizeTrait, StringArray, StructArray, new_empty_array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::compute::concat;
use arrow::datatypes::{DataType, Field, FieldRef};
use proptest::collection::vec;
use proptest::prelude::*;

/// A value of any type.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Int(i64),
    Float(f64),
    Text(String),
    /// The items of a list, the fields of a struct, or the keys and values of a map in turn.
    Many(Vec<Value>),
}

/// A field of lists or of entries.
pub(crate) fn item(data_type: DataType) -> FieldRef {
    Arc::new(Field::new("item", data_type, true))
}

/// The type of a map from texts.
pub(crate) fn map_of(value: DataType) -> DataType {
    let entries = vec![Field::new("key", DataType::Utf8, false), Field::new("value", value, true)];
    DataType::Map(Arc::new(Field::new("entries", DataType::Struct(entries.into()), false)), false)
}

/// Types with up to three levels of lists, maps and structs.
pub(crate) fn types() -> BoxedStrategy<DataType> {
    let leaf = prop_oneof![Just(DataType::Int64), Just(DataType::Float64), Just(DataType::Utf8)];
    leaf.prop_recursive(3, 8, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|inner| DataType::List(item(inner))),
            inner.clone().prop_map(|inner| DataType::LargeList(item(inner))),
            inner.clone().prop_map(|inner| DataType::ListView(item(inner))),
            inner.clone().prop_map(|inner| DataType::LargeListView(item(inner))),
            inner.clone().prop_map(|inner| DataType::FixedSizeList(item(inner), 2)),
            inner.clone().prop_map(map_of),
            (inner.clone(), inner).prop_map(|(a, b)| {
                DataType::Struct(vec![Field::new("a", a, true), Field::new("b", b, true)].into())
            }),
        ]
    })
    .boxed()
}

/// Values of a type; one in five is NULL.
pub(crate) fn values(data_type: &DataType) -> BoxedStrategy<Value> {
    let some = match data_type {
        DataType::Int64 => prop_oneof![4 => -200..200_i64, 1 => Just(i64::MAX)].prop_map(Value::Int).boxed(),
        DataType::Float64 => {
            let halves = (-50..50_i32).prop_map(|halves| f64::from(halves) / 2.0);
            prop_oneof![9 => halves, 1 => Just(1e300)].prop_map(Value::Float).boxed()
        }
        DataType::Utf8 => "[a-z0-9]{0,2}".prop_map(Value::Text).boxed(),
        DataType::FixedSizeList(item, dim) => many(vec(values(item.data_type()), usize::try_from(*dim).unwrap_or(0))),
        DataType::List(item) | DataType::LargeList(item) | DataType::ListView(item) | DataType::LargeListView(item) => {
            many(vec(values(item.data_type()), 0..4))
        }
        DataType::Struct(fields) => many(fields.iter().map(|field| values(field.data_type())).collect::<Vec<_>>()),
        DataType::Map(entries, _) => {
            let DataType::Struct(fields) = entries.data_type() else { panic!("entries are structs") };
            let entry = ("[a-z]{1,2}".prop_map(Value::Text), values(fields[1].data_type()));
            let entries = vec(entry, 0..3);
            entries.prop_map(|entries| Value::Many(entries.into_iter().flat_map(|(k, v)| [k, v]).collect())).boxed()
        }
        other => panic!("no values of {other}"),
    };
    prop_oneof![4 => some, 1 => Just(Value::Null)].boxed()
}

fn many(values: impl Strategy<Value = Vec<Value>> + 'static) -> BoxedStrategy<Value> {
    values.prop_map(Value::Many).boxed()
}

/// How rows are laid out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Layout {
    /// Nothing is there but the rows.
    Plain,
    /// Slices of slices, with rows beside them, items beside those of lists, and items below NULL.
    Sliced,
}

/// The rows as an array.
pub(crate) fn array(data_type: &DataType, rows: &[Value], layout: Layout) -> ArrayRef {
    if layout == Layout::Plain {
        return laid_out(data_type, rows, layout);
    }
    let beside = vec![filler(data_type); 3];
    let all: Vec<Value> = beside.iter().chain(rows).chain(&beside).cloned().collect();
    laid_out(data_type, &all, layout).slice(1, rows.len() + 4).slice(2, rows.len())
}

/// A value that is not among the rows.
fn filler(data_type: &DataType) -> Value {
    match data_type {
        DataType::Int64 => Value::Int(i64::MIN),
        DataType::Float64 => Value::Float(-1e299),
        DataType::Utf8 => Value::Text("beside".to_owned()),
        DataType::Struct(fields) => Value::Many(fields.iter().map(|field| filler(field.data_type())).collect()),
        DataType::Map(entries, _) => {
            let DataType::Struct(fields) = entries.data_type() else { panic!("entries are structs") };
            Value::Many(vec![filler(&DataType::Utf8), filler(fields[1].data_type())])
        }
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => Value::Many(vec![filler(item.data_type()); 2]),
        other => panic!("no values of {other}"),
    }
}

/// Items below a NULL, where the layout has any.
fn below_null(data_type: &DataType, layout: Layout) -> Vec<Value> {
    match (filler(data_type), layout) {
        (Value::Many(items), Layout::Sliced) => items,
        (Value::Many(items), Layout::Plain) => vec![Value::Null; items.len()],
        _ => Vec::new(),
    }
}

fn laid_out(data_type: &DataType, rows: &[Value], layout: Layout) -> ArrayRef {
    let nulls = NullBuffer::from_iter(rows.iter().map(|row| *row != Value::Null));
    let nulls = Some(nulls).filter(|nulls| nulls.null_count() > 0);
    match data_type {
        DataType::Int64 => Arc::new(Int64Array::from_iter(rows.iter().map(|row| match row {
            Value::Int(value) => Some(*value),
            _ => None,
        }))),
        DataType::Float64 => Arc::new(Float64Array::from_iter(rows.iter().map(|row| match row {
            Value::Float(value) => Some(*value),
            _ => None,
        }))),
        DataType::Utf8 => Arc::new(StringArray::from_iter(rows.iter().map(|row| match row {
            Value::Text(text) => Some(text.as_str()),
            _ => None,
        }))),
        DataType::List(item) => lists::<i32>(item, rows, nulls, layout),
        DataType::LargeList(item) => lists::<i64>(item, rows, nulls, layout),
        DataType::ListView(item) => list_views::<i32>(item, rows, nulls, layout),
        DataType::LargeListView(item) => list_views::<i64>(item, rows, nulls, layout),
        DataType::FixedSizeList(item, dim) => {
            let items = rows.iter().flat_map(|row| children(row, data_type, layout));
            let items = array(item.data_type(), &items.collect::<Vec<_>>(), layout);
            let lists = FixedSizeListArray::try_new_with_length(Arc::clone(item), *dim, items, nulls, rows.len());
            Arc::new(lists.expect("lists of one length"))
        }
        DataType::Struct(fields) => {
            let rows: Vec<_> = rows.iter().map(|row| children(row, data_type, layout)).collect();
            let columns = fields.iter().enumerate().map(|(at, field)| {
                let column: Vec<Value> = rows.iter().map(|row| row[at].clone()).collect();
                array(field.data_type(), &column, layout)
            });
            let structs = StructArray::try_new_with_length(fields.clone(), columns.collect(), nulls, rows.len());
            Arc::new(structs.expect("columns of one length"))
        }
        DataType::Map(entries, ordered) => {
            let DataType::Struct(fields) = entries.data_type() else { panic!("entries are structs") };
            let of_rows: Vec<Vec<Value>> = rows
                .iter()
                .map(|row| match row {
                    Value::Null if layout == Layout::Plain => Vec::new(),
                    row => children(row, data_type, layout),
                })
                .collect();
            let column = |at: usize| {
                let values: Vec<Value> = of_rows.iter().flatten().skip(at).step_by(2).cloned().collect();
                array(fields[at].data_type(), &values, layout)
            };
            let structs = StructArray::try_new(fields.clone(), vec![column(0), column(1)], None);
            let offsets = OffsetBuffer::from_lengths(of_rows.iter().map(|row| row.len() / 2));
            let structs = structs.expect("as many keys as values");
            let maps = MapArray::try_new(Arc::clone(entries), offsets, structs, nulls, *ordered);
            Arc::new(maps.expect("entries of maps"))
        }
        other => panic!("no arrays of {other}"),
    }
}

fn children(row: &Value, data_type: &DataType, layout: Layout) -> Vec<Value> {
    match row {
        Value::Many(items) => items.clone(),
        _ => below_null(data_type, layout),
    }
}

/// The items of variable lists, one row after the other, with items between them if the layout has these.
fn lists<O: OffsetSizeTrait>(item: &FieldRef, rows: &[Value], nulls: Option<NullBuffer>, layout: Layout) -> ArrayRef {
    let of_rows: Vec<Vec<Value>> = rows.iter().map(|row| variable(row, item, layout)).collect();
    let items: Vec<Value> = of_rows.iter().flatten().cloned().collect();
    let items = array(item.data_type(), &items, layout);
    let offsets = OffsetBuffer::<O>::from_lengths(of_rows.iter().map(Vec::len));
    Arc::new(GenericListArray::<O>::try_new(Arc::clone(item), offsets, items, nulls).expect("items of lists"))
}

fn variable(row: &Value, item: &FieldRef, layout: Layout) -> Vec<Value> {
    match (row, layout) {
        (Value::Many(items), _) => items.clone(),
        (_, Layout::Plain) => Vec::new(),
        (_, Layout::Sliced) => vec![filler(item.data_type()); 3],
    }
}

/// The last row's items come first, with an item that no row has after each row.
fn list_views<O: OffsetSizeTrait>(
    item: &FieldRef,
    rows: &[Value],
    nulls: Option<NullBuffer>,
    layout: Layout,
) -> ArrayRef {
    let mut pieces = vec![new_empty_array(item.data_type())];
    let (mut offsets, mut sizes, mut next) = (vec![O::default(); rows.len()], vec![O::default(); rows.len()], 0);
    let order: Vec<usize> = match layout {
        Layout::Plain => (0..rows.len()).collect(),
        Layout::Sliced => (0..rows.len()).rev().collect(),
    };
    for row in order {
        let mut items = variable(&rows[row], item, layout);
        (offsets[row], sizes[row]) = (O::usize_as(next), O::usize_as(items.len()));
        if layout == Layout::Sliced {
            items.push(filler(item.data_type()));
        }
        next += items.len();
        pieces.push(array(item.data_type(), &items, layout));
    }
    let items = concat(&pieces.iter().map(AsRef::as_ref).collect::<Vec<_>>()).expect("arrays of one type");
    let (offsets, sizes) = (ScalarBuffer::from(offsets), ScalarBuffer::from(sizes));
    let lists = GenericListViewArray::<O>::try_new(Arc::clone(item), offsets, sizes, items, nulls);
    Arc::new(lists.expect("views of items"))
}
