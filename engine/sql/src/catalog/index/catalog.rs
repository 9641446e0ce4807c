//! The file of declared indexes.

use std::sync::Arc;

use ruvector_rabitq::Metric;
use ruvector_rulake::{Error, IndexKind, IndexSpec, Result};
use serde::{Deserialize, Serialize};

use crate::catalog::owner::Owner;
use crate::catalog::stored::{Definitions, StoredCatalog};
use ruvector_udfs::declared_index::{DeclaredIndex, IndexDefinition};

/// The declared indexes of an engine.
#[derive(Debug)]
pub(crate) struct IndexCatalog {
    stored: StoredCatalog<IndexDefinitions>,
}

/// The content of the catalog.
#[derive(Clone, Default)]
struct IndexDefinitions {
    /// The declared indexes.
    indexes: Vec<DeclaredIndex>,
    /// Indexes that are not declared, or not yet, although their files may be there.
    undeclared: Vec<IndexDefinition>,
}

impl IndexDefinitions {
    /// Notes that the file of an index may be there, unless a declared index answers from it.
    fn note(&mut self, index: &IndexDefinition) {
        let is_declared = self.indexes.iter().any(|known| known.shares_entry_with(index));
        if !is_declared && !self.undeclared.iter().any(|known| known.shares_entry_with(index)) {
            self.undeclared.push(index.clone());
        }
    }
}

/// The fields of the file.
#[derive(Serialize, Deserialize)]
struct StoredIndexes {
    indexes: Vec<StoredIndex>,
    /// Versions that do not know it leave the files where they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    undeclared: Vec<StoredIndex>,
}

#[derive(Serialize, Deserialize)]
struct StoredIndex {
    name: String,
    backend: String,
    table: String,
    column: String,
    kind: String,
    metric: String,
    seed: u64,
    rerank_factor: usize,
    nlist: Option<usize>,
    nprobe: Option<usize>,
    /// True if it was built once. Files of versions that built before they declared lack the field.
    #[serde(default = "built")]
    built: bool,
}

fn built() -> bool {
    true
}

impl Definitions for IndexDefinitions {
    type Stored = StoredIndexes;

    const FILE: &'static str = "indexes.json";
    const CATALOG: &'static str = "index catalog";
    const HAS_SECRETS: bool = false;

    fn to_stored(&self) -> StoredIndexes {
        let stored = |index: &IndexDefinition, built: bool| StoredIndex {
            name: index.name.clone(),
            backend: index.backend.clone(),
            table: index.table.clone(),
            column: index.spec.column.clone(),
            kind: index.spec.kind.to_string(),
            metric: index.spec.metric.to_string(),
            seed: index.spec.seed,
            rerank_factor: index.spec.rerank_factor,
            nlist: index.spec.nlist,
            nprobe: index.spec.nprobe,
            built,
        };
        StoredIndexes {
            indexes: self.indexes.iter().map(|index| stored(index, index.status.is_built())).collect(),
            undeclared: self.undeclared.iter().map(|index| stored(index, false)).collect(),
        }
    }

    fn from_stored(stored: StoredIndexes) -> Result<Self> {
        let definition = |index: StoredIndex| -> Result<IndexDefinition> {
            let spec = IndexSpec {
                metric: index.metric.parse::<Metric>()?,
                kind: index.kind.parse::<IndexKind>()?,
                seed: index.seed,
                rerank_factor: index.rerank_factor,
                nlist: index.nlist,
                nprobe: index.nprobe,
                ..IndexSpec::new(index.column)
            };
            Ok(IndexDefinition { name: index.name, backend: index.backend, table: index.table, spec })
        };
        let declared = |index: StoredIndex| -> Result<DeclaredIndex> {
            let built = index.built;
            Ok(DeclaredIndex::new(definition(index)?, built))
        };
        Ok(Self {
            indexes: stored.indexes.into_iter().map(declared).collect::<Result<_>>()?,
            undeclared: stored.undeclared.into_iter().map(definition).collect::<Result<_>>()?,
        })
    }
}

impl IndexCatalog {
    /// Reads the catalog of `owner`.
    pub(crate) fn open(owner: &Arc<Owner>) -> Result<Self> {
        Ok(Self { stored: StoredCatalog::open(owner)? })
    }

    /// The indexes over one table, in the order they were declared.
    pub(crate) fn of_table(&self, backend: &str, table: &str) -> Vec<DeclaredIndex> {
        let declared = self.stored.definitions();
        let indexes = declared.indexes.iter();
        indexes.filter(|index| index.backend == backend && index.table == table).cloned().collect()
    }

    /// All indexes, in the order they were declared.
    pub(crate) fn list(&self) -> Vec<DeclaredIndex> {
        self.stored.definitions().indexes.clone()
    }

    /// The index of that name.
    pub(crate) fn find(&self, backend: &str, name: &str) -> Option<DeclaredIndex> {
        let declared = self.stored.definitions();
        declared.indexes.iter().find(|index| index.backend == backend && index.name == name).cloned()
    }

    /// The indexes that are not declared although their files may be there.
    pub(crate) fn undeclared(&self) -> Vec<IndexDefinition> {
        self.stored.definitions().undeclared.clone()
    }

    /// Notes that the file of an index may be there before the index is declared. [`IndexCatalog::add`] and
    /// [`IndexCatalog::forget_file`] take the note away.
    ///
    /// # Errors
    /// `Unavailable` if the catalog cannot be written. Nothing is changed on error.
    pub(crate) fn note(&self, index: &IndexDefinition) -> Result<()> {
        self.stored.change(|contents| {
            contents.note(index);
            Ok(())
        })
    }

    /// Notes that the file of an undeclared index is not there, or belongs to a declared one.
    ///
    /// # Errors
    /// `Unavailable` if the catalog cannot be written. Nothing is changed on error.
    pub(crate) fn forget_file(&self, index: &IndexDefinition) -> Result<()> {
        self.stored.change(|contents| {
            contents.undeclared.retain(|known| !known.shares_entry_with(index));
            Ok(())
        })
    }

    /// Declares an index; with `replace`, in the place of the one of that name, which it returns and whose file it notes.
    ///
    /// # Errors
    /// `AlreadyExists` if the name is taken; `Unavailable` if the catalog cannot be written. Nothing is changed on error.
    pub(crate) fn add(&self, index: DeclaredIndex, replace: bool) -> Result<Option<DeclaredIndex>> {
        self.stored.change(|contents| {
            let declared = &mut contents.indexes;
            let known = declared.iter().position(|known| known.backend == index.backend && known.name == index.name);
            let before = match known {
                Some(_) if !replace => {
                    return Err(Error::already_exists("index exists already").with("index", &index.name));
                }
                Some(position) => Some(std::mem::replace(&mut declared[position], index.clone())),
                None => {
                    declared.push(index.clone());
                    None
                }
            };
            contents.undeclared.retain(|known| !known.shares_entry_with(&index));
            if let Some(before) = &before {
                contents.note(before);
            }
            Ok(before)
        })
    }

    /// Notes that an index was built, unless it has been dropped by then.
    ///
    /// # Errors
    /// `Unavailable` if the catalog cannot be written: the next start builds it again.
    pub(crate) fn set_built(&self, index: &DeclaredIndex) -> Result<()> {
        index.status.set_built();
        self.stored.change(|_| Ok(()))
    }

    /// Forgets an index, notes its file, and returns it.
    ///
    /// # Errors
    /// `NotFound`; `Unavailable` if the catalog cannot be written. Nothing is changed on error.
    pub(crate) fn remove(&self, backend: &str, name: &str) -> Result<DeclaredIndex> {
        self.stored.change(|contents| {
            let known = contents.indexes.iter().position(|known| known.backend == backend && known.name == name);
            let position = known.ok_or_else(|| Error::not_found("no such index").with("index", name))?;
            let removed = contents.indexes.remove(position);
            contents.note(&removed);
            Ok(removed)
        })
    }

    /// Forgets the indexes over a table that is gone, and returns them.
    ///
    /// # Errors
    /// `Unavailable` if the table has indexes and the catalog cannot be written. Nothing is changed on error.
    pub(crate) fn remove_table(&self, backend: &str, table: &str) -> Result<Vec<DeclaredIndex>> {
        if self.of_table(backend, table).is_empty() {
            return Ok(Vec::new());
        }
        self.remove_where(|known| known.backend == backend && known.table == table)
    }

    /// Forgets the indexes over the tables of a backend that is gone, and returns them.
    pub(crate) fn remove_backend(&self, backend: &str) -> Result<Vec<DeclaredIndex>> {
        self.remove_where(|known| known.backend == backend)
    }

    fn remove_where(&self, gone: impl Fn(&IndexDefinition) -> bool) -> Result<Vec<DeclaredIndex>> {
        self.stored.change(|contents| {
            contents.undeclared.retain(|known| !gone(known));
            Ok(contents.indexes.extract_if(.., |known| gone(known.definition())).collect())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ruvector_rulake::ErrorKind;

    fn index(name: &str, table: &str) -> IndexDefinition {
        let spec = IndexSpec { metric: Metric::Cosine, ..IndexSpec::new("vec") };
        IndexDefinition { name: name.into(), backend: "main".into(), table: table.into(), spec }
    }

    /// Names of indexes and tables, and whether they are built.
    fn listed(catalog: &IndexCatalog) -> Vec<(String, String, bool)> {
        let indexes = catalog.list().into_iter();
        indexes.map(|index| (index.name.clone(), index.table.clone(), index.status.is_built())).collect()
    }

    #[tokio::test]
    async fn declarations_survive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let owner = Owner::claim(folder.path()).await.unwrap();
        let catalog = IndexCatalog::open(&owner).unwrap();
        let (a, b) = (DeclaredIndex::new(index("a", "docs"), true), DeclaredIndex::new(index("b", "other"), false));
        catalog.add(a.clone(), false).unwrap();
        catalog.add(b.clone(), false).unwrap();
        assert_eq!(catalog.add(a.clone(), false).unwrap_err().kind(), ErrorKind::AlreadyExists);
        let row = |name: &str, table: &str, built| (name.to_owned(), table.to_owned(), built);
        assert_eq!(listed(&IndexCatalog::open(&owner).unwrap()), [row("a", "docs", true), row("b", "other", false)]);

        let moved = DeclaredIndex::new(index("a", "moved"), false);
        assert!(catalog.add(moved, true).unwrap().is_some_and(|before| before.is(&a)));
        catalog.set_built(&b).unwrap();
        let again = IndexCatalog::open(&owner).unwrap();
        assert_eq!(listed(&again), [row("a", "moved", false), row("b", "other", true)]);
        again.remove("main", "a").unwrap();
        assert_eq!(again.remove_table("main", "other").unwrap().len(), 1);
        assert_eq!(again.remove("main", "a").unwrap_err().kind(), ErrorKind::NotFound);
        assert!(IndexCatalog::open(&owner).unwrap().list().is_empty());
    }

    /// The names of the indexes whose files are noted.
    fn noted(catalog: &IndexCatalog) -> Vec<String> {
        catalog.undeclared().into_iter().map(|index| index.name).collect()
    }

    #[tokio::test]
    async fn files_of_undeclared_indexes_are_noted_until_they_are_gone() {
        let folder = tempfile::tempdir().unwrap();
        let owner = Owner::claim(folder.path()).await.unwrap();
        let catalog = IndexCatalog::open(&owner).unwrap();
        let a = DeclaredIndex::new(index("a", "docs"), true);
        catalog.note(&a).unwrap();
        catalog.note(&a).unwrap();
        assert_eq!(noted(&IndexCatalog::open(&owner).unwrap()), ["a"]);
        catalog.add(a, false).unwrap();
        assert!(noted(&catalog).is_empty(), "it is declared");

        // Another index answers from the same file.
        let twin = DeclaredIndex::new(index("twin", "docs"), true);
        catalog.add(twin.clone(), false).unwrap();
        catalog.remove("main", "twin").unwrap();
        catalog.note(&twin).unwrap();
        assert!(noted(&catalog).is_empty());

        catalog.add(DeclaredIndex::new(index("a", "moved"), true), true).unwrap();
        assert_eq!(noted(&IndexCatalog::open(&owner).unwrap()), ["a"], "the file over docs");
        catalog.remove("main", "a").unwrap();
        assert_eq!(noted(&catalog), ["a", "a"]);
        catalog.forget_file(&index("other name", "docs")).unwrap();
        let left = IndexCatalog::open(&owner).unwrap().undeclared();
        assert_eq!(left, [index("a", "moved")]);
        catalog.remove_backend("main").unwrap();
        assert!(noted(&catalog).is_empty());
    }

    /// A file as every version with these fields wrote it.
    const FILE: &str = r#"{
  "format_version": 1,
  "indexes": [
    {
      "name": "docs_vec",
      "backend": "main",
      "table": "docs",
      "column": "vec",
      "kind": "rabitq_plus",
      "metric": "cosine",
      "seed": 42,
      "rerank_factor": 20,
      "nlist": null,
      "nprobe": null,
      "built": true
    }
  ]
}"#;

    #[tokio::test]
    async fn the_form_of_the_file_stays() {
        let folder = tempfile::tempdir().unwrap();
        let owner = Owner::claim(folder.path()).await.unwrap();
        let path = owner.folder().join("indexes.json");
        // The first versions built before they declared, and wrote no field for that.
        std::fs::write(&path, FILE.replace(",\n      \"built\": true", "")).unwrap();
        let catalog = IndexCatalog::open(&owner).unwrap();
        let other = index("other", "elsewhere");
        catalog.note(&other).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("],\n  \"undeclared\": [\n    {\n      \"name\": \"other\","), "{text}");
        catalog.forget_file(&other).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), FILE);
    }

    #[tokio::test]
    async fn a_damaged_catalog_is_corrupt() {
        let folder = tempfile::tempdir().unwrap();
        let owner = Owner::claim(folder.path()).await.unwrap();
        std::fs::write(owner.folder().join("indexes.json"), b"{").unwrap();
        assert_eq!(IndexCatalog::open(&owner).unwrap_err().kind(), ErrorKind::Corrupt);
    }
}
