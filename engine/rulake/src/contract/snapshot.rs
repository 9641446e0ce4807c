//! The trait of a snapshot: one pinned state of a collection, with its parts, its scans and its takes.

use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use roaring::RoaringBitmap;

use super::scan_request::ScanRequest;
use super::served_index::ServedIndex;
use super::vector_stream::{VectorRequest, VectorStream, scan_vectors};
use crate::address::RowAddress;
use crate::error::Result;
use crate::index_spec::IndexSpec;
use crate::vector_column::dim_of_column;
use crate::witness::{Generation, witness};

/// The folder of index files beside collections: readers of Delta and Parquet pass over names with `_`.
pub const INDEX_DIR: &str = "_ruvector";

/// A pinned state of a collection. Everything read through it is of that state.
#[async_trait]
pub trait Snapshot: Debug + Send + Sync {
    /// URI of the bytes of record.
    fn data_ref(&self) -> &str;

    /// The token of this state.
    fn generation(&self) -> &Generation;

    /// The columns; vectors are `FixedSizeList<Float32>`.
    fn schema(&self) -> SchemaRef;

    /// The number of rows, if it is known without reading.
    fn num_rows(&self) -> Option<usize>;

    /// The parts of the state, in the order of the files of row addresses. Codes of a part are valid for every state that has
    /// a part of the same id.
    fn parts(&self) -> Vec<Part> {
        vec![Part { id: self.generation().to_string(), deleted: RoaringBitmap::new() }]
    }

    /// Folder for index files over this collection, if they may be kept anywhere.
    fn index_dir(&self) -> Option<&Path>;

    /// The index that the collection is, if it is one. It answers the searches of its specification.
    fn index(&self) -> Option<&ServedIndex> {
        None
    }

    /// The file of `address`, for messages.
    fn file_name(&self, address: RowAddress) -> String;

    /// A plan that reads the state. `context` provides settings and the registry of object stores.
    async fn scan(&self, context: &TaskContext, request: &ScanRequest) -> Result<Arc<dyn ExecutionPlan>>;

    /// Reads all vectors of a column, unchecked. The windows together stand for all rows of the state, or of the parts that
    /// `request` names.
    async fn vectors(&self, context: &Arc<TaskContext>, request: &VectorRequest<'_>) -> Result<VectorStream<'_>> {
        scan_vectors(self.scan(context, &request.scan()).await?, context)
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

    /// Checks that all reads so far were of this state. Bytes of record may be replaced in place, so a reader that keeps a
    /// result of its reads calls it at the end.
    ///
    /// # Errors
    /// `GenerationGone` if the state is not there any more; `Unavailable` if the backend does not answer.
    async fn verify(&self) -> Result<()> {
        Ok(())
    }
}

/// Part of a state: a file, a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Equal ids of one collection mean the same rows under the same numbers, deleted ones included.
    pub id: String,
    /// The deleted rows.
    pub deleted: RoaringBitmap,
}

impl IndexSpec {
    /// The witness of an entry built from `snapshot` by this specification.
    ///
    /// # Errors
    /// `NotFound` or `InvalidInput` if the column is not a vector column there.
    pub fn witness(&self, snapshot: &dyn Snapshot) -> Result<String> {
        let dim = dim_of_column(&snapshot.schema(), &self.column)?;
        Ok(witness(snapshot.data_ref(), dim, self.seed, self.rerank_factor, snapshot.generation()))
    }
}
