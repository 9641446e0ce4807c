//! The trait of a backend: a store of named collections, which pins their states.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;

use super::snapshot::Snapshot;
use crate::error::{Error, Result};

/// Choice of an older state of a collection: by its number or by a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AsOf {
    /// The state of this number; the first is 0.
    Version(u64),
    /// The state at this time, in milliseconds since 1970 (UTC).
    Timestamp(i64),
}

/// A change of a collection, from its log.
#[derive(Clone, Debug, PartialEq)]
pub struct Commit {
    /// The number of the state that it created.
    pub version: u64,
    /// Time of the commit, in milliseconds since 1970 (UTC).
    pub timestamp_ms: i64,
    /// Name of the operation, as the writer calls it.
    pub operation: Option<String>,
    /// Parameters of the operation, as a JSON object.
    pub parameters: Option<String>,
}

/// A store of collections.
#[async_trait]
pub trait Backend: Debug + Send + Sync {
    /// The backend's name; in SQL it is a schema.
    fn id(&self) -> &str;

    /// The names of its collections, sorted.
    async fn list(&self) -> Result<Vec<String>>;

    /// Pins the newest state of a collection.
    ///
    /// # Errors
    /// `NotFound` if there is no such collection, `Unavailable` if the backend does not answer.
    async fn snapshot(&self, collection: &str) -> Result<Arc<dyn Snapshot>>;

    /// Pins an older state of a collection, and returns its number.
    ///
    /// # Errors
    /// `NotSupported` if the backend keeps no older states; `InvalidInput` if the collection has or keeps no such state; else
    /// as [`snapshot`](Self::snapshot).
    async fn snapshot_as_of(&self, collection: &str, _as_of: AsOf) -> Result<(u64, Arc<dyn Snapshot>)> {
        Err(no_older_states(self.id(), collection))
    }

    /// The changes of a collection that are still known, newest first.
    ///
    /// # Errors
    /// As [`snapshot_as_of`](Self::snapshot_as_of).
    async fn history(&self, collection: &str) -> Result<Vec<Commit>> {
        Err(no_older_states(self.id(), collection))
    }

    /// Returns true if [`snapshot`](Self::snapshot) can tell that nothing changed: equal generations of one collection mean
    /// equal rows. A backend that cannot gives every snapshot a generation of its own, and is never asked for FRESH.
    fn has_generations(&self) -> bool {
        true
    }
}

fn no_older_states(backend: &str, collection: &str) -> Error {
    Error::not_supported("older states of a table that is not a Delta table")
        .with("backend", backend)
        .with("table", collection)
        .with("expected", "a Delta table")
}
