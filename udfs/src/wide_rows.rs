//! Bounds on the memory that operators take for rows without counting it.
//!
//! DataFusion 55 repeats a row of the left side of a cross join or nested-loop join for each row of a batch of the right side.
//! Long rows on the left make those batches short here. Window operators hold rows until their frames end: the rows that they have
//! taken and not given yet are counted here, by a node below and one above.
//!
//! Other copies of rows are bounded where they are made, in the patch of `arrow-select`.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::RecordBatch;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::joins::{CrossJoinExec, NestedLoopJoinExec};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};
use futures::{StreamExt, TryStreamExt, stream};
use parking_lot::Mutex;

use crate::pass_through::{Action, PassThrough};
use crate::scalar::bounded::bytes;
use crate::wide_constants::{COALESCED_MAX, pieces};

/// Bytes of a batch up to which its rows are not measured one by one.
const BATCH_FEW: u64 = 8 << 10;

/// An operator whose memory for rows is bounded; its inputs are.
///
/// # Errors
/// If the plan cannot be changed.
pub(crate) fn bounded(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let mut children: Vec<_> = plan.children().into_iter().map(Arc::clone).collect();
    if plan.is::<CrossJoinExec>() || plan.is::<NestedLoopJoinExec>() {
        let widest = Arc::new(AtomicU64::new(0));
        if let [left, right] = children.as_mut_slice() {
            *left = PassThrough::above(Arc::clone(left), Measured(Arc::clone(&widest)));
            let cut = Cut { operator: plan.name().to_owned(), widest };
            *right = PassThrough::above(Arc::clone(right), cut);
        }
        return with_children(plan, children);
    }
    if plan.is::<WindowAggExec>() || plan.is::<BoundedWindowAggExec>() {
        let held = Held { operator: plan.name().to_owned(), partitions: Arc::default() };
        if let [input] = children.as_mut_slice() {
            *input = PassThrough::above(Arc::clone(input), Taken(held.clone()));
        }
        return Ok(PassThrough::above(with_children(plan, children)?, Given(held)));
    }
    Ok(plan)
}

fn with_children(
    plan: Arc<dyn ExecutionPlan>,
    children: Vec<Arc<dyn ExecutionPlan>>,
) -> Result<Arc<dyn ExecutionPlan>> {
    plan.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
}

/// The left side of a join, whose longest row is noted.
#[derive(Clone, Debug)]
struct Measured(Arc<AtomicU64>);

impl Action for Measured {
    const NAME: &'static str = "MeasuredRowsExec";

    fn start(
        &self,
        input: &Arc<dyn ExecutionPlan>,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let input = input.execute(partition, context)?;
        let widest = Arc::clone(&self.0);
        let schema = input.schema();
        let measured = input.inspect_ok(move |batch| {
            widest.fetch_max(widest_row(batch), Ordering::Relaxed);
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, measured)))
    }
}

/// The right side of a join, in batches that are short if rows of the left side are long.
#[derive(Clone, Debug)]
struct Cut {
    operator: String,
    /// Bytes of the longest row of the left side.
    widest: Arc<AtomicU64>,
}

impl Action for Cut {
    const NAME: &'static str = "CutRowsExec";

    fn start(
        &self,
        input: &Arc<dyn ExecutionPlan>,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let batch_size = context.session_config().batch_size() as u64;
        let input = input.execute(partition, context)?;
        let Self { operator, widest } = self.clone();
        let schema = input.schema();
        let mut passed: u64 = 0;
        let cut = input.map(move |batch| {
            let batch = batch?;
            // The join reads its left side first.
            let widest = widest.load(Ordering::Relaxed);
            passed = passed.saturating_add(batch.num_rows() as u64);
            // Operators above, and a nested-loop join itself, coalesce the copies.
            let copies = widest.saturating_mul(passed.min(batch_size));
            match copies > COALESCED_MAX {
                true => Err(DataFusionError::ResourcesExhausted(format!(
                    "{operator}: expected at most {COALESCED_MAX} bytes of copies of a row in a batch, got {widest} bytes in each \
                     of {} rows (datafusion.execution.batch_size)",
                    passed.min(batch_size)
                ))),
                false => Ok(stream::iter(pieces(batch, widest).map(Ok::<_, DataFusionError>))),
            }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, cut.try_flatten())))
    }
}

/// The bytes of the longest row of a batch, or of all of them if they are few.
fn widest_row(batch: &RecordBatch) -> u64 {
    let row = |start, end| batch.columns().iter().map(|column| bytes(column.as_ref(), start, end)).sum::<u64>();
    match row(0, batch.num_rows()) {
        all if all <= BATCH_FEW => all,
        _ => (0..batch.num_rows()).map(|at| row(at, at + 1)).max().unwrap_or(0),
    }
}

/// The rows that an operator holds.
#[derive(Clone, Debug)]
struct Held {
    operator: String,
    partitions: Arc<Mutex<HashMap<usize, Arc<HeldRows>>>>,
}

impl Held {
    fn begin(&self, partition: usize, context: &TaskContext) -> Arc<HeldRows> {
        let consumer = MemoryConsumer::new(format!("{}[{partition}]", self.operator));
        let rows = Arc::new(HeldRows {
            reservation: consumer.register(context.memory_pool()),
            rows: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            given: AtomicU64::new(0),
        });
        self.partitions.lock().insert(partition, Arc::clone(&rows));
        rows
    }
}

/// The rows of a partition that an operator holds.
#[derive(Debug)]
struct HeldRows {
    reservation: MemoryReservation,
    /// Rows that it has taken.
    rows: AtomicU64,
    /// Their bytes.
    bytes: AtomicU64,
    /// Rows that it has given.
    given: AtomicU64,
}

impl HeldRows {
    fn take(&self, batch: &RecordBatch) -> Result<()> {
        let columns = batch.columns().iter();
        let more = columns.map(|column| bytes(column.as_ref(), 0, batch.num_rows())).fold(0, u64::saturating_add);
        self.rows.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
        self.bytes.fetch_add(more, Ordering::Relaxed);
        self.reserve()
    }

    fn give(&self, rows: usize) -> Result<()> {
        self.given.fetch_add(rows as u64, Ordering::Relaxed);
        self.reserve()
    }

    /// Reserves the bytes of the rows that are held, by the mean length of a row, and as many for the batch that joins them.
    fn reserve(&self) -> Result<()> {
        let (rows, bytes) = (self.rows.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed));
        let held = rows.saturating_sub(self.given.load(Ordering::Relaxed));
        let bytes = u128::from(bytes) * u128::from(held) / u128::from(rows.max(1));
        self.reservation.try_resize(usize::try_from(bytes).unwrap_or(usize::MAX).saturating_mul(2))
    }
}

/// The input of an operator that holds rows.
#[derive(Clone, Debug)]
struct Taken(Held);

impl Action for Taken {
    const NAME: &'static str = "TakenRowsExec";

    fn start(
        &self,
        input: &Arc<dyn ExecutionPlan>,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let held = self.0.begin(partition, &context);
        let input = input.execute(partition, context)?;
        let schema = input.schema();
        let taken = input.map(move |batch| {
            let batch = batch?;
            held.take(&batch)?;
            Ok(batch)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, taken)))
    }
}

/// The output of an operator that holds rows.
#[derive(Clone, Debug)]
struct Given(Held);

impl Action for Given {
    const NAME: &'static str = "GivenRowsExec";

    fn start(
        &self,
        input: &Arc<dyn ExecutionPlan>,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let input = input.execute(partition, context)?;
        // The operator has started its input.
        let held = self.0.partitions.lock().remove(&partition);
        let schema = input.schema();
        let given = input.map(move |batch| {
            let batch = batch?;
            if let Some(held) = &held {
                held.give(batch.num_rows())?;
            }
            Ok(batch)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, given)))
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int64Array, StringArray};

    use super::*;

    #[test]
    fn the_longest_row_is_found() {
        let ids = Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef;
        let texts = |text: &str| Arc::new(StringArray::from(vec!["a", text])) as ArrayRef;
        let batch = |text: &str| RecordBatch::try_from_iter([("id", Arc::clone(&ids)), ("text", texts(text))]).unwrap();
        let long = widest_row(&batch(&"x".repeat(20_000)));
        assert!((20_000..20_100).contains(&long), "{long}");
        assert!(widest_row(&batch("y")) < 100);
    }
}
