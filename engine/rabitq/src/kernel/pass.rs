//! Input and output of the scan kernels: blocks or rows and the terms of a query go in, [`Survivors`] come out. The definition
//! of an estimate and its error bound is [`QueryTerms::estimate`].

use super::layout::{BLOCK_LEN, code_bytes};
use crate::memory::{Line, bytes, floats};

/// Lines of factors behind the codes of a block: 32 times `add`, `rescale` and `error`.
pub(crate) const FACTOR_LINES: usize = 3 * BLOCK_LEN * size_of::<f32>() / size_of::<Line>();

/// Some blocks of one list, one after another: codes, then factors, of 32 vectors each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockRun<'a> {
    pub(crate) lines: &'a [Line],
    pub(crate) padded_dim: usize,
    /// Vectors in these blocks. The last block may have fewer than 32; the lanes behind them are never survivors.
    pub(crate) num_vectors: usize,
    /// The slot of the first vector: survivors are told by slot.
    pub(crate) first_slot: u32,
}

/// The factors of the vectors of one block; see [`factors`](crate::code).
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockFactors<'a> {
    pub(crate) add: &'a [f32; BLOCK_LEN],
    pub(crate) rescale: &'a [f32; BLOCK_LEN],
    pub(crate) error: &'a [f32; BLOCK_LEN],
}

/// Bytes of one block: codes and factors.
#[inline(always)]
pub(crate) const fn block_bytes(padded_dim: usize) -> usize {
    code_bytes(padded_dim) + FACTOR_LINES * size_of::<Line>()
}

impl<'a> BlockRun<'a> {
    #[inline(always)]
    pub(crate) fn num_blocks(&self) -> usize {
        self.num_vectors.div_ceil(BLOCK_LEN)
    }

    #[inline(always)]
    pub(crate) fn code_bytes(&self) -> usize {
        code_bytes(self.padded_dim)
    }

    #[inline(always)]
    pub(crate) fn block_start(&self, block: usize) -> usize {
        block * block_bytes(self.padded_dim)
    }

    #[inline(always)]
    pub(crate) fn codes(&self, block: usize) -> &'a [u8] {
        &bytes(self.lines)[self.block_start(block)..][..self.code_bytes()]
    }

    #[inline(always)]
    pub(crate) fn factors(&self, block: usize) -> BlockFactors<'a> {
        let start = (self.block_start(block) + self.code_bytes()) / size_of::<f32>();
        let (factors, _) = floats(self.lines)[start..][..3 * BLOCK_LEN].as_chunks();
        BlockFactors { add: &factors[0], rescale: &factors[1], error: &factors[2] }
    }

    /// A bit for each vector that is there.
    #[inline(always)]
    pub(crate) fn lanes(&self, block: usize) -> u32 {
        let left = self.num_vectors - block * BLOCK_LEN;
        if left >= BLOCK_LEN { u32::MAX } else { (1 << left) - 1 }
    }
}

/// The terms that the estimates of one query have in common.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct QueryTerms {
    /// One unit of the lookup tables.
    pub(crate) step: f32,
    /// The product that a sum of 0 stands for.
    pub(crate) smallest_product: f32,
    /// Added to every estimate.
    pub(crate) add: f32,
    /// Scales the factor `add`.
    pub(crate) add_scale: f32,
    /// Scales the factor `error`: epsilon times the length of the query less the centroid of the list. Zero where originals are absent and
    /// rows have four bits.
    pub(crate) error_scale: f32,
    /// Epsilon times the standard deviation of the product that the rounding of the tables causes.
    pub(crate) table_error: f32,
    /// The part of the error bound for the rounding of f32: a constant, and a share of the factor `add`.
    pub(crate) rounding: f32,
    pub(crate) rounding_share: f32,
}

impl QueryTerms {
    /// Returns the estimated distance of a vector and the bound of its error: the definition of both. The factors are
    /// its `add`, `rescale` and `error`.
    #[inline(always)]
    pub(crate) fn estimate(&self, sum: i32, add: f32, rescale: f32, error: f32) -> (f32, f32) {
        let product = self.step * sum as f32 + self.smallest_product;
        self.bound(product, add, rescale, error)
    }

    /// Returns the result of [`estimate`](Self::estimate), from the product of code and query.
    #[inline(always)]
    pub(crate) fn bound(&self, product: f32, add: f32, rescale: f32, error: f32) -> (f32, f32) {
        let distance = (self.add_scale * add + self.add) + rescale * product;
        let error_bound = (error * self.error_scale + rescale.abs() * self.table_error)
            + (add.abs() * self.rounding_share + self.rounding);
        (distance, error_bound)
    }
}

/// The input and output of one query in a pass over some blocks.
#[derive(Debug)]
pub(crate) struct QueryPass<'a> {
    pub(crate) tables: &'a [u8],
    pub(crate) terms: QueryTerms,
    /// A vector whose lower bound is above it is ruled out.
    pub(crate) threshold: f32,
    /// For each block the lanes that may survive; without it all may.
    pub(crate) masks: Option<&'a [u32]>,
    pub(crate) survivors: &'a mut Survivors,
}

impl QueryPass<'_> {
    #[inline(always)]
    pub(crate) fn mask(&self, run: &BlockRun<'_>, block: usize) -> u32 {
        run.lanes(block) & self.masks.map_or(u32::MAX, |masks| masks[block])
    }

    /// Panics unless the kernels may read what this pass points to without further checks.
    pub(super) fn assert_fits(&self, run: &BlockRun<'_>) {
        assert_eq!(self.tables.len(), run.code_bytes(), "one table for each group of the block");
        assert!(self.masks.is_none_or(|masks| masks.len() >= run.num_blocks()), "one mask for each block");
    }
}

/// The input and output of one query in a pass over some rows of four bits.
#[derive(Debug)]
pub(crate) struct RowPass<'a> {
    /// Rows one after another: codes, then `add`, `rescale` and `error` as little-endian floats.
    pub(crate) rows: &'a [u8],
    /// The rows to look at.
    pub(crate) slots: &'a [u32],
    /// Byte `i` of a row holds one code below, whose partner is `low[i]`, and one above, whose partner is `high[i]`.
    pub(crate) low: &'a [i8],
    pub(crate) high: &'a [i8],
    pub(crate) terms: QueryTerms,
    /// A vector whose lower bound is above it is ruled out.
    pub(crate) threshold: f32,
    pub(crate) survivors: &'a mut Survivors,
}

impl<'a> RowPass<'a> {
    /// Bytes of one row.
    #[inline(always)]
    pub(crate) fn row_bytes(&self) -> usize {
        self.low.len() + 3 * size_of::<f32>()
    }

    /// The codes of a row, and its factors `add`, `rescale` and `error`.
    #[inline(always)]
    pub(crate) fn row(&self, slot: u32) -> (&'a [u8], [f32; 3]) {
        let rows: &'a [u8] = self.rows;
        let (codes, factors) = rows[slot as usize * self.row_bytes()..][..self.row_bytes()].split_at(self.low.len());
        let mut values = [0.0; 3];
        for (value, bytes) in values.iter_mut().zip(factors.as_chunks::<4>().0) {
            *value = f32::from_le_bytes(*bytes);
        }
        (codes, values)
    }

    /// Keeps the vector of `slot`, whose codes made `sum` with the query, unless it is ruled out.
    #[inline(always)]
    pub(crate) fn keep(&mut self, slot: u32, sum: i32, [add, rescale, error]: [f32; 3]) {
        let (estimate, error_bound) = self.terms.estimate(sum, add, rescale, error);
        let bound = estimate - error_bound;
        // A bound that is not a number rules nothing out.
        let ruled_out = bound > self.threshold;
        if !ruled_out {
            self.survivors.push(slot, bound, estimate);
        }
    }

    /// Panics unless the kernels may read what this pass points to without further checks.
    pub(super) fn assert_fits(&self) {
        assert!(self.low.len() == self.high.len(), "one byte of codes for two coordinates");
        let num_rows = self.rows.len() / self.row_bytes();
        assert!(self.slots.iter().all(|&slot| (slot as usize) < num_rows), "every row is there");
    }
}

impl BlockRun<'_> {
    /// Panics unless the kernels may read the run without further checks, like [`QueryPass::assert_fits`].
    pub(super) fn assert_fits(&self) {
        assert!(self.padded_dim.is_multiple_of(64), "codes in multiples of 64 dimensions");
        let needed = self.num_blocks() * block_bytes(self.padded_dim);
        assert!(size_of_val(self.lines) >= needed, "every block of the run is there");
    }
}

/// The vectors a pass did not rule out, in the order of their slots: three columns.
#[derive(Debug, Default)]
pub(crate) struct Survivors {
    pub(crate) slots: Vec<u32>,
    pub(crate) bounds: Vec<f32>,
    pub(crate) estimates: Vec<f32>,
}

impl Survivors {
    pub(crate) fn clear(&mut self) {
        self.slots.clear();
        self.bounds.clear();
        self.estimates.clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    #[inline(always)]
    pub(crate) fn push(&mut self, slot: u32, bound: f32, estimate: f32) {
        self.slots.push(slot);
        self.bounds.push(bound);
        self.estimates.push(estimate);
    }

    /// Makes room for `additional` more, and a line beyond: kernels store whole lines.
    pub(crate) fn reserve(&mut self, additional: usize) {
        self.slots.reserve(additional + BLOCK_LEN);
        self.bounds.reserve(additional + BLOCK_LEN);
        self.estimates.reserve(additional + BLOCK_LEN);
    }
}
