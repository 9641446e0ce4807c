//! Vectors of a state's files: a request goes in; windows of vectors come out, file by file, with a few chunks read ahead.

use std::collections::VecDeque;
use std::sync::Arc;

use datafusion::datasource::listing::PartitionedFile;
use datafusion::execution::TaskContext;
use futures::{StreamExt, TryStreamExt, stream};
use parquet::file::metadata::ParquetMetaData;

use super::chunk::{Chunk, RunningChunk};
use super::leaf::Leaf;
use super::lists::Lists;
use super::wanted::Wanted;
use crate::address::RowAddress;
use crate::backend::parquet::ParquetFiles;
use crate::backend::parquet::files::REQUESTS;
use crate::contract::{ScanRequest, Snapshot, VectorRequest, VectorStream, scan_vectors};
use crate::error::{Error, ErrorKind, Result};

/// Chunks that are read at a time, at most: the one whose lists are wanted next, and those that come after it.
const CHUNKS_MAX: usize = 8;

impl ParquetFiles {
    /// The vectors that `request` asks for, in the order of their addresses but for files that are left to a scan.
    pub(in crate::backend::parquet) async fn read_vectors(
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
    pub(super) async fn chunks(
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
        let lists = Arc::new(Lists::new(leaf.levels, leaf.number, wanted, RowAddress::base(ordinal)?));
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

    /// The footer of a file.
    pub(super) async fn footer(&self, ordinal: usize) -> Result<Arc<ParquetMetaData>> {
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
        let state = (chunks.into_iter(), VecDeque::<RunningChunk>::with_capacity(begun_max));
        let windows = stream::try_unfold(state, move |(mut chunks, mut begun)| async move {
            loop {
                while begun.len() < begun_max
                    && let Some((file, chunk)) = chunks.next()
                {
                    begun.push_back(chunk.spawn(file));
                }
                let Some(front) = begun.front_mut() else { return Ok(None) };
                match front.windows.recv().await {
                    Some(Ok(window)) => return Ok(Some((window, (chunks, begun)))),
                    Some(Err(e)) => return Err(self.gone(&[front.file]).await.unwrap_or(e)),
                    None => {
                        if let Some(ended) = begun.pop_front() {
                            ended.join().await?;
                        }
                    }
                }
            }
        });
        windows.boxed()
    }
}
