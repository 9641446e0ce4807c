//! Names of `main`: a name has one table, whatever statements make tables at the same time.

use std::future::pending;
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::stream;
use ruvector_rabitq::{BuildParams, Dim, IndexKind, Metric, VectorBatch, VectorIndex};
use ruvector_sql::{Answer, Engine, EngineConfig, Error, ErrorKind, IngestMode};

use crate::support::Database;

/// Ways to make a table.
const WAYS: usize = 6;
/// Names that tables are made under, each in all ways at once.
const ROUNDS: usize = 12;

fn config(folder: &Path) -> EngineConfig {
    EngineConfig { data_dir: Some(folder.to_owned()), ..EngineConfig::default() }
}

fn index() -> Box<dyn VectorIndex> {
    let vectors = VectorBatch::new(Dim::new(2).unwrap(), &[1.0, 0.0, 0.0, 1.0]).unwrap();
    IndexKind::FlatF32.build(Some(&[1, 2]), vectors, &BuildParams::new(Metric::L2), None).unwrap()
}

/// Makes a table in one of the ways. `folder` has the files `a.csv` and `a.rbpx`.
async fn make(engine: Arc<Engine>, way: usize, name: String, folder: String) -> Result<(), Error> {
    let session = engine.session();
    let sql = match way {
        0 => format!("CREATE TABLE {name} AS SELECT 1::BIGINT AS id"),
        1 => format!("CREATE TABLE {name} (id BIGINT)"),
        2 => format!("CREATE EXTERNAL TABLE {name} STORED AS CSV LOCATION '{folder}/a.csv'"),
        3 => format!("CREATE EXTERNAL TABLE {name} STORED AS RBPX LOCATION '{folder}/a.rbpx'"),
        4 => return engine.register_index(&name, index()).await,
        _ => {
            let Answer::Rows(rows) = engine.execute(&session, "SELECT 1::BIGINT AS id", &[]).await? else {
                panic!("a query answers rows")
            };
            return engine.ingest(&session, &name, IngestMode::Create, rows).await.map(drop);
        }
    };
    engine.execute(&session, &sql, &[]).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_goes_to_one_table_of_whatever_kind() {
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(folder.path().join("a.csv"), "id\n1\n").unwrap();
    index().save(&folder.path().join("a.rbpx")).unwrap();
    let path = folder.path().display().to_string();
    let database = Database::open(config(data.path())).await;
    for round in 0..ROUNDS {
        let name = format!("t{round}");
        // Another way is the first in each round.
        let ways = (0..WAYS).map(|way| (way + round) % WAYS);
        let making: Vec<_> = ways
            .map(|way| {
                let made = make(Arc::clone(&database.engine), way, name.clone(), path.clone());
                (way, tokio::spawn(made))
            })
            .collect();
        let mut made = Vec::new();
        for (way, task) in making {
            match task.await.unwrap() {
                Ok(()) => made.push(way),
                Err(e) => assert!(
                    matches!(e.kind(), ErrorKind::AlreadyExists | ErrorKind::NotSupported),
                    "{name}, way {way}: {e}"
                ),
            }
        }
        assert_eq!(made.len(), 1, "{name} was made in the ways {made:?}");
        let found = format!("SELECT count(*) FROM information_schema.tables WHERE table_name = '{name}'");
        assert_eq!(database.ids(&found).await, [1], "{name}");
        // No table of another kind is behind the one that is dropped.
        if round % 2 == 0 {
            database.run(&format!("DROP TABLE {name}")).await;
            assert_eq!(database.error(&format!("SELECT * FROM {name}")).await.0, ErrorKind::NotFound, "{name}");
            assert_eq!(database.error(&format!("DROP TABLE {name}")).await.0, ErrorKind::NotFound, "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_there_is_told_while_its_name_is_claimed() {
    let database = Database::temporary().await;
    database.run("CREATE TABLE t (id BIGINT)").await;
    let engine = Arc::clone(&database.engine);
    let (begun, seen) = std::sync::mpsc::channel();
    let slow = tokio::spawn(async move {
        let session = engine.session();
        // A client that sends no rows.
        let schema = Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, true)]));
        let silent = stream::once(async move {
            begun.send(()).unwrap();
            pending::<datafusion::error::Result<RecordBatch>>().await
        });
        let rows = RecordBatchStreamAdapter::new(schema, silent);
        engine.ingest(&session, "t", IngestMode::Replace, Box::pin(rows)).await
    });
    tokio::task::spawn_blocking(move || seen.recv().unwrap()).await.unwrap();
    assert_eq!(database.run("CREATE TABLE IF NOT EXISTS t (id BIGINT)").await, 0);
    assert_eq!(database.error("CREATE TABLE t (id BIGINT)").await.0, ErrorKind::AlreadyExists);
    // The ingest gives way to the drop.
    database.run("DROP TABLE t").await;
    assert!(slow.await.unwrap().is_err());
    database.run("CREATE TABLE t (id BIGINT)").await;
}
