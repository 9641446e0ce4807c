//! Each vector once.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, FieldRef, Float32Type};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::Accumulator;

use super::Kind;
use super::total::{Total, for_each_vector};
use crate::scalar::vectors::VectorsBuilder;

/// The vectors themselves, each once. They are added up in an order of their own, so that the answer does not depend on
/// the one in which they came.
#[derive(Debug)]
pub(super) struct Distinct {
    kind: Kind,
    answer: FieldRef,
    vectors: BTreeSet<Vec<u32>>,
    coordinates: usize,
}

impl Distinct {
    pub(super) fn new(kind: Kind, answer: &FieldRef) -> Self {
        Self { kind, answer: Arc::clone(answer), vectors: BTreeSet::new(), coordinates: 0 }
    }
}

impl Accumulator for Distinct {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for_each_vector(values, |_, vector| {
            if self.vectors.insert(bits(vector)) {
                self.coordinates += vector.len();
            }
        })
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [lists] = states else { return internal_err!("expected one list, got {}", states.len()) };
        lists.as_list::<i32>().iter().flatten().try_for_each(|vectors| self.update_batch(&[vectors]))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let data_type: &DataType = self.answer.data_type();
        let mut builder = VectorsBuilder::<Float32Type>::new(data_type, self.vectors.len());
        for vector in &self.vectors {
            builder.append_with(|out| {
                out.extend(floats(vector));
                true
            });
        }
        let vectors = datafusion::common::utils::SingleRowListArrayBuilder::new(builder.finish()?).with_nullable(true);
        Ok(vec![vectors.build_list_scalar()])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        total(self.kind, &self.answer, &self.vectors).answer()
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.vectors.len() * size_of::<Vec<u32>>() + self.coordinates * size_of::<u32>()
    }
}

/// A vector as it is compared.
pub(super) fn bits(vector: &[f32]) -> Vec<u32> {
    // The zeros are equal.
    vector.iter().map(|value| if *value == 0.0 { 0 } else { value.to_bits() }).collect()
}

fn floats(bits: &[u32]) -> impl Iterator<Item = f32> {
    bits.iter().map(|bits| f32::from_bits(*bits))
}

/// The sum of distinct vectors.
pub(super) fn total(kind: Kind, answer: &FieldRef, vectors: &BTreeSet<Vec<u32>>) -> Total {
    let dim = vectors.first().map_or(0, Vec::len);
    let mut total = Total::new(kind, answer, dim);
    vectors.iter().for_each(|vector| total.add(floats(vector)));
    total
}
