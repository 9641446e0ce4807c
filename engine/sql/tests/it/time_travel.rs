//! Older states of a table, wherever a table may stand.

use ruvector_sql::ErrorKind;

use crate::support::Database;

/// `t` by version: 0 empty; 1 ids 1..=3; 2 without id 2; 3 with id 4 nearer to everything; 4 x of all is 0.
async fn database() -> Database {
    let database = Database::temporary().await;
    database.run("CREATE TABLE t (id BIGINT, x BIGINT, vec FLOAT[2])").await;
    database.run("INSERT INTO t VALUES (1, 10, [1.0, 0.0]), (2, 20, [2.0, 0.0]), (3, 30, [3.0, 0.0])").await;
    database.run("DELETE FROM t WHERE id = 2").await;
    database.run("INSERT INTO t VALUES (4, 40, [2.0, 0.5])").await;
    database.run("UPDATE t SET x = 0").await;
    database
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_is_read_wherever_a_table_may_stand() {
    let database = database().await;
    for (sql, expected) in [
        ("SELECT id FROM t VERSION AS OF 0", vec![]),
        ("SELECT id FROM t VERSION AS OF 1 ORDER BY id", vec![1, 2, 3]),
        ("SELECT t.id FROM main.t\nVERSION AS OF 2 ORDER BY t.id", vec![1, 3]),
        ("SELECT o.id FROM t VERSION AS OF 3 AS o WHERE o.x > 20 ORDER BY o.id", vec![3, 4]),
        ("SELECT id FROM t VERSION AS OF 4 ORDER BY id", vec![1, 3, 4]),
        ("SELECT id FROM t@v1 ORDER BY id", vec![1, 2, 3]),
        ("SELECT id FROM t ORDER BY id", vec![1, 3, 4]),
        ("SELECT old.id FROM t VERSION AS OF 1 old LEFT JOIN t ON old.id = t.id WHERE t.id IS NULL", vec![2]),
        ("SELECT id FROM t WHERE id NOT IN (SELECT id FROM t VERSION AS OF 1)", vec![4]),
        ("WITH old AS (SELECT * FROM t VERSION AS OF 1) SELECT max(x) FROM old", vec![30]),
        ("SELECT (SELECT max(x) FROM t VERSION AS OF 1) - (SELECT max(x) FROM t)", vec![30]),
        ("SELECT id FROM knn((SELECT * FROM t VERSION AS OF 1), [2.0, 0.0], 1)", vec![2]),
        ("SELECT id FROM knn((SELECT * FROM t VERSION AS OF 1 WHERE id > 2), [2.0, 0.0], 1)", vec![3]),
        ("SELECT id FROM knn((SELECT * FROM t VERSION AS OF 1 AS o WHERE o.x < 20), [2.0, 0.0], 5)", vec![1]),
        ("SELECT id FROM knn('t@v1', [2.0, 0.0], 1)", vec![2]),
        ("SELECT id FROM knn('t', [2.0, 0.0], 1)", vec![4]),
    ] {
        assert_eq!(database.ids(sql).await, expected, "{sql}");
    }
    // What is bound beside it, and what is written into another table.
    let params = [datafusion::scalar::ScalarValue::from(1_i64)];
    let found = database.try_query("SELECT id FROM t VERSION AS OF 1 WHERE id > ? ORDER BY id", &params).await.unwrap();
    assert_eq!(crate::support::ids(&found), [2, 3]);
    assert_eq!(database.run("CREATE TABLE u AS SELECT * FROM t VERSION AS OF 1").await, 3);
    assert_eq!(database.run("INSERT INTO t SELECT * FROM t VERSION AS OF 1 WHERE id = 2").await, 1);
    assert_eq!(database.ids("SELECT id FROM t ORDER BY id").await, [1, 2, 3, 4]);
    assert_eq!(
        database
            .run("MERGE INTO t USING t VERSION AS OF 1 AS o ON t.id = o.id WHEN MATCHED THEN UPDATE SET x = o.x")
            .await,
        3
    );
    assert_eq!(database.ids("SELECT x FROM t ORDER BY id").await, [10, 20, 30, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_stays_that_of_the_newest_state() {
    let database = database().await;
    database.run("CREATE INDEX t_vec ON t USING rabitq_plus (vec)").await;
    for _ in 0..2 {
        assert_eq!(database.ids("SELECT id FROM knn('t', [2.0, 0.0], 1)").await, [4]);
        assert_eq!(database.ids("SELECT id FROM knn('t@v1', [2.0, 0.0], 1)").await, [2]);
        assert_eq!(database.ids("SELECT id FROM knn((SELECT * FROM t VERSION AS OF 2), [2.2, 0.0], 1)").await, [3]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_is_the_state_that_was_there() {
    let database = database().await;
    tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    let sql = "SELECT CAST(max(timestamp) AS VARCHAR) FROM table_history('t')";
    let newest = arrow::util::display::array_value_to_string(database.query(sql).await[0].column(0), 0).unwrap();
    database.run("DELETE FROM t").await;
    assert_eq!(database.ids("SELECT count(*) FROM t").await, [0]);
    for clause in ["TIMESTAMP AS OF", "FOR SYSTEM_TIME AS OF", "TIMESTAMP AS OF TIMESTAMP"] {
        let sql = format!("SELECT count(*) FROM t {clause} '{newest}'");
        assert_eq!(database.ids(&sql).await, [3], "{sql}");
    }
    assert_eq!(database.ids("SELECT count(*) FROM t TIMESTAMP AS OF '2999-01-01'").await, [0]);
    let (kind, message) = database.error("SELECT * FROM t TIMESTAMP AS OF '2001-01-01'").await;
    assert!(kind == ErrorKind::InvalidInput && message.contains("not there at that time"), "{kind:?} {message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_tells_what_was_done() {
    let database = database().await;
    let sql = "SELECT version FROM table_history('main.t') ORDER BY version";
    assert_eq!(database.ids(sql).await, [0, 1, 2, 3, 4]);
    let batches = database.query("DESCRIBE HISTORY t").await;
    let of = |column: usize, row| arrow::util::display::array_value_to_string(batches[0].column(column), row).unwrap();
    assert_eq!((of(0, 0), of(2, 0)), ("4".to_owned(), "UPDATE".to_owned()));
    assert_eq!((of(0, 2), of(2, 2)), ("2".to_owned(), "DELETE".to_owned()));
    assert!(of(3, 2).contains("id = 2"), "{}", of(3, 2));
    let (kind, _) = database.error("DESCRIBE HISTORY nowhere").await;
    assert_eq!(kind, ErrorKind::NotFound);
    // A path is no name, whether or not something is there.
    let outside = tempfile::tempdir().unwrap();
    let there = outside.path().display().to_string();
    let mut said = Vec::new();
    for path in [there.as_str(), &format!("{there}/none"), "../..", "../none", "_ruvector"] {
        let (kind, message) = database.error(&format!("SELECT * FROM table_history('\"{path}\"')")).await;
        assert_eq!(kind, ErrorKind::NotFound, "{path}: {message}");
        said.push(message.replace(path, "PATH"));
    }
    assert!(said.iter().all(|message| *message == said[0]), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_state_is_a_typed_error() {
    let database = database().await;
    database.run("CREATE BACKEND hot TYPE memory").await;
    for (sql, kind, part) in [
        ("SELECT * FROM t VERSION AS OF 9", ErrorKind::InvalidInput, "expected 0 to 4, got 9"),
        ("SELECT * FROM t VERSION AS OF 'x'", ErrorKind::InvalidInput, "the number of a version, got 'x'"),
        ("SELECT * FROM t VERSION AS OF ?", ErrorKind::NotSupported, "written in the statement, got the parameter $1"),
        (
            "SELECT * FROM t TIMESTAMP AS OF $2",
            ErrorKind::NotSupported,
            "written in the statement, got the parameter $2",
        ),
        ("SELECT * FROM t TIMESTAMP AS OF 'soon'", ErrorKind::InvalidInput, "expected a time like"),
        ("SELECT * FROM t AS o VERSION AS OF 1", ErrorKind::InvalidInput, "before its alias"),
        ("SELECT * FROM (SELECT 1) VERSION AS OF 1", ErrorKind::InvalidInput, "right after the name of a table"),
        ("SELECT * FROM nowhere VERSION AS OF 1", ErrorKind::NotFound, "nowhere"),
        ("SELECT * FROM t@now", ErrorKind::InvalidInput, "expected @v and a number"),
        ("DELETE FROM t VERSION AS OF 1", ErrorKind::NotSupported, "older states"),
        ("UPDATE t VERSION AS OF 1 SET x = 1", ErrorKind::NotSupported, "older states"),
        ("INSERT INTO t VERSION AS OF 1 VALUES (1, 1, NULL)", ErrorKind::InvalidInput, "right after the name"),
        ("INSERT INTO t@v1 VALUES (1, 1, NULL)", ErrorKind::NotSupported, "older states"),
        ("WITH c AS (SELECT 1) SELECT * FROM c VERSION AS OF 1", ErrorKind::NotFound, "c@v1"),
    ] {
        let (got, message) = database.error(sql).await;
        assert!(got == kind && message.contains(part), "{sql}: {got:?} {message}");
    }
    assert_eq!(database.ids("SELECT id FROM t ORDER BY id").await, [1, 3, 4]);
    // The words are names like others.
    assert_eq!(database.ids("SELECT version AS of FROM (SELECT 7::BIGINT AS version)").await, [7]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vacuumed_version_is_a_typed_error() {
    let folder = tempfile::tempdir().unwrap();
    let config = ruvector_sql::EngineConfig { data_dir: Some(folder.path().to_owned()), ..Default::default() };
    let database = Database::open(config).await;
    database.run("CREATE TABLE t AS SELECT 1::BIGINT AS id").await;
    database.run("INSERT OVERWRITE t SELECT 2::BIGINT AS id").await;
    let files = std::fs::read_dir(folder.path().join("t")).unwrap().map(|file| file.unwrap().path());
    let data: Vec<_> = files.filter(|file| file.extension().is_some_and(|ext| ext == "parquet")).collect();
    assert_eq!(data.len(), 2);
    assert_eq!(database.ids("SELECT id FROM t VERSION AS OF 0").await, [1]);
    let first = data.iter().min_by_key(|file| file.metadata().unwrap().modified().unwrap()).unwrap();
    std::fs::remove_file(first).unwrap();
    let (kind, message) = database.error("SELECT id FROM t VERSION AS OF 0").await;
    assert!(kind == ErrorKind::InvalidInput && message.contains("not kept any more"), "{kind:?} {message}");
    assert_eq!(database.ids("SELECT id FROM t VERSION AS OF 1").await, [2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_keep_no_states_say_so() {
    let database = Database::temporary().await;
    database.run("CREATE BACKEND hot TYPE memory").await;
    let memory = database.engine.memory_backend("hot").unwrap();
    let batch = arrow::array::RecordBatch::try_from_iter([(
        "id",
        std::sync::Arc::new(arrow::array::Int64Array::from(vec![1])) as arrow::array::ArrayRef,
    )])
    .unwrap();
    memory.put("docs", batch.schema(), &[batch]).unwrap();
    let (kind, message) = database.error("SELECT * FROM hot.docs VERSION AS OF 1").await;
    assert!(kind == ErrorKind::NotSupported && message.contains("expected a Delta table"), "{kind:?} {message}");
}
