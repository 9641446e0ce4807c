//! The inputs of searches: query vectors, of whatever list type they come as, and the addresses of the rows that may be answers.

use arrow::array::{Array, ArrayRef, AsArray, Float32Array, ListArray};
use arrow::compute::cast;
use arrow::datatypes::{ArrowNativeType, DataType, Field, Float32Type, UInt64Type};
use datafusion::common::{Result, exec_err};
use datafusion::execution::SendableRecordBatchStream;
use futures::TryStreamExt;
use roaring::RoaringTreemap;

use crate::knn::argument::ArgumentName;
use crate::knn::list_types::{is_list, is_list_of_lists};
use crate::scalar::from_text;

/// A column of query vectors as Float32, each checked when it is asked for.
pub(super) struct QueryVectors {
    lists: ListArray,
    values: Float32Array,
    dim: usize,
    name: ArgumentName,
}

impl QueryVectors {
    /// Takes lists of numbers of any type; `name` is what errors call them.
    pub(super) fn new(column: &ArrayRef, dim: usize, name: &ArgumentName) -> Result<Self> {
        let as_list = DataType::List(std::sync::Arc::new(Field::new_list_field(DataType::Float32, true)));
        let lists = match is_list(column.data_type()).then(|| cast(column, &as_list)) {
            Some(Ok(lists)) => lists,
            _ if is_text_of_vectors(column) => std::sync::Arc::new(from_text::vectors(column)?),
            _ if column.data_type().is_null() => arrow::array::new_null_array(&as_list, column.len()),
            _ if is_list_of_lists(column.data_type()) => {
                return exec_err!(
                    "{name}: expected one vector of {dim} numbers, got {}: knn_batch() takes several vectors",
                    column.data_type()
                );
            }
            _ => {
                return exec_err!("{name}: expected a vector of {dim} numbers, got {}", column.data_type());
            }
        };
        let lists = lists.as_list::<i32>().clone();
        let values = lists.values().as_primitive::<Float32Type>().clone();
        Ok(Self { lists, values, dim, name: name.clone() })
    }

    /// The vector of a row; `None` if it is NULL.
    pub(super) fn get(&self, row: usize) -> Result<Option<&[f32]>> {
        if self.lists.is_null(row) {
            return Ok(None);
        }
        let offsets = self.lists.value_offsets();
        let (start, end) = (offsets[row].as_usize(), offsets[row + 1].as_usize());
        let (dim, len, name) = (self.dim, end - start, &self.name);
        if len != dim {
            return exec_err!("{name} has the wrong dimension: expected {dim}, got {len}");
        }
        if self.values.nulls().is_some_and(|nulls| nulls.slice(start, len).null_count() > 0) {
            return exec_err!("{name}: expected {dim} numbers, got a vector with a NULL coordinate");
        }
        Ok(Some(&self.values.values()[start..end]))
    }
}

/// True if a column is text, and each text in it is written like a vector.
fn is_text_of_vectors(column: &ArrayRef) -> bool {
    let is_text = column.data_type().is_string();
    let Some(texts) = is_text.then(|| cast(column, &DataType::Utf8)) else { return false };
    texts.is_ok_and(|texts| texts.as_string::<i32>().iter().flatten().all(from_text::is_vector))
}

/// The one row of the query plan, if it has one.
pub(super) async fn read_query(mut rows: SendableRecordBatchStream, name: &ArgumentName) -> Result<Option<ArrayRef>> {
    let mut vector: Option<ArrayRef> = None;
    while let Some(batch) = rows.try_next().await? {
        for row in 0..batch.num_rows() {
            if vector.replace(batch.column(0).slice(row, 1)).is_some() {
                return exec_err!("{name}: expected one vector, got more than one row");
            }
        }
    }
    Ok(vector)
}

/// The addresses that a plan yields.
pub(super) async fn read_addresses(mut rows: SendableRecordBatchStream) -> Result<RoaringTreemap> {
    let mut allowed = RoaringTreemap::new();
    while let Some(batch) = rows.try_next().await? {
        allowed.extend(batch.column(0).as_primitive::<UInt64Type>().values().iter().copied());
    }
    Ok(allowed)
}
