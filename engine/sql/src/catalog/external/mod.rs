//! Tables of the schema `main` over files that others write:
//! `CREATE EXTERNAL TABLE [IF NOT EXISTS] t [(columns)] STORED AS PARQUET | DELTA | CSV | JSON [PARTITIONED BY (columns)]
//! LOCATION '...' [OPTIONS (key 'value', ...)]` and `DROP TABLE t`.
//!
//! Parquet and Delta tables are collections of ruLake's: `knn()`, indexes and (Delta) older states are theirs as of any other
//! table. CSV and JSON tables are DataFusion's own; what is searched is copied by `CREATE TABLE ... AS SELECT`.
//!
//! A table is read before it is kept, so what is in the catalog has worked once. Nothing is opened when the engine starts:
//! each use opens what is not open yet, and an unreachable one is an error of the statements that read it.

mod backend;
mod catalog;
mod definition;
mod files;
mod partitions;
mod table;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::common::TableReference;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::sql::parser::CreateExternalTable;
use parking_lot::RwLock;
use ruvector_rulake::Backend;
use ruvector_rulake::contract::is_name;
use ruvector_rulake::failpoint::reach;

use crate::catalog::owner::Owner;
use crate::engine::Engine;
use crate::statements::create_index;
use crate::statements::table_reference;
use ruvector_udfs::error::{Error, ErrorKind, Result};
use ruvector_udfs::names::{CATALOG, MAIN};

use catalog::ExternalCatalog;
use definition::Definition;
use table::ExternalTable;

pub(crate) use backend::MainBackend;
pub(crate) use table::Source;

/// The external tables of an engine, by name.
#[derive(Debug)]
pub(crate) struct ExternalTables {
    catalog: ExternalCatalog,
    /// Index files of tables that have no folder of their own for them, with a sub-folder for each table.
    index_root: PathBuf,
    runtime: Arc<RuntimeEnv>,
    tables: RwLock<BTreeMap<String, Arc<ExternalTable>>>,
}

impl ExternalTables {
    /// The tables that the catalog of `owner` has. None of them is opened.
    ///
    /// # Errors
    /// `Corrupt` if the catalog is damaged; `Unavailable` if it cannot be read.
    pub(crate) fn open(owner: &Arc<Owner>, runtime: Arc<RuntimeEnv>) -> Result<Self> {
        let catalog = ExternalCatalog::open(owner)?;
        let index_root = owner.folder().join("external");
        let tables = catalog.list().into_iter().map(|definition| {
            let name = definition.name.clone();
            (name, Arc::new(ExternalTable::new(definition, &index_root, Arc::clone(&runtime))))
        });
        let tables = RwLock::new(tables.collect());
        Ok(Self { catalog, index_root, runtime, tables })
    }

    pub(crate) fn find(&self, name: &str) -> Option<Arc<ExternalTable>> {
        self.tables.read().get(name).cloned()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.tables.read().keys().cloned().collect()
    }

    /// Removes the index files of tables whose drop was cut short.
    pub(crate) fn remove_files_of_dropped(&self) {
        let Ok(entries) = std::fs::read_dir(&self.index_root) else { return };
        for entry in entries.flatten() {
            if entry.file_name().to_str().is_none_or(|name| self.find(name).is_none()) {
                remove_index_files(&entry.path());
            }
        }
    }
}

/// Runs CREATE EXTERNAL TABLE.
pub(crate) async fn create(engine: &Engine, create: &CreateExternalTable) -> Result<()> {
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
    let definition = Definition::new(&name, create)?;
    let table = Arc::new(ExternalTable::new(definition.clone(), &external.index_root, Arc::clone(&external.runtime)));
    table.check().await?;
    external.catalog.add(definition)?;
    external.tables.write().insert(name, table);
    Ok(())
}

/// Runs DROP TABLE, if the table is one of these. Its files stay; its indexes go.
pub(crate) async fn drop_table(engine: &Engine, reference: &TableReference) -> Result<bool> {
    let external = engine.external();
    let _alone = engine.backend_changes().lock().await;
    if !is_external(engine, reference) {
        return Ok(false);
    }
    let name = name_of(reference)?;
    // The catalog of tables decides: after a kill, the next start forgets the indexes and files of a table that is not in it.
    let definition = external.catalog.remove(&name)?;
    reach("drop_external_table.removed");
    if let Err(e) = create_index::run::forget_table(engine, MAIN, &name) {
        definition.map_or(Ok(()), |definition| external.catalog.add(definition))?;
        return Err(e);
    }
    reach("drop_external_table.indexes_forgotten");
    external.tables.write().remove(&name);
    engine.lake().invalidate_cache(MAIN, &name)?;
    remove_index_files(&external.index_root.join(&name));
    Ok(true)
}

/// Removes index files that belong to no table.
fn remove_index_files(folder: &Path) {
    match std::fs::remove_dir_all(folder) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(path = %folder.display(), reason = %e, "index files of a dropped table are left");
        }
        _ => {}
    }
}

/// Returns true if a reference means an external table.
pub(crate) fn is_external(engine: &Engine, reference: &TableReference) -> bool {
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

/// The error of a statement that changes an external table.
pub(crate) fn read_only(name: &str) -> Error {
    Error::not_supported(format!(
        "table {name} is an external table, which SQL reads and does not change: copy it by CREATE TABLE ... AS SELECT"
    ))
}
