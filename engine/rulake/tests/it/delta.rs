//! Vectors in Delta: the type that comes back, addresses that hold, and rows taken by them from a pinned version.

use std::collections::HashMap;
use std::path::Path;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, UInt64Type};
use datafusion::physical_plan::collect;
use roaring::RoaringTreemap;
use ruvector_rulake::vector_column::vector_type;
use ruvector_rulake::{Backend, DeltaBackend, ErrorKind, RowAddress, ScanRequest, Snapshot};

use crate::support::{DIM, context, ids, rows, schema, stream, vector, vectors};

async fn table_of_three_files(root: &Path) -> DeltaBackend {
    let backend = DeltaBackend::open("main", root).unwrap();
    backend.create("docs", &schema()).await.unwrap();
    for file in [[0, 1, 2, 3, 4], [10, 11, 12, 13, 14], [20, 21, 22, 23, 24]] {
        assert_eq!(backend.append("docs", stream(rows(&file))).await.unwrap(), 5);
    }
    backend
}

/// Every row with its address, in address order.
async fn addressed(snapshot: &dyn Snapshot) -> Vec<(u64, i64)> {
    let request = ScanRequest { with_address: true, ..ScanRequest::default() };
    let plan = snapshot.scan(&context(), &request).await.unwrap();
    let batches = collect(plan, context()).await.unwrap();
    let mut rows: Vec<(u64, i64)> = batches
        .iter()
        .flat_map(|batch| {
            let addresses = batch.column(2).as_primitive::<UInt64Type>().values().to_vec();
            addresses.into_iter().zip(ids(batch))
        })
        .collect();
    rows.sort_unstable();
    rows
}

async fn scanned(snapshot: &dyn Snapshot) -> Vec<RecordBatch> {
    let plan = snapshot.scan(&context(), &ScanRequest::default()).await.unwrap();
    collect(plan, context()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn vectors_come_back_as_they_went_in() {
    let folder = tempfile::tempdir().unwrap();
    let backend = table_of_three_files(folder.path()).await;
    let snapshot = backend.snapshot("docs").await.unwrap();
    assert_eq!(snapshot.schema().field(1).data_type(), &vector_type(DIM).unwrap());
    assert_eq!(snapshot.num_rows(), Some(15));
    let batches = scanned(snapshot.as_ref()).await;
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 15);
    for batch in &batches {
        assert!(matches!(batch.column(1).data_type(), DataType::FixedSizeList(_, 4)));
        let expected: Vec<Vec<f32>> = ids(batch).into_iter().map(|id| vector(id).to_vec()).collect();
        assert_eq!(vectors(batch.column(1)), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_are_physical_rows_and_the_same_in_every_process() {
    let folder = tempfile::tempdir().unwrap();
    let backend = table_of_three_files(folder.path()).await;
    let snapshot = backend.snapshot("docs").await.unwrap();
    let rows = addressed(snapshot.as_ref()).await;
    for (address, id) in &rows {
        assert_eq!(i64::from(RowAddress::from(*address).row()), id % 10, "row in the file as written");
    }
    let files: std::collections::HashSet<usize> =
        rows.iter().map(|(address, _)| RowAddress::from(*address).file()).collect();
    assert_eq!(files.len(), 3);

    let another = DeltaBackend::open("main", folder.path()).unwrap();
    assert_eq!(addressed(another.snapshot("docs").await.unwrap().as_ref()).await, rows);
}

#[tokio::test(flavor = "multi_thread")]
async fn deletion_vectors_hide_rows_and_move_no_address() {
    let folder = tempfile::tempdir().unwrap();
    let backend = table_of_three_files(folder.path()).await;
    let before = addressed(backend.snapshot("docs").await.unwrap().as_ref()).await;
    delete_by_vector(&folder.path().join("docs"), &[1, 3]);

    let snapshot = backend.snapshot("docs").await.unwrap();
    let after = addressed(snapshot.as_ref()).await;
    assert_eq!(after.len(), 13);
    assert_eq!(snapshot.num_rows(), Some(13));
    let expected: Vec<_> = before.iter().copied().filter(|row| after.contains(row)).collect();
    assert_eq!(after, expected, "what is left keeps its address");
    let gone: Vec<i64> = before.iter().filter(|row| !after.contains(row)).map(|(_, id)| id % 10).collect();
    assert_eq!(gone, [1, 3]);

    let wanted: Vec<RowAddress> =
        after.iter().rev().step_by(3).map(|(address, _)| RowAddress::from(*address)).collect();
    let expected: Vec<i64> = after.iter().rev().step_by(3).map(|(_, id)| *id).collect();
    let taken = snapshot.take(&context(), &wanted, &[0, 1]).await.unwrap();
    assert_eq!(ids(&taken), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn winners_are_taken_in_order_from_the_pinned_version() {
    let folder = tempfile::tempdir().unwrap();
    let backend = table_of_three_files(folder.path()).await;
    let pinned = backend.snapshot("docs").await.unwrap();
    let by_id: HashMap<i64, u64> =
        addressed(pinned.as_ref()).await.into_iter().map(|(address, id)| (id, address)).collect();
    let predicate = datafusion::prelude::col("id").gt(datafusion::prelude::lit(2));
    assert_eq!(backend.delete("docs", Some(predicate)).await.unwrap(), 12);

    let wanted = [23, 0, 11, 14];
    let addresses: Vec<RowAddress> = wanted.iter().map(|id| RowAddress::from(by_id[id])).collect();
    let taken = pinned.take(&context(), &addresses, &[1, 0]).await.unwrap();
    assert_eq!(taken.schema().field(0).name(), "vec");
    assert_eq!(ids(&taken.project(&[1]).unwrap()), wanted);
    assert_eq!(vectors(taken.column(0)), wanted.map(|id| vector(id).to_vec()));

    let newest = backend.snapshot("docs").await.unwrap();
    assert_ne!(newest.generation(), pinned.generation());
    assert_eq!(addressed(newest.as_ref()).await.iter().map(|(_, id)| *id).collect::<Vec<_>>(), [0, 1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_gone_is_said_to_be() {
    let folder = tempfile::tempdir().unwrap();
    let backend = table_of_three_files(folder.path()).await;
    let pinned = backend.snapshot("docs").await.unwrap();
    let all: Vec<RowAddress> =
        addressed(pinned.as_ref()).await.into_iter().map(|(address, _)| RowAddress::from(address)).collect();
    for entry in std::fs::read_dir(folder.path().join("docs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "parquet") {
            std::fs::remove_file(path).unwrap();
        }
    }
    let error = pinned.take(&context(), &all, &[0]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::GenerationGone, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_made_again_under_the_same_name_is_another() {
    let folder = tempfile::tempdir().unwrap();
    let backend = table_of_three_files(folder.path()).await;
    let old = backend.snapshot("docs").await.unwrap();
    // By another process, as far as this backend can tell.
    let other = DeltaBackend::open("main", folder.path()).unwrap();
    other.drop("docs").await.unwrap();
    other.create("docs", &schema()).await.unwrap();
    for _ in 0..4 {
        other.append("docs", stream(rows(&[7]))).await.unwrap();
    }
    let new = backend.snapshot("docs").await.unwrap();
    assert_ne!(new.generation(), old.generation());
    assert_eq!(new.num_rows(), Some(4));
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_do_not_fit_leave_the_table_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let backend = table_of_three_files(folder.path()).await;
    let generation = backend.snapshot("docs").await.unwrap().generation().clone();

    let mut bad = rows(&[30, 31]).columns().to_vec();
    let list = arrow::array::FixedSizeListArray::from_iter_primitive::<arrow::datatypes::Float32Type, _, _>(
        [Some([Some(0.0), Some(f32::NAN), Some(0.0), Some(0.0)]), Some([Some(0.0); 4])],
        4,
    );
    bad[1] = std::sync::Arc::new(list);
    let bad = RecordBatch::try_new(schema(), bad).unwrap();
    let error = backend.append("docs", stream(bad)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    assert!(error.to_string().contains("row 0") && error.to_string().contains("NaN"), "{error}");

    let short: arrow::array::ListArray =
        arrow::array::ListArray::from_iter_primitive::<arrow::datatypes::Float32Type, _, _>([Some([Some(1.0); 3])]);
    let fields = vec![arrow::datatypes::Field::new("vec", short.data_type().clone(), true)];
    let short = RecordBatch::try_new(
        std::sync::Arc::new(arrow::datatypes::Schema::new(fields)),
        vec![std::sync::Arc::new(short)],
    )
    .unwrap();
    let error = backend.append("docs", stream(short)).await.unwrap_err();
    assert!(error.to_string().contains("expected 4, got 3"), "{error}");
    assert_eq!(backend.snapshot("docs").await.unwrap().generation(), &generation);

    let error = backend.create_with("made", schema(), stream(rows(&[1]).slice(0, 0))).await;
    assert!(error.is_ok(), "an empty table can be made");
    assert_eq!(backend.append("missing", stream(rows(&[1]))).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(backend.create("../up", &schema()).await.unwrap_err().kind(), ErrorKind::InvalidInput);
}

/// Commits a version in which `deleted` physical rows of the first file are hidden by an inline deletion vector, as other
/// Delta writers do.
pub(crate) fn delete_by_vector(table: &Path, deleted: &[u64]) {
    let log = table.join("_delta_log");
    let first = std::fs::read_to_string(log.join(format!("{:020}.json", 1))).unwrap();
    let mut add = first
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap().get("add").cloned())
        .next()
        .unwrap();
    let path = add["path"].clone();
    let mut bytes = 1_681_511_377_i32.to_le_bytes().to_vec();
    deleted.iter().copied().collect::<RoaringTreemap>().serialize_into(&mut bytes).unwrap();
    let size = bytes.len();
    add["deletionVector"] = serde_json::json!({
        "storageType": "i", "pathOrInlineDv": z85(&bytes), "sizeInBytes": size, "cardinality": deleted.len(),
    });
    let features = ["deletionVectors"];
    let actions = [
        serde_json::json!({"protocol": {
            "minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": features, "writerFeatures": features,
        }}),
        serde_json::json!({"remove": {"path": path, "dataChange": true, "deletionTimestamp": 0}}),
        serde_json::json!({"add": add}),
    ];
    let next = std::fs::read_dir(&log)
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|extension| extension == "json"));
    let commit: Vec<String> = actions.iter().map(ToString::to_string).collect();
    std::fs::write(log.join(format!("{:020}.json", next.count())), commit.join("\n")).unwrap();
}

/// Base 85 as ZeroMQ writes it, padded with zero bytes to a multiple of 4.
fn z85(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";
    let mut text = String::new();
    for chunk in bytes.chunks(4) {
        let mut word = [0; 4];
        word[..chunk.len()].copy_from_slice(chunk);
        let value = u32::from_be_bytes(word);
        for power in (0..5).rev() {
            text.push(char::from(DIGITS[(value / 85_u32.pow(power) % 85) as usize]));
        }
    }
    text
}
