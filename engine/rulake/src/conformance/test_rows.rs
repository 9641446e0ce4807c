//! Rows that the checks store: an id goes in, its row comes out, so that the expected result of every read is known.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeListArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float32Type, Int64Type, Schema, SchemaRef, UInt64Type};

use super::random::Random;
use super::rule::Rule;
use crate::error::{Error, Result};
use crate::vector_column::vector_type;

/// Coordinates per vector.
pub(super) const DIM: usize = 8;
/// The columns, in their order.
pub(super) const COLUMNS: [&str; 3] = ["id", "title", "vec"];

/// A value, in a form that equals only itself: floats are their bits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Value {
    Null,
    Integer(i64),
    Address(u64),
    Text(String),
    Vector(Vec<u32>),
}

/// The values of a row, in the order of its columns.
pub(super) type Row = Vec<Value>;

fn schema() -> Result<SchemaRef> {
    Ok(Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, true),
        Field::new("title", DataType::Utf8, true),
        Field::new("vec", vector_type(DIM)?, true),
    ])))
}

/// The vector of a row: extremes of `f32` among it, and none for some rows.
fn vector(id: i64) -> Option<[f32; DIM]> {
    const EXTREMES: [f32; DIM] =
        [-0.0, f32::MIN_POSITIVE, f32::from_bits(1), f32::MAX, f32::MIN, 1.0 + f32::EPSILON, 16_777_217.0, 0.1];
    if id % 7 == 3 {
        return None;
    }
    let mut random = Random(id.unsigned_abs());
    let mut vector = EXTREMES;
    for value in vector.iter_mut().skip(usize::from(id % 5 != 0) * DIM) {
        let mut drawn = f32::NAN;
        while !drawn.is_finite() {
            #[expect(clippy::cast_possible_truncation, reason = "any 32 bits will do")]
            let bits = random.next() as u32;
            drawn = f32::from_bits(bits);
        }
        *value = drawn;
    }
    vector.rotate_left(random.below(DIM));
    Some(vector)
}

fn title(id: i64) -> Option<String> {
    match id % 6 {
        0 => None,
        1 => Some(String::new()),
        2 => Some(format!("Zürich 文書 🦀 {id}")),
        3 => Some("x".repeat(300)),
        _ => Some(format!("title {id}")),
    }
}

/// The row of an id.
pub(super) fn row(id: i64) -> Row {
    let vector = vector(id).map_or(Value::Null, |vector| Value::Vector(vector.map(f32::to_bits).to_vec()));
    vec![Value::Integer(id), title(id).map_or(Value::Null, Value::Text), vector]
}

/// The rows of some ids, to be stored.
pub(super) fn batch(ids: impl IntoIterator<Item = i64>) -> Result<RecordBatch> {
    let ids: Vec<i64> = ids.into_iter().collect();
    let vectors = ids.iter().map(|id| vector(*id).map(|vector| vector.map(Some)));
    #[expect(clippy::cast_possible_truncation, reason = "it is 8")]
    let dim = DIM as i32;
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(ids.clone())),
        Arc::new(ids.iter().map(|id| title(*id)).collect::<StringArray>()),
        Arc::new(FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(vectors, dim)),
    ];
    RecordBatch::try_new(schema()?, columns).map_err(|e| Error::internal("rows cannot be made").with("reason", e))
}

/// The rows of a batch.
pub(super) fn read(rule: Rule, batch: &RecordBatch) -> Result<Vec<Row>> {
    let mut rows = vec![Row::new(); batch.num_rows()];
    for column in batch.columns() {
        for (row, value) in rows.iter_mut().zip(read_column(rule, column)?) {
            row.push(value);
        }
    }
    Ok(rows)
}

fn read_column(rule: Rule, column: &ArrayRef) -> Result<Vec<Value>> {
    let value: Box<dyn Fn(usize) -> Value> = match column.data_type() {
        DataType::Int64 => {
            let column = column.as_primitive::<Int64Type>().clone();
            Box::new(move |row| Value::Integer(column.value(row)))
        }
        DataType::UInt64 => {
            let column = column.as_primitive::<UInt64Type>().clone();
            Box::new(move |row| Value::Address(column.value(row)))
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            let column = cast(column, &DataType::Utf8).map_err(|e| rule.broken().with("reason", e))?;
            Box::new(move |row| Value::Text(column.as_string::<i32>().value(row).to_owned()))
        }
        DataType::FixedSizeList(item, _) | DataType::List(item) | DataType::LargeList(item)
            if item.data_type() == &DataType::Float32 =>
        {
            let column = Arc::clone(column);
            Box::new(move |row| {
                let item = match column.data_type() {
                    DataType::FixedSizeList(..) => column.as_fixed_size_list().value(row),
                    DataType::List(_) => column.as_list::<i32>().value(row),
                    _ => column.as_list::<i64>().value(row),
                };
                Value::Vector(item.as_primitive::<Float32Type>().values().iter().map(|x| x.to_bits()).collect())
            })
        }
        other => {
            return Err(rule
                .broken()
                .with("expected", "columns of Int64, text and Float32 lists, as they were stored")
                .with("got", other));
        }
    };
    Ok((0..column.len()).map(|row| if column.is_null(row) { Value::Null } else { value(row) }).collect())
}
