//! Preparation of a query for the kernels: the vector goes in, lookup tables, small integers and the [`ListTerms`] of each list
//! come out. It also bounds the distances of a list from below, by the radius of the list.

use super::centroids::{quantize, widest_step};
use super::rows::{Rows, split_coordinates};
use super::{Centroids, MAX_SQUARED_LENGTH, MIN_SQUARED_LENGTH, Quantizer};
use crate::kernel::{self, GROUP_DIMS, Kernels, QueryTerms, RowPass, Survivors, TO_INTEGER, code_bytes};
use crate::metric::{Metric, dot_f64};

/// Assumed bound on the rounding error of f32 sums, relative to the lengths that enter them; far below the error of one bit.
const ROUNDING: f64 = 4e-6;

/// The coordinates of a query for products with centroids are at most so many steps; one less than 16 bits could be, for
/// what rounding does to the widest.
const FINEST: f32 = 32766.0;

/// The longest a four-bit code can be, for each coordinate.
const LONGEST_COORDINATE: f64 = 7.5;

/// A query as codes meet it: rotated, as lookup tables for bits, and as small integers for four-bit rows.
#[derive(Debug)]
pub(crate) struct QueryCode {
    kernels: &'static Kernels,
    metric: Metric,
    epsilon: f64,
    pub(crate) rotated: Vec<f32>,
    squared_length: f64,
    /// True if the query is nearly zero, but not zero: the tables, or the rotation itself, have lost bits. Never true with L2:
    /// the bits lost in the difference from the origin are within the error of any vector.
    underflows: bool,
    /// For each group of 4 dimensions the 16 sums of subsets of its coordinates, in units of a step above the smallest.
    tables: Vec<u8>,
    step: f64,
    /// Minus half the sum of absolute coordinates: the product that a sum of 0 stands for.
    smallest_product: f64,
    integers: Integers,
}

/// The coordinates of a query in steps, in the order of a row.
#[derive(Debug, Default)]
struct Integers {
    all: Vec<i8>,
    low: Vec<i8>,
    high: Vec<i8>,
    step: f64,
    /// The coordinates in finer steps, for products with centroids.
    fine: Vec<i16>,
    fine_step: f64,
    /// The product that a sum of 0 stands for: a code is 7.5 less than the number it is kept as.
    smallest_product: f64,
}

/// The terms that the estimates of one query have in common for one list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ListTerms {
    /// For the bits.
    pub(crate) bits: QueryTerms,
    /// For rows: only what the sums stand for differs, and the error of the query's own rounding.
    rows: QueryTerms,
    /// The distance of the query from the centroid, as the bound sees it.
    pub(crate) length: f64,
    /// The largest rounding error of a distance. It is a worst case, where the bounds of vectors use a standard deviation.
    slack: f64,
}

impl QueryCode {
    /// Prepares `query` for codes that `quantizer` made. `epsilon` is the width of the error bound in standard
    /// deviations.
    pub(crate) fn new(quantizer: &Quantizer, query: &[f32], epsilon: f32) -> Self {
        let mut code = Self::default();
        code.prepare(quantizer, query, epsilon);
        code
    }

    /// Prepares `query` like [`new`](Self::new), in the memory of another query.
    pub(crate) fn prepare(&mut self, quantizer: &Quantizer, query: &[f32], epsilon: f32) {
        let kernels = kernel::best();
        self.rotated.resize(quantizer.padded_dim(), 0.0);
        quantizer.rotate(query, &mut self.rotated);
        let rotated = &self.rotated;
        let (mut widest, mut all) = (0.0_f32, 0.0_f64);
        for group in rotated.as_chunks::<GROUP_DIMS>().0 {
            // The sum of a subset is smallest for all negative coordinates, and largest for all positive ones.
            let span: f32 = group.iter().map(|value| value.abs()).sum();
            widest = widest.max(span);
            all += f64::from(span);
        }
        // One step fits all groups: 255 steps are the widest span.
        let to_steps = 255.0 / widest;
        self.tables.resize(code_bytes(rotated.len()), 0);
        if widest > 0.0 && to_steps.is_finite() {
            (kernels.fill_tables)(rotated, kernels.layout, to_steps, &mut self.tables);
        } else {
            self.tables.fill(0);
        }
        let is_zero = query.iter().all(|&value| value == 0.0);
        self.kernels = kernels;
        self.metric = quantizer.metric();
        self.epsilon = f64::from(epsilon);
        self.squared_length = dot_f64(rotated, rotated);
        self.underflows = self.metric != Metric::L2 && self.squared_length < MIN_SQUARED_LENGTH && !is_zero;
        self.step = f64::from(widest) / 255.0;
        self.smallest_product = -0.5 * all;
        self.integers.prepare(rotated);
    }

    pub(crate) fn tables(&self) -> &[u8] {
        &self.tables
    }

    pub(crate) fn kernels(&self) -> &'static Kernels {
        self.kernels
    }

    /// The terms for one list.
    #[expect(clippy::cast_possible_truncation, reason = "kernels compute in f32, which the bounds allow for")]
    pub(crate) fn list_terms(&self, centroids: &Centroids, list: usize) -> ListTerms {
        let product = centroids.dot(&self.integers.fine, list) * self.integers.fine_step;
        let squared_norm = f64::from(centroids.squared_norm(list));
        let product_deviation = self.integers.fine_step / 12_f64.sqrt() * squared_norm.sqrt();
        let (add, add_scale, squared_length, rounding) = match self.metric {
            Metric::L2 => {
                let squared = (self.squared_length - 2.0 * product + squared_norm).max(0.0);
                (squared, 1.0, squared, self.squared_length + squared_norm)
            }
            Metric::InnerProduct | Metric::Cosine => {
                let share = if squared_norm > 0.0 { product / squared_norm } else { 0.0 };
                let squared = (self.squared_length - share * product).max(0.0);
                let base = if self.metric == Metric::Cosine { 1.0 } else { 0.0 };
                (
                    base - product,
                    share,
                    squared,
                    base + product.abs() + self.squared_length.sqrt() * squared_norm.sqrt(),
                )
            }
        };
        // Beyond this the estimates could overflow: an infinite error leaves every vector to the exact distance. So it
        // does where the query itself underflows.
        let lengths = [squared_length, self.squared_length, add.abs(), self.squared_length * add_scale * add_scale];
        let can_overflow = !lengths.iter().all(|&value| value <= MAX_SQUARED_LENGTH);
        // Half a step in each coordinate, and all in the direction of the centroid.
        let product_limit = 0.5 * self.integers.fine_step * (self.rotated.len() as f64 * squared_norm).sqrt();
        let slack = if can_overflow { f64::INFINITY } else { ROUNDING * rounding + 2.0 * product_limit };
        let rounding = if can_overflow || self.underflows {
            f64::INFINITY
        } else {
            ROUNDING * rounding + 2.0 * self.epsilon * product_deviation
        };
        let table_deviation = self.step * (self.rotated.len() as f64 / (12 * GROUP_DIMS) as f64).sqrt();
        let longest = LONGEST_COORDINATE * (self.rotated.len() as f64).sqrt();
        let row_deviation = self.integers.step / 12_f64.sqrt() * longest;
        let length = squared_length.sqrt();
        let bits = QueryTerms {
            step: self.step as f32,
            smallest_product: self.smallest_product as f32,
            add: add as f32,
            add_scale: add_scale as f32,
            error_scale: (self.epsilon * length) as f32,
            table_error: (self.epsilon * table_deviation) as f32,
            rounding: rounding as f32,
            rounding_share: ROUNDING as f32,
        };
        let rows = QueryTerms {
            step: self.integers.step as f32,
            smallest_product: self.integers.smallest_product as f32,
            table_error: (self.epsilon * row_deviation) as f32,
            ..bits
        };
        ListTerms { bits, rows, length, slack }
    }

    /// The smallest distance that a vector can have which is no farther than `radius` from the centroid of a list.
    pub(crate) fn nearest_possible(&self, terms: &ListTerms, radius: f32) -> f64 {
        match self.metric {
            Metric::L2 => (terms.length - f64::from(radius)).max(0.0).powi(2) - terms.slack,
            Metric::InnerProduct | Metric::Cosine => {
                let reach = self.squared_length.sqrt() * f64::from(radius);
                f64::from(terms.bits.add) - reach - (terms.slack + ROUNDING * reach)
            }
        }
    }

    /// Looks at the four-bit rows of some slots: keeps those whose bound is not above `threshold`.
    pub(crate) fn scan_rows(
        &self,
        terms: &ListTerms,
        rows: &Rows,
        slots: &[u32],
        threshold: f32,
        survivors: &mut Survivors,
    ) {
        let Integers { low, high, .. } = &self.integers;
        (self.kernels.scan_rows)(&mut RowPass {
            rows: rows.bytes(),
            slots,
            low,
            high,
            terms: terms.rows,
            threshold,
            survivors,
        });
    }

    /// Returns the estimate of a 1-bit code by the query's floats, without tables, and its error bound.
    #[expect(clippy::cast_possible_truncation, reason = "estimates are f32")]
    pub(crate) fn float_estimate(&self, terms: &ListTerms, nibbles: &[u8], factors: super::Factors) -> (f32, f32) {
        let mut product = 0.0_f64;
        for (&nibble, group) in nibbles.iter().zip(self.rotated.as_chunks::<GROUP_DIMS>().0) {
            for (i, &value) in group.iter().enumerate() {
                product += if (nibble >> i) & 1 == 1 { f64::from(value) } else { -f64::from(value) };
            }
        }
        let terms = QueryTerms { table_error: 0.0, ..terms.bits };
        terms.bound((0.5 * product) as f32, factors.add, factors.rescale, factors.error)
    }
}

impl Integers {
    #[expect(clippy::cast_possible_truncation, reason = "the integer is in the last sixteen bits")]
    fn prepare(&mut self, rotated: &[f32]) {
        let step = widest_step(rotated);
        self.all.resize(rotated.len(), 0);
        quantize(rotated, step, &mut self.all);
        let sum: i64 = self.all.iter().map(|&value| i64::from(value)).sum();
        split_coordinates(&self.all, &mut self.low, &mut self.high);
        let widest = rotated.iter().fold(0.0_f32, |widest, value| widest.max(value.abs()));
        let to_fine = FINEST / widest;
        self.fine.resize(rotated.len(), 0);
        if to_fine.is_normal() {
            for (fine, value) in self.fine.iter_mut().zip(rotated) {
                *fine = (value * to_fine + TO_INTEGER).to_bits() as i16;
            }
        } else {
            self.fine.fill(0);
        }
        self.fine_step = if to_fine.is_normal() { f64::from(widest) / f64::from(FINEST) } else { 0.0 };
        (self.step, self.smallest_product) = (f64::from(step), -7.5 * f64::from(step) * sum as f64);
    }
}

impl Default for QueryCode {
    /// Returns the buffers for a query; [`prepare`](Self::prepare) fills them.
    fn default() -> Self {
        Self {
            kernels: kernel::best(),
            metric: Metric::L2,
            epsilon: 0.0,
            rotated: Vec::new(),
            squared_length: 0.0,
            underflows: false,
            tables: Vec::new(),
            step: 0.0,
            smallest_product: 0.0,
            integers: Integers::default(),
        }
    }
}

#[cfg(test)]
mod tests;
