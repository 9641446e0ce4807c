//! The metrics: two vectors go in, their distance comes out, with the same bits on every machine.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;
use crate::kernel::{self, Kernels};

/// The measure of the distance of two vectors. In every metric nearer is smaller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Metric {
    /// Squared Euclidean distance: the sum of squared differences.
    #[default]
    L2,
    /// The negated inner product.
    InnerProduct,
    /// One minus the cosine of the angle, in `0.0..=2.0`. A zero vector has no angle: its distance to anything,
    /// another zero vector too, is 1.
    Cosine,
}

impl Metric {
    /// Every metric.
    pub const ALL: [Self; 3] = [Self::L2, Self::InnerProduct, Self::Cosine];

    /// The name in SQL, in files and in [`FromStr`]: `l2`, `inner_product` or `cosine`.
    pub fn name(self) -> &'static str {
        match self {
            Self::L2 => "l2",
            Self::InnerProduct => "inner_product",
            Self::Cosine => "cosine",
        }
    }

    /// Returns the exact distance of two vectors of finite numbers, bit-identical on every machine; never NaN.
    /// It is infinite only if the true value exceeds `f32::MAX`.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn distance(self, a: &[f32], b: &[f32]) -> f32 {
        let squared_norm = if self == Self::Cosine { squared_norm(b) } else { 0.0 };
        ExactQuery::new(self, a).distance(b, squared_norm)
    }

    /// Returns the exact distance in f64, bit-identical on every machine: that of [`distance`](Self::distance) wherever
    /// f32 holds it to full precision; where squares or products overflow, vanish or lose bits, it is computed in f64,
    /// where those of finite f32 numbers do not.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn score(self, a: &[f32], b: &[f32]) -> f64 {
        match self {
            Self::L2 => {
                let squared = (kernel::best().l2_squared)(a, b);
                if FULL_PRECISION.contains(&squared) { f64::from(squared) } else { l2_squared_f64(a, b) }
            }
            Self::InnerProduct => {
                let dot = (kernel::best().dot)(a, b);
                let dot = if FULL_PRECISION.contains(&dot.abs()) { f64::from(dot) } else { dot_f64(a, b) };
                // Subtracted, not negated: orthogonal vectors are at 0, not at -0.
                0.0 - dot
            }
            Self::Cosine => f64::from(self.distance(a, b)),
        }
    }

    /// Returns true if a distance of finite vectors, as [`distance`](Self::distance) returns it, may have lost bits to
    /// underflow. The result of [`score`](Self::score) has them.
    pub fn may_have_vanished(self, distance: f32) -> bool {
        self != Self::Cosine && distance.abs() < *FULL_PRECISION.start()
    }

    /// The largest magnitude of a coordinate in an index: between such vectors no distance overflows, whatever their
    /// dimension. Cosine has no limit, as only directions count.
    pub fn max_coordinate(self) -> f32 {
        match self {
            // 16,384 squares of a difference of 2e16 are 6.6e36, a fiftieth of `f32::MAX`.
            Self::L2 | Self::InnerProduct => 1e16,
            Self::Cosine => f32::MAX,
        }
    }
}

/// Sums in f32 that kept their precision. What 16,384 terms lose to underflow is at most 16,384 * 2^-150 = 1.2e-41.
const FULL_PRECISION: std::ops::RangeInclusive<f32> = 1e-30..=f32::MAX;

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Metric {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|metric| metric.name() == name).ok_or_else(|| {
            Error::invalid_input("unknown metric")
                .with("expected", "l2, inner_product or cosine")
                .with("got", format_args!("'{name}'"))
        })
    }
}

/// The sum of squares, as [`ExactQuery::distance`] wants it.
pub(crate) fn squared_norm(vector: &[f32]) -> f32 {
    (kernel::best().dot)(vector, vector)
}

/// Returns the Euclidean norm of a vector of finite numbers, bit-identical on every machine: finite, and 0 only if all
/// coordinates are.
pub fn norm(vector: &[f32]) -> f64 {
    let squared = squared_norm(vector);
    if SAFE_SQUARED_NORM.contains(&squared) { f64::from(squared).sqrt() } else { dot_f64(vector, vector).sqrt() }
}

/// A query with everything that does not depend on the row done once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ExactQuery<'a> {
    metric: Metric,
    query: &'a [f32],
    squared_norm: f32,
    kernels: &'static Kernels,
}

impl<'a> ExactQuery<'a> {
    pub(crate) fn new(metric: Metric, query: &'a [f32]) -> Self {
        let kernels = kernel::best();
        let squared_norm = if metric == Metric::Cosine { (kernels.dot)(query, query) } else { 0.0 };
        Self { metric, query, squared_norm, kernels }
    }

    /// Returns the distance to `row`; `row_squared_norm` is read by cosine only.
    #[expect(clippy::cast_possible_truncation, reason = "distances are f32")]
    pub(crate) fn distance(&self, row: &[f32], row_squared_norm: f32) -> f32 {
        match self.metric {
            Metric::L2 => (self.kernels.l2_squared)(self.query, row),
            Metric::InnerProduct => {
                let dot = (self.kernels.dot)(self.query, row);
                // Subtracted, not negated: orthogonal vectors are at 0, not at -0. Sums that overflow on the way are
                // made again in f64: infinity less infinity is not a number.
                if dot.is_finite() { 0.0 - dot } else { (0.0 - dot_f64(self.query, row)) as f32 }
            }
            Metric::Cosine => cosine(self.query, row, self.squared_norm, row_squared_norm, self.kernels),
        }
    }
}

/// Squared norms outside of this range have lost bits to underflow, or overflowed.
const SAFE_SQUARED_NORM: std::ops::RangeInclusive<f32> = 1e-30..=1e30;

#[expect(clippy::cast_possible_truncation, reason = "distances are f32")]
fn cosine(a: &[f32], b: &[f32], a_squared: f32, b_squared: f32, kernels: &Kernels) -> f32 {
    let safe = SAFE_SQUARED_NORM.contains(&a_squared) && SAFE_SQUARED_NORM.contains(&b_squared);
    // The square root of the product, not the product of roots: of equal vectors it is exactly their squared norm, and
    // their distance exactly 0.
    let cosine = if safe {
        f64::from((kernels.dot)(a, b)) / (f64::from(a_squared) * f64::from(b_squared)).sqrt()
    } else {
        let (a_squared, b_squared) = (dot_f64(a, a), dot_f64(b, b));
        if a_squared == 0.0 || b_squared == 0.0 {
            return 1.0;
        }
        dot_f64(a, b) / (a_squared.sqrt() * b_squared.sqrt())
    };
    (1.0 - cosine).clamp(0.0, 2.0) as f32
}

/// The inner product in f64, where no sum of finite f32 products overflows and no square of one underflows.
pub(crate) fn dot_f64(a: &[f32], b: &[f32]) -> f64 {
    sum_in_lanes_f64(a, b, |a, b| a * b)
}

/// The squared distance in f64, where it neither overflows nor underflows.
fn l2_squared_f64(a: &[f32], b: &[f32]) -> f64 {
    sum_in_lanes_f64(a, b, |a, b| (a - b) * (a - b))
}

/// Adds terms in eight lanes, element `i` to lane `i % 8`, so that compilers can use vector registers; the order of the
/// additions is fixed.
fn sum_in_lanes_f64(a: &[f32], b: &[f32], term: impl Fn(f64, f64) -> f64) -> f64 {
    let mut lanes = [0.0; 8];
    let (a_chunks, a_tail) = a.as_chunks::<8>();
    let (b_chunks, b_tail) = b.as_chunks::<8>();
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for i in 0..8 {
            lanes[i] += term(f64::from(a[i]), f64::from(b[i]));
        }
    }
    for ((lane, &a), &b) in lanes.iter_mut().zip(a_tail).zip(b_tail) {
        *lane += term(f64::from(a), f64::from(b));
    }
    let [a, b, c, d, e, f, g, h] = lanes;
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}

#[cfg(test)]
mod tests {
    use proptest::strategy::Strategy;

    use super::*;

    #[test]
    fn names_round_trip() {
        for metric in Metric::ALL {
            assert_eq!(metric.to_string().parse::<Metric>().unwrap(), metric);
        }
        let error = "euclid".parse::<Metric>().unwrap_err();
        assert_eq!(error.to_string(), "unknown metric: expected l2, inner_product or cosine, got 'euclid'");
    }

    #[test]
    fn distances_of_small_vectors() {
        let (a, b) = ([1.0, 2.0, 2.0], [2.0, 4.0, -1.0]);
        assert_eq!(Metric::L2.distance(&a, &b), 1.0 + 4.0 + 9.0);
        assert_eq!(Metric::InnerProduct.distance(&a, &b), -8.0);
        assert_eq!(Metric::Cosine.distance(&[1.0, 0.0], &[0.0, 3.0]), 1.0);
        assert_eq!(Metric::Cosine.distance(&[1.0, 1.0], &[-2.0, -2.0]), 2.0);
    }

    #[test]
    fn cosine_of_equal_vectors_is_exactly_zero() {
        let a: Vec<f32> = (0..384).map(|i| (i as f32 * 0.37).fract() - 0.5).collect();
        assert_eq!(Metric::Cosine.distance(&a, &a), 0.0);
    }

    #[test]
    fn cosine_to_a_zero_vector_is_one() {
        let zero = [0.0; 5];
        assert_eq!(Metric::Cosine.distance(&zero, &[1.0; 5]), 1.0);
        assert_eq!(Metric::Cosine.distance(&[1.0; 5], &zero), 1.0);
        assert_eq!(Metric::Cosine.distance(&zero, &zero), 1.0);
    }

    #[test]
    fn norms_neither_overflow_nor_vanish() {
        assert_eq!(norm(&[]), 0.0);
        assert_eq!(norm(&[0.0; 7]), 0.0);
        for scale in [1e-40_f32, 1e-30, 1.0, 1e30, 6e37] {
            let ratio = norm(&[3.0 * scale, 0.0, -4.0 * scale]) / f64::from(scale);
            assert!((ratio - 5.0).abs() < 1e-4, "scale {scale}: {ratio}");
        }
    }

    #[test]
    fn huge_and_tiny_vectors_are_never_nan() {
        for scale in [1e-40_f32, 1e-30, 1e30, 3e38] {
            let (a, b, c) = ([scale, scale], [scale, -scale], [scale, scale / 2.0]);
            assert_eq!(Metric::Cosine.distance(&a, &b), 1.0, "scale {scale}");
            assert!((Metric::Cosine.distance(&a, &c) - 0.051_316_7).abs() < 1e-6, "scale {scale}");
            assert_eq!(Metric::InnerProduct.distance(&a, &b), 0.0, "scale {scale}");
            assert!(!Metric::L2.distance(&a, &b).is_nan(), "scale {scale}");
        }
    }

    /// The oracle: every term in f64, whose exponents are wide enough.
    fn oracle(metric: Metric, a: &[f32], b: &[f32]) -> f64 {
        let pairs = || a.iter().zip(b).map(|(&a, &b)| (f64::from(a), f64::from(b)));
        match metric {
            Metric::L2 => pairs().map(|(a, b)| (a - b).powi(2)).sum(),
            Metric::InnerProduct => -pairs().map(|(a, b)| a * b).sum::<f64>(),
            Metric::Cosine => {
                let norm = |v: &[f32]| v.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
                let norms = norm(a) * norm(b);
                if norms == 0.0 { 1.0 } else { 1.0 - pairs().map(|(a, b)| a * b).sum::<f64>() / norms }
            }
        }
    }

    proptest::proptest! {
        /// From the least subnormal number to the largest, mixed in one vector or not.
        #[test]
        fn scores_are_right_at_every_magnitude(
            (a, b) in (1..70_usize).prop_flat_map(|dim| {
                let number = |exponents: std::ops::Range<i32>| {
                    (-1.0..1.0_f64, exponents).prop_map(|(x, exponent)| (x * 2.0_f64.powi(exponent)) as f32)
                };
                let vector = || (-149..120).prop_flat_map(move |least: i32| {
                    proptest::collection::vec(number(least..least + 8), dim)
                });
                let any = || proptest::collection::vec(number(-149..129), dim);
                proptest::prop_oneof![(vector(), vector()), (any(), any())]
            }),
        ) {
            use proptest::prop_assert;
            for metric in Metric::ALL {
                let (score, expected) = (metric.score(&a, &b), oracle(metric, &a, &b));
                // What cancels out is as exact as the largest term.
                let largest = match metric {
                    Metric::L2 => expected,
                    Metric::InnerProduct => -oracle(metric, &a.iter().map(|x| x.abs()).collect::<Vec<_>>(), &b.iter().map(|x| x.abs()).collect::<Vec<_>>()),
                    Metric::Cosine => 1.0,
                };
                prop_assert!((score - expected).abs() <= 1e-5 * largest, "{metric} {a:?} {b:?}: {expected}, got {score}");
            }
        }
    }

    #[test]
    fn an_index_takes_no_coordinates_whose_distances_overflow() {
        let dim = crate::vector::MAX_DIM;
        for metric in [Metric::L2, Metric::InnerProduct] {
            let (a, b) = (vec![metric.max_coordinate(); dim], vec![-metric.max_coordinate(); dim]);
            assert!(metric.distance(&a, &b).is_finite() && metric.distance(&a, &a).is_finite(), "{metric}");
        }
    }
}
