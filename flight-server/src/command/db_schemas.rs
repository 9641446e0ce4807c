//! `CommandGetDbSchemas`.

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow_flight::error::FlightError;
use arrow_flight::sql::CommandGetDbSchemas;
use tonic::Status;

use crate::execution::sessions::Caller;
use crate::execution::state::ServerState;
use crate::wire::status::internal;

/// The schemas of all catalogs, or of the one asked for.
pub(crate) async fn batch(
    state: &ServerState,
    caller: &Caller,
    command: CommandGetDbSchemas,
) -> Result<Result<RecordBatch, FlightError>, Status> {
    let mut builder = command.into_builder();
    for [catalog, schema] in schema_names(state, caller).await? {
        builder.append(catalog, schema);
    }
    Ok(builder.build())
}

/// Catalog and name of every schema.
pub(super) async fn schema_names(state: &ServerState, caller: &Caller) -> Result<Vec<[String; 2]>, Status> {
    let sql = "SELECT catalog_name, schema_name FROM information_schema.schemata";
    text_rows(&state.rows(caller, sql).await?)
}

/// The rows of `batches`, which have `N` columns of text without nulls.
pub(super) fn text_rows<const N: usize>(batches: &[RecordBatch]) -> Result<Vec<[String; N]>, Status> {
    let mut rows = Vec::new();
    for batch in batches {
        let columns = batch.columns().iter().map(|column| cast(column, &DataType::Utf8));
        let columns = columns.collect::<Result<Vec<_>, _>>().map_err(internal)?;
        if columns.len() != N {
            return Err(internal(format!("expected {N} columns from information_schema, got {}", columns.len())));
        }
        rows.extend(
            (0..batch.num_rows())
                .map(|row| std::array::from_fn(|column| columns[column].as_string::<i32>().value(row).to_owned())),
        );
    }
    Ok(rows)
}
