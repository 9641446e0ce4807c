//! Places in running operators where a statement can be stopped, and where it lets others run.
//!
//! A statement is stopped where it waits or hands on rows ([`crate::running`]). A join of many rows with many may do neither for
//! hours: DataFusion 55 joins them in a loop of its own, and an aggregate above takes what comes of it in another. Here every
//! operator that makes many rows of few pauses after some batches, and the condition of a nested-loop join looks each time it is
//! asked whether its statement goes on.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow::datatypes::{FieldRef, Schema};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DataFusionError, Result, plan_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec};
use datafusion::physical_plan::recursive_query::RecursiveQueryExec;
use datafusion::physical_plan::unnest::UnnestExec;
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr, execute_stream};
use parking_lot::Mutex;
use tokio::runtime::{Handle, RuntimeFlavor};

use crate::limits::wide_constants;
use crate::limits::wide_rows;
use crate::running::stop::Stop;

/// Time for which a condition may keep a thread before others get it.
const TURN: Duration = Duration::from_millis(10);

/// The rows of a plan, which ends with the statement that is being run.
///
/// # Errors
/// If the plan cannot be run.
pub(crate) fn start(plan: Arc<dyn ExecutionPlan>, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
    let stop = Stop::current();
    let plan = wide_constants::bounded(plan, &context)?;
    let watched = plan.transform_up(|plan| watched(plan, stop.as_ref()))?;
    execute_stream(watched.data, context)
}

fn watched(plan: Arc<dyn ExecutionPlan>, stop: Option<&Stop>) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    let multiplies = plan.is::<NestedLoopJoinExec>()
        || plan.is::<CrossJoinExec>()
        || plan.is::<HashJoinExec>()
        || plan.is::<SortMergeJoinExec>()
        || plan.is::<UnnestExec>()
        || plan.is::<RecursiveQueryExec>();
    let stopped = match (plan.downcast_ref::<NestedLoopJoinExec>(), stop) {
        (Some(join), Some(stop)) => with_stop(join, stop)?,
        _ => None,
    };
    let bounded = wide_rows::bounded(stopped.unwrap_or_else(|| Arc::clone(&plan)))?;
    if multiplies {
        return Ok(Transformed::yes(Arc::new(CooperativeExec::new(bounded))));
    }
    let is_changed = !Arc::ptr_eq(&plan, &bounded);
    Ok(Transformed::new_transformed(bounded, is_changed))
}

/// A join whose condition looks whether the statement goes on.
fn with_stop(join: &NestedLoopJoinExec, stop: &Stop) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(filter) = join.filter() else { return Ok(None) };
    let expression =
        Arc::new(Watched { of: Arc::clone(filter.expression()), stop: stop.clone(), turn: Mutex::new(Instant::now()) });
    let filter = JoinFilter::new(expression, filter.column_indices().to_vec(), Arc::clone(filter.schema()));
    let projection = join.projection().as_ref().map(|projection| projection.to_vec());
    let (left, right) = (Arc::clone(join.left()), Arc::clone(join.right()));
    Ok(Some(Arc::new(NestedLoopJoinExec::try_new(left, right, Some(filter), join.join_type(), projection)?)))
}

/// A condition that ends with its statement.
#[derive(Debug)]
struct Watched {
    of: Arc<dyn PhysicalExpr>,
    stop: Stop,
    /// Time at which other tasks had the thread last.
    turn: Mutex<Instant>,
}

impl Watched {
    /// Lets other tasks of this thread run, if they have waited.
    fn take_turns(&self) {
        let mut turn = self.turn.lock();
        let is_shared = Handle::try_current().is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread);
        if is_shared && turn.elapsed() > TURN {
            // Another thread takes the tasks that wait for this one.
            tokio::task::block_in_place(std::thread::yield_now);
            *turn = Instant::now();
        }
    }
}

impl PartialEq for Watched {
    fn eq(&self, other: &Self) -> bool {
        self.of.eq(&other.of)
    }
}

impl Eq for Watched {}

impl Hash for Watched {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.of.hash(state);
    }
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.of.fmt(f)
    }
}

impl PhysicalExpr for Watched {
    fn return_field(&self, input_schema: &Schema) -> Result<FieldRef> {
        self.of.return_field(input_schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        self.stop.check().map_err(|stopped| DataFusionError::External(Box::new(stopped)))?;
        self.take_turns();
        self.of.evaluate(batch)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.of]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        match (children.pop(), children.len()) {
            (Some(of), 0) => Ok(Arc::new(Self { of, stop: self.stop.clone(), turn: Mutex::new(Instant::now()) })),
            (_, others) => plan_err!("a condition expected one expression, got {}", others + 1),
        }
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.of.fmt_sql(f)
    }
}
