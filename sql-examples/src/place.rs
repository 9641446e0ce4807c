//! The places where a lesson runs: the engine in this process, and a server on a free port.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_flight::error::FlightError;
use arrow_flight::sql::client::FlightSqlServiceClient;
use futures::TryStreamExt;
use ruvector_flight_server::{bind, config, serve};
use ruvector_sql::{Answer, Engine, EngineConfig, Session};
use sqllogictest::{DB, DBOutput, DefaultColumnType};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};

use crate::values;

/// The place where a lesson runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The engine, in this process.
    Embedded,
    /// A Flight SQL server, over the network.
    Server,
}

/// An empty database at a place.
pub(crate) struct Database {
    runtime: Handle,
    kind: Kind,
    connections: AtomicUsize,
}

enum Kind {
    Embedded(Arc<Engine>),
    Server { channel: Channel, stop: oneshot::Sender<()>, served: JoinHandle<()> },
}

/// Threads with the stack that planning SQL needs.
pub(crate) fn runtime() -> std::io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(2).thread_stack_size(config::STACK_BYTES).enable_all().build()
}

impl Database {
    pub(crate) async fn open(place: Place, runtime: Handle) -> Result<Self, String> {
        let engine = runtime.spawn(Engine::open(EngineConfig::default())).await;
        let engine = engine.map_err(|e| e.to_string())?.map_err(|e| e.to_string())?;
        let kind = match place {
            Place::Embedded => Kind::Embedded(engine),
            Place::Server => start(engine, &runtime).await?,
        };
        Ok(Self { runtime, kind, connections: AtomicUsize::new(0) })
    }

    /// A connection with a session of its own.
    pub(crate) fn connect(&self) -> Connection {
        let client = match &self.kind {
            Kind::Embedded(engine) => Client::Embedded(Arc::clone(engine), engine.session()),
            Kind::Server { channel, .. } => {
                let mut client = FlightSqlServiceClient::new(channel.clone());
                // A token names a session, whatever it is.
                client.set_token(format!("lesson-{}", self.connections.fetch_add(1, Ordering::Relaxed)));
                Client::Server(Box::new(client))
            }
        };
        Connection { runtime: self.runtime.clone(), client }
    }

    /// Stops the server, if there is one.
    pub(crate) fn close(self) {
        if let Kind::Server { channel, stop, served } = self.kind {
            drop(channel);
            // It may have stopped by itself already; then there is nothing to wait for.
            let _ = stop.send(());
            let _ = self.runtime.block_on(served);
        }
    }
}

async fn start(engine: Arc<Engine>, runtime: &Handle) -> Result<Kind, String> {
    let listener = bind("127.0.0.1:0", false).await.map_err(|e| e.to_string())?;
    let address = listener.local_addr().map_err(|e| e.to_string())?;
    let (stop, stopped) = oneshot::channel();
    let served = runtime.spawn(async move {
        if let Err(error) = serve(listener, engine, async { drop(stopped.await) }).await {
            eprintln!("the server of a lesson failed: {error}");
        }
    });
    let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(|e| e.to_string())?;
    let channel = endpoint.connect().await.map_err(|e| e.to_string())?;
    Ok(Kind::Server { channel, stop, served })
}

/// A connection that runs the statements of a lesson.
pub(crate) struct Connection {
    runtime: Handle,
    client: Client,
}

enum Client {
    Embedded(Arc<Engine>, Arc<Session>),
    Server(Box<FlightSqlServiceClient<Channel>>),
}

/// The error of the engine or the server.
#[derive(Debug)]
pub(crate) struct Message(String);

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Message {}

impl From<FlightError> for Message {
    fn from(error: FlightError) -> Self {
        match error {
            FlightError::Tonic(status) => Self(status.message().to_owned()),
            other => Self(other.to_string()),
        }
    }
}

impl From<ruvector_sql::Error> for Message {
    fn from(error: ruvector_sql::Error) -> Self {
        Self(error.to_string())
    }
}

type Output = DBOutput<DefaultColumnType>;

impl DB for Connection {
    type Error = Message;
    type ColumnType = DefaultColumnType;

    fn run(&mut self, sql: &str) -> Result<Output, Message> {
        let sql = sql.to_owned();
        let statement = match &self.client {
            Client::Embedded(engine, session) => {
                self.runtime.spawn(run_embedded(Arc::clone(engine), Arc::clone(session), sql))
            }
            Client::Server(client) => self.runtime.spawn(run_on_server(client.as_ref().clone(), sql)),
        };
        self.runtime.block_on(statement).map_err(|e| Message(e.to_string()))?
    }

    fn engine_name(&self) -> &str {
        match self.client {
            Client::Embedded(..) => "embedded",
            Client::Server(_) => "server",
        }
    }
}

async fn run_embedded(engine: Arc<Engine>, session: Arc<Session>, sql: String) -> Result<Output, Message> {
    match engine.execute(&session, &sql, &[]).await? {
        Answer::Count(count) => Ok(DBOutput::StatementComplete(count)),
        Answer::Rows(rows) => {
            let schema = rows.schema();
            let batches: Vec<_> = rows.try_collect().await.map_err(|e| Message::from(ruvector_sql::Error::from(e)))?;
            output(schema, &batches)
        }
    }
}

async fn run_on_server(mut client: FlightSqlServiceClient<Channel>, sql: String) -> Result<Output, Message> {
    // A statement without rows is told from a query as drivers do it: it has no dataset schema.
    let statement = client.prepare(sql.clone(), None).await?;
    if statement.dataset_schema()?.fields().is_empty() {
        let count = client.execute_update(sql, None).await?;
        return Ok(DBOutput::StatementComplete(u64::try_from(count).unwrap_or_default()));
    }
    let info = client.execute(sql, None).await?;
    let schema = info.clone().try_decode_schema().map_err(|e| Message(e.to_string()))?;
    let mut batches: Vec<RecordBatch> = Vec::new();
    for ticket in info.endpoint.into_iter().filter_map(|endpoint| endpoint.ticket) {
        let rows: Vec<RecordBatch> = client.do_get(ticket).await?.try_collect().await?;
        batches.extend(rows);
    }
    output(Arc::new(schema), &batches)
}

fn output(schema: SchemaRef, batches: &[RecordBatch]) -> Result<Output, Message> {
    let rows: Result<Vec<_>, _> = batches.iter().map(values::rows).collect();
    let rows = rows.map_err(|e| Message(e.to_string()))?.concat();
    Ok(DBOutput::Rows { types: values::types(&schema), rows })
}
