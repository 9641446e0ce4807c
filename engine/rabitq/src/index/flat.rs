use std::fmt;

use super::{
    Attributes, BuildParams, Hit, IndexKind, IndexParts, Originals, Progress, SearchParams, VectorIndex, debug_index,
};
use crate::error::Result;
use crate::metric::ExactQuery;
use crate::vector::{Dim, VectorBatch, check_query};

/// Exact search: the distance to every vector is computed. The oracle of every other kind.
pub struct FlatF32Index {
    params: BuildParams,
    originals: Originals,
    attributes: Attributes,
}

impl FlatF32Index {
    /// Copies the vectors. Without `ids` they are numbered from 0.
    ///
    /// # Errors
    /// `InvalidInput` if the number of ids is not that of the vectors, if two ids are equal, or if a parameter is out of
    /// range.
    pub fn build(
        ids: Option<&[u64]>,
        vectors: VectorBatch<'_>,
        params: &BuildParams,
        progress: Option<Progress<'_>>,
    ) -> Result<Self> {
        params.check()?;
        let originals = Originals::copied_from(params.metric, ids, vectors)?;
        if let Some(progress) = progress {
            progress(vectors.num_vectors());
        }
        Ok(Self::from_parts(params.clone(), originals, Attributes::new()))
    }

    pub(crate) fn from_parts(params: BuildParams, originals: Originals, attributes: Attributes) -> Self {
        Self { params, originals, attributes }
    }
}

impl fmt::Debug for FlatF32Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_index(self, f)
    }
}

impl VectorIndex for FlatF32Index {
    fn kind(&self) -> IndexKind {
        IndexKind::FlatF32
    }

    fn dim(&self) -> Dim {
        self.originals.dim()
    }

    fn build_params(&self) -> &BuildParams {
        &self.params
    }

    fn ids(&self) -> &[u64] {
        self.originals.ids().as_slice()
    }

    fn vector(&self, id: u64) -> Option<Vec<f32>> {
        self.originals.vector(id)
    }

    fn search(&self, query: &[f32], params: &SearchParams<'_>) -> Result<Vec<Hit>> {
        params.check()?;
        let query = ExactQuery::new(self.originals.metric(), check_query(query, self.dim())?);
        let slots = self.originals.ids().matching(params.filter);
        Ok(self.originals.nearest(&query, params.k, &slots))
    }

    fn memory_bytes(&self) -> usize {
        self.originals.memory_bytes()
    }

    fn attributes(&self) -> &Attributes {
        &self.attributes
    }

    fn attributes_mut(&mut self) -> &mut Attributes {
        &mut self.attributes
    }

    fn parts(&self) -> IndexParts<'_> {
        IndexParts {
            kind: self.kind(),
            dim: self.dim(),
            params: &self.params,
            ids: self.ids(),
            vectors: self.originals.values(),
            codes: None,
            attributes: &self.attributes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::conformance::index_conformance;

    #[test]
    fn flat_index() {
        index_conformance(1.0, |ids, vectors, params| {
            Box::new(FlatF32Index::build(ids, vectors, params, None).unwrap())
        });
    }
}
