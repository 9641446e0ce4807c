//! Backends made by SQL: what is accepted, what is kept, and what is shown of them.

use std::path::Path;

use arrow::array::{Array, AsArray};
use arrow::datatypes::Int64Type;
use ruvector_sql::{BackendKind, EngineConfig, ErrorKind};

use crate::support::Database;

fn config(folder: &Path) -> EngineConfig {
    EngineConfig { data_dir: Some(folder.to_owned()), ..EngineConfig::default() }
}

/// Writes a Parquet file of the rows of `sql`, by DataFusion: ruvector itself writes none.
async fn write(database: &Database, file: &Path, sql: &str) {
    let copy = format!("COPY ({sql}) TO '{}' STORED AS PARQUET", file.display());
    database.session.context().sql(&copy).await.unwrap().collect().await.unwrap();
}

async fn lake(database: &Database, folder: &Path) {
    for (name, ids) in [("docs/a", "(1), (2)"), ("docs/b", "(3)"), ("pictures", "(9)")] {
        let rows = format!("SELECT id, CAST([id, 0.0] AS FLOAT[2]) AS vec FROM (VALUES {ids}) AS t(id)");
        write(database, &folder.join(format!("{name}.parquet")), &rows).await;
    }
}

/// Name, collections and status of the backends.
async fn status(database: &Database) -> Vec<(String, Option<i64>, String)> {
    let batches = database.query("SELECT name, collections, status FROM system.backends ORDER BY name").await;
    let rows = batches.iter().flat_map(|batch| {
        let collections = batch.column(1).as_primitive::<Int64Type>();
        let text = |column: usize, row| batch.column(column).as_string::<i32>().value(row).to_owned();
        (0..batch.num_rows())
            .map(|row| (text(0, row), collections.is_valid(row).then(|| collections.value(row)), text(2, row)))
            .collect::<Vec<_>>()
    });
    rows.collect()
}

fn ok(name: &str, collections: i64) -> (String, Option<i64>, String) {
    (name.to_owned(), Some(collections), "ok".to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_parquet_files_is_a_schema_until_it_is_dropped() {
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let database = Database::open(config(data.path())).await;
    lake(&database, folder.path()).await;
    let create = format!("CREATE BACKEND Lake TYPE parquet OPTIONS (path '{}')", folder.path().display());
    database.run(&create).await;
    assert_eq!(database.ids("SELECT id FROM knn('lake.docs', [2.2, 0.0], 2)").await, [2, 3]);
    assert_eq!(status(&database).await, [ok("lake", 2), ok("main", 0)]);
    let (kind, message) = database.error(&create).await;
    assert_eq!((kind, message.as_str()), (ErrorKind::AlreadyExists, "backend lake exists already"));
    database.run(&create.replace("BACKEND", "BACKEND IF NOT EXISTS")).await;
    drop(database);

    let database = Database::open(config(data.path())).await;
    assert_eq!(database.ids("SELECT id FROM lake.docs ORDER BY id").await, [1, 2, 3]);
    let [definition] = database.engine.declared_backends().try_into().unwrap();
    assert_eq!((definition.name.as_str(), definition.kind), ("lake", BackendKind::Parquet));
    database.run("DROP BACKEND lake").await;
    assert_eq!(database.error("SELECT * FROM lake.docs").await.0, ErrorKind::NotFound);
    assert_eq!(database.error("DROP BACKEND lake").await, (ErrorKind::NotFound, "no such backend: lake".to_owned()));
    database.run("DROP BACKEND IF EXISTS lake").await;
    assert!(folder.path().join("docs/a.parquet").exists(), "what a backend shows is not its own");
    drop(database);
    assert!(Database::open(config(data.path())).await.engine.declared_backends().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn delta_tables_of_another_folder_are_a_schema() {
    let folder = tempfile::tempdir().unwrap();
    let owner = Database::open(config(folder.path())).await;
    owner.run("CREATE TABLE docs AS SELECT 1 AS id, CAST([1.0, 0.0] AS FLOAT[2]) AS vec").await;
    let database = Database::temporary().await;
    database.run(&format!("CREATE BACKEND other TYPE delta OPTIONS (path '{}')", folder.path().display())).await;
    assert_eq!(database.ids("SELECT id FROM knn('other.docs', [0.0, 0.0], 3)").await, [1]);
    owner.run("INSERT INTO docs VALUES (2, [0.0, 0.5])").await;
    assert_eq!(database.ids("SELECT id FROM knn('other.docs', [0.0, 0.0], 3)").await, [2, 1]);
    let (kind, _) = database.error("INSERT INTO other.docs VALUES (3, [0.0, 0.0])").await;
    assert_eq!(kind, ErrorKind::NotSupported);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_is_in_the_schema_of_its_table() {
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let database = Database::open(config(data.path())).await;
    lake(&database, folder.path()).await;
    let create = format!("CREATE BACKEND lake TYPE parquet OPTIONS (path '{}')", folder.path().display());
    database.run(&create).await;
    database.run("CREATE TABLE docs (id BIGINT, vec FLOAT[2])").await;
    // One name in two schemas.
    database.run("CREATE INDEX by_vec ON lake.docs USING rabitq_plus (vec)").await;
    database.run("CREATE INDEX by_vec ON docs USING flat (vec)").await;
    assert_eq!(database.ids("SELECT id FROM knn('lake.docs', [2.2, 0.0], 2)").await, [2, 3]);
    let wrong = database.error("CREATE INDEX main.other ON lake.docs (vec)").await;
    assert_eq!(wrong.0, ErrorKind::InvalidInput);
    assert!(wrong.1.contains("expected lake, got main"), "{}", wrong.1);
    assert_eq!(database.error("CREATE INDEX i ON nowhere.docs (vec)").await.0, ErrorKind::NotFound);
    database.run("DROP INDEX lake.by_vec").await;
    assert_eq!(database.error("DROP INDEX lake.by_vec").await.0, ErrorKind::NotFound);
    assert_eq!(database.engine.declared_indexes().len(), 1);
    database.run("DROP INDEX IF EXISTS nowhere.by_vec").await;

    // The indexes of a backend go with it.
    database.run("CREATE INDEX again ON lake.docs (vec)").await;
    database.run("DROP BACKEND lake").await;
    database.run(&create).await;
    assert_eq!(database.engine.declared_indexes().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_gone_does_not_stop_the_engine() {
    let (data, parent) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (folder, elsewhere) = (parent.path().join("lake"), parent.path().join("elsewhere"));
    {
        let database = Database::open(config(data.path())).await;
        lake(&database, &folder).await;
        for kind in ["parquet", "delta"] {
            let path = folder.display();
            database.run(&format!("CREATE BACKEND {kind} TYPE {kind} OPTIONS (path '{path}')")).await;
        }
    }
    std::fs::rename(&folder, &elsewhere).unwrap();
    let database = Database::open(config(data.path())).await;
    for name in ["parquet", "delta"] {
        let (kind, message) = database.error(&format!("SELECT * FROM {name}.docs")).await;
        assert_eq!(kind, ErrorKind::Unavailable, "{message}");
        for part in [name, "cannot be opened", folder.to_str().unwrap(), "No such file"] {
            assert!(message.contains(part), "{message}");
        }
    }
    let shown = status(&database).await;
    assert_eq!((shown[2].0.as_str(), shown[2].1), ("parquet", None));
    assert!(shown[2].2.contains("cannot be opened"), "{}", shown[2].2);
    assert_eq!(database.query("SELECT * FROM information_schema.tables WHERE table_schema = 'parquet'").await.len(), 0);

    std::fs::rename(&elsewhere, &folder).unwrap();
    assert_eq!(database.ids("SELECT id FROM parquet.docs ORDER BY id").await, [1, 2, 3]);
    assert_eq!(status(&database).await, [ok("delta", 0), ok("main", 0), ok("parquet", 2)]);
    database.run("DROP BACKEND delta").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_in_memory_is_filled_by_the_program_and_starts_empty() {
    let data = tempfile::tempdir().unwrap();
    {
        let database = Database::open(config(data.path())).await;
        database.run("CREATE BACKEND hot TYPE memory").await;
        database.run("CREATE TABLE docs (id BIGINT, vec FLOAT[2])").await;
        database.run("INSERT INTO docs VALUES (1, [1.0, 0.0]), (2, [0.0, 1.0])").await;
        let rows = database.query("SELECT * FROM docs").await;
        let hot = database.engine.memory_backend("hot").unwrap();
        hot.put("docs", rows[0].schema(), &rows).unwrap();
        assert_eq!(database.ids("SELECT id FROM knn('hot.docs', [0.0, 0.9], 1)").await, [2]);
        assert!(database.engine.memory_backend("main").is_none());
    }
    let database = Database::open(config(data.path())).await;
    assert_eq!(database.error("SELECT * FROM hot.docs").await.0, ErrorKind::NotFound);
    assert_eq!(status(&database).await, [ok("hot", 0), ok("main", 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_statements_say_what_is_known_and_keep_nothing() {
    let data = tempfile::tempdir().unwrap();
    let database = Database::open(config(data.path())).await;
    let file = data.path().join("file");
    std::fs::write(&file, "").unwrap();
    let on_file = format!("path '{}'", file.display());
    let bad = ErrorKind::InvalidInput;
    for (sql, kind, parts) in [
        ("b TYPE sqlite", bad, vec!["expected one of memory, parquet, delta, object_store, got sqlite"]),
        ("b TYPE parquet", bad, vec!["type parquet needs the option path"]),
        ("b TYPE delta OPTIONS (url 'x')", bad, vec!["needs the option path"]),
        ("b TYPE object_store", bad, vec!["type object_store needs the option url"]),
        (
            "b TYPE parquet OPTIONS (path '/', colour 'red')",
            bad,
            vec!["expected one of path, consistency, ttl_ms, got colour"],
        ),
        ("b TYPE memory OPTIONS (path '/')", bad, vec!["expected one of consistency, ttl_ms, got path"]),
        ("b TYPE parquet OPTIONS (path '/', PATH '/')", bad, vec!["option path is given twice"]),
        ("b TYPE parquet OPTIONS (path '/no/such/folder')", bad, vec!["/no/such/folder", "No such file"]),
        ("b TYPE delta OPTIONS (path '/no/such/folder')", bad, vec!["/no/such/folder", "No such file"]),
        ("b TYPE parquet OPTIONS ($file)", bad, vec!["it is not a folder"]),
        ("b TYPE delta OPTIONS ($file)", bad, vec!["it is not a folder"]),
        (
            "b TYPE memory OPTIONS (consistency 'soon')",
            bad,
            vec!["expected fresh, eventual, stale or frozen, got \"soon\""],
        ),
        ("b TYPE memory OPTIONS (consistency 'eventual', ttl_ms -1)", bad, vec!["ttl_ms", "at least 0", "got -1"]),
        ("b TYPE memory OPTIONS (ttl_ms 5)", bad, vec!["ttl_ms", "consistency 'eventual'", "got none"]),
        ("main TYPE memory", bad, vec!["main, information_schema, system", "got main"]),
        ("System TYPE memory", bad, vec!["got system"]),
        ("information_schema TYPE memory", bad, vec!["got information_schema"]),
        ("\"../b\" TYPE memory", bad, vec!["letters, digits", "../b"]),
        ("\"\" TYPE memory", bad, vec!["letters, digits"]),
        ("b TYPE object_store OPTIONS (url 'nowhere')", bad, vec!["URL", "got nowhere"]),
        ("b TYPE object_store OPTIONS (url 'file:///etc')", bad, vec!["s3://bucket/prefix", "got file:///etc"]),
        ("b TYPE object_store OPTIONS (url 's3://bucket/a')", bad, vec!["without credentials", "skip_signature"]),
        (
            "b TYPE object_store OPTIONS (url 's3://b', skip_signature true, endpoint 'http://127.0.0.1:9', \
             allow_http true)",
            ErrorKind::Unavailable,
            vec!["does not answer", "backend b"],
        ),
        ("b TYPE", bad, vec!["expected a kind of backend"]),
    ] {
        let sql = format!("CREATE BACKEND {}", sql.replace("$file", &on_file));
        let (got, message) = database.error(&sql).await;
        assert_eq!(got, kind, "{sql}: {message}");
        for part in parts {
            assert!(message.contains(part), "{sql}: {message:?} does not say {part:?}");
        }
    }
    for (sql, kind) in [
        ("DROP BACKEND main", ErrorKind::NotSupported),
        ("DROP BACKEND IF EXISTS system", ErrorKind::NotSupported),
        ("DROP BACKEND b", ErrorKind::NotFound),
        ("CREATE OR REPLACE BACKEND b TYPE memory", bad),
        ("EXPLAIN CREATE BACKEND b TYPE memory", bad),
    ] {
        assert_eq!(database.error(sql).await.0, kind, "{sql}");
    }
    assert!(database.engine.declared_backends().is_empty());
    assert!(!data.path().join("_ruvector/backends.json").exists());
    assert_eq!(status(&database).await, [ok("main", 0)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_kept_and_not_shown() {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("_ruvector/backends.json");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    let kept = r#"{"format_version": 1, "backends": [{"name": "lake", "kind": "object_store", "options": {
        "url": "s3://bucket/lake", "aws_access_key_id": "hush-id", "aws_secret_access_key": "hush-hush",
        "endpoint": "http://127.0.0.1:9", "allow_http": "true", "max_retries": "0"},
        "consistency": "eventual", "ttl_ms": 500}]}"#;
    std::fs::write(&file, kept).unwrap();
    let database = Database::open(config(data.path())).await;
    database.run("CREATE BACKEND hot TYPE memory OPTIONS (consistency 'FROZEN')").await;
    let written = std::fs::read_to_string(&file).unwrap();
    assert!(written.contains("hush-hush") && written.contains("\"frozen\""), "{written}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    let rows = database.query("SELECT * FROM system.backends ORDER BY name").await;
    let shown = arrow::util::pretty::pretty_format_batches(&rows).unwrap().to_string();
    let options = r#"{"allow_http":"true","aws_access_key_id":"***","aws_secret_access_key":"***","endpoint":"http://127.0.0.1:9","max_retries":"0"}"#;
    for part in ["s3://bucket/lake", options, "eventual", "500", "frozen", "backend lake"] {
        assert!(shown.contains(part), "{part} is not in\n{shown}");
    }
    let debug = format!("{:?}", database.engine.declared_backends());
    let (kind, message) = database.error("SELECT * FROM lake.docs").await;
    assert_eq!(kind, ErrorKind::Unavailable, "{message}");
    for text in [shown, debug, message] {
        assert!(!text.contains("hush"), "{text}");
    }

    drop(database);
    std::fs::write(&file, kept.replace("\"format_version\": 1", "\"format_version\": 2")).unwrap();
    for damaged in [kept.replace("\"format_version\": 1", "\"format_version\": 2"), kept.replace("500", "\"hush\"")] {
        std::fs::write(&file, damaged).unwrap();
        let error = ruvector_sql::Engine::open(config(data.path())).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.to_string().contains("backends.json") && !error.to_string().contains("hush"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_system_schema_is_read_like_any_other() {
    let database = Database::temporary().await;
    database.engine.add_backend(std::sync::Arc::new(ruvector_rulake::LocalBackend::new("hot"))).unwrap();
    let kinds = "SELECT count(*) FROM system.backends WHERE kind IN ('program', 'delta') AND status = 'ok'";
    assert_eq!(database.ids(kinds).await, [2]);
    let joined = "SELECT count(*) FROM information_schema.schemata s JOIN system.backends b ON s.schema_name = b.name";
    assert_eq!(database.ids(joined).await, [2]);
    let listed =
        "SELECT count(*) FROM information_schema.columns WHERE table_schema = 'system' AND table_name = 'backends'";
    assert_eq!(database.ids(listed).await, [8]);
    assert_eq!(database.error("SELECT * FROM system.nothing").await.0, ErrorKind::NotFound);
    let (kind, message) = database.error("DROP BACKEND hot").await;
    assert_eq!(kind, ErrorKind::NotSupported);
    assert!(message.contains("added by the program"), "{message}");
    assert_eq!(database.error("CREATE BACKEND hot TYPE memory").await.0, ErrorKind::AlreadyExists);
}
