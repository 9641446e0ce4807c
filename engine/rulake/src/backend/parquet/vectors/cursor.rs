//! Cursor over the vectors of one file: ascending row addresses go in, the lists of those rows come out.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::UInt64Type;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::execute_stream;
use futures::TryStreamExt;

use super::chunk::{Chunk, RunningChunk};
use super::leaf::Leaf;
use crate::address::RowAddress;
use crate::backend::parquet::ParquetFiles;
use crate::contract::{ScanRequest, VectorRequest};
use crate::error::{Error, Result, from_datafusion};

/// Chunks that are read at a time: the one whose lists are wanted next, and the one after it.
const CHUNKS_BEGUN: usize = 2;

/// Cursor over the vectors of a file, in the order of its rows.
pub(in crate::backend::parquet) struct Cursor {
    files: Arc<ParquetFiles>,
    ordinal: usize,
    source: Source,
    /// Lists that were read, and the addresses of their rows.
    ready: VecDeque<RecordBatch>,
}

enum Source {
    Chunks {
        /// Chunks that are not begun, each with the address after its last row.
        waiting: VecDeque<(u64, Chunk)>,
        begun: VecDeque<(u64, RunningChunk)>,
    },
    /// A file that holds them in another way.
    Scan(SendableRecordBatchStream),
}

impl Cursor {
    /// Opens a file, at its beginning. `column` is a position in the schema.
    ///
    /// # Errors
    /// If the file is not there any more, or its footer cannot be read.
    pub(in crate::backend::parquet) async fn open(
        files: &Arc<ParquetFiles>,
        ordinal: usize,
        column: usize,
        context: &Arc<TaskContext>,
    ) -> Result<Self> {
        let footer = files.footer(ordinal).await?;
        let source = match Leaf::find(&footer, files.schema.field(column).name()) {
            Some(leaf) => {
                let (base, mut chunks) = (RowAddress::base(ordinal)?, Vec::new());
                let request = VectorRequest { column, parts: None, allowed: None };
                files.chunks(ordinal, &footer, leaf, &request, &mut chunks).await?;
                let ended = |chunk: Chunk| (base + u64::from(chunk.rows.end), chunk);
                let waiting = chunks.into_iter().map(|(_, chunk)| ended(chunk)).collect();
                Source::Chunks { waiting, begun: VecDeque::new() }
            }
            None => {
                let request =
                    ScanRequest { projection: Some(vec![column]), with_address: true, ..ScanRequest::default() };
                let live = files.live_rows(ordinal).await?;
                let plan = files.plan(context, &request, vec![(ordinal, live)], None)?;
                Source::Scan(execute_stream(plan, Arc::clone(context)).map_err(from_datafusion)?)
            }
        };
        Ok(Self { files: Arc::clone(files), ordinal, source, ready: VecDeque::new() })
    }

    /// The file that it is in.
    pub(in crate::backend::parquet) fn ordinal(&self) -> usize {
        self.ordinal
    }

    /// The lists of some rows, in as few pieces as they were read in. `addresses` are ascending, and behind those of the call
    /// before.
    ///
    /// # Errors
    /// `Corrupt` if the file does not have them.
    pub(in crate::backend::parquet) async fn lists(&mut self, addresses: &[u64]) -> Result<Vec<ArrayRef>> {
        let (mut pieces, mut at) = (Vec::new(), 0);
        while let Some(first) = addresses.get(at) {
            let batch = self.batch_with(*first).await?;
            let known = addresses_of(batch);
            let from = known.partition_point(|address| address < first);
            let run = known[from..].iter().zip(&addresses[at..]).take_while(|(known, wanted)| known == wanted).count();
            if run == 0 {
                return Err(self.lost(*first));
            }
            pieces.push(batch.column(0).slice(from, run));
            at += run;
        }
        Ok(pieces)
    }

    /// The batch that holds the list of a row.
    async fn batch_with(&mut self, address: u64) -> Result<&RecordBatch> {
        loop {
            while self.ready.front().is_some_and(|batch| addresses_of(batch).last().is_none_or(|last| *last < address))
            {
                self.ready.pop_front();
            }
            if !self.ready.is_empty() {
                break;
            }
            self.skip_to(address);
            if !self.read().await? {
                return Err(self.lost(address));
            }
        }
        self.ready.front().ok_or_else(|| self.lost(address))
    }

    /// Drops chunks that end before a row.
    fn skip_to(&mut self, address: u64) {
        if let Source::Chunks { waiting, begun } = &mut self.source {
            while begun.front().is_some_and(|(end, _)| *end <= address) {
                begun.pop_front();
            }
            while waiting.front().is_some_and(|(end, _)| *end <= address) {
                waiting.pop_front();
            }
        }
    }

    /// Reads the next window, and returns false at the end of the file.
    async fn read(&mut self) -> Result<bool> {
        let (waiting, begun) = match &mut self.source {
            Source::Chunks { waiting, begun } => (waiting, begun),
            Source::Scan(batches) => {
                let batch = match batches.try_next().await {
                    Ok(batch) => batch,
                    Err(e) => return Err(self.files.why(&[self.ordinal], e).await),
                };
                let more = batch.is_some();
                self.ready.extend(batch);
                return Ok(more);
            }
        };
        while begun.len() < CHUNKS_BEGUN
            && let Some((end, chunk)) = waiting.pop_front()
        {
            begun.push_back((end, chunk.spawn(self.ordinal)));
        }
        let Some((_, front)) = begun.front_mut() else { return Ok(false) };
        match front.windows.recv().await {
            Some(Ok(window)) => self.ready.extend(window.batches),
            Some(Err(e)) => return Err(self.files.gone(&[self.ordinal]).await.unwrap_or(e)),
            None => {
                if let Some((_, ended)) = begun.pop_front() {
                    ended.join().await?;
                }
            }
        }
        Ok(true)
    }

    fn lost(&self, address: u64) -> Error {
        Error::corrupt("column of a Parquet file has other rows than its other columns")
            .with("file", &self.files.files[self.ordinal].path)
            .with("row", RowAddress::from(address).row())
    }
}

fn addresses_of(batch: &RecordBatch) -> &[u64] {
    batch.column(batch.num_columns() - 1).as_primitive::<UInt64Type>().values()
}
