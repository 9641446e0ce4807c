//! A shared execution plan node: [`OperatorExec`] is the node, an [`Operator`] is what differs from node to node.
//!
//! DataFusion asks a node some fifteen things. For a node that makes its rows itself in one stream, or that passes the rows of
//! its one input on, most answers are the same. It is no node for operators that filter or repartition rows.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics, internal_err, plan_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{
    Boundedness, CardinalityEffect, ChildrenPropertiesMode, EmissionType, ReplaceChildrenOptions,
};
use datafusion::physical_plan::filter_pushdown::{FilterDescription, FilterPushdownPhase};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::projection::{EmbeddedProjection, ProjectionExec, try_embed_projection};
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};

/// The part of an execution plan node that is its own.
pub trait Operator: Clone + Send + Sync + 'static {
    /// Name of the node in plans.
    const NAME: &'static str;
    /// The properties of the rows of its one input that the output has too.
    const KEEPS: Keeps = Keeps::NOTHING;
    /// True if it can leave out columns: [`Operator::with_columns`] is implemented.
    const TAKES_PROJECTION: bool = false;

    /// Writes the line of EXPLAIN.
    ///
    /// # Errors
    /// Errors of the formatter.
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::NAME)
    }

    /// Schema, order and partitions of the output.
    fn properties(&self) -> &Arc<PlanProperties>;

    /// The plans that it reads.
    fn inputs(&self) -> Vec<&Arc<dyn ExecutionPlan>>;

    /// The same operator over other inputs, as many as it has.
    ///
    /// # Errors
    /// If an input does not fit.
    fn with_inputs(&self, inputs: Vec<Arc<dyn ExecutionPlan>>) -> Result<Self>;

    /// The same operator with some columns of its output, by their positions.
    ///
    /// # Errors
    /// If it makes all columns, always.
    fn with_columns(&self, _columns: &[usize]) -> Result<Self> {
        internal_err!("{} takes no projection", Self::NAME)
    }

    /// Starts a partition of the output.
    ///
    /// # Errors
    /// If an input does not start.
    fn start(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<SendableRecordBatchStream>;
}

/// The properties of the rows of an input that an [`Operator`] keeps.
#[derive(Clone, Copy, Debug)]
pub struct Keeps {
    /// All rows come out, and no others.
    pub rows: bool,
    /// They come in the order of the input.
    pub order: bool,
    /// A limit above the node may be put below it.
    pub limits: bool,
    /// The statistics of the input are those of the output.
    pub statistics: bool,
    /// Filters above the node may be put below it.
    pub filters: bool,
}

impl Keeps {
    /// The output is made of the inputs, and is another one.
    pub const NOTHING: Self = Self { rows: false, order: false, limits: false, statistics: false, filters: false };
}

/// The execution plan node of an operator.
#[derive(Clone)]
pub struct OperatorExec<O> {
    operator: O,
    metrics: ExecutionPlanMetricsSet,
}

impl<O: Operator> OperatorExec<O> {
    /// The node of an operator.
    pub fn new(operator: O) -> Self {
        Self { operator, metrics: ExecutionPlanMetricsSet::new() }
    }

    /// The node of an operator, as a plan.
    pub fn plan(operator: O) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self::new(operator))
    }

    /// Its operator.
    pub fn operator(&self) -> &O {
        &self.operator
    }
}

/// The operator of a plan's first node, if it is of this type.
pub fn operator_of<O: Operator>(plan: &Arc<dyn ExecutionPlan>) -> Option<&O> {
    plan.downcast_ref::<OperatorExec<O>>().map(OperatorExec::operator)
}

/// Properties of an output in one partition that ends.
pub fn one_partition(equivalences: EquivalenceProperties, emission: EmissionType) -> Arc<PlanProperties> {
    let partitioning = Partitioning::UnknownPartitioning(1);
    Arc::new(PlanProperties::new(equivalences, partitioning, emission, Boundedness::Bounded))
}

/// The stream of a batch that is computed when it is asked for.
pub fn one_batch(
    schema: SchemaRef,
    batch: impl Future<Output = Result<RecordBatch>> + Send + 'static,
) -> SendableRecordBatchStream {
    Box::pin(RecordBatchStreamAdapter::new(schema, futures::stream::once(batch)))
}

/// Columns of an output, by their positions in the full one. `known` is the projection so far; `None` is all columns.
pub fn narrowed(known: Option<&Vec<usize>>, columns: &[usize]) -> Vec<usize> {
    match known {
        Some(known) => columns.iter().map(|column| known[*column]).collect(),
        None => columns.to_vec(),
    }
}

impl<O: Operator> EmbeddedProjection for OperatorExec<O> {
    fn with_projection(&self, projection: Option<Vec<usize>>) -> Result<Self> {
        match projection {
            Some(columns) => Ok(Self::new(self.operator.with_columns(&columns)?)),
            None => Ok(Self::new(self.operator.clone())),
        }
    }
}

impl<O: Operator> fmt::Debug for OperatorExec<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.operator.describe(f)
    }
}

impl<O: Operator> DisplayAs for OperatorExec<O> {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.operator.describe(f)
    }
}

impl<O: Operator> ExecutionPlan for OperatorExec<O> {
    fn name(&self) -> &'static str {
        O::NAME
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.operator.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![O::KEEPS.order; self.children().len()]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false; self.children().len()]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.operator.inputs()
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let expected = self.children().len();
        if children.len() != expected {
            return plan_err!("{} expected {expected} inputs, got {}", O::NAME, children.len());
        }
        Ok(Self::plan(self.operator.with_inputs(children)?))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn try_swapping_with_projection(&self, projection: &ProjectionExec) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        if O::TAKES_PROJECTION { try_embed_projection(projection, self) } else { Ok(None) }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let partitions = self.properties().partitioning.partition_count();
        if partition >= partitions {
            return internal_err!("{} has {partitions} partitions, got the position {partition}", O::NAME);
        }
        self.operator.start(partition, context, &self.metrics)
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        let request = if O::KEEPS.statistics { ChildStats::At(partition) } else { ChildStats::Skip };
        vec![request; self.children().len()]
    }

    fn statistics_from_inputs(&self, inputs: &[Arc<Statistics>], _args: &StatisticsArgs) -> Result<Arc<Statistics>> {
        match inputs.first().filter(|_| O::KEEPS.statistics) {
            Some(of_input) => Ok(Arc::clone(of_input)),
            None => Ok(Arc::new(Statistics::new_unknown(&self.schema()))),
        }
    }

    fn supports_limit_pushdown(&self) -> bool {
        O::KEEPS.limits
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        if O::KEEPS.rows { CardinalityEffect::Equal } else { CardinalityEffect::Unknown }
    }

    fn gather_filters_for_pushdown(
        &self,
        _phase: FilterPushdownPhase,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        _config: &ConfigOptions,
    ) -> Result<FilterDescription> {
        match O::KEEPS.filters {
            true => FilterDescription::from_children(filters, &self.children()),
            false => Ok(FilterDescription::all_unsupported(&filters, &self.children())),
        }
    }
}
