//! `sum()` of integers that does not wrap.
//!
//! DataFusion 55 adds integers as BIGINT and wraps silently. Here they are added with 128 bits, so that a sum is right
//! whatever the order of its rows, and one that is no BIGINT in the end is an error. Other types are summed by the function
//! that the session had before.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::{DataType, Decimal128Type, Field, FieldRef};
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, EmitTo, Expr, GroupsAccumulator, Operator,
    ReversedUDAF, SetMonotonicity, Signature, StatisticsArgs,
};
use datafusion::scalar::ScalarValue;

/// Type of a sum while it is made: room for 2^64 rows.
const WIDE: DataType = DataType::Decimal128(38, 0);

/// The function `sum`, with `others` for what is not an integer.
pub(crate) fn exact_sum(others: Arc<AggregateUDF>) -> AggregateUDF {
    AggregateUDF::from(ExactSum { others })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ExactSum {
    others: Arc<AggregateUDF>,
}

/// Returns true if sums of this type are made with more bits.
fn is_widened(return_type: &DataType) -> bool {
    matches!(return_type, DataType::Int64 | DataType::UInt64)
}

fn wide(field: &Field) -> FieldRef {
    Arc::new(field.clone().with_data_type(WIDE))
}

impl AggregateUDFImpl for ExactSum {
    fn name(&self) -> &str {
        "sum"
    }

    fn signature(&self) -> &Signature {
        self.others.signature()
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        self.others.coerce_types(arg_types)
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.others.return_type(arg_types)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let target = args.return_type().clone();
        if !is_widened(&target) {
            return self.others.accumulator(args);
        }
        let args = AccumulatorArgs { return_field: wide(&args.return_field), ..args };
        Ok(Box::new(Exact { target, sum: self.others.accumulator(args)? }))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        if !is_widened(args.return_type()) {
            return self.others.state_fields(args);
        }
        let return_field = wide(&args.return_field);
        self.others.state_fields(StateFieldsArgs { return_field, ..args })
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        self.others.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        let target = args.return_type().clone();
        if !is_widened(&target) {
            return self.others.create_groups_accumulator(args);
        }
        let args = AccumulatorArgs { return_field: wide(&args.return_field), ..args };
        Ok(Box::new(ExactOfGroups { target, sums: self.others.create_groups_accumulator(args)? }))
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let target = args.return_type().clone();
        if !is_widened(&target) {
            return self.others.create_sliding_accumulator(args);
        }
        if args.is_distinct {
            return Ok(Box::new(Exact { target, sum: Box::new(SlidingDistinct::default()) }));
        }
        let args = AccumulatorArgs { return_field: wide(&args.return_field), ..args };
        Ok(Box::new(Exact { target, sum: self.others.create_sliding_accumulator(args)? }))
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        self.others.inner().set_monotonicity(data_type)
    }

    fn simplify_expr_op_literal(
        &self,
        function: &AggregateFunction,
        arg: &Expr,
        op: Operator,
        literal: &Expr,
        arg_is_left: bool,
    ) -> Result<Option<Expr>> {
        self.others.simplify_expr_op_literal(function, arg, op, literal, arg_is_left)
    }

    fn value_from_stats(&self, args: &StatisticsArgs) -> Option<ScalarValue> {
        self.others.value_from_stats(args)
    }

    fn default_value(&self, data_type: &DataType) -> Result<ScalarValue> {
        self.others.default_value(data_type)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.others.documentation()
    }
}

/// The values to be added, with more bits.
fn widened(values: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
    let widened = values.iter().map(|values| cast(values, &WIDE));
    Ok(widened.collect::<Result<_, _>>()?)
}

/// A sum as the type that the query has.
fn narrowed(sum: i128, target: &DataType) -> Result<ScalarValue> {
    let narrowed = match target {
        DataType::Int64 => i64::try_from(sum).ok().map(|sum| ScalarValue::Int64(Some(sum))),
        DataType::UInt64 => u64::try_from(sum).ok().map(|sum| ScalarValue::UInt64(Some(sum))),
        other => return plan_err!("sum() of integers as {other}"),
    };
    match narrowed {
        Some(sum) => Ok(sum),
        None => {
            exec_err!("sum() overflows: expected a {}, got {sum}; cast its argument to DECIMAL or DOUBLE", name(target))
        }
    }
}

fn name(target: &DataType) -> &'static str {
    if *target == DataType::UInt64 { "BIGINT UNSIGNED" } else { "BIGINT" }
}

/// A sum that is made with more bits than it has in the end.
#[derive(Debug)]
struct Exact {
    target: DataType,
    sum: Box<dyn Accumulator>,
}

impl Accumulator for Exact {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.sum.update_batch(&widened(values)?)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        match self.sum.evaluate()? {
            ScalarValue::Decimal128(Some(sum), _, _) => narrowed(sum, &self.target),
            _ => ScalarValue::try_from(&self.target),
        }
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.sum.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.sum.state()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.sum.merge_batch(states)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.sum.retract_batch(&widened(values)?)
    }

    fn supports_retract_batch(&self) -> bool {
        self.sum.supports_retract_batch()
    }
}

/// The same for many groups.
struct ExactOfGroups {
    target: DataType,
    sums: Box<dyn GroupsAccumulator>,
}

impl GroupsAccumulator for ExactOfGroups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.sums.update_batch(&widened(values)?, group_indices, opt_filter, total_num_groups)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let sums = self.sums.evaluate(emit_to)?;
        let options = CastOptions { safe: true, ..CastOptions::default() };
        let narrow = cast_with_options(&sums, &self.target, &options)?;
        if narrow.null_count() > sums.null_count() {
            let lost = sums.as_primitive::<Decimal128Type>().iter().enumerate();
            for sum in lost.filter(|(row, _)| narrow.is_null(*row)).filter_map(|(_, sum)| sum) {
                narrowed(sum, &self.target)?;
            }
        }
        Ok(narrow)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        self.sums.state(emit_to)
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        self.sums.merge_batch(values, group_indices, total_num_groups)
    }

    fn convert_to_state(&self, values: &[ArrayRef], opt_filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        self.sums.convert_to_state(&widened(values)?, opt_filter)
    }

    fn size(&self) -> usize {
        self.sums.size()
    }
}

/// `sum(DISTINCT x) OVER (...)` over a frame that moves, which DataFusion has for BIGINT alone.
#[derive(Debug, Default)]
struct SlidingDistinct {
    counts: HashMap<i128, usize>,
    sum: i128,
}

impl SlidingDistinct {
    fn values(values: &[ArrayRef]) -> impl Iterator<Item = i128> {
        values.iter().flat_map(|values| values.as_primitive::<Decimal128Type>().iter().flatten())
    }
}

impl Accumulator for SlidingDistinct {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for value in Self::values(values) {
            let count = self.counts.entry(value).or_default();
            *count += 1;
            if *count == 1 {
                self.sum += value;
            }
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for value in Self::values(values) {
            let Some(count) = self.counts.get_mut(&value) else { continue };
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&value);
                self.sum -= value;
            }
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Decimal128((!self.counts.is_empty()).then_some(self.sum), 38, 0))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.counts.capacity() * size_of::<(i128, usize)>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        plan_err!("sum(DISTINCT) of a window has no state")
    }

    fn merge_batch(&mut self, _states: &[ArrayRef]) -> Result<()> {
        plan_err!("sum(DISTINCT) of a window has no state")
    }
}
