//! `CommandGetTables` and ListFlights.

use std::collections::HashMap;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema};
use arrow_flight::error::FlightError;
use arrow_flight::sql::CommandGetTables;
use arrow_flight::{FlightDescriptor, FlightInfo};
use tonic::Status;

use super::db_schemas::text_rows;
use super::{quoted, statement, table_types};
use crate::execution::sessions::Caller;
use crate::execution::state::ServerState;
use crate::wire::encode::wire_schema;
use crate::wire::handle::Statement;
use crate::wire::status::internal;

/// The tables that `command` asks for; with their columns if it asks for those too.
pub(crate) async fn batch(
    state: &ServerState,
    caller: &Caller,
    command: CommandGetTables,
) -> Result<Result<RecordBatch, FlightError>, Status> {
    let without_columns = CommandGetTables { include_schema: false, ..command.clone() };
    let names = names(state, caller, without_columns).await?;
    if !command.include_schema {
        return Ok(Ok(names));
    }
    // Only the tables that passed the filters are opened.
    let mut builder = command.into_builder();
    for [catalog, schema, table, table_type] in text_rows(&[names])? {
        let columns = columns(state, caller, [&catalog, &schema, &table]).await;
        if let Err(error) = builder.append(&catalog, &schema, &table, &table_type, &columns) {
            return Ok(Err(error));
        }
    }
    Ok(builder.build())
}

/// A flight for every table that is not the server's own, with the path `[catalog, schema, table]`.
pub(crate) async fn list(state: &ServerState, caller: &Caller) -> Result<Vec<FlightInfo>, Status> {
    let types = vec!["TABLE".to_owned(), "VIEW".to_owned()];
    let names = names(state, caller, CommandGetTables { table_types: types, ..CommandGetTables::default() }).await?;
    let mut flights = Vec::with_capacity(names.num_rows());
    for [catalog, schema, table, _] in text_rows(&[names])? {
        let sql = select_all([&catalog, &schema, &table]);
        let descriptor = FlightDescriptor::new_path(vec![catalog, schema, table]);
        match statement::info(state, caller, Statement::new(sql), descriptor).await {
            Ok(flight) => flights.push(flight),
            Err(error) => tracing::warn!(%error, "a table is left out of ListFlights"),
        }
    }
    Ok(flights)
}

/// Catalog, schema, name and type of the tables that pass the command's filters.
async fn names(state: &ServerState, caller: &Caller, command: CommandGetTables) -> Result<RecordBatch, Status> {
    let sql = "SELECT table_catalog, table_schema, table_name, table_type FROM information_schema.tables";
    let mut builder = command.into_builder();
    for [catalog, schema, table, table_type] in text_rows(&state.rows(caller, sql).await?)? {
        let table_type = table_types::of_table(&schema, &table_type);
        builder.append(catalog, schema, table, table_type, &Schema::empty()).map_err(internal)?;
    }
    builder.build().map_err(internal)
}

/// The columns of a table, each with the metadata that BI tools read. A table that cannot be opened has none: it must
/// not hide the others.
async fn columns(state: &ServerState, caller: &Caller, path: [&str; 3]) -> Schema {
    match state.plan(caller, &select_all(path)).await.map(|prepared| prepared.schema) {
        Ok(Some(schema)) => {
            let schema = wire_schema(&schema);
            Schema::new(schema.fields().iter().map(|field| described(field, path)).collect::<Vec<_>>())
        }
        Ok(None) => Schema::empty(),
        Err(error) => {
            tracing::warn!(table = path.join("."), %error, "the columns of a table cannot be read");
            Schema::empty()
        }
    }
}

fn select_all(path: [&str; 3]) -> String {
    format!("SELECT * FROM {}", path.map(quoted).join("."))
}

/// `field` with the column metadata of Flight SQL.
fn described(field: &Field, [catalog, schema, table]: [&str; 3]) -> Field {
    let (type_name, precision, scale) = sql_type(field.data_type());
    let mut metadata: HashMap<String, String> = field.metadata().clone();
    let mut note = |key: &str, value: String| metadata.insert(format!("ARROW:FLIGHT:SQL:{key}"), value);
    note("CATALOG_NAME", catalog.to_owned());
    note("SCHEMA_NAME", schema.to_owned());
    note("TABLE_NAME", table.to_owned());
    note("TYPE_NAME", type_name);
    note("IS_AUTO_INCREMENT", "0".to_owned());
    note("IS_CASE_SENSITIVE", "1".to_owned());
    note("IS_READ_ONLY", "0".to_owned());
    note("IS_SEARCHABLE", "1".to_owned());
    if let Some(precision) = precision {
        note("PRECISION", precision.to_string());
        note("SCALE", scale.to_string());
    }
    field.clone().with_metadata(metadata)
}

/// The SQL name of a type, its precision in digits if it is a number, and its scale.
fn sql_type(data_type: &DataType) -> (String, Option<u8>, i8) {
    let (name, precision) = match data_type {
        DataType::Boolean => ("BOOLEAN", None),
        DataType::Int8 => ("TINYINT", Some(3)),
        DataType::Int16 => ("SMALLINT", Some(5)),
        DataType::Int32 => ("INTEGER", Some(10)),
        DataType::Int64 => ("BIGINT", Some(19)),
        DataType::UInt8 => ("TINYINT UNSIGNED", Some(3)),
        DataType::UInt16 => ("SMALLINT UNSIGNED", Some(5)),
        DataType::UInt32 => ("INTEGER UNSIGNED", Some(10)),
        DataType::UInt64 => ("BIGINT UNSIGNED", Some(20)),
        DataType::Float32 => ("FLOAT", Some(7)),
        DataType::Float64 => ("DOUBLE", Some(15)),
        DataType::Utf8 => ("VARCHAR", None),
        DataType::Binary => ("BYTEA", None),
        DataType::Date32 => ("DATE", None),
        DataType::Time64(_) => ("TIME", None),
        DataType::Timestamp(_, None) => ("TIMESTAMP", None),
        DataType::Timestamp(_, Some(_)) => ("TIMESTAMP WITH TIME ZONE", None),
        DataType::Decimal128(precision, scale) => return ("DECIMAL".to_owned(), Some(*precision), *scale),
        DataType::FixedSizeList(element, size) => {
            return (format!("{}[{size}]", sql_type(element.data_type()).0), None, 0);
        }
        DataType::List(element) => return (format!("{}[]", sql_type(element.data_type()).0), None, 0),
        other => return (other.to_string().to_uppercase(), None, 0),
    };
    (name.to_owned(), precision, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_column_is_described() {
        let vectors = DataType::new_fixed_size_list(DataType::Float32, 3, true);
        let field = described(&Field::new("vec", vectors, true), ["ruvector", "main", "docs"]);
        assert_eq!(field.metadata()["ARROW:FLIGHT:SQL:TYPE_NAME"], "FLOAT[3]");
        assert_eq!(field.metadata()["ARROW:FLIGHT:SQL:TABLE_NAME"], "docs");
        assert!(!field.metadata().contains_key("ARROW:FLIGHT:SQL:PRECISION"));
    }

    #[test]
    fn a_number_has_a_precision() {
        let field = described(&Field::new("price", DataType::Decimal128(10, 2), true), ["c", "s", "t"]);
        assert_eq!(field.metadata()["ARROW:FLIGHT:SQL:PRECISION"], "10");
        assert_eq!(field.metadata()["ARROW:FLIGHT:SQL:SCALE"], "2");
    }
}
