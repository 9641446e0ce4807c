//! The types of columns that a Delta table keeps, for the types of rows that come in.
//!
//! Encodings are undone, unsigned integers become the next wider signed type, a point in time with a zone becomes its instant
//! in UTC. Fixed-size lists of `Float32` and `Float16` become vectors of `Float32`; of other numbers they become lists that carry their
//! length, and are vectors too. A type whose values a table cannot keep is an error that names the
//! column. The values themselves are put into these types by `ruvector_rulake::assign`, exactly or not at all.

use std::sync::Arc;

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit};
use ruvector_rulake::vector_column::vector_type;
use ruvector_rulake::vector_type::{Coordinate, DIM_KEY, VectorType};

use ruvector_udfs::error::{Error, Result};

/// Decimal digits of the largest unsigned integer of 64 bits.
const DIGITS_OF_U64: u8 = 20;
const UTC: &str = "UTC";

/// Returns the schema that a Delta table keeps for rows of `schema`.
///
/// # Errors
/// `InvalidInput` for a name that occurs twice or a column without a type; `NotSupported` for a type that a table cannot keep.
pub(crate) fn stored_types(schema: &Schema) -> Result<SchemaRef> {
    check_names(schema.fields(), None)?;
    let stored = |field: &FieldRef| -> Result<Field> {
        if let DataType::FixedSizeList(item, dim) = field.data_type()
            && item.data_type().is_floating()
        {
            // Such lists are meant as vectors: a length that vectors cannot have is an error.
            vector_type(usize::try_from(*dim).unwrap_or(0))?;
        }
        let vectors = VectorType::declared(field);
        let data_type = match vectors {
            Some(VectorType { dim, coordinate: Coordinate::Float32 | Coordinate::Float16 }) => vector_type(dim)?,
            _ => stored_type(field.data_type(), field.name())?,
        };
        let stored = Field::new(field.name(), data_type, field.is_nullable());
        Ok(match vectors {
            // Lists have their length in no type.
            Some(VectorType { dim, .. }) if !matches!(stored.data_type(), DataType::FixedSizeList(..)) => {
                stored.with_metadata([(DIM_KEY.to_owned(), dim.to_string())].into())
            }
            _ => stored,
        })
    };
    Ok(Arc::new(Schema::new(schema.fields().iter().map(stored).collect::<Result<Vec<_>>>()?)))
}

fn stored_type(data_type: &DataType, path: &str) -> Result<DataType> {
    Ok(match data_type {
        DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Float32
        | DataType::Float64
        | DataType::Date32
        | DataType::Utf8
        | DataType::Binary => data_type.clone(),
        DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt32 => DataType::Int64,
        DataType::UInt64 => DataType::Decimal128(DIGITS_OF_U64, 0),
        DataType::Float16 => DataType::Float32,
        DataType::Date64 => DataType::Date32,
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        DataType::BinaryView | DataType::LargeBinary | DataType::FixedSizeBinary(_) => DataType::Binary,
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.as_ref().map(|_| UTC.into())),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => decimal(*precision, *scale, data_type, path)?,
        DataType::Dictionary(_, value) => stored_type(value, path)?,
        DataType::RunEndEncoded(_, values) => stored_type(values.data_type(), path)?,
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => DataType::List(stored_field(item, &format!("{path}[]"))?),
        DataType::Struct(fields) => DataType::Struct(stored_fields(fields, path)?),
        DataType::Map(entries, ordered) => DataType::Map(stored_field(entries, path)?, *ordered),
        DataType::Null => return Err(Error::invalid_input(format!("column {path} has no type: cast it to one"))),
        other => return Err(not_kept(path, other, "a number or a text of the value")),
    })
}

fn stored_field(field: &FieldRef, path: &str) -> Result<FieldRef> {
    let data_type = match field.data_type() {
        // The entries of a map are no field that a query could name.
        DataType::Struct(fields) => DataType::Struct(stored_fields(fields, path)?),
        other => stored_type(other, path)?,
    };
    Ok(Arc::new(Field::new(field.name(), data_type, field.is_nullable())))
}

fn stored_fields(fields: &Fields, path: &str) -> Result<Fields> {
    check_names(fields, Some(path))?;
    fields.iter().map(|field| stored_field(field, &format!("{path}.{}", field.name()))).collect()
}

/// Decimals have 38 digits at most, none of them before a multiple of ten.
fn decimal(precision: u8, scale: i8, data_type: &DataType, path: &str) -> Result<DataType> {
    let (precision, scale) = match scale {
        ..0 => (precision.saturating_add(scale.unsigned_abs()), 0),
        _ => (precision.max(scale.unsigned_abs()), scale),
    };
    match precision <= DECIMAL128_MAX_PRECISION {
        true => Ok(DataType::Decimal128(precision, scale)),
        false => Err(not_kept(path, data_type, "a DECIMAL of at most 38 digits")),
    }
}

fn not_kept(path: &str, data_type: &DataType, expected: &str) -> Error {
    Error::not_supported(format!("column {path}: a table cannot keep the type {data_type}: expected {expected}"))
}

fn check_names(fields: &Fields, path: Option<&str>) -> Result<()> {
    let twice = fields.iter().enumerate().find(|(at, field)| {
        let name = field.name();
        fields.iter().take(*at).any(|other| other.name() == name)
    });
    match (twice, path) {
        (None, _) => Ok(()),
        (Some((_, field)), None) => Err(Error::invalid_input(format!("column {:?} occurs twice", field.name()))),
        (Some((_, field)), Some(path)) => {
            Err(Error::invalid_input(format!("column {path}: field {:?} occurs twice", field.name())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn stored(data_type: DataType) -> Result<DataType> {
        let schema = stored_types(&Schema::new(vec![Field::new("x", data_type, true)]))?;
        Ok(schema.field(0).data_type().clone())
    }

    fn list(item: DataType) -> DataType {
        DataType::List(Arc::new(Field::new_list_field(item, true)))
    }

    #[test]
    fn every_type_becomes_one_that_holds_its_values_at_any_depth() {
        use DataType::{
            Binary, Date32, Date64, Decimal64, Decimal128, Decimal256, Float16, Float32, Int16, Int32, Int64,
            LargeUtf8, Timestamp, UInt8, UInt16, UInt32, UInt64, Utf8,
        };
        let micros = |zone: Option<&str>| Timestamp(TimeUnit::Microsecond, zone.map(Into::into));
        for (given, expected) in [
            (UInt8, Int16),
            (UInt16, Int32),
            (UInt32, Int64),
            (UInt64, Decimal128(20, 0)),
            (Float16, Float32),
            (Date64, Date32),
            (DataType::FixedSizeBinary(16), Binary),
            (DataType::Dictionary(Box::new(UInt8), Box::new(LargeUtf8)), Utf8),
            (Timestamp(TimeUnit::Nanosecond, None), micros(None)),
            (Timestamp(TimeUnit::Second, Some("Asia/Tokyo".into())), micros(Some("UTC"))),
            (Decimal64(12, 2), Decimal128(12, 2)),
            (Decimal256(30, -4), Decimal128(34, 0)),
            (Decimal128(2, 5), Decimal128(5, 5)),
        ] {
            assert_eq!(stored(given.clone()).unwrap(), expected, "{given}");
            assert_eq!(stored(list(given.clone())).unwrap(), list(expected.clone()), "list of {given}");
            let of = |item: &DataType| DataType::Struct(vec![Field::new("a", list(item.clone()), true)].into());
            assert_eq!(stored(of(&given)).unwrap(), of(&expected), "struct of {given}");
        }
    }

    #[test]
    fn vectors_keep_their_numbers_and_their_length() {
        let vectors = |item: DataType| DataType::FixedSizeList(Arc::new(Field::new_list_field(item, true)), 3);
        for (given, expected) in [
            (DataType::Float32, vectors(DataType::Float32)),
            (DataType::Float16, vectors(DataType::Float32)),
            (DataType::Float64, list(DataType::Float64)),
            (DataType::Int8, list(DataType::Int8)),
            (DataType::UInt8, list(DataType::Int16)),
        ] {
            let schema = stored_types(&Schema::new(vec![Field::new("x", vectors(given.clone()), true)])).unwrap();
            assert_eq!(schema.field(0).data_type(), &expected, "{given}");
            assert_eq!(VectorType::of(schema.field(0)).map(|vectors| vectors.dim), Some(3), "{given}");
        }
    }

    #[test]
    fn types_without_a_place_in_a_table_name_their_column() {
        let nested = DataType::Struct(vec![Field::new("at", DataType::Time64(TimeUnit::Microsecond), true)].into());
        for (given, name) in [
            (DataType::Time32(TimeUnit::Second), "column x:"),
            (DataType::Duration(TimeUnit::Second), "column x:"),
            (DataType::Decimal256(60, 2), "column x:"),
            (nested, "column x.at:"),
        ] {
            let error = stored(given.clone()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotSupported, "{given}");
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn a_name_occurs_once() {
        let twice = vec![Field::new("a", DataType::Int32, true), Field::new("a", DataType::Utf8, true)];
        for schema in
            [Schema::new(twice.clone()), Schema::new(vec![Field::new("x", DataType::Struct(twice.into()), true)])]
        {
            let error = stored_types(&schema).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().contains("\"a\" occurs twice"), "{error}");
        }
    }
}
