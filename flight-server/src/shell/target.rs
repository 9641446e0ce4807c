//! Where the shell's statements run: in this process or on a server.

use std::error::Error;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, SchemaRef};
use arrow::error::ArrowError;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::client::FlightSqlServiceClient;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use ruvector_udfs::{Answer, Engine, Session};
use tonic::transport::{Channel, Endpoint};

use crate::command::statement::COUNT_METADATA;

/// A place to run statements, with a session of its own.
#[derive(Clone)]
pub(crate) enum Target {
    Embedded { engine: Arc<Engine>, session: Arc<Session> },
    Remote(Box<FlightSqlServiceClient<Channel>>),
}

/// What a statement answered.
pub(crate) enum Outcome {
    Rows(SchemaRef, BoxStream<'static, Result<RecordBatch, String>>),
    Count(u64),
}

impl Target {
    /// Statements run on `engine`.
    pub(crate) fn embedded(engine: Arc<Engine>) -> Self {
        Self::Embedded { session: engine.session(), engine }
    }

    /// Statements run on the server at `url`: `grpc://HOST:PORT`.
    pub(crate) async fn connect(url: &str) -> Result<Self, String> {
        let address = address(url)?;
        let unreachable = |error: tonic::transport::Error| format!("cannot reach {url}: {}", root_cause(&error));
        let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(unreachable)?;
        let channel = endpoint.connect().await.map_err(unreachable)?;
        // The server decides how large its messages are.
        let client = FlightServiceClient::new(channel).max_decoding_message_size(usize::MAX);
        let mut client = FlightSqlServiceClient::new_from_inner(client);
        // A session of our own, so that SET works. Servers without sessions refuse; all else works on them too.
        if let Err(error) = client.handshake("", "").await {
            tracing::debug!(%error, "the server has no handshake");
        }
        Ok(Self::Remote(Box::new(client)))
    }

    /// Starts one statement. DDL and DML are done when this returns; rows are made as they are pulled.
    pub(crate) async fn execute(&self, sql: &str) -> Result<Outcome, String> {
        match self {
            Self::Embedded { engine, session } => {
                match engine.execute(session, sql, &[]).await.map_err(|e| e.to_string())? {
                    Answer::Count(count) => Ok(Outcome::Count(count)),
                    Answer::Rows(rows) => {
                        let schema = rows.schema();
                        Ok(Outcome::Rows(schema, rows.map_err(|e| ruvector_udfs::Error::from(e).to_string()).boxed()))
                    }
                }
            }
            Self::Remote(client) => execute_remote(client.as_ref().clone(), sql).await,
        }
    }
}

async fn execute_remote(mut client: FlightSqlServiceClient<Channel>, sql: &str) -> Result<Outcome, String> {
    let info = client.execute(sql.to_owned(), None).await.map_err(message)?;
    let is_count = info.app_metadata == COUNT_METADATA;
    let schema = Arc::new(info.clone().try_decode_schema().map_err(|e| e.to_string())?);
    let mut parts = Vec::new();
    for ticket in info.endpoint.into_iter().filter_map(|endpoint| endpoint.ticket) {
        parts.push(client.do_get(ticket).await.map_err(message)?.map_err(message));
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

/// The `HOST:PORT` of a URL.
fn address(url: &str) -> Result<&str, String> {
    let (scheme, address) = url.split_once("://").unwrap_or(("grpc", url));
    match scheme {
        "grpc" | "grpc+tcp" | "http" => Ok(address.trim_end_matches('/')),
        _ => Err(format!("'{url}' is not supported: expected grpc://HOST:PORT")),
    }
}

/// What a server says about an error, without the layers it came through.
fn message(error: FlightError) -> String {
    match error {
        FlightError::Tonic(status) => status.message().to_owned(),
        FlightError::Arrow(ArrowError::ExternalError(inner)) => inner.to_string(),
        other => other.to_string(),
    }
}

fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_has_a_url() {
        for url in ["grpc://h:1", "grpc+tcp://h:1", "http://h:1/", "h:1"] {
            assert_eq!(address(url), Ok("h:1"));
        }
        assert!(address("grpc+tls://h:1").is_err());
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_named() {
        let error = Target::connect("grpc://127.0.0.1:1").await.err().unwrap();
        assert!(error.starts_with("cannot reach grpc://127.0.0.1:1: "), "{error}");
    }
}
