//! From a statement to its plan: lookup of tables, parameters, arguments of searches, cached plans, one state of each table.

pub(crate) mod cache;
pub(crate) mod knn_arguments;
pub(crate) mod lookup;
pub(crate) mod parameters;
pub(crate) mod snapshot;
