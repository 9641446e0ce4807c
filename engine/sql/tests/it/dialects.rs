//! `SET datafusion.sql_parser.dialect`: a session's statements are read in its dialect, and what is ours is in all of them.

use datafusion::common::config::Dialect;
use datafusion::scalar::ScalarValue;
use ruvector_sql::ErrorKind;

use crate::support::{Database, ids, vector};

/// A statement, its parameters, and the integers it answers, if it answers rows.
type Asked = (&'static str, Vec<ScalarValue>, Option<&'static [i64]>);

async fn database(dialect: &str) -> Database {
    let database = Database::temporary().await;
    database.run("CREATE TABLE docs (id BIGINT, tag BIGINT, vec FLOAT[2])").await;
    database.run("INSERT INTO docs VALUES (1, 10, [1.0, 0.0]), (2, 20, [0.0, 1.0]), (3, 30, [3.0, 3.0])").await;
    database.run("CREATE TABLE news (id BIGINT, tag BIGINT, vec FLOAT[2])").await;
    database.run("INSERT INTO news VALUES (3, 33, [0.5, 0.5]), (4, 40, [4.0, 4.0])").await;
    database.run(&format!("SET datafusion.sql_parser.dialect = '{dialect}'")).await;
    database
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_ours_is_understood_in_every_dialect() {
    let mut failed = Vec::new();
    for info in Dialect::metadata().iter().filter(|info| info.dialect != Dialect::MsSQL) {
        let name = info.canonical_name;
        let database = database(name).await;
        let q = vector(&[1.0, 0.0]);
        let statements: [Asked; 14] = [
            ("SELECT id FROM docs WHERE tag>=? AND id<? ORDER BY id", vec![20_i64.into(), 3_i64.into()], Some(&[2])),
            ("SELECT id FROM docs WHERE id > $2 ORDER BY id LIMIT $1", vec![1_i64.into(), 1_i64.into()], Some(&[2])),
            ("SELECT id FROM knn('docs', ?, 2)", vec![q.clone()], Some(&[1, 2])),
            ("SELECT id FROM knn('docs', ?, 1, metric => 'l2', filter => tag > 10)", vec![q.clone()], Some(&[2])),
            ("SELECT id FROM knn(table => 'docs', query => ?, k => 1)", vec![q.clone()], Some(&[1])),
            ("SELECT id FROM docs ORDER BY l2_distance(vec, ?) LIMIT 1", vec![q.clone()], Some(&[1])),
            ("CREATE INDEX near ON docs USING rabitq_plus (vec) WITH (metric = 'cosine', seed = 7)", Vec::new(), None),
            (
                "SELECT vectors_done FROM system.indexes WHERE name = 'near' AND metric = 'cosine'",
                Vec::new(),
                Some(&[3]),
            ),
            ("DROP INDEX IF EXISTS near", Vec::new(), None),
            (
                "MERGE INTO docs USING news ON docs.id = news.id WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *",
                Vec::new(),
                None,
            ),
            ("SELECT tag FROM docs WHERE id > 2 ORDER BY id", Vec::new(), Some(&[33, 40])),
            ("SELECT id FROM docs VERSION AS OF 1 WHERE tag > 20", Vec::new(), Some(&[3])),
            ("SELECT count(*) FROM docs TIMESTAMP AS OF '2999-01-01' AS d", Vec::new(), Some(&[4])),
            ("CREATE BACKEND hot TYPE memory", Vec::new(), None),
        ];
        for (sql, params, expected) in statements {
            match database.try_query(sql, &params).await {
                Err(e) => failed.push(format!("{name}: {sql}: {e}")),
                Ok(rows) => {
                    if expected.is_some_and(|expected| ids(&rows) != expected) {
                        failed.push(format!("{name}: {sql}: got {:?}", ids(&rows)));
                    }
                }
            }
        }
        let operators = "SELECT id FROM docs ORDER BY vec <-> ? LIMIT 1";
        match database.try_query(operators, &[q]).await {
            Ok(rows) if ["generic", "postgresql"].contains(&name) => assert_eq!(ids(&rows), [1]),
            Err(e) if !["generic", "postgresql"].contains(&name) => {
                assert_eq!(e.kind(), ErrorKind::NotSupported, "{name}: {e}");
                assert!(
                    e.to_string().contains(&format!("dialects generic and postgresql, and the session's is {name}")),
                    "{e}"
                );
            }
            other => panic!("{name}: {operators}: {other:?}"),
        }
        // And back.
        database.run("SET datafusion.sql_parser.dialect = 'generic'").await;
        assert_eq!(database.ids("SELECT id FROM docs ORDER BY vec <-> [1.0, 0.0] LIMIT 1").await, [1]);
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// Statements that one dialect reads differently from another.
#[tokio::test(flavor = "multi_thread")]
async fn the_rest_is_read_as_the_dialect_says() {
    for (dialect, sql, expected) in [
        ("generic", "SELECT CASE WHEN 'a\\' = concat('a', chr(92)) THEN 1 ELSE 2 END", 1),
        ("mysql", "SELECT CASE WHEN \"it's\" = 'it\\'s' THEN 1 ELSE 2 END", 1),
        ("mysql", "SELECT CAST(character_length('a?\\'?') AS BIGINT)", 4),
        ("postgresql", "SELECT CAST(character_length('a\\') AS BIGINT)", 2),
        ("databricks", "SELECT array_element(array_transform(make_array(1, 2), x -> x + 1), 2)", 3),
    ] {
        let database = database(dialect).await;
        assert_eq!(database.ids(sql).await, [expected], "{dialect}: {sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_dialect_is_an_error_that_names_them() {
    let database = database("postgresql").await;
    // MsSQL has no named arguments.
    for dialect in ["klingon", "mssql"] {
        for set in ["SET datafusion.sql_parser.dialect = 'x'", "SET DataFusion.sql_parser.dialect TO x"] {
            let (kind, message) = database.error(&set.replace('x', dialect)).await;
            assert_eq!(kind, ErrorKind::InvalidInput);
            assert!(message.contains("one of Generic, MySQL, PostgreSQL") && message.contains(dialect), "{message}");
            assert!(!message.contains("MsSQL"), "{message}");
        }
    }
    // A program may set what it likes: its next statement says so.
    database.session.context().state_ref().write().config_mut().options_mut().sql_parser.dialect = Dialect::MsSQL;
    let (kind, message) = database.error("SELECT 1").await;
    assert!(kind == ErrorKind::InvalidInput && message.contains("got mssql"), "{kind:?} {message}");
    database.session.context().state_ref().write().config_mut().options_mut().sql_parser.dialect = Dialect::PostgreSQL;
    assert_eq!(database.ids("SELECT id FROM docs ORDER BY vec <-> ARRAY[1.0, 0.0] LIMIT 1").await, [1]);
}
