//! What of DataFusion's files is not run, and why.

/// Reasons, and files or folders.
pub(super) const FILES: &[(&str, &[&str])] = &[];

/// Reasons, files and the lines of their statements. A statement that answers as it should must not be among them.
pub(super) const STATEMENTS: &[(&str, &str, &[u32])] = &[];

/// Tables that the runner of DataFusion's tests makes in Rust.
pub(super) const TABLES: &[&str] = &[
    "dict_struct_table",
    "range_partitioned",
    "table_with_many_types",
    "table_with_map",
    "table_with_metadata",
    "temp",
    "union_table",
];
