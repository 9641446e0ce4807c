//! Data files of a pinned state: their row counts, deleted rows and identities, and the check that none was replaced.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use datafusion::error::DataFusionError;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path as ObjectPath;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::RowSelection;
use roaring::RoaringBitmap;
use tokio::sync::OnceCell;

use super::ParquetFiles;
use crate::error::{Error, ErrorKind, Result, from_datafusion, from_object_store};

/// Requests to the store at a time.
pub(super) const REQUESTS: usize = 16;

/// A Parquet file of a snapshot.
#[derive(Debug)]
pub(crate) struct DataFile {
    pub(crate) path: ObjectPath,
    pub(crate) bytes: u64,
    pub(crate) partition_values: HashMap<String, Option<String>>,
    /// Physical rows as the table's log or the file's footer says, deleted ones included.
    pub(crate) logged_rows: Option<usize>,
    pub(crate) physical_rows: OnceCell<usize>,
    /// The rows that are deleted.
    pub(crate) deleted: RoaringBitmap,
    /// Metadata of the object when it was pinned, where a file may be replaced under its name.
    pub(crate) pinned: Option<ObjectMeta>,
}

impl DataFile {
    /// The file of an object that may be replaced under its name; `num_rows` are those of its footer.
    pub(crate) fn of_object(
        file: ObjectMeta,
        num_rows: usize,
        partition_values: Vec<(String, Option<String>)>,
    ) -> Self {
        Self {
            path: file.location.clone(),
            bytes: file.size,
            partition_values: partition_values.into_iter().collect(),
            logged_rows: Some(num_rows),
            physical_rows: OnceCell::new(),
            deleted: RoaringBitmap::new(),
            pinned: Some(file),
        }
    }

    /// The rows that are not deleted, if that is known without reading.
    pub(crate) fn known_rows(&self) -> Option<usize> {
        self.logged_rows.map(|rows| rows.saturating_sub(self.deleted_rows()))
    }

    /// Identity of the file's rows: unlike any other file's, and unlike this file's own after a replacement.
    pub(super) fn id(&self) -> String {
        match &self.pinned {
            None => self.path.to_string(),
            Some(meta) => file_id(meta),
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "the rows of a file are numbered in 32 bits")]
    fn deleted_rows(&self) -> usize {
        self.deleted.len() as usize
    }
}

impl ParquetFiles {
    /// Physical rows of a file: as logged, or as its footer says.
    pub(super) async fn physical_rows(&self, ordinal: usize) -> Result<usize> {
        let file = &self.files[ordinal];
        if let Some(rows) = file.logged_rows {
            return Ok(rows);
        }
        let read = || async {
            let meta = PartitionedFile::new(file.path.to_string(), file.bytes).object_meta;
            let footer = match DFParquetMetadata::new(self.store.as_ref(), &meta).fetch_metadata().await {
                Ok(footer) => footer,
                Err(e) => return Err(self.why(&[ordinal], e).await),
            };
            usize::try_from(footer.file_metadata().num_rows())
                .map_err(|_| Error::corrupt("Parquet footer has a negative row count").with("file", &file.path))
        };
        file.physical_rows.get_or_try_init(read).await.copied()
    }

    /// The number of rows, also where nothing but the footers say it.
    pub(crate) async fn count_rows(&self) -> Result<u64> {
        let mut rows = 0;
        for (ordinal, file) in self.files.iter().enumerate() {
            rows += self.physical_rows(ordinal).await?.saturating_sub(file.deleted_rows()) as u64;
        }
        Ok(rows)
    }

    /// The rows of a file that are not deleted, or `None` if all are there.
    pub(super) async fn live_rows(&self, ordinal: usize) -> Result<Option<RowSelection>> {
        let deleted = &self.files[ordinal].deleted;
        if deleted.is_empty() {
            return Ok(None);
        }
        let rows = self.physical_rows(ordinal).await?;
        Ok(Some(live_rows(deleted, rows)))
    }

    /// Checks that files are still those that were pinned.
    ///
    /// # Errors
    /// `GenerationGone` that names a file which was replaced or removed; `Unavailable` if the store does not answer.
    pub(super) async fn unchanged(&self, ordinals: impl IntoIterator<Item = usize>) -> Result<()> {
        let pinned: Vec<ObjectMeta> =
            ordinals.into_iter().filter_map(|ordinal| self.files[ordinal].pinned.clone()).collect();
        let check = |pinned| is_unchanged(Arc::clone(&self.store), pinned);
        stream::iter(pinned).map(check).buffer_unordered(REQUESTS).try_collect().await
    }

    /// Our error for one met while reading files: readers drop the cause, so the files are looked at again.
    pub(super) async fn why(&self, ordinals: &[usize], error: DataFusionError) -> Error {
        self.gone(ordinals).await.unwrap_or_else(|| from_datafusion(error))
    }

    /// The error for files that were removed or replaced; `None` if they are unchanged.
    pub(super) async fn gone(&self, ordinals: &[usize]) -> Option<Error> {
        if let Err(changed) = self.unchanged(ordinals.iter().copied()).await
            && matches!(changed.kind(), ErrorKind::GenerationGone | ErrorKind::Unavailable)
        {
            return Some(changed);
        }
        for ordinal in ordinals {
            let path = &self.files[*ordinal].path;
            if let Err(object_store::Error::NotFound { .. }) = self.store.head(path).await {
                let gone = Error::new(ErrorKind::GenerationGone, "a file of this state is not there any more");
                return Some(gone.with("file", path));
            }
        }
        None
    }
}

async fn is_unchanged(store: Arc<dyn ObjectStore>, pinned: ObjectMeta) -> Result<()> {
    let gone = |what| Err(Error::new(ErrorKind::GenerationGone, what).with("file", &pinned.location));
    match store.head(&pinned.location).await {
        Ok(now) if same_object(&now, &pinned) => Ok(()),
        Ok(_) => gone("a file of this state was replaced"),
        Err(object_store::Error::NotFound { .. }) => gone("a file of this state is not there any more"),
        Err(e) => Err(from_object_store(e)),
    }
}

/// Identity of a file's bytes: unlike any other file's, and unlike this file's own after a replacement.
pub(crate) fn file_id(file: &ObjectMeta) -> String {
    let time = file.last_modified.timestamp_nanos_opt().unwrap_or_default();
    let (tag, version) = (file.e_tag.as_deref().unwrap_or_default(), file.version.as_deref().unwrap_or_default());
    format!("{}|{}|{time}|{tag}|{version}", file.location, file.size)
}

/// Returns true if two descriptions are of the same bytes.
fn same_object(a: &ObjectMeta, b: &ObjectMeta) -> bool {
    (a.size, &a.e_tag, a.last_modified, &a.version) == (b.size, &b.e_tag, b.last_modified, &b.version)
}

/// Selection of the rows, of `rows` in all, that are not deleted.
fn live_rows(deleted: &RoaringBitmap, rows: usize) -> RowSelection {
    let mut ranges = Vec::new();
    let mut next = 0;
    for row in deleted.iter().map(|row| row as usize).take_while(|row| *row < rows) {
        ranges.push(next..row);
        next = row + 1;
    }
    ranges.push(next..rows);
    RowSelection::from_consecutive_ranges(ranges.into_iter().filter(|range| !range.is_empty()), rows)
}
