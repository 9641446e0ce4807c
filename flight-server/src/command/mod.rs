//! One file per Flight SQL command.

/// What DoAction can be asked for.
pub(crate) mod actions;
/// Many rows of parameters for one INSERT.
mod batch_insert;
/// `CancelFlightInfo`, `CancelQuery`.
pub(crate) mod cancel;
/// `CommandGetCatalogs`.
pub(crate) mod catalogs;
/// `CommandGetDbSchemas`.
pub(crate) mod db_schemas;
/// DoExchange `knn`.
pub(crate) mod exchange;
/// `CommandStatementIngest` and plain DoPut.
pub(crate) mod ingest;
/// `CommandGetPrimaryKeys`, `ExportedKeys`, `ImportedKeys`, `CrossReference`: no table has keys.
pub(crate) mod keys;
/// `CommandPreparedStatementQuery` and `Update`, and the actions that make and close prepared statements.
pub(crate) mod prepared;
/// `SetSessionOptions`, `GetSessionOptions`, `CloseSession`.
pub(crate) mod session_options;
/// `CommandGetSqlInfo`.
pub(crate) mod sql_info;
/// `CommandStatementQuery`.
pub(crate) mod statement;
/// `CommandGetTableTypes`.
pub(crate) mod table_types;
/// `CommandGetTables` and ListFlights.
pub(crate) mod tables;
/// `CommandStatementUpdate`.
pub(crate) mod update;
/// `CommandGetXdbcTypeInfo`.
pub(crate) mod xdbc_type_info;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow_flight::error::FlightError;
use arrow_flight::sql::ProstMessageExt;
use arrow_flight::{FlightDescriptor, FlightEndpoint, FlightInfo, Ticket};
use bytes::Bytes;
use futures::{StreamExt, stream};
use prost::Message;
use tonic::{Request, Response, Status};

use crate::execution::executor::{FlightStream, Stops};
use crate::execution::state::ServerState;
use crate::wire::encode::encode;
use crate::wire::handle::encode_schema;
use crate::wire::status::internal;

/// The answer to GetFlightInfo: one endpoint on this same connection.
///
/// The list of locations stays empty: the ODBC driver dials the first one whatever it says.
fn flight_info(schema: &Schema, ticket: Ticket, descriptor: FlightDescriptor) -> Result<FlightInfo, Status> {
    let info = FlightInfo {
        schema: encode_schema(schema)?,
        ..FlightInfo::new().with_descriptor(descriptor).with_endpoint(FlightEndpoint::new().with_ticket(ticket))
    };
    Ok(info)
}

/// Refuses a command that belongs to a transaction of several statements.
///
/// # Errors
/// `Unimplemented`.
pub(crate) fn refuse_transaction(id: Option<&Bytes>) -> Result<(), Status> {
    match id {
        Some(id) if !id.is_empty() => Err(no_transactions()),
        _ => Ok(()),
    }
}

/// The refusal of all that begins, ends or uses a transaction of several statements.
pub(crate) fn no_transactions() -> Status {
    Status::unimplemented("transactions are not supported: each statement is one by itself")
}

/// The answer to GetFlightInfo for a command about metadata: its ticket is the command itself.
pub(crate) fn metadata_info<C: ProstMessageExt>(
    command: &C,
    schema: &Schema,
    request: Request<FlightDescriptor>,
) -> Result<Response<FlightInfo>, Status> {
    let ticket = Ticket::new(command.as_any().encode_to_vec());
    flight_info(schema, ticket, request.into_inner()).map(Response::new)
}

/// The answer to DoGet for a command about metadata.
pub(crate) fn metadata_stream(
    state: &ServerState,
    batch: Result<RecordBatch, FlightError>,
) -> Result<Response<FlightStream>, Status> {
    one_batch(state, batch.map_err(internal)?).map(Response::new)
}

fn one_batch(state: &ServerState, batch: RecordBatch) -> Result<FlightStream, Status> {
    let encoded = encode(batch.schema(), stream::iter([Ok(batch)]).boxed())?;
    Ok(state.executor.stream(Bytes::new(), encoded, None, Stops::default()))
}

/// `name` as a quoted SQL identifier.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_quoted_name_cannot_end_its_quotes() {
        assert_eq!(super::quoted(r#"a"b"#), r#""a""b""#);
    }
}
