//! Backends whose rows have keys and no addresses: order means nothing, and what a store says is checked.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, ListArray, RecordBatch, StringArray, UInt64Array,
};
use arrow::compute::{cast, concat_batches, filter_record_batch, take_record_batch};
use arrow::datatypes::{DataType, Field, Float32Type, Schema, SchemaRef, UInt64Type};
use arrow::util::display::array_value_to_string;
use async_trait::async_trait;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::collect;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use parking_lot::Mutex;
use ruvector_rabitq::{Metric, SearchParams};
use ruvector_rulake::error::from_datafusion;
use ruvector_rulake::{
    Backend, Error, ErrorKind, Generation, IndexSpec, KeyedBackend, KeyedSource, Result, RowAddress, ScanRequest,
    Snapshot, exact,
};

use crate::support::{Random, context, entry_over, ids, rows, vector, vectors};

/// A store that answers in another order each time, and as badly as a test asks for.
#[derive(Debug)]
struct Shuffled {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    declared: SchemaRef,
    rows: RecordBatch,
    generation: Option<u64>,
    random: Random,
    scans: usize,
    asked: Vec<String>,
}

impl Shuffled {
    fn new(rows: RecordBatch, generation: Option<u64>) -> Arc<Self> {
        let (declared, random) = (rows.schema(), Random::new(7));
        let asked = Vec::new();
        Arc::new(Self { state: Mutex::new(State { declared, rows, generation, random, scans: 0, asked }) })
    }

    /// Replaces the rows; a store that can tell says so.
    fn write(&self, rows: RecordBatch) {
        let mut state = self.state.lock();
        state.rows = rows;
        state.generation = state.generation.map(|generation| generation + 1);
    }

    /// Replaces the rows and says nothing.
    fn write_silently(&self, rows: RecordBatch) {
        self.state.lock().rows = rows;
    }

    fn shuffled(&self, columns: &[String]) -> RecordBatch {
        let mut state = self.state.lock();
        let mut order: Vec<u64> = (0..state.rows.num_rows() as u64).collect();
        state.random.shuffle(&mut order);
        state.asked = columns.to_vec();
        let positions: Vec<usize> =
            columns.iter().map(|column| state.rows.schema().index_of(column).unwrap()).collect();
        take_record_batch(&state.rows.project(&positions).unwrap(), &UInt64Array::from(order)).unwrap()
    }
}

#[async_trait]
impl KeyedSource for Shuffled {
    fn id(&self) -> &str {
        "shelf"
    }

    async fn list(&self) -> Result<Vec<String>> {
        Ok(["docs", "../etc", "a b"].map(str::to_owned).to_vec())
    }

    async fn schema(&self, collection: &str) -> Result<SchemaRef> {
        match collection {
            "docs" => Ok(Arc::clone(&self.state.lock().declared)),
            _ => Err(Error::not_found("no such collection").with("collection", collection)),
        }
    }

    async fn key_column(&self, _collection: &str) -> Result<String> {
        Ok("id".to_owned())
    }

    async fn generation(&self, _collection: &str) -> Result<Option<Generation>> {
        Ok(self.state.lock().generation.map(Generation::Number))
    }

    fn has_generations(&self) -> bool {
        self.state.lock().generation.is_some()
    }

    async fn scan(&self, _collection: &str, columns: &[String]) -> Result<SendableRecordBatchStream> {
        self.state.lock().scans += 1;
        let rows = self.shuffled(columns);
        let pieces: Vec<_> =
            (0..rows.num_rows()).step_by(7).map(|from| Ok(rows.slice(from, (rows.num_rows() - from).min(7)))).collect();
        Ok(Box::pin(RecordBatchStreamAdapter::new(rows.schema(), futures::stream::iter(pieces))))
    }

    async fn take(&self, _collection: &str, keys: ArrayRef, columns: &[String]) -> Result<RecordBatch> {
        let rows = self.shuffled(columns);
        let name = |column: &ArrayRef, row| array_value_to_string(column, row).unwrap();
        let wanted: Vec<String> = (0..keys.len()).map(|row| name(&keys, row)).collect();
        let key = rows.column_by_name("id").unwrap();
        assert_eq!(keys.data_type(), key.data_type());
        let found: BooleanArray = (0..rows.num_rows()).map(|row| Some(wanted.contains(&name(key, row)))).collect();
        Ok(filter_record_batch(&rows, &found).unwrap())
    }
}

async fn read(snapshot: &Arc<dyn Snapshot>, request: &ScanRequest) -> Result<RecordBatch> {
    let plan = snapshot.scan(&context(), request).await?;
    let schema = plan.schema();
    let batches = collect(plan, context()).await.map_err(from_datafusion)?;
    Ok(concat_batches(&schema, &batches).unwrap())
}

fn addressed() -> ScanRequest {
    ScanRequest { with_address: true, ..ScanRequest::default() }
}

async fn pinned<S: KeyedSource + ?Sized + 'static>(backend: &KeyedBackend<S>) -> Arc<dyn Snapshot> {
    backend.snapshot("docs").await.unwrap()
}

/// `rows` with another column for the ids.
fn keyed_by(rows: &RecordBatch, keys: ArrayRef) -> RecordBatch {
    let key = Field::new("id", keys.data_type().clone(), true);
    let fields = vec![Arc::new(key), Arc::new(rows.schema().field(1).clone())];
    RecordBatch::try_new(Arc::new(Schema::new(fields)), vec![keys, Arc::clone(rows.column(1))]).unwrap()
}

fn texts(ids: &[i64]) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(ids.iter().map(|id| format!("né-{id}"))))
}

#[tokio::test(flavor = "multi_thread")]
async fn states_agree_with_a_map() {
    const SEED: u64 = 411;
    println!("seed {SEED}");
    let mut random = Random::new(SEED);
    for data_type in [DataType::Int64, DataType::UInt16, DataType::UInt64, DataType::Utf8, DataType::LargeUtf8] {
        for generation in [None, Some(3)] {
            let source = Shuffled::new(keyed_by(&rows(&[]), cast(&texts(&[]), &data_type).unwrap()), generation);
            let backend = KeyedBackend::new(Arc::clone(&source));
            for _ in 0..5 {
                let mut model: HashMap<i64, i64> = HashMap::new();
                for _ in 0..random.below(60) {
                    model.insert(random.below(1000) as i64, random.below(1000) as i64);
                }
                let (keys, made_of): (Vec<i64>, Vec<i64>) = model.iter().unzip();
                let keys = match data_type.is_integer() {
                    true => cast(&Int64Array::from(keys), &data_type).unwrap(),
                    false => cast(&texts(&keys), &data_type).unwrap(),
                };
                source.write(keyed_by(&rows(&made_of), keys));
                agrees(&pinned(&backend).await, &source, random.below(1000) as i64).await;
            }
        }
    }
}

/// Reads a state in every way and compares it with what the source holds.
async fn agrees(snapshot: &Arc<dyn Snapshot>, source: &Shuffled, query: i64) {
    let held = source.state.lock().rows.clone();
    let name = |column: &ArrayRef, row| array_value_to_string(column, row).unwrap();
    let by_key = |rows: &RecordBatch, key: usize, vec: usize| -> HashMap<String, Vec<f32>> {
        let keys = (0..rows.num_rows()).map(|row| name(rows.column(key), row));
        keys.zip(vectors(rows.column(vec))).collect()
    };
    let model = by_key(&held, 0, 1);
    let all = read(snapshot, &addressed()).await.unwrap();
    assert_eq!((all.num_rows(), by_key(&all, 0, 1)), (model.len(), model.clone()));
    assert_eq!(snapshot.num_rows(), Some(model.len()));
    let plain = read(snapshot, &ScanRequest::default()).await.unwrap();
    assert_eq!(by_key(&plain, 0, 1), model);

    // Another scan finds the rows in another order, under the same addresses.
    let addresses = all.column(2).as_primitive::<UInt64Type>().values();
    let address_of: HashMap<u64, String> =
        (0..all.num_rows()).map(|row| (addresses[row], name(all.column(0), row))).collect();
    let again = read(snapshot, &ScanRequest { projection: Some(vec![1]), ..addressed() }).await.unwrap();
    let found = again.column(1).as_primitive::<UInt64Type>().values();
    for (address, vector) in found.iter().zip(vectors(again.column(0))) {
        assert_eq!(model[&address_of[address]], vector);
    }

    let asked: Vec<RowAddress> = found.iter().take(20).map(|address| RowAddress::from(*address)).collect();
    for columns in [&[1, 0][..], &[0], &[]] {
        let taken = snapshot.take(&context(), &asked, columns).await.unwrap();
        assert_eq!((taken.num_rows(), taken.num_columns()), (asked.len(), columns.len()));
        let Some(key) = columns.iter().position(|column| *column == 0) else { continue };
        let keys: Vec<String> = (0..taken.num_rows()).map(|row| name(taken.column(key), row)).collect();
        assert_eq!(keys, asked.iter().map(|address| address_of[&u64::from(*address)].clone()).collect::<Vec<_>>());
    }

    let hits = exact::search(snapshot.as_ref(), "vec", Metric::L2, &vector(query), 5, None, &context()).await.unwrap();
    let mut distances: Vec<f32> = model.values().map(|held| Metric::L2.distance(&vector(query), held)).collect();
    distances.sort_unstable_by(f32::total_cmp);
    distances.truncate(5);
    assert_eq!(hits.iter().map(|hit| hit.distance).collect::<Vec<_>>(), distances);
    let entry = entry_over(snapshot, &IndexSpec::new("vec")).await.unwrap();
    assert_eq!(entry.search(&vector(query), &SearchParams::new(5)).unwrap(), hits);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_is_read_as_rarely_as_its_token_allows() {
    let source = Shuffled::new(rows(&[3, 1, 2]), Some(1));
    let backend = KeyedBackend::new(Arc::clone(&source));
    assert_eq!(backend.list().await.unwrap(), ["a b", "docs"]);
    assert!(backend.has_generations());
    let first = pinned(&backend).await;
    assert_eq!(first.generation(), &Generation::Number(1));
    assert_eq!((first.num_rows(), first.index_dir()), (None, None));
    assert!(first.data_ref().starts_with("keyed://shelf/docs#"), "a counter is that of a process");
    assert_eq!(source.state.lock().scans, 0, "nothing is read before it is needed");
    read(&first, &ScanRequest { projection: Some(vec![1]), ..ScanRequest::default() }).await.unwrap();
    assert_eq!(source.state.lock().scans, 1);
    assert_eq!(source.state.lock().asked, ["vec"]);
    read(&first, &addressed()).await.unwrap();
    read(&pinned(&backend).await, &addressed()).await.unwrap();
    assert_eq!(source.state.lock().scans, 4, "the keys were read once, also for a snapshot of the same state");

    // Columns that were not requested are not read, and rows are counted by their keys.
    let none = ScanRequest { projection: Some(vec![]), ..ScanRequest::default() };
    let counted = read(&first, &none).await.unwrap();
    assert_eq!((counted.num_rows(), counted.num_columns()), (3, 0));
    assert_eq!(source.state.lock().asked, ["id"]);
    for (request, expected) in [
        (ScanRequest { limit: Some(2), ..addressed() }, 2),
        (ScanRequest { limit: Some(9), ..addressed() }, 3),
        (ScanRequest { limit: Some(0), ..ScanRequest::default() }, 0),
        (ScanRequest { parts: Some(vec![]), ..addressed() }, 0),
        (ScanRequest { parts: Some(vec![0]), ..addressed() }, 3),
    ] {
        let found = read(&first, &request).await.unwrap();
        assert_eq!(found.num_rows(), expected, "{request:?}");
    }

    let unpinned = Shuffled::new(rows(&[1]), None);
    let backend: KeyedBackend = KeyedBackend::new(unpinned as Arc<dyn KeyedSource>);
    assert!(!backend.has_generations());
    assert_ne!(pinned(&backend).await.generation(), pinned(&backend).await.generation());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_moved_on_is_noticed() {
    let source = Shuffled::new(rows(&[1, 2, 3]), Some(1));
    let backend = KeyedBackend::new(Arc::clone(&source));
    let snapshot = pinned(&backend).await;
    read(&snapshot, &addressed()).await.unwrap();
    source.write(rows(&[1, 2, 4]));
    let take = async |row| snapshot.take(&context(), &[RowAddress::new(0, row)], &[0]).await.unwrap_err();
    for error in [
        snapshot.verify().await.unwrap_err(),
        take(2).await,
        take(0).await,
        read(&snapshot, &ScanRequest::default()).await.unwrap_err(),
        read(&snapshot, &addressed()).await.unwrap_err(),
        entry_over(&snapshot, &IndexSpec::new("vec")).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::GenerationGone, "{error}");
    }
    let newer = pinned(&backend).await;
    assert_eq!(newer.generation(), &Generation::Number(2));
    assert_eq!(read(&newer, &addressed()).await.unwrap().num_rows(), 3);
}

/// A store that cannot tell its state is held against the keys that were read.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_come_and_go_behind_our_back_are_noticed() {
    for generation in [None, Some(1)] {
        let source = Shuffled::new(rows(&[1, 2, 3]), generation);
        let snapshot = pinned(&KeyedBackend::new(Arc::clone(&source))).await;
        read(&snapshot, &addressed()).await.unwrap();
        let take = async |row| snapshot.take(&context(), &[RowAddress::new(0, row)], &[1]).await;

        source.write_silently(rows(&[1, 2]));
        let error = read(&snapshot, &addressed()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::GenerationGone);
        assert!(error.to_string().contains("expected 3, got 2"), "{error}");
        let error = take(2).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::GenerationGone);
        assert!(error.to_string().contains("key 3"), "{error}");
        assert_eq!(vectors(take(1).await.unwrap().column(0)), [vector(2).to_vec()]);
        assert_eq!(take(3).await.unwrap_err().kind(), ErrorKind::Internal);

        source.write_silently(rows(&[1, 2, 3, 4]));
        let error = read(&snapshot, &addressed()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::GenerationGone);
        assert!(error.to_string().contains("key 4"), "{error}");
        assert_eq!(read(&snapshot, &ScanRequest { limit: Some(0), ..addressed() }).await.unwrap().num_rows(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_none_are_refused() {
    let null: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(3)]));
    for (held, word) in [(rows(&[1, 2, 1]), "got twice 1"), (keyed_by(&rows(&[1, 2, 3]), null), "NULL")] {
        // At the first reading, and after keys were read that were keys.
        let refused = |error: Error| {
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().contains(word), "{error}");
        };
        let source = Shuffled::new(held.clone(), Some(1));
        let snapshot = pinned(&KeyedBackend::new(source)).await;
        refused(read(&snapshot, &addressed()).await.unwrap_err());
        let source = Shuffled::new(rows(&[1, 2, 3]), None);
        let snapshot = pinned(&KeyedBackend::new(Arc::clone(&source))).await;
        read(&snapshot, &addressed()).await.unwrap();
        source.write_silently(held);
        refused(read(&snapshot, &addressed()).await.unwrap_err());
        if word != "NULL" {
            refused(snapshot.take(&context(), &[RowAddress::new(0, 0)], &[1]).await.unwrap_err());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_lies_about_its_schema_is_refused() {
    let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>([Some(vector(1).map(Some))]));
    let id: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let lying = RecordBatch::try_from_iter([("id", Arc::clone(&id)), ("vec", lists)]).unwrap();
    for generation in [None, Some(1)] {
        let source = Shuffled::new(rows(&[1]), generation);
        source.write_silently(lying.clone());
        let snapshot = pinned(&KeyedBackend::new(Arc::clone(&source))).await;
        for error in [
            read(&snapshot, &ScanRequest::default()).await.unwrap_err(),
            read(&snapshot, &addressed()).await.unwrap_err(),
            snapshot.take(&context(), &[RowAddress::new(0, 0)], &[1]).await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            let message = error.to_string();
            assert!(
                ["docs", "vec", "FixedSizeList", "got List"].iter().all(|part| message.contains(part)),
                "{message}"
            );
        }
    }
    let source = Shuffled::new(keyed_by(&rows(&[1]), texts(&[1])), None);
    source.write_silently(rows(&[1]));
    let error = read(&pinned(&KeyedBackend::new(source)).await, &addressed()).await.unwrap_err();
    assert!(error.to_string().contains("expected Utf8, got Int64"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_collection_is_refused() {
    let source = Shuffled::new(rows(&[1]), Some(1));
    let backend = KeyedBackend::new(Arc::clone(&source));
    assert_eq!(backend.snapshot("none").await.unwrap_err().kind(), ErrorKind::NotFound);
    for name in ["", "..", "../etc", "a/b", "_x"] {
        assert_eq!(backend.snapshot(name).await.unwrap_err().kind(), ErrorKind::InvalidInput);
    }
    let field = |name: &str, data_type| Field::new(name, data_type, true);
    for (fields, word) in [
        (vec![field("key", DataType::Int64)], "got key"),
        (vec![field("id", DataType::Float64)], "got Float64"),
        (vec![field("id", DataType::Int64), field("a", DataType::Utf8), field("a", DataType::Utf8)], "got twice a"),
    ] {
        source.state.lock().declared = Arc::new(Schema::new(fields));
        source.state.lock().generation = Some(9);
        let error = backend.snapshot("docs").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains(word), "{error}");
    }
}

/// A vector that no index takes is named by its key.
#[tokio::test(flavor = "multi_thread")]
async fn a_bad_vector_is_named_by_its_key() {
    let good = rows(&[1, 2]);
    let bad = [vector(1), [f32::NAN; 4]].map(|vector| Some(vector.map(Some)));
    let bad = arrow::array::FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(bad, 4);
    let batch = RecordBatch::try_new(good.schema(), vec![Arc::clone(good.column(0)), Arc::new(bad)]).unwrap();
    let snapshot = pinned(&KeyedBackend::new(Shuffled::new(batch, None))).await;
    let error = entry_over(&snapshot, &IndexSpec::new("vec")).await.unwrap_err();
    assert!(error.to_string().contains("docs with key 2"), "{error}");
    assert_eq!(ids(&snapshot.take(&context(), &[RowAddress::new(0, 1)], &[0]).await.unwrap()), [2]);
}
