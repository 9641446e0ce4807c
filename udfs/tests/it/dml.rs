//! DML does exactly what SQL says, or is a typed error, and never destroys a table.

use ruvector_udfs::ErrorKind;

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
        "DELETE FROM t WHERE EXISTS (SELECT 1 FROM keys WHERE keys.k = t.id)",
        "DELETE FROM t WHERE x > (SELECT max(k) FROM keys WHERE keys.k < t.id)",
        "DELETE FROM t WHERE random() < 0.5",
        "DELETE FROM t WHERE l2_distance(vec, [2.0, 0.0]) < 1.5",
        "UPDATE t SET x = 1 WHERE l2_distance(vec, [2.0, 0.0]) < 1.5",
        "UPDATE t SET x = keys.k FROM keys WHERE keys.k = t.id",
        "UPDATE t SET x = 1 WHERE EXISTS (SELECT 1 FROM keys WHERE keys.k = t.id)",
        "UPDATE t SET x = CAST(random() * 10 AS BIGINT)",
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
