//! An external table, opened when it is used.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use datafusion::execution::runtime_env::RuntimeEnv;
use ruvector_rulake::{Backend, DeltaBackend, Error, FsBackend, ObjectStoreBackend, RemoteDeltaBackend, Result};

use super::Definition;
use super::definition::Kind;
use super::files::Files;
use ruvector_udfs::names::MAIN;

const PARQUET_EXTENSION: &str = ".parquet";

/// An external table.
#[derive(Debug)]
pub(crate) struct ExternalTable {
    definition: Definition,
    index_root: PathBuf,
    runtime: Arc<RuntimeEnv>,
    opened: OnceLock<Source>,
}

/// Source of the table's rows.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// A collection of a backend that has no other one.
    Collection { backend: Arc<dyn Backend>, collection: String },
    /// Files that DataFusion reads itself.
    Files(Arc<Files>),
}

impl ExternalTable {
    pub(super) fn new(definition: Definition, index_root: &Path, runtime: Arc<RuntimeEnv>) -> Self {
        let index_root = index_root.join(&definition.name);
        Self { definition, index_root, runtime, opened: OnceLock::new() }
    }

    /// Returns the source of the table's rows. Opening asks no store for anything yet; a source that cannot be opened is tried
    /// again on the next use.
    ///
    /// # Errors
    /// `InvalidInput` for a location or an option that cannot be used.
    pub(crate) fn source(&self) -> Result<&Source> {
        if let Some(source) = self.opened.get() {
            return Ok(source);
        }
        let source = self.open().map_err(|e| e.with("table", &self.definition.name))?;
        Ok(self.opened.get_or_init(|| source))
    }

    /// Reads as much of it as tells that it can be read.
    pub(super) async fn check(&self) -> Result<()> {
        let columns: Vec<String> = match self.source()? {
            Source::Collection { backend, collection } => {
                let snapshot = backend.snapshot(collection).await?;
                snapshot.schema().fields().iter().map(|field| field.name().clone()).collect()
            }
            Source::Files(files) => {
                let table = files.provider().await.map_err(ruvector_rulake::error::from_datafusion)?;
                table.schema().fields().iter().map(|field| field.name().clone()).collect()
            }
        };
        let partitioned_by = &self.definition.partitioned_by;
        match partitioned_by.iter().find(|column| !columns.contains(column)) {
            Some(missing) => Err(Error::invalid_input("PARTITIONED BY: table has no such column")
                .with("expected one of", columns.join(", "))
                .with("got", missing)),
            None => Ok(()),
        }
    }

    /// Returns the backend and the name of the collection that the table is.
    ///
    /// # Errors
    /// `NotSupported` for files that are no collection; as [`ExternalTable::source`].
    pub(crate) fn collection(&self) -> Result<(Arc<dyn Backend>, String)> {
        match self.source()? {
            Source::Collection { backend, collection } => Ok((Arc::clone(backend), collection.clone())),
            Source::Files(_) => {
                let kind = self.definition.kind.name();
                Err(Error::not_supported(format!("search or index over a table of {kind} files"))
                    .with("table", &self.definition.name)
                    .with(
                        "expected",
                        "a copy of it by CREATE TABLE ... AS SELECT, with the vectors cast to FLOAT[dim]",
                    ))
            }
        }
    }

    fn open(&self) -> Result<Source> {
        let definition = &self.definition;
        let (kind, location) = (definition.kind, definition.location.as_str());
        if matches!(kind, Kind::Csv | Kind::Json) {
            return Ok(Source::Files(Arc::new(Files::open(definition, Arc::clone(&self.runtime))?)));
        }
        let (backend, collection): (Arc<dyn Backend>, String) = match (kind, definition.is_remote()) {
            (Kind::Parquet, false) => {
                let (parent, name) = split(location)?;
                if Path::new(location).is_file() && !name.ends_with(PARQUET_EXTENSION) {
                    return Err(Error::invalid_input("LOCATION of a Parquet file")
                        .with("expected", "a name that ends with .parquet, or a folder")
                        .with("got", location));
                }
                let backend = FsBackend::open(MAIN, Path::new(parent))?.with_any_names();
                (Arc::new(backend.with_index_root(self.index_root.clone())), without_extension(name))
            }
            (Kind::Parquet, true) => {
                let (backend, name) = ObjectStoreBackend::of_collection(MAIN, location, &definition.store_options())?;
                (Arc::new(backend.with_index_root(self.index_root.clone())), without_extension(&name))
            }
            (_, true) => {
                let (options, index_dir) = (definition.store_options(), self.index_root.clone());
                let name = definition.name.clone();
                let backend = RemoteDeltaBackend::from_url(MAIN, name.as_str(), location, &options, index_dir)?;
                (Arc::new(backend), name)
            }
            (_, false) => {
                let (parent, name) = split(location)?;
                // Opening would make the folder: a wrong path would be an empty one.
                if !Path::new(location).is_dir() {
                    let message = "LOCATION of a Delta table is not a folder";
                    return Err(Error::unavailable(message).with("path", location));
                }
                (Arc::new(DeltaBackend::open(MAIN, Path::new(parent))?.with_any_names()), name.to_owned())
            }
        };
        Ok(Source::Collection { backend, collection })
    }
}

fn without_extension(name: &str) -> String {
    name.strip_suffix(PARQUET_EXTENSION).unwrap_or(name).to_owned()
}

/// The folder that a local table is in, and its name there.
fn split(location: &str) -> Result<(&str, &str)> {
    match location.trim_end_matches('/').rsplit_once('/') {
        Some((parent, name)) if !name.is_empty() => Ok((if parent.is_empty() { "/" } else { parent }, name)),
        _ => Err(Error::invalid_input("LOCATION of a table")
            .with("expected", "a folder or file below the root of a disk")
            .with("got", location)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_a_folder_and_a_name() {
        for (location, expected) in [
            ("/data/docs", Some(("/data", "docs"))),
            ("/docs.parquet", Some(("/", "docs.parquet"))),
            ("/data/lang=en/", Some(("/data", "lang=en"))),
            ("/", None),
        ] {
            assert_eq!(split(location).ok(), expected, "{location}");
        }
    }
}
