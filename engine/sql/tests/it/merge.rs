//! MERGE and TRUNCATE do exactly what SQL says, or are a typed error; held against a model of the table in memory.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Float32Type, Int64Type};
use ruvector_sql::ErrorKind;

use crate::support::Database;

/// `t`: ids 1..=4. `s`: ids 2, 4 (twice, for different `kind`), 5 and NULL.
async fn database() -> Database {
    let database = Database::temporary().await;
    database.run("CREATE TABLE t (id BIGINT, x BIGINT, name VARCHAR, vec FLOAT[2])").await;
    let rows = "(1, 10, 'a', [1.0, 0.0]), (2, 20, 'b', [2.0, 0.0]), (3, NULL, 'c', [3.0, 0.0]), (4, 40, NULL, NULL)";
    assert_eq!(database.run(&format!("INSERT INTO t VALUES {rows}")).await, 4);
    database.run("CREATE TABLE s (id BIGINT, x BIGINT, kind VARCHAR, v FLOAT[2])").await;
    let rows = "(2, 200, 'p', [20.0, 0.0]), (4, 400, 'p', [40.0, 0.0]), (4, 401, 'q', NULL), (5, 500, 'p', [50.0, 0.0]), \
                (NULL, 900, 'p', [90.0, 0.0])";
    assert_eq!(database.run(&format!("INSERT INTO s VALUES {rows}")).await, 5);
    database
}

async fn contents(database: &Database) -> String {
    let sql = "SELECT string_agg(coalesce(CAST(id AS VARCHAR), '-') || ':' || coalesce(CAST(x AS VARCHAR), '-') || ':' || \
               coalesce(name, '-') || ':' || coalesce(CAST(vec[1] AS VARCHAR), '-'), ' ' ORDER BY id, x) FROM t";
    let batches = database.query(sql).await;
    arrow::util::display::array_value_to_string(batches[0].column(0), 0).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn merge_does_what_its_clauses_say() {
    let p = "(SELECT * FROM s WHERE kind = 'p') AS s";
    for (merge, changed, expected) in [
        (
            format!("t USING {p} ON t.id = s.id WHEN MATCHED THEN UPDATE SET x = s.x, vec = s.v"),
            2,
            "1:10:a:1.0 2:200:b:20.0 3:-:c:3.0 4:400:-:40.0",
        ),
        (
            format!(
                "t USING {p} ON t.id = s.id WHEN MATCHED THEN UPDATE SET x = t.x + s.x \
                 WHEN NOT MATCHED THEN INSERT (id, x, vec) VALUES (s.id, s.x, s.v)"
            ),
            4,
            "1:10:a:1.0 2:220:b:2.0 3:-:c:3.0 4:440:-:- 5:500:-:50.0 -:900:-:90.0",
        ),
        // The first clause that holds is done; a target may have an alias.
        (
            format!(
                "t AS target USING {p} ON target.id = s.id WHEN MATCHED AND s.x > 300 THEN DELETE \
                 WHEN MATCHED AND target.x IS NULL THEN DELETE WHEN MATCHED THEN UPDATE SET name = 'seen' \
                 WHEN NOT MATCHED AND s.id IS NOT NULL THEN INSERT VALUES (s.id, NULL, 'new', [0.5, 0.5])"
            ),
            3,
            "1:10:a:1.0 2:20:seen:2.0 3:-:c:3.0 5:-:new:0.5",
        ),
        (
            format!(
                "t USING {p} ON t.id = s.id WHEN NOT MATCHED BY SOURCE AND t.id > 1 THEN DELETE \
                 WHEN NOT MATCHED BY SOURCE THEN UPDATE SET x = -1"
            ),
            2,
            "1:-1:a:1.0 2:20:b:2.0 4:40:-:-",
        ),
        // Conditions that are never true match nothing.
        (
            "t USING s ON false WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (id) VALUES (s.id + 100)".to_owned(),
            5,
            "1:10:a:1.0 2:20:b:2.0 3:-:c:3.0 4:40:-:- 102:-:-:- 104:-:-:- 104:-:-:- 105:-:-:- -:-:-:-",
        ),
        ("t USING s ON t.id = NULL WHEN MATCHED THEN DELETE".to_owned(), 0, UNCHANGED),
        (format!("t USING {p} ON t.id = s.id WHEN MATCHED AND NULL THEN DELETE"), 0, UNCHANGED),
        (format!("t USING {p} ON t.id = s.id AND s.x IS NULL WHEN MATCHED THEN DELETE"), 0, UNCHANGED),
        (format!("t USING {p} ON t.id = s.id AND t.x > 30 WHEN MATCHED THEN DELETE"), 1, "1:10:a:1.0 2:20:b:2.0 3:-:c:3.0"),
        // Keys that are computed, on either side.
        (format!("t USING {p} ON t.id = s.id - 1 WHEN MATCHED THEN DELETE"), 3, "2:20:b:2.0"),
        (
            format!("t USING {p} ON t.id * 10 = s.x / 10 WHEN MATCHED THEN UPDATE SET name = s.kind"),
            2,
            "1:10:a:1.0 2:20:p:2.0 3:-:c:3.0 4:40:p:-",
        ),
        ("t USING (VALUES (1.0), (3.0)) AS v(k) ON t.id = v.k WHEN MATCHED THEN DELETE".to_owned(), 2, "2:20:b:2.0 4:40:-:-"),
        // The table itself, a join and a search are sources like others.
        ("t USING t AS u ON t.id = u.id + 1 WHEN MATCHED THEN UPDATE SET x = u.x".to_owned(), 3, "1:10:a:1.0 2:10:b:2.0 3:20:c:3.0 4:-:-:-"),
        (
            "t USING (SELECT id FROM knn('t', [3.0, 0.0], 2)) AS near ON t.id = near.id WHEN MATCHED THEN UPDATE SET name = 'near'"
                .to_owned(),
            2,
            "1:10:a:1.0 2:20:near:2.0 3:-:near:3.0 4:40:-:-",
        ),
        (
            format!("t USING {p} ON t.id = s.id WHEN MATCHED AND t.id IN (SELECT max(id) FROM s) - 1 THEN DELETE")
                .replace(" IN (SELECT max(id) FROM s) - 1", " = (SELECT max(id) FROM s) - 1"),
            1,
            "1:10:a:1.0 2:20:b:2.0 3:-:c:3.0",
        ),
        (
            format!("t USING {p} ON t.id = s.id WHEN MATCHED AND l2_distance(t.vec, s.v) > 17.5 THEN DELETE"),
            1,
            "1:10:a:1.0 3:-:c:3.0 4:40:-:-",
        ),
        // A source without rows.
        ("t USING (SELECT * FROM s WHERE false) AS s ON t.id = s.id WHEN MATCHED THEN DELETE".to_owned(), 0, UNCHANGED),
        (
            "t USING (SELECT * FROM s WHERE false) AS s ON t.id = s.id WHEN NOT MATCHED BY SOURCE THEN DELETE".to_owned(),
            4,
            "",
        ),
    ] {
        let database = database().await;
        assert_eq!(database.run(&format!("MERGE INTO {merge}")).await, changed, "rows counted by MERGE INTO {merge}");
        assert_eq!(contents(&database).await, expected, "MERGE INTO {merge}");
    }
}

const UNCHANGED: &str = "1:10:a:1.0 2:20:b:2.0 3:-:c:3.0 4:40:-:-";

#[tokio::test(flavor = "multi_thread")]
async fn what_merge_cannot_do_is_refused_and_changes_nothing() {
    let database = database().await;
    for (merge, kind, part) in [
        (
            "t USING s ON t.id = s.id WHEN MATCHED THEN UPDATE SET x = s.x",
            ErrorKind::InvalidInput,
            "several rows of the source",
        ),
        ("t USING s ON t.id = s.id", ErrorKind::InvalidInput, "WHEN"),
        ("t USING s ON t.id = s.id WHEN MATCHED THEN UPDATE SET nothing = 1", ErrorKind::NotFound, "nothing"),
        (
            "t USING s ON t.id = s.id WHEN NOT MATCHED THEN INSERT (id) VALUES (1, 2)",
            ErrorKind::InvalidInput,
            "1 column(s) but 2",
        ),
        ("t USING nowhere ON t.id = nowhere.id WHEN MATCHED THEN DELETE", ErrorKind::NotFound, "nowhere"),
        ("nowhere USING s ON nowhere.id = s.id WHEN MATCHED THEN DELETE", ErrorKind::NotFound, "nowhere"),
        (
            "t USING s ON t.id = s.id WHEN NOT MATCHED THEN INSERT (id, vec) VALUES (7, [1.0])",
            ErrorKind::InvalidInput,
            "1",
        ),
        (
            "t USING s ON t.id = s.id WHEN NOT MATCHED THEN INSERT (id, vec) VALUES (7, [CAST('NaN' AS FLOAT), 1.0])",
            ErrorKind::InvalidInput,
            "vec",
        ),
        (
            "t USING (SELECT 'x' AS id) AS s ON t.name = s.id WHEN NOT MATCHED THEN INSERT (id) VALUES (s.id)",
            ErrorKind::InvalidInput,
            "x",
        ),
    ] {
        let (got, message) = database.error(&format!("MERGE INTO {merge}")).await;
        assert!(got == kind && message.contains(part), "MERGE INTO {merge}: {got:?} {message}");
        assert_eq!(contents(&database).await, UNCHANGED, "MERGE INTO {merge}");
    }
    for sql in ["REPLACE INTO t (id) VALUES (1)", "INSERT OR REPLACE INTO t (id) VALUES (1)"] {
        let (kind, message) = database.error(sql).await;
        assert!(kind == ErrorKind::NotSupported && message.contains("MERGE INTO"), "{sql}: {kind:?} {message}");
    }
    assert_eq!(contents(&database).await, UNCHANGED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_star_is_every_column_of_the_target() {
    let database = database().await;
    // Other columns than those of the target are not read, and the order of columns is the source's own affair.
    let source = "(SELECT v AS vec, kind AS name, id, x, x + 1 AS more FROM s WHERE kind = 'p')";
    let both = "WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED AND s.id IS NOT NULL THEN INSERT *";
    let sql = format!("MERGE INTO main.t AS target USING {source} AS s ON target.id = s.id {both};");
    let plan = format!("{:?}", database.query(&format!("EXPLAIN {sql}")).await);
    assert!(plan.contains("Dml") && contents(&database).await == UNCHANGED, "{plan}");
    assert_eq!(database.run(&sql).await, 3);
    assert_eq!(contents(&database).await, "1:10:a:1.0 2:200:p:20.0 3:-:c:3.0 4:400:p:40.0 5:500:p:50.0");
    // Beside other clauses, over several lines; a source by its own name, and a search.
    database
        .run("CREATE TABLE \"News\" AS SELECT 9 AS id, 90 AS x, 'n' AS name, CAST([9.0, 9.0] AS FLOAT[2]) AS vec")
        .await;
    let sql = "MERGE INTO t USING main.\"News\" ON t.id = \"News\".id\nWHEN MATCHED THEN\n  UPDATE SET *\n\
               WHEN NOT MATCHED THEN\n  INSERT *\nWHEN NOT MATCHED BY SOURCE AND t.id < 3 THEN DELETE";
    assert_eq!(database.run(sql).await, 3);
    assert_eq!(contents(&database).await, "3:-:c:3.0 4:400:p:40.0 5:500:p:50.0 9:90:n:9.0");
    let sql = "MERGE INTO t USING knn('t', [9.0, 9.0], 1) AS n ON t.id = n.id + 1 WHEN NOT MATCHED THEN INSERT *";
    assert_eq!(database.run(sql).await, 1);
    // Parameters in the source; the types become those of the target.
    let sql = "MERGE INTO t USING (SELECT ? AS id, 1.0 AS x, 'z' AS name, [1.0, 2.0] AS vec) s ON t.id = s.id \
               WHEN MATCHED THEN UPDATE SET *";
    database.try_query(sql, &[datafusion::scalar::ScalarValue::from(3_i64)]).await.unwrap();
    assert_eq!(contents(&database).await, "3:1:z:1.0 4:400:p:40.0 5:500:p:50.0 9:90:n:9.0 9:90:n:9.0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_star_that_cannot_be_told_is_refused_and_changes_nothing() {
    let database = database().await;
    for (merge, kind, part) in [
        ("t USING s ON t.id = s.id WHEN NOT MATCHED THEN INSERT *", ErrorKind::NotFound, "s.name"),
        ("t USING s ON t.id = s.id WHEN MATCHED THEN UPDATE SET *", ErrorKind::NotFound, "s.name"),
        (
            "t USING (SELECT * FROM t) ON false WHEN NOT MATCHED THEN INSERT *",
            ErrorKind::InvalidInput,
            "a source with a name",
        ),
        ("nowhere USING s ON true WHEN NOT MATCHED THEN INSERT *", ErrorKind::NotFound, "nowhere"),
        ("t USING s ON t.id = s.id WHEN MATCHED THEN UPDATE SET *, x = 1", ErrorKind::InvalidInput, "found: *"),
        ("t USING s ON t.id = s.id WHEN MATCHED THEN INSERT *", ErrorKind::InvalidInput, "INSERT is not allowed"),
    ] {
        let (got, message) = database.error(&format!("MERGE INTO {merge}")).await;
        assert!(got == kind && message.contains(part), "MERGE INTO {merge}: {got:?} {message}");
        assert_eq!(contents(&database).await, UNCHANGED, "MERGE INTO {merge}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_is_not_null_stays_so() {
    let database = database().await;
    database.run("CREATE TABLE n (id BIGINT NOT NULL, x BIGINT)").await;
    database.run("INSERT INTO n VALUES (2, 1)").await;
    for then in [
        "WHEN MATCHED THEN UPDATE SET id = NULL",
        "WHEN MATCHED THEN UPDATE SET id = nullif(s.id, 2)",
        "WHEN NOT MATCHED THEN INSERT (x) VALUES (s.x)",
        "WHEN NOT MATCHED THEN INSERT (id) VALUES (s.id)",
    ] {
        let (kind, message) = database.error(&format!("MERGE INTO n USING s ON n.id = s.id {then}")).await;
        assert!(kind == ErrorKind::InvalidInput && message.contains("NOT NULL"), "{then}: {kind:?} {message}");
    }
    let sql = "MERGE INTO n USING s ON n.id = s.id WHEN NOT MATCHED AND s.id = 5 THEN INSERT (id) VALUES (s.id)";
    assert_eq!(database.run(sql).await, 1);
    assert_eq!(database.ids("SELECT id FROM n ORDER BY id").await, [2, 5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_may_be_called_anything() {
    let database = database().await;
    database.run("CREATE TABLE n (computed_key BIGINT, \"Mixed Case\" BIGINT, source BIGINT, target BIGINT)").await;
    database.run("INSERT INTO n VALUES (20, 1, 2, 3), (7, 1, 2, 3)").await;
    let sql = "MERGE INTO n USING (SELECT a.id AS \"Mixed Case\", b.id, b.x FROM s a JOIN s b ON a.id = b.id WHERE a.id = 2) AS \
               source ON n.computed_key = source.x / 10 WHEN MATCHED THEN UPDATE SET \"Mixed Case\" = \
               n.\"Mixed Case\" + source.\"Mixed Case\" + 10 * n.source, target = source.id";
    assert_eq!(database.run(sql).await, 1);
    assert_eq!(database.ids("SELECT \"Mixed Case\" FROM n ORDER BY computed_key").await, [1, 23]);
    assert_eq!(database.ids("SELECT target FROM n ORDER BY computed_key").await, [3, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_takes_parameters() {
    let database = database().await;
    let sql = "MERGE INTO t USING (SELECT $1 AS id, $2 AS vec) AS s ON t.id = s.id WHEN MATCHED THEN UPDATE SET vec = s.vec \
               WHEN NOT MATCHED THEN INSERT (id, vec) VALUES (s.id, s.vec)";
    for id in [2_i64, 9] {
        let params = [datafusion::scalar::ScalarValue::from(id), crate::support::vector(&[-5.0, id as f32])];
        database.try_query(sql, &params).await.unwrap();
    }
    assert_eq!(database.ids("SELECT id FROM knn('t', [-5.0, 5.0], 2)").await, [2, 9]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_truncated_replaced_and_overwritten() {
    let database = database().await;
    assert_eq!(database.run("TRUNCATE TABLE t").await, 4);
    assert_eq!(contents(&database).await, "");
    assert_eq!(database.run("TRUNCATE TABLE t").await, 0);
    assert_eq!(database.run("INSERT INTO t (id) VALUES (1)").await, 1);
    assert_eq!(database.run("INSERT OVERWRITE t SELECT id, x, kind, v FROM s WHERE id = 5").await, 1);
    assert_eq!(contents(&database).await, "5:500:p:50.0");
    assert_eq!(database.run("CREATE OR REPLACE TABLE t AS SELECT id, x, kind AS name, v AS vec FROM s").await, 5);
    assert_eq!(database.ids("SELECT id FROM knn('t', [49.0, 0.0], 2) ORDER BY id").await, [4, 5]);
    assert_eq!(database.run("CREATE TABLE u AS SELECT * FROM t WHERE id = 2").await, 1);
    let (kind, _) = database.error("TRUNCATE TABLE nowhere").await;
    assert_eq!(kind, ErrorKind::NotFound);
}

/// A row of the model: `x` and the first number of `vec`.
type Row = (Option<i64>, f32);

/// Numbers of a fixed sequence.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        // SplitMix64, Steele et al. 2014.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn random_changes_leave_what_a_model_says() {
    for seed in [1, 2, 3] {
        let (mut dice, database) = (Dice(seed), Database::temporary().await);
        database.run("CREATE TABLE t (id BIGINT, x BIGINT, vec FLOAT[2])").await;
        database.run("CREATE INDEX t_vec ON t USING rabitq_plus (vec)").await;
        let mut model: BTreeMap<i64, Row> = BTreeMap::new();
        let mut said = Vec::new();
        for step in 0..14 {
            let (sql, changed) = change(&mut dice, &mut model);
            said.push(sql.clone());
            let counted = database.run(&sql).await;
            assert_eq!(counted, changed, "seed {seed}, step {step}: rows counted by the last of\n{}", said.join(";\n"));
            let found = rows(&database).await;
            assert!(
                found == model,
                "seed {seed}, step {step}: {found:?} but not {model:?} after\n{}",
                said.join(";\n")
            );
            let at = dice.below(40) as f32;
            let nearest = database.ids(&format!("SELECT id FROM knn('t', [{at:.1}, 0.25], 3) ORDER BY id")).await;
            let exact = format!("SELECT id FROM knn('t', [{at:.1}, 0.25], 3, exact => true) ORDER BY id");
            assert_eq!(nearest, database.ids(&exact).await, "seed {seed}, step {step}");
        }
    }
}

async fn rows(database: &Database) -> BTreeMap<i64, Row> {
    let mut rows = BTreeMap::new();
    for batch in database.query("SELECT id, x, vec[1] FROM t").await {
        let (ids, xs) = (batch.column(0).as_primitive::<Int64Type>(), batch.column(1).as_primitive::<Int64Type>());
        let vec = batch.column(2).as_primitive::<Float32Type>();
        for row in 0..batch.num_rows() {
            let x = xs.is_valid(row).then(|| xs.value(row));
            assert!(rows.insert(ids.value(row), (x, vec.value(row))).is_none(), "id {} twice", ids.value(row));
        }
    }
    rows
}

/// A statement, and the model after it with the number of rows that it changed.
fn change(dice: &mut Dice, model: &mut BTreeMap<i64, Row>) -> (String, u64) {
    let text = |x: Option<i64>| x.map_or("NULL".to_owned(), |x| x.to_string());
    let mut source: BTreeMap<i64, Row> = BTreeMap::new();
    for _ in 0..dice.below(12) {
        let x = (dice.below(4) > 0).then(|| dice.below(20) as i64);
        source.insert(dice.below(30) as i64, (x, dice.below(1000) as f32 / 16.0));
    }
    let listed = |rows: &BTreeMap<i64, Row>| {
        let row = |(id, (x, at)): (&i64, &Row)| format!("({id}, CAST({} AS BIGINT), [{at:?}, 0.5])", text(*x));
        rows.iter().map(row).collect::<Vec<_>>().join(", ")
    };
    let limit = dice.below(20) as i64;
    let before = model.clone();
    match dice.below(10) {
        0 => {
            model.retain(|_, (x, _)| x.is_none_or(|x| x <= limit));
            (format!("DELETE FROM t WHERE x > {limit}"), (before.len() - model.len()) as u64)
        }
        1 => {
            let hit = model.iter_mut().filter(|(id, _)| **id < limit);
            let changed = hit.map(|(_, row)| row.0 = row.0.map(|x| x + 1)).count();
            (format!("UPDATE t SET x = x + 1 WHERE id < {limit}"), changed as u64)
        }
        2 if limit < 4 => {
            model.clear();
            ("TRUNCATE TABLE t".to_owned(), before.len() as u64)
        }
        _ if source.is_empty() => {
            model.retain(|id, _| *id != limit);
            (format!("DELETE FROM t WHERE id = {limit}"), (before.len() - model.len()) as u64)
        }
        2 | 3 => {
            source.retain(|id, _| !before.contains_key(id));
            model.extend(source.clone());
            match source.is_empty() {
                true => ("DELETE FROM t WHERE false".to_owned(), 0),
                false => (format!("INSERT INTO t VALUES {}", listed(&source)), source.len() as u64),
            }
        }
        kind => {
            let using = format!("MERGE INTO t USING (VALUES {}) AS s(id, x, vec) ON t.id = s.id", listed(&source));
            let mut changed = 0;
            let delete = kind % 2 == 0;
            for (id, (x, at)) in &source {
                match before.get(id) {
                    Some((_, _)) if delete && x.is_some_and(|x| x < limit) => {
                        model.remove(id);
                        changed += 1;
                    }
                    Some((old, _)) => {
                        let sum = old.zip(*x).map(|(old, x)| old + x);
                        model.insert(*id, (sum, *at));
                        changed += 1;
                    }
                    None if x.is_none_or(|x| x != limit) => {
                        model.insert(*id, (*x, *at));
                        changed += 1;
                    }
                    None => {}
                }
            }
            let mut sql = using;
            if delete {
                sql += &format!(" WHEN MATCHED AND s.x < {limit} THEN DELETE");
            }
            sql += " WHEN MATCHED THEN UPDATE SET x = t.x + s.x, vec = s.vec";
            sql += &format!(
                " WHEN NOT MATCHED AND s.x IS DISTINCT FROM {limit} THEN INSERT (vec, id, x) VALUES (s.vec, s.id, s.x)"
            );
            if kind == 9 {
                sql += &format!(" WHEN NOT MATCHED BY SOURCE AND t.x = {limit} THEN UPDATE SET x = NULL");
                for (_, row) in model.iter_mut().filter(|(id, _)| !source.contains_key(id)) {
                    if row.0 == Some(limit) {
                        row.0 = None;
                        changed += 1;
                    }
                }
            }
            (sql, changed)
        }
    }
}
