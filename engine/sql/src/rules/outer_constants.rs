//! A constant of one side of an outer join is none above the join: it is NULL where that side has no row.
//!
//! DataFusion 55 keeps what it knows of the inputs of every join (`EquivalenceGroup::join`), so that in
//! `a LEFT JOIN (SELECT * FROM b WHERE x = 5) AS b ... ORDER BY b.x, a.y` it does not sort by `b.x`, and a LIMIT takes other
//! rows. Here a node above the join has none of its constants. It comes before the rule that plans sorts.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{JoinType, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::joins::{HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, PlanProperties};
use ruvector_rulake::operator::{Keeps, Operator, OperatorExec};

/// Takes the constants of their sides from outer joins.
#[derive(Debug)]
pub(crate) struct OuterConstants;

impl PhysicalOptimizerRule for OuterConstants {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let kept = plan.transform_up(|plan| {
            let Some(join_type) = join_type(&plan) else { return Ok(Transformed::no(plan)) };
            let nullable = match join_type {
                JoinType::Left => [false, true],
                JoinType::Right => [true, false],
                JoinType::Full => [true, true],
                _ => return Ok(Transformed::no(plan)),
            };
            let mut sides = plan.children().into_iter().zip(nullable);
            match sides.any(|(side, nullable)| nullable && !side.equivalence_properties().constants().is_empty()) {
                true => Ok(Transformed::yes(OperatorExec::plan(OuterJoinExec::new(plan)))),
                false => Ok(Transformed::no(plan)),
            }
        });
        kept.map(|kept| kept.data)
    }

    fn name(&self) -> &str {
        "constants_of_outer_joins"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn join_type(plan: &Arc<dyn ExecutionPlan>) -> Option<JoinType> {
    if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
        return Some(*join.join_type());
    }
    if let Some(join) = plan.downcast_ref::<NestedLoopJoinExec>() {
        return Some(*join.join_type());
    }
    plan.downcast_ref::<SortMergeJoinExec>().map(|join| join.join_type())
}

/// The rows of an outer join, which are not known to have constants.
///
/// They are not known to have an order either: a sort that was moved below would leave the constants out again. A projection
/// stays above: a join that takes some of it leaves the rest below this node, which would be offered to it again without end.
#[derive(Clone, Debug)]
struct OuterJoinExec {
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl OuterJoinExec {
    fn new(input: Arc<dyn ExecutionPlan>) -> Self {
        let equivalence = EquivalenceProperties::new(input.schema());
        let properties = PlanProperties::clone(input.properties()).with_eq_properties(equivalence);
        Self { input, properties: Arc::new(properties) }
    }
}

impl Operator for OuterJoinExec {
    const NAME: &'static str = "OuterJoinExec";
    const KEEPS: Keeps = Keeps { rows: true, order: false, limits: true, statistics: true, filters: true };

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn inputs(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn with_inputs(&self, mut inputs: Vec<Arc<dyn ExecutionPlan>>) -> Result<Self> {
        Ok(Self::new(inputs.remove(0)))
    }

    fn start(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
        _metrics: &ExecutionPlanMetricsSet,
    ) -> Result<SendableRecordBatchStream> {
        self.input.execute(partition, context)
    }
}
