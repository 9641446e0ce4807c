//! Bounds on the memory that operators take for rows without counting it.
//!
//! DataFusion 55 repeats a row of the left side of a cross join or nested-loop join for each row of a batch of the right side.
//! Long rows on the left make those batches short here, and a nested-loop join gets a batch size that they fit. Window operators
//! hold rows until their frames end: the rows that they have taken and not given yet are counted here, by a node below and one above.
//!
//! Other copies of rows are bounded where they are made, in the patch of `arrow-select`.

use std::collections::{HashMap, HashSet};
use std::fmt;
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
use tokio::sync::OnceCell;

use crate::limits::bounded::bytes;
use crate::limits::pass_through::{Action, Input, PassThrough};
use crate::limits::wide_constants::{COALESCED_MAX, is_wide, pieces};

/// Bytes of a batch up to which its rows are not measured one by one.
const BATCH_FEW: u64 = 8 << 10;

/// An operator whose memory for rows is bounded; its inputs are.
///
/// # Errors
/// If the plan cannot be changed.
pub(crate) fn bounded(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let mut children: Vec<_> = plan.children().into_iter().map(Arc::clone).collect();
    if plan.is::<CrossJoinExec>() || plan.is::<NestedLoopJoinExec>() {
        let [left, right] = children.as_mut_slice() else { return Ok(plan) };
        if !left.schema().fields().iter().any(|field| is_wide(field.data_type())) {
            return Ok(plan);
        }
        let measured = Measured::default();
        let is_coalesced = plan.is::<CrossJoinExec>();
        *right = PassThrough::above(Arc::clone(right), Cut { measured: measured.clone(), is_coalesced });
        *left = PassThrough::above(Arc::clone(left), Left(measured.clone()));
        let join = with_children(plan, children)?;
        // A nested-loop join coalesces its rows to the batch size. A cross join leaves that to the operators above.
        return Ok(if is_coalesced { join } else { PassThrough::above(join, measured) });
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

/// A nested-loop join that is started when the longest row of its left side is known. Its batches are short if that row is long.
///
/// The join reads its left side into memory in any case, once for all partitions.
#[derive(Clone, Debug, Default)]
struct Measured(Arc<LeftSide>);

#[derive(Debug, Default)]
struct LeftSide {
    /// Bytes of the longest row that was read.
    widest: AtomicU64,
    execution: Mutex<Execution>,
    rows: Mutex<Option<ReadRows>>,
}

/// One execution of the join. A recursive query executes it for each of its steps.
#[derive(Debug, Default)]
struct Execution {
    partitions: HashSet<usize>,
    is_read: Arc<OnceCell<Result<(), Arc<DataFusionError>>>>,
}

/// Rows that were read ahead. The rest is read by the join, if there is more than fits into memory: it writes files then.
struct ReadRows {
    batches: Vec<RecordBatch>,
    reservation: MemoryReservation,
    rest: Option<SendableRecordBatchStream>,
}

impl fmt::Debug for ReadRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadRows").field("batches", &self.batches.len()).finish_non_exhaustive()
    }
}

impl Measured {
    fn widest(&self) -> u64 {
        self.0.widest.load(Ordering::Relaxed)
    }

    fn measure(&self, batch: &RecordBatch) {
        self.0.widest.fetch_max(widest_row(batch), Ordering::Relaxed);
    }

    /// The cell of the execution in which a partition is started. A partition that starts again begins another one.
    fn is_read(&self, partition: usize) -> Arc<OnceCell<Result<(), Arc<DataFusionError>>>> {
        let mut execution = self.0.execution.lock();
        if !execution.partitions.insert(partition) {
            *execution = Execution { partitions: HashSet::from([partition]), is_read: Arc::default() };
        }
        Arc::clone(&execution.is_read)
    }

    /// Reads the left side ahead, as far as there is memory.
    async fn read(&self, left: &Arc<dyn ExecutionPlan>, context: &Arc<TaskContext>) -> Result<()> {
        let mut rows = left.execute(0, Arc::clone(context))?;
        let reservation = MemoryConsumer::new("left side of a join").register(context.memory_pool());
        let mut batches = Vec::new();
        let rest = loop {
            let Some(batch) = rows.try_next().await? else { break None };
            self.measure(&batch);
            let fits = reservation.try_grow(size(&batch)).is_ok();
            batches.push(batch);
            if !fits {
                break Some(rows);
            }
        };
        *self.0.rows.lock() = Some(ReadRows { batches, reservation, rest });
        Ok(())
    }
}

impl Action for Measured {
    const NAME: &'static str = "MeasuredJoinExec";

    fn start(&self, input: Input<'_>) -> Result<SendableRecordBatchStream> {
        let (join, partition, mut context) = (Arc::clone(input.plan), input.partition, input.context);
        let (schema, measured) = (join.schema(), self.clone());
        let is_read = self.is_read(partition);
        let joined = async move {
            // The children may be others than those of the plan that was bounded: a recursive query replaces its own.
            let left = join.children().first().and_then(|left| left.children().first().map(|below| Arc::clone(below)));
            if let Some(left) = left {
                let read = is_read.get_or_init(|| async { measured.read(&left, &context).await.map_err(Arc::new) });
                read.await.as_ref().map_err(|e| DataFusionError::Shared(Arc::clone(e)))?;
            }
            let rows_max = usize::try_from(COALESCED_MAX / 2 / measured.widest().max(1)).unwrap_or(usize::MAX).max(1);
            if rows_max < context.session_config().batch_size() {
                context = with_batch_size(&context, rows_max);
            }
            join.execute(partition, context)
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream::once(joined).try_flatten())))
    }
}

/// The same context with another batch size.
fn with_batch_size(context: &TaskContext, rows: usize) -> Arc<TaskContext> {
    Arc::new(TaskContext::new(
        context.task_id(),
        context.session_id(),
        context.session_config().clone().with_batch_size(rows),
        context.scalar_functions().clone(),
        context.higher_order_functions().clone(),
        context.aggregate_functions().clone(),
        context.window_functions().clone(),
        context.runtime_env(),
    ))
}

/// The left side of a join, of which rows may have been read ahead.
#[derive(Clone, Debug)]
struct Left(Measured);

impl Action for Left {
    const NAME: &'static str = "LeftRowsExec";

    fn start(&self, input: Input<'_>) -> Result<SendableRecordBatchStream> {
        let measured = self.0.clone();
        let Some(ReadRows { batches, reservation, rest }) = self.0.0.rows.lock().take() else {
            return input.passed(move |rows| rows.inspect_ok(move |batch| measured.measure(batch)));
        };
        // The join reserves what it takes.
        let read = stream::iter(batches).map(move |batch| {
            reservation.shrink(size(&batch).min(reservation.size()));
            Ok(batch)
        });
        let rest = stream::iter(rest).flatten().inspect_ok(move |batch| measured.measure(batch));
        Ok(Box::pin(RecordBatchStreamAdapter::new(input.plan.schema(), read.chain(rest))))
    }
}

/// The right side of a join, in batches that are short if rows of the left side are long.
#[derive(Clone, Debug)]
struct Cut {
    measured: Measured,
    /// True if operators above may coalesce the copies again, into batches of any number of rows.
    is_coalesced: bool,
}

impl Action for Cut {
    const NAME: &'static str = "CutRowsExec";

    fn start(&self, input: Input<'_>) -> Result<SendableRecordBatchStream> {
        let batch_size = input.context.session_config().batch_size() as u64;
        let Self { measured, is_coalesced } = self.clone();
        let mut passed: u64 = 0;
        input.passed(move |rows| {
            let cut = rows.map(move |batch| {
                let batch = batch?;
                let widest = measured.widest();
                passed = passed.saturating_add(batch.num_rows() as u64);
                let copies = widest.saturating_mul(passed.min(batch_size));
                match is_coalesced && copies > COALESCED_MAX {
                    true => Err(DataFusionError::ResourcesExhausted(format!(
                        "cross join: expected at most {COALESCED_MAX} bytes of copies of a row in a batch, got {widest} bytes in \
                         each of {} rows (datafusion.execution.batch_size)",
                        passed.min(batch_size)
                    ))),
                    false => Ok(stream::iter(pieces(batch, widest).map(Ok::<_, DataFusionError>))),
                }
            });
            cut.try_flatten()
        })
    }
}

/// The bytes of the rows of a batch.
fn size(batch: &RecordBatch) -> usize {
    let columns = batch.columns().iter();
    let all = columns.map(|column| bytes(column.as_ref(), 0, batch.num_rows())).fold(0, u64::saturating_add);
    usize::try_from(all).unwrap_or(usize::MAX)
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
        self.rows.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
        self.bytes.fetch_add(size(batch) as u64, Ordering::Relaxed);
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

    fn start(&self, input: Input<'_>) -> Result<SendableRecordBatchStream> {
        let held = self.0.begin(input.partition, &input.context);
        input.passed(move |rows| {
            rows.map(move |batch| {
                let batch = batch?;
                held.take(&batch)?;
                Ok(batch)
            })
        })
    }
}

/// The output of an operator that holds rows.
#[derive(Clone, Debug)]
struct Given(Held);

impl Action for Given {
    const NAME: &'static str = "GivenRowsExec";

    fn start(&self, input: Input<'_>) -> Result<SendableRecordBatchStream> {
        let partition = input.partition;
        input.passed(|rows| {
            // The operator has started its input.
            let held = self.0.partitions.lock().remove(&partition);
            rows.map(move |batch| {
                let batch = batch?;
                if let Some(held) = &held {
                    held.give(batch.num_rows())?;
                }
                Ok(batch)
            })
        })
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
