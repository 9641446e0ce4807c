//! Indexes that are tables: `CREATE EXTERNAL TABLE name STORED AS RBPX LOCATION 'path'`, and what programs register.
//!
//! They are in [`MainSchema`](crate::catalog::main_schema::MainSchema) beside its other tables. Index tables of files are kept in a
//! file of the data directory; those that programs register end with the engine.

mod catalog;

use std::path::PathBuf;
use std::sync::Arc;

use ruvector_rabitq::VectorIndex;
use ruvector_rulake::{IndexBackend, Result};

use crate::catalog::owner::Owner;
use ruvector_udfs::names::MAIN;

use catalog::IndexTableCatalog;

/// The indexes that are tables of an engine. A caller that changes them has claimed the name.
#[derive(Debug)]
pub(crate) struct IndexTables {
    backend: Arc<IndexBackend>,
    declared: IndexTableCatalog,
}

impl IndexTables {
    /// Reads what was declared from the catalog of `owner`. The files themselves are read on use: one that is not there does
    /// not stop the engine.
    pub(crate) fn open(owner: &Arc<Owner>) -> Result<Self> {
        let declared = IndexTableCatalog::open(owner)?;
        let backend = Arc::new(IndexBackend::new(MAIN));
        for (name, path) in declared.list() {
            backend.add_file(&name, path)?;
        }
        Ok(Self { backend, declared })
    }

    pub(crate) fn backend(&self) -> &Arc<IndexBackend> {
        &self.backend
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.backend.contains(name)
    }

    /// Makes an index of the program a table.
    pub(crate) fn register(&self, name: &str, index: Box<dyn VectorIndex>) -> Result<()> {
        self.backend.add(name, index)
    }

    /// Makes an index file a table, and keeps that.
    pub(crate) fn declare(&self, name: &str, path: PathBuf, replace: bool) -> Result<()> {
        if replace {
            self.backend.remove(name);
        }
        self.backend.add_file(name, path.clone())?;
        match self.declared.add(name, path) {
            Ok(()) => Ok(()),
            Err(e) => {
                self.backend.remove(name);
                Err(e)
            }
        }
    }

    /// Forgets a table. Its file is the user's, and stays.
    pub(crate) fn forget(&self, name: &str) -> Result<()> {
        self.declared.remove(name)?;
        self.backend.remove(name);
        Ok(())
    }
}
