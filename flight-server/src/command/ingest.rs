//! Rows from the client into a table: `CommandStatementIngest` (`adbc_ingest`), and plain DoPut to a path, which appends.

use arrow_flight::FlightDescriptor;
use arrow_flight::sql::server::PeekableFlightDataStream;
use arrow_flight::sql::{CommandStatementIngest, TableDefinitionOptions, TableExistsOption, TableNotExistOption};
use ruvector_sql::IngestMode;
use std::sync::Arc;
use tonic::Status;

use super::{quoted, refuse_transaction, update};
use crate::execution::audit::Audit;
use crate::execution::sessions::Caller;
use crate::execution::state::ServerState;
use crate::wire::decode::{Upload, not_stalled};
use crate::wire::status::status;

/// Answers DoPut `CommandStatementIngest` with the number of rows written.
pub(crate) async fn ingest(
    state: &ServerState,
    caller: &Caller,
    command: CommandStatementIngest,
    messages: PeekableFlightDataStream,
) -> Result<i64, Status> {
    if command.temporary {
        return Err(Status::unimplemented("temporary tables are not supported: ingest into a table and drop it"));
    }
    refuse_transaction(command.transaction_id.as_ref())?;
    if let Some(option) = command.options.keys().next() {
        return Err(Status::unimplemented(format!("unknown ingest option '{option}'")));
    }
    let table = table_name([command.catalog, command.schema, Some(command.table)])?;
    let Definition { mode, must_exist } = definition(command.table_definition_options)?;
    if must_exist {
        state.prepare(caller, &format!("SELECT * FROM {table}")).await?;
    }
    write(state, caller, table, mode, messages).await
}

/// Answers DoPut with a path as its descriptor: appends to the table of that name.
pub(crate) async fn append(
    state: &ServerState,
    caller: &Caller,
    path: Vec<String>,
    messages: PeekableFlightDataStream,
) -> Result<i64, Status> {
    let table = path_table(&path)?;
    write(state, caller, table, IngestMode::Append, messages).await
}

/// The table that a descriptor's path names, for SQL.
pub(crate) fn path_table(path: &[String]) -> Result<String, Status> {
    match path.len() {
        1..=3 => table_name(path.iter().cloned().map(Some)),
        n => Err(Status::invalid_argument(format!(
            "the path of a table has 1 to 3 parts ([catalog,] [schema,] table), got {n}"
        ))),
    }
}

/// The path of the descriptor in the first of `messages`, if it has one.
pub(crate) async fn descriptor_path(messages: &mut PeekableFlightDataStream) -> Option<Vec<String>> {
    let first = messages.peek().await?.as_ref().ok()?;
    let FlightDescriptor { path, .. } = first.flight_descriptor.as_ref()?;
    (!path.is_empty()).then(|| path.clone())
}

async fn write(
    state: &ServerState,
    caller: &Caller,
    table: String,
    mode: IngestMode,
    messages: PeekableFlightDataStream,
) -> Result<i64, Status> {
    let stall_max = state.executor.stall_max();
    let Some(upload) = Upload::read(not_stalled(messages, stall_max)).await? else {
        return Err(Status::invalid_argument("ingest needs Arrow data, got none"));
    };
    let (rows, upload_error) = upload.into_stream();
    let engine = Arc::clone(&state.engine);
    let session = state.sessions.for_query(caller);
    let audit = Audit::of_ingest(&state.metrics, caller, &table);
    let permit = match state.executor.places().admit(caller.into()).await {
        Ok(permit) => permit,
        Err(refused) => return audit.if_failed(Err(refused)),
    };
    let written = async move {
        let _permit = permit;
        let written = engine.ingest(&session, &table, mode, rows).await;
        audit.ended(written.map_err(|e| upload_error.or(status(&e))))
    };
    update::record_count(state.executor.run_detached(written).await?)
}

#[derive(Debug, PartialEq)]
struct Definition {
    mode: IngestMode,
    must_exist: bool,
}

/// The mode that a client's pair of options means.
fn definition(options: Option<TableDefinitionOptions>) -> Result<Definition, Status> {
    let options = options.unwrap_or_default();
    let (mode, must_exist) = match (options.if_not_exist(), options.if_exists()) {
        (TableNotExistOption::Create, TableExistsOption::Fail) => (IngestMode::Create, false),
        (TableNotExistOption::Create, TableExistsOption::Append) => (IngestMode::CreateAppend, false),
        (TableNotExistOption::Create, TableExistsOption::Replace) => (IngestMode::Replace, false),
        (TableNotExistOption::Fail, TableExistsOption::Append) => (IngestMode::Append, false),
        (TableNotExistOption::Fail, TableExistsOption::Replace) => (IngestMode::Replace, true),
        (not_exist, exists) => {
            return Err(Status::invalid_argument(format!(
                "no way to ingest with if_not_exist = {} and if_exists = {}",
                not_exist.as_str_name(),
                exists.as_str_name()
            )));
        }
    };
    Ok(Definition { mode, must_exist })
}

fn table_name(parts: impl IntoIterator<Item = Option<String>>) -> Result<String, Status> {
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    if parts.iter().any(String::is_empty) {
        return Err(Status::invalid_argument("the name of a table must not be empty"));
    }
    Ok(parts.iter().map(|part| quoted(part)).collect::<Vec<_>>().join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_modes_of_adbc() {
        use {TableExistsOption as Exists, TableNotExistOption as Not};
        for (not_exist, exists, mode, must_exist) in [
            (Not::Create, Exists::Fail, IngestMode::Create, false),
            (Not::Fail, Exists::Append, IngestMode::Append, false),
            (Not::Create, Exists::Replace, IngestMode::Replace, false),
            (Not::Create, Exists::Append, IngestMode::CreateAppend, false),
            (Not::Fail, Exists::Replace, IngestMode::Replace, true),
        ] {
            assert_eq!(definition(options(not_exist, exists)).unwrap(), Definition { mode, must_exist });
        }
        assert!(definition(options(Not::Fail, Exists::Fail)).is_err());
        assert!(definition(options(Not::Unspecified, Exists::Append)).is_err());
        assert!(definition(None).is_err());
    }

    #[test]
    fn a_path_names_a_table() {
        assert_eq!(path_table(&["docs".into()]).unwrap(), r#""docs""#);
        assert_eq!(path_table(&["hot".into(), "Docs".into()]).unwrap(), r#""hot"."Docs""#);
        assert!(path_table(&["".into()]).is_err());
        assert!(path_table(&[]).is_err());
        assert!(path_table(&["a".into(), "b".into(), "c".into(), "d".into()]).is_err());
    }

    fn options(not_exist: TableNotExistOption, exists: TableExistsOption) -> Option<TableDefinitionOptions> {
        Some(TableDefinitionOptions { if_not_exist: not_exist.into(), if_exists: exists.into() })
    }
}
