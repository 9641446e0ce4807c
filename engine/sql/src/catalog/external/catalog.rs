//! The file of external tables. It may hold secrets, so only its owner may read it.

use std::sync::Arc;

use parking_lot::RwLock;
use ruvector_rulake::{Error, Result};
use serde::{Deserialize, Serialize};

use super::Definition;
use crate::catalog::owner::{CatalogFile, Owner};

/// The newest format of the file that this version reads, and the one it writes.
const FORMAT_VERSION: u32 = 1;

/// The external tables, in the order of their making.
#[derive(Debug)]
pub(super) struct ExternalCatalog {
    file: CatalogFile,
    definitions: RwLock<Vec<Definition>>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    format_version: u32,
    tables: Vec<Definition>,
}

impl ExternalCatalog {
    /// Reads the catalog of `owner`; no file is an empty catalog.
    pub(super) fn open(owner: &Arc<Owner>) -> Result<Self> {
        let file = owner.file("external_tables.json");
        let definitions = match std::fs::read(file.path()) {
            Ok(bytes) => parse(&bytes).map_err(|e| e.with("path", file.path().display()))?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(e) => {
                return Err(Error::unavailable("catalog of external tables cannot be read")
                    .with("path", file.path().display())
                    .with("reason", e));
            }
        };
        Ok(Self { file, definitions: RwLock::new(definitions) })
    }

    /// All of them.
    pub(super) fn list(&self) -> Vec<Definition> {
        self.definitions.read().clone()
    }

    /// Keeps a definition. Nothing is changed on error.
    pub(super) fn add(&self, definition: Definition) -> Result<()> {
        self.change(|definitions| definitions.push(definition))
    }

    /// Forgets the definition of that name, and returns it. Nothing is changed on error.
    pub(super) fn remove(&self, name: &str) -> Result<Option<Definition>> {
        self.change(|definitions| definitions.extract_if(.., |known| known.name == name).last())
    }

    fn change<T>(&self, change: impl FnOnce(&mut Vec<Definition>) -> T) -> Result<T> {
        let mut current = self.definitions.write();
        let mut changed = current.clone();
        let answer = change(&mut changed);
        let stored = Stored { format_version: FORMAT_VERSION, tables: changed };
        let bytes = serde_json::to_vec_pretty(&stored)
            .map_err(|e| Error::internal("catalog of external tables does not serialise").with("reason", e))?;
        self.file.write_private(&bytes)?;
        *current = stored.tables;
        Ok(answer)
    }
}

fn parse(bytes: &[u8]) -> Result<Vec<Definition>> {
    // A message of the JSON parser may quote what it met, and that may be a secret: its line and column are enough.
    let stored: Stored = serde_json::from_slice(bytes).map_err(|e| {
        Error::corrupt("catalog of external tables is not valid").with("line", e.line()).with("column", e.column())
    })?;
    match stored.format_version <= FORMAT_VERSION {
        true => Ok(stored.tables),
        false => Err(Error::corrupt("catalog of external tables has a newer format")
            .with("at most", FORMAT_VERSION)
            .with("got", stored.format_version)),
    }
}
