//! Expressions of a SELECT list are computed for the rows that WHERE keeps.
//!
//! DataFusion 55 moves a projection below a filter if it has fewer columns than the filter's input, also where it computes:
//! `SELECT id, a / b FROM t WHERE id > 0` then divides in every row, and fails for one that the condition leaves out. Here a
//! filter takes columns from the projection above it, and what is computed of them stays above.

use std::fmt;
use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, plan_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::{Column, Literal};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::projection_pushdown::ProjectionPushdown;
use datafusion::physical_plan::execution_plan::{
    ChildrenPropertiesMode, ReplaceChildrenOptions, replace_children_if_necessary,
};
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::{ProjectionExec, try_embed_projection};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties};

use super::in_place_of;

/// The rules with ours in the places of DataFusion's.
pub(crate) fn in_place(
    rules: &[Arc<dyn PhysicalOptimizerRule + Send + Sync>],
) -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let replaced = ProjectionPushdown::new();
    let ours: Arc<dyn PhysicalOptimizerRule + Send + Sync> = Arc::new(FilterFirst(ProjectionPushdown::new()));
    in_place_of(rules, |rule| rule.name() == replaced.name(), &ours)
}

/// Pushes projections down, but for what they compute above filters.
#[derive(Debug)]
struct FilterFirst(ProjectionPushdown);

impl PhysicalOptimizerRule for FilterFirst {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let guarded = plan.transform_up(|plan| match plan.downcast_ref::<FilterExec>() {
            Some(_) => Ok(Transformed::yes(Arc::new(Guarded(plan)))),
            None => Ok(Transformed::no(plan)),
        })?;
        let pushed = self.0.optimize(guarded.data, config)?;
        let bare = pushed.transform_up(|plan| match plan.downcast_ref::<Guarded>() {
            Some(Guarded(filter)) => Ok(Transformed::yes(Arc::clone(filter))),
            None => Ok(Transformed::no(plan)),
        });
        bare.map(|bare| bare.data)
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn schema_check(&self) -> bool {
        self.0.schema_check()
    }
}

/// A filter while projections are pushed down.
#[derive(Clone, Debug)]
struct Guarded(Arc<dyn ExecutionPlan>);

impl DisplayAs for Guarded {
    fn fmt_as(&self, t: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        self.0.fmt_as(t, f)
    }
}

impl ExecutionPlan for Guarded {
    fn name(&self) -> &'static str {
        "GuardedFilterExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.0.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        self.0.maintains_input_order()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.0.children()
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.0.apply_expressions(f)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self(replace_children_if_necessary(Arc::clone(&self.0), children)?)))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.0.execute(partition, context)
    }

    fn try_swapping_with_projection(&self, projection: &ProjectionExec) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let Some(filter) = self.0.downcast_ref::<FilterExec>() else {
            return plan_err!("expected a filter, got {}", self.0.name());
        };
        let computes = projection.expr().iter().any(|of| !of.expr.is::<Column>() && !of.expr.is::<Literal>());
        match computes {
            true => try_embed_projection(projection, filter),
            false => filter.try_swapping_with_projection(projection),
        }
    }
}
