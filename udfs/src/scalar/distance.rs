//! The distance functions of two vectors: `l2_distance`, `l2_squared`, `cosine_distance`, `cosine_similarity`, `inner_product`,
//! `l1_distance`, and `array_distance`, DataFusion's name for the first. The result is a number, NULL if either vector is NULL.
//!
//! Vectors are computed by the kernels of the index engine, so that `_distance` of `knn()` and these functions give equal
//! numbers. No intermediate result overflows or vanishes: where the answer fits its type, it is right. Two lists are computed
//! in Float64, in DataFusion's order, like DataFusion's functions of the same name.

use std::sync::Arc;

use arrow::array::{ArrayRef, ArrowPrimitiveType, PrimitiveBuilder};
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use datafusion::common::utils::take_function_args;
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use ruvector_rabitq::Metric;

use super::vectors::{
    SAFE_SQUARES, Vectors, answer, coerce, precision, root_of_squares, rows_to_compute, scale_of, to_f32,
};
use crate::documentation::{DISTANCES, Facts};

/// The functions of this file.
pub(super) fn functions() -> Vec<ScalarUDF> {
    let all = [
        Distance::new(
            "l2_distance",
            &[],
            l2,
            |a, b| Some(l2_f64(a, b)),
            Facts {
                text: "Returns the Euclidean distance of two vectors. `ORDER BY l2_distance(vec, query) LIMIT k` asks for \
                       what `knn()` answers.",
                unit: "the unit of the coordinates",
                example: "SELECT l2_distance([0.0, 0.0], [3.0, 4.0]);\n-- 5",
                ..BINARY
            },
        ),
        Distance::new(
            "l2_squared",
            &[],
            |a, b| to_f32(Metric::L2.score(a, b)),
            |a, b| Some(l2_squared_f64(a, b)),
            Facts {
                text: "Returns the squared Euclidean distance of two vectors: the same order as `l2_distance`, and no root.",
                unit: "the square of the unit of the coordinates",
                example: "SELECT l2_squared([0.0, 0.0], [3.0, 4.0]);\n-- 25",
                ..BINARY
            },
        ),
        Distance::new(
            "cosine_distance",
            &[],
            |a, b| Metric::Cosine.distance(a, b),
            |a, b| cosine_f64(a, b).map(|cosine| 1.0 - cosine),
            Facts {
                text: "Returns one minus the cosine of the angle of two vectors. A zero vector has no angle: its distance to \
                       any vector is 1, as in an index; of two lists, as in DataFusion, it is NULL.",
                unit: "none: 0 for the same direction, 1 for orthogonal, 2 for opposite",
                example: "SELECT cosine_distance([1.0, 0.0], [0.0, 2.0]), cosine_distance([1.0, 0.0], [-3.0, 0.0]);\n-- 1 | 2",
                ..BINARY
            },
        ),
        Distance::new(
            "cosine_similarity",
            &[],
            |a, b| 1.0 - Metric::Cosine.distance(a, b),
            cosine_f64,
            Facts {
                text: "Returns the cosine of the angle of two vectors: `1 - cosine_distance`. The larger, the more alike. A \
                       zero vector has the similarity 0 to any vector; of two lists it is NULL.",
                unit: "none: 1 for the same direction, 0 for orthogonal, -1 for opposite",
                example: "SELECT cosine_similarity([1.0, 0.0], [0.0, 2.0]), cosine_similarity([1.0, 0.0], [-3.0, 0.0]);\n-- 0 | -1",
                ..BINARY
            },
        ),
        Distance::new(
            "inner_product",
            &["dot_product"],
            // Subtracted, not negated: orthogonal vectors are at 0, not at -0.
            |a, b| to_f32(0.0 - Metric::InnerProduct.score(a, b)),
            |a, b| Some(dot_f64(a, b)),
            Facts {
                text: "Returns the sum of the products of the coordinates. The larger, the more alike; `_distance` of a \
                       `knn()` with `metric => 'inner_product'` is its negative.",
                unit: "the square of the unit of the coordinates",
                example: "SELECT inner_product([1.0, 2.0], [3.0, 4.0]);\n-- 11",
                ..BINARY
            },
        ),
        Distance::new(
            "l1_distance",
            &[],
            l1,
            |a, b| Some(l1_f64(a, b)),
            Facts {
                text: "Returns the taxicab distance of two vectors: the sum of the absolute differences of the coordinates. No \
                       index answers it.",
                unit: "the unit of the coordinates",
                example: "SELECT l1_distance([0.0, 0.0], [3.0, -4.0]);\n-- 7",
                ..BINARY
            },
        ),
        Distance::new(
            "array_distance",
            &["list_distance"],
            l2,
            |a, b| Some(l2_f64(a, b)),
            Facts {
                text: "Returns the Euclidean distance of two vectors: DataFusion's and DuckDB's name of `l2_distance`.",
                unit: "the unit of the coordinates",
                example: "SELECT array_distance([0.0, 0.0], [3.0, 4.0]);\n-- 5",
                ..BINARY
            },
        ),
    ];
    all.into_iter().map(ScalarUDF::from).collect()
}

/// The facts that all distances share.
const BINARY: Facts = Facts {
    section: DISTANCES,
    arguments: &[
        ("a", "A vector, `FLOAT[dim]`, a list of numbers, or beside a vector text like `'[0.5, 1.0]'`."),
        ("b", "Another, with as many coordinates; else it is an error that names both numbers."),
    ],
    returns: "`FLOAT`; `DOUBLE` if both are lists",
    nulls: "NULL if `a` or `b` is NULL or has a NULL coordinate",
    ..Facts::NONE
};

fn l2(a: &[f32], b: &[f32]) -> f32 {
    to_f32(Metric::L2.score(a, b).sqrt())
}

fn l1(a: &[f32], b: &[f32]) -> f32 {
    to_f32(a.iter().zip(b).fold(0.0, |sum, (a, b)| sum + (f64::from(*a) - f64::from(*b)).abs()))
}

fn l1_f64(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).fold(0.0, |sum, (a, b)| sum + (a - b).abs())
}

fn l2_f64(a: &[f64], b: &[f64]) -> f64 {
    let squared = l2_squared_f64(a, b);
    if SAFE_SQUARES.contains(&squared) {
        return squared.sqrt();
    }
    root_of_squares(a.iter().zip(b).map(|(a, b)| a - b))
}

fn l2_squared_f64(a: &[f64], b: &[f64]) -> f64 {
    // Not `sum()`, which starts at -0.
    a.iter().zip(b).fold(0.0, |sum, (a, b)| sum + (a - b) * (a - b))
}

fn dot_f64(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).fold(0.0, |sum, (a, b)| sum + a * b)
}

fn cosine_f64(a: &[f64], b: &[f64]) -> Option<f64> {
    let (a_squared, b_squared) = (dot_f64(a, a), dot_f64(b, b));
    if ![a_squared, b_squared].iter().all(|squared| SAFE_SQUARES.contains(squared)) {
        // Only directions count.
        let scaled = |list: &[f64]| -> Vec<f64> {
            let scale = scale_of(list.iter().copied());
            list.iter().map(|value| value * scale).collect()
        };
        return cosine_of(&scaled(a), &scaled(b));
    }
    cosine_of(a, b)
}

fn cosine_of(a: &[f64], b: &[f64]) -> Option<f64> {
    let (a_squared, b_squared) = (dot_f64(a, a), dot_f64(b, b));
    (a_squared != 0.0 && b_squared != 0.0).then(|| dot_f64(a, b) / (a_squared.sqrt() * b_squared.sqrt()))
}

#[derive(Debug)]
struct Distance {
    name: &'static str,
    aliases: Vec<String>,
    of_vectors: fn(&[f32], &[f32]) -> f32,
    of_lists: fn(&[f64], &[f64]) -> Option<f64>,
    signature: Signature,
    documentation: Documentation,
}

/// The name says which function it is; addresses of functions do not.
impl PartialEq for Distance {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Distance {}

impl std::hash::Hash for Distance {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl Distance {
    fn new(
        name: &'static str,
        aliases: &[&str],
        of_vectors: fn(&[f32], &[f32]) -> f32,
        of_lists: fn(&[f64], &[f64]) -> Option<f64>,
        facts: Facts,
    ) -> Self {
        let aliases = aliases.iter().map(|alias| (*alias).to_owned()).collect();
        let signature = Signature::user_defined(Volatility::Immutable);
        Self { name, aliases, of_vectors, of_lists, signature, documentation: facts.documentation(name) }
    }

    fn compute<T: ArrowPrimitiveType>(
        &self,
        args: &ScalarFunctionArgs,
        distance: impl Fn(&[T::Native], &[T::Native]) -> Option<T::Native>,
    ) -> Result<ArrayRef> {
        let [a, b] = take_function_args(self.name, &args.args)?;
        let (a, b) = (Vectors::<T>::new(a)?, Vectors::<T>::new(b)?);
        let num_rows = rows_to_compute(&args.args, args.number_rows);
        let mut distances = PrimitiveBuilder::<T>::with_capacity(num_rows);
        for row in 0..num_rows {
            distances.append_option(match (a.range(row), b.range(row)) {
                // Lengths before coordinates: one that is NULL does not make them agree.
                (Some(a), Some(b)) if a.len() != b.len() => {
                    return exec_err!("{}", self.different_dimensions(&T::DATA_TYPE, a.len(), b.len()));
                }
                (Some(in_a), Some(in_b)) => match (a.at(in_a), b.at(in_b)) {
                    (Some(a), Some(b)) => distance(a, b),
                    _ => None,
                },
                _ => None,
            });
        }
        Ok(Arc::new(distances.finish()))
    }

    fn different_dimensions(&self, precision: &DataType, expected: usize, got: usize) -> String {
        let what = match precision {
            DataType::Float32 => ": vectors have different dimensions",
            // What DataFusion says of lists.
            _ => " requires both list inputs to have the same length",
        };
        format!("{}{what}: expected {expected}, got {got}", self.name)
    }
}

impl ScalarUDFImpl for Distance {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        Ok(precision(arg_types))
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        let [a, b] = take_function_args(self.name, arg_types)?;
        let precision = precision(arg_types);
        let coerced = vec![coerce(self.name, a, &precision)?, coerce(self.name, b, &precision)?];
        if let (DataType::FixedSizeList(_, a), DataType::FixedSizeList(_, b)) = (a, b)
            && let (Ok(a), Ok(b)) = (usize::try_from(*a), usize::try_from(*b))
            && a != b
        {
            return plan_err!("{}", self.different_dimensions(&precision, a, b));
        }
        Ok(coerced)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let distances = match args.return_field.data_type() {
            DataType::Float32 => self.compute::<Float32Type>(&args, |a, b| Some((self.of_vectors)(a, b)))?,
            _ => self.compute::<Float64Type>(&args, self.of_lists)?,
        };
        answer(&args.args, distances)
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }
}
