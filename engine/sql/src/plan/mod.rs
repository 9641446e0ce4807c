//! From a statement to its plan: lookup of tables, parameters, arguments of searches, cached plans, one state of each table.

pub(crate) mod answer;
pub(crate) mod cache;
mod every_column;
pub(crate) mod knn_arguments;
pub(crate) mod lookup;
pub(crate) mod parameters;
pub(crate) mod prepared;
pub(crate) mod snapshot;
