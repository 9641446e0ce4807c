//! `CancelFlightInfo` and `CancelQuery`: end the streams of one query.
//!
//! A ticket carries the id of its query. Cancelling is idempotent: a query that has ended, or has not begun, is as
//! cancelled as it can be. (Most clients cancel by breaking off the call, which ends the query too.)

use arrow_flight::sql::{ActionCancelQueryResult, Any, TicketStatementQuery};
use arrow_flight::{CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightInfo};
use bytes::Bytes;
use prost::Message;
use tonic::Status;

use crate::execution::state::ServerState;
use crate::wire::handle::TicketHandle;

/// The action `CancelFlightInfo`.
pub(crate) const CANCEL_FLIGHT_INFO: &str = "CancelFlightInfo";

/// Answers the action `CancelFlightInfo`.
pub(crate) fn flight_info(state: &ServerState, body: &[u8]) -> Result<Bytes, Status> {
    let request = CancelFlightInfoRequest::decode(body).map_err(|e| Status::invalid_argument(e.to_string()))?;
    let info = request.info.ok_or_else(|| Status::invalid_argument("CancelFlightInfo needs a FlightInfo"))?;
    cancel(state, &info)?;
    Ok(CancelFlightInfoResult::new(CancelStatus::Cancelled).encode_to_vec().into())
}

/// Answers the action `CancelQuery`, which `CancelFlightInfo` replaced.
pub(crate) fn query(state: &ServerState, info: &[u8]) -> Result<ActionCancelQueryResult, Status> {
    let info = FlightInfo::decode(info).map_err(|e| Status::invalid_argument(e.to_string()))?;
    cancel(state, &info)?;
    // 1: cancelled.
    Ok(ActionCancelQueryResult { result: 1 })
}

fn cancel(state: &ServerState, info: &FlightInfo) -> Result<(), Status> {
    for ticket in info.endpoint.iter().filter_map(|endpoint| endpoint.ticket.as_ref()) {
        let any = Any::decode(&*ticket.ticket).map_err(|_| Status::invalid_argument("not a ticket of this server"))?;
        // The answers about metadata are made at once: there is nothing to cancel.
        if let Ok(Some(query)) = any.unpack::<TicketStatementQuery>() {
            state.executor.cancel(&TicketHandle::decode(&query.statement_handle)?.id);
        }
    }
    Ok(())
}
