//! The target of statements: an engine in this process, or a server.

mod reach;
pub(crate) mod remote;

use std::fmt;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, SchemaRef};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use arrow_flight::Ticket;
use arrow_flight::decode::DecodedPayload;
use arrow_flight::error::FlightError;
use arrow_flight::sql::client::FlightSqlServiceClient;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use ruvector_flight_server::wire::{COUNT_METADATA, decode_batches, decode_schema, internal, status};
use ruvector_sql::{Answer, Engine, OWN_QUESTION, Session};
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use remote::{Remote, SESSION};

/// A place to run statements, with a session of its own.
#[derive(Clone)]
pub(crate) enum Target {
    Embedded { engine: Arc<Engine>, session: Arc<Session> },
    Remote(Box<FlightSqlServiceClient<Channel>>),
}

/// The answer of a statement.
pub(crate) enum Outcome {
    Rows(SchemaRef, BoxStream<'static, Result<RecordBatch, Failure>>),
    Count(u64),
}

/// The error of a statement: the same here and on a server.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    pub(crate) message: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<Failure> for String {
    fn from(failure: Failure) -> Self {
        failure.message
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self { code: status.code(), message: status.message().to_owned() }
    }
}

impl From<ruvector_sql::Error> for Failure {
    fn from(error: ruvector_sql::Error) -> Self {
        status(&error).into()
    }
}

impl From<ArrowError> for Failure {
    fn from(error: ArrowError) -> Self {
        let message = match error {
            ArrowError::ExternalError(inner) => inner.to_string(),
            other => other.to_string(),
        };
        Self { code: Code::Internal, message }
    }
}

/// Takes the server's own words about an error, without the layers they came through.
impl From<FlightError> for Failure {
    fn from(error: FlightError) -> Self {
        match error {
            FlightError::Tonic(status) => (*status).into(),
            FlightError::Arrow(error) => error.into(),
            other => Self { code: Code::Internal, message: other.to_string() },
        }
    }
}

impl Target {
    /// Statements run on `engine`.
    pub(crate) fn embedded(engine: Arc<Engine>) -> Self {
        Self::Embedded { session: engine.session(), engine }
    }

    /// Statements run on a server.
    pub(crate) async fn connect(remote: Remote) -> Result<Self, String> {
        Ok(Self::Remote(Box::new(remote.connect().await?)))
    }

    /// Starts one statement. DDL and DML are done when this returns; rows are made as they are pulled.
    pub(crate) async fn execute(&self, sql: &str) -> Result<Outcome, Failure> {
        match self {
            Self::Embedded { engine, session } => match engine.execute(session, sql, &[]).await? {
                Answer::Count(count) => Ok(Outcome::Count(count)),
                Answer::Rows(rows) => {
                    let schema = rows.schema();
                    let rows = rows.map_err(|e| Failure::from(ruvector_sql::Error::from(e)));
                    Ok(Outcome::Rows(schema, rows.boxed()))
                }
            },
            Self::Remote(client) => execute_remote(client.as_ref().clone(), sql).await,
        }
    }

    /// Asks a question of the shell's own, which no log and no list of statements has; answers as [`Self::texts`].
    pub(crate) async fn ask(&self, sql: &str) -> Result<Vec<Vec<String>>, Failure> {
        self.texts(&format!("{sql}{OWN_QUESTION}")).await
    }

    /// The rows that a statement answers, as text; NULL is empty.
    pub(crate) async fn texts(&self, sql: &str) -> Result<Vec<Vec<String>>, Failure> {
        let Outcome::Rows(_, mut batches) = self.execute(sql).await? else { return Ok(Vec::new()) };
        let options = FormatOptions::default();
        let mut rows = Vec::new();
        while let Some(batch) = batches.try_next().await? {
            let columns = batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options));
            let columns = columns.collect::<Result<Vec<_>, _>>()?;
            for row in 0..batch.num_rows() {
                let texts = columns.iter().map(|column| column.value(row).try_to_string());
                rows.push(texts.collect::<Result<_, _>>()?);
            }
        }
        Ok(rows)
    }
}

/// The rows that `ticket` stands for. `do_get` of the Flight SQL client would give them to Arrow's decoder unchecked.
async fn rows_of(
    client: &mut FlightSqlServiceClient<Channel>,
    ticket: Ticket,
) -> Result<BoxStream<'static, Result<RecordBatch, Failure>>, Failure> {
    let mut request = Request::new(ticket);
    if let Some(token) = client.token() {
        let mut header = AsciiMetadataValue::try_from(format!("Bearer {token}")).map_err(internal)?;
        header.set_sensitive(true);
        request.metadata_mut().insert("authorization", header);
    }
    let cookie = AsciiMetadataValue::try_from(SESSION.as_str()).map_err(internal)?;
    request.metadata_mut().insert("cookie", cookie);
    let messages = client.inner_mut().do_get(request).await?.into_inner();
    let batches = decode_batches(messages).map_err(Failure::from).try_filter_map(|message| async move {
        match message.payload {
            DecodedPayload::RecordBatch(batch) => Ok(Some(batch)),
            DecodedPayload::Schema(_) | DecodedPayload::None => Ok(None),
        }
    });
    Ok(batches.boxed())
}

async fn execute_remote(mut client: FlightSqlServiceClient<Channel>, sql: &str) -> Result<Outcome, Failure> {
    let info = client.execute(sql.to_owned(), None).await?;
    let is_count = info.app_metadata == COUNT_METADATA;
    let schema = Arc::new(decode_schema(&info.schema).map_err(Status::from)?);
    let mut parts = Vec::new();
    for ticket in info.endpoint.into_iter().filter_map(|endpoint| endpoint.ticket) {
        parts.push(rows_of(&mut client, ticket).await?);
    }
    let mut rows = stream::iter(parts).flatten().boxed();
    if !is_count {
        return Ok(Outcome::Rows(schema, rows));
    }
    let counts = rows.try_next().await?.and_then(|batch| {
        let counts = batch.columns().first()?.as_primitive_opt::<Int64Type>()?.values().first().copied();
        u64::try_from(counts?).ok()
    });
    Ok(Outcome::Count(counts.unwrap_or_default()))
}
