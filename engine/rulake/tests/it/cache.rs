//! Entries: built once, sealed, fresh, and equal to an exact search.

use std::path::Path;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use ruvector_rabitq::{Metric, SearchParams};
use ruvector_rulake::backend::layer::{Counting, Fault, FaultInjecting, Layered, Operation};
use ruvector_rulake::{Backend, CollectionKey, DeltaBackend, ErrorKind, IndexSpec, LocalBackend, RuLake, exact};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::support::{context, lake_over, rows, schema, stream, vector};

async fn backend_with(root: &Path, ids: &[i64]) -> Arc<DeltaBackend> {
    let backend = DeltaBackend::open("main", root).unwrap();
    backend.create_with("docs", schema(), stream(rows(ids))).await.unwrap();
    Arc::new(backend)
}

/// Hits, loads, primes, follows.
fn counts(lake: &RuLake) -> [u64; 4] {
    let stats = lake.cache_stats();
    [stats.hits, stats.loads, stats.primes, stats.follows]
}

async fn nearest(lake: &RuLake, backend: &str, spec: &IndexSpec) -> Vec<(u64, f32)> {
    let pinned = lake.pin(backend, "docs", None).await.unwrap();
    let entry = lake.entry(&pinned, spec, &context()).await.unwrap();
    let hits = entry.search(&vector(7), &SearchParams::new(3)).unwrap();
    let snapshot = pinned.snapshot().as_ref();
    let oracle = exact::search(snapshot, &spec.column, spec.metric, &vector(7), 3, None, &context()).await.unwrap();
    assert_eq!(hits, oracle);
    hits.into_iter().map(|hit| (hit.id, hit.distance)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_follows_the_table_and_is_read_back_from_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let ids: Vec<i64> = (0..100).collect();
    let backend = backend_with(folder.path(), &ids).await;
    let (lake, spec) = (lake_over(&backend), IndexSpec::new("vec"));

    assert_eq!(nearest(&lake, "main", &spec).await[0], (7, 0.0));
    nearest(&lake, "main", &spec).await;
    assert_eq!(counts(&lake), [1, 0, 1, 0]);

    backend.append("docs", stream(rows(&[7]))).await.unwrap();
    let found = nearest(&lake, "main", &spec).await;
    assert_eq!((found[0].1, found[1].1), (0.0, 0.0), "the new row is found");
    assert_eq!(counts(&lake), [1, 0, 1, 1]);

    let restarted = lake_over(&backend);
    assert_eq!(nearest(&restarted, "main", &spec).await, found);
    assert_eq!(counts(&restarted), [0, 1, 0, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_damaged_is_rebuilt_and_one_of_another_state_is_followed_from() {
    let folder = tempfile::tempdir().unwrap();
    let backend = backend_with(folder.path(), &(0..100).collect::<Vec<_>>()).await;
    let spec = IndexSpec::new("vec");
    nearest(&lake_over(&backend), "main", &spec).await;
    let snapshot = backend.snapshot("docs").await.unwrap();
    let mut files = std::fs::read_dir(snapshot.index_dir().unwrap()).unwrap();
    let file = files.next().unwrap().unwrap().path();
    assert!(files.next().is_none(), "one file per index");

    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let lake = lake_over(&backend);
    nearest(&lake, "main", &spec).await;
    assert_eq!(counts(&lake), [0, 0, 1, 0], "a truncated file");

    backend.append("docs", stream(rows(&[7]))).await.unwrap();
    std::fs::write(&file, &whole).unwrap();
    let lake = lake_over(&backend);
    nearest(&lake, "main", &spec).await;
    assert_eq!(counts(&lake), [0, 0, 0, 1], "a file of the state before");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_first_searches_prime_once() {
    let folder = tempfile::tempdir().unwrap();
    let backend = backend_with(folder.path(), &(0..100).collect::<Vec<_>>()).await;
    let lake = Arc::new(lake_over(&backend));
    let searches: Vec<_> = (0..100)
        .map(|_| {
            let lake = Arc::clone(&lake);
            tokio::spawn(async move {
                let pinned = lake.pin("main", "docs", None).await?;
                lake.entry(&pinned, &IndexSpec::new("vec"), &context()).await.map(|_| ())
            })
        })
        .collect();
    for search in searches {
        search.await.unwrap().unwrap();
    }
    assert_eq!(lake.cache_stats().primes, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn local_collections_answer_alike_and_keep_no_files() {
    let backend = Arc::new(LocalBackend::new("hot"));
    backend.put("docs", schema(), &[rows(&[1, 2, 3]), rows(&[7, 8])]).unwrap();
    backend.append("docs", &rows(&[6])).unwrap();
    let lake = lake_over(&backend);
    for metric in Metric::ALL {
        let spec = IndexSpec { metric, ..IndexSpec::new("vec") };
        nearest(&lake, "hot", &spec).await;
    }
    let spec = IndexSpec::new("vec");
    let before = nearest(&lake, "hot", &spec).await;
    backend.append("docs", &rows(&[7])).unwrap();
    assert_ne!(nearest(&lake, "hot", &spec).await, before);
    let before = backend.snapshot("docs").await.unwrap().generation().clone();
    backend.drop_collection("docs").unwrap();
    backend.put("docs", schema(), &[rows(&[9])]).unwrap();
    assert_ne!(backend.snapshot("docs").await.unwrap().generation(), &before, "made again, it is another");
    assert_eq!(backend.append("none", &rows(&[1])).unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_holds_no_vectors_is_refused() {
    let backend = Arc::new(LocalBackend::new("hot"));
    backend.put("docs", schema(), &[rows(&[1])]).unwrap();
    let lake = lake_over(&backend);
    let pinned = lake.pin("hot", "docs", None).await.unwrap();
    let error = lake.entry(&pinned, &IndexSpec::new("id"), &context()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("got Int64"), "{error}");
}

/// One that fails fails all who wait for it: they do not all try in turn.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_waits_for_a_build_that_fails_fails_with_it() {
    let local = LocalBackend::new("hot");
    local.put("docs", schema(), &[rows(&[1, 2, 3])]).unwrap();
    let down = Arc::new(AtomicBool::new(true));
    let seen = Arc::clone(&down);
    let failing = FaultInjecting::new(move |operation, number| match operation {
        Operation::Scan if seen.load(Ordering::SeqCst) => {
            // Until all are there.
            std::thread::sleep(Duration::from_millis(if number == 0 { 300 } else { 0 }));
            Fault::Fail(ErrorKind::Unavailable)
        }
        _ => Fault::Pass,
    });
    let counting = Arc::new(Counting::default());
    let failing = Layered::new(Arc::new(local), Arc::new(failing));
    let lake = Arc::new(lake_over(&Arc::new(Layered::new(Arc::new(failing), Arc::clone(&counting)))));
    let pinned = lake.pin("hot", "docs", None).await.unwrap();
    let searches: Vec<_> = (0..20)
        .map(|_| {
            let (lake, pinned) = (Arc::clone(&lake), Arc::clone(&pinned));
            tokio::spawn(async move { lake.entry(&pinned, &IndexSpec::new("vec"), &context()).await.map(drop) })
        })
        .collect();
    let mut failed = 0;
    for search in searches {
        failed += u64::from(search.await.unwrap().is_err_and(|e| e.kind() == ErrorKind::Unavailable));
    }
    assert_eq!((failed, counting.calls(Operation::Scan)), (20, 1));
    down.store(false, Ordering::SeqCst);
    assert!(lake.entry(&pinned, &IndexSpec::new("vec"), &context()).await.is_ok(), "the next one tries again");
}

/// A lake over a table, whose index files are wanted while `wanted` is true. Each write sends to `begun` and waits for `go_on`.
struct HeldWrites {
    lake: Arc<RuLake>,
    backend: Arc<DeltaBackend>,
    wanted: Arc<AtomicBool>,
    begun: mpsc::Receiver<()>,
    go_on: mpsc::Sender<()>,
}

impl HeldWrites {
    async fn over(root: &Path) -> Self {
        let backend = backend_with(root, &[1, 2, 3]).await;
        let wanted = Arc::new(AtomicBool::new(true));
        let (begin, begun) = mpsc::channel();
        let (go_on, told) = mpsc::channel();
        let (told, is_wanted) = (Mutex::new(told), Arc::clone(&wanted));
        let held = move |_: &CollectionKey, _: &IndexSpec| {
            if !is_wanted.load(Ordering::SeqCst) {
                return false;
            }
            begin.send(()).unwrap();
            told.lock().unwrap().recv().unwrap();
            true
        };
        let lake = RuLake::builder().index_files(held).build();
        lake.register_backend(Arc::clone(&backend) as _).unwrap();
        Self { lake: Arc::new(lake), backend, wanted, begun, go_on }
    }

    /// Starts to make the entry, and returns when the write of its file has begun.
    async fn begin(&self, anew: bool) -> JoinHandle<ErrorKind> {
        let lake = Arc::clone(&self.lake);
        let making = tokio::spawn(async move {
            let (pinned, spec) = (lake.pin("main", "docs", None).await.unwrap(), IndexSpec::new("vec"));
            let made = match anew {
                true => lake.rebuild_entry(&pinned, &spec, &context()).await,
                false => lake.entry(&pinned, &spec, &context()).await,
            };
            made.unwrap_err().kind()
        });
        while self.begun.try_recv().is_err() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        making
    }
}

/// The names in a folder; none if it is not there.
fn names(folder: &Path) -> Vec<std::ffi::OsString> {
    std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().file_name()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_file_that_is_discarded_while_it_is_written_is_gone() {
    for anew in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let held = HeldWrites::over(folder.path()).await;
        let (lake, spec) = (&held.lake, IndexSpec::new("vec"));
        let pinned = lake.pin("main", "docs", None).await.unwrap();
        let making = held.begin(anew).await;
        // As a DROP INDEX ends a build in the background.
        held.wanted.store(false, Ordering::SeqCst);
        lake.cancel_build("main", "docs", &spec);
        if anew {
            making.abort();
            assert!(making.await.unwrap_err().is_cancelled());
        } else {
            assert_eq!(making.await.unwrap(), ErrorKind::Cancelled);
        }
        let mut discarding = pin!(lake.discard(&pinned, &spec));
        assert!(timeout(Duration::from_millis(100), &mut discarding).await.is_err(), "the write goes on");
        held.go_on.send(()).unwrap();
        discarding.await.unwrap();
        let index_dir = pinned.snapshot().index_dir().unwrap();
        assert!(names(index_dir).is_empty(), "{:?}", names(index_dir));

        // One that asks for it later gets the entry, and no file is written.
        lake.entry(&pinned, &spec, &context()).await.unwrap();
        lake.rebuild_entry(&pinned, &spec, &context()).await.unwrap();
        assert!(names(index_dir).is_empty(), "{:?}", names(index_dir));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_file_does_not_bring_back_the_folder_of_a_dropped_table() {
    let folder = tempfile::tempdir().unwrap();
    let held = HeldWrites::over(folder.path()).await;
    let pinned = held.lake.pin("main", "docs", None).await.unwrap();
    let making = held.begin(false).await;
    DeltaBackend::drop(&held.backend, "docs").await.unwrap();
    held.wanted.store(false, Ordering::SeqCst);
    held.lake.cancel_build("main", "docs", &IndexSpec::new("vec"));
    assert_eq!(making.await.unwrap(), ErrorKind::Cancelled);
    held.go_on.send(()).unwrap();
    // It waits for the write.
    held.lake.discard(&pinned, &IndexSpec::new("vec")).await.unwrap();
    assert!(names(folder.path()).is_empty(), "{:?}", names(folder.path()));
}
