//! Searches and functions over vectors of every magnitude that Float32 has, against an oracle in f64.
//!
//! The square of a Float32 number overflows from 1.8e19 on, and vanishes below 1e-23. Distances do neither.

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Float32Type, Int64Type};
use ruvector_sql::ErrorKind;

use crate::random_tables::Random;
use crate::support::Database;

const METRICS: [(&str, &str); 3] = [
    ("l2", "l2_distance(vec, $q)"),
    ("inner_product", "-inner_product(vec, $q)"),
    ("cosine", "cosine_distance(vec, $q)"),
];

/// The distance as SQL has it, and the size of its terms, which what cancels out is as exact as.
fn oracle(metric: &str, a: &[f32], b: &[f32]) -> (f64, f64) {
    let pairs = || a.iter().zip(b).map(|(a, b)| (f64::from(*a), f64::from(*b)));
    let norm = |v: &[f32]| v.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    let dot: f64 = pairs().map(|(a, b)| a * b).sum();
    match metric {
        "l2" => {
            let distance = pairs().map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
            (distance, distance)
        }
        "inner_product" => (-dot, pairs().map(|(a, b)| (a * b).abs()).sum()),
        _ if norm(a) == 0.0 || norm(b) == 0.0 => (1.0, 1.0),
        _ => (1.0 - dot / (norm(a) * norm(b)), 1.0),
    }
}

fn array(vector: &[f32]) -> String {
    let numbers: Vec<String> = vector.iter().map(|value| format!("{value:e}")).collect();
    format!("[{}]", numbers.join(", "))
}

fn answers(batches: &[RecordBatch]) -> Vec<(i64, f32)> {
    let of_batch = |batch: &RecordBatch| {
        let ids = batch.column_by_name("id").unwrap().as_primitive::<Int64Type>().values().to_vec();
        let last = batch.column(batch.num_columns() - 1).as_primitive::<Float32Type>().values().to_vec();
        ids.into_iter().zip(last).collect::<Vec<_>>()
    };
    batches.iter().flat_map(of_batch).collect()
}

/// A table of vectors whose coordinates have exponents from a range of binary ones.
async fn table(random: &mut Random, exponents: &std::ops::Range<i32>, num_rows: usize) -> (Database, Vec<Vec<f32>>) {
    let span = exponents.len();
    let mut vector = || -> Vec<f32> {
        (0..5)
            .map(|_| {
                let exponent = exponents.start + i32::try_from(random.below(span)).unwrap();
                let sign = if random.below(2) == 0 { -1.0 } else { 1.0 };
                #[expect(clippy::cast_possible_truncation, reason = "exponents are those of f32")]
                let value = (sign
                    * (1.0 + f64::from(u16::try_from(random.below(999)).unwrap()) / 1000.0)
                    * 2_f64.powi(exponent)) as f32;
                value
            })
            .collect()
    };
    let rows: Vec<Vec<f32>> = (0..num_rows).map(|_| vector()).collect();
    let database = Database::temporary().await;
    database.run("CREATE TABLE docs (id BIGINT, vec FLOAT[5])").await;
    let values: Vec<String> = rows.iter().enumerate().map(|(id, row)| format!("({id}, {})", array(row))).collect();
    database.run(&format!("INSERT INTO docs VALUES {}", values.join(", "))).await;
    (database, rows)
}

/// Holds an answer against the oracle: `k` rows, each with its own distance, in order, and none nearer left out.
fn check(got: &[(i64, f32)], rows: &[Vec<f32>], query: &[f32], metric: &str, k: usize, what: &str) {
    assert_eq!(got.len(), k.min(rows.len()), "{what}");
    let mut all: Vec<f64> = rows.iter().map(|row| oracle(metric, row, query).0).collect();
    all.sort_by(f64::total_cmp);
    for (rank, (id, distance)) in got.iter().enumerate() {
        let (expected, size) = oracle(metric, &rows[usize::try_from(*id).unwrap()], query);
        let tolerance = 1e-5 * size + 1e-44;
        // What no Float32 holds is infinite.
        let held = expected.abs() <= f64::from(f32::MAX);
        if held {
            assert!(
                (f64::from(*distance) - expected).abs() <= tolerance,
                "{what}: id {id}, expected {expected:e}, got {distance:e}"
            );
        }
        assert!(expected <= all[rank] + tolerance, "{what}: rank {rank} is {:e} away, got {expected:e}", all[rank]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_search_finds_the_nearest_at_every_magnitude() {
    let seed = 20_261_129;
    let mut random = Random(seed);
    for exponents in [-149..-140, -120..-110, -75..-60, -4..4, 50..58, 60..70, 90..100, 118..125, -149..126] {
        let (database, rows) = table(&mut random, &exponents, 60).await;
        // Where an index can be, it answers; where it cannot, or loses what matters, all vectors are read.
        for (metric, _) in METRICS {
            let created = format!("CREATE INDEX docs_{metric} ON docs (vec) WITH (metric = '{metric}')");
            if let Err(e) = database.try_query(&created, &[]).await {
                assert_eq!(e.kind(), ErrorKind::InvalidInput, "{e}");
                assert!(
                    exponents.end > 50 && metric != "cosine" && e.to_string().contains("too large for an index"),
                    "{e}"
                );
            }
        }
        let mut queries = vec![rows[7].clone(), vec![0.0; 5]];
        queries.push(rows[3].iter().zip(&rows[4]).map(|(a, b)| a / 2.0 + b / 2.0).collect());
        for (metric, function) in METRICS {
            for query in &queries {
                let what = format!("seed {seed}, exponents {exponents:?}, {metric}, query {query:?}");
                let q = array(query);
                let distance = function.replace("$q", &q);
                for sql in [
                    format!("SELECT id, _distance FROM knn('docs', {q}, 10, metric => '{metric}')"),
                    format!("SELECT id, _distance FROM knn('docs', {q}, 10, metric => '{metric}', exact => true)"),
                    format!("SELECT id, {distance} FROM docs ORDER BY {distance} LIMIT 10"),
                    format!(
                        "SELECT n.id, n._distance FROM (SELECT CAST({q} AS FLOAT[5]) AS v) q CROSS JOIN LATERAL \
                         knn('docs', q.v, 10, metric => '{metric}') n ORDER BY n._distance"
                    ),
                    format!("SELECT id, _distance FROM knn_batch('docs', [{q}], 10, metric => '{metric}')"),
                ] {
                    let got = answers(&database.query(&sql).await);
                    check(&got, &rows, query, metric, 10, &format!("{what}: {sql}"));
                }
                // A radius between two distances.
                let mut all: Vec<f64> = rows.iter().map(|row| oracle(metric, row, query).0).collect();
                all.sort_by(f64::total_cmp);
                let radius = all[5] / 2.0 + all[6] / 2.0;
                if (all[6] - all[5]).abs() > 1e-3 * all[6].abs() && radius.abs() > 1e-37 && radius.abs() < 1e38 {
                    let sql = format!(
                        "SELECT id, _distance FROM knn('docs', {q}, 60, metric => '{metric}') WHERE _distance <= {radius:e}"
                    );
                    let within = answers(&database.query(&sql).await).len();
                    assert_eq!(within, 6, "{what}: {sql}");
                }
                // `_distance` is the number that the function gives.
                let sql = format!(
                    "SELECT count(*) FROM knn('docs', {q}, 60, metric => '{metric}') WHERE _distance IS NOT NULL"
                );
                assert_eq!(database.ids(&sql).await, [60]);
                let both = format!(
                    "SELECT n.id, n._distance FROM knn('docs', {q}, 60, metric => '{metric}') n JOIN docs d ON n.id = d.id \
                     WHERE n._distance <> {}",
                    function.replace("vec", "d.vec").replace("$q", &q)
                );
                assert_eq!(answers(&database.query(&both).await), [], "{what}: {both}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_beyond_an_index_are_found_by_exact_search() {
    let database = Database::temporary().await;
    database.run("CREATE TABLE docs (id BIGINT, vec FLOAT[2])").await;
    database.run("INSERT INTO docs VALUES (1, [1.0, 0.0]), (2, [9e15, 0.0])").await;
    database.query("CREATE INDEX docs_vec ON docs (vec)").await;
    let far = "SELECT id FROM knn('docs', [2e20, 1.0], 2)";
    assert_eq!(database.ids(far).await, [2, 1], "a query that no index takes");
    database.run("INSERT INTO docs VALUES (3, [3e20, 0.0]), (4, [1e20, 0.0])").await;
    assert_eq!(database.ids("SELECT id FROM knn('docs', [0.0, 0.0], 4)").await, [1, 2, 4, 3]);
    assert_eq!(database.ids("SELECT id FROM docs ORDER BY vec <-> [3e20, 0.0] LIMIT 2").await, [3, 4]);
    let (kind, message) = database.error("CREATE INDEX again ON docs (vec)").await;
    assert_eq!(kind, ErrorKind::InvalidInput, "{message}");
    assert!(message.contains("too large for an index by l2") && message.contains("component 0"), "{message}");
    database.run("DELETE FROM docs WHERE id > 2").await;
    assert_eq!(database.ids("SELECT id FROM knn('docs', [0.0, 0.0], 4)").await, [1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_cannot_tell_tiny_distances_apart_is_not_believed() {
    let database = Database::temporary().await;
    database.run("CREATE TABLE docs (id BIGINT, vec FLOAT[2])").await;
    // Nearest last: ties would go to the first.
    let rows: Vec<String> = (0..40).map(|id| format!("({id}, [{}e-25, 0.0])", 40 - id)).collect();
    database.run(&format!("INSERT INTO docs VALUES {}", rows.join(", "))).await;
    database.query("CREATE INDEX docs_vec ON docs USING flat (vec)").await;
    assert_eq!(database.ids("SELECT id FROM knn('docs', [0.0, 0.0], 3)").await, [39, 38, 37]);
    // Equal vectors are at 0 by an index too, and no reason to read the table.
    let plan = database.query("EXPLAIN ANALYZE SELECT id FROM knn('docs', [4e-25, 0.0], 1)").await;
    let plan = arrow::util::pretty::pretty_format_batches(&plan).unwrap().to_string();
    assert!(plan.contains("docs_vec"), "{plan}");
    assert_eq!(database.ids("SELECT id FROM knn('docs', [4e-25, 0.0], 1)").await, [36]);
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_are_right_wherever_their_answer_fits() {
    let database = Database::temporary().await;
    for (sql, expected) in [
        ("l2_distance('[3e38, 0]'::FLOAT[2], [1e38, 0])", 2e38),
        ("l2_distance('[3e-45, 0]'::FLOAT[2], [0, 4e-45])", 5e-45),
        ("l1_distance('[3e38, -1e-40]'::FLOAT[2], [1e38, 0])", 2e38),
        ("inner_product('[1e30, 1e30]'::FLOAT[2], [1e30, -1e30])", 0.0),
        ("inner_product('[1e30, 1e-20]'::FLOAT[2], [1e-30, 1e-20])", 1.0),
        ("inner_product('[1e-20, 0]'::FLOAT[2], [1e-20, 0])", 1e-40),
        ("cosine_similarity('[1e38, 1e38]'::FLOAT[2], [1e-38, 0])", 0.5_f64.sqrt()),
        ("vector_norm('[3e37, 4e37]'::FLOAT[2])", 5e37),
        ("vector_norm('[3e-40, 4e-40]'::FLOAT[2])", 5e-40),
        ("vector_norm(normalize('[3e-42, 4e-42]'::FLOAT[2]))", 1.0),
        ("normalize('[3e38, 3e38]'::FLOAT[2])[1]", 0.5_f64.sqrt()),
        // Lists are Float64, and no nearer to their limits.
        ("l2_distance([3e200, 0.0], [0.0, 4e200])", 5e200),
        ("l2_distance([3e-200, 0.0], [0.0, 4e-200])", 5e-200),
        ("cosine_distance([1e200, 0.0], [1e-200, 1e-200])", 1.0 - 0.5_f64.sqrt()),
        ("vector_norm([3e-320, 4e-320])", 5e-320),
        ("vector_norm([3e300, 4e300])", 5e300),
        ("vector_norm(normalize([3e300, 4e300]))", 1.0),
    ] {
        let batches = database.query(&format!("SELECT CAST({sql} AS DOUBLE)")).await;
        let got = batches[0].column(0).as_primitive::<arrow::datatypes::Float64Type>().value(0);
        let tolerance = (expected * 1e-6).max(if expected < 1e-300 {
            1e-323
        } else if expected < 1e-37 {
            1.5e-45
        } else {
            0.0
        });
        assert!((got - expected).abs() <= tolerance, "{sql}: expected {expected:e}, got {got:e}");
    }
}
