//! Indexes that are tables: saved ones by SQL, others by the program.

use std::path::Path;

use ruvector_rabitq::{BuildParams, Dim, IndexKind, Metric, VectorBatch, VectorIndex};
use ruvector_rulake::SearchOptions;
use ruvector_sql::{EngineConfig, ErrorKind};

use crate::support::{Database, distances};

const DIM: usize = 4;

fn config(folder: &Path) -> EngineConfig {
    EngineConfig { data_dir: Some(folder.to_owned()), ..EngineConfig::default() }
}

/// `len` vectors on a line, under ids that are far apart.
fn index(kind: IndexKind, metric: Metric, len: usize) -> Box<dyn VectorIndex> {
    #[expect(clippy::cast_precision_loss, reason = "numbers in tests are small")]
    let values: Vec<f32> = (0..len).flat_map(|i| [i as f32, 1.0, 0.5, -(i as f32)]).collect();
    let ids: Vec<u64> = (0..len as u64).map(|i| (i + 1) * 1_000_000_000_000).collect();
    let vectors = VectorBatch::new(Dim::new(DIM).unwrap(), &values).unwrap();
    kind.build(Some(&ids), vectors, &BuildParams::new(metric), None).unwrap()
}

fn id(i: i64) -> i64 {
    (i + 1) * 1_000_000_000_000
}

fn columns(batches: &[arrow::array::RecordBatch]) -> Vec<String> {
    batches[0].schema().fields().iter().map(|field| field.name().clone()).collect()
}

fn external(name: &str, path: &Path) -> String {
    format!("CREATE EXTERNAL TABLE {name} STORED AS RBPX LOCATION '{}'", path.display())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_of_each_kind_answers_as_it_does_by_itself() {
    let database = Database::temporary().await;
    let query = [7.2, 1.0, 0.5, -7.2];
    for kind in IndexKind::ALL {
        for metric in [Metric::L2, Metric::Cosine, Metric::InnerProduct] {
            let index = index(kind, metric, 200);
            let hits = index.search(&query, &ruvector_rabitq::SearchParams::new(5)).unwrap();
            let (ids, keeps_vectors): (Vec<i64>, bool) =
                (hits.iter().map(|hit| i64::try_from(hit.id).unwrap()).collect(), index.vectors().is_some());
            database.engine.register_index("i", index).await.unwrap();
            let search = "SELECT id, _distance FROM knn('i', [7.2, 1.0, 0.5, -7.2], 5)";
            assert_eq!(database.ids(search).await, ids, "{kind} {metric}");
            let explained = database.query(&format!("EXPLAIN {search}")).await;
            let plan = arrow::util::pretty::pretty_format_batches(&explained).unwrap().to_string();
            assert!(
                plan.contains(&format!("metric={metric}")) && plan.contains(&format!("index=i ({kind})")),
                "{plan}"
            );
            let filtered = format!("SELECT id FROM knn('i', [7.2, 1.0, 0.5, -7.2], 5) WHERE id > {}", id(190));
            assert_eq!(database.ids(&filtered).await.len(), 5);
            if keeps_vectors {
                let exact = "SELECT id, _distance FROM knn('i', [7.2, 1.0, 0.5, -7.2], 5, exact => true)";
                assert_eq!(distances(&database.query(exact).await), distances(&database.query(search).await));
                assert_eq!(database.ids("SELECT count(*) FROM i WHERE vec IS NOT NULL").await, [200]);
            } else {
                assert_eq!(database.query("SELECT * FROM i").await[0].num_columns(), 1, "ids alone");
                assert_eq!(database.error("SELECT vec FROM i").await.0, ErrorKind::NotFound);
                let found = database.query("SELECT * FROM knn('i', [7.2, 1.0, 0.5, -7.2], 5)").await;
                assert_eq!(columns(&found), ["id", "_distance"]);
                assert_eq!(database.ids("SELECT * FROM knn('i', [7.2, 1.0, 0.5, -7.2], 5)").await, ids);
                assert_eq!(distances(&found), distances(&database.query(search).await));
                let batch = "SELECT * FROM knn_batch('i', (SELECT 9 AS q, [7.2, 1.0, 0.5, -7.2] AS v), 5)";
                assert_eq!(columns(&database.query(batch).await), ["query_q", "id", "_distance"]);
                let joined =
                    "SELECT n.* FROM (VALUES ([7.2, 1.0, 0.5, -7.2])) AS q(v) CROSS JOIN LATERAL knn('i', q.v, 5) n";
                assert_eq!(database.ids(joined).await, ids);
                let federated = "SELECT * FROM knn('i', [7.2, 1.0, 0.5, -7.2], 5, backends => ['main'])";
                assert_eq!(columns(&database.query(federated).await), ["id", "_distance", "_backend"]);
                let vectors = "SELECT vec FROM knn('i', [7.2, 1.0, 0.5, -7.2], 5)";
                assert_eq!(database.error(vectors).await.0, ErrorKind::NotFound);
                let exact = "SELECT * FROM knn('i', [7.2, 1.0, 0.5, -7.2], 5, exact => true)";
                let (kind, message) = database.error(exact).await;
                assert_eq!(kind, ErrorKind::NotSupported);
                assert!(message.contains("the index keeps no vectors"), "{message}");
            }
            // Nothing was built, and there is nothing of it when it is dropped.
            assert_eq!(database.engine.lake().cache_stats().primes, 0);
            database.run("DROP TABLE i").await;
            assert!(database.engine.lake().cached_entries().is_empty());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saved_index_is_a_table_until_it_is_dropped() {
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = folder.path().join("words.rbpx");
    index(IndexKind::RabitqPlus, Metric::L2, 50).save(&file).unwrap();
    let nearest = "SELECT id FROM knn('words', [3.0, 1.0, 0.5, -3.0], 2)";
    {
        let database = Database::open(config(data.path())).await;
        database.run(&external("words", &file)).await;
        assert_eq!(database.error(&external("words", &file)).await.0, ErrorKind::AlreadyExists);
        database.run(&external("IF NOT EXISTS words", &file)).await;
        assert_eq!(database.ids(nearest).await[0], id(3));
    }
    let database = Database::open(config(data.path())).await;
    assert_eq!(database.ids(nearest).await[0], id(3));
    assert_eq!(database.ids("SELECT count(*) FROM information_schema.tables WHERE table_name = 'words'").await, [1]);
    // Federated with another, and by the operations of the lake.
    database.run("CREATE BACKEND hot TYPE memory").await;
    let rows = database.query("SELECT id + 1 AS id, vec FROM words").await;
    database.engine.memory_backend("hot").unwrap().put("words", rows[0].schema(), &rows).unwrap();
    let both = "SELECT id FROM knn('words', [3.0, 1.0, 0.5, -3.0], 2, backends => ['main', 'hot'])";
    assert_eq!(database.ids(both).await, [id(3), id(3) + 1]);
    let (lake, options) = (database.engine.lake(), SearchOptions::default());
    let hits = lake.search_one("main", "words", &[3.0, 1.0, 0.5, -3.0], 1, &options).await.unwrap();
    assert_eq!(hits[0].id, id(3));

    // Another file in its place is seen by the next statement.
    index(IndexKind::FlatF32, Metric::L2, 3).save(&file).unwrap();
    assert_eq!(database.ids(nearest).await, [id(2), id(1)]);
    assert_eq!(database.ids("SELECT count(*) FROM system.indexes WHERE kind = 'flat' AND state = 'ready'").await, [1]);
    // One that is torn, or gone, is an error that names it, and a row of the table of indexes.
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() - 7]).unwrap();
    let (kind, message) = database.error(nearest).await;
    assert_eq!(kind, ErrorKind::Corrupt);
    assert!(message.contains("words.rbpx"), "{message}");
    assert_eq!(database.ids("SELECT count(*) FROM system.indexes WHERE state = 'failed' AND kind IS NULL").await, [1]);
    std::fs::remove_file(&file).unwrap();
    let (kind, message) = database.error(nearest).await;
    assert_eq!(kind, ErrorKind::Unavailable);
    assert!(message.contains("words.rbpx"), "{message}");
    drop(database);
    let database = Database::open(config(data.path())).await;
    std::fs::write(&file, &whole).unwrap();
    assert_eq!(database.ids(nearest).await, [id(2), id(1)]);

    database.run("CREATE INDEX over ON words USING ivf_rabitq (vec) WITH (metric = 'cosine')").await;
    database.run("DROP TABLE words").await;
    assert!(file.exists() && database.engine.declared_indexes().is_empty());
    assert_eq!(database.error(nearest).await.0, ErrorKind::NotFound);
    assert_eq!(database.error("DROP TABLE words").await.0, ErrorKind::NotFound);
    drop(database);
    let database = Database::open(config(data.path())).await;
    assert_eq!(database.error(nearest).await.0, ErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_lake_saved_has_the_ids_of_its_rows() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::temporary().await;
    database.run("CREATE TABLE docs (id BIGINT, embedding FLOAT[2])").await;
    database.run("INSERT INTO docs VALUES (70, [1.0, 0.0]), (80, [0.0, 1.0])").await;
    database.run("CREATE INDEX i ON docs (embedding)").await;
    database.query(&format!("SELECT * FROM save_cache('docs', '{}')", folder.path().display())).await;
    let saved = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let saved = saved.filter(|path| path.extension().is_some_and(|extension| extension == "rbpx"));
    let [file] = saved.collect::<Vec<_>>().try_into().unwrap();
    database.run(&external("saved", &file)).await;
    assert_eq!(database.ids("SELECT id FROM knn('saved', [0.1, 0.9], 2)").await, [80, 70]);
    assert_eq!(database.ids("SELECT id FROM saved WHERE embedding[1] = 1.0").await, [70]);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_taken_once_and_what_is_no_index_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(config(folder.path())).await;
    let (good, torn) = (folder.path().join("good.rbpx"), folder.path().join("torn.rbpx"));
    index(IndexKind::FlatF32, Metric::L2, 3).save(&good).unwrap();
    std::fs::write(&torn, b"RBPX and no more").unwrap();
    database.run("CREATE TABLE docs (id BIGINT, vec FLOAT[4])").await;
    let taken = database.engine.register_index("docs", index(IndexKind::FlatF32, Metric::L2, 3)).await.unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::AlreadyExists);
    let bad_name = database.engine.register_index("../i", index(IndexKind::FlatF32, Metric::L2, 3)).await.unwrap_err();
    assert_eq!(bad_name.kind(), ErrorKind::InvalidInput);
    let too_large = IndexKind::FlatF32
        .build(
            Some(&[u64::MAX]),
            VectorBatch::new(Dim::new(1).unwrap(), &[1.0]).unwrap(),
            &BuildParams::default(),
            None,
        )
        .unwrap();
    let too_large = database.engine.register_index("i", too_large).await.unwrap_err();
    assert!(too_large.to_string().contains("18446744073709551615"), "{too_large}");
    database.engine.register_index("i", index(IndexKind::FlatF32, Metric::L2, 3)).await.unwrap();

    let with = |clause: &str| external("x", &good).replace("STORED AS RBPX", &format!("STORED AS RBPX {clause}"));
    for (sql, kind, part) in [
        (external("docs", &good), ErrorKind::AlreadyExists, "docs"),
        (external("i", &good), ErrorKind::AlreadyExists, "i exists"),
        (external("docs", &good).replace("CREATE", "CREATE OR REPLACE"), ErrorKind::NotSupported, "DROP it"),
        (external("x", &torn), ErrorKind::Corrupt, "torn.rbpx"),
        (external("x", folder.path()), ErrorKind::InvalidInput, "expected an index file"),
        (external("x", Path::new("/no/such.rbpx")), ErrorKind::NotFound, "/no/such.rbpx"),
        (external("x", Path::new("s3://bucket/i.rbpx")), ErrorKind::NotSupported, "local index file"),
        (external("hot.x", &good), ErrorKind::NotSupported, "hot"),
        (with("WITH ORDER (id)"), ErrorKind::NotSupported, "WITH ORDER"),
        (with("OPTIONS (a 'b')"), ErrorKind::NotSupported, "OPTIONS"),
        ("CREATE TABLE i (id BIGINT)".to_owned(), ErrorKind::AlreadyExists, "i exists"),
        ("CREATE OR REPLACE TABLE i AS SELECT 1 AS id".to_owned(), ErrorKind::NotSupported, "DROP it"),
        ("INSERT INTO i VALUES (1, [1.0, 2.0, 3.0, 4.0])".to_owned(), ErrorKind::NotSupported, "i is an index"),
        ("DELETE FROM i".to_owned(), ErrorKind::NotSupported, "i is an index"),
        ("UPDATE i SET id = 1".to_owned(), ErrorKind::NotSupported, "i is an index"),
    ] {
        let (got, message) = database.error(&sql).await;
        assert_eq!(got, kind, "{sql}: {message}");
        assert!(message.contains(part), "{sql}: {message:?} does not say {part:?}");
    }
    database.run("CREATE TABLE IF NOT EXISTS i (id BIGINT)").await;
    assert_eq!(database.ids("SELECT count(*) FROM i").await, [3]);
    // A file may take the place of an index.
    index(IndexKind::FlatF32, Metric::L2, 2).save(&good).unwrap();
    database.run(&external("i", &good).replace("CREATE", "CREATE OR REPLACE")).await;
    assert_eq!(database.ids("SELECT count(*) FROM i").await, [2]);
}
