//! Structures that answer `search(query, k)`.

mod candidates;
mod core;
mod hit;
mod ids;
mod kind;
mod kinds;
mod lists;
mod originals;
mod params;
mod search;
mod shared;
mod stats;
mod values;
mod vector_index;

#[cfg(test)]
mod conformance;

pub use core::Attributes;
pub(crate) use core::Core;
pub use hit::Hit;
pub(crate) use ids::Ids;
pub use kind::IndexKind;
pub(crate) use kinds::boxed;
pub use kinds::{FlatF32Index, IvfRabitqIndex, RabitqAsymIndex, RabitqIndex, RabitqPlusIndex};
pub(crate) use lists::{List, Lists};
pub(crate) use originals::Originals;
pub use params::{BuildParams, DEFAULT_EPSILON, DEFAULT_RERANK_FACTOR, DEFAULT_SEED, Progress, SearchParams};
pub use shared::SharedIndex;
pub use stats::SearchStats;
pub(crate) use values::{Values, roomy};
pub use vector_index::VectorIndex;
