//! The file of external tables. It may hold secrets, so only its owner may read it.

use ruvector_rulake::Result;
use serde::{Deserialize, Serialize};

use super::Definition;
use crate::catalog::stored::{Definitions, StoredCatalog};

/// The external tables, in the order of their making.
pub(super) type ExternalCatalog = StoredCatalog<ExternalDefinitions>;

/// The content of the catalog.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct ExternalDefinitions {
    tables: Vec<Definition>,
}

impl Definitions for ExternalDefinitions {
    type Stored = Self;

    const FILE: &'static str = "external_tables.json";
    const CATALOG: &'static str = "catalog of external tables";
    const HAS_SECRETS: bool = true;

    fn to_stored(&self) -> Self {
        self.clone()
    }

    fn from_stored(stored: Self) -> Result<Self> {
        Ok(stored)
    }
}

impl ExternalCatalog {
    /// All of them.
    pub(super) fn list(&self) -> Vec<Definition> {
        self.definitions().tables.clone()
    }

    /// Keeps a definition. Nothing is changed on error.
    pub(super) fn add(&self, definition: Definition) -> Result<()> {
        self.change(|known| {
            known.tables.push(definition);
            Ok(())
        })
    }

    /// Forgets the definition of that name, and returns it. Nothing is changed on error.
    pub(super) fn remove(&self, name: &str) -> Result<Option<Definition>> {
        self.change(|known| Ok(known.tables.extract_if(.., |known| known.name == name).last()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::owner::Owner;

    /// A file as every version wrote it.
    const FILE: &str = r#"{
  "format_version": 1,
  "tables": [
    {
      "name": "docs",
      "kind": "csv",
      "location": "/data/docs",
      "columns": "id BIGINT",
      "partitioned_by": [
        "lang"
      ],
      "options": {
        "has_header": "false"
      }
    }
  ]
}"#;

    #[tokio::test]
    async fn the_form_of_the_file_stays() {
        let folder = tempfile::tempdir().unwrap();
        let owner = Owner::claim(folder.path()).await.unwrap();
        let path = owner.folder().join("external_tables.json");
        std::fs::write(&path, FILE).unwrap();
        let catalog = ExternalCatalog::open(&owner).unwrap();
        let removed = catalog.remove("docs").unwrap().unwrap();
        assert!(ExternalCatalog::open(&owner).unwrap().list().is_empty());
        catalog.add(removed).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), FILE);
    }
}
