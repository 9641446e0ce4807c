//! The fixture of a conformance check: how a test stores and changes the collections of its backend.

use std::sync::Arc;

use arrow::array::RecordBatch;
use async_trait::async_trait;

use crate::contract::Backend;
use crate::error::{Error, Result};

/// Operations of a test that store and change collections of a backend, for [`check`](super::check).
#[async_trait]
pub trait Fixture: Send + Sync {
    /// The backend to check. It has no collection whose name starts with `conformance`.
    fn backend(&self) -> Arc<dyn Backend>;

    /// Returns true if names may have spaces and letters of any script.
    fn has_unicode_names(&self) -> bool {
        true
    }

    /// Creates a collection from the rows of one or more batches, each a part of its own if the backend can.
    ///
    /// # Errors
    /// Errors of the store; [`check`](super::check) passes them on.
    async fn store(&self, collection: &str, batches: &[RecordBatch]) -> Result<()>;

    /// Adds rows to a collection, atomically: a concurrent reader sees all of them or none.
    ///
    /// # Errors
    /// As [`Fixture::store`].
    async fn append(&self, collection: &str, batch: &RecordBatch) -> Result<()>;

    /// Deletes the rows whose column `id` is among `ids`.
    ///
    /// # Errors
    /// `NotSupported` if the backend cannot, as here: then nothing is checked of it. Else as [`Fixture::store`].
    async fn delete(&self, collection: &str, ids: &[i64]) -> Result<()> {
        let _ = (collection, ids);
        Err(Error::not_supported("deleting rows"))
    }

    /// Removes a collection.
    ///
    /// # Errors
    /// As [`Fixture::delete`].
    async fn remove(&self, collection: &str) -> Result<()> {
        let _ = collection;
        Err(Error::not_supported("removing a collection"))
    }
}
