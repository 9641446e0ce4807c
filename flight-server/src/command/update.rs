//! Statements that answer with a count: `CommandStatementUpdate`, and what runs inside GetFlightInfo.

use std::sync::Arc;

use ruvector_sql::script;
use tonic::Status;

use super::statement::parameter_rows;
use crate::execution::sessions::Caller;
use crate::execution::state::ServerState;
use crate::wire::handle::Statement;
use crate::wire::status::status;

/// Runs `statement` once for every row of its parameters and returns the number of rows that it changed in all.
///
/// It runs to its end even if the caller goes away. Each execution is a transaction of its own: if one fails, those
/// before it remain.
pub(crate) async fn run(state: &ServerState, caller: &Caller, statement: Statement) -> Result<u64, Status> {
    let audit = state.audit(caller, &statement.sql);
    // The line is written where the statement ends, also if the caller has gone away by then.
    let session = match state.sessions.for_update(caller, &statement.sql) {
        Ok(session) => session,
        Err(refused) => return audit.ended(Err(refused)),
    };
    let rows = match parameter_rows(&statement) {
        Ok(rows) => rows,
        Err(refused) => return audit.ended(Err(refused)),
    };
    let permit = match state.admit(caller, &statement.sql).await {
        Ok(permit) => permit,
        Err(refused) => return audit.ended(Err(refused)),
    };
    let engine = Arc::clone(&state.engine);
    let run = async move {
        let _permit = permit;
        engine.execute_batch(&session, &statement.sql, rows).await.map_err(|e| status(&e))
    };
    state.executor.run_detached(async move { audit.ended(run.await) }).await
}

/// Answers DoPut `CommandStatementUpdate`: runs the statements of `sql`, in order, and returns the number of
/// rows that they changed in all. Python's `executescript` sends several at once.
pub(crate) async fn run_script(state: &ServerState, caller: &Caller, sql: &str) -> Result<i64, Status> {
    let mut statements = script::statements(sql);
    if statements.is_empty() {
        // The engine has the words for it.
        statements.push(sql);
    }
    let mut count = 0;
    for statement in statements {
        count += run(state, caller, Statement::new(statement)).await?;
    }
    record_count(count)
}

/// `count` as Flight SQL writes it.
pub(crate) fn record_count(count: u64) -> Result<i64, Status> {
    i64::try_from(count).map_err(crate::wire::status::internal)
}
