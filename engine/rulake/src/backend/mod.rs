//! Backends: stores of collections, and the states of collections that they pin.

pub mod delta;
pub mod fs;
pub mod hive;
pub mod index;
pub mod keyed;
pub mod layer;
pub mod local;
pub mod object_store;
mod parquet;
mod vectors;

use std::fmt::Debug;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::execution::TaskContext;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use roaring::RoaringBitmap;

use crate::address::RowAddress;
use crate::error::{Error, Result};
use crate::witness::Generation;

pub use self::object_store::{ObjectStoreBackend, open_store, shown_value};
pub use delta::{DeltaBackend, RemoteDeltaBackend};
pub use fs::FsBackend;
pub use index::{IndexBackend, OwnIndex};
pub use keyed::{KeyedBackend, KeyedSource};
pub use local::LocalBackend;
pub use vectors::{VectorRequest, VectorStream, VectorWindow};

/// The name of this process, for what means nothing to another one.
static PROCESS: LazyLock<String> = LazyLock::new(|| uuid::Uuid::new_v4().simple().to_string());

/// The folder of index files beside collections: readers of Delta and Parquet pass over names with `_`.
pub const INDEX_DIR: &str = "_ruvector";

/// A state that a collection had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AsOf {
    /// The state of this number; the first is 0.
    Version(u64),
    /// The state at this time, in milliseconds since 1970 (UTC).
    Timestamp(i64),
}

/// A change of a collection, as its log tells.
#[derive(Clone, Debug, PartialEq)]
pub struct Commit {
    /// The number of the state that it made.
    pub version: u64,
    /// Time of the commit, in milliseconds since 1970 (UTC).
    pub timestamp_ms: i64,
    /// Name of the operation, as the writer calls it.
    pub operation: Option<String>,
    /// Parameters of the operation, as a JSON object.
    pub parameters: Option<String>,
}

/// A place that holds collections.
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

    /// Pins a state that a collection had, and says its number.
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

/// One pinned state of a collection. Everything read through it is of that state.
#[async_trait]
pub trait Snapshot: Debug + Send + Sync {
    /// URI of the bytes of record.
    fn data_ref(&self) -> &str;

    /// The token of this state.
    fn generation(&self) -> &Generation;

    /// Its columns; vectors are `FixedSizeList<Float32>`.
    fn schema(&self) -> SchemaRef;

    /// Its number of rows, if that is known without reading.
    fn num_rows(&self) -> Option<usize>;

    /// The pieces it is made of, in the order that the files of row addresses count. What was made of a part holds for
    /// every state that has a part of the same id.
    fn parts(&self) -> Vec<Part> {
        vec![Part { id: self.generation().to_string(), deleted: RoaringBitmap::new() }]
    }

    /// Folder for index files over this collection, if they may be kept anywhere.
    fn index_dir(&self) -> Option<&Path>;

    /// The index that it is, where it is one: a search by its specification is answered by that.
    fn index(&self) -> Option<&OwnIndex> {
        None
    }

    /// The file that `address` is in, for messages.
    fn file_name(&self, address: RowAddress) -> String;

    /// A plan that reads it. `context` provides settings and the registry of object stores.
    async fn scan(&self, context: &TaskContext, request: &ScanRequest) -> Result<Arc<dyn ExecutionPlan>>;

    /// Reads the vectors of a column, unchecked: for what goes through all of them. The windows together stand for all rows
    /// of the state, or of the parts that `request` names.
    async fn vectors(&self, context: &Arc<TaskContext>, request: &VectorRequest<'_>) -> Result<VectorStream<'_>> {
        vectors::scanned(self.scan(context, &request.scan()).await?, context)
    }

    /// Reads the rows at `addresses`, in that order, with the columns `projection` of the schema. Addresses are distinct.
    ///
    /// # Errors
    /// `GenerationGone` if the rows are not there any more.
    async fn take(
        &self,
        context: &Arc<TaskContext>,
        addresses: &[RowAddress],
        projection: &[usize],
    ) -> Result<RecordBatch>;

    /// Checks that what was read so far is of this state. Where bytes of record may be replaced in place, a reader that
    /// keeps what it made of them asks when it is done.
    ///
    /// # Errors
    /// `GenerationGone` if the state is not there any more; `Unavailable` if the backend does not answer.
    async fn verify(&self) -> Result<()> {
        Ok(())
    }
}

/// A piece of a state: a file, a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Equal ids of one collection mean the same rows under the same numbers, deleted ones included.
    pub id: String,
    /// The rows that are not there any more.
    pub deleted: RoaringBitmap,
}

/// Request of a scan: columns, parts and rows to read.
#[derive(Clone, Debug, Default)]
pub struct ScanRequest {
    /// Columns of the schema, in output order; `None` is all of them.
    pub projection: Option<Vec<usize>>,
    /// True if the address of each row follows as the last column ([`crate::address::ADDRESS_COLUMN`], `UInt64`).
    pub with_address: bool,
    /// Only these parts, by their positions in [`Snapshot::parts`]; `None` is all of them.
    pub parts: Option<Vec<usize>>,
    /// A predicate over the schema that rows which cannot match may be left out by; those that cannot may still come.
    pub pruning: Option<Arc<dyn PhysicalExpr>>,
    /// Stop after this many rows.
    pub limit: Option<usize>,
    /// Vector columns as the backend stores them, unchecked: for the index build, which names the row at fault.
    pub as_stored: bool,
}

/// Returns true if a collection can have the name: letters, digits, `_`, `-`, `.` and spaces after a letter or digit, 255
/// bytes at most.
pub fn is_name(collection: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ');
    collection.starts_with(|c: char| c.is_alphanumeric()) && collection.chars().all(plain) && collection.len() <= 255
}

/// The names that a backend looks for collections by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Names {
    /// Names that [`is_name`] allows: they come from queries.
    #[default]
    Plain,
    /// Any that one folder or file can have: they come from a location, which names its folder as it is.
    OfFiles,
}

impl Names {
    /// Checks a name before it becomes part of a path.
    ///
    /// # Errors
    /// `InvalidInput` for a name that is not one of these, or that would leave its folder.
    pub(crate) fn check(self, name: &str) -> Result<()> {
        match self {
            Self::Plain => check_name(name),
            Self::OfFiles if name.is_empty() || name.contains('/') || matches!(name, "." | "..") => {
                Err(Error::invalid_input("not the name of a folder or file").with("got", format!("{name:?}")))
            }
            Self::OfFiles => Ok(()),
        }
    }
}

/// Checks the name of a collection before it becomes part of a path: a plain name cannot leave its folder.
///
/// # Errors
/// `InvalidInput` for anything but letters, digits, `_`, `-`, `.` and spaces after a letter or digit, 255 bytes at most.
pub(crate) fn check_name(collection: &str) -> Result<()> {
    match is_name(collection) {
        true => Ok(()),
        false => Err(Error::invalid_input("not a table name")
            .with("expected", "letters, digits, '_', '-', '.' or ' ', starting with a letter or digit")
            .with("got", format!("{collection:?}"))),
    }
}
