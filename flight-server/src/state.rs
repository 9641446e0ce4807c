//! What every command needs: the engine, the sessions and the threads that statements run on.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::scalar::ScalarValue;
use futures::TryStreamExt;
use ruvector_udfs::{Engine, Prepared, Session};
use tonic::Status;

use crate::audit::Audit;
use crate::auth::Gate;
use crate::config::Setup;
use crate::error::{status, stream_status};
use crate::metrics::Metrics;
use crate::places::Permit;
use crate::session::{Caller, Sessions};
use crate::work::{Stops, Work};
use ruvector_udfs::script;

/// The server's state. Shared by all calls.
pub(crate) struct ServerState {
    pub(crate) engine: Arc<Engine>,
    pub(crate) sessions: Sessions,
    pub(crate) work: Work,
    pub(crate) gate: Gate,
    pub(crate) metrics: Arc<Metrics>,
}

impl ServerState {
    pub(crate) fn new(engine: Arc<Engine>, work: Work, setup: &Setup) -> Self {
        let sessions = Sessions::new(Arc::clone(&engine), &setup.config.server);
        let gate = Gate::new(setup.authenticator.clone(), setup.config.auth.token_lifetime);
        Self { sessions, engine, work, gate, metrics: Arc::default() }
    }

    /// The record of the caller's statement `sql`, which begins now.
    pub(crate) fn audit(&self, caller: &Caller, sql: &str) -> Audit {
        Audit::of_statement(&self.metrics, caller, sql)
    }

    /// Waits until the caller's `sql` may run. `KILL` does not wait, since it is there to make room, nor does a look at what to kill.
    pub(crate) async fn admit(&self, caller: &Caller, sql: &str) -> Result<Option<Permit>, Status> {
        if script::first_word(sql).eq_ignore_ascii_case("kill") {
            return Ok(None);
        }
        match script::mentions(sql, "system.queries") {
            true => self.work.places().admit_looking(caller.into()).await.map(Some),
            false => self.work.places().admit(caller.into()).await.map(Some),
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
        self.work.while_wanted(async move { engine.prepare(&session, &sql).await.map_err(|e| status(&e)) }).await
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
        self.work.while_wanted(async move { query(&engine, &session, &sql, &parameters, &stops).await }).await
    }

    /// All rows of `sql`, one of the server's own queries on the catalog.
    pub(crate) async fn rows(&self, caller: &Caller, sql: &str) -> Result<Vec<RecordBatch>, Status> {
        let (engine, session, sql) = (Arc::clone(&self.engine), self.sessions.for_query(caller), sql.to_owned());
        let _permit = self.work.places().admit(caller.into()).await?;
        let rows = async move {
            query(&engine, &session, &sql, &[], &Stops::default()).await?.map_err(stream_status).try_collect().await
        };
        self.work.while_wanted(rows).await
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
