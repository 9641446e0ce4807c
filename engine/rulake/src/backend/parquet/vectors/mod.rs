//! The vectors of Parquet files, read past Arrow's general reader of lists: equally long lists of floats need neither their
//! levels expanded nor their values copied one by one, and the pages of one file keep all cores busy.
//!
//! The steps: `leaf` finds the column, `pages` its pages, `chunk` reads them a piece at a time, `page` (`levels`, `runs`)
//! knows where lists begin, `lists` (`values`) makes batches of them. Files that hold vectors in another way than as a list
//! of floats of three levels, or in an encoding that is not known here, are left to a scan.

mod chunk;
mod cursor;
mod leaf;
mod levels;
mod lists;
mod page;
mod pages;
mod runs;
mod values;
mod wanted;

use std::collections::VecDeque;
use std::sync::Arc;

use datafusion::common::runtime::SpawnedTask;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::execution::TaskContext;
use futures::{StreamExt, TryStreamExt, stream};
use parquet::file::metadata::ParquetMetaData;
use tokio::sync::mpsc::{Receiver, channel};

use self::chunk::Chunk;
pub(super) use self::cursor::Cursor;
use self::leaf::Leaf;
use self::lists::Lists;
use self::wanted::Wanted;
use super::ParquetFiles;
use super::files::REQUESTS;
use crate::address::RowAddress;
use crate::contract::scan_vectors;
use crate::contract::{ScanRequest, Snapshot, VectorRequest, VectorStream, VectorWindow};
use crate::error::{Error, ErrorKind, Result};

/// Chunks that are read at a time, at most: the one whose lists are wanted next, and those that come after it.
const CHUNKS_MAX: usize = 8;

/// Fault of a file, in words.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Malformed(&'static str);

/// A chunk that is being read.
struct Begun {
    file: usize,
    windows: Receiver<Result<VectorWindow>>,
    /// It ends when this is dropped.
    task: SpawnedTask<()>,
}

impl ParquetFiles {
    /// The vectors that `request` asks for, in the order of their addresses but for files that are left to a scan.
    pub(super) async fn read_vectors(
        &self,
        context: &Arc<TaskContext>,
        request: &VectorRequest<'_>,
    ) -> Result<VectorStream<'_>> {
        let ordinals = request.parts.map_or_else(|| (0..self.files.len()).collect(), <[usize]>::to_vec);
        self.unchanged(ordinals.iter().copied()).await?;
        let column = self.schema.field(request.column).name();
        let footers = stream::iter(ordinals).map(|ordinal| async move { Ok((ordinal, self.footer(ordinal).await?)) });
        let mut footers = footers.buffered(REQUESTS);
        let (mut chunks, mut others) = (Vec::new(), Vec::new());
        while let Some((ordinal, footer)) = footers.try_next().await? {
            let in_path = self.partition_columns.contains(column);
            match Leaf::find(&footer, column).filter(|_| !in_path) {
                Some(leaf) => self.chunks(ordinal, &footer, leaf, request, &mut chunks).await?,
                None => others.push(ordinal),
            }
        }
        let begun_max = context.session_config().target_partitions().clamp(1, CHUNKS_MAX);
        let read = self.read_chunks(chunks, begun_max);
        if others.is_empty() {
            return Ok(read);
        }
        let scan = self.scan(context, &ScanRequest { parts: Some(others), ..request.scan() }).await?;
        Ok(read.chain(scan_vectors(scan, context)?).boxed())
    }

    /// Adds the chunks of a file.
    async fn chunks(
        &self,
        ordinal: usize,
        footer: &ParquetMetaData,
        leaf: Leaf,
        request: &VectorRequest<'_>,
        chunks: &mut Vec<(usize, Chunk)>,
    ) -> Result<()> {
        let file = &self.files[ordinal];
        let negative = || Error::corrupt("Parquet footer has a negative row count").with("file", &file.path);
        let (expected, got) = (self.physical_rows(ordinal).await?, footer.file_metadata().num_rows());
        if usize::try_from(got).map_err(|_| negative())? != expected {
            return Err(Error::corrupt("Parquet file has another number of rows than its table says")
                .with("file", &file.path)
                .with("expected", expected)
                .with("got", got));
        }
        let allowed = request.allowed.map(|allowed| {
            let of_file = allowed.bitmaps().find(|(file, _)| *file as usize == ordinal);
            of_file.map(|(_, rows)| rows.clone()).unwrap_or_default()
        });
        let wanted = Wanted { deleted: file.deleted.clone(), allowed };
        let lists = Arc::new(Lists::new(leaf.levels, wanted, RowAddress::base(ordinal)?));
        let mut first = 0_u32;
        for group in footer.row_groups() {
            let len = u32::try_from(group.num_rows()).map_err(|_| negative())?;
            let end = first.checked_add(len).ok_or_else(|| {
                Error::not_supported("too many rows in one file").with("file", &file.path).with("at most", u32::MAX)
            })?;
            if len > 0 {
                let chunk = Chunk {
                    store: Arc::clone(&self.store),
                    path: file.path.clone(),
                    metadata: group.column(leaf.index).clone(),
                    lists: Arc::clone(&lists),
                    rows: first..end,
                };
                chunks.push((ordinal, chunk));
            }
            first = end;
        }
        Ok(())
    }

    async fn footer(&self, ordinal: usize) -> Result<Arc<ParquetMetaData>> {
        let file = &self.files[ordinal];
        let mut described = PartitionedFile::new(String::new(), file.bytes).object_meta;
        // Set as a parsed path: `PartitionedFile::new` would encode it again.
        described.location = file.path.clone();
        let error = match self.footers.of(self.store.as_ref(), &described).await {
            Ok(footer) => return Ok(footer),
            Err(e) => self.why(&[ordinal], e).await,
        };
        match error.kind() {
            ErrorKind::Internal => {
                Err(Error::corrupt("Parquet footer cannot be read").with("file", &file.path).with("reason", error))
            }
            _ => Err(error),
        }
    }

    /// The lists of `chunks`, in their order; a few chunks are begun ahead.
    fn read_chunks(&self, chunks: Vec<(usize, Chunk)>, begun_max: usize) -> VectorStream<'_> {
        let state = (chunks.into_iter(), VecDeque::<Begun>::with_capacity(begun_max));
        let windows = stream::try_unfold(state, move |(mut chunks, mut begun)| async move {
            loop {
                while begun.len() < begun_max
                    && let Some((file, chunk)) = chunks.next()
                {
                    let (sender, windows) = channel(1);
                    begun.push_back(Begun { file, windows, task: SpawnedTask::spawn(chunk.read(sender)) });
                }
                let Some(front) = begun.front_mut() else { return Ok(None) };
                match front.windows.recv().await {
                    Some(Ok(window)) => return Ok(Some((window, (chunks, begun)))),
                    Some(Err(e)) => return Err(self.gone(&[front.file]).await.unwrap_or(e)),
                    None => {
                        if let Some(ended) = begun.pop_front() {
                            let ended = ended.task.join().await;
                            ended.map_err(|e| Error::internal("a reader stopped").with("reason", e))?;
                        }
                    }
                }
            }
        });
        windows.boxed()
    }
}
