//! Statements that would take memory out of proportion: each ends in an error, and the session goes on.

use ruvector_udfs::ErrorKind;

use crate::support::Database;

#[tokio::test(flavor = "multi_thread")]
async fn settings_have_ranges() {
    let database = Database::temporary().await;
    for (name, value) in [
        ("datafusion.execution.batch_size", "70368744177664"),
        ("DataFusion.Execution.Batch_Size", "65537"),
        ("\"datafusion\".\"execution\".batch_size", "0"),
        ("\"datafusion.execution.batch_size\"", "1000000"),
        ("datafusion.execution.batch_size.x", "1000000"),
        ("datafusion.execution.target_partitions", "70368744177664"),
        ("datafusion.execution.target_partitions", "3000"),
        ("datafusion.execution.parquet.bloom_filter_ndv", "18446744073709551615"),
        ("datafusion.optimizer.max_passes", "1000000000"),
    ] {
        for sql in [format!("SET {name} = {value}"), format!("SET {name} = '{value}'")] {
            let (kind, message) = database.error(&sql).await;
            assert_eq!(kind, ErrorKind::InvalidInput, "{sql}: {message}");
            assert!(message.contains("expected a number from"), "{sql}: {message}");
        }
    }
    for sql in [
        "SET datafusion.execution.batch_size = 100",
        "SET datafusion.execution.target_partitions = 3",
        "SET datafusion.execution.target_partitions = 0",
        "RESET datafusion.execution.batch_size",
        "RESET datafusion.execution.target_partitions",
    ] {
        database.run(sql).await;
    }
    assert_eq!(database.ids("SELECT count(*) FROM generate_series(1, 10)").await, [10]);
}
