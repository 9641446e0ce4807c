//! DML does exactly what SQL says, or is a typed error, and never destroys a table.

use std::sync::Arc;

use ruvector_sql::ErrorKind;

use crate::support::{Database, vector};

/// `t`: ids 1..=5, x is NULL for 3. `keys`: 2, 4 and NULL.
async fn database() -> Database {
    let database = Database::temporary().await;
    database.run("CREATE TABLE t (id BIGINT, x BIGINT, vec FLOAT[2])").await;
    let rows = "(1, 10, [1.0, 0.0]), (2, 20, [2.0, 0.0]), (3, NULL, [3.0, 0.0]), (4, 40, NULL), (5, 50, [5.0, 0.0])";
    assert_eq!(database.run(&format!("INSERT INTO t VALUES {rows}")).await, 5);
    database.run("CREATE TABLE keys (k BIGINT)").await;
    assert_eq!(database.run("INSERT INTO keys VALUES (2), (4), (NULL)").await, 3);
    database
}

#[tokio::test(flavor = "multi_thread")]
async fn delete_deletes_what_the_predicate_says() {
    for (predicate, left) in [
        ("WHERE false", vec![1, 2, 3, 4, 5]),
        ("WHERE NULL", vec![1, 2, 3, 4, 5]),
        ("WHERE 1 = 0", vec![1, 2, 3, 4, 5]),
        ("WHERE true", vec![]),
        ("", vec![]),
        ("WHERE id = 2", vec![1, 3, 4, 5]),
        ("WHERE x > 15", vec![1, 3]),
        ("WHERE NOT (x > 15)", vec![2, 3, 4, 5]),
        ("WHERE x IS NULL", vec![1, 2, 4, 5]),
        ("WHERE id = 99", vec![1, 2, 3, 4, 5]),
        ("WHERE id IN (2, 3)", vec![1, 4, 5]),
        ("WHERE id IN (SELECT k FROM keys)", vec![1, 3, 5]),
        ("WHERE id NOT IN (SELECT k FROM keys)", vec![1, 2, 3, 4, 5]),
        ("WHERE id NOT IN (SELECT k FROM keys WHERE k IS NOT NULL)", vec![2, 4]),
        ("WHERE id IN (SELECT k FROM keys WHERE k > 100)", vec![1, 2, 3, 4, 5]),
        ("WHERE id NOT IN (SELECT k FROM keys WHERE k > 100)", vec![]),
        ("WHERE EXISTS (SELECT 1 FROM keys WHERE k = 2) AND id < 3", vec![3, 4, 5]),
        ("WHERE EXISTS (SELECT 1 FROM keys WHERE k = 99)", vec![1, 2, 3, 4, 5]),
        ("WHERE NOT EXISTS (SELECT 1 FROM keys WHERE k = 99) AND id = 1", vec![2, 3, 4, 5]),
        ("WHERE id > (SELECT max(k) FROM keys)", vec![1, 2, 3, 4]),
        ("WHERE id > (SELECT k FROM keys WHERE k = 99)", vec![1, 2, 3, 4, 5]),
        ("WHERE vec IS NULL", vec![1, 2, 3, 5]),
        ("WHERE id IN (SELECT id FROM t WHERE l2_distance(vec, [2.0, 0.0]) < 1.5)", vec![4, 5]),
        ("WHERE l2_distance(vec, [2.0, 0.0]) < 1.5", vec![4, 5]),
        ("WHERE EXISTS (SELECT 1 FROM keys WHERE keys.k = t.id)", vec![1, 3, 5]),
        ("WHERE NOT EXISTS (SELECT 1 FROM keys WHERE keys.k = t.id)", vec![2, 4]),
        ("WHERE x > (SELECT max(k) FROM keys WHERE keys.k = t.id)", vec![1, 3, 5]),
        ("WHERE random() < 2", vec![]),
        ("AS a WHERE a.id = 2 OR a.x = 40", vec![1, 3, 5]),
        ("WHERE id IN (SELECT id FROM knn('t', [2.0, 0.0], 2))", vec![3, 4, 5]),
        (
            "WHERE id IN (SELECT n.id FROM t q CROSS JOIN LATERAL knn('t', q.vec, 1) n WHERE q.id IN (2, 3))",
            vec![1, 4, 5],
        ),
    ] {
        let database = database().await;
        let deleted = database.run(&format!("DELETE FROM t {predicate}")).await;
        assert_eq!(database.ids("SELECT id FROM t ORDER BY id").await, left, "DELETE FROM t {predicate}");
        assert_eq!(deleted, 5 - left.len() as u64, "rows counted by DELETE FROM t {predicate}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn update_updates_what_the_predicate_says() {
    for (change, changed, xs) in [
        ("SET x = 0 WHERE false", 0, "1:10 2:20 3: 4:40 5:50"),
        ("SET x = 0 WHERE id IN (SELECT k FROM keys)", 2, "1:10 2:0 3: 4:0 5:50"),
        ("SET x = 0 WHERE EXISTS (SELECT 1 FROM keys WHERE k = 99)", 0, "1:10 2:20 3: 4:40 5:50"),
        ("SET x = x + 1 WHERE x > 15", 3, "1:10 2:21 3: 4:41 5:51"),
        ("SET x = (SELECT max(k) FROM keys) WHERE id = 1", 1, "1:4 2:20 3: 4:40 5:50"),
        ("SET x = NULL WHERE id = 5", 1, "1:10 2:20 3: 4:40 5:"),
        ("SET x = 7", 5, "1:7 2:7 3:7 4:7 5:7"),
        ("SET x = id, id = id + 0 WHERE id = 3", 1, "1:10 2:20 3:3 4:40 5:50"),
        ("SET x = id, id = x WHERE x IS NOT NULL", 4, "3: 10:1 20:2 40:4 50:5"),
        ("SET x = 1 WHERE EXISTS (SELECT 1 FROM keys WHERE keys.k = t.id)", 2, "1:10 2:1 3: 4:1 5:50"),
        ("SET x = 1 WHERE l2_distance(vec, [2.0, 0.0]) < 1.5", 3, "1:1 2:1 3:1 4:40 5:50"),
        ("SET x = (SELECT max(k) FROM keys WHERE keys.k = t.id)", 5, "1: 2:2 3: 4:4 5:"),
        ("SET x = CAST(random() AS BIGINT) * 0", 5, "1:0 2:0 3:0 4:0 5:0"),
        ("AS a SET x = a.id WHERE a.id = 3", 1, "1:10 2:20 3:3 4:40 5:50"),
        ("SET X = 7 WHERE ID = 1", 1, "1:7 2:20 3: 4:40 5:50"),
        ("SET t.x = 7 WHERE id = 1", 1, "1:7 2:20 3: 4:40 5:50"),
        ("SET x = CAST(7.9 AS BIGINT) WHERE id = 1", 1, "1:7 2:20 3: 4:40 5:50"),
    ] {
        let database = database().await;
        assert_eq!(database.run(&format!("UPDATE t {change}")).await, changed, "rows counted by UPDATE t {change}");
        let sql = "SELECT string_agg(id || ':' || coalesce(CAST(x AS VARCHAR), ''), ' ' ORDER BY id) FROM t";
        let batches = database.query(sql).await;
        let text = arrow::util::display::array_value_to_string(batches[0].column(0), 0).unwrap();
        assert_eq!(text, xs, "UPDATE t {change}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn vectors_are_updated_as_vectors() {
    let database = database().await;
    assert_eq!(database.run("UPDATE t SET vec = [9.0, 9.0] WHERE id = 1").await, 1);
    assert_eq!(database.ids("SELECT id FROM knn('t', [9.0, 9.0], 1)").await, [1]);
    for (change, expected) in [("[1.0]", "1"), ("[1.0, 2.0, 3.0]", "3")] {
        let (_, message) = database.error(&format!("UPDATE t SET vec = {change} WHERE id = 1")).await;
        assert!(message.contains('2') && message.contains(expected), "{message}");
    }
    let (kind, message) = database.error("UPDATE t SET vec = [CAST('NaN' AS FLOAT), 1.0] WHERE id = 1").await;
    assert_eq!(kind, ErrorKind::InvalidInput, "{message}");
    assert_eq!(database.ids("SELECT id FROM knn('t', [9.0, 9.0], 1)").await, [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bound_vector_finds_the_rows_to_delete() {
    let database = database().await;
    let params = [vector(&[2.0, 0.0]), datafusion::scalar::ScalarValue::from(0.5_f32)];
    database
        .try_query("DELETE FROM t WHERE id IN (SELECT id FROM t WHERE l2_distance(vec, $1) < $2)", &params)
        .await
        .unwrap();
    assert_eq!(database.ids("SELECT id FROM t ORDER BY id").await, [1, 3, 4, 5]);
    database.try_query("UPDATE t SET vec = ? WHERE id = 4", &params[..1]).await.unwrap();
    assert_eq!(database.ids("SELECT id FROM knn('t', [2.0, 0.0], 1)").await, [4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_exactly_is_refused_and_changes_nothing() {
    let database = database().await;
    for sql in [
        "DELETE FROM t LIMIT 1",
        "DELETE FROM t WHERE id IN (SELECT k FROM keys) LIMIT 1",
        "DELETE FROM t WHERE x > (SELECT max(k) FROM keys WHERE keys.k < t.id)",
        "UPDATE t SET x = keys.k FROM keys WHERE keys.k = t.id",
        "UPDATE t SET x = 1 LIMIT 1",
    ] {
        let (kind, message) = database.error(sql).await;
        assert_eq!(kind, ErrorKind::NotSupported, "{sql}: {message}");
    }
    assert_eq!(database.ids("SELECT id FROM t ORDER BY id").await, [1, 2, 3, 4, 5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn indexes_follow_every_change() {
    let database = database().await;
    database.run("CREATE INDEX t_vec ON t USING rabitq_plus (vec)").await;
    let nearest = "SELECT id FROM knn('t', [2.0, 0.0], 2)";
    assert_eq!(database.ids(nearest).await, [2, 1]);
    database.run("DELETE FROM t WHERE id = 2").await;
    assert_eq!(database.ids(nearest).await, [1, 3]);
    database.run("INSERT INTO t (id, vec) VALUES (6, [2.0, 0.1])").await;
    assert_eq!(database.ids(nearest).await, [6, 1]);
    database.run("UPDATE t SET vec = [2.0, 0.0] WHERE id = 4").await;
    assert_eq!(database.ids(nearest).await, [4, 6]);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_look_like_something_else_are_names() {
    let database = Database::temporary().await;
    let names = ["meta.title", "a b", "Größe", "select", "it's", "say \"x\"", "UPPER", "a.b.c", "vec[1]"];
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let columns: Vec<String> = names.iter().map(|name| format!("{} BIGINT", quoted(name))).collect();
    database.run(&format!("CREATE TABLE \"My.Table\" (id BIGINT, {})", columns.join(", "))).await;
    for (i, name) in names.iter().enumerate() {
        let (name, i) = (quoted(name), i as i64);
        database.run("DELETE FROM \"My.Table\"").await;
        database.run("INSERT INTO \"My.Table\" (id) VALUES (1), (2)").await;
        assert_eq!(database.run(&format!("UPDATE \"My.Table\" SET {name} = {i} WHERE id = 1")).await, 1);
        let rows = format!("SELECT id FROM \"My.Table\" WHERE {name} = {i}");
        assert_eq!(database.ids(&rows).await, [1], "{name}");
        let merge = format!(
            "MERGE INTO \"My.Table\" t USING (SELECT 1 AS id, 50 AS {name}) s ON t.id = s.id WHEN MATCHED THEN UPDATE SET \
             {name} = t.{name} + s.{name}"
        );
        assert_eq!(database.run(&merge).await, 1, "{merge}");
        assert_eq!(database.run(&format!("DELETE FROM \"My.Table\" WHERE {name} = {}", i + 50)).await, 1, "{name}");
        assert_eq!(database.ids("SELECT id FROM \"My.Table\"").await, [2]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_assignment_is_to_one_column_once() {
    let database = Database::temporary().await;
    database.run("CREATE TABLE t AS SELECT 1 AS id, 10 AS a, named_struct('a', 1, 'b', 2) AS s").await;
    for (sql, kind, part) in [
        ("UPDATE t SET s.a = 99", ErrorKind::NotSupported, "s.a"),
        ("UPDATE t AS u SET t.a = 99", ErrorKind::NotSupported, "t.a"),
        ("UPDATE t SET other.a = 99", ErrorKind::NotSupported, "other.a"),
        ("UPDATE t SET a = 2, a = 3", ErrorKind::InvalidInput, "one value for a"),
        ("UPDATE t SET a = 2, \"a\" = 3", ErrorKind::InvalidInput, "one value for a"),
        ("UPDATE t SET nothing = 2", ErrorKind::NotFound, "nothing"),
    ] {
        let (got, message) = database.error(sql).await;
        assert!(got == kind && message.contains(part), "{sql}: {got:?} {message}");
        assert_eq!(database.ids("SELECT CAST(a + s['a'] AS BIGINT) FROM t").await, [11], "{sql}");
    }
    assert_eq!(database.run("UPDATE t SET s = named_struct('a', 5, 'b', 6)").await, 1);
    assert_eq!(database.ids("SELECT CAST(a + s['a'] AS BIGINT) FROM t").await, [15]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_a_column_cannot_hold_changes_nothing() {
    let database = Database::temporary().await;
    database.run("CREATE TABLE t (id BIGINT NOT NULL, small SMALLINT, f FLOAT, vec FLOAT[2] NOT NULL)").await;
    database.run("INSERT INTO t VALUES (1, 1, 1.0, [1.0, 0.0]), (2, 2, 2.0, [2.0, 0.0])").await;
    for (change, column) in [
        ("small = 1.5", "small"),
        ("small = 40000 + id", "small"),
        ("f = 1e300", "f"),
        ("vec = CASE WHEN id = 1 THEN NULL ELSE vec END", "vec"),
        ("id = NULL", "id"),
        ("vec = [1.0]", "vec"),
    ] {
        for sql in [
            format!("UPDATE t SET {change}"),
            format!("MERGE INTO t USING (SELECT 1) s ON true WHEN MATCHED THEN UPDATE SET {change}"),
        ] {
            let (kind, message) = database.error(&sql).await;
            assert!(kind == ErrorKind::InvalidInput && message.contains(column), "{sql}: {kind:?} {message}");
        }
    }
    assert_eq!(database.ids("SELECT id FROM t WHERE small = id AND f = id AND vec[1] = id ORDER BY id").await, [1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_at_the_same_time_all_happen() {
    let one = Arc::new(Database::temporary().await);
    one.run("CREATE TABLE t (id BIGINT, n BIGINT)").await;
    for first in [0, 4] {
        one.run(&format!("INSERT INTO t SELECT value, 0 FROM generate_series({first}, {})", first + 3)).await;
    }
    let mut tasks = Vec::new();
    for worker in 0..4_i64 {
        let database = Arc::clone(&one);
        tasks.push(tokio::spawn(async move {
            for i in 0..4 {
                database.run(&format!("UPDATE t SET n = n + 1 WHERE id IN ({worker}, {})", worker + 4)).await;
                database.run(&format!("INSERT INTO t VALUES ({}, 1)", 100 + 10 * worker + i)).await;
                let merge = format!(
                    "MERGE INTO t USING (SELECT {} AS id) s ON t.id = s.id WHEN NOT MATCHED THEN INSERT (id, n) VALUES \
                     (s.id, 1) WHEN MATCHED THEN UPDATE SET n = t.n + 1",
                    200 + worker
                );
                assert_eq!(database.run(&merge).await, 1);
                assert_eq!(database.run(&format!("DELETE FROM t WHERE id = {}", 100 + 10 * worker + i)).await, 1);
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let expected: Vec<i64> = vec![4; 8 + 4];
    assert_eq!(one.ids("SELECT n FROM t ORDER BY id").await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_created_by_one_of_many() {
    let database = Arc::new(Database::temporary().await);
    for i in 0..4 {
        let create = |sql: String| {
            let database = Arc::clone(&database);
            tokio::spawn(async move { database.try_query(&sql, &[]).await.map(drop) })
        };
        let tasks: Vec<_> = (0..4).map(|_| create(format!("CREATE TABLE IF NOT EXISTS t{i} (id BIGINT)"))).collect();
        let replaced: Vec<_> =
            (0..4).map(|n| create(format!("CREATE OR REPLACE TABLE r{i} AS SELECT {n} AS id"))).collect();
        for task in tasks.into_iter().chain(replaced) {
            task.await.unwrap().unwrap();
        }
        assert_eq!(database.ids(&format!("SELECT count(*) FROM r{i}")).await, [1]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_folded_as_far_as_ascii_goes() {
    let database = Database::temporary().await;
    database.run("CREATE TABLE Ärzte (ID BIGINT, Ä BIGINT)").await;
    database.run("INSERT INTO Ärzte VALUES (1, 10)").await;
    assert_eq!(database.run("UPDATE Ärzte SET Ä = Ä + 1").await, 1);
    assert_eq!(database.ids("SELECT Ä FROM Ärzte VERSION AS OF 1").await, [10]);
    assert_eq!(database.ids("SELECT y FROM Ärzte a JOIN (SELECT 11 AS Ä, 7 AS y) b USING (Ä) WHERE Ä = 11").await, [7]);
    database.run("CREATE BACKEND Öl TYPE memory").await;
    assert_eq!(database.ids("SELECT count(*) FROM information_schema.schemata WHERE schema_name = 'Öl'").await, [1]);
}
