//! Declared indexes: what `CREATE INDEX` said, kept beside the data.
//!
//! A declaration is a promise to answer from an index; the index itself is derived data that ruLake builds and seals.

use std::path::PathBuf;

use parking_lot::RwLock;
use ruvector_rabitq::Metric;
use ruvector_rulake::bundle::write_atomically;
use ruvector_rulake::{Error, IndexKind, IndexSpec, Result};
use serde::{Deserialize, Serialize};

/// The newest format of the file that this version reads, and the one it writes.
const FORMAT_VERSION: u32 = 1;

/// An index as `CREATE INDEX` declared it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexDefinition {
    /// Its name, unique in its backend.
    pub name: String,
    /// The backend of its table.
    pub backend: String,
    /// Its table.
    pub table: String,
    /// Column, metric, kind and parameters.
    pub spec: IndexSpec,
}

/// The declared indexes of an engine.
#[derive(Debug)]
pub(crate) struct IndexCatalog {
    file: PathBuf,
    definitions: RwLock<Vec<IndexDefinition>>,
}

#[derive(Serialize, Deserialize)]
struct StoredCatalog {
    format_version: u32,
    indexes: Vec<StoredIndex>,
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
}

impl IndexCatalog {
    /// Reads the catalog from `file`; no file is an empty catalog.
    pub(crate) fn open(file: PathBuf) -> Result<Self> {
        let definitions = match std::fs::read(&file) {
            Ok(bytes) => parse(&bytes).map_err(|e| e.with("path", file.display()))?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(e) => {
                return Err(Error::unavailable("index catalog cannot be read")
                    .with("path", file.display())
                    .with("reason", e));
            }
        };
        Ok(Self { file, definitions: RwLock::new(definitions) })
    }

    /// The indexes over one table, in the order they were declared.
    pub(crate) fn of_table(&self, backend: &str, table: &str) -> Vec<IndexDefinition> {
        let definitions = self.definitions.read();
        definitions.iter().filter(|index| index.backend == backend && index.table == table).cloned().collect()
    }

    /// All indexes, in the order they were declared.
    pub(crate) fn list(&self) -> Vec<IndexDefinition> {
        self.definitions.read().clone()
    }

    /// The index of that name.
    pub(crate) fn find(&self, backend: &str, name: &str) -> Option<IndexDefinition> {
        self.definitions.read().iter().find(|index| index.backend == backend && index.name == name).cloned()
    }

    /// Declares an index.
    ///
    /// # Errors
    /// `AlreadyExists` if the name is taken; `Unavailable` if the catalog cannot be written. Nothing is changed on error.
    pub(crate) fn add(&self, index: IndexDefinition) -> Result<()> {
        self.change(|definitions| {
            if definitions.iter().any(|known| known.backend == index.backend && known.name == index.name) {
                return Err(Error::already_exists("index exists already").with("index", &index.name));
            }
            definitions.push(index);
            Ok(())
        })
    }

    /// Forgets an index.
    ///
    /// # Errors
    /// `NotFound`; `Unavailable` if the catalog cannot be written. Nothing is changed on error.
    pub(crate) fn remove(&self, backend: &str, name: &str) -> Result<()> {
        self.change(|definitions| {
            let before = definitions.len();
            definitions.retain(|known| !(known.backend == backend && known.name == name));
            match definitions.len() < before {
                true => Ok(()),
                false => Err(Error::not_found("no such index").with("index", name)),
            }
        })
    }

    /// Forgets the indexes over a table that is gone.
    pub(crate) fn remove_table(&self, backend: &str, table: &str) -> Result<()> {
        self.change(|definitions| {
            definitions.retain(|known| !(known.backend == backend && known.table == table));
            Ok(())
        })
    }

    /// Forgets the indexes over the tables of a backend that is gone.
    pub(crate) fn remove_backend(&self, backend: &str) -> Result<()> {
        self.change(|definitions| {
            definitions.retain(|known| known.backend != backend);
            Ok(())
        })
    }

    fn change(&self, change: impl FnOnce(&mut Vec<IndexDefinition>) -> Result<()>) -> Result<()> {
        let mut current = self.definitions.write();
        let mut changed = current.clone();
        change(&mut changed)?;
        if *current != changed {
            write_atomically(&self.file, &serialise(&changed)?)?;
            *current = changed;
        }
        Ok(())
    }
}

fn serialise(definitions: &[IndexDefinition]) -> Result<Vec<u8>> {
    let stored = |index: &IndexDefinition| StoredIndex {
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
    };
    let catalog = StoredCatalog { format_version: FORMAT_VERSION, indexes: definitions.iter().map(stored).collect() };
    serde_json::to_vec_pretty(&catalog)
        .map_err(|e| Error::internal("index catalog does not serialise").with("reason", e))
}

fn parse(bytes: &[u8]) -> Result<Vec<IndexDefinition>> {
    let catalog: StoredCatalog =
        serde_json::from_slice(bytes).map_err(|e| Error::corrupt("index catalog is not valid").with("reason", e))?;
    if catalog.format_version > FORMAT_VERSION {
        return Err(Error::corrupt("index catalog has a newer format")
            .with("at most", FORMAT_VERSION)
            .with("got", catalog.format_version));
    }
    let definition = |index: StoredIndex| {
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
    catalog.indexes.into_iter().map(definition).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ruvector_rulake::ErrorKind;

    fn index(name: &str, table: &str) -> IndexDefinition {
        let spec = IndexSpec { metric: Metric::Cosine, ..IndexSpec::new("vec") };
        IndexDefinition { name: name.into(), backend: "main".into(), table: table.into(), spec }
    }

    #[test]
    fn declarations_survive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("indexes.json");
        let catalog = IndexCatalog::open(file.clone()).unwrap();
        catalog.add(index("a", "docs")).unwrap();
        catalog.add(index("b", "other")).unwrap();
        assert_eq!(catalog.add(index("a", "other")).unwrap_err().kind(), ErrorKind::AlreadyExists);

        let again = IndexCatalog::open(file.clone()).unwrap();
        assert_eq!(again.list(), [index("a", "docs"), index("b", "other")]);
        again.remove("main", "a").unwrap();
        again.remove_table("main", "other").unwrap();
        assert_eq!(again.remove("main", "a").unwrap_err().kind(), ErrorKind::NotFound);
        assert!(IndexCatalog::open(file).unwrap().list().is_empty());
    }

    #[test]
    fn a_damaged_catalog_is_corrupt() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("indexes.json");
        std::fs::write(&file, b"{").unwrap();
        assert_eq!(IndexCatalog::open(file).unwrap_err().kind(), ErrorKind::Corrupt);
    }
}
