//! Functions over vectors in queries, and what they cost.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::catalog::{CatalogProvider, MemoryCatalogProvider, MemorySchemaProvider};
use datafusion::scalar::ScalarValue;

use crate::support::{Database, distances, vector};

async fn points() -> Database {
    let database = Database::temporary().await;
    database.run("CREATE TABLE points (id BIGINT, vec FLOAT[2])").await;
    database.run("INSERT INTO points VALUES (1, [0.1, 0.2]), (2, [3.0, -4.0]), (3, [-6.0, 8.5]), (4, NULL)").await;
    database
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_of_vectors_is_not_converted() {
    let database = points().await;
    for sql in [
        "SELECT l2_distance(vec, vec), l2_squared(vec, vec), cosine_distance(vec, vec), cosine_similarity(vec, vec), \
         inner_product(vec, vec), array_distance(vec, vec) FROM points",
        "SELECT vector_norm(vec), normalize(vec), vector_dims(vec), subvector(vec, 1, 1) FROM points",
        "SELECT l2_distance(vec, [1.0, 2.0]), dot_product([1, 2], vec) FROM points",
    ] {
        let plan = database.query(&format!("EXPLAIN {sql}")).await;
        let plan = arrow::util::pretty::pretty_format_batches(&plan).unwrap().to_string();
        assert!(plan.contains("points") && !plan.to_lowercase().contains("cast("), "{plan}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parameter_of_any_kind_gives_the_distances_of_knn() {
    let database = points().await;
    let query = [0.3_f32, 0.7];
    let wide: Vec<ScalarValue> = query.iter().map(|x| ScalarValue::from(f64::from(*x))).collect();
    let wide = ScalarValue::List(ScalarValue::new_list(&wide, &DataType::Float64, true));
    for (metric, distance) in [
        ("l2", "l2_distance(vec, $1)"),
        ("cosine", "cosine_distance(vec, $1)"),
        ("inner_product", "-inner_product($1, vec)"),
    ] {
        let searched = format!("SELECT id, _distance FROM knn('points', $1, 3, metric => '{metric}') ORDER BY id");
        let searched = distances(&database.try_query(&searched, &[vector(&query)]).await.unwrap());
        let computed = format!("SELECT id, {distance} FROM points WHERE vec IS NOT NULL ORDER BY id");
        for parameter in [vector(&query), wide.clone()] {
            let computed = database.try_query(&computed, &[parameter]).await.unwrap();
            assert_eq!(distances(&computed), searched, "{metric}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_answer_alike_with_every_optimizer_rule_off() {
    let database = points().await;
    let sql = "SELECT l2_distance(vec, [1, 2]), normalize(vec), subvector(vec, 2, 1), '[1, 2]'::FLOAT[2] \
               FROM points ORDER BY id";
    let optimized = database.query(sql).await;
    database.without_optimizer_rules();
    let rows = |batches: &[_]| arrow::util::pretty::pretty_format_batches(batches).unwrap().to_string();
    assert_eq!(rows(&database.query(sql).await), rows(&optimized));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_of_the_program_is_changed_as_datafusion_changes_it() {
    let database = points().await;
    let catalog = MemoryCatalogProvider::new();
    catalog.register_schema("public", Arc::new(MemorySchemaProvider::new())).unwrap();
    database.session.context().register_catalog("mine", Arc::new(catalog));
    database.run("CREATE TABLE mine.public.near AS SELECT * FROM points WHERE id < 3").await;
    assert_eq!(database.run("INSERT INTO mine.public.near VALUES (7, [1, 1])").await, 1);
    assert_eq!(database.ids("SELECT id FROM mine.public.near ORDER BY id").await, [1, 2, 7]);
    database.run("CREATE VIEW mine.public.far AS SELECT id FROM points WHERE id >= 3").await;
    assert_eq!(database.ids("SELECT id FROM mine.public.far ORDER BY id").await, [3, 4]);
    database.run("DROP VIEW mine.public.far").await;
    database.run("DROP TABLE mine.public.near").await;
    database.error("SELECT id FROM mine.public.near").await;
}
