//! What of DataFusion's files is not run, and why. Everything else in them is.
//!
//! Beside what is listed here, statements that read or write files are left out (`COPY`, `CREATE EXTERNAL TABLE`), and those
//! that fail because the table that such a statement would have made is missing.

use std::ops::RangeInclusive;

/// Reasons, and the files or folders that are not run.
pub(super) const FILES: &[(&str, &[&str])] = &[
    ("functions of the crate datafusion-spark, which the engine does not have", &["spark/"]),
    ("PREPARE and EXECUTE are refused: parameters are bound with the statement", &["prepare.slt"]),
    ("a table whose name is a path is no table: whoever may ask could read any file", &["dynamic_file.slt"]),
    (
        "they list all catalogs, and ours is one",
        &[
            "information_schema.slt",
            "information_schema_columns.slt",
            "information_schema_multiple_catalogs.slt",
            "information_schema_table_types.slt",
        ],
    ),
    (
        "functions and types that the runner of DataFusion's tests makes in Rust",
        &["async_udf.slt", "cast_extension_type_metadata.slt"],
    ),
    ("functions are not made or dropped by SQL", &["create_function.slt"]),
    ("tables are filled from files", &["aggregate_skip_partial.slt"]),
    ("Avro is not built in", &["avro.slt"]),
    ("its memory limit is so near to what it needs that threads decide", &["aggregate_memory_spill.slt"]),
];

/// Reasons, files and lines. What begins in a range of several lines may answer otherwise; what begins in the one line of a
/// range must, or it does not belong here any more.
pub(super) const STATEMENTS: &[(&str, &str, &[RangeInclusive<u32>])] = &[
    ("array_distance takes a list and a large list", "array/array_length.slt", &[213..=213]),
    ("a schema of the runner of DataFusion's tests", "cte.slt", &[71..=71, 77..=77, 83..=83, 92..=92, 98..=98]),
    ("columns of a table over a file", "ddl.slt", &[703..=703]),
    ("DELETE ... LIMIT is refused earlier, with another message", "delete.slt", &[120..=120, 132..=132]),
    ("a table is filled from a file", "insert.slt", &[86..=86, 92..=92, 223..=223]),
    (
        "UPDATE ... FROM is refused earlier, with another message",
        "update.slt",
        &[72..=72, 85..=85, 89..=89, 95..=95, 113..=113],
    ),
    ("the dialect MsSQL is refused: it has no named arguments", "named_arguments.slt", &[131..=131, 135..=135]),
];

/// Tables that the runner of DataFusion's tests makes in Rust.
pub(super) const TABLES: &[&str] = &[
    "approx_distinct_union_test",
    "dict_struct_nullable",
    "dict_struct_table",
    "larger_table",
    "range_partitioned",
    "smaller_table",
    "table_with_many_types",
    "table_with_map",
    "table_with_metadata",
    "temp",
    "test_partition_table",
    "unbounded_range_like",
    "union_table",
];
