//! The file of backends that SQL made. It may hold secrets, so only its owner may read it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;
use ruvector_rulake::{Error, Result};
use serde::{Deserialize, Serialize};

use super::{BackendDefinition, BackendKind};
use crate::catalog::owner::{CatalogFile, Owner};

/// The newest format of the file that this version reads, and the one it writes.
const FORMAT_VERSION: u32 = 1;

/// The backends that SQL made, in the order of their making.
#[derive(Debug)]
pub(crate) struct BackendCatalog {
    file: CatalogFile,
    index_root: PathBuf,
    declared: RwLock<Declared>,
}

/// The content of the catalog.
#[derive(Clone, Debug, Default)]
struct Declared {
    backends: Vec<BackendDefinition>,
    /// Names of those of them whose drop has begun: it will be completed, by the next start if need be.
    dropped: Vec<String>,
}

impl Declared {
    fn is_dropped(&self, name: &str) -> bool {
        self.dropped.iter().any(|dropped| dropped == name)
    }

    fn contains(&self, name: &str) -> bool {
        self.backends.iter().any(|known| known.name == name) && !self.is_dropped(name)
    }

    /// Takes out what is left of a backend whose drop has begun.
    fn forget_dropped(&mut self, name: &str) {
        if self.is_dropped(name) {
            self.backends.retain(|known| known.name != name);
            self.dropped.retain(|dropped| dropped != name);
        }
    }
}

#[derive(Serialize, Deserialize)]
struct StoredCatalog {
    format_version: u32,
    backends: Vec<StoredBackend>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    dropped: Vec<String>,
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
    /// Reads the catalog of `owner`; no file is an empty catalog. Index files of backends that have no folder of their own
    /// are beside it.
    pub(crate) fn open(owner: &Arc<Owner>) -> Result<Self> {
        let file = owner.file("backends.json");
        let declared = match std::fs::read(file.path()) {
            Ok(bytes) => parse(&bytes).map_err(|e| e.with("path", file.path().display()))?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Declared::default(),
            Err(e) => {
                return Err(Error::unavailable("catalog of backends cannot be read")
                    .with("path", file.path().display())
                    .with("reason", e));
            }
        };
        Ok(Self { file, index_root: owner.folder().join("backends"), declared: RwLock::new(declared) })
    }

    /// The folder of index files, with a sub-folder for each backend.
    pub(crate) fn index_root(&self) -> &Path {
        &self.index_root
    }

    /// All of them, without those whose drop has begun.
    pub(crate) fn list(&self) -> Vec<BackendDefinition> {
        let declared = self.declared.read();
        declared.backends.iter().filter(|backend| !declared.is_dropped(&backend.name)).cloned().collect()
    }

    /// The names of backends whose drop has begun and is not completed.
    pub(crate) fn dropped(&self) -> Vec<String> {
        self.declared.read().dropped.clone()
    }

    /// Keeps a definition.
    ///
    /// # Errors
    /// `AlreadyExists` if the name is taken; `Unavailable` if the file cannot be written. Nothing is changed on error.
    pub(crate) fn add(&self, definition: BackendDefinition) -> Result<()> {
        self.change(|declared| {
            if declared.contains(&definition.name) {
                return Err(Error::already_exists("backend exists already").with("backend", &definition.name));
            }
            declared.forget_dropped(&definition.name);
            declared.backends.push(definition);
            Ok(())
        })
    }

    /// Notes that a backend is dropped. From here on a restart completes the drop, unless [`BackendCatalog::undo_drop`] comes
    /// first.
    ///
    /// # Errors
    /// `NotFound`; `Unavailable` if the file cannot be written. Nothing is changed on error.
    pub(crate) fn begin_drop(&self, name: &str) -> Result<()> {
        self.change(|declared| match declared.contains(name) {
            true => {
                declared.dropped.push(name.to_owned());
                Ok(())
            }
            false => Err(Error::not_found("no such backend").with("backend", name)),
        })
    }

    /// Takes back [`BackendCatalog::begin_drop`].
    ///
    /// # Errors
    /// `Unavailable` if the file cannot be written.
    pub(crate) fn undo_drop(&self, name: &str) -> Result<()> {
        self.change(|declared| {
            declared.dropped.retain(|dropped| dropped != name);
            Ok(())
        })
    }

    /// Removes the index files and the definition of a backend whose drop has begun and that no index refers to.
    ///
    /// # Errors
    /// `Unavailable` if the file cannot be written: the next start tries again.
    pub(crate) fn finish_drop(&self, name: &str) -> Result<()> {
        self.remove_index_files(name);
        self.change(|declared| {
            declared.forget_dropped(name);
            Ok(())
        })
    }

    fn remove_index_files(&self, name: &str) {
        let index_files = self.index_root.join(name);
        match std::fs::remove_dir_all(&index_files) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(path = %index_files.display(), reason = %e, "index files of a dropped backend are left");
            }
            _ => {}
        }
    }

    fn change(&self, change: impl FnOnce(&mut Declared) -> Result<()>) -> Result<()> {
        let mut current = self.declared.write();
        let mut changed = current.clone();
        change(&mut changed)?;
        self.file.write_private(&serialise(&changed)?)?;
        *current = changed;
        Ok(())
    }
}

fn serialise(declared: &Declared) -> Result<Vec<u8>> {
    let stored = |definition: &BackendDefinition| StoredBackend {
        name: definition.name.clone(),
        kind: definition.kind,
        options: definition.options.clone(),
        consistency: definition.consistency.clone(),
        ttl_ms: definition.ttl_ms,
    };
    let catalog = StoredCatalog {
        format_version: FORMAT_VERSION,
        backends: declared.backends.iter().map(stored).collect(),
        dropped: declared.dropped.clone(),
    };
    serde_json::to_vec_pretty(&catalog)
        .map_err(|e| Error::internal("catalog of backends does not serialise").with("reason", e))
}

fn parse(bytes: &[u8]) -> Result<Declared> {
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
    Ok(Declared { backends: catalog.backends.into_iter().map(definition).collect(), dropped: catalog.dropped })
}
