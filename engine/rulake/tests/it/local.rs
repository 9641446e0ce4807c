//! Collections in memory: what is written is what is read, and a state that was pinned stays as it was.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, Int64Array, ListArray, RecordBatch, StringArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Float32Type, Float64Type, Int64Type, Schema, UInt64Type};
use datafusion::physical_plan::collect;
use ruvector_rabitq::{Dim, Metric, SearchParams, VectorBatch};
use ruvector_rulake::{Backend, ErrorKind, IndexSpec, LocalBackend, RowAddress, ScanRequest, Snapshot, exact};

use crate::support::{DIM, Random, context, ids, lake_over, rows, schema, vector, vectors};

async fn scan(snapshot: &Arc<dyn Snapshot>, request: &ScanRequest) -> RecordBatch {
    let plan = snapshot.scan(&context(), request).await.unwrap();
    let schema = plan.schema();
    concat_batches(&schema, &collect(plan, context()).await.unwrap()).unwrap()
}

async fn pinned(backend: &LocalBackend) -> Arc<dyn Snapshot> {
    backend.snapshot("docs").await.unwrap()
}

async fn sorted_ids(backend: &LocalBackend) -> Vec<i64> {
    let mut found = ids(&scan(&pinned(backend).await, &ScanRequest::default()).await);
    found.sort_unstable();
    found
}

/// Rows of these ids whose vectors are those of other ids.
fn rows_with(ids: &[i64], vectors_of: &[i64]) -> RecordBatch {
    let columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(ids.to_vec())), Arc::clone(rows(vectors_of).column(1))];
    RecordBatch::try_new(schema(), columns).unwrap()
}

fn flat(ids: &[i64]) -> Vec<f32> {
    ids.iter().flat_map(|id| vector(*id)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_agree_with_a_map() {
    const SEED: u64 = 20_261;
    println!("seed {SEED}");
    let mut random = Random::new(SEED);
    let backend = LocalBackend::new("hot");
    backend.put("docs", schema(), &[]).unwrap();
    // What each id's vector is made of.
    let mut model: HashMap<i64, i64> = HashMap::new();
    for step in 0..600 {
        let mut changed: Vec<i64> = (0..1 + random.below(12)).map(|_| random.below(200) as i64).collect();
        changed.sort_unstable();
        changed.dedup();
        random.shuffle(&mut changed);
        if random.below(3) == 0 {
            let known = changed.iter().filter(|id| model.remove(id).is_some()).count() as u64;
            assert_eq!(backend.remove("docs", &changed).unwrap(), known);
        } else {
            let made_of: Vec<i64> = changed.iter().map(|_| random.below(1000) as i64).collect();
            let written = backend.upsert("docs", &rows_with(&changed, &made_of)).unwrap();
            assert_eq!(written, changed.len() as u64);
            model.extend(changed.into_iter().zip(made_of));
        }
        if step % 20 == 0 || step > 590 {
            agrees(&pinned(&backend).await, &model, random.below(1000) as i64).await;
        }
    }
}

/// Reads a state in every way and compares it with the map.
async fn agrees(snapshot: &Arc<dyn Snapshot>, model: &HashMap<i64, i64>, query: i64) {
    assert_eq!(snapshot.num_rows(), Some(model.len()));
    let all = scan(snapshot, &ScanRequest { with_address: true, ..ScanRequest::default() }).await;
    let found: HashMap<i64, Vec<f32>> = ids(&all).into_iter().zip(vectors(all.column(1))).collect();
    let expected: HashMap<i64, Vec<f32>> = model.iter().map(|(id, of)| (*id, vector(*of).to_vec())).collect();
    assert_eq!((all.num_rows(), found), (model.len(), expected));

    let addresses: Vec<u64> = all.column(2).as_primitive::<UInt64Type>().values().to_vec();
    let backwards: Vec<RowAddress> = addresses.iter().rev().map(|address| RowAddress::from(*address)).collect();
    let taken = snapshot.take(&context(), &backwards, &[1, 0]).await.unwrap();
    let mut expected = ids(&all);
    expected.reverse();
    assert_eq!(taken.column(1).as_primitive::<Int64Type>().values(), &expected[..]);

    let parts = snapshot.parts();
    for address in &backwards {
        assert!(!parts[address.file()].deleted.contains(address.row()));
    }
    let mut by_part = Vec::new();
    for part in 0..parts.len() {
        let request = ScanRequest { parts: Some(vec![part]), limit: Some(1000), ..ScanRequest::default() };
        by_part.extend(ids(&scan(snapshot, &request).await));
    }
    assert_eq!(by_part, ids(&all));

    let hits = exact::search(snapshot.as_ref(), "vec", Metric::L2, &vector(query), 5, None, &context()).await.unwrap();
    let mut distances: Vec<f32> = model.values().map(|of| Metric::L2.distance(&vector(query), &vector(*of))).collect();
    distances.sort_unstable_by(f32::total_cmp);
    distances.truncate(5);
    assert_eq!(hits.iter().map(|hit| hit.distance).collect::<Vec<_>>(), distances);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pinned_state_stays_as_it_was() {
    let backend = LocalBackend::new("hot");
    backend.put("docs", schema(), &[rows(&[1, 2, 3])]).unwrap();
    let before = pinned(&backend).await;
    backend.upsert("docs", &rows_with(&[2], &[20])).unwrap();
    backend.remove("docs", &[3, 99]).unwrap();
    let after = pinned(&backend).await;
    assert_ne!(after.generation(), before.generation());
    assert_eq!(ids(&scan(&before, &ScanRequest::default()).await), [1, 2, 3]);
    assert_eq!(sorted_ids(&backend).await, [1, 2]);
    backend.drop_collection("docs").unwrap();
    assert_eq!(backend.drop_collection("docs").unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(backend.snapshot("docs").await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(ids(&before.take(&context(), &[RowAddress::new(0, 2)], &[0]).await.unwrap()), [3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_last_while_rows_come_and_go() {
    let backend = Arc::new(LocalBackend::new("hot"));
    let many: Vec<i64> = (0..100).collect();
    backend.put("docs", schema(), &[rows(&many)]).unwrap();
    let first = pinned(&backend).await.parts();
    backend.upsert("docs", &rows_with(&[7, 100], &[70, 71])).unwrap();
    backend.remove("docs", &[8]).unwrap();
    let parts = pinned(&backend).await.parts();
    assert_eq!(parts.len(), 2);
    assert_eq!(parts[0].id, first[0].id);
    assert_eq!(parts[0].deleted.iter().collect::<Vec<_>>(), [7, 8]);
    assert!(parts[1].deleted.is_empty() && parts[1].id != parts[0].id);

    // Nothing that is there is asked for: nothing changes.
    let before = pinned(&backend).await.generation().clone();
    assert_eq!(backend.remove("docs", &[8, -5]).unwrap(), 0);
    assert_eq!(backend.upsert("docs", &rows(&[])).unwrap(), 0);
    assert_eq!(pinned(&backend).await.generation(), &before);

    assert_eq!(backend.remove("docs", &many).unwrap(), 99);
    assert_eq!(pinned(&backend).await.parts().len(), 1, "a batch without rows goes away");
    assert_eq!(sorted_ids(&backend).await, [100]);
    backend.remove("docs", &[100]).unwrap();
    let empty = pinned(&backend).await;
    assert_eq!((empty.num_rows(), empty.parts().len()), (Some(0), 0));
    assert_eq!(scan(&empty, &ScanRequest { with_address: true, ..ScanRequest::default() }).await.num_columns(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_not_there_are_not_taken() {
    let backend = Arc::new(LocalBackend::new("hot"));
    let many: Vec<i64> = (0..10).collect();
    backend.put("docs", schema(), &[rows(&many)]).unwrap();
    backend.remove("docs", &[4]).unwrap();
    let snapshot = pinned(&backend).await;
    for columns in [&[0][..], &[]] {
        let take = async |address| snapshot.take(&context(), &[address], columns).await.unwrap_err().kind();
        assert_eq!(take(RowAddress::new(0, 4)).await, ErrorKind::GenerationGone);
        assert_eq!(take(RowAddress::new(0, 10)).await, ErrorKind::Internal);
        assert_eq!(take(RowAddress::new(1, 0)).await, ErrorKind::Internal);
    }
    let request = ScanRequest { parts: Some(vec![1]), ..ScanRequest::default() };
    assert_eq!(snapshot.scan(&context(), &request).await.unwrap_err().kind(), ErrorKind::Internal);
    let request = ScanRequest { projection: Some(vec![]), with_address: true, ..ScanRequest::default() };
    let addresses = scan(&snapshot, &request).await;
    assert_eq!(addresses.column(0).as_primitive::<UInt64Type>().values(), &[0, 1, 2, 3, 5, 6, 7, 8, 9]);
    let request = ScanRequest { projection: Some(vec![]), ..ScanRequest::default() };
    assert_eq!(scan(&snapshot, &request).await.num_rows(), 9);
    let request = ScanRequest { limit: Some(5), ..ScanRequest::default() };
    assert_eq!(ids(&scan(&snapshot, &request).await), [0, 1, 2, 3, 5]);
}

/// Single rows leave few batches, and rows that are gone leave their memory.
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_single_upserts() {
    let backend = LocalBackend::new("hot");
    let dim = Dim::new(DIM).unwrap();
    let upsert = |id: i64| {
        let vector = vector(id);
        backend.upsert_vectors("docs", &[id], VectorBatch::new(dim, &vector).unwrap()).unwrap();
    };
    // Every id twice, in an order that jumps about.
    let start = std::time::Instant::now();
    for i in 0..100_000_i64 {
        upsert(i * 7919 % 50_000);
    }
    println!("{} ms for 100,000 upserts", start.elapsed().as_millis());
    let snapshot = pinned(&backend).await;
    assert_eq!(snapshot.num_rows(), Some(50_000));
    let parts = snapshot.parts();
    assert!(parts.len() <= 20, "{} batches", parts.len());
    let gone: u64 = parts.iter().map(|part| part.deleted.len()).sum();
    assert!(gone <= 75_000, "{gone} rows are kept that are gone");
    assert_eq!(sorted_ids(&backend).await, (0..50_000).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_mostly_gone_is_rewritten() {
    let backend = Arc::new(LocalBackend::new("hot"));
    let many: Vec<i64> = (0..100_000).collect();
    backend.put("docs", schema(), &[rows(&many), rows(&[100_000])]).unwrap();
    let first = pinned(&backend).await.parts();
    backend.remove("docs", &many[..50_000]).unwrap();
    assert_eq!(pinned(&backend).await.parts()[0].id, first[0].id);
    backend.remove("docs", &many[50_000..60_000]).unwrap();
    let parts = pinned(&backend).await.parts();
    assert_ne!(parts[0].id, first[0].id);
    assert!(parts[0].deleted.is_empty());
    assert_eq!(parts[1], first[1], "the batch beside it stays as it lies");
    assert_eq!(sorted_ids(&backend).await, (60_000..=100_000).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn append_promises_no_distinct_ids_and_upsert_replaces_them_all() {
    let backend = LocalBackend::new("hot");
    backend.put("docs", schema(), &[rows(&[5, 3, 3, 1])]).unwrap();
    backend.append("docs", &rows(&[3, 9])).unwrap();
    assert_eq!(sorted_ids(&backend).await, [1, 3, 3, 3, 5, 9]);
    assert_eq!(backend.upsert("docs", &rows_with(&[3], &[4])).unwrap(), 1);
    assert_eq!(sorted_ids(&backend).await, [1, 3, 5, 9]);
    backend.append("docs", &rows(&[5])).unwrap();
    assert_eq!(backend.remove("docs", &[5, 5, 6]).unwrap(), 2);
    assert_eq!(sorted_ids(&backend).await, [1, 3, 9]);

    // A row without an id is there, and none that can be asked for.
    let nameless: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(vec![None])), Arc::clone(rows(&[0]).column(1))];
    backend.append("docs", &RecordBatch::try_new(schema(), nameless).unwrap()).unwrap();
    assert_eq!(backend.remove("docs", &[0]).unwrap(), 0);
    assert_eq!(backend.remove("docs", &(-10..10).collect::<Vec<_>>()).unwrap(), 3);
    assert_eq!(pinned(&backend).await.num_rows(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn upsert_makes_the_collection_and_matches_columns_by_name() {
    let backend = LocalBackend::new("hot");
    let title: ArrayRef = Arc::new(StringArray::from(vec!["one", "two"]));
    let fields: Vec<_> =
        schema().fields().iter().cloned().chain([Arc::new(Field::new("title", DataType::Utf8, true))]).collect();
    let columns = rows(&[1, 2]).columns().iter().cloned().chain([title]).collect();
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
    backend.upsert("docs", &batch).unwrap();
    assert_eq!(pinned(&backend).await.schema(), batch.schema());

    // Lists become vectors; what is left out is NULL.
    let lists = ListArray::from_iter_primitive::<Float32Type, _, _>([Some(vector(30).map(Some))]);
    let (lists, id): (ArrayRef, ArrayRef) = (Arc::new(lists), Arc::new(Int64Array::from(vec![2])));
    backend.upsert("docs", &RecordBatch::try_from_iter([("vec", lists), ("id", id)]).unwrap()).unwrap();
    backend
        .upsert_vectors("docs", &[3, 1], VectorBatch::new(Dim::new(DIM).unwrap(), &flat(&[3, 10])).unwrap())
        .unwrap();
    let all = scan(&pinned(&backend).await, &ScanRequest::default()).await;
    assert_eq!(all.column(2).null_count(), 3);
    let found: HashMap<_, _> = ids(&all).into_iter().zip(vectors(all.column(1))).collect();
    let expected = [(1, 10), (2, 30), (3, 3)].map(|(id, of)| (id, vector(of).to_vec()));
    assert_eq!(found, HashMap::from(expected));

    let vectors = VectorBatch::new(Dim::new(2).unwrap(), &[1.0, 2.0]).unwrap();
    backend.upsert_vectors("small", &[1], vectors).unwrap();
    let schema = backend.snapshot("small").await.unwrap().schema();
    assert_eq!(ruvector_rulake::vector_column::vector_columns(&schema), ["vec"]);
}

/// The length of a list is found with the first rows, by whatever call they come, where no column declares one.
#[tokio::test(flavor = "multi_thread")]
async fn lists_are_vectors_where_no_column_is_declared() {
    let lists: ArrayRef =
        Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>([None, Some([Some(1.0), None])]));
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    let only = RecordBatch::try_from_iter([("id", Arc::clone(&ids)), ("list", Arc::clone(&lists))]).unwrap();
    let backend = LocalBackend::new("hot");
    backend.put("put", only.schema(), std::slice::from_ref(&only)).unwrap();
    backend.upsert("upserted", &only).unwrap();
    backend.put("appended", only.schema(), &[]).unwrap();
    backend.append("appended", &only).unwrap();
    for collection in ["put", "upserted", "appended"] {
        let schema = backend.snapshot(collection).await.unwrap().schema();
        assert_eq!(ruvector_rulake::vector_column::vector_columns(&schema), ["list"], "{collection}");
        assert_eq!(schema.field(1).data_type(), lists.data_type(), "{collection}");
        // The length is not declared: other lists may be written.
        let longer: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>([Some([Some(1.0); 3])]));
        let longer = [("id", Arc::new(Int64Array::from(vec![3])) as ArrayRef), ("list", longer)];
        backend.append(collection, &RecordBatch::try_from_iter(longer).unwrap()).unwrap();
    }

    let vectors: ArrayRef = Arc::clone(rows(&[1, 2]).column_by_name("vec").unwrap());
    let both = RecordBatch::try_from_iter([("id", ids), ("list", lists), ("vec", vectors)]).unwrap();
    backend.put("both", both.schema(), &[both]).unwrap();
    let schema = backend.snapshot("both").await.unwrap().schema();
    assert_eq!(ruvector_rulake::vector_column::vector_columns(&schema), ["vec"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_changes_nothing() {
    let backend = LocalBackend::new("hot");
    backend.put("docs", schema(), &[rows(&[1, 2])]).unwrap();
    let text: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
    let nameless = RecordBatch::try_from_iter([("name", Arc::clone(&text))]).unwrap();
    backend.put("notes", nameless.schema(), std::slice::from_ref(&nameless)).unwrap();
    let before = pinned(&backend).await.generation().clone();

    let small: ArrayRef = Arc::new(Int32Array::from(vec![1]));
    let null: ArrayRef = Arc::new(Int64Array::from(vec![None]));
    let id: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let narrow = |column: &ArrayRef| RecordBatch::try_from_iter([("id", Arc::clone(column))]).unwrap();
    let extra = RecordBatch::try_from_iter([("id", Arc::clone(&id)), ("other", text)]).unwrap();
    let infinite = ListArray::from_iter_primitive::<Float32Type, _, _>([Some([f32::INFINITY; DIM].map(Some))]);
    let infinite = RecordBatch::try_from_iter([("id", Arc::clone(&id)), ("vec", Arc::new(infinite) as _)]).unwrap();
    for (collection, batch, words) in [
        ("docs", &nameless, &["\"id\"", "Int64", "got name"][..]),
        ("docs", &narrow(&small), &["expected", "Int64", "got Int32"]),
        ("docs", &narrow(&null), &["NULL", "row 0"]),
        ("docs", &rows(&[3, 4, 3]), &["twice", "3"]),
        ("docs", &extra, &["other"]),
        ("docs", &infinite, &["not finite"]),
        ("notes", &narrow(&id), &["notes", "\"id\"", "got name"]),
        ("new", &narrow(&null), &["NULL"]),
    ] {
        let error = backend.upsert(collection, batch).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(words.iter().all(|word| error.to_string().contains(word)), "{error}");
    }
    let vectors = VectorBatch::new(Dim::new(DIM + 1).unwrap(), &[0.0; DIM + 1]).unwrap();
    let errors = [
        backend.upsert_vectors("docs", &[1], vectors).unwrap_err(),
        backend.upsert_vectors("docs", &[1, 2], vectors).unwrap_err(),
        backend.remove("notes", &[1]).unwrap_err(),
    ];
    assert!(errors.iter().all(|error| error.kind() == ErrorKind::InvalidInput), "{errors:?}");
    assert_eq!(backend.remove("none", &[1]).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(pinned(&backend).await.generation(), &before);
    assert_eq!(backend.list().await.unwrap(), ["docs", "notes"]);
    backend.append("notes", &nameless).unwrap();
    assert_eq!(backend.snapshot("notes").await.unwrap().num_rows(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_over_changed_rows_answers_as_an_exact_search() {
    let backend = Arc::new(LocalBackend::new("hot"));
    let many: Vec<i64> = (0..300).collect();
    backend.put("docs", schema(), &[rows(&many)]).unwrap();
    backend.remove("docs", &many[100..200]).unwrap();
    backend.upsert("docs", &rows_with(&[5, 6], &[150, 151])).unwrap();
    let lake = lake_over(&backend);
    let pin = lake.pin("hot", "docs", None).await.unwrap();
    let entry = lake.entry(&pin, &IndexSpec::new("vec"), &context()).await.unwrap();
    let snapshot = pin.snapshot();
    assert_eq!(entry.index().len(), 200);
    let query = vector(150);
    let hits = entry.search(&query, &SearchParams::new(4)).unwrap();
    assert_eq!(hits, exact::search(snapshot.as_ref(), "vec", Metric::L2, &query, 4, None, &context()).await.unwrap());
    let at: Vec<RowAddress> = hits.iter().map(|hit| RowAddress::from(hit.id)).collect();
    assert_eq!(ids(&snapshot.take(&context(), &at, &[0]).await.unwrap())[..2], [5, 6]);
}

/// Writers come one after the other, and readers meet whole states only.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_writers_and_readers() {
    let backend = Arc::new(LocalBackend::new("hot"));
    backend.put("docs", schema(), &[]).unwrap();
    let writers: Vec<_> = (0..4_i64)
        .map(|writer| {
            let backend = Arc::clone(&backend);
            tokio::task::spawn_blocking(move || {
                for round in 0..50 {
                    // All rows of a writer carry its round.
                    let ids: Vec<i64> = (writer * 10..writer * 10 + 10).collect();
                    backend.upsert("docs", &rows_with(&ids, &[round; 10])).unwrap();
                }
            })
        })
        .collect();
    for _ in 0..100 {
        let all = scan(&pinned(&backend).await, &ScanRequest::default()).await;
        let mut rounds: HashMap<i64, Vec<Vec<f32>>> = HashMap::new();
        for (id, vector) in ids(&all).into_iter().zip(vectors(all.column(1))) {
            rounds.entry(id / 10).or_default().push(vector);
        }
        assert!(rounds.values().all(|rows| rows.len() == 10 && rows.iter().all(|row| row == &rows[0])));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(sorted_ids(&backend).await, (0..40).collect::<Vec<_>>());
}
