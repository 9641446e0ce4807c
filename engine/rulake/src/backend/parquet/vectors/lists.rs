//! Lists of pages: decoded pages go in; batches of whole lists and fragments of lists that continue come out.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float32Array, ListArray, RecordBatch, UInt64Array};
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;

use super::levels::ListLevels;
use super::malformed::Malformed;
use super::page::ListPage;
use super::values::{Number, coordinates};
use super::wanted::Wanted;
use crate::address::ADDRESS_COLUMN;

/// Builder of batches of the lists of one file.
#[derive(Debug)]
pub(super) struct Lists {
    pub(super) levels: ListLevels,
    pub(super) number: Number,
    pub(super) wanted: Wanted,
    /// The address of row 0.
    pub(super) base: u64,
    schema: SchemaRef,
    item: Arc<Field>,
}

/// Fragment of a list that is on several pages.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Fragment {
    definitions: Vec<u8>,
    values: Vec<f32>,
}

impl Fragment {
    pub(super) fn extend(&mut self, other: Self) {
        self.definitions.extend(other.definitions);
        self.values.extend(other.values);
    }
}

/// The parts of a page.
#[derive(Debug)]
pub(super) struct Parts {
    /// Continuation of the last list of the page before.
    pub(super) head: Option<Fragment>,
    /// The lists that begin and end on the page.
    pub(super) whole: Option<RecordBatch>,
    /// The beginning of a list that may continue on the next page.
    pub(super) tail: Option<Fragment>,
}

impl Lists {
    pub(super) fn new(levels: ListLevels, number: Number, wanted: Wanted, base: u64) -> Self {
        let item = Arc::new(Field::new_list_field(DataType::Float32, true));
        let fields = [
            Field::new("vector", DataType::List(Arc::clone(&item)), true),
            Field::new(ADDRESS_COLUMN, DataType::UInt64, false),
        ];
        Self { levels, number, wanted, base, schema: Arc::new(Schema::new(fields.to_vec())), item }
    }

    /// Splits a page whose first list is that of `first_row`. If `is_open`, its last list may continue on the next page.
    pub(super) fn parts(&self, page: &ListPage, first_row: u32, is_open: bool) -> Result<Parts, LostList> {
        let levels = &page.levels;
        let (Some(first), Some(last)) = (levels.starts.first(), levels.starts.last()) else {
            // The page is the middle of one list.
            let values = self.values(page, first_row, 0)?;
            let head = values.map(|values| self.fragment(page, &values, 0..levels.num_levels, 0));
            return Ok(Parts { head: Some(head.unwrap_or_default()), whole: None, tail: None });
        };
        let (first, last) = (*first as usize, if is_open { *last as usize } else { levels.num_levels });
        let num_lists = levels.starts.len() - usize::from(is_open);
        let mut parts =
            Parts { head: (first > 0).then(Fragment::default), whole: None, tail: is_open.then(Fragment::default) };
        let Some(values) = self.values(page, first_row, levels.starts.len())? else { return Ok(parts) };
        let before = |level: usize| match &levels.definitions {
            None => level,
            Some(definitions) => definitions[..level].iter().filter(|level| **level == self.levels.item).count(),
        };
        if first > 0 {
            parts.head = Some(self.fragment(page, &values, 0..first, 0));
        }
        if is_open {
            parts.tail = Some(self.fragment(page, &values, last..levels.num_levels, before(last)));
        }
        if num_lists > 0 {
            let starts = &levels.starts[..num_lists];
            let definitions = levels.definitions.as_deref().map(|definitions| &definitions[first..last]);
            let skipped = before(first);
            let values = values.slice(skipped, values.len() - skipped);
            let starts: Vec<usize> = starts.iter().map(|start| *start as usize - first).collect();
            parts.whole = self.batch(first_row, &starts, last - first, definitions, values)?;
        }
        Ok(parts)
    }

    /// The list that `fragment` became.
    pub(super) fn joined(&self, row: u32, fragment: Fragment) -> Result<Option<RecordBatch>, LostList> {
        if !self.wanted.contains(row) {
            return Ok(None);
        }
        let Fragment { definitions, values } = fragment;
        self.batch(row, &[0], definitions.len(), Some(&definitions), values.into())
    }

    /// The values of a page, or `None` if none is wanted of the lists on it and the one before.
    fn values(&self, page: &ListPage, first_row: u32, num_lists: usize) -> Result<Option<ScalarBuffer<f32>>, LostList> {
        let rows = first_row.saturating_sub(1)..row_after(first_row, num_lists)?;
        match self.wanted.none(&rows) {
            true => Ok(None),
            false => {
                let dictionary = page.dictionary.as_deref();
                let num_values = page.levels.num_values;
                Ok(Some(coordinates(&page.values, self.number, page.encoding, dictionary, num_values)?))
            }
        }
    }

    /// The levels of a range with their values; `before` values of the page precede the range.
    fn fragment(&self, page: &ListPage, values: &[f32], range: Range<usize>, before: usize) -> Fragment {
        let definitions = match &page.levels.definitions {
            None => vec![self.levels.item; range.len()],
            Some(definitions) => definitions[range].to_vec(),
        };
        let num_values = definitions.iter().filter(|level| **level == self.levels.item).count();
        Fragment { definitions, values: values[before..before + num_values].to_vec() }
    }

    /// The wanted lists among those that begin at `starts`; they have `num_levels` levels in all.
    fn batch(
        &self,
        first_row: u32,
        starts: &[usize],
        num_levels: usize,
        definitions: Option<&[u8]>,
        values: ScalarBuffer<f32>,
    ) -> Result<Option<RecordBatch>, LostList> {
        let rows = first_row..row_after(first_row, starts.len())?;
        if self.wanted.none(&rows) {
            return Ok(None);
        }
        let lists = match definitions {
            None => {
                let offsets = starts.iter().copied().chain([num_levels]).map(offset).collect::<Result<Vec<_>, _>>()?;
                self.array(offsets, values, None, None)?
            }
            Some(definitions) => self.irregular(starts, definitions, &values)?,
        };
        let addresses = UInt64Array::from_iter_values(rows.clone().map(|row| self.base + u64::from(row)));
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), vec![lists, Arc::new(addresses)])?;
        if self.wanted.all(&rows) {
            return Ok(Some(batch));
        }
        let wanted: BooleanArray = rows.map(|row| Some(self.wanted.contains(row))).collect();
        Ok(Some(filter_record_batch(&batch, &wanted)?))
    }

    /// Lists some of which are NULL, empty, or have a NULL in them.
    fn irregular(&self, starts: &[usize], definitions: &[u8], values: &[f32]) -> Result<ArrayRef, LostList> {
        let ListLevels { item, in_list, nullable } = self.levels;
        let mut values = values.iter();
        let (mut items, mut are_there) = (Vec::with_capacity(definitions.len()), Vec::new());
        let (mut offsets, mut are_lists) = (Vec::with_capacity(starts.len() + 1), Vec::with_capacity(starts.len()));
        let ends = starts.iter().skip(1).copied().chain([definitions.len()]);
        for (start, end) in starts.iter().zip(ends) {
            let of_list = &definitions[*start..end];
            offsets.push(offset(items.len())?);
            are_lists.push(!(nullable && of_list.first() == Some(&0)));
            for level in of_list.iter().filter(|level| **level >= in_list) {
                let is_there = *level == item;
                are_there.push(is_there);
                items.push(if is_there { values.next().copied().ok_or(LOST)? } else { 0.0 });
            }
        }
        offsets.push(offset(items.len())?);
        self.array(offsets, items.into(), Some(are_there.into()), Some(are_lists.into()))
    }

    fn array(
        &self,
        offsets: Vec<i32>,
        items: ScalarBuffer<f32>,
        are_there: Option<NullBuffer>,
        are_lists: Option<NullBuffer>,
    ) -> Result<ArrayRef, LostList> {
        let items = Float32Array::try_new(items, are_there)?;
        let offsets = OffsetBuffer::new(offsets.into());
        Ok(Arc::new(ListArray::try_new(Arc::clone(&self.item), offsets, Arc::new(items), are_lists)?))
    }
}

/// Reason that there are no lists.
#[derive(Debug)]
pub(super) enum LostList {
    Malformed(Malformed),
    Arrow(ArrowError),
}

impl From<Malformed> for LostList {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

impl From<ArrowError> for LostList {
    fn from(error: ArrowError) -> Self {
        Self::Arrow(error)
    }
}

const LOST: Malformed = Malformed("a page has fewer values than its levels say");

pub(super) fn row_after(first_row: u32, num_lists: usize) -> Result<u32, Malformed> {
    let row = u32::try_from(num_lists).ok().and_then(|num_lists| first_row.checked_add(num_lists));
    row.ok_or(Malformed("a file has too many rows"))
}

fn offset(level: usize) -> Result<i32, Malformed> {
    i32::try_from(level).map_err(|_| Malformed("a page has too many levels"))
}
