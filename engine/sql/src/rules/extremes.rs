//! `min()` and `max()` of floats with GROUP BY.
//!
//! DataFusion 55 begins each group with the greatest finite number and looks for a smaller one (`max()`: the other way round),
//! so that a group of infinities or NaN alone has a finite minimum. From statistics of files, which leave NaN out, it takes a
//! maximum that is none. Here a group begins with its first value, NaN is the greatest, and values are read.

use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, PrimitiveArray};
use arrow::datatypes::{DataType, FieldRef, Float16Type, Float32Type, Float64Type};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result};
use datafusion::functions_aggregate::min_max::{max_udaf, min_udaf};
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, EmitTo, Expr, ExprSchemable, GroupsAccumulator,
    ReversedUDAF, SetMonotonicity, Signature,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::analyzer::function_rewrite::ApplyFunctionRewrites;
use datafusion::scalar::ScalarValue;

/// The rule that takes our functions where the argument is a float.
pub(crate) fn rule() -> Arc<dyn AnalyzerRule + Send + Sync> {
    let min = Arc::new(AggregateUDF::from(ExtremeOfFloats { function: min_udaf(), greatest: false }));
    let max = Arc::new(AggregateUDF::from(ExtremeOfFloats { function: max_udaf(), greatest: true }));
    Arc::new(ApplyFunctionRewrites::new(vec![Arc::new(Extremes { min, max })]))
}

#[derive(Debug)]
struct Extremes {
    min: Arc<AggregateUDF>,
    max: Arc<AggregateUDF>,
}

impl FunctionRewrite for Extremes {
    fn name(&self) -> &str {
        "extremes_of_floats"
    }

    fn rewrite(&self, mut expr: Expr, schema: &DFSchema, _config: &ConfigOptions) -> Result<Transformed<Expr>> {
        let Expr::AggregateFunction(call) = &mut expr else { return Ok(Transformed::no(expr)) };
        let ours = match call.func.name() {
            "min" if call.func == min_udaf() => &self.min,
            "max" if call.func == max_udaf() => &self.max,
            _ => return Ok(Transformed::no(expr)),
        };
        let is_float = |arg: &Expr| arg.get_type(schema).is_ok_and(|data_type| data_type.is_floating());
        if !call.params.args.first().is_some_and(is_float) {
            return Ok(Transformed::no(expr));
        }
        call.func = Arc::clone(ours);
        Ok(Transformed::yes(expr))
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ExtremeOfFloats {
    function: Arc<AggregateUDF>,
    greatest: bool,
}

impl AggregateUDFImpl for ExtremeOfFloats {
    fn name(&self) -> &str {
        self.function.name()
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

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        self.function.accumulator(args)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        self.function.state_fields(args)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        args.return_type().is_floating()
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(match args.return_type() {
            DataType::Float16 => Box::new(OfGroups::<Float16Type>::new(self.greatest)),
            DataType::Float32 => Box::new(OfGroups::<Float32Type>::new(self.greatest)),
            DataType::Float64 => Box::new(OfGroups::<Float64Type>::new(self.greatest)),
            _ => return self.function.create_groups_accumulator(args),
        })
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        self.function.create_sliding_accumulator(args)
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        self.function.inner().set_monotonicity(data_type)
    }

    fn default_value(&self, data_type: &DataType) -> Result<ScalarValue> {
        self.function.default_value(data_type)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.function.documentation()
    }
}

/// The least or greatest value of each group that has one.
struct OfGroups<T: ArrowPrimitiveType> {
    extremes: Vec<Option<T::Native>>,
    greatest: bool,
}

impl<T: ArrowPrimitiveType> OfGroups<T>
where
    T::Native: Into<f64>,
{
    fn new(greatest: bool) -> Self {
        Self { extremes: Vec::new(), greatest }
    }

    fn is_less(left: T::Native, right: T::Native) -> bool {
        let (left, right): (f64, f64) = (left.into(), right.into());
        left < right || (right.is_nan() && !left.is_nan())
    }
}

impl<T: ArrowPrimitiveType> GroupsAccumulator for OfGroups<T>
where
    T::Native: Into<f64>,
{
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.extremes.resize(total_num_groups, None);
        let values = values[0].as_primitive::<T>();
        for (row, (value, group)) in values.iter().zip(group_indices).enumerate() {
            let is_kept = opt_filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
            let Some(value) = value.filter(|_| is_kept) else { continue };
            let extreme = &mut self.extremes[*group];
            let is_further = |extreme: T::Native| match self.greatest {
                true => Self::is_less(extreme, value),
                false => Self::is_less(value, extreme),
            };
            if extreme.is_none_or(is_further) {
                *extreme = Some(value);
            }
        }
        Ok(())
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        self.update_batch(values, group_indices, None, total_num_groups)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let extremes = emit_to.take_needed(&mut self.extremes);
        Ok(Arc::new(extremes.into_iter().collect::<PrimitiveArray<T>>()))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.evaluate(emit_to)?])
    }

    fn convert_to_state(&self, values: &[ArrayRef], opt_filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let values = values[0].as_primitive::<T>();
        let kept = values.iter().enumerate().map(|(row, value)| {
            value.filter(|_| opt_filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row)))
        });
        Ok(vec![Arc::new(kept.collect::<PrimitiveArray<T>>())])
    }

    fn size(&self) -> usize {
        self.extremes.capacity() * size_of::<Option<T::Native>>()
    }
}
