//! The kinds of index as public types: ids, vectors and [`BuildParams`] go in, an index with the parts of its kind comes out.

use std::fmt;

use super::core::{Attributes, Core};
use super::ids::Ids;
use super::kind::IndexKind;
use super::lists::Lists;
use super::originals::Originals;
use super::params::{BuildParams, Control, Progress};
use super::values::Values;
use super::vector_index::VectorIndex;
use crate::error::Result;
use crate::vector::VectorBatch;

/// Declares a kind: a name around the parts.
macro_rules! kind {
    ($(#[$doc:meta])* $name:ident, $kind:ident) => {
        $(#[$doc])*
        pub struct $name(Core);

        impl $name {
            pub(crate) const KIND: IndexKind = IndexKind::$kind;

            /// Builds the index, on all threads of the current rayon pool. Without `ids` vectors are numbered from 0. The
            /// result does not depend on the machine or the number of threads.
            ///
            /// # Errors
            /// `InvalidInput` if a component is above [`Metric::max_coordinate`](crate::Metric::max_coordinate), if the
            /// number of ids is not that of the vectors, if two ids are equal, or if a parameter is out of range;
            /// `Cancelled` if `progress` said so.
            pub fn build(
                ids: Option<&[u64]>,
                vectors: VectorBatch<'_>,
                params: &BuildParams,
                progress: Option<Progress<'_>>,
            ) -> Result<Self> {
                Core::build(Self::KIND, ids, vectors, params, progress).map(Self)
            }

            /// Returns an index of these parts, or nothing if they are those of another kind.
            pub(crate) fn from_core(core: Core) -> Option<Self> {
                (core.kind == Self::KIND).then_some(Self(core))
            }
        }

        impl VectorIndex for $name {
            fn core(&self) -> &Core {
                &self.0
            }

            fn core_mut(&mut self) -> &mut Core {
                &mut self.0
            }
        }

        impl fmt::Debug for $name {
            /// Prints what the index is, not the millions of numbers in it.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name))
                    .field("dim", &self.dim())
                    .field("len", &self.len())
                    .field("params", self.build_params())
                    .finish_non_exhaustive()
            }
        }
    };
}

kind! {
    /// Exact search: the distance to every vector is computed. The oracle of every other kind.
    FlatF32Index, FlatF32
}

kind! {
    /// 1-bit codes alone: the smallest, `padded_dim / 8 + 12` bytes per vector. Distances are unbiased estimates; there
    /// are no originals to make them exact.
    RabitqIndex, Rabitq
}

kind! {
    /// 1-bit codes, estimated with the floats of the query instead of its 8-bit tables. With originals
    /// ([`BuildParams::keep_originals`]) it answers as [`RabitqPlusIndex`] does.
    RabitqAsymIndex, RabitqAsym
}

kind! {
    /// 1-bit codes to rule vectors out, and the originals to rank what is left: the recall of exact search at a fraction
    /// of its cost. Only the error bound can miss an answer: with [`DEFAULT_EPSILON`](super::DEFAULT_EPSILON) about one in
    /// 700 of those that are as far as the last answer.
    ///
    /// Codes are made around a centroid for each thousand vectors, which tightens the bound. A search begins with the
    /// nearest of them, and leaves a list out only if none of its vectors can be an answer, by the triangle inequality.
    RabitqPlusIndex, RabitqPlus
}

kind! {
    /// Inverted lists of 1-bit codes, four-bit rows behind them, and the originals unless they are left out: for millions
    /// of vectors. A search looks into the [`nprobe`](super::SearchParams::nprobe) lists nearest to the query.
    ///
    /// Lists are made when it is built: one that is begun empty keeps all it is given in a single list.
    IvfRabitqIndex, IvfRabitq
}

/// The kind that the parts make.
pub(crate) fn boxed(core: Core) -> Box<dyn VectorIndex> {
    match core.kind {
        IndexKind::FlatF32 => Box::new(FlatF32Index(core)),
        IndexKind::Rabitq => Box::new(RabitqIndex(core)),
        IndexKind::RabitqAsym => Box::new(RabitqAsymIndex(core)),
        IndexKind::RabitqPlus => Box::new(RabitqPlusIndex(core)),
        IndexKind::IvfRabitq => Box::new(IvfRabitqIndex(core)),
    }
}

impl Clone for Box<dyn VectorIndex> {
    fn clone(&self) -> Self {
        boxed(self.core().clone())
    }
}

impl Core {
    /// Builds the parts that a kind has.
    pub(super) fn build(
        kind: IndexKind,
        ids: Option<&[u64]>,
        vectors: VectorBatch<'_>,
        params: &BuildParams,
        progress: Option<Progress<'_>>,
    ) -> Result<Self> {
        params.check()?;
        vectors.check_fit(params.metric)?;
        let ids = Ids::new(ids.map(<[u64]>::to_vec), vectors.num_vectors())?;
        let control = Control::new(progress);
        let lists = match kind {
            IndexKind::FlatF32 => None,
            IndexKind::Rabitq | IndexKind::RabitqAsym => Some(Lists::build(params, 1, false, vectors, &control)?),
            IndexKind::RabitqPlus => {
                let nlist = vectors.num_vectors() / PLUS_LIST_LEN;
                Some(Lists::build(params, nlist, false, vectors, &control)?)
            }
            IndexKind::IvfRabitq => {
                let nlist = params.nlist.unwrap_or_else(|| default_nlist(vectors.num_vectors()));
                Some(Lists::build(params, nlist, true, vectors, &control)?)
            }
        };
        let originals = kind
            .keeps_originals(params)
            .then(|| Originals::new(params.metric, vectors.dim(), Values::copy_of(vectors.values())));
        if lists.is_none() {
            control.report(vectors.num_vectors());
        }
        control.check()?;
        Ok(Self {
            kind,
            params: params.clone(),
            dim: vectors.dim(),
            ids,
            originals,
            lists,
            attributes: Attributes::new(),
        })
    }
}

impl IndexKind {
    /// Builds an index of this kind. Without `ids` vectors are numbered from 0.
    ///
    /// # Errors
    /// `InvalidInput` if a component is above [`Metric::max_coordinate`](crate::Metric::max_coordinate), if the number of ids is
    /// not that of the vectors, if two ids are equal, or if a parameter is out of range; `Cancelled` if `progress` said so.
    pub fn build(
        self,
        ids: Option<&[u64]>,
        vectors: VectorBatch<'_>,
        params: &BuildParams,
        progress: Option<Progress<'_>>,
    ) -> Result<Box<dyn VectorIndex>> {
        Core::build(self, ids, vectors, params, progress).map(boxed)
    }

    /// Returns true if an index of this kind holds the originals.
    pub(crate) fn keeps_originals(self, params: &BuildParams) -> bool {
        match self {
            Self::FlatF32 | Self::RabitqPlus => true,
            Self::Rabitq => false,
            Self::RabitqAsym | Self::IvfRabitq => params.keep_originals,
        }
    }
}

/// Vectors in a list of `rabitq_plus`: many enough that a list costs little beside its vectors.
const PLUS_LIST_LEN: usize = 1024;

/// Lists for so many vectors, unless another number is asked for.
fn default_nlist(num_vectors: usize) -> usize {
    4 * num_vectors.isqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::conformance::{Exactness, index_conformance};
    use crate::index::{IndexKind, VectorIndex};
    use crate::test_data::clustered;
    use crate::vector::{Dim, VectorBatch};

    /// The memory of a vector in codes alone: a bit for each coordinate, and three factors.
    #[test]
    fn a_vector_of_rabitq_takes_its_bits_and_twelve_bytes() {
        for dim in [3, 128, 384, 1000] {
            let bytes = |num_vectors: usize| {
                let values = clustered(1, num_vectors, dim, 5);
                let vectors = VectorBatch::new(Dim::new(dim).unwrap(), &values).unwrap();
                RabitqIndex::build(None, vectors, &BuildParams::default(), None).unwrap().memory_bytes()
            };
            let padded_dim = dim.next_multiple_of(64);
            assert_eq!(bytes(640) - bytes(320), 320 * (padded_dim / 8 + 12), "dim {dim}");
        }
    }

    #[test]
    fn flat_index() {
        index_conformance(IndexKind::FlatF32, true, Exactness::Exact);
    }

    #[test]
    fn rabitq_index() {
        index_conformance(IndexKind::Rabitq, true, Exactness::Estimates { min_recall: 0.3 });
    }

    #[test]
    fn rabitq_asym_index() {
        index_conformance(IndexKind::RabitqAsym, true, Exactness::Bounded);
    }

    #[test]
    fn rabitq_asym_index_without_originals() {
        index_conformance(IndexKind::RabitqAsym, false, Exactness::Estimates { min_recall: 0.3 });
    }

    #[test]
    fn rabitq_plus_index() {
        index_conformance(IndexKind::RabitqPlus, true, Exactness::Bounded);
    }

    #[test]
    fn ivf_rabitq_index() {
        index_conformance(IndexKind::IvfRabitq, true, Exactness::Bounded);
    }

    #[test]
    fn ivf_rabitq_index_without_originals() {
        index_conformance(IndexKind::IvfRabitq, false, Exactness::Estimates { min_recall: 0.8 });
    }
}
