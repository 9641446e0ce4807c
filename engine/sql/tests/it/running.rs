//! Statements while they run: seen, killed, timed out, and kept within the memory that they may have.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::AsArray;
use futures::StreamExt;
use ruvector_sql::{Answer, EngineConfig, ErrorKind, Role};

use crate::support::Database;

/// Rows without end, as far as a test is concerned.
const ENDLESS: &str = "SELECT value FROM generate_series(1, 1000000000)";
/// Work without end, of which no row comes.
const SILENT: &str = "SELECT count(*) FROM generate_series(1, 100000000000) WHERE value % 7 = 8";

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_query_ends_with_an_error_that_says_so() {
    let database = Database::temporary().await;
    for sql in [ENDLESS, SILENT] {
        let Answer::Rows(mut rows) = database.engine.execute(&database.session, sql, &[]).await.unwrap() else {
            panic!("{sql} answers rows");
        };
        let waiting = tokio::spawn(async move {
            loop {
                match rows.next().await {
                    Some(Ok(_)) => {}
                    Some(Err(e)) => return ruvector_sql::Error::from(e),
                    None => panic!("the end"),
                }
            }
        });
        let id = running_id(&database, sql).await;
        assert_eq!(database.run(&format!("KILL {id}")).await, 1);
        let error = tokio::time::timeout(Duration::from_secs(20), waiting).await.unwrap().unwrap();
        assert_eq!((error.kind(), error.to_string()), (ErrorKind::Cancelled, format!("statement {id} was killed")));
        let state = database.query(&format!("SELECT state FROM system.queries WHERE id = {id}")).await;
        assert_eq!(state[0].column(0).as_string::<i32>().value(0), "cancelled");
        assert_eq!(database.run(&format!("KILL {id}")).await, 0, "it has ended");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_reads_on_was_cancelled() {
    let database = Database::temporary().await;
    let answer = database.engine.execute(&database.session, ENDLESS, &[]).await.unwrap();
    let id = running_id(&database, ENDLESS).await;
    drop(answer);
    let row = database.query(&format!("SELECT state, error FROM system.queries WHERE id = {id}")).await;
    assert_eq!(row[0].column(0).as_string::<i32>().value(0), "cancelled");
    assert!(arrow::array::Array::is_null(row[0].column(1), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_has_a_limit_that_a_session_can_only_shorten() {
    let limit = Some(Duration::from_millis(300));
    let database = Database::open(EngineConfig { statement_time_max: limit, ..EngineConfig::default() }).await;
    let (kind, message) = database.error(SILENT).await;
    assert_eq!(kind, ErrorKind::Cancelled);
    assert!(message.contains("took longer than 300 ms"), "{message}");
    database.run("SET ruvector.statement_timeout_ms = 40").await;
    assert!(database.error(SILENT).await.1.contains("took longer than 40 ms"));
    database.run("SET ruvector.statement_timeout_ms = 600000").await;
    assert!(database.error(SILENT).await.1.contains("took longer than 300 ms"));
    assert_eq!(database.ids("SELECT 1").await, [1]);
    let (kind, message) = database.error("SET ruvector.statement_timeout_ms = 'soon'").await;
    assert_eq!(kind, ErrorKind::InvalidInput);
    assert!(message.contains("a number of milliseconds"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_user_sees_and_kills_nothing_of_another() {
    let database = Database::temporary().await;
    let engine = Arc::clone(&database.engine);
    let (ann, bob) = (engine.session_of(Some("ann"), Role::Writer), engine.session_of(Some("bob"), Role::Reader));
    let rows = engine.execute(&ann, ENDLESS, &[]).await.unwrap();
    let seen =
        engine.execute(&bob, "SELECT DISTINCT user FROM system.queries", &[]).await.unwrap().collect().await.unwrap();
    assert_eq!(seen[0].column(0).as_string::<i32>().iter().collect::<Vec<_>>(), [Some("bob")]);
    let refused = engine.execute(&bob, "KILL 1", &[]).await.err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
    assert!(matches!(engine.execute(&ann, "KILL 1", &[]).await.unwrap(), Answer::Count(1)));
    drop(rows);
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_says_what_it_takes() {
    let database = Database::temporary().await;
    for (sql, kind, part) in [
        ("KILL 4711", ErrorKind::NotFound, "no such statement: 4711 (see system.queries)"),
        ("KILL CONNECTION 1", ErrorKind::NotSupported, "KILL CONNECTION is not supported: KILL id ends a statement"),
        ("KILL", ErrorKind::InvalidInput, ""),
        ("KILL 'a'", ErrorKind::InvalidInput, ""),
    ] {
        let (found, message) = database.error(sql).await;
        assert_eq!(found, kind, "{sql}: {message}");
        assert!(message.contains(part), "{sql}: {message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_into_memory_goes_to_files_or_fails() {
    let sort = "SELECT count(*), max(value) FROM (SELECT value, repeat('x', 100) AS text FROM generate_series(1, 300000) \
                ORDER BY text, value DESC LIMIT 250000)";
    let spill = tempfile::tempdir().unwrap();
    let config = |bytes| EngineConfig {
        memory_bytes_max: Some(bytes),
        spill_dir: Some(spill.path().to_owned()),
        ..EngineConfig::default()
    };
    let roomy = Database::open(config(1 << 30)).await;
    let expected = roomy.ids(sort).await;
    assert_eq!(expected, [250_000]);
    let narrow = Database::open(config(24 << 20)).await;
    assert_eq!(narrow.ids(sort).await, expected);
    assert!(std::fs::read_dir(spill.path()).unwrap().next().is_some(), "it did not spill");
    let tiny = Database::open(config(64 << 10)).await;
    let (kind, message) = tiny.error(sort).await;
    assert_eq!(kind, ErrorKind::ResourceExhausted, "{message}");
    assert_eq!(tiny.ids("SELECT 1").await, [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_operators_hold_and_copy_counts() {
    let config = EngineConfig { memory_bytes_max: Some(32 << 20), ..EngineConfig::default() };
    let database = Database::open(config).await;
    let series = |rows: usize| format!("generate_series(1, {rows}) t(x)");
    // 8 bytes a row: the first of each fits, the second does not.
    for statement in [
        |of: String| format!("SELECT max(y) FROM (SELECT sum(x) OVER () AS y FROM {of})"),
        |of: String| format!("SELECT max(y) FROM (SELECT lead(x, 100000000) OVER () AS y, x FROM {of}) WHERE x > 0"),
        |of: String| format!("SELECT median(x) FROM {of}"),
        |of: String| format!("SELECT length(string_agg(x::VARCHAR, ',')) FROM {of}"),
        |of: String| format!("SELECT count(*) FROM {of} JOIN {} USING (x)", of.replace("t(x)", "u(x)")),
    ] {
        let few = statement(series(10_000));
        assert_eq!(database.query(&few).await.iter().map(|batch| batch.num_rows()).sum::<usize>(), 1, "{few}");
        let many = statement(series(6_000_000));
        let (kind, message) = database.error(&many).await;
        assert_eq!(kind, ErrorKind::ResourceExhausted, "{many}: {message}");
    }
}

/// Statements that join or repeat without end, and of which few rows come or none.
const HOSTILE: [&str; 6] = [
    "SELECT count(*) FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b WHERE a.value * b.value = 7",
    "SELECT count(*) FROM generate_series(1, 10000000) a, generate_series(1, 10000000) b",
    "SELECT a.value FROM generate_series(1, 1000000) a LEFT JOIN generate_series(1, 1000000) b ON a.value * b.value = -1 \
     WHERE b.value IS NOT NULL",
    "SELECT count(*) FROM generate_series(1, 1000000) a JOIN generate_series(1, 1000000) b ON a.value % 2 = b.value % 2",
    "SELECT count(*) FROM generate_series(1, 1000000) a WHERE NOT EXISTS \
     (SELECT 1 FROM generate_series(1, 1000000) b WHERE a.value * b.value < 0)",
    "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r WHERE n < 0",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn joins_without_end_leave_others_their_answers_and_end_at_their_limit() {
    let database = Database::temporary().await;
    let hostile = HOSTILE.iter().flat_map(|sql| [sql; 2]).map(|sql| {
        let engine = Arc::clone(&database.engine);
        tokio::spawn(async move {
            let session = engine.session();
            engine.execute(&session, "SET ruvector.statement_timeout_ms = 3000", &[]).await.unwrap();
            match engine.execute(&session, sql, &[]).await {
                Ok(answer) => answer.collect().await.map(|_| ()),
                Err(e) => Err(e),
            }
            .map_err(|e| (sql, e.kind()))
        })
    });
    let hostile: Vec<_> = hostile.collect();
    tokio::time::sleep(Duration::from_millis(500)).await;
    // Liveness, not speed.
    let others = async {
        assert_eq!(database.ids("SELECT 1").await, [1]);
        assert!(database.ids("SELECT count(*) FROM system.queries WHERE state = 'running'").await[0] > 1);
    };
    tokio::time::timeout(Duration::from_secs(20), others).await.unwrap();
    for statement in hostile {
        let ended = tokio::time::timeout(Duration::from_secs(60), statement).await.unwrap().unwrap();
        let (sql, kind) = ended.unwrap_err();
        assert_eq!(kind, ErrorKind::Cancelled, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_join_without_rows_is_killed() {
    let database = Database::temporary().await;
    let (engine, sql) = (Arc::clone(&database.engine), HOSTILE[0]);
    let session = engine.session();
    let waiting = tokio::spawn(async move {
        match engine.execute(&session, sql, &[]).await {
            Ok(answer) => answer.collect().await.map(|_| ()),
            Err(e) => Err(e),
        }
    });
    let id = running_id(&database, sql).await;
    assert_eq!(database.run(&format!("KILL {id}")).await, 1);
    let ended = tokio::time::timeout(Duration::from_secs(20), waiting).await.unwrap().unwrap();
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::Cancelled);
}

/// A statement that takes long to plan without an await point.
fn slow_to_plan() -> String {
    format!("SELECT {} FROM generate_series(1, 2) t(x)", ["x"; 2400].join(" + "))
}

#[test]
fn planning_ends_at_its_limit_or_by_kill() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .thread_stack_size(16 << 20)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let database = Database::temporary().await;
        let sql = slow_to_plan();
        // It is seen while it is planned, and killed.
        let (engine, session, planned) = (Arc::clone(&database.engine), database.engine.session(), sql.clone());
        let planning = tokio::spawn(async move { engine.prepare(&session, &planned).await.map(drop) });
        let shown = "SELECT id FROM system.queries WHERE state = 'running' AND starts_with(statement, 'SELECT x + x')";
        let killed = async {
            loop {
                assert!(!planning.is_finished(), "it was planned before it was seen: give it more terms");
                if let [id] = database.ids(shown).await[..] {
                    assert_eq!(database.run(&format!("KILL {id}")).await, 1);
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            assert_eq!(planning.await.unwrap().unwrap_err().kind(), ErrorKind::Cancelled);
            // A run has a limit from its first letter on.
            let session = database.engine.session();
            database.engine.execute(&session, "SET ruvector.statement_timeout_ms = 200", &[]).await.unwrap();
            let late = database.engine.execute(&session, &sql, &[]).await.err().unwrap();
            assert_eq!(late.kind(), ErrorKind::Cancelled, "{late}");
            assert_eq!(database.ids("SELECT 1").await, [1]);
        };
        tokio::time::timeout(Duration::from_secs(30), killed).await.unwrap();
    });
    // A thread may still be planning.
    runtime.shutdown_background();
}

/// The number of the statement `sql`, which runs.
async fn running_id(database: &Database, sql: &str) -> i64 {
    let quoted = sql.replace('\'', "''");
    let listed = format!("SELECT id FROM system.queries WHERE state = 'running' AND statement = '{quoted}'");
    let ids = async {
        loop {
            match database.ids(&listed).await.as_slice() {
                // Not begun yet.
                [] => tokio::time::sleep(Duration::from_millis(10)).await,
                ids => return ids.to_vec(),
            }
        }
    };
    let ids = tokio::time::timeout(Duration::from_secs(20), ids).await.unwrap();
    assert_eq!(ids.len(), 1);
    ids[0]
}
