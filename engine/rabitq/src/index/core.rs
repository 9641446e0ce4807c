//! The parts that all kinds of index share, as one [`Core`]. Added vectors, removed ids and new ids go in; every part is
//! changed in step.

use std::collections::BTreeMap;

use super::ids::Ids;
use super::kind::IndexKind;
use super::lists::Lists;
use super::originals::Originals;
use super::params::BuildParams;
use crate::error::{Error, Result};
use crate::vector::{Dim, VectorBatch};

/// Words that the owner of an index seals into its file, such as a witness; kept as they are, and sorted.
pub type Attributes = BTreeMap<String, String>;

/// The parts that every kind of index is made of; a kind is a choice of parts.
#[derive(Clone, Debug)]
pub struct Core {
    pub(crate) kind: IndexKind,
    pub(crate) params: BuildParams,
    pub(crate) dim: Dim,
    pub(crate) ids: Ids,
    pub(crate) originals: Option<Originals>,
    pub(crate) lists: Option<Lists>,
    pub(crate) attributes: Attributes,
}

impl PartialEq for Core {
    /// Returns true if both hold the same vectors under the same ids in the same rows, built in the same way, with the same
    /// attributes.
    fn eq(&self, other: &Self) -> bool {
        // `nlist` is compared as the lists there are, `keep_originals` as the originals there are: a default and the
        // same number asked for are equal.
        let params = |core: &Self| BuildParams { nlist: None, keep_originals: false, ..core.params.clone() };
        self.kind == other.kind
            && self.dim == other.dim
            && params(self) == params(other)
            && self.ids.iter().eq(other.ids.iter())
            && self.originals == other.originals
            && self.lists == other.lists
            && self.attributes == other.attributes
    }
}

impl Core {
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Appends vectors under new ids.
    pub(crate) fn add_batch(&mut self, ids: &[u64], vectors: VectorBatch<'_>) -> Result<()> {
        if vectors.dim() != self.dim {
            return Err(Error::invalid_input("vectors have the wrong dimension")
                .with("expected", self.dim)
                .with("got", vectors.dim()));
        }
        if ids.len() != vectors.num_vectors() {
            return Err(Error::invalid_input("number of ids differs from number of vectors")
                .with("expected", vectors.num_vectors())
                .with("got", ids.len()));
        }
        vectors.check_fit(self.params.metric)?;
        self.ids.check_new(ids)?;
        let first_row = self.len();
        if let Some(lists) = &mut self.lists {
            lists.append(first_row, vectors);
        }
        if let Some(originals) = &mut self.originals {
            originals.extend(vectors);
        }
        self.ids.extend(ids);
        Ok(())
    }

    /// Forgets the vectors behind `ids`, and tells how many there were.
    pub(crate) fn remove(&mut self, ids: &[u64]) -> usize {
        let before = self.len();
        for &id in ids {
            let Some(row) = self.ids.row(id) else { continue };
            if let Some(lists) = &mut self.lists {
                lists.swap_remove(row);
            }
            if let Some(originals) = &mut self.originals {
                originals.swap_remove(row);
            }
            self.ids.swap_remove(row);
        }
        before - self.len()
    }

    /// Gives every vector another id.
    pub(crate) fn renumber(&mut self, ids: Vec<u64>) -> Result<()> {
        self.ids = Ids::new(Some(ids), self.len())?;
        Ok(())
    }

    /// Checks that all vectors that were read until now are right.
    pub(crate) fn verify(&self) -> Result<()> {
        match self.originals.as_ref().is_none_or(Originals::verify) {
            true => Ok(()),
            false => Err(Error::corrupt("index file was changed while it was mapped")
                .with("expected", "the file as it was opened")
                .with("got", "one that was cut short, written over or cannot be read")
                .with("advice", "build the index again")),
        }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        size_of::<Self>()
            + self.ids.memory_bytes()
            + self.originals.as_ref().map_or(0, Originals::memory_bytes)
            + self.lists.as_ref().map_or(0, Lists::memory_bytes)
    }
}

#[cfg(test)]
mod tests {
    use crate::index::{BuildParams, IndexKind, VectorIndex};
    use crate::metric::Metric;
    use crate::test_data::clustered;
    use crate::vector::{Dim, VectorBatch};

    fn build(kind: IndexKind, params: &BuildParams, values: &[f32]) -> Box<dyn VectorIndex> {
        let vectors = VectorBatch::new(Dim::new(20).unwrap(), values).unwrap();
        kind.build(None, vectors, params, None).unwrap()
    }

    #[test]
    fn a_renumbered_index_is_the_one_built_under_those_ids() {
        let values = clustered(3, 200, 20, 5);
        let params = BuildParams::new(Metric::L2);
        let other: Vec<u64> = (0..200).map(|row| (row * 7 + 3) % 200 + (1 << 40)).collect();
        for kind in IndexKind::ALL {
            let mut index = build(kind, &params, &values);
            index.renumber(other.clone()).unwrap();
            let vectors = VectorBatch::new(Dim::new(20).unwrap(), &values).unwrap();
            assert!(*index == *kind.build(Some(&other), vectors, &params, None).unwrap(), "{kind}");
            let error = index.renumber(vec![1; 200]).unwrap_err();
            assert_eq!(error.to_string(), "two vectors have one id: id 1, row 0, and row 1", "{kind}");
            assert!(index.renumber(vec![1]).is_err(), "{kind}");
            assert_eq!(index.ids(), other, "{kind}: nothing is changed on error");
        }
    }

    #[test]
    fn indexes_built_alike_are_equal_and_a_copy_is_independent() {
        let values = clustered(3, 500, 20, 5);
        let params = BuildParams::new(Metric::L2).with_nlist(8);
        for kind in IndexKind::ALL {
            let index = build(kind, &params, &values);
            assert!(*index == *build(kind, &params, &values), "{kind}");
            assert!(*index != *build(kind, &params.clone().with_seed(7), &values), "{kind}");
            let mut copy = index.clone();
            assert!(*copy == *index, "{kind}");
            copy.remove(&[499]);
            assert!(*copy != *index && index.contains(499), "{kind}");
            copy.add(499, &values[499 * 20..]).unwrap();
            assert!(*copy == *index, "{kind}: the last vector came back");
        }
        let kinds = IndexKind::ALL.map(|kind| build(kind, &params, &values));
        assert!(kinds.iter().enumerate().all(|(i, a)| kinds.iter().enumerate().all(|(j, b)| (**a == **b) == (i == j))));
    }
}
