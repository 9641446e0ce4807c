//! Definitions of backends: the options of CREATE BACKEND are checked here and kept. A definition opens its backend.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use ruvector_rulake::backend::redact_option;
use ruvector_rulake::{Backend, Consistency, DeltaBackend, FsBackend, LocalBackend, ObjectStoreBackend};
use serde::{Deserialize, Serialize};

use ruvector_udfs::error::{Error, Result};

/// `CREATE BACKEND` as it was written. It may hold secrets, so it has no `Debug`.
pub(crate) struct CreateBackend {
    pub(crate) name: String,
    pub(crate) if_not_exists: bool,
    pub(crate) kind: String,
    /// In the order of the text; keys are folded and distinct.
    pub(crate) options: Vec<(String, String)>,
}

/// Definition of a backend, as `CREATE BACKEND` makes it. Its `Debug` hides the values of secret options.
#[derive(Clone, PartialEq, Eq)]
pub struct BackendDefinition {
    /// Its name: the schema of its tables.
    pub name: String,
    /// Kind of the store behind it.
    pub kind: BackendKind,
    /// Location of the backend, and the options of its kind. A path is absolute.
    pub options: BTreeMap<String, String>,
    /// `fresh`, `eventual`, `stale` or `frozen`.
    pub consistency: Option<String>,
    /// Time that an answer may lag behind under `eventual`, in milliseconds.
    pub ttl_ms: Option<u64>,
}

/// A kind of backend that SQL can make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackendKind {
    /// Collections in memory. They end with the engine; the backend itself is there again, empty.
    Memory,
    /// A folder of Parquet files.
    Parquet,
    /// A folder of Delta tables.
    Delta,
    /// Parquet files in an object store.
    ObjectStore,
}

impl BackendKind {
    const ALL: [Self; 4] = [Self::Memory, Self::Parquet, Self::Delta, Self::ObjectStore];

    /// Its name in SQL.
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Parquet => "parquet",
            Self::Delta => "delta",
            Self::ObjectStore => "object_store",
        }
    }

    /// The option that says where it is.
    fn location(self) -> Option<&'static str> {
        match self {
            Self::Memory => None,
            Self::Parquet | Self::Delta => Some("path"),
            Self::ObjectStore => Some("url"),
        }
    }
}

impl FromStr for BackendKind {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            Error::invalid_input(format!("no such kind of backend: expected one of {known}, got {name}"))
        })
    }
}

impl BackendDefinition {
    /// Checks what was written.
    ///
    /// # Errors
    /// `InvalidInput` for a kind or an option that is unknown, missing or out of range, and for a path that is no folder.
    pub(crate) fn new(create: CreateBackend) -> Result<Self> {
        let kind: BackendKind = create.kind.parse()?;
        let mut options: BTreeMap<String, String> = create.options.into_iter().collect();
        let consistency = options.remove("consistency").map(|word| word.to_lowercase());
        let ttl_ms = options.remove("ttl_ms").map(|value| ttl_ms(&value)).transpose()?;
        if ttl_ms.is_some() && consistency.as_deref() != Some("eventual") {
            let got = consistency.as_deref().unwrap_or("none");
            return Err(Error::invalid_input(format!("ttl_ms needs the option consistency 'eventual', got {got}")));
        }
        if let Some(word) = &consistency {
            Consistency::parse(word, None)?;
        }
        if let Some(location) = kind.location()
            && !options.contains_key(location)
        {
            return Err(Error::invalid_input(format!("a backend of type {} needs the option {location}", kind.name())));
        }
        // The options of an object store are the store's own, and it checks them when it is opened.
        let unknown =
            options.keys().find(|key| kind != BackendKind::ObjectStore && Some(key.as_str()) != kind.location());
        if let Some(unknown) = unknown {
            let known: Vec<&str> = kind.location().into_iter().chain(["consistency", "ttl_ms"]).collect();
            let (kind, known) = (kind.name(), known.join(", "));
            return Err(Error::invalid_input(format!(
                "no such option of a backend of type {kind}: expected one of {known}, got {unknown}"
            )));
        }
        if let Some(path) = options.get_mut("path").filter(|_| kind.location() == Some("path")) {
            *path = absolute(path)?;
        }
        Ok(Self { name: create.name, kind, options, consistency, ttl_ms })
    }

    /// Consistency of answers from the backend; `None` if the definition does not say.
    ///
    /// # Errors
    /// `Corrupt` only: what `CREATE BACKEND` took is sound.
    pub(crate) fn consistency(&self) -> Result<Option<Consistency>> {
        let ttl = self.ttl_ms.map(Duration::from_millis);
        let parsed = self.consistency.as_ref().map(|word| Consistency::parse(word, ttl)).transpose();
        Ok(parsed?)
    }

    /// Location of the backend: a path or a URL. `None` for one in memory.
    pub fn location(&self) -> Option<&str> {
        self.options.get(self.kind.location()?).map(String::as_str)
    }

    /// The options other than the location, for any user to read: secrets are `***`.
    pub fn shown_options(&self) -> BTreeMap<&str, &str> {
        let others = self.options.iter().filter(|(key, _)| Some(key.as_str()) != self.kind.location());
        others.map(|(key, value)| (key.as_str(), redact_option(key, value))).collect()
    }

    /// Opens it, without asking it anything. Index files of backends without a folder of their own go below `index_root`.
    ///
    /// # Errors
    /// `InvalidInput` if an option cannot be used, or the folder is not there.
    pub(crate) fn open(&self, index_root: &Path) -> ruvector_rulake::Result<Arc<dyn Backend>> {
        let location = self.location().unwrap_or_default();
        Ok(match self.kind {
            BackendKind::Memory => Arc::new(LocalBackend::new(&self.name)),
            BackendKind::Parquet => Arc::new(FsBackend::open(&self.name, Path::new(location))?),
            BackendKind::Delta => {
                // Opening would make the folder: a wrong path would be an empty backend.
                let path = Path::new(location);
                let refused = |reason| {
                    ruvector_rulake::Error::invalid_input("folder cannot be used")
                        .with("path", path.display())
                        .with("reason", reason)
                };
                match path.metadata() {
                    Ok(found) if found.is_dir() => Arc::new(DeltaBackend::open(&self.name, path)?),
                    Ok(_) => return Err(refused("it is not a folder".to_owned())),
                    Err(e) => return Err(refused(e.to_string())),
                }
            }
            BackendKind::ObjectStore => {
                let others = self.options.iter().filter(|(key, _)| *key != "url");
                let options = others.map(|(key, value)| (key.clone(), value.clone())).collect();
                let backend = ObjectStoreBackend::from_url(&self.name, location, &options)?;
                Arc::new(backend.with_index_root(index_root.join(&self.name)))
            }
        })
    }
}

impl fmt::Debug for BackendDefinition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackendDefinition")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("location", &self.location())
            .field("options", &self.shown_options())
            .field("consistency", &self.consistency)
            .field("ttl_ms", &self.ttl_ms)
            .finish()
    }
}

fn ttl_ms(value: &str) -> Result<u64> {
    value.parse().map_err(|_| {
        Error::invalid_input(format!("option ttl_ms: expected a number of milliseconds of at least 0, got {value}"))
    })
}

/// The path as it is from everywhere: the next start may have another working directory.
fn absolute(path: &str) -> Result<String> {
    let refused = |reason: String| Error::invalid_input(format!("folder cannot be used: path {path}, reason {reason}"));
    let absolute = Path::new(path).canonicalize().map_err(|e| refused(e.to_string()))?;
    match absolute.to_str() {
        _ if !absolute.is_dir() => Err(refused("it is not a folder".to_owned())),
        Some(absolute) => Ok(absolute.to_owned()),
        None => Err(refused("its name is not Unicode".to_owned())),
    }
}
