//! Rows from the client into tables.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, FixedSizeListArray, Float32Array, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field};
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::{
    CommandStatementIngest, DoPutUpdateResult, TableDefinitionOptions, TableExistsOption as Exists,
    TableNotExistOption as Not,
};
use arrow_flight::{FlightData, FlightDescriptor};
use futures::{StreamExt, TryStreamExt, stream};
use prost::Message;
use ruvector_flight_server::Setup;
use ruvector_flight_server::config::{Config, ServerConfig};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use crate::guarded::request_as;
use crate::harness::{Client, TestServer, number, run, status, with_server, with_setup};

#[test]
fn the_four_modes() {
    with_server(|server| async move {
        let mut client = server.client().await;
        let count = "SELECT count(*) FROM docs";
        assert_eq!(code(&mut client, Not::Fail, Exists::Append).await, Code::NotFound);
        assert_eq!(ingest(&mut client, Not::Create, Exists::Fail).await.unwrap(), 3);
        assert_eq!(code(&mut client, Not::Create, Exists::Fail).await, Code::AlreadyExists);
        assert_eq!(ingest(&mut client, Not::Fail, Exists::Append).await.unwrap(), 3);
        assert_eq!(number(&mut client, count).await, 6);
        assert_eq!(ingest(&mut client, Not::Create, Exists::Append).await.unwrap(), 3);
        assert_eq!(number(&mut client, count).await, 9);
        assert_eq!(ingest(&mut client, Not::Create, Exists::Replace).await.unwrap(), 3);
        assert_eq!(number(&mut client, count).await, 3);
        assert_eq!(ingest(&mut client, Not::Fail, Exists::Replace).await.unwrap(), 3);
        run(&mut client, "DROP TABLE docs").await;
        assert_eq!(code(&mut client, Not::Fail, Exists::Replace).await, Code::NotFound);
        assert_eq!(ingest(&mut client, Not::Create, Exists::Append).await.unwrap(), 3);
        assert_eq!(code(&mut client, Not::Fail, Exists::Fail).await, Code::InvalidArgument);
    });
}

#[test]
fn ingested_vectors_can_be_searched() {
    with_server(|server| async move {
        let mut client = server.client().await;
        ingest(&mut client, Not::Create, Exists::Fail).await.unwrap();
        assert_eq!(number(&mut client, "SELECT id FROM knn('docs', [0.1, 0.9], 1)").await, 2);
    });
}

#[test]
fn what_cannot_be_done_is_refused() {
    with_server(|server| async move {
        let mut client = server.client().await;
        let temporary = CommandStatementIngest { temporary: true, ..command(Not::Create, Exists::Fail) };
        let options = [("codec".to_owned(), "zstd".to_owned())].into();
        let unknown_option = CommandStatementIngest { options, ..command(Not::Create, Exists::Fail) };
        for command in [temporary, unknown_option] {
            let error = client.execute_ingest(command, rows()).await.unwrap_err();
            assert_eq!(status(error).code(), Code::Unimplemented);
        }
    });
}

#[test]
fn a_broken_upload_writes_nothing() {
    with_server(|server| async move {
        let mut client = server.client().await;
        run(&mut client, "CREATE TABLE docs (id BIGINT, vec FLOAT[2])").await;
        let mut messages = plain_upload(&["docs"]).await;
        messages.last_mut().unwrap().data_body = vec![1, 2, 3].into();
        let error = put(&server, messages).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{error}");
        assert_eq!(number(&mut client, "SELECT count(*) FROM docs").await, 0);
    });
}

#[test]
fn a_plain_put_to_a_path_appends() {
    with_server(|server| async move {
        let error = put(&server, plain_upload(&["docs"]).await).await.unwrap_err();
        assert_eq!(error.code(), Code::NotFound, "{error}");
        let mut client = server.client().await;
        run(&mut client, "CREATE TABLE docs (id BIGINT, vec FLOAT[2])").await;
        assert_eq!(put(&server, plain_upload(&["docs"]).await).await.unwrap(), 3);
        assert_eq!(number(&mut client, "SELECT count(*) FROM docs").await, 3);
    });
}

#[test]
fn one_message_of_24_mib_is_read() {
    with_server(|server| async move {
        let mut client = server.client().await;
        let values = Float32Array::from_iter_values((0..8192 * 768).map(|i| (i % 1000) as f32));
        let ids = Int64Array::from_iter_values(0..8192);
        let batch = docs(ids, values, 768);
        let command = command(Not::Create, Exists::Fail);
        let descriptor =
            FlightDescriptor::new_cmd(arrow_flight::sql::ProstMessageExt::as_any(&command).encode_to_vec());
        let messages: Vec<_> = FlightDataEncoderBuilder::new()
            .with_flight_descriptor(Some(descriptor))
            .with_max_flight_data_size(usize::MAX)
            .build(stream::iter([Ok(batch)]))
            .try_collect()
            .await
            .unwrap();
        assert_eq!(messages.len(), 2);
        assert_eq!(put(&server, messages).await.unwrap(), 8192);
        assert_eq!(number(&mut client, "SELECT count(*) FROM docs").await, 8192);
    });
}

#[test]
fn an_ingest_is_seen_and_can_be_killed() {
    with_server(|server| async move {
        let mut client = server.client().await;
        run(&mut client, "CREATE TABLE docs (id BIGINT, vec FLOAT[2])").await;
        let stalled = tokio::spawn(stalled(server.plain().await, Request::new(plain_upload(&["docs"]).await)));
        wait_until_it_runs(&mut client).await;
        let running = "SELECT id FROM system.queries WHERE statement = 'INGEST INTO \"docs\"' AND state = 'running'";
        let id = number(&mut client, running).await;
        assert_eq!(run(&mut client, &format!("KILL {id}")).await, 1);
        let killed = stalled.await.unwrap();
        assert_eq!((killed.code(), killed.message()), (Code::Cancelled, format!("statement {id} was killed").as_str()));
        let state = format!("SELECT count(*) FROM system.queries WHERE id = {id} AND state = 'cancelled'");
        assert_eq!(number(&mut client, &state).await, 1);
        assert_eq!(number(&mut client, "SELECT count(*) FROM docs").await, 0);
        // Nothing waits behind it.
        run(&mut client, "DROP TABLE docs").await;
    });
}

#[test]
fn an_ingest_whose_client_sends_nothing_ends() {
    let server = ServerConfig { stall_max: Duration::from_millis(300), ..ServerConfig::default() };
    let setup = Setup::load(Config { server, ..Config::default() }).unwrap();
    with_setup(setup, |server| async move {
        let mut client = server.client().await;
        run(&mut client, "CREATE TABLE docs (id BIGINT, vec FLOAT[2])").await;
        let ended = stalled(server.plain().await, Request::new(plain_upload(&["docs"]).await)).await;
        assert_eq!(ended.code(), Code::DeadlineExceeded, "{ended}");
        assert_eq!(number(&mut client, "SELECT count(*) FROM docs").await, 0);
        run(&mut client, "DROP TABLE docs").await;
    });
}

#[test]
fn an_ingest_may_take_as_long_as_a_statement() {
    with_server(|server| async move {
        let mut client = server.client().await;
        run(&mut client, "CREATE TABLE docs (id BIGINT, vec FLOAT[2])").await;
        run(&mut client, "SET ruvector.statement_timeout_ms = 300").await;
        let ended = stalled(server.plain().await, request_as(&client, plain_upload(&["docs"]).await)).await;
        assert_eq!(ended.code(), Code::Cancelled, "{ended}");
        assert!(ended.message().contains("took longer than 300 ms"), "{ended}");
    });
}

#[test]
fn a_table_is_dropped_although_the_client_of_an_ingest_is_silent() {
    with_server(|server| async move {
        let mut client = server.client().await;
        run(&mut client, "CREATE TABLE docs (id BIGINT, vec FLOAT[2])").await;
        let stalled = tokio::spawn(stalled(server.plain().await, Request::new(plain_upload(&["docs"]).await)));
        wait_until_it_runs(&mut client).await;
        let dropped = tokio::time::timeout(Duration::from_secs(20), run(&mut client, "DROP TABLE docs")).await;
        assert_eq!(dropped.unwrap(), 0);
        let ended = stalled.await.unwrap();
        assert_eq!(ended.code(), Code::Unavailable, "{ended}");
        assert!(ended.message().contains("the table is dropped"), "{ended}");
        run(&mut client, "CREATE TABLE docs (id BIGINT, vec FLOAT[2])").await;
        assert_eq!(number(&mut client, "SELECT count(*) FROM docs").await, 0);
    });
}

/// The end of an upload whose client sends these messages, and then nothing.
async fn stalled(mut client: FlightServiceClient<Channel>, messages: Request<Vec<FlightData>>) -> Status {
    let request = messages.map(|messages| stream::iter(messages).chain(stream::pending()));
    match client.do_put(request).await {
        Ok(answer) => answer.into_inner().message().await.unwrap_err(),
        Err(status) => status,
    }
}

async fn wait_until_it_runs(client: &mut Client) {
    let running = "SELECT count(*) FROM system.queries WHERE kind = 'ingest' AND state = 'running'";
    while number(client, running).await == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn code(client: &mut Client, not_exist: Not, exists: Exists) -> Code {
    status(ingest(client, not_exist, exists).await.unwrap_err()).code()
}

async fn ingest(client: &mut Client, not_exist: Not, exists: Exists) -> Result<i64, FlightError> {
    client.execute_ingest(command(not_exist, exists), rows()).await
}

fn command(not_exist: Not, exists: Exists) -> CommandStatementIngest {
    CommandStatementIngest {
        table_definition_options: Some(TableDefinitionOptions {
            if_not_exist: not_exist.into(),
            if_exists: exists.into(),
        }),
        table: "docs".into(),
        ..CommandStatementIngest::default()
    }
}

fn rows() -> impl futures::Stream<Item = Result<RecordBatch, FlightError>> {
    let vectors = Float32Array::from(vec![1.0, 0.0, 0.0, 1.0, 0.7, 0.7]);
    stream::iter([Ok(docs(Int64Array::from(vec![1, 2, 3]), vectors, 2))])
}

fn docs(ids: Int64Array, vectors: Float32Array, dim: i32) -> RecordBatch {
    let field = Arc::new(Field::new_list_field(DataType::Float32, true));
    let vectors = FixedSizeListArray::new(field, dim, Arc::new(vectors), None);
    RecordBatch::try_from_iter_with_nullable([
        ("id", Arc::new(ids) as ArrayRef, true),
        ("vec", Arc::new(vectors) as ArrayRef, true),
    ])
    .unwrap()
}

/// The messages of pyarrow's `do_put(FlightDescriptor.for_path(...))`.
async fn plain_upload(path: &[&str]) -> Vec<FlightData> {
    let path = path.iter().map(|&part| part.to_owned()).collect();
    let encoder = FlightDataEncoderBuilder::new().with_flight_descriptor(Some(FlightDescriptor::new_path(path)));
    encoder.build(rows().boxed()).try_collect().await.unwrap()
}

async fn put(server: &TestServer, messages: Vec<FlightData>) -> Result<i64, Status> {
    let mut results = server.plain().await.do_put(stream::iter(messages)).await?.into_inner();
    let result = results.message().await?.expect("a result");
    Ok(DoPutUpdateResult::decode(&*result.app_metadata).unwrap().record_count)
}
