//! Operators, sums and text of vectors, and what functions that know no vectors say of them.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Float32Type;
use arrow::util::display::array_value_to_string;
use datafusion::scalar::ScalarValue;
use ruvector_sql::ErrorKind;

use crate::random_tables::Random;
use crate::support::Database;

async fn points() -> Database {
    let database = Database::temporary().await;
    database.run("CREATE TABLE points (id BIGINT, tag VARCHAR, vec FLOAT[2], n INT)").await;
    database
        .run(
            "INSERT INTO points VALUES (1, 'a', [1.0, 2.0], 2), (2, 'a', [3.0, -4.0], 3), (3, 'b', [0.5, 8.0], NULL), \
             (4, 'b', NULL, 1), (5, 'c', NULL, 1), (6, 'a', [1.0, 2.0], 0)",
        )
        .await;
    database
}

/// The rows, as text.
fn rows(batches: &[RecordBatch]) -> Vec<String> {
    let row = |batch: &RecordBatch, row: usize| {
        let cell = |column: &arrow::array::ArrayRef| match column.is_null(row) {
            true => "NULL".to_owned(),
            false => array_value_to_string(column, row).unwrap(),
        };
        batch.columns().iter().map(cell).collect::<Vec<_>>().join(" | ")
    };
    batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |i| row(batch, i))).collect()
}

async fn assert_rows(database: &Database, sql: &str, expected: &[&str]) {
    assert_eq!(rows(&database.query(sql).await), expected, "{sql}");
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_compute_by_coordinate() {
    let database = points().await;
    for (expr, expected) in [
        ("vec + vec", ["[2.0, 4.0]", "[6.0, -8.0]", "[1.0, 16.0]", "NULL"]),
        ("vec - [1, 1]", ["[0.0, 1.0]", "[2.0, -5.0]", "[-0.5, 7.0]", "NULL"]),
        ("'[1,1]' + vec", ["[2.0, 3.0]", "[4.0, -3.0]", "[1.5, 9.0]", "NULL"]),
        ("vec * vec", ["[1.0, 4.0]", "[9.0, 16.0]", "[0.25, 64.0]", "NULL"]),
        ("vec * 2", ["[2.0, 4.0]", "[6.0, -8.0]", "[1.0, 16.0]", "NULL"]),
        ("0.5 * vec", ["[0.5, 1.0]", "[1.5, -2.0]", "[0.25, 4.0]", "NULL"]),
        ("n * vec", ["[2.0, 4.0]", "[9.0, -12.0]", "NULL", "NULL"]),
        ("vec / 2", ["[0.5, 1.0]", "[1.5, -2.0]", "[0.25, 4.0]", "NULL"]),
        ("vec * NULL", ["NULL", "NULL", "NULL", "NULL"]),
        ("vec + NULL", ["NULL", "NULL", "NULL", "NULL"]),
        ("vec || vec", ["[1.0, 2.0, 1.0, 2.0]", "[3.0, -4.0, 3.0, -4.0]", "[0.5, 8.0, 0.5, 8.0]", "NULL"]),
        ("(vec + vec) / 2 - vec", ["[0.0, 0.0]", "[0.0, 0.0]", "[0.0, 0.0]", "NULL"]),
    ] {
        assert_rows(&database, &format!("SELECT {expr} FROM points WHERE id < 5 ORDER BY id"), &expected).await;
    }
    let typed = "SELECT arrow_typeof(vec * 2) = arrow_typeof(vec), arrow_typeof(vec || vec) FROM points LIMIT 1";
    assert_rows(&database, typed, &["true | FixedSizeList(4 x Float32)"]).await;
    // A vector that was computed is one: it can be searched by and stored.
    assert_eq!(
        database
            .ids("SELECT id FROM points WHERE vec IS NOT NULL ORDER BY vec <-> (vec + [1, 1] - vec), id LIMIT 1")
            .await,
        [1]
    );
    assert_eq!(
        database.ids("SELECT id FROM points WHERE vec = '[3, -4]' OR '[0.5,8]' = vec ORDER BY id").await,
        [2, 3]
    );
    assert_eq!(database.ids("SELECT id FROM points WHERE vec = vec ORDER BY id").await, [1, 2, 3, 6]);
    database.run("UPDATE points SET vec = vec * n WHERE id = 2").await;
    assert_rows(&database, "SELECT vec FROM points WHERE id = 2", &["[9.0, -12.0]"]).await;
    let half = database.try_query("SELECT vec * $1 FROM points WHERE id = 1", &[ScalarValue::from(0.5)]).await.unwrap();
    assert_eq!(rows(&half), ["[0.5, 1.0]"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_refuse_what_they_cannot_compute() {
    let database = points().await;
    for (expr, part) in [
        ("vec + '[1, 2, 3]'::FLOAT[3]", "vectors have different dimensions: expected 2, got 3"),
        ("vec + [1, 2, 3]", "vectors have different dimensions: expected 2, got 3"),
        ("vec - '[1]'", "vectors have different dimensions: expected 2, got 1"),
        ("vec + 'far'", "text is not a vector: expected numbers as in '[0.5, 1.0]', got 'far'"),
        ("vec + 1", "vector_add expected two vectors, FLOAT[dim]"),
        ("1 / vec", "vector_divide expected a vector, FLOAT[dim], and a number"),
        ("vec / vec", "vector_divide expected a vector, FLOAT[dim], and a number"),
        ("vec * true", "vector_multiply"),
        ("vec / 0", "row 0 of the batch, coordinate 1, expected at most 3.4028235e38 in magnitude, got inf"),
        ("vec * 3e38", "out of the range of FLOAT"),
        ("'[1, 1e39]'::FLOAT[2]", "got '1e39'"),
        ("-vec", "Unary operator '-'"),
    ] {
        let (kind, message) = database.error(&format!("SELECT {expr} FROM points WHERE id < 3")).await;
        assert_eq!(kind, ErrorKind::InvalidInput, "{expr}: {message}");
        assert!(message.contains(part) && !message.contains("bug in DataFusion"), "{expr}: {message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn vectors_are_added_up_by_coordinate() {
    let database = points().await;
    for (sql, expected) in [
        (
            "SELECT sum(vec), avg(vec), mean(vec), count(vec) FROM points",
            &["[5.5, 8.0] | [1.375, 2.0] | [1.375, 2.0] | 4"][..],
        ),
        (
            "SELECT tag, avg(vec), sum(vec) FROM points GROUP BY tag ORDER BY tag",
            &["a | [1.6666666, 0.0] | [5.0, 0.0]", "b | [0.5, 8.0] | [0.5, 8.0]", "c | NULL | NULL"],
        ),
        ("SELECT sum(DISTINCT vec), avg(DISTINCT vec) FROM points WHERE tag = 'a'", &["[4.0, -2.0] | [2.0, -1.0]"]),
        (
            "SELECT tag, sum(DISTINCT vec), count(*) FROM points GROUP BY tag ORDER BY tag LIMIT 1",
            &["a | [4.0, -2.0] | 3"],
        ),
        ("SELECT sum(vec) FILTER (WHERE id > 1), avg(vec) FILTER (WHERE id > 9) FROM points", &["[4.5, 6.0] | NULL"]),
        (
            "SELECT tag, sum(vec) FILTER (WHERE id > 1) FROM points GROUP BY tag ORDER BY tag",
            &["a | [4.0, -2.0]", "b | [0.5, 8.0]", "c | NULL"],
        ),
        ("SELECT avg(vec) FROM points WHERE false", &["NULL"]),
        (
            "SELECT id, sum(vec) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM points ORDER BY id",
            &["1 | [1.0, 2.0]", "2 | [4.0, -2.0]", "3 | [3.5, 4.0]", "4 | [0.5, 8.0]", "5 | NULL", "6 | [1.0, 2.0]"],
        ),
        ("SELECT DISTINCT avg(vec) OVER () FROM points", &["[1.375, 2.0]"]),
        (
            "SELECT id, sum(vec) OVER (PARTITION BY tag ORDER BY id) FROM points WHERE tag = 'a' ORDER BY id",
            &["1 | [1.0, 2.0]", "2 | [4.0, -2.0]", "6 | [5.0, 0.0]"],
        ),
        // The centroid of a group is a vector.
        (
            "SELECT l2_distance(avg(vec), '[1.375, 2]'), arrow_typeof(sum(vec)) FROM points",
            &["0.0 | FixedSizeList(2 x Float32)"],
        ),
        ("SELECT avg(vec * 2 - vec) FROM points HAVING count(*) > 1", &["[1.375, 2.0]"]),
        // In f64: in Float32 the ones would be lost.
        (
            "SELECT sum(v) FROM (VALUES ('[1e20]'::FLOAT[1]), ('[1]'::FLOAT[1]), ('[-1e20]'::FLOAT[1])) AS t (v)",
            &["[0.0]"],
        ),
        (
            "SELECT sum(v) FROM (VALUES ('[1e10]'::FLOAT[1]), ('[1]'::FLOAT[1]), ('[-1e10]'::FLOAT[1])) AS t (v)",
            &["[1.0]"],
        ),
        // Numbers are DataFusion's.
        ("SELECT sum(n), avg(n), sum(DISTINCT n), mean(n) FROM points", &["7 | 1.4 | 6 | 1.4"]),
        ("SELECT arrow_typeof(sum(n)), arrow_typeof(avg(n)) FROM points", &["Int64 | Float64"]),
        (
            "SELECT arrow_typeof(sum(n::DECIMAL(5, 2))), arrow_typeof(avg(n::DECIMAL(5, 2))) FROM points",
            &["Decimal128(15, 2) | Decimal128(9, 6)"],
        ),
        (
            "SELECT sum(x), arrow_typeof(avg(y)) FROM (VALUES (INTERVAL '1' DAY, arrow_cast(5, 'Duration(Second)'))) AS t (x, y)",
            &["1 days | Duration(s)"],
        ),
        (
            "SELECT sum(n) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM points ORDER BY id LIMIT 2",
            &["2", "5"],
        ),
    ] {
        assert_rows(&database, sql, expected).await;
    }
    for (sql, part) in [
        ("SELECT avg([1.0, 2.0])", "avg expected numbers or vectors, FLOAT[dim], got List"),
        ("SELECT sum(tag) FROM points", "sum"),
        ("SELECT sum(vec * 1e38) FROM points WHERE id IN (3, 6) OR id = 1", "out of the range of FLOAT"),
        (
            "SELECT sum(v) FROM (VALUES ('[3e38]'::FLOAT[1]), ('[3e38]'::FLOAT[1])) AS t (v)",
            "sum() of vectors: coordinate 1 is out of the range of FLOAT",
        ),
    ] {
        let (kind, message) = database.error(sql).await;
        assert_eq!(kind, ErrorKind::InvalidInput, "{sql}: {message}");
        assert!(message.contains(part) && !message.contains("Internal error"), "{sql}: {message}");
    }
}

/// Many groups over several partitions go by partial states.
#[tokio::test(flavor = "multi_thread")]
async fn centroids_of_many_groups_are_those_of_a_loop() {
    let mut random = Random(5);
    let database = crate::random_tables::database(&mut random, 20_000, 10).await;
    let all = database.query("SELECT id % 700 AS g, vec FROM mem.docs ORDER BY g").await;
    let mut sums = vec![([0.0_f64; crate::random_tables::DIM], 0_u32); 700];
    for batch in &all {
        let groups = batch.column(0).as_primitive::<arrow::datatypes::Int64Type>();
        let vectors = batch.column(1).as_fixed_size_list();
        for row in (0..batch.num_rows()).filter(|row| vectors.is_valid(*row)) {
            let (sum, count) = &mut sums[usize::try_from(groups.value(row)).unwrap()];
            let vector = vectors.value(row);
            sum.iter_mut()
                .zip(vector.as_primitive::<Float32Type>().values())
                .for_each(|(sum, x)| *sum += f64::from(*x));
            *count += 1;
        }
    }
    for sql in [
        "SELECT id % 700 AS g, sum(vec), avg(vec), count(vec) FROM mem.docs GROUP BY g ORDER BY g",
        "SELECT DISTINCT id % 700 AS g, sum(vec) OVER w, avg(vec) OVER w, count(vec) OVER w FROM mem.docs \
         WINDOW w AS (PARTITION BY id % 700) ORDER BY g",
    ] {
        let mut group = 0;
        for batch in database.query(sql).await {
            for row in 0..batch.num_rows() {
                let (sum, count) = &sums[group];
                for (column, divisor) in [(1, 1.0), (2, f64::from(*count))] {
                    let got = batch.column(column).as_fixed_size_list().value(row);
                    for (got, sum) in got.as_primitive::<Float32Type>().values().iter().zip(sum) {
                        assert!((f64::from(*got) - sum / divisor).abs() < 1e-4, "{sql}: group {group}");
                    }
                }
                group += 1;
            }
        }
        assert_eq!(group, 700);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn text_beside_a_vector_is_one() {
    let database = points().await;
    let text = |text: &str| ScalarValue::from(text);
    for sql in [
        "SELECT id FROM points WHERE vec IS NOT NULL ORDER BY vec <-> '[3, -4]' LIMIT 1",
        "SELECT id FROM points WHERE vec IS NOT NULL ORDER BY '[3,-4]' <-> vec, id LIMIT 1",
        "SELECT id FROM points WHERE vec IS NOT NULL ORDER BY vec <=> '[3, -4]' LIMIT 1",
        "SELECT id FROM points WHERE vec IS NOT NULL ORDER BY vec <#> '[3, -4]' LIMIT 1",
        "SELECT id FROM points WHERE l2_distance(vec, '[3, -4]') = 0",
        "SELECT id FROM points WHERE cosine_distance(vec, '[3, -4]') < 0.001",
        "SELECT id FROM points WHERE l1_distance(vec, '[3, -4]') < 0.001",
        "SELECT id FROM knn('points', '[3, -4]', 1)",
        "SELECT id FROM knn('points', (SELECT '[3,-4]'), 1)",
        "SELECT p.id FROM (VALUES ('[3,-4]')) AS q (t) CROSS JOIN LATERAL knn('points', q.t, 1) p",
    ] {
        assert_eq!(database.ids(sql).await, [2], "{sql}");
        for parameter in ["'[3, -4]'", "'[3,-4]'"] {
            if sql.contains(parameter) {
                let bound = sql.replace(parameter, "$1");
                let got =
                    database.try_query(&bound, &[text("[3, -4]")]).await.unwrap_or_else(|e| panic!("{bound}: {e}"));
                assert_eq!(crate::support::ids(&got), [2], "{bound}");
            }
        }
    }
    for (sql, part) in [
        ("SELECT vec <-> '[1, 2, 3]' FROM points", "expected 2, got 3"),
        ("SELECT vec <-> 'north' FROM points", "expected numbers as in '[0.5, 1.0]', got 'north'"),
        ("SELECT * FROM knn('points', '[1, 2, 3]', 1)", "has the wrong dimension: expected 2, got 3"),
        ("SELECT * FROM knn('points', 'north', 1)", "expected a vector of 2 numbers, got Utf8"),
        ("SELECT * FROM knn('points', '[1, north]', 1)", "got 'north'"),
        ("SELECT vector_norm('[1, 2]')", "does not support type Utf8"),
    ] {
        let (kind, message) = database.error(sql).await;
        assert_eq!(kind, ErrorKind::InvalidInput, "{sql}: {message}");
        assert!(message.contains(part), "{sql}: {message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vector_becomes_text_and_itself_again() {
    let database = points().await;
    let sql = "SELECT CAST(vec AS VARCHAR), vec::text, vec::text || '!' FROM points WHERE id IN (3, 4) ORDER BY id";
    assert_rows(&database, sql, &["[0.5,8] | [0.5,8] | [0.5,8]!", "NULL | NULL | NULL"]).await;
    let extremes = "'[0, -0, 1, -1.5, 1e-45, 3.4028235e38, 16777217, 0.1, 123456.78]'::FLOAT[9]";
    let sql = format!("SELECT {extremes}::VARCHAR, {extremes}::VARCHAR::FLOAT[9] = {extremes}");
    assert_rows(&database, &sql, &["[0,-0,1,-1.5,1e-45,3.4028235e38,16777216,0.1,123456.78] | true"]).await;
    let mut random = Random(11);
    for _ in 0..40 {
        let numbers: Vec<f32> = (0..8)
            .map(|_| {
                let bits =
                    u32::try_from(random.below(1 << 16)).unwrap() << 16 | u32::try_from(random.below(1 << 16)).unwrap();
                Some(f32::from_bits(bits)).filter(|value| value.is_finite()).unwrap_or(0.25)
            })
            .collect();
        let parameter = crate::support::vector(&numbers);
        let sql = "SELECT CAST(CAST(CAST($1 AS FLOAT[8]) AS VARCHAR) AS FLOAT[8])";
        let got = database.try_query(sql, &[parameter]).await.unwrap();
        let got = got[0].column(0).as_fixed_size_list().value(0);
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(got.as_primitive::<Float32Type>().values()), bits(&numbers));
    }
}

/// Whatever a function makes of a vector, its error is about the statement.
#[tokio::test(flavor = "multi_thread")]
async fn no_function_calls_a_vector_a_bug() {
    let database = points().await;
    let context = database.session.context();
    let state = context.state();
    let mut scalars: Vec<String> = state.scalar_functions().keys().cloned().collect();
    scalars.extend(state.aggregate_functions().keys().cloned());
    let mut windows: Vec<String> = state.window_functions().keys().cloned().collect();
    scalars.sort_unstable();
    windows.sort_unstable();
    assert!(scalars.len() > 250 && windows.len() > 5, "{} and {}", scalars.len(), windows.len());
    let mut wrong = Vec::new();
    let calls = |name: &str| {
        ["vec", "vec, vec", "vec, 1", "1, vec", "'a', vec", "vec, 'a'", "vec, 1, 1"]
            .map(|arguments| format!("\"{name}\"({arguments})"))
    };
    let plain = scalars.iter().flat_map(|name| calls(name));
    let windows = windows
        .iter()
        .chain(["sum", "avg", "min", "max", "median", "first_value"].map(str::to_owned).iter())
        .flat_map(|name| calls(name))
        .map(|call| format!("{call} OVER (ORDER BY id)"))
        .collect::<Vec<_>>();
    for call in plain.chain(windows) {
        let sql = format!("SELECT {call} FROM points");
        if let Err(e) = database.try_query(&sql, &[]).await {
            let message = e.to_string();
            if e.kind() == ErrorKind::Internal
                || message.contains("Internal error")
                || message.contains("bug in DataFusion")
            {
                wrong.push(format!("{sql}: {:?} {message}", e.kind()));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of them:\n{}", wrong.len(), wrong.join("\n"));
}
