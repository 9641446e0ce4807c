//! RaBitQ codes: one bit per coordinate, an unbiased distance estimate, and a bound on its error.
//!
//! Source: Gao and Long, "RaBitQ: Quantizing High-Dimensional Vectors with a Theoretical Error Bound for Approximate
//! Nearest Neighbor Search", SIGMOD 2024, arXiv:2405.12497; layout of the scan: André, Kermarrec and Le Scouarnec,
//! "Cache locality is not enough: high-performance nearest neighbor search with product quantization fast scan",
//! VLDB 2015.
//!
//! ```text
//! encode   r = P (o - mean);  code_i = [r_i >= 0];  keep three factors of (o, r, code)
//! prepare  v = P (q - s mean);  tables of sums of 4 coordinates of v, in 8 bits
//! estimate add + f_add * s + f_rescale * <x, v>,   <x, v> = step * (sum of table entries) - |v|_1 / 2
//! bound    f_error * epsilon * |v|  +  |f_rescale| * epsilon * (deviation of the tables)  +  rounding
//! ```
//!
//! | paper | here | meaning |
//! |---|---|---|
//! | `D` | `padded_dim` | coordinates of a code |
//! | `P^-1` | [`Rotation`](crate::rotation::Rotation) | the random rotation |
//! | `c` | `mean` | the centroid: one for all vectors |
//! | `o_r`, `q_r` | `vector`, `query` | what the caller gave |
//! | `o`, `\|\|o_r - c\|\|` | `residual`, `radius` | the rotated vector without the mean, not normalised; its length |
//! | `x_b` | code | the bits |
//! | `x_bar` | x | the vector a code stands for: every coordinate is -1/2 or +1/2, so its length is `sqrt(padded_dim) / 2` |
//! | `<o_bar, o>` | `cosine_to_code` | how well a code points along its vector; 0.8 is typical |
//! | `epsilon_0` | `epsilon` | the width of the bound in standard deviations |
//! | `q_u`, `B_q` | `tables`, 8 bits | the query as the scan reads it |
//!
//! We differ in: (1) a fast Hadamard rotation instead of a dense one, so encoding costs O(dim log dim); (2) the query
//! stays in floats up to the tables, whose rounding is part of the bound, instead of 4-bit coordinates rounded at random:
//! the same query gets the same answer; (3) nothing is normalised: lengths are folded into three factors per vector,
//! computed in f64, the error rounded up; (4) inner product and cosine project the query off the mean instead of
//! subtracting it, which tightens the bound (s above; Lance does the same); (5) cosine works on normalised copies.
//!
//! An estimate reads `padded_dim / 8 + 12` bytes per vector and allocates nothing.

mod estimator;
mod quantizer;

pub(crate) use estimator::QueryCode;
pub(crate) use quantizer::{CodeBlocks, Quantizer};

/// Dimensions that share one lookup table.
const GROUP_DIMS: usize = 4;

/// A squared length above this could overflow in f32 factors: such a vector is never estimated, always computed.
const MAX_SQUARED_LENGTH: f64 = 1e34;

/// Writes `vector` with length 1 to `output`; a zero vector stays zero.
fn normalize(vector: &[f32], output: &mut [f32]) {
    let length = crate::metric::dot_f64(vector, vector).sqrt();
    let scale = if length > 0.0 { 1.0 / length } else { 0.0 };
    for (output, &value) in output.iter_mut().zip(vector) {
        *output = (f64::from(value) * scale) as f32;
    }
}

/// Returns the nearest f32 that is not below `value`.
fn round_up(value: f64) -> f32 {
    let rounded = value as f32;
    if f64::from(rounded) < value { rounded.next_up() } else { rounded }
}
