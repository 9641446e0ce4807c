//! Where the shell's statements run: in this process or on a server.

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, SchemaRef};
use arrow::error::ArrowError;
use arrow_flight::error::FlightError;
use arrow_flight::sql::client::FlightSqlServiceClient;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use ruvector_udfs::{Answer, Engine, Session};
use tonic::transport::Channel;

use super::Remote;
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

    /// Statements run on a server.
    pub(crate) async fn connect(remote: Remote) -> Result<Self, String> {
        Ok(Self::Remote(Box::new(remote.connect().await?)))
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

/// What a server says about an error, without the layers it came through.
fn message(error: FlightError) -> String {
    match error {
        FlightError::Tonic(status) => status.message().to_owned(),
        FlightError::Arrow(ArrowError::ExternalError(inner)) => inner.to_string(),
        other => other.to_string(),
    }
}
