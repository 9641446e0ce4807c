//! Backend and snapshot wrappers: each operation of the inner backend runs through a layer.
//! Input is a backend and a layer; output is a backend of the same id and collections.

use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;

use super::around::Around;
use super::exec::LayeredExec;
use super::operation::{Layer, Operation};
use crate::address::RowAddress;
use crate::contract::{AsOf, Backend, Commit, Part, ScanRequest, ServedIndex, Snapshot};
use crate::error::Result;
use crate::operator::OperatorExec;
use crate::witness::Generation;

/// A backend whose operations go through a layer.
#[derive(Debug)]
pub struct Layered<L> {
    backend: Arc<dyn Backend>,
    layer: Arc<L>,
}

impl<L: Layer> Layered<L> {
    /// Wraps `backend` in `layer`. Several backends may share one layer, with its counts and limits.
    pub fn new(backend: Arc<dyn Backend>, layer: Arc<L>) -> Self {
        Self { backend, layer }
    }

    fn around(&self, collection: Option<&str>) -> Around<L> {
        Around {
            layer: Arc::clone(&self.layer),
            backend: self.backend.id().to_owned(),
            collection: collection.map(str::to_owned),
        }
    }
}

#[async_trait]
impl<L: Layer> Backend for Layered<L> {
    fn id(&self) -> &str {
        self.backend.id()
    }

    async fn list(&self) -> Result<Vec<String>> {
        self.around(None).once(Operation::List, self.backend.list()).await
    }

    async fn snapshot(&self, collection: &str) -> Result<Arc<dyn Snapshot>> {
        let around = self.around(Some(collection));
        let snapshot = around.once(Operation::Snapshot, self.backend.snapshot(collection)).await?;
        Ok(Arc::new(LayeredSnapshot { snapshot, around: Arc::new(around) }))
    }

    async fn snapshot_as_of(&self, collection: &str, as_of: AsOf) -> Result<(u64, Arc<dyn Snapshot>)> {
        let around = self.around(Some(collection));
        let pinned = around.once(Operation::Snapshot, self.backend.snapshot_as_of(collection, as_of)).await?;
        Ok((pinned.0, Arc::new(LayeredSnapshot { snapshot: pinned.1, around: Arc::new(around) })))
    }

    async fn history(&self, collection: &str) -> Result<Vec<Commit>> {
        self.around(Some(collection)).once(Operation::Snapshot, self.backend.history(collection)).await
    }

    fn has_generations(&self) -> bool {
        self.backend.has_generations()
    }
}

/// A pinned state that is read through a layer.
#[derive(Debug)]
struct LayeredSnapshot<L> {
    snapshot: Arc<dyn Snapshot>,
    around: Arc<Around<L>>,
}

#[async_trait]
impl<L: Layer> Snapshot for LayeredSnapshot<L> {
    fn data_ref(&self) -> &str {
        self.snapshot.data_ref()
    }

    fn generation(&self) -> &Generation {
        self.snapshot.generation()
    }

    fn schema(&self) -> SchemaRef {
        self.snapshot.schema()
    }

    fn num_rows(&self) -> Option<usize> {
        self.snapshot.num_rows()
    }

    fn parts(&self) -> Vec<Part> {
        self.snapshot.parts()
    }

    fn index_dir(&self) -> Option<&Path> {
        self.snapshot.index_dir()
    }

    fn index(&self) -> Option<&ServedIndex> {
        self.snapshot.index()
    }

    fn file_name(&self, address: RowAddress) -> String {
        self.snapshot.file_name(address)
    }

    async fn scan(&self, context: &TaskContext, request: &ScanRequest) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = self.around.once(Operation::Scan, self.snapshot.scan(context, request)).await?;
        Ok(OperatorExec::plan(LayeredExec::new(plan, Arc::clone(&self.around))))
    }

    async fn take(
        &self,
        context: &Arc<TaskContext>,
        addresses: &[RowAddress],
        projection: &[usize],
    ) -> Result<RecordBatch> {
        self.around.once(Operation::Take, self.snapshot.take(context, addresses, projection)).await
    }

    async fn verify(&self) -> Result<()> {
        self.around.once(Operation::Verify, self.snapshot.verify()).await
    }
}
