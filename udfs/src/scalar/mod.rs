//! Functions over vectors and text: one file per SQL name, or per family that shares its arguments.
//!
//! A function over vectors takes `FLOAT[dim]` and lists of numbers. What it computes, and in which precision, follows from
//! its arguments (`vectors`): Float32 by the kernels of the index engine as soon as one of them is a vector, Float64 as
//! DataFusion has it if all are lists.

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

use crate::role::Role;

pub(crate) mod vectors;

mod arithmetic;
mod distance;
mod normalize;
mod subvector;
mod vector_dims;
mod vector_norm;

pub mod async_sort;
pub mod embed;
pub mod from_text;
pub mod operators;

#[cfg(test)]
mod tests;

/// Every function, in the order of the reference page.
pub fn functions(models: Arc<embed::Models>, role: Role) -> Vec<ScalarUDF> {
    let mut functions = of_vectors();
    functions.push(embed::function(models, role));
    functions
}

/// The functions that take vectors.
pub fn of_vectors() -> Vec<ScalarUDF> {
    let mut functions = distance::functions();
    functions.extend([vector_norm::function(), normalize::function(), vector_dims::function(), subvector::function()]);
    functions.extend(arithmetic::functions());
    functions
}
