//! A store of rows by key passes the suite of backends, by the adapter that gives its rows addresses.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch};
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::datatypes::{Int64Type, SchemaRef};
use async_trait::async_trait;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use parking_lot::Mutex;
use ruvector_rulake::conformance::{Fixture, check};
use ruvector_rulake::{Backend, Error, Generation, KeyedBackend, KeyedSource, Result};

#[tokio::test(flavor = "multi_thread")]
async fn keyed() {
    check(&Keyed(Arc::default())).await.unwrap();
}

/// Rows by their `id`, and how often they changed.
#[derive(Debug, Default)]
struct Shelf {
    collections: Mutex<BTreeMap<String, (Generation, RecordBatch)>>,
    changes: AtomicU64,
}

impl Shelf {
    fn get(&self, collection: &str) -> Result<(Generation, RecordBatch)> {
        let found = self.collections.lock().get(collection).cloned();
        found.ok_or_else(|| Error::not_found("no such collection").with("collection", collection))
    }

    fn set(&self, collection: &str, rows: RecordBatch) {
        let generation = Generation::Number(self.changes.fetch_add(1, Ordering::SeqCst));
        self.collections.lock().insert(collection.to_owned(), (generation, rows));
    }
}

fn projected(rows: &RecordBatch, columns: &[String]) -> RecordBatch {
    let positions: Vec<usize> = columns.iter().map(|name| rows.schema().index_of(name).unwrap()).collect();
    rows.project(&positions).unwrap()
}

/// The rows whose id is among `ids`, or is not.
fn among(rows: &RecordBatch, ids: &[i64], wanted: bool) -> RecordBatch {
    let found = rows.column(0).as_primitive::<Int64Type>().values().iter();
    let keep: BooleanArray = found.map(|id| Some(ids.contains(id) == wanted)).collect();
    filter_record_batch(rows, &keep).unwrap()
}

#[async_trait]
impl KeyedSource for Shelf {
    fn id(&self) -> &str {
        "shelf"
    }

    async fn list(&self) -> Result<Vec<String>> {
        Ok(self.collections.lock().keys().cloned().collect())
    }

    async fn schema(&self, collection: &str) -> Result<SchemaRef> {
        Ok(self.get(collection)?.1.schema())
    }

    async fn key_column(&self, _collection: &str) -> Result<String> {
        Ok("id".to_owned())
    }

    async fn generation(&self, collection: &str) -> Result<Option<Generation>> {
        Ok(Some(self.get(collection)?.0))
    }

    fn has_generations(&self) -> bool {
        true
    }

    async fn scan(&self, collection: &str, columns: &[String]) -> Result<SendableRecordBatchStream> {
        let rows = projected(&self.get(collection)?.1, columns);
        Ok(Box::pin(RecordBatchStreamAdapter::new(rows.schema(), futures::stream::iter([Ok(rows)]))))
    }

    async fn take(&self, collection: &str, keys: ArrayRef, columns: &[String]) -> Result<RecordBatch> {
        let keys: &Int64Array = keys.as_primitive::<Int64Type>();
        Ok(projected(&among(&self.get(collection)?.1, keys.values(), true), columns))
    }
}

struct Keyed(Arc<Shelf>);

#[async_trait]
impl Fixture for Keyed {
    fn backend(&self) -> Arc<dyn Backend> {
        Arc::new(KeyedBackend::new(Arc::clone(&self.0)))
    }

    async fn store(&self, collection: &str, batches: &[RecordBatch]) -> Result<()> {
        self.0.set(collection, concat_batches(&batches[0].schema(), batches).unwrap());
        Ok(())
    }

    async fn append(&self, collection: &str, batch: &RecordBatch) -> Result<()> {
        let before = self.0.get(collection)?.1;
        self.store(collection, &[before, batch.clone()]).await
    }

    async fn delete(&self, collection: &str, ids: &[i64]) -> Result<()> {
        self.0.set(collection, among(&self.0.get(collection)?.1, ids, false));
        Ok(())
    }

    async fn remove(&self, collection: &str) -> Result<()> {
        self.0.collections.lock().remove(collection);
        Ok(())
    }
}
