//! Pages of a column chunk: pieces of a file go in; the ranges of whole pages, and decompressed pages, come out.
//!
//! A page is found by the header of the one before, whether or not the file has an index of its pages: many writers make
//! none. Headers are read, and pages decompressed, by the reader of the Parquet library.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::buf::Reader;
use bytes::{Buf, Bytes};
use parking_lot::Mutex;
use parquet::column::page::{Page, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::page_index::offset_index::PageLocation;
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::serialized_reader::SerializedPageReader;

/// A range of bytes of a file.
#[derive(Clone, Debug, Default)]
pub(super) struct Piece {
    pub(super) start: u64,
    pub(super) bytes: Bytes,
}

impl Piece {
    pub(super) fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    fn from(&self, start: u64) -> Result<Bytes> {
        let at = start.checked_sub(self.start).and_then(|at| usize::try_from(at).ok());
        let bytes = at.filter(|at| *at < self.bytes.len()).map(|at| self.bytes.slice(at..));
        bytes.ok_or_else(|| ParquetError::EOF(format!("byte {start} is not in what was read")))
    }
}

impl Length for Piece {
    fn len(&self) -> u64 {
        self.end()
    }
}

impl ChunkReader for Piece {
    type T = Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        Ok(self.from(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let bytes = self.from(start)?;
        match length <= bytes.len() {
            true => Ok(bytes.slice(..length)),
            false => Err(ParquetError::EOF(format!("expected {length} bytes, got {}", bytes.len()))),
        }
    }
}

/// The piece that a walk reads, and the place where it looked for the last header.
#[derive(Debug, Default)]
struct Asked {
    piece: Mutex<Piece>,
    at: AtomicU64,
}

impl Length for Asked {
    fn len(&self) -> u64 {
        self.piece.lock().end()
    }
}

impl ChunkReader for Asked {
    type T = Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        self.at.store(start, Ordering::Relaxed);
        self.piece.lock().get_read(start)
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        self.piece.lock().get_bytes(start, length)
    }
}

/// Walk over the headers of the pages of a chunk.
pub(super) struct Walk {
    asked: Arc<Asked>,
    reader: SerializedPageReader<Asked>,
    chunk: Range<u64>,
    /// The page whose header was read, and whose end is not yet known to be in a piece.
    begun: Option<u64>,
    largest: u64,
}

/// The pages that are whole in a piece, and the place of the next read; `None` at the end of the chunk.
#[derive(Debug, PartialEq)]
pub(super) struct WholePages {
    pub(super) pages: Vec<Range<u64>>,
    pub(super) next: Option<u64>,
}

impl Walk {
    pub(super) fn new(chunk: &ColumnChunkMetaData, num_rows: usize) -> Result<Self> {
        let asked = Arc::new(Asked::default());
        let reader = SerializedPageReader::new(Arc::clone(&asked), chunk, num_rows, None)?;
        let (start, len) = chunk.byte_range();
        Ok(Self { asked, reader, chunk: start..start + len, begun: None, largest: 0 })
    }

    /// The largest page so far, in bytes of the file.
    pub(super) fn largest(&self) -> u64 {
        self.largest
    }

    /// Finds the pages of a piece that begins where the last one says.
    pub(super) fn pages(&mut self, piece: Piece) -> Result<WholePages> {
        let (start, end) = (piece.start, piece.end());
        *self.asked.piece.lock() = piece;
        let mut pages = Vec::new();
        let next = loop {
            let skipped = self.reader.skip_next_page();
            let at = self.asked.at.load(Ordering::Relaxed);
            if let Some(begun) = self.begun {
                self.largest = self.largest.max(at - begun);
                if at > end {
                    break Some(begun);
                }
                pages.push(begun..at);
                self.begun = None;
            }
            match skipped {
                Ok(()) => self.begun = Some(at),
                Err(_) if at == self.chunk.end => break None,
                // Its header may be in this piece in part.
                Err(_) if at > start && end < self.chunk.end => break Some(at),
                Err(e) => return Err(e),
            }
        };
        *self.asked.piece.lock() = Piece::default();
        Ok(WholePages { pages, next })
    }
}

/// Decompresses a page.
pub(super) fn page(piece: &Piece, chunk: &ColumnChunkMetaData, at: &Range<u64>) -> Result<Page> {
    let too_large = |_| ParquetError::General("a page is too large".to_owned());
    let location = PageLocation {
        offset: i64::try_from(at.start).map_err(too_large)?,
        compressed_page_size: i32::try_from(at.end - at.start).map_err(too_large)?,
        first_row_index: 0,
    };
    let mut reader = SerializedPageReader::new(Arc::new(piece.clone()), chunk, 0, Some(vec![location]))?;
    if at.start != chunk.byte_range().0 {
        // The reader takes the bytes before its first page for a dictionary.
        reader.skip_next_page()?;
    }
    reader.get_next_page()?.ok_or_else(|| ParquetError::EOF(io::ErrorKind::UnexpectedEof.to_string()))
}
