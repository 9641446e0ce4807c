//! The size of the copies of rows, before they are made.

use std::cell::RefCell;

use arrow_array::cast::AsArray;
use arrow_array::{Array, downcast_integer_array};
use arrow_buffer::{ArrowNativeType, Buffer};
use arrow_schema::{ArrowError, DataType};

/// Bytes of the copies of rows beyond those of the rows, for the columns of a batch. A bound.
const COPIES_MAX: u64 = 512 << 20;
/// Bytes of copies of a column that are not counted. A bound: a thousand columns of a batch may have them.
const COPIES_FEW: u64 = 4 << 20;
/// Bytes of indices that are kept to know the next column of their batch. Batches have at most a million rows.
const INDICES_MAX: usize = 8 << 20;

thread_local! {
    /// The indices of the last column with many copies, and the bytes of the copies of their columns.
    static LAST: RefCell<Option<(Buffer, u64)>> = const { RefCell::new(None) };
}

/// Whether values of a type have lengths of their own, and are copied with their rows.
pub(crate) fn has_lengths(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Binary | DataType::LargeBinary => true,
        DataType::List(_) | DataType::LargeList(_) | DataType::Map(..) => true,
        DataType::FixedSizeList(item, _) => has_lengths(item.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| has_lengths(field.data_type())),
        _ => false,
    }
}

/// Checks the copies of elements that `take` would make.
pub(crate) fn check_taken(values: &dyn Array, indices: &dyn Array) -> Result<(), ArrowError> {
    let (all, rows) = (bytes(values, 0, values.len()), indices.len() as u64);
    let allowed = all.saturating_add(COPIES_FEW);
    if all.saturating_mul(rows) <= allowed || largest(values).is_some_and(|row| row.saturating_mul(rows) <= allowed) {
        return Ok(());
    }
    let mut copied: u64 = 0;
    downcast_integer_array!(
        indices => for (row, index) in indices.values().iter().enumerate() {
            let index = index.as_usize();
            if index < values.len() && !indices.is_null(row) {
                copied = copied.saturating_add(bytes(values, index, index + 1));
            }
        },
        // The original says that these are no indices.
        _ => {}
    );
    count(indices, copied.saturating_sub(all))
}

/// Checks the copies of elements that `interleave` would make.
pub(crate) fn check_interleaved(values: &[&dyn Array], indices: &[(usize, usize)]) -> Result<(), ArrowError> {
    let all = values.iter().map(|array| bytes(*array, 0, array.len())).fold(0, u64::saturating_add);
    let (allowed, rows) = (all.saturating_add(COPIES_FEW), indices.len() as u64);
    let row = values.iter().map(|array| largest(*array)).try_fold(0, |most: u64, row| Some(most.max(row?)));
    if row.is_some_and(|row| row.saturating_mul(rows) <= allowed) {
        return Ok(());
    }
    let of_row = |&(array, row): &(usize, usize)| match values.get(array) {
        Some(array) if row < array.len() => bytes(*array, row, row + 1),
        _ => 0,
    };
    let copied = indices.iter().map(of_row).fold(0, u64::saturating_add);
    refused_beyond(copied.saturating_sub(all))
}

/// Counts the copies of a column, with those of the columns before it that had the same indices.
fn count(indices: &dyn Array, copied: u64) -> Result<(), ArrowError> {
    if copied <= COPIES_FEW {
        return Ok(());
    }
    let data = indices.to_data();
    let Some(indices) = data.buffers().first() else { return refused_beyond(copied) };
    LAST.with_borrow_mut(|last| {
        // A buffer that is kept is not freed, so that no other has its address.
        let before = match last.take() {
            Some((kept, bytes)) if kept.as_ptr() == indices.as_ptr() && kept.len() == indices.len() => bytes,
            _ => 0,
        };
        let copied = before.saturating_add(copied);
        if indices.len() <= INDICES_MAX {
            *last = Some((indices.clone(), copied));
        }
        refused_beyond(copied)
    })
}

fn refused_beyond(copied: u64) -> Result<(), ArrowError> {
    match copied > COPIES_MAX {
        true => Err(ArrowError::MemoryError(format!(
            "copies of rows: expected at most {COPIES_MAX} bytes in a batch (datafusion.execution.batch_size), got {copied}"
        ))),
        false => Ok(()),
    }
}

/// The indices that the original takes at once without reserving too much: it reserves the average length of a list for each.
pub(crate) fn rows_at_once(values: &dyn Array, rows: usize) -> usize {
    let reserved = reserved(values, rows as u64);
    match reserved > bytes(values, 0, values.len()).saturating_add(COPIES_MAX) {
        #[expect(clippy::cast_possible_truncation, reason = "at most `rows`, a usize, or 1")]
        true => (rows as u64 / (reserved / COPIES_MAX + 1)).max(1) as usize,
        false => rows,
    }
}

/// The bytes that the original reserves for the items of lists.
fn reserved(values: &dyn Array, rows: u64) -> u64 {
    let of_items = |items: &dyn Array| {
        let average = (items.len() as u64).checked_div(values.len() as u64).unwrap_or(0);
        let item = bytes(items, 0, items.len()).checked_div(items.len() as u64).unwrap_or(0).max(1);
        average.saturating_mul(rows).saturating_mul(item)
    };
    match values.data_type() {
        DataType::List(_) => of_items(values.as_list::<i32>().values().as_ref()),
        DataType::LargeList(_) => of_items(values.as_list::<i64>().values().as_ref()),
        DataType::Map(..) => of_items(values.as_map().entries()),
        DataType::FixedSizeList(_, dim) => {
            let dim = u64::try_from(*dim).unwrap_or(0);
            reserved(values.as_fixed_size_list().values().as_ref(), rows.saturating_mul(dim))
        }
        DataType::Struct(_) => {
            values.as_struct().columns().iter().map(|column| reserved(column.as_ref(), rows)).max().unwrap_or(0)
        }
        _ => 0,
    }
}

/// The bytes of the largest element, if one look at the offsets gives them.
fn largest(values: &dyn Array) -> Option<u64> {
    match values.data_type() {
        DataType::Utf8 => Some(longest(values.as_string::<i32>().value_offsets())),
        DataType::LargeUtf8 => Some(longest(values.as_string::<i64>().value_offsets())),
        DataType::Binary => Some(longest(values.as_binary::<i32>().value_offsets())),
        DataType::LargeBinary => Some(longest(values.as_binary::<i64>().value_offsets())),
        DataType::List(item) => {
            let width = item.data_type().primitive_width()? as u64;
            Some(longest(values.as_list::<i32>().value_offsets()).saturating_mul(width))
        }
        DataType::LargeList(item) => {
            let width = item.data_type().primitive_width()? as u64;
            Some(longest(values.as_list::<i64>().value_offsets()).saturating_mul(width))
        }
        _ => None,
    }
}

fn longest<O: ArrowNativeType + std::ops::Sub<Output = O> + Ord + Default>(offsets: &[O]) -> u64 {
    let lengths = offsets.iter().zip(offsets.iter().skip(1)).map(|(start, end)| *end - *start);
    lengths.fold(O::default(), Ord::max).as_usize() as u64
}

/// The bytes of the values that are copied with the elements from `start` to `end`.
fn bytes(values: &dyn Array, start: usize, end: usize) -> u64 {
    fn span<O: ArrowNativeType>(offsets: &[O], start: usize, end: usize) -> (usize, usize) {
        match (offsets.get(start), offsets.get(end)) {
            (Some(start), Some(end)) => (start.as_usize(), end.as_usize()),
            _ => (0, 0),
        }
    }
    fn length<O: ArrowNativeType>(offsets: &[O], start: usize, end: usize) -> u64 {
        let (start, end) = span(offsets, start, end);
        (end - start) as u64
    }
    match values.data_type() {
        DataType::Utf8 => length(values.as_string::<i32>().value_offsets(), start, end),
        DataType::LargeUtf8 => length(values.as_string::<i64>().value_offsets(), start, end),
        DataType::Binary => length(values.as_binary::<i32>().value_offsets(), start, end),
        DataType::LargeBinary => length(values.as_binary::<i64>().value_offsets(), start, end),
        DataType::List(_) => {
            let list = values.as_list::<i32>();
            let (from, to) = span(list.value_offsets(), start, end);
            bytes(list.values().as_ref(), from, to)
        }
        DataType::LargeList(_) => {
            let list = values.as_list::<i64>();
            let (from, to) = span(list.value_offsets(), start, end);
            bytes(list.values().as_ref(), from, to)
        }
        DataType::Map(..) => {
            let map = values.as_map();
            let (from, to) = span(map.value_offsets(), start, end);
            bytes(map.entries(), from, to)
        }
        DataType::FixedSizeList(_, dim) => {
            let dim = usize::try_from(*dim).unwrap_or(0);
            bytes(values.as_fixed_size_list().values().as_ref(), start * dim, end * dim)
        }
        DataType::Struct(_) => {
            let columns = values.as_struct().columns().iter();
            columns.map(|column| bytes(column.as_ref(), start, end)).fold(0, u64::saturating_add)
        }
        DataType::Utf8View | DataType::BinaryView => 16 * (end - start) as u64,
        DataType::Boolean => ((end - start) / 8) as u64,
        other => other.primitive_width().unwrap_or(4) as u64 * (end - start) as u64,
    }
}
