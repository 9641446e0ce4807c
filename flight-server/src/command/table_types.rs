//! `CommandGetTableTypes`.

use arrow::array::RecordBatch;
use arrow_flight::error::FlightError;
use arrow_flight::sql::CommandGetTableTypes;

/// A table of a backend.
const TABLE: &str = "TABLE";
/// A stored query.
const VIEW: &str = "VIEW";
/// A table that shows the server itself.
const SYSTEM_TABLE: &str = "SYSTEM TABLE";

/// The types that a table can have.
pub(crate) fn batch(command: CommandGetTableTypes) -> Result<RecordBatch, FlightError> {
    let mut builder = command.into_builder();
    [TABLE, VIEW, SYSTEM_TABLE].into_iter().for_each(|name| builder.append(name));
    builder.build()
}

/// JDBC's word for a table of `schema` that SQL's information schema calls `sql_type`: tools ask for `TABLE` and `VIEW`.
pub(super) fn of_table(schema: &str, sql_type: &str) -> &'static str {
    match (schema, sql_type) {
        ("information_schema" | "system", _) => SYSTEM_TABLE,
        (_, "VIEW") => VIEW,
        _ => TABLE,
    }
}
