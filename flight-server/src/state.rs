//! What every command needs: the engine, the sessions and the threads that statements run on.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::scalar::ScalarValue;
use futures::TryStreamExt;
use ruvector_udfs::{Answer, Engine, Prepared, Session};
use tonic::Status;

use crate::audit::Audit;
use crate::auth::Gate;
use crate::config::Setup;
use crate::error::{internal, status, stream_status};
use crate::session::{Caller, Sessions};
use crate::work::Work;

/// The server's state. Shared by all calls.
pub(crate) struct ServerState {
    pub(crate) engine: Arc<Engine>,
    pub(crate) sessions: Sessions,
    pub(crate) work: Work,
    pub(crate) gate: Gate,
}

impl ServerState {
    pub(crate) fn new(engine: Arc<Engine>, work: Work, setup: &Setup) -> Self {
        let sessions = Sessions::new(Arc::clone(&engine), &setup.config.server);
        let gate = Gate::new(setup.authenticator.clone(), setup.config.auth.token_lifetime);
        Self { sessions, engine, work, gate }
    }

    /// Plans the caller's statement `sql`; runs nothing. What cannot be planned is in the audit log: it will never run.
    pub(crate) async fn prepare(&self, caller: &Caller, sql: &str) -> Result<Prepared, Status> {
        let audit = Audit::of_statement(caller, sql);
        audit.if_failed(self.plan(caller, sql).await)
    }

    /// Plans `sql`, one of the server's own statements, for `caller`.
    pub(crate) async fn plan(&self, caller: &Caller, sql: &str) -> Result<Prepared, Status> {
        let (engine, session, sql) = (Arc::clone(&self.engine), self.sessions.for_query(caller), sql.to_owned());
        self.work.while_wanted(async move { engine.prepare(&session, &sql).await.map_err(|e| status(&e)) }).await
    }

    /// Plans the query `sql` with its parameters. The rows are made when the stream is pulled.
    pub(crate) async fn query(
        &self,
        session: Arc<Session>,
        sql: String,
        parameters: Vec<ScalarValue>,
    ) -> Result<SendableRecordBatchStream, Status> {
        let engine = Arc::clone(&self.engine);
        self.work.while_wanted(async move { query(&engine, &session, &sql, &parameters).await }).await
    }

    /// All rows of `sql`, one of the server's own queries on the catalog.
    pub(crate) async fn rows(&self, caller: &Caller, sql: &str) -> Result<Vec<RecordBatch>, Status> {
        let (engine, session, sql) = (Arc::clone(&self.engine), self.sessions.for_query(caller), sql.to_owned());
        let rows = async move { query(&engine, &session, &sql, &[]).await?.map_err(stream_status).try_collect().await };
        self.work.while_wanted(rows).await
    }
}

/// Plans one query.
pub(crate) async fn query(
    engine: &Engine,
    session: &Session,
    sql: &str,
    parameters: &[ScalarValue],
) -> Result<SendableRecordBatchStream, Status> {
    match engine.execute(session, sql, parameters).await.map_err(|e| status(&e))? {
        Answer::Rows(rows) => Ok(rows),
        Answer::Count(_) => Err(internal("the statement was prepared as a query, but answered with a count")),
    }
}
