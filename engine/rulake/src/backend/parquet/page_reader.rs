//! Reader of single pages: it always has the place of each page of a file.
//!
//! DataFusion reads these places only if a predicate can rule pages out. Without them, one row costs its whole column chunk.

use std::fmt;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use datafusion::datasource::physical_plan::parquet::{DefaultParquetFileReaderFactory, ParquetFileReaderFactory};
use datafusion::error::DataFusionError;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::FutureExt;
use futures::future::BoxFuture;
use lru::LruCache;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectMeta, ObjectStore};
use parking_lot::Mutex;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};

/// Bound on the footers that a snapshot keeps; each has some hundred kilobytes.
const FOOTERS: NonZeroUsize = NonZeroUsize::new(128).expect("128 is not zero");

/// Cache of the footers of a snapshot, with the places of their pages: those that were used last.
pub(crate) struct FooterCache(Mutex<LruCache<ObjectPath, Arc<ParquetMetaData>>>);

impl Default for FooterCache {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(FOOTERS)))
    }
}

impl FooterCache {
    /// The footer of a file, with the places of its pages.
    pub(super) async fn of(
        &self,
        store: &dyn ObjectStore,
        file: &ObjectMeta,
    ) -> Result<Arc<ParquetMetaData>, DataFusionError> {
        if let Some(known) = self.0.lock().get(&file.location) {
            return Ok(Arc::clone(known));
        }
        let reader = DFParquetMetadata::new(store, file).with_page_index_policy(Some(PageIndexPolicy::Optional));
        let footer = reader.fetch_metadata().await?;
        self.0.lock().put(file.location.clone(), Arc::clone(&footer));
        Ok(footer)
    }
}

impl fmt::Debug for FooterCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FooterCache").field("len", &self.0.lock().len()).finish()
    }
}

/// Factory of readers that know the places of pages.
#[derive(Debug)]
pub(super) struct PageReaders {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) footers: Arc<FooterCache>,
}

impl ParquetFileReaderFactory for PageReaders {
    fn create_reader(
        &self,
        partition: usize,
        file: PartitionedFile,
        metadata_size_hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> datafusion::error::Result<Box<dyn AsyncFileReader + Send>> {
        let of_bytes = DefaultParquetFileReaderFactory::new(Arc::clone(&self.store));
        let of_bytes = of_bytes.create_reader(partition, file.clone(), metadata_size_hint, metrics)?;
        let (store, footers) = (Arc::clone(&self.store), Arc::clone(&self.footers));
        Ok(Box::new(PageReader { of_bytes, store, footers, file }))
    }
}

struct PageReader {
    of_bytes: Box<dyn AsyncFileReader + Send>,
    store: Arc<dyn ObjectStore>,
    footers: Arc<FooterCache>,
    file: PartitionedFile,
}

impl AsyncFileReader for PageReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes>> {
        self.of_bytes.get_bytes(range)
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, Result<Vec<Bytes>>> {
        self.of_bytes.get_byte_ranges(ranges)
    }

    /// The footer with the places of pages; the options are ignored.
    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>>> {
        async move {
            let footer = self.footers.of(self.store.as_ref(), &self.file.object_meta).await;
            footer.map_err(|e| ParquetError::External(Box::new(e)))
        }
        .boxed()
    }
}
