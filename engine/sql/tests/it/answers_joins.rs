//! Answers of joins with USING, outer joins, and subqueries without rows. The expected rows are DuckDB's.

use arrow::array::RecordBatch;
use ruvector_sql::ErrorKind;

use crate::answers_optimizer::expect;
use crate::support::Database;

/// Two tables with `id` and `k`, which share one `id`, and a third for chains.
async fn tables() -> Database {
    let database = Database::temporary().await;
    for statement in [
        "CREATE TABLE a (id INT, k INT, x BIGINT)",
        "INSERT INTO a VALUES (1, 1, 10), (2, 2, 20)",
        "CREATE TABLE b (id BIGINT, k INT, y BIGINT)",
        "INSERT INTO b VALUES (2, 2, 200), (3, 9, 300)",
        "CREATE TABLE c (id INT, z BIGINT)",
        "INSERT INTO c VALUES (3, 3000), (4, 4000)",
        "CREATE TABLE owners (id INT, x BIGINT)",
        "INSERT INTO owners VALUES (7, 20)",
    ] {
        database.run(statement).await;
    }
    database
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merged_column_has_the_value_of_the_side_that_has_a_row() {
    let database = tables().await;
    expect(
        &database,
        &[
            ("SELECT id, x, y FROM a FULL JOIN b USING (id) ORDER BY id", &["1|10|NULL", "2|20|200", "3|NULL|300"]),
            ("SELECT id, x, y FROM a RIGHT JOIN b USING (id) ORDER BY id", &["2|20|200", "3|NULL|300"]),
            ("SELECT id, x, y FROM a LEFT JOIN b USING (id) ORDER BY id", &["1|10|NULL", "2|20|200"]),
            ("SELECT id, x, z FROM a NATURAL FULL JOIN c ORDER BY id", &["1|10|NULL", "2|20|NULL", "3|NULL|3000", "4|NULL|4000"]),
            ("SELECT * FROM a FULL JOIN c USING (id) ORDER BY id", &["1|1|10|NULL", "2|2|20|NULL", "3|NULL|NULL|3000", "4|NULL|NULL|4000"]),
            ("SELECT id, k, x, y FROM a FULL JOIN b USING (id, k) ORDER BY id", &["1|1|10|NULL", "2|2|20|200", "3|9|NULL|300"]),
            // A chain joins by the merged column.
            (
                "SELECT id, x, y, z FROM a FULL JOIN b USING (id) FULL JOIN c USING (id) ORDER BY id",
                &["1|10|NULL|NULL", "2|20|200|NULL", "3|NULL|300|3000", "4|NULL|NULL|4000"],
            ),
            (
                "SELECT id, x, y, z FROM a RIGHT JOIN b USING (id) LEFT JOIN c USING (id) ORDER BY id",
                &["2|20|200|NULL", "3|NULL|300|3000"],
            ),
            // Of the tables themselves.
            ("SELECT a.id, b.id, id FROM a FULL JOIN b USING (id) ORDER BY id", &["1|NULL|1", "2|2|2", "NULL|3|3"]),
            ("SELECT id FROM a FULL JOIN b USING (id) WHERE a.id IS NULL", &["3"]),
            ("SELECT id FROM a FULL JOIN b USING (id) WHERE b.id IS NULL", &["1"]),
            ("SELECT a.* FROM a RIGHT JOIN b USING (id) ORDER BY x", &["2|2|20", "NULL|NULL|NULL"]),
            ("SELECT b.* FROM a RIGHT JOIN b USING (id) ORDER BY b.id", &["2|2|200", "3|9|300"]),
            ("SELECT count(a.id), count(b.id), count(id) FROM a FULL JOIN b USING (id)", &["2|2|3"]),
            (
                "SELECT id FROM a FULL JOIN b USING (id) WHERE NOT EXISTS (SELECT 1 FROM c WHERE c.id = a.id + 2) ORDER BY id",
                &["3"],
            ),
            ("SELECT id, count(*) FROM a FULL JOIN b USING (id) GROUP BY id HAVING id > 1 ORDER BY id", &["2|1", "3|1"]),
            ("SELECT n FROM (SELECT id AS n FROM a FULL JOIN b USING (id)) ORDER BY n", &["1", "2", "3"]),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merged_column_is_one_column_everywhere() {
    let database = tables().await;
    expect(
        &database,
        &[
            ("SELECT x FROM a JOIN b USING (id) WHERE id = 2", &["20"]),
            ("SELECT id FROM a FULL JOIN b USING (id) WHERE id >= 2 ORDER BY id", &["2", "3"]),
            ("SELECT -(id), id + 1, abs(id) FROM a JOIN b USING (id)", &["-2|3|2"]),
            ("SELECT x FROM a LEFT JOIN b USING (id) WHERE NOT (id = 2)", &["10"]),
            ("SELECT x FROM a JOIN b USING (id) WHERE id = ANY([1, 2, 3])", &["20"]),
            ("SELECT id FROM a LEFT JOIN b USING (id) ORDER BY -(id)", &["2", "1"]),
            ("SELECT id % 2, count(*) FROM a FULL JOIN b USING (id) GROUP BY id % 2 ORDER BY 1", &["0|1", "1|2"]),
            ("SELECT id, row_number() OVER (ORDER BY -(id)) FROM a FULL JOIN b USING (id) ORDER BY 2", &["3|1", "2|2", "1|3"]),
            // Not the column of that name of the outer query, which has no row with it.
            ("SELECT o.id FROM owners AS o WHERE EXISTS (SELECT 1 FROM a JOIN b USING (id) WHERE id = 2 AND a.x = o.x)", &["7"]),
            ("SELECT o.id FROM owners AS o WHERE EXISTS (SELECT 1 FROM a JOIN b USING (id) WHERE id = 7)", &[]),
            // Another column under the name.
            ("SELECT x AS id FROM a JOIN b USING (id) GROUP BY x ORDER BY id", &["20"]),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_constant_of_one_side_is_null_where_that_side_has_no_row() {
    let database = tables().await;
    expect(
        &database,
        &[
            (
                "SELECT a.id, s.c FROM a LEFT JOIN (SELECT id, 5 AS c FROM b) AS s ON a.id = s.id ORDER BY s.c, a.id DESC",
                &["2|5", "1|NULL"],
            ),
            (
                "SELECT a.id FROM a LEFT JOIN (SELECT * FROM b WHERE y = 200) AS s ON a.id = s.id \
                 ORDER BY s.y NULLS LAST, a.id LIMIT 1",
                &["2"],
            ),
            (
                "SELECT a.id FROM (SELECT * FROM b WHERE y = 200) AS s RIGHT JOIN a ON a.id = s.id \
                 ORDER BY s.y NULLS LAST, a.id LIMIT 1",
                &["2"],
            ),
            (
                "WITH w AS (SELECT min(z) AS m, 7 AS c FROM c WHERE z < 0) \
                 SELECT s.m, s.c FROM w AS s FULL JOIN w AS t ON false ORDER BY 1 NULLS FIRST, 2",
                &["NULL|7", "NULL|NULL"],
            ),
            (
                "SELECT s.y, count(*) FROM a LEFT JOIN (SELECT * FROM b WHERE y = 200) AS s ON a.id = s.id GROUP BY s.y ORDER BY 1",
                &["200|1", "NULL|1"],
            ),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn not_is_around_an_operation_on_exists() {
    let database = tables().await;
    let none = "EXISTS (SELECT 1 FROM a WHERE x > 999)";
    let some = "EXISTS (SELECT 1 FROM a)";
    for (condition, expected) in [
        (format!("NOT {some} IS NULL"), "true"),
        (format!("NOT {none} IS NULL"), "true"),
        (format!("NOT {some} IS DISTINCT FROM NULL"), "false"),
        (format!("NOT {none} IN (true, NULL)"), "NULL"),
        (format!("NOT {some} = ALL (SELECT false)"), "true"),
        (format!("(NOT {some}) IS NULL"), "false"),
        (format!("NOT {some} AND false"), "false"),
    ] {
        expect(&database, &[(&format!("SELECT {condition}"), &[expected])]).await;
    }
    expect(&database, &[("SELECT id FROM a WHERE NOT EXISTS (SELECT 1 FROM b) IS NULL ORDER BY id", &["1", "2"])])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subquery_without_rows_is_null() {
    let database = tables().await;
    expect(
        &database,
        &[
            ("SELECT (SELECT 'a' FROM a WHERE false) IS NULL", &["true"]),
            ("SELECT id FROM a WHERE (SELECT 'a' FROM b WHERE y < 0) ILIKE '%'", &[]),
            ("SELECT id, (SELECT 'a' FROM b WHERE y < 0 ORDER BY 1 LIMIT 1) FROM a ORDER BY id", &["1|NULL", "2|NULL"]),
            ("SELECT coalesce((SELECT DATE '2000-01-01' FROM b WHERE y < 0), DATE '2024-02-29')", &["2024-02-29"]),
            ("SELECT id, (SELECT 'b' FROM b WHERE b.id = a.id) FROM a ORDER BY id", &["1|NULL", "2|b"]),
            ("SELECT id FROM a WHERE (SELECT 1 FROM b WHERE b.id = a.id) IS NULL", &["1"]),
            ("SELECT id FROM a WHERE id IN (SELECT a.id FROM b WHERE false)", &[]),
            ("SELECT id FROM a WHERE id NOT IN (SELECT a.id FROM b WHERE false) ORDER BY id", &["1", "2"]),
            ("SELECT id FROM a WHERE id = ANY (SELECT a.id FROM b WHERE false)", &[]),
            ("SELECT id FROM a WHERE id > ALL (SELECT a.id FROM b WHERE false) ORDER BY id", &["1", "2"]),
            ("SELECT id FROM a WHERE EXISTS (SELECT a.id FROM b WHERE false AND b.id = a.id)", &[]),
            ("SELECT id, (SELECT 'B' FROM (SELECT * FROM b WHERE false) AS s WHERE s.y < a.x LIMIT 1) FROM a ORDER BY id", &["1|NULL", "2|NULL"]),
            ("SELECT id FROM a WHERE id = ANY (SELECT * FROM (VALUES (1), (5)))", &["1"]),
            ("SELECT count(*) FROM a WHERE (SELECT count(*) FROM b WHERE b.id = a.id) = 0", &["1"]),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_select_list_is_computed_for_the_rows_that_where_keeps() {
    let database = tables().await;
    database.run("CREATE TABLE d (id BIGINT, part BIGINT, whole BIGINT)").await;
    database.run("INSERT INTO d VALUES (1, 1, 0), (2, 6, 3), (3, 9223372036854775807, 1)").await;
    expect(
        &database,
        &[
            ("SELECT id, part / whole FROM d WHERE id = 2", &["2|2"]),
            ("SELECT id, part + whole FROM d WHERE id < 3 ORDER BY id", &["1|1", "2|9"]),
            ("SELECT id, CAST(part AS INT) FROM d WHERE id < 3 AND whole > 0", &["2|6"]),
            ("SELECT id, q FROM (SELECT id, part / whole AS q FROM d WHERE id = 2) ORDER BY id LIMIT 5", &["2|2"]),
            ("SELECT id FROM d WHERE id > 1 AND part / nullif(whole, 0) > 1 ORDER BY id", &["2", "3"]),
            ("SELECT whole, sum(part / whole) FROM d WHERE whole = 3 GROUP BY whole", &["3|2"]),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn floats_that_are_equal_are_one_key() {
    let database = Database::temporary().await;
    database.run("CREATE TABLE f (id BIGINT, x DOUBLE)").await;
    database.run("INSERT INTO f VALUES (1, 0.0), (2, '-0.0'), (3, 'NaN'), (4, 'Infinity'), (5, 1)").await;
    let nan = "CAST('NaN' AS DOUBLE)";
    expect(
        &database,
        &[
            ("SELECT id FROM f ORDER BY x, id", &["1", "2", "5", "4", "3"]),
            ("SELECT id FROM f ORDER BY x DESC, id DESC", &["3", "4", "5", "2", "1"]),
            ("SELECT id, rank() OVER (ORDER BY x) FROM f WHERE x < 1 ORDER BY id", &["1|1", "2|1"]),
            ("SELECT id, count(*) OVER (PARTITION BY x) FROM f WHERE x < 1 ORDER BY id", &["1|2", "2|2"]),
            ("SELECT array_agg(id ORDER BY x, id DESC) FROM f WHERE x < 1", &["[2, 1]"]),
            ("SELECT id FROM f WHERE x IN (NULL, 0.5, CAST('-0.0' AS DOUBLE)) ORDER BY id", &["1", "2"]),
            ("SELECT id FROM f WHERE -(x) IN (CAST('-0.0' AS DOUBLE), 7) ORDER BY id", &["1", "2"]),
            (
                "SELECT id FROM f WHERE CASE x WHEN CAST('-0.0' AS DOUBLE) THEN true ELSE false END ORDER BY id",
                &["1", "2"],
            ),
            ("SELECT id FROM f WHERE CASE 0.0 WHEN x THEN true ELSE false END ORDER BY id", &["1", "2"]),
            ("SELECT id FROM f WHERE nullif(x, 0.0) IS NULL ORDER BY id", &["1", "2"]),
            ("SELECT count(*) FROM f WHERE CAST('-0.0' AS DOUBLE) IN (CAST('-0.0' AS DOUBLE))", &["5"]),
            ("SELECT id FROM f WHERE CAST('-0.0' AS DOUBLE) NOT IN (0.0, x)", &[]),
            ("SELECT id FROM f WHERE nullif(CAST('-0.0' AS DOUBLE), x) IS NULL ORDER BY id", &["1", "2"]),
            ("SELECT id FROM f WHERE nullif(x, CAST('NaN' AS DOUBLE)) IS NULL ORDER BY id", &["3"]),
            ("SELECT count(DISTINCT x), count(DISTINCT id) FROM f WHERE x < 2", &["2|3"]),
            ("SELECT count(DISTINCT x) FILTER (WHERE id < 3) FROM f", &["1"]),
            ("SELECT array_position([0.0], x), array_remove([0.0, 1.0], x) FROM f WHERE id = 2", &["1|[1.0]"]),
            ("SELECT id FROM f WHERE array_has([0.0, 7.0], x) ORDER BY id", &["1", "2"]),
            ("SELECT median(DISTINCT x), count(DISTINCT id) FROM f WHERE x < 2", &["0.5|3"]),
            ("SELECT array_agg(DISTINCT x ORDER BY x), array_agg(x) FILTER (WHERE id = 5) FROM f WHERE x < 2", &["[0.0, 1.0]|[1.0]"]),
            ("SELECT array_agg(DISTINCT x ORDER BY x DESC), array_agg(id ORDER BY id) FROM f WHERE x = 0", &["[0.0]|[1, 2]"]),
            ("SELECT DISTINCT count(DISTINCT x) OVER (), avg(DISTINCT x) OVER () FROM f WHERE x < 2", &["2|0.5"]),
            (
                &format!(
                    "SELECT sum(x) = {nan}, avg(x) = {nan}, var_pop(x) = {nan}, corr(x, x) = {nan}, sum(x) > 1 \
                     FROM (VALUES ('Infinity'::DOUBLE), ('-Infinity'::DOUBLE)) AS t(x)"
                ),
                &["true|true|true|true|true"],
            ),
            (
                &format!(
                    "SELECT g, sum(x) = {nan} FROM (VALUES (1, 'Infinity'::DOUBLE), (1, '-Infinity'::DOUBLE), (2, 1.0)) AS t(g, x) \
                     GROUP BY g ORDER BY sum(x) DESC"
                ),
                &["1|true", "2|false"],
            ),
            (
                &format!(
                    "SELECT id, sum(x) OVER (ORDER BY id ROWS 1 PRECEDING) = {nan} \
                     FROM (VALUES (1, 'Infinity'::DOUBLE), (2, '-Infinity'::DOUBLE)) AS t(id, x) ORDER BY id"
                ),
                &["1|false", "2|true"],
            ),
            (&format!("SELECT id FROM f WHERE x - x = {nan} ORDER BY id"), &["3", "4"]),
            (&format!("SELECT x / x = {nan}, x / x > 1 FROM f WHERE id = 1"), &["true|true"]),
            (
                &format!("SELECT ln(x - 1) = {nan}, power(x - 1, 0.5) = {nan}, sin(1 / x) = {nan} FROM f WHERE id = 2"),
                &["true|true|true"],
            ),
            ("SELECT id FROM f WHERE id IN (3, 4) ORDER BY x - x, id", &["3", "4"]),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_and_structs_of_equal_floats_are_equal() {
    let database = Database::temporary().await;
    database
        .run(
            "CREATE TABLE f AS SELECT id, x, [x, 1.0] AS l, CAST([x, 1.0] AS FLOAT[2]) AS v, {a: x, b: [x]} AS s \
             FROM (VALUES (1, 0.0), (2, CAST('-0.0' AS DOUBLE)), (3, 9.0), (4, 7.0)) AS t(id, x)",
        )
        .await;
    for column in ["l", "v", "s"] {
        expect(
            &database,
            &[
                (&format!("SELECT a.id, b.id FROM f a, f b WHERE a.{column} = b.{column} AND a.id < b.id"), &["1|2"]),
                (&format!("SELECT a.id, b.id FROM f a JOIN f b ON a.{column} = b.{column} AND a.id < b.id"), &["1|2"]),
                (&format!("SELECT a.id, b.id FROM f a JOIN f b USING ({column}) WHERE a.id < b.id"), &["1|2"]),
                (&format!("SELECT id FROM f WHERE {column} < (SELECT {column} FROM f WHERE id = 1)"), &[]),
                (&format!("SELECT id FROM f WHERE {column} >= (SELECT {column} FROM f WHERE id = 1) ORDER BY id"), &["1", "2", "3", "4"]),
                (&format!("SELECT id FROM f WHERE {column} IS NOT DISTINCT FROM (SELECT {column} FROM f WHERE id = 2) ORDER BY id"), &["1", "2"]),
                (&format!("SELECT id FROM f WHERE {column} IN (SELECT {column} FROM f WHERE id = 2) ORDER BY id"), &["1", "2"]),
                (&format!("SELECT id FROM f WHERE {column} = ANY (SELECT {column} FROM f WHERE id = 2) ORDER BY id"), &["1", "2"]),
                (&format!("SELECT id FROM f WHERE {column} NOT IN (SELECT {column} FROM f WHERE id <> 1) ORDER BY id"), &[]),
                (&format!("SELECT id FROM f o WHERE EXISTS (SELECT 1 FROM f i WHERE i.{column} = o.{column} AND i.id <> o.id) ORDER BY id"), &["1", "2"]),
                (&format!("SELECT count(*) FROM (SELECT DISTINCT {column} FROM f)"), &["3"]),
                (&format!("SELECT count(DISTINCT {column}) FROM f"), &["3"]),
                (&format!("SELECT count(DISTINCT {column}), count(DISTINCT id) FROM f"), &["3|4"]),
                (&format!("SELECT array_length(array_agg(DISTINCT {column} ORDER BY {column} DESC)), count(DISTINCT id) FROM f"), &["3|4"]),
                (&format!("SELECT count(*) FROM (SELECT DISTINCT ON ({column}) id FROM f ORDER BY {column}, id)"), &["3"]),
                (&format!("SELECT max(id), count(*) FROM f GROUP BY {column} ORDER BY 1"), &["2|2", "3|1", "4|1"]),
                (&format!("SELECT max(id), count(*) FROM f GROUP BY ROLLUP ({column}) ORDER BY 1, 2"), &["2|2", "3|1", "4|1", "4|4"]),
                (&format!("SELECT count(*) FROM (SELECT {column} FROM f UNION SELECT {column} FROM f)"), &["3"]),
                (&format!("SELECT count(*) FROM (SELECT {column} FROM f WHERE id = 1 INTERSECT SELECT {column} FROM f WHERE id = 2)"), &["1"]),
                (&format!("SELECT count(*) FROM (SELECT {column} FROM f WHERE id = 1 EXCEPT SELECT {column} FROM f WHERE id = 2)"), &["0"]),
                (&format!("SELECT id, count(*) OVER (PARTITION BY {column}) FROM f ORDER BY id"), &["1|2", "2|2", "3|1", "4|1"]),
                (&format!("SELECT id FROM f ORDER BY {column}, id DESC"), &["2", "1", "4", "3"]),
            ],
        )
        .await;
    }
    expect(
        &database,
        &[
            ("SELECT [CAST('NaN' AS DOUBLE)] = [-CAST('NaN' AS DOUBLE)]", &["true"]),
            ("SELECT id FROM f WHERE [x] IN ([0.0], [7.0]) ORDER BY id", &["1", "2", "4"]),
            ("SELECT id FROM f WHERE nullif([0.0], [x]) IS NULL ORDER BY id", &["1", "2"]),
            ("SELECT id FROM f WHERE CASE [0.0] WHEN [x] THEN true ELSE false END ORDER BY id", &["1", "2"]),
            ("SELECT id FROM f WHERE [x] BETWEEN [0.0] AND [CAST('-0.0' AS DOUBLE)] ORDER BY id", &["1", "2"]),
            ("SELECT id, count(DISTINCT l) OVER () FROM f WHERE id < 3 ORDER BY id", &["1|1", "2|1"]),
            ("SELECT id FROM f WHERE array_has(l, 0.0) ORDER BY id", &["1", "2"]),
            ("SELECT id FROM f WHERE array_has(l, CAST('-0.0' AS DOUBLE)) ORDER BY id", &["1", "2"]),
            ("SELECT id FROM f WHERE CAST('-0.0' AS DOUBLE) = ANY (l) ORDER BY id", &["1", "2"]),
            ("SELECT id FROM f WHERE x = ANY ([CAST('-0.0' AS DOUBLE), 5]) ORDER BY id", &["1", "2"]),
            ("SELECT id FROM f WHERE x = ANY ([CAST('-0.0' AS DOUBLE), id]) ORDER BY id", &["1", "2"]),
            ("SELECT id FROM f WHERE 0.0 <> ALL (l) ORDER BY id", &["3", "4"]),
            ("SELECT id FROM f WHERE array_position(l, 0.0) = 1 ORDER BY id", &["1", "2"]),
            ("SELECT id FROM f WHERE array_has_any(l, [CAST('-0.0' AS DOUBLE)]) ORDER BY id", &["1", "2"]),
            ("SELECT id FROM f WHERE array_has_all(l, [0.0]) ORDER BY id", &["1", "2"]),
            ("SELECT id FROM f WHERE array_length(array_remove(l, 0.0)) = 1 ORDER BY id", &["1", "2"]),
            ("SELECT id FROM f WHERE array_replace(l, 0.0, 5.0)[1] = 5 ORDER BY id", &["1", "2"]),
            ("SELECT id FROM f WHERE array_length(array_union(l, [0.0])) = 2 ORDER BY id", &["1", "2"]),
            ("SELECT id FROM f WHERE array_length(array_except(l, [0.0])) = 1 ORDER BY id", &["1", "2"]),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_that_differ_in_casts_stand_side_by_side() {
    let database = tables().await;
    expect(
        &database,
        &[
            ("SELECT sum(x), sum(x::DOUBLE) FROM a", &["30|30.0"]),
            ("SELECT sum(x), sum(x::INT), sum(x::DOUBLE) FROM a HAVING sum(x::DOUBLE) > 1", &["30|30|30.0"]),
            ("SELECT x, x::VARCHAR, a.x FROM a WHERE a.id = 1", &["10|10|10"]),
            (
                "SELECT id, sum(x), sum(CAST(x AS DOUBLE)) FROM a GROUP BY id ORDER BY sum(CAST(x AS DOUBLE)) DESC",
                &["2|20|20.0", "1|10|10.0"],
            ),
            ("SELECT max(x::VARCHAR), max(x) FROM a", &["20|20"]),
            (
                "SELECT EXISTS (SELECT 1), EXISTS (SELECT 2 WHERE false), 1 IN (SELECT 1), 1 IN (SELECT 2)",
                &["true|false|true|false"],
            ),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_correlated_subquery_is_a_value() {
    let database = tables().await;
    database.run("CREATE TABLE prices (id INT, day INT, price BIGINT)").await;
    database.run("INSERT INTO prices VALUES (1, 1, 5), (1, 2, 6), (2, 1, NULL), (9, 1, 1), (9, 1, 2)").await;
    let latest = "(SELECT price FROM prices AS p WHERE p.id = a.id ORDER BY day DESC LIMIT 1)";
    expect(
        &database,
        &[
            // Two rows of `prices` have the id 9, which no row of `a` has.
            ("SELECT id, (SELECT price FROM prices AS p WHERE p.id = a.id AND p.day = 1) FROM a ORDER BY id", &["1|5", "2|NULL"]),
            ("SELECT id, (SELECT y + 1 FROM b WHERE b.id = a.id) FROM a ORDER BY id", &["1|NULL", "2|201"]),
            ("SELECT id FROM a WHERE (SELECT y FROM b WHERE b.id = a.id) > x", &["2"]),
            (&format!("SELECT id, {latest} FROM a ORDER BY id"), &["1|6", "2|NULL"]),
            (&format!("SELECT id FROM a WHERE {latest} = 6"), &["1"]),
            ("SELECT id, (SELECT price * 2 FROM prices AS p WHERE p.id = a.id LIMIT 1) IS NULL FROM a ORDER BY id", &["1|false", "2|true"]),
            ("SELECT id, (SELECT day FROM prices AS p WHERE p.id = a.id ORDER BY price NULLS FIRST, day LIMIT 1) FROM a ORDER BY id", &["1|1", "2|1"]),
        ],
    )
    .await;
    let error = database
        .try_query("SELECT id, (SELECT price FROM prices AS p WHERE p.id = a.id) FROM a", &[])
        .await
        .unwrap_err();
    assert!(error.to_string().contains("returned 2 rows, expected at most 1"), "{error}");
    database
        .run("UPDATE a SET x = (SELECT y FROM b WHERE b.id = a.id) WHERE EXISTS (SELECT 1 FROM b WHERE b.id = a.id)")
        .await;
    expect(&database, &[("SELECT id, x FROM a ORDER BY id", &["1|10", "2|200"])]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_of_a_correlated_subquery_see_its_rows() {
    let database = Database::temporary().await;
    database.run("CREATE TABLE o (f BIGINT, big BIGINT)").await;
    database.run("INSERT INTO o VALUES (1, 1), (4, 2), (5, 9), (1, 3)").await;
    database.run("CREATE TABLE i (f BIGINT, big BIGINT)").await;
    database.run("INSERT INTO i VALUES (4, 1), (1, 2), (1, 3), (3, 3)").await;
    let greatest = "(SELECT max(i.f) OVER () FROM i WHERE i.big = o.big)";
    let second = "(SELECT i.f FROM i WHERE i.big = o.big QUALIFY row_number() OVER (ORDER BY i.f) = 2)";
    expect(
        &database,
        &[
            (
                &format!("SELECT f, f >= ALL {greatest} FROM o ORDER BY 1, 2"),
                &["1|false", "1|false", "4|true", "5|true"],
            ),
            (
                &format!("SELECT f, f < ANY {greatest} FROM o ORDER BY 1, 2"),
                &["1|true", "1|true", "4|false", "5|false"],
            ),
            (&format!("SELECT f FROM o WHERE f - 3 IN {greatest} ORDER BY 1"), &["4"]),
            (&format!("SELECT f FROM o WHERE f NOT IN {greatest} ORDER BY 1"), &["1", "1", "4", "5"]),
            (&format!("SELECT f FROM o WHERE EXISTS {second}"), &["1"]),
            (&format!("SELECT f FROM o WHERE 3 IN {second}"), &["1"]),
            (&format!("SELECT f, big FROM o WHERE 3 > ALL {second} ORDER BY 1, 2"), &["1|1", "4|2", "5|9"]),
        ],
    )
    .await;
    // The same rows without a condition in them stay.
    expect(
        &database,
        &[
            ("SELECT f FROM o WHERE f IN (SELECT i.f FROM i LEFT JOIN o AS p ON p.big = i.big WHERE i.big = o.big) ORDER BY f", &["1"]),
            ("SELECT f, q.m FROM o, LATERAL (SELECT max(i.f) FROM i WHERE i.big = o.big) AS q(m) ORDER BY o.big", &["1|4", "4|1", "1|3", "5|NULL"]),
        ],
    )
    .await;
    let table = "(SELECT * FROM i AS k WHERE k.big = o.big) AS q";
    for (sql, expected) in [
        ("f IN (SELECT max(i.f) OVER () FROM i WHERE i.big >= o.big)", "a window function in a subquery"),
        (
            "f IN (SELECT max(q.f) OVER () FROM (SELECT i.f FROM i WHERE i.big = o.big) AS q)",
            "a window function in a subquery",
        ),
        (
            format!("EXISTS (SELECT 1 FROM i LEFT JOIN {table} ON q.f = i.f WHERE q.f IS NULL)").as_str(),
            "of a Left join",
        ),
        (format!("f IN (SELECT i.f FROM {table} RIGHT JOIN i ON q.f = i.f)").as_str(), "of a Right join"),
        (format!("f >= ALL (SELECT i.f FROM i FULL JOIN {table} ON q.f = i.f)").as_str(), "of a Full join"),
        (format!("f NOT IN (SELECT i.f FROM i LEFT ANTI JOIN {table} ON q.f = i.f)").as_str(), "of a LeftAnti join"),
    ] {
        let (kind, message) = database.error(&format!("SELECT f FROM o WHERE {sql}")).await;
        assert_eq!(kind, ErrorKind::NotSupported, "{sql}: {message}");
        assert!(message.contains(expected), "{sql}: {message}");
    }
    let having =
        "SELECT o.f, q.m FROM o, LATERAL (SELECT max(i.f) FROM i WHERE i.big = o.big HAVING count(*) > 1) AS q(m)";
    let (kind, message) = database.error(having).await;
    assert_eq!(kind, ErrorKind::NotSupported, "{message}");
    assert!(message.contains("HAVING in LATERAL"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_members_of_a_subquery() {
    let database = tables().await;
    database.run("CREATE TABLE p (u INT, v INT)").await;
    database.run("INSERT INTO p VALUES (1, 1), (2, NULL), (NULL, 9)").await;
    expect(
        &database,
        &[
            ("SELECT id FROM a WHERE (id, k) IN (SELECT u, v FROM p)", &["1"]),
            ("SELECT id FROM b WHERE (id, k) NOT IN (SELECT u, v FROM p WHERE u IS NOT NULL)", &["3"]),
            ("SELECT id FROM a WHERE (id, k) NOT IN (SELECT u, v FROM p)", &[]),
            ("SELECT id, (id, k) IN (SELECT u, v FROM p) FROM b ORDER BY id", &["2|NULL", "3|NULL"]),
            ("SELECT id, (id, k) IN (SELECT u, v FROM p WHERE u = 1) FROM a ORDER BY id", &["1|true", "2|false"]),
            ("SELECT id, (id, k) NOT IN (SELECT u, v FROM p) FROM a ORDER BY id", &["1|false", "2|NULL"]),
            (
                "SELECT (1, 2) IN (SELECT u, v FROM p WHERE false), (NULL, 2) IN (SELECT u, v FROM p WHERE false)",
                &["false|false"],
            ),
            ("SELECT id FROM a WHERE (id, k) IN (SELECT u, v FROM p) OR id = 2 ORDER BY id", &["1", "2"]),
            // A subquery of a table that is a subquery, and of rows in it.
            ("SELECT id FROM a WHERE (id, k) IN (SELECT q.u, q.v FROM (SELECT u, v FROM p) AS q)", &["1"]),
            ("SELECT id, (id, k) IN (SELECT u, v FROM (SELECT * FROM p WHERE u = 1) q) FROM a ORDER BY id", &["1|true", "2|false"]),
            (
                "SELECT id FROM a WHERE (id, k) IN (SELECT u, v FROM p WHERE (u, v) IN (SELECT q.id, q.k FROM (SELECT * FROM a) q))",
                &["1"],
            ),
            (
                "SELECT id, (id, (SELECT max(v) FROM (SELECT v FROM p WHERE u = 1) q)) IN (SELECT u, v FROM p WHERE u = 1) FROM a \
                 ORDER BY id",
                &["1|true", "2|false"],
            ),
        ],
    )
    .await;
    let found = database
        .try_query("SELECT id FROM a WHERE (id, ?) IN (SELECT u, ? FROM p)", &[1_i64.into(), 1_i64.into()])
        .await
        .unwrap();
    assert_eq!(found.iter().map(RecordBatch::num_rows).sum::<usize>(), 2);
    let nested = |levels| {
        let one = |inner: String, _| format!("SELECT 1, CASE WHEN ((1, 2) IN ({inner})) IS NULL THEN 1 ELSE 2 END");
        (0..levels).fold("SELECT 1, 2".to_owned(), one)
    };
    expect(&database, &[(&nested(2), &["1|2"])]).await;
    let (kind, message) = database.error(&nested(5)).await;
    assert_eq!(kind, ErrorKind::InvalidInput, "{message}");
    assert!(message.contains("expected at most"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_beside_unnest_has_its_own_value() {
    let database = tables().await;
    database.run("CREATE TABLE n (s BIGINT, l BIGINT[], t TEXT)").await;
    database.run("INSERT INTO n VALUES (1, [5, 6], 'a'), (2, [], 'b'), (3, NULL, 'c'), (4, [7], 'd')").await;
    expect(
        &database,
        &[
            ("SELECT s + 100 AS s, unnest(l) AS u FROM n ORDER BY s, u", &["101|5", "101|6", "104|7"]),
            ("SELECT s + 100 AS s, unnest(x.l) AS u FROM n AS x ORDER BY s, u", &["101|5", "101|6", "104|7"]),
            ("SELECT s * 2 AS s, unnest([s, s + 1]) AS u FROM (SELECT s FROM n) WHERE s < 3 ORDER BY s, u", &["2|1", "2|2", "4|2", "4|3"]),
            ("SELECT t AS s, s AS t, unnest(l) AS u FROM n ORDER BY u", &["a|1|5", "a|1|6", "d|4|7"]),
            ("SELECT t AS s, s AS t, unnest([1]) AS u FROM (SELECT * FROM n WHERE s = 2)", &["b|2|1"]),
            ("SELECT s + unnest(l) AS u, 9 AS s FROM n ORDER BY u", &["6|9", "7|9", "11|9"]),
            ("SELECT [s] AS s, unnest(l) + 1 AS l FROM n ORDER BY l", &["[1]|6", "[1]|7", "[4]|8"]),
            ("SELECT q.s FROM (SELECT upper(t) AS s, s AS i, unnest(l) AS u FROM n) q ORDER BY q.u", &["A", "A", "D"]),
            ("SELECT s, upper(t) AS t, unnest(l) AS l FROM n ORDER BY l", &["1|A|5", "1|A|6", "4|D|7"]),
            ("SELECT s + 1 AS s, count(*) AS n, unnest(l) AS u FROM n GROUP BY s, unnest(l) ORDER BY u", &["2|1|5", "2|1|6", "5|1|7"]),
            ("SELECT s + 1 AS s, max(t) AS t, unnest([1]) AS u FROM n GROUP BY s ORDER BY s LIMIT 2", &["2|a|1", "3|b|1"]),
            ("SELECT s + 1 AS s, sum(s) OVER () AS x, unnest(l) AS u FROM n ORDER BY u", &["2|10|5", "2|10|6", "5|10|7"]),
            ("SELECT s + 1 AS s, unnest(unnest([[s, 2], [3]])) AS u FROM n WHERE s = 1 ORDER BY u", &["2|1", "2|2", "2|3"]),
            (
                "SELECT s + 1 AS s, unnest((SELECT array_agg(id) FROM a)) AS u FROM n WHERE s < 3 ORDER BY s, u",
                &["2|1", "2|2", "3|1", "3|2"],
            ),
            ("SELECT n.s AS s, unnest(struct(n.t)) FROM n WHERE s = 1", &["1|a"]),
            ("SELECT (SELECT max(a.x) FROM a WHERE a.id = n.s) AS s, unnest(n.l) AS u FROM n ORDER BY u", &["10|5", "10|6", "NULL|7"]),
            (
                "SELECT s + 1 AS s, unnest(l) AS u FROM n UNION ALL SELECT s + 2 AS s, unnest(l) AS u FROM n ORDER BY s, u",
                &["2|5", "2|6", "3|5", "3|6", "5|7", "6|7"],
            ),
        ],
    )
    .await;
    database.run("CREATE TABLE m AS SELECT s + 1 AS s, upper(t) AS t, unnest(l) AS l FROM n").await;
    database.run("INSERT INTO m SELECT s + 10 AS s, lower(t) AS t, unnest([0]) AS l FROM m WHERE l = 7").await;
    expect(&database, &[("SELECT s, t, l FROM m ORDER BY l", &["15|d|0", "2|A|5", "2|A|6", "5|D|7"])]).await;
    for (sql, expected) in [
        ("SELECT s + 1 AS s, unnest(struct(s, l)) FROM n", "unnest() of a struct: expected a column of its own"),
        (
            format!("SELECT s + 1 AS s, unnest([s{}]) FROM n", ", s".repeat(70_000)).as_str(),
            "beside unnest() of a large subquery or list",
        ),
    ] {
        let error = database.try_query(sql, &[]).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let nested = |levels: usize| {
        let one = |inner: String, _| {
            format!("SELECT array_agg(u) FROM (SELECT s + 1 AS s, unnest(({inner})) AS u FROM n) AS q")
        };
        (0..levels).fold("SELECT [1]".to_owned(), one)
    };
    expect(&database, &[(&format!("SELECT cardinality(({}))", nested(2)), &["16"])]).await;
}
