//! Passes over all vectors or ids of a pinned state: folds, exact search, columns of ids.
//!
//! A pass reads through the contract and knows no backend. It checks what a backend hands out: types, dimensions, row counts.

pub mod exact;
mod fold;
mod read_ids;

pub(crate) use fold::{VectorFold, fold_vectors};
pub(crate) use read_ids::read_ids;
