//! The parts of DataFusion's files that are not run, with reasons. Everything else in them is.
//!
//! Beside what is listed here, statements that read or write files are left out (`COPY`, `CREATE EXTERNAL TABLE`), and those
//! that fail because the table that such a statement would have made is missing.

use std::ops::RangeInclusive;

/// Reasons, and the files or folders that are not run.
pub(super) const FILES: &[(&str, &[&str])] = &[
    ("functions of the crate datafusion-spark, which the engine does not have", &["spark/"]),
    ("PREPARE and EXECUTE are refused: parameters are bound with the statement", &["prepare.slt"]),
    ("a table whose name is a path is no table: any reader could read any file", &["dynamic_file.slt"]),
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
    ("HAVING in LATERAL without GROUP BY is refused earlier, with another message", "lateral_join.slt", &[735..=735]),
    (
        "UPDATE ... FROM is refused earlier, with another message",
        "update.slt",
        &[72..=72, 85..=85, 89..=89, 95..=95, 113..=113],
    ),
    (
        "is answered here, and refused by DataFusion",
        "aggregate.slt",
        &[8006..=8006, 8317..=8317, 8321..=8321, 8325..=8325, 8329..=8329],
    ),
    (
        "is answered here, and refused by DataFusion",
        "datetime/arith_interval_double.slt",
        &[9..=9, 13..=13, 17..=17, 29..=29],
    ),
    ("is answered here, and refused by DataFusion", "predicates.slt", &[1004..=1004]),
    ("is answered here, and refused by DataFusion", "subquery.slt", &[432..=432]),
    ("is answered here, and refused by DataFusion", "unnest.slt", &[550..=550]),
    ("is answered here, and refused by DataFusion", "wildcard.slt", &[152..=152]),
    ("is answered here, and refused by DataFusion", "window.slt", &[6002..=6002]),
    (
        "plans show what the rules of the engine add: counts that are BIGINT, subqueries as columns, extremes of floats",
        "aggregate.slt",
        &[9035..=9035, 9092..=9092],
    ),
    (
        "plans show what the rules of the engine add: counts that are BIGINT, subqueries as columns, extremes of floats",
        "aggregates_topk.slt",
        &[622..=622],
    ),
    (
        "plans show what the rules of the engine add: counts that are BIGINT, subqueries as columns, extremes of floats",
        "explain_analyze.slt",
        &[156..=156, 167..=167, 331..=331, 352..=352, 374..=374, 392..=392, 450..=450, 464..=464],
    ),
    (
        "plans show what the rules of the engine add: counts that are BIGINT, subqueries as columns, extremes of floats",
        "joins.slt",
        &[1984..=1984, 3655..=3655, 3696..=3696, 5172..=5172],
    ),
    (
        "plans show what the rules of the engine add: counts that are BIGINT, subqueries as columns, extremes of floats",
        "qualify.slt",
        &[281..=281],
    ),
    (
        "plans show what the rules of the engine add: counts that are BIGINT, subqueries as columns, extremes of floats",
        "subquery.slt",
        &[
            521..=521,
            535..=535,
            661..=661,
            776..=776,
            788..=788,
            1242..=1242,
            458..=458,
            470..=470,
            687..=687,
            1019..=1019,
            1042..=1042,
            1108..=1108,
        ],
    ),
    (
        "plans show what the rules of the engine add: counts that are BIGINT, subqueries as columns, extremes of floats",
        "unnest.slt",
        &[974..=974],
    ),
    (
        "plans show what the rules of the engine add: counts that are BIGINT, subqueries as columns, extremes of floats",
        "window.slt",
        &[316..=316, 4272..=4272, 5330..=5330, 5370..=5370, 5408..=5408, 5447..=5447, 5486..=5486, 5534..=5534],
    ),
    (
        "plans show what the rules of the engine add: counts that are BIGINT, subqueries as columns, extremes of floats",
        "window_topn.slt",
        &[
            54..=54,
            101..=101,
            122..=122,
            140..=140,
            161..=161,
            177..=177,
            201..=201,
            314..=314,
            330..=330,
            368..=368,
            387..=387,
            400..=400,
            436..=436,
            471..=471,
            507..=507,
            537..=537,
            614..=614,
            626..=626,
            704..=704,
            812..=812,
            892..=892,
            953..=953,
            1022..=1022,
            1088..=1088,
        ],
    ),
    (
        "what ANY of an array with a NULL in it cannot tell is NULL",
        "array/array_has.slt",
        &[760..=760, 765..=765, 770..=770, 775..=775, 806..=806, 812..=812, 817..=817, 822..=822, 827..=827, 832..=832],
    ),
    ("a clause is refused earlier, with another message", "ddl.slt", &[227..=227]),
    ("a clause is refused earlier, with another message", "errors.slt", &[78..=78]),
    ("a clause is refused earlier, with another message", "merge_into.slt", &[224..=224]),
    ("counts and places are BIGINT", "window.slt", &[4107..=4107, 4113..=4113, 4119..=4119, 4137..=4137]),
    ("a clause that DataFusion ignores is refused", "group_by.slt", &[4123..=4123]),
    ("NULL NOT IN (...) is unknown", "null_aware_anti_join.slt", &[174..=174]),
    ("a number of rows is a cast, on which no other column is known to depend", "window.slt", &[5076..=5076]),
    ("the dialect MsSQL is refused: it has no named arguments", "named_arguments.slt", &[131..=131, 135..=135]),
    (
        "plans show what the rules of the engine add: counts that are BIGINT, subqueries as columns, extremes of floats",
        "eliminate_outer_join.slt",
        &[792..=792],
    ),
    (
        "plans show what the rules of the engine add: counts that are BIGINT, subqueries as columns, extremes of floats",
        "lateral_join.slt",
        &[755..=755],
    ),
    (
        "plans show what the rules of the engine add: counts that are BIGINT, subqueries as columns, extremes of floats",
        "math.slt",
        &[1199..=1199, 1217..=1217],
    ),
    (
        "plans show what the rules of the engine add: counts that are BIGINT, subqueries as columns, extremes of floats",
        "nested_loop_join_spill.slt",
        &[45..=45, 98..=98],
    ),
    ("a NaN equals every NaN, whatever its sign", "predicates.slt", &[476..=476, 489..=489, 511..=511, 516..=516]),
    ("is answered here, and refused by DataFusion", "subquery.slt", &[436..=436]),
    ("plans show a scalar subquery that may have no row", "subquery.slt", &[483..=483]),
    ("the size of the answer is refused earlier, with another message", "array/array_range.slt", RANGES_TOO_LONG),
    ("the size of the answer is refused earlier, with another message", "array/array_repeat.slt", &[46..=46, 83..=83]),
    (
        "the size of the answer is refused earlier, with another message",
        "array/array_resize.slt",
        &[68..=68, 71..=71, 76..=76, 81..=81],
    ),
    (
        "the size of the answer is refused earlier, with another message",
        "string/string_literal.slt",
        &[399..=399, 452..=452, 785..=785],
    ),
    ("a setting out of its range is refused earlier, with another message", "set_variable.slt", &[773..=773]),
    ("a list that is made in each row is searched, not rewritten", "array/array_has.slt", &[622..=622]),
];

const RANGES_TOO_LONG: &[RangeInclusive<u32>] = &[42..=42, 45..=45, 363..=363, 366..=366];

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
