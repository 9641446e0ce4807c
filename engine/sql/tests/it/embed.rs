//! `embed()` runs when a query runs, never while it is planned; and what it says when there is no model.

use ruvector_sql::{EngineConfig, ErrorKind, Role};

use crate::support::Database;

#[tokio::test(flavor = "multi_thread")]
async fn planning_needs_no_model_and_running_says_which_is_missing() {
    let empty = tempfile::tempdir().unwrap();
    let mut config = EngineConfig::default();
    config.embed.models_dir = Some(empty.path().join("models"));
    config.embed.hub_cache = Some(empty.path().join("hub"));
    config.embed.offline = true;
    let database = Database::open(config).await;
    database.run("CREATE TABLE docs (id BIGINT, body VARCHAR, vec FLOAT[384])").await;
    database.run("CREATE INDEX docs_vec ON docs USING rabitq_plus (vec)").await;

    let search = "SELECT id FROM knn('docs', embed('a question'), 3)";
    for sql in [search, "SELECT embed(body) AS vec FROM docs", "INSERT INTO docs SELECT 1, 'a', embed('a')"] {
        database.engine.prepare(&database.session, sql).await.unwrap();
        database.query(&format!("EXPLAIN {sql}")).await;
    }
    let vec = database.engine.prepare(&database.session, "SELECT embed(body) FROM docs").await.unwrap().schema.unwrap();
    assert!(vec.field(0).data_type().to_string().starts_with("FixedSizeList(384"), "{vec}");

    let (kind, message) = database.error(search).await;
    assert_eq!(kind, ErrorKind::NotFound, "{message}");
    assert!(message.contains("all-MiniLM-L6-v2") && message.contains("make model"), "{message}");
    let (kind, message) = database.error("INSERT INTO docs SELECT 1, 'a', embed('a')").await;
    assert_eq!(kind, ErrorKind::NotFound, "{message}");
    assert!(database.ids("SELECT id FROM docs").await.is_empty());

    // What it says of a text is known before the rows are: an ORDER BY of the distance to it is a search.
    for sql in [
        "SELECT id FROM docs ORDER BY l2_distance(vec, embed('a question')) LIMIT 3",
        "SELECT id FROM docs ORDER BY vec <=> embed('a question', 'all-MiniLM-L6-v2') LIMIT 3",
    ] {
        let plan = database.query(&format!("EXPLAIN FORMAT INDENT {sql}")).await;
        let plan = arrow::util::pretty::pretty_format_batches(&plan).unwrap().to_string();
        assert!(plan.contains("KnnExec"), "{plan}");
    }
    // One that changes with every row is none.
    let plan = database
        .query("EXPLAIN FORMAT INDENT SELECT id FROM docs ORDER BY array_distance(vec, [random()]) LIMIT 3")
        .await;
    let plan = arrow::util::pretty::pretty_format_batches(&plan).unwrap().to_string();
    assert!(!plan.contains("KnnExec"), "{plan}");

    // In an ORDER BY too, whether it is a search or a sort.
    database.run("INSERT INTO docs VALUES (1, 'a', NULL)").await;
    for use_index in [true, false] {
        database.run(&format!("SET ruvector.use_index = {use_index}")).await;
        for limit in ["LIMIT 3", ""] {
            let sql = format!("SELECT id FROM docs ORDER BY l2_distance(vec, embed('a question')), body {limit}");
            let (kind, message) = database.error(&sql).await;
            assert_eq!(kind, ErrorKind::NotFound, "{sql}: {message}");
            let (kind, message) = database.error(&sql.replace(", body", "")).await;
            assert_eq!(kind, ErrorKind::NotFound, "{sql}: {message}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn arguments_that_are_not_text_are_refused() {
    let database = Database::temporary().await;
    for (sql, part) in [
        ("SELECT embed(1)", "expected a string, got Int64"),
        ("SELECT embed()", "got 0 arguments"),
        ("SELECT embed('a', 'b', 'c')", "got 3 arguments"),
        ("SELECT embed('a', column1) FROM (VALUES ('m'))", "expected a constant"),
        ("SELECT embed('a', '../../etc')", "etc"),
    ] {
        let (kind, message) = database.error(sql).await;
        assert_eq!(kind, ErrorKind::InvalidInput, "{sql}: {message}");
        assert!(message.contains(part), "{sql}: {message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_admin_hears_of_folders() {
    let empty = tempfile::tempdir().unwrap();
    let mut config = EngineConfig::default();
    config.embed.models_dir = Some(empty.path().join("models"));
    config.embed.hub_cache = Some(empty.path().join("hub"));
    config.embed.offline = true;
    config.embed.online_hint = Some("say so");
    std::fs::create_dir_all(empty.path().join("models/acme/torn")).unwrap();
    for file in ["model.onnx", "tokenizer.json"] {
        std::fs::write(empty.path().join("models/acme/torn").join(file), "x").unwrap();
    }
    let mut database = Database::open(config).await;
    let folder = empty.path().display().to_string();
    for (role, is_told) in [(Role::Admin, true), (Role::Writer, false), (Role::Reader, false)] {
        database.session = database.engine.session_as(role);
        let (kind, message) = database.error("SELECT embed('a')").await;
        assert_eq!(kind, ErrorKind::NotFound, "{role}: {message}");
        assert!(message.contains("all-MiniLM-L6-v2 was not found") && message.contains("say so"), "{role}: {message}");
        assert_eq!(message.contains(&folder), is_told, "{role}: {message}");
        // While it is planned: its dimension is not known without its files.
        let (kind, message) = database.error("SELECT embed('a', 'acme/none')").await;
        assert_eq!(kind, ErrorKind::NotFound, "{role}: {message}");
        assert!(message.contains("acme/none"), "{role}: {message}");
        assert_eq!(message.contains(&folder), is_told, "{role}: {message}");
        let (_, message) = database.error("SELECT embed('a', 'acme/torn')").await;
        assert!(is_told || !message.contains(&folder), "{role}: {message}");
    }
}
