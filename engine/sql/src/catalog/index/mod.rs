//! Declarations of indexes, and their builds.
//!
//! A declaration is a promise to answer from an index; the index itself is derived data that ruLake builds and seals. `catalog` keeps
//! the declarations beside the data, `builds` runs builds in the background.

pub(crate) mod builds;
mod catalog;
pub(crate) mod retire;

pub(crate) use catalog::IndexCatalog;
