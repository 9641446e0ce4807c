//! `CREATE INDEX`, `DROP INDEX`, `REINDEX`, builds in the background, and what `system.indexes` says of them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use ruvector_rulake::backend::layer::{Call, Layer, Layered, Operation, Outcome};
use ruvector_rulake::{Backend, Error, ErrorKind as LakeErrorKind, LocalBackend};
use ruvector_sql::{EngineConfig, ErrorKind};
use tokio::sync::Semaphore;

use crate::support::Database;

fn config(folder: &Path) -> EngineConfig {
    EngineConfig { data_dir: Some(folder.to_owned()), ..EngineConfig::default() }
}

fn shown(batches: &[RecordBatch]) -> String {
    pretty_format_batches(batches).unwrap().to_string()
}

/// The answer of a query, as a table.
async fn text(database: &Database, sql: &str) -> String {
    shown(&database.query(sql).await)
}

/// State and error of an index, or nothing if there is none.
async fn state(database: &Database, name: &str) -> String {
    let sql = format!("SELECT state || coalesce(': ' || error, '') AS s FROM system.indexes WHERE name = '{name}'");
    let batches = database.query(&sql).await;
    let rows = batches.iter().flat_map(|batch| {
        use arrow::array::AsArray;
        batch.column(0).as_string::<i32>().iter().flatten().map(str::to_owned).collect::<Vec<_>>()
    });
    rows.collect::<Vec<_>>().join("; ")
}

/// Waits until an index is in a state.
async fn comes_to(database: &Database, name: &str, wanted: &str) {
    let started = Instant::now();
    loop {
        let got = state(database, name).await;
        if got.starts_with(wanted) {
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "{name}: expected {wanted}, got {got:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn docs(database: &Database, rows: usize) {
    database.run("CREATE TABLE docs (id BIGINT, vec FLOAT[2])").await;
    database.run(&format!("INSERT INTO docs SELECT value, [value, value % 7] FROM generate_series(1, {rows})")).await;
}

/// The index files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rbpx") {
            found.push(path);
        }
    }
    found
}

const NEAREST: &str = "SELECT id FROM knn('docs', [5.0, 5.0], 3) ORDER BY _distance, id";

#[tokio::test(flavor = "multi_thread")]
async fn an_index_is_replaced_built_anew_and_dropped_with_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(config(folder.path())).await;
    docs(&database, 100).await;
    database.run("CREATE INDEX i ON docs USING flat (vec) WITH (metric = 'l2', seed = 7)").await;
    let [flat] = files(folder.path()).try_into().unwrap();
    assert_eq!(database.error("CREATE INDEX i ON docs (vec)").await.0, ErrorKind::AlreadyExists);
    database.run("CREATE INDEX IF NOT EXISTS i ON docs USING ivf_rabitq (vec)").await;
    assert_eq!(files(folder.path()), std::slice::from_ref(&flat), "it exists: nothing is built");

    database.run("CREATE OR REPLACE INDEX i ON docs USING rabitq_plus (vec) WITH (bits = 1, rerank_factor = 5)").await;
    let [plus] = files(folder.path()).try_into().unwrap();
    assert_ne!(flat, plus, "the file of the one before is gone");
    let expected = "\
+------+---------+------------+---------------+-------------+--------+----------------------------------------+-------+--------------+---------------+
| name | backend | collection | vector_column | kind        | metric | parameters                             | state | vectors_done | vectors_total |
+------+---------+------------+---------------+-------------+--------+----------------------------------------+-------+--------------+---------------+
| i    | main    | docs       | vec           | rabitq_plus | l2     | {\"bits\":1,\"rerank_factor\":5,\"seed\":42} | ready | 100          | 100           |
+------+---------+------------+---------------+-------------+--------+----------------------------------------+-------+--------------+---------------+";
    let columns =
        "name, backend, collection, vector_column, kind, metric, parameters, state, vectors_done, vectors_total";
    assert_eq!(text(&database, &format!("SELECT {columns} FROM system.indexes")).await, expected);
    assert_eq!(database.ids("SELECT count(*) FROM system.indexes WHERE bytes > 100 AND error IS NULL").await, [1]);

    // A change: the next search follows.
    database.run("DELETE FROM docs WHERE id = 5").await;
    assert_eq!(state(&database, "i").await, "stale");
    let nearest = database.ids(NEAREST).await;
    assert_eq!((nearest[0], state(&database, "i").await.as_str()), (4, "ready"));

    // A second build: another file of the same name, the same answers.
    for reindex in
        ["REINDEX i", "REINDEX INDEX main.i", "REINDEX TABLE docs", "REINDEX INDEX i WITH (background = true)"]
    {
        let primes = database.engine.lake().cache_stats().primes;
        database.run(reindex).await;
        let started = Instant::now();
        while database.engine.lake().cache_stats().primes == primes {
            assert!(started.elapsed() < Duration::from_secs(60), "{reindex} builds nothing");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        comes_to(&database, "i", "ready").await;
        assert_eq!(database.ids(NEAREST).await, nearest, "{reindex}");
    }
    assert_eq!(files(folder.path()), [plus]);
    assert_eq!(database.engine.lake().cached_entries().len(), 1);

    // Two that answer from one file: it stays for the other.
    database.run("CREATE INDEX other ON docs USING rabitq_plus (vec) WITH (rerank_factor = 5)").await;
    database.run("DROP INDEX i").await;
    assert_eq!(files(folder.path()).len(), 1);
    database.run("CREATE INDEX third ON docs USING flat (vec)").await;
    assert_eq!(files(folder.path()).len(), 2);
    database.run("DROP INDEX IF EXISTS nothing, other, third").await;
    assert!(files(folder.path()).is_empty() && database.engine.lake().cached_entries().is_empty());
    assert_eq!(database.ids(NEAREST).await, nearest);
    assert_eq!(files(folder.path()).len(), 0, "exact search writes nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_said_with_its_name() {
    let database = Database::temporary().await;
    docs(&database, 3).await;
    let bad = ErrorKind::InvalidInput;
    for (sql, kind, part) in [
        (
            "CREATE INDEX i ON docs USING hnsw (vec)",
            bad,
            "expected flat, rabitq, rabitq_asym, rabitq_plus or ivf_rabitq",
        ),
        ("CREATE INDEX i ON docs (vec) WITH (metric = 'l3')", bad, "l3"),
        ("CREATE INDEX i ON docs (vec) WITH (metric = 3)", bad, "option metric: expected a string, got 3"),
        (
            "CREATE INDEX i ON docs (vec) WITH (seed = -1)",
            bad,
            "option seed: expected an integer of at least 0, got -1",
        ),
        ("CREATE INDEX i ON docs (vec) WITH (seed = 1, Seed = 2)", bad, "option seed is given twice"),
        ("CREATE INDEX i ON docs (vec) WITH (bits = 2)", bad, "kind rabitq_plus have a fixed size: expected 1, got 2"),
        ("CREATE INDEX i ON docs USING ivf_rabitq (vec) WITH (bits = 8)", bad, "option bits"),
        (
            "CREATE INDEX i ON docs USING flat (vec) WITH (bits = 32)",
            bad,
            "option bits: an index of kind flat has no codes",
        ),
        ("CREATE INDEX i ON docs (vec) WITH (background = 1)", bad, "option background: expected true or false, got 1"),
        ("CREATE INDEX i ON docs (vec) WITH (m = 16)", bad, "expected one of metric, seed, rerank_factor, bits, nlist"),
        ("CREATE INDEX i ON docs (vec) WITH (16)", bad, "WITH takes name = value, got 16"),
        (
            "CREATE INDEX i ON docs (vec halfvec_l2_ops)",
            bad,
            "expected vector_l2_ops, vector_ip_ops or vector_cosine_ops",
        ),
        (
            "CREATE INDEX i ON docs (vec vector_ip_ops) WITH (metric = 'l2')",
            bad,
            "the operator class says inner_product",
        ),
        ("CREATE INDEX i ON docs (vec DESC)", ErrorKind::NotSupported, "an order of the column"),
        ("CREATE INDEX i ON docs (id, vec)", bad, "an index is over 1 column, got 2"),
        ("CREATE INDEX i ON docs (id) WITH (background = true)", bad, "\"id\" does not hold vectors"),
        ("CREATE INDEX ON docs (vec)", bad, "CREATE INDEX needs a name"),
        ("CREATE UNIQUE INDEX i ON docs (vec)", ErrorKind::NotSupported, "UNIQUE"),
        ("CREATE OR REPLACE INDEX IF NOT EXISTS i ON docs (vec)", bad, "OR REPLACE or IF NOT EXISTS, got both"),
        ("CREATE INDEX i ON nowhere (vec)", ErrorKind::NotFound, "nowhere"),
        ("DROP INDEX i", ErrorKind::NotFound, "no such index: main.i"),
        ("REINDEX i", ErrorKind::NotFound, "no such index: main.i"),
        ("REINDEX TABLE nowhere", ErrorKind::NotFound, "nowhere"),
        ("REINDEX TABLE docs WITH (seed = 1)", bad, "expected one of background, got seed"),
    ] {
        let (got, message) = database.error(sql).await;
        assert_eq!(got, kind, "{sql}: {message}");
        assert!(message.contains(part), "{sql}: {message:?} does not say {part:?}");
    }
    assert!(database.engine.declared_indexes().is_empty());
    // What pgvector's users write.
    database.run("CREATE INDEX CONCURRENTLY i ON docs USING ivf_rabitq (vec vector_cosine_ops) WITH (bits = 4)").await;
    assert_eq!(database.engine.declared_indexes()[0].spec.metric.name(), "cosine");
}

/// Blocks all readers until it is opened, or fails the first one.
#[derive(Debug)]
struct Gate {
    closed: AtomicBool,
    breaks: AtomicBool,
    waiting: AtomicU64,
    open: Semaphore,
}

impl Gate {
    fn new(closed: bool, breaks: bool) -> Arc<Self> {
        let (closed, breaks) = (AtomicBool::new(closed), AtomicBool::new(breaks));
        Arc::new(Self { closed, breaks, waiting: AtomicU64::new(0), open: Semaphore::new(0) })
    }

    /// Waits until a reader is blocked, and lets all later readers pass.
    async fn holds_one(&self) {
        let started = Instant::now();
        while self.waiting.load(Ordering::SeqCst) == 0 {
            assert!(started.elapsed() < Duration::from_secs(60), "no reader came");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.closed.store(false, Ordering::SeqCst);
    }
}

impl Layer for Gate {
    async fn around<T: Outcome>(
        &self,
        call: &Call<'_>,
        work: impl Future<Output = ruvector_rulake::Result<T>> + Send,
    ) -> ruvector_rulake::Result<T> {
        if call.operation == Operation::Scan {
            if self.breaks.swap(false, Ordering::SeqCst) {
                return Err(Error::new(LakeErrorKind::Internal, "the disk is full of ants"));
            }
            if self.closed.load(Ordering::SeqCst) {
                self.waiting.fetch_add(1, Ordering::SeqCst);
                let _ = self.open.acquire().await.unwrap();
            }
        }
        work.await
    }
}

/// A database with `cold.docs` behind a gate: 100 rows.
async fn behind(gate: &Arc<Gate>) -> Database {
    let database = Database::temporary().await;
    docs(&database, 100).await;
    let rows = database.query("SELECT * FROM docs").await;
    let cold = LocalBackend::new("cold");
    cold.put("docs", rows[0].schema(), &rows).unwrap();
    let cold: Arc<dyn Backend> = Arc::new(cold);
    database.engine.add_backend(Arc::new(Layered::new(cold, Arc::clone(gate)))).unwrap();
    database
}

const COLD: &str = "SELECT id FROM knn('cold.docs', [5.0, 5.0], 3) ORDER BY _distance, id";

#[tokio::test(flavor = "multi_thread")]
async fn searches_are_exact_while_an_index_is_built_in_the_background() {
    let gate = Gate::new(true, false);
    let database = behind(&gate).await;
    let create = "CREATE INDEX i ON cold.docs (vec) WITH (background = true)";
    database.run(create).await;
    gate.holds_one().await;
    assert_eq!(state(&database, "i").await, "building");
    let progress =
        "SELECT vectors_total FROM system.indexes WHERE vectors_done = 0 AND rows_read = 0 AND bytes IS NULL";
    assert_eq!(database.ids(progress).await, [100]);
    assert_eq!(database.error(create).await.0, ErrorKind::AlreadyExists);
    let plan = text(&database, &format!("EXPLAIN {COLD}")).await;
    assert!(plan.contains("exact (index i is being built)"), "{plan}");
    let nearest = tokio::time::timeout(Duration::from_secs(30), database.ids(COLD)).await.unwrap();

    gate.open.add_permits(1);
    comes_to(&database, "i", "ready").await;
    let plan = text(&database, &format!("EXPLAIN {COLD}")).await;
    assert!(plan.contains("index=i (rabitq_plus)"), "{plan}");
    assert_eq!(database.ids(COLD).await, nearest);
    assert_eq!(database.ids("SELECT vectors_done FROM system.indexes WHERE vectors_total = 100").await, [100]);
    assert_eq!(database.engine.lake().cache_stats().primes, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_fails_is_shown_and_fails_no_search() {
    let gate = Gate::new(false, true);
    let database = behind(&gate).await;
    database.run("CREATE INDEX i ON cold.docs (vec) WITH (background = true)").await;
    comes_to(&database, "i", "failed: the disk is full of ants").await;
    let exact = database.ids(COLD).await;
    assert_eq!(exact.len(), 3);
    let plan = text(&database, &format!("EXPLAIN {COLD}")).await;
    assert!(plan.contains("exact (index i failed)"), "{plan}");
    database.run("REINDEX cold.i").await;
    assert_eq!((state(&database, "i").await.as_str(), database.ids(COLD).await), ("ready", exact.clone()));

    // One that was built, and cannot be made any more.
    database.engine.lake().invalidate_cache("cold", "docs").unwrap();
    gate.breaks.store(true, Ordering::SeqCst);
    assert_eq!(database.ids(COLD).await, exact);
    comes_to(&database, "i", "failed: the disk is full of ants").await;
    database.run("REINDEX cold.i").await;
    assert_eq!(state(&database, "i").await, "ready");

    // Who waits is told, and nothing is declared.
    gate.breaks.store(true, Ordering::SeqCst);
    let (_, message) = database.error("CREATE INDEX j ON cold.docs USING flat (vec)").await;
    assert!(message.contains("ants"), "{message}");
    assert_eq!(state(&database, "j").await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_an_index_ends_its_build() {
    let gate = Gate::new(true, false);
    let database = behind(&gate).await;
    let builds = || database.engine.lake().builds().len();
    for end in ["DROP INDEX cold.i", "CREATE OR REPLACE INDEX i ON cold.docs USING flat (vec)"] {
        gate.closed.store(true, Ordering::SeqCst);
        gate.waiting.store(0, Ordering::SeqCst);
        database.run("CREATE INDEX i ON cold.docs (vec) WITH (background = true)").await;
        gate.holds_one().await;
        assert_eq!(builds(), 1);
        database.run(end).await;
        let started = Instant::now();
        while builds() > 0 {
            assert!(started.elapsed() < Duration::from_secs(30), "{end}: the build goes on");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(database.ids(COLD).await.len(), 3);
    }
    assert_eq!(state(&database, "i").await, "ready");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_ends_after_its_index_is_dropped_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(config(folder.path())).await;
    docs(&database, 100).await;
    database.run("CREATE INDEX i ON docs USING flat (vec)").await;
    assert_eq!(files(folder.path()).len(), 1);
    let spec = database.engine.declared_indexes()[0].spec.clone();
    let (lake, context) = (database.engine.lake(), database.session.context().task_ctx());
    let pinned = lake.pin("main", "docs", None).await.unwrap();
    database.run("DROP INDEX i").await;
    // As a search and a REINDEX that had begun earlier.
    lake.entry(&pinned, &spec, &context).await.unwrap();
    lake.rebuild_entry(&pinned, &spec, &context).await.unwrap();
    assert!(files(folder.path()).is_empty());
    lake.invalidate_cache("main", "docs").unwrap();
    database.run("CREATE INDEX i ON docs USING flat (vec)").await;
    assert_eq!(files(folder.path()).len(), 1);
    database.run("REINDEX i WITH (background = true)").await;
    database.run("DROP INDEX i").await;
    assert!(files(folder.path()).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_was_cut_short_begins_again_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = folder.path().join("_ruvector/indexes.json");
    let nearest = {
        let database = Database::open(config(folder.path())).await;
        docs(&database, 20_000).await;
        database.run("CREATE INDEX i ON docs USING ivf_rabitq (vec) WITH (background = true)").await;
        let kept = std::fs::read_to_string(&catalog).unwrap();
        assert!(kept.contains("\"name\": \"i\""), "declared before it is built: {kept}");
        database.ids(NEAREST).await
        // The engine goes while it builds, or at whatever moment that is.
    };
    // The state that a process leaves that is killed during the build.
    let kept = std::fs::read_to_string(&catalog).unwrap();
    std::fs::write(&catalog, kept.replace("\"built\": true", "\"built\": false")).unwrap();
    files(folder.path()).iter().for_each(|file| std::fs::remove_file(file).unwrap());
    {
        let database = Database::open(config(folder.path())).await;
        assert_eq!(database.ids(NEAREST).await, nearest);
        comes_to(&database, "i", "ready").await;
        assert_eq!(database.ids(NEAREST).await, nearest);
        assert_eq!(files(folder.path()).len(), 1);
    }
    assert!(std::fs::read_to_string(&catalog).unwrap().contains("\"built\": true"));
    let database = Database::open(config(folder.path())).await;
    assert_eq!(state(&database, "i").await, "cold");
    assert_eq!(database.ids(NEAREST).await, nearest);
    assert_eq!(state(&database, "i").await, "ready");
    let stats = database.engine.lake().cache_stats();
    assert_eq!((stats.loads, stats.primes), (1, 0), "read from its file");
    database.run("DROP TABLE docs").await;
    assert_eq!(state(&database, "i").await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_whose_file_is_cut_short_under_it_is_built_again() {
    let folder = tempfile::tempdir().unwrap();
    let nearest = {
        let database = Database::open(config(folder.path())).await;
        docs(&database, 20_000).await;
        database.run("CREATE INDEX i ON docs USING flat (vec)").await;
        database.ids(NEAREST).await
    };
    let database = Database::open(config(folder.path())).await;
    let made = || {
        let stats = database.engine.lake().cache_stats();
        (stats.loads, stats.primes)
    };
    assert_eq!((database.ids(NEAREST).await, made()), (nearest.clone(), (1, 0)), "read from its file");
    let [file] = files(folder.path()).try_into().unwrap();
    let len = file.metadata().unwrap().len();
    std::fs::File::options().write(true).open(&file).unwrap().set_len(512).unwrap();
    for _ in 0..3 {
        assert_eq!(database.ids(NEAREST).await, nearest);
    }
    assert_eq!(made(), (1, 1), "built again");
    assert_eq!(file.metadata().unwrap().len(), len);
}

/// The folder that the process of a test is to build in until it is killed.
const CHILD: &str = "RUVECTOR_TEST_BUILD_IN";

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_killed_while_it_builds_leaves_nothing_wrong() {
    const WIDE: usize = 24;
    if let Ok(folder) = std::env::var(CHILD) {
        let database = Database::open(config(Path::new(&folder))).await;
        let coordinates = (1..=WIDE).map(|i| format!("sin(value * {i})")).collect::<Vec<_>>().join(", ");
        database.run(&format!("CREATE TABLE docs (id BIGINT, vec FLOAT[{WIDE}])")).await;
        let insert = format!("INSERT INTO docs SELECT value, [{coordinates}] FROM generate_series(1, 40000)");
        database.run(&insert).await;
        database.run("CREATE INDEX i ON docs USING ivf_rabitq (vec) WITH (background = true)").await;
        std::fs::write(Path::new(&folder).join("declared.txt"), "").unwrap();
        tokio::time::sleep(Duration::from_secs(600)).await;
        unreachable!("it is killed");
    }
    let folder = tempfile::tempdir().unwrap();
    let name = "indexes::a_process_that_is_killed_while_it_builds_leaves_nothing_wrong";
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name])
        .env(CHILD, folder.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let started = Instant::now();
    while !folder.path().join("declared.txt").exists() {
        assert!(started.elapsed() < Duration::from_secs(120) && child.try_wait().unwrap().is_none());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let database = Database::open(config(folder.path())).await;
    let search =
        |exact| format!("SELECT id FROM knn('docs', (SELECT vec FROM docs WHERE id = 77), 1, exact => {exact})");
    assert_eq!(database.ids(&search(false)).await, [77]);
    let started = Instant::now();
    // It was killed before the end, or after it.
    while !["ready", "cold"].contains(&state(&database, "i").await.as_str()) {
        assert!(started.elapsed() < Duration::from_secs(120), "{}", state(&database, "i").await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!((database.ids(&search(false)).await, database.ids(&search(true)).await), (vec![77], vec![77]));
    assert_eq!(state(&database, "i").await, "ready");
    assert_eq!(database.ids("SELECT vectors_done FROM system.indexes").await, [40_000]);
}
