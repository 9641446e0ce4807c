//! `vector_add`, `vector_subtract`, `vector_multiply`, `vector_divide` and `vector_concat`: the operators `+`, `-`, `*`, `/`
//! and `||` of vectors. The answer is a vector, NULL if an argument is NULL or has a NULL coordinate.
//!
//! They compute in f64 and round once. A coordinate that is no number of Float32 is an error: no table could hold it.

use arrow::array::{Array, AsArray, Float64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use datafusion::common::utils::take_function_args;
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use ruvector_rulake::error::to_datafusion;
use ruvector_rulake::vector_column::{dim_of, vector_type};

use super::vectors::{Vectors, VectorsBuilder, answer, coerce, precision, rows_to_compute, to_f32};
use crate::documentation::{Facts, VECTORS};

/// The functions of this file.
pub(super) fn functions() -> Vec<ScalarUDF> {
    Operation::ALL.map(Operation::function).into()
}

/// The operation of an arithmetic function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
    Concat,
}

impl Operation {
    const ALL: [Self; 5] = [Self::Add, Self::Subtract, Self::Multiply, Self::Divide, Self::Concat];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Add => "vector_add",
            Self::Subtract => "vector_subtract",
            Self::Multiply => "vector_multiply",
            Self::Divide => "vector_divide",
            Self::Concat => "vector_concat",
        }
    }

    pub(super) fn function(self) -> ScalarUDF {
        let signature = Signature::user_defined(Volatility::Immutable);
        ScalarUDF::from(Arithmetic {
            operation: self,
            signature,
            documentation: self.facts().documentation(self.name()),
        })
    }

    fn facts(self) -> Facts {
        let two = Facts {
            section: VECTORS,
            arguments: &[
                ("a", "A vector, `FLOAT[dim]`; one of the two may be a list of numbers or text like `'[0.5, 1.0]'`."),
                ("b", "Another, with as many coordinates; else it is an error that names both numbers."),
            ],
            returns: "`FLOAT[dim]`; a coordinate beyond the range of `FLOAT` is an error",
            unit: "the unit of the coordinates",
            nulls: "NULL if an argument is NULL or has a NULL coordinate",
            ..Facts::NONE
        };
        match self {
            Self::Add => Facts {
                text: "Adds two vectors, coordinate by coordinate: `a + b`.",
                example: "SELECT '[1, 2]'::FLOAT[2] + [0.5, 0.5], vector_add('[1, 2]'::FLOAT[2], '[3, 4]');\n-- [1.5, 2.5] | [4, 6]",
                ..two
            },
            Self::Subtract => Facts {
                text: "Subtracts two vectors, coordinate by coordinate: `a - b`.",
                example: "SELECT '[1, 2]'::FLOAT[2] - '[0.5, 0]';\n-- [0.5, 2]",
                ..two
            },
            Self::Multiply => Facts {
                text: "Multiplies a vector by a number, or two vectors coordinate by coordinate: `a * b`.",
                arguments: &[
                    ("a", "A vector, `FLOAT[dim]`, or a number."),
                    ("b", "A number if `a` is a vector, or another vector of as many coordinates."),
                ],
                unit: "the product of the units",
                example: "SELECT '[1, 2]'::FLOAT[2] * 3, 0.5 * '[1, 2]'::FLOAT[2], '[1, 2]'::FLOAT[2] * [3, 4];\n-- [3, 6] | [0.5, 1] | [3, 8]",
                ..two
            },
            Self::Divide => Facts {
                text: "Divides a vector by a number: `a / b`. To divide by 0 is an error.",
                arguments: &[("a", "A vector, `FLOAT[dim]`."), ("b", "A number.")],
                unit: "the quotient of the units",
                example: "SELECT '[1, 2]'::FLOAT[2] / 2;\n-- [0.5, 1]",
                ..two
            },
            Self::Concat => Facts {
                text: "Puts the coordinates of one vector behind those of another: `a || b`.",
                arguments: &[("a", "A vector, `FLOAT[m]`."), ("b", "Another, `FLOAT[n]`.")],
                returns: "`FLOAT[m + n]`",
                example: "SELECT '[1, 2]'::FLOAT[2] || '[3]'::FLOAT[1];\n-- [1, 2, 3]",
                ..two
            },
        }
    }

    /// True if the argument at `position`, counted from 0, may be a number.
    fn takes_number(self, position: usize) -> bool {
        match self {
            Self::Multiply => true,
            Self::Divide => position == 1,
            Self::Add | Self::Subtract | Self::Concat => false,
        }
    }

    fn compute(self, a: f64, b: f64) -> f64 {
        match self {
            Self::Add => a + b,
            Self::Subtract => a - b,
            Self::Multiply => a * b,
            Self::Divide => a / b,
            Self::Concat => unreachable!("nothing is computed"),
        }
    }
}

fn of_dim(dim: usize) -> Result<DataType> {
    vector_type(dim).map_err(to_datafusion)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Arithmetic {
    operation: Operation,
    signature: Signature,
    documentation: Documentation,
}

impl Arithmetic {
    fn expected(&self) -> &'static str {
        match self.operation {
            Operation::Add | Operation::Subtract => "two vectors, FLOAT[dim]",
            Operation::Multiply => "a vector, FLOAT[dim], and a number, or two vectors",
            Operation::Divide => "a vector, FLOAT[dim], and a number",
            Operation::Concat => "two vectors, FLOAT[m] and FLOAT[n]",
        }
    }

    fn different_dimensions(&self, expected: usize, got: usize) -> String {
        format!("{}: vectors have different dimensions: expected {expected}, got {got}", self.name())
    }
}

impl ScalarUDFImpl for Arithmetic {
    fn name(&self) -> &str {
        self.operation.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        let [a, b] = take_function_args(self.name(), arg_types)?;
        let wrong = || plan_err!("{} expected {}, got {a} and {b}", self.name(), self.expected());
        match (self.operation, dim_of(a), dim_of(b)) {
            (Operation::Concat, Some(a), Some(b)) => of_dim(a + b),
            (Operation::Concat, ..) | (Operation::Divide, None, _) => wrong(),
            (_, Some(dim), _) | (_, None, Some(dim)) => of_dim(dim),
            (_, None, None) => wrong(),
        }
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        let [a, b] = take_function_args(self.name(), arg_types)?;
        let wrong = || plan_err!("{} expected {}, got {a} and {b}", self.name(), self.expected());
        if precision(arg_types) != DataType::Float32 {
            return wrong();
        }
        let mut coerced = Vec::with_capacity(2);
        for (position, data_type) in arg_types.iter().enumerate() {
            coerced.push(match data_type {
                number if number.is_numeric() && self.operation.takes_number(position) => DataType::Float64,
                number if number.is_numeric() => return wrong(),
                // A NULL has any type.
                DataType::Null if self.operation == Operation::Divide && position == 1 => DataType::Float64,
                // Exactly Float32: the answer has the type of the vector.
                DataType::FixedSizeList(item, dim) if item.data_type() == &DataType::Float16 => {
                    of_dim(usize::try_from(*dim).unwrap_or(0))?
                }
                other => coerce(self.name(), other, &DataType::Float32)?,
            });
        }
        let is_number = |data_type: &DataType| data_type == &DataType::Float64;
        if (self.operation == Operation::Divide && !is_number(&coerced[1]))
            || (self.operation == Operation::Concat && !coerced.iter().all(|arg| dim_of(arg).is_some()))
        {
            return wrong();
        }
        if let (DataType::FixedSizeList(_, a), DataType::FixedSizeList(_, b)) = (&coerced[0], &coerced[1])
            && self.operation != Operation::Concat
            && a != b
        {
            let dim = |dim: i32| usize::try_from(dim).unwrap_or(0);
            return plan_err!("{}", self.different_dimensions(dim(*a), dim(*b)));
        }
        Ok(coerced)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [a, b] = take_function_args(self.name(), &args.args)?;
        let num_rows = rows_to_compute(&args.args, args.number_rows);
        let dim = dim_of(args.return_field.data_type()).unwrap_or(0);
        let (a, b) = (Operand::new(a, num_rows)?, Operand::new(b, num_rows)?);
        let mut builder = VectorsBuilder::<Float32Type>::new(args.return_field.data_type(), num_rows);
        for row in 0..num_rows {
            let (Some(a), Some(b)) = (a.get(row), b.get(row)) else {
                builder.append_null();
                continue;
            };
            if self.operation == Operation::Concat {
                builder.append_with(|out| {
                    out.extend((0..a.len()).map(|i| to_f32(a.at(i))).chain((0..b.len()).map(|i| to_f32(b.at(i)))));
                    true
                });
                continue;
            }
            // Of lists the number of coordinates is known by now.
            for got in [&a, &b].into_iter().filter(|of| !matches!(of, Value::Number(_))).map(Value::len) {
                if got != dim {
                    return exec_err!("{}", self.different_dimensions(dim, got));
                }
            }
            let mut beyond = None;
            builder.append_with(|out| {
                for i in 0..dim {
                    let value = self.operation.compute(a.at(i), b.at(i));
                    let rounded = to_f32(value);
                    if !rounded.is_finite() && a.at(i).is_finite() && b.at(i).is_finite() {
                        beyond = beyond.or(Some((i, value)));
                    }
                    out.push(rounded);
                }
                beyond.is_none()
            });
            if let Some((i, value)) = beyond {
                return exec_err!(
                    "{}: a coordinate is out of the range of FLOAT: row {row} of the batch, coordinate {}, expected at most {:e} \
                     in magnitude, got {value:e}",
                    self.name(),
                    i + 1,
                    f32::MAX
                );
            }
        }
        answer(&args.args, builder.finish()?)
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }
}

/// An argument: vectors or numbers.
enum Operand {
    Vectors(Vectors<Float32Type>),
    Numbers { values: Float64Array, constant: bool },
}

impl Operand {
    fn new(argument: &ColumnarValue, num_rows: usize) -> Result<Self> {
        let data_type = argument.data_type();
        if !data_type.is_numeric() {
            return Ok(Self::Vectors(Vectors::new(argument)?));
        }
        let constant = matches!(argument, ColumnarValue::Scalar(_));
        let values = cast(&argument.to_array(if constant { 1 } else { num_rows })?, &DataType::Float64)?;
        Ok(Self::Numbers { values: values.as_primitive::<Float64Type>().clone(), constant })
    }

    fn get(&self, row: usize) -> Option<Value<'_>> {
        match self {
            Self::Vectors(vectors) => vectors.get(row).map(Value::Vector),
            Self::Numbers { values, constant } => {
                let row = if *constant { 0 } else { row };
                values.is_valid(row).then(|| Value::Number(values.value(row)))
            }
        }
    }
}

/// The value of an argument in one row.
enum Value<'a> {
    Vector(&'a [f32]),
    Number(f64),
}

impl Value<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Vector(vector) => vector.len(),
            Self::Number(_) => 1,
        }
    }

    fn at(&self, i: usize) -> f64 {
        match self {
            Self::Vector(vector) => f64::from(vector[i]),
            Self::Number(number) => *number,
        }
    }
}
