//! Bounds on the memory of constants that are copied into the rows of a batch.
//!
//! An operator repeats a constant for each row of a batch, 8,192 times, before any memory is counted. Operators with long
//! constants get batches of few rows here. DataFusion 55 coalesces batches by their number of rows, so a projection that is not at
//! the root of its plan also counts its rows, and joins, sorts and windows with long constants are refused.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{DataType, Schema};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::expressions::{InListExpr, Literal};
use datafusion::physical_expr::scalar_subquery::ScalarSubqueryExpr;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::analyze::AnalyzeExec;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec};
use datafusion::physical_plan::limit::{GlobalLimitExec, LocalLimitExec};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::scalar_subquery::ScalarSubqueryExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};
use datafusion::scalar::ScalarValue;
use futures::{StreamExt, TryStreamExt, stream};

use crate::limits::bounded::bytes;
use crate::limits::pass_through::{Action, Input, PassThrough};

/// Bytes of the constants of an operator up to which its batches stay as they are. A bound: 8,192 rows are 256 MiB.
const CONSTANTS_FEW: u64 = 32 << 10;
/// Bytes of the copies of constants in one batch, if it has several rows. A bound: a vector of 64 KiB leaves 1,024 rows.
const COPIES_MAX: u64 = 64 << 20;
/// Bytes of the copies of constants in a batch that an operator above coalesces. A bound: arrays of text end at 2 GiB.
pub(crate) const COALESCED_MAX: u64 = 1 << 30;

/// The plan whose operators copy long constants into few rows at a time.
///
/// # Errors
/// `ResourcesExhausted` if an operator would coalesce such rows.
pub(crate) fn bounded(plan: Arc<dyn ExecutionPlan>, context: &TaskContext) -> Result<Arc<dyn ExecutionPlan>> {
    bounded_part(plan, true, context)
}

fn bounded_part(
    plan: Arc<dyn ExecutionPlan>,
    is_answer: bool,
    context: &TaskContext,
) -> Result<Arc<dyn ExecutionPlan>> {
    if !has_long_constants(&plan)? {
        return Ok(plan);
    }
    let batch_size = context.session_config().batch_size() as u64;
    Ok(bounded_node(plan, is_answer, batch_size)?.plan)
}

fn has_long_constants(plan: &Arc<dyn ExecutionPlan>) -> Result<bool> {
    let mut open = vec![plan];
    while let Some(plan) = open.pop() {
        if constants(plan)? > CONSTANTS_FEW || has_wide_subqueries(plan) {
            return Ok(true);
        }
        open.extend(plan.children());
    }
    Ok(false)
}

/// Returns true if there may be long constants once subqueries have been computed.
fn has_wide_subqueries(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.downcast_ref::<ScalarSubqueryExec>().is_some_and(|of| {
        let mut columns = of.subqueries().iter().flat_map(|subquery| subquery.plan.schema().fields().clone().to_vec());
        columns.any(|column| is_wide(column.data_type()))
    })
}

struct Node {
    plan: Arc<dyn ExecutionPlan>,
    /// Bytes of the constants in a row of its output, at most.
    row: u64,
}

/// `is_answer`: the rows go to the caller batch by batch.
fn bounded_node(plan: Arc<dyn ExecutionPlan>, is_answer: bool, batch_size: u64) -> Result<Node> {
    let own = constants(&plan)?;
    let inputs = plan.children().into_iter().map(Arc::clone);
    let passes_on = is_answer && passes_batches_on(&plan);
    let inputs: Vec<Node> = inputs.map(|input| bounded_node(input, passes_on, batch_size)).collect::<Result<_>>()?;
    let of_inputs = inputs.iter().map(|input| input.row).fold(0, u64::saturating_add);
    let row = match plan.schema().fields().iter().any(|field| is_wide(field.data_type())) {
        true => of_inputs.saturating_add(constants_of_columns(&plan)?),
        false => 0,
    };
    if coalesces(&plan) {
        check_coalesced(&plan, own.saturating_add(of_inputs), batch_size)?;
    }
    if plan.is::<DataSourceExec>() {
        // A scan of files evaluates projections itself.
        check_coalesced(&plan, row, batch_size)?;
    }
    let of_first = inputs.first().map_or(0, |input| input.row);
    let mut children: Vec<_> = inputs.into_iter().map(|input| input.plan).collect();
    // A cross join repeats a row of its left side for each row of the right one.
    let copied = if plan.is::<CrossJoinExec>() { of_first } else { own };
    let takes_few = plan.is::<CrossJoinExec>()
        || plan.is::<ProjectionExec>()
        || plan.is::<FilterExec>()
        || plan.is::<AggregateExec>();
    if copied > CONSTANTS_FEW && (takes_few || is_top_k(&plan)) {
        let adds = if plan.is::<CrossJoinExec>() || plan.is::<ProjectionExec>() { row } else { 0 };
        let is_counted = !is_answer && adds.saturating_mul(batch_size) > COALESCED_MAX;
        let rows_max = is_counted.then(|| COALESCED_MAX / adds);
        if let Some(last) = children.pop() {
            children.push(PassThrough::above(last, FewRows { copied, rows_max, passed: Arc::default() }));
        }
    }
    if has_wide_subqueries(&plan)
        && let Some(input) = children.first_mut()
    {
        let action = AfterSubqueries { is_answer, bounded: Arc::default() };
        *input = PassThrough::above(Arc::clone(input), action);
    }
    let is_unchanged = plan.children().into_iter().zip(&children).all(|(old, new)| Arc::ptr_eq(old, new));
    let plan = match is_unchanged {
        true => plan,
        false => plan.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))?,
    };
    Ok(Node { plan, row })
}

/// Returns true if the operator hands on the batches of its inputs as its own.
fn passes_batches_on(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.is::<ProjectionExec>()
        || plan.is::<CoalescePartitionsExec>()
        || plan.is::<GlobalLimitExec>()
        || plan.is::<LocalLimitExec>()
        || plan.is::<UnionExec>()
        || plan.is::<ScalarSubqueryExec>()
        || plan.is::<CooperativeExec>()
        || plan.is::<AnalyzeExec>()
}

/// Returns true if expressions are evaluated on batches that the operator makes itself.
fn coalesces(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.is::<NestedLoopJoinExec>()
        || plan.is::<HashJoinExec>()
        || plan.is::<SortMergeJoinExec>()
        || plan.is::<WindowAggExec>()
        || plan.is::<BoundedWindowAggExec>()
        || (plan.is::<SortExec>() && !is_top_k(plan))
}

fn is_top_k(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.downcast_ref::<SortExec>().is_some_and(|sort| sort.fetch().is_some())
}

fn check_coalesced(plan: &Arc<dyn ExecutionPlan>, row: u64, batch_size: u64) -> Result<()> {
    match row.saturating_mul(batch_size) > COALESCED_MAX {
        true => Err(DataFusionError::ResourcesExhausted(format!(
            "{}: expected at most {COALESCED_MAX} bytes of constants in a batch, got {row} bytes in each of {batch_size} rows \
             (datafusion.execution.batch_size)",
            plan.name()
        ))),
        false => Ok(()),
    }
}

/// The bytes of the constants in the expressions of an operator.
fn constants(plan: &Arc<dyn ExecutionPlan>) -> Result<u64> {
    let mut bytes: u64 = 0;
    plan.apply_expressions(&mut |expression| {
        bytes = bytes.saturating_add(constants_of_expression(expression));
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(bytes)
}

/// The bytes of the constants in columns that the operator adds.
fn constants_of_columns(plan: &Arc<dyn ExecutionPlan>) -> Result<u64> {
    let mut bytes: u64 = 0;
    if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        let schema = projection.input().schema();
        for column in projection.expr() {
            if is_wide(&column.expr.data_type(&schema)?) {
                bytes = bytes.saturating_add(constants_of_expression(&column.expr));
            }
        }
    } else if plan.is::<DataSourceExec>() {
        plan.apply_expressions(&mut |expression| {
            // Others may be conditions.
            if expression.is::<Literal>() {
                bytes = bytes.saturating_add(constants_of_expression(expression));
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
    }
    Ok(bytes)
}

fn constants_of_expression(root: &Arc<dyn PhysicalExpr>) -> u64 {
    let no_rows = RecordBatch::new_empty(Arc::new(Schema::empty()));
    let mut bytes: u64 = 0;
    let mut open = vec![root];
    while let Some(expression) = open.pop() {
        if let Some(literal) = expression.downcast_ref::<Literal>() {
            bytes = bytes.saturating_add(size(literal.value()));
        } else if expression.is::<ScalarSubqueryExpr>() {
            // An error if it is not computed yet.
            if let Ok(ColumnarValue::Scalar(value)) = expression.evaluate(&no_rows) {
                bytes = bytes.saturating_add(size(&value));
            }
        } else if let Some(list) = expression.downcast_ref::<InListExpr>() {
            // The list is no column.
            open.push(list.expr());
        } else {
            open.extend(expression.children());
        }
    }
    bytes
}

/// The bytes of a constant, if it may have many.
fn size(value: &ScalarValue) -> u64 {
    match value {
        ScalarValue::Utf8(Some(text)) | ScalarValue::LargeUtf8(Some(text)) | ScalarValue::Utf8View(Some(text)) => {
            text.len() as u64
        }
        ScalarValue::Binary(Some(value))
        | ScalarValue::LargeBinary(Some(value))
        | ScalarValue::BinaryView(Some(value))
        | ScalarValue::FixedSizeBinary(_, Some(value)) => value.len() as u64,
        ScalarValue::List(list) => bytes(&**list, 0, list.len()),
        ScalarValue::LargeList(list) => bytes(&**list, 0, list.len()),
        ScalarValue::FixedSizeList(list) => bytes(&**list, 0, list.len()),
        ScalarValue::Struct(fields) => bytes(&**fields, 0, fields.len()),
        ScalarValue::Map(map) => bytes(&**map, 0, map.len()),
        ScalarValue::Dictionary(_, value) => size(value),
        _ => 0,
    }
}

/// Returns true if values of a type may be long.
pub(crate) fn is_wide(data_type: &DataType) -> bool {
    !(data_type.is_primitive() || matches!(data_type, DataType::Null | DataType::Boolean))
}

/// The rows of its input, few in a batch.
#[derive(Clone, Debug)]
struct FewRows {
    /// Bytes that the operator above copies into each row.
    copied: u64,
    /// Rows of all partitions, at most.
    rows_max: Option<u64>,
    /// Rows that have passed.
    passed: Arc<AtomicU64>,
}

impl Action for FewRows {
    const NAME: &'static str = "FewRowsExec";

    fn start(&self, input: Input<'_>) -> Result<SendableRecordBatchStream> {
        let Self { copied, rows_max, passed } = self.clone();
        input.passed(move |rows| {
            let few = rows.map(move |batch| {
                let batch = batch?;
                let more = batch.num_rows() as u64;
                let passed = passed.fetch_add(more, Ordering::Relaxed).saturating_add(more);
                match rows_max {
                    Some(max) if passed > max => Err(DataFusionError::ResourcesExhausted(format!(
                        "constants of {copied} bytes in each row: expected at most {max} rows below other operators, got {passed} \
                         or more"
                    ))),
                    _ => Ok(stream::iter(pieces(batch, copied).map(Ok::<_, DataFusionError>))),
                }
            });
            few.try_flatten()
        })
    }
}

/// A plan below scalar subqueries, whose values are constants of it once they are known.
#[derive(Clone, Debug)]
struct AfterSubqueries {
    is_answer: bool,
    /// The plan with the values, for all partitions.
    bounded: Arc<OnceLock<Arc<dyn ExecutionPlan>>>,
}

impl Action for AfterSubqueries {
    const NAME: &'static str = "AfterSubqueriesExec";

    fn start(&self, input: Input<'_>) -> Result<SendableRecordBatchStream> {
        let plan = match self.bounded.get() {
            Some(plan) => plan,
            None => {
                let plan = bounded_part(Arc::clone(input.plan), self.is_answer, &input.context)?;
                // Another partition may have been faster.
                self.bounded.get_or_init(|| plan)
            }
        };
        plan.execute(input.partition, input.context)
    }
}

/// The pieces of a batch of which `copied` bytes for each row make at most [`COPIES_MAX`].
pub(crate) fn pieces(batch: RecordBatch, copied: u64) -> impl Iterator<Item = RecordBatch> {
    let all = batch.num_rows();
    let rows = usize::try_from(COPIES_MAX / copied.max(1)).unwrap_or(usize::MAX).max(1);
    (0..all).step_by(rows).map(move |start| batch.slice(start, rows.min(all - start)))
}

#[cfg(test)]
mod tests {
    use arrow::array::Int64Array;
    use datafusion::physical_expr::expressions::{col, in_list, lit};

    use super::*;

    #[test]
    fn batches_are_cut() {
        let ids = Arc::new(Int64Array::from_iter_values(0..10)) as Arc<dyn Array>;
        let batch = RecordBatch::try_from_iter([("id", ids)]).unwrap();
        let lengths = |copied| pieces(batch.clone(), copied).map(|piece| piece.num_rows()).collect::<Vec<_>>();
        assert_eq!(lengths(COPIES_MAX / 4), [4, 4, 2]);
        assert_eq!(lengths(COPIES_MAX / 10), [10]);
        assert_eq!(lengths(0), [10]);
        assert_eq!(lengths(u64::MAX).len(), 10);
    }

    #[test]
    fn constants_are_counted_but_for_the_lists_of_in() {
        let ids = Arc::new(Int64Array::from_iter_values(0..1)) as Arc<dyn Array>;
        let schema = RecordBatch::try_from_iter([("id", ids)]).unwrap().schema();
        assert_eq!(constants_of_expression(&lit("x".repeat(1000))), 1000);
        assert_eq!(constants_of_expression(&lit(7_i64)), 0);
        let id = col("id", &schema).unwrap();
        let list = in_list(id, (0..100_i64).map(lit).collect(), &false, &schema).unwrap();
        assert_eq!(constants_of_expression(&list), 0);
        let text = lit("y".repeat(50));
        let list = in_list(text, vec![lit("x".repeat(1000))], &false, &schema).unwrap();
        assert_eq!(constants_of_expression(&list), 50);
    }
}
