//! Scan of a keyed source: a pinned state and a request go in; checked batches come out, with row addresses if requested.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::{StreamExt, TryStreamExt, stream};
use roaring::RoaringBitmap;

use super::keys::{name_of, not_unique};
use super::source::KeyedSource;
use super::state::{KeyedState, names};
use crate::address::ADDRESS_COLUMN;
use crate::contract::ScanRequest;
use crate::error::{Error, ErrorKind, Result, from_datafusion, to_datafusion};

/// A scan of a source, begun when it is run: nothing is asked of a store while planning.
#[derive(Debug)]
pub(super) struct KeyedScan<S: ?Sized> {
    pinned: Arc<KeyedState<S>>,
    projection: Vec<usize>,
    with_address: bool,
    limit: usize,
    output: SchemaRef,
}

impl<S: ?Sized> Clone for KeyedScan<S> {
    fn clone(&self) -> Self {
        Self {
            pinned: Arc::clone(&self.pinned),
            projection: self.projection.clone(),
            output: Arc::clone(&self.output),
            ..*self
        }
    }
}

/// A scan under way.
struct Running<S: ?Sized> {
    scan: KeyedScan<S>,
    batches: SendableRecordBatchStream,
    /// The columns asked for.
    asked: SchemaRef,
    /// Position of the key column in `asked`, if addresses are requested.
    key: usize,
    /// The positions of the keys that came.
    seen: RoaringBitmap,
    /// Rows still to give.
    left: usize,
}

impl<S: KeyedSource + ?Sized> KeyedScan<S> {
    pub(super) fn new(pinned: Arc<KeyedState<S>>, request: &ScanRequest) -> Self {
        let all = || (0..pinned.schema.fields().len()).collect();
        let projection = request.projection.clone().unwrap_or_else(all);
        let mut fields: Vec<Arc<Field>> = pinned.columns(&projection).fields().iter().cloned().collect();
        if request.with_address {
            fields.push(Arc::new(Field::new(ADDRESS_COLUMN, DataType::UInt64, true)));
        }
        let (with_address, limit) = (request.with_address, request.limit.unwrap_or(usize::MAX));
        Self { pinned, projection, with_address, limit, output: Arc::new(Schema::new(fields)) }
    }

    pub(super) fn output(&self) -> SchemaRef {
        Arc::clone(&self.output)
    }

    async fn begin(self) -> Result<Running<S>> {
        // A store may not know how to answer with no columns: rows are counted by their keys.
        let (asked, key) = match self.with_address || self.projection.is_empty() {
            true => self.pinned.with_key(&self.projection),
            false => (self.pinned.columns(&self.projection), 0),
        };
        if self.with_address {
            self.pinned.keys().await?;
        }
        let batches = match self.pinned.source.scan(&self.pinned.collection, &names(&asked)).await {
            Ok(batches) => batches,
            Err(e) => return Err(self.pinned.why(e).await),
        };
        Ok(Running { left: self.limit, scan: self, batches, asked, key, seen: RoaringBitmap::new() })
    }
}

impl<S: KeyedSource + ?Sized> Running<S> {
    async fn next(mut self) -> Result<Option<(RecordBatch, Self)>> {
        match self.advance().await {
            Ok(batch) => Ok(batch.map(|batch| (batch, self))),
            Err(e) => Err(self.scan.pinned.why(e).await),
        }
    }

    async fn advance(&mut self) -> Result<Option<RecordBatch>> {
        let batch = match self.left {
            0 => None,
            _ => self.batches.try_next().await.map_err(from_datafusion)?,
        };
        let Some(batch) = batch else {
            self.end().await?;
            return Ok(None);
        };
        self.scan.pinned.check(&batch, &self.asked)?;
        let batch = batch.slice(0, batch.num_rows().min(self.left));
        self.left -= batch.num_rows();
        let mut columns = batch.columns()[..self.scan.projection.len()].to_vec();
        if self.scan.with_address {
            columns.push(self.addresses(batch.column(self.key)).await?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(self.scan.output(), columns, &options)
            .map(Some)
            .map_err(|e| Error::internal("rows do not fit their schema").with("reason", e))
    }

    /// The addresses of rows with these keys.
    async fn addresses(&mut self, column: &ArrayRef) -> Result<ArrayRef> {
        let positions = self.scan.pinned.keys().await?.positions(column)?;
        let mut addresses = Vec::with_capacity(positions.len());
        for (row, position) in positions.into_iter().enumerate() {
            let position = position.ok_or_else(|| {
                self.gone("a row was not there when this state was pinned").with("key", name_of(column, row))
            })?;
            if !self.seen.insert(position) {
                return Err(not_unique(&name_of(column, row)));
            }
            addresses.push(u64::from(position));
        }
        Ok(Arc::new(UInt64Array::from(addresses)))
    }

    /// Checks that the rows read are those of this state: all of them, and no other.
    async fn end(&mut self) -> Result<()> {
        let pinned = &self.scan.pinned;
        if self.scan.with_address && self.left > 0 {
            let expected = pinned.keys().await?.len();
            if self.seen.len() < expected as u64 {
                return Err(self
                    .gone("rows of this state are not there any more")
                    .with("expected", expected)
                    .with("got", self.seen.len()));
            }
        }
        pinned.verify().await
    }

    fn gone(&self, message: &str) -> Error {
        self.scan.pinned.error(ErrorKind::GenerationGone, message)
    }
}

impl<S: KeyedSource + ?Sized + 'static> PartitionStream for KeyedScan<S> {
    fn schema(&self) -> &SchemaRef {
        &self.output
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let running = stream::once(self.clone().begin());
        let batches = running.map_ok(|running| stream::try_unfold(running, Running::next)).try_flatten();
        Box::pin(RecordBatchStreamAdapter::new(self.output(), batches.map(|batch| batch.map_err(to_datafusion))))
    }
}
