//! Many searches in one: `knn_batch('docs', (SELECT id, vec FROM queries), k)`, and
//! `FROM queries q CROSS JOIN LATERAL knn('docs', q.vec, k)`.
//!
//! Both are one node: each row of its left input has a query vector as its last column, and comes out once for each of the
//! `k` nearest rows. Queries are searched for many at a time, in passes over the codes that they share.

mod batch;
mod exec;
mod lateral;
mod node;

pub(crate) use batch::{BATCH_RELATION, plan_batch};
pub(crate) use exec::{KnnJoinExec, Queries};
pub use lateral::Lateral;
pub(crate) use node::KnnJoinNode;
