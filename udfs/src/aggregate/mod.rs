//! `sum` and `avg` of vectors: coordinate by coordinate, `FLOAT[dim]` in and out, added up in f64.
//!
//! Each wraps DataFusion's function of the same name, which keeps every other type. NULL vectors, and those with a NULL
//! coordinate, are passed over; of no vector at all the answer is NULL. A coordinate beyond `FLOAT` is an error.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::functions_aggregate::average::avg_udaf;
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::function::{AccumulatorArgs, AggregateFunctionSimplification, StateFieldsArgs};
use datafusion::logical_expr::type_coercion::functions::fields_with_udf;
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, Expr, GroupsAccumulator, Operator, ReversedUDAF,
    SetMonotonicity, Signature, StatisticsArgs, Volatility,
};
use ruvector_rulake::error::to_datafusion;
use ruvector_rulake::vector_column::{dim_of, vector_type};

use crate::documentation::{Entry, VECTORS};
use distinct::Distinct;
use groups::Groups;
use sliding::Sliding;
use total::Total;

mod distinct;
mod groups;
mod sliding;
mod total;

/// The functions, under DataFusion's names.
pub fn functions() -> Vec<AggregateUDF> {
    [(Kind::Sum, sum_udaf()), (Kind::Avg, avg_udaf())].map(|(kind, numbers)| over_vectors(kind, numbers)).into()
}

/// `numbers` for vectors too.
fn over_vectors(kind: Kind, numbers: Arc<AggregateUDF>) -> AggregateUDF {
    AggregateUDF::from(OverVectors { kind, numbers, signature: Signature::user_defined(Volatility::Immutable) })
}

/// Entries of the aggregates in the reference.
pub const ENTRIES: &[Entry] = &[Entry {
    section: VECTORS,
    title: "sum and avg of vectors",
    syntax: "sum([DISTINCT] v) [FILTER (WHERE condition)] [OVER (...)]\navg([DISTINCT] v) [FILTER (WHERE condition)] [OVER (...)]",
    text: "Add up vectors, or take their mean, coordinate by coordinate, in double precision; with GROUP BY the centroid of \
           each group. NULL vectors are passed over; of no vector at all the answer is NULL. A coordinate beyond the range \
           of `FLOAT` is an error. Lists have no fixed number of coordinates: `CAST(list AS FLOAT[dim])` makes them vectors.\
           \n\n- Returns: `FLOAT[dim]`, as `v`.",
    arguments: &[("v", "Vectors, `FLOAT[dim]`.")],
    example: "SELECT avg(v), sum(v) FROM (VALUES ([1.0, 2.0]::FLOAT[2]), ([3.0, 6.0]::FLOAT[2]), (NULL)) AS t (v);\n\
              -- [2, 4] | [4, 8]",
}];

/// The answer that is made of a sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Sum,
    Avg,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Avg => "avg",
        }
    }

    /// The vector of a sum of `count` vectors.
    ///
    /// # Errors
    /// If a coordinate is beyond the range of Float32.
    #[expect(clippy::cast_precision_loss, reason = "no table has 2^53 rows")]
    #[expect(clippy::cast_possible_truncation, reason = "what does not fit is looked for")]
    fn finish(self, sums: &[f64], count: u64, out: &mut Vec<f32>) -> Result<()> {
        let divisor = if self == Self::Avg { count as f64 } else { 1.0 };
        for (coordinate, sum) in sums.iter().enumerate() {
            let value = (sum / divisor) as f32;
            // A vector that is not finite, which no table of ours holds, may be added up.
            if value.is_infinite() && sum.is_finite() {
                return exec_err!(
                    "{}() of vectors: coordinate {} is out of the range of FLOAT: expected at most {:e} in magnitude, got {:e}",
                    self.name(),
                    coordinate + 1,
                    f32::MAX,
                    sum / divisor
                );
            }
            out.push(value);
        }
        Ok(())
    }
}

/// DataFusion's function, and vectors.
#[derive(Debug, PartialEq, Eq, Hash)]
struct OverVectors {
    kind: Kind,
    /// The function of everything else.
    numbers: Arc<AggregateUDF>,
    signature: Signature,
}

impl AggregateUDFImpl for OverVectors {
    fn name(&self) -> &str {
        self.numbers.name()
    }

    fn aliases(&self) -> &[String] {
        self.numbers.aliases()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        match arg_types {
            [vector] if dim_of(vector).is_some() => Ok(vec![vector.clone()]),
            [DataType::FixedSizeList(item, dim)] if item.data_type() == &DataType::Float16 => {
                Ok(vec![vector_type(usize::try_from(*dim).unwrap_or(0)).map_err(to_datafusion)?])
            }
            [list @ (DataType::FixedSizeList(..) | DataType::List(_) | DataType::LargeList(_))] => plan_err!(
                "{} expected numbers or vectors, FLOAT[dim], got {list}: CAST(... AS FLOAT[dim]) makes vectors of lists",
                self.name()
            ),
            _ => {
                let fields: Vec<FieldRef> =
                    arg_types.iter().map(|arg| Arc::new(Field::new("a", arg.clone(), true))).collect();
                let coerced = fields_with_udf(&fields, self.numbers.as_ref())?;
                Ok(coerced.iter().map(|field| field.data_type().clone()).collect())
            }
        }
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        match arg_types {
            [vector] if dim_of(vector).is_some() => Ok(vector.clone()),
            _ => self.numbers.inner().return_type(arg_types),
        }
    }

    fn return_field(&self, arg_fields: &[FieldRef]) -> Result<FieldRef> {
        match arg_fields {
            [field] if dim_of(field.data_type()).is_some() => {
                Ok(Arc::new(Field::new(self.name(), field.data_type().clone(), true)))
            }
            _ => self.numbers.return_field(arg_fields),
        }
    }

    fn is_nullable(&self) -> bool {
        self.numbers.is_nullable()
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(match dim_of(args.return_field.data_type()) {
            None => return self.numbers.accumulator(args),
            Some(_) if args.is_distinct => Box::new(Distinct::new(self.kind, &args.return_field)),
            Some(dim) => Box::new(Total::new(self.kind, &args.return_field, dim)),
        })
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        match dim_of(args.return_field.data_type()) {
            None => self.numbers.create_sliding_accumulator(args),
            Some(dim) => Ok(Box::new(Sliding::new(self.kind, &args.return_field, dim, args.is_distinct))),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let name = |part: &str| format_state_name(args.name, &format!("{} {part}", self.name()));
        let vector = args.return_field.data_type();
        Ok(match dim_of(vector) {
            None => return self.numbers.state_fields(args),
            Some(_) if args.is_distinct => {
                let item = Field::new_list_field(vector.clone(), true);
                vec![Arc::new(Field::new_list(name("distinct"), item, true))]
            }
            Some(dim) => vec![
                Arc::new(Field::new(name("sum"), sums_type(dim), true)),
                Arc::new(Field::new(name("count"), DataType::UInt64, true)),
            ],
        })
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        match dim_of(args.return_field.data_type()) {
            None => self.numbers.groups_accumulator_supported(args),
            Some(_) => !args.is_distinct,
        }
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        match dim_of(args.return_field.data_type()) {
            None => self.numbers.create_groups_accumulator(args),
            Some(dim) => Ok(Box::new(Groups::new(self.kind, &args.return_field, dim))),
        }
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        self.numbers.order_sensitivity()
    }

    fn simplify(&self) -> Option<AggregateFunctionSimplification> {
        self.numbers.simplify()
    }

    fn simplify_expr_op_literal(
        &self,
        agg_function: &AggregateFunction,
        arg: &Expr,
        op: Operator,
        lit: &Expr,
        arg_is_left: bool,
    ) -> Result<Option<Expr>> {
        self.numbers.inner().simplify_expr_op_literal(agg_function, arg, op, lit, arg_is_left)
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        self.numbers.reverse_udf()
    }

    fn value_from_stats(&self, statistics_args: &StatisticsArgs) -> Option<ScalarValue> {
        match dim_of(statistics_args.return_type) {
            None => self.numbers.value_from_stats(statistics_args),
            Some(_) => None,
        }
    }

    fn default_value(&self, data_type: &DataType) -> Result<ScalarValue> {
        self.numbers.default_value(data_type)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.numbers.documentation()
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        self.numbers.inner().set_monotonicity(data_type)
    }
}

/// The type of sums on their way: vectors of Float64.
fn sums_type(dim: usize) -> DataType {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        reason = "the dimension of a type is an i32"
    )]
    DataType::FixedSizeList(Arc::new(Field::new_list_field(DataType::Float64, true)), dim as i32)
}
