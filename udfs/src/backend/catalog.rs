//! The file of backends that SQL made. It may hold secrets, so only its owner may read it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use parking_lot::RwLock;
use ruvector_rulake::bundle::write_atomically_private;
use ruvector_rulake::{Error, Result};
use serde::{Deserialize, Serialize};

use super::{BackendDefinition, BackendKind};

/// The newest format of the file that this version reads, and the one it writes.
const FORMAT_VERSION: u32 = 1;

/// The backends that SQL made, in the order of their making.
#[derive(Debug)]
pub(crate) struct BackendCatalog {
    file: PathBuf,
    index_root: PathBuf,
    definitions: RwLock<Vec<BackendDefinition>>,
}

#[derive(Serialize, Deserialize)]
struct StoredCatalog {
    format_version: u32,
    backends: Vec<StoredBackend>,
}

#[derive(Serialize, Deserialize)]
struct StoredBackend {
    name: String,
    kind: BackendKind,
    options: BTreeMap<String, String>,
    consistency: Option<String>,
    ttl_ms: Option<u64>,
}

impl BackendCatalog {
    /// Reads the catalog from `folder`; no file is an empty catalog. Index files of backends that have no folder of their
    /// own are beside it.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let file = folder.join("backends.json");
        let definitions = match std::fs::read(&file) {
            Ok(bytes) => parse(&bytes).map_err(|e| e.with("path", file.display()))?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(e) => {
                return Err(Error::unavailable("catalog of backends cannot be read")
                    .with("path", file.display())
                    .with("reason", e));
            }
        };
        Ok(Self { file, index_root: folder.join("backends"), definitions: RwLock::new(definitions) })
    }

    /// The folder of index files, with a sub-folder for each backend.
    pub(crate) fn index_root(&self) -> &Path {
        &self.index_root
    }

    /// All of them.
    pub(crate) fn list(&self) -> Vec<BackendDefinition> {
        self.definitions.read().clone()
    }

    /// Keeps a definition.
    ///
    /// # Errors
    /// `AlreadyExists` if the name is taken; `Unavailable` if the file cannot be written. Nothing is changed on error.
    pub(crate) fn add(&self, definition: BackendDefinition) -> Result<()> {
        self.change(|definitions| {
            if definitions.iter().any(|known| known.name == definition.name) {
                return Err(Error::already_exists("backend exists already").with("backend", &definition.name));
            }
            definitions.push(definition);
            Ok(())
        })
    }

    /// Forgets a definition and removes its index files.
    ///
    /// # Errors
    /// `NotFound`; `Unavailable` if the file cannot be written. Nothing is changed on error.
    pub(crate) fn remove(&self, name: &str) -> Result<()> {
        self.change(|definitions| {
            let before = definitions.len();
            definitions.retain(|known| known.name != name);
            match definitions.len() < before {
                true => Ok(()),
                false => Err(Error::not_found("no such backend").with("backend", name)),
            }
        })?;
        let index_files = self.index_root.join(name);
        match std::fs::remove_dir_all(&index_files) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(path = %index_files.display(), reason = %e, "index files of a dropped backend are left");
            }
            _ => {}
        }
        Ok(())
    }

    fn change(&self, change: impl FnOnce(&mut Vec<BackendDefinition>) -> Result<()>) -> Result<()> {
        let mut current = self.definitions.write();
        let mut changed = current.clone();
        change(&mut changed)?;
        write_atomically_private(&self.file, &serialise(&changed)?)?;
        *current = changed;
        Ok(())
    }
}

fn serialise(definitions: &[BackendDefinition]) -> Result<Vec<u8>> {
    let stored = |definition: &BackendDefinition| StoredBackend {
        name: definition.name.clone(),
        kind: definition.kind,
        options: definition.options.clone(),
        consistency: definition.consistency.clone(),
        ttl_ms: definition.ttl_ms,
    };
    let catalog = StoredCatalog { format_version: FORMAT_VERSION, backends: definitions.iter().map(stored).collect() };
    serde_json::to_vec_pretty(&catalog)
        .map_err(|e| Error::internal("catalog of backends does not serialise").with("reason", e))
}

fn parse(bytes: &[u8]) -> Result<Vec<BackendDefinition>> {
    // A message of the JSON parser may quote what it met, and that may be a secret: its line and column are enough.
    let catalog: StoredCatalog = serde_json::from_slice(bytes).map_err(|e| {
        Error::corrupt("catalog of backends is not valid").with("line", e.line()).with("column", e.column())
    })?;
    if catalog.format_version > FORMAT_VERSION {
        return Err(Error::corrupt("catalog of backends has a newer format")
            .with("at most", FORMAT_VERSION)
            .with("got", catalog.format_version));
    }
    let definition = |stored: StoredBackend| BackendDefinition {
        name: stored.name,
        kind: stored.kind,
        options: stored.options,
        consistency: stored.consistency,
        ttl_ms: stored.ttl_ms,
    };
    Ok(catalog.backends.into_iter().map(definition).collect())
}
