//! Sorted keys of a state: key columns go in; positions by key, and keys by position, come out.

use std::cmp::Ordering;
use std::fmt;

use arrow::array::{Array, ArrayRef, UInt32Array, new_empty_array};
use arrow::compute::{concat, sort, take};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use arrow::row::{Row, RowConverter, Rows, SortField};
use arrow::util::display::array_value_to_string;

use crate::error::{Error, Result};

/// The distinct keys of a state, sorted: the position of a key is the address of its row.
pub(super) struct Keys {
    sorted: ArrayRef,
    /// The same keys in a form that compares as bytes, for every type.
    rows: Rows,
    converter: RowConverter,
}

impl Keys {
    /// The keys in `columns`, which are of type `data_type`.
    ///
    /// # Errors
    /// `InvalidInput` if a key is NULL or not unique; `NotSupported` if there are more than addresses can tell apart.
    pub(super) fn new(columns: &[ArrayRef], data_type: &DataType) -> Result<Self> {
        let mut columns: Vec<&dyn Array> = columns.iter().map(AsRef::as_ref).collect();
        let empty = new_empty_array(data_type);
        columns.push(empty.as_ref());
        let all = concat(&columns).map_err(|e| too_many().with("reason", e))?;
        if u32::try_from(all.len()).is_err() {
            return Err(too_many().with("at most", u32::MAX).with("got", all.len()));
        }
        check_not_null(&all)?;
        let sorted = sort(&all, None).map_err(failed)?;
        let converter = RowConverter::new(vec![SortField::new(data_type.clone())]).map_err(failed)?;
        let rows = converter.convert_columns(std::slice::from_ref(&sorted)).map_err(failed)?;
        let keys = Self { sorted, rows, converter };
        match (1..keys.len()).find(|i| keys.rows.row(i - 1) == keys.rows.row(*i)) {
            None => Ok(keys),
            Some(i) => Err(not_unique(&keys.name(i))),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.sorted.len()
    }

    /// The position of each key of `column`, or `None` if it is not one of these.
    ///
    /// # Errors
    /// `InvalidInput` if a key is NULL.
    pub(super) fn positions(&self, column: &ArrayRef) -> Result<Vec<Option<u32>>> {
        check_not_null(column)?;
        let wanted = self.converter.convert_columns(std::slice::from_ref(column)).map_err(failed)?;
        Ok(wanted.iter().map(|key| self.position(key)).collect())
    }

    fn position(&self, key: Row<'_>) -> Option<u32> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.rows.row(middle).cmp(&key) {
                #[expect(clippy::cast_possible_truncation, reason = "`new` refuses more keys than a u32 counts")]
                Ordering::Equal => return Some(middle as u32),
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
            }
        }
        None
    }

    /// The keys at `positions`.
    ///
    /// # Errors
    /// `Internal` if a position is beyond the keys.
    pub(super) fn at(&self, positions: Vec<u32>) -> Result<ArrayRef> {
        if let Some(outside) = positions.iter().find(|position| **position as usize >= self.len()) {
            return Err(Error::internal("row address outside its snapshot")
                .with("expected below", self.len())
                .with("got", outside));
        }
        take(&self.sorted, &UInt32Array::from(positions), None).map_err(failed)
    }

    /// The key at `position`, for messages.
    pub(super) fn name(&self, position: usize) -> String {
        name_of(&self.sorted, position)
    }
}

/// The number of keys, not the keys.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// The key in `row` of a column, for messages.
pub(super) fn name_of(column: &ArrayRef, row: usize) -> String {
    match row < column.len() {
        true => array_value_to_string(column, row).unwrap_or_default(),
        false => String::new(),
    }
}

pub(super) fn not_unique(key: &str) -> Error {
    Error::invalid_input("a key is not unique")
        .with("expected", "a key column of distinct values")
        .with("got twice", key)
}

fn check_not_null(column: &ArrayRef) -> Result<()> {
    match (0..column.len()).find(|row| column.is_null(*row)) {
        None => Ok(()),
        Some(row) => {
            Err(Error::invalid_input("a key is NULL").with("row", row).with("expected", "a key column without NULL"))
        }
    }
}

fn too_many() -> Error {
    Error::not_supported("too many keys in one collection")
}

fn failed(error: ArrowError) -> Error {
    Error::internal("keys cannot be compared").with("reason", error)
}
