//! `CREATE TABLE ... AS` stores what its query answers.

use arrow::array::RecordBatch;
use arrow::util::display::array_value_to_string;
use ruvector_sql::ErrorKind;

use crate::support::Database;

/// A table made of a query has the columns, types and rows of the query.
#[tokio::test(flavor = "multi_thread")]
async fn the_types_are_those_of_the_answer() {
    let database = Database::temporary().await;
    for (number, query) in [
        "SELECT 1 AS x UNION ALL SELECT 'a'",
        "SELECT 'a' AS x UNION SELECT 1",
        "SELECT 1 AS x UNION ALL SELECT 2.5",
        "SELECT CAST(1 AS INT) AS x UNION ALL SELECT CAST(9000000000 AS BIGINT)",
        "SELECT NULL AS x UNION ALL SELECT 3",
        "SELECT * FROM (VALUES (1), (2.5)) AS v(x)",
        "SELECT coalesce(NULL, 1, 2.5) AS x",
        "SELECT CASE WHEN true THEN 1 ELSE 'a' END AS x",
        "SELECT x FROM (SELECT 1 AS x UNION ALL SELECT 'b') WHERE x = 'b' ORDER BY x LIMIT 1",
        "WITH RECURSIVE n AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM n WHERE x < 3) SELECT x FROM n",
        "SELECT [1, 2] AS x UNION ALL SELECT [1.5, 2.5]",
        "SELECT l2_distance(CAST([1.0, 0.0] AS FLOAT[2]), [0.0, 0.0]) AS x",
    ]
    .into_iter()
    .enumerate()
    {
        let table = format!("t{number}");
        let expected = typed(&database, &format!("({query})")).await;
        for create in
            [format!("CREATE TABLE {table} AS {query}"), format!("CREATE OR REPLACE TABLE {table} AS {query}")]
        {
            database.run(&create).await;
            assert_eq!(typed(&database, &table).await, expected, "{create}");
        }
    }
}

/// Types and values of the column `x`, in one order.
async fn typed(database: &Database, from: &str) -> Vec<(String, String)> {
    let sql = format!("SELECT arrow_typeof(x), CAST(x AS VARCHAR) AS value FROM {from} ORDER BY value");
    let of_batch = |batch: &RecordBatch| {
        let cell = |column: usize, row: usize| array_value_to_string(batch.column(column), row).unwrap();
        // Delta's name for the items of a list is part of the type that is shown.
        (0..batch.num_rows())
            .map(|row| (cell(0, row).replace(", field: 'element'", ""), cell(1, row)))
            .collect::<Vec<_>>()
    };
    database.query(&sql).await.iter().flat_map(of_batch).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_cannot_be_typed_makes_no_table() {
    let database = Database::temporary().await;
    for query in ["SELECT NULL AS x", "SELECT 1 + [1] AS x", "SELECT 1 AS x UNION ALL SELECT [1]"] {
        let (kind, message) = database.error(&format!("CREATE TABLE t AS {query}")).await;
        assert_eq!(kind, ErrorKind::InvalidInput, "{query}: {message}");
        assert_eq!(database.error("SELECT * FROM t").await.0, ErrorKind::NotFound, "{query}");
    }
}
