//! Execution plan nodes that pass the rows of their input on.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, plan_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::execution_plan::{CardinalityEffect, ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties};
use futures::Stream;

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
#[derive(Debug)]
pub(crate) struct PassThrough<A> {
    input: Arc<dyn ExecutionPlan>,
    action: A,
}

impl<A: Action> PassThrough<A> {
    pub(crate) fn above(input: Arc<dyn ExecutionPlan>, action: A) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self { input, action })
    }
}

impl<A: Action> DisplayAs for PassThrough<A> {
    fn fmt_as(&self, _t: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(A::NAME)
    }
}

impl<A: Action> ExecutionPlan for PassThrough<A> {
    fn name(&self) -> &'static str {
        A::NAME
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.len()) {
            (Some(input), 0) => Ok(Self::above(input, self.action.clone())),
            (_, others) => plan_err!("{} expected one input, got {}", A::NAME, others + 1),
        }
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.action.start(Input { plan: &self.input, partition, context })
    }

    fn supports_limit_pushdown(&self) -> bool {
        true
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::Equal
    }
}
