//! Ranges of DataFusion's numeric settings.
//!
//! Takes the name and the value of a `SET` and refuses a number that would size an allocation or a loop beyond reason.
//! DataFusion itself takes any number. Values that are no numbers are left to its own check.

use datafusion::common::config::ConfigOptions;

use ruvector_udfs::error::{Error, Result};

const KIB: f64 = 1024.0;
const MIB: f64 = 1024.0 * KIB;
const GIB: f64 = 1024.0 * MIB;

/// Settings with the smallest and the largest value that is taken. All are bounds, not measured.
///
/// An operator holds `batch_size` rows for each of its partitions, and a repartition has a queue for each pair of partitions: 128
/// partitions are 16,384 queues. Settings in bytes are at most what one statement may need of one operator.
const RANGES: &[(&str, f64, f64)] = &[
    ("datafusion.execution.batch_size", 1.0, 1_048_576.0),
    // 0 is the number of cores.
    ("datafusion.execution.target_partitions", 0.0, 128.0),
    ("datafusion.execution.planning_concurrency", 0.0, 128.0),
    ("datafusion.execution.meta_fetch_concurrency", 1.0, 256.0),
    // Entries of an array that has a place for each number between the smallest and the largest key.
    ("datafusion.execution.perfect_hash_join_small_build_threshold", 0.0, 1_048_576.0),
    ("datafusion.execution.perfect_hash_join_min_key_density", 0.01, 1.0),
    ("datafusion.execution.sort_spill_reservation_bytes", 0.0, GIB),
    ("datafusion.execution.sort_in_place_threshold_bytes", 0.0, GIB),
    ("datafusion.execution.sort_pushdown_buffer_capacity", 0.0, GIB),
    ("datafusion.execution.hash_join_buffering_capacity", 0.0, GIB),
    // Smaller files are more of them.
    ("datafusion.execution.max_spill_file_size_bytes", MIB, 1024.0 * GIB),
    ("datafusion.execution.minimum_parallel_output_files", 1.0, 128.0),
    ("datafusion.execution.soft_max_rows_per_output_file", 1024.0, 1e12),
    ("datafusion.execution.max_buffered_batches_per_output_file", 2.0, 64.0),
    ("datafusion.execution.objectstore_writer_buffer_size", 1.0, 256.0 * MIB),
    ("datafusion.execution.parquet.metadata_size_hint", 0.0, 64.0 * MIB),
    ("datafusion.execution.parquet.max_predicate_cache_size", 0.0, GIB),
    ("datafusion.execution.parquet.max_in_list_size", 0.0, 10_000.0),
    ("datafusion.execution.parquet.data_pagesize_limit", 1.0, 64.0 * MIB),
    ("datafusion.execution.parquet.write_batch_size", 1.0, 65_536.0),
    ("datafusion.execution.parquet.dictionary_page_size_limit", 1.0, 64.0 * MIB),
    ("datafusion.execution.parquet.max_row_group_size", 1.0, 16_777_216.0),
    ("datafusion.execution.parquet.max_row_group_bytes", 1.0, 4.0 * GIB),
    ("datafusion.execution.parquet.column_index_truncate_length", 1.0, 65_536.0),
    ("datafusion.execution.parquet.statistics_truncate_length", 1.0, 65_536.0),
    ("datafusion.execution.parquet.data_page_row_count_limit", 1.0, 16_777_216.0),
    ("datafusion.execution.parquet.bloom_filter_fpp", 1e-6, 0.5),
    ("datafusion.execution.parquet.bloom_filter_ndv", 1.0, 16_777_216.0),
    ("datafusion.execution.parquet.maximum_parallel_row_group_writers", 1.0, 64.0),
    ("datafusion.execution.parquet.maximum_buffered_record_batches_per_stream", 1.0, 64.0),
    ("datafusion.execution.parquet.content_defined_chunking.min_chunk_size", KIB, 64.0 * MIB),
    ("datafusion.execution.parquet.content_defined_chunking.max_chunk_size", KIB, 64.0 * MIB),
    ("datafusion.sql_parser.recursion_limit", 1.0, 50.0),
    ("datafusion.optimizer.max_passes", 0.0, 16.0),
    ("datafusion.optimizer.hash_join_inlist_pushdown_max_size", 0.0, 16.0 * MIB),
    ("datafusion.optimizer.hash_join_inlist_pushdown_max_distinct_values", 0.0, 100_000.0),
    ("datafusion.optimizer.default_filter_selectivity", 0.0, 100.0),
    ("datafusion.explain.tree_maximum_render_width", 0.0, 10_000.0),
];

/// Checks the value that a SET gives to a setting. The value that a session begins with is always taken.
///
/// `variable` is the name in lower case and without quotes, as the planner hands it on.
///
/// # Errors
/// `InvalidInput` for a number out of the range of its setting.
pub(crate) fn check(variable: &str, value: &str, defaults: &ConfigOptions) -> Result<()> {
    let Some((name, min, max)) = RANGES.iter().find(|(name, _, _)| is_meant(name, variable)) else { return Ok(()) };
    let in_range = match value.trim().parse::<f64>() {
        // Numbers that count nothing are left to DataFusion's own check too.
        Ok(number) => (number < 1.0 && *min >= 1.0) || (*min..=*max).contains(&number),
        Err(_) => true,
    };
    let is_default =
        || defaults.entries().iter().any(|entry| entry.key == *name && entry.value.as_deref() == Some(value));
    match in_range || is_default() {
        true => Ok(()),
        false => Err(Error::invalid_input(format!("{name}: expected a number from {min} to {max}, got {value}"))),
    }
}

/// Returns true if `variable` sets `name`. DataFusion ignores further parts of the name of a number: `batch_size.x` is
/// `batch_size`.
fn is_meant(name: &str, variable: &str) -> bool {
    variable.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn every_setting_exists_and_begins_within_its_range() {
        let defaults = ConfigOptions::new();
        let mut options = defaults.clone();
        let entries = defaults.entries();
        for (name, min, max) in RANGES {
            let Some(entry) = entries.iter().find(|entry| entry.key == *name) else {
                // Listed only when it is on.
                options.set(name, &max.to_string()).unwrap_or_else(|e| panic!("{name}: {e}"));
                continue;
            };
            if let Some(value) = &entry.value {
                check(name, value, &defaults).unwrap();
            }
            for value in [min, max] {
                check(name, &value.to_string(), &defaults).unwrap();
                options.set(name, &value.to_string()).unwrap_or_else(|e| panic!("{name} = {value}: {e}"));
            }
        }
    }

    #[test]
    fn numbers_beyond_are_refused_however_the_name_goes_on() {
        let defaults = ConfigOptions::new();
        for (name, value) in [
            ("datafusion.execution.batch_size", "70368744177664"),
            ("datafusion.execution.batch_size", "+1048577"),
            ("datafusion.execution.batch_size.x", "1048577"),
            ("datafusion.execution.target_partitions", "3000"),
            ("datafusion.execution.perfect_hash_join_min_key_density", "0"),
            ("datafusion.execution.perfect_hash_join_min_key_density", "NaN"),
            ("datafusion.execution.parquet.bloom_filter_ndv", "18446744073709551615"),
        ] {
            let error = check(name, value, &defaults).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{name} = {value}");
            assert!(error.to_string().contains("expected a number from"), "{error}");
            assert!(error.to_string().contains(value), "{error}");
        }
        for (name, value) in [
            ("datafusion.execution.batch_size", "65536"),
            ("datafusion.execution.batch_size", "many"),
            ("datafusion.execution.batch_sizes", "1000000"),
            ("datafusion.execution.target_partitions", "0"),
        ] {
            check(name, value, &defaults).unwrap_or_else(|e| panic!("{name} = {value}: {e}"));
        }
        let mut many_cores = ConfigOptions::new();
        many_cores.set("datafusion.execution.target_partitions", "192").unwrap();
        check("datafusion.execution.target_partitions", "192", &many_cores).unwrap();
    }
}
