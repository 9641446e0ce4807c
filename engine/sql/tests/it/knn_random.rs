//! `knn()` answers what sorting all rows answers, whatever the filter, the index, and the optimizer's rules.

use std::collections::HashMap;
use std::sync::Arc;

use crate::random_tables::{FILTERS, Random, assert_same, database, explained, pairs};
use crate::support::Database;

/// Metrics, and the SQL expression of their `_distance`.
const METRICS: [(&str, &str); 3] = [
    ("l2", "l2_distance(vec, $q)"),
    ("cosine", "cosine_distance(vec, $q)"),
    ("inner_product", "-inner_product(vec, $q)"),
];

/// Ways to write a search, with `$a` its arguments, `$c` the condition on rows and `$r` the one on the distance.
const FORMS: [&str; 7] = [
    "SELECT id, _distance FROM knn('mem.docs', $a) WHERE ($c) AND $r $o",
    "SELECT n.id, n._distance FROM knn('mem.docs', $a) AS n WHERE $r AND ($c) $o",
    "SELECT id, _distance FROM knn('mem.docs', $a, filter => $c) WHERE $r $o",
    "SELECT id, _distance FROM knn('mem.docs', $a, filter => id >= 0) WHERE ($c) AND $r $o",
    "SELECT id, _distance FROM knn((SELECT * FROM mem.docs WHERE $c), $a) WHERE $r $o",
    "SELECT id, _distance FROM (SELECT * FROM knn('mem.docs', $a, filter => $c)) WHERE $r $o",
    "SELECT id, _distance FROM knn_batch('mem.docs', (SELECT CAST($q AS FLOAT[4]) AS v), $n, filter => $c) WHERE $r $o",
];

/// Kinds of indexes whose answers are exact: one that looks into all of its lists, and one that reranks.
const KINDS: [&str; 3] =
    ["rabitq_plus (vec) WITH (", "flat (vec) WITH (", "ivf_rabitq (vec) WITH (nlist = 4, nprobe = 4, "];

#[tokio::test(flavor = "multi_thread")]
async fn a_search_answers_what_sorting_all_rows_answers() {
    let (mut cases, mut found, mut by_index) = (0, 0, 0);
    for seed in 101..=124_u64 {
        let mut random = Random(seed);
        let num_rows = random.one_of(&[0, 1, 7, 60, 300, 3000]);
        let nulls = random.one_of(&[0, 0, 5, 60]);
        let database = database(&mut random, num_rows, nulls).await;
        let exact = Database { engine: Arc::clone(&database.engine), session: database.engine.session() };
        exact.run("SET ruvector.use_index = false").await;
        let bare = Database { engine: Arc::clone(&database.engine), session: database.engine.session() };
        bare.without_optimizer_rules();
        let indexed = num_rows > 0 && random.below(3) > 0;
        if indexed {
            for (metric, _) in METRICS {
                let kind = random.one_of(&KINDS);
                database.run(&format!("CREATE INDEX by_{metric} ON mem.docs USING {kind}metric = '{metric}')")).await;
            }
        }
        for _ in 0..90 {
            let (metric, distance) = random.one_of(&METRICS);
            let query = format!("{:?}", random.vector());
            let distance = distance.replace("$q", &query);
            let condition = random.one_of(&FILTERS).trim_start_matches("WHERE ");
            let condition = if condition.is_empty() { "true" } else { condition };
            let k = random.one_of(&[1, 2, 10, 100, 5000]);
            let range = random.one_of(&["true", "true", "_distance < 1.5", "_distance >= -2.0 AND _distance <= 0.75"]);
            let order = random.one_of(&[
                "ORDER BY _distance",
                "ORDER BY _distance OFFSET 1",
                "ORDER BY _distance LIMIT 5 OFFSET 2",
            ]);
            let exactly = if random.below(5) == 0 { ", exact => true" } else { "" };
            let arguments = format!("{query}, {k}, metric => '{metric}'{exactly}");
            let form = random.one_of(&FORMS);
            let sql = form
                .replace("$a", &arguments)
                .replace("$n", &format!("{k}, metric => '{metric}'{exactly}"))
                .replace("$q", &query)
                .replace("$c", condition)
                .replace("$r", range)
                .replace("$o", order);
            let what = format!("seed {seed}, {num_rows} rows: {sql}");
            let nearest = format!(
                "SELECT id, {distance} AS _distance FROM mem.docs WHERE vec IS NOT NULL AND ({condition}) \
                 ORDER BY _distance LIMIT {k}"
            );
            let oracle = format!("SELECT * FROM ({nearest}) WHERE {range} {order}");
            let all: HashMap<_, _> =
                pairs(&exact, &format!("SELECT id, {distance} FROM mem.docs WHERE {condition}"), &[])
                    .await
                    .into_iter()
                    .collect();
            let (answers, expected) = (pairs(&database, &sql, &[]).await, pairs(&exact, &oracle, &[]).await);
            assert_same(&answers, &expected, &all, &what);
            assert!(!explained(&exact, &oracle).await.contains("Knn"), "{what}");
            by_index += usize::from(explained(&database, &sql).await.contains("index=by_"));
            // Without rules DataFusion runs no IN (SELECT ...).
            if !condition.contains("SELECT") {
                assert_same(&pairs(&bare, &sql, &[]).await, &expected, &all, &format!("no rules, {what}"));
            }
            (cases, found) = (cases + 1, found + answers.len());
        }
    }
    assert_eq!(cases, 24 * 90);
    println!("{cases} cases, {by_index} by an index, {found} answers");
    assert!(by_index > cases / 4 && found > cases, "{by_index} of {cases} cases by an index, {found} answers");
}
