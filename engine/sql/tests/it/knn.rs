//! `knn()` as a relation: arguments, parameters, subqueries, filters; one answer whatever the optimizer does.

use std::fmt::Write;

use datafusion::scalar::ScalarValue;
use ruvector_sql::ErrorKind;

use crate::support::{Database, distances, ids, vector};

const SEED: u64 = 7;

/// 300 rows in three files: `id`, `tag` (id modulo 10), `vec` of 8 seeded coordinates.
async fn database() -> Database {
    let database = Database::temporary().await;
    database.run("CREATE TABLE docs (id BIGINT, tag BIGINT, vec FLOAT[8])").await;
    let mut state = SEED;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f64::from(u32::try_from(state >> 40).unwrap()) / f64::from(1 << 24) - 0.5
    };
    for file in 0..3 {
        let mut sql = "INSERT INTO docs VALUES ".to_owned();
        for row in 0..100 {
            let id = file * 100 + row;
            let values: Vec<String> = (0..8).map(|_| format!("{:.6}", next())).collect();
            let comma = if row == 0 { "" } else { ", " };
            write!(sql, "{comma}({id}, {}, [{}])", id % 10, values.join(", ")).unwrap();
        }
        assert_eq!(database.run(&sql).await, 100);
    }
    database
}

const QUERY: [f32; 8] = [0.1, -0.2, 0.3, 0.0, 0.25, -0.4, 0.05, 0.15];

fn literal() -> String {
    format!("{QUERY:?}")
}

/// Distances sorted by `ORDER BY`: what every form must answer.
async fn oracle(database: &Database, filter: &str, k: usize) -> Vec<i64> {
    let q = literal();
    database.ids(&format!("SELECT id FROM docs {filter} ORDER BY l2_distance(vec, {q}), id LIMIT {k}")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_form_of_the_query_gives_the_exact_answer() {
    let database = database().await;
    let q = literal();
    let expected = oracle(&database, "", 10).await;
    database.run("CREATE TABLE queries (name VARCHAR, v FLOAT[8])").await;
    database.run(&format!("INSERT INTO queries VALUES ('a', {q}), ('b', NULL)")).await;
    for index in [false, true] {
        if index {
            database
                .run("CREATE INDEX docs_vec ON docs USING rabitq_plus (vec) WITH (seed = 3, rerank_factor = 5)")
                .await;
        }
        for relation in [
            format!("knn('docs', {q}, 10)"),
            format!("knn(docs, {q}, 10)"),
            format!("KNN('main.docs', {q}, 10)"),
            format!("knn('ruvector.main.docs', {q}, k => 10)"),
            format!("knn(table => 'docs', query => {q}, k => 10)"),
            format!("knn('docs', {q}, 10, metric => 'l2', column => vec, rerank => 1)"),
            format!("knn('docs', {q}, 10, metric => 'l2', column => vec, rerank_factor => 1)"),
            format!("knn('docs', {q}, 10, exact => true)"),
            "knn('docs', (SELECT v FROM queries WHERE name = 'a'), 10)".to_owned(),
            format!("knn((SELECT * FROM docs), {q}, 10)"),
            format!("knn('docs', CAST({q} AS DOUBLE[]), 5 + 5) AS nearest"),
        ] {
            assert_eq!(
                database.ids(&format!("SELECT id FROM {relation}")).await,
                expected,
                "{relation}, index: {index}"
            );
        }
        let params = [vector(&QUERY), ScalarValue::from(10_i64)];
        for sql in ["SELECT id FROM knn('docs', $1, $2)", "SELECT id FROM knn('docs', ?, ?)"] {
            assert_eq!(ids(&database.try_query(sql, &params).await.unwrap()), expected, "{sql}, index: {index}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_distance_is_what_the_sql_function_says() {
    let database = database().await;
    let q = literal();
    for (metric, function) in [
        ("l2", "l2_distance(vec, $q)"),
        ("cosine", "cosine_distance(vec, $q)"),
        ("inner_product", "-inner_product(vec, $q)"),
    ] {
        let function = function.replace("$q", &q);
        let exact = database.query(&format!("SELECT id, {function} FROM docs ORDER BY 2, id LIMIT 10")).await;
        let name = format!("docs_{metric}");
        database.run(&format!("CREATE INDEX {name} ON docs USING rabitq_plus (vec) WITH (metric = '{metric}')")).await;
        let sql = format!("SELECT id, _distance FROM knn('docs', {q}, 10, metric => '{metric}')");
        let found = database.query(&sql).await;
        assert_eq!(ids(&found), ids(&exact), "{metric}");
        assert_eq!(distances(&found), distances(&exact), "{metric}");
        let explained = format!("{:?}", database.query(&format!("EXPLAIN {sql}")).await);
        assert!(explained.contains(&format!("index={name}")), "{explained}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_is_the_same_with_all_optimizer_rules_off() {
    let database = database().await;
    database.run("CREATE INDEX docs_vec ON docs USING rabitq_plus (vec)").await;
    database.run("CREATE TABLE other (id BIGINT, name VARCHAR)").await;
    database.run("INSERT INTO other VALUES (5, 'five'), (17, 'seventeen')").await;
    let q = literal();
    let statements = [
        format!("SELECT id, _distance FROM knn('docs', {q}, 10) WHERE tag = 3"),
        format!("SELECT id, _distance FROM knn('docs', {q}, 10, filter => tag IN (3, 4)) WHERE _distance < 0.9"),
        format!("SELECT id, _distance FROM (SELECT * FROM knn('docs', {q}, 50)) WHERE tag = 3"),
        format!("SELECT n.id, n._distance FROM knn('docs', {q}, 300) n JOIN other o ON n.id = o.id WHERE o.id = 5"),
        format!("SELECT n.id, n._distance FROM knn('docs', {q}, 3) n JOIN other o ON n.id = o.id WHERE o.id = 5"),
        "SELECT id, _distance FROM knn('docs', (SELECT vec FROM docs WHERE id = 42), 4)".to_owned(),
        format!("SELECT tag, count(*) FROM knn('docs', {q}, 40) GROUP BY tag ORDER BY tag"),
        format!("SELECT id, _distance FROM knn('docs', {q}, 10) ORDER BY _distance DESC LIMIT 3"),
    ];
    let plain = database.engine.session();
    let off = Database { engine: database.engine.clone(), session: plain };
    off.without_optimizer_rules();
    for sql in statements {
        let (with, without) = (database.query(&sql).await, off.query(&sql).await);
        let text = |batches: &[arrow::array::RecordBatch]| {
            arrow::util::pretty::pretty_format_batches(batches).unwrap().to_string()
        };
        assert_eq!(text(&with), text(&without), "{sql}");
        assert!(
            with.iter().map(arrow::array::RecordBatch::num_rows).sum::<usize>() > 0 || sql.contains(", 3) n JOIN"),
            "{sql}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_still_returns_k_rows() {
    let database = database().await;
    let q = literal();
    for index in [false, true] {
        if index {
            database.run("CREATE INDEX docs_vec ON docs USING rabitq_plus (vec)").await;
        }
        let expected = oracle(&database, "WHERE tag = 3 AND id > 50", 10).await;
        assert_eq!(expected.len(), 10);
        for sql in [
            format!("SELECT id FROM knn('docs', {q}, 10) WHERE tag = 3 AND id > 50"),
            format!("SELECT n.id FROM knn('docs', {q}, 10) AS n WHERE n.tag = 3 AND n.id > 50"),
            format!("SELECT id FROM knn('docs', {q}, 10, filter => tag = 3 AND id > 50)"),
            format!("SELECT id FROM knn('docs', {q}, 10, filter => tag = 3) WHERE id > 50"),
            format!("SELECT id FROM knn((SELECT * FROM docs WHERE tag = 3), {q}, 10) WHERE id > 50"),
        ] {
            assert_eq!(database.ids(&sql).await, expected, "{sql}, index: {index}");
        }
        let params = [ScalarValue::from(3_i64), vector(&QUERY)];
        let sql = "SELECT id FROM knn('docs', $2, 10) WHERE tag = $1 AND id > 50";
        assert_eq!(ids(&database.try_query(sql, &params).await.unwrap()), expected);
    }
}

/// Without optimizer rules DataFusion runs no `IN (SELECT ...)` at all, so this form is tested with them only.
#[tokio::test(flavor = "multi_thread")]
async fn a_filter_may_hold_a_subquery() {
    let database = database().await;
    let q = literal();
    let filter = "WHERE id IN (SELECT id FROM docs WHERE tag < 5)";
    let expected = oracle(&database, filter, 10).await;
    assert_eq!(database.ids(&format!("SELECT id FROM knn('docs', {q}, 10) {filter}")).await, expected);
    let correlated = format!(
        "SELECT id FROM knn('docs', {q}, 10) n WHERE EXISTS (SELECT 1 FROM docs d WHERE d.id = n.id AND d.tag = 3)"
    );
    let (kind, message) = database.error(&correlated).await;
    assert_eq!(kind, ErrorKind::InvalidInput);
    assert!(message.contains("filter =>"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_on_the_distance_is_a_range_search() {
    let database = database().await;
    let q = literal();
    let radius = 0.6;
    let expected = oracle(&database, &format!("WHERE tag < 5 AND l2_distance(vec, {q}) < {radius}"), 300).await;
    assert!((2..100).contains(&expected.len()), "{}", expected.len());
    let sql = format!("SELECT id FROM knn('docs', {q}, 300) WHERE _distance < {radius} AND tag < 5");
    assert_eq!(database.ids(&sql).await, expected);
    let (kind, message) =
        database.error(&format!("SELECT id FROM knn('docs', {q}, 3) WHERE _distance < 1 OR tag = 1")).await;
    assert_eq!(kind, ErrorKind::InvalidInput);
    assert!(message.contains(" at line 1, column ") && message.contains("mixes _distance"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn prepared_parameters_have_the_types_that_their_places_ask_for() {
    let database = database().await;
    let prepared =
        database.engine.prepare(&database.session, "SELECT id FROM knn('docs', ?, ?) WHERE tag = ?").await.unwrap();
    let types: Vec<String> = prepared.parameters.fields().iter().map(|field| field.data_type().to_string()).collect();
    assert_eq!(types.len(), 3);
    assert!(types[0].starts_with("FixedSizeList(8"), "{types:?}");
    assert_eq!(&types[1..], ["Int64", "Int64"]);
    assert_eq!(prepared.schema.unwrap().field(0).name(), "id");
    let insert = database.engine.prepare(&database.session, "INSERT INTO docs VALUES (?, ?, ?)").await.unwrap();
    assert!(insert.schema.is_none());
    assert_eq!(insert.parameters.fields().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn null_vectors_are_never_an_answer() {
    let database = database().await;
    database.run("INSERT INTO docs (id, tag) VALUES (1000, 3)").await;
    let sql = format!("SELECT id FROM knn('docs', {}, 1000)", literal());
    assert_eq!(database.ids(&sql).await.len(), 300);
    database.run("CREATE INDEX docs_vec ON docs USING rabitq_plus (vec)").await;
    assert_eq!(database.ids(&sql).await.len(), 300);
}
