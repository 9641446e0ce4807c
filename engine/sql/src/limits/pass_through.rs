//! Execution plan nodes that pass the rows of their input on.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, PlanProperties};
use futures::Stream;
use ruvector_rulake::operator::{Keeps, Operator, OperatorExec};

/// The action of a node on the rows that pass.
pub(crate) trait Action: fmt::Debug + Clone + Send + Sync + 'static {
    /// Name of the node in plans.
    const NAME: &'static str;

    /// The rows of a partition of `input`, the same and in the same order.
    fn start(&self, input: Input<'_>) -> Result<SendableRecordBatchStream>;
}

/// A partition of the input of a node.
pub(crate) struct Input<'a> {
    pub(crate) plan: &'a Arc<dyn ExecutionPlan>,
    pub(crate) partition: usize,
    pub(crate) context: Arc<TaskContext>,
}

impl Input<'_> {
    /// The rows of the partition, as `pass` passes them on.
    pub(crate) fn passed<S>(
        self,
        pass: impl FnOnce(SendableRecordBatchStream) -> S,
    ) -> Result<SendableRecordBatchStream>
    where
        S: Stream<Item = Result<RecordBatch>> + Send + 'static,
    {
        let rows = self.plan.execute(self.partition, self.context)?;
        let schema = rows.schema();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, pass(rows))))
    }
}

/// A node that passes the rows of its input on, and does something with each batch.
#[derive(Clone)]
pub(crate) struct PassThrough<A> {
    input: Arc<dyn ExecutionPlan>,
    action: A,
}

impl<A: Action> PassThrough<A> {
    pub(crate) fn above(input: Arc<dyn ExecutionPlan>, action: A) -> Arc<dyn ExecutionPlan> {
        OperatorExec::plan(Self { input, action })
    }
}

impl<A: Action> Operator for PassThrough<A> {
    const NAME: &'static str = A::NAME;
    const KEEPS: Keeps = Keeps { rows: true, order: true, limits: true, ..Keeps::NOTHING };

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn inputs(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn with_inputs(&self, mut inputs: Vec<Arc<dyn ExecutionPlan>>) -> Result<Self> {
        Ok(Self { input: inputs.remove(0), action: self.action.clone() })
    }

    fn start(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
        _metrics: &ExecutionPlanMetricsSet,
    ) -> Result<SendableRecordBatchStream> {
        self.action.start(Input { plan: &self.input, partition, context })
    }
}
