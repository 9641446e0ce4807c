//! Many searches in one statement: `knn_batch()` and LATERAL `knn()`.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Float32Type, Int64Type};
use datafusion::scalar::ScalarValue;
use ruvector_sql::ErrorKind;

use crate::support::Database;

/// 400 documents in two files, some without a vector, and 30 queries, two of them NULL.
async fn database() -> Database {
    let database = Database::temporary().await;
    database.run("CREATE TABLE docs (id BIGINT, tag BIGINT, vec FLOAT[3])").await;
    let vector = |x: &str| format!("[sin({x} * 1.7), cos({x} * 0.9), sin({x} * 0.3 + 1.0)]");
    for (start, end) in [(0, 199), (200, 399)] {
        let rows = database
            .run(&format!(
                "INSERT INTO docs SELECT value, value % 10, CASE WHEN value % 40 = 7 THEN NULL ELSE \
                 arrow_cast({}, 'FixedSizeList(3, Float32)') END FROM generate_series({start}, {end})",
                vector("value")
            ))
            .await;
        assert_eq!(rows, 200);
    }
    database.run("CREATE TABLE queries (id BIGINT, name VARCHAR, v FLOAT[3])").await;
    database
        .run(&format!(
            "INSERT INTO queries SELECT value, 'q' || value, CASE WHEN value % 15 = 4 THEN NULL ELSE \
             arrow_cast({}, 'FixedSizeList(3, Float32)') END FROM generate_series(1, 30)",
            vector("(value + 0.37)")
        ))
        .await;
    database
}

/// (query id, document id, distance), as they came.
fn triples(batches: &[RecordBatch]) -> Vec<(i64, Option<i64>, Option<f32>)> {
    let of_batch = |batch: &RecordBatch| {
        let queries = batch.column(0).as_primitive::<Int64Type>().clone();
        let found = batch.column(1).as_primitive::<Int64Type>().clone();
        let distances = batch.column(2).as_primitive::<Float32Type>().clone();
        (0..batch.num_rows())
            .map(|row| {
                let some = found.is_valid(row).then(|| found.value(row));
                (queries.value(row), some, distances.is_valid(row).then(|| distances.value(row)))
            })
            .collect::<Vec<_>>()
    };
    batches.iter().flat_map(of_batch).collect()
}

/// The answers of one search after another.
async fn one_by_one(database: &Database, k: usize, filter: &str) -> Vec<(i64, Option<i64>, Option<f32>)> {
    let mut expected = Vec::new();
    for query in database.ids("SELECT id FROM queries WHERE v IS NOT NULL ORDER BY id").await {
        let sql = format!(
            "SELECT CAST({query} AS BIGINT), id, _distance \
             FROM knn('docs', (SELECT v FROM queries WHERE id = {query}), {k}) {filter}"
        );
        expected.extend(triples(&database.query(&sql).await));
    }
    expected
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_answers_what_its_queries_answer_one_by_one() {
    let database = database().await;
    for index in [false, true] {
        if index {
            database.run("CREATE INDEX near ON docs (vec)").await;
        }
        for k in [1, 5, 600] {
            let expected = one_by_one(&database, k, "").await;
            assert_eq!(expected.len(), 28 * k.min(390));
            for sql in [
                format!(
                    "SELECT query_id, id, _distance FROM knn_batch('docs', (SELECT * FROM queries ORDER BY id LIMIT 99), {k})"
                ),
                format!(
                    "SELECT b.query_id, b.id, b._distance FROM KNN_BATCH(docs, (SELECT v, id FROM queries ORDER BY id LIMIT 99), {k}) b"
                ),
                format!(
                    "SELECT q.id, n.id, n._distance FROM (SELECT * FROM queries ORDER BY id LIMIT 99) q CROSS JOIN LATERAL knn('docs', q.v, {k}) AS n"
                ),
                format!(
                    "SELECT q.id, n.id, n._distance FROM (SELECT * FROM queries ORDER BY id LIMIT 99) q, LATERAL knn('docs', q.v, {k}) n"
                ),
                format!(
                    "SELECT q.id, n.id, d FROM (SELECT * FROM queries ORDER BY id LIMIT 99) q JOIN LATERAL (SELECT id, _distance AS d FROM knn('docs', q.v, {k})) n ON true"
                ),
            ] {
                let mut got = triples(&database.query(&sql).await);
                // Some joins may be made in any order.
                got.sort_by(|a, b| a.0.cmp(&b.0).then(a.2.partial_cmp(&b.2).unwrap()).then(a.1.cmp(&b.1)));
                let mut expected = expected.clone();
                expected.sort_by(|a, b| a.0.cmp(&b.0).then(a.2.partial_cmp(&b.2).unwrap()).then(a.1.cmp(&b.1)));
                assert_eq!(got, expected, "{sql}, index: {index}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_outer_joins_and_the_optimizer_change_nothing_else() {
    let database = database().await;
    database.run("CREATE INDEX near ON docs (vec)").await;
    let expected = one_by_one(&database, 4, "WHERE tag = 3").await;
    let bare = Database { engine: std::sync::Arc::clone(&database.engine), session: database.engine.session() };
    bare.without_optimizer_rules();
    for database in [&database, &bare] {
        for sql in [
            "SELECT query_id, id, _distance FROM knn_batch('docs', (SELECT id, v FROM queries ORDER BY id LIMIT 99), 4, filter => tag = 3)",
            "SELECT query_id, id, _distance FROM knn_batch((SELECT * FROM docs WHERE tag = 3), (SELECT id, v FROM queries ORDER BY id LIMIT 99), 4)",
            "SELECT q.id, n.id, _distance FROM (SELECT * FROM queries ORDER BY id LIMIT 99) q CROSS JOIN LATERAL knn('docs', q.v, 4, filter => tag = 3) n",
            "SELECT q.id, n.id, _distance FROM (SELECT * FROM queries ORDER BY id LIMIT 99) q CROSS JOIN LATERAL (SELECT * FROM knn('docs', q.v, 4) WHERE tag = 3) n",
        ] {
            assert_eq!(triples(&database.query(sql).await), expected, "{sql}");
        }
        let outer = "SELECT q.id, n.id, _distance FROM (SELECT * FROM queries ORDER BY id LIMIT 99) q LEFT JOIN LATERAL knn('docs', q.v, 1, filter => tag = 3) n ON true";
        let got = triples(&database.query(outer).await);
        assert_eq!(got.len(), 30);
        assert_eq!(got.iter().filter(|(_, id, _)| id.is_none()).map(|(query, ..)| *query).collect::<Vec<_>>(), [4, 19]);
    }
    let near = "SELECT q.id, n.id, n._distance FROM queries q CROSS JOIN LATERAL (SELECT * FROM knn('docs', q.v, 20) WHERE _distance < 0.05) n";
    let all = one_by_one(&database, 20, "WHERE _distance < 0.05").await;
    assert!(!all.is_empty());
    assert_eq!(triples(&database.query(near).await).len(), all.len());
    let parameter =
        "SELECT query_id, id, _distance FROM knn_batch('docs', (SELECT id, v FROM queries WHERE id < $1), $2)";
    let params = [ScalarValue::from(3_i64), ScalarValue::from(2_i64)];
    assert_eq!(triples(&database.try_query(parameter, &params).await.unwrap()).len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_that_are_vectors_alone_are_counted() {
    let database = database().await;
    let sql =
        "SELECT query_index, id, _distance FROM knn_batch('docs', (SELECT v FROM queries ORDER BY id LIMIT 3), 1)";
    let got = triples(&database.query(sql).await);
    assert_eq!(got.iter().map(|(query, ..)| *query).collect::<Vec<_>>(), [0, 1, 2]);
    let grouped = "SELECT query_name, count(*) FROM knn_batch('docs', (SELECT name, v FROM queries), 7) GROUP BY query_name HAVING count(*) <> 7";
    assert!(database.query(grouped).await.iter().all(|batch| batch.num_rows() == 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_refused() {
    let database = database().await;
    for (sql, word) in [
        ("SELECT * FROM knn_batch('docs', [1.0, 2.0, 3.0], 4)", "expected a subquery"),
        ("SELECT * FROM knn_batch('docs', (SELECT id FROM queries), 4)", "one column of vectors"),
        ("SELECT * FROM knn_batch('docs', (SELECT v, v AS w FROM queries), 4)", "one column of vectors"),
        ("SELECT * FROM knn_batch('docs', (SELECT id, v FROM queries), 0)", "at least 1"),
        ("SELECT * FROM knn_batch('docs', (SELECT [1.0, 2.0] AS v), 4)", "expected 3, got 2"),
        ("SELECT * FROM queries q CROSS JOIN LATERAL knn('docs', q.name, 4) n", "expected a vector of 3 numbers"),
        ("SELECT * FROM queries q RIGHT JOIN LATERAL knn('docs', q.v, 4) n ON true", "RIGHT"),
        ("SELECT * FROM queries q LEFT JOIN LATERAL knn('docs', q.v, 4) n ON n.id = q.id", "ON true"),
    ] {
        let (kind, message) = database.error(sql).await;
        assert!(message.contains(word), "{sql}: {message}");
        assert!(matches!(kind, ErrorKind::InvalidInput | ErrorKind::NotSupported), "{sql}: {kind:?} {message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn recall_tells_what_an_index_finds() {
    let database = database().await;
    let (kind, message) = database.error("SELECT * FROM recall('docs', 50, 10)").await;
    assert_eq!(kind, ErrorKind::InvalidInput);
    assert!(message.contains("CREATE INDEX"), "{message}");
    database.run("CREATE INDEX near ON docs USING ivf_rabitq (vec) WITH (nlist = 20, nprobe = 1)").await;
    let recall = async |arguments: &str| {
        let batches =
            database.query(&format!("SELECT recall, queries, index, kind FROM recall('docs', {arguments})")).await;
        let batch = &batches[0];
        assert_eq!(batch.column(2).as_string::<i32>().value(0), "near");
        let recall = batch.column(0).as_primitive::<arrow::datatypes::Float64Type>().value(0);
        (recall, batch.column(1).as_primitive::<Int64Type>().value(0))
    };
    let (few, queries) = recall("50, 10").await;
    assert!((40..=50).contains(&queries), "{queries}");
    let (all, _) = recall("50, 10, nprobe => 20").await;
    assert!(few < all && (all - 1.0).abs() < 1e-9, "{few} {all}");
    assert_eq!(recall("(SELECT v FROM queries), 3, nprobe => 20, filter => tag < 5").await, (1.0, 28));
    database.run("SET ruvector.nprobe = 20").await;
    assert_eq!(recall("50, 10").await.0, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_analyze_tells_what_a_search_did() {
    let database = database().await;
    database.run("CREATE INDEX near ON docs USING ivf_rabitq (vec) WITH (nlist = 20, nprobe = 3)").await;
    database.query("SELECT id FROM knn('docs', [0.1, 0.2, 0.3], 5)").await;
    let batches = database.query("EXPLAIN ANALYZE SELECT id FROM knn('docs', [0.1, 0.2, 0.3], 5)").await;
    let text = batches[0].column(1).as_string::<i32>().value(0).to_owned();
    for word in [
        "output_rows=5",
        "lists_probed=",
        "codes_scanned=",
        "survivors=",
        "exact_distances=",
        "cache_hits=1",
        "index_bytes=",
    ] {
        assert!(text.contains(word), "{word}: {text}");
    }
    assert!(!text.contains("exact_distances=0"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_checked_listed_and_obeyed() {
    let database = database().await;
    database.run("CREATE INDEX near ON docs (vec)").await;
    let listed = database
        .query("SELECT name, value FROM information_schema.df_settings WHERE name LIKE 'ruvector.%' ORDER BY name")
        .await;
    let names: Vec<_> = listed[0].column(0).as_string::<i32>().iter().flatten().collect();
    assert_eq!(
        names,
        [
            "ruvector.consistency",
            "ruvector.nprobe",
            "ruvector.rerank_factor",
            "ruvector.statement_timeout_ms",
            "ruvector.ttl_ms",
            "ruvector.use_index"
        ]
    );
    for (sql, word) in [
        ("SET ruvector.use_index = maybe", "true or false"),
        ("SET ruvector.nprobe = 0", "at least 1"),
        ("SET ruvector.consistency = 'sometimes'", "fresh, eventual, stale"),
        ("SET ruvector.nonsense = 1", "ruvector.use_index"),
    ] {
        let (kind, message) = database.error(sql).await;
        assert!(kind == ErrorKind::InvalidInput && message.contains(word), "{sql}: {kind:?} {message}");
    }
    let plan = async || {
        let batches = database.query("EXPLAIN SELECT id FROM knn('docs', [0.1, 0.2, 0.3], 5)").await;
        batches[0].column(1).as_string::<i32>().iter().flatten().collect::<Vec<_>>().join("\n")
    };
    assert!(plan().await.contains("index=near"));
    database.run("SET ruvector.use_index = false").await;
    assert!(plan().await.contains("exact"));
    database.run("SET ruvector.use_index = true").await;
    database.run("SET ruvector.consistency = 'stale'").await;
    let before = database.ids("SELECT count(*) FROM docs").await;
    database.run("DELETE FROM docs WHERE id < 100").await;
    assert_eq!(database.ids("SELECT count(*) FROM docs").await, before, "a stale answer is what was asked for");
    database.run("SET ruvector.consistency = default").await;
    assert_eq!(database.ids("SELECT count(*) FROM docs").await, [300]);
}

/// Any DataFusion session, told once.
#[tokio::test(flavor = "multi_thread")]
async fn another_programs_session_has_the_relations_the_rules_and_the_tables() {
    let database = database().await;
    database.run("CREATE INDEX near ON docs (vec)").await;
    let context = datafusion::prelude::SessionContext::new();
    ruvector_sql::register_all(&context, &database.engine);
    let expected = database.ids("SELECT id FROM knn('docs', [0.1, 0.2, 0.3], 5)").await;
    for sql in [
        "SELECT id FROM knn('ruvector.main.docs', [0.1, 0.2, 0.3], 5)",
        "SELECT id FROM knn(ruvector.main.docs, [0.1, 0.2, 0.3], 5)",
        "SELECT id FROM knn((SELECT * FROM ruvector.main.docs), [0.1, 0.2, 0.3], 5)",
        "SELECT id FROM ruvector.main.docs ORDER BY l2_distance(vec, [0.1, 0.2, 0.3]) LIMIT 5",
    ] {
        let batches = context.sql(sql).await.unwrap().collect().await.unwrap();
        assert_eq!(crate::support::ids(&batches), expected, "{sql}");
        let plan = context.sql(&format!("EXPLAIN {sql}")).await.unwrap().to_string().await.unwrap();
        assert!(plan.contains("index=near"), "{sql}: {plan}");
    }
    let missing = context.sql("SELECT * FROM knn('nothing', [1.0], 1)").await.unwrap_err();
    assert!(missing.to_string().contains("no such table"), "{missing}");
}

/// `ORDER BY distance LIMIT k` after LATERAL is, for each row of the left, what it is by itself: NULLs are sorted too.
#[tokio::test(flavor = "multi_thread")]
async fn a_lateral_order_by_is_that_of_each_row() {
    let database = database().await;
    for index in [false, true] {
        if index {
            database.run("CREATE INDEX near ON docs (vec)").await;
            database.run("CREATE INDEX by_angle ON docs (vec) WITH (metric = 'cosine')").await;
        }
        for (key, k) in [
            ("l2_distance(d.vec, q.v)", 4),
            ("l2_distance(d.vec, q.v)", 395),
            ("cosine_distance(q.v, d.vec)", 3),
            ("inner_product(d.vec, q.v) DESC NULLS LAST", 5),
            ("l2_distance(d.vec, q.v) NULLS FIRST", 12),
        ] {
            for condition in ["", "WHERE tag = 7 "] {
                let subquery = |query: &str| {
                    let distance = key.split(" DESC").next().unwrap().split(" NULLS").next().unwrap();
                    format!("SELECT d.id, {distance} AS distance FROM docs d {condition}ORDER BY {key} LIMIT {k}")
                        .replace("q.v", query)
                };
                let lateral = subquery("q.v");
                let sql = format!("SELECT q.id, n.id, n.distance FROM queries q CROSS JOIN LATERAL ({lateral}) AS n");
                let mut got = triples(&database.query(&sql).await);
                let mut expected = Vec::new();
                for query in database.ids("SELECT id FROM queries").await {
                    let alone = subquery(&format!("(SELECT v FROM queries WHERE id = {query})"));
                    let sql = format!("SELECT CAST({query} AS BIGINT), id, distance FROM ({alone})");
                    expected.extend(triples(&database.query(&sql).await));
                }
                // Rows without a distance are any of them.
                for rows in [&mut got, &mut expected] {
                    rows.iter_mut().filter(|row| row.2.is_none()).for_each(|row| row.1 = None);
                    rows.sort_by(|a, b| a.partial_cmp(b).unwrap());
                }
                assert_eq!(got, expected, "{sql}, index: {index}");
            }
        }
    }
    database.run("SET ruvector.use_index = false").await;
    let sql = "SELECT q.id, n.id, n.s FROM queries q LEFT JOIN LATERAL (SELECT id, l2_squared(vec, q.v) AS s FROM docs \
               ORDER BY l2_squared(vec, q.v) LIMIT 1) n ON true WHERE q.id = 9";
    let expected = database.query("SELECT id FROM knn('docs', (SELECT v FROM queries WHERE id = 9), 1)").await;
    assert_eq!(triples(&database.query(sql).await)[0].1, Some(crate::support::ids(&expected)[0]));
    let (_, message) =
        database.error("SELECT * FROM queries q, LATERAL (SELECT id FROM knn('docs', q.v, 5) LIMIT 2) n").await;
    assert!(message.contains("LATERAL over a search expected knn(...)") && message.contains("Limit"), "{message}");
}
