//! Stores without row addresses: rows are named by a key column, and addresses are counted over the sorted keys.

mod keys;
mod scan;
mod snapshot;

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use async_trait::async_trait;
use datafusion::execution::SendableRecordBatchStream;
use parking_lot::Mutex;

use crate::contract::{Backend, Snapshot, check_name};
use crate::error::{Error, Result};
use crate::witness::Generation;
use crate::witness::PROCESS;

use snapshot::{KeyedSnapshot, Pinned};

/// A store whose rows have a key instead of an address: a Python class, a Flight SQL server.
///
/// What it says is checked: a batch of other columns than it declared, a key that is NULL or not unique are errors, never
/// wrong answers.
#[async_trait]
pub trait KeyedSource: Debug + Send + Sync {
    /// The name of the backend; in SQL it is a schema.
    fn id(&self) -> &str;

    /// The names of its collections, in any order. Those that are no plain names are passed over.
    async fn list(&self) -> Result<Vec<String>>;

    /// The columns of a collection; vectors are `FixedSizeList<Float32>`.
    ///
    /// # Errors
    /// `NotFound` if there is no such collection, `Unavailable` if the store does not answer.
    async fn schema(&self, collection: &str) -> Result<SchemaRef>;

    /// The column that names a row: integers or strings, not NULL, unique.
    async fn key_column(&self, collection: &str) -> Result<String>;

    /// The token of the state of a collection, or `None` if the store cannot tell. Equal tokens mean equal rows.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`.
    async fn generation(&self, collection: &str) -> Result<Option<Generation>>;

    /// Returns true if [`generation`](Self::generation) can give a token. If not, it is never called.
    fn has_generations(&self) -> bool;

    /// Reads `columns` of all rows, in that order, the rows in any order. Errors on the way keep their kind if they are made by
    /// [`to_datafusion`](crate::error::to_datafusion).
    async fn scan(&self, collection: &str, columns: &[String]) -> Result<SendableRecordBatchStream>;

    /// Reads `columns` of the rows that have one of `keys`, in any order. `keys` are distinct and of the key column's type.
    async fn take(&self, collection: &str, keys: ArrayRef, columns: &[String]) -> Result<RecordBatch>;

    /// URI of the bytes of record, which goes into witnesses.
    fn data_ref(&self, collection: &str) -> String {
        format!("keyed://{}/{collection}", self.id())
    }
}

/// The collections of a [`KeyedSource`].
///
/// The address of a row is the ordinal of its key among the sorted keys of the pinned state, which are read when an address
/// is first asked for. Indexes are kept in memory only.
#[derive(Debug)]
pub struct KeyedBackend<S: ?Sized = dyn KeyedSource> {
    source: Arc<S>,
    /// The newest state seen of each collection whose state the store can tell.
    seen: Mutex<HashMap<String, KeyedSnapshot<S>>>,
}

impl<S: KeyedSource + ?Sized> KeyedBackend<S> {
    /// The collections of `source`.
    pub fn new(source: Arc<S>) -> Self {
        Self { source, seen: Mutex::default() }
    }

    /// The store underneath.
    pub fn source(&self) -> &Arc<S> {
        &self.source
    }

    async fn pin(&self, collection: &str) -> Result<KeyedSnapshot<S>> {
        // Asked before anything is read: what is read later is then noticed to be newer, never taken to be older.
        let told = match self.source.has_generations() {
            true => self.source.generation(collection).await?,
            false => None,
        };
        let seen = self.seen.lock().get(collection).cloned();
        if let Some(seen) = seen.filter(|seen| Some(&seen.0.generation) == told.as_ref()) {
            return Ok(seen);
        }
        let schema = self.source.schema(collection).await?;
        let key = self.key_position(collection, &schema).await?;
        let is_told = told.is_some();
        let unique = || Generation::Opaque(format!("unpinned-{}", uuid::Uuid::new_v4().simple()));
        let snapshot = KeyedSnapshot(Arc::new(Pinned {
            source: Arc::clone(&self.source),
            collection: collection.to_owned(),
            data_ref: match &told {
                // Counters of another process may be those of other rows.
                Some(Generation::Number(_)) => format!("{}#{}", self.source.data_ref(collection), *PROCESS),
                _ => self.source.data_ref(collection),
            },
            generation: told.unwrap_or_else(unique),
            is_told,
            schema,
            key,
            keys: Default::default(),
        }));
        if is_told {
            self.seen.lock().insert(collection.to_owned(), snapshot.clone());
        }
        Ok(snapshot)
    }

    /// Position of the key column in the schema. The column names and the type of the key are checked.
    async fn key_position(&self, collection: &str, schema: &SchemaRef) -> Result<usize> {
        let name = self.source.key_column(collection).await?;
        let refused = |message: &str| {
            Error::invalid_input(message).with("backend", self.source.id()).with("collection", collection)
        };
        let mut names: Vec<_> = schema.fields().iter().map(|field| field.name()).collect();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(refused("two columns have one name").with("got twice", pair[0]));
        }
        let position = schema.index_of(&name).map_err(|_| {
            refused("the key column is not there").with("expected", &name).with("got", names_of(schema.fields()))
        })?;
        let data_type = schema.field(position).data_type();
        let is_text = matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
        match is_text || data_type.is_integer() {
            true => Ok(position),
            false => Err(refused("the key column has another type")
                .with("column", name)
                .with("expected", "integers or strings")
                .with("got", data_type)),
        }
    }
}

/// The names of columns, for messages.
fn names_of(fields: &arrow::datatypes::Fields) -> String {
    let names: Vec<_> = fields.iter().map(|field| field.name().as_str()).collect();
    names.join(", ")
}

#[async_trait]
impl<S: KeyedSource + ?Sized + 'static> Backend for KeyedBackend<S> {
    fn id(&self) -> &str {
        self.source.id()
    }

    async fn list(&self) -> Result<Vec<String>> {
        let mut names = self.source.list().await?;
        names.retain(|name| check_name(name).is_ok());
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    async fn snapshot(&self, collection: &str) -> Result<Arc<dyn Snapshot>> {
        check_name(collection)?;
        match self.pin(collection).await {
            Ok(snapshot) => Ok(Arc::new(snapshot)),
            Err(e) => {
                self.seen.lock().remove(collection);
                Err(e)
            }
        }
    }

    fn has_generations(&self) -> bool {
        self.source.has_generations()
    }
}
