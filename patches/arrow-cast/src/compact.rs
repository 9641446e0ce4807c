//! Compaction of nested arrays: the same rows, whose children hold nothing else.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Int32Type, Int64Type};
use arrow_array::{
    Array, ArrayRef, FixedSizeListArray, GenericListArray, GenericListViewArray, MapArray, OffsetSizeTrait,
    PrimitiveArray, StructArray, make_array,
};
use arrow_buffer::{ArrowNativeType, NullBuffer, OffsetBuffer};
use arrow_schema::{ArrowError, DataType};
use arrow_select::take::take;

/// Returns the rows of `array` with children that hold only items of valid rows, in the order of the rows: offsets begin at
/// 0, a NULL list is empty, and items below a NULL struct or fixed-size list are NULL. Copies no items where they lie so
/// already, or where cutting off both ends of a child is enough.
///
/// # Errors
/// If an array of the compacted children cannot be made, which no valid array causes.
pub(crate) fn compacted(array: &dyn Array) -> Result<ArrayRef, ArrowError> {
    Ok(match array.data_type() {
        DataType::List(_) => list::<Int32Type>(array.as_list())?,
        DataType::LargeList(_) => list::<Int64Type>(array.as_list())?,
        DataType::ListView(_) => list_view::<Int32Type>(array.as_list_view())?,
        DataType::LargeListView(_) => list_view::<Int64Type>(array.as_list_view())?,
        DataType::Map(..) => map(array.as_map())?,
        DataType::FixedSizeList(field, dim) => {
            let lists = array.as_fixed_size_list();
            let masked = lists.nulls().map(|nulls| nulls.expand(usize::try_from(*dim).unwrap_or(0)));
            let values = compacted(&below(lists.values(), masked.as_ref())?)?;
            let (field, nulls) = (Arc::clone(field), lists.nulls().cloned());
            Arc::new(FixedSizeListArray::try_new_with_length(field, *dim, values, nulls, lists.len())?)
        }
        DataType::Struct(fields) => {
            let structs = array.as_struct();
            let columns = structs.columns().iter().map(|column| compacted(&below(column, structs.nulls())?));
            let columns = columns.collect::<Result<Vec<_>, _>>()?;
            let (fields, nulls) = (fields.clone(), structs.nulls().cloned());
            Arc::new(StructArray::try_new_with_length(fields, columns, nulls, structs.len())?)
        }
        _ => make_array(array.to_data()),
    })
}

/// Returns `child` with NULL wherever its parent is NULL. Types without a validity bitmap stay as they are.
fn below(child: &ArrayRef, parent: Option<&NullBuffer>) -> Result<ArrayRef, ArrowError> {
    let hidden = parent.is_some_and(|nulls| nulls.null_count() > 0);
    if !hidden || matches!(child.data_type(), DataType::Null | DataType::Union(..) | DataType::RunEndEncoded(..)) {
        return Ok(Arc::clone(child));
    }
    let nulls = NullBuffer::union(parent, child.nulls());
    let data = child.to_data().into_builder().nulls(nulls);
    Ok(make_array(data.build()?))
}

fn list<T>(lists: &GenericListArray<T::Native>) -> Result<ArrayRef, ArrowError>
where
    T: ArrowPrimitiveType,
    T::Native: OffsetSizeTrait,
{
    let (values, offsets) = packed::<T>(lists.offsets(), lists.nulls(), lists.values())?;
    let (DataType::List(field) | DataType::LargeList(field)) = lists.data_type() else {
        return Err(unexpected(lists.data_type()));
    };
    Ok(Arc::new(GenericListArray::try_new(Arc::clone(field), offsets, compacted(&values)?, lists.nulls().cloned())?))
}

fn map(maps: &MapArray) -> Result<ArrayRef, ArrowError> {
    let entries: ArrayRef = Arc::new(maps.entries().clone());
    let (entries, offsets) = packed::<Int32Type>(maps.offsets(), maps.nulls(), &entries)?;
    let DataType::Map(field, ordered) = maps.data_type() else { return Err(unexpected(maps.data_type())) };
    let entries = compacted(&entries)?.as_struct().clone();
    Ok(Arc::new(MapArray::try_new(Arc::clone(field), offsets, entries, maps.nulls().cloned(), *ordered)?))
}

/// Items and offsets of lists, without items that no valid list has.
fn packed<T>(
    offsets: &OffsetBuffer<T::Native>,
    nulls: Option<&NullBuffer>,
    values: &ArrayRef,
) -> Result<(ArrayRef, OffsetBuffer<T::Native>), ArrowError>
where
    T: ArrowPrimitiveType,
    T::Native: OffsetSizeTrait,
{
    let (start, end) = (offsets[0].as_usize(), offsets[offsets.len() - 1].as_usize());
    let is_null = |row: usize| nulls.is_some_and(|nulls| nulls.is_null(row));
    let hidden = nulls.is_some_and(|nulls| nulls.null_count() > 0)
        && offsets.windows(2).enumerate().any(|(row, range)| range[0] != range[1] && is_null(row));
    if !hidden {
        let rebased = OffsetBuffer::new(offsets.iter().map(|offset| *offset - offsets[0]).collect());
        return Ok((values.slice(start, end - start), rebased));
    }
    let length = |(row, range): (usize, &[T::Native])| match is_null(row) {
        true => 0,
        false => (range[1] - range[0]).as_usize(),
    };
    let lengths = offsets.windows(2).enumerate().map(length);
    let valid = offsets.windows(2).enumerate().filter(|(row, _)| !is_null(*row));
    let items = valid.flat_map(|(_, range)| range[0].as_usize()..range[1].as_usize());
    let items = PrimitiveArray::<T>::from_iter_values(items.map(T::Native::usize_as));
    Ok((take(values, &items, None)?, OffsetBuffer::from_lengths(lengths)))
}

fn list_view<T>(lists: &GenericListViewArray<T::Native>) -> Result<ArrayRef, ArrowError>
where
    T: ArrowPrimitiveType,
    T::Native: OffsetSizeTrait,
{
    let (DataType::ListView(field) | DataType::LargeListView(field)) = lists.data_type() else {
        return Err(unexpected(lists.data_type()));
    };
    let range = |row: usize| {
        let (start, size) = (lists.offsets()[row].as_usize(), lists.sizes()[row].as_usize());
        if lists.is_null(row) { start..start } else { start..start + size }
    };
    let mut ends = Vec::with_capacity(lists.len() + 1);
    ends.push(0_usize);
    for row in 0..lists.len() {
        ends.push(ends[row] + range(row).len());
    }
    if ends[lists.len()] > T::Native::MAX_OFFSET {
        return Err(ArrowError::ComputeError(format!(
            "a batch of lists holds at most {} items, got {}",
            T::Native::MAX_OFFSET,
            ends[lists.len()]
        )));
    }
    let items = PrimitiveArray::<T>::from_iter_values((0..lists.len()).flat_map(range).map(T::Native::usize_as));
    let values = compacted(&take(lists.values(), &items, None)?)?;
    let offsets = ends.iter().take(lists.len()).map(|end| T::Native::usize_as(*end)).collect();
    let sizes = ends.windows(2).map(|pair| T::Native::usize_as(pair[1] - pair[0])).collect();
    let (field, nulls) = (Arc::clone(field), lists.nulls().cloned());
    Ok(Arc::new(GenericListViewArray::try_new(field, offsets, sizes, values, nulls)?))
}

fn unexpected(data_type: &DataType) -> ArrowError {
    ArrowError::CastError(format!("expected a list, got {data_type}"))
}
