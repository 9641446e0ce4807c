//! Acknowledged changes are there when the engine is opened again.

use arrow::array::RecordBatch;
use ruvector_sql::{Answer, EngineConfig, ErrorKind, IngestMode};

use crate::support::{Database, vector};

fn config(folder: &std::path::Path) -> EngineConfig {
    EngineConfig { data_dir: Some(folder.to_owned()), ..EngineConfig::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_and_indexes_survive() {
    let folder = tempfile::tempdir().unwrap();
    {
        let database = Database::open(config(folder.path())).await;
        database.run("CREATE TABLE docs AS SELECT 1 AS id, CAST([1.0, 0.0] AS FLOAT[2]) AS vec").await;
        database.run("INSERT INTO docs VALUES (2, [0.0, 1.0])").await;
        database.run("CREATE INDEX docs_vec ON docs USING flat (vec) WITH (metric = 'cosine')").await;
    }
    let database = Database::open(config(folder.path())).await;
    assert_eq!(database.ids("SELECT id FROM knn('docs', [0.1, 0.9], 1)").await, [2]);
    let indexes = database.engine.declared_indexes();
    assert_eq!(indexes.len(), 1);
    assert_eq!((indexes[0].name.as_str(), indexes[0].spec.metric.name()), ("docs_vec", "cosine"));
    database.run("DROP TABLE docs").await;
    assert!(database.engine.declared_indexes().is_empty());
    assert_eq!(database.error("SELECT * FROM docs").await.0, ErrorKind::NotFound);
    database.run("CREATE TABLE docs (id BIGINT)").await;
    assert!(database.ids("SELECT id FROM docs").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn ingest_follows_its_mode() {
    let database = Database::temporary().await;
    database.run("CREATE TABLE source AS SELECT CAST(1 AS BIGINT) AS id, CAST([1.0, 0.0] AS FLOAT[2]) AS vec").await;
    let database = &database;
    let ingest = |mode| async move {
        let rows = match database.engine.execute(&database.session, "SELECT * FROM source", &[]).await.unwrap() {
            Answer::Rows(rows) => rows,
            Answer::Count(_) => panic!("a query answers rows"),
        };
        database.engine.ingest(&database.session, "made", mode, rows).await.map_err(|e| e.kind())
    };
    let steps = [
        (IngestMode::Append, Err(ErrorKind::NotFound), 0),
        (IngestMode::Create, Ok(1), 1),
        (IngestMode::Create, Err(ErrorKind::AlreadyExists), 1),
        (IngestMode::Append, Ok(1), 2),
        (IngestMode::CreateAppend, Ok(1), 3),
        (IngestMode::Replace, Ok(1), 1),
    ];
    for (mode, expected, rows_after) in steps {
        assert_eq!(ingest(mode).await, expected, "{mode:?}");
        if rows_after > 0 {
            let found: usize = database
                .query("SELECT * FROM knn('made', [1.0, 0.0], 10)")
                .await
                .iter()
                .map(RecordBatch::num_rows)
                .sum();
            assert_eq!(found, rows_after, "{mode:?}");
        }
    }
    let params = [vector(&[1.0, 0.0])];
    assert_eq!(database.try_query("SELECT * FROM knn('made', ?, 1)", &params).await.unwrap()[0].num_rows(), 1);
}
