//! The file of backends that SQL made. It may hold secrets, so only its owner may read it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ruvector_rulake::{Error, Result};
use serde::{Deserialize, Serialize};

use super::{BackendDefinition, BackendKind};
use crate::catalog::owner::Owner;
use crate::catalog::stored::{Definitions, StoredCatalog};

/// The backends that SQL made, in the order of their making.
#[derive(Debug)]
pub(crate) struct BackendCatalog {
    stored: StoredCatalog<BackendDefinitions>,
    index_root: PathBuf,
}

/// The content of the catalog.
#[derive(Clone, Default)]
struct BackendDefinitions {
    backends: Vec<BackendDefinition>,
    /// Names of those of them whose drop has begun: it will be completed, by the next start if need be.
    dropped: Vec<String>,
}

impl BackendDefinitions {
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

/// The fields of the file.
#[derive(Serialize, Deserialize)]
struct StoredBackends {
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

impl Definitions for BackendDefinitions {
    type Stored = StoredBackends;

    const FILE: &'static str = "backends.json";
    const CATALOG: &'static str = "catalog of backends";
    const HAS_SECRETS: bool = true;

    fn to_stored(&self) -> StoredBackends {
        let stored = |definition: &BackendDefinition| StoredBackend {
            name: definition.name.clone(),
            kind: definition.kind,
            options: definition.options.clone(),
            consistency: definition.consistency.clone(),
            ttl_ms: definition.ttl_ms,
        };
        StoredBackends { backends: self.backends.iter().map(stored).collect(), dropped: self.dropped.clone() }
    }

    fn from_stored(stored: StoredBackends) -> Result<Self> {
        let definition = |stored: StoredBackend| BackendDefinition {
            name: stored.name,
            kind: stored.kind,
            options: stored.options,
            consistency: stored.consistency,
            ttl_ms: stored.ttl_ms,
        };
        Ok(Self { backends: stored.backends.into_iter().map(definition).collect(), dropped: stored.dropped })
    }
}

impl BackendCatalog {
    /// Reads the catalog of `owner`. Index files of backends that have no folder of their own are beside it.
    pub(crate) fn open(owner: &Arc<Owner>) -> Result<Self> {
        Ok(Self { stored: StoredCatalog::open(owner)?, index_root: owner.folder().join("backends") })
    }

    /// The folder of index files, with a sub-folder for each backend.
    pub(crate) fn index_root(&self) -> &Path {
        &self.index_root
    }

    /// All of them, without those whose drop has begun.
    pub(crate) fn list(&self) -> Vec<BackendDefinition> {
        let declared = self.stored.definitions();
        declared.backends.iter().filter(|backend| !declared.is_dropped(&backend.name)).cloned().collect()
    }

    /// The names of backends whose drop has begun and is not completed.
    pub(crate) fn dropped(&self) -> Vec<String> {
        self.stored.definitions().dropped.clone()
    }

    /// Keeps a definition.
    ///
    /// # Errors
    /// `AlreadyExists` if the name is taken; `Unavailable` if the file cannot be written. Nothing is changed on error.
    pub(crate) fn add(&self, definition: BackendDefinition) -> Result<()> {
        self.stored.change(|declared| {
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
        self.stored.change(|declared| match declared.contains(name) {
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
        self.stored.change(|declared| {
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
        self.stored.change(|declared| {
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
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file as every version wrote it.
    const FILE: &str = r#"{
  "format_version": 1,
  "backends": [
    {
      "name": "s3",
      "kind": "object_store",
      "options": {
        "region": "x",
        "url": "s3://bucket/lake"
      },
      "consistency": "eventual",
      "ttl_ms": 500
    },
    {
      "name": "hot",
      "kind": "memory",
      "options": {},
      "consistency": null,
      "ttl_ms": null
    }
  ]
}"#;

    #[tokio::test]
    async fn the_form_of_the_file_stays() {
        let folder = tempfile::tempdir().unwrap();
        let owner = Owner::claim(folder.path()).await.unwrap();
        let path = owner.folder().join("backends.json");
        std::fs::write(&path, FILE).unwrap();
        let catalog = BackendCatalog::open(&owner).unwrap();
        catalog.begin_drop("s3").unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.ends_with("],\n  \"dropped\": [\n    \"s3\"\n  ]\n}"), "{text}");
        assert_eq!(BackendCatalog::open(&owner).unwrap().dropped(), ["s3"]);
        catalog.undo_drop("s3").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), FILE);
    }
}
