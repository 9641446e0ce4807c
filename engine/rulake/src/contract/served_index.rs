//! Index of a collection that is an index itself: the cache answers from it and builds none.

use ruvector_rabitq::{SharedIndex, VectorIndex};

use crate::index_spec::IndexSpec;

/// An index that is a collection. The entry of its specification shares it, at no cost.
#[derive(Clone, Debug)]
pub struct ServedIndex {
    /// Column, metric, kind and parameters.
    pub spec: IndexSpec,
    pub(crate) index: SharedIndex,
}

impl ServedIndex {
    /// The index; its vectors are numbered from 0, as the rows are.
    pub fn index(&self) -> &dyn VectorIndex {
        &self.index
    }

    /// Returns true if the index keeps its original vectors, so that they can be read.
    pub fn has_vectors(&self) -> bool {
        self.index.vectors().is_some()
    }
}
