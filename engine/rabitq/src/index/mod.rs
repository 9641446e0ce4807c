//! Structures that answer `search(query, k)`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::metric::Metric;
use crate::vector::Dim;

mod candidates;
mod flat;
mod ids;
mod originals;
mod params;
mod rabitq_plus;
mod top_k;

#[cfg(test)]
mod conformance;

pub use flat::FlatF32Index;
pub(crate) use ids::Ids;
pub(crate) use originals::Originals;
pub use params::{BuildParams, DEFAULT_EPSILON, DEFAULT_RERANK_FACTOR, DEFAULT_SEED, SearchParams};
pub(crate) use rabitq_plus::RabitqCodes;
pub use rabitq_plus::RabitqPlusIndex;

/// Told during a build how many vectors are done so far; called from any thread, so numbers may arrive out of order.
pub type Progress<'a> = &'a (dyn Fn(usize) + Sync);

/// Words that the owner of an index seals into its file, such as a witness; kept as they are, and sorted.
pub type Attributes = BTreeMap<String, String>;

/// Answers nearest-neighbour queries over vectors held in memory. Searching takes `&self` and is safe from many threads.
pub trait VectorIndex: Send + Sync + fmt::Debug {
    /// Which structure this is.
    fn kind(&self) -> IndexKind;

    /// Coordinates per vector.
    fn dim(&self) -> Dim;

    /// How distances are measured.
    fn metric(&self) -> Metric {
        self.build_params().metric
    }

    /// The parameters it was built with.
    fn build_params(&self) -> &BuildParams;

    /// Number of vectors.
    fn len(&self) -> usize {
        self.ids().len()
    }

    /// Whether there are no vectors.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The id of every vector, in the order they were given to the build.
    fn ids(&self) -> &[u64];

    /// Returns a copy of the original vector behind `id`; nothing if there is no such id, or no originals are kept.
    fn vector(&self, id: u64) -> Option<Vec<f32>>;

    /// Returns the `min(k, matching)` nearest vectors, nearest first; ties by smaller id.
    ///
    /// `matching` is the number of vectors whose id is in the filter: with a filter `k` rows come back whenever `k` rows
    /// match.
    ///
    /// # Errors
    /// `InvalidInput` if `k` is 0, if the query's dimension is not that of the index, or if a component of the query is
    /// NaN or infinite.
    fn search(&self, query: &[f32], params: &SearchParams<'_>) -> Result<Vec<Hit>>;

    /// Bytes of memory held.
    fn memory_bytes(&self) -> usize;

    /// What the owner sealed into the index.
    fn attributes(&self) -> &Attributes;

    /// What the owner seals into the index; saved with it.
    fn attributes_mut(&mut self) -> &mut Attributes;

    /// The parts an index file stores; [`save`](crate::persist::save) writes them.
    fn parts(&self) -> IndexParts<'_>;
}

/// One answer of a search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// Whose vector it is.
    pub id: u64,
    /// The exact distance by the metric of the index, nearer is smaller: *squared* L2, the negated inner product, or one
    /// minus the cosine.
    pub distance: f32,
}

/// Which structure an index is.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IndexKind {
    /// [`FlatF32Index`].
    FlatF32,
    /// [`RabitqPlusIndex`].
    RabitqPlus,
}

impl IndexKind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::FlatF32, Self::RabitqPlus];

    /// The name in SQL and in [`FromStr`]: `flat` or `rabitq_plus`.
    pub fn name(self) -> &'static str {
        match self {
            Self::FlatF32 => "flat",
            Self::RabitqPlus => "rabitq_plus",
        }
    }
}

impl fmt::Display for IndexKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for IndexKind {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            Error::invalid_input("unknown index kind")
                .with("expected", "flat or rabitq_plus")
                .with("got", format_args!("'{name}'"))
        })
    }
}

/// What an index is made of, borrowed.
#[derive(Clone, Copy)]
pub struct IndexParts<'a> {
    pub(crate) kind: IndexKind,
    pub(crate) dim: Dim,
    pub(crate) params: &'a BuildParams,
    pub(crate) ids: &'a [u64],
    pub(crate) vectors: &'a [f32],
    pub(crate) codes: Option<&'a RabitqCodes>,
    pub(crate) attributes: &'a Attributes,
}

impl fmt::Debug for IndexParts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IndexParts").field("kind", &self.kind).field("params", self.params).finish_non_exhaustive()
    }
}

/// Prints what an index is, not the millions of numbers in it.
fn debug_index(index: &dyn VectorIndex, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.debug_struct("VectorIndex")
        .field("kind", &index.kind())
        .field("dim", &index.dim())
        .field("len", &index.len())
        .field("params", index.build_params())
        .finish_non_exhaustive()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_round_trip() {
        for kind in IndexKind::ALL {
            assert_eq!(kind.to_string().parse::<IndexKind>().unwrap(), kind);
        }
        let error = "hnsw".parse::<IndexKind>().unwrap_err();
        assert_eq!(error.to_string(), "unknown index kind: expected flat or rabitq_plus, got 'hnsw'");
    }
}
