//! Encoding of one vector: the vector and the number of its list go in. The 1-bit code, its [`Factors`], the distance to the
//! centroid and, if asked for, a four-bit row come out; the formulas stand in [`code`](crate::code).

use super::centroids::quantize;
use super::{Centroids, Factors, MAX_SQUARED_LENGTH, Quantizer, round_up, rows};
use crate::metric::Metric;

/// The levels of a four-bit code on each side of zero.
const LEVELS: f32 = 8.0;

/// The step of a four-bit code, in standard deviations of a coordinate: the best uniform step for a normal distribution
/// and 16 levels. Source: Max, "Quantizing for minimum distortion", 1960, table II.
const FOUR_BIT_STEP: f32 = 0.3352;

/// Encodes vectors one at a time, with the buffers of one thread.
pub(crate) struct Encoder<'a> {
    quantizer: &'a Quantizer,
    centroids: &'a Centroids,
    rotated: Vec<f32>,
    centroid: Vec<f32>,
    /// The list `centroid` belongs to.
    list: usize,
    residual: Vec<f32>,
    codes: Vec<u8>,
    /// The 1-bit code of the last vector: for each group of 4 coordinates a number below 16.
    pub(crate) nibbles: Vec<u8>,
}

impl<'a> Encoder<'a> {
    pub(crate) fn new(quantizer: &'a Quantizer, centroids: &'a Centroids) -> Self {
        let padded_dim = quantizer.padded_dim();
        Self {
            quantizer,
            centroids,
            rotated: vec![0.0; padded_dim],
            centroid: vec![0.0; padded_dim],
            list: usize::MAX,
            residual: vec![0.0; padded_dim],
            codes: vec![0; padded_dim],
            nibbles: vec![0; padded_dim / 4],
        }
    }

    /// Writes the vector as small integers, for the search of its list.
    pub(crate) fn integers(&mut self, vector: &[f32], integers: &mut [i8]) {
        self.quantizer.rotate(vector, &mut self.rotated);
        quantize(&self.rotated, self.centroids.step(), integers);
    }

    /// Encodes a vector of a list: sets `nibbles`, fills the row of four-bit codes if there is one, and returns the
    /// factors of the bits, and the distance to the centroid.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a level is in 0..=7, and 0 for what is not a number"
    )]
    pub(crate) fn encode(&mut self, vector: &[f32], list: usize, row: Option<&mut [u8]>) -> (Factors, f32) {
        if self.list != list {
            self.centroids.copy_to(list, &mut self.centroid);
            self.list = list;
        }
        self.quantizer.rotate(vector, &mut self.rotated);
        for ((residual, value), centroid) in self.residual.iter_mut().zip(&self.rotated).zip(&self.centroid) {
            *residual = value - centroid;
        }
        for (nibble, group) in self.nibbles.iter_mut().zip(self.residual.as_chunks::<4>().0) {
            *nibble = group.iter().enumerate().fold(0, |bits, (i, &value)| bits | u8::from(value >= 0.0) << i);
        }
        let sums = ResidualSums::new(&self.residual, &self.centroid);
        if let Some(row) = row {
            let scale = sums.four_bit_scale(self.residual.len());
            for (code, &value) in self.codes.iter_mut().zip(&self.residual) {
                let level = (value.abs() * scale).min(LEVELS - 1.0) as u8;
                *code = if value >= 0.0 { 8 + level } else { 7 - level };
            }
            let factors = self.factors(&sums, &sums_of_codes(&self.residual, &self.centroid, &self.codes));
            rows::write(row, &self.codes, factors);
        }
        // A rotation that overflowed leaves what is not a number: such a vector may be anywhere.
        let radius = if sums.squared_radius.is_nan() { f32::INFINITY } else { round_up(sums.squared_radius.sqrt()) };
        (self.factors(&sums, &sums.of_bits(self.residual.len())), radius)
    }

    #[expect(clippy::cast_possible_truncation, reason = "factors are f32")]
    fn factors(&self, sums: &ResidualSums, code: &CodeSums) -> Factors {
        let ResidualSums { squared_radius, along_centroid, .. } = *sums;
        if !(squared_radius <= MAX_SQUARED_LENGTH && along_centroid.abs() <= MAX_SQUARED_LENGTH) {
            return Factors::UNBOUNDED;
        }
        let (rescale, deviation) = if code.product > 0.0 {
            let inverse_squared_cosine = squared_radius * code.squared_norm / (code.product * code.product);
            let error_length = (squared_radius * (inverse_squared_cosine - 1.0).max(0.0)).sqrt();
            (squared_radius / code.product, error_length / (self.residual.len() as f64 - 1.0).sqrt())
        } else {
            (0.0, 0.0)
        };
        let centroid_share = rescale * code.along_centroid;
        let (add, twice) = match self.quantizer.metric() {
            Metric::L2 => (squared_radius + 2.0 * centroid_share, 2.0),
            Metric::InnerProduct | Metric::Cosine => (centroid_share - along_centroid, 1.0),
        };
        let factors =
            Factors { add: add as f32, rescale: (-twice * rescale) as f32, error: round_up(twice * deviation) };
        if factors.add.is_finite() && factors.rescale.is_finite() { factors } else { Factors::UNBOUNDED }
    }
}

/// Sums over the coordinates of a residual `r` and its centroid `c'`, in f64.
struct ResidualSums {
    squared_radius: f64,
    /// The sum of absolute coordinates.
    l1: f64,
    /// `<r, c'>`
    along_centroid: f64,
    /// `<sign(r), c'>`
    signs_along_centroid: f64,
}

/// Sums over the coordinates of a code `x`.
struct CodeSums {
    /// `<r, x>`
    product: f64,
    /// `<x, c'>`
    along_centroid: f64,
    /// `|x|^2`
    squared_norm: f64,
}

/// Partial sums, so that additions need not wait for each other; folded in one order.
const LANES: usize = 8;

fn fold(lanes: [f64; LANES]) -> f64 {
    let [a, b, c, d, e, f, g, h] = lanes;
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}

impl ResidualSums {
    fn new(residual: &[f32], centroid: &[f32]) -> Self {
        let mut lanes = [[0.0_f64; LANES]; 4];
        for (r, c) in residual.as_chunks::<LANES>().0.iter().zip(centroid.as_chunks::<LANES>().0) {
            for i in 0..LANES {
                let (r, c) = (f64::from(r[i]), f64::from(c[i]));
                lanes[0][i] += r * r;
                lanes[1][i] += r.abs();
                lanes[2][i] += r * c;
                lanes[3][i] += if r >= 0.0 { c } else { -c };
            }
        }
        let [squared_radius, l1, along_centroid, signs_along_centroid] = lanes.map(fold);
        Self { squared_radius, l1, along_centroid, signs_along_centroid }
    }

    /// The sums of the 1-bit code: every coordinate is -1/2 or 1/2.
    fn of_bits(&self, padded_dim: usize) -> CodeSums {
        CodeSums {
            product: 0.5 * self.l1,
            along_centroid: 0.5 * self.signs_along_centroid,
            squared_norm: padded_dim as f64 / 4.0,
        }
    }

    /// Factor that turns a coordinate into levels of the four-bit code; 0 where it would not be finite.
    #[expect(clippy::cast_possible_truncation, reason = "levels are computed in f32")]
    fn four_bit_scale(&self, padded_dim: usize) -> f32 {
        let deviation = (self.squared_radius / padded_dim as f64).sqrt() as f32;
        let scale = 1.0 / (FOUR_BIT_STEP * deviation);
        if scale.is_finite() { scale } else { 0.0 }
    }
}

fn sums_of_codes(residual: &[f32], centroid: &[f32], codes: &[u8]) -> CodeSums {
    let mut lanes = [[0.0_f64; LANES]; 3];
    let rows = residual.as_chunks::<LANES>().0.iter().zip(centroid.as_chunks::<LANES>().0);
    for ((r, c), codes) in rows.zip(codes.as_chunks::<LANES>().0) {
        for i in 0..LANES {
            let x = f64::from(codes[i]) - 7.5;
            lanes[0][i] += x * f64::from(r[i]);
            lanes[1][i] += x * f64::from(c[i]);
            lanes[2][i] += x * x;
        }
    }
    let [product, along_centroid, squared_norm] = lanes.map(fold);
    CodeSums { product, along_centroid, squared_norm }
}
