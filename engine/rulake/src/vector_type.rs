//! Types of vector columns: a field goes in; the dimension and the stored number type of its vectors come out.

use arrow::datatypes::{DataType, Field, FieldRef};

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
    /// length.
    pub fn of(field: &Field) -> Option<Self> {
        let (item, dim) = match field.data_type() {
            DataType::FixedSizeList(item, dim) => (item, usize::try_from(*dim).ok()?),
            data_type => {
                let dim = field.metadata().get(DIM_KEY).or_else(|| field.metadata().get(FOUND_DIM_KEY))?;
                (list_item(data_type)?, dim.parse().ok()?)
            }
        };
        let coordinate = Coordinate::of(item.data_type())?;
        let is_fixed = matches!(field.data_type(), DataType::FixedSizeList(..));
        (!is_fixed || coordinate != Coordinate::Int16).then_some(Self { dim, coordinate })
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

/// The number type of a column of lists, fixed or not; `None` if it holds no lists of numbers.
pub(crate) fn coordinate_of(field: &Field) -> Option<Coordinate> {
    let item = match field.data_type() {
        DataType::FixedSizeList(item, _) => item,
        data_type => list_item(data_type)?,
    };
    Coordinate::of(item.data_type())
}

/// Returns true if a field can hold vectors, but has no length of its lists: neither a dimension, nor the reason why it has none.
/// Lists of `Int16` hold vectors only if their writer says so.
pub(crate) fn may_hold_vectors(field: &Field) -> bool {
    let is_known = [DIM_KEY, FOUND_DIM_KEY, NO_VECTORS_KEY].iter().any(|key| field.metadata().contains_key(*key));
    let coordinate = list_item(field.data_type()).and_then(|item| Coordinate::of(item.data_type()));
    !is_known && coordinate.is_some_and(|coordinate| coordinate != Coordinate::Int16)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

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
                assert!(may_hold_vectors(&field), "{field}");
                let field = field.with_metadata([(DIM_KEY.to_owned(), "3".to_owned())].into());
                assert_eq!(VectorType::of(&field), Some(VectorType { dim: 3, coordinate }));
                assert!(!may_hold_vectors(&field), "{field}");
            }
        }
        for other in [List(items(DataType::Utf8)), List(items(DataType::Int64)), DataType::Float32, DataType::Binary] {
            let field = Field::new("v", other, true);
            assert!(VectorType::of(&field).is_none() && !may_hold_vectors(&field), "{field}");
        }
    }
}
