//! Vector columns: their type, their stored form, and the checks of their values.
//!
//! A vector column is `FixedSizeList<Float32>[dim]`. Stores that have no fixed-size list keep `List<Float32>` with the
//! dimension in the field's metadata under [`DIM_KEY`]; their vectors are checked.

use std::sync::Arc;

use arrow::array::{Array, AsArray, FixedSizeListArray, Float32Array, RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Float32Type, Schema, SchemaRef};

use crate::error::{Error, Result};

/// Metadata key under which a stored `List<Float32>` field carries its dimension.
pub const DIM_KEY: &str = "ruvector.dim";

/// Metadata key under which a field of lists says why it holds no vectors: the place of a list of another length.
pub const NO_VECTORS_KEY: &str = "ruvector.no_vectors";

/// Metadata key under which a field of signed integers or decimals carries the unsigned type that its values are of.
pub const UNSIGNED_KEY: &str = "ruvector.unsigned";

/// The dimension of a vector column, or `None` if `data_type` is another type.
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
    dim_of(field.data_type()).ok_or_else(|| {
        let error = Error::invalid_input(format!("column {column:?} does not hold vectors"))
            .with("expected", "FixedSizeList of Float32")
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
    schema
        .fields()
        .iter()
        .filter(|field| dim_of(field.data_type()).is_some())
        .map(|field| field.name().as_str())
        .collect()
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

/// The schema that a stored one stands for: lists with a dimension become vector columns.
///
/// # Errors
/// `Corrupt` if a dimension in the metadata is not one.
pub fn logical_schema(stored: &Schema) -> Result<SchemaRef> {
    let logical = |field: &FieldRef| -> Result<FieldRef> {
        let (DataType::List(item), Some(dim)) = (field.data_type(), field.metadata().get(DIM_KEY)) else {
            return Ok(Arc::clone(field));
        };
        let dim: usize = dim.parse().map_err(|_| {
            Error::corrupt(format!("column {:?} has a dimension that is not a number", field.name())).with("got", dim)
        })?;
        if item.data_type() != &DataType::Float32 {
            return Err(Error::corrupt(format!("column {:?} is marked as a vector column", field.name()))
                .with("expected", DataType::Float32)
                .with("got", item.data_type()));
        }
        Ok(Arc::new(Field::new(field.name(), vector_type(dim)?, field.is_nullable())))
    };
    let fields = stored.fields().iter().map(logical).collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(Schema::new(fields)))
}

/// Checks that every non-null vector of every vector column is finite and has no null coordinate.
///
/// # Errors
/// `InvalidInput` that names the column, the row in the batch (from 0), and the coordinate.
pub fn check_vectors(batch: &RecordBatch) -> Result<()> {
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        if dim_of(field.data_type()).is_none() {
            continue;
        }
        let vectors = column.as_fixed_size_list();
        for row in 0..vectors.len() {
            check_vector(field.name(), vectors, row)?;
        }
    }
    Ok(())
}

fn check_vector(name: &str, vectors: &FixedSizeListArray, row: usize) -> Result<()> {
    let Some(values) = vector_at(vectors, row) else { return Ok(()) };
    if values.null_count() > 0 {
        return Err(Error::invalid_input(format!("vector in column {name:?} has a NULL coordinate")).with("row", row));
    }
    match values.values().iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(i) => Err(Error::invalid_input(format!("vector in column {name:?} is not finite"))
            .with("row", row)
            .with("coordinate", i)
            .with("got", values.value(i))),
    }
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
