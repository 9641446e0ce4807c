//! Requests to an object store: each costs time and money.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use arrow::array::{AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
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
use ruvector_rulake::{Backend, DeltaBackend, ErrorKind, ObjectStoreBackend, RowAddress};

use crate::support::{Random, context, random_rows, rows, stream};

/// Counts the requests that bring data; listings are not counted, nor is what is said of one object.
#[derive(Debug, Default)]
struct Counting {
    store: InMemory,
    reads: AtomicUsize,
    bytes: AtomicU64,
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
        self.bytes.fetch_add(ranges.iter().map(|range| range.end - range.start).sum(), Ordering::Relaxed);
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

/// `id`, `tag` of few values, `body` of many, `vec`.
fn texts(num_rows: usize) -> RecordBatch {
    let mut random = Random::new(11);
    let with_vectors = random_rows(&mut random, 0..num_rows as i64);
    // Texts that no compression makes small.
    let mut letters = Random::new(12);
    let mut text =
        || -> String { (0..100).map(|_| char::from(b'!' + u8::try_from(letters.below(90)).unwrap())).collect() };
    let body = StringArray::from_iter_values((0..num_rows).map(|_| text()));
    let tag = StringArray::from_iter_values((0..num_rows).map(|row| format!("tag {}", row % 7)));
    let ids = Int64Array::from_iter_values(0..num_rows as i64);
    let vec = with_vectors.schema().field_with_name("vec").unwrap().clone();
    let fields = vec![
        Field::new("id", DataType::Int64, true),
        Field::new("tag", DataType::Utf8, true),
        Field::new("body", DataType::Utf8, true),
        vec,
    ];
    let vectors = Arc::clone(with_vectors.column_by_name("vec").unwrap());
    let columns: Vec<arrow::array::ArrayRef> = vec![Arc::new(ids), Arc::new(tag), Arc::new(body), vectors];
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

/// Rows that are taken cost a page each of every column that is asked for, of files that are written here.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_costs_a_page_of_each_column() {
    const ROWS: usize = 50_000;
    let folder = tempfile::tempdir().unwrap();
    let batch = texts(ROWS);
    let delta = DeltaBackend::open("main", folder.path()).unwrap();
    delta.create_with("docs", batch.schema(), stream(batch.clone())).await.unwrap();
    let store = Arc::new(Counting::default());
    let mut file_bytes = 0;
    for file in std::fs::read_dir(folder.path().join("docs")).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "parquet") {
            file_bytes = std::fs::metadata(&path).unwrap().len();
            let name = Path::from(format!("lake/docs/{}", path.file_name().unwrap().to_str().unwrap()));
            store.store.put(&name, std::fs::read(&path).unwrap().into()).await.unwrap();
        }
    }
    let backend = ObjectStoreBackend::new("lake", Arc::clone(&store) as _, "s3://bucket/lake".parse().unwrap(), "lake");
    let snapshot = backend.snapshot("docs").await.unwrap();
    let asked: Vec<RowAddress> = [77, 1_000, 1_001, 9_999, 20_000, 31_111, 31_112, 40_404, 49_998, 49_999]
        .map(|row| RowAddress::new(0, row))
        .to_vec();
    let expected = |column: &str| -> Vec<String> {
        let values = batch.column_by_name(column).unwrap().as_string::<i32>();
        asked.iter().map(|address| values.value(address.row() as usize).to_owned()).collect()
    };
    snapshot.take(&context(), &asked[..1], &[0]).await.unwrap();
    for (columns, names) in [(vec![2], vec!["body"]), (vec![1, 2], vec!["tag", "body"]), (vec![0, 1, 2, 3], vec![])] {
        store.reads();
        store.bytes.store(0, Ordering::Relaxed);
        let taken = snapshot.take(&context(), &asked, &columns).await.unwrap();
        for (position, name) in names.iter().enumerate() {
            let values = taken.column(position).as_string::<i32>();
            let got: Vec<String> = values.iter().map(|value| value.unwrap().to_owned()).collect();
            assert_eq!(got, expected(name));
        }
        // One dictionary for each column that has one.
        let most = (asked.len() + 1) * columns.len();
        let (reads, bytes) = (store.reads(), store.bytes.load(Ordering::Relaxed));
        assert!(reads <= most, "{columns:?}: {reads} pages, expected at most {most}");
        assert!(bytes < file_bytes / 4, "{columns:?}: {bytes} of {file_bytes} bytes in {reads} pages");
    }
}
