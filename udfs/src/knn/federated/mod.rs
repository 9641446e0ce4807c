//! `knn('docs', q, k, backends => ['hot', 'lake'])`: one search over the collections of that name in several backends.
//!
//! Each backend is searched by a [`KnnNode`](super::node::KnnNode) of its own, at the same time; the node above merges the nearest of all. The
//! answer has the columns that all of them have in common, the distance, and the backend that each row is from.

mod exec;
mod node;
mod planner;

pub(crate) use exec::plan_federated_exec;
pub use node::FederatedNode;
pub(crate) use planner::{Federation, plan_federated};

/// The column that says which backend a row is from.
pub const BACKEND_COLUMN: &str = "_backend";
