//! Rewrite of files of a table: files and changes of their rows go in; files with the changed rows in place come out.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, UInt64Array};
use arrow::compute::{interleave, take};
use arrow::datatypes::{Schema, SchemaRef, UInt64Type};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::execute_stream;
use deltalake::datafile::writer::DeltaWriter;
use deltalake::kernel::Add;
use futures::TryStreamExt;
use roaring::RoaringBitmap;

use super::{ChangeKind, RowChanges};
use crate::address::RowAddress;
use crate::assign::conform;
use crate::backend::delta::DeltaSnapshot;
use crate::contract::{ScanRequest, Snapshot};
use crate::error::{Error, Result, from_datafusion, from_delta};
use crate::vector_column::{stored_schema, to_stored};

/// The rewriting of the files that changes are about.
pub(super) struct Rewrite<'a> {
    snapshot: &'a DeltaSnapshot,
    context: &'a Arc<TaskContext>,
    kind: ChangeKind,
    writer: DeltaWriter,
    changes: Changes,
    /// Ordinals of the files that are replaced, ascending.
    removed: Vec<usize>,
    num_changed: u64,
}

/// Files that go and come.
pub(super) struct Done {
    pub(super) removed: Vec<usize>,
    pub(super) added: Vec<Add>,
    pub(super) num_changed: u64,
}

impl<'a> Rewrite<'a> {
    pub(super) fn new(
        snapshot: &'a DeltaSnapshot,
        context: &'a Arc<TaskContext>,
        changes: RowChanges,
        writer: DeltaWriter,
    ) -> Result<Self> {
        let kind = changes.kind;
        let changes = Changes::new(snapshot, changes)?;
        Ok(Self { snapshot, context, kind, writer, changes, removed: Vec::new(), num_changed: 0 })
    }

    pub(super) async fn run(&mut self) -> Result<()> {
        while let Some(address) = self.changes.next_address().await? {
            let file = address.file();
            if file >= self.snapshot.num_files() {
                return Err(Error::internal("row address outside its snapshot").with("file", file));
            }
            match self.kind {
                ChangeKind::Delete => self.delete_from(file).await?,
                ChangeKind::Update | ChangeKind::Merge => self.change(file).await?,
            }
            self.removed.push(file);
        }
        while let Some(rows) = self.changes.next_new().await? {
            self.num_changed += rows.num_rows() as u64;
            self.write(&rows).await?;
        }
        Ok(())
    }

    /// Leaves out the rows of a file that the changes name. A file that loses all its rows is not read.
    async fn delete_from(&mut self, file: usize) -> Result<()> {
        let gone = self.changes.rows_of(file).await?;
        self.num_changed += gone.len();
        if self.snapshot.known_rows(file).is_some_and(|rows| rows as u64 == gone.len()) {
            return Ok(());
        }
        let mut found = 0;
        let mut rows = scan(self.snapshot, self.context, file).await?;
        while let Some(batch) = rows.try_next().await.map_err(from_datafusion)? {
            let (batch, addresses) = split_address(&batch)?;
            let stays = |address: &u64| !gone.contains(RowAddress::from(*address).row());
            let kept: Vec<u64> = (0..).zip(addresses.values()).filter(|(_, a)| stays(a)).map(|(i, _)| i).collect();
            found += (batch.num_rows() - kept.len()) as u64;
            self.write(&taken(&batch, kept)?).await?;
        }
        match found == gone.len() {
            true => Ok(()),
            false => Err(not_found(self.snapshot, file)),
        }
    }

    /// Puts the changes of a file in the places of its rows.
    async fn change(&mut self, file: usize) -> Result<()> {
        let mut rows = scan(self.snapshot, self.context, file).await?;
        while let Some(batch) = rows.try_next().await.map_err(from_datafusion)? {
            let (batch, addresses) = split_address(&batch)?;
            let Some(last) = addresses.values().last().copied() else { continue };
            let changed = self.changes.take_until(last).await?;
            self.num_changed += changed.places.len() as u64;
            let batch = changed.apply(&batch, addresses.values(), self.snapshot)?;
            self.write(&batch).await?;
        }
        // A change of this file that no row took is of a row that is not there.
        match self.changes.next_address().await? {
            Some(address) if address.file() == file => Err(not_found(self.snapshot, file)),
            _ => Ok(()),
        }
    }

    async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let stored = self.snapshot.stored_schema();
        let batch = RecordBatch::try_new(Arc::clone(stored), batch.columns().to_vec())
            .map_err(|e| Error::internal("rewritten rows do not fit the table").with("reason", e))?;
        self.writer.write(&batch).await.map_err(from_delta)
    }

    /// Ends the upload of files that are not needed.
    pub(super) async fn abandon(self) {
        if let Err(e) = self.writer.abort().await {
            tracing::warn!(reason = %e, "a file of a change that failed may be left");
        }
    }

    pub(super) async fn finish(self) -> Result<Done> {
        let added = self.writer.close().await.map_err(from_delta)?;
        Ok(Done { removed: self.removed, added, num_changed: self.num_changed })
    }
}

/// The rows of a file in their order, as they are stored, with their addresses.
async fn scan(snapshot: &DeltaSnapshot, context: &Arc<TaskContext>, file: usize) -> Result<SendableRecordBatchStream> {
    let request =
        ScanRequest { with_address: true, parts: Some(vec![file]), as_stored: true, ..ScanRequest::default() };
    let plan = snapshot.scan(context, &request).await?;
    execute_stream(plan, Arc::clone(context)).map_err(from_datafusion)
}

fn not_found(snapshot: &DeltaSnapshot, file: usize) -> Error {
    Error::internal("a row to be changed is not in its file").with("file", snapshot.path(file))
}

fn failed(e: arrow::error::ArrowError) -> Error {
    Error::internal("rows cannot be rewritten").with("reason", e)
}

/// A batch of a scan without its last column, and that column: the addresses.
fn split_address(batch: &RecordBatch) -> Result<(RecordBatch, UInt64Array)> {
    let last = batch.num_columns().saturating_sub(1);
    let addresses = batch.columns().get(last).and_then(|column| column.as_primitive_opt::<UInt64Type>());
    let addresses = addresses.ok_or_else(|| Error::internal("a scan gave no addresses"))?.clone();
    if addresses.values().windows(2).any(|pair| pair[0] >= pair[1]) {
        return Err(Error::internal("rows of a file came out of order"));
    }
    let columns: Vec<usize> = (0..last).collect();
    Ok((batch.project(&columns).map_err(failed)?, addresses))
}

fn taken(batch: &RecordBatch, rows: Vec<u64>) -> Result<RecordBatch> {
    if rows.len() == batch.num_rows() {
        return Ok(batch.clone());
    }
    let rows = UInt64Array::from(rows);
    let columns = batch.columns().iter().map(|column| take(column, &rows, None)).collect::<Result<Vec<_>, _>>();
    columns.and_then(|columns| RecordBatch::try_new(batch.schema(), columns)).map_err(failed)
}

/// The stream of changes, as far as it was read.
struct Changes {
    /// The columns with values, as the table's logical schema has them, and as they are stored.
    logical: SchemaRef,
    stored: SchemaRef,
    /// The position of each column of the table among `logical`.
    positions: Vec<Option<usize>>,
    rows: SendableRecordBatchStream,
    /// Rows that were read and not used: values in stored form, and the next row to use.
    current: Option<ChangeBatch>,
    last_address: Option<u64>,
}

#[derive(Clone)]
struct ChangeBatch {
    addresses: UInt64Array,
    deleted: BooleanArray,
    values: RecordBatch,
    next: usize,
}

impl Changes {
    fn new(snapshot: &DeltaSnapshot, changes: RowChanges) -> Result<Self> {
        let schema = snapshot.schema();
        let logical: SchemaRef = Arc::new(schema.project(&changes.columns).map_err(failed)?);
        let positions =
            (0..schema.fields().len()).map(|column| changes.columns.iter().position(|known| *known == column));
        Ok(Self {
            stored: stored_schema(&logical),
            positions: positions.collect(),
            logical,
            rows: changes.rows,
            current: None,
            last_address: None,
        })
    }

    /// The batch that has the next change.
    async fn peek(&mut self) -> Result<Option<&mut ChangeBatch>> {
        while self.current.as_ref().is_none_or(|batch| batch.next == batch.addresses.len()) {
            match self.rows.try_next().await.map_err(from_datafusion)? {
                None => return Ok(None),
                Some(batch) => self.current = Some(self.received(&batch)?),
            }
        }
        Ok(self.current.as_mut())
    }

    fn received(&mut self, batch: &RecordBatch) -> Result<ChangeBatch> {
        let [addresses, deleted, values @ ..] = batch.columns() else {
            return Err(Error::internal("changes have no addresses"));
        };
        let addresses = addresses.as_primitive_opt::<UInt64Type>().cloned();
        let (Some(addresses), Some(deleted)) = (addresses, deleted.as_boolean_opt().cloned()) else {
            return Err(Error::internal("changes have no addresses"));
        };
        for address in addresses.iter().flatten() {
            match self.last_address.map(|last| address.cmp(&last)) {
                Some(Ordering::Equal) => return Err(changed_twice()),
                Some(Ordering::Less) => return Err(Error::internal("changes came out of order")),
                Some(Ordering::Greater) | None => self.last_address = Some(address),
            }
        }
        let fields = batch.schema_ref().fields().iter().skip(2).zip(self.logical.fields());
        let fields: Vec<_> = fields.map(|(got, column)| got.as_ref().clone().with_name(column.name())).collect();
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let values = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), values.to_vec(), &options);
        let values = values.map_err(|e| Error::internal("changes have other columns").with("reason", e))?;
        let values = to_stored(&conform(&values, &self.logical)?, &self.stored)?;
        Ok(ChangeBatch { addresses, deleted, values, next: 0 })
    }

    /// The address of the next change; `None` if only new rows are left.
    async fn next_address(&mut self) -> Result<Option<RowAddress>> {
        let Some(batch) = self.peek().await? else { return Ok(None) };
        let known = batch.addresses.is_valid(batch.next);
        Ok(known.then(|| RowAddress::from(batch.addresses.value(batch.next))))
    }

    /// The rows of the file that the next changes are about.
    async fn rows_of(&mut self, file: usize) -> Result<RoaringBitmap> {
        let mut rows = RoaringBitmap::new();
        while let Some(address) = self.next_address().await?.filter(|address| address.file() == file) {
            rows.insert(address.row());
            if let Some(batch) = &mut self.current {
                batch.next += 1;
            }
        }
        Ok(rows)
    }

    /// The changes up to the row at `last`.
    async fn take_until(&mut self, last: u64) -> Result<ChangedRows> {
        let mut changed = ChangedRows { batches: Vec::new(), places: Vec::new(), positions: self.positions.clone() };
        while let Some(batch) = self.peek().await? {
            let from = batch.next;
            while batch.next < batch.addresses.len()
                && batch.addresses.is_valid(batch.next)
                && batch.addresses.value(batch.next) <= last
            {
                let value = (!batch.deleted.value(batch.next)).then_some((changed.batches.len(), batch.next));
                changed.places.push((batch.addresses.value(batch.next), value));
                batch.next += 1;
            }
            if batch.next > from {
                changed.batches.push(batch.values.clone());
            }
            if batch.next < batch.addresses.len() {
                break;
            }
        }
        Ok(changed)
    }

    /// New rows with all columns of the table, in stored form.
    async fn next_new(&mut self) -> Result<Option<RecordBatch>> {
        let Some(batch) = self.peek().await? else { return Ok(None) };
        let rest = batch.addresses.len() - batch.next;
        let rows = batch.values.slice(batch.next, rest);
        batch.next += rest;
        Ok(Some(rows))
    }
}

fn changed_twice() -> Error {
    Error::invalid_input("MERGE: several rows of the source match one row of the table")
        .with("expected", "at most one for each row that is updated or deleted")
}

/// Changes of rows that follow one another in a file.
struct ChangedRows {
    batches: Vec<RecordBatch>,
    /// The address of each row, and where its values are: the batch and its row. `None` deletes the row.
    places: Vec<(u64, Option<(usize, usize)>)>,
    positions: Vec<Option<usize>>,
}

impl ChangedRows {
    /// The rows of `batch` with these changes.
    fn apply(&self, batch: &RecordBatch, addresses: &[u64], snapshot: &DeltaSnapshot) -> Result<RecordBatch> {
        if self.places.is_empty() {
            return Ok(batch.clone());
        }
        let mut places = self.places.iter().peekable();
        // For each row that stays, its place in `batch`, and where its values come from.
        let (mut kept, mut sources) = (Vec::new(), Vec::new());
        for (row, address) in addresses.iter().enumerate() {
            match places.next_if(|(changed, _)| changed == address) {
                Some((_, None)) => {}
                Some((_, Some((from, at)))) => {
                    kept.push(row as u64);
                    sources.push((from + 1, *at));
                }
                None => {
                    kept.push(row as u64);
                    sources.push((0, row));
                }
            }
        }
        if let Some((address, _)) = places.next() {
            return Err(not_found(snapshot, RowAddress::from(*address).file()));
        }
        let kept = UInt64Array::from(kept);
        let column = |(position, old): (&Option<usize>, &ArrayRef)| match position {
            None => take(old, &kept, None),
            Some(position) => {
                let new = self.batches.iter().map(|batch| batch.column(*position).as_ref());
                let all: Vec<&dyn Array> = std::iter::once(old.as_ref()).chain(new).collect();
                interleave(&all, &sources)
            }
        };
        let columns = self.positions.iter().zip(batch.columns()).map(column).collect::<Result<Vec<_>, _>>();
        columns.and_then(|columns| RecordBatch::try_new(batch.schema(), columns)).map_err(failed)
    }
}
