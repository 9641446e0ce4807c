//! The file of index tables.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ruvector_rulake::Result;
use serde::{Deserialize, Serialize};

use crate::catalog::stored::{Definitions, StoredCatalog};

/// The index files that are tables, by name.
pub(super) type IndexTableCatalog = StoredCatalog<IndexTableDefinitions>;

/// The content of the catalog.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct IndexTableDefinitions {
    tables: BTreeMap<String, PathBuf>,
}

impl Definitions for IndexTableDefinitions {
    type Stored = Self;

    const FILE: &'static str = "index_tables.json";
    const CATALOG: &'static str = "catalog of index tables";
    const HAS_SECRETS: bool = false;

    fn to_stored(&self) -> Self {
        self.clone()
    }

    fn from_stored(stored: Self) -> Result<Self> {
        Ok(stored)
    }
}

impl IndexTableCatalog {
    /// All of them.
    pub(super) fn list(&self) -> BTreeMap<String, PathBuf> {
        self.definitions().tables.clone()
    }

    /// Keeps a table, in the place of one of that name.
    pub(super) fn add(&self, name: &str, path: PathBuf) -> Result<()> {
        self.change(|known| {
            known.tables.insert(name.to_owned(), path);
            Ok(())
        })
    }

    /// Forgets a table, if it is kept.
    pub(super) fn remove(&self, name: &str) -> Result<()> {
        self.change(|known| {
            known.tables.remove(name);
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::owner::Owner;

    /// A file as every version wrote it.
    const FILE: &str = r#"{
  "format_version": 1,
  "tables": {
    "words": "/data/words.rbpx"
  }
}"#;

    #[tokio::test]
    async fn the_form_of_the_file_stays() {
        let folder = tempfile::tempdir().unwrap();
        let owner = Owner::claim(folder.path()).await.unwrap();
        let path = owner.folder().join("index_tables.json");
        std::fs::write(&path, FILE).unwrap();
        let catalog = IndexTableCatalog::open(&owner).unwrap();
        catalog.remove("words").unwrap();
        assert!(IndexTableCatalog::open(&owner).unwrap().list().is_empty());
        catalog.add("words", "/data/words.rbpx".into()).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), FILE);
    }
}
