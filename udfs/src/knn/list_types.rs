//! Types of lists, as query vectors come in them.

use arrow::datatypes::DataType;

/// True for a type of lists of lists.
pub(super) fn is_list_of_lists(data_type: &DataType) -> bool {
    match data_type {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            is_list(item.data_type())
        }
        _ => false,
    }
}

/// True for a type of lists.
pub(super) fn is_list(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::List(_)
            | DataType::LargeList(_)
            | DataType::FixedSizeList(..)
            | DataType::ListView(_)
            | DataType::LargeListView(_)
    )
}
