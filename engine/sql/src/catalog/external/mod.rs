//! External tables: tables of the schema `main` over files that other programs write. `statements/create_external_table` makes them.
//!
//! Parquet and Delta tables are collections of ruLake's: `knn()`, indexes and (Delta) older states are theirs as of any other
//! table. CSV and JSON tables are DataFusion's own; what is searched is copied by `CREATE TABLE ... AS SELECT`.
//!
//! A table is read before it is kept, so what is in the catalog has worked once. Nothing is opened when the engine starts:
//! each use opens what is not open yet, and an unreachable one is an error of the statements that read it.

mod catalog;
mod definition;
mod files;
mod partitions;
mod table;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::sql::parser::CreateExternalTable;
use parking_lot::RwLock;

use crate::catalog::owner::Owner;
use ruvector_udfs::error::Result;

use catalog::ExternalCatalog;
use definition::Definition;
use table::ExternalTable;

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

    /// Reads a table once, keeps its definition and makes it visible. The caller has claimed the name.
    pub(crate) async fn add(&self, name: &str, create: &CreateExternalTable) -> Result<()> {
        let definition = Definition::new(name, create)?;
        let table = Arc::new(ExternalTable::new(definition.clone(), &self.index_root, Arc::clone(&self.runtime)));
        table.check().await?;
        self.catalog.add(definition)?;
        self.tables.write().insert(name.to_owned(), table);
        Ok(())
    }

    /// Takes a table out of the catalog. It stays visible until [`ExternalTables::forget`].
    pub(crate) fn begin_drop(&self, name: &str) -> Result<Option<Definition>> {
        Ok(self.catalog.remove(name)?)
    }

    /// Puts a definition back that [`ExternalTables::begin_drop`] took out.
    pub(crate) fn undo_drop(&self, definition: Option<Definition>) -> Result<()> {
        Ok(definition.map_or(Ok(()), |definition| self.catalog.add(definition))?)
    }

    /// Makes a table invisible.
    pub(crate) fn forget(&self, name: &str) {
        self.tables.write().remove(name);
    }

    /// Removes the index files of a dropped table.
    pub(crate) fn remove_files(&self, name: &str) {
        remove_index_files(&self.index_root.join(name));
    }
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
