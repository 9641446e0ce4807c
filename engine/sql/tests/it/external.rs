//! External tables: files that others write, as tables of the schema `main`.

use std::path::Path;

use ruvector_sql::{EngineConfig, ErrorKind};

use crate::support::Database;

fn config(folder: &Path) -> EngineConfig {
    EngineConfig { data_dir: Some(folder.to_owned()), ..EngineConfig::default() }
}

/// Writes a Parquet file of ids with vectors `[id, 0]`, by DataFusion: ruvector itself writes none.
async fn write(database: &Database, file: &Path, ids: &[i64]) {
    let values: Vec<_> = ids.iter().map(|id| format!("({id})")).collect();
    let rows = format!("SELECT id, CAST([id, 0.0] AS FLOAT[2]) AS vec FROM (VALUES {}) AS t(id)", values.join(", "));
    let copy = format!("COPY ({rows}) TO '{}' STORED AS PARQUET", file.display());
    database.session.context().sql(&copy).await.unwrap().collect().await.unwrap();
}

fn create(name: &str, kind: &str, location: &Path) -> String {
    format!("CREATE EXTERNAL TABLE {name} STORED AS {kind} LOCATION '{}'", location.display())
}

#[tokio::test(flavor = "multi_thread")]
async fn parquet_files_are_a_table_that_is_searched_and_indexed() {
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let database = Database::open(config(data.path())).await;
    write(&database, &folder.path().join("docs/a.parquet"), &[1, 2]).await;
    write(&database, &folder.path().join("one.parquet"), &[7]).await;
    let statement = create("docs", "PARQUET", &folder.path().join("docs"));
    database.run(&statement).await;
    database.run(&create("\"One\"", "parquet", &folder.path().join("one.parquet"))).await;
    assert_eq!(database.ids("SELECT id FROM \"One\"").await, [7]);
    assert_eq!(database.ids("SELECT id FROM knn('docs', [2.2, 0.0], 1)").await, [2]);
    let (kind, message) = database.error(&statement).await;
    assert_eq!((kind, message.as_str()), (ErrorKind::AlreadyExists, "table docs exists already"));
    database.run(&statement.replace("TABLE", "TABLE IF NOT EXISTS")).await;

    // An index over it follows the files, and is not written beside them.
    database.run("CREATE INDEX docs_vec ON docs USING rabitq_plus (vec)").await;
    write(&database, &folder.path().join("docs/b.parquet"), &[3]).await;
    assert_eq!(database.ids("SELECT id FROM knn('docs', [9.0, 0.0], 2)").await, [3, 2]);
    assert!(!folder.path().join("docs/_ruvector").exists() && !folder.path().join("_ruvector").exists());

    // It is there again after a restart, with its index.
    drop(database);
    let database = Database::open(config(data.path())).await;
    assert_eq!(database.ids("SELECT id FROM knn('main.docs', [9.0, 0.0], 1)").await, [3]);
    let tables = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'main'";
    assert_eq!(database.ids(tables).await, [2]);
    database.run("DROP TABLE docs").await;
    assert!(folder.path().join("docs/a.parquet").exists(), "what a table shows is not its own");
    assert!(database.engine.declared_indexes().is_empty());
    assert_eq!(database.error("SELECT * FROM docs").await.0, ErrorKind::NotFound);
    assert_eq!(database.ids(tables).await, [1]);
    database.run("DROP TABLE IF EXISTS docs").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn delta_tables_of_others_are_read_at_any_version() {
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let other = Database::open(config(folder.path())).await;
    other.run("CREATE TABLE docs AS SELECT 1::BIGINT AS id, CAST([1.0, 0.0] AS FLOAT[2]) AS vec").await;
    let database = Database::open(config(data.path())).await;
    database.run(&create("theirs", "DELTA", &folder.path().join("docs"))).await;
    other.run("INSERT INTO docs VALUES (2, [2.0, 0.0])").await;
    assert_eq!(database.ids("SELECT id FROM knn('theirs', [9.0, 0.0], 1)").await, [2]);
    assert_eq!(database.ids("SELECT id FROM knn((SELECT * FROM theirs VERSION AS OF 0), [9.0, 0.0], 1)").await, [1]);
    assert_eq!(database.ids("SELECT version FROM table_history('theirs') ORDER BY version").await, [0, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn csv_and_json_files_are_read_and_copied() {
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = |name: &str| folder.path().join(name);
    std::fs::create_dir(path("csv")).unwrap();
    std::fs::write(path("csv/a.csv"), "id,vec\n1,\"[1.0, 0.5]\"\n2,\"[2.0, 0.5]\"\n").unwrap();
    std::fs::write(path("other.tsv"), "7\tx\n8\t\n").unwrap();
    std::fs::write(path("rows.json"), "{\"id\": 1, \"vec\": [1.0, 0.5]}\n{\"id\": 2, \"vec\": [2, 0.5]}\n").unwrap();
    std::fs::create_dir_all(path("parts/lang=en")).unwrap();
    std::fs::write(path("parts/lang=en/a.csv"), "id\n5\n").unwrap();
    let database = Database::open(config(data.path())).await;
    database.run(&create("c", "CSV", &path("csv"))).await;
    database.run(&create("j", "JSON", &path("rows.json"))).await;
    let t = create("t (id BIGINT, name VARCHAR)", "CSV", &path("other.tsv"));
    database.run(&format!("{t} OPTIONS (has_header 'false', 'format.delimiter' '\\t')")).await;
    let p = create("p", "CSV", &path("parts")).replace("LOCATION", "PARTITIONED BY (lang) LOCATION");
    database.run(&p).await;
    let mut database = database;
    for _ in 0..2 {
        assert_eq!(database.ids("SELECT id FROM c ORDER BY id").await, [1, 2]);
        assert_eq!(database.ids("SELECT id FROM t WHERE name = 'x'").await, [7]);
        assert_eq!(database.ids("SELECT id FROM p WHERE lang = 'en'").await, [5]);
        assert_eq!(database.ids("SELECT j.id FROM j JOIN c ON j.id = c.id WHERE j.id > 1").await, [2]);
        drop(database);
        database = Database::open(config(data.path())).await;
    }
    // New files are seen by the next statement.
    std::fs::write(path("csv/b.csv"), "id,vec\n3,\"[3.0, 0.5]\"\n").unwrap();
    assert_eq!(database.ids("SELECT count(*) FROM c").await, [3]);

    // What is searched is copied first.
    for name in ["c", "j"] {
        for sql in [format!("SELECT id FROM knn('{name}', [1.0, 0.0], 1)"), format!("CREATE INDEX i ON {name} (vec)")] {
            let (kind, message) = database.error(&sql).await;
            assert!(message.contains("CREATE TABLE ... AS SELECT"), "{sql}: {kind:?} {message}");
        }
    }
    let vec = "CAST(string_to_array(btrim(vec, '[]'), ',') AS FLOAT[2])";
    assert_eq!(database.run(&format!("CREATE TABLE cc AS SELECT id, {vec} AS vec FROM c")).await, 3);
    assert_eq!(database.run("CREATE TABLE jj AS SELECT id, CAST(vec AS FLOAT[2]) AS vec FROM j").await, 2);
    assert_eq!(database.ids("SELECT id FROM knn('cc', [2.9, 0.5], 1)").await, [3]);
    assert_eq!(database.ids("SELECT id FROM knn('jj', [2.9, 0.5], 1)").await, [2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_a_table_is_a_typed_error_and_is_not_kept() {
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let database = Database::open(config(data.path())).await;
    write(&database, &folder.path().join("docs/a.parquet"), &[1]).await;
    std::fs::write(folder.path().join("a.csv"), "id\n1\n").unwrap();
    database.run("CREATE TABLE mine (id BIGINT)").await;
    let path = folder.path().display();
    for (sql, kind, part) in [
        (format!("t STORED AS ORC LOCATION '{path}'"), ErrorKind::NotSupported, "PARQUET, DELTA, CSV, JSON, got ORC"),
        ("t STORED AS PARQUET LOCATION '/no/such/folder'".to_owned(), ErrorKind::InvalidInput, "/no/such/folder"),
        (format!("t STORED AS DELTA LOCATION '{path}/docs'"), ErrorKind::NotFound, "no such table"),
        (format!("t (id BIGINT) STORED AS PARQUET LOCATION '{path}/docs'"), ErrorKind::NotSupported, "list of columns"),
        (format!("t (vec FLOAT[2]) STORED AS CSV LOCATION '{path}/a.csv'"), ErrorKind::InvalidInput, "declare it VARCHAR"),
        (format!("t STORED AS CSV LOCATION '{path}/a.csv' OPTIONS (delimiter 'ab')"), ErrorKind::InvalidInput, "one ASCII"),
        (format!("t STORED AS CSV LOCATION '{path}/a.csv' OPTIONS (aws_key 'hush')"), ErrorKind::InvalidInput, "got aws_key"),
        (format!("t STORED AS PARQUET PARTITIONED BY (lang) LOCATION '{path}/docs'"), ErrorKind::InvalidInput, "got lang"),
        (format!("mine STORED AS PARQUET LOCATION '{path}/docs'"), ErrorKind::AlreadyExists, "mine exists already"),
        (format!("system.t STORED AS PARQUET LOCATION '{path}/docs'"), ErrorKind::NotSupported, "schema ruvector.main"),
        (format!("t STORED AS PARQUET WITH ORDER (id) LOCATION '{path}/docs'"), ErrorKind::NotSupported, "WITH ORDER"),
        ("t STORED AS PARQUET LOCATION 's3://bucket/docs'".to_owned(), ErrorKind::InvalidInput, "without credentials"),
        (
            "t STORED AS CSV LOCATION 's3://bucket/a.csv' OPTIONS (aws_access_key_id 'hush', aws_secret_access_key 'hush', \
             endpoint 'http://127.0.0.1:1', allow_http 'true', region 'x', max_retries 0)"
                .to_owned(),
            ErrorKind::Unavailable,
            "object store",
        ),
    ] {
        let (got, message) = database.error(&format!("CREATE EXTERNAL TABLE {sql}")).await;
        assert!(got == kind && message.contains(part) && !message.contains("hush"), "{sql}: {got:?} {message}");
    }
    assert_eq!(database.ids("SELECT count(*) FROM information_schema.tables WHERE table_schema = 'main'").await, [1]);

    database.run(&create("docs", "PARQUET", &folder.path().join("docs"))).await;
    for sql in [
        "INSERT INTO docs VALUES (1, NULL)",
        "DELETE FROM docs",
        "UPDATE docs SET id = 2",
        "TRUNCATE TABLE docs",
        "MERGE INTO docs USING mine ON docs.id = mine.id WHEN MATCHED THEN DELETE",
    ] {
        let (kind, message) = database.error(sql).await;
        assert!(kind == ErrorKind::NotSupported && message.contains("external table"), "{sql}: {kind:?} {message}");
    }
    for sql in ["CREATE TABLE docs (id BIGINT)", "CREATE OR REPLACE TABLE docs AS SELECT 1 AS id"] {
        assert_eq!(database.error(sql).await.0, ErrorKind::AlreadyExists, "{sql}");
    }
    assert_eq!(database.run("CREATE TABLE IF NOT EXISTS docs (id BIGINT)").await, 0);
    let (kind, message) = database.error("SELECT * FROM docs VERSION AS OF 1").await;
    assert!(kind == ErrorKind::NotSupported && message.contains("expected a Delta table"), "{kind:?} {message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_reachable_stops_nothing_else() {
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let database = Database::open(config(data.path())).await;
    write(&database, &folder.path().join("docs/a.parquet"), &[1]).await;
    std::fs::create_dir(folder.path().join("csv")).unwrap();
    std::fs::write(folder.path().join("csv/a.csv"), "id\n1\n").unwrap();
    database.run(&create("docs", "PARQUET", &folder.path().join("docs"))).await;
    database.run(&create("c", "CSV", &folder.path().join("csv"))).await;
    database.run("CREATE TABLE mine (id BIGINT)").await;
    drop(database);
    let away = folder.path().with_extension("away");
    std::fs::rename(folder.path(), &away).unwrap();

    let database = Database::open(config(data.path())).await;
    assert_eq!(database.ids("SELECT count(*) FROM mine").await, [0]);
    for name in ["docs", "c"] {
        let (kind, message) = database.error(&format!("SELECT * FROM {name}")).await;
        assert_ne!(kind, ErrorKind::NotFound, "{name}: {message}");
        assert_ne!(kind, ErrorKind::Internal, "{name}: {message}");
    }
    let columns = "SELECT count(*) FROM information_schema.columns WHERE table_schema = 'main'";
    assert_eq!(database.ids(columns).await, [1]);
    std::fs::rename(&away, folder.path()).unwrap();
    assert_eq!(database.ids("SELECT id FROM docs UNION ALL SELECT id FROM c").await, [1, 1]);
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn the_catalog_is_for_its_owner_only_and_damage_is_told() {
    use std::os::unix::fs::PermissionsExt;
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let database = Database::open(config(data.path())).await;
    write(&database, &folder.path().join("a.parquet"), &[1]).await;
    database.run(&create("a", "PARQUET", &folder.path().join("a.parquet"))).await;
    drop(database);
    let file = data.path().join("_ruvector/external_tables.json");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::write(&file, "{\"format_version\": 1, \"tables\": \"hush\"}").unwrap();
    let error = ruvector_sql::Engine::open(config(data.path())).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Corrupt && !error.to_string().contains("hush"), "{error}");
}

/// Names that folders have in lakes, and that are special in URLs, patterns, SQL or shells.
const NAMES: [&str; 9] = ["lang=en", "a+b", "a%20b", "100%", "it's", "c#", "a b", "[x]*?", "Zürich"];

#[tokio::test(flavor = "multi_thread")]
async fn a_location_may_have_any_name() {
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let database = Database::open(config(data.path())).await;
    let mut tables = 0;
    for (i, name) in NAMES.into_iter().enumerate() {
        let root = folder.path().join(name);
        // COPY takes a URL.
        let plain = folder.path().join("plain.parquet");
        write(&database, &plain, &[i as i64]).await;
        std::fs::create_dir_all(root.join("parquet")).unwrap();
        std::fs::copy(&plain, root.join("parquet/a.parquet")).unwrap();
        std::fs::rename(&plain, root.join(format!("{name}.parquet"))).unwrap();
        std::fs::create_dir(root.join("csv")).unwrap();
        std::fs::write(root.join(format!("csv/{name}.csv")), format!("id\n{i}\n")).unwrap();
        std::fs::write(root.join(format!("{name}.json")), format!("{{\"id\": {i}}}\n")).unwrap();
        // Written in a plain folder: the Delta library decodes the percent signs of a path once too often when it writes.
        let written = folder.path().join("delta");
        let other = Database::open(config(&written)).await;
        other.run(&format!("CREATE TABLE docs AS SELECT {i}::BIGINT AS id, CAST([{i}, 0] AS FLOAT[2]) AS vec")).await;
        drop(other);
        std::fs::create_dir(root.join("delta")).unwrap();
        std::fs::rename(written.join("docs"), root.join("delta").join(name)).unwrap();
        for (kind, location) in [
            ("PARQUET", root.join("parquet")),
            ("PARQUET", root.join(format!("{name}.parquet"))),
            ("DELTA", root.join("delta").join(name)),
            ("CSV", root.join("csv")),
            ("CSV", root.join(format!("csv/{name}.csv"))),
            ("JSON", root.join(format!("{name}.json"))),
        ] {
            let table = format!("t{tables}");
            let create = create(&table, kind, Path::new(&location.display().to_string().replace('\'', "''")));
            // The Delta library decodes a path once too often, and takes it for a pattern.
            if kind == "DELTA" && matches!(name, "a%20b" | "[x]*?") {
                let (error, message) = database.error(&create).await;
                assert_eq!(error, ErrorKind::InvalidInput, "{message}");
                assert!(message.contains("no percent code"), "{message}");
                continue;
            }
            tables += 1;
            database.run(&create).await;
            assert_eq!(database.ids(&format!("SELECT id FROM {table}")).await, [i as i64], "{kind} at {location:?}");
            if matches!(kind, "PARQUET" | "DELTA") {
                let search = format!("SELECT id FROM knn('{table}', [0.0, 0.0], 1)");
                assert_eq!(database.ids(&search).await, [i as i64], "{kind} at {location:?}");
                database.run(&format!("CREATE INDEX i{table} ON {table} (vec)")).await;
                assert_eq!(database.ids(&search).await, [i as i64], "{kind} at {location:?}");
            }
        }
        let path = root.join("parquet").display().to_string().replace('\'', "''");
        let parent = root.display().to_string().replace('\'', "''");
        database.run(&format!("CREATE BACKEND b{i} TYPE parquet OPTIONS (path '{parent}')")).await;
        assert_eq!(database.ids(&format!("SELECT id FROM b{i}.parquet")).await, [i as i64], "{path}");
    }
    // The folder of a partition, as a table and as one of its parent.
    drop(database);
    let reopened = Database::open(config(data.path())).await;
    for table in 0..tables {
        assert_eq!(reopened.ids(&format!("SELECT count(*) FROM t{table}")).await, [1]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn partition_values_are_those_that_hive_means() {
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let database = Database::open(config(data.path())).await;
    let plain = folder.path().join("plain.parquet");
    let parts = [("lang=a%20b", "a b"), ("lang=x%2Fy%3Dz", "x/y=z"), ("lang=50%", "50%")];
    for (i, name) in parts.iter().map(|(name, _)| *name).chain(["lang=__HIVE_DEFAULT_PARTITION__"]).enumerate() {
        write(&database, &plain, &[i as i64]).await;
        for kind in ["parquet", "csv"] {
            std::fs::create_dir_all(folder.path().join(kind).join(name)).unwrap();
        }
        std::fs::rename(&plain, folder.path().join("parquet").join(name).join("a.parquet")).unwrap();
        std::fs::write(folder.path().join("csv").join(name).join("a.csv"), format!("id\n{i}\n")).unwrap();
    }
    database.run(&create("p", "PARQUET", &folder.path().join("parquet"))).await;
    let csv = create("c", "CSV", &folder.path().join("csv")).replace("LOCATION", "PARTITIONED BY (lang) LOCATION");
    database.run(&csv).await;
    for table in ["p", "c"] {
        for (i, (_, value)) in parts.iter().enumerate() {
            let sql = format!("SELECT id FROM {table} WHERE lang = '{value}'");
            assert_eq!(database.ids(&sql).await, [i as i64], "{sql}");
        }
        assert_eq!(database.ids(&format!("SELECT id FROM {table} WHERE lang IS NULL")).await, [3], "{table}");
        let sql = format!("SELECT count(DISTINCT lang) FROM {table} WHERE id < 3 AND lang <> 'en'");
        assert_eq!(database.ids(&sql).await, [3], "{table}");
    }
    let years = folder.path().join("years");
    for (folder, id) in [("year=2024", 1), ("year=2025", 2), ("year=__HIVE_DEFAULT_PARTITION__", 3)] {
        std::fs::create_dir_all(years.join(folder)).unwrap();
        std::fs::write(years.join(folder).join("a.csv"), format!("{id}\n")).unwrap();
    }
    let typed = create("y (id BIGINT, year BIGINT)", "CSV", &years)
        .replace("LOCATION", "PARTITIONED BY (year) LOCATION")
        + " OPTIONS (has_header 'false')";
    database.run(&typed).await;
    assert_eq!(database.ids("SELECT year FROM y WHERE year > 2024").await, [2025]);
    assert_eq!(database.ids("SELECT id FROM y WHERE year IS NULL").await, [3]);
    assert_eq!(database.ids("SELECT sum(year) FROM y").await, [4049]);
}

/// Writes a Parquet file of ids with lists of floats.
async fn write_lists(database: &Database, file: &Path, lists: &[(i64, &str)]) {
    let values: Vec<_> = lists.iter().map(|(id, list)| format!("({id}, {list})")).collect();
    let rows = format!(
        "SELECT id, arrow_cast(scores, 'List(Float32)') AS scores FROM (VALUES {}) AS t(id, scores)",
        values.join(", ")
    );
    let copy = format!("COPY ({rows}) TO '{}' STORED AS PARQUET", file.display());
    database.session.context().sql(&copy).await.unwrap().collect().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_of_several_lengths_are_read_and_not_searched() {
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let database = Database::open(config(data.path())).await;
    let file = |name: &str| folder.path().join(name);
    write_lists(&database, &file("1.parquet"), &[(1, "[0.5, 1.0]"), (2, "[1.5, 1.0]")]).await;
    database.run(&create("docs", "PARQUET", folder.path())).await;
    let search = "SELECT id FROM knn('docs', [1.0, 1.0], 1)";
    assert_eq!(database.ids(search).await.len(), 1);
    // A NULL is no list of another length.
    write_lists(&database, &file("2.parquet"), &[(3, "NULL"), (4, "[9.0, 9.0]")]).await;
    assert_eq!(database.ids("SELECT id FROM knn('docs', [9.0, 9.0], 1)").await, [4]);
    for (name, lists, place) in [
        ("3.parquet", vec![(5, "[1.0, 2.0]"), (6, "[0.25]")], "row 1, expected 2, got 1"),
        ("4.parquet", vec![(5, "[]")], "row 0, expected 2, got 0"),
        ("5.parquet", vec![(5, "[1.0, 2.0, 3.0]")], "row 0, expected 2, got 3"),
    ] {
        write_lists(&database, &file(name), &lists).await;
        let rows = 4 + lists.len() as i64;
        assert_eq!(database.ids("SELECT count(*) FROM (SELECT * FROM docs) AS d").await, [rows], "{name}");
        let sum = "SELECT CAST(sum(array_length(scores)) AS BIGINT) FROM docs WHERE id < 5";
        assert_eq!(database.ids(sum).await, [6], "{name}");
        let (kind, message) = database.error(search).await;
        assert_eq!(kind, ErrorKind::InvalidInput, "{name}: {message}");
        assert!(message.contains(name) && message.contains(place), "{name}: {message}");
        let (kind, message) = database.error(&search.replace(", 1)", ", 1, column => scores)")).await;
        assert!(kind == ErrorKind::InvalidInput && message.contains(place), "{name}: {message}");
        std::fs::remove_file(file(name)).unwrap();
        assert_eq!(database.ids(search).await.len(), 1, "without {name}");
    }
    // Beyond the rows that are looked at, the footer tells.
    let mut lists: Vec<(i64, &str)> = (0..1500).map(|id| (id, "[0.0, 0.0]")).collect();
    lists.push((1500, "[0.0, 0.0, 0.0]"));
    write_lists(&database, &file("0.parquet"), &lists).await;
    assert_eq!(database.ids("SELECT count(*) FROM (SELECT * FROM docs) AS d").await, [1505]);
    let (_, message) = database.error(search).await;
    assert!(message.contains("0.parquet, row 1500, expected 2, got 3"), "{message}");
}
