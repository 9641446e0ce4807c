//! Stores without row addresses: rows are named by a key column, and addresses are counted over the sorted keys.

mod keys;
mod scan;
mod snapshot;
mod source;
mod state;

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use async_trait::async_trait;
use parking_lot::Mutex;

use crate::contract::{Backend, Snapshot, check_name};
use crate::error::{Error, Result};
use crate::witness::Generation;
use crate::witness::PROCESS;

use snapshot::KeyedSnapshot;
pub use source::KeyedSource;
use state::{KeyedState, names_of};

/// The collections of a [`KeyedSource`].
///
/// The address of a row is the ordinal of its key among the sorted keys of the pinned state. The keys are read for the first
/// request of an address. Indexes are kept in memory only.
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
        // Asked before anything is read: a change during the read is then noticed.
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
        let snapshot = KeyedSnapshot(Arc::new(KeyedState {
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
