//! RaBitQ codes: one bit per coordinate, an unbiased distance estimate, and a bound on its error; and the same with four
//! bits, for what the first estimate leaves.
//!
//! Sources: Gao and Long, "RaBitQ: Quantizing High-Dimensional Vectors with a Theoretical Error Bound for Approximate
//! Nearest Neighbor Search", SIGMOD 2024, arXiv:2405.12497; Gao et al., "Practical and Asymptotically Optimal
//! Quantization of High-Dimensional Vectors in Euclidean Space for Approximate Nearest Neighbor Search", SIGMOD 2025,
//! arXiv:2409.09913 (more bits, and factors that fold the centroid in); layout of the scan: André, Kermarrec and Le
//! Scouarnec, "Cache locality is not enough", VLDB 2015.
//!
//! ```text
//! x' = P (o - origin),  q' = P (q - origin)          origin: the mean for L2, nothing for the other metrics
//! encode    r = x' - c';  code_i = [r_i >= 0];       c': the centroid of the vector's list, in small integers
//!           keep three factors of (r, c', code)
//! prepare   tables of sums of 4 coordinates of q', in 8 bits, once for all lists
//! estimate  add + add_scale * f_add + f_rescale * <x, q'>,   <x, q'> = step * (sum of table entries) - |q'|_1 / 2
//! bound     f_error * epsilon * |v|  +  |f_rescale| * epsilon * (deviation of the tables)  +  rounding
//! ```
//! With L2, `v = q' - c'`, `add = |v|^2`, `add_scale = 1`:
//! ```text
//! |o - q|^2 = |r|^2 + |v|^2 - 2 <r, v>,    <r, v> ~ (|r|^2 / <r, x>) (<x, q'> - <x, c'>)
//! f_add = |r|^2 + 2 |r|^2 <x, c'> / <r, x>,    f_rescale = -2 |r|^2 / <r, x>
//! ```
//! With the inner product, and cosine as the inner product of vectors of length 1, `v = q' - s c'` with the `s` that
//! makes `v` shortest, `add = -<q', c'>`, `add_scale = s`:
//! ```text
//! -<o, q> = -<c', q'> - <r, v> - s <r, c'>
//! f_add = -<r, c'> + |r|^2 <x, c'> / <r, x>,    f_rescale = -|r|^2 / <r, x>
//! ```
//! `f_error` is the standard deviation of the estimate for a `v` of length 1:
//! `|f_rescale| <r, x> sqrt((1 / cos(r, x)^2 - 1) / (padded_dim - 1)) / |r|`.
//!
//! | paper | here | meaning |
//! |---|---|---|
//! | `D` | `padded_dim` | coordinates of a code |
//! | `P^-1` | [`Rotation`](crate::rotation::Rotation) | the random rotation |
//! | `o_r`, `q_r` | `vector`, `query` | what the caller gave |
//! | `c` | `centroid` | rotated already, and relative to the origin |
//! | `o`, `\|\|o_r - c\|\|` | `residual`, `radius` | the rotated vector without its centroid, not normalised; its length |
//! | `x_b`, `x_u` | code | the bits |
//! | `x_bar`, `x_cb` | x | the vector a code stands for: coordinates of size 1/2, or 1/2 to 15/2 with four bits |
//! | `<o_bar, o>` | `cosine_to_code` | how well a code points along its vector; 0.8 is typical, 0.995 with four bits |
//! | `epsilon_0` | `epsilon` | the width of the bound in standard deviations |
//! | `q_u`, `B_q` | `tables`, 8 bits | the query as the scan reads it |
//!
//! We differ in: (1) a fast Hadamard rotation instead of a dense one, so encoding costs O(dim log dim); (2) the query
//! stays in floats up to the tables, whose rounding is part of the bound, instead of 4-bit coordinates rounded at random:
//! the same query gets the same answer. Against four-bit codes it is integers of 8 bits, against centroids of 16, whose
//! rounding is part of the bound as well; (3) nothing is normalised: lengths are folded into three factors per vector,
//! computed in f64, the error rounded up; (4) `s` above (Lance does the same); (5) centroids are vectors of small
//! integers, so that lists are found by integer products, which are the same on every machine; (6) four-bit codes stand
//! by themselves, sign included, and have one step for all vectors, that of a normal distribution.
//!
//! An estimate reads `padded_dim / 8 + 12` bytes per vector, `padded_dim / 2 + 12` with four bits, and allocates nothing.

mod blocks;
mod centroids;
mod encoder;
mod kmeans;
mod quantizer;
mod query;
mod rows;

pub(crate) use blocks::{CodeBlocks, block_bytes, set_lane};
pub(crate) use centroids::{Centroids, NearestLists};
pub(crate) use encoder::Encoder;
pub(crate) use kmeans::{ASSIGN_CHUNK, train_centroids};
pub(crate) use quantizer::Quantizer;
pub(crate) use query::{ListTerms, QueryCode};
pub(crate) use rows::{Rows, row_bytes};

/// A squared length above this could overflow in f32 factors: such a vector is never estimated, always computed.
const MAX_SQUARED_LENGTH: f64 = 1e34;

/// Bound: a query of a smaller squared length could underflow in f32. Its products get an infinite error bound, unless it is zero; L2
/// needs none.
const MIN_SQUARED_LENGTH: f64 = 1e-60;

/// The three numbers that one vector has beside its bits; see the formulas of the [module](self).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Factors {
    pub(crate) add: f32,
    pub(crate) rescale: f32,
    pub(crate) error: f32,
}

impl Factors {
    /// For a vector that a code says nothing about: its lower bound is minus infinity, so it is always computed.
    const UNBOUNDED: Self = Self { add: 0.0, rescale: 0.0, error: f32::INFINITY };

    pub(crate) fn is_unbounded(self) -> bool {
        self.error == f32::INFINITY
    }
}

/// Returns the nearest f32 that is not below `value`.
#[expect(clippy::cast_possible_truncation, reason = "where it rounds down, the next f32 is taken")]
fn round_up(value: f64) -> f32 {
    let rounded = value as f32;
    if f64::from(rounded) < value { rounded.next_up() } else { rounded }
}
