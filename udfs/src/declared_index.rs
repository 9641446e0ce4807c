//! Declared indexes: the definition by `CREATE INDEX`, and whether the index can answer by now.

use std::ops::Deref;
use std::sync::Arc;

use ruvector_rulake::{IndexSpec, Pinned, ServedIndex};

use crate::index_status::IndexStatus;

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

impl IndexDefinition {
    /// True if both definitions are answered from the same entry of the cache, and from the same file.
    pub fn shares_entry_with(&self, other: &Self) -> bool {
        (&self.backend, &self.table, &self.spec) == (&other.backend, &other.table, &other.spec)
    }
}

/// A declared index, and whether it can answer by now.
#[derive(Clone, Debug)]
pub struct DeclaredIndex {
    definition: Arc<IndexDefinition>,
    /// Shared by all plans and catalogs of the index: a plan that was made while it was built uses it when it is there.
    pub status: Arc<IndexStatus>,
}

impl DeclaredIndex {
    /// A declaration of an index that is built already, or is still to be built.
    pub fn new(definition: IndexDefinition, built: bool) -> Self {
        Self { definition: Arc::new(definition), status: Arc::new(IndexStatus::new(built)) }
    }

    /// The index that a collection is.
    pub fn of_table(pinned: &Pinned, own: &ServedIndex) -> Self {
        let definition = IndexDefinition {
            name: pinned.collection().to_owned(),
            backend: pinned.backend().to_owned(),
            table: pinned.collection().to_owned(),
            spec: own.spec.clone(),
        };
        Self::new(definition, true)
    }

    /// The definition.
    pub fn definition(&self) -> &IndexDefinition {
        &self.definition
    }

    /// True if this is the same declaration, not another one of the same name.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.status, &other.status)
    }
}

impl Deref for DeclaredIndex {
    type Target = IndexDefinition;

    fn deref(&self) -> &IndexDefinition {
        &self.definition
    }
}
