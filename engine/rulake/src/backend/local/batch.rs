//! Batch of an in-memory collection: immutable rows, and the set of rows that are deleted. A batch is a part of a snapshot.
//! Rows and ids to delete go in; batches without the ids, merged batches and live rows come out.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use arrow::array::{Array, AsArray, BooleanArray, BooleanBufferBuilder, Int64Array, RecordBatch};
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::datatypes::{Int64Type, SchemaRef};
use arrow::error::ArrowError;
use roaring::RoaringBitmap;

use crate::contract::Part;
use crate::error::{Error, Result};

/// The column that names a row to `upsert` and `remove`.
pub(super) const ID_COLUMN: &str = "id";

/// Rows that were written together, some of which may be deleted. Its role is that of a file; a clone copies two pointers.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    stored: Arc<Stored>,
    deleted: Arc<RoaringBitmap>,
}

/// Rows as they were written, which never change.
#[derive(Debug)]
struct Stored {
    /// Number of the batch, unique in this process.
    number: u64,
    /// Bound: 2^32 rows.
    rows: RecordBatch,
    by_id: OnceLock<IdOrder>,
}

/// The rows that have an id, sorted by it.
#[derive(Debug)]
enum IdOrder {
    /// All rows, in stored order.
    Stored,
    /// The rows that have an id, in this order.
    Sorted(Vec<u32>),
}

impl Batch {
    /// # Errors
    /// `NotSupported` if there are more rows than an address can tell apart.
    pub(super) fn new(rows: RecordBatch) -> Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        if u32::try_from(rows.num_rows()).is_err() {
            return Err(Error::not_supported("too many rows in one batch")
                .with("at most", u32::MAX)
                .with("got", rows.num_rows()));
        }
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Ok(Self { stored: Arc::new(Stored { number, rows, by_id: OnceLock::new() }), deleted: Arc::default() })
    }

    /// The rows of `batches` that are there, as one batch.
    pub(super) fn merged(batches: &[Self], schema: &SchemaRef) -> Result<Self> {
        let live = batches.iter().map(|batch| live_rows(batch.rows(), &batch.deleted)).collect::<Result<Vec<_>, _>>();
        let rows = live.and_then(|live| concat_batches(schema, &live));
        Self::new(rows.map_err(|e| Error::not_supported("batches do not merge").with("reason", e))?)
    }

    /// All rows as they were written.
    pub(super) fn rows(&self) -> &RecordBatch {
        &self.stored.rows
    }

    /// The rows that are gone.
    pub(super) fn deleted(&self) -> &Arc<RoaringBitmap> {
        &self.deleted
    }

    /// The number of rows that are gone.
    #[expect(clippy::cast_possible_truncation, reason = "at most the number of rows, a usize")]
    pub(super) fn num_deleted(&self) -> usize {
        self.deleted.len() as usize
    }

    /// The number of rows that are there.
    pub(super) fn num_live(&self) -> usize {
        self.rows().num_rows() - self.num_deleted()
    }

    pub(super) fn part(&self) -> Part {
        Part { id: self.stored.number.to_string(), deleted: self.deleted.as_ref().clone() }
    }

    /// The same batch without the rows that have one of `ids` (sorted, distinct), or `None` if it has none of them.
    pub(super) fn without(&self, ids: &[i64]) -> Option<Self> {
        let gone: Vec<u32> = self.find(ids).into_iter().filter(|row| !self.deleted.contains(*row)).collect();
        if gone.is_empty() {
            return None;
        }
        let mut deleted = self.deleted.as_ref().clone();
        deleted.extend(gone);
        Some(Self { stored: Arc::clone(&self.stored), deleted: Arc::new(deleted) })
    }

    /// The rows that have one of `ids` (sorted, distinct), gone ones included.
    fn find(&self, ids: &[i64]) -> Vec<u32> {
        let Some(column) = self.ids() else { return Vec::new() };
        // The smaller of the two sets is looked up in the larger one.
        if ids.len() > column.len() {
            let wanted = |id: &Option<i64>| id.is_some_and(|id| ids.binary_search(&id).is_ok());
            return (0..).zip(column.iter()).filter(|(_, id)| wanted(id)).map(|(row, _)| row).collect();
        }
        let values = column.values();
        match self.stored.by_id.get_or_init(|| IdOrder::of(column)) {
            #[expect(clippy::cast_possible_truncation, reason = "`new` refuses more rows than a u32 counts")]
            IdOrder::Stored => {
                ids.iter().flat_map(|id| equal_range(values, |v| *v, *id)).map(|row| row as u32).collect()
            }
            IdOrder::Sorted(order) => {
                let rows = |id: &i64| order[equal_range(order, |row| values[*row as usize], *id)].iter().copied();
                ids.iter().flat_map(rows).collect()
            }
        }
    }

    fn ids(&self) -> Option<&Int64Array> {
        self.rows().column_by_name(ID_COLUMN)?.as_primitive_opt::<Int64Type>()
    }
}

impl IdOrder {
    fn of(ids: &Int64Array) -> Self {
        if ids.null_count() == 0 && ids.values().is_sorted() {
            return Self::Stored;
        }
        let mut order: Vec<u32> = (0..).zip(ids.iter()).filter(|(_, id)| id.is_some()).map(|(row, _)| row).collect();
        order.sort_unstable_by_key(|row| ids.value(*row as usize));
        Self::Sorted(order)
    }
}

/// Positions of the items of this id among items that are sorted by their ids.
fn equal_range<T>(sorted: &[T], id_of: impl Fn(&T) -> i64, id: i64) -> Range<usize> {
    let from = sorted.partition_point(|item| id_of(item) < id);
    let same = sorted[from..].iter().take_while(|item| id_of(item) == id).count();
    from..from + same
}

/// `rows` without those that are gone.
fn live_rows(rows: &RecordBatch, deleted: &RoaringBitmap) -> Result<RecordBatch, ArrowError> {
    live_slice(rows, deleted, 0..rows.num_rows())
}

/// The rows of a range without those that are gone.
pub(super) fn live_slice(
    rows: &RecordBatch,
    deleted: &RoaringBitmap,
    range: Range<usize>,
) -> Result<RecordBatch, ArrowError> {
    let slice = rows.slice(range.start, range.len());
    #[expect(clippy::cast_possible_truncation, reason = "`Batch::new` refuses more rows than a u32 counts")]
    let mut gone = deleted.range(range.start as u32..range.end as u32).peekable();
    if gone.peek().is_none() {
        return Ok(slice);
    }
    let mut live = BooleanBufferBuilder::new(range.len());
    live.append_n(range.len(), true);
    for row in gone {
        live.set_bit(row as usize - range.start, false);
    }
    filter_record_batch(&slice, &BooleanArray::new(live.finish(), None))
}
