//! Snapshot of a keyed source: its row addresses are positions in the sorted keys of the pinned state.

use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::streaming::StreamingTableExec;

use super::keys::Keys;
use super::scan::KeyedScan;
use super::source::KeyedSource;
use super::state::KeyedState;
use crate::address::RowAddress;
use crate::contract::{ScanRequest, Snapshot};
use crate::error::{Error, Result, from_datafusion};
use crate::witness::Generation;

/// A pinned state of a collection, shared by its readers.
#[derive(Debug)]
pub(super) struct KeyedSnapshot<S: ?Sized>(pub(super) Arc<KeyedState<S>>);

impl<S: ?Sized> Clone for KeyedSnapshot<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

#[async_trait]
impl<S: KeyedSource + ?Sized + 'static> Snapshot for KeyedSnapshot<S> {
    fn data_ref(&self) -> &str {
        &self.0.data_ref
    }

    fn generation(&self) -> &Generation {
        &self.0.generation
    }

    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.0.schema)
    }

    fn num_rows(&self) -> Option<usize> {
        self.0.keys.get().map(Keys::len)
    }

    fn index_dir(&self) -> Option<&Path> {
        None
    }

    fn file_name(&self, address: RowAddress) -> String {
        let key = self.0.keys.get().map(|keys| keys.name(address.row() as usize)).unwrap_or_default();
        format!("{} with key {key}", self.0.collection)
    }

    async fn scan(&self, _context: &TaskContext, request: &ScanRequest) -> Result<Arc<dyn ExecutionPlan>> {
        let scan = KeyedScan::new(Arc::clone(&self.0), request);
        // There is one part.
        if request.parts.as_ref().is_some_and(Vec::is_empty) {
            return Ok(Arc::new(EmptyExec::new(scan.output())));
        }
        let plan = StreamingTableExec::try_new(scan.output(), vec![Arc::new(scan)], None, [], false, None);
        Ok(Arc::new(plan.map_err(from_datafusion)?))
    }

    async fn take(
        &self,
        _context: &Arc<TaskContext>,
        addresses: &[RowAddress],
        projection: &[usize],
    ) -> Result<RecordBatch> {
        let keys = self.0.keys().await?;
        if let Some(outside) = addresses.iter().find(|address| address.file() != 0) {
            return Err(Error::internal("row address outside its snapshot").with("file", outside.file()));
        }
        let positions: Vec<u32> = addresses.iter().map(|address| address.row()).collect();
        if positions.is_empty() {
            return Ok(RecordBatch::new_empty(self.0.columns(projection)));
        }
        let rows = match self.0.take(keys, positions, projection).await {
            Ok(rows) => rows,
            Err(e) => return Err(self.0.why(e).await),
        };
        // Rows of the same keys may have other values by now.
        self.0.verify().await?;
        Ok(rows)
    }

    async fn verify(&self) -> Result<()> {
        self.0.verify().await
    }
}
