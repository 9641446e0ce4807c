//! A server for one test, and short words for what its clients do.

use std::net::SocketAddr;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{Int64Type, Schema};
use arrow::util::pretty::pretty_format_batches;
use arrow_flight::error::{FlightError, Result};
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::{FlightInfo, IpcMessage};
use futures::TryStreamExt;
use ruvector_flight_server::{Setup, bind, config, serve_on};
use ruvector_sql::{Engine, EngineConfig};
use tokio::sync::oneshot;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

pub(crate) type Client = FlightSqlServiceClient<Channel>;

pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
}

/// Runs `test` against a server of its own, and stops the server after it.
pub(crate) fn with_server<F: Future<Output = ()>>(test: impl FnOnce(TestServer) -> F) {
    with_setup(Setup::default(), test);
}

/// Like [`with_server`], with settings. The address is a free one of this machine, whatever they say.
pub(crate) fn with_setup<F: Future<Output = ()>>(setup: Setup, test: impl FnOnce(TestServer) -> F) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_stack_size(config::STACK_BYTES)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let engine = runtime.spawn(Engine::open(EngineConfig::default())).await.unwrap().unwrap();
        let listener = bind("127.0.0.1:0", false).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let engine_runtime = runtime.handle().clone();
        let served = runtime.spawn(serve_on(listener, engine, engine_runtime, setup, async { drop(stopped.await) }));
        test(TestServer { address }).await;
        stop.send(()).unwrap();
        served.await.unwrap().unwrap();
    });
}

impl TestServer {
    pub(crate) async fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.address)).unwrap().connect().await.unwrap()
    }

    /// A client with a session of its own.
    pub(crate) async fn client(&self) -> Client {
        let mut client = self.anonymous().await;
        client.handshake("anybody", "anything").await.unwrap();
        client
    }

    /// A client that names no session.
    pub(crate) async fn anonymous(&self) -> Client {
        FlightSqlServiceClient::new(self.channel().await)
    }

    pub(crate) async fn plain(&self) -> FlightServiceClient<Channel> {
        FlightServiceClient::new(self.channel().await)
    }

    /// A client on a server with the table `docs` of three rows.
    pub(crate) async fn client_with_docs(&self) -> Client {
        let mut client = self.client().await;
        run(&mut client, "CREATE TABLE docs (id BIGINT, body VARCHAR, vec FLOAT[3])").await;
        let rows = "(1, 'one', [1.0, 0.0, 0.0]), (2, 'two', [0.0, 1.0, 0.0]), (3, NULL, [0.0, 0.0, 1.0])";
        assert_eq!(run(&mut client, &format!("INSERT INTO docs VALUES {rows}")).await, 3);
        client
    }
}

/// The rows of a query.
pub(crate) async fn query(client: &mut Client, sql: &str) -> RecordBatch {
    try_query(client, sql).await.unwrap()
}

pub(crate) async fn try_query(client: &mut Client, sql: &str) -> Result<RecordBatch> {
    let info = client.execute(sql.to_owned(), None).await?;
    fetch(client, info).await
}

/// The rows behind a FlightInfo, which must have exactly the announced schema.
pub(crate) async fn fetch(client: &mut Client, info: FlightInfo) -> Result<RecordBatch> {
    let announced = Schema::try_from(IpcMessage(info.schema.clone())).unwrap();
    assert_eq!(info.endpoint.len(), 1);
    assert!(info.endpoint[0].location.is_empty());
    let mut stream = client.do_get(info.endpoint[0].ticket.clone().unwrap()).await?;
    let mut batches = Vec::new();
    while let Some(batch) = stream.try_next().await? {
        assert_eq!(*batch.schema(), announced);
        batches.push(batch);
    }
    assert_eq!(**stream.schema().expect("a stream has a schema even without rows"), announced);
    Ok(concat_batches(&Arc::new(announced), &batches).unwrap())
}

/// Runs a statement without rows the way most drivers do: GetFlightInfo, then DoGet.
pub(crate) async fn run(client: &mut Client, sql: &str) -> i64 {
    let rows = query(client, sql).await;
    assert_eq!(rows.schema().field(0).name(), "count");
    rows.column(0).as_primitive::<Int64Type>().value(0)
}

/// The one integer that `sql` answers with.
pub(crate) async fn number(client: &mut Client, sql: &str) -> i64 {
    let rows = query(client, sql).await;
    assert_eq!((rows.num_rows(), rows.num_columns()), (1, 1));
    rows.column(0).as_primitive::<Int64Type>().value(0)
}

/// The status inside a client's error.
pub(crate) fn status(error: FlightError) -> Status {
    match error {
        FlightError::Tonic(status) => *status,
        other => panic!("expected a status, got {other}"),
    }
}

pub(crate) fn table(batch: &RecordBatch) -> String {
    pretty_format_batches(std::slice::from_ref(batch)).unwrap().to_string()
}
