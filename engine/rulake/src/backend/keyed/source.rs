//! The trait of a keyed source: all that the author of a store without row addresses implements.

use std::fmt::Debug;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::execution::SendableRecordBatchStream;

use crate::error::Result;
use crate::witness::Generation;

/// A store whose rows have a key instead of an address: a Python class, a Flight SQL server.
///
/// Its answers are checked: a batch with undeclared columns, a key that is NULL and a key that is not unique are errors,
/// never wrong answers.
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
