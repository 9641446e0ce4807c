//! Many groups at a time.

use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::Result;
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};

use super::Kind;
use super::total::{answers, for_each_state, for_each_vector, state};

/// The sums of many groups, side by side.
#[derive(Debug)]
pub(super) struct Groups {
    kind: Kind,
    data_type: DataType,
    dim: usize,
    /// Row-major `[groups, dim]`.
    sums: Vec<f64>,
    counts: Vec<u64>,
}

impl Groups {
    pub(super) fn new(kind: Kind, answer: &FieldRef, dim: usize) -> Self {
        Self { kind, data_type: answer.data_type().clone(), dim, sums: Vec::new(), counts: Vec::new() }
    }

    fn make_room(&mut self, num_groups: usize) {
        self.sums.resize(num_groups * self.dim, 0.0);
        self.counts.resize(num_groups, 0);
    }

    fn add(&mut self, group: usize, values: impl Iterator<Item = f64>, count: u64) {
        self.counts[group] += count;
        let sums = &mut self.sums[group * self.dim..][..self.dim];
        sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
    }

    /// Takes the groups that are wanted out of here.
    fn emit(&mut self, emit_to: EmitTo) -> (Vec<f64>, Vec<u64>) {
        let values = match emit_to {
            EmitTo::All => EmitTo::All,
            EmitTo::First(groups) => EmitTo::First(groups * self.dim),
        };
        (values.take_needed(&mut self.sums), emit_to.take_needed(&mut self.counts))
    }
}

impl GroupsAccumulator for Groups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.make_room(total_num_groups);
        for_each_vector(values, |row, vector| {
            if is_wanted(opt_filter, row) {
                self.add(group_indices[row], vector.iter().map(|value| f64::from(*value)), 1);
            }
        })
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        self.make_room(total_num_groups);
        for_each_state(values, |row, sums, count| self.add(group_indices[row], sums.iter().copied(), count))
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let (sums, counts) = self.emit(emit_to);
        answers(self.kind, &self.data_type, &sums, &counts)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let (sums, counts) = self.emit(emit_to);
        state(&sums, self.dim, &counts)
    }

    fn convert_to_state(&self, values: &[ArrayRef], opt_filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let num_rows = values.first().map_or(0, |values| values.len());
        let (mut sums, mut counts) = (vec![0.0; num_rows * self.dim], vec![0; num_rows]);
        for_each_vector(values, |row, vector| {
            if is_wanted(opt_filter, row) {
                counts[row] = 1;
                let sums = &mut sums[row * self.dim..][..self.dim];
                sums.iter_mut().zip(vector).for_each(|(sum, value)| *sum = f64::from(*value));
            }
        })?;
        state(&sums, self.dim, &counts)
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.sums.capacity() * size_of::<f64>() + self.counts.capacity() * size_of::<u64>()
    }
}

fn is_wanted(filter: Option<&BooleanArray>, row: usize) -> bool {
    filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row))
}
