//! Types of vector columns: a field goes in; the dimension and the stored number type of its vectors come out.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use ruvector_rabitq::Dim;

/// Metadata key under which a field of lists carries their length.
pub const DIM_KEY: &str = "ruvector.dim";

/// Metadata key under which a field of lists carries the length of its first list, which its writer has not declared: rows of other
/// lengths may be written, and are an error of a search.
pub const FOUND_DIM_KEY: &str = "ruvector.found_dim";

/// Metadata key under which a field of lists says why it holds no vectors: the place of a list of another length.
pub const NO_VECTORS_KEY: &str = "ruvector.no_vectors";

/// Number type of the coordinates of a vector column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coordinate {
    /// `f32`.
    Float32,
    /// `f64`. A search computes with the nearest `f32`.
    Float64,
    /// Half precision.
    Float16,
    /// `i8`.
    Int8,
    /// `u8`.
    UInt8,
    /// `i16`: the form in which a Delta table keeps `u8`.
    Int16,
}

impl Coordinate {
    /// The number type of list items; `None` if no vector has such coordinates.
    pub fn of(item: &DataType) -> Option<Self> {
        match item {
            DataType::Float32 => Some(Self::Float32),
            DataType::Float64 => Some(Self::Float64),
            DataType::Float16 => Some(Self::Float16),
            DataType::Int8 => Some(Self::Int8),
            DataType::UInt8 => Some(Self::UInt8),
            DataType::Int16 => Some(Self::Int16),
            _ => None,
        }
    }
}

/// Type of a vector column: the dimension and the number type in which its vectors are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VectorType {
    /// The number of coordinates.
    pub dim: usize,
    /// The stored number type.
    pub coordinate: Coordinate,
}

impl VectorType {
    /// The type of a vector column, or `None` if the field holds no vectors: it is no list of numbers, or its lists have no known
    /// length, or one that no index can hold. Lists of `Int16` hold vectors only where their metadata has the length.
    pub fn of(field: &Field) -> Option<Self> {
        let (item, dim) = match field.data_type() {
            DataType::FixedSizeList(item, dim) if item.data_type() != &DataType::Int16 => {
                (item, usize::try_from(*dim).ok()?)
            }
            data_type => {
                let dim = field.metadata().get(DIM_KEY).or_else(|| field.metadata().get(FOUND_DIM_KEY))?;
                (list_item(data_type)?, dim.parse().ok()?)
            }
        };
        let dim = Dim::new(dim).ok()?.get();
        Some(Self { dim, coordinate: Coordinate::of(item.data_type())? })
    }

    /// The type of a vector column whose length its writer has declared: only such vectors may be written to it.
    pub fn declared(field: &Field) -> Option<Self> {
        match field.data_type() {
            DataType::FixedSizeList(..) => Self::of(field),
            _ if field.metadata().contains_key(DIM_KEY) => Self::of(field),
            _ => None,
        }
    }
}

/// The items of a list that has its length in no type.
pub(crate) fn list_item(data_type: &DataType) -> Option<&FieldRef> {
    match data_type {
        DataType::List(item) | DataType::LargeList(item) | DataType::ListView(item) | DataType::LargeListView(item) => {
            Some(item)
        }
        _ => None,
    }
}

/// The number type of a field that can hold vectors, but has no length of its lists: neither a dimension, nor the reason why it has
/// none. `None` for any other field. Lists of `Int16` hold vectors only if their writer says so.
pub(crate) fn undecided(field: &Field) -> Option<Coordinate> {
    let is_known = [DIM_KEY, FOUND_DIM_KEY, NO_VECTORS_KEY].iter().any(|key| field.metadata().contains_key(*key));
    let coordinate = Coordinate::of(list_item(field.data_type())?.data_type())?;
    (!is_known && coordinate != Coordinate::Int16).then_some(coordinate)
}

/// Notes at a field of lists that they have the length `dim`, under `key`, or that they hold no vectors, because no index can hold
/// such long or short ones.
pub(crate) fn with_length(field: &Field, key: &str, dim: usize) -> FieldRef {
    match Dim::new(dim) {
        Ok(dim) => with_note(field, key, dim.get().to_string()),
        Err(e) => with_note(field, NO_VECTORS_KEY, e.to_string()),
    }
}

/// The field with a note in its metadata.
pub(crate) fn with_note(field: &Field, key: &str, note: String) -> FieldRef {
    let mut metadata = field.metadata().clone();
    metadata.insert(key.to_owned(), note);
    Arc::new(field.clone().with_metadata(metadata))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(item: DataType) -> FieldRef {
        Arc::new(Field::new_list_field(item, true))
    }

    #[test]
    fn fixed_lists_of_numbers_hold_vectors_and_others_need_a_length() {
        use DataType::{FixedSizeList, LargeList, LargeListView, List, ListView};
        let numbers = [
            (DataType::Float32, Coordinate::Float32),
            (DataType::Float64, Coordinate::Float64),
            (DataType::Float16, Coordinate::Float16),
            (DataType::Int8, Coordinate::Int8),
            (DataType::UInt8, Coordinate::UInt8),
        ];
        for (item, coordinate) in numbers {
            let field = Field::new("v", FixedSizeList(items(item.clone()), 3), true);
            assert_eq!(VectorType::of(&field), Some(VectorType { dim: 3, coordinate }));
            for list in [List, LargeList, ListView, LargeListView] {
                let field = Field::new("v", list(items(item.clone())), true);
                assert_eq!(VectorType::of(&field), None);
                assert_eq!(undecided(&field), Some(coordinate), "{field}");
                let field = field.with_metadata([(DIM_KEY.to_owned(), "3".to_owned())].into());
                assert_eq!(VectorType::of(&field), Some(VectorType { dim: 3, coordinate }));
                assert_eq!(undecided(&field), None, "{field}");
            }
        }
        for other in [List(items(DataType::Utf8)), List(items(DataType::Int64)), DataType::Float32, DataType::Binary] {
            let field = Field::new("v", other, true);
            assert!(VectorType::of(&field).is_none() && undecided(&field).is_none(), "{field}");
        }
    }

    #[test]
    fn lists_that_no_index_can_hold_are_no_vectors() {
        let list = Field::new("v", DataType::List(items(DataType::UInt8)), true);
        for length in [0, 20_000] {
            let fixed = DataType::FixedSizeList(items(DataType::UInt8), i32::try_from(length).unwrap());
            assert_eq!(VectorType::of(&Field::new("v", fixed, true)), None);
            let noted = with_length(&list, DIM_KEY, length);
            assert!(VectorType::of(&noted).is_none() && noted.metadata().contains_key(NO_VECTORS_KEY), "{noted}");
        }
    }
}
