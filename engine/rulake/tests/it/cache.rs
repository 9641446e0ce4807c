//! Entries: built once, sealed, fresh, and equal to an exact search.

use std::sync::Arc;

use ruvector_rabitq::Metric;
use ruvector_rulake::cache::CacheStats;
use ruvector_rulake::{Backend, DeltaBackend, ErrorKind, IndexSpec, LocalBackend, RuLake, Snapshot, exact};

use crate::support::{context, rows, schema, stream, vector};

async fn backend_with(root: &std::path::Path, ids: &[i64]) -> DeltaBackend {
    let backend = DeltaBackend::open("main", root).unwrap();
    backend.create_with("docs", schema(), stream(rows(ids))).await.unwrap();
    backend
}

async fn nearest(lake: &RuLake, snapshot: &Arc<dyn Snapshot>, spec: &IndexSpec) -> Vec<(u64, f32)> {
    let entry = lake.entry(snapshot, spec, &context(), None).await.unwrap();
    let hits = entry.search(&vector(7), 3, None, None).unwrap();
    let oracle =
        exact::search(snapshot.as_ref(), &spec.column, spec.metric, &vector(7), 3, None, &context()).await.unwrap();
    assert_eq!(hits, oracle);
    hits.into_iter().map(|hit| (hit.id, hit.distance)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_follows_the_table_and_is_read_back_from_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let ids: Vec<i64> = (0..100).collect();
    let backend = backend_with(folder.path(), &ids).await;
    let (lake, spec) = (RuLake::new(), IndexSpec::new("vec"));

    let first = backend.snapshot("docs").await.unwrap();
    assert_eq!(nearest(&lake, &first, &spec).await[0], (7, 0.0));
    nearest(&lake, &first, &spec).await;
    assert_eq!(lake.stats(), CacheStats { hits: 1, loads: 0, primes: 1 });

    backend.append("docs", stream(rows(&[7]))).await.unwrap();
    let second = backend.snapshot("docs").await.unwrap();
    let found = nearest(&lake, &second, &spec).await;
    assert_eq!((found[0].1, found[1].1), (0.0, 0.0), "the new row is found");
    assert_eq!(lake.stats().primes, 2);

    let restarted = RuLake::new();
    assert_eq!(nearest(&restarted, &second, &spec).await, found);
    assert_eq!(restarted.stats(), CacheStats { hits: 0, loads: 1, primes: 0 });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_damaged_or_of_another_state_is_rebuilt() {
    let folder = tempfile::tempdir().unwrap();
    let backend = backend_with(folder.path(), &(0..100).collect::<Vec<_>>()).await;
    let spec = IndexSpec::new("vec");
    let snapshot = backend.snapshot("docs").await.unwrap();
    nearest(&RuLake::new(), &snapshot, &spec).await;
    let mut files = std::fs::read_dir(snapshot.index_dir().unwrap()).unwrap();
    let file = files.next().unwrap().unwrap().path();
    assert!(files.next().is_none(), "one file per index");

    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let lake = RuLake::new();
    nearest(&lake, &snapshot, &spec).await;
    assert_eq!(lake.stats(), CacheStats { hits: 0, loads: 0, primes: 1 }, "a truncated file");

    backend.append("docs", stream(rows(&[7]))).await.unwrap();
    std::fs::write(&file, &whole).unwrap();
    let lake = RuLake::new();
    nearest(&lake, &backend.snapshot("docs").await.unwrap(), &spec).await;
    assert_eq!(lake.stats(), CacheStats { hits: 0, loads: 0, primes: 1 }, "a file of the state before");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_first_searches_prime_once() {
    let folder = tempfile::tempdir().unwrap();
    let backend = backend_with(folder.path(), &(0..100).collect::<Vec<_>>()).await;
    let snapshot = backend.snapshot("docs").await.unwrap();
    let lake = Arc::new(RuLake::new());
    let searches: Vec<_> = (0..100)
        .map(|_| {
            let (lake, snapshot) = (Arc::clone(&lake), Arc::clone(&snapshot));
            tokio::spawn(
                async move { lake.entry(&snapshot, &IndexSpec::new("vec"), &context(), None).await.map(|_| ()) },
            )
        })
        .collect();
    for search in searches {
        search.await.unwrap().unwrap();
    }
    assert_eq!(lake.stats().primes, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn local_collections_answer_alike_and_keep_no_files() {
    let backend = LocalBackend::new("hot");
    backend.put("docs", schema(), &[rows(&[1, 2, 3]), rows(&[7, 8])]).unwrap();
    backend.append("docs", &rows(&[6])).unwrap();
    let lake = RuLake::new();
    for metric in Metric::ALL {
        let spec = IndexSpec { metric, ..IndexSpec::new("vec") };
        nearest(&lake, &backend.snapshot("docs").await.unwrap(), &spec).await;
    }
    let spec = IndexSpec::new("vec");
    let before = nearest(&lake, &backend.snapshot("docs").await.unwrap(), &spec).await;
    backend.append("docs", &rows(&[7])).unwrap();
    assert_ne!(nearest(&lake, &backend.snapshot("docs").await.unwrap(), &spec).await, before);
    let before = backend.snapshot("docs").await.unwrap().generation().clone();
    backend.drop("docs").unwrap();
    backend.put("docs", schema(), &[rows(&[9])]).unwrap();
    assert_ne!(backend.snapshot("docs").await.unwrap().generation(), &before, "made again, it is another");
    assert_eq!(backend.append("none", &rows(&[1])).unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_holds_no_vectors_is_refused() {
    let backend = LocalBackend::new("hot");
    backend.put("docs", schema(), &[rows(&[1])]).unwrap();
    let snapshot = backend.snapshot("docs").await.unwrap();
    let error = RuLake::new().entry(&snapshot, &IndexSpec::new("id"), &context(), None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("got Int64"), "{error}");
}
