//! Statements that are run again and again with other parameters: a plan that is kept never changes an answer.

use std::fmt::Write;
use std::sync::Arc;

use datafusion::scalar::ScalarValue;
use ruvector_rulake::LocalBackend;
use ruvector_sql::ErrorKind;

use crate::support::{Database, ids, vector};

/// `id`, `tag` (id modulo 3), `vec` of two coordinates: (id, 0).
async fn database(num_rows: usize) -> Database {
    let database = Database::temporary().await;
    database.run("CREATE TABLE docs (id BIGINT, tag BIGINT, vec FLOAT[2])").await;
    insert(&database, 0..num_rows).await;
    database
}

async fn insert(database: &Database, rows: std::ops::Range<usize>) {
    let mut sql = "INSERT INTO docs VALUES ".to_owned();
    for (i, id) in rows.enumerate() {
        let comma = if i == 0 { "" } else { ", " };
        write!(sql, "{comma}({id}, {}, [{id}.0, 0.0])", id % 3).unwrap();
    }
    database.run(&sql).await;
}

impl Database {
    async fn ask(&self, sql: &str, params: &[ScalarValue]) -> Vec<i64> {
        ids(&self.try_query(sql, params).await.unwrap_or_else(|e| panic!("{sql}: {e}")))
    }
}

fn at(x: f32) -> ScalarValue {
    vector(&[x, 0.0])
}

#[tokio::test(flavor = "multi_thread")]
async fn each_run_has_its_own_values() {
    let database = database(60).await;
    for index in [false, true] {
        if index {
            database.run("CREATE INDEX docs_vec ON docs (vec)").await;
        }
        for x in [3.0, 30.0, 3.0, 59.0] {
            #[expect(clippy::cast_possible_truncation, reason = "a whole number")]
            let id = x as i64;
            assert_eq!(database.ask("SELECT id FROM knn('docs', $1, 1)", &[at(x)]).await, [id]);
            assert_eq!(database.ask("SELECT id FROM knn('docs', ?, 1) WHERE tag = 0", &[at(x)]).await, [id / 3 * 3]);
            let sql = "SELECT id FROM docs ORDER BY l2_distance(vec, $1) LIMIT 1";
            assert_eq!(database.ask(sql, &[at(x)]).await, [id]);
            let sql = "SELECT id FROM knn('docs', $1, 1) WHERE id >= $2";
            assert_eq!(database.ask(sql, &[at(x), ScalarValue::from(40_i64)]).await, [id.max(40)]);
            let sql = "SELECT a.id FROM knn('docs', $1, 1) a JOIN knn('docs', $2, 1) b ON a.tag = b.tag";
            assert_eq!(database.ask(sql, &[at(x), at(x)]).await, [id]);
            for k in [1_i64, 5, 2] {
                let got = database.ask("SELECT id FROM knn('docs', $2, $1)", &[ScalarValue::from(k), at(x)]).await;
                assert_eq!(got.len(), usize::try_from(k).unwrap());
                assert_eq!(got[0], id);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_follows_what_happens_to_its_table() {
    let database = database(10).await;
    let (sql, query) = ("SELECT id FROM knn('docs', $1, 1)", [at(100.0)]);
    assert_eq!(database.ask(sql, &query).await, [9]);
    insert(&database, 10..20).await;
    assert_eq!(database.ask(sql, &query).await, [19]);
    database.run("DELETE FROM docs WHERE id > 15").await;
    assert_eq!(database.ask(sql, &query).await, [15]);
    database.run("CREATE INDEX docs_vec ON docs (vec) WITH (metric = 'inner_product')").await;
    // The metric is now that of the index, by which longer is nearer.
    assert_eq!(database.ask(sql, &[at(1.0)]).await, [15]);
    database.run("DROP INDEX docs_vec").await;
    assert_eq!(database.ask(sql, &[at(1.0)]).await, [1]);
    // Codes alone answer by estimates, which an ORDER BY does not trust.
    database.run("CREATE INDEX docs_vec ON docs USING rabitq (vec)").await;
    let ordered = "SELECT id FROM docs ORDER BY l2_distance(vec, $1) LIMIT 3";
    assert_eq!(database.ask(ordered, &[at(7.2)]).await, [7, 8, 6]);
    database.run("DROP TABLE docs").await;
    assert_eq!(database.try_query(sql, &query).await.unwrap_err().kind(), ErrorKind::NotFound);
    database.run("CREATE TABLE docs (id BIGINT, body VARCHAR, vec FLOAT[3])").await;
    database.run("INSERT INTO docs VALUES (5, 'x', [1.0, 2.0, 3.0])").await;
    let error = database.try_query(sql, &query).await.unwrap_err();
    assert!(error.to_string().contains("expected 3, got 2"), "{error}");
    assert_eq!(database.ask(sql, &[vector(&[1.0, 2.0, 3.0])]).await, [5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_follows_what_the_session_says() {
    let database = database(10).await;
    database.run("CREATE INDEX docs_vec ON docs (vec)").await;
    let sql = "SELECT id FROM knn('docs', $1, 1)";
    assert_eq!(database.ask(sql, &[at(3.0)]).await, [3]);
    database.run("SET ruvector.consistency = 'stale'").await;
    assert_eq!(database.ask(sql, &[at(100.0)]).await, [9]);
    let other = database.engine.session();
    let insert = "INSERT INTO docs VALUES (50, 0, [50.0, 0.0])";
    database.engine.execute(&other, insert, &[]).await.unwrap();
    assert_eq!(database.ask(sql, &[at(100.0)]).await, [9], "a stale session keeps its state");
    database.run("SET ruvector.consistency = 'fresh'").await;
    assert_eq!(database.ask(sql, &[at(100.0)]).await, [50]);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_values_are_refused_each_time() {
    let database = database(10).await;
    let sql = "SELECT id FROM knn('docs', $1, $2)";
    let k = ScalarValue::from(2_i64);
    for _ in 0..2 {
        assert_eq!(database.ask(sql, &[at(3.2), k.clone()]).await, [3, 4]);
        for (params, part) in [
            (vec![at(3.2)], "expected 2, got 1"),
            (vec![], "expected 2, got 0"),
            (vec![vector(&[1.0]), k.clone()], "knn() argument query at line 1, column 28 has the wrong dimension"),
            (vec![ScalarValue::Null, k.clone()], "got NULL"),
            (vec![ScalarValue::from("text"), k.clone()], "expected a vector of 2 numbers, got Utf8"),
            (vec![vector(&[f32::NAN, 0.0]), k.clone()], "finite"),
            (
                vec![at(1.0), ScalarValue::from(0_i64)],
                "argument k at line 1, column 32: expected an integer of at least 1",
            ),
            (vec![at(1.0), ScalarValue::from("x")], "expected an integer of at least 1, got x"),
        ] {
            let error = database.try_query(sql, &params).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
            assert!(error.to_string().contains(part), "{error} does not say {part}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_at_the_same_time_do_not_mix() {
    let database = Arc::new(database(200).await);
    database.run("CREATE INDEX docs_vec ON docs (vec)").await;
    let tasks: Vec<_> = (0..8)
        .map(|task| {
            let database = Arc::clone(&database);
            tokio::spawn(async move {
                for i in 0..50_i64 {
                    let id = (task * 50 + i * 7) % 200;
                    let got = database.ask("SELECT id FROM knn('docs', $1, 1)", &[at(id as f32)]).await;
                    assert_eq!(got, [id]);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_differs_each_time_is_computed_each_time() {
    let database = database(10).await;
    let sql = "SELECT CAST(random() * 1e15 AS BIGINT) FROM knn('docs', $1, 1)";
    assert_ne!(database.ask(sql, &[at(1.0)]).await, database.ask(sql, &[at(1.0)]).await);
    let now = "SELECT CAST(now() AS BIGINT) FROM knn('docs', $1, 1)";
    assert_ne!(database.ask(now, &[at(1.0)]).await, database.ask(now, &[at(1.0)]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_in_memory_and_several_backends() {
    let database = database(10).await;
    for (backend, id) in [("hot", 100_i64), ("warm", 200)] {
        let local = LocalBackend::new(backend);
        let rows = database.query(&format!("SELECT {id} AS id, tag, vec FROM docs WHERE id = 4")).await;
        local.put("docs", rows[0].schema(), &rows).unwrap();
        database.engine.add_backend(Arc::new(local)).unwrap();
    }
    let sql = "SELECT id FROM knn('docs', $1, 2, backends => ['hot', 'warm', 'main']) ORDER BY _distance, id";
    for _ in 0..2 {
        assert_eq!(database.ask("SELECT id FROM knn('hot.docs', $1, 3)", &[at(4.0)]).await, [100]);
        assert_eq!(database.ask(sql, &[at(9.0)]).await, [9, 8]);
        assert_eq!(database.ask(sql, &[at(0.0)]).await, [0, 1]);
    }
}

/// Vectors as one parameter.
fn matrix(rows: &[&[f32]]) -> ScalarValue {
    let rows: Vec<ScalarValue> = rows.iter().map(|row| vector(row)).collect();
    let of_rows = rows[0].data_type();
    ScalarValue::List(ScalarValue::new_list(&rows, &of_rows, true))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_vectors_is_a_parameter() {
    let database = database(40).await;
    let sql = "SELECT id, query_index FROM knn_batch('docs', $1, 2) ORDER BY query_index, _distance";
    for index in [false, true] {
        if index {
            database.run("CREATE INDEX docs_vec ON docs (vec)").await;
        }
        for at in [3.2_f32, 20.8] {
            let near = if at < 10.0 { [3, 4] } else { [21, 20] };
            let got = database.ask(sql, &[matrix(&[&[at, 0.0], &[39.0, 0.0], &[at, 0.0]])]).await;
            assert_eq!(got, [near[0], near[1], 39, 38, near[0], near[1]]);
            assert_eq!(database.ask(sql, &[matrix(&[&[at, 0.0]])]).await, near);
            let filtered = "SELECT id FROM knn_batch('docs', $1, 1, filter => tag = 0)";
            assert_eq!(database.ask(filtered, &[matrix(&[&[at, 0.0]])]).await, [near[0] / 3 * 3]);
        }
        for (value, part) in [
            (
                matrix(&[&[1.0]]),
                "knn_batch() argument queries at line 1, column 47 has the wrong dimension: expected 2, got 1",
            ),
            (at(1.0), "expected an array of vectors, got"),
            (ScalarValue::from("x"), "expected an array of vectors, got Utf8"),
            (matrix(&[&[f32::INFINITY, 1.0]]), "finite"),
        ] {
            let error = database.try_query(sql, &[value]).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
            assert!(error.to_string().contains(part), "{error} does not say {part}");
        }
        assert!(database.ask(sql, &[ScalarValue::Null]).await.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_types_of_parameters_are_known_by_where_they_stand() {
    let database = database(3).await;
    let vector = "FixedSizeList(2 x Float32)";
    for (sql, types) in [
        ("SELECT id FROM docs ORDER BY l2_distance(vec, ?) LIMIT ?", &[vector, "Int64"][..]),
        ("SELECT id FROM docs ORDER BY vec <=> ? LIMIT 3 OFFSET ?", &[vector, "Int64"]),
        ("SELECT cosine_distance(?, d.vec) FROM docs AS d WHERE d.tag = ?", &[vector, "Int64"]),
        ("SELECT id FROM knn('docs', ?, ?)", &[vector, "Int64"]),
        ("SELECT id FROM knn('docs', [?, ?], 3)", &["Float32", "Float32"]),
        ("SELECT id FROM knn('docs', CAST(? AS FLOAT[2]), 3)", &["Utf8"]),
        ("INSERT INTO docs VALUES (?, ?, CAST(? AS FLOAT[2]))", &["Int64", "Int64", "Utf8"]),
        ("SELECT CAST(? AS VARCHAR), ?::BIGINT, lower(?)", &["Utf8", "Int64", "Utf8"]),
        ("SELECT id FROM knn('docs', embed(?), 3)", &["Utf8"]),
        // What is known is not guessed.
        (
            "SELECT 1 FROM docs WHERE id = ? AND lower(?) = 'a' AND tag IN (SELECT tag FROM docs LIMIT ?)",
            &["Int64", "Utf8", "Int64"],
        ),
        ("SELECT ?", &["Null"]),
    ] {
        let prepared = database.engine.prepare(&database.session, sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
        let found: Vec<_> = prepared
            .parameters
            .fields()
            .iter()
            .map(|field| field.data_type().to_string().replace("nullable ", ""))
            .collect();
        assert_eq!(found, types, "{sql}");
    }
    // Text is cast to a vector, and a vector stays one.
    let sql = "SELECT id FROM knn('docs', CAST(? AS FLOAT[2]), 1)";
    assert_eq!(database.ask(sql, &["[2.1, 0.0]".into()]).await, [2]);
    assert_eq!(database.ask(sql, &[at(0.9)]).await, [1]);
}
