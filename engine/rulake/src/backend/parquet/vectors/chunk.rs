//! Reader of a column chunk: it is read a piece at a time, and its pages are decompressed on all cores.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::runtime::SpawnedTask;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::column::page::Page;
use parquet::errors::ParquetError;
use parquet::file::metadata::ColumnChunkMetaData;
use rayon::prelude::*;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::lists::{Fragment, Lists, LostList, row_after};
use super::page::ListPage;
use super::pages::{Piece, Walk, WholePages, page};
use super::values::plain;
use crate::blocking::cpu_bound;
use crate::contract::VectorWindow;
use crate::error::{Error, Result, from_object_store};

/// Bytes that are read at a time: about one page for each core of a machine. As much again is read ahead.
const PIECE_BYTES: u64 = 16 << 20;
/// Bound on the bytes that are read at a time, where pages are large.
const PIECE_BYTES_MAX: u64 = 256 << 20;

/// A column chunk of a file.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) path: ObjectPath,
    pub(super) metadata: ColumnChunkMetaData,
    pub(super) lists: Arc<Lists>,
    /// Its rows in the file.
    pub(super) rows: Range<u32>,
}

/// A chunk that a task reads. The task ends when this is dropped.
#[derive(Debug)]
pub(super) struct RunningChunk {
    /// Ordinal of the chunk's file.
    pub(super) file: usize,
    pub(super) windows: Receiver<Result<VectorWindow>>,
    task: SpawnedTask<()>,
}

impl RunningChunk {
    /// Waits for the end of the task, after the last window.
    ///
    /// # Errors
    /// `Internal` if the task panicked.
    pub(super) async fn join(self) -> Result<()> {
        self.task.join().await.map_err(|e| Error::internal("a reader stopped").with("reason", e))
    }
}

impl Chunk {
    /// Starts the task that reads the chunk of a file. One window is read ahead.
    pub(super) fn spawn(self, file: usize) -> RunningChunk {
        let (sender, windows) = channel(1);
        RunningChunk { file, windows, task: SpawnedTask::spawn(self.read(sender)) }
    }

    /// Sends the lists to `windows`, in order, until the receiver is gone.
    async fn read(self, windows: Sender<Result<VectorWindow>>) {
        if let Err(e) = self.send(&windows).await {
            // A receiver that is gone needs no error.
            _ = windows.send(Err(e)).await;
        }
    }

    async fn send(&self, windows: &Sender<Result<VectorWindow>>) -> Result<()> {
        if self.lists.wanted.none(&self.rows) {
            let num_rows = self.rows.len() - self.lists.wanted.deleted_in(&self.rows);
            _ = windows.send(Ok(VectorWindow { num_rows, batches: Vec::new() })).await;
            return Ok(());
        }
        let (start, len) = self.metadata.byte_range();
        let end = start + len;
        let mut walk = Walk::new(&self.metadata, self.rows.len()).map_err(|e| self.corrupt(e))?;
        let mut reading = Reading { chunk: self, dictionary: None, next_row: self.rows.start, open: None };
        let mut fetched = Some(self.fetch(start..end.min(start + PIECE_BYTES)));
        while let Some(fetch) = fetched.take() {
            let piece =
                fetch.join_unwind().await.map_err(|e| Error::internal("a read stopped").with("reason", e))??;
            let WholePages { pages, next } = walk.pages(piece.clone()).map_err(|e| self.corrupt(e))?;
            if let Some(next) = next {
                let most = walk.largest().saturating_mul(rayon::current_num_threads() as u64).min(PIECE_BYTES_MAX);
                let len = most.max(walk.largest()).max(PIECE_BYTES);
                fetched = Some(self.fetch(next..end.min(next + len)));
            }
            let window = cpu_bound(|| reading.window(&piece, &pages, next.is_none()))?;
            if windows.send(Ok(window)).await.is_err() {
                return Ok(());
            }
        }
        match reading.next_row == self.rows.end {
            true => Ok(()),
            false => Err(Error::corrupt("column of a Parquet file has another number of rows than its footer says")
                .with("file", &self.path)
                .with("expected", self.rows.len())
                .with("got", i64::from(reading.next_row) - i64::from(self.rows.start))),
        }
    }

    fn fetch(&self, range: Range<u64>) -> SpawnedTask<Result<Piece>> {
        let (store, path) = (Arc::clone(&self.store), self.path.clone());
        SpawnedTask::spawn(async move {
            let expected = range.end - range.start;
            let bytes =
                store.get_range(&path, range.clone()).await.map_err(|e| from_object_store(e).with("file", &path))?;
            match bytes.len() as u64 == expected {
                true => Ok(Piece { start: range.start, bytes }),
                false => Err(Error::corrupt("file is shorter than its footer says")
                    .with("file", &path)
                    .with("expected", expected)
                    .with("got", bytes.len())),
            }
        })
    }

    fn corrupt(&self, error: ParquetError) -> Error {
        self.malformed("Parquet file cannot be read").with("reason", &error).with_source(error)
    }

    fn malformed(&self, message: &str) -> Error {
        Error::corrupt(message).with("file", &self.path)
    }

    fn lost(&self, lost: LostList) -> Error {
        match lost {
            LostList::Malformed(malformed) => self.malformed("Parquet file cannot be read").with("reason", malformed.0),
            LostList::Arrow(error) => Error::internal("lists do not fit their type").with("reason", error),
        }
    }
}

/// Progress of the read of a chunk.
struct Reading<'a> {
    chunk: &'a Chunk,
    dictionary: Option<Arc<[f32]>>,
    next_row: u32,
    /// The last list so far, which may go on on the next page.
    open: Option<Fragment>,
}

impl Reading<'_> {
    /// The lists on some pages of a piece.
    fn window(&mut self, piece: &Piece, pages: &[Range<u64>], is_last: bool) -> Result<VectorWindow> {
        let (chunk, lists) = (self.chunk, &self.chunk.lists);
        let malformed = |malformed| chunk.lost(LostList::Malformed(malformed));
        let decompress = |at: &Range<u64>| page(piece, &chunk.metadata, at).map_err(|e| chunk.corrupt(e));
        let mut pages = pages;
        if let Some((first, others)) = pages.split_first()
            && first.start == chunk.metadata.byte_range().0
            && let Page::DictionaryPage { buf, num_values, .. } = decompress(first)?
        {
            // Dictionaries have one encoding only, under two names.
            self.dictionary = Some(plain(&buf, lists.number, num_values as usize).map_err(malformed)?.to_vec().into());
            pages = others;
        }
        let list_page =
            |at: &Range<u64>| ListPage::new(decompress(at)?, lists.levels, self.dictionary.clone()).map_err(malformed);
        let mut pages = pages.par_iter().map(list_page).collect::<Result<Vec<_>>>()?;
        pages.retain(|page| page.levels.num_levels > 0);

        let mut placed = Vec::with_capacity(pages.len());
        let first_row = self.next_row;
        for (i, page) in pages.iter().enumerate() {
            // Whether the last list goes on is known from the page after it.
            let is_open = match pages.get(i + 1) {
                Some(next) => next.levels.starts.first() != Some(&0),
                None => !is_last,
            };
            placed.push((page, self.next_row, is_open));
            self.next_row = row_after(self.next_row, page.levels.starts.len()).map_err(malformed)?;
        }
        let take_apart = |(page, row, is_open): &(&ListPage, u32, bool)| lists.parts(page, *row, *is_open);
        let parts: Vec<_> = placed.par_iter().map(take_apart).collect();

        let mut batches: Vec<RecordBatch> = Vec::with_capacity(parts.len());
        for (parts, (page, row, _)) in parts.into_iter().zip(&placed) {
            let parts = parts.map_err(|e| chunk.lost(e))?;
            match (parts.head, self.open.as_mut()) {
                (Some(head), Some(open)) => open.extend(head),
                (Some(_), None) => {
                    return Err(chunk.malformed("Parquet file begins a row group in the middle of a list"));
                }
                _ => {}
            }
            if page.levels.starts.is_empty() {
                continue;
            }
            if let Some(open) = self.open.take() {
                batches.extend(lists.joined(row - 1, open).map_err(|e| chunk.lost(e))?);
            }
            batches.extend(parts.whole);
            self.open = parts.tail;
        }
        if is_last && let Some(open) = self.open.take() {
            batches.extend(lists.joined(self.next_row - 1, open).map_err(|e| chunk.lost(e))?);
        }
        let rows = first_row..self.next_row;
        Ok(VectorWindow { num_rows: rows.len() - lists.wanted.deleted_in(&rows), batches })
    }
}
