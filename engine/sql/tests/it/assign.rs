//! Rows that SQL writes: each value is kept exactly, or the statement fails, names the column and writes nothing.

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Int32Type, Schema};
use arrow::util::pretty::pretty_format_batches;
use datafusion::scalar::ScalarValue;
use ruvector_sql::ErrorKind;

use crate::support::Database;

async fn places(database: &Database) {
    database.run("CREATE TABLE src AS SELECT 1.9 AS d, 1e300 AS huge, 4.0 AS whole, '7' AS t, 3000000000 AS big").await;
    database
        .run(
            "CREATE TABLE places (i INT, f FLOAT, n DECIMAL(6, 2), at TIMESTAMP, day DATE, v FLOAT[2], t TEXT, \
             s STRUCT<lat DOUBLE, lon DOUBLE>, u INT UNSIGNED, l BIGINT[])",
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_column_cannot_hold_is_refused_in_every_form() {
    let database = Database::temporary().await;
    places(&database).await;
    for (column, value) in [
        ("i", "1.9"),
        ("i", "3000000000"),
        ("i", "'x'"),
        ("i", "'1.5'"),
        ("f", "1e300"),
        ("f", "16777217"),
        ("n", "1.005"),
        ("n", "100000"),
        ("day", "TIMESTAMP '2026-01-01 10:00:00'"),
        ("at", "'2026-01-01 10:00:00.0000001'"),
        ("u", "-1"),
        ("u", "5000000000"),
        ("v", "[1.0]"),
        ("v", "[1.0, 1e300]"),
        ("l", "[1.5]"),
        ("s", "named_struct('lon', 2.5, 'latitude', 1.5)"),
    ] {
        for sql in [
            format!("INSERT INTO places ({column}) VALUES ({value})"),
            format!("INSERT INTO places ({column}) SELECT {value}"),
            format!("INSERT INTO places ({column}) SELECT x FROM (SELECT {value} AS x) AS t WHERE random() >= 0"),
            format!("INSERT INTO places ({column}) VALUES (NULL), ({value})"),
        ] {
            let (kind, message) = database.error(&sql).await;
            assert_eq!(kind, ErrorKind::InvalidInput, "{sql}: {message}");
            assert!(message.contains(&format!("\"{column}")), "{sql}: {message}");
        }
    }
    for sql in [
        "INSERT INTO places (i) SELECT d FROM src",
        "INSERT INTO places (i) SELECT big FROM src",
        "INSERT INTO places (f) SELECT huge FROM src",
        "CREATE TABLE made (i INT) AS SELECT d FROM src",
        "CREATE TABLE made (f FLOAT) AS SELECT huge FROM src",
        "CREATE TABLE made (i INT) AS VALUES (1), (1.5)",
    ] {
        assert_eq!(database.error(sql).await.0, ErrorKind::InvalidInput, "{sql}");
    }
    assert_eq!(database.ids("SELECT count(*) FROM places").await, [0]);
    assert_eq!(database.error("SELECT * FROM made").await.0, ErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fits_is_written_as_it_is() {
    let database = Database::temporary().await;
    places(&database).await;
    database
        .run(
            "INSERT INTO places VALUES (2.0, 0.1, 1.10, '2026-01-01 10:00:00', '2026-01-02', [1, 2], 'a', \
             named_struct('lon', 2.5, 'lat', 1.5), 3000000000, [9007199254740993])",
        )
        .await;
    database.run("INSERT INTO places (i, v, day) SELECT t, [whole, 1], TIMESTAMP '2026-01-03' FROM src").await;
    let rows = database.query("SELECT * FROM places ORDER BY i").await;
    let expected = "\
+---+-----+------+---------------------+------------+------------+---+----------------------+------------+--------------------+
| i | f   | n    | at                  | day        | v          | t | s                    | u          | l                  |
+---+-----+------+---------------------+------------+------------+---+----------------------+------------+--------------------+
| 2 | 0.1 | 1.10 | 2026-01-01T10:00:00 | 2026-01-02 | [1.0, 2.0] | a | {lat: 1.5, lon: 2.5} | 3000000000 | [9007199254740993] |
| 7 |     |      |                     | 2026-01-03 | [4.0, 1.0] |   |                      |            |                    |
+---+-----+------+---------------------+------------+------------+---+----------------------+------------+--------------------+";
    assert_eq!(pretty_format_batches(&rows).unwrap().to_string(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cast_of_the_statement_itself_stays() {
    let database = Database::temporary().await;
    places(&database).await;
    database.run("INSERT INTO places (i) SELECT CAST(d AS INT) FROM src").await;
    database.run("INSERT INTO places (i) VALUES (CAST(1.9 AS INT)), ((1.9::INT))").await;
    database.run("CREATE TABLE cut AS SELECT CAST(d AS INT) AS i FROM src").await;
    for table in ["places", "cut"] {
        let rows = database.query(&format!("SELECT i FROM {table}")).await;
        let values = rows.iter().flat_map(|rows| rows.column(0).as_primitive::<Int32Type>().values().to_vec());
        assert!(values.eq(if table == "cut" { vec![1] } else { vec![1; 3] }), "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_are_assigned_too() {
    let database = Database::temporary().await;
    places(&database).await;
    let insert = "INSERT INTO places (i) VALUES ($1)";
    for value in [ScalarValue::from(1.5), ScalarValue::from(3_000_000_000_i64), ScalarValue::from("x")] {
        let error = database.try_query(insert, std::slice::from_ref(&value)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{value}: {error}");
        assert!(error.to_string().contains("\"i\""), "{value}: {error}");
    }
    database.try_query(insert, &[ScalarValue::from(4.0)]).await.unwrap();
    database.try_query(insert, &[ScalarValue::from(5_i64)]).await.unwrap();
    database.try_query(insert, &[ScalarValue::from("6")]).await.unwrap();
    let rows = database.query("SELECT i FROM places ORDER BY i").await;
    let got: Vec<i32> =
        rows.iter().flat_map(|rows| rows.column(0).as_primitive::<Int32Type>().values().to_vec()).collect();
    assert_eq!(got, [4, 5, 6]);
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_have_types_that_hold_their_values() {
    let database = Database::temporary().await;
    database
        .run(
            "CREATE TABLE t AS SELECT arrow_cast(255, 'UInt8') AS a, arrow_cast(65535, 'UInt16') AS b, \
             arrow_cast(4294967295, 'UInt32') AS c, arrow_cast(18446744073709551615, 'UInt64') AS d, \
             arrow_cast('2026-01-01T00:00:00', 'Timestamp(Second, Some(\"Asia/Tokyo\"))') AS at, \
             [arrow_cast(255, 'UInt8')] AS l",
        )
        .await;
    let rows: Vec<RecordBatch> = database.query("SELECT a, b, c, d, CAST(at AS TEXT) AS at, l FROM t").await;
    let schema: &Schema = rows[0].schema_ref();
    let types: Vec<&DataType> = schema.fields().iter().map(|field| field.data_type()).take(4).collect();
    assert_eq!(types, [&DataType::Int16, &DataType::Int32, &DataType::Int64, &DataType::Decimal128(20, 0)]);
    let DataType::List(item) = schema.field(5).data_type() else { panic!("{schema}") };
    assert_eq!(item.data_type(), &DataType::Int16);
    let text = pretty_format_batches(&rows).unwrap().to_string();
    assert!(text.contains("| 255 | 65535 | 4294967295 | 18446744073709551615 | 2025-12-31T15:00:00Z"), "{text}");

    for (sql, column) in [
        ("CREATE TABLE u AS SELECT arrow_cast(1, 'Time64(Microsecond)') AS clock", "column clock:"),
        ("CREATE TABLE u AS SELECT INTERVAL '1 day' AS span", "column span:"),
        ("CREATE TABLE u (clock TIME)", "column clock:"),
        ("CREATE TABLE u AS SELECT named_struct('a', INTERVAL '1 day') AS s", "column s.a:"),
    ] {
        let (kind, message) = database.error(sql).await;
        assert!(kind == ErrorKind::NotSupported && message.contains(column), "{sql}: {kind:?} {message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declared_unsigned_column_is_read_like_any_other() {
    let database = Database::temporary().await;
    database.run("CREATE TABLE t (u INT UNSIGNED)").await;
    database.run("INSERT INTO t VALUES (7), (NULL)").await;
    database.run("INSERT OVERWRITE t VALUES (7)").await;
    assert_eq!(database.error("INSERT INTO t VALUES (-1)").await.0, ErrorKind::InvalidInput);
    assert_eq!(
        database.ids("SELECT u FROM t UNION ALL SELECT 8 UNION SELECT u + 2 FROM t ORDER BY 1").await,
        [7, 8, 9]
    );
    assert_eq!(database.ids("SELECT max(a.u) FROM t AS a JOIN t AS b ON a.u = b.u GROUP BY a.u").await, [7]);
    let schema = database.query("SELECT u FROM t").await[0].schema();
    assert_eq!(schema.field(0).data_type(), &Field::new("u", DataType::Int64, true).data_type().clone());
}
