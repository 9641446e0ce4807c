//! Physical plan of a layered scan: passes each batch of its input plan through the layer.

use std::any::type_name;
use std::fmt;
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, PlanProperties};
use futures::{TryStreamExt, stream};

use super::around::Around;
use super::operation::{Layer, Operation};
use super::scan_totals::ScanTotals;
use crate::error::{from_datafusion, to_datafusion};
use crate::operator::{Keeps, Operator};

/// The batches of a plan, each passed through a layer.
pub(super) struct LayeredExec<L> {
    input: Arc<dyn ExecutionPlan>,
    around: Arc<Around<L>>,
    totals: Arc<ScanTotals>,
}

// Derived, it would ask for a layer that can be cloned.
impl<L> Clone for LayeredExec<L> {
    fn clone(&self) -> Self {
        Self { input: Arc::clone(&self.input), around: Arc::clone(&self.around), totals: Arc::clone(&self.totals) }
    }
}

impl<L: Layer> LayeredExec<L> {
    pub(super) fn new(input: Arc<dyn ExecutionPlan>, around: Arc<Around<L>>) -> Self {
        let totals = Arc::new(ScanTotals::new(input.output_partitioning().partition_count()));
        Self { input, around, totals }
    }
}

impl<L: Layer> Operator for LayeredExec<L> {
    const NAME: &'static str = "LayeredExec";
    const KEEPS: Keeps = Keeps { rows: true, order: true, statistics: true, ..Keeps::NOTHING };

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let layer = type_name::<L>();
        write!(f, "{}: layer={}", Self::NAME, layer.rsplit("::").next().unwrap_or(layer))
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn inputs(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn with_inputs(&self, mut inputs: Vec<Arc<dyn ExecutionPlan>>) -> Result<Self> {
        Ok(Self::new(inputs.remove(0), Arc::clone(&self.around)))
    }

    fn start(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
        _metrics: &ExecutionPlanMetricsSet,
    ) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        self.totals.start_over(partition);
        let state = (input, Arc::clone(&self.around), Arc::clone(&self.totals));
        let batches = stream::try_unfold(state, move |(mut input, around, totals)| async move {
            let work = async { input.try_next().await.map_err(from_datafusion) };
            let batch = around.part_of(&totals, partition, Operation::Batch, work).await.map_err(to_datafusion)?;
            Ok(batch.map(|batch| (batch, (input, around, totals))))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.input.schema(), batches)))
    }
}
