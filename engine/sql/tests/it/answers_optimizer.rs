//! Answers that DataFusion's planner and optimizer give otherwise than SQL.

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::scalar::ScalarValue;

use crate::support::Database;

/// Each row as its values with `|` between them, in the order of the answer.
fn rows(batches: &[RecordBatch]) -> Vec<String> {
    let options = FormatOptions::default().with_null("NULL");
    let mut rows = Vec::new();
    for batch in batches {
        let columns: Vec<_> =
            batch.columns().iter().map(|column| ArrayFormatter::try_new(column.as_ref(), &options).unwrap()).collect();
        for row in 0..batch.num_rows() {
            let values: Vec<_> = columns.iter().map(|column| column.value(row).to_string()).collect();
            rows.push(values.join("|"));
        }
    }
    rows
}

pub(crate) async fn expect(database: &Database, cases: &[(&str, &[&str])]) {
    let mut wrong = Vec::new();
    for (sql, expected) in cases {
        match database.try_query(sql, &[]).await {
            Ok(batches) if rows(&batches) == *expected => {}
            Ok(batches) => wrong.push(format!("{sql}\n  expected {expected:?}\n  got      {:?}", rows(&batches))),
            Err(e) => wrong.push(format!("{sql}\n  expected {expected:?}\n  got      {e}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Ships and their ports: both tables have `name`, `port` and `tons`.
async fn harbour() -> Database {
    let database = Database::temporary().await;
    database.run("CREATE TABLE ships (name VARCHAR, port INT, tons DOUBLE)").await;
    database
        .run("INSERT INTO ships VALUES ('anna', 1, 10), ('bela', 1, 20), ('cora', 2, 30), ('dora', 9, 40), ('emma', NULL, 50)")
        .await;
    database.run("CREATE TABLE ports (port INT, name VARCHAR, tons DOUBLE)").await;
    database.run("INSERT INTO ports VALUES (1, 'kiel', 100), (2, 'brest', 25), (3, 'acre', 5)").await;
    database
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_above_a_join_reads_its_own_side() {
    let database = harbour().await;
    expect(
        &database,
        &[
            // Of a self-join that keeps rows of its right side.
            (
                "SELECT b.name FROM ships a RIGHT JOIN ships b ON a.port = b.port \
                 WHERE b.name <= a.name AND b.name >= 'a' ORDER BY 1",
                &["anna", "anna", "bela", "cora", "dora"],
            ),
            (
                "SELECT b.name FROM ships a RIGHT JOIN ships b ON a.port = b.port \
                 WHERE b.name < upper(a.name) AND b.name >= 'a' ORDER BY 1",
                &[],
            ),
            (
                "SELECT a.name, b.name FROM ships a FULL JOIN ports b ON a.port = b.port \
                 WHERE b.name BETWEEN 'a' AND a.name ORDER BY 1",
                &["cora|brest"],
            ),
            (
                "SELECT a.name, b.name FROM ships a LEFT JOIN ports b ON a.port = b.port \
                 WHERE a.tons > b.tons ORDER BY 1",
                &["cora|brest"],
            ),
            // Through what is between the filter and the join.
            (
                "SELECT x.n FROM (SELECT DISTINCT b.name AS n, a.name AS m FROM ships a RIGHT JOIN ships b \
                 ON a.port = b.port) x WHERE x.n < x.m ORDER BY 1",
                &["anna"],
            ),
            (
                "SELECT b.tons, a.tons FROM ships a RIGHT JOIN ports b ON a.port = b.port \
                 WHERE coalesce(a.tons, 0) < 15 ORDER BY b.tons",
                &["5.0|NULL", "100.0|10.0"],
            ),
            // Filters that TopK and joins make while they run.
            (
                "SELECT b.tons FROM ships a RIGHT JOIN ports b ON a.port = b.port ORDER BY b.tons DESC LIMIT 1",
                &["100.0"],
            ),
            (
                "SELECT a.tons FROM ships a RIGHT JOIN ports b ON a.port = b.port ORDER BY a.tons NULLS LAST LIMIT 2",
                &["10.0", "20.0"],
            ),
            (
                "SELECT c.name FROM (SELECT a.port AS p, b.tons, a.tons FROM ships a JOIN ports b \
                 ON a.port = b.port) x(p, u, v) JOIN ports c ON c.tons = x.u ORDER BY c.name, x.v LIMIT 2",
                &["brest", "kiel"],
            ),
            // A key of the other side of a semi join, where another column has its name.
            (
                "SELECT s.port FROM ships s WHERE s.port IN \
                 (SELECT cast(p.tons / 25 AS INT) + 1 FROM ports p WHERE p.port <> s.port) ORDER BY s.port LIMIT 1",
                &["1"],
            ),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_a_top_k_makes_is_of_the_column_that_is_sorted() {
    let database = Database::temporary().await;
    database.run("CREATE TABLE tides (low DOUBLE, high DOUBLE)").await;
    for day in 0..20 {
        // In files of their own: what a filter leaves out is left out by file.
        database.run(&format!("INSERT INTO tides VALUES ({}, {})", f64::from(day) - 4.6, 100 - day)).await;
    }
    expect(
        &database,
        &[
            ("SELECT cast(low AS INT) AS c FROM tides GROUP BY cast(low AS INT) ORDER BY 1 DESC LIMIT 1", &["14"]),
            (
                "SELECT low FROM (SELECT low, high FROM tides UNION ALL SELECT high, low FROM tides) \
                 ORDER BY low DESC LIMIT 1",
                &["100.0"],
            ),
            ("SELECT high AS low FROM tides ORDER BY low LIMIT 1", &["81.0"]),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_without_columns_is_asked_after_the_aggregate() {
    let database = harbour().await;
    expect(
        &database,
        &[
            ("SELECT count(*) FROM ships HAVING 1 = (SELECT port FROM ports WHERE false)", &[]),
            ("SELECT count(*) FROM ships HAVING (SELECT true)", &["5"]),
            ("SELECT c FROM (SELECT count(*) FROM ships) v(c) WHERE (SELECT false)", &[]),
            ("SELECT c FROM (SELECT sum(tons) FROM ships) v(c) WHERE (SELECT false) AND c > 0", &[]),
            ("SELECT c FROM (SELECT c FROM (SELECT count(*) FROM ships) v(c) WHERE c > 0) WHERE (SELECT false)", &[]),
            ("SELECT count(*) FROM ships GROUP BY ROLLUP (port) HAVING (SELECT false)", &[]),
            ("SELECT count(*) FROM ships GROUP BY CUBE (port) HAVING (SELECT false)", &[]),
            ("SELECT count(*) FROM ships GROUP BY GROUPING SETS ((port), ()) HAVING (SELECT false)", &[]),
            ("SELECT count(*) FROM ships GROUP BY port HAVING (SELECT false)", &[]),
            ("SELECT count(*) FROM ships HAVING random() < 0", &[]),
            ("SELECT count(*) FROM ships HAVING 'a' LIKE (SELECT 'b')", &[]),
            ("SELECT v.c FROM (SELECT count(*) FROM ships) v(c) LEFT SEMI JOIN ports ON false", &[]),
            ("SELECT 1 FROM ports WHERE 2 NOT IN (SELECT 1 FROM ships GROUP BY ROLLUP (port)) ORDER BY 1", &["1", "1", "1"]),
            (
                "SELECT 1 FROM (SELECT 'a' FROM ships GROUP BY ROLLUP (port)) AS v(c) WHERE 'b' IS NOT DISTINCT FROM v.c",
                &[],
            ),
            ("SELECT p.name, (SELECT count(*) FROM ships HAVING p.port > 2) FROM ports p WHERE p.port > 2", &["acre|5"]),
        ],
    )
    .await;
    for (parameter, expected) in [(false, 0), (true, 1)] {
        let counted = database
            .try_query("SELECT count(*) FROM ships HAVING $1", &[ScalarValue::Boolean(Some(parameter))])
            .await
            .unwrap();
        assert_eq!(rows(&counted).len(), expected, "HAVING {parameter}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn set_operations_count_copies() {
    let database = Database::temporary().await;
    database.run("CREATE TABLE crew (name VARCHAR, age INT)").await;
    database
        .run("INSERT INTO crew VALUES ('ada', 1), ('ada', 1), ('ada', 1), ('bob', 2), (NULL, NULL), (NULL, NULL), ('eve', NULL)")
        .await;
    database.run("CREATE TABLE gone (name VARCHAR, age BIGINT)").await;
    database.run("INSERT INTO gone VALUES ('ada', 1), ('bob', 2), ('bob', 2), (NULL, NULL), ('eve', 3)").await;
    expect(
        &database,
        &[
            (
                "SELECT name, age FROM crew EXCEPT ALL SELECT name, age FROM gone ORDER BY 1",
                &["ada|1", "ada|1", "eve|NULL", "NULL|NULL"],
            ),
            (
                "SELECT name, age FROM crew INTERSECT ALL SELECT name, age FROM gone ORDER BY 1",
                &["ada|1", "bob|2", "NULL|NULL"],
            ),
            ("SELECT name FROM crew EXCEPT ALL SELECT name FROM crew", &[]),
            ("SELECT count(*) FROM (SELECT name FROM crew INTERSECT ALL SELECT name FROM crew)", &["7"]),
            (
                "SELECT name FROM crew EXCEPT ALL SELECT name FROM gone EXCEPT ALL SELECT name FROM gone ORDER BY 1",
                &["ada"],
            ),
            ("SELECT count(*) FROM gone WHERE age IN (SELECT age FROM crew EXCEPT ALL SELECT age FROM gone)", &["1"]),
            ("SELECT DISTINCT name FROM crew EXCEPT ALL SELECT name FROM gone", &[]),
            ("SELECT name FROM crew EXCEPT SELECT name FROM gone", &[]),
            ("SELECT name FROM crew INTERSECT SELECT name FROM gone ORDER BY 1", &["ada", "bob", "eve", "NULL"]),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_of_a_list_has_a_third_value() {
    let database = Database::temporary().await;
    database.run("CREATE TABLE knots (id INT, x INT, l INT[])").await;
    database
        .run("INSERT INTO knots VALUES (1, 2, [1, NULL]), (2, 2, [2, NULL]), (3, NULL, [1]), (4, 2, NULL), (5, 2, [1, 3])")
        .await;
    database.run("INSERT INTO knots SELECT 6, NULL, array_remove(l, 1) FROM knots WHERE id = 3").await;
    expect(
        &database,
        &[
            (
                "SELECT id, x = ANY(l), NOT (x = ANY(l)) FROM knots ORDER BY id",
                &["1|NULL|NULL", "2|true|false", "3|NULL|NULL", "4|NULL|NULL", "5|false|true", "6|false|true"],
            ),
            ("SELECT id FROM knots WHERE NOT (x = ANY(l)) ORDER BY id", &["5", "6"]),
            (
                "SELECT id, x <> ANY(l), x < ANY(l), x > SOME(l) FROM knots ORDER BY id",
                &[
                    "1|true|NULL|true",
                    "2|NULL|NULL|NULL",
                    "3|NULL|NULL|NULL",
                    "4|NULL|NULL|NULL",
                    "5|true|true|true",
                    "6|false|false|false",
                ],
            ),
            (
                "SELECT 2 = ANY([1, NULL]), 1 = ANY([1, NULL]), NULL = ANY([1]), 2 = ANY([1, 3]), 2 = ANY(NULL)",
                &["NULL|true|NULL|false|NULL"],
            ),
            ("SELECT id FROM knots WHERE id = ANY([2, NULL, 4]) ORDER BY id", &["2", "4"]),
            ("SELECT id FROM knots WHERE NOT (id = ANY([2, NULL, 4]))", &[]),
            ("SELECT array_length(l) = ANY(l) FROM knots WHERE id = 2", &["true"]),
            // The function keeps what its own page says.
            ("SELECT array_has([1, NULL], 2)", &["false"]),
        ],
    )
    .await;
    let list = ScalarValue::List(ScalarValue::new_list(
        &[ScalarValue::Int64(Some(2)), ScalarValue::Int64(Some(5))],
        &arrow::datatypes::DataType::Int64,
        true,
    ));
    let found =
        database.try_query("SELECT id FROM knots WHERE id = ANY($1) ORDER BY id", std::slice::from_ref(&list)).await;
    assert_eq!(rows(&found.unwrap()), ["2", "5"]);
    let plan = database.try_query("EXPLAIN SELECT x FROM knots WHERE id = ANY($1)", &[list]).await.unwrap();
    let plan = rows(&plan).join("\n");
    assert!(plan.contains("id@0 = 2 OR id@0 = 5") || plan.contains("IN ("), "{plan}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decimal_beside_a_double_is_a_double() {
    let database = Database::temporary().await;
    database.run("CREATE TABLE fares (d DECIMAL(10, 2), f DOUBLE)").await;
    database.run("INSERT INTO fares VALUES (0, 1e-20), (1, 1e18), (2, 'NaN'), (3, 3), (4, NULL), (12.34, 12.34)").await;
    expect(
        &database,
        &[
            ("SELECT d FROM fares WHERE f > d ORDER BY d", &["0.00", "1.00", "2.00"]),
            ("SELECT d FROM fares WHERE f = d ORDER BY d", &["3.00", "12.34"]),
            ("SELECT d FROM fares WHERE d BETWEEN f AND 100 ORDER BY d", &["3.00", "12.34"]),
            ("SELECT d FROM fares WHERE d IN (f, 1) ORDER BY d", &["1.00", "3.00", "12.34"]),
            ("SELECT d FROM fares WHERE d = 12.34", &["12.34"]),
            ("SELECT d FROM fares WHERE d > 1e-20 ORDER BY d LIMIT 1", &["1.00"]),
            ("SELECT d FROM fares WHERE d < 1e300 ORDER BY d DESC LIMIT 1", &["12.34"]),
            ("SELECT cast(1e-20 AS DOUBLE) > cast(0 AS DECIMAL(10, 2))", &["true"]),
            ("SELECT coalesce(f, d) FROM fares ORDER BY d", &["1e-20", "1e18", "NaN", "3.0", "4.0", "12.34"]),
            ("SELECT CASE WHEN d < 2 THEN f ELSE d END FROM fares ORDER BY d LIMIT 3", &["1e-20", "1e18", "2.0"]),
            (
                "SELECT CASE d WHEN f THEN 'same' ELSE 'other' END FROM fares WHERE d > 2 ORDER BY d",
                &["same", "other", "same"],
            ),
            ("SELECT greatest(f, d), nullif(d, f) FROM fares WHERE d = 3", &["3.0|NULL"]),
            ("SELECT count(*) FROM fares a JOIN fares b ON a.d = b.f", &["2"]),
            ("SELECT count(*) FROM fares a JOIN (SELECT f AS d FROM fares) b USING (d)", &["2"]),
            ("SELECT count(*) FROM fares WHERE d IN (SELECT f FROM fares)", &["2"]),
            ("SELECT count(*) FROM fares WHERE f IN (SELECT d FROM fares)", &["2"]),
            ("SELECT arrow_typeof(d + f) FROM fares LIMIT 1", &["Float64"]),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_and_places_are_bigint() {
    let database = Database::temporary().await;
    expect(
        &database,
        &[
            ("SELECT 1 / array_length([1, 2]), -array_length([1, 2]), cardinality([3, 4]) / 4", &["0|-2|0"]),
            (
                "SELECT arrow_typeof(array_length([1])), arrow_typeof(array_ndims([1])), arrow_typeof(cardinality([1])), \
                 arrow_typeof(array_position([1], 1)), arrow_typeof(list_length([1]))",
                &["Int64|Int64|Int64|Int64|Int64"],
            ),
            ("SELECT array_positions([1, 2, 1], 1), array_dims([[1, 2]])", &["[1, 3]|[1, 2]"]),
            (
                "SELECT arrow_typeof(row_number() OVER ()), arrow_typeof(rank() OVER (ORDER BY x)), \
                 arrow_typeof(dense_rank() OVER (ORDER BY x)), arrow_typeof(ntile(2) OVER (ORDER BY x)) FROM (VALUES (1)) t(x)",
                &["Int64|Int64|Int64|Int64"],
            ),
            (
                "SELECT x, row_number() OVER (ORDER BY x) / 2, 3 - rank() OVER (ORDER BY x) FROM (VALUES (7), (8), (9)) t(x) ORDER BY x",
                &["7|0|2", "8|1|1", "9|1|0"],
            ),
            ("SELECT x FROM (VALUES (7), (8)) t(x) QUALIFY row_number() OVER (ORDER BY x) = 2", &["8"]),
            ("SELECT arrow_typeof(approx_distinct(n)), regr_count(x, x) / 2 FROM (VALUES (1, 1.0), (2, 2.0), (3, 3.0)) t(n, x)", &["Int64|1"]),
            ("SELECT n FROM (SELECT x, row_number() OVER (ORDER BY x DESC) AS n FROM (VALUES (7), (8)) t(x)) WHERE n < 2", &["1"]),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn floats_that_are_equal_are_equal_by_every_way() {
    let database = Database::temporary().await;
    database.run("CREATE TABLE drift (f DOUBLE, g REAL)").await;
    database.run("INSERT INTO drift VALUES (0.0, 0.0), ('NaN', 'NaN'), (1, 1), (-2, -2)").await;
    expect(
        &database,
        &[
            ("SELECT f FROM drift ORDER BY -f", &["1.0", "0.0", "-2.0", "NaN"]),
            ("SELECT f FROM drift WHERE -f > 1 ORDER BY 1", &["-2.0", "NaN"]),
            ("SELECT max(-f), max(-g) FROM drift", &["NaN|NaN"]),
            ("SELECT count(*) FROM drift WHERE f = -(-f)", &["4"]),
            ("SELECT count(*) FROM drift WHERE f = -f OR g = -g", &["2"]),
            ("SELECT nullif(f, -f) FROM drift WHERE f = 0", &["NULL"]),
            ("SELECT count(*) FROM drift WHERE f IN (-0.0)", &["1"]),
            ("SELECT count(*) FROM drift WHERE -f NOT IN (2, -0.0)", &["2"]),
            ("SELECT count(*) FROM (SELECT f FROM drift UNION SELECT -f FROM drift)", &["6"]),
            ("SELECT count(*) FROM drift a JOIN drift b ON a.f = -b.f", &["2"]),
            ("SELECT arrow_typeof(-f), arrow_typeof(-g), -g FROM drift WHERE f = 1", &["Float64|Float32|-1.0"]),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn grouped_queries_take_every_clause() {
    let database = harbour().await;
    expect(
        &database,
        &[
            ("SELECT count(*), 1 FROM ships GROUP BY port ORDER BY 1, 2", &["1|1", "1|1", "1|1", "2|1"]),
            ("SELECT 'a', count(*) FROM ships GROUP BY port ORDER BY 1, 2", &["a|1", "a|1", "a|1", "a|2"]),
            ("SELECT 1 FROM ships HAVING (SELECT max(tons) FROM ports) > 1", &["1"]),
            ("SELECT 1 FROM ships HAVING (SELECT max(tons) FROM ports) > 1000", &[]),
            ("SELECT 1 FROM ships WHERE false HAVING true", &["1"]),
            ("SELECT 1 FROM ships HAVING false", &[]),
            ("SELECT 1 FROM ships HAVING true UNION ALL SELECT 2 FROM ships HAVING true ORDER BY 1", &["1", "2"]),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_infinities_has_one_as_its_least_and_greatest() {
    let database = Database::temporary().await;
    database.run("CREATE TABLE depth (k INT, f DOUBLE, g REAL)").await;
    database
        .run("INSERT INTO depth VALUES (1, 'Infinity', 'Infinity'), (2, '-Infinity', '-Infinity'), (3, 'NaN', 'NaN'), (4, NULL, NULL), (5, 2, 2), (5, 'NaN', 'NaN'), (5, 3, 3)")
        .await;
    expect(
        &database,
        &[
            (
                "SELECT k, min(f), max(f), min(g), max(g) FROM depth GROUP BY k ORDER BY k",
                &[
                    "1|inf|inf|inf|inf",
                    "2|-inf|-inf|-inf|-inf",
                    "3|NaN|NaN|NaN|NaN",
                    "4|NULL|NULL|NULL|NULL",
                    "5|2.0|NaN|2.0|NaN",
                ],
            ),
            (
                "SELECT k, min(f) FILTER (WHERE f > 2) FROM depth GROUP BY k HAVING k > 3 ORDER BY k",
                &["4|NULL", "5|3.0"],
            ),
            ("SELECT min(f), max(f) FROM depth", &["-inf|NaN"]),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_on_is_not_distinct_from_stays_one_beside_others() {
    let database = harbour().await;
    expect(
        &database,
        &[
            (
                "SELECT count(*) FROM ships a JOIN ships b ON a.port IS NOT DISTINCT FROM b.port CROSS JOIN ports",
                &["21"],
            ),
            ("SELECT count(*) FROM ports, ships a JOIN ships b ON a.port IS NOT DISTINCT FROM b.port", &["21"]),
            (
                "SELECT count(*) FROM ships a JOIN ships b ON a.port IS NOT DISTINCT FROM b.port JOIN ports ON true",
                &["21"],
            ),
            (
                "SELECT count(*) FROM ships a JOIN ships b ON a.port IS NOT DISTINCT FROM b.port \
                 JOIN ships c ON c.port = a.port",
                &["10"],
            ),
            (
                "SELECT count(*) FROM ships a JOIN ships b ON a.name IS NOT DISTINCT FROM b.name, ports p \
                 WHERE a.port = b.port AND p.port = a.port",
                &["3"],
            ),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_correlated_condition_reads_the_columns_that_it_names() {
    let database = harbour().await;
    expect(
        &database,
        &[
            (
                "SELECT t.name FROM ships t WHERE EXISTS \
                 (SELECT 1 FROM ships a JOIN ports b ON true WHERE a.tons > b.tons AND a.tons > t.tons) ORDER BY 1",
                &["anna", "bela", "cora", "dora"],
            ),
            (
                "SELECT t.name FROM ships t WHERE NOT EXISTS \
                 (SELECT 1 FROM ships a JOIN ports b ON true WHERE a.tons > b.tons AND a.tons > t.tons)",
                &["emma"],
            ),
            (
                "SELECT t.name FROM ships t WHERE t.port IN \
                 (SELECT b.port FROM ships a JOIN ports b ON a.port = b.port WHERE a.tons < b.tons AND a.tons >= t.tons) \
                 ORDER BY 1",
                &["anna", "bela"],
            ),
            (
                "SELECT t.name, (SELECT count(*) FROM ships a JOIN ports b ON true WHERE b.port = t.port AND a.port = 1) \
                 FROM ships t WHERE t.tons < 25 ORDER BY 1",
                &["anna|2", "bela|2"],
            ),
        ],
    )
    .await;
}
