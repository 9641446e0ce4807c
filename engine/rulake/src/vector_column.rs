//! Vector columns: their type, their stored form, and the checks of their values.
//!
//! A vector column is a column of lists of numbers ([`crate::vector_type::Coordinate`]) of one length. A fixed-size list has its length in its type;
//! any other list has it in the field's metadata under [`DIM_KEY`], where its writer or a look at its rows has put it
//! ([`VectorType::of`]). Searches compute with `f32`. A list of `Float32` with a length reads as a fixed-size list; any other column
//! reads in the type in which it is stored.

use std::sync::Arc;

use arrow::array::{Array, AsArray, FixedSizeListArray, Float32Array, RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Float32Type, Schema, SchemaRef};

use crate::error::{Error, Result};
use crate::vector_lists::VectorLists;
use crate::vector_type::{Coordinate, DIM_KEY, NO_VECTORS_KEY, VectorType, list_item};

/// Metadata key under which a field of signed integers or decimals carries the unsigned type that its values are of.
pub const UNSIGNED_KEY: &str = "ruvector.unsigned";

/// The dimension of vectors of `Float32` in a fixed-size list, or `None` if `data_type` is another type.
pub fn dim_of(data_type: &DataType) -> Option<usize> {
    match data_type {
        DataType::FixedSizeList(item, dim) if item.data_type() == &DataType::Float32 => usize::try_from(*dim).ok(),
        _ => None,
    }
}

/// The dimension of the vector column called `column`.
///
/// # Errors
/// `NotFound` if there is no such column, `InvalidInput` if it holds something else.
pub(crate) fn dim_of_column(schema: &Schema, column: &str) -> Result<usize> {
    let field =
        schema.field_with_name(column).map_err(|_| Error::not_found("no such column").with("column", column))?;
    VectorType::of(field).map(|vectors| vectors.dim).ok_or_else(|| {
        let error = Error::invalid_input(format!("column {column:?} does not hold vectors"))
            .with("expected", "lists of numbers of one length")
            .with("got", field.data_type());
        match field.metadata().get(NO_VECTORS_KEY) {
            Some(reason) => error.with("reason", reason),
            None => error,
        }
    })
}

/// The Arrow type of vectors of `dim` coordinates.
///
/// # Errors
/// `InvalidInput` if `dim` is 0 or more than an index can hold.
pub fn vector_type(dim: usize) -> Result<DataType> {
    let dim = ruvector_rabitq::Dim::new(dim)?;
    #[expect(clippy::cast_possible_truncation, reason = "a Dim is at most 16,384")]
    let size = dim.get() as i32;
    Ok(DataType::FixedSizeList(Arc::new(Field::new_list_field(DataType::Float32, true)), size))
}

/// The names of the vector columns of `schema`, in its order.
pub fn vector_columns(schema: &Schema) -> Vec<&str> {
    schema.fields().iter().filter(|field| VectorType::of(field).is_some()).map(|field| field.name().as_str()).collect()
}

/// The schema in which `schema` is stored: vector columns as lists that carry their dimension in metadata.
pub fn stored_schema(schema: &Schema) -> SchemaRef {
    let stored = |field: &FieldRef| -> FieldRef {
        let Some(dim) = dim_of(field.data_type()) else { return Arc::clone(field) };
        let list = DataType::List(Arc::new(Field::new("element", DataType::Float32, true)));
        let mut metadata = field.metadata().clone();
        metadata.insert(DIM_KEY.to_owned(), dim.to_string());
        Arc::new(Field::new(field.name(), list, field.is_nullable()).with_metadata(metadata))
    };
    Arc::new(Schema::new(schema.fields().iter().map(stored).collect::<Vec<_>>()))
}

/// The schema that a stored one stands for: lists of `Float32` with a dimension become fixed-size lists.
///
/// # Errors
/// `Corrupt` if a dimension in the metadata is not one, or belongs to a column of no lists of numbers.
pub fn logical_schema(stored: &Schema) -> Result<SchemaRef> {
    let logical = |field: &FieldRef| -> Result<FieldRef> {
        let (Some(item), Some(dim)) = (list_item(field.data_type()), field.metadata().get(DIM_KEY)) else {
            return Ok(Arc::clone(field));
        };
        let dim: usize = dim.parse().map_err(|_| {
            Error::corrupt(format!("column {:?} has a dimension that is not a number", field.name())).with("got", dim)
        })?;
        let vectors = vector_type(dim)?;
        match (Coordinate::of(item.data_type()), field.data_type()) {
            (Some(Coordinate::Float32), DataType::List(_)) => {}
            (Some(_), _) => return Ok(Arc::clone(field)),
            (None, _) => {
                return Err(Error::corrupt(format!("column {:?} is marked as a vector column", field.name()))
                    .with("expected", "a list of numbers")
                    .with("got", item.data_type()));
            }
        }
        Ok(Arc::new(Field::new(field.name(), vectors, field.is_nullable())))
    };
    let fields = stored.fields().iter().map(logical).collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(Schema::new(fields)))
}

/// Checks that every non-null vector of every vector column with a declared dimension has it, is finite as `f32`, and has no null coordinate.
///
/// # Errors
/// `InvalidInput` that names the column, the row in the batch (from 0), and the coordinate.
pub fn check_vectors(batch: &RecordBatch) -> Result<()> {
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        let Some(VectorType { dim, .. }) = VectorType::declared(field) else { continue };
        let vectors = VectorLists::new(column)?;
        let mut scratch = Vec::new();
        for row in (0..column.len()).filter(|row| column.is_valid(*row)) {
            if let Err(fault) = vectors.read(row, dim, &mut scratch) {
                return Err(
                    fault.error(&format!("vector in column {:?}", field.name()), |error| error.with("row", row))
                );
            }
        }
    }
    Ok(())
}

/// The coordinates of the vector in `row`, or `None` if it is NULL.
pub fn vector_at(vectors: &FixedSizeListArray, row: usize) -> Option<Float32Array> {
    vectors.is_valid(row).then(|| vectors.value(row).as_primitive::<Float32Type>().clone())
}

/// Returns `batch` in its stored form: vector columns as lists. It is the inverse of a scan.
///
/// # Errors
/// `Internal` only: every vector is a list.
pub fn to_stored(batch: &RecordBatch, stored: &SchemaRef) -> Result<RecordBatch> {
    let columns = batch
        .columns()
        .iter()
        .zip(stored.fields())
        .map(|(column, field)| match column.data_type() == field.data_type() {
            true => Ok(Arc::clone(column)),
            false => cast(column, field.data_type()),
        })
        .collect::<Result<Vec<_>, _>>();
    columns
        .and_then(|columns| {
            let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            RecordBatch::try_new_with_options(Arc::clone(stored), columns, &options)
        })
        .map_err(|e| Error::internal("rows do not convert to their stored form").with("reason", e))
}

#[cfg(test)]
mod tests {
    use arrow::array::FixedSizeListBuilder;
    use arrow::array::Float32Builder;

    use super::*;
    use crate::ErrorKind;

    fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![
            Field::new("id", DataType::Int64, false),
            Field::new("vec", vector_type(2).unwrap(), true),
        ]))
    }

    fn vectors(rows: &[Option<[f32; 2]>]) -> FixedSizeListArray {
        let mut builder = FixedSizeListBuilder::new(Float32Builder::new(), 2);
        for row in rows {
            builder.values().append_slice(&row.unwrap_or_default());
            builder.append(row.is_some());
        }
        builder.finish()
    }

    #[test]
    fn stored_and_logical_schema_are_inverse() {
        let stored = stored_schema(&schema());
        assert!(matches!(stored.field(1).data_type(), DataType::List(_)));
        assert_eq!(logical_schema(&stored).unwrap(), schema());
        assert_eq!(vector_columns(&schema()), ["vec"]);
    }

    #[test]
    fn a_dimension_that_is_none_is_corrupt() {
        let list = DataType::List(Arc::new(Field::new("element", DataType::Float32, true)));
        let field = Field::new("vec", list, true).with_metadata([(DIM_KEY.to_owned(), "x".to_owned())].into());
        assert_eq!(logical_schema(&Schema::new(vec![field])).unwrap_err().kind(), ErrorKind::Corrupt);
    }

    #[test]
    fn null_vectors_pass_and_infinite_ones_do_not() {
        let only_vec = Arc::new(Schema::new(vec![schema().field(1).clone()]));
        let batch =
            |rows: &[Option<[f32; 2]>]| RecordBatch::try_new(only_vec.clone(), vec![Arc::new(vectors(rows))]).unwrap();
        check_vectors(&batch(&[Some([1.0, 2.0]), None])).unwrap();
        let error = check_vectors(&batch(&[Some([1.0, 2.0]), Some([0.0, f32::NAN])])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("row 1") && error.to_string().contains("NaN"), "{error}");
    }
}
