//! `CREATE EXTERNAL TABLE [IF NOT EXISTS] t [(columns)] STORED AS PARQUET | DELTA | CSV | JSON [PARTITIONED BY (columns)]
//! LOCATION '...' [OPTIONS (key 'value', ...)]` over tables of others, and `DROP TABLE t` of one.
//!
//! Takes the parsed statement. The table is kept by [`crate::catalog::external`]; its files are never changed.

use datafusion::common::TableReference;
use datafusion::sql::parser::CreateExternalTable;
use ruvector_rulake::Backend;
use ruvector_rulake::contract::is_name;
use ruvector_rulake::failpoint::reach;

use crate::catalog::index::retire::forget_table;
use crate::state::EngineState;
use crate::text::dialect::table_reference;
use ruvector_udfs::error::{Error, ErrorKind, Result};
use ruvector_udfs::names::{CATALOG, MAIN};

/// Runs CREATE EXTERNAL TABLE.
pub(crate) async fn create(engine: &EngineState, create: &CreateExternalTable) -> Result<()> {
    let name = name_of(&table_reference(&create.name))?;
    let external = engine.external();
    let _alone = engine.backend_changes().lock().await;
    let taken = external.find(&name).is_some() || engine.index_tables().contains(&name);
    if taken || engine.main().list().await?.contains(&name) {
        return match create.if_not_exists {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::AlreadyExists, format!("table {name} exists already"))),
        };
    }
    external.add(name, create).await
}

/// Runs DROP TABLE, if the table is one of these. Its files stay; its indexes go.
pub(crate) async fn drop_table(engine: &EngineState, reference: &TableReference) -> Result<bool> {
    let external = engine.external();
    let _alone = engine.backend_changes().lock().await;
    if !is_external(engine, reference) {
        return Ok(false);
    }
    let name = name_of(reference)?;
    // The catalog of tables decides: after a kill, the next start forgets the indexes and files of a table that is not in it.
    let definition = external.begin_drop(&name)?;
    reach("drop_external_table.removed");
    if let Err(e) = forget_table(engine.indexes(), engine.builds(), MAIN, &name) {
        external.undo_drop(definition)?;
        return Err(e);
    }
    reach("drop_external_table.indexes_forgotten");
    external.forget(&name);
    engine.lake().invalidate_cache(MAIN, &name)?;
    external.remove_files(&name);
    Ok(true)
}

/// Returns true if a reference means an external table.
pub(crate) fn is_external(engine: &EngineState, reference: &TableReference) -> bool {
    name_of(reference).is_ok_and(|name| engine.external().find(&name).is_some())
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
