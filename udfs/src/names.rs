//! Names of the catalog and of its first schema.

/// The name of the one catalog.
pub(crate) const CATALOG: &str = "ruvector";
/// The schema of the default backend: Delta tables in the data directory.
pub(crate) const MAIN: &str = "main";
