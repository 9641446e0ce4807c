//! Runs of statements: each is registered as running, uses the plan of an earlier run if there is one, and can be killed.

use std::sync::Arc;

use datafusion::execution::SendableRecordBatchStream;
use datafusion::scalar::ScalarValue;
use futures::TryStreamExt;

use crate::engine::{Engine, suggest};
use crate::plan::cache::KeptPlan;
use crate::plan::lookup;
use crate::plan::prepared::{Prepared, analyzed};
use crate::running::answer::Answer;
use crate::running::handle::StatementHandle;
use crate::running::stop::Stop;
use crate::session::Session;
use crate::statements::authorize::{check_plan, check_statement};
use crate::statements::execute::{Wanted, execute, not_a_query};
use crate::statements::{ParsedStatement, parse};
use crate::text::batch_insert::executions;
use ruvector_udfs::error::{Error, Result};
use ruvector_udfs::knn;

impl Engine {
    /// Parses and plans `sql` without running anything. Until it is planned, it is in `system.queries` and can be killed, and
    /// the time that a statement may take is that of its planning too.
    ///
    /// # Errors
    /// As [`Engine::execute`], for what planning can see.
    pub async fn prepare(self: &Arc<Self>, session: &Arc<Session>, sql: &str) -> Result<Prepared> {
        if let Some(kept) = self.kept_plan(session, sql).await {
            return Ok(kept.prepared().clone());
        }
        let planning = self.begin(session, sql);
        let (engine, session, sql) = (Arc::clone(self), Arc::clone(session), sql.to_owned());
        let prepared =
            async move { engine.try_prepare(&session, &sql).await.map_err(|e| engine.with_hint(e, &session, &sql)) };
        planning.plan(prepared).await
    }

    async fn try_prepare(&self, session: &Session, sql: &str) -> Result<Prepared> {
        let parsed = parse(sql, session.dialect())?;
        check_statement(session.role(), &parsed)?;
        let ParsedStatement::Sql { statement, options } = parsed else { return Ok(Prepared::of_command()) };
        let state = session.context().state();
        let plan = lookup::plan(options, &state, statement.as_ref().clone()).await?;
        check_plan(session.role(), &plan)?;
        Prepared::of(&plan, analyzed(&state, &plan).as_ref())
    }

    /// Runs one statement. `params` are the values of `$1, $2, ...` (or of `?`, in order).
    ///
    /// DDL and DML run to their end before this returns, exactly once; queries run as their stream is pulled. Until its rows
    /// have ended, the statement is in `system.queries`, can be killed, and may take as long as engine and session let it.
    ///
    /// # Errors
    /// Of every kind; nothing is changed on error.
    pub async fn execute(
        self: &Arc<Self>,
        session: &Arc<Session>,
        sql: &str,
        params: &[ScalarValue],
    ) -> Result<Answer> {
        self.run(session, sql, params, Wanted::Anything, drop).await
    }

    /// Like [`Engine::execute`], for a statement that answers rows. Any other is refused before it does anything.
    ///
    /// `begun` is called with the statement's [`Stop`] before anything of it runs. A caller that waits while it holds rows, as
    /// for a client, learns from it that the statement was killed or has taken too long.
    ///
    /// # Errors
    /// As [`Engine::execute`]; `InvalidInput` for a statement that answers with a count.
    pub async fn query(
        self: &Arc<Self>,
        session: &Arc<Session>,
        sql: &str,
        params: &[ScalarValue],
        begun: impl FnOnce(Stop) + Send,
    ) -> Result<SendableRecordBatchStream> {
        match self.run(session, sql, params, Wanted::Rows, begun).await? {
            Answer::Rows(rows) => Ok(rows),
            Answer::Count(_) => Err(not_a_query()),
        }
    }

    /// Runs one statement once for each of `rows`, the values of its parameters, and returns the number of rows that it changed in
    /// all. The rows of an `INSERT ... VALUES` share statements, so that many rows are few transactions.
    ///
    /// # Errors
    /// As [`Engine::execute`]. Each execution is a transaction of its own: the executions before a failed one remain.
    pub async fn execute_batch(
        self: &Arc<Self>,
        session: &Arc<Session>,
        sql: &str,
        rows: Vec<Vec<ScalarValue>>,
    ) -> Result<u64> {
        let mut count = 0;
        for (sql, values) in executions(sql, rows) {
            match self.execute(session, &sql, &values).await? {
                Answer::Count(changed) => count += changed,
                // A query in the place of a change may be run for its effects, so its rows are pulled.
                Answer::Rows(rows) => rows.try_for_each(|_| std::future::ready(Ok(()))).await?,
            }
        }
        Ok(count)
    }

    /// Runs one statement as one of those that run.
    async fn run(
        self: &Arc<Self>,
        session: &Arc<Session>,
        sql: &str,
        params: &[ScalarValue],
        wanted: Wanted,
        begun: impl FnOnce(Stop) + Send,
    ) -> Result<Answer> {
        let mut running = self.begin(session, sql);
        begun(running.stop());
        if let Some(kept) = running.until_stopped(async { Ok(self.kept_plan(session, sql).await) }).await?
            && kept.takes(params)
        {
            return running.run_here(async { kept.run(params) }).await;
        }
        let (engine, session) = (Arc::clone(self), Arc::clone(session));
        let (sql, params) = (sql.to_owned(), params.to_vec());
        let answer = async move {
            let answer = execute(&engine.state, &session, &sql, &params, wanted).await;
            answer.map_err(|e| engine.with_hint(e, &session, &sql))
        };
        running.run(answer).await
    }

    /// The plan that was made when the statement ran before, if it would be made again.
    async fn kept_plan(&self, session: &Session, sql: &str) -> Option<Arc<KeptPlan>> {
        let kept = session.plans().find(session.context(), sql)?;
        if kept.is_current(self.state.catalog.as_ref()).await {
            return Some(kept);
        }
        session.plans().forget(sql, &kept);
        None
    }

    /// Makes a statement of the session known: to `system.queries`, `KILL` and the limit of its time.
    pub(super) fn begin(&self, session: &Session, text: &str) -> StatementHandle {
        let limit = match (session.statement_timeout(), self.state.statement_time_max) {
            (Some(asked), Some(allowed)) => Some(asked.min(allowed)),
            (asked, allowed) => asked.or(allowed),
        };
        let id = session.context().session_id();
        StatementHandle::begin(&self.state.statements, id, session.principal(), text, limit)
    }

    /// An error with a hint at the name that was probably meant.
    fn with_hint(&self, error: Error, session: &Session, sql: &str) -> Error {
        suggest::with_hint(error, sql, self.state.catalog.as_ref(), || {
            let functions = session.context().state().table_functions().keys().cloned().collect::<Vec<_>>();
            let ours = knn::sql::arguments::relations().map(str::to_owned);
            let indexes = self.state.indexes.list().iter().map(|index| index.definition().name.clone()).collect();
            suggest::KnownNames { relations: functions.into_iter().chain(ours).collect(), indexes }
        })
    }
}
