//! `CommandGetCatalogs`.

use std::collections::BTreeSet;

use arrow::array::RecordBatch;
use arrow_flight::error::FlightError;
use arrow_flight::sql::CommandGetCatalogs;
use tonic::Status;

use super::db_schemas::schema_names;
use crate::execution::sessions::Caller;
use crate::execution::state::ServerState;

/// The catalogs, by name.
pub(crate) async fn batch(
    state: &ServerState,
    caller: &Caller,
    command: CommandGetCatalogs,
) -> Result<Result<RecordBatch, FlightError>, Status> {
    let names: BTreeSet<_> = schema_names(state, caller).await?.into_iter().map(|[catalog, _]| catalog).collect();
    let mut builder = command.into_builder();
    names.into_iter().for_each(|name| builder.append(name));
    Ok(builder.build())
}
