//! Pinned state of a keyed source: it reads the keys once, checks the batches of the store, and takes rows by key.
//! Input is a `KeyedSource`; output is a `Snapshot` whose row addresses are positions in the sorted keys.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{Field, Fields, Schema, SchemaRef};
use futures::TryStreamExt;
use tokio::sync::OnceCell;

use super::keys::{Keys, name_of, not_unique};
use super::source::KeyedSource;
use crate::error::{Error, ErrorKind, Result, from_datafusion};
use crate::witness::Generation;

/// A pinned state of a source: its generation, schema and keys.
#[derive(Debug)]
pub(super) struct KeyedState<S: ?Sized> {
    pub(super) source: Arc<S>,
    pub(super) collection: String,
    pub(super) data_ref: String,
    pub(super) generation: Generation,
    /// True if the store told the generation, and can be asked for it again.
    pub(super) is_told: bool,
    pub(super) schema: SchemaRef,
    /// The position of the key column.
    pub(super) key: usize,
    pub(super) keys: OnceCell<Keys>,
}

impl<S: KeyedSource + ?Sized> KeyedState<S> {
    /// The keys, read once.
    pub(super) async fn keys(&self) -> Result<&Keys> {
        self.keys.get_or_try_init(|| self.read_keys()).await
    }

    async fn read_keys(&self) -> Result<Keys> {
        let schema = self.columns(&[self.key]);
        let read = async {
            let mut batches = self.source.scan(&self.collection, &names(&schema)).await?;
            let mut columns = Vec::new();
            while let Some(batch) = batches.try_next().await.map_err(from_datafusion)? {
                self.check(&batch, &schema)?;
                columns.push(Arc::clone(batch.column(0)));
            }
            Keys::new(&columns, schema.field(0).data_type())
        };
        let keys = match read.await {
            Ok(keys) => keys,
            Err(e) => return Err(self.why(e).await),
        };
        self.verify().await?;
        Ok(keys)
    }

    /// Checks that a batch has the columns that were asked for, as they were declared.
    pub(super) fn check(&self, batch: &RecordBatch, expected: &Schema) -> Result<()> {
        let found = batch.schema_ref();
        let lied = |message: &str| self.error(ErrorKind::InvalidInput, message);
        let same_names = found.fields().len() == expected.fields().len()
            && found.fields().iter().zip(expected.fields()).all(|(a, b)| a.name() == b.name());
        if !same_names {
            return Err(lied("the backend answers with other columns than it was asked for")
                .with("expected", names_of(expected.fields()))
                .with("got", names_of(found.fields())));
        }
        for (field, column) in expected.fields().iter().zip(batch.columns()) {
            if field.data_type() != column.data_type() {
                return Err(lied("the backend answers with another type than it declared")
                    .with("column", field.name())
                    .with("expected", field.data_type())
                    .with("got", column.data_type()));
            }
            if !field.is_nullable() && column.null_count() > 0 {
                return Err(lied("the backend answers with NULL where it declared none").with("column", field.name()));
            }
        }
        Ok(())
    }

    /// The cause of an error: `GenerationGone` if the collection has changed, else the error itself.
    pub(super) async fn why(&self, error: Error) -> Error {
        match self.verify().await {
            Err(moved) if moved.kind() == ErrorKind::GenerationGone => moved,
            _ => error,
        }
    }

    pub(super) async fn verify(&self) -> Result<()> {
        if !self.is_told {
            return Ok(());
        }
        let gone = |now: &str| {
            Err(self
                .error(ErrorKind::GenerationGone, "this state is not there any more")
                .with("expected", &self.generation)
                .with("got", now))
        };
        match self.source.generation(&self.collection).await {
            Ok(Some(now)) if now == self.generation => Ok(()),
            Ok(Some(now)) => gone(&now.to_string()),
            Ok(None) => gone("none"),
            Err(e) if e.kind() == ErrorKind::NotFound => gone("no such collection"),
            Err(e) => Err(e),
        }
    }

    /// The columns at `positions` of the schema.
    pub(super) fn columns(&self, positions: &[usize]) -> SchemaRef {
        let fields: Vec<Arc<Field>> =
            positions.iter().map(|position| Arc::clone(&self.schema.fields()[*position])).collect();
        Arc::new(Schema::new(fields))
    }

    /// The columns to ask for so that the key is one of them, and where it is.
    pub(super) fn with_key(&self, projection: &[usize]) -> (SchemaRef, usize) {
        let mut asked = projection.to_vec();
        let key = asked.iter().position(|column| *column == self.key).unwrap_or_else(|| {
            asked.push(self.key);
            asked.len() - 1
        });
        (self.columns(&asked), key)
    }

    pub(super) fn error(&self, kind: ErrorKind, message: &str) -> Error {
        Error::new(kind, message).with("backend", self.source.id()).with("collection", &self.collection)
    }

    /// The rows with the keys at `positions`, in that order.
    pub(super) async fn take(&self, keys: &Keys, positions: Vec<u32>, projection: &[usize]) -> Result<RecordBatch> {
        let (asked, key) = self.with_key(projection);
        let wanted = keys.at(positions.clone())?;
        let found = self.source.take(&self.collection, Arc::clone(&wanted), &names(&asked)).await?;
        self.check(&found, &asked)?;
        let mut row_of = HashMap::with_capacity(positions.len());
        // Rows beyond those asked for are passed over: stores that compare strings by their own rules find more.
        for (row, position) in (0..).zip(keys.positions(found.column(key))?) {
            let Some(position) = position else { continue };
            if row_of.insert(position, row).is_some() {
                return Err(not_unique(&name_of(found.column(key), row as usize)));
            }
        }
        let mut rows = Vec::with_capacity(positions.len());
        for (i, position) in positions.iter().enumerate() {
            rows.push(*row_of.get(position).ok_or_else(|| {
                self.error(ErrorKind::GenerationGone, "a row of this state is not there any more")
                    .with("key", name_of(&wanted, i))
            })?);
        }
        let failed = |e| Error::internal("rows cannot be taken").with("reason", e);
        let taken = take_record_batch(&found, &UInt32Array::from(rows)).map_err(failed)?;
        let options = RecordBatchOptions::new().with_row_count(Some(positions.len()));
        let columns = taken.columns()[..projection.len()].to_vec();
        RecordBatch::try_new_with_options(self.columns(projection), columns, &options).map_err(failed)
    }
}

/// The names of columns, as a source is asked for them.
pub(super) fn names(schema: &Schema) -> Vec<String> {
    schema.fields().iter().map(|field| field.name().clone()).collect()
}

/// The names of columns, for messages.
pub(super) fn names_of(fields: &Fields) -> String {
    let names: Vec<_> = fields.iter().map(|field| field.name().as_str()).collect();
    names.join(", ")
}
