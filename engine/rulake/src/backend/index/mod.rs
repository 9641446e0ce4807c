//! Indexes as collections: from a file or from the program. They are searched like any other, and their vectors are
//! rows.
//!
//! A collection has the columns `id` and the vector column, `vec` unless the file says otherwise. The index itself answers
//! searches ([`ServedIndex`](crate::contract::ServedIndex)): nothing is built. A file is read at its first use, and again when
//! another one is in its place.

mod index_file;
mod index_rows;
mod snapshot;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::RwLock;
use ruvector_rabitq::VectorIndex;

use crate::contract::{Backend, Snapshot, check_name};
use crate::error::{Error, Result};
use crate::index_spec::IndexSpec;

use index_file::IndexFile;
use snapshot::IndexSnapshot;

/// Indexes in memory and in files, by their names.
#[derive(Debug)]
pub struct IndexBackend {
    id: String,
    collections: RwLock<BTreeMap<String, Collection>>,
}

#[derive(Clone, Debug)]
enum Collection {
    Memory(Arc<IndexSnapshot>),
    File(Arc<IndexFile>),
}

impl IndexBackend {
    /// An empty backend.
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), collections: RwLock::default() }
    }

    /// Adds an index in memory as a collection, until the process ends. Its ids become the column `id`.
    ///
    /// # Errors
    /// `AlreadyExists`; `InvalidInput` if the name is not valid, or an id is not a `BIGINT`.
    pub fn add(&self, collection: &str, index: Box<dyn VectorIndex>) -> Result<()> {
        let snapshot = IndexSnapshot::in_memory(&self.id, collection, index)?;
        self.put(collection, Collection::Memory(Arc::new(snapshot)))
    }

    /// Adds an index file as a collection. The file is not read yet.
    ///
    /// # Errors
    /// `AlreadyExists`; `InvalidInput` if the name is not valid.
    pub fn add_file(&self, collection: &str, path: PathBuf) -> Result<()> {
        self.put(collection, Collection::File(Arc::new(IndexFile::new(path))))
    }

    /// Removes a collection, but no file, and tells whether there was one.
    pub fn remove(&self, collection: &str) -> bool {
        self.collections.write().remove(collection).is_some()
    }

    /// Returns true if there is a collection of that name.
    pub fn contains(&self, collection: &str) -> bool {
        self.collections.read().contains_key(collection)
    }

    /// The names of all collections, sorted.
    pub fn names(&self) -> Vec<String> {
        self.collections.read().keys().cloned().collect()
    }

    fn put(&self, name: &str, collection: Collection) -> Result<()> {
        check_name(name)?;
        let mut collections = self.collections.write();
        if collections.contains_key(name) {
            return Err(Error::already_exists("collection exists already").with("collection", name));
        }
        collections.insert(name.to_owned(), collection);
        Ok(())
    }
}

/// Checks that there is an index at `path` that can be a collection, and returns its specification.
///
/// # Errors
/// `NotFound`; `Corrupt` if the file is not whole; `InvalidInput` if an id is not a `BIGINT`.
pub async fn check_file(path: &Path) -> Result<IndexSpec> {
    let snapshot = IndexFile::new(path.to_owned()).newest().await?;
    match snapshot.index() {
        Some(own) => Ok(own.spec.clone()),
        None => Err(Error::internal("an index file is no index").with("path", path.display())),
    }
}

#[async_trait]
impl Backend for IndexBackend {
    fn id(&self) -> &str {
        &self.id
    }

    async fn list(&self) -> Result<Vec<String>> {
        Ok(self.names())
    }

    async fn snapshot(&self, collection: &str) -> Result<Arc<dyn Snapshot>> {
        let known = self.collections.read().get(collection).cloned();
        match known {
            Some(Collection::Memory(snapshot)) => Ok(snapshot),
            Some(Collection::File(file)) => Ok(file.newest().await?),
            None => {
                Err(Error::not_found("no such collection").with("backend", &self.id).with("collection", collection))
            }
        }
    }
}
