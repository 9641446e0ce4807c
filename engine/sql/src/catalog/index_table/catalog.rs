//! The file of index tables.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::RwLock;
use ruvector_rulake::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::catalog::owner::{CatalogFile, Owner};

/// The newest format of the file that this version reads, and the one it writes.
const FORMAT_VERSION: u32 = 1;

/// The index files that are tables, by name.
#[derive(Debug)]
pub(crate) struct IndexTableCatalog {
    file: CatalogFile,
    tables: RwLock<BTreeMap<String, PathBuf>>,
}

#[derive(Serialize, Deserialize)]
struct StoredCatalog {
    format_version: u32,
    tables: BTreeMap<String, PathBuf>,
}

impl IndexTableCatalog {
    /// Reads the catalog of `owner`; no file is an empty catalog.
    pub(super) fn open(owner: &Arc<Owner>) -> Result<Self> {
        let file = owner.file("index_tables.json");
        let tables = match std::fs::read(file.path()) {
            Ok(bytes) => parse(&bytes).map_err(|e| e.with("path", file.path().display()))?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(e) => {
                return Err(Error::unavailable("catalog of index tables cannot be read")
                    .with("path", file.path().display())
                    .with("reason", e));
            }
        };
        Ok(Self { file, tables: RwLock::new(tables) })
    }

    /// All of them.
    pub(super) fn list(&self) -> BTreeMap<String, PathBuf> {
        self.tables.read().clone()
    }

    /// Keeps a table, in the place of one of that name.
    pub(super) fn add(&self, name: &str, path: PathBuf) -> Result<()> {
        self.change(|tables| _ = tables.insert(name.to_owned(), path))
    }

    /// Forgets a table, if it is kept.
    pub(super) fn remove(&self, name: &str) -> Result<()> {
        self.change(|tables| _ = tables.remove(name))
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<String, PathBuf>)) -> Result<()> {
        let mut current = self.tables.write();
        let mut changed = current.clone();
        change(&mut changed);
        if *current != changed {
            let catalog = StoredCatalog { format_version: FORMAT_VERSION, tables: changed.clone() };
            let text = serde_json::to_vec_pretty(&catalog)
                .map_err(|e| Error::internal("catalog of index tables does not serialise").with("reason", e))?;
            self.file.write(&text)?;
            *current = changed;
        }
        Ok(())
    }
}

fn parse(bytes: &[u8]) -> Result<BTreeMap<String, PathBuf>> {
    let catalog: StoredCatalog = serde_json::from_slice(bytes)
        .map_err(|e| Error::corrupt("catalog of index tables is not valid").with("reason", e))?;
    if catalog.format_version > FORMAT_VERSION {
        return Err(Error::corrupt("catalog of index tables has a newer format")
            .with("at most", FORMAT_VERSION)
            .with("got", catalog.format_version));
    }
    Ok(catalog.tables)
}
