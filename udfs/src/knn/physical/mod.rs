//! Execution plan nodes of searches, one a file, and the planner that makes them of the logical nodes.

mod federated;
mod inputs;
pub(super) mod join;
pub(super) mod knn;
pub mod planner;
mod recall;
mod search;
