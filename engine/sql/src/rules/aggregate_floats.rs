//! Aggregates whose DISTINCT has `-0.0` equal to `0.0` and a NaN equal to every NaN, and whose NaN has no sign.
//!
//! DataFusion 55 compares distinct values by all of their bits. The processor gives the sum of both infinities a NaN with a sign,
//! which is less than every number and unequal to NaN. Here aggregates take distinct floats in one form (`one_form`), and give
//! their NaN in it.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::Result;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::function::{AccumulatorArgs, AggregateFunctionSimplification, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, EmitTo, Expr, GroupsAccumulator, Operator,
    ReversedUDAF, SetMonotonicity, Signature, StatisticsArgs,
};
use datafusion::scalar::ScalarValue;

use super::one_form::{has_floats, one_form};

/// Aggregates that add or multiply floats, or that count equal ones once.
pub(crate) const FUNCTIONS: [&str; 21] = [
    "array_agg",
    "avg",
    "corr",
    "count",
    "covar_pop",
    "covar_samp",
    "median",
    "percentile_cont",
    "regr_avgx",
    "regr_avgy",
    "regr_intercept",
    "regr_r2",
    "regr_slope",
    "regr_sxx",
    "regr_sxy",
    "regr_syy",
    "stddev",
    "stddev_pop",
    "sum",
    "var",
    "var_pop",
];

/// The function, with distinct floats and every NaN in one form.
pub(crate) fn with_floats_in_one_form(function: Arc<AggregateUDF>) -> AggregateUDF {
    AggregateUDF::from(FloatsInOneForm { function })
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct FloatsInOneForm {
    function: Arc<AggregateUDF>,
}

impl FloatsInOneForm {
    fn changes(&self, args: &AccumulatorArgs) -> Changes {
        let has_floats = args.expr_fields.iter().any(|field| has_floats(field.data_type()));
        Changes { arguments: has_floats && args.is_distinct, result: args.return_type().is_floating() }
    }

    fn accumulator_of(&self, accumulator: Box<dyn Accumulator>, changes: Changes) -> Box<dyn Accumulator> {
        match changes {
            Changes { arguments: false, result: false } => accumulator,
            changes => Box::new(OneFormAccumulator { accumulator, changes }),
        }
    }
}

/// The sides of an aggregate that can have floats in another form.
#[derive(Debug, Clone, Copy)]
struct Changes {
    arguments: bool,
    result: bool,
}

impl Changes {
    fn of_arguments<'a>(&self, values: &'a [ArrayRef]) -> Result<Cow<'a, [ArrayRef]>> {
        Ok(match self.arguments {
            true => Cow::Owned(values.iter().map(one_form).collect::<Result<_, _>>()?),
            false => Cow::Borrowed(values),
        })
    }
}

impl AggregateUDFImpl for FloatsInOneForm {
    fn name(&self) -> &str {
        self.function.name()
    }

    fn aliases(&self) -> &[String] {
        self.function.aliases()
    }

    fn signature(&self) -> &Signature {
        self.function.signature()
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        self.function.coerce_types(arg_types)
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.function.return_type(arg_types)
    }

    fn return_field(&self, arg_fields: &[FieldRef]) -> Result<FieldRef> {
        self.function.return_field(arg_fields)
    }

    fn is_nullable(&self) -> bool {
        self.function.is_nullable()
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let changes = self.changes(&args);
        Ok(self.accumulator_of(self.function.accumulator(args)?, changes))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        self.function.state_fields(args)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        self.function.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        let changes = self.changes(&args);
        let accumulator = self.function.create_groups_accumulator(args)?;
        Ok(match changes {
            Changes { arguments: false, result: false } => accumulator,
            changes => Box::new(OneFormOfGroups { accumulator, changes }),
        })
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let changes = self.changes(&args);
        Ok(self.accumulator_of(self.function.create_sliding_accumulator(args)?, changes))
    }

    fn with_beneficial_ordering(
        self: Arc<Self>,
        beneficial_ordering: bool,
    ) -> Result<Option<Arc<dyn AggregateUDFImpl>>> {
        let function = AggregateUDF::clone(&self.function).with_beneficial_ordering(beneficial_ordering)?;
        Ok(function.map(|function| {
            let function: Arc<dyn AggregateUDFImpl> = Arc::new(FloatsInOneForm { function: Arc::new(function) });
            function
        }))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        self.function.order_sensitivity()
    }

    fn simplify(&self) -> Option<AggregateFunctionSimplification> {
        self.function.simplify()
    }

    fn simplify_expr_op_literal(
        &self,
        function: &AggregateFunction,
        arg: &Expr,
        op: Operator,
        literal: &Expr,
        arg_is_left: bool,
    ) -> Result<Option<Expr>> {
        self.function.simplify_expr_op_literal(function, arg, op, literal, arg_is_left)
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        match self.function.reverse_udf() {
            ReversedUDAF::Identical => ReversedUDAF::Identical,
            ReversedUDAF::NotSupported => ReversedUDAF::NotSupported,
            ReversedUDAF::Reversed(function) => ReversedUDAF::Reversed(Arc::new(with_floats_in_one_form(function))),
        }
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        self.function.inner().set_monotonicity(data_type)
    }

    fn value_from_stats(&self, args: &StatisticsArgs) -> Option<ScalarValue> {
        self.function.value_from_stats(args)
    }

    fn default_value(&self, data_type: &DataType) -> Result<ScalarValue> {
        self.function.default_value(data_type)
    }

    fn supports_null_handling_clause(&self) -> bool {
        self.function.supports_null_handling_clause()
    }

    fn supports_within_group_clause(&self) -> bool {
        self.function.supports_within_group_clause()
    }

    fn is_descending(&self) -> Option<bool> {
        self.function.is_descending()
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.function.documentation()
    }
}

/// The aggregate of one group.
#[derive(Debug)]
struct OneFormAccumulator {
    accumulator: Box<dyn Accumulator>,
    changes: Changes,
}

impl Accumulator for OneFormAccumulator {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.accumulator.update_batch(&self.changes.of_arguments(values)?)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(match self.accumulator.evaluate()? {
            ScalarValue::Float64(Some(value)) if value.is_nan() => ScalarValue::Float64(Some(f64::NAN)),
            ScalarValue::Float32(Some(value)) if value.is_nan() => ScalarValue::Float32(Some(f32::NAN)),
            value => value,
        })
    }

    fn size(&self) -> usize {
        self.accumulator.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.accumulator.state()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.accumulator.merge_batch(states)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.accumulator.retract_batch(&self.changes.of_arguments(values)?)
    }

    fn supports_retract_batch(&self) -> bool {
        self.accumulator.supports_retract_batch()
    }
}

/// The aggregates of many groups.
struct OneFormOfGroups {
    accumulator: Box<dyn GroupsAccumulator>,
    changes: Changes,
}

impl GroupsAccumulator for OneFormOfGroups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.accumulator.update_batch(&self.changes.of_arguments(values)?, group_indices, opt_filter, total_num_groups)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let values = self.accumulator.evaluate(emit_to)?;
        Ok(if self.changes.result { one_form(&values)? } else { values })
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        self.accumulator.state(emit_to)
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        self.accumulator.merge_batch(values, group_indices, total_num_groups)
    }

    fn convert_to_state(&self, values: &[ArrayRef], opt_filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        self.accumulator.convert_to_state(&self.changes.of_arguments(values)?, opt_filter)
    }

    fn size(&self) -> usize {
        self.accumulator.size()
    }
}
