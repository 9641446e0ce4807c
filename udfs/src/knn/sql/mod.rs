//! Relations of searches in SQL: their arguments as they were written, and the logical plan of each.

pub mod arguments;
mod batch;
mod federated;
pub mod planner;
mod recall;
