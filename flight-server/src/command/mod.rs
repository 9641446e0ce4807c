//! One file per Flight SQL command.

pub(crate) mod actions;
pub(crate) mod cancel;
pub(crate) mod catalogs;
pub(crate) mod db_schemas;
pub(crate) mod exchange;
pub(crate) mod ingest;
pub(crate) mod keys;
pub(crate) mod prepared;
pub(crate) mod session_options;
pub(crate) mod sql_info;
pub(crate) mod statement;
pub(crate) mod table_types;
pub(crate) mod tables;
pub(crate) mod update;
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
