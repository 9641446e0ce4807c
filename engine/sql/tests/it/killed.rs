//! Processes that end between two steps of a change: the next start finds the change done, or not begun, and no leftovers.

use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use arrow::array::AsArray;
use ruvector_rulake::failpoint;
use ruvector_sql::{EngineConfig, ErrorKind};

use crate::support::Database;

/// The data folder and the statement of a process that a test starts.
const FOLDER: &str = "RUVECTOR_TEST_FOLDER";
const STATEMENT: &str = "RUVECTOR_TEST_STATEMENT";

fn config(folder: &Path) -> EngineConfig {
    EngineConfig { data_dir: Some(folder.to_owned()), ..EngineConfig::default() }
}

/// This test again, in a process of its own.
fn child(test: &str, folder: &Path, sql: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test]).env(FOLDER, folder).env(STATEMENT, sql).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Runs `sql` in a process that ends itself at `step`.
fn killed(step: &str, folder: &Path, sql: &str) -> ExitStatus {
    let test = "killed::a_change_is_done_or_not_begun_whenever_its_process_ends";
    child(test, folder, sql).env(failpoint::VARIABLE, step).status().unwrap()
}

const ROW: &str = "SELECT 1::BIGINT AS id, CAST([1.0, 0.0] AS FLOAT[2]) AS vec";

/// A data folder with a table, an external table, a backend and an index table, and an index over each.
async fn fill(folder: &Path) {
    let (lake, saved, file) = (folder.join("lake"), folder.join("saved"), folder.join("e.parquet"));
    let database = Database::open(config(&lake)).await;
    database.run(&format!("CREATE TABLE there AS {ROW}")).await;
    database.run("CREATE INDEX i ON there (vec)").await;
    database.query(&format!("SELECT * FROM save_cache('there', '{}')", saved.display())).await;
    // Its index files are in the data folder. DataFusion writes the rows: ruvector itself writes no such file.
    let copy = format!("COPY ({ROW}) TO '{}' STORED AS PARQUET", file.display());
    database.session.context().sql(&copy).await.unwrap().collect().await.unwrap();
    drop(database);
    let mut files = std::fs::read_dir(&saved).unwrap().map(|entry| entry.unwrap().path());
    let index = files.find(|path| path.extension().is_some_and(|extension| extension == "rbpx")).unwrap();

    let database = Database::open(config(&folder.join("data"))).await;
    for sql in [
        format!("CREATE TABLE t AS {ROW}"),
        format!("CREATE EXTERNAL TABLE e STORED AS PARQUET LOCATION '{}'", file.display()),
        format!("CREATE EXTERNAL TABLE w STORED AS RBPX LOCATION '{}'", index.display()),
        format!("CREATE BACKEND b TYPE delta OPTIONS (path '{}')", lake.display()),
    ] {
        database.run(&sql).await;
    }
    for (name, table) in [("it", "t"), ("ie", "e"), ("iw", "w"), ("ib", "b.there")] {
        database.run(&format!("CREATE INDEX {name} ON {table} USING flat (vec)")).await;
    }
}

/// The names of the tables and of the indexes.
async fn state(database: &Database) -> (String, String) {
    let tables = "SELECT table_name FROM information_schema.tables WHERE table_schema IN ('main', 'b') ORDER BY 1";
    let batches = database.query(tables).await;
    let names = batches.iter().flat_map(|batch| batch.column(0).as_string::<i32>().iter().flatten());
    let tables = names.collect::<Vec<_>>().join(" ");
    let mut indexes: Vec<_> = database.engine.declared_indexes().into_iter().map(|index| index.name).collect();
    indexes.sort_unstable();
    (tables, indexes.join(" "))
}

/// The names of files and folders that a change leaves behind when it is cut short.
fn leftovers(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            found.extend(leftovers(&path));
        }
        let is_hidden = [".creating-", ".dropping-", ".dropped-"].iter().any(|prefix| name.starts_with(prefix));
        let is_temporary = name.starts_with('.') && [".tmp", ".unsaved"].iter().any(|suffix| name.ends_with(suffix));
        if is_hidden || is_temporary {
            found.push(name);
        }
    }
    found
}

/// Waits until there are so many index files in `folder`: the files of indexes that no catalog has are removed in the background.
async fn wait_for_index_files(folder: &Path, expected: usize, what: &str) {
    let started = Instant::now();
    loop {
        let entries = std::fs::read_dir(folder).into_iter().flatten();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let files: Vec<_> = names.filter(|name| name.ends_with(".rbpx")).collect();
        if files.len() == expected {
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "{what}: expected {expected} index files, got {files:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_done_or_not_begun_whenever_its_process_ends() {
    if let (Ok(folder), Ok(sql)) = (std::env::var(FOLDER), std::env::var(STATEMENT)) {
        Database::open(config(Path::new(&folder))).await.run(&sql).await;
        return;
    }
    const TABLES: &str = "e t there w";
    const INDEXES: &str = "ib ie it iw";
    let create = "CREATE TABLE n AS SELECT 1::BIGINT AS id";
    let replace = "CREATE OR REPLACE TABLE t AS SELECT 2::BIGINT AS id, CAST([0.0, 1.0] AS FLOAT[2]) AS vec";
    for (step, sql, tables, indexes) in [
        ("drop_table.renamed", "DROP TABLE t", TABLES, INDEXES),
        ("write_file.temporary", "DROP TABLE t", TABLES, INDEXES),
        ("write_file.renamed", "DROP TABLE t", "e there w", "ib ie iw"),
        ("drop_table.forgotten", "DROP TABLE t", "e there w", "ib ie iw"),
        ("drop_table.buried", "DROP TABLE t", "e there w", "ib ie iw"),
        ("write_file.temporary", "DROP TABLE e", TABLES, INDEXES),
        ("write_file.renamed", "DROP TABLE e", "t there w", "ib it iw"),
        ("drop_external_table.removed", "DROP TABLE e", "t there w", "ib it iw"),
        ("drop_external_table.indexes_forgotten", "DROP TABLE e", "t there w", "ib it iw"),
        ("write_file.temporary", "DROP TABLE w", TABLES, INDEXES),
        ("write_file.renamed", "DROP TABLE w", "e t there", "ib ie it"),
        ("drop_index_table.removed", "DROP TABLE w", "e t there", "ib ie it"),
        ("write_file.temporary", "DROP BACKEND b", TABLES, INDEXES),
        ("write_file.renamed", "DROP BACKEND b", "e t w", "ie it iw"),
        ("drop_backend.noted", "DROP BACKEND b", "e t w", "ie it iw"),
        ("drop_backend.indexes_forgotten", "DROP BACKEND b", "e t w", "ie it iw"),
        ("write_file.temporary", "DROP INDEX it", TABLES, INDEXES),
        ("write_file.renamed", "DROP INDEX it", TABLES, "ib ie iw"),
        ("drop_index.forgotten", "DROP INDEX it", TABLES, "ib ie iw"),
        ("drop_index.discarded", "DROP INDEX it", TABLES, "ib ie iw"),
        ("write_file.temporary", "CREATE INDEX j ON t (vec)", TABLES, INDEXES),
        ("write_file.renamed", "CREATE INDEX j ON t (vec)", TABLES, INDEXES),
        ("create_index.built", "CREATE INDEX j ON t (vec)", TABLES, INDEXES),
        ("create_index.declared", "CREATE INDEX j ON t (vec)", TABLES, "ib ie it iw j"),
        ("write_file.temporary", "CREATE BACKEND c TYPE memory", TABLES, INDEXES),
        ("write_table.rows", replace, TABLES, INDEXES),
        ("write_table.rows", create, TABLES, INDEXES),
        ("create_table.committed", create, TABLES, INDEXES),
        ("create_table.renamed", create, "e n t there w", INDEXES),
        ("create_table.committed", "CREATE TABLE n (id BIGINT)", TABLES, INDEXES),
        ("create_table.renamed", "CREATE TABLE n (id BIGINT)", "e n t there w", INDEXES),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        fill(folder.path()).await;
        let status = killed(step, &data, sql);
        // 101 is a test that failed.
        assert!(!status.success() && status.code() != Some(101), "{step} of {sql} is not where it ended: {status}");

        let database = Database::open(config(&data)).await;
        let found = state(&database).await;
        assert_eq!(found, (tables.to_owned(), indexes.to_owned()), "{step} of {sql}");
        assert!(leftovers(&data).is_empty(), "{step} of {sql}: {:?}", leftovers(&data));
        assert_eq!(data.join("n").exists(), tables.contains('n'), "{step} of {sql}");
        assert_eq!(data.join("_ruvector/external/e").exists(), indexes.contains("ie"), "{step} of {sql}");
        if tables.split(' ').any(|table| table == "t") {
            let declared = indexes.split(' ').filter(|index| matches!(*index, "it" | "j")).count();
            wait_for_index_files(&data.join("t/_ruvector"), declared, &format!("{step} of {sql}")).await;
            assert_eq!(database.ids("SELECT id FROM knn('t', [0.0, 1.0], 1)").await, [1], "{step} of {sql}");
        } else {
            // A later table of that name has no index, and takes one of the old name.
            database.run(&format!("CREATE TABLE t AS {ROW}")).await;
            database.run("CREATE INDEX it ON t (vec)").await;
            assert_eq!(database.ids("SELECT id FROM knn('t', [0.0, 1.0], 1)").await, [1], "{step} of {sql}");
        }
    }
}

/// Index files that were being written when their process was killed. Other files stay, and no link is followed.
#[tokio::test(flavor = "multi_thread")]
async fn unsaved_index_files_are_removed_at_the_start() {
    const NAME: &str = ".vec-0.flat.l2.seed1.rerank20.rbpx.4711-3.unsaved";
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fill(folder.path()).await;
    let places =
        ["t/_ruvector", "_ruvector/external/e", "_ruvector/external/e/_ruvector/e", "_ruvector/backends/x/_ruvector/c"];
    for place in places {
        std::fs::create_dir_all(data.join(place)).unwrap();
        std::fs::write(data.join(place).join(NAME), b"index").unwrap();
    }
    let others =
        [data.join(NAME), data.join("t").join(NAME), data.join("t/_ruvector/notes.unsaved"), folder.path().join(NAME)];
    for path in &others {
        std::fs::write(path, b"mine").unwrap();
    }
    #[cfg(unix)]
    std::os::unix::fs::symlink(folder.path(), data.join("_ruvector/external/e/_ruvector/link")).unwrap();
    let database = Database::open(config(&data)).await;
    for place in places {
        // The backend `x` is not declared; its folder is looked into all the same.
        assert!(!data.join(place).join(NAME).exists(), "{place}");
    }
    for path in &others {
        assert!(path.exists(), "{}", path.display());
    }
    assert_eq!(database.ids("SELECT id FROM knn('t', [0.0, 1.0], 1)").await, [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_folder_has_one_owner_until_its_process_ends() {
    if let Ok(folder) = std::env::var(FOLDER) {
        let database = Database::open(config(Path::new(&folder))).await;
        database.run("CREATE TABLE t (id BIGINT, vec FLOAT[2])").await;
        std::fs::write(Path::new(&folder).join("open.txt"), "").unwrap();
        tokio::time::sleep(Duration::from_secs(600)).await;
        unreachable!("it is killed");
    }
    let folder = tempfile::tempdir().unwrap();
    let test = "killed::a_data_folder_has_one_owner_until_its_process_ends";
    let mut owner = child(test, folder.path(), "").spawn().unwrap();
    let started = Instant::now();
    while !folder.path().join("open.txt").exists() {
        assert!(started.elapsed() < Duration::from_secs(120) && owner.try_wait().unwrap().is_none());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let refused = ruvector_sql::Engine::open(config(folder.path())).await;
    owner.kill().unwrap();
    owner.wait().unwrap();
    let error = refused.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    for part in [folder.path().to_str().unwrap(), &format!("owner process {} (", owner.id()), "stop that process"] {
        assert!(error.to_string().contains(part), "{error} does not say {part}");
    }
    let database = Database::open(config(folder.path())).await;
    database.run("CREATE INDEX i ON t (vec)").await;
    // The same within one process; an engine that is dropped leaves the folder at once.
    let error = ruvector_sql::Engine::open(config(folder.path())).await.unwrap_err();
    assert!(error.to_string().contains("share its Engine"), "{error}");
    drop(database);
    assert_eq!(Database::open(config(folder.path())).await.engine.declared_indexes().len(), 1);
}
