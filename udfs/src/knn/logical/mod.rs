//! Logical nodes of searches, one a file: what `EXPLAIN` shows in the logical plan.

pub mod federated;
pub(crate) mod join;
pub mod knn;
pub(crate) mod recall;
