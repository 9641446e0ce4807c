//! The vectors of one group, and what is made of their sum.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, FieldRef, Float32Type, Float64Type, UInt64Type};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::{Accumulator, ColumnarValue};

use super::{Kind, sums_type};
use crate::scalar::vectors::{Vectors, VectorsBuilder};

/// The sum of some vectors, and how many they are.
#[derive(Debug)]
pub(super) struct Total {
    kind: Kind,
    data_type: DataType,
    sums: Vec<f64>,
    count: u64,
}

impl Total {
    pub(super) fn new(kind: Kind, answer: &FieldRef, dim: usize) -> Self {
        Self { kind, data_type: answer.data_type().clone(), sums: vec![0.0; dim], count: 0 }
    }

    pub(super) fn add(&mut self, vector: impl IntoIterator<Item = f32>) {
        self.count += 1;
        self.sums.iter_mut().zip(vector).for_each(|(sum, value)| *sum += f64::from(value));
    }

    /// The answer; NULL of no vector.
    pub(super) fn answer(&self) -> Result<ScalarValue> {
        answers(self.kind, &self.data_type, &self.sums, &[self.count])
            .and_then(|answer| ScalarValue::try_from_array(&answer, 0))
    }
}

impl Accumulator for Total {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for_each_vector(values, |_, vector| self.add(vector.iter().copied()))
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for_each_state(states, |_, sums, count| {
            self.count += count;
            self.sums.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
        })
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let state = state(&self.sums, self.sums.len(), &[self.count])?;
        state.iter().map(|part| ScalarValue::try_from_array(part, 0)).collect()
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.answer()
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.sums.capacity() * size_of::<f64>()
    }
}

/// Calls `visit` with row and coordinates of every vector of the one argument.
pub(super) fn for_each_vector(values: &[ArrayRef], mut visit: impl FnMut(usize, &[f32])) -> Result<()> {
    let [values] = values else { return internal_err!("expected one argument, got {}", values.len()) };
    let vectors = Vectors::<Float32Type>::new(&ColumnarValue::Array(Arc::clone(values)))?;
    for row in 0..values.len() {
        if let Some(vector) = vectors.get(row) {
            visit(row, vector);
        }
    }
    Ok(())
}

/// Calls `visit` with row, sums and count of every state that [`state`] made.
pub(super) fn for_each_state(states: &[ArrayRef], mut visit: impl FnMut(usize, &[f64], u64)) -> Result<()> {
    let [sums, counts] = states else { return internal_err!("expected sums and counts, got {}", states.len()) };
    let sums = Vectors::<Float64Type>::new(&ColumnarValue::Array(Arc::clone(sums)))?;
    for (row, count) in counts.as_primitive::<UInt64Type>().iter().enumerate() {
        if let (Some(sums), Some(count)) = (sums.get(row), count) {
            visit(row, sums, count);
        }
    }
    Ok(())
}

/// Sums and counts on their way to where they are merged: `sums` is row-major `[counts.len(), dim]`.
pub(super) fn state(sums: &[f64], dim: usize, counts: &[u64]) -> Result<Vec<ArrayRef>> {
    let data_type = sums_type(dim);
    let mut builder = VectorsBuilder::<Float64Type>::new(&data_type, counts.len());
    for row in 0..counts.len() {
        builder.append_with(|out| {
            out.extend_from_slice(&sums[row * dim..(row + 1) * dim]);
            true
        });
    }
    Ok(vec![builder.finish()?, Arc::new(arrow::array::UInt64Array::from(counts.to_vec()))])
}

/// The vectors of many sums; NULL where there was no vector.
pub(super) fn answers(kind: Kind, data_type: &DataType, sums: &[f64], counts: &[u64]) -> Result<ArrayRef> {
    let dim = sums.len() / counts.len().max(1);
    let mut builder = VectorsBuilder::<Float32Type>::new(data_type, counts.len());
    for (row, &count) in counts.iter().enumerate() {
        let mut finished = Ok(());
        match count {
            0 => builder.append_null(),
            _ => builder.append_with(|out| {
                finished = kind.finish(&sums[row * dim..(row + 1) * dim], count, out);
                finished.is_ok()
            }),
        }
        finished?;
    }
    builder.finish()
}
