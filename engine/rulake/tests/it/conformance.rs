//! Every backend passes the suite of backends, also under every layer; one that lies does not.

use std::collections::{BTreeMap, HashMap};
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::{col, lit};
use object_store::memory::InMemory;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStoreExt, PutPayload};
use parking_lot::Mutex;
use parquet::arrow::ArrowWriter;
use ruvector_rulake::backend::layer::{
    Capped, Counting, Fault, FaultInjecting, Layered, Operation, Throttled, TimeLimited,
};
use ruvector_rulake::conformance::{Fixture, check};
use ruvector_rulake::{
    Backend, DeltaBackend, Error, ErrorKind, FsBackend, Generation, LocalBackend, ObjectStoreBackend, Part, Result,
    RowAddress, ScanRequest, Snapshot,
};

use crate::support::stream;

#[tokio::test(flavor = "multi_thread")]
async fn local() {
    check(&Local::seen_as(|backend| backend)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn delta() {
    let folder = tempfile::tempdir().unwrap();
    check(&Delta(Arc::new(DeltaBackend::open("main", folder.path()).unwrap()))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn fs() {
    let folder = tempfile::tempdir().unwrap();
    let backend = FsBackend::open("lake", folder.path()).unwrap();
    check(&Files::new(backend, Place::Folder(folder.path().to_owned()))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn object_store() {
    let store = Arc::new(InMemory::new());
    let url = url::Url::parse("memory://bucket/lake").unwrap();
    let backend = ObjectStoreBackend::new("hot", Arc::clone(&store) as _, url, "lake");
    check(&Files::new(backend, Place::Store(store))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn under_counting() {
    let counting = Arc::new(Counting::default());
    check(&Local::seen_as(|backend| Arc::new(Layered::new(backend, Arc::clone(&counting))))).await.unwrap();
    assert!(Operation::ALL.iter().all(|operation| counting.calls(*operation) > 0), "{counting:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn under_throttled() {
    let throttled = Throttled::new().with_operations_max(NonZeroUsize::MIN).with_bytes_per_second_max(NonZeroU64::MAX);
    check(&Local::seen_as(|backend| Arc::new(Layered::new(backend, Arc::new(throttled))))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn under_time_limited() {
    let limited = TimeLimited::new(Duration::from_secs(60));
    check(&Local::seen_as(|backend| Arc::new(Layered::new(backend, Arc::new(limited))))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn under_capped() {
    let capped = Capped::new().with_rows_max(10_000).with_bytes_max(10_000_000);
    check(&Local::seen_as(|backend| Arc::new(Layered::new(backend, Arc::new(capped))))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn under_faults_that_do_not_happen() {
    let faults = FaultInjecting::new(|_, _| Fault::Pass);
    check(&Local::seen_as(|backend| Arc::new(Layered::new(backend, Arc::new(faults))))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_without_generations_need_not_have_equal_ones() {
    check(&Local::seen_as(|backend| Lying::about(backend, Lie::NoGenerations))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn lies_are_found() {
    for (lie, rule) in [
        (Lie::TakesBackwards, "rows are taken as they were scanned, in the order asked for"),
        (Lie::TakesLess, "rows are taken as they were scanned, in the order asked for"),
        (Lie::TakesOtherColumns, "a take gives the columns asked for, in their order"),
        (Lie::TakePanics, "a backend does not panic"),
        (Lie::ScansOtherColumns, "a scan gives the columns asked for, in their order"),
        (Lie::ScansBeyondTheLimit, "a scan stops after so many rows"),
        (Lie::ScansAllParts, "a scan gives the rows that were asked for"),
        (Lie::ScansTheNewestState, "a pinned state gives its own rows or says GenerationGone"),
        (Lie::ChangesItsSchema, "the schema has the columns that were stored, in their order"),
        (Lie::SchemaOfLists, "vectors are lists of a fixed size"),
        (Lie::OneGeneration, "after a change the generation is another"),
        (Lie::NewGenerations, "without a change generations are equal"),
        (Lie::PartsByPosition, "parts of one id hold the same rows"),
        (Lie::NoParts, "addresses lie in the parts of their state"),
        (Lie::CountsOneMore, "the number of rows is that of a scan"),
        (Lie::ListsBackwards, "the list is sorted and names each collection once"),
        (Lie::AbsentIsUnavailable, "a collection that is not there is NotFound"),
    ] {
        let error = check(&Local::seen_as(|backend| Lying::about(backend, lie))).await.unwrap_err();
        let told = error.context().iter().find(|(name, _)| *name == "rule").map(|(_, rule)| rule.as_str());
        assert_eq!(told, Some(rule), "{lie:?}: {error}");
        assert_eq!(error.kind(), ErrorKind::Internal);
        assert!(error.to_string().ends_with("backend hot"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_end_early_are_found() {
    for first in [0, 1, 20, 100] {
        let cut = FaultInjecting::new(move |operation, number| match operation {
            Operation::Batch if number >= first => Fault::Cut,
            _ => Fault::Pass,
        });
        let fixture = Local::seen_as(|backend| Arc::new(Layered::new(backend, Arc::new(cut))));
        let error = check(&fixture).await.unwrap_err();
        assert!(error.to_string().contains("backend breaks a rule"), "{error}");
    }
}

/// Rows as programs keep them that know only how to write them all: by collection, batch by batch.
#[derive(Default)]
struct Kept(Mutex<HashMap<String, Vec<RecordBatch>>>);

impl Kept {
    fn store(&self, collection: &str, batches: &[RecordBatch]) {
        self.0.lock().insert(collection.to_owned(), batches.to_vec());
    }

    fn append(&self, collection: &str, batch: &RecordBatch) -> Vec<RecordBatch> {
        let mut kept = self.0.lock();
        let batches = kept.get_mut(collection).unwrap();
        batches.push(batch.clone());
        batches.clone()
    }

    /// Deletes rows and returns the batches that changed, by their positions.
    fn delete(&self, collection: &str, ids: &[i64]) -> BTreeMap<usize, RecordBatch> {
        let mut kept = self.0.lock();
        let mut changed = BTreeMap::new();
        for (position, batch) in kept.get_mut(collection).unwrap().iter_mut().enumerate() {
            let of_batch = batch.column(0).as_primitive::<Int64Type>().values();
            let keep: BooleanArray = of_batch.iter().map(|id| Some(!ids.contains(id))).collect();
            if keep.false_count() > 0 {
                *batch = filter_record_batch(batch, &keep).unwrap();
                changed.insert(position, batch.clone());
            }
        }
        changed
    }
}

/// A local backend, perhaps seen through others.
struct Local {
    backend: Arc<LocalBackend>,
    seen: Arc<dyn Backend>,
}

impl Local {
    fn seen_as(through: impl FnOnce(Arc<dyn Backend>) -> Arc<dyn Backend>) -> Self {
        let backend = Arc::new(LocalBackend::new("hot"));
        Self { seen: through(Arc::clone(&backend) as _), backend }
    }
}

#[async_trait]
impl Fixture for Local {
    fn backend(&self) -> Arc<dyn Backend> {
        Arc::clone(&self.seen)
    }

    async fn store(&self, collection: &str, batches: &[RecordBatch]) -> Result<()> {
        self.backend.put(collection, batches[0].schema(), batches)
    }

    async fn append(&self, collection: &str, batch: &RecordBatch) -> Result<()> {
        self.backend.append(collection, batch)
    }

    async fn delete(&self, collection: &str, ids: &[i64]) -> Result<()> {
        self.backend.remove(collection, ids).map(|_| ())
    }

    async fn remove(&self, collection: &str) -> Result<()> {
        self.backend.drop_collection(collection)
    }
}

struct Delta(Arc<DeltaBackend>);

#[async_trait]
impl Fixture for Delta {
    fn backend(&self) -> Arc<dyn Backend> {
        Arc::clone(&self.0) as _
    }

    async fn store(&self, collection: &str, batches: &[RecordBatch]) -> Result<()> {
        self.0.create(collection, &batches[0].schema()).await?;
        for batch in batches {
            self.append(collection, batch).await?;
        }
        Ok(())
    }

    async fn append(&self, collection: &str, batch: &RecordBatch) -> Result<()> {
        self.0.append(collection, stream(batch.clone())).await.map(drop)
    }

    async fn delete(&self, collection: &str, ids: &[i64]) -> Result<()> {
        let predicate = col("id").in_list(ids.iter().map(|id| lit(*id)).collect(), false);
        self.0.delete(collection, Some(predicate)).await.map(drop)
    }

    async fn remove(&self, collection: &str) -> Result<()> {
        self.0.as_ref().drop(collection).await
    }
}

/// Parquet files that some other program writes, each whole at once.
struct Files {
    backend: Arc<dyn Backend>,
    place: Place,
    kept: Kept,
}

enum Place {
    Folder(PathBuf),
    Store(Arc<InMemory>),
}

impl Files {
    fn new(backend: impl Backend + 'static, place: Place) -> Self {
        Self { backend: Arc::new(backend), place, kept: Kept::default() }
    }

    async fn write(&self, collection: &str, position: usize, batch: &RecordBatch) {
        let mut bytes = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
        writer.write(batch).unwrap();
        writer.close().unwrap();
        let file = format!("{position:03}.parquet");
        match &self.place {
            Place::Folder(root) => {
                let folder = root.join(collection);
                std::fs::create_dir_all(&folder).unwrap();
                std::fs::write(folder.join(".new"), bytes).unwrap();
                std::fs::rename(folder.join(".new"), folder.join(file)).unwrap();
            }
            Place::Store(store) => {
                store.put(&object_path(collection, &file), PutPayload::from(bytes)).await.unwrap();
            }
        }
    }
}

fn object_path(collection: &str, file: &str) -> ObjectPath {
    ObjectPath::parse(format!("lake/{collection}/{file}")).unwrap()
}

#[async_trait]
impl Fixture for Files {
    fn backend(&self) -> Arc<dyn Backend> {
        Arc::clone(&self.backend)
    }

    async fn store(&self, collection: &str, batches: &[RecordBatch]) -> Result<()> {
        self.kept.store(collection, batches);
        for (position, batch) in batches.iter().enumerate() {
            self.write(collection, position, batch).await;
        }
        Ok(())
    }

    async fn append(&self, collection: &str, batch: &RecordBatch) -> Result<()> {
        let position = self.kept.append(collection, batch).len() - 1;
        self.write(collection, position, batch).await;
        Ok(())
    }

    /// Files are replaced under their names.
    async fn delete(&self, collection: &str, ids: &[i64]) -> Result<()> {
        for (position, batch) in self.kept.delete(collection, ids) {
            self.write(collection, position, &batch).await;
        }
        Ok(())
    }

    async fn remove(&self, collection: &str) -> Result<()> {
        match &self.place {
            Place::Folder(root) => std::fs::remove_dir_all(Path::new(root).join(collection)).unwrap(),
            Place::Store(store) => {
                let files = self.kept.0.lock().remove(collection).unwrap().len();
                for position in 0..files {
                    store.delete(&object_path(collection, &format!("{position:03}.parquet"))).await.unwrap();
                }
            }
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Lie {
    TakesBackwards,
    TakesLess,
    TakesOtherColumns,
    TakePanics,
    ScansOtherColumns,
    ScansBeyondTheLimit,
    ScansAllParts,
    ScansTheNewestState,
    ChangesItsSchema,
    SchemaOfLists,
    OneGeneration,
    NewGenerations,
    /// No lie, if it says so.
    NoGenerations,
    PartsByPosition,
    NoParts,
    CountsOneMore,
    ListsBackwards,
    AbsentIsUnavailable,
}

/// A backend that tells one lie.
#[derive(Debug)]
struct Lying {
    backend: Arc<dyn Backend>,
    lie: Lie,
    asked: Mutex<u64>,
}

impl Lying {
    fn about(backend: Arc<dyn Backend>, lie: Lie) -> Arc<dyn Backend> {
        Arc::new(Self { backend, lie, asked: Mutex::new(0) })
    }
}

#[async_trait]
impl Backend for Lying {
    fn id(&self) -> &str {
        self.backend.id()
    }

    async fn list(&self) -> Result<Vec<String>> {
        let mut list = self.backend.list().await?;
        if self.lie == Lie::ListsBackwards {
            list.reverse();
        }
        Ok(list)
    }

    async fn snapshot(&self, collection: &str) -> Result<Arc<dyn Snapshot>> {
        let told = match self.backend.snapshot(collection).await {
            Err(e) if self.lie == Lie::AbsentIsUnavailable => return Err(Error::unavailable(e.to_string())),
            told => told?,
        };
        let asked = {
            let mut asked = self.asked.lock();
            *asked += 1;
            *asked
        };
        let generation = match self.lie {
            Lie::OneGeneration => Generation::Number(0),
            Lie::NewGenerations | Lie::NoGenerations => Generation::Number(asked),
            _ => told.generation().clone(),
        };
        let schema = match self.lie {
            Lie::ChangesItsSchema if asked > 5 => renamed(&told.schema()),
            Lie::SchemaOfLists => ruvector_rulake::vector_column::stored_schema(&told.schema()),
            _ => told.schema(),
        };
        let (backend, collection) = (Arc::clone(&self.backend), collection.to_owned());
        Ok(Arc::new(LyingSnapshot { told, generation, schema, lie: self.lie, backend, collection }))
    }

    fn has_generations(&self) -> bool {
        self.lie != Lie::NoGenerations
    }
}

fn renamed(schema: &Schema) -> SchemaRef {
    let mut fields: Vec<Field> = schema.fields().iter().map(|field| field.as_ref().clone()).collect();
    fields[1] = Field::new("titel", DataType::Utf8, true);
    Arc::new(Schema::new(fields))
}

#[derive(Debug)]
struct LyingSnapshot {
    told: Arc<dyn Snapshot>,
    generation: Generation,
    schema: SchemaRef,
    lie: Lie,
    backend: Arc<dyn Backend>,
    collection: String,
}

#[async_trait]
impl Snapshot for LyingSnapshot {
    fn data_ref(&self) -> &str {
        self.told.data_ref()
    }

    fn generation(&self) -> &Generation {
        &self.generation
    }

    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn num_rows(&self) -> Option<usize> {
        self.told.num_rows().map(|rows| rows + usize::from(self.lie == Lie::CountsOneMore))
    }

    fn parts(&self) -> Vec<Part> {
        let mut parts = self.told.parts();
        match self.lie {
            Lie::PartsByPosition => {
                for (position, part) in parts.iter_mut().enumerate() {
                    part.id = position.to_string();
                }
            }
            Lie::NoParts => parts.clear(),
            _ => {}
        }
        parts
    }

    fn index_dir(&self) -> Option<&Path> {
        self.told.index_dir()
    }

    fn file_name(&self, address: RowAddress) -> String {
        self.told.file_name(address)
    }

    async fn scan(&self, context: &TaskContext, request: &ScanRequest) -> Result<Arc<dyn ExecutionPlan>> {
        let mut request = request.clone();
        match self.lie {
            Lie::ScansOtherColumns => request.projection.iter_mut().for_each(|columns| columns.sort_unstable()),
            Lie::ScansBeyondTheLimit => request.limit = request.limit.map(|limit| limit.saturating_add(1)),
            Lie::ScansAllParts => request.parts = None,
            Lie::ScansTheNewestState => {
                return self.backend.snapshot(&self.collection).await?.scan(context, &request).await;
            }
            _ => {}
        }
        self.told.scan(context, &request).await
    }

    async fn take(
        &self,
        context: &Arc<TaskContext>,
        addresses: &[RowAddress],
        projection: &[usize],
    ) -> Result<RecordBatch> {
        let (mut addresses, mut projection) = (addresses.to_vec(), projection.to_vec());
        match self.lie {
            Lie::TakesBackwards => addresses.reverse(),
            Lie::TakesLess => addresses.truncate(addresses.len().saturating_sub(1).max(1)),
            Lie::TakesOtherColumns => projection.sort_unstable(),
            Lie::TakePanics => panic!("a bug"),
            _ => {}
        }
        self.told.take(context, &addresses, &projection).await
    }
}
