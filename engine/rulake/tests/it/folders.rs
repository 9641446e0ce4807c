//! Folders of Parquet files: what is a collection, what its columns are, and which bytes an answer is from.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, ListArray, RecordBatch, StringArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Float32Type, Int64Type};
use datafusion::physical_plan::collect;
use parquet::arrow::ArrowWriter;
use ruvector_rabitq::SearchParams;
use ruvector_rulake::{
    Backend, ErrorKind, FsBackend, IndexSpec, ObjectStoreBackend, RowAddress, RuLake, ScanRequest, Snapshot, exact,
};

use crate::support::{DIM, context, ids, lake_over, rows, vector, vectors, write_parquet};

async fn read(snapshot: &Arc<dyn Snapshot>) -> RecordBatch {
    let plan = snapshot.scan(&context(), &ScanRequest::default()).await.unwrap();
    let schema = plan.schema();
    concat_batches(&schema, &collect(plan, context()).await.unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_and_files_are_collections() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_parquet(&root.join("docs/b.parquet"), &rows(&[3, 4]));
    write_parquet(&root.join("docs/a.parquet"), &rows(&[1, 2]));
    write_parquet(&root.join("docs/deep/er/c.parquet"), &rows(&[5]));
    write_parquet(&root.join("docs/_hidden/d.parquet"), &rows(&[6]));
    write_parquet(&root.join("docs/.e.parquet"), &rows(&[7]));
    std::fs::write(root.join("docs/readme.txt"), "no table").unwrap();
    write_parquet(&root.join("single.parquet"), &rows(&[8]));
    write_parquet(&root.join("_not/one.parquet"), &rows(&[9]));
    let backend = FsBackend::open("lake", root).unwrap();
    assert_eq!(backend.list().await.unwrap(), ["docs", "single"]);

    let docs = backend.snapshot("docs").await.unwrap();
    assert_eq!(docs.num_rows(), Some(5));
    let mut found = ids(&read(&docs).await);
    found.sort_unstable();
    assert_eq!(found, [1, 2, 3, 4, 5]);
    let single = backend.snapshot("single").await.unwrap();
    assert_eq!(ids(&read(&single).await), [8]);

    // Files count in the order of their names; rows come in the order they are asked for.
    let asked = [RowAddress::new(1, 1), RowAddress::new(0, 0), RowAddress::new(2, 0)];
    let taken = docs.take(&context(), &asked, &[0, 1]).await.unwrap();
    assert_eq!(ids(&taken), [4, 1, 5]);
    assert_eq!(vectors(taken.column(1)), [vector(4), vector(1), vector(5)].map(Vec::from));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_answers_as_an_exact_search_and_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    for part in 0..4 {
        let part_ids: Vec<i64> = (100 * part..100 * (part + 1)).collect();
        write_parquet(&folder.path().join(format!("docs/{part}.parquet")), &rows(&part_ids));
    }
    let backend = Arc::new(FsBackend::open("lake", folder.path()).unwrap());
    let (lake, spec) = (lake_over(&backend), IndexSpec::new("vec"));
    let search = async |lake: &RuLake| {
        let pinned = lake.pin("lake", "docs", None).await.unwrap();
        let entry = lake.entry(&pinned, &spec, &context()).await.unwrap();
        let hits = entry.search(&vector(250), &SearchParams::new(5)).unwrap();
        let snapshot = pinned.snapshot().as_ref();
        let exact = exact::search(snapshot, "vec", spec.metric, &vector(250), 5, None, &context()).await.unwrap();
        assert_eq!(hits, exact);
        hits[0].id
    };
    let snapshot = backend.snapshot("docs").await.unwrap();
    assert_eq!(search(&lake).await, u64::from(RowAddress::new(2, 50)));
    let restarted = lake_over(&backend);
    assert_eq!(search(&restarted).await, u64::from(RowAddress::new(2, 50)));
    assert_eq!(restarted.cache_stats().loads, 1);

    // The folder of index files is no collection, and does not change the state of one.
    assert_eq!(backend.list().await.unwrap(), ["docs"]);
    assert_eq!(backend.snapshot("docs").await.unwrap().generation(), snapshot.generation());

    write_parquet(&folder.path().join("docs/00.parquet"), &rows(&[250]));
    let newer = backend.snapshot("docs").await.unwrap();
    assert_ne!(newer.generation(), snapshot.generation());
    search(&lake).await;
    let stats = lake.cache_stats();
    assert_eq!((stats.primes, stats.follows), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_replaced_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("docs/a.parquet");
    write_parquet(&file, &rows(&[1, 2, 3]));
    let backend = Arc::new(FsBackend::open("lake", folder.path()).unwrap());
    let lake = lake_over(&backend);
    let pinned = lake.pin("lake", "docs", None).await.unwrap();
    let snapshot = pinned.snapshot();
    snapshot.verify().await.unwrap();
    write_parquet(&file, &rows(&[4, 5, 6]));
    for error in [
        snapshot.verify().await.unwrap_err(),
        snapshot.take(&context(), &[RowAddress::new(0, 0)], &[0]).await.unwrap_err(),
        snapshot.scan(&context(), &ScanRequest::default()).await.unwrap_err(),
        lake.entry(&pinned, &IndexSpec::new("vec"), &context()).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::GenerationGone);
        assert!(error.to_string().contains("docs/a.parquet"), "{error}");
    }
    assert_eq!(ids(&read(&backend.snapshot("docs").await.unwrap()).await), [4, 5, 6]);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(backend.snapshot("docs").await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(backend.list().await.unwrap(), ["docs"], "the folder is there");
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_of_values_are_columns() {
    let folder = tempfile::tempdir().unwrap();
    write_parquet(&folder.path().join("docs/lang=en/year=2024/a.parquet"), &rows(&[1]));
    write_parquet(&folder.path().join("docs/lang=de/year=2025/a.parquet"), &rows(&[2]));
    let backend = FsBackend::open("lake", folder.path()).unwrap();
    let docs = backend.snapshot("docs").await.unwrap();
    let names: Vec<_> = docs.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["id", "vec", "lang", "year"]);
    let taken = docs.take(&context(), &[RowAddress::new(1, 0), RowAddress::new(0, 0)], &[0, 2, 3]).await.unwrap();
    assert_eq!(ids(&taken), [1, 2]);
    let lang: Vec<_> = taken.column(1).as_string::<i32>().iter().flatten().collect();
    assert_eq!(lang, ["en", "de"]);

    write_parquet(&folder.path().join("docs/lang=fr/b.parquet"), &rows(&[3]));
    let error = backend.snapshot("docs").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("lang=fr/b.parquet"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_may_lack_columns_but_not_differ_in_them() {
    let folder = tempfile::tempdir().unwrap();
    let title: ArrayRef = Arc::new(StringArray::from(vec!["two"]));
    let wide = {
        let narrow = rows(&[2]);
        let mut fields: Vec<_> = narrow.schema().fields().iter().cloned().collect();
        fields.push(Arc::new(Field::new("title", DataType::Utf8, false)));
        let columns = narrow.columns().iter().cloned().chain([title]).collect();
        RecordBatch::try_new(Arc::new(arrow::datatypes::Schema::new(fields)), columns).unwrap()
    };
    write_parquet(&folder.path().join("docs/a.parquet"), &rows(&[1]));
    write_parquet(&folder.path().join("docs/b.parquet"), &wide);
    let backend = FsBackend::open("lake", folder.path()).unwrap();
    let docs = backend.snapshot("docs").await.unwrap();
    let all = [RowAddress::new(0, 0), RowAddress::new(1, 0)];
    let taken = docs.take(&context(), &all, &[0, 2]).await.unwrap();
    let titles: Vec<_> = taken.column(1).as_string::<i32>().iter().collect();
    assert_eq!(titles, [None, Some("two")]);

    let other: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
    let other = RecordBatch::try_from_iter([("id", other)]).unwrap();
    write_parquet(&folder.path().join("docs/c.parquet"), &other);
    let error = backend.snapshot("docs").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let message = error.to_string();
    assert!(["docs/c.parquet", "id", "Int64", "Utf8"].iter().all(|part| message.contains(part)), "{message}");
}

/// Programs that know no fixed-size lists write lists.
#[tokio::test(flavor = "multi_thread")]
async fn lists_of_one_length_are_vectors() {
    let lists = |lists: Vec<Option<Vec<f32>>>| -> ArrayRef {
        let values = lists.into_iter().map(|list| list.map(|list| list.into_iter().map(Some).collect::<Vec<_>>()));
        Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(values))
    };
    let numbers = |len: i64| -> ArrayRef { Arc::new(Int64Array::from_iter_values(0..len)) };
    let folder = tempfile::tempdir().unwrap();
    let even = lists(vec![None, Some(vector(1).to_vec()), Some(vector(2).to_vec())]);
    write_parquet(
        &folder.path().join("docs/a.parquet"),
        &RecordBatch::try_from_iter([("id", numbers(3)), ("vec", even)]).unwrap(),
    );
    let uneven = lists(vec![Some(vec![1.0]), Some(vec![1.0, 2.0])]);
    write_parquet(
        &folder.path().join("tags/a.parquet"),
        &RecordBatch::try_from_iter([("id", numbers(2)), ("vec", uneven)]).unwrap(),
    );
    let backend = Arc::new(FsBackend::open("lake", folder.path()).unwrap());
    let lake = lake_over(&backend);
    let docs = backend.snapshot("docs").await.unwrap();
    assert_eq!(ruvector_rulake::vector_column::dim_of(docs.schema().field(1).data_type()), Some(DIM));
    let pinned = lake.pin("lake", "docs", None).await.unwrap();
    let entry = lake.entry(&pinned, &IndexSpec::new("vec"), &context()).await.unwrap();
    assert_eq!(entry.index().len(), 2, "a NULL vector is no answer");
    let tags = backend.snapshot("tags").await.unwrap();
    assert!(matches!(tags.schema().field(1).data_type(), DataType::List(_)));

    // Another length behind the rows that said the dimension.
    let late = lists(vec![Some(vec![1.0; DIM + 1])]);
    write_parquet(
        &folder.path().join("docs/b.parquet"),
        &RecordBatch::try_from_iter([("id", numbers(1)), ("vec", late)]).unwrap(),
    );
    let pinned = lake.pin("lake", "docs", None).await.unwrap();
    let error = lake.entry(&pinned, &IndexSpec::new("vec"), &context()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("b.parquet") && error.to_string().contains("row 0"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_collection_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    write_parquet(&outside.path().join("secret/a.parquet"), &rows(&[1]));
    write_parquet(&folder.path().join("delta/a.parquet"), &rows(&[1]));
    std::fs::create_dir_all(folder.path().join("delta/_delta_log")).unwrap();
    std::fs::write(folder.path().join("delta/_delta_log/00000000000000000000.json"), "{}").unwrap();
    std::fs::create_dir_all(folder.path().join("broken")).unwrap();
    std::fs::write(folder.path().join("broken/a.parquet"), "no Parquet").unwrap();
    let backend = FsBackend::open("lake", folder.path()).unwrap();
    let secret = outside.path().join("secret").display().to_string();
    for name in [
        "",
        ".",
        "..",
        "../secret",
        "..\\secret",
        "a/../../secret",
        "/etc",
        &secret,
        "a/b",
        "a\0b",
        "%2e%2e",
        "~",
        ".hidden",
        "_index",
        "a\n",
        "C:\\x",
        "file:///etc",
    ] {
        assert_eq!(backend.snapshot(name).await.unwrap_err().kind(), ErrorKind::InvalidInput, "{name:?}");
    }
    assert_eq!(backend.snapshot("none").await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(backend.snapshot("delta").await.unwrap_err().kind(), ErrorKind::NotSupported);
    let error = backend.snapshot("broken").await.unwrap_err();
    assert!(error.to_string().contains("broken/a.parquet"), "{error}");
    let missing = FsBackend::open("lake", &folder.path().join("nowhere")).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::InvalidInput);
}

/// The same below a prefix of any object store.
#[tokio::test(flavor = "multi_thread")]
async fn an_object_store_is_read_below_its_prefix() {
    use object_store::memory::InMemory;
    use object_store::path::Path as ObjectPath;
    use object_store::{ObjectStoreExt, PutPayload};
    let store = Arc::new(InMemory::new());
    let bytes = |batch: &RecordBatch| {
        let mut bytes = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
        writer.write(batch).unwrap();
        writer.close().unwrap();
        PutPayload::from(bytes)
    };
    let put = async |path: &str, ids: &[i64]| {
        store.put(&ObjectPath::from(path), bytes(&rows(ids))).await.unwrap();
    };
    put("team/lake/docs/a.parquet", &[1, 2]).await;
    put("team/other/b.parquet", &[3]).await;
    let url = url::Url::parse("memory://bucket/team/lake").unwrap();
    let backend = ObjectStoreBackend::new("hot", Arc::clone(&store) as _, url, "team/lake");
    assert_eq!(backend.list().await.unwrap(), ["docs"]);
    let docs = backend.snapshot("docs").await.unwrap();
    assert_eq!(docs.data_ref(), "memory://bucket/team/lake/docs");
    assert_eq!(docs.index_dir(), None);
    assert_eq!(ids(&read(&docs).await), [1, 2]);
    put("team/lake/docs/a.parquet", &[5, 6]).await;
    assert_eq!(docs.verify().await.unwrap_err().kind(), ErrorKind::GenerationGone);
    assert_eq!(ids(&read(&backend.snapshot("docs").await.unwrap()).await), [5, 6]);
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_files_and_files_without_rows() {
    let folder = tempfile::tempdir().unwrap();
    write_parquet(&folder.path().join("docs/a.parquet"), &rows(&[]));
    let backend = Arc::new(FsBackend::open("lake", folder.path()).unwrap());
    let docs = backend.snapshot("docs").await.unwrap();
    assert_eq!((docs.num_rows(), read(&docs).await.num_rows()), (Some(0), 0));
    let lake = lake_over(&backend);
    let pinned = lake.pin("lake", "docs", None).await.unwrap();
    let entry = lake.entry(&pinned, &IndexSpec::new("vec"), &context()).await.unwrap();
    assert!(entry.search(&vector(1), &SearchParams::new(3)).unwrap().is_empty());
    write_parquet(&folder.path().join("docs/b.parquet"), &rows(&[1]));
    let docs = backend.snapshot("docs").await.unwrap();
    assert_eq!(read(&docs).await.column(0).as_primitive::<Int64Type>().values(), &[1]);
    assert!(read(&docs).await.column(1).is_valid(0));
}
