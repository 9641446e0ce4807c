//! Backend of Arrow batches in memory.

mod batch;
mod compact;
mod snapshot;

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeListArray, Float32Array, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type, Schema, SchemaRef};
use async_trait::async_trait;
use parking_lot::{Mutex, RwLock};
use ruvector_rabitq::VectorBatch;

use crate::assign::conform;
use crate::contract::{Backend, Snapshot};
use crate::error::{Error, Result};
use crate::vector_column::vector_type;
use crate::vector_lists::lengths;
use crate::vector_type::{FOUND_DIM_KEY, VectorType, undecided, with_length};

use batch::{Batch, ID_COLUMN};
use compact::compact;
use snapshot::LocalSnapshot;

/// The column of [`LocalBackend::upsert_vectors`].
const VECTOR_COLUMN: &str = "vec";

/// Collections held in memory. Their generation is a counter that means nothing to another process.
///
/// Writers come one after the other; readers go on with the state they have and never wait for a writer's work. Rows that
/// are replaced or removed are marked as deleted, so that indexes over their batches can follow.
#[derive(Debug)]
pub struct LocalBackend {
    id: String,
    /// Held while states are exchanged, not while they are made.
    collections: RwLock<HashMap<String, Arc<LocalSnapshot>>>,
    /// Held by the writer at work.
    writer: Mutex<()>,
}

impl LocalBackend {
    /// An empty backend.
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), collections: RwLock::default(), writer: Mutex::default() }
    }

    /// Creates a collection, or replaces the rows and the schema of the one of that name.
    ///
    /// # Errors
    /// `InvalidInput` if a batch does not fit the schema or holds a vector that is not finite.
    pub fn put(&self, collection: &str, schema: SchemaRef, batches: &[RecordBatch]) -> Result<()> {
        let schema = with_found_dims(&schema, batches);
        let batches = batches.iter().map(|batch| Batch::new(conform(batch, &schema)?)).collect::<Result<Vec<_>>>()?;
        let _writer = self.writer.lock();
        self.publish(collection, schema, batches);
        Ok(())
    }

    /// Appends rows to a collection, also where rows of the same `id` are there.
    ///
    /// # Errors
    /// `NotFound`; `InvalidInput` as [`LocalBackend::put`]. Nothing is changed on error.
    pub fn append(&self, collection: &str, batch: &RecordBatch) -> Result<()> {
        let _writer = self.writer.lock();
        let known = self.get(collection).ok_or_else(|| not_found(&self.id, collection))?;
        let schema = match known.batches.is_empty() {
            true => with_found_dims(&known.schema, std::slice::from_ref(batch)),
            false => Arc::clone(&known.schema),
        };
        let rows = conform(batch, &schema)?;
        let batches = compact(known.batches.clone(), Some(rows), &schema)?;
        self.publish(collection, schema, batches);
        Ok(())
    }

    /// Writes rows by their `id`, a `BIGINT`: they replace all rows of the same ids. Returns the number
    /// of rows written.
    ///
    /// A collection that does not exist is created with the schema of `batch`. Else columns are matched by name and
    /// cast, and lists become vectors.
    ///
    /// # Errors
    /// `InvalidInput` if the column `id` of `batch` or of the collection is missing or of another type, if an id is NULL or
    /// occurs twice in `batch`, or as [`LocalBackend::put`]. Nothing is changed on error.
    pub fn upsert(&self, collection: &str, batch: &RecordBatch) -> Result<u64> {
        check_id_column(&batch.schema(), "the rows to write")?;
        let _writer = self.writer.lock();
        let known = self.get(collection);
        let schema = match &known {
            Some(known) => Arc::clone(&known.schema),
            None => with_found_dims(&batch.schema(), std::slice::from_ref(batch)),
        };
        check_id_column(&schema, collection)?;
        let rows = conform(batch, &schema)?;
        let ids = distinct_ids(&rows)?;
        let before = known.as_ref().map(|known| known.batches.clone()).unwrap_or_default();
        if known.is_some() && ids.is_empty() {
            return Ok(0);
        }
        let batches = compact(without(before, &ids), Some(rows), &schema)?;
        self.publish(collection, schema, batches);
        Ok(ids.len() as u64)
    }

    /// Writes vectors by their ids, as [`LocalBackend::upsert`] does: `ids` is the column `id`, `vectors` the column `vec`;
    /// other columns are NULL.
    ///
    /// # Errors
    /// `InvalidInput` if there are more or fewer ids than vectors, or as [`LocalBackend::upsert`].
    pub fn upsert_vectors(&self, collection: &str, ids: &[i64], vectors: VectorBatch<'_>) -> Result<u64> {
        if ids.len() != vectors.num_vectors() {
            return Err(Error::invalid_input("ids and vectors differ in number")
                .with("expected", vectors.num_vectors())
                .with("got", ids.len()));
        }
        let failed = |e| Error::internal("vectors do not fit their column").with("reason", e);
        let data_type = vector_type(vectors.dim().get())?;
        let DataType::FixedSizeList(item, dim) = &data_type else {
            return Err(Error::internal("vector type is not a list").with("got", data_type));
        };
        let values = Arc::new(Float32Array::from(vectors.values().to_vec()));
        let column = FixedSizeListArray::try_new(Arc::clone(item), *dim, values, None).map_err(failed)?;
        let columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(ids.to_vec())), Arc::new(column)];
        let fields =
            vec![Field::new(ID_COLUMN, DataType::Int64, false), Field::new(VECTOR_COLUMN, data_type.clone(), true)];
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(failed)?;
        self.upsert(collection, &batch)
    }

    /// Removes the rows that have one of `ids`, and passes over ids that none has. Returns how many rows there were.
    ///
    /// # Errors
    /// `NotFound`; `InvalidInput` if the collection has no column `id` of type `BIGINT`.
    pub fn remove(&self, collection: &str, ids: &[i64]) -> Result<u64> {
        let _writer = self.writer.lock();
        let known = self.get(collection).ok_or_else(|| not_found(&self.id, collection))?;
        check_id_column(&known.schema, collection)?;
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids.dedup();
        let live = |batches: &[Batch]| batches.iter().map(Batch::num_live).sum::<usize>();
        let batches = without(known.batches.clone(), &ids);
        let removed = live(&known.batches) - live(&batches);
        if removed > 0 {
            self.publish(collection, Arc::clone(&known.schema), compact(batches, None, &known.schema)?);
        }
        Ok(removed as u64)
    }

    /// Drops a collection.
    ///
    /// # Errors
    /// `NotFound` if there is none.
    pub fn drop_collection(&self, collection: &str) -> Result<()> {
        let _writer = self.writer.lock();
        let dropped = self.collections.write().remove(collection);
        dropped.map(drop).ok_or_else(|| not_found(&self.id, collection))
    }

    fn get(&self, collection: &str) -> Option<Arc<LocalSnapshot>> {
        self.collections.read().get(collection).cloned()
    }

    /// Publishes batches as the newest state. The caller holds the lock of writers.
    fn publish(&self, collection: &str, schema: SchemaRef, batches: Vec<Batch>) {
        let snapshot = Arc::new(LocalSnapshot::new(&self.id, collection, schema, batches));
        let before = self.collections.write().insert(collection.to_owned(), snapshot);
        // Freed when readers are let in again.
        drop(before);
    }
}

/// Adds to each column of lists of numbers the length of its first list, unless a vector column is declared.
fn with_found_dims(schema: &SchemaRef, batches: &[RecordBatch]) -> SchemaRef {
    if schema.fields().iter().any(|field| VectorType::of(field).is_some()) {
        return Arc::clone(schema);
    }
    let first_length = |field: &FieldRef| {
        let mut columns = batches.iter().filter_map(|batch| batch.column_by_name(field.name()));
        columns.find_map(|column| lengths(column).ok()?.flatten().next())
    };
    let marked = schema.fields().iter().map(|field| match undecided(field).and_then(|_| first_length(field)) {
        Some(length) => with_length(field, FOUND_DIM_KEY, length),
        None => Arc::clone(field),
    });
    Arc::new(Schema::new_with_metadata(marked.collect::<Vec<_>>(), schema.metadata().clone()))
}

/// The batches without the rows that have one of `ids` (sorted, distinct).
fn without(batches: Vec<Batch>, ids: &[i64]) -> Vec<Batch> {
    batches.into_iter().map(|batch| batch.without(ids).unwrap_or(batch)).collect()
}

fn check_id_column(schema: &Schema, of: &str) -> Result<()> {
    let expected = || format!("a column {ID_COLUMN:?} of type {}", DataType::Int64);
    match schema.field_with_name(ID_COLUMN) {
        Ok(field) if field.data_type() == &DataType::Int64 => Ok(()),
        Ok(field) => Err(Error::invalid_input("rows cannot be found by id")
            .with("of", of)
            .with("expected", expected())
            .with("got", field.data_type())),
        Err(_) => {
            let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
            Err(Error::invalid_input("rows cannot be found by id")
                .with("of", of)
                .with("expected", expected())
                .with("got", names.join(", ")))
        }
    }
}

/// The ids of `rows`, sorted.
fn distinct_ids(rows: &RecordBatch) -> Result<Vec<i64>> {
    let column = rows.column_by_name(ID_COLUMN).and_then(|ids| ids.as_primitive_opt::<Int64Type>());
    let column = column.ok_or_else(|| Error::internal("rows have no ids"))?;
    if let Some(row) = (0..column.len()).find(|row| column.is_null(*row)) {
        return Err(Error::invalid_input("an id is NULL").with("row", row));
    }
    let mut ids = column.values().to_vec();
    ids.sort_unstable();
    match ids.windows(2).find(|pair| pair[0] == pair[1]) {
        None => Ok(ids),
        Some(pair) => Err(Error::invalid_input("an id occurs twice in the rows to write")
            .with("expected", "distinct ids")
            .with("got twice", pair[0])),
    }
}

fn not_found(backend: &str, collection: &str) -> Error {
    Error::not_found("no such collection").with("backend", backend).with("collection", collection)
}

#[async_trait]
impl Backend for LocalBackend {
    fn id(&self) -> &str {
        &self.id
    }

    async fn list(&self) -> Result<Vec<String>> {
        let mut names: Vec<_> = self.collections.read().keys().cloned().collect();
        names.sort_unstable();
        Ok(names)
    }

    async fn snapshot(&self, collection: &str) -> Result<Arc<dyn Snapshot>> {
        let snapshot = self.get(collection).ok_or_else(|| not_found(&self.id, collection))?;
        Ok(snapshot)
    }
}
