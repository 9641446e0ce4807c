//! Vector indexes made of RaBitQ codes: one bit per coordinate, an unbiased distance estimate with an error bound, and
//! exact distances for what the bound cannot rule out.
//!
//! It is a library that answers nearest-neighbour queries over vectors held in memory, and keeps them in files that are
//! the same on every machine.
//! It is not a server, a query planner or a store of record: nothing here waits on a socket or knows SQL, and an index
//! file is derived data that its owner can rebuild.
//!
//! ```
//! use ruvector_rabitq::{BuildParams, Dim, Metric, RabitqPlusIndex, SearchParams, VectorBatch, VectorIndex};
//!
//! # fn main() -> ruvector_rabitq::Result<()> {
//! let values = [0.0, 0.0, 3.0, 4.0, 1.0, 0.0];
//! let vectors = VectorBatch::new(Dim::new(2)?, &values)?;
//! let index = RabitqPlusIndex::build(Some(&[10, 20, 30]), vectors, &BuildParams::new(Metric::L2), None)?;
//!
//! let hits = index.search(&[0.9, 0.0], &SearchParams::new(2))?;
//! assert_eq!(hits.iter().map(|hit| hit.id).collect::<Vec<_>>(), [30, 10]);
//!
//! let only_far: roaring::RoaringTreemap = [20].into_iter().collect();
//! let hits = index.search(&[0.0, 0.0], &SearchParams::new(2).with_filter(&only_far))?;
//! assert_eq!((hits[0].id, hits[0].distance), (20, 25.0));
//!
//! # let folder = tempfile::tempdir().expect("a temporary folder");
//! # let path = folder.path().join("docs.rbpx");
//! index.save(&path)?;
//! let loaded = ruvector_rabitq::load_any(&path)?;
//! assert_eq!(loaded.search(&[0.0, 0.0], &SearchParams::new(3))?, index.search(&[0.0, 0.0], &SearchParams::new(3))?);
//! # Ok(())
//! # }
//! ```
//!
//! Modules stand in the order in which vectors travel, and each uses only those above it.

#![deny(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that unwraps an error fails with its message"))]
#![cfg_attr(
    test,
    allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "tests make small numbers, and random bits"
    )
)]

pub mod atomic_file;
pub mod error;
pub mod top_k;

mod memory;
mod number;

mod kernel;

pub mod metric;
pub mod vector;

mod random;
mod rotation;

mod code;

pub mod index;
pub mod persist;

#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod bench;

#[cfg(test)]
mod test_data;

pub use error::{Error, ErrorKind, Result};
pub use index::{
    Attributes, BuildParams, FlatF32Index, Hit, IndexKind, IvfRabitqIndex, Progress, RabitqAsymIndex, RabitqIndex,
    RabitqPlusIndex, SearchParams, SearchStats, SharedIndex, VectorIndex,
};
pub use kernel::{CpuFeatures, cpu_features};
pub use metric::Metric;
pub use persist::{load_any, load_mapped};
pub use top_k::TopK;
pub use vector::{Dim, MAX_DIM, VectorBatch};
