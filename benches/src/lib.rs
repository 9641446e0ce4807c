//! Benchmarks. Each checks its answers, then times them, and prints a table.

/// Time, bytes and cycles of one loop, as a row.
pub mod table;
