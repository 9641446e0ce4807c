//! Physical plan of a layered scan: passes each batch of its input plan through the layer.

use std::any::type_name;
use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::execution_plan::{CardinalityEffect, ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties};
use futures::{TryStreamExt, stream};

use super::around::Around;
use super::operation::{Layer, Operation};
use super::scan_totals::ScanTotals;
use crate::error::{from_datafusion, to_datafusion};

/// The batches of a plan, each passed through a layer.
#[derive(Debug)]
pub(super) struct LayeredExec<L> {
    input: Arc<dyn ExecutionPlan>,
    around: Arc<Around<L>>,
    totals: Arc<ScanTotals>,
}

impl<L: Layer> LayeredExec<L> {
    pub(super) fn new(input: Arc<dyn ExecutionPlan>, around: Arc<Around<L>>) -> Self {
        let totals = Arc::new(ScanTotals::new(input.output_partitioning().partition_count()));
        Self { input, around, totals }
    }
}

impl<L: Layer> DisplayAs for LayeredExec<L> {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let layer = type_name::<L>();
        write!(f, "LayeredExec: layer={}", layer.rsplit("::").next().unwrap_or(layer))
    }
}

impl<L: Layer> ExecutionPlan for LayeredExec<L> {
    fn name(&self) -> &'static str {
        "LayeredExec"
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
            (Some(input), 0) => Ok(Arc::new(Self::new(input, Arc::clone(&self.around)))),
            (last, others) => {
                internal_err!("LayeredExec expected 1 input, got {}", others + usize::from(last.is_some()))
            }
        }
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        self.totals.start_over(partition);
        let state = (input, Arc::clone(&self.around), Arc::clone(&self.totals));
        let batches = stream::try_unfold(state, move |(mut input, around, totals)| async move {
            let work = async { input.try_next().await.map_err(from_datafusion) };
            let batch = around.part_of(&totals, partition, Operation::Batch, work).await.map_err(to_datafusion)?;
            Ok(batch.map(|batch| (batch, (input, around, totals))))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), batches)))
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(partition)]
    }

    fn statistics_from_inputs(
        &self,
        input_stats: &[Arc<Statistics>],
        _args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        match input_stats.first() {
            Some(statistics) => Ok(Arc::clone(statistics)),
            None => Ok(Arc::new(Statistics::new_unknown(&self.schema()))),
        }
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::Equal
    }
}
