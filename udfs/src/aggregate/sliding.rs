//! Windows whose beginning moves.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::FieldRef;
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::Accumulator;

use super::Kind;
use super::distinct::{bits, total};
use super::total::{Total, for_each_vector};

/// The rows of a window, added up for each answer: taken away from a sum, a large vector would leave its rounding errors
/// behind.
#[derive(Debug)]
pub(super) struct Sliding {
    kind: Kind,
    answer: FieldRef,
    dim: usize,
    is_distinct: bool,
    rows: VecDeque<Option<Vec<f32>>>,
}

impl Sliding {
    pub(super) fn new(kind: Kind, answer: &FieldRef, dim: usize, is_distinct: bool) -> Self {
        Self { kind, answer: Arc::clone(answer), dim, is_distinct, rows: VecDeque::new() }
    }
}

impl Accumulator for Sliding {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let start = self.rows.len();
        self.rows.extend(std::iter::repeat_n(None, values.first().map_or(0, |values| values.len())));
        for_each_vector(values, |row, vector| self.rows[start + row] = Some(vector.to_vec()))
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        // A window gives up its first rows.
        self.rows.drain(..values.first().map_or(0, |values| values.len()).min(self.rows.len()));
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let vectors = self.rows.iter().flatten();
        if self.is_distinct {
            let distinct: BTreeSet<Vec<u32>> = vectors.map(|vector| bits(vector)).collect();
            return total(self.kind, &self.answer, &distinct).answer();
        }
        let mut total = Total::new(self.kind, &self.answer, self.dim);
        vectors.for_each(|vector| total.add(vector.iter().copied()));
        total.answer()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        internal_err!("a window is not merged")
    }

    fn merge_batch(&mut self, _states: &[ArrayRef]) -> Result<()> {
        internal_err!("a window is not merged")
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.rows.len() * (size_of::<Option<Vec<f32>>>() + self.dim * size_of::<f32>())
    }
}
