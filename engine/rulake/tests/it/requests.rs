//! What is asked of an object store: a request is time and money.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use parquet::arrow::ArrowWriter;
use ruvector_rulake::{Backend, ErrorKind, ObjectStoreBackend};

use crate::support::rows;

/// Counts the requests that bring data; listings are not counted, nor is what is said of one object.
#[derive(Debug, Default)]
struct Counting {
    store: InMemory,
    reads: AtomicUsize,
}

impl Counting {
    async fn write(&self, path: &str, ids: &[i64]) {
        let batch = rows(ids);
        let mut bytes = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        self.store.put(&Path::from(path), bytes.into()).await.unwrap();
    }

    /// The reads since it was asked last.
    fn reads(&self) -> usize {
        self.reads.swap(0, Ordering::Relaxed)
    }
}

impl fmt::Display for Counting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a store that counts")
    }
}

#[async_trait]
impl ObjectStore for Counting {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.reads.fetch_add(usize::from(!options.head), Ordering::Relaxed);
        self.store.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[std::ops::Range<u64>]) -> Result<Vec<Bytes>> {
        self.reads.fetch_add(ranges.len(), Ordering::Relaxed);
        self.store.get_ranges(location, ranges).await
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.store.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.store.list_with_delimiter(prefix).await
    }

    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.store.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.store.put_multipart_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.store.delete_stream(locations)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.store.copy_opts(from, to, options).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_file_costs_one_footer() {
    let store = Arc::new(Counting::default());
    for file in 0..1000 {
        store.write(&format!("lake/docs/{file:04}.parquet"), &[file]).await;
    }
    let backend = ObjectStoreBackend::new("lake", Arc::clone(&store) as _, "s3://bucket/lake".parse().unwrap(), "lake");
    assert_eq!(backend.snapshot("docs").await.unwrap().num_rows(), Some(1000));
    let first = store.reads();
    assert!((1000..1010).contains(&first), "one read for each footer, a few for the dimension; got {first}");

    let unchanged = backend.snapshot("docs").await.unwrap();
    assert_eq!(store.reads(), 0);
    for (file, ids, num_rows) in [("0500a", vec![1, 2], 1002), ("0007", vec![7, 8, 9], 1004)] {
        store.write(&format!("lake/docs/{file}.parquet"), &ids).await;
        let newer = backend.snapshot("docs").await.unwrap();
        assert_eq!((newer.num_rows(), store.reads()), (Some(num_rows), 1), "{file}");
        assert_ne!(newer.generation(), unchanged.generation());
    }

    // A file that cannot be read costs its own footer again, and no other.
    store.store.put(&Path::from("lake/docs/bad.parquet"), "this is no Parquet file".into()).await.unwrap();
    let error = backend.snapshot("docs").await.unwrap_err();
    assert!(error.to_string().contains("lake/docs/bad.parquet"), "{error}");
    assert_ne!(error.kind(), ErrorKind::Unavailable, "{error}");
    store.store.delete(&Path::from("lake/docs/bad.parquet")).await.unwrap();
    store.reads();
    assert_eq!(backend.snapshot("docs").await.unwrap().num_rows(), Some(1004));
    assert_eq!(store.reads(), 0);
}
