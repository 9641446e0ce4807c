//! Rows for a table: a batch of a caller goes in; a batch of the table's schema, with checked vectors, comes out.

use std::sync::Arc;

use arrow::array::{Array, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::datatypes::{DataType, Field, SchemaRef};

use super::convert::assign;
use crate::error::{Error, Result};
use crate::vector_column::{UNSIGNED_KEY, check_vectors};

/// Returns `batch` with the columns of `schema`, in its order: matched by name, put into their types by [`assign`], vectors
/// checked.
///
/// Missing columns become NULL where the schema allows it. Lists of any numbers become vectors if every length fits.
///
/// # Errors
/// `InvalidInput` that names the column: one too many, one missing, one that is there twice, a value that its type cannot
/// hold, a vector of another dimension, a vector that is not finite.
pub fn conform(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let given = batch.schema_ref().fields();
    for (at, field) in given.iter().enumerate() {
        if schema.index_of(field.name()).is_err() {
            let known: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
            return Err(Error::invalid_input("no such column")
                .with("expected one of", known.join(", "))
                .with("got", field.name()));
        }
        if given.iter().take(at).any(|other| other.name() == field.name()) {
            return Err(Error::invalid_input(format!("column {:?} occurs twice", field.name())));
        }
    }
    let mut columns = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let column = match batch.column_by_name(field.name()) {
            Some(column) => assign(column, field)?,
            None => new_null_array(field.data_type(), batch.num_rows()),
        };
        if !field.is_nullable() && column.null_count() > 0 {
            return Err(Error::invalid_input(format!("column {:?} does not allow NULL", field.name())));
        }
        if let Some(unsigned) = unsigned_type(field) {
            assign(&column, &Field::new(field.name(), unsigned, true))?;
        }
        columns.push(column);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let batch = RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
        .map_err(|e| Error::invalid_input("rows do not fit the table").with("reason", e))?;
    check_vectors(&batch)?;
    Ok(batch)
}

/// The unsigned type that a column was declared of, if it was.
fn unsigned_type(field: &Field) -> Option<DataType> {
    match field.metadata().get(UNSIGNED_KEY)?.as_str() {
        "UInt8" => Some(DataType::UInt8),
        "UInt16" => Some(DataType::UInt16),
        "UInt32" => Some(DataType::UInt32),
        "UInt64" => Some(DataType::UInt64),
        _ => None,
    }
}
