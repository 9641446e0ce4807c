//! Benchmarks. Each checks its answers, then times them, and prints a table.

/// Time and cycles of a loop, and the rate at which memory can be read.
pub mod timing;
