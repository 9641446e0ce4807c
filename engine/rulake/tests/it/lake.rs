//! The lake: consistency, sharing, budgets, federation, bundles, warm restarts and sessions.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use ruvector_rabitq::{Dim, VectorBatch};
use ruvector_rulake::{
    Backend, Bundle, Consistency, DeltaBackend, Error, ErrorKind, FederatedOptions, FsBackend, LocalBackend,
    RefreshResult, Result, RuLake, SearchOptions, Snapshot,
};

use crate::support::{DIM, lake_over, rows, schema, stream, vector, write_parquet};

/// A backend that can be down, hang, or lack generations.
#[derive(Debug)]
struct Moody {
    inner: LocalBackend,
    mood: AtomicU8,
    asked: AtomicU64,
    has_generations: bool,
}

const WELL: u8 = 0;
const DOWN: u8 = 1;
const HANGING: u8 = 2;

impl Moody {
    fn new(id: &str, ids: &[i64]) -> Arc<Self> {
        let inner = LocalBackend::new(id);
        inner.put("docs", schema(), &[rows(ids)]).unwrap();
        Arc::new(Self { inner, mood: AtomicU8::new(WELL), asked: AtomicU64::new(0), has_generations: true })
    }

    fn is(&self, mood: u8) {
        self.mood.store(mood, Ordering::SeqCst);
    }

    fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Backend for Moody {
    fn id(&self) -> &str {
        self.inner.id()
    }

    async fn list(&self) -> Result<Vec<String>> {
        self.inner.list().await
    }

    async fn snapshot(&self, collection: &str) -> Result<Arc<dyn Snapshot>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        match self.mood.load(Ordering::SeqCst) {
            WELL => self.inner.snapshot(collection).await,
            DOWN => Err(Error::unavailable("backend is down")),
            _ => std::future::pending().await,
        }
    }

    fn has_generations(&self) -> bool {
        self.has_generations
    }
}

async fn ids(lake: &RuLake, backend: &str, consistency: Option<Consistency>, near: i64, k: usize) -> Result<Vec<i64>> {
    let options = SearchOptions { consistency, ..SearchOptions::default() };
    let hits = lake.search_one(backend, "docs", &vector(near), k, &options).await?;
    assert!(hits.iter().all(|hit| hit.source.backend == backend && hit.source.collection == "docs"));
    assert!(hits.is_sorted_by(|a, b| a.distance <= b.distance));
    Ok(hits.into_iter().map(|hit| hit.id).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn fresh_asks_eventual_waits_and_stale_never_asks_again() {
    let backend = Moody::new("hot", &[1, 2, 3]);
    let lake = lake_over(&backend);
    let ttl = Duration::from_millis(300);
    let (fresh, eventual, stale) = (None, Some(Consistency::Eventual(ttl)), Some(Consistency::Stale));

    assert_eq!(ids(&lake, "hot", fresh, 9, 1).await.unwrap(), [3]);
    backend.inner.append("docs", &rows(&[9])).unwrap();
    let asked = backend.asked();
    for consistency in [eventual, stale] {
        assert_eq!(ids(&lake, "hot", consistency, 9, 1).await.unwrap(), [3], "{consistency:?}");
    }
    assert_eq!(backend.asked(), asked);
    assert_eq!(ids(&lake, "hot", fresh, 9, 1).await.unwrap(), [9]);

    // Down: FRESH says so, EVENTUAL serves inside its ttl, STALE serves.
    backend.is(DOWN);
    let error = ids(&lake, "hot", fresh, 9, 1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "which is safe to retry");
    assert_eq!(ids(&lake, "hot", eventual, 9, 1).await.unwrap(), [9]);
    tokio::time::sleep(ttl * 2).await;
    assert_eq!(ids(&lake, "hot", eventual, 9, 1).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(ids(&lake, "hot", stale, 9, 1).await.unwrap(), [9]);

    // Up again, and it changed: EVENTUAL sees it after its ttl, STALE does not until it is told to.
    backend.is(WELL);
    backend.inner.append("docs", &rows(&[10])).unwrap();
    assert_eq!(ids(&lake, "hot", stale, 10, 1).await.unwrap(), [9]);
    lake.invalidate_cache("hot", "docs").unwrap();
    assert_eq!(ids(&lake, "hot", stale, 10, 1).await.unwrap(), [10]);
    assert_eq!(lake.cache_stats().invalidations, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_of_a_collection_counts_before_its_backend_and_the_lake() {
    let backend = Moody::new("hot", &[1]);
    let lake = RuLake::builder().consistency(Consistency::Stale).build();
    lake.register_backend(Arc::clone(&backend) as _).unwrap();
    let seconds = Consistency::Eventual(Duration::from_secs(1));
    assert_eq!(lake.consistency_of("hot", "docs").unwrap(), Consistency::Stale);
    lake.set_consistency("hot", None, Some(seconds)).unwrap();
    assert_eq!(lake.consistency_of("hot", "docs").unwrap(), seconds);
    lake.set_consistency("hot", Some("docs"), Some(Consistency::Fresh)).unwrap();
    assert_eq!(lake.consistency_of("hot", "docs").unwrap(), Consistency::Fresh);
    assert_eq!(lake.consistency_of("hot", "other").unwrap(), seconds);
    lake.set_consistency("hot", Some("docs"), None).unwrap();
    assert_eq!(lake.consistency_of("hot", "docs").unwrap(), seconds);
    assert_eq!(lake.set_consistency("cold", None, None).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(lake.register_backend(backend).unwrap_err().kind(), ErrorKind::AlreadyExists);
}

#[tokio::test(flavor = "multi_thread")]
async fn fresh_is_refused_where_no_generation_can_be_had() {
    let backend = Arc::into_inner(Moody::new("hot", &[1])).unwrap();
    let backend = Arc::new(Moody { has_generations: false, ..backend });
    let lake = lake_over(&backend);
    let error = ids(&lake, "hot", None, 1, 1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotSupported);
    assert!(error.to_string().contains("expected EVENTUAL or STALE"), "{error}");
    assert_eq!(backend.asked(), 0);
    assert_eq!(ids(&lake, "hot", Some(Consistency::Stale), 1, 1).await.unwrap(), [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn collections_of_equal_bytes_share_an_entry() {
    let folder = tempfile::tempdir().unwrap();
    write_parquet(&folder.path().join("docs/a.parquet"), &rows(&[1, 2, 3]));
    let lake = RuLake::new();
    for id in ["a", "b"] {
        lake.register_backend(Arc::new(FsBackend::open(id, folder.path()).unwrap())).unwrap();
    }
    assert_eq!(ids(&lake, "a", None, 2, 1).await.unwrap(), [2]);
    assert_eq!(ids(&lake, "b", None, 2, 1).await.unwrap(), [2]);
    let stats = lake.cache_stats();
    assert_eq!((stats.primes + stats.loads, stats.shared_hits), (1, 1));
    let cached = lake.cached_entries();
    assert_eq!(cached.len(), 1);
    assert_eq!(cached[0].collections.len(), 2);
    assert_eq!(lake.cache_witness_of("a", "docs"), lake.cache_witness_of("b", "docs"));
    assert_eq!(lake.cache_stats_by_backend()["b"].hits, 1);

    // It stays as long as one of them uses it.
    lake.invalidate_cache("a", "docs").unwrap();
    assert_eq!(lake.cached_entries().len(), 1);
    lake.remove_backend("b").unwrap();
    assert!(lake.cached_entries().is_empty());
    assert_eq!(ids(&lake, "b", None, 2, 1).await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_budget_evicts_what_was_not_used_for_the_longest_time() {
    let backend = LocalBackend::new("hot");
    for collection in ["a", "b", "c"] {
        backend.put(collection, schema(), &[rows(&[1, 2, 3])]).unwrap();
    }
    let backend: Arc<dyn Backend> = Arc::new(backend);
    let search = async |lake: &RuLake, collection: &str| {
        lake.search_one("hot", collection, &vector(1), 1, &SearchOptions::default()).await.unwrap();
        lake.cached_entries().into_iter().map(|cached| cached.collections[0].1.clone()).collect::<Vec<_>>()
    };
    let lake = RuLake::builder().max_cache_entries(2).build();
    lake.register_backend(Arc::clone(&backend)).unwrap();
    search(&lake, "a").await;
    search(&lake, "b").await;
    search(&lake, "a").await;
    assert_eq!(search(&lake, "c").await, ["a", "c"]);
    assert_eq!(lake.cache_stats().evictions, 1);
    // One that is kept stays, and one that is in use.
    lake.keep_in_memory("hot", "a", true);
    search(&lake, "c").await;
    assert_eq!(search(&lake, "b").await, ["a", "b"]);
    let in_use = lake.cached_entries();
    assert_eq!(search(&lake, "c").await, ["a", "b", "c"]);
    drop(in_use);
    assert_eq!(search(&lake, "b").await, ["a", "b", "c"], "a hit evicts nothing");

    let bytes = lake.cached_entries()[0].entry.memory_bytes();
    let lake = RuLake::builder().max_cache_bytes(bytes * 2).build();
    lake.register_backend(backend).unwrap();
    for collection in ["a", "b", "c"] {
        search(&lake, collection).await;
    }
    assert_eq!(lake.cached_entries().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_federated_search_is_the_search_of_the_union() {
    let (hot, cold) = (Moody::new("hot", &[1, 5, 9]), Moody::new("cold", &[2, 4, 6, 8]));
    let lake = Arc::new(lake_over(&hot));
    lake.register_backend(Arc::clone(&cold) as _).unwrap();
    lake.register_backend(Arc::new(LocalBackend::new("empty"))).unwrap();
    let search = async |options: &FederatedOptions| lake.search_federated("docs", &vector(5), 4, options).await;

    let answer = search(&FederatedOptions::default()).await.unwrap();
    let found: Vec<(&str, i64)> = answer.hits.iter().map(|hit| (&*hit.source.backend, hit.id)).collect();
    assert_eq!(found, [("hot", 5), ("cold", 4), ("cold", 6), ("cold", 2)]);
    assert!(answer.failed.is_empty(), "a backend without the collection is no failure");

    let named = |backends: &[&str]| {
        let backends = backends.iter().map(|id| (*id).to_owned()).collect();
        FederatedOptions { backends: Some(backends), ..FederatedOptions::default() }
    };
    assert_eq!(search(&named(&["hot"])).await.unwrap().hits.len(), 3);
    assert_eq!(search(&named(&["hot", "empty"])).await.unwrap_err().kind(), ErrorKind::NotFound);

    let limited = FederatedOptions { timeout: Some(Duration::from_millis(200)), ..FederatedOptions::default() };
    cold.is(HANGING);
    let error = search(&limited).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("backend cold, milliseconds at most 200"), "{error}");
    let answer = search(&FederatedOptions { partial: true, ..limited.clone() }).await.unwrap();
    assert_eq!(answer.hits.iter().map(|hit| hit.id).collect::<Vec<_>>(), [5, 1, 9]);
    assert_eq!(answer.failed.iter().map(|(backend, _)| backend.as_str()).collect::<Vec<_>>(), ["cold"]);
    hot.is(DOWN);
    let error = search(&FederatedOptions { partial: true, ..limited }).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "no collection answered");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_says_when_to_look_again() {
    let (data, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let backend = Arc::new(DeltaBackend::open("main", data.path()).unwrap());
    backend.create_with("docs", schema(), stream(rows(&[1, 2, 3]))).await.unwrap();
    let (writer, reader) = (lake_over(&backend), RuLake::builder().consistency(Consistency::Stale).build());
    reader.register_backend(Arc::clone(&backend) as _).unwrap();
    let refresh = async || reader.refresh_from_bundle_dir("main", "docs", out.path()).await;

    assert_eq!(refresh().await.unwrap(), RefreshResult::BundleMissing);
    let witness = writer.publish_bundle("main", "docs", None, out.path()).await.unwrap();
    assert_eq!(Bundle::read_from_dir(out.path()).unwrap().witness, witness);
    assert_eq!(refresh().await.unwrap(), RefreshResult::UpToDate, "nothing is cached");
    assert_eq!(ids(&reader, "main", None, 9, 1).await.unwrap(), [3]);
    assert_eq!(reader.cache_witness_of("main", "docs").unwrap(), witness);
    assert_eq!(refresh().await.unwrap(), RefreshResult::UpToDate);

    backend.append("docs", stream(rows(&[9]))).await.unwrap();
    assert_eq!(ids(&reader, "main", None, 9, 1).await.unwrap(), [3], "it is stale");
    writer.publish_bundle("main", "docs", None, out.path()).await.unwrap();
    assert_eq!(refresh().await.unwrap(), RefreshResult::Invalidated);
    assert_eq!(refresh().await.unwrap(), RefreshResult::UpToDate, "said once");
    assert_eq!(ids(&reader, "main", None, 9, 1).await.unwrap(), [9]);

    let path = out.path().join("table.rulake.json");
    let tampered = std::fs::read_to_string(&path).unwrap().replace("\"dim\": 4", "\"dim\": 5");
    std::fs::write(&path, tampered).unwrap();
    assert_eq!(refresh().await.unwrap_err().kind(), ErrorKind::WitnessMismatch);
    assert_eq!(ids(&reader, "main", None, 9, 1).await.unwrap(), [9]);
    assert_eq!(
        reader.refresh_from_bundle_dir("none", "docs", out.path()).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
}

async fn saved_cache(data: &Path, out: &Path) -> Arc<DeltaBackend> {
    let backend = Arc::new(DeltaBackend::open("main", data).unwrap());
    backend.create_with("docs", schema(), stream(rows(&[10, 20, 30]))).await.unwrap();
    let lake = lake_over(&backend);
    assert_eq!(lake.save_cache_to_dir("main", "docs", out).await.unwrap_err().kind(), ErrorKind::NotFound);
    lake.prime("main", "docs", &SearchOptions::default()).await.unwrap();
    assert_eq!(lake.save_cache_to_dir("main", "docs", out).await.unwrap().len(), 1);
    backend
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warm_lake_answers_without_its_backend() {
    let (data, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let backend = saved_cache(data.path(), out.path()).await;

    // Another backend of that id, and it is down.
    let down = Moody::new("main", &[1]);
    down.is(DOWN);
    let lake = lake_over(&down);
    assert_eq!(lake.warm_from_dir("main", "docs", out.path()).await.unwrap(), 3);
    assert_eq!(down.asked(), 0);
    assert_eq!(ids(&lake, "main", Some(Consistency::Stale), 21, 2).await.unwrap(), [20, 30]);
    assert_eq!(ids(&lake, "main", None, 21, 2).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(down.asked(), 1);

    // With the real one FRESH finds that it is of this state, and follows when it moves.
    let lake = lake_over(&backend);
    lake.warm_from_dir("main", "docs", out.path()).await.unwrap();
    assert_eq!(ids(&lake, "main", None, 21, 2).await.unwrap(), [20, 30]);
    assert_eq!(lake.cache_stats().primes + lake.cache_stats().loads, 0);
    backend.append("docs", stream(rows(&[21]))).await.unwrap();
    assert_eq!(ids(&lake, "main", None, 21, 2).await.unwrap(), [21, 20]);
    assert_eq!((lake.cache_stats().primes, lake.cache_stats().follows), (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_cannot_be_trusted_do_not_warm() {
    let (data, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let backend = saved_cache(data.path(), out.path()).await;
    let lake = lake_over(&backend);
    let warm = async |dir: &Path| lake.warm_from_dir("main", "docs", dir).await.unwrap_err().kind();
    assert_eq!(warm(data.path()).await, ErrorKind::NotFound, "no bundle");

    let file = std::fs::read_dir(out.path()).unwrap().map(|file| file.unwrap().path());
    let file = file.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "rbpx")).unwrap();
    let whole = std::fs::read(&file).unwrap();
    for at in (0..whole.len()).step_by(97) {
        let mut torn = whole.clone();
        torn[at] ^= 0x20;
        std::fs::write(&file, &torn).unwrap();
        let error = lake.warm_from_dir("main", "docs", out.path()).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::NotSupported), "byte {at}: {error}");
    }
    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    assert_eq!(warm(out.path()).await, ErrorKind::Corrupt, "cut short");
    std::fs::remove_file(&file).unwrap();
    assert_eq!(warm(out.path()).await, ErrorKind::NotFound, "no index file");
    std::fs::write(&file, &whole).unwrap();

    // An index file under the name of another state.
    let stranger = out.path().join("mine.rbpx");
    std::fs::write(&stranger, b"what the user keeps there").unwrap();
    backend.append("docs", stream(rows(&[40]))).await.unwrap();
    lake.prime("main", "docs", &SearchOptions::default()).await.unwrap();
    let other = lake.save_cache_to_dir("main", "docs", out.path()).await.unwrap().remove(0);
    assert!(!file.exists() && stranger.exists(), "the older one went, and nothing else");
    lake.invalidate_cache("main", "docs").unwrap();
    std::fs::write(other, &whole).unwrap();
    assert_eq!(warm(out.path()).await, ErrorKind::WitnessMismatch);
    // The bundle of a state without index files.
    backend.append("docs", stream(rows(&[41]))).await.unwrap();
    lake.publish_bundle("main", "docs", None, out.path()).await.unwrap();
    assert_eq!(warm(out.path()).await, ErrorKind::NotFound);
    assert!(lake.cached_entries().is_empty(), "nothing of it is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_answers_from_one_state() {
    let folder = tempfile::tempdir().unwrap();
    let backend = Arc::new(DeltaBackend::open("main", folder.path()).unwrap());
    backend.create_with("docs", schema(), stream(rows(&[1, 2, 3]))).await.unwrap();
    let lake = lake_over(&backend);
    let session = lake.session();
    let options = SearchOptions::default();
    let queries: Vec<f32> = [vector(1), vector(9)].concat();
    let queries = VectorBatch::new(Dim::new(DIM).unwrap(), &queries).unwrap();
    let first = session.search_batch("main", "docs", queries, 1, &options).await.unwrap();
    assert_eq!(first.iter().map(|hits| hits[0].id).collect::<Vec<_>>(), [1, 3]);
    backend.append("docs", stream(rows(&[9]))).await.unwrap();
    assert_eq!(session.search_one("main", "docs", &vector(9), 1, &options).await.unwrap()[0].id, 3);
    session.commit().await;
    assert_eq!(ids(&lake, "main", None, 9, 1).await.unwrap(), [9]);
    let batch = lake.search_batch("main", "docs", queries, 1, &options).await.unwrap();
    assert_eq!(batch.iter().map(|hits| hits[0].id).collect::<Vec<_>>(), [1, 9]);
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_must_be_integers() {
    let backend = Arc::new(LocalBackend::new("hot"));
    backend.put("docs", schema(), &[rows(&[1])]).unwrap();
    let lake = lake_over(&backend);
    let search = async |id_column: &str| {
        let options = SearchOptions { id_column: Some(id_column.to_owned()), ..SearchOptions::default() };
        lake.search_one("hot", "docs", &vector(1), 1, &options).await.unwrap_err()
    };
    let error = search("vec").await;
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("expected integers"), "{error}");
    assert_eq!(search("none").await.kind(), ErrorKind::NotFound);
}
