//! Functions whose answer may be much larger than their arguments, with a bound on its size.
//!
//! `repeat('x', 2147483647)` allocates its answer before any operator counts it. Each call computes the size of its answer first,
//! from the lengths and counts in its arguments, whether it runs in a query or while a constant is folded. The functions
//! themselves, their names, types and rules of simplification, are DataFusion's.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::{DFSchema, DataFusionError, Result, plan_err};
use datafusion::functions::core::planner::CoreFunctionPlanner;
use datafusion::functions_nested::planner::NestedFunctionPlanner;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr, RawDictionaryExpr};
use datafusion::logical_expr::preimage::PreimageResult;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ExprSchemable, ExpressionPlacement, ReturnFieldArgs, ScalarFunctionArgs,
    ScalarUDF, ScalarUDFImpl, Signature, StructFieldMapping,
};
use datafusion::scalar::ScalarValue;

use crate::running::stop::Stop;

mod size;

pub(crate) use size::bytes;
use size::{Argument, CallArguments};

/// Bytes of one value, at most. A bound: a statement has several of them at a time, and 64 MiB is far beyond a document.
const VALUE_BYTES_MAX: u64 = 64 << 20;
/// Bytes of the answers to the rows of one batch, at most, beside what is in proportion to the arguments. A bound.
const BATCH_BYTES_MAX: u64 = 256 << 20;
/// Bytes of the answers for each byte of the arguments that are in memory anyway. Sizes are computed from above: those of
/// `string_to_array` and `array_to_string` are up to 9 and 10 times their arguments.
const BYTES_PER_BYTE: u64 = 16;
/// Bytes of the answers to the rows of one batch, whatever the arguments. A bound: arrays of text end at 2 GiB.
const BATCH_BYTES_END: u64 = 1 << 30;
/// Bytes from which on a constant counts among those of its statement.
const CONSTANT_LONG: u64 = 1 << 20;
/// Comparisons of characters for one value, at most. A bound: texts of 10,000 characters each.
const VALUE_STEPS_MAX: u64 = 100_000_000;
/// Comparisons of characters for the rows of one batch, at most. A bound.
const BATCH_STEPS_MAX: u64 = 10_000_000_000;

/// Fields within the types of arguments, at most. A bound: `{a: s, b: s}` doubles the type of `s`, which planners walk through.
const FIELDS_MAX: usize = 2048;

/// The functions, and what the sizes of their answers follow from.
const FUNCTIONS: [(&str, Growth); 26] = [
    ("repeat", Growth::Repeat),
    ("replace", Growth::Replace),
    ("regexp_replace", Growth::RegexpReplace),
    ("lpad", Growth::Pad),
    ("rpad", Growth::Pad),
    ("concat", Growth::Sum),
    ("concat_ws", Growth::Separated),
    ("overlay", Growth::Sum),
    ("encode", Growth::Double),
    ("levenshtein", Growth::Product),
    ("range", Growth::Range),
    ("generate_series", Growth::Range),
    ("make_array", Growth::Sum),
    ("struct", Growth::Fields),
    ("named_struct", Growth::Fields),
    ("map", Growth::Sum),
    ("arrays_zip", Growth::Sum),
    ("array_append", Growth::Sum),
    ("array_prepend", Growth::Sum),
    ("array_concat", Growth::Sum),
    ("array_repeat", Growth::ArrayRepeat),
    ("array_resize", Growth::Resize),
    ("array_replace_all", Growth::ReplaceElements),
    ("array_replace_n", Growth::ReplaceElements),
    ("array_to_string", Growth::ToText),
    ("string_to_array", Growth::FromText),
];

/// Formula for the size of an answer, from the arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Growth {
    Sum,
    /// All but the first one, and the first one between them.
    Separated,
    Double,
    Repeat,
    Replace,
    RegexpReplace,
    Pad,
    ArrayRepeat,
    Resize,
    ReplaceElements,
    ToText,
    FromText,
    Range,
    /// Not the size but the time is the product of the lengths.
    Product,
    /// Not the size of values but that of their type is bounded, where calls are planned.
    Fields,
}

impl Growth {
    fn of(function: &str) -> Option<Self> {
        FUNCTIONS.iter().find(|(name, _)| *name == function).map(|(_, growth)| *growth)
    }

    /// Returns true if the size follows from the values of integers.
    fn counts(self) -> bool {
        matches!(self, Self::Repeat | Self::Pad | Self::ArrayRepeat | Self::Resize | Self::Range)
    }

    fn limits(self) -> Limits {
        match self {
            Self::Product => {
                Limits { value: VALUE_STEPS_MAX, batch: BATCH_STEPS_MAX, unit: "comparisons of characters" }
            }
            _ => Limits { value: VALUE_BYTES_MAX, batch: BATCH_BYTES_MAX, unit: "bytes" },
        }
    }
}

struct Limits {
    value: u64,
    batch: u64,
    unit: &'static str,
}

/// The names of the functions.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.iter().map(|(name, _)| *name)
}

/// The function with a bound, if it is one of these.
pub(crate) fn bounded(function: Arc<ScalarUDF>) -> Arc<ScalarUDF> {
    match Growth::of(function.name()) {
        Some(growth) if !function.inner().is::<Bounded>() => Arc::new(ScalarUDF::from(Bounded { function, growth })),
        _ => function,
    }
}

/// The call with a bound. DataFusion makes calls without a look-up: of `a || b` between lists, and where it simplifies.
fn bounded_call(expr: Expr) -> Expr {
    match expr {
        Expr::ScalarFunction(ScalarFunction { func, args }) => {
            Expr::ScalarFunction(ScalarFunction::new_udf(bounded(func), args))
        }
        other => other,
    }
}

/// Plans lists, structs, maps, OVERLAY and `||` between lists as DataFusion does, with bounds.
#[derive(Debug)]
pub(crate) struct BoundedCalls;

impl ExprPlanner for BoundedCalls {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        Ok(planned(NestedFunctionPlanner.plan_binary_op(expr, schema)?))
    }

    fn plan_array_literal(&self, exprs: Vec<Expr>, schema: &DFSchema) -> Result<PlannerResult<Vec<Expr>>> {
        Ok(planned(NestedFunctionPlanner.plan_array_literal(exprs, schema)?))
    }

    fn plan_dictionary_literal(
        &self,
        expr: RawDictionaryExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawDictionaryExpr>> {
        let types = expr.values.iter().map(|value| value.get_type(schema)).collect::<Result<Vec<_>>>()?;
        check_fields("struct", types.iter().collect())?;
        // Not `planned`: the optimizer takes fields out of DataFusion's own function.
        CoreFunctionPlanner::default().plan_dictionary_literal(expr, schema)
    }

    fn plan_struct_literal(&self, args: Vec<Expr>, is_named_struct: bool) -> Result<PlannerResult<Vec<Expr>>> {
        Ok(planned(CoreFunctionPlanner::default().plan_struct_literal(args, is_named_struct)?))
    }

    fn plan_overlay(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        Ok(planned(CoreFunctionPlanner::default().plan_overlay(args)?))
    }

    fn plan_make_map(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        Ok(planned(NestedFunctionPlanner.plan_make_map(args)?))
    }
}

fn planned<T>(result: PlannerResult<T>) -> PlannerResult<T> {
    match result {
        PlannerResult::Planned(expr) => PlannerResult::Planned(bounded_call(expr)),
        original => original,
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Bounded {
    function: Arc<ScalarUDF>,
    growth: Growth,
}

impl Bounded {
    fn check(&self, args: &ScalarFunctionArgs) -> Result<()> {
        if self.growth == Growth::Fields {
            return Ok(());
        }
        let are_constants = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if are_constants { 1 } else { args.number_rows };
        let argument = |value: &ColumnarValue| Argument::new(value, self.growth.counts());
        let call = CallArguments { arguments: args.args.iter().map(argument).collect::<Result<_>>()?, rows };
        let mut limits = self.growth.limits();
        if self.growth == Growth::Sum && call.all_bytes() <= limits.value {
            return Ok(());
        }
        if self.growth != Growth::Product {
            let in_proportion = call.batch_bytes().saturating_mul(BYTES_PER_BYTE);
            limits.batch = limits.batch.saturating_add(in_proportion).min(BATCH_BYTES_END);
        }
        let mut batch: u64 = 0;
        for row in 0..rows {
            let value = call.size(self.growth, row, limits.value);
            batch = batch.saturating_add(value);
            let exceeded = match (value > limits.value, batch > limits.batch) {
                (true, _) => (limits.value, "in one value", value),
                (_, true) => (limits.batch, "in the rows of a batch (datafusion.execution.batch_size)", batch),
                _ => continue,
            };
            let (max, place, got) = exceeded;
            return Err(DataFusionError::ResourcesExhausted(format!(
                "{}(): expected at most {max} {} {place}, got {got} or more",
                self.name(),
                limits.unit
            )));
        }
        if are_constants
            && batch > CONSTANT_LONG
            && self.growth != Growth::Product
            && let Some(stop) = Stop::current()
        {
            stop.count_constant(batch).map_err(|refused| DataFusionError::External(Box::new(refused)))?;
        }
        Ok(())
    }
}

impl ScalarUDFImpl for Bounded {
    fn name(&self) -> &str {
        self.function.name()
    }

    fn aliases(&self) -> &[String] {
        self.function.aliases()
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        self.function.inner().schema_name(args)
    }

    fn signature(&self) -> &Signature {
        self.function.signature()
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.function.inner().return_type(arg_types)
    }

    fn with_updated_config(&self, config: &ConfigOptions) -> Option<ScalarUDF> {
        let function = Arc::new(self.function.inner().with_updated_config(config)?);
        Some(ScalarUDF::from(Self { function, growth: self.growth }))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        check_fields(self.name(), args.arg_fields.iter().map(|field| field.data_type()).collect())?;
        self.function.inner().return_field_from_args(args)
    }

    fn is_strict(&self) -> bool {
        self.function.inner().is_strict()
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.check(&args)?;
        self.function.inner().invoke_with_args(args)
    }

    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        if self.growth == Growth::Fields {
            // The optimizer takes fields out of DataFusion's own function.
            let own = ScalarFunction::new_udf(Arc::clone(&self.function), args);
            return Ok(ExprSimplifyResult::Simplified(Expr::ScalarFunction(own)));
        }
        // A constant of which the bound of the statement was refused is still a call here. Its plan is given up: each of its
        // passes would compute the constants within the bound once more.
        if args.iter().all(|arg| matches!(arg, Expr::Literal(..)))
            && let Some(stop) = Stop::current()
        {
            stop.count_constant(0).map_err(|refused| DataFusionError::External(Box::new(refused)))?;
        }
        // `concat` puts constants together there.
        if constant_bytes(&args).saturating_mul(args.len() as u64) > VALUE_BYTES_MAX {
            return Ok(ExprSimplifyResult::Original(args));
        }
        Ok(match self.function.inner().simplify(args, info)? {
            ExprSimplifyResult::Simplified(expr) => ExprSimplifyResult::Simplified(bounded_call(expr)),
            original => original,
        })
    }

    fn preimage(&self, args: &[Expr], literal: &Expr, info: &SimplifyContext) -> Result<PreimageResult> {
        self.function.inner().preimage(args, literal, info)
    }

    fn short_circuits(&self) -> bool {
        self.function.inner().short_circuits()
    }

    fn conditional_arguments<'a>(&self, args: &'a [Expr]) -> Option<(Vec<&'a Expr>, Vec<&'a Expr>)> {
        self.function.inner().conditional_arguments(args)
    }

    fn evaluate_bounds(&self, input: &[&Interval]) -> Result<Interval> {
        self.function.inner().evaluate_bounds(input)
    }

    fn propagate_constraints(&self, interval: &Interval, inputs: &[&Interval]) -> Result<Option<Vec<Interval>>> {
        self.function.inner().propagate_constraints(interval, inputs)
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        self.function.inner().output_ordering(inputs)
    }

    fn preserves_lex_ordering(&self, inputs: &[ExprProperties]) -> Result<bool> {
        self.function.inner().preserves_lex_ordering(inputs)
    }

    fn strictly_order_preserving(&self, inputs: &[ExprProperties]) -> Result<bool> {
        self.function.inner().strictly_order_preserving(inputs)
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        self.function.inner().coerce_types(arg_types)
    }

    fn struct_field_mapping(&self, literal_args: &[Option<ScalarValue>]) -> Option<StructFieldMapping> {
        self.function.inner().struct_field_mapping(literal_args)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.function.inner().documentation()
    }

    fn placement(&self, args: &[ExpressionPlacement]) -> ExpressionPlacement {
        self.function.inner().placement(args)
    }
}

/// Counts the fields within the types of arguments, until there are too many.
fn check_fields(function: &str, mut open: Vec<&DataType>) -> Result<()> {
    let mut fields = 0;
    while let Some(data_type) = open.pop() {
        match data_type {
            DataType::Struct(inner) => {
                fields += inner.len();
                open.extend(inner.iter().map(|field| field.data_type()));
            }
            DataType::List(item)
            | DataType::LargeList(item)
            | DataType::FixedSizeList(item, _)
            | DataType::Map(item, _) => open.push(item.data_type()),
            _ => {}
        }
        if fields > FIELDS_MAX {
            return plan_err!(
                "{function}(): expected arguments of at most {FIELDS_MAX} fields in each other, got more"
            );
        }
    }
    Ok(())
}

/// The bytes of the longest text among the arguments.
fn constant_bytes(args: &[Expr]) -> u64 {
    let of_argument = |arg: &Expr| match arg {
        Expr::Literal(value, _) => value.try_as_str().flatten().map_or(0, str::len) as u64,
        _ => 0,
    };
    args.iter().map(of_argument).max().unwrap_or(0)
}
