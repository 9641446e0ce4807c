//! The state that every command needs: the engine, the sessions and the threads that statements run on.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::scalar::ScalarValue;
use futures::TryStreamExt;
use ruvector_sql::{Engine, Prepared, Session, StatementClass, statement_class};
use tonic::Status;

use crate::auth::Authentication;
use crate::execution::audit::Audit;
use crate::execution::executor::{Executor, Stops};
use crate::execution::metrics::Metrics;
use crate::execution::places::Permit;
use crate::execution::sessions::{Caller, Sessions};
use crate::setup::Setup;
use crate::wire::status::{status, stream_status};

/// The server's state. Shared by all calls.
pub(crate) struct ServerState {
    pub(crate) engine: Arc<Engine>,
    pub(crate) sessions: Sessions,
    pub(crate) executor: Executor,
    pub(crate) authentication: Authentication,
    pub(crate) metrics: Arc<Metrics>,
}

impl ServerState {
    pub(crate) fn new(engine: Arc<Engine>, executor: Executor, setup: &Setup) -> Self {
        let sessions = Sessions::new(Arc::clone(&engine), &setup.config.server);
        let authentication = Authentication::new(setup.authenticator.clone(), setup.config.auth.token_lifetime);
        Self { sessions, engine, executor, authentication, metrics: Arc::default() }
    }

    /// The record of the caller's statement `sql`, which begins now.
    pub(crate) fn audit(&self, caller: &Caller, sql: &str) -> Audit {
        Audit::of_statement(&self.metrics, caller, sql)
    }

    /// Waits until the caller's `sql` may run. `KILL` does not wait, since it is there to make room, nor does a look at what to
    /// kill.
    pub(crate) async fn admit(&self, caller: &Caller, sql: &str) -> Result<Option<Permit>, Status> {
        match statement_class(sql) {
            StatementClass::Kill => Ok(None),
            StatementClass::Monitoring => self.executor.places().admit_monitoring(caller.into()).await.map(Some),
            StatementClass::Setting | StatementClass::Other => {
                self.executor.places().admit(caller.into()).await.map(Some)
            }
        }
    }

    /// Plans the caller's statement `sql`; runs nothing. What cannot be planned is in the audit log: it will never run.
    pub(crate) async fn prepare(&self, caller: &Caller, sql: &str) -> Result<Prepared, Status> {
        let audit = self.audit(caller, sql);
        audit.if_failed(self.plan(caller, sql).await)
    }

    /// Plans `sql`, one of the server's own statements, for `caller`.
    pub(crate) async fn plan(&self, caller: &Caller, sql: &str) -> Result<Prepared, Status> {
        let _permit = self.admit(caller, sql).await?;
        let (engine, session, sql) = (Arc::clone(&self.engine), self.sessions.for_query(caller), sql.to_owned());
        self.executor.run_attached(async move { engine.prepare(&session, &sql).await.map_err(|e| status(&e)) }).await
    }

    /// Plans the query `sql` with its parameters, for a caller that was admitted. The rows are made when the stream is pulled.
    /// `stops` tells from then on whether it was stopped.
    pub(crate) async fn query(
        &self,
        session: Arc<Session>,
        sql: String,
        parameters: Vec<ScalarValue>,
        stops: Stops,
    ) -> Result<SendableRecordBatchStream, Status> {
        let engine = Arc::clone(&self.engine);
        self.executor.run_attached(async move { query(&engine, &session, &sql, &parameters, &stops).await }).await
    }

    /// All rows of `sql`, one of the server's own queries on the catalog.
    pub(crate) async fn rows(&self, caller: &Caller, sql: &str) -> Result<Vec<RecordBatch>, Status> {
        let (engine, session, sql) = (Arc::clone(&self.engine), self.sessions.for_query(caller), sql.to_owned());
        let _permit = self.executor.places().admit(caller.into()).await?;
        let rows = async move {
            query(&engine, &session, &sql, &[], &Stops::default()).await?.map_err(stream_status).try_collect().await
        };
        self.executor.run_attached(rows).await
    }
}

/// Plans one query. A statement that is none is refused: it may come from a ticket that a client made up.
pub(crate) async fn query(
    engine: &Arc<Engine>,
    session: &Arc<Session>,
    sql: &str,
    parameters: &[ScalarValue],
    stops: &Stops,
) -> Result<SendableRecordBatchStream, Status> {
    engine.query(session, sql, parameters, |stop| stops.begun(stop)).await.map_err(|e| status(&e))
}
