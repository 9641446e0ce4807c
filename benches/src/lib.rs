//! Benchmarks: each checks its answers, then times them, and prints a table.

/// Vectors to search, and queries to search with.
pub mod clustered;
