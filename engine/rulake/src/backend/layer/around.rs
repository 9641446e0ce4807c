//! Call of a layer: the work of an operation goes in; the layer runs it, and what it returns is counted.

use std::sync::Arc;

use super::operation::{Call, Layer, Operation, Outcome};
use super::scan_totals::ScanTotals;
use crate::error::Result;

/// A layer with the backend and the collection that its calls name.
#[derive(Debug)]
pub(super) struct Around<L> {
    pub(super) layer: Arc<L>,
    pub(super) backend: String,
    pub(super) collection: Option<String>,
}

impl<L: Layer> Around<L> {
    /// Runs an operation that is complete in itself.
    pub(super) async fn once<T: Outcome>(
        &self,
        operation: Operation,
        work: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        self.part_of(&ScanTotals::new(1), 0, operation, work).await
    }

    /// Runs one step of an operation that returns rows in several steps.
    pub(super) async fn part_of<T: Outcome>(
        &self,
        totals: &ScanTotals,
        partition: usize,
        operation: Operation,
        work: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        let call = Call { operation, backend: &self.backend, collection: self.collection.as_deref(), totals };
        let counted = async {
            let outcome = work.await?;
            totals.add(partition, outcome.size());
            Ok(outcome)
        };
        self.layer.around(&call, counted).await
    }
}
