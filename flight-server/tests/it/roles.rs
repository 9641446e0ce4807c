//! Rights of each role, by every way in.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::{
    ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult, Any, CommandGetDbSchemas,
    CommandGetTables, CommandPreparedStatementQuery, CommandPreparedStatementUpdate, CommandStatementIngest,
    CommandStatementQuery, ProstMessageExt, TableDefinitionOptions, TableExistsOption, TableNotExistOption,
};
use arrow_flight::{Action, Criteria, FlightData, FlightDescriptor, Ticket};
use futures::{TryStreamExt, stream};
use prost::Message;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::guarded::{Guarded, ROLES, TOKEN, request_as};
use crate::harness::{Client, TestServer, fetch, number, query, run, status, table, try_query, with_setup};

/// Statements that a reader may run.
const READS: [&str; 12] = [
    "SELECT * FROM docs",
    "WITH a AS (SELECT 1 AS x) SELECT x FROM a",
    "SELECT id FROM knn('docs', [1.0, 0.0, 0.0], 2)",
    "SELECT * FROM system.indexes",
    "EXPLAIN SELECT * FROM docs",
    "EXPLAIN ANALYZE SELECT * FROM docs",
    "SHOW TABLES",
    "SHOW datafusion.runtime.memory_limit",
    "DESCRIBE docs",
    "SET ruvector.use_index = false",
    "SET datafusion.execution.batch_size = 100",
    "RESET datafusion.execution.batch_size",
];

/// Statements that need a writer. None of them would leave anything changed in the end, were they all to run in this order.
const WRITES: [&str; 13] = [
    "INSERT INTO docs VALUES (4, 'four', [1.0, 1.0, 1.0])",
    "UPDATE docs SET body = 'x' WHERE id = 4",
    "MERGE INTO docs USING (SELECT 4 AS id) AS s ON docs.id = s.id WHEN MATCHED THEN UPDATE SET body = 'y'",
    "DELETE FROM docs WHERE id = 4",
    "CREATE TABLE other (id BIGINT, vec FLOAT[3])",
    "CREATE TABLE third AS SELECT id FROM docs",
    "CREATE INDEX other_vec ON docs USING flat (vec)",
    "REINDEX other_vec",
    "DROP INDEX other_vec",
    "TRUNCATE TABLE other",
    "DROP TABLE other",
    "DROP TABLE third",
    "SELECT * FROM invalidate_cache('docs')",
];

/// Statements that need an admin; `{}` is a folder.
const ADMIN: [&str; 16] = [
    "CREATE BACKEND b TYPE parquet OPTIONS (path '{}')",
    "DROP BACKEND IF EXISTS b",
    "CREATE EXTERNAL TABLE e STORED AS CSV LOCATION '{}/a.csv' OPTIONS (has_header true)",
    "CREATE EXTERNAL TABLE IF NOT EXISTS i STORED AS RBPX LOCATION '{}/no.rbpx'",
    "EXPLAIN CREATE EXTERNAL TABLE e STORED AS CSV LOCATION '{}/a.csv'",
    "SELECT * FROM publish_bundle('docs', '{}/bundle')",
    "SELECT * FROM refresh_from_bundle('docs', '{}/bundle')",
    "SELECT * FROM save_cache('docs', '{}/cache')",
    "SELECT * FROM warm_cache('docs', '{}/cache')",
    "SELECT * FROM docs WHERE body IN (SELECT witness FROM publish_bundle('docs', '{}/bundle'))",
    "WITH a AS (SELECT * FROM publish_bundle('docs', '{}/bundle')) SELECT * FROM a",
    "EXPLAIN ANALYZE SELECT * FROM publish_bundle('docs', '{}/bundle')",
    "SET datafusion.runtime.memory_limit = '4G'",
    "SET \"datafusion\".\"runtime\".\"memory_limit\" = '4G'",
    "RESET datafusion.runtime.memory_limit",
    "SET datafusion.catalog.location = '{}'",
];

/// Statements that a role is refused, with the role that they need.
fn refused_to(role: &str, folder: &str) -> Vec<(String, &'static str)> {
    let admin = ADMIN.iter().map(|sql| (sql.replace("{}", folder), "admin"));
    match role {
        "reader" => WRITES.iter().map(|sql| ((*sql).to_owned(), "writer")).chain(explained()).chain(admin).collect(),
        "writer" => admin.collect(),
        _ => Vec::new(),
    }
}

/// A statement that would run while it is explained needs the role that doing it needs.
fn explained() -> impl Iterator<Item = (String, &'static str)> {
    let explained =
        |sql: &&&str| sql.starts_with("INSERT") || sql.starts_with("DELETE") || sql.starts_with("CREATE TABLE");
    WRITES.iter().filter(explained).flat_map(|sql| {
        ["EXPLAIN", "EXPLAIN ANALYZE", "EXPLAIN VERBOSE"].map(|explain| (format!("{explain} {sql}"), "writer"))
    })
}

fn denied(sql: &str, status: &Status, needed: &str, had: &str) {
    assert_eq!(status.code(), Code::PermissionDenied, "{sql}: {status}");
    let end = format!("needs the role {needed}, and this session has the role {had}");
    assert!(status.message().ends_with(&end), "{sql}: {status}");
}

/// Runs `test` with a folder for files, on a server with the table `docs` of three rows.
fn with_docs<F: Future<Output = ()>>(test: impl FnOnce(TestServer, String) -> F) {
    let guarded = Guarded::new();
    std::fs::write(guarded.path("a.csv"), "id\n1\n").unwrap();
    std::fs::create_dir(guarded.path("bundle")).unwrap();
    let folder = guarded.path("").display().to_string().trim_end_matches('/').to_owned();
    with_setup(guarded.setup(), |server| async {
        let mut admin = server.sign_in("admin").await;
        run(&mut admin, "CREATE TABLE docs (id BIGINT, body VARCHAR, vec FLOAT[3])").await;
        let rows = "(1, 'one', [1.0, 0.0, 0.0]), (2, 'two', [0.0, 1.0, 0.0]), (3, NULL, [0.0, 0.0, 1.0])";
        run(&mut admin, &format!("INSERT INTO docs VALUES {rows}")).await;
        test(server, folder).await;
        // Nothing of what was refused was done.
        assert_eq!(number(&mut admin, "SELECT count(*) FROM docs").await, 3);
        assert_eq!(number(&mut admin, "SELECT count(*) FROM docs WHERE body = 'x'").await, 0);
        let bundle = std::fs::read_dir(guarded.path("bundle")).unwrap().count();
        assert_eq!(bundle, 0, "a bundle was published");
    });
}

#[test]
fn everybody_reads() {
    with_docs(|server, _| async move {
        for role in ROLES {
            let mut client = server.sign_in(role).await;
            for sql in READS {
                try_query(&mut client, sql).await.unwrap_or_else(|e| panic!("{role}: {sql}: {e}"));
            }
        }
    });
}

#[test]
fn a_writer_writes() {
    with_docs(|server, _| async move {
        for role in ["writer", "admin"] {
            let mut client = server.sign_in(role).await;
            for sql in WRITES {
                try_query(&mut client, sql).await.unwrap_or_else(|e| panic!("{role}: {sql}: {e}"));
            }
        }
    });
}

#[test]
fn an_admin_is_refused_nothing_for_its_role() {
    let guarded = Guarded::new();
    std::fs::write(guarded.path("a.csv"), "id\n1\n").unwrap();
    with_setup(guarded.setup(), |server| async move {
        let mut client = server.sign_in("admin").await;
        run(&mut client, "CREATE TABLE docs (id BIGINT, body VARCHAR, vec FLOAT[3])").await;
        for sql in ADMIN {
            let sql = sql.replace("{}", &guarded.path("").display().to_string());
            if let Err(error) = try_query(&mut client, &sql).await {
                assert_ne!(status(error).code(), Code::PermissionDenied, "{sql}");
            }
        }
    });
}

#[test]
fn statements_are_refused_by_every_way_in() {
    with_docs(|server, folder| async move {
        let mut plain = server.plain().await;
        for role in ["reader", "writer"] {
            let mut client = server.sign_in(role).await;
            for (sql, needed) in refused_to(role, &folder) {
                let refused = |status: Status| denied(&sql, &status, needed, role);
                refused(status(client.execute(sql.clone(), None).await.unwrap_err()));
                refused(status(client.execute_update(sql.clone(), None).await.unwrap_err()));
                refused(status(client.prepare(sql.clone(), None).await.err().unwrap()));
                let descriptor = FlightDescriptor::new_cmd(sql.clone());
                refused(plain.get_flight_info(request_as(&client, descriptor.clone())).await.unwrap_err());
                refused(plain.get_schema(request_as(&client, descriptor)).await.unwrap_err());
                let ticket = Ticket::new(sql.clone());
                refused(plain.do_get(request_as(&client, ticket)).await.err().unwrap());
            }
        }
    });
}

#[test]
fn one_of_a_script_is_refused_like_any_other() {
    with_docs(|server, _| async move {
        let mut reader = server.sign_in("reader").await;
        let script = "SELECT 1; DELETE FROM docs; SELECT 2";
        denied(script, &status(reader.execute_update(script.into(), None).await.unwrap_err()), "writer", "reader");
    });
}

#[test]
fn a_handle_or_ticket_of_somebody_else_gives_no_role() {
    with_docs(|server, folder| async move {
        let (mut admin, reader) = (server.sign_in("admin").await, server.sign_in("reader").await);
        let mut plain = server.plain().await;
        // A ticket of the admin.
        let sql = format!("SELECT * FROM publish_bundle('docs', '{folder}/bundle')");
        let info = admin.execute(sql.clone(), None).await.unwrap();
        let ticket = info.endpoint[0].ticket.clone().unwrap();
        let refused = plain.do_get(request_as(&reader, ticket)).await.err().unwrap();
        denied(&sql, &refused, "admin", "reader");
        // Prepared statements of the admin.
        let handle = prepare(&mut plain, &admin, &sql).await;
        let command = CommandPreparedStatementQuery { prepared_statement_handle: handle };
        let command = command.as_any().encode_to_vec();
        let descriptor = FlightDescriptor::new_cmd(command.clone());
        let refused = plain.get_flight_info(request_as(&reader, descriptor.clone())).await.unwrap_err();
        denied(&sql, &refused, "admin", "reader");
        denied(&sql, &plain.get_schema(request_as(&reader, descriptor)).await.unwrap_err(), "admin", "reader");
        let refused = plain.do_get(request_as(&reader, Ticket::new(command))).await.err().unwrap();
        denied(&sql, &refused, "admin", "reader");
        for delete in ["DELETE FROM docs", "DROP TABLE docs"] {
            let handle = prepare(&mut plain, &admin, delete).await;
            let command = CommandPreparedStatementUpdate { prepared_statement_handle: handle };
            let descriptor = FlightDescriptor::new_cmd(command.as_any().encode_to_vec());
            let message = FlightData::new().with_descriptor(descriptor);
            let refused = plain.do_put(request_as(&reader, stream::iter([message]))).await;
            denied(delete, &refused.err().unwrap(), "writer", "reader");
        }
    });
}

#[test]
fn a_reader_does_not_ingest() {
    with_docs(|server, _| async move {
        let batch = || {
            let ids: ArrayRef = Arc::new(Int64Array::from(vec![7]));
            RecordBatch::try_from_iter([("id", ids)]).unwrap()
        };
        for (role, token) in [("reader", None), ("reader", Some(TOKEN)), ("writer", None)] {
            let mut client = match token {
                Some(token) => server.with_token(token).await,
                None => server.sign_in(role).await,
            };
            for (table, not_exist, exists) in [
                ("new", TableNotExistOption::Create, TableExistsOption::Fail),
                ("new", TableNotExistOption::Create, TableExistsOption::Append),
                ("new", TableNotExistOption::Fail, TableExistsOption::Append),
                ("new", TableNotExistOption::Create, TableExistsOption::Replace),
            ] {
                let command = CommandStatementIngest {
                    table_definition_options: Some(TableDefinitionOptions {
                        if_not_exist: not_exist.into(),
                        if_exists: exists.into(),
                    }),
                    table: table.into(),
                    ..CommandStatementIngest::default()
                };
                let rows = stream::iter([Ok::<_, FlightError>(batch())]);
                let done = client.execute_ingest(command, rows).await;
                match role {
                    "reader" => denied("ingest", &status(done.unwrap_err()), "writer", "reader"),
                    _ => assert_eq!(done.unwrap(), 1),
                }
            }
            // A path, to which rows are appended.
            let path = FlightDescriptor::new_path(vec!["new".into()]);
            let upload = FlightDataEncoderBuilder::new().with_flight_descriptor(Some(path));
            let upload: Vec<_> = upload.build(stream::iter([Ok(batch())])).try_collect().await.unwrap();
            let done = server.plain().await.do_put(request_as(&client, stream::iter(upload))).await;
            match role {
                "reader" => denied("do_put", &done.err().unwrap(), "writer", "reader"),
                _ => assert!(done.is_ok()),
            }
        }
    });
}

#[test]
fn session_options_are_settings_like_others() {
    with_docs(|server, _| async move {
        let mut plain = server.plain().await;
        for (role, option, is_set) in [
            ("reader", "datafusion.runtime.memory_limit", false),
            ("writer", "datafusion.runtime.memory_limit", false),
            ("reader", "datafusion.execution.batch_size", true),
            ("admin", "datafusion.runtime.memory_limit", true),
        ] {
            let client = server.sign_in(role).await;
            let value = if option.ends_with("limit") { "3G" } else { "55" };
            let action = Action::new("SetSessionOptions", options(option, value));
            let mut results = plain.do_action(request_as(&client, action)).await.unwrap().into_inner();
            let errors = results.message().await.unwrap().unwrap().body;
            assert_eq!(errors.is_empty(), is_set, "{role}: {option}");
        }
    });
}

#[test]
fn a_reader_sees_what_there_is() {
    with_docs(|server, _| async move {
        let mut reader = server.sign_in("reader").await;
        let info = reader.get_catalogs().await.unwrap();
        assert!(table(&fetch(&mut reader, info).await.unwrap()).contains("ruvector"));
        let info = reader.get_db_schemas(CommandGetDbSchemas::default()).await.unwrap();
        assert!(table(&fetch(&mut reader, info).await.unwrap()).contains("main"));
        let command = CommandGetTables { include_schema: true, ..CommandGetTables::default() };
        let info = reader.get_tables(command).await.unwrap();
        let tables = fetch(&mut reader, info).await.unwrap();
        assert!(tables.num_rows() > 0);
        let mut plain = server.plain().await;
        let flights = plain.list_flights(request_as(&reader, Criteria::default())).await.unwrap().into_inner();
        assert_eq!(flights.try_collect::<Vec<_>>().await.unwrap().len(), 1);
        // The path of a table is a query.
        let path = FlightDescriptor::new_path(vec!["docs".into()]);
        assert!(plain.get_flight_info(request_as(&reader, path)).await.is_ok());
        assert!(table(&query(&mut reader, "SHOW TABLES").await).contains("docs"));
    });
}

#[test]
fn files_are_no_tables_for_anybody() {
    with_docs(|server, folder| async move {
        for role in ROLES {
            let mut client = server.sign_in(role).await;
            for sql in [
                format!("SELECT * FROM '{folder}/a.csv'"),
                format!("SELECT * FROM \"{folder}/a.csv\""),
                format!("SELECT * FROM knn('{folder}/a.rbpx', [1.0], 1)"),
                format!("COPY docs TO '{folder}/bundle/a.csv'"),
                format!("COPY (SELECT 1) TO '{folder}/bundle/a.csv' STORED AS CSV"),
                format!("EXPLAIN ANALYZE COPY docs TO '{folder}/bundle/a.csv'"),
            ] {
                let refused = status(try_query(&mut client, &sql).await.unwrap_err());
                let expected = [Code::NotFound, Code::InvalidArgument, Code::Unimplemented, Code::PermissionDenied];
                assert!(expected.contains(&refused.code()), "{sql}: {refused}");
            }
        }
    });
}

/// The handle of a statement that `client` prepares.
async fn prepare(plain: &mut FlightServiceClient<Channel>, client: &Client, sql: &str) -> bytes::Bytes {
    let request = ActionCreatePreparedStatementRequest { query: sql.to_owned(), transaction_id: None };
    let action = Action::new("CreatePreparedStatement", request.as_any().encode_to_vec());
    let mut results = plain.do_action(request_as(client, action)).await.unwrap().into_inner();
    let any = Any::decode(results.message().await.unwrap().unwrap().body).unwrap();
    any.unpack::<ActionCreatePreparedStatementResult>().unwrap().unwrap().prepared_statement_handle
}

#[test]
fn a_flight_sql_command_is_no_way_around() {
    with_docs(|server, _| async move {
        let reader = server.sign_in("reader").await;
        let mut plain = server.plain().await;
        let command = CommandStatementQuery { query: "DROP TABLE docs".into(), transaction_id: None };
        let descriptor = FlightDescriptor::new_cmd(command.as_any().encode_to_vec());
        let refused = plain.poll_flight_info(request_as(&reader, descriptor)).await.unwrap_err();
        denied("DROP TABLE", &refused, "writer", "reader");
    });
}

fn options(name: &str, value: &str) -> Vec<u8> {
    #[derive(Clone, PartialEq, Message)]
    struct Value {
        #[prost(string, optional, tag = "1")]
        string: Option<String>,
    }
    #[derive(Clone, PartialEq, Message)]
    struct Options {
        #[prost(btree_map = "string, message", tag = "1")]
        options: BTreeMap<String, Value>,
    }
    let options = BTreeMap::from([(name.to_owned(), Value { string: Some(value.to_owned()) })]);
    Options { options }.encode_to_vec()
}
