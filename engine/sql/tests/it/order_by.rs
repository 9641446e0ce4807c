//! `ORDER BY distance LIMIT k` answers the same whether it is a search or a sort of all rows.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::scalar::ScalarValue;

use crate::random_tables::{FILTERS, Random, assert_same, database, explained, pairs};
use crate::support::{Database, vector};

/// Expressions, and the direction in which nearer is first.
const ORDERS: [(&str, &str); 7] = [
    ("l2_distance(vec, $q)", "ASC"),
    ("l2_distance($q, d.vec)", "ASC"),
    ("cosine_distance(vec, $q)", "ASC"),
    ("inner_product(vec, $q)", "DESC"),
    ("-inner_product(d.vec, $q)", "ASC"),
    ("array_distance(vec, $q)", "ASC"),
    ("l2_distance(vec, CAST(NULL AS FLOAT[4]))", "ASC"),
];

/// Ways to write it, with `$e` the expression, `$f` the filter and `$o` the ORDER BY's direction and LIMIT.
const FORMS: [&str; 6] = [
    "SELECT id, $e AS far FROM mem.docs d $f ORDER BY far $o",
    "SELECT id, $e FROM mem.docs d $f ORDER BY $e $o",
    "SELECT id, far FROM (SELECT *, $e AS far FROM mem.docs d $f) x ORDER BY far $o",
    "SELECT * FROM (SELECT id, $e AS far, name FROM mem.docs AS d $f ORDER BY far $o) y",
    "WITH near AS (SELECT * FROM mem.docs d $f) SELECT id, $e AS far FROM near d ORDER BY $e $o",
    "SELECT id, far FROM (SELECT id, $e AS far, vec FROM (SELECT * FROM mem.docs) d $f) z ORDER BY z.far $o",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_search_answers_what_sorting_all_rows_answers() {
    let mut cases = 0;
    for seed in 1..=24_u64 {
        let mut random = Random(seed);
        let num_rows = random.one_of(&[0, 1, 7, 60, 300, 3000]);
        let nulls = random.one_of(&[0, 0, 5, 60]);
        let database = database(&mut random, num_rows, nulls).await;
        let exact = Database { engine: Arc::clone(&database.engine), session: database.engine.session() };
        exact.run("SET ruvector.use_index = false").await;
        if random.below(3) > 0 {
            for metric in ["l2", "cosine", "inner_product"] {
                let kind = random.one_of(&["rabitq_plus", "flat", "rabitq_plus"]);
                database
                    .run(&format!("CREATE INDEX by_{metric} ON mem.docs USING {kind} (vec) WITH (metric = '{metric}')"))
                    .await;
            }
        }
        for _ in 0..90 {
            let (expr, direction) = random.one_of(&ORDERS);
            let expr = expr.replace("$q", &format!("{:?}", random.vector()));
            let filter = random.one_of(&FILTERS);
            let k = random.one_of(&[1, 2, 10, 100, 5000]);
            let offset = random.one_of(&["", "", " OFFSET 1", " OFFSET 13"]);
            let nulls = random.one_of(&["", " NULLS FIRST", " NULLS LAST"]);
            let order = format!("{direction}{nulls} LIMIT {k}{offset}");
            let form = random.one_of(&FORMS);
            let sql = form.replace("$e", &expr).replace("$f", filter).replace("$o", &order);
            let what = format!("seed {seed}, {num_rows} rows: {sql}");
            let all: HashMap<_, _> =
                pairs(&exact, &format!("SELECT id, {expr} FROM mem.docs d {filter}"), &[]).await.into_iter().collect();
            let (answers, expected) = (pairs(&database, &sql, &[]).await, pairs(&exact, &sql, &[]).await);
            assert_same(&answers, &expected, &all, &what);
            let plan = explained(&database, &sql).await;
            assert!(plan.contains("KnnExec"), "{what}: {plan}");
            assert!(!explained(&exact, &sql).await.contains("KnnExec"), "{what}");
            cases += 1;
        }
    }
    assert_eq!(cases, 24 * 90);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_is_the_same_with_every_optimizer_rule_off() {
    let mut random = Random(99);
    let database = database(&mut random, 500, 5).await;
    database.run("CREATE INDEX near ON mem.docs (vec)").await;
    let bare = Database { engine: Arc::clone(&database.engine), session: database.engine.session() };
    bare.without_optimizer_rules();
    for form in FORMS {
        let expr = format!("l2_distance(d.vec, {:?})", random.vector());
        let filter = random.one_of(&["", "WHERE tag < 300", "WHERE name = 'n3'"]);
        let sql = form.replace("$e", &expr).replace("$f", filter).replace("$o", "LIMIT 12 OFFSET 3");
        let all: HashMap<_, _> =
            pairs(&database, &format!("SELECT id, {expr} FROM mem.docs d {filter}"), &[]).await.into_iter().collect();
        let (answers, expected) = (pairs(&bare, &sql, &[]).await, pairs(&database, &sql, &[]).await);
        assert_same(&answers, &expected, &all, &sql);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_and_subqueries_are_searched_for_too() {
    let mut random = Random(5);
    let database = database(&mut random, 200, 0).await;
    database.run("CREATE INDEX near ON mem.docs (vec)").await;
    let query = random.vector();
    let sql = "SELECT id, l2_distance(vec, $1) AS far FROM mem.docs WHERE tag < $2 ORDER BY far LIMIT $3";
    let params = [vector(&query), ScalarValue::from(500_i64), ScalarValue::from(5_i64)];
    let by_parameter = pairs(&database, sql, &params).await;
    let by_literal = sql.replace("$1", &format!("{query:?}")).replace("$2", "500").replace("$3", "5");
    assert_eq!(by_parameter, pairs(&database, &by_literal, &[]).await);
    assert_eq!(by_parameter.len(), 5);
    let by_subquery = "SELECT id, l2_distance(vec, (SELECT vec FROM mem.docs WHERE id = 42)) AS far FROM mem.docs ORDER BY far LIMIT 3";
    assert!(explained(&database, by_subquery).await.contains("index=near"));
    assert_eq!(pairs(&database, by_subquery, &[]).await[0], (42, Some(0.0)));
}

/// Queries that only look like a search keep their plan.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_search_is_left_alone() {
    let mut random = Random(6);
    let database = database(&mut random, 100, 0).await;
    database.run("CREATE INDEX near ON mem.docs (vec)").await;
    let q = "[1.0, 0.0, 0.0, 0.0]";
    for sql in [
        format!("SELECT id FROM mem.docs ORDER BY l2_distance(vec, {q})"),
        format!("SELECT id FROM mem.docs ORDER BY l2_distance(vec, {q}) DESC LIMIT 3"),
        format!("SELECT id FROM mem.docs ORDER BY inner_product(vec, {q}) ASC LIMIT 3"),
        format!("SELECT id FROM mem.docs ORDER BY l2_distance(vec, {q}), id LIMIT 3"),
        format!("SELECT id FROM mem.docs ORDER BY l2_distance(vec, {q}) + 1 LIMIT 3"),
        "SELECT id FROM mem.docs ORDER BY l2_distance(vec, vec) LIMIT 3".to_owned(),
        format!("SELECT DISTINCT id, l2_distance(vec, {q}) AS far FROM mem.docs ORDER BY far LIMIT 3"),
        format!("SELECT a.id FROM mem.docs a JOIN mem.docs b ON a.id = b.id ORDER BY l2_distance(a.vec, {q}) LIMIT 3"),
        format!(
            "SELECT count(*) AS far FROM mem.docs GROUP BY l2_distance(vec, {q}) ORDER BY l2_distance(vec, {q}) LIMIT 3"
        ),
    ] {
        assert!(!explained(&database, &sql).await.contains("KnnExec"), "{sql}");
        database.query(&sql).await;
    }
}

/// The vector column is not read again, nor is the order made again, where the search has both.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_computed_twice() {
    let mut random = Random(7);
    let database = database(&mut random, 100, 0).await;
    database.run("CREATE INDEX near ON mem.docs (vec)").await;
    let sql = "SELECT id, l2_distance(vec, [1.0, 0.0, 0.0, 0.0]) AS far FROM mem.docs ORDER BY far LIMIT 3";
    let plan = explained(&database, sql).await;
    assert!(plan.contains("columns=[id, _distance]"), "{plan}");
    assert!(!plan.contains("SortExec"), "{plan}");
}
