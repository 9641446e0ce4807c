//! Bad input gets a clear error of the right kind, and changes nothing.

use ruvector_sql::ErrorKind;

use crate::support::Database;

async fn database() -> Database {
    let database = Database::temporary().await;
    database.run("CREATE TABLE docs (id BIGINT, body VARCHAR, vec FLOAT[3])").await;
    database.run("INSERT INTO docs VALUES (1, 'a', [1.0, 0.0, 0.0]), (2, 'b', [0.0, 1.0, 0.0])").await;
    database.run("CREATE TABLE plain (id BIGINT, numbers DOUBLE[])").await;
    database.run("CREATE TABLE two (id BIGINT, a FLOAT[2], b FLOAT[2])").await;
    database
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_searches_say_what_is_wrong() {
    let database = database().await;
    for index in [false, true] {
        if index {
            database.run("CREATE INDEX docs_vec ON docs USING rabitq_plus (vec)").await;
        }
        for (sql, kind, parts) in [
            (
                "SELECT * FROM knn('docs', [1.0, 2.0], 1)",
                ErrorKind::InvalidInput,
                vec!["knn() argument query at line 1, column 28 has the wrong dimension", "expected 3", "got 2"],
            ),
            ("SELECT * FROM knn('docs', [1.0, 2.0, 'NaN'::FLOAT], 1)", ErrorKind::InvalidInput, vec!["finite", "NaN"]),
            ("SELECT * FROM knn('nowhere', [1.0], 1)", ErrorKind::NotFound, vec!["nowhere", "not found"]),
            ("SELECT * FROM nowhere", ErrorKind::NotFound, vec!["nowhere", "not found"]),
            (
                "SELECT * FROM knn('docs', [1.0, 2.0, 3.0], 0)",
                ErrorKind::InvalidInput,
                vec!["knn() argument k at line 1, column 44: expected an integer of at least 1, got 0"],
            ),
            ("SELECT * FROM knn('docs', [1.0, 2.0, 3.0], -1)", ErrorKind::InvalidInput, vec!["k", "at least 1", "-1"]),
            ("SELECT * FROM knn('docs', [1.0, 2.0, 3.0], 'x')", ErrorKind::InvalidInput, vec!["k", "at least 1"]),
            ("SELECT * FROM knn('docs', [1.0, 2.0, 3.0])", ErrorKind::InvalidInput, vec!["needs the argument k"]),
            ("SELECT * FROM knn('docs', 'text', 1)", ErrorKind::InvalidInput, vec!["expected a vector of 3", "Utf8"]),
            ("SELECT * FROM knn('docs', NULL, 1)", ErrorKind::InvalidInput, vec!["expected a vector of 3", "NULL"]),
            (
                "SELECT * FROM knn('docs', (SELECT vec FROM docs), 1)",
                ErrorKind::InvalidInput,
                vec!["more than one row"],
            ),
            ("SELECT * FROM knn('docs', (SELECT * FROM docs), 1)", ErrorKind::InvalidInput, vec!["1 column", "got 3"]),
            ("SELECT * FROM knn('plain', [1.0], 1)", ErrorKind::InvalidInput, vec!["no vector column", "numbers List"]),
            ("SELECT * FROM knn('two', [1.0, 2.0], 1)", ErrorKind::InvalidInput, vec!["several", "a, b"]),
            ("SELECT * FROM knn('docs', [1.0], 1, column => body)", ErrorKind::InvalidInput, vec!["body", "Utf8"]),
            ("SELECT * FROM knn('docs', [1.0], 1, column => none)", ErrorKind::InvalidInput, vec!["no column none"]),
            ("SELECT * FROM knn('docs', [1.0], 1, metric => 'l3')", ErrorKind::InvalidInput, vec!["l3"]),
            ("SELECT * FROM knn('docs', [1.0], 1, depth => 3)", ErrorKind::InvalidInput, vec!["no argument depth"]),
            (
                "SELECT *\nFROM knn('docs', [1.0, 2.0, 3.0], 1,\n  rerank => 'x')",
                ErrorKind::InvalidInput,
                vec!["knn() argument rerank at line 3, column 13: expected an integer of at least 1, got x"],
            ),
            (
                "SELECT * FROM knn('docs', [1.0, 2.0, 3.0], 1, rerank_factor => 0)",
                ErrorKind::InvalidInput,
                vec!["knn() argument rerank_factor at line 1, column 64: expected an integer of at least 1, got 0"],
            ),
            (
                "SELECT * FROM knn('docs', [1.0, 2.0, 3.0], 1, rerank_factor => 2, rerank => 2)",
                ErrorKind::InvalidInput,
                vec!["got the argument rerank_factor twice", "rerank is another name"],
            ),
            (
                "SELECT * FROM docs WHERE id <> id OR vec <-> [1.0, 2.0, 3.0] < 0.0 AND id IN (SELECT id FROM knn('docs', [1.0, 2.0, 3.0], -2))",
                ErrorKind::InvalidInput,
                vec!["knn() argument k at line 1, column 124"],
            ),
            (
                "SELECT * FROM knn_batch('docs', (SELECT vec FROM docs), 1, exact => 2)",
                ErrorKind::InvalidInput,
                vec!["knn_batch() argument exact at line 1, column 69: expected true or false, got 2"],
            ),
            (
                "SELECT * FROM knn_batch('docs', (SELECT vec FROM docs), 1, backends => ['main'])",
                ErrorKind::InvalidInput,
                vec!["knn_batch() has no argument backends", "knn_batch(table, (SELECT ...) | vectors, k"],
            ),
            ("SELECT * FROM recall('docs', 0, 1)", ErrorKind::InvalidInput, vec!["recall()"]),
            (
                "SELECT * FROM knn('docs', [1.0, 2.0, 3.0], 1, consistency => 5)",
                ErrorKind::InvalidInput,
                vec!["knn() argument consistency at line 1, column 62: expected a string, got 5"],
            ),
            ("SELECT l2_distance(vec, [1.0]) FROM docs", ErrorKind::InvalidInput, vec!["expected 3", "got 1"]),
            ("SELECT l2_distance(a, vec) FROM two, docs", ErrorKind::InvalidInput, vec!["dimensions"]),
            ("SELECT l2_distance(body, vec) FROM docs", ErrorKind::InvalidInput, vec!["text is not a vector", "'a'"]),
            ("SELECT * FROM knn('unnest', [1.0], 1)", ErrorKind::InvalidInput, vec!["unnest"]),
            (
                "SELECT * FROM knn('docs', [1.0, 2.0, 3.0], 1) AS n(a, b, c, d)",
                ErrorKind::NotSupported,
                vec!["aliases"],
            ),
            ("COPY docs TO '/tmp/docs.parquet'", ErrorKind::NotSupported, vec!["COPY"]),
            ("EXPLAIN ANALYZE COPY docs TO '/tmp/docs.parquet'", ErrorKind::NotSupported, vec!["COPY"]),
            ("PREPARE p AS INSERT INTO docs VALUES (1)", ErrorKind::NotSupported, vec!["PREPARE"]),
            ("EXECUTE p", ErrorKind::NotSupported, vec!["EXECUTE"]),
            ("SELEKT 1", ErrorKind::InvalidInput, vec!["parsed"]),
        ] {
            let (got, message) = database.error(sql).await;
            assert_eq!(got, kind, "{sql}: {message}");
            for part in parts {
                assert!(message.contains(part), "{sql}: {message:?} does not say {part:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_writes_leave_the_table_as_it_was() {
    let database = database().await;
    for (sql, parts) in [
        ("INSERT INTO docs VALUES (3, 'c', [1.0, 2.0])", vec!["3", "2"]),
        (
            "INSERT INTO docs VALUES (3, 'c', [1.0, 2.0, 3.0]), (4, 'd', [1.0, 2.0, 'NaN'::FLOAT])",
            vec!["finite", "NaN"],
        ),
        ("INSERT INTO docs VALUES (3, 'c', [1.0, 2.0, NULL])", vec!["NULL"]),
        ("INSERT INTO docs (id, nothing) VALUES (3, 4)", vec!["nothing"]),
        ("CREATE INDEX i ON docs USING rabitq_plus (body)", vec!["body", "Utf8"]),
        ("CREATE INDEX i ON docs USING rabitq_plus (none)", vec!["none"]),
        ("CREATE INDEX i ON docs USING btree (vec)", vec!["btree"]),
        ("CREATE INDEX i ON docs (vec) WITH (depth = 3)", vec!["depth"]),
        ("CREATE INDEX i ON docs (vec) WITH (metric = 'l3')", vec!["l3"]),
        ("CREATE TABLE bad (vec FLOAT[0])", vec!["0"]),
        ("CREATE TABLE bad (id BIGINT PRIMARY KEY)", vec!["PRIMARY KEY"]),
        ("CREATE TABLE docs (id BIGINT)", vec!["docs", "exists"]),
        ("CREATE TABLE bad AS SELECT id, vec, 1 / (id - 2) AS x FROM docs", vec!["ivide by zero"]),
        ("DROP TABLE nowhere", vec!["nowhere"]),
        ("DROP INDEX nowhere", vec!["nowhere"]),
        ("DROP INDEX hot.i", vec!["hot"]),
    ] {
        let (_, message) = database.error(sql).await;
        for part in parts {
            assert!(message.contains(part), "{sql}: {message:?} does not say {part:?}");
        }
    }
    assert_eq!(database.ids("SELECT id FROM docs ORDER BY id").await, [1, 2]);
    let tables = database.query("SELECT count(*) FROM information_schema.tables WHERE table_schema = 'main'").await;
    assert_eq!(crate::support::ids(&tables), [3], "docs, plain, two");
    assert!(database.engine.declared_indexes().is_empty());
}

async fn in_folder(data: &std::path::Path) -> Database {
    Database::open(ruvector_sql::EngineConfig { data_dir: Some(data.to_owned()), ..Default::default() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_with_files_of_others_does_not_become_a_table() {
    let data = tempfile::tempdir().unwrap();
    let database = in_folder(data.path()).await;
    let mine = data.path().join("images");
    std::fs::create_dir(&mine).unwrap();
    std::fs::write(mine.join("a.png"), b"mine").unwrap();
    for sql in ["CREATE TABLE images (id BIGINT)", "CREATE TABLE images AS SELECT 1 AS x"] {
        let (kind, message) = database.error(sql).await;
        assert_eq!(kind, ErrorKind::InvalidInput, "{message}");
        assert!(message.contains("expected no such folder, or an empty one, got"), "{message}");
        assert!(message.contains("images"), "{message}");
    }
    assert_eq!(std::fs::read(mine.join("a.png")).unwrap(), b"mine");

    // One that is empty does, and so does one that a build of an index left behind.
    std::fs::create_dir(data.path().join("empty")).unwrap();
    database.run("CREATE TABLE empty (id BIGINT)").await;
    std::fs::create_dir_all(data.path().join("left/_ruvector")).unwrap();
    std::fs::write(data.path().join("left/_ruvector/vec-0.flat.rbpx"), b"index").unwrap();
    database.run("CREATE TABLE \"left\" AS SELECT 1::BIGINT AS id").await;
    assert!(!data.path().join("left/_ruvector").exists());

    // A create that fails leaves nothing.
    let (_, message) =
        database.error("CREATE TABLE nothing AS SELECT 1 / (a - 1) AS x FROM (VALUES (1)) AS v(a)").await;
    assert!(message.contains("ivide by zero"), "{message}");
    let names = std::fs::read_dir(data.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    assert_eq!(names, ["_ruvector", "empty", "images", "left"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_cannot_be_read_can_be_dropped() {
    let data = tempfile::tempdir().unwrap();
    let database = in_folder(data.path()).await;
    database.run("CREATE TABLE torn (id BIGINT)").await;
    std::fs::write(data.path().join("torn/_delta_log/00000000000000000000.json"), b"{").unwrap();
    drop(database);
    let fresh = in_folder(data.path()).await;
    let (kind, message) = fresh.error("SELECT * FROM torn").await;
    assert!(kind == ErrorKind::Corrupt && message.contains("_delta_log"), "{kind:?} {message}");
    fresh.run("DROP TABLE torn").await;
    fresh.run("CREATE TABLE torn (id BIGINT)").await;
    assert!(fresh.ids("SELECT id FROM torn").await.is_empty());
}

/// Whatever is wrong with a log, the table says it, no other table suffers, and no message holds a backtrace.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_log_is_corrupt_and_says_what_to_do() {
    for damage in [&b"{"[..], b"", b"{\"metaData\": 7}\n", b"\0\0\0\0"] {
        let data = tempfile::tempdir().unwrap();
        let database = in_folder(data.path()).await;
        database.run("CREATE TABLE whole AS SELECT 1::BIGINT AS id").await;
        database.run("CREATE TABLE torn (id BIGINT)").await;
        drop(database);
        std::fs::write(data.path().join("torn/_delta_log/00000000000000000000.json"), damage).unwrap();
        let database = in_folder(data.path()).await;
        for sql in ["SELECT * FROM torn", "INSERT INTO torn VALUES (1)", "DELETE FROM torn"] {
            let (kind, message) = database.error(sql).await;
            assert_eq!(kind, ErrorKind::Corrupt, "{damage:?}: {sql}: {message}");
            for part in ["torn", "_delta_log", "restore the files of the log, or drop the table"] {
                assert!(message.contains(part), "{damage:?}: {sql}: {message:?} does not say {part:?}");
            }
            assert!(!message.contains("   0: "), "{message}");
        }
        assert_eq!(database.ids("SELECT id FROM whole").await, [1]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_types_have_bounds() {
    let database = Database::temporary().await;
    let nested = format!("{}Int8{}", "List(".repeat(100_000), ")".repeat(100_000));
    for sql in [
        "SELECT arrow_cast(NULL, 'FixedSizeList(2147483647 x FixedSizeList(65536 x Int64))')".to_owned(),
        "SELECT arrow_try_cast(NULL, 'FixedSizeBinary(2147483647)')".to_owned(),
        format!("SELECT arrow_cast(NULL, '{nested}')"),
    ] {
        let (kind, message) = database.error(&sql).await;
        assert_eq!(kind, ErrorKind::InvalidInput, "{message}");
        assert!(message.contains("expected a type with at most"), "{message}");
    }
    assert_eq!(database.ids("SELECT arrow_cast(7, 'Int64')").await, [7]);
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_of_several_statements_are_refused_and_change_nothing() {
    let database = database().await;
    for sql in [
        "BEGIN",
        "START TRANSACTION",
        "COMMIT",
        "END",
        "ROLLBACK",
        "ROLLBACK TO SAVEPOINT s",
        "SAVEPOINT s",
        "RELEASE SAVEPOINT s",
        "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
    ] {
        let (kind, message) = database.error(sql).await;
        assert_eq!(kind, ErrorKind::NotSupported, "{sql}: {message}");
        assert!(message.contains("each statement is a transaction of its own"), "{sql}: {message}");
        let prepared = database.engine.prepare(&database.session, sql).await;
        assert_eq!(prepared.unwrap_err().kind(), ErrorKind::NotSupported, "{sql}");
    }
    assert_eq!(database.ids("SELECT id FROM docs ORDER BY id").await, [1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_is_asked_for_and_nothing_else_is_run() {
    let database = database().await;
    for sql in [
        "INSERT INTO docs VALUES (3, 'c', [0.0, 0.0, 1.0])",
        "DROP TABLE docs",
        "CREATE INDEX docs_vec ON docs USING flat (vec)",
        "SET datafusion.catalog.default_schema = 'system'",
        "KILL 1",
    ] {
        let error = database.engine.query(&database.session, sql, &[], drop).await.map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{sql}: {error}");
        assert!(error.to_string().contains("expected a query"), "{sql}: {error}");
    }
    assert_eq!(database.ids("SELECT id FROM docs ORDER BY id").await, [1, 2]);
    assert!(database.engine.declared_indexes().is_empty());
    assert!(database.engine.query(&database.session, "SELECT id FROM docs", &[], drop).await.is_ok());
}
