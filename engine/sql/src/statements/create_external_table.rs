//! `CREATE EXTERNAL TABLE [IF NOT EXISTS] t [(columns)] STORED AS PARQUET | DELTA | CSV | JSON [PARTITIONED BY (columns)]
//! LOCATION '...' [OPTIONS (key 'value', ...)]` over tables of others, and `DROP TABLE t` of one.
//!
//! Takes the parsed statement. The table is kept by [`crate::catalog::external`]; its files are never changed.

use datafusion::common::TableReference;
use datafusion::sql::parser::CreateExternalTable;
use ruvector_rulake::contract::is_name;
use ruvector_rulake::failpoint::reach;

use crate::catalog::index::retire::forget_table;
use crate::catalog::main_schema::{CreateRequest, TableKind};
use crate::state::EngineState;
use crate::text::dialect::table_reference;
use ruvector_udfs::error::{Error, Result};
use ruvector_udfs::names::{CATALOG, MAIN};

/// Runs CREATE EXTERNAL TABLE.
pub(crate) async fn create(engine: &EngineState, create: &CreateExternalTable) -> Result<()> {
    let name = name_of(&table_reference(&create.name))?;
    let main = engine.main_schema();
    let request = CreateRequest {
        table: &name,
        kind: TableKind::External,
        if_not_exists: create.if_not_exists,
        or_replace: false,
    };
    let Some(_creation) = main.create(&request).await? else { return Ok(()) };
    main.external().add(&name, create).await
}

/// Drops an external table, whose name is claimed. Its files stay; its indexes go.
pub(crate) fn drop_table(engine: &EngineState, name: &str) -> Result<()> {
    let external = engine.main_schema().external();
    // The catalog of tables decides: after a kill, the next start forgets the indexes and files of a table that is not in it.
    let definition = external.begin_drop(name)?;
    reach("drop_external_table.removed");
    if let Err(e) = forget_table(engine.indexes(), engine.builds(), MAIN, name) {
        external.undo_drop(definition)?;
        return Err(e);
    }
    reach("drop_external_table.indexes_forgotten");
    external.forget(name);
    engine.lake().invalidate_cache(MAIN, name)?;
    external.remove_files(name);
    Ok(())
}

/// The name of a table of the schema `main`.
fn name_of(reference: &TableReference) -> Result<String> {
    let (catalog, schema) = (reference.catalog().unwrap_or(CATALOG), reference.schema().unwrap_or(MAIN));
    if catalog != CATALOG || schema != MAIN {
        let message = format!("an external table is in the schema {CATALOG}.{MAIN}, got {catalog}.{schema}");
        return Err(Error::not_supported(message));
    }
    match is_name(reference.table()) {
        true => Ok(reference.table().to_owned()),
        false => Err(Error::invalid_input(format!(
            "not a table name: expected letters, digits, '_', '-', '.' or ' ', starting with a letter or digit, got {:?}",
            reference.table()
        ))),
    }
}
