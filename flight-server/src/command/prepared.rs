//! Prepared statements. The server keeps none of them: the handle holds the SQL and the bound values, so any replica can
//! serve it and there is nothing to close.

use arrow_flight::sql::server::PeekableFlightDataStream;
use arrow_flight::sql::{
    ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult, Any, DoPutPreparedStatementResult,
    ProstMessageExt,
};
use bytes::Bytes;
use prost::Message;
use tonic::Status;

use super::{refuse_transaction, update};
use crate::execution::sessions::Caller;
use crate::execution::state::ServerState;
use crate::wire::decode::{Upload, not_stalled};
use crate::wire::encode::wire_schema;
use crate::wire::handle::{Statement, encode_schema};

/// `ActionCreatePreparedStatementResult` with the field `is_update`, which arrow-flight does not have yet.
#[derive(Clone, PartialEq, Message)]
struct CreateResult {
    #[prost(bytes = "bytes", tag = "1")]
    prepared_statement_handle: Bytes,
    /// Empty if the statement has no rows: JDBC takes it for an update by that.
    #[prost(bytes = "bytes", tag = "2")]
    dataset_schema: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    parameter_schema: Bytes,
    #[prost(bool, optional, tag = "4")]
    is_update: Option<bool>,
}

/// Answers the action `CreatePreparedStatement`: the body of its one result.
pub(crate) async fn create(
    state: &ServerState,
    caller: &Caller,
    request: ActionCreatePreparedStatementRequest,
) -> Result<Bytes, Status> {
    refuse_transaction(request.transaction_id.as_ref())?;
    let prepared = state.prepare(caller, &request.query).await?;
    let result = CreateResult {
        prepared_statement_handle: Statement::new(request.query).encode()?,
        dataset_schema: match &prepared.schema {
            Some(schema) => encode_schema(&wire_schema(schema))?,
            None => Bytes::new(),
        },
        parameter_schema: encode_schema(&prepared.parameters)?,
        is_update: Some(prepared.schema.is_none()),
    };
    let any = Any {
        type_url: ActionCreatePreparedStatementResult::type_url().to_owned(),
        value: result.encode_to_vec().into(),
    };
    Ok(any.encode_to_vec().into())
}

/// Answers DoPut `CommandPreparedStatementQuery`: binds values, and hands back the handle that holds them.
pub(crate) async fn bind(
    state: &ServerState,
    handle: &[u8],
    messages: PeekableFlightDataStream,
) -> Result<DoPutPreparedStatementResult, Status> {
    let statement = bound(state, handle, messages).await?;
    Ok(DoPutPreparedStatementResult { prepared_statement_handle: Some(statement.encode()?) })
}

/// Answers DoPut `CommandPreparedStatementUpdate`: one execution per row of values, which come with the command or were
/// bound before.
pub(crate) async fn run(
    state: &ServerState,
    caller: &Caller,
    handle: &[u8],
    messages: PeekableFlightDataStream,
) -> Result<i64, Status> {
    let statement = bound(state, handle, messages).await?;
    update::record_count(update::run(state, caller, statement).await?)
}

async fn bound(state: &ServerState, handle: &[u8], messages: PeekableFlightDataStream) -> Result<Statement, Status> {
    let mut statement = Statement::decode(handle)?;
    if let Some(upload) = Upload::read(not_stalled(messages, state.executor.stall_max())).await?
        // A client without values sends a schema without fields; one with no rows of values (`executemany` of an empty
        // list) means no execution.
        && !upload.schema.fields().is_empty()
    {
        statement.parameters = Some(upload.collect().await?);
    }
    Ok(statement)
}
