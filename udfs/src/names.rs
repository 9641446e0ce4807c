//! Names of the catalog and of its first schema.

/// The name of the one catalog.
pub const CATALOG: &str = "ruvector";
/// The schema of the default backend: Delta tables in the data directory.
pub const MAIN: &str = "main";
