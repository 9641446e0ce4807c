//! Functions and search relations for any DataFusion session: distances and other functions over vectors, `embed()`, sums and
//! means of vectors, `knn()`, `knn_batch()` and `recall()`, and ORDER BY of a distance as a search.
//!
//! Searches run over a [`collection::CollectionTable`]: one pinned state of a table, with the indexes that are declared over it.

#![forbid(unsafe_code)]

pub mod aggregate;
pub mod collection;
pub mod declared_index;
pub mod documentation;
pub mod error;
pub mod index_status;
pub mod knn;
pub mod lookup;
pub mod names;
pub mod register;
pub mod role;
pub mod scalar;
pub mod settings;

pub use register::register_all;
