//! Assignment of arrays: structs by field name, lists and maps item by item, down to values that `scalar` converts.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, FixedSizeListArray, GenericListArray, MapArray, OffsetSizeTrait,
    StructArray, UInt64Array, new_null_array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::{cast, nullif, take};
use arrow::datatypes::{ArrowNativeType, DataType, Field, FieldRef, Fields};
use arrow::error::ArrowError;

use super::place::Place;
use super::scalar;
use crate::error::{Error, Result};

/// Returns the values of `array` in the type of `column`.
///
/// # Errors
/// `InvalidInput` that names the column, the field in it, the row, and what was expected and found: for a type that does not
/// convert, a value that does not fit or would lose digits, a field that the column does not have or that must not be NULL.
pub fn assign(array: &ArrayRef, column: &Field) -> Result<ArrayRef> {
    convert(array, column, &Place::of_column(column.name()))
}

fn convert(array: &ArrayRef, to: &Field, place: &Place) -> Result<ArrayRef> {
    let (from, target) = (array.data_type(), to.data_type());
    if from == target {
        return Ok(Arc::clone(array));
    }
    match (from, target) {
        (DataType::Null, _) => Ok(new_null_array(target, array.len())),
        (DataType::Dictionary(_, value), _) => convert(&decoded(array, value, place)?, to, place),
        (DataType::RunEndEncoded(_, values), _) => convert(&decoded(array, values.data_type(), place)?, to, place),
        (DataType::Struct(_), DataType::Struct(fields)) => structs(array.as_struct(), fields, place),
        (DataType::Map(..), DataType::Map(entries, ordered)) => maps(array, entries, *ordered, place),
        (from, DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..)) if is_list(from) => {
            lists(array, target, place)
        }
        (from, target) if from.is_nested() || target.is_nested() => Err(place.another_type(target, from)),
        _ => scalar::convert(array, target, place),
    }
}

fn is_list(data_type: &DataType) -> bool {
    use DataType::{FixedSizeList, LargeList, LargeListView, List, ListView};
    matches!(data_type, List(_) | LargeList(_) | ListView(_) | LargeListView(_) | FixedSizeList(..))
}

fn decoded(array: &ArrayRef, value: &DataType, place: &Place) -> Result<ArrayRef> {
    cast(array, value).map_err(|e| place.error("cannot be decoded").with("reason", e))
}

/// Fields by their names. One that is missing is NULL, one too many is an error: its values would be lost.
fn structs(array: &StructArray, fields: &Fields, place: &Place) -> Result<ArrayRef> {
    let given = array.fields();
    for (at, field) in given.iter().enumerate() {
        let name = field.name();
        if given.iter().take(at).any(|other| other.name() == name) {
            return Err(place.field(name).error("occurs twice"));
        }
        if fields.find(name).is_none() {
            let known: Vec<_> = fields.iter().map(|field| field.name().as_str()).collect();
            return Err(place.error("has no such field").with("expected one of", known.join(", ")).with("got", name));
        }
    }
    let mut columns = Vec::with_capacity(fields.len());
    for field in fields {
        let place = place.field(field.name());
        let column = match array.column_by_name(field.name()) {
            Some(column) => convert(&below(column, array.nulls())?, field, &place)?,
            None => new_null_array(field.data_type(), array.len()),
        };
        if !field.is_nullable()
            && let Some(row) = (0..array.len()).find(|row| column.is_null(*row) && array.is_valid(*row))
        {
            return Err(place.position(place.error("does not allow NULL"), row));
        }
        columns.push(column);
    }
    let structs = StructArray::try_new_with_length(fields.clone(), columns, array.nulls().cloned(), array.len());
    structs.map(|structs| Arc::new(structs) as _).map_err(|e| unmade(&e, place))
}

/// Returns `child` with NULL wherever its parent is NULL.
fn below(child: &ArrayRef, parent: Option<&NullBuffer>) -> Result<ArrayRef> {
    match parent.filter(|nulls| nulls.null_count() > 0) {
        Some(nulls) => nullif(child, &BooleanArray::new(!nulls.inner(), None))
            .map_err(|e| Error::internal("fields below a NULL cannot be left out").with("reason", e)),
        None => Ok(Arc::clone(child)),
    }
}

fn unmade(error: &ArrowError, place: &Place) -> Error {
    place.error("does not fit its type").with("reason", error)
}

/// The items of the lists that are not NULL, in the order of the rows, and their number in each row.
struct Items {
    values: ArrayRef,
    lengths: Vec<usize>,
    nulls: Option<NullBuffer>,
}

impl Items {
    /// The items of lists of any kind, or the entries of maps.
    fn of(array: &ArrayRef, place: &Place) -> Result<Self> {
        let valid = |row: usize, range: Range<usize>| if array.is_valid(row) { range } else { 0..0 };
        fn offsets<O: OffsetSizeTrait>(offsets: &OffsetBuffer<O>) -> impl Iterator<Item = Range<usize>> {
            offsets.windows(2).map(|pair| pair[0].as_usize()..pair[1].as_usize())
        }
        let (ranges, values): (Vec<Range<usize>>, &ArrayRef) = match array.data_type() {
            DataType::List(_) => {
                let lists = array.as_list::<i32>();
                (offsets(lists.offsets()).collect(), lists.values())
            }
            DataType::LargeList(_) => {
                let lists = array.as_list::<i64>();
                (offsets(lists.offsets()).collect(), lists.values())
            }
            DataType::ListView(_) => {
                let lists = array.as_list_view::<i32>();
                let ranges = lists.offsets().iter().zip(lists.sizes()).map(|(start, size)| {
                    let (start, size) = (start.as_usize(), size.as_usize());
                    start..start + size
                });
                (ranges.collect(), lists.values())
            }
            DataType::LargeListView(_) => {
                let lists = array.as_list_view::<i64>();
                let ranges = lists.offsets().iter().zip(lists.sizes()).map(|(start, size)| {
                    let (start, size) = (start.as_usize(), size.as_usize());
                    start..start + size
                });
                (ranges.collect(), lists.values())
            }
            DataType::FixedSizeList(..) => {
                let lists = array.as_fixed_size_list();
                let dim = usize::try_from(lists.value_length()).unwrap_or(0);
                ((0..lists.len()).map(|row| row * dim..(row + 1) * dim).collect(), lists.values())
            }
            other => return Err(place.error("holds no lists").with("got", other)),
        };
        let ranges: Vec<_> = ranges.into_iter().enumerate().map(|(row, range)| valid(row, range)).collect();
        Ok(Self {
            values: picked(values, &ranges)?,
            lengths: ranges.iter().map(ExactSizeIterator::len).collect(),
            nulls: array.nulls().cloned(),
        })
    }

    fn offsets<O: OffsetSizeTrait>(&self, place: &Place) -> Result<OffsetBuffer<O>> {
        let total: usize = self.lengths.iter().sum();
        match total <= O::MAX_OFFSET {
            true => Ok(OffsetBuffer::from_lengths(self.lengths.iter().copied())),
            false => {
                Err(place.error("has too many items in a batch").with("expected", O::MAX_OFFSET).with("got", total))
            }
        }
    }
}

/// The items in `ranges`, one range after the other. Nothing is copied if the ranges are contiguous.
fn picked(values: &ArrayRef, ranges: &[Range<usize>]) -> Result<ArrayRef> {
    let mut filled = ranges.iter().filter(|range| !range.is_empty());
    let Some(first) = filled.next() else { return Ok(values.slice(0, 0)) };
    let mut end = first.end;
    for range in filled {
        if range.start != end {
            let items: UInt64Array = ranges.iter().flat_map(Clone::clone).map(|item| item as u64).collect();
            return take(values, &items, None)
                .map_err(|e| Error::internal("items of lists cannot be taken").with("reason", e));
        }
        end = range.end;
    }
    Ok(values.slice(first.start, end - first.start))
}

fn lists(array: &ArrayRef, target: &DataType, place: &Place) -> Result<ArrayRef> {
    if let DataType::FixedSizeList(item, dim) = target {
        return fixed_size_lists(array, item, *dim, place);
    }
    let items = Items::of(array, place)?;
    match target {
        DataType::List(item) => variable_lists::<i32>(items, item, &place.items(target), place),
        DataType::LargeList(item) => variable_lists::<i64>(items, item, &place.items(target), place),
        other => Err(place.another_type(other, array.data_type())),
    }
}

fn variable_lists<O: OffsetSizeTrait>(items: Items, item: &FieldRef, below: &Place, place: &Place) -> Result<ArrayRef> {
    let offsets = items.offsets::<O>(place)?;
    let values = convert(&items.values, item, below)?;
    let lists = GenericListArray::<O>::try_new(Arc::clone(item), offsets, values, items.nulls);
    lists.map(|lists| Arc::new(lists) as _).map_err(|e| unmade(&e, place))
}

fn fixed_size_lists(array: &ArrayRef, item: &FieldRef, dim: i32, place: &Place) -> Result<ArrayRef> {
    let target = DataType::FixedSizeList(Arc::clone(item), dim);
    let items = Items::of(array, place)?;
    let expected = usize::try_from(dim).unwrap_or(0);
    let wrong = items.lengths.iter().enumerate().find(|(row, got)| array.is_valid(*row) && **got != expected);
    if let Some((row, got)) = wrong {
        let error = Error::invalid_input(format!("vector in column {:?} has the wrong dimension", place.path));
        return Err(place.position(error, row).with("expected", expected).with("got", got));
    }
    let mut values = convert(&items.values, item, &place.items(&target))?;
    if array.null_count() > 0 {
        let mut next = 0..;
        let spread = (0..array.len()).flat_map(|row| std::iter::repeat_n(array.is_valid(row), expected));
        let spread: UInt64Array = spread.map(|is_there| if is_there { next.next() } else { None }).collect();
        values = take(&values, &spread, None).map_err(|e| unmade(&e, place))?;
    }
    let lists =
        FixedSizeListArray::try_new_with_length(Arc::clone(item), dim, values, items.nulls.clone(), array.len());
    lists.map(|lists| Arc::new(lists) as _).map_err(|e| unmade(&e, place))
}

/// Entries by position: the fields of an entry have no fixed names.
fn maps(array: &ArrayRef, entries: &FieldRef, ordered: bool, place: &Place) -> Result<ArrayRef> {
    let source = array.as_map();
    let DataType::Struct(fields) = entries.data_type() else {
        return Err(place.another_type(entries.data_type(), array.data_type()));
    };
    let ranges: Vec<Range<usize>> = source
        .offsets()
        .windows(2)
        .enumerate()
        .map(|(row, pair)| if source.is_valid(row) { pair[0].as_usize()..pair[1].as_usize() } else { 0..0 })
        .collect();
    let lengths: Vec<usize> = ranges.iter().map(ExactSizeIterator::len).collect();
    let (below, total) = (Place { is_item: true, ..place.clone() }, lengths.iter().sum());
    let mut columns = Vec::with_capacity(fields.len());
    for (field, column) in fields.iter().zip(source.entries().columns()) {
        columns.push(convert(&picked(column, &ranges)?, field, &below.field(field.name()))?);
    }
    let offsets = Items { values: new_null_array(&DataType::Null, 0), lengths, nulls: None }.offsets::<i32>(place)?;
    let entries_of = StructArray::try_new_with_length(fields.clone(), columns, None, total);
    let maps = entries_of.and_then(|entries_of| {
        MapArray::try_new(Arc::clone(entries), offsets, entries_of, source.nulls().cloned(), ordered)
    });
    maps.map(|maps| Arc::new(maps) as _).map_err(|e| unmade(&e, place))
}
